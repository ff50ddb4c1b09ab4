"""Terms and expressions of a formula evaluated by formulae, with what they learned from the data.

formulae does the expansion of terms, the coding of categories and the stateful transforms. This
module hands it tokens that `grammar` has checked, an environment that holds nothing but the
elementwise functions of `callables`, and columns that are numbers or ordered categories.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy, deepcopy
from functools import cached_property, lru_cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from formulae.categorical import ENCODINGS, CategoricalBox
from formulae.environment import Environment
from formulae.parser import Parser
from formulae.resolver import Resolver
from formulae.terms import Call, Intercept, Term, Variable
from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyValue, LazyVariable
from formulae.terms.terms import Model
from formulae.token import Token as FormulaeToken
from formulae.transforms import TRANSFORMS

from bayeslmm.data.frames import check_told_apart, level_label, where
from bayeslmm.errors import BayeslmmError, DataError, DesignError, FormulaError
from bayeslmm.formula.callables import ARITY, CONTRASTS, CONTRASTS_IN_R
from bayeslmm.formula.contrasts import Helmert, Poly
from bayeslmm.formula.grammar import count_terms
from bayeslmm.formula.parsing import signed_terms
from bayeslmm.formula.term_columns import term_columns
from bayeslmm.formula.tokens import LITERALS, Token, Tokens, number, tokenize
from bayeslmm.support.arrays import Array

_KINDS = {
    "(": "LEFT_PAREN",
    ")": "RIGHT_PAREN",
    ",": "COMMA",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "**": "STAR_STAR",
    "/": "SLASH",
    ":": "COLON",
    "=": "EQUAL",
    "==": "EQUAL_EQUAL",
    "!=": "BANG_EQUAL",
    "<=": "LESS_EQUAL",
    ">=": "GREATER_EQUAL",
    "<": "LESS",
    ">": "GREATER",
}
MAX_COLUMNS = 2_000
"""Columns that one side can have unless a model is given more."""
_CATEGORIES = ("C", "S", "T")
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_PRECEDENCE = {"+": 2, "-": 2, "*": 3, "/": 3, "**": 5}


def _elementwise(name: str) -> Callable[..., Any]:
    """Wrap a NumPy function so that it takes its inputs and no output array or option."""
    function = getattr(np, name)
    arity = ARITY[f"np.{name}"]

    def call(*arguments: Any) -> Any:
        if len(arguments) != arity:
            raise TypeError(f"{name} takes {arity} arguments")
        return function(*arguments)

    return call


_NUMPY = {name[3:]: _elementwise(name[3:]) for name in ARITY if name.startswith("np.")}
_ENVIRONMENT = Environment(
    [
        {name: _NUMPY[name] for name in ARITY if not name.startswith("np.")}
        | {"np": SimpleNamespace(**_NUMPY), "Helmert": Helmert, "Poly": Poly}
    ]
)


def _categories(data: Any, *_: Any, **__: Any) -> CategoricalBox:
    """Stand in for C, S and T on new data, where some levels may not occur."""
    values = data.data if isinstance(data, CategoricalBox) else data
    return CategoricalBox(np.asarray(values), None, None)


_WITH_TRANSFORMS = Environment([{**TRANSFORMS, **ENCODINGS}, *_ENVIRONMENT._namespaces])
_FOR_NEW_DATA = Environment(
    [dict.fromkeys(_CATEGORIES, _categories), *_WITH_TRANSFORMS._namespaces]
)


class Columns(dict[str, Any]):
    """Columns by name, in the place of a data frame, which takes longer to make and to ask: arrays
    of float64, and series of ordered categories without unused levels.

    Parameters
    ----------
    columns : mapping
    rows : int
    exact : mapping
        Arrays of the columns that float64 does not hold exactly.
    """

    def __init__(self, columns: Mapping[str, Any], rows: int, exact: Mapping[str, Array]) -> None:
        super().__init__(columns)
        self.shape = (rows, len(columns))
        self.exact = exact


class _ExactColumn(LazyVariable):
    """A column where its values are told apart rather than computed with."""

    def eval(self, data_mask: Columns, env: Environment) -> Any:
        exact = data_mask.exact.get(self.name)
        return super().eval(data_mask, env) if exact is None else exact


class Terms:
    """One side of additive terms, such as "1 + Days" or "0 + Machine", fitted to data.

    Parameters
    ----------
    side : str
        The terms in the spelling of `Formula.fixed` and `Bar.effects`.
    frame : Columns
        Complete rows.
    index : pandas.Index
        Row labels, for messages.
    most : int
        Columns that it may have, which are counted before they are made.

    Attributes
    ----------
    labels : tuple of str
        Names of the columns of the matrix.
    terms : tuple of TermColumns
        Which columns belong to which term.
    matrix : ndarray, shape (n, len(labels)), float64
        The matrix of the data it was fitted to. Taken away by `release`.
    """

    def __init__(self, side: str, frame: Columns, index: pd.Index, most: int = MAX_COLUMNS) -> None:
        self._model = _resolve(side, most)
        _check_levels(self._model.common_terms, frame)
        with np.errstate(all="ignore"):
            _guarded(repr(side), lambda: self._model.eval(frame, _ENVIRONMENT))
        terms = self._model.common_terms
        _check_components(terms)
        self.labels = tuple(label for term in terms for label in term.labels)
        _check_unique(self.labels, side)
        self.terms = term_columns(terms)
        self.matrix = _stack(terms, [term.data for term in terms], frame.shape[0], index)
        for term in terms:
            term.data = None
            for component in getattr(term, "components", ()):
                # The state for new data is in the transforms and contrasts; drop the columns.
                component.value = component._intermediate_data = None
                if isinstance(component, Call):
                    component.env = _FOR_NEW_DATA

    def release(self) -> None:
        """Let go of the matrix, keeping only what new data need."""
        self.matrix = np.empty((0, self.matrix.shape[1]))

    def new(self, frame: Columns, index: pd.Index) -> Array:
        """Evaluate on new data with what was learned; (m, len(labels)) float64."""
        if not frame.shape[0]:
            return np.empty((0, len(self.labels)))
        terms = self._model.common_terms
        blocks = []
        for term in terms:
            with np.errstate(all="ignore"):
                blocks.append(_guarded(_named(term), partial(term.eval_new_data, frame)))
        return _stack(terms, blocks, frame.shape[0], index)


class Expression:
    """An arithmetic expression of columns, such as a response or an offset."""

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = tokenize(text)
        self._column = tokens[0].value if len(tokens) == 1 and tokens[0].is_column else None

    @cached_property
    def _call(self) -> LazyCall:
        """What formulae evaluates, with what its transforms have learned."""
        component = _own(_parse(tokenize(f"I({self.text})"), self.text).components[0])
        call: LazyCall = component.call
        return call

    def values(self, frame: Columns, index: pd.Index) -> Array:
        """Evaluate; (n,) float64.

        The first evaluation is the one that stateful transforms learn from.

        Raises
        ------
        DataError
            If the values are not finite numbers, one per row.
        """
        if self._column is not None and frame[self._column].dtype == np.float64:
            values = frame[self._column]  # formulae would take longer to say the same
        else:
            with np.errstate(all="ignore"):
                values = _guarded(repr(self.text), lambda: self._call.eval(frame, _WITH_TRANSFORMS))
        if isinstance(values, CategoricalBox) or not _is_number(values):
            raise DataError(f"{self.text!r} is not numeric; it holds {_describe(values)}")
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 0:
            array = np.full(frame.shape[0], float(array))
        if array.shape != (frame.shape[0],):
            raise DataError(
                f"{self.text!r} has the shape {array.shape}; one number per row is needed"
            )
        _check_finite(array, self.text, index)
        return array


class _Counted(Model):
    """A model of formulae that counts its columns before it makes them.

    Parameters
    ----------
    terms : sequence of Term
    side : str
        For messages.
    most : int
        The most columns.
    """

    def __init__(self, terms: Iterable[Any], side: str, most: int) -> None:
        super().__init__(*terms)
        self.side, self.most = side, most

    def set_types(self, data: Columns, env: Environment) -> None:
        components = [c for term in self.common_terms for c in getattr(term, "components", ())]
        for component in components:
            _check_polynomial(component, data)
        super().set_types(data, env)
        for component in components:
            _check_level_of_contrast(component)
        widths = {component.name: _width(component, data) for component in components}
        for term in self.common_terms:  # whatever its margins, it spans all its cells with them
            cells = [widths[component.name] for component in getattr(term, "components", ())]
            _check_count(math.prod(cells), self.most, self.side, "at least ")
        _check_count(self._count(widths), self.most, self.side)

    def _count(self, widths: Mapping[str, int]) -> int:
        """The columns, by the coding that each term will have; several are several terms."""
        codings = self._get_encoding_bools()
        total = 0
        for term in self.common_terms:
            for coding in codings.get(term.name) or [{}]:
                total += math.prod(
                    widths[component.name] - (not coding.get(component.name, True))
                    for component in getattr(term, "components", ())
                    if component.kind == "numeric" or component.name in coding
                )
        return total


def _check_count(count: int, most: int, side: str, bound: str = "") -> None:
    if count > most:
        raise DesignError(
            f"{side!r} makes {bound}{count:,} columns, more than the {most:,} that a model may "
            "have by default or by its `max_columns`; leave terms out, make a factor of many "
            f"levels a grouping factor, or raise it, Model(..., max_columns={count})"
        )


def _width(component: Any, frame: Columns) -> int:
    """The levels of a category, or the columns of numbers."""
    values = component._intermediate_data
    if component.kind != "categoric":
        return int(values.shape[1]) if np.ndim(values) == 2 else 1
    return len(_levels(values))


def _levels(values: Any) -> list[Any]:
    """The levels of a category before it is coded."""
    if isinstance(values, CategoricalBox):
        return list(pd.unique(values.data)) if values.levels is None else list(values.levels)
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.dtype.categories)
    return list(pd.unique(np.asarray(values)))


def _check_polynomial(component: Any, frame: Columns) -> None:
    """Refuse a polynomial through all values of its variable and beyond, which is not unique."""
    if not isinstance(component, Call) or component.call.callee != "poly":
        return
    degree = _made_by(component)
    x = _guarded(repr(component.name), lambda: component.call.args[0].eval(frame, _WITH_TRANSFORMS))
    count = len(pd.unique(np.asarray(x)))
    if count <= degree:
        raise DataError(
            f"{component.name!r} is over {count} different values, which take a polynomial of "
            f"degree {count - 1} at most, not {degree}; lower the degree"
        )


def _check_level_of_contrast(component: Any) -> None:
    """Refuse a contrast with a level that there is not."""
    values = component._intermediate_data
    contrast = values.contrast if isinstance(values, CategoricalBox) else None
    level = getattr(contrast, "reference", getattr(contrast, "omit", None))
    levels = _levels(values) if level is not None else []
    if level is not None and level not in levels:
        known = [repr(own) if isinstance(own, str) else level_label(own) for own in levels]
        raise DataError(
            f"{level!r} is not a level in {component.name!r}; its levels: {', '.join(known)}"
        )


def _made_by(component: Any) -> int:
    """The columns that a call says it makes: the degree of a polynomial, or `df` of a spline."""
    call = getattr(component, "call", None)
    if not isinstance(call, LazyCall) or call.callee not in ("poly", "bs", "cr", "cc", "tp"):
        return 1
    given = call.kwargs.get("degree" if call.callee == "poly" else "df")
    given = call.args[1] if given is None and len(call.args) > 1 else given
    return given.value if isinstance(given, LazyValue) and given.value is not None else 1


def _resolve(side: str, most: int) -> Model:
    """Terms of a side as formulae's model, made safe for its evaluation.

    a:b and b:a are one term, and terms of fewer components come first, both as in R: formulae
    fails on ``a:b + a``. Calls are spelled so that different ones have different names.
    """
    terms: dict[frozenset[tuple[type, str]], Intercept | Term] = {}
    pieces = list(signed_terms(tokenize(side), side))
    count = sum(
        count_terms(own, side) for _, own in pieces if len(own) > 1 or own[0].text not in ("0", "1")
    )
    _check_count(count, most, side, "at least ")
    for sign, tokens in pieces:
        if tokens[0].text in ("0", "1") and len(tokens) == 1:
            if tokens[0].text == "1":
                terms[frozenset()] = Intercept()
            continue
        resolved = _parse(tokens, side)
        for term in resolved.common_terms if isinstance(resolved, Model) else [resolved]:
            # In a/b formulae's terms share the component a, so that the coding of one would
            # overwrite that of the other.
            own = copy(term)
            own.components = [_own(component) for component in term.components]
            for component in own.components:
                if isinstance(component, Call):
                    component.name = _spell(component.call)
            own.name = ":".join(component.name for component in own.components)
            key = frozenset((type(component), component.name) for component in own.components)
            if sign is not None and sign.text == "-":
                terms.pop(key, None)
            else:
                terms.setdefault(key, own)
    ordered = sorted(terms.items(), key=lambda item: len(item[0]))
    _check_unique(tuple(term.name for _, term in ordered), side)
    model = _Counted([term for _, term in ordered], side, most)
    for term in model.common_terms:
        stated = math.prod(_made_by(component) for component in getattr(term, "components", ()))
        _check_count(stated, most, side, "at least ")
    return model


def _own(component: Any) -> Any:
    """A component to be evaluated, apart from what is shared; calls learn from the data."""
    if not isinstance(component, Call):
        return copy(component)
    own = deepcopy(component)
    _tell_apart(own.call)
    return own


def _tell_apart(node: Any) -> None:
    """Take columns exactly where a call makes categories of them or compares them."""
    if not isinstance(node, LazyCall | LazyOperator):
        return
    categories = isinstance(node, LazyCall) and node.callee in _CATEGORIES
    if categories or (isinstance(node, LazyOperator) and node.symbol in _COMPARISONS):
        node.args = [
            _ExactColumn(own.name) if isinstance(own, LazyVariable) else own for own in node.args
        ]
    for argument in node.args:
        _tell_apart(argument)


@lru_cache(maxsize=256)
def _parse(tokens: Tokens, side: str) -> Any:
    """What formulae reads in the tokens; shared, so that who evaluates it makes a copy."""
    parser = Parser([*_translate(tokens), FormulaeToken("EOF", "")])
    try:
        expression = parser.parse()
        if not parser.at_end():
            raise FormulaError(f"formulae cannot read all of {side!r}")
        return Resolver(expression).resolve()
    except BayeslmmError:
        raise
    except Exception as error:
        raise FormulaError(f"formulae cannot expand {side!r}: {error}") from error


def _translate(tokens: Tokens) -> Iterable[FormulaeToken]:
    """Tokens in formulae's terms; every name that is a column is quoted."""
    callers: list[str] = []
    for i, token in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        called = after is not None and after.is_op("(")
        if token.is_op("("):
            before = tokens[i - 1] if i else None
            callers.append(before.text if before is not None and before.kind == "name" else "")
        elif token.is_op(")"):
            callers.pop()
        # Sum and Treatment are contrasts in the second argument of C, and columns elsewhere.
        contrast = CONTRASTS_IN_R.get(token.text, token.text)
        if contrast in CONTRASTS and callers[-1:] == ["C"] and i and tokens[i - 1].text in ",=":
            yield FormulaeToken("IDENTIFIER", contrast)
            if not called:
                yield FormulaeToken("LEFT_PAREN", "(")
                yield FormulaeToken("RIGHT_PAREN", ")")
        elif token.is_op("**") and not any(callers):
            assert after is not None
            # formulae has no degree of 1, and goes through all of them, however few the terms are
            degree = min(int(after.text), len(tokens))
            if degree > 1:
                yield _translated(token, called, after)
                yield FormulaeToken("NUMBER", after.text, degree)
        elif i and tokens[i - 1].is_op("**") and not any(callers):
            continue  # the degree
        else:
            yield _translated(token, called, after)


def _translated(token: Token, called: bool, after: Token | None) -> FormulaeToken:
    if token.kind == "op":
        return FormulaeToken(_KINDS[token.text], token.text)
    if token.kind == "number":
        return FormulaeToken("NUMBER", token.text, number(token.text))
    if token.kind == "string":
        return FormulaeToken("STRING", token.text, token.value)
    if token.kind == "literal":
        return FormulaeToken("PYTHON_LITERAL", token.text, LITERALS[token.text])
    keyword = token.kind == "name" and after is not None and after.is_op("=")
    if token.kind == "name" and (called or keyword):
        return FormulaeToken("IDENTIFIER", token.text)
    return FormulaeToken("BQNAME", f"`{token.value}`")


def _spell(node: Any, least: int = 0) -> str:
    """Spell a call with the brackets that its structure needs (formulae leaves them out)."""
    if isinstance(node, LazyCall):
        arguments = [_spell(argument) for argument in node.args]
        arguments += [f"{name}={_spell(argument)}" for name, argument in node.kwargs.items()]
        if node.callee in CONTRASTS and not arguments:
            return str(node.callee)
        return f"{node.callee}({', '.join(arguments)})"
    if isinstance(node, LazyVariable):
        return str(node.name)
    if not isinstance(node, LazyOperator):
        return str(node)
    if len(node.args) == 1:
        text, precedence = f"{node.symbol}{_spell(node.args[0], 4)}", 4
    else:
        precedence = _PRECEDENCE.get(node.symbol, 1)
        left, right = node.args
        text = (
            f"{_spell(left, precedence + (node.symbol == '**'))} {node.symbol} "
            f"{_spell(right, precedence + 1)}"
        )
    return f"({text})" if precedence < least else text


def _guarded[T](what: str, evaluate: Callable[[], T]) -> T:
    """Turn what formulae, pandas and NumPy raise into an error that names the term."""
    try:
        return evaluate()
    except BayeslmmError:
        raise
    except TypeError as error:
        raise DataError(
            f"{what} cannot be computed from these data: {error}. Text, categories and booleans "
            "have no arithmetic; I(f == 'level') is 1 for a level"
        ) from error
    except Exception as error:
        raise DataError(f"{what} cannot be computed from these data: {error}") from error


def _named(term: Any) -> str:
    """Name of a term, with the levels of the categories that are computed in it."""
    known = [
        f"{component.name} has the levels {', '.join(map(level_label, component.levels))}"
        for component in getattr(term, "components", ())
        if isinstance(component, Call) and component.kind == "categoric"
    ]
    return f"{term.name!r}{' (' + '; '.join(known) + ')' if known else ''}"


def _check_levels(terms: list[Any], frame: Columns) -> None:
    """Refuse categories with one level, which formulae turns into no column at all."""
    for term in terms:
        for component in getattr(term, "components", ()):
            if isinstance(component, Variable):
                column = frame[component.name]
                if isinstance(column.dtype, pd.CategoricalDtype):
                    _check_two(component.name, column.cat.categories)


def _check_two(name: str, levels: Sequence[Any]) -> None:
    if len(levels) < 2:
        raise DesignError(
            f"{name!r} has one level only, {level_label(levels[0])!r}, in the rows that are used, "
            "so it has no effect to estimate; leave it out"
        )


def _check_components(terms: list[Any]) -> None:
    for term in terms:
        for component in getattr(term, "components", ()):
            if component.kind not in ("numeric", "categoric"):
                raise DesignError(f"{component.name!r} is neither numeric nor categorical")
            if component.kind != "categoric":
                continue
            _check_two(component.name, component.levels)
            floats = [level for level in component.levels if isinstance(level, float)]
            check_told_apart(np.array(floats), repr(component.name))
            labels = {str(level): level_label(level) for level in component.levels}
            contrast = component.contrast_matrix
            contrast.labels = [labels.get(label, label) for label in contrast.labels]


def _check_unique(names: tuple[str, ...], side: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise DesignError(
                f"two different effects in {side!r} would both be called {name!r}; rename a column"
            )


def _stack(terms: list[Any], blocks: list[Any], n: int, index: pd.Index) -> Array:
    """Put the blocks of terms side by side, C-contiguous."""
    arrays = []
    for term, block in zip(terms, blocks, strict=True):
        array = np.asarray(block)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or len(array) != n:
            raise DataError(f"{term.name!r} has the shape {array.shape} instead of {n} rows")
        arrays.append(array)
    matrix = np.empty((n, sum(array.shape[1] for array in arrays)))
    start = 0
    for array in arrays:
        stop = start + array.shape[1]
        matrix[:, start:stop] = array
        start = stop
    if not np.isfinite(matrix).all():
        for term, array in zip(terms, arrays, strict=True):
            _check_finite(array, term.name, index)
    return matrix


def _check_finite(values: Array, name: str, index: pd.Index) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    rows = ~finite if values.ndim == 1 else ~finite.all(axis=1)
    raise DataError(
        f"{name!r} is not a finite number in {where(rows, index)}; correct these values, or make "
        "them missing in the data to leave the rows out"
    )


def _is_number(values: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) or isinstance(values, (int, float))


def _describe(values: Any) -> str:
    levels = values.data if isinstance(values, CategoricalBox) else values
    shown = ", ".join(repr(level_label(level)) for level in pd.unique(np.asarray(levels))[:3])
    return f"categories or text such as {shown}"
