"""Pages of lines and tables, as text and as HTML. Numbers are rounded only here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from bayeslmm.support.visible import visible

__all__ = [
    "DIGITS",
    "Beside",
    "Lines",
    "Page",
    "Table",
    "as_html",
    "as_text",
    "decimals",
    "numbers",
    "orders",
    "p_value",
]


DIGITS = 4


@dataclass(frozen=True, slots=True)
class Beside:
    """Labelled texts that share a line; in HTML they are cells of a row.

    Attributes
    ----------
    pairs : tuple of (label, text)
    """

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text, with an optional label before each.

    Attributes
    ----------
    pairs : tuple of (label, text) or of several such beside each other
    """

    pairs: tuple[tuple[str, str] | Beside, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    title : str
    header : tuple of str
    rows : tuple of tuples of str
    labels : int
        The first columns, which hold labels and not numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int


type Page = tuple[Lines | Table, ...]


def as_text(page: Page) -> str:
    """A page as plain text."""
    return "\n\n".join(
        _lines_text(part) if isinstance(part, Lines) else _table_text(part) for part in page
    )


def as_html(page: Page) -> str:
    """A page as HTML, with everything in it escaped."""
    parts = [_lines_html(part) if isinstance(part, Lines) else _table_html(part) for part in page]
    return "<div>" + "\n".join(parts) + "</div>"


def numbers(values: Sequence[float] | np.ndarray, missing: str = "--") -> list[str]:
    """A column of numbers with as many decimals as show four digits of the smallest of them.

    Where that would be too long, each has four digits of its own.
    """
    array = np.asarray(values, dtype=float)
    style = decimals(*orders(array), DIGITS)
    return [missing if np.isnan(value) else f"{value:{style}}" for value in array]


def p_value(p: float, missing: str = "--") -> str:
    """A p value with four decimals, or as less than the smallest of these."""
    if np.isnan(p):
        return missing
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def orders(values: np.ndarray) -> tuple[int | None, int | None]:
    """Powers of ten of the smallest and the largest number that is not zero; None without any."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return None, None
    low, high = np.floor(np.log10([sizes.min(), sizes.max()])).astype(int)
    return int(low), int(high)


def decimals(low: int | None, high: int | None, digits: int) -> str:
    """Format that shows digits of numbers from the order `low` on, up to the order `high`."""
    if low is None or high is None:
        return "g"
    shown = max(0, digits - 1 - low)
    return f".{DIGITS}g" if shown > 7 or high + shown > 8 else f".{shown}f"


def _lines_text(lines: Lines) -> str:
    shown = "\n".join(
        "   ".join(map(_pair_text, line.pairs)) if isinstance(line, Beside) else _pair_text(line)
        for line in lines.pairs
    )
    return visible(shown, keep="\n")


def _pair_text(pair: tuple[str, str]) -> str:
    label, text = pair
    return f"{label}: {text}" if text else label


def _table_text(table: Table) -> str:
    grid = [[visible(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[j]) for row in grid) for j in range(len(table.header))]
    lines = [
        " "
        + "  ".join(
            cell.ljust(width) if j < table.labels else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
    return "\n".join([visible(table.title), *lines])


def _lines_html(lines: Lines) -> str:
    """Paragraphs, and between them a table of one row where texts stand beside each other."""
    parts: list[str] = []
    paragraph: list[str] = []
    for line in (*lines.pairs, Beside(())):
        if not isinstance(line, Beside):
            paragraph.append(_pair_html(line))
            continue
        if paragraph:
            parts.append(f"<p>{'<br>\n'.join(paragraph)}</p>")
            paragraph = []
        if line.pairs:
            cells = "".join(f"<td>{_pair_html(pair)}</td>" for pair in line.pairs)
            parts.append(f"<table><tbody><tr>{cells}</tr></tbody></table>")
    return "\n".join(parts)


def _pair_html(pair: tuple[str, str]) -> str:
    label, text = pair
    return f"<b>{escape(label)}</b>" + (f": {escape(text)}" if text else "")


def _table_html(table: Table) -> str:
    def cells(row: tuple[str, ...], tag: str) -> str:
        sides = ["left" if j < table.labels else "right" for j in range(len(row))]
        return "".join(
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, row, strict=True)
        )

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    return (
        f"<p><b>{escape(table.title)}</b></p>\n<table><thead><tr>{cells(table.header, 'th')}</tr>"
        f"</thead><tbody>{body}</tbody></table>"
    )
