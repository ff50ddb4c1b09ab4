"""The text of a formula taken apart: response, fixed effects, bars as written, offsets. No data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from bayeslmm.errors import ArgumentTypeError, FormulaError
from bayeslmm.formula.grammar import check_expression, check_term
from bayeslmm.formula.tokens import Token, Tokens, fail, in_brackets, quote, render, split, tokenize

STRUCTURES = (
    *("us", "diag", "id", "cs", "csh", "ar1", "arh1", "arma11", "toep", "toeph", "ante1", "car1"),
    *("ou", "exp", "gau", "matern", "ratquad", "sph", "fa"),
)
"""Names of covariance structures that can stand around a bar."""

_MULTIVARIATE = ("c", "cbind", "mvbind", "mvbrmsformula", "cat")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar term: effects that vary over the levels of one grouping factor.

    Attributes
    ----------
    structure : str or None
        Name of the covariance structure written around the bar, one of `STRUCTURES`; None for a
        plain bar.
    effects : str
        Left of the bar, in one spelling: "1 + Days", "0 + Machine".
    factor : tuple of str
        Columns whose combinations are the levels.
    uncorrelated : bool
        Whether the bar was written ``||``.
    text : str
        As written. The bars of ``(1 | a/b)`` share it.
    position : int
        Index of the first character in the formula.
    """

    structure: str | None
    effects: str
    factor: tuple[str, ...]
    uncorrelated: bool
    text: str
    position: int

    @property
    def factor_name(self) -> str:
        """Name of the grouping factor: its columns joined by ":", as in "Block:Variety"."""
        return ":".join(self.factor)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula taken apart; made by `parse`.

    Attributes
    ----------
    text : str
        As written.
    response : str
        Left side.
    fixed : str
        Fixed effects of the right side in one spelling, the intercept always explicit:
        "1 + Days", "0 + Machine", "1".
    bars : tuple of Bar
        In order; a nested ``a/b`` is already taken apart.
    offsets : tuple of str
        Expressions inside ``offset(...)``.
    """

    text: str
    response: str
    fixed: str
    bars: tuple[Bar, ...]
    offsets: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def predictor_columns(self) -> tuple[str, ...]:
        """Columns of fixed effects, left sides of bars and offsets."""
        sides = [self.fixed, *(bar.effects for bar in self.bars)]
        names = [name for side in sides for name in columns_of(side)]
        names += [name for text in self.offsets for name in check_expression(tokenize(text), text)]
        return tuple(dict.fromkeys(names))

    @property
    def grouping_columns(self) -> tuple[str, ...]:
        """Columns right of the bars."""
        return tuple(dict.fromkeys(name for bar in self.bars for name in bar.factor))

    @property
    def response_columns(self) -> tuple[str, ...]:
        """Columns of the response."""
        return check_expression(tokenize(self.response), self.response)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the formula uses, each once."""
        names = (*self.response_columns, *self.predictor_columns, *self.grouping_columns)
        return tuple(dict.fromkeys(names))


def parse(text: str) -> Formula:
    """Take a formula apart.

    The language is lme4's: ``y ~ x + (x | g)``, ``(0 + x | g)``, ``(x || g)``, ``(1 | a/b)``,
    ``(1 | a:b)``, ``offset(z)``, and covariance structures around a bar, ``us(x | g)``,
    ``diag(0 + f | g)``, ``ar1(0 + week | g)``. Bars are kept apart as written.

    Parameters
    ----------
    text : str
        The formula.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        For a formula that is not well formed, with the place marked.
    ArgumentTypeError
        If `text` is not a string.

    Examples
    --------
    >>> from bayeslmm.formula.parsing import parse
    >>> formula = parse("Reaction ~ Days + (Days || Subject)")
    >>> formula.fixed
    '1 + Days'
    >>> formula.bars[0].effects, formula.bars[0].factor, formula.bars[0].uncorrelated
    ('1 + Days', ('Subject',), True)
    """
    if not isinstance(text, str):
        raise ArgumentTypeError(
            f"a formula is a text such as 'y ~ x + (x | g)', not {type(text).__name__}"
        )
    return _parse(str(text))


@lru_cache(maxsize=64)  # of one text: what is asked again of the same formula is other data
def _parse(text: str) -> Formula:
    tokens = tokenize(text)
    response, right = _sides(tokens, text)
    _check_response_alone(response, right, text)
    bars: list[Bar] = []
    offsets: list[str] = []
    terms = []
    for sign, term in signed_terms(right, text):
        if _has_bar(term):
            if sign is not None and sign.text == "-":
                fail("a bar can be added, not taken away", text, sign)
            bars += _read_bar(term, text)
        elif term[0].text == "offset" and term[0].kind == "name" and in_brackets(term[1:]):
            if sign is not None and sign.text == "-":
                fail("write offset(-x) to subtract an offset", text, sign)
            check_expression(term[2:-1], text)
            offsets.append(render(term[2:-1]))
        else:
            terms.append((sign, term))
    _check_factor_order(bars, text)
    return Formula(text, render(response), _normalise(terms, text), tuple(bars), tuple(offsets))


def signed_terms(tokens: Tokens, formula: str) -> Iterator[tuple[Token | None, Tokens]]:
    """Additive terms with the sign before each; brackets around a whole sum are opened."""
    for sign, term in split(tokens, "+", "-"):
        if not term:
            if sign is None:
                continue  # a leading sign belongs to the term after it
            fail("a term is missing after this", formula, sign)
        plus = sign is None or sign.text == "+"
        if in_brackets(term) and plus and not _is_bar(term[1:-1]):
            if len(term) == 2:
                fail("these brackets are empty", formula, term[0])
            yield from signed_terms(term[1:-1], formula)
        else:
            yield sign, term


@lru_cache(maxsize=256)  # a model asks for those of each side several times
def columns_of(side: str) -> tuple[str, ...]:
    """Columns that a normalised side such as "1 + x:z + log(w)" uses."""
    names: list[str] = []
    for _, term in signed_terms(tokenize(side), side):
        if not _is_intercept(term):
            names += check_term(term, side)
    return tuple(dict.fromkeys(names))


def _sides(tokens: Tokens, text: str) -> tuple[Tokens, Tokens]:
    pieces = split(tokens, "~")
    tildes = [token for token in tokens if token.is_op("~")]
    if not tokens:
        raise FormulaError("the formula is empty; write one such as 'y ~ x + (x | g)'")
    if not tildes:
        fail("a formula has the response, '~' and the predictors: y ~ x + (x | g)", text)
    if len(tildes) > 1 or len(pieces) != 2:
        fail("a formula has one '~', outside all brackets", text, tildes[-1])
    (_, response), (_, right) = pieces
    if not response:
        fail("the response is missing before '~'", text, tildes[0])
    if not right:
        fail("the predictors are missing after '~'; write 1 for an intercept alone", text)
    _check_response(response, text)
    return response, right


def _check_response(tokens: Tokens, text: str) -> None:
    first = tokens[0]
    for token in tokens:
        if token.is_op("|", "||"):
            fail("bars stand right of '~'; a response has none", text, token)
    if first.text in _MULTIVARIATE and in_brackets(tokens[1:]):
        fail(
            "several responses cannot be modelled together; stack them into one column with a "
            "second column that tells them apart, y ~ 0 + trait + (0 + trait | g)",
            text,
            first,
        )
    simple = len(tokens) == 1 and first.is_column
    if not simple and not (first.kind == "name" and in_brackets(tokens[1:])):
        if len(tokens) == 1 or in_brackets(tokens):
            fail("the response is a column or a function of one, such as log(y)", text, first)
        fail("for arithmetic in the response write I(...), as in I(y1 - y2) ~ x", text, first)
    check_expression(tokens, text)


def _check_response_alone(response: Tokens, right: Tokens, text: str) -> None:
    """Refuse a response that stands among its own predictors, outside calls of functions."""
    wanted = [token.value for token in response]
    closing: list[bool] = []
    for i, token in enumerate(right):
        here = right[i : i + len(response)]
        if not any(closing) and [piece.value for piece in here] == wanted:
            fail(
                f"the response {render(response)!r} stands on both sides of '~', and would explain "
                "itself; leave it out of the predictors",
                text,
                token,
            )
        if token.is_op("("):
            closing.append(i > 0 and right[i - 1].kind == "name")
        elif token.is_op(")"):
            closing.pop()


def _is_bar(tokens: Tokens) -> bool:
    """Whether a bar stands in the tokens outside all brackets."""
    return len(split(tokens, "|", "||")) > 1


def _has_bar(tokens: Tokens) -> bool:
    return any(token.is_op("|", "||") for token in tokens)


def _is_intercept(term: Tokens) -> bool:
    return len(term) == 1 and term[0].kind == "number" and term[0].text in ("0", "1")


def _read_bar(term: Tokens, text: str) -> list[Bar]:
    """Read a term that holds a bar somewhere."""
    structure = None
    body = term
    if term[0].kind == "name" and in_brackets(term[1:]):
        structure, body = term[0], term[1:]
        if _is_bar(body[1:-1]):
            _check_structure(structure, text)
    if not in_brackets(body) or not _is_bar(body[1:-1]):
        _misplaced(term, text)
    pieces = split(body[1:-1], "|", "||")
    operator = pieces[1][0]
    assert operator is not None
    if len(pieces) > 2:
        fail(
            "a bar has two sides; correlation across terms, (x |ID| g), is not available: effects "
            "are correlated when they stand in one bar, (x + z | g)",
            text,
            pieces[2][0],
        )
    (_, left), (_, right) = pieces
    if not left:
        fail(
            "the effects are missing before the bar; (1 | g) is an intercept per g", text, operator
        )
    if not right:
        fail("the grouping factor is missing after the bar", text, operator)
    for token in (*left, *right):
        if token.is_op("|", "||"):
            fail("a bar cannot stand inside another; add the two as terms", text, token)
    uncorrelated = operator.text == "||"
    if structure is not None and uncorrelated:
        fail(
            f"{structure.text}(...) already says how the effects correlate; write one bar in it",
            text,
            operator,
        )
    effects = _effects(left, text, operator)
    written = text[term[0].position : term[-1].end]
    name = structure.text if structure else None
    return [
        Bar(name, effects, factor, uncorrelated, written, term[0].position)
        for factor in _factors(right, text)
    ]


def _check_structure(structure: Token, text: str) -> None:
    if structure.text in STRUCTURES:
        return
    valid = ", ".join(f"{name}(...)" for name in STRUCTURES)
    fail(
        f"{structure.text!r} is not a covariance structure; around a bar can stand {valid}",
        text,
        structure,
    )


def _misplaced(term: Tokens, text: str) -> NoReturn:
    bar = next(token for token in term if token.is_op("|", "||"))
    if _is_bar(term):
        fail("a bar needs brackets of its own: (x | g)", text, bar)
    fail("a bar is a term of its own, added with '+'; it cannot be crossed or nested", text, bar)


def _effects(left: Tokens, text: str, bar: Token) -> str:
    terms = list(signed_terms(left, text))
    for _, term in terms:
        if term[0].kind == "name" and term[0].text == "offset" and in_brackets(term[1:]):
            fail("an offset does not vary over groups; add it outside the bar", text, term[0])
    effects = _normalise(terms, text)
    if effects == "0":
        fail("no effect is left before the bar", text, bar)
    return effects


def _factors(right: Tokens, text: str) -> list[tuple[str, ...]]:
    """Grouping factors of ``a``, ``a:b`` or ``a/b``: for nested ones, one per depth."""
    while in_brackets(right):
        right = right[1:-1]
    factors: list[tuple[str, ...]] = []
    outer: tuple[str, ...] = ()
    for slash, piece in split(right, "/"):
        if not piece:
            fail("a column is missing beside '/'", text, slash or right[0])
        names = []
        for colon, name in split(piece, ":"):
            if len(name) != 1 or not name[0].is_column:
                _not_a_factor(name, colon or slash, text)
            names.append(name[0])
        inner = (*outer, *(name.value for name in names))
        if len(set(inner)) < len(inner):
            fail("a column stands twice in this grouping factor", text, names[-1])
        factors.append(inner)
        outer = inner
    return factors


def _not_a_factor(tokens: Tokens, operator: Token | None, text: str) -> NoReturn:
    for token in tokens:
        if token.is_op("+", "*"):
            fail(
                "write one bar per grouping factor: (1 | a) + (1 | b), and (1 | a:b) for their "
                "combinations",
                text,
                token,
            )
    fail(
        "a grouping factor is a column, a:b or a/b; any column serves as it is, numbers too",
        text,
        tokens[0] if tokens else operator,
    )


def _check_factor_order(bars: list[Bar], text: str) -> None:
    """Refuse a:b beside b:a, which are one factor under two names."""
    seen: dict[frozenset[str], Bar] = {}
    for bar in bars:
        first = seen.setdefault(frozenset(bar.factor), bar)
        if first.factor != bar.factor:
            raise FormulaError(
                f"{bar.factor_name} and {first.factor_name} are the same grouping factor; write "
                f"{first.factor_name} in both bars",
                formula=text,
                position=bar.position,
                length=len(bar.text),
            )


def _normalise(terms: list[tuple[Token | None, Tokens]], text: str) -> str:
    """Write terms with an explicit intercept first: "1 + a + b" or "0 + a"."""
    intercept: Token | None = None
    wanted = True
    parts: list[str] = []
    for sign, term in terms:
        minus = sign is not None and sign.text == "-"
        if _is_intercept(term):
            here = (term[0].text == "1") != minus
            if intercept is not None and here != wanted:
                fail("the intercept is both asked for and taken away", text, term[0])
            intercept, wanted = term[0], here
            continue
        check_term(term, text)
        if minus and not parts:
            fail("there is nothing before this to take the term from", text, sign)
        parts.append(f"{'-' if minus else '+'} {render(term)}")
    return " ".join(["1" if wanted else "0", *parts])


def quoted_name(columns: tuple[str, ...]) -> str:
    """Write a grouping factor as a formula needs it, with backticks where they are needed."""
    return ":".join(quote(column) for column in columns)
