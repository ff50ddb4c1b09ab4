"""Characters of a formula → tokens that know their place, and tokens → text in one spelling."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from bayeslmm.errors import FormulaError
from bayeslmm.formula.callables import ARITY, TRANSFORMS, unknown_call

MAX_DEPTH = 40
"""Brackets inside brackets; deeper ones would exhaust the stack of the recursive readers."""

_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
      | (?P<name>[^\W\d][\w.]*)
      | (?P<quoted>`[^`\n]+`)
      | (?P<string>"[^"\n]*"|'[^'\n]*')
      | (?P<op>\*\*|\|\||==|!=|<=|>=|[-+*/:()|~,=<>])
    """,
    re.VERBOSE,
)
LITERALS = {"True": True, "False": False, "None": None}
_SPACED = ("+", "-", "*", "/", "|", "||", "~", "==", "!=", "<=", ">=", "<", ">")
_HINTS = {
    "^": "write ** for a power or for crossing to a degree",
    "%": "write a:b or a/b for nesting; x %% y is np.mod(x, y)",
    "[": "write the name of a column alone, in backticks if it holds special characters",
    "{": "write I(...) for arithmetic",
    ".": "list the columns; the formula does not stand for 'all other columns'",
    "`": "a backtick opens a column name and none closes it",
    '"': "this quote is never closed",
    "'": "this quote is never closed",
    "\N{MINUS SIGN}": "this is a typographic minus; write -",
    "&": "write a:b for an interaction",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a formula.

    Attributes
    ----------
    kind : str
        "name", "quoted" (a name in backticks), "number", "string", "literal" or "op".
    text : str
        As written, with its quotes.
    position : int
        Index of its first character in the formula.
    """

    kind: str
    text: str
    position: int

    @property
    def is_column(self) -> bool:
        """Whether the token can name a column."""
        return self.kind in ("name", "quoted")

    @property
    def value(self) -> str:
        """The text without backticks or quotes."""
        return self.text[1:-1] if self.kind in ("quoted", "string") else self.text

    @property
    def end(self) -> int:
        """Index after the last character."""
        return self.position + len(self.text)

    def is_op(self, *texts: str) -> bool:
        """Whether the token is one of these operators."""
        return self.kind == "op" and self.text in texts


type Tokens = tuple[Token, ...]


def fail(message: str, formula: str, where: Token | None = None) -> NoReturn:
    """Raise a `FormulaError` that marks a token, or the end of the formula."""
    if where is None:
        raise FormulaError(message, formula=formula, position=len(formula))
    raise FormulaError(message, formula=formula, position=where.position, length=len(where.text))


@lru_cache(maxsize=256)  # pieces of a formula are read several times on the way to a design
def tokenize(formula: str) -> tuple[Token, ...]:
    """Split a formula into tokens, with brackets checked to be balanced.

    Raises
    ------
    FormulaError
        At a character that no formula holds, an unclosed quote or an unbalanced bracket.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(formula):
        match = _PATTERN.match(formula, position)
        if match is None:
            _unexpected(formula, position, tuple(tokens))
        kind, text = str(match.lastgroup), match.group()
        if kind == "name" and text in LITERALS:
            kind = "literal"
        if kind == "number" and _too_long(text):
            raise FormulaError(
                f"a number in a formula has up to 308 digits, and this has {len(text)}",
                formula=formula,
                position=position,
                length=len(text),
            )
        if kind != "space":
            tokens.append(Token(kind, text, position))
        position = match.end()
    checked = tuple(tokens)
    _check_brackets(formula, checked)
    return checked


def number(text: str) -> int | float:
    """The value of a number's token."""
    return int(text) if text.isdigit() else float(text)


def _too_long(text: str) -> bool:
    """Whether a number is too long to read, or a whole one that double precision does not reach."""
    return len(text) > 400 or (text.isdigit() and math.isinf(float(text)))


def split(tokens: Tokens, *operators: str) -> list[tuple[Token | None, Tokens]]:
    """Cut at operators that stand outside all brackets.

    Returns
    -------
    list of (operator or None, tokens)
        Every piece with the operator before it; None before the first piece.
    """
    pieces: list[tuple[Token | None, Tokens]] = []
    depth, start = 0, 0
    before: Token | None = None
    for i, token in enumerate(tokens):
        depth += token.is_op("(") - token.is_op(")")
        if depth == 0 and token.is_op(*operators):
            pieces.append((before, tokens[start:i]))
            before, start = token, i + 1
    return [*pieces, (before, tokens[start:])]


def in_brackets(tokens: Tokens) -> bool:
    """Whether one pair of brackets encloses all tokens."""
    if len(tokens) < 2 or not tokens[0].is_op("(") or not tokens[-1].is_op(")"):
        return False
    depth = 0
    for token in tokens[:-1]:
        depth += token.is_op("(") - token.is_op(")")
        if depth == 0:
            return False
    return True


def render(tokens: Iterable[Token]) -> str:
    """Write tokens with the spacing of this library, whatever the spacing they came with."""
    parts: list[str] = []
    before: Token | None = None
    for token in tokens:
        unary = token.is_op("+", "-") and (
            before is None or (before.kind == "op" and before.text != ")")
        )
        if token.is_op(*_SPACED) and not unary:
            parts.append(f" {token.text} ")
        elif token.is_op(","):
            parts.append(", ")
        else:
            parts.append(token.text)
        before = token
    return "".join(parts)


def quote(column: str) -> str:
    """Write the name of a column as a formula needs it: in backticks unless it is a plain name."""
    match = _PATTERN.fullmatch(column)
    plain = match is not None and match.lastgroup == "name" and column not in LITERALS
    return column if plain else f"`{column}`"


def _unexpected(formula: str, position: int, before: Tokens) -> NoReturn:
    char = formula[position]
    if char == "." and before and before[-1].is_op(")"):
        called = _called(before)
        if called is not None and called.text not in (*TRANSFORMS, *ARITY):
            fail(unknown_call(called.text), formula, called)
        raise FormulaError(
            "what stands before this has no attributes in a formula; compute the column in the "
            "data first",
            formula=formula,
            position=position,
        )
    number = re.match(r"\d[\w.]*", formula[position:])
    if number:
        raise FormulaError(
            f"{number.group()!r} is neither a number nor a name; a column whose name starts with a "
            f"digit is written in backticks: `{number.group()}`",
            formula=formula,
            position=position,
            length=len(number.group()),
        )
    hint = _HINTS.get(char, "a column whose name holds it is written in backticks: `my column`")
    raise FormulaError(f"unexpected {char!r}: {hint}", formula=formula, position=position)


def _called(tokens: Tokens) -> Token | None:
    """The name of a function whose call ends the tokens."""
    depth = 0
    for i in range(len(tokens) - 1, 0, -1):
        depth += tokens[i].is_op(")") - tokens[i].is_op("(")
        if depth <= 0:
            named = depth == 0 and tokens[i].is_op("(") and tokens[i - 1].kind == "name"
            return tokens[i - 1] if named else None
    return None


def _check_brackets(formula: str, tokens: Tokens) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.is_op("("):
            opened.append(token)
            if len(opened) > MAX_DEPTH:
                fail(f"brackets are nested more than {MAX_DEPTH} deep", formula, token)
        elif token.is_op(")"):
            if not opened:
                fail("this ')' closes nothing; remove it or open it before", formula, token)
            opened.pop()
    if opened:
        fail("this '(' is never closed", formula, opened[-1])
