"""Checks of what users give as arguments: numbers, truth values, places for files."""

from __future__ import annotations

import stat
from numbers import Integral, Real
from typing import TYPE_CHECKING

from bayeslmm.errors import ArgumentError, ArgumentTypeError, FileError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "GREATEST_SEED",
    "one_of",
    "place_for_file",
    "probability",
    "real_number",
    "truth_value",
    "whole_number",
]

GREATEST_SEED = 2**64 - 1
"""What nutpie takes."""


def whole_number(name: str, value: object, least: int = 1, greatest: int | None = None) -> int:
    """Take a whole number, of Python or of NumPy.

    Parameters
    ----------
    name : str
        What the argument is called.
    value : object
    least, greatest : int
        The bounds, which are allowed; no upper one by default.

    Raises
    ------
    ArgumentTypeError
        If it is no number.
    ArgumentError
        If it is not whole, or out of bounds.
    """
    bounds = f"of {least} or more" if greatest is None else f"from {least} to {greatest}"
    message = f"`{name}` should be a whole number {bounds}, got {value!r}."
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ArgumentTypeError(message)
    if not isinstance(value, Integral):
        raise ArgumentError(message)
    number = int(value)
    if number < least or (greatest is not None and number > greatest):
        raise ArgumentError(message)
    return number


def one_of(kind: str, value: object, valid: Iterable[str], hint: str = "") -> str:
    """Take one of the library's own names, whatever its case.

    Parameters
    ----------
    kind : str
        What the name stands for, as a noun: "method".
    value : object
    valid : iterable of str
        In lower case.
    hint : str, optional
        A sentence that ends the message.

    Raises
    ------
    ArgumentError
        For any other name.
    """
    names = tuple(valid)
    if isinstance(value, str) and value.lower() in names:
        return value.lower()
    raise ArgumentError(unknown_name(kind, value, names, hint))


def probability(level: object) -> float:
    """Take the probability of intervals.

    Raises
    ------
    ArgumentTypeError
        If it is no number.
    ArgumentError
        If it is not between 0 and 1.
    """
    return real_number("level", level, 0, 1, "the probability of the intervals, ")


def real_number(name: str, value: object, above: float, below: float, what: str = "") -> float:
    """Take a real number, of Python or of NumPy, between two others.

    Parameters
    ----------
    name : str
        What the argument is called.
    value : object
    above, below : float
        The bounds, which are not allowed.
    what : str
        What the number is, for the message: "the probability of the intervals, ".

    Raises
    ------
    ArgumentTypeError
        If it is no number.
    ArgumentError
        If it is out of bounds, or not a number (NaN).
    """
    message = f"`{name}` should be {what}between {above:g} and {below:g}, got {value!r}."
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ArgumentTypeError(message)
    number = float(value)
    if not above < number < below:
        raise ArgumentError(message)
    return number


def truth_value(name: str, value: object) -> bool:
    """Take True or False, and nothing that only counts as such.

    Parameters
    ----------
    name : str
        What the argument is called.
    value : object

    Raises
    ------
    ArgumentTypeError
        If it is anything else.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"`{name}` should be True or False, got {value!r}.")
    return value


def place_for_file(target: Path, example: str) -> Path:
    """Where a file is to be written, symbolic links followed.

    Parameters
    ----------
    target : Path
    example : str
        A name that a file of this kind could have.

    Raises
    ------
    FileError
        If `target` is a folder, a device or a pipe, or no path that a file can have.
    """
    place = target
    try:
        place = target.resolve()
        mode = place.stat().st_mode
    except FileNotFoundError:
        return place
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileError(
            f"{str(target)!r} cannot be written: {reason}. Choose another name, such as "
            f"{example!r}."
        ) from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{str(target)!r} is a folder; name a file in it, such as {example!r}.")
    if not stat.S_ISREG(mode):
        raise FileError(
            f"{str(target)!r} is a device or a pipe; name an ordinary file, such as {example!r}."
        )
    return place
