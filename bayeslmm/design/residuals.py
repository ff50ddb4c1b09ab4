"""What a structure of R is on a data set: subjects, occasions, strata and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.base import Needs
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.relationship import correlations_of_occasions
from bayeslmm.covariance.structures import (
    Covariance,
    VarExp,
    VarIdent,
    VarPower,
    columns_of_variance,
)
from bayeslmm.data.frames import from_least
from bayeslmm.data.levels import Grouping, group, match
from bayeslmm.design.blocks import Block
from bayeslmm.design.residual_checks import (
    Found,
    check_constant,
    check_correlations,
    check_occasions,
    check_order,
    check_ratios,
    check_variances,
)
from bayeslmm.design.residual_rows import ResidualRows
from bayeslmm.errors import ArgumentTypeError, DataError

if TYPE_CHECKING:
    from bayeslmm.data.frames import Column, Table
    from bayeslmm.support.arrays import Array

__all__ = ["Residuals", "resolve_residuals"]


@dataclass(frozen=True, eq=False)
class Residuals:
    """A structure of R on a data set.

    Attributes
    ----------
    structure : Covariance
    rows : ResidualRows
        What the equations need.
    subjects : Grouping or None
        Whose rows are correlated.
    occasions : tuple of str
    strata : tuple of str
        Labels of the strata that have correlations of their own; one, empty, without any.
    variance_strata : tuple of str
        The same of those that have powers of their own.
    sigmas : tuple of str
        Labels of the residual standard deviations; one, empty, where there is one.
    ratios : tuple of tuple of str
        Of each `VarIdent` by whose ratios these are multiplied, the levels.
    spacing : float
        A typical distance between neighbouring rows of a subject.
    """

    structure: Covariance
    rows: ResidualRows
    subjects: Grouping | None
    occasions: tuple[str, ...]
    strata: tuple[str, ...]
    variance_strata: tuple[str, ...]
    sigmas: tuple[str, ...]
    ratios: tuple[tuple[str, ...], ...]
    spacing: float

    def __repr__(self) -> str:
        return f"Residuals: {self.structure.words}"

    @property
    def variance_columns(self) -> tuple[str, ...]:
        """The columns of the data that the variance of a row depends on."""
        structure = self.structure
        names = list(structure.times) if "occasion" in structure.variances else []
        names += [structure.by] if structure.by is not None else []
        names += [name for part in structure.variances for name in columns_of_variance(part)]
        return tuple(dict.fromkeys(names))

    @property
    def growing(self) -> list[tuple[VarIdent | VarPower | VarExp, tuple[str, ...]]]:
        """The parts of the variance model that multiply standard deviations, with a label for each
        of the exponents that they have in every stratum.
        """
        parts, ratios = self.structure.growing, iter(self.ratios)
        found: list[tuple[VarIdent | VarPower | VarExp, tuple[str, ...]]] = []
        for part in parts:
            several = sum(type(part) is type(other) for other in parts) > 1
            labels: tuple[str, ...] = (part.column if several else "",)
            if isinstance(part, VarIdent):
                labels = tuple(_named(part, level) for level in next(ratios)[1:])
            found.append((part, labels))
        return found

    def variance_of(self, table: Table) -> tuple[Array, Array]:
        """Of new rows, which residual standard deviation is theirs, and the covariates of it.

        Raises
        ------
        DataError
            For an occasion or stratum that fitting did not see.
        """
        column, structure, n = table.columns, self.structure, len(table.index)
        stratum, strata = _one_for_all(n)
        if structure.by is not None:
            found = group([column[structure.by]])
            stratum, strata = found.codes.astype(np.int64), found.levels
        point, occasions = _one_for_all(n)
        if "occasion" in structure.variances:
            point, occasions = _occasions(
                [column[name] for name in structure.times], np.empty((n, 0)), n
            )
        codes, labels = _sigmas(structure, column, stratum, strata, point, occasions)
        unseen = [label for label in labels if label not in self.sigmas]
        if unseen:
            raise DataError(
                f"the new data have rows at {', '.join(map(repr, unseen[:5]))}, for which fitting "
                f"saw no residual standard deviation; known: {', '.join(map(repr, self.sigmas))}"
            )
        known = np.array([self.sigmas.index(label) for label in labels], dtype=np.int64)
        place = np.array([self.variance_strata.index(label) for label in strata], dtype=np.int64)
        covariates = _covariates(
            structure, column, place[stratum], len(self.variance_strata), self.ratios
        )
        return known[codes], covariates

    def blocks(self, at: int) -> Iterator[Block]:
        """The blocks of R's parameters in theta, from the place ``at`` on."""
        correlation, T = self.structure.correlation, len(self.occasions)
        if correlation.needs is Needs.NOTHING:
            T = int(np.bincount(self.rows.block).max())  # occasions need no names
        kinds, bounds = correlation.kinds(T), correlation.bounds(T)
        pairs, labels = correlation.pairs(self.occasions), correlation.labels(self.occasions)
        typical = correlation.start(T, self.spacing)
        for stratum in self.strata:
            full: tuple[str, ...] | tuple[tuple[str, str], ...]
            if pairs:
                full = tuple((_within(stratum, a), b) for a, b in pairs)
            else:
                full = tuple(_within(stratum, label) for label in labels)
            start = 0
            while start < len(kinds):
                stop = start
                while stop < len(kinds) and kinds[stop] == kinds[start]:
                    stop += 1
                kind = kinds[start]
                own = full[start:stop]
                yield Block(
                    "corr_R" if kind == "corr" else kind,
                    kind,
                    None,
                    own,
                    at,
                    at + len(own),
                    -1,
                    T,
                    *bounds[start],
                    typical=tuple(float(value) for value in typical[start:stop]),
                    parameter=correlation.parameter(kind),
                    joint=correlation.joint(kind),
                )
                at += len(own)
                start = stop
        for part, labels in self.growing:
            own = tuple(_within(s, label) for label in labels for s in self.variance_strata)
            end = at + len(own)
            name, real = part.exponent, (-np.inf, np.inf)
            yield Block(name, "power", None, own, at, end, -1, 1, *real, exponent=name)
            at = end
        yield Block("sigma", "sigma", None, self.sigmas, at, at + len(self.sigmas), -1, 1)


def resolve_residuals(structure: object, table: Table) -> Residuals:
    """Find occasions, subjects and strata of a structure in the data.

    Parameters
    ----------
    structure : Covariance
    table : Table
        Its columns, in the rows that are used.

    Returns
    -------
    Residuals

    Raises
    ------
    ArgumentTypeError
        If it is no structure.
    DataError
        For columns of the wrong kind, an occasion that a subject has twice, and one that known
        correlations do not have.
    DesignError
        For a structure that these data cannot identify.
    """
    if not isinstance(structure, Covariance):
        raise ArgumentTypeError(
            "`R` should be a covariance structure such as bl.AR1(time='week', group='id'), got "
            f"{structure!r}."
        )
    structure.check_residual()
    column, n = table.columns, len(table.index)
    times = [column[name] for name in structure.times]
    subjects = None if structure.group is None else group([column[structure.group]])
    block = np.arange(n) if subjects is None else subjects.codes.astype(np.int64)
    place = _places(structure, times, n)
    point, occasions = _occasions(times, place, n)
    stratum, strata = _one_for_all(n)
    if structure.by is not None:
        by = group([column[structure.by]])
        stratum, strata = by.codes.astype(np.int64), by.levels
    found = Found(block, point, place, stratum, occasions, strata)
    correlation = structure.correlation
    correlated = not correlation.independent
    if correlated and subjects is not None:
        check_constant(structure, found, subjects.levels)
        check_occasions(structure, found, subjects.levels)
        if times:
            check_order(structure, times[0])
        check_correlations(structure, found)
    sigma, labels = _sigmas(structure, column, stratum, strata, point, occasions)
    ratios = tuple(
        group([column[name] for name in part.columns]).levels
        for part in structure.growing
        if isinstance(part, VarIdent)
    )
    covariates = _covariates(structure, column, stratum, len(strata), ratios)
    check_variances(labels, sigma)
    n_corr = correlation.n_parameters(len(occasions))
    rows = ResidualRows(
        correlation=correlation,
        block=block if correlated else np.arange(n),
        point=point,
        place=place if correlation.of_distance else np.empty((n, 0)),
        stratum=stratum,
        sigma=sigma,
        covariates=covariates,
        n_points=len(occasions),
        n_strata=len(strata) if n_corr else 1,
        n_sigmas=len(labels),
        n_corr=n_corr,
        known=(
            correlations_of_occasions(structure, occasions)
            if isinstance(structure, Known)
            else np.empty((0, 0))
        ),
    )
    spacing = _spacing(place, block) if correlation.of_distance else 1.0
    correlation.check_spacing(spacing, " and ".join(structure.times), structure.name)
    own = strata if n_corr else ("",)
    made = Residuals(structure, rows, subjects, occasions, own, strata, labels, ratios, spacing)
    check_ratios(made.growing, made.variance_strata, made.rows.covariates)
    return made


def _within(stratum: str, label: str) -> str:
    """A label of one of several strata."""
    return ": ".join(filter(None, (stratum, label)))


def _named(part: VarIdent, level: str) -> str:
    """A level with its column, "age[10]"."""
    return f"{part.column}[{level}]"


def _one_for_all(n: int) -> tuple[Array, tuple[str, ...]]:
    """The codes and labels of rows that nothing tells apart."""
    return np.zeros(n, dtype=np.int64), ("",)


def _spacing(place: Array, block: Array) -> float:
    """The median distance between neighbouring rows of a subject."""
    order = np.lexsort((*place.T[::-1], block))
    apart = np.sqrt((np.diff(place[order], axis=0) ** 2).sum(axis=1))
    within = apart[(np.diff(block[order]) == 0) & (apart > 0)]
    return float(np.median(within)) if len(within) else 1.0


def _places(structure: Covariance, columns: Sequence[Column], n: int) -> Array:
    if not structure.correlation.of_distance:
        return np.empty((n, 0))
    for column in columns:
        if column.kind != "number":
            raise DataError(
                f"{structure.name} depends on distances in time, so {column.name!r} should be "
                "numbers; it holds text or dates. Make them numbers, such as days since the start"
            )
    return np.column_stack([from_least(column.values) for column in columns])


def _occasions(
    columns: Sequence[Column], place: Array, n: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The position of each row's occasion in their order, and the occasions' labels."""
    if not columns:
        return _one_for_all(n)
    if len(columns) > 1:
        _, codes = np.unique(place, axis=0, return_inverse=True)
        return codes.ravel(), tuple(map(str, range(codes.max() + 1)))
    found = group(columns)
    return found.codes.astype(np.int64), found.levels


def _sigmas(
    structure: Covariance,
    column: dict[str, Column],
    stratum: np.ndarray,
    strata: tuple[str, ...],
    point: np.ndarray,
    occasions: tuple[str, ...],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which residual standard deviation is each row's, and their labels."""
    codes, labels, leading = stratum, list(strata), structure.leading
    factors: list[tuple[Array, tuple[str, ...]]] = []
    if isinstance(leading, VarIdent):
        found = [group([column[name]]) for name in leading.columns]
        factors = [(own.codes.astype(np.int64), own.levels) for own in found]
    elif leading is not None:
        factors = [(point, occasions)]
    for inner, names in factors:
        codes = codes * len(names) + inner
        labels = [", ".join(filter(None, (a, b))) for a in labels for b in names]
    used, compact = np.unique(codes, return_inverse=True)
    return compact.astype(np.int64), tuple(labels[i] for i in used)


def _covariates(
    structure: Covariance,
    column: dict[str, Column],
    stratum: Array,
    n_strata: int,
    ratios: tuple[tuple[str, ...], ...],
) -> Array:
    """What the logarithm of a row's standard deviation is linear in: for each exponent a column for
    each stratum, zero in the rows of others.
    """
    inside = stratum[:, None] == np.arange(n_strata)
    found = [np.empty((len(stratum), 0))]
    levels = iter(ratios)
    for part in structure.growing:
        own = [column[name] for name in part.columns]
        if isinstance(part, VarIdent):
            values = _indicators(part, own, next(levels))
        else:
            values = _numbers(part, own[0])[:, None]
        found += [np.where(inside, x[:, None], 0.0) for x in values.T]
    return np.hstack(found)


def _indicators(part: VarIdent, columns: Sequence[Column], levels: tuple[str, ...]) -> Array:
    """Which level but the first is each row's.

    Raises
    ------
    DataError
        For a level that is none of them.
    """
    codes, labels = match(columns, levels)
    if (codes < 0).any():
        raise DataError(
            f"the new data have rows at {_named(part, str(labels[np.argmin(codes)]))}, for which "
            f"fitting saw no standard deviation; known: {', '.join(map(repr, levels))}"
        )
    return (codes[:, None] == np.arange(1, len(levels))).astype(np.float64)


def _numbers(part: VarPower | VarExp, values: Column) -> Array:
    """The covariate of an exponent."""
    what = type(part).__name__
    if values.kind != "number":
        raise DataError(f"{what} needs numbers, and {part.column!r} holds text or dates")
    x = values.values.astype(np.float64)
    if isinstance(part, VarExp):
        return x
    if np.any(x == 0):
        raise DataError(
            f"{what} takes a power of |{part.column}|, which is 0 in {int((x == 0).sum())} rows, "
            f"where the variance would be 0; use bl.VarExp({part.column!r}), or shift the column"
        )
    return np.log(np.abs(x))
