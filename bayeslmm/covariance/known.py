"""`Known`: a given relationship between levels of a factor, or correlation of occasions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from bayeslmm.covariance.correlations.known import KnownCorrelation
from bayeslmm.covariance.structures import Covariance, Variance
from bayeslmm.data.frames import check_told_apart, level_label
from bayeslmm.errors import ArgumentError, ArgumentTypeError
from bayeslmm.support.arrays import Array

__all__ = ["Known"]

_ASYMMETRY = 1e-8
"""Relative to the largest element."""
_DETERMINED = 1e-10
"""Share of its variance that a level has left, given those before it, below which it is taken as
determined by them."""
_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Known(Covariance):
    """A matrix K that is known: a relationship between the levels of a grouping factor, or the
    correlations of the residuals of a subject.

    In ``G`` the effects of the levels are u ~ N(0, G ⊗ K), with the additive relationships of a
    pedigree, genomic relationships, a phylogeny, or correlations from distances. G is the
    covariance matrix of the effects of a level with K = 1 on the diagonal, estimated as without K.
    Levels are matched by name: those of K that the data lack are integrated out, and can be
    predicted.

    In ``R`` it has ones on its diagonal, and its rows and columns are occasions of `time`, matched
    by name: the residuals of the rows i and j of a subject have the covariance sd_i sd_j K_ij, with
    the correlations from theory, another study or distances, and standard deviations as of other
    structures. It has no parameters.

    Parameters
    ----------
    matrix : data frame, xarray.DataArray or array_like of shape (L, L), optional
        K: symmetric and positive definite, with names on both axes or `levels` beside it.
    levels : sequence, optional
        The levels, or occasions, of rows and columns, of a matrix that has no names.
    inverse : PedigreeInverse, data frame, xarray.DataArray, array_like or sparse array, optional
        The inverse of K in its place; `pedigree_inverse` makes that of a pedigree.
    time : str, optional
        In ``R``: the column of occasions.
    group : str, optional
        In ``R``: the column of subjects. Where all rows are correlated it is a constant column.
    by : str, optional
        In ``R``: a column of strata with standard deviations of their own.
    variance : str, variance function, or sequence of them, optional
        In ``R``: as of other structures, "one" by default.
    sd : prior, optional
        In ``R``: of the standard deviations.

    Raises
    ------
    ArgumentError
        For a matrix that is not square, finite, symmetric and positive definite, and levels that
        are missing or not unique.
    ArgumentTypeError
        For what is no matrix.

    Examples
    --------
    >>> import pandas as pd
    >>> import bayeslmm as bl
    >>> animals = ["sire", "dam", "calf"]
    >>> A = pd.DataFrame([[1, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 1]], animals, animals)
    >>> bl.Known(A)
    Known(3 levels: 'sire', 'dam', 'calf')
    >>> bl.Known(A.to_numpy(), levels=animals).levels
    ('sire', 'dam', 'calf')

    Correlations of four ages, of which another study has told:

    >>> ages = [8, 10, 12, 14]
    >>> K = pd.DataFrame(0.4, ages, ages) + 0.6 * np.eye(4)
    >>> model = bl.Model(
    ...     "distance ~ age * Sex",
    ...     bl.load_dataset("Orthodont"),
    ...     R=bl.Known(K, time="age", group="Subject"),
    ... )
    >>> model.fit("reml").R("M01").to_numpy().round(2)[0]
    array([4.09, 1.63, 1.63, 1.63])
    """

    levels: tuple[str, ...]
    """The names of its rows and columns."""
    inverted: bool
    """Whether the inverse was given."""
    given: Any = field()
    """K or its inverse as given: an array, or a sparse one."""

    _correlation = KnownCorrelation()

    def __init__(
        self,
        matrix: object | None = None,
        *,
        levels: Sequence[object] | None = None,
        inverse: object | None = None,
        time: str | None = None,
        group: str | None = None,
        by: str | None = None,
        variance: Variance | Sequence[Variance] | None = None,
        sd: object | None = None,
    ) -> None:
        from bayeslmm.covariance.pedigree import PedigreeInverse

        if (matrix is None) == (inverse is None):
            raise ArgumentError(
                "Known takes a matrix or its inverse, one of the two: bl.Known(A), or "
                "bl.Known(inverse=A_inverse)."
            )
        if isinstance(matrix, PedigreeInverse):
            raise ArgumentError(
                "Known got the inverse of a pedigree's relationships in the place of the matrix; "
                "write bl.Known(inverse=...)."
            )
        what = "the matrix" if inverse is None else "the inverse"
        given = matrix if inverse is None else inverse
        names: Sequence[object] | None
        if isinstance(given, PedigreeInverse):
            given, names = given.matrix, given.levels
        else:
            names = _names(given, what)
            given = given if names is None else given.values  # type: ignore[attr-defined]
        if names is not None and levels is not None:
            raise ArgumentError(
                f"{what} of Known has names already, and `levels` gives others; leave `levels` out."
            )
        values = _values(given, what)
        object.__setattr__(self, "given", values)
        object.__setattr__(self, "inverted", inverse is not None)
        object.__setattr__(
            self, "levels", _levels(levels if names is None else names, len_of(values), what)
        )
        _check_positive_definite(values, what)
        options = {"time": time, "group": group, "by": by, "variance": variance, "sd": sd}
        for name, value in options.items():
            object.__setattr__(self, name, value)
        super().__post_init__()

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each level stands."""
        return {level: i for i, level in enumerate(self.levels)}

    @property
    def options(self) -> dict[str, object]:
        """What was given for residuals: `time`, `group`, `by` and `variance`."""
        names = [option.name for option in fields(Covariance) if option.compare]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in (None, False)}

    @property
    def _first(self) -> str:
        return "K, "

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Known):
            return NotImplemented
        mine, others = ((own.options, own.levels, own.inverted) for own in (self, other))
        return mine == others and not (self.given != other.given).sum()

    def __hash__(self) -> int:
        return hash((tuple(self.options.items()), self.levels, self.inverted))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.levels[:_SHOWN]))
        more = ", ..." if len(self.levels) > _SHOWN else ""
        how = "by the inverse, " if self.inverted else ""
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Known({how}{len(self.levels):,} levels: {shown}{more}{options})"


def len_of(values: Any) -> int:
    """The number of rows of an array or a sparse one."""
    return int(values.shape[0])


def _names(given: object, what: str) -> Sequence[object] | None:
    """The names of the levels that a labelled matrix has, the same on both axes."""
    if hasattr(given, "index") and hasattr(given, "columns"):
        rows, columns = list(given.index), list(given.columns)
    elif hasattr(given, "dims") and hasattr(given, "coords"):
        own = [given.coords[dim].values.tolist() for dim in given.dims if dim in given.coords]
        if len(own) != 2:
            return None
        rows, columns = own
    else:
        return None
    if [level_label(name) for name in rows] != [level_label(name) for name in columns]:
        raise ArgumentError(
            f"rows and columns of {what} of Known should be the same levels in the same order; "
            f"the rows begin {rows[:_SHOWN]} and the columns {columns[:_SHOWN]}. Reorder one, such "
            "as K.loc[levels, levels]."
        )
    return rows


def _values(given: Any, what: str) -> Any:
    """A matrix as an array of floats, dense or sparse; read-only."""
    if np.iscomplexobj(given):
        raise ArgumentTypeError(
            f"{what} of Known should be a square matrix of real numbers, got complex ones; give "
            "its real part where the imaginary one is rounding."
        )
    if sparse.issparse(given):
        values = sparse.csc_array(given, dtype=np.float64)
        values.sum_duplicates()
        numbers = values.data
    else:
        try:
            values = numbers = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise ArgumentTypeError(
                f"{what} of Known should be a square matrix of numbers, got {type(given).__name__}."
            ) from None
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.shape[0]:
        raise ArgumentError(
            f"{what} of Known should be a square matrix, got the shape {values.shape}."
        )
    if not np.isfinite(numbers).all():
        raise ArgumentError(f"{what} of Known has values that are not finite; correct them.")
    largest = np.abs(numbers).max(initial=0.0)
    apart = abs(values - values.T)
    if not apart.max() <= _ASYMMETRY * largest:
        raise ArgumentError(
            f"{what} of Known should be symmetric, and elements that mirror each other differ by "
            f"up to {apart.max():.3g}; correct it, or give (K + K.T) / 2."
        )
    if not sparse.issparse(values):
        values.flags.writeable = False
    return values


def _levels(names: Sequence[object] | None, size: int, what: str) -> tuple[str, ...]:
    if names is None:
        raise ArgumentError(
            f"{what} of Known has no names of levels to match the data by; give a frame with names "
            "on both axes, or `levels`, one for each row."
        )
    floats = [name for name in names if isinstance(name, float | np.floating)]
    check_told_apart(np.array(floats), f"the levels of {what} of Known")
    levels = tuple(level_label(name) for name in names)
    if len(levels) != size:
        raise ArgumentError(
            f"{what} of Known has {size} rows, and `levels` has {len(levels)}; give one for each."
        )
    twice = [level for level, count in Counter(levels).items() if count > 1]
    if twice:
        shown = ", ".join(map(repr, twice[:_SHOWN]))
        raise ArgumentError(
            f"{what} of Known has levels that stand there more than once: {shown}; leave all but "
            "one row and column of each out."
        )
    return levels


def _check_positive_definite(values: Any, what: str) -> None:
    if sparse.issparse(values):
        fine, smallest = _sparse_pivots(values)
    else:
        fine, smallest = _dense_pivots(values)
    if not fine:
        raise ArgumentError(
            f"{what} of Known should be positive definite, and its smallest eigenvalue is "
            f"{smallest():.3g}. Levels that are copies of each other, such as clones, or an error "
            "in the matrix make it so: leave all but one of them out, or add a little to the "
            "diagonal, K + 0.01 * np.eye(len(K))."
        )


def _dense_pivots(values: Array) -> tuple[bool, Any]:
    """Whether every level has a variance of its own, and what gives the smallest eigenvalue."""
    try:
        root = np.linalg.cholesky(values)
        fine = bool((np.diag(root) ** 2 > _DETERMINED * np.diag(values)).all())
    except np.linalg.LinAlgError:
        fine = False
    return fine, lambda: float(np.linalg.eigvalsh(values)[0])


def _sparse_pivots(values: Any) -> tuple[bool, Any]:
    from scipy.sparse.linalg import eigsh

    def smallest() -> float:
        if values.shape[0] <= 2_000:
            return float(np.linalg.eigvalsh(values.toarray())[0])
        return float(eigsh(values, k=1, which="SA", return_eigenvectors=False)[0])

    diagonal = values.diagonal()
    if not (diagonal > 0).all():
        return False, smallest
    try:
        pivots = symmetric_factor(values).U.diagonal()
    except RuntimeError:  # exactly singular
        return False, smallest
    return bool((pivots > _DETERMINED * np.median(diagonal)).all()), smallest


def symmetric_factor(values: Any) -> Any:
    """Factors of a sparse symmetric matrix with its pivots on the diagonal, so that these are
    positive where it is positive definite.
    """
    from scipy.sparse.linalg import splu

    return splu(
        sparse.csc_array(values),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
