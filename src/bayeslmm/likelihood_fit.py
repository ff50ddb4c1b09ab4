"""A fit by REML or ML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

import numpy as np
from scipy.special import ndtr, ndtri

from bayeslmm import printing, scales
from bayeslmm.errors import MissingAttributeError
from bayeslmm.fits import Fit
from bayeslmm.frames import Array
from bayeslmm.iterations import trace_frame
from bayeslmm.linear import Estimates

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayeslmm.diagnose import Diagnosis
    from bayeslmm.equations import Equations
    from bayeslmm.likelihood import Optimum, Status
    from bayeslmm.linear import Functions
    from bayeslmm.model import Model

__all__ = ["LikelihoodFit"]


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodFit(Fit):
    """Estimates by restricted or full maximum likelihood; made by ``model.fit("reml")`` or "ml".

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the log-likelihood in log(sd) and
    Fisher's z of a correlation, mapped back. A parameter on the boundary has none.

    Attributes
    ----------
    model : Model
        What was fitted.
    optimum : Optimum
        What the optimiser found, with status, trace, Hessian and time.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    >>> round(fit.loglik, 3), round(fit.aic, 3)
    (-159.827, 325.654)
    """

    model: Model
    optimum: Optimum

    _elsewhere: ClassVar[Mapping[str, str]] = {
        "draws": "it is a point estimate. `model.fit('nuts')` draws from the posterior",
        "convergence": "it is a point estimate, without draws to converge. `status` says how the "
        "optimiser ended, and `diagnose()` what to do about it",
    }

    @property
    def method(self) -> Literal["reml", "ml"]:
        """Which likelihood was maximised."""
        return self.optimum.method

    @property
    def status(self) -> Status:
        """How the optimiser ended; its value says it in words."""
        return self.optimum.status

    @property
    def algorithm(self) -> str:
        """What has maximised the likelihood."""
        return self.optimum.algorithm

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations: criterion (-2 log L), largest element of its gradient in the coordinates
        of the default algorithm with σ at its best, seconds since the start, and theta by name.
        """
        return trace_frame(self.model.equations, self.optimum)

    @property
    def loglik(self) -> float:
        """The log-likelihood at its maximum: restricted for REML, so that it depends on X."""
        return -0.5 * self.optimum.criterion

    @property
    def n_parameters(self) -> int:
        """The number of coefficients and covariance parameters."""
        return self.model.equations.p + len(self.model.parameters)

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 n_parameters."""
        return self.optimum.criterion + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + log(rows) n_parameters, for REML too as lme4 has it."""
        return self.optimum.criterion + log(self.model.equations.n) * self.n_parameters

    @property
    def posterior(self) -> NoReturn:
        """A point estimate has no draws: asking for them is an error that says what has."""
        raise MissingAttributeError(
            f"a fit by {self.method.upper()} is a point estimate and has no draws; fit the model "
            "with `model.fit('nuts')` for a posterior, or use `simulate()` for new responses."
        )

    def _page(self) -> printing.Page:
        return printing.of_likelihood_fit(self)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the fit: status, singular directions, dropped columns and rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.diagnose import of_likelihood

        return of_likelihood(self)

    @cached_property
    def _equations(self) -> Equations:
        """The equations with R at the estimate."""
        return self.model.equations.given_residuals(self.optimum.theta)

    @cached_property
    def _solution(self) -> tuple[Array, Array]:
        return self._equations.solve(self.optimum.M)

    @property
    def _beta(self) -> Array:
        return self._solution[0]

    @cached_property
    def _u(self) -> tuple[Array, ...]:
        return tuple(self.model.equations.split_u(self._solution[1]).values())

    @cached_property
    def _M(self) -> list[Array]:
        return self.model.equations.split_M(self.optimum.M)

    @cached_property
    def _moments(self) -> tuple[dict[str, Array], float]:
        sigma = self.optimum.sigma
        return self.model.equations.covariances(self.optimum.M, sigma), sigma**2

    def _linear(self, functions: Functions, level: float) -> Estimates:
        M, sigma = self.optimum.M, self.optimum.sigma
        variance = self._equations.var_linear(M, sigma, functions.X, functions.codes, functions.Z)
        if not functions.certain:
            variance = variance + functions.variance(self._M, self.optimum.theta)
        estimate = functions.values(self._beta, self._u)
        return Estimates.normal(estimate, np.sqrt(variance), level)

    @cached_property
    def _conditional_sd(self) -> tuple[Array, ...]:
        variances = self._equations.var_u(self.optimum.M, self.optimum.sigma, beta_known=True)
        return tuple(
            np.sqrt(np.diagonal(blocks, axis1=1, axis2=2)).ravel() for blocks in variances.values()
        )

    def _effects(self, position: int, level: float) -> Estimates:
        return Estimates.normal(self._u[position].ravel(), self._conditional_sd[position], level)

    def _parameters(self, level: float) -> Estimates:
        theta, bounds = self.optimum.theta, self.model.parameters.bounds
        vcov = np.diag(self.optimum.vcov)
        sd = np.sqrt(np.where(vcov >= 0, vcov, np.nan))
        half = float(ndtri((1 + level) / 2)) * sd
        with np.errstate(divide="ignore", invalid="ignore"):
            working = scales.working(theta, bounds)
            lower = scales.natural(working - half, bounds)
            upper = scales.natural(working + half, bounds)
        std_error = scales.slopes(theta, bounds) * sd
        return Estimates(np.where(self._undefined, np.nan, theta), std_error, lower, upper)

    @cached_property
    def _undefined(self) -> Array:
        """Correlations with an effect whose variance is zero."""
        parameters, optimum = self.model.parameters, self.optimum
        undefined = np.zeros(len(parameters), dtype=bool)
        for block in parameters.blocks:
            if block.kind != "corr" or block.factor is None:
                continue
            sds = parameters.find(block.factor, block.bar, "sd")
            if sds is None:
                continue
            zero = {
                label
                for label, at in zip(sds.labels, range(sds.start, sds.stop), strict=True)
                if optimum.boundary[at]
            }
            undefined[block.start : block.stop] = [
                bool(zero.intersection(pair)) for pair in block.labels
            ]
        return undefined

    def _statistics(self, fixed: Estimates) -> dict[str, Array]:
        p, k = self.model.equations.p, len(self.model.parameters)
        t = fixed.estimate / fixed.std_error
        nan = np.full(k, np.nan)
        return {
            "df": np.concatenate([np.full(p, np.inf), nan]),
            "t": np.concatenate([t, nan]),
            "p": np.concatenate([2 * ndtr(-np.abs(t)), nan]),
        }

    def _truths(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        return (
            np.tile(self._beta, (n, 1)),
            tuple(np.tile(m, (n, 1, 1)) for m in self._M),
            np.tile(self.optimum.theta, (n, 1)),
        )

    @property
    def _residual_sds(self) -> Array:
        return self.optimum.sigma * self.model.equations.residual_sds(self.optimum.theta)

    def _residual_covariance(self, rows: Array) -> Array:
        R = self.model.equations.residual_covariance(self.optimum.theta, rows)
        return self.optimum.sigma**2 * R
