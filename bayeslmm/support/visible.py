"""Text from data made safe for a terminal."""

from __future__ import annotations

from unicodedata import category

__all__ = ["visible"]

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that move a cursor, end a line, or cannot be written."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that let text be read in another order than it is in."""


def visible(text: str, keep: str = "") -> str:
    r"""Write characters that a terminal would obey, in place of showing, as Python writes them.

    Parameters
    ----------
    text : str
    keep : str
        Such characters that stay: a line end in what has several lines.

    Examples
    --------
    >>> from bayeslmm.support.visible import visible
    >>> print(visible("Day\x1b[2J"))
    Day\x1b[2J
    """
    return "".join(
        char if char in keep or not _is_unseen(char) else repr(char)[1:-1] for char in text
    )


def _is_unseen(char: str) -> bool:
    return category(char) in _UNSEEN or char in _TURNING
