"""Estimates and draws from a file held against the model: their shapes, whether they are finite,
and what theta and the equations make of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.equations.equations import EquationsWithPrior
from bayeslmm.estimation.optimum import Optimum
from bayeslmm.support import scales

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeslmm.estimation.posterior.nuts import Draws
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["check_draws", "check_optimum", "check_shapes"]

_STEP = 1e-3
"""Of differences of the gradient, on the scale of the Hessian."""
_CURVED = 0.05
"""How far, relative to its diagonal, a Hessian may be from these differences."""
_SAME = 1e-6
"""How far a covariance may be from that of theta, relative to the variances."""
_DRAWS, _FAR = 10, 12.0
"""How many draws of beta and u are looked at, and how many conditional standard deviations each may
be from its conditional mean: a draw is that far once in 1e32."""


def check_shapes(model: Specification, estimated: Optimum | Draws) -> None:
    """Refuse arrays of other shapes than the model has, which compiled code would not notice.

    Raises
    ------
    ValueError
    """
    k = len(model.parameters)
    if isinstance(estimated, Optimum):
        arrays = {name: getattr(estimated, name) for name in ("theta", "boundary", "hessian", "M")}
        m = sum(len(factor.effects) ** 2 for factor in model.design.factors)
        expected = {"theta": (k,), "boundary": (k,), "hessian": (k, k), "M": (m,)}
    else:
        shape, equations = estimated.theta.shape[:2], model.equations
        arrays = {name: getattr(estimated, name) for name in ("theta", "beta", "u")}
        arrays |= estimated.stats
        ends = {"theta": (k,), "beta": (equations.p,), "u": (equations.n_random,)}
        expected = {name: (*shape, *ends.get(name, ())) for name in arrays}
        if not all(shape):
            raise ValueError("there are no draws")
    for name, values in arrays.items():
        if values.shape != expected[name]:
            raise ValueError(f"{name} has shape {values.shape}, the model's has {expected[name]}")


def check_optimum(model: Specification, optimum: Optimum) -> None:
    """Refuse estimates that are not those of the likelihood at theta.

    Raises
    ------
    ValueError
    """
    equations, theta, M, hessian = model.equations, optimum.theta, optimum.M, optimum.hessian
    if not optimum.status.ok:
        return
    _require_finite({"theta": theta, "M": M, "criterion": np.array(optimum.criterion)})
    _require_bounds(model, theta)
    if not np.isclose(optimum.sigma, theta[-1], rtol=_SAME):
        raise ValueError("sigma is not that of theta")
    if optimum.method != "map":
        value = float(equations.given_factors(M, theta, optimum.method)[0])
        if not abs(value - optimum.criterion) <= _SAME * (abs(value) + equations.n):
            raise ValueError(f"the criterion is {optimum.criterion:.8g}, and {value:.8g} at theta")
    free = ~(optimum.boundary | model.held)
    if not (np.isfinite(hessian[np.ix_(free, free)]).all() and _is_symmetric(hessian)):
        raise ValueError("the Hessian is not symmetric and finite")
    # where nothing determines the parameters, second derivatives are rounding
    if free.all() and not model.unidentified:
        _check_interior(model, optimum)


def _check_interior(model: Specification, optimum: Optimum) -> None:
    """Relative factors and Hessian of estimates that are not at a boundary, where they follow from
    theta; a Hessian of loadings or of a penalised likelihood is that of other functions.
    """
    equations, theta, method = model.equations, optimum.theta, optimum.method
    for name, own in equations.covariances(optimum.M, optimum.sigma).items():
        expected = equations.covariances(equations.relative_factors(theta), theta[-1])[name]
        if np.abs(own - expected).max(initial=0.0) > _SAME * np.abs(expected).max(initial=0.0):
            raise ValueError(f"the covariance of {name} is not that of theta")
    if method == "map" or "loading" in model.parameters.kinds or model.priors.held.any():
        return
    bounds = model.parameters.bounds

    def slope(position: int, step: float) -> Array:
        moved = model.parameters.stepped(theta, position, step)
        return equations.loglik(moved, method)[1] * scales.slopes(moved, bounds)

    differences = [(slope(j, _STEP) - slope(j, -_STEP)) / (2 * _STEP) for j in range(len(theta))]
    size = np.sqrt(np.abs(np.diag(differences)))
    off = np.abs(optimum.hessian - differences) > _CURVED * np.outer(size, size)
    if off.any():
        name = model.parameters.names[int(np.argmax(off.any(axis=1)))]
        raise ValueError(f"the Hessian is not that of the log-likelihood at theta, in {name}")


def check_draws(model: Specification, draws: Draws) -> None:
    """Refuse draws that are not finite, within bounds, and those of the model's coefficients and
    random effects given theta.

    Raises
    ------
    ValueError
    """
    shape = draws.theta.shape[:2]
    # effects of a level in strata that it is not in are not drawn
    own = np.concatenate(
        [
            np.ones((len(f.levels), len(f.effects)), bool).ravel()
            if f.own is None
            else f.own.ravel()
            for f in model.design.factors
        ]
        or [np.empty(0, bool)]
    )
    _require_finite({"theta": draws.theta, "beta": draws.beta, "u": draws.u[..., own]})
    _require_bounds(model, draws.theta)
    if model.priors.not_gaussian or model.priors.slopes:
        return
    everywhere = np.linspace(0, shape[0] * shape[1] - 1, _DRAWS).astype(int)
    for chain, draw in zip(*np.unravel_index(np.unique(everywhere), shape), strict=True):
        place = f"of draw {draw} of chain {chain}"
        at = draws.theta[chain, draw], draws.beta[chain, draw], draws.u[chain, draw]
        _check_draw(model, *at, own, place)


def _check_draw(
    model: Specification, theta: Array, beta: Array, u: Array, own: Array, place: str
) -> None:
    """Whether beta and u are likely given theta, by their conditional moments."""
    priors, sigma = model.priors, float(theta[-1])
    prior = EquationsWithPrior.of_prior(model.equations, priors.beta_mean, priors.beta_precision)
    given = prior.given_residuals(theta)
    M = model.equations.relative_factors(theta)
    mean_beta, mean_u = given.solve(M)
    sd_beta = np.sqrt(np.diag(given.var_beta(M, sigma)))
    blocks = given.var_u(M, sigma, beta_known=False).values()
    sd_u = np.concatenate(
        [np.empty(0), *(np.sqrt(np.einsum("lii->li", block)).ravel() for block in blocks)]
    )
    for name, off, sd in (
        ("beta", beta - mean_beta, sd_beta),
        ("u", (u - mean_u)[own], sd_u[own]),
    ):
        least = 1e-9 * (np.abs(mean_beta).max(initial=0.0) + model.equations.largest)
        if (np.abs(off) > _FAR * sd + least).any():
            raise ValueError(f"{name} {place} is not a draw given theta and the data")


def _require_finite(arrays: Mapping[str, Array]) -> None:
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite")


def _require_bounds(model: Specification, theta: Array) -> None:
    lower, upper = model.parameters.bounds.T
    if not ((theta >= lower) & (theta <= upper)).all():
        raise ValueError("theta is not within the bounds of the parameters")


def _is_symmetric(matrix: Array) -> bool:
    size = np.nanmax(np.abs(np.diag(matrix)), initial=0.0)
    return bool(np.allclose(matrix, matrix.T, rtol=0, atol=1e-8 * size, equal_nan=True))
