"""Statements of a model in Unicode for a terminal, or in LaTeX for a notebook."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bayeslmm.support.visible import visible

__all__ = ["LATEX", "TEXT", "Line", "Notation", "lay_out"]

_WIDTH = 96
_LATEX_WIDTH, _LATEX_LEFT = 72, 30
"""Characters of a line, and of what stands left of its relation, on a page of LaTeX."""
_GREEK = {"beta": "β", "sigma": "σ", "rho": "ρ", "varepsilon": "ε"}
_SUBSCRIPTS = {"i": "ᵢ", "j": "ⱼ", "k": "ₖ"}
_TEXT_WORDS = {
    "dot": "·",
    "minus": "−",
    "distributed": "~",
    "transposed": "′",
    "sum": "Σ ",
    "dots": " ⋯ ",
}
_LATEX_WORDS = {
    "dot": r"\,",
    "minus": "-",
    "distributed": r"\sim",
    "transposed": "^\\top",
    "sum": r"\sum\nolimits_f ",
    "dots": r"\cdots ",
}
_LATEX_SIGNS = {"≠": r"$\neq$", "…": r"$\ldots$", "×": r"$\times$"}
"""Of remarks, which are text."""
# in \mathrm, where operators would be set as such
_ESCAPES = {
    "\\": r"\backslash ",
    "^": r"{\wedge}",
    "~": r"{\sim}",
    " ": r"\ ",
    **{character: rf"\{character}" for character in "_%&#${}"},
    **{character: f"{{{character}}}" for character in ":*-+=<>/,"},
}


@dataclass(frozen=True)
class Notation:
    """How to write symbols and names."""

    latex: bool

    def word(self, name: str) -> str:
        """A sign that the two notations have: "dot", "minus", "distributed" and others."""
        return (_LATEX_WORDS if self.latex else _TEXT_WORDS)[name]

    def name(self, text: str) -> str:
        """A name of the data or of a parameter, whose line ends are written as Python does."""
        text = visible(text)
        if not self.latex:
            return text
        return f"\\mathrm{{{''.join(_ESCAPES.get(c, c) for c in text)}}}"

    def greek(self, name: str) -> str:
        """A Greek letter."""
        return f"\\{name}" if self.latex else _GREEK[name]

    def parameter(self, name: str) -> str:
        """A parameter by its name in ``summary()``."""
        variable, bracket, label = name.partition("[")
        head = self.greek(variable) if variable in _GREEK else self.name(variable)
        if not bracket:
            return head
        label = label.removesuffix("]")
        return f"{head}_{{{self.name(label)}}}" if self.latex else f"{head}[{visible(label)}]"

    def of_row(self, name: str, row: str = "i") -> str:
        """A column at a row, i, j or k."""
        if self.latex:
            return f"{self.name(name)}_{row}"
        name = visible(name)
        plain = re.fullmatch(r"\w+(\([^()]*\)|\[[^\[\]]*\])?", name)
        return (name if plain else f"({name})") + _SUBSCRIPTS[row]

    def row_of(self, symbol: str) -> str:
        """A symbol at the row i."""
        return f"{symbol}_i" if self.latex else f"{symbol}ᵢ"

    def indexed(self, symbol: str, *indices: str) -> str:
        """A symbol with indices that are written already."""
        joined = ", ".join(indices)
        return f"{symbol}_{{{joined}}}" if self.latex else f"{symbol}[{joined}]"

    def power(self, base: str, exponent: str) -> str:
        """A power."""
        if self.latex:
            return f"{base}^{{{exponent}}}"
        return base + "²" if exponent == "2" else f"{base}^{exponent}"

    def root(self, inside: str) -> str:
        """A square root."""
        return rf"\sqrt{{{inside}}}" if self.latex else f"√{inside}"

    def function(self, name: str, *arguments: str) -> str:
        """A function or distribution."""
        return f"{self.name(name)}({', '.join(arguments)})"

    def vector(self, elements: Sequence[str]) -> str:
        """A vector."""
        return elements[0] if len(elements) == 1 else f"({', '.join(elements)})"

    def words(self, text: str, *names: str) -> str:
        """A remark, with names of the data in place of its pairs of braces."""
        if not self.latex:
            return text.format(*map(visible, names))
        for sign, written in _LATEX_SIGNS.items():
            text = text.replace(sign, written)
        parts = [rf"\text{{{part}}}" if part else "" for part in text.split("{}")]
        own = [*map(self.name, names), ""]
        return "".join(a + b for a, b in zip(parts, own, strict=True))


TEXT, LATEX = Notation(latex=False), Notation(latex=True)


@dataclass(frozen=True)
class Line:
    """A statement: a left side, how it relates to the sum on the right, and a remark."""

    left: str
    relation: str
    terms: tuple[str, ...]
    remark: str = ""


def lay_out(notation: Notation, title: str, sections: Sequence[tuple[str, Sequence[Line]]]) -> str:
    """Write statements below each other, aligned at their relations.

    Parameters
    ----------
    notation : Notation
    title : str
        Written in text only.
    sections : sequence of (str, sequence of Line)
        With headings, written already.
    """
    if notation.latex:
        return _as_latex(sections)
    written = [title]
    for heading, lines in sections:
        written += ["", heading]
        width = max(len(line.left) for line in lines)
        for line in lines:
            before = f"  {line.left:<{width}} {line.relation} "
            rows = _broken(line.terms, max(_WIDTH - len(before), 30))
            if line.remark and len(before + rows[-1] + line.remark) + 4 > _WIDTH:
                rows.append(f"  {line.remark}")
            elif line.remark:
                rows[-1] += f"    {line.remark}"
            written.append(before + rows[0])
            written += [" " * len(before) + row for row in rows[1:]]
    return "\n".join(written)


def _broken(terms: Sequence[str], width: int, size: Callable[[str], int] = len) -> list[str]:
    """A sum in rows of about a width."""
    rows = [terms[0]]
    for term in terms[1:]:
        if size(rows[-1]) + size(term) + 3 <= width:
            rows[-1] += f" + {term}"
        else:
            rows.append(f"+ {term}")
    return rows


def _as_latex(sections: Sequence[tuple[str, Sequence[Line]]]) -> str:
    parts = []
    for heading, lines in sections:
        bold = heading.replace(r"\text{", r"\textbf{").replace(r"\mathrm{", r"\mathbf{")
        rows = [f"&{bold}"]
        for line in lines:
            rows += _latex_rows(line)
        parts.append(" \\\\\n".join(rows))
    body = " \\\\[1ex]\n".join(parts)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _latex_rows(line: Line) -> list[str]:
    """A statement in rows that fit on a page."""
    wide = _seen(line.left) > _LATEX_LEFT
    left = _broken(_summands(line.left), _LATEX_WIDTH, _seen) if wide else []
    rows = [f"&{row}" if not i else rf"&\quad {{}} {row}" for i, row in enumerate(left)]
    first, *more = _broken(line.terms, _LATEX_WIDTH - (0 if wide else _seen(line.left)), _seen)
    rows.append(
        rf"&\quad {line.relation} {first}" if wide else rf"{line.left} &{line.relation} {first}"
    )
    rows += [rf"&\quad {{}} {row}" for row in more]
    if line.remark and _seen(rows[-1]) + _seen(line.remark) + 4 > _LATEX_WIDTH:
        rows.append(rf"&\qquad {line.remark}")
    elif line.remark:
        rows[-1] += rf"\qquad {line.remark}"
    return rows


def _summands(text: str) -> list[str]:
    """A sum taken apart where no brace is open."""
    parts = [""]
    for word in text.split(" + "):
        closed = parts[-1].count("{") == parts[-1].count("}")
        if parts[-1] and closed:
            parts.append(word)
        else:
            parts[-1] += f" + {word}" if parts[-1] else word
    return parts


def _seen(latex: str) -> int:
    """About how many characters are seen of LaTeX."""
    return len(re.sub(r"\\(text|textbf|mathrm|quad|qquad|top)\b|[{}^_&\\]", "", latex))
