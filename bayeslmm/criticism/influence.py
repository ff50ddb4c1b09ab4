"""Influence of rows and groups on the coefficients: Cook's distance, DFBETAS, leverage."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular

from bayeslmm.criticism.deletion import deletions, without_rows
from bayeslmm.design.subsets import sets_of_rows
from bayeslmm.errors import ArgumentError, BayeslmmError, ConvergenceWarning
from bayeslmm.support.arguments import truth_value, whole_number
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.support.arrays import Array

__all__ = ["influence"]

_WORTH = 8.0
"""Seconds of work for which processes are worth starting."""
_UNDETERMINED = "the other rows do not determine the coefficients"

_Refit = tuple["Array", "Array", "Array"]
"""beta, its covariance matrix and theta."""


def influence(
    solution: PointSolution, by: object, refit: bool = False, jobs: int | None = None
) -> pd.DataFrame:
    """Delete rows or groups in turn; see `PointFit.influence`."""
    refit = truth_value("refit", refit)
    if jobs is not None:
        jobs = whole_number("jobs", jobs)
        if not refit:
            raise ArgumentError("`jobs` are for refits: give refit=True too, or leave it out.")
    if not solution.status.ok:
        raise ArgumentError(
            f"there are no estimates to leave rows out of: {solution.status.value}."
        )
    if not solution.model.equations.p:
        raise ArgumentError("the model has no coefficients that rows could have influence on.")
    index, sets = sets_of_rows(solution.model.design, by, "by")
    with blas_threads(solution.model.equations.root_order):
        found = deletions(solution, sets)
    p = solution.model.equations.p
    change, covratio, theta = found.change, found.covratio, None
    reasons = dict.fromkeys(np.flatnonzero(np.isnan(covratio)).tolist(), _UNDETERMINED)
    if refit:
        change, covratio = np.full_like(change, np.nan), np.full_like(covratio, np.nan)
        theta = np.full((len(sets), len(solution.model.parameters)), np.nan)
        whole = np.linalg.slogdet(found.root @ found.root.T)[1]
        for i, one in enumerate(_refits(solution, sets, jobs)):
            if isinstance(one, str):
                reasons[i] = one
                continue
            change[i], theta[i] = solution.beta - one[0], one[2]
            covratio[i] = np.exp(np.linalg.slogdet(one[1])[1] - whole)
    _say(index, reasons)
    standard = solve_triangular(found.root, change.T, check_finite=False)
    columns = {
        "cooks_distance": np.einsum("ij,ij->j", standard, standard) / p,
        "covratio": covratio,
        "leverage": _sums(found.leverage, sets),
        "leverage_fixed": _sums(found.leverage_fixed, sets),
    }
    std_error = np.sqrt(np.einsum("ij,ij->i", found.root, found.root))
    for name, values in zip(solution.model.design.coef, (change / std_error).T, strict=True):
        columns[f"dfbetas[{name}]"] = values
    if theta is not None:
        columns |= dict(zip(solution.model.parameters.names, theta.T, strict=True))
    return pd.DataFrame(columns, index=index)


def _sums(values: Array, sets: Sequence[Array]) -> Array:
    return np.array([values[rows].sum() for rows in sets])


def _refits(solution: PointSolution, sets: Sequence[Array], jobs: int | None) -> list[_Refit | str]:
    """Fits without each set of rows, in this process or in several; or why there is none."""
    found: list[_Refit | str] = []
    left = list(sets)
    began = time.perf_counter()
    while left and jobs in (None, 1):
        found.append(_refit(solution, left.pop(0)))
        ahead = (time.perf_counter() - began) * len(left) / len(found)
        if jobs is None and ahead > _WORTH and (os.cpu_count() or 1) > 1:
            break
    if left:
        from joblib import Parallel, delayed

        found += Parallel(n_jobs=jobs or -1)(delayed(_refit)(solution, rows) for rows in left)
    return found


def _refit(solution: PointSolution, rows: Array) -> _Refit | str:
    try:
        equations = without_rows(solution, rows)
        if equations is None:
            return _UNDETERMINED
        optimum = solution.maximise(equations)
    except BayeslmmError as error:
        return str(error)
    if not optimum.status.ok:
        return optimum.status.value
    given = solution.at(equations, optimum.theta)
    beta, _ = given.solve(optimum.M)
    return beta, given.var_beta(optimum.M, optimum.sigma), optimum.theta


def _say(index: pd.Index, reasons: dict[int, str]) -> None:
    """Warn of what has missing values, and why."""
    if not reasons:
        return
    first = {reason: index[i] for i, reason in reversed(reasons.items())}
    counts = Counter(reasons.values()).most_common(3)
    why = "; ".join(f"{count} × {reason} (the first: {first[reason]})" for reason, count in counts)
    warnings.warn(
        f"{len(reasons)} of {len(index)} have no influence that could be computed: {why}",
        ConvergenceWarning,
        stacklevel=4,
    )
