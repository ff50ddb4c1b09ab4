"""The exceptions and warnings of the library.

Every exception derives from `BayeslmmError` and from the built-in exception that says the same, so
that ``except ValueError`` works for people who do not know this library. A message says what
arrived, what would be right, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN_NAMES = 30


class BayeslmmError(Exception):
    """Base of every exception that this library raises."""


class FormulaError(BayeslmmError, ValueError):
    """A formula that cannot be read.

    Parameters
    ----------
    message : str
        What is wrong, and what to write instead.
    formula : str, optional
        The formula as given. With `position`, it is shown below the message.
    position : int, optional
        Index in `formula` of the first offending character; ``len(formula)`` marks the end.
    length : int, default 1
        Number of offending characters.

    Examples
    --------
    >>> from bayeslmm.errors import FormulaError
    >>> print(FormulaError("this '(' is never closed", formula="y ~ x + (1 | g", position=8))
    this '(' is never closed
        y ~ x + (1 | g
                ^
    """

    def __init__(
        self,
        message: str,
        *,
        formula: str | None = None,
        position: int | None = None,
        length: int = 1,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.formula = formula
        self.position = position
        self.length = length

    def __str__(self) -> str:
        if self.formula is None:
            return self.message
        return "\n".join([self.message, *marked(self.formula, self.position, self.length)])


class DataError(BayeslmmError, ValueError):
    """Data that cannot be used as they are: a missing column, infinite values, unseen levels."""


class UnknownColumnError(DataError):
    """A column that the data do not have."""


class DesignError(BayeslmmError, ValueError):
    """A model that these data cannot identify, such as a factor with one level."""


class PriorError(BayeslmmError, ValueError):
    """A prior with an unknown key, impossible hyperparameters, or a support that does not fit."""


class ArgumentError(BayeslmmError, ValueError):
    """An argument whose value is not among the accepted ones."""


class ArgumentTypeError(BayeslmmError, TypeError):
    """An argument of a type that is not accepted."""


class MissingAttributeError(ArgumentError, AttributeError):
    """An attribute that only the other kind of fit has: a posterior's AIC, the draws of REML."""


class FileError(BayeslmmError, ValueError):
    """A file that is damaged, or was not written by this library."""


class BayeslmmWarning(UserWarning):
    """Base of every warning that this library gives."""


class DesignWarning(BayeslmmWarning):
    """The model that is fitted is not literally the one written, such as after dropping columns."""


class ConvergenceWarning(BayeslmmWarning):
    """Estimates or draws that should not be trusted yet."""


class InterruptedWarning(BayeslmmWarning):
    """Sampling was stopped by Ctrl-C, and only the draws made until then are returned."""


def unknown_name(kind: str, given: object, valid: Iterable[str], hint: str = "") -> str:
    """Word the message for a name that is not one of the valid names.

    Parameters
    ----------
    kind : str
        What the name stands for, as a noun: ``"method"``, ``"column"``.
    given : object
        What arrived.
    valid : iterable of str
        The accepted names, in the order to show them; of more than thirty, the first thirty.
    hint : str, optional
        A sentence that ends the message.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> from bayeslmm.errors import unknown_name
    >>> unknown_name("method", "REML", ["nuts", "reml", "ml"])
    "unknown method 'REML'; valid: 'nuts', 'reml', 'ml'. Did you mean 'reml'?"
    """
    names = list(dict.fromkeys(valid))
    shown = ", ".join(repr(name) for name in names[:_SHOWN_NAMES])
    if len(names) > _SHOWN_NAMES:
        shown += f" and {len(names) - _SHOWN_NAMES} more"
    parts = [f"unknown {kind} {given!r}; " + (f"valid: {shown}." if names else "there are none.")]

    parts += [did_you_mean(given, names), hint]
    return " ".join(filter(None, parts))


def did_you_mean(given: object, names: Iterable[str]) -> str:
    """Ask for names that differ from what arrived by case or a few characters.

    Parameters
    ----------
    given : object
        What arrived.
    names : iterable of str
        The accepted names.

    Returns
    -------
    str
        A question with the closest names first, or nothing where none is close.

    Examples
    --------
    >>> from bayeslmm.errors import did_you_mean
    >>> did_you_mean("Dayz", ["Reaction", "Days"])
    "Did you mean 'Days'?"
    """
    close = _close_names(given, names) if isinstance(given, str) else []
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else ""


def _close_names(given: str, names: Iterable[str]) -> list[str]:
    by_folded: dict[str, list[str]] = {}
    for name in names:
        by_folded.setdefault(name.casefold(), []).append(name)
    folded = get_close_matches(given.casefold(), by_folded)
    if given.casefold() in by_folded:
        folded = folded[:1]
    return [name for key in folded for name in by_folded[key]]


def marked(formula: str, position: int | None, length: int) -> list[str]:
    """Indented lines of a text, with carets under the offending characters of one line."""
    lines = formula.split("\n")
    shown = ["    " + line for line in lines]
    if position is None:
        return shown

    row = formula.count("\n", 0, position)
    column = position - sum(len(line) + 1 for line in lines[:row])
    # Tabs stay tabs, so that the carets keep their place however wide a tab is shown.
    lead = "".join(char if char == "\t" else " " for char in lines[row][:column])
    carets = "^" * max(1, min(length, len(lines[row]) - column))
    return [*shown[: row + 1], "    " + lead + carets, *shown[row + 1 :]]
