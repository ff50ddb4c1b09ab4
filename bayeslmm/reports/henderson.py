"""Henderson's mixed-model equations at given variances, assembled and solved as in a textbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.linalg import block_diag, cho_factor, cho_solve

from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.specification import Specification
from bayeslmm.support.arrays import Array
from bayeslmm.support.pages import DIGITS, Lines, Page, Table, as_html, as_text, numbers

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor

__all__ = ["MixedModelEquations", "henderson"]

_MOST = 2_000
"""Equations that are assembled as a dense matrix."""
_ASYMMETRY = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class MixedModelEquations:
    """Henderson's equations C w = W'R⁻¹y with their solution; made by `henderson`.

    They print as a textbook shows them. Rows are named ``beta[...]`` and ``u_<group>[...]``.

    Attributes
    ----------
    formula : str
    C : pandas.DataFrame
        The matrix W'R⁻¹W + blockdiag(0, G⁻¹), with W = [X Z].
    rhs : pandas.Series
        W'R⁻¹y.
    solution : pandas.DataFrame
        The BLUE of beta and the BLUP of u as ``estimate``; ``std_error`` is the root of the
        diagonal of C⁻¹: the standard error of beta, and the prediction error of u.
    vcov : pandas.DataFrame
        C⁻¹, the covariance matrix of (β̂ - β, û - u).
    sigma2 : float or None
        The residual variance, where R = σ²I: what is printed is both sides times σ².
    """

    formula: str
    C: pd.DataFrame
    rhs: pd.Series
    solution: pd.DataFrame
    vcov: pd.DataFrame
    sigma2: float | None

    def __repr__(self) -> str:
        return as_text(of_equations(self))

    def _repr_html_(self) -> str:
        return as_html(of_equations(self))


def henderson(model: Specification, *, G: object = None, R: object) -> MixedModelEquations:
    """Assemble and solve the mixed-model equations at given variances.

    Parameters
    ----------
    model : Specification
        Its data and formula count; a structure for R does not, since R is given.
    G : number, array_like, data frame, or mapping of group to one of these
        For each grouping factor the covariance matrix of the effects of one level, as a number
        where it has one effect; or that of all levels together, level by level, such as a variance
        times a relationship matrix. A frame is matched by the names of effects or levels. A mapping
        is needed where there are several factors.
    R : number or array_like of shape (n, n)
        The residual variance of a row with weight one, or the covariance matrix of the rows that
        are used, in which weights do not count.

    Returns
    -------
    MixedModelEquations

    Raises
    ------
    ArgumentError
        For a missing or unknown group, and a matrix that is of the wrong size, without an inverse
        or no covariance matrix; for a model with more than 2,000 equations.
    ArgumentTypeError
        For what is no Model or no numbers.

    Notes
    -----
    Henderson (1950, 1975); the standard errors take the variances as known.

    Examples
    --------
    The sire model of Mrode (2014, Linear Models for the Prediction of Animal Breeding Values,
    example 3.2), with sire 4 a son of sire 1:

    >>> import bayeslmm as bl
    >>> import pandas as pd
    >>> calves = pd.DataFrame(
    ...     {
    ...         "gain": [4.5, 2.9, 3.9, 3.5, 5.0],
    ...         "sex": ["male", "female", "female", "male", "male"],
    ...         "sire": ["1", "3", "1", "4", "3"],
    ...     }
    ... )
    >>> sires = ["1", "3", "4"]
    >>> A = pd.DataFrame([[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]], sires, sires)
    >>> model = bl.Model("gain ~ 0 + sex + (1 | sire)", calves)
    >>> system = bl.henderson(model, G=5 * A, R=55)
    >>> system.solution["estimate"].round(3).to_dict()
    {'beta[sex[female]]': 3.382, 'beta[sex[male]]': 4.336,
     'u_sire[1]': 0.022, 'u_sire[3]': 0.014, 'u_sire[4]': -0.043}
    """
    if not isinstance(model, Specification):
        raise ArgumentTypeError(
            f"`model` should be a Model, got {type(model).__name__}; of a fit, give `fit.model`."
        )
    design = model.design
    n, p = design.X.shape
    size = p + sum(len(f.levels) * len(f.effects) for f in design.factors)
    if size > _MOST:
        raise ArgumentError(
            f"the model has {size} equations, and they are assembled as one dense matrix up to "
            f"{_MOST}; `model.fit('reml')` solves them for data of any size."
        )
    variances = _by_factor(G, design.factors)
    parts = [_covariance(variances[f.name], f) for f in design.factors]
    names = [f"beta[{name}]" for name in design.coef]
    names += [name for f in design.factors for name in _names(f)]
    W = np.column_stack([design.X, *(_indicators(f) for f in design.factors)])
    sigma2, weighted = _weighted(R, n, design.weights, np.column_stack([W, design.y_less_offset]))
    C = W.T @ weighted[:, :-1]
    C[p:, p:] += block_diag(*(np.linalg.inv(part) for part in parts)) if parts else 0.0
    C, rhs = (C + C.T) / 2, W.T @ weighted[:, -1]
    # scaled to a unit diagonal: the unit of an effect does not matter to rounding
    scale = 1 / np.sqrt(np.diag(C))
    factor = cho_factor(C * np.outer(scale, scale), lower=True)
    inverse = np.outer(scale, scale) * cho_solve(factor, np.eye(size))
    solution = {
        "estimate": scale * cho_solve(factor, scale * rhs),
        "std_error": np.sqrt(np.diag(inverse)),
    }
    return MixedModelEquations(
        formula=model.formula,
        C=pd.DataFrame(C, names, names),
        rhs=pd.Series(rhs, names, name="rhs"),
        solution=pd.DataFrame(solution, names),
        vcov=pd.DataFrame(inverse, names, names),
        sigma2=sigma2,
    )


def _by_factor(G: object, factors: tuple[GroupingFactor, ...]) -> dict[str, object]:
    groups = [factor.name for factor in factors]
    if not isinstance(G, Mapping):
        if G is None and not groups:
            return {}
        if G is None or len(groups) != 1:
            raise ArgumentError(
                f"the model has the groups {groups}; give `G` as a mapping with a covariance "
                "matrix for each."
                if groups
                else "the model has no random effects and no use for `G`; leave that out."
            )
        return {groups[0]: G}
    for name in G:
        if name not in groups:
            raise ArgumentError(unknown_name("group in `G`", name, groups))
    missing = [name for name in groups if name not in G]
    if missing:
        raise ArgumentError(f"`G` has no covariance matrix for {missing}; add one for each group.")
    return dict(G)


def _covariance(given: object, factor: GroupingFactor) -> Array:
    """The covariance matrix of all of a factor's effects, level by level."""
    q, levels = len(factor.effects), len(factor.levels)
    whole = f"`G` of {factor.name!r}"
    if isinstance(given, pd.DataFrame):
        given = _matched(given, factor, whole)
    matrix = np.atleast_2d(_as_numbers(given, whole))
    if matrix.shape not in ((q, q), (levels * q, levels * q)):
        raise ArgumentError(
            f"{whole} should have the shape {(q, q)}, for the effects {list(factor.effects)} of "
            f"one level, or {(levels * q, levels * q)} for all {levels} levels; got {matrix.shape}."
        )
    _check(matrix, whole, "For effects that do not vary, leave their term out of the formula")
    if len(matrix) == levels * q:
        return matrix
    return np.kron(np.eye(levels) if factor.related is None else factor.related.matrix, matrix)


def _matched(frame: pd.DataFrame, factor: GroupingFactor, whole: str) -> pd.DataFrame:
    """The rows and columns of a frame in the order of effects or levels."""
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    for names in (factor.effects, factor.levels):
        labels = [list(map(str, axis)) for axis in (frame.index, frame.columns)]
        if all(sorted(axis) == sorted(names) for axis in labels):
            rows, columns = ([axis.index(name) for name in names] for axis in labels)
            return frame.iloc[rows, columns]
    raise ArgumentError(
        f"rows and columns of {whole} should be named as the effects, {list(factor.effects)}, or "
        f"as the levels, {list(factor.levels)[:10]}; got {list(frame.index)[:10]} and "
        f"{list(frame.columns)[:10]}."
    )


def _weighted(
    R: object, n: int, weights: Array | None, columns: Array
) -> tuple[float | None, Array]:
    """σ², where R = σ²I, and R⁻¹ times columns."""
    matrix = _as_numbers(R, "`R`")
    if matrix.ndim == 0:
        sigma2 = float(matrix)
        if not 0 < sigma2 < np.inf:
            raise ArgumentError(f"`R` should be a positive variance or a matrix, got {sigma2!r}.")
        if weights is None:
            return sigma2, columns / sigma2
        return None, columns * (weights / sigma2)[:, None]
    if matrix.shape != (n, n):
        raise ArgumentError(
            f"`R` should be a number or have the shape {(n, n)}, of the rows that are used; got "
            f"{matrix.shape}."
        )
    _check(matrix, "`R`", "A residual variance of zero has no equations")
    return None, np.linalg.solve(matrix, columns)


def _as_numbers(given: object, what: str) -> Array:
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{what} should be a number or a matrix of numbers, got {type(given).__name__}."
        ) from None


def _check(matrix: Array, what: str, remedy: str) -> None:
    largest = np.abs(matrix).max()
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > _ASYMMETRY * largest:
        raise ArgumentError(f"{what} should be symmetric and finite; correct the matrix.")
    size = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    least = np.linalg.eigvalsh(matrix / np.outer(size, size))[0]
    if not least > len(matrix) * np.finfo(float).eps:
        raise ArgumentError(
            f"{what} should be positive definite, since the equations need its inverse; the "
            f"smallest eigenvalue of its correlations is {least:.3g}. {remedy}."
        )


def _names(factor: GroupingFactor) -> list[str]:
    one = len(factor.effects) == 1
    return [
        f"u_{factor.name}[{level if one else f'{level}, {effect}'}]"
        for level in factor.levels
        for effect in factor.effects
    ]


def _indicators(factor: GroupingFactor) -> Array:
    """The factor's columns of Z."""
    n, q = factor.Z.shape
    Z = np.zeros((n, len(factor.levels), q))
    Z[np.arange(n), factor.codes] = factor.Z
    return Z.reshape(n, -1)


_SMALL_SYSTEM = 16
"""Equations that are printed with their matrix."""


def of_equations(system: MixedModelEquations) -> Page:
    """Mixed-model equations: the system, if it is small, and its solution."""
    scale = 1.0 if system.sigma2 is None else system.sigma2
    names = [str(name) for name in system.rhs.index]
    times = "" if system.sigma2 is None else f", times the residual variance {scale:g}"
    head = Lines((("Henderson's mixed-model equations", ""), ("Formula", system.formula)))
    columns = [numbers(system.solution[name].to_numpy()) for name in ("estimate", "std_error")]
    rows = tuple(zip(names, *columns, strict=True))
    if len(names) > _SMALL_SYSTEM:
        rows = rows[:_SMALL_SYSTEM]
    shown = f", the first {len(rows)} of {len(names)}" if len(rows) < len(names) else ""
    solution = Table(f"Solution{shown}:", ("", "Estimate", "Std. Error"), rows, 1)
    if len(names) > _SMALL_SYSTEM:
        return (head, solution)
    C = [[f"{value:.{DIGITS}g}" for value in row] for row in scale * system.C.to_numpy()]
    y = [f"{value:.{DIGITS}g}" for value in scale * system.rhs]
    # a zero of the matrix is where no row joins the two, as textbooks show it
    cells = [["." if cell == "0" else cell for cell in row] for row in C]
    equations = tuple(
        (name, *row, "|", right) for name, row, right in zip(names, cells, y, strict=True)
    )
    blank = tuple("" for _ in names)
    title = f"Equations{times}:"
    return (head, Table(title, ("", *blank, "", "rhs"), equations, 1), solution)
