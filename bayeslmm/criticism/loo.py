"""Leave-one-out cross-validation of a posterior, by row or by group, without fitting again.

At theta the response that is left out, given the others, is normal with beta and u integrated out:
with P the inverse of the covariance matrix of y, to which the prior of beta adds,

    y_S | y_(S), theta ~ N(y_S - (P_SS)⁻¹ (Py)_S, (P_SS)⁻¹)

and the posterior without S is that with all rows, weighted by 1/p(y_S | y_(S), theta). The weights
depend on theta alone and are smoothed by Pareto tails: Vehtari, Gelman and Gabry (2017), Statistics
and Computing 27, 1413-1432; Vehtari, Mononen, Tolvanen, Sivula and Winther (2016), Journal of
Machine Learning Research 17(103), for the integrated weights.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, solve_triangular

from bayeslmm.design.subsets import sets_of_rows
from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.equations.equations import EquationsWithPrior
from bayeslmm.equations.half_solutions import Factor, noise_precision
from bayeslmm.errors import ArgumentError, ConvergenceWarning
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arviz_stats.utils import ELPDData
    from scipy import sparse

    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.equations.half_solutions import Halves
    from bayeslmm.equations.linear import Functions
    from bayeslmm.solutions.posterior import PosteriorSolution
    from bayeslmm.support.arrays import Array

__all__ = ["log_predictive", "loo"]

_DRAWS = 1000
"""Of which densities are computed; more would not show beside the standard error over rows."""
_LARGEST = 4096
"""Rows of a group at most."""


def loo(solution: PosteriorSolution, unit: object) -> ELPDData:
    """Leave rows or groups out in turn; see `PosteriorFit.loo`."""
    import arviz_base
    import arviz_stats

    index, sets = sets_of_rows(solution.model.design, unit, "unit")
    density = log_predictive(solution, sets)
    step = _step(solution)
    dim = index.name or "row"
    name = solution.model.design.response
    tree = arviz_base.from_dict(
        {
            "posterior": {"theta": solution.draws.theta[:, ::step]},
            "log_likelihood": {name: density},
        },
        dims={name: [dim]},
        coords={dim: index.to_numpy()},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said below, with names
        found = arviz_stats.loo(tree, pointwise=True)
    moved = index[np.asarray(found.pareto_k) > found.good_k]
    if len(moved):
        named = ", ".join(map(str, moved[:3])) + (", ..." if len(moved) > 3 else "")
        what = "rows" if unit == "row" else f"levels of {unit}"
        warnings.warn(
            f"{len(moved)} of {len(index)} {what} ({named}) move theta so much that the densities "
            f"without them are rough (pareto_k above {found.good_k:.2f}): fit the model without "
            "them to see what they do, or draw more.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return found


def _step(solution: PosteriorSolution) -> int:
    chains, draws = solution.draws.theta.shape[:2]
    return max(1, chains * draws // _DRAWS)


def log_predictive(solution: PosteriorSolution, sets: Sequence[Array]) -> Array:
    """Log densities of sets of rows given all others, beta and u integrated out, at some draws.

    Where beta has a prior that is not Gaussian, it is given like theta.

    Parameters
    ----------
    solution : PosteriorSolution
    sets : sequence of int arrays
        Rows, no row in two of them.

    Returns
    -------
    (chains, draws, sets) array
    """
    longest = max(map(len, sets))
    if longest > _LARGEST:
        raise ArgumentError(
            f"a group has {longest:,} rows, and cross-validation takes groups of {_LARGEST:,} at "
            "most; leave out rows or the levels of a finer factor."
        )
    model, step = solution.model, _step(solution)
    theta, beta = solution.draws.theta[:, ::step], solution.draws.beta[:, ::step]
    priors = model.priors
    equations: Equations = model.equations
    given_beta = bool(priors.not_gaussian or priors.slopes)
    if not given_beta:
        equations = EquationsWithPrior.of_prior(equations, priors.beta_mean, priors.beta_precision)
    functions = functions_of_rows(model)
    out = np.empty((*theta.shape[:2], len(sets)))
    with blas_threads(equations.root_order):
        Q = None
        for at in np.ndindex(theta.shape[:2]):
            if Q is None or equations.structured:
                Q = noise_precision(model.design, equations, theta[at])
            known = beta[at] if given_beta else None
            out[at] = _densities(model.design, functions, equations, theta[at], Q, sets, known)
    return out


def _densities(
    design: Design,
    functions: Functions,
    equations: Equations,
    theta: Array,
    Q: sparse.csr_array,
    sets: Sequence[Array],
    known_beta: Array | None,
) -> Array:
    """Log density of each set at theta, and at beta if that is known."""
    given = equations.given_residuals(theta)
    M, sigma = equations.relative_factors(theta), theta[-1]
    factor = Factor.at(M, given)
    rows = np.concatenate(sets)
    B = factor.half_solve(factor.rows_of(design).within_blocks(Q), rows)
    beta, u = given.solve(M)
    fitted = functions.values(beta, tuple(equations.split_u(u).values()))
    residual = (Q @ (design.y - fitted))[rows]
    if known_beta is not None:
        moved = solve_triangular(factor.to_beta, beta - known_beta)
        residual += B.gamma @ (factor.gamma.T @ moved)
    ends = np.cumsum([0, *map(len, sets)])
    if len(rows) == len(sets):
        return _single(B, Q.diagonal()[rows], residual, sigma, known_beta is None)
    out = np.empty(len(sets))
    for i, own in enumerate(sets):
        within = slice(ends[i], ends[i + 1])
        inside = Q[own][:, own].toarray() - B.products(within)
        if known_beta is None:
            inside -= B.gamma[within] @ B.gamma[within].T
        out[i] = _log_density(inside, residual[within], sigma)
    return out


def _single(B: Halves, precision: Array, residual: Array, sigma: float, beta_too: bool) -> Array:
    """`_log_density` of sets of one row."""
    inside = precision - B.squares()
    if beta_too:
        inside -= np.einsum("ij,ij->i", B.gamma, B.gamma)
    if not (inside > 1e-10 * precision).all():
        raise _undetermined()
    return 0.5 * (np.log(inside / (2 * np.pi * sigma**2)) - residual**2 / (inside * sigma**2))


def _log_density(inside: Array, residual: Array, sigma: float) -> float:
    """Of P_SS and (Py)_S in units of σ²."""
    try:
        lower = np.linalg.cholesky(inside)
    except LinAlgError:
        raise _undetermined() from None
    diagonal = np.diag(lower)
    if not (diagonal**2 > 1e-10 * np.diag(inside)).all():
        raise _undetermined()
    z = solve_triangular(lower, residual, lower=True) / sigma
    return float(np.log(diagonal / sigma).sum() - 0.5 * (z @ z + len(z) * np.log(2 * np.pi)))


def _undetermined() -> ArgumentError:
    return ArgumentError(
        "the other rows do not determine the coefficients, which have flat priors, so that they "
        "predict nothing for those left out; give the coefficients proper priors."
    )
