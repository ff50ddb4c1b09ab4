"""From a formula and data to a `Design`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from bayeslmm.covariance.known import Known
from bayeslmm.covariance.relationship import (
    resolve_relationship,
)
from bayeslmm.covariance.structures import Covariance
from bayeslmm.data.frames import Table, read
from bayeslmm.data.levels import group
from bayeslmm.data.weights import read_weights
from bayeslmm.design.bars import (
    effect_labels,
    effects_of_bar,
    plain_name,
    relationships_of,
    shapes_of_bar,
    structures_of_bars,
)
from bayeslmm.design.design import Design, Learned
from bayeslmm.design.factors import BarBlock, GroupingFactor, within
from bayeslmm.design.identifiability import check_factors, full_rank_columns
from bayeslmm.design.new_rows import expression_frame
from bayeslmm.design.parameters import Parameters
from bayeslmm.design.residuals import Residuals, resolve_residuals
from bayeslmm.design.strata import EffectVariances, Strata, ratios_of, strata_of
from bayeslmm.errors import DataError, DesignError
from bayeslmm.formula.parsing import Bar, Formula, parse, quoted_name
from bayeslmm.formula.terms import MAX_COLUMNS, Columns, Expression, Terms
from bayeslmm.formula.tokens import tokenize
from bayeslmm.support.arguments import whole_number
from bayeslmm.support.arrays import Array


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
    >>> from bayeslmm.design.build import compile_design
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
    strata = [
        EffectVariances.of(bar, structure).columns
        for bar, structure in zip(parsed.bars, structures, strict=True)
    ]
    if any(strata):
        asked = [name for names in strata for name in names]
        extra |= read(data, list(dict.fromkeys(asked)), "the strata in `G` ask for").columns
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
    residuals = None if R is None else resolve_residuals(R, used)
    _check_names(factors, residuals)
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
        residuals=residuals,
        index=used.index,
        n_dropped=len(keep) - int(np.count_nonzero(keep)),
        missing=missing,
        learned=Learned(
            fixed=fixed,
            kept=kept,
            bars=bars,
            strata=tuple(Strata.of(names, used) for names in strata),
            offsets=offsets,
            levels={
                name: used.columns[name].levels if used.columns[name].kind != "number" else None
                for name in predictors
            },
        ),
    )


def _check_names(factors: tuple[GroupingFactor, ...], residuals: Residuals | None) -> None:
    """Refuse factors with one name, and a factor whose correlations have the name of R's."""
    names = [factor.name for factor in factors]
    for name in names:
        if names.count(name) > 1:
            raise DesignError(
                f"two grouping factors are called {name!r}, a column and an interaction of columns "
                "joined by ':'; rename the column"
            )
    owners: dict[str, str | None] = {}
    for block in Parameters.of(factors, residuals).blocks:
        if owners.setdefault(block.name, block.factor) != block.factor:
            raise DesignError(
                f"parameters of the grouping factor {block.factor or owners[block.name]!r} and of "
                f"the residuals `R` are both called {block.name!r}; rename the column"
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
        variances = EffectVariances.of(bar, structure)
        strata = strata_of(variances, table, grouping)
        ratios = ratios_of(variances, strata, table, grouping, matrices[-1])
        codes, count = strata.codes(table), len(strata.combinations)
        shapes = shapes_of_bar(bar, structure, own, matrices[-1], ratios, count)
        kind = plain_name(variances) or "shaped"
        names = strata.names(strata.columns)
        of_sds = strata.names(variances.columns_of_sds)
        by = strata.names([structure.by] if structure.by else [])
        first = len(blocks)
        for i, (stratum, shape) in enumerate(zip(names, shapes, strict=True)):
            start = len(effects)
            effects += within(stratum, own)
            block = BarBlock(
                start,
                len(effects),
                structure,
                kind,
                bar.text,
                _label(bar.effects),
                shape,
                variances.occasion,
                bar.effects,
            )
            if stratum:
                block = replace(
                    block,
                    stratum=stratum,
                    of_sds=of_sds[i],
                    of_correlations=by[i],
                    by=quoted_name(strata.columns),
                    like=_earlier(by, i, first),
                    sds_like=_earlier(of_sds, i, first),
                )
            blocks.append(block)
            inside = codes == i
            parts.append(matrices[-1] * inside[:, None] if stratum else matrices[-1])
            levels = np.zeros(len(grouping.levels), dtype=bool)
            levels[grouping.codes[inside]] = True
            has.append(np.repeat(levels[:, None], len(own), axis=1))
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


def _earlier(names: list[str], i: int, first: int) -> int | None:
    """The position of the first bar whose stratum has the i-th name, where it is an earlier one."""
    at = names.index(names[i])
    return first + at if at < i else None


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
