"""Statements about quantities, as users write them: ``"sd_Subject[Days]**2 / sigma**2 > 0.1"``.

Names are those that users see, which are no identifiers of Python. Where they stand in a text they
are replaced by identifiers of the same length; Python's own parser reads the rest, of which a few
operations are taken. Nothing is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NoReturn

import numpy as np

from bayeslmm.errors import ArgumentError, ArgumentTypeError, marked, unknown_name
from bayeslmm.support.arrays import Array

__all__ = ["Expression", "Linear", "Relation", "Statement", "parse_expression", "parse_statement"]

Relation = Literal["=", ">", "<"]
_RELATION = re.compile("<=|>=|==|!=|[<>=≤≥≠]")
_MEANT: dict[str, Relation] = {
    **dict.fromkeys(("=", "=="), "="),
    **dict.fromkeys((">", ">=", "≥"), ">"),
    **dict.fromkeys(("<", "<=", "≤"), "<"),
}
_OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}
_ALLOWED = f"+, -, *, /, ** and the functions {', '.join(_FUNCTIONS)}"
_FIRST = 0x4E00
"""The first of 20,000 characters that are letters to Python; each stands for a name."""

type Linear = tuple[dict[str, float], float]
"""The weights of quantities, and a constant."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of quantities: a number, a quantity, or an operation on expressions.

    Attributes
    ----------
    value : float or str or callable
        A number, the name of a quantity, or a function of NumPy.
    operands : tuple of Expression
    """

    value: float | str | Callable[..., Any]
    operands: tuple[Expression, ...] = ()

    @property
    def names(self) -> set[str]:
        """The quantities that it is made of."""
        if isinstance(self.value, str):
            return {self.value}
        return set().union(*(operand.names for operand in self.operands))

    def at(self, values: Mapping[str, Array]) -> Array:
        """The expression at values of the quantities."""
        if isinstance(self.value, str):
            return values[self.value]
        if isinstance(self.value, float):
            return np.asarray(self.value, dtype=np.float64)
        with np.errstate(all="ignore"):  # what is undefined is NaN, or infinite
            return np.asarray(self.value(*(operand.at(values) for operand in self.operands)))

    @property
    def linear(self) -> Linear | None:
        """The weights of the quantities and a constant; None where it is not linear in them."""
        if isinstance(self.value, str):
            return {self.value: 1.0}, 0.0
        if not self.names:
            return {}, float(self.at({}))
        parts = [operand.linear for operand in self.operands]
        if None in parts:
            return None
        first, *others = (part for part in parts if part is not None)
        if self.value in (np.positive, np.negative):
            return _combined(({}, 0.0), first, 1.0 if self.value is np.positive else -1.0)
        if self.value in (np.add, np.subtract):
            return _combined(first, others[0], 1.0 if self.value is np.add else -1.0)
        if self.value is np.divide and not others[0][0] and others[0][1]:
            return _combined(({}, 0.0), first, 1.0 / others[0][1])
        if self.value is np.multiply and not (first[0] and others[0][0]):
            constant, function = (others[0], first) if first[0] else (first, others[0])
            return _combined(({}, 0.0), function, constant[1])
        return None


def _combined(a: Linear, b: Linear, weight: float) -> Linear:
    """A linear function plus a multiple of another."""
    names = dict.fromkeys((*a[0], *b[0]))
    return (
        {name: a[0].get(name, 0.0) + weight * b[0].get(name, 0.0) for name in names},
        a[1] + weight * b[1],
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """A relation between two expressions.

    Attributes
    ----------
    text : str
        As it was written.
    difference : Expression
        The left side less the right side.
    relation : {"=", ">", "<"}
    """

    text: str
    difference: Expression
    relation: Relation


def parse_statement(text: object, names: Mapping[str, str]) -> Statement:
    """Read a statement such as ``"A - B > 0"``.

    Parameters
    ----------
    text : str
    names : dict of str to str
        What a name that may stand in a text stands for: a quantity.

    Raises
    ------
    ArgumentTypeError
        If it is no text.
    ArgumentError
        If it cannot be read; the place is marked.
    """
    reader = _Reader(_as_text(text), names)
    relations = list(_RELATION.finditer(reader.quoted))
    if not relations:
        reader.refuse("a hypothesis states a relation, such as 'Days > 5' or 'A = B'", len(reader))
    if len(relations) > 1:
        start, stop = relations[1].span()
        reader.refuse("there are two relations; write them as two hypotheses", start, stop)
    start, stop = relations[0].span()
    if relations[0].group() not in _MEANT:
        reader.refuse("a hypothesis has one of =, < and >; test '=' and look at p", start, stop)
    left, right = reader.expression(0, start), reader.expression(stop, len(reader))
    difference = left if right == Expression(0.0) else Expression(np.subtract, (left, right))
    if not difference.names:
        reader.refuse("there is no quantity of the model in it", 0, len(reader))
    return Statement(reader.text, difference, _MEANT[relations[0].group()])


def parse_expression(text: object, names: Mapping[str, str]) -> Expression:
    """Read an expression such as ``"A - B"``, which may be written as the equation ``"A = B"``; see
    `parse_statement`.
    """
    reader = _Reader(_as_text(text), names)
    relation = _RELATION.search(reader.quoted)
    if relation is None:
        return reader.expression(0, len(reader))
    if _MEANT.get(relation.group()) != "=":
        reader.refuse("this is for equations, such as 'A = B'; see `fit.hypothesis`",
                      relation.start(), relation.end())  # fmt: skip
    return parse_statement(text, names).difference


def _as_text(text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentTypeError(
            f"a hypothesis should be a text such as 'Days > 5', got {type(text).__name__}."
        )
    return text


@dataclass(frozen=True)
class _Reader:
    """A text with the names that it may have."""

    text: str
    names: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.text)

    @cached_property
    def found(self) -> dict[int, str]:
        """The quantity at each place where a name begins."""
        return {
            m.start(): self.names[_spaced(m.group())] for m in self._pattern.finditer(self.text)
        }

    @cached_property
    def quoted(self) -> str:
        """The text with an identifier in place of each name."""
        order = {name: i for i, name in enumerate(dict.fromkeys(self.names.values()))}

        def identifier(match: re.Match[str]) -> str:
            first = chr(_FIRST + order[self.names[_spaced(match.group())]])
            return first + "_" * (len(match.group()) - 1)

        return self._pattern.sub(identifier, re.sub(r"\s", " ", self.text))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Any of the names, the longest first, that is not a part of a longer one."""
        ordered = sorted(self.names, key=len, reverse=True)
        either = "|".join(re.escape(name).replace(r",\ ", r",\ *") for name in ordered)
        return re.compile(rf"(?<![\w.])(?:{either})(?![\w.\[(:])")

    def refuse(self, message: str, start: int, stop: int | None = None) -> NoReturn:
        """Raise the error that marks a place."""
        length = 1 if stop is None else max(1, stop - start)
        raise ArgumentError("\n".join([message, *marked(self.text, start, length)]))

    def expression(self, start: int, stop: int) -> Expression:
        """Read a part of the text."""
        part = self.quoted[start:stop]
        start += len(part) - len(part.lstrip())
        part = part.strip()
        if not part:
            self.refuse("an expression is missing here", min(start, len(self)))
        try:
            tree = ast.parse(part, mode="eval").body
        except SyntaxError as error:
            place = start + (min(error.offset - 1, len(part)) if error.offset else len(part))
            self.refuse("this cannot be read as an expression of quantities", place)
        return self._read(tree, part, start)

    def _read(self, node: ast.expr, part: str, start: int) -> Expression:
        line = part.encode()
        begin = start + len(line[: node.col_offset].decode())
        end = start + len(line[: node.end_col_offset].decode())
        operands: list[ast.expr] = []
        if isinstance(node, ast.Name) and begin in self.found:
            return Expression(self.found[begin])
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Expression(float(value))
        function = None
        if isinstance(node, ast.BinOp):
            function, operands = _OPERATIONS.get(type(node.op)), [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            function, operands = _OPERATIONS.get(type(node.op)), [node.operand]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            function = _FUNCTIONS.get(node.func.id) if len(node.args) == 1 else None
            operands = node.args
        elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
            self._refuse_name(self.text[begin:end], begin, end)
        if function is None:
            self.refuse(f"hypotheses have {_ALLOWED}, and nothing else", begin, end)
        return Expression(function, tuple(self._read(own, part, start) for own in operands))

    def _refuse_name(self, name: str, begin: int, end: int) -> None:
        self.refuse(unknown_name("quantity", name, self.names.values()), begin, end)


def _spaced(name: str) -> str:
    """A name with one space after each comma."""
    return re.sub(r", *", ", ", name)
