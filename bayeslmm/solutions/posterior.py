"""The solution by NUTS: draws of theta, beta and u from their posterior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayeslmm.equations.linear import Estimates, Functions, over_draws
from bayeslmm.solutions.base import LEVEL, Solution
from bayeslmm.solutions.labelled import labelled_draws, labelled_rows
from bayeslmm.solutions.variances import Variances
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from xarray import DataTree

    from bayeslmm.estimation.posterior.nuts import Draws
    from bayeslmm.specification import Specification

__all__ = ["PosteriorSolution"]

_TAILS = (0.05, 0.95)
"""Quantiles whose effective sample sizes `ess_tail` is the smaller of."""


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorSolution(Solution):
    """Draws from the posterior. Estimates are posterior means, intervals equal-tailed.

    Attributes
    ----------
    model : Specification
    draws : Draws
        The draws as arrays, the sampler's statistics and settings.
    """

    model: Specification
    draws: Draws

    @property
    def method(self) -> Literal["nuts"]:
        """How the model was fitted."""
        return "nuts"

    @property
    def options(self) -> dict[str, object]:
        """The settings of the sampler, but for its target, which it has found itself."""
        own = self.draws.settings
        return {
            "random_seed": own.seed,
            "draws": own.draws,
            "tune": own.tune,
            "chains": own.chains,
            "cores": own.cores,
            "progress": own.progress,
        }

    @cached_property
    def flat(self) -> tuple[Array, Array, tuple[Array, ...]]:
        """Draws of theta, beta and of u by factor, over all chains."""
        theta = self.draws.theta.reshape(-1, self.draws.theta.shape[-1])
        beta = self.draws.beta.reshape(len(theta), -1)
        u = self.draws.u.reshape(len(theta), -1)
        return theta, beta, tuple(self.model.equations.split_u(u).values())

    @cached_property
    def beta(self) -> Array:
        """Posterior means of the coefficients; (p,)."""
        return self.flat[1].mean(axis=0)

    @cached_property
    def u(self) -> tuple[Array, ...]:
        """Posterior means of the random effects; (levels, q), one for each factor."""
        return tuple(u.mean(axis=0) for u in self.flat[2])

    def _relative_factors(self, theta: Array) -> tuple[Array, ...]:
        """M of each factor at each draw of theta; (draws, q, q)."""
        equations = self.model.equations
        return tuple(equations.split_M(np.stack([equations.relative_factors(t) for t in theta])))

    @cached_property
    def M(self) -> tuple[Array, ...]:
        """The relative factors of G at every draw; (draws, q, q), one for each factor."""
        return self._relative_factors(self.flat[0])

    @cached_property
    def moments(self) -> tuple[dict[str, Array], float]:
        """Posterior means of G of one level by factor, and of the residual variance σ²."""
        sigma = self.flat[0][:, -1]
        factors = self.model.design.factors
        G = {
            factor.name: np.einsum("s,sij,skj->ik", sigma**2, m, m) / len(sigma)
            for factor, m in zip(factors, self.M, strict=True)
        }
        return G, float(np.mean(sigma**2))

    def linear(self, functions: Functions, level: float = LEVEL) -> Estimates:
        """Estimates of linear functions of (beta, u)."""
        theta, beta, u = self.flat
        if functions.certain:
            return over_draws(
                functions, lambda part: (part.values(beta, u), None), len(beta), level
            )
        sampled = any(rows.any() for rows in functions.new)
        M = self.M if sampled else tuple(np.zeros((1, 1)) for _ in functions.new)
        rng = np.random.default_rng([self.draws.settings.seed, 2])
        return over_draws(
            functions,
            lambda part: (part.values(beta, u), part.variance(M, theta)),
            len(beta),
            level,
            rng,
        )

    def level_effects(self, position: int, level: float = LEVEL) -> Estimates:
        """Estimates of the random effects of a factor, by level and within it by effect."""
        factors = self.model.design.factors
        factor = factors[position]
        levels, q = len(factor.levels), len(factor.effects)
        functions = Functions.of(
            factors,
            np.zeros((levels * q, self.model.equations.p)),
            {factor.name: np.repeat(np.arange(levels, dtype=np.int32), q)},
            {factor.name: np.tile(np.eye(q), (levels, 1))},
        )
        return self.linear(functions, level)

    def parameters(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta."""
        return Estimates.of_draws(self.flat[0], level)

    def variances(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta with variances for standard deviations and covariances for
        correlations (`Variances`): those of every draw, summarised.
        """
        functions = Variances.of(self.model.design, self.model.parameters)
        return Estimates.of_draws(functions.values(self.flat[0]), level)

    @cached_property
    def tree(self) -> DataTree:
        """The draws with their labels, as ArviZ takes them; see `PosteriorFit.idata`."""
        import arviz_base

        variables, dims, coords = labelled_draws(
            self.model, self.draws.theta, self.draws.beta, self.draws.u
        )
        data, own, rows = labelled_rows(self.model)
        groups = {"posterior": variables, "sample_stats": self.draws.stats, **data}
        attributes: dict[str, Any] = {
            "/": {"formula": self.model.formula, "response": self.model.design.response},
            "posterior": {"sampler": self.draws.sampler, "sampling_time": self.draws.seconds},
        }
        return arviz_base.from_dict(groups, dims=dims | own, coords=coords | rows, attrs=attributes)

    @cached_property
    def convergence(self) -> dict[str, Array]:
        """Effective sample sizes, R̂ and Monte Carlo errors of beta and then theta; NaN for
        parameters that are held.
        """
        from arviz_stats.base import array_stats

        draws = np.concatenate([self.draws.beta, self.draws.theta], axis=-1)
        drawn = np.r_[np.ones(self.draws.beta.shape[-1], dtype=bool), ~self.model.held]
        axes = {"chain_axis": 0, "draw_axis": 1}
        found = {
            "ess_bulk": array_stats.ess(draws[..., drawn], **axes, method="bulk"),
            "ess_tail": array_stats.ess(draws[..., drawn], **axes, method="tail", prob=_TAILS),
            "r_hat": array_stats.rhat(draws[..., drawn], **axes),
            "mcse": array_stats.mcse(draws[..., drawn], **axes),
        }
        out = {name: np.full(len(drawn), np.nan) for name in found}
        for name, values in found.items():
            out[name][drawn] = values
        return out

    def drawn(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        """Values of beta (n, p), M (n, q, q) by factor and theta (n, k), of draws at random."""
        theta, beta, _ = self.flat
        chosen = rng.choice(len(theta), size=n, replace=n > len(theta))
        return beta[chosen], self._relative_factors(theta[chosen]), theta[chosen]

    @cached_property
    def residual_sds(self) -> Array:
        """Standard deviations of the residuals of the rows, weights aside."""
        equations, theta = self.model.equations, self.flat[0]
        if not equations.structured:
            return np.full(equations.n, np.sqrt(self.moments[1]))
        variances = np.zeros(equations.n)
        for row in theta:
            variances += (row[-1] * equations.residual_sds(row)) ** 2
        return np.sqrt(variances / len(theta))

    def residual_covariance(self, rows: Array) -> Array:
        """Posterior mean of the covariance matrix of the residuals of some rows, weights aside."""
        equations, theta = self.model.equations, self.flat[0]
        if not equations.structured:
            return np.diag(np.full(len(rows), self.moments[1]))
        R = np.zeros((len(rows), len(rows)))
        for row in theta:
            R += row[-1] ** 2 * equations.residual_covariance(row, rows)
        return R / len(theta)
