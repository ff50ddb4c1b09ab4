"""Checks of the computation: how the optimiser ended, rounding, and how the chains went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.criticism.checks.words import listed
from bayeslmm.criticism.findings import Finding
from bayeslmm.estimation.optimum import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.solutions.posterior import PosteriorSolution

__all__ = [
    "divergences",
    "few_effective_draws",
    "interrupted",
    "long_paths",
    "no_maximum",
    "not_mixed",
    "rounding",
]

_ESS_PER_CHAIN = 100
"""The effective draws of a chain that summaries need."""
_R_HAT = 1.01
"""The largest R̂ of chains that have mixed."""
_LONG_PATHS = 0.01
"""The share of draws that may use the longest path."""
_LARGEST_FACTOR = 50
"""The factor by which a finding advises to raise the number of draws at most."""
_VANISHING = 0.05
"""A residual standard deviation that goes to zero is below this fraction of the largest one."""
_ROUNDING = 1e-6
"""The share of a standard error that rounding may take."""


def no_maximum(solution: PointSolution) -> Iterator[Finding]:
    """How the optimiser ended, where that was not at a maximum."""
    status = solution.status
    if status.ok:
        return
    what = status.sentence
    if solution.method == "map":
        what = what.replace("the likelihood", "the penalised likelihood")
    where = _vanishing_sigmas(solution) if status is Status.ZERO_RESIDUAL else ""
    yield Finding("error", f"{solution.method.upper()}: {what}", where, status.remedy)


def _vanishing_sigmas(solution: PointSolution) -> str:
    """The residual standard deviations that went to zero, where there are several."""
    sigmas = solution.model.parameters.blocks[-1]
    values = solution.optimum.theta[sigmas.slice]
    if len(values) == 1:
        return ""
    small = values < _VANISHING * max(values.max(), 1e-300)
    return ", ".join(name for name, vanishes in zip(sigmas.names, small, strict=True) if vanishes)


def rounding(solution: PointSolution) -> Iterator[Finding]:
    """Factors beside whose variance that of the residuals is so small that rounding shows."""
    optimum, design, equations = solution.optimum, solution.model.design, solution.model.equations
    if not optimum.status.ok:
        return
    G = equations.covariances(optimum.M, 1.0)
    weights = 1.0 if design.weights is None else design.weights
    weights = weights / equations.residual_sds(optimum.theta) ** 2
    for factor in design.factors:
        sizes = weights * np.einsum("ij,jk,ik->i", factor.Z, G[factor.name], factor.Z)
        ratio = float(np.bincount(factor.codes, sizes).max())
        lost = ratio * np.finfo(float).eps
        if lost > _ROUNDING:
            what = (
                f"in a level the random effects have about {ratio:.0e} times the variance of the "
                f"residuals, so that rounding moves coefficients by some {lost:.0e} standard "
                "errors, and variances by more"
            )
            remedy = "Look for levels in another unit, or make them fixed effects"
            yield Finding("warning", what, factor.name, remedy)


def interrupted(solution: PosteriorSolution) -> Iterator[Finding]:
    """Draws that are fewer than asked for."""
    chains, draws = solution.draws.theta.shape[:2]
    settings = solution.draws.settings
    if (chains, draws) != (settings.chains, settings.draws):
        yield Finding(
            "warning",
            f"sampling was interrupted after {draws} of {settings.draws} draws",
            f"{chains} of {settings.chains} chains",
            "Fit again without interrupting for all draws",
        )


def divergences(solution: PosteriorSolution) -> Iterator[Finding]:
    """Draws whose paths diverged."""
    diverging = solution.draws.stats["diverging"]
    divergent = int(diverging.sum())
    if divergent:
        where = _suspect(solution)
        yield Finding(
            "error",
            f"{divergent} of {diverging.size} draws diverged, so parts of the posterior may "
            "be missing",
            where,
            _against_divergences(solution.draws.settings.target_accept, named=bool(where)),
        )


def _suspect(solution: PosteriorSolution) -> str:
    """The covariance parameter whose divergent draws stand out most from the others; empty where
    there are no others.
    """
    diverging = solution.draws.stats["diverging"].astype(bool)
    theta = solution.draws.theta
    if diverging.all():
        return ""
    ranks = pd.DataFrame(theta.reshape(-1, theta.shape[-1])).rank(pct=True).to_numpy()
    distance = np.abs(ranks[diverging.ravel()].mean(axis=0) - 0.5)
    return f"mostly at extreme values of {solution.model.parameters.names[int(distance.argmax())]}"


def _against_divergences(target: float | None, *, named: bool) -> str:
    """What to do about divergences that remain with a target_accept."""
    from bayeslmm.estimation.posterior.nuts import TARGETS

    which = "the parameter named" if named else "standard deviations and correlations"
    prior = f"give {which} a more informative prior, or simplify the model"
    if target is not None and target < TARGETS[-1]:
        return f"Raise target_accept, which was {target}; or {prior}"
    return prior.capitalize()


def not_mixed(solution: PosteriorSolution) -> Iterator[Finding]:
    """Parameters whose chains differ."""
    r_hat = _of_sampled(solution, "r_hat")
    r_hat = r_hat[r_hat > _R_HAT].sort_values(ascending=False)
    if len(r_hat):
        yield Finding(
            "error",
            f"the chains have not mixed: R̂ is up to {r_hat.max():.3f}, and should be below "
            f"{_R_HAT}",
            listed(list(r_hat.index)),
            "Raise tune and draws to 1000 or more; if that does not help, look at "
            "plot.trace() and simplify the model",
        )


def few_effective_draws(solution: PosteriorSolution) -> Iterator[Finding]:
    """Parameters with so few effective draws that summaries are rough."""
    chains, draws = solution.draws.theta.shape[:2]
    needed = _ESS_PER_CHAIN * chains
    ess = _of_sampled(solution, "ess_bulk")
    # NaN where the draws are too few for an estimate
    ess = ess[~(ess >= needed)].fillna(0.0).sort_values()
    if len(ess):
        fewest = ess.min()
        factor = min(int(np.ceil(1.5 * needed / max(fewest, 1.0))), _LARGEST_FACTOR)
        yield Finding(
            "error",
            f"too few effective draws: {fewest:.0f} where {_ESS_PER_CHAIN} a chain are needed",
            listed(list(ess.index)),
            f"Raise draws to {factor * draws}",
        )


def _of_sampled(solution: PosteriorSolution, diagnostic: str) -> pd.Series:
    """A diagnostic of the coefficients and of the covariance parameters that are not held."""
    model = solution.model
    names = [*(f"beta[{name}]" for name in model.design.coef), *model.parameters.names]
    held = np.r_[np.zeros(len(model.design.coef), dtype=bool), model.held]
    return pd.Series(solution.convergence[diagnostic], index=names)[~held]


def long_paths(solution: PosteriorSolution) -> Iterator[Finding]:
    """Draws that used the longest path of the sampler."""
    reached = solution.draws.stats.get("reached_max_treedepth")
    if reached is not None and reached.mean() > _LONG_PATHS:
        yield Finding(
            "warning",
            f"{100 * reached.mean():.0f}% of the draws used the longest path allowed",
            "",
            "Rescale predictors that differ by orders of magnitude, or raise tune",
        )
