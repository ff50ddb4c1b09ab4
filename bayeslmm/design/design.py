"""Formula and data → y, X, grouping factors, weights and offset, with the state for new data."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bayeslmm.covariance.known import Known
from bayeslmm.covariance.relationship import (
    Relationship,
    resolve_relationship,
)
from bayeslmm.covariance.shapes import Shape
from bayeslmm.covariance.structures import Covariance
from bayeslmm.data.frames import Array, Table, read
from bayeslmm.data.levels import group
from bayeslmm.data.weights import read_weights
from bayeslmm.design.bars import (
    effect_labels,
    effects_of_bar,
    plain_name,
    relationships_of,
    shape_of_bar,
    structures_of_bars,
)
from bayeslmm.design.identifiability import check_factors, full_rank_columns
from bayeslmm.design.new_rows import Learned, NewDesign, evaluate_new, expression_frame
from bayeslmm.design.residuals import Residuals, resolve_residuals
from bayeslmm.design.strata import strata_column, strata_of
from bayeslmm.errors import ArgumentError, DataError, DesignError, unknown_name
from bayeslmm.formula.parsing import Bar, Formula, parse, quoted_name
from bayeslmm.formula.terms import MAX_COLUMNS, Columns, Expression, Terms
from bayeslmm.formula.tokens import tokenize
from bayeslmm.support.arguments import whole_number
from bayeslmm.support.visible import visible


@dataclass(frozen=True, slots=True)
class BarBlock:
    """The effects of one bar within a grouping factor.

    Attributes
    ----------
    start, stop : int
        Its columns of `GroupingFactor.Z`.
    covariance : Covariance
        The structure of the effects' covariance matrix.
    structure : str
        "un", "diag" or "id"; "shaped" for any other, which `shape` then is.
    text : str
        The bar as written.
    label : str
        Short name of its effects, without the intercept of more: "Days", "Machine", "Intercept".
    shape : Shape or None
    stratum : str
        The stratum of levels whose effects they are; empty for all levels. A bar of the formula
        with ``by`` or `VarIdent` makes a block for each.
    by : str
        The column whose values are the strata; empty for all levels.
    like : int or None
        The position, among the bars of the factor, of the first stratum's, where all but the
        standard deviations are its parameters: with `VarIdent`. None for the first, and otherwise.
    """

    start: int
    stop: int
    covariance: Covariance
    structure: str
    text: str
    label: str
    shape: Shape | None
    stratum: str = ""
    by: str = ""
    like: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GroupingFactor:
    """A grouping factor with the effects of all its bars.

    Attributes
    ----------
    name : str
        Its columns joined by ":", as in "Block:Variety".
    columns : tuple of str
        Columns of the data whose combinations are the levels.
    levels : tuple of str
        Levels that occur, in order.
    codes : ndarray of int32, shape (n,)
        Level of every row.
    Z : ndarray of float64, shape (n, q), C-contiguous
        Values of the effects.
    effects : tuple of str, length q
        Names of the effects.
    bars : tuple of BarBlock
        Blocks of effects that can be correlated.
    related : Relationship or None
        The known relationship K of the levels, u ~ N(0, G ⊗ K); None for independent ones.
    own : ndarray of bool, shape (levels, q), or None
        Which effects each level has, where strata of levels have effects of their own; None where
        all have all.
    """

    name: str
    columns: tuple[str, ...]
    levels: tuple[str, ...]
    codes: Array
    Z: Array = field(repr=False)
    effects: tuple[str, ...]
    bars: tuple[BarBlock, ...]
    related: Relationship | None = None
    own: Array | None = None

    def __repr__(self) -> str:
        effects = ", ".join(self.effects) or "no effects"
        return f"GroupingFactor {self.name}: {len(self.levels)} levels of {effects}"

    def __post_init__(self) -> None:
        # Z goes into compiled code, of which read-only arrays would need a second version
        object.__setattr__(self, "codes", _read_only(self.codes))

    @property
    def plain(self) -> tuple[str, ...]:
        """The names of the effects without their strata; (q,)."""
        return tuple(
            effect.removeprefix(f"{bar.stratum}, ") if bar.stratum else effect
            for bar in self.bars
            for effect in self.effects[bar.start : bar.stop]
        )

    @property
    def structures(self) -> tuple[Covariance, ...]:
        """The covariance structure of each bar of the formula."""
        return tuple({bar.text: bar.covariance for bar in self.bars}.values())

    def has(self, effect: int) -> Array:
        """Whether the level of each row has an effect; (n,)."""
        if self.own is None:
            return np.ones(len(self.codes), dtype=bool)
        return np.asarray(self.own[self.codes, effect])

    def between(self, rows: Array) -> Array:
        """The relationship K of the levels of some rows (m, m): 1 where they are the same, else 0,
        unless it is a known one.
        """
        codes = self.codes[rows]
        if self.related is None:
            return (codes[:, None] == codes).astype(float)
        return self.related.matrix[np.ix_(codes, codes)]

    @property
    def own_variances(self) -> Array:
        """The diagonal of K (levels,): ones unless a relationship is known."""
        return np.ones(len(self.levels)) if self.related is None else np.diag(self.related.matrix)

    def standard(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
        """Effects (*shape, levels, effects) drawn from N(0, I ⊗ K)."""
        z = rng.standard_normal((*shape, len(self.levels), len(self.effects)))
        return z if self.related is None else self.related.root @ z


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Design:
    """A formula evaluated on data; made by `compile_design`.

    Attributes
    ----------
    formula : Formula
        The formula.
    response : str
        The response as written, "log(y)".
    y : ndarray of float64, shape (n,)
        Response. Offsets are not subtracted.
    X : ndarray of float64, shape (n, p), C-contiguous
        Fixed effects, of full column rank.
    coef : tuple of str, length p
        Names of the columns of X.
    dropped : tuple of str
        Names of the columns left out of X because others determine them.
    factors : tuple of GroupingFactor
        In order of first appearance.
    weights : ndarray of float64, shape (n,), or None
        Positive; the residual variance of a row is divided by its weight.
    offset : ndarray of float64, shape (n,), or None
        Sum of the offsets, in the units of the response.
    residuals : Residuals or None
        The structure of R; None for variance σ²/weights.
    index : pandas.Index, length n
        Labels of the rows that are used.
    n_dropped : int
        Rows left out because a value is missing.
    missing : dict of str to int
        Missing values per variable, of variables that have some.
    learned : Learned
        What evaluates new data: levels, contrasts and the state of transforms.
    """

    formula: Formula
    response: str
    y: Array
    X: Array
    coef: tuple[str, ...]
    dropped: tuple[str, ...]
    factors: tuple[GroupingFactor, ...]
    weights: Array | None
    offset: Array | None
    residuals: Residuals | None
    index: pd.Index
    n_dropped: int
    missing: dict[str, int]
    learned: Learned

    def __post_init__(self) -> None:
        # weights go into compiled code, as Z does
        for name in ("y", "X"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        if self.offset is not None:
            object.__setattr__(self, "offset", _read_only(self.offset))

    @property
    def y_less_offset(self) -> Array:
        """The response less its offset, which coefficients and effects have to explain; (n,)."""
        return self.y if self.offset is None else self.y - self.offset

    def factor(self, name: object) -> GroupingFactor:
        """A grouping factor by its name.

        Parameters
        ----------
        name : str

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name.
        """
        for factor in self.factors:
            if factor.name == name:
                return factor
        names = [factor.name for factor in self.factors]
        raise ArgumentError(unknown_name("grouping factor", name, names))

    def factor_or_only(self, group: str | None) -> GroupingFactor:
        """A grouping factor by its name, which can be left out where there is one only.

        Parameters
        ----------
        group : str or None

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name; without a name, if there are several or none.
        """
        if not self.factors:
            raise ArgumentError(
                f"the model {self.formula.text!r} has no grouping factors; add a term such as "
                "(1 | g)."
            )
        if group is not None or len(self.factors) == 1:
            return self.factors[0] if group is None else self.factor(group)
        names = [factor.name for factor in self.factors]
        raise ArgumentError(f"`group` is needed where there are several: one of {names}.")

    def grouping(self, group: str | None) -> GroupingFactor:
        """A grouping factor, or the subjects of R as one without effects.

        Parameters
        ----------
        group : str or None
            Not needed where there is one.

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name; without a name, if there are several or none.
        """
        subjects = None if self.residuals is None else self.residuals.subjects
        if self.residuals is None or subjects is None:
            return self.factor_or_only(group)
        name, names = str(self.residuals.structure.group), [own.name for own in self.factors]
        if name in names or (group is None and names) or group in names:
            return self.factor_or_only(group)
        if group not in (None, name):
            raise ArgumentError(unknown_name("grouping factor", group, [*names, name]))
        nothing = np.empty((len(self.y), 0))
        return GroupingFactor(name, (name,), subjects.levels, subjects.codes, nothing, (), ())

    def new(self, data: object, factors: Collection[str] | None = None) -> NewDesign:
        """Evaluate the right side of the formula on new data, with what was learned in fitting.

        Parameters
        ----------
        data : data frame
            New rows; the response is not needed.
        factors : collection of str, optional
            Names of the grouping factors to evaluate; all by default. Columns that only the others
            need can be absent.

        Returns
        -------
        NewDesign

        Raises
        ------
        DataError
            For a missing column or value, a level of a fixed effect that fitting did not see, or a
            column of another kind than in fitting. A new level of a grouping factor is no error;
            its code is -1.
        """
        return evaluate_new(self, data, factors)

    def __repr__(self) -> str:
        n, p = self.X.shape
        lines = [f"Design of {self.formula.text}", f"  {n} rows, {p} fixed effects"]
        for factor in self.factors:
            effects = ", ".join(factor.effects)
            lines.append(f"  {factor.name}: {len(factor.levels)} levels of {effects}")
        if self.n_dropped:
            counts = ", ".join(f"{name} {count}" for name, count in self.missing.items())
            lines.append(f"  {self.n_dropped} rows dropped; missing values: {counts}")
        if self.dropped:
            lines.append(f"  dropped from X: {', '.join(self.dropped)}")
        return visible("\n".join(lines), keep="\n")


def _read_only(array: Array) -> Array:
    """A view that cannot be written to: what has been derived from a design stays true."""
    view = array.view()
    view.flags.writeable = False
    return view


def compile_design(
    formula: str,
    data: object,
    weights: object | None = None,
    R: object | None = None,
    G: Mapping[str, object] | None = None,
    max_columns: int = MAX_COLUMNS,
) -> Design:
    """Evaluate a formula on data.

    Rows with a missing value in any variable of the formula, or in the weights, are dropped once
    for the whole model.

    Parameters
    ----------
    formula : str
        The model, in lme4's language.
    data : data frame
        pandas, polars, pyarrow, any frame that narwhals reads, or a dictionary of columns.
    weights : str or array_like of shape (n,), optional
        Column, or one number per row of `data`; positive.
    R : Covariance, optional
        The structure of the residuals.
    G : mapping, optional
        Structures of random effects, by grouping factor.
    max_columns : int
        The most columns that the fixed effects, or a bar, may have.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        For a formula that is not well formed.
    DataError
        For columns that are absent or unusable, and weights that are not positive.
    DesignError
        For a model that these data cannot identify.

    Warns
    -----
    DesignWarning
        When columns of X are dropped because others determine them.

    Examples
    --------
    >>> from bayeslmm.design.design import compile_design
    >>> data = {"y": [1.0, 2, 4, 3, 5, 7], "x": [0, 1, 2, 0, 1, 2], "g": list("aaabbb")}
    >>> design = compile_design("y ~ x + (1 | g)", data)
    >>> design.coef, design.factors[0].levels
    (('Intercept', 'x'), ('a', 'b'))
    """
    parsed = parse(formula)
    most = whole_number("max_columns", max_columns)
    relationships, others = relationships_of(G)
    structures = structures_of_bars(parsed.bars, others, relationships)
    table = read(data, parsed.columns)
    if not len(table.index):
        raise DesignError("the data have no rows")
    weight = read_weights(weights, data, table)
    extra = read(data, R.columns, "R asks for").columns if isinstance(R, Covariance) else {}
    strata = list(dict.fromkeys(filter(None, map(strata_column, structures))))
    if strata:
        extra |= read(data, strata, "the strata in `G` ask for").columns
    whole = Table(table.columns | ({weight.name: weight} if weight else {}) | extra, table.index)
    missing, keep = whole.missing, whole.complete()
    _check_response_present(parsed, table)
    if not keep.any():
        counts = ", ".join(f"{name!r} in {count}" for name, count in missing.items())
        raise DesignError(
            f"every one of the {len(keep)} rows has a missing value ({counts}), so no row is left; "
            "fill them in or leave the variable out of the model"
        )
    used = whole.take(keep)
    frame = expression_frame(used, (*parsed.response_columns, *parsed.predictor_columns))

    y = _response(parsed, frame, used.index)
    fixed = Terms(parsed.fixed, frame, used.index, most)
    matrix = fixed.matrix
    kept = full_rank_columns(matrix, fixed.labels)
    offsets = tuple(Expression(text) for text in parsed.offsets)
    offset = sum((term.values(frame, used.index) for term in offsets), np.zeros(len(y)))
    sides = [
        effects_of_bar(bar, structure, used.columns)
        for bar, structure in zip(parsed.bars, structures, strict=True)
    ]
    evaluated = {parsed.fixed: fixed}
    for side in sides:  # often that of the fixed effects
        if side not in evaluated:
            evaluated[side] = Terms(side, frame, used.index, most)
    bars = tuple(evaluated[side] for side in sides)
    factors = _factors(parsed.bars, bars, structures, used, relationships)
    for terms in evaluated.values():
        terms.release()
    values = None if weight is None else weight.values[keep].astype(np.float64)
    X = matrix if len(kept) == matrix.shape[1] else np.ascontiguousarray(matrix[:, kept])
    check_factors(factors, X)
    predictors = (*parsed.predictor_columns, *parsed.grouping_columns)
    return Design(
        formula=parsed,
        response=parsed.response,
        y=y,
        X=X,
        coef=tuple(fixed.labels[j] for j in kept),
        dropped=tuple(name for j, name in enumerate(fixed.labels) if j not in set(kept)),
        factors=factors,
        weights=values,
        offset=offset if offsets else None,
        residuals=None if R is None else resolve_residuals(R, used),
        index=used.index,
        n_dropped=len(keep) - int(np.count_nonzero(keep)),
        missing=missing,
        learned=Learned(
            fixed=fixed,
            kept=kept,
            bars=bars,
            strata=tuple(
                (by, group([used.columns[by]]).levels) if by else None
                for by in map(strata_column, structures)
            ),
            offsets=offsets,
            levels={
                name: used.columns[name].levels if used.columns[name].kind != "number" else None
                for name in predictors
            },
        ),
    )


def _check_response_present(formula: Formula, table: Table) -> None:
    for name in formula.response_columns:
        if table.columns[name].missing.all():
            raise DataError(
                f"the response {name!r} is missing in every row; check the column, and how the "
                "data were read or merged"
            )


def _response(formula: Formula, frame: Columns, index: pd.Index) -> Array:
    if not formula.response_columns:
        raise DataError(f"the response {formula.response!r} uses no column of the data")
    try:
        y = Expression(formula.response).values(frame, index)
    except DataError as error:
        raise DataError(
            f"the response has to be a finite number in every row: {error}. "
            f"{_as_numbers(frame, formula.response_columns)}"
        ) from None
    if len(y) > 1 and np.ptp(y) == 0:
        raise DataError(
            f"the response {formula.response!r} is constant, {y[0]:g} in all {len(y)} rows, so "
            "there is nothing to model; check the column and the rows that are left"
        )
    return y


def _as_numbers(frame: Columns, names: Iterable[str]) -> str:
    """How to make numbers of a response that is none."""
    for name in names:
        levels = frame[name].cat.categories if frame[name].dtype == "category" else pd.Index([])
        if not len(levels) or not all(isinstance(level, str) for level in levels):
            continue
        others = levels[pd.to_numeric(levels.to_series(), errors="coerce").isna()]
        if 2 * len(others) > len(levels):
            continue
        option, missing = "", ""
        if len(others):
            shown = ", ".join(map(repr, others[:3])) + (", ..." if len(others) > 3 else "")
            option, missing = ', errors="coerce"', f"; that makes {shown} missing"
        return (
            f"The column {name!r} is text that looks like numbers: convert it in the data first, "
            f"pd.to_numeric(data[{name!r}]{option}){missing}"
        )
    return "Booleans and two-valued categories can be made 0 and 1 in the data first"


def _factors(
    bars: tuple[Bar, ...],
    terms: tuple[Terms, ...],
    structures: tuple[Covariance, ...],
    table: Table,
    relationships: Mapping[str, Known],
) -> tuple[GroupingFactor, ...]:
    """Merge bars over the same factor, in order of first appearance."""
    together: dict[tuple[str, ...], list[tuple[Bar, Terms, Covariance]]] = {}
    for bar, term, structure in zip(bars, terms, structures, strict=True):
        together.setdefault(bar.factor, []).append((bar, term, structure))
    return tuple(
        _factor(columns, members, table, relationships) for columns, members in together.items()
    )


def _factor(
    columns: tuple[str, ...],
    members: list[tuple[Bar, Terms, Covariance]],
    table: Table,
    relationships: Mapping[str, Known],
) -> GroupingFactor:
    grouping = group([table.columns[name] for name in columns])
    name = ":".join(columns)
    known = relationships.get(name)
    effects: list[str] = []
    blocks: list[BarBlock] = []
    matrices, parts, has = [], [], []
    for bar, term, structure in members:
        own = effect_labels(bar, term.labels)
        for effect in own:
            if effect in effects:
                raise DesignError(_twice(effect, bar, members[0][0]))
        matrices.append(term.matrix)
        shape = shape_of_bar(bar, structure, own, matrices[-1])
        kind = plain_name(structure) or "shaped"
        label = _label(bar.effects)
        by, first = strata_column(structure), len(blocks)
        for stratum in strata_of(structure, by, table, grouping):
            start = len(effects)
            like = first if structure.by is None and len(blocks) > first else None
            effects += stratum.named(own)
            text = label if not stratum.name else ", ".join([stratum.name, label])
            block = BarBlock(start, len(effects), structure, kind, bar.text, text, shape)
            if stratum.name:
                block = replace(block, stratum=stratum.name, by=str(by), like=like)
            blocks.append(block)
            parts.append(matrices[-1] * stratum.rows[:, None] if stratum.name else matrices[-1])
            has.append(np.repeat(stratum.levels[:, None], len(own), axis=1))
    Z = parts[0] if len(parts) == 1 else np.hstack(parts)
    owned = np.hstack(has)
    return GroupingFactor(
        name=name,
        columns=columns,
        levels=grouping.levels,
        codes=grouping.codes,
        Z=np.ascontiguousarray(Z),
        effects=tuple(effects),
        bars=tuple(blocks),
        related=None if known is None else resolve_relationship(known, name, grouping.levels),
        own=None if owned.all() else owned,
    )


def _twice(effect: str, bar: Bar, first: Bar) -> str:
    factor = quoted_name(bar.factor)
    remedy = "leave it out of one of them"
    if effect == "Intercept" and bar.effects != "1":
        without = "0" + bar.effects[1:]
        before = first.effects[4:] if first.effects.startswith("1 + ") else first.effects
        remedy = f"write ({before} | {factor}) + ({without} | {factor})"
    return (
        f"the effect {effect!r} over {bar.factor_name!r} stands in two bars, the second time in "
        f"{bar.text}, so its variance cannot be divided between them; {remedy}"
    )


def _label(effects: str) -> str:
    """Text of the effects without "1 +" or "0 +"; "Intercept" for an intercept alone."""
    return effects[4:] if len(tokenize(effects)) > 1 else "Intercept"
