"""Solutions that are point estimates: by REML, by ML, or as a posterior mode."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bayeslmm.design.parameters import bars_together
from bayeslmm.equations.equations import EquationsWithPrior
from bayeslmm.equations.linear import Estimates
from bayeslmm.errors import ArgumentError, MissingAttributeError
from bayeslmm.estimation.likelihood.iterations import trace_frame
from bayeslmm.solutions.base import LEVEL, Solution
from bayeslmm.solutions.degrees_of_freedom.methods import DF, df_method, wald
from bayeslmm.solutions.degrees_of_freedom.satterthwaite import satterthwaite
from bayeslmm.solutions.degrees_of_freedom.wald import ByStratum, Strata, t_columns, t_intervals
from bayeslmm.solutions.variances import Variances
from bayeslmm.support import scales
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.equations.linear import Functions
    from bayeslmm.estimation.optimum import Optimum, Status
    from bayeslmm.solutions.degrees_of_freedom.wald import Wald
    from bayeslmm.specification import Specification

__all__ = ["LikelihoodSolution", "MapSolution", "PointSolution", "no_draws"]


@dataclass(frozen=True, eq=False, repr=False)
class PointSolution(Solution):
    """Estimates at the maximum of a criterion.

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the criterion in log(sd) and Fisher's z
    of a correlation, mapped back. A parameter on the boundary has none; one that is held has a
    standard error of 0.

    Attributes
    ----------
    model : Specification
    optimum : Optimum
        What the optimiser found, with status, trace, Hessian and time.
    """

    model: Specification
    optimum: Optimum

    @property
    @abstractmethod
    def loglik(self) -> float:
        """The log-likelihood at the estimate."""

    @property
    @abstractmethod
    def trace(self) -> pd.DataFrame:
        """The iterations, a row each."""

    @abstractmethod
    def at(self, equations: Equations, theta: Array) -> Equations:
        """Equations of this model, of any rows, with R at theta."""

    @abstractmethod
    def maximise(self, equations: Equations) -> Optimum:
        """The optimum of equations of this model, of any rows."""

    @abstractmethod
    def _new_wald(self, df: DF) -> Wald:
        """Tests of functions of beta with degrees of freedom of a kind."""

    @property
    def status(self) -> Status:
        """How the optimiser ended."""
        return self.optimum.status

    @property
    def n_parameters(self) -> int:
        """The number of coefficients and covariance parameters, without those that are held."""
        return self.model.equations.p + int((~self.model.held).sum())

    def wald(self, df: DF) -> Wald:
        """Tests of functions of beta, by t and F with degrees of freedom of a kind."""
        method = df_method(df)
        if method not in self._known_wald:
            self._known_wald[method] = self._new_wald(method)
        return self._known_wald[method]

    @cached_property
    def _known_wald(self) -> dict[DF, Wald]:
        """What was computed for each way of finding degrees of freedom."""
        return {}

    def tested_coefficients(self, level: float, df: DF) -> tuple[Estimates, dict[str, Array]]:
        """Estimates of beta, and the columns df, t and p."""
        tests, each = self.wald(df), np.eye(self.model.equations.p)
        std_error, own = np.sqrt(np.diag(tests.vcov)), tests.df(each)
        fixed = t_intervals(self.beta, std_error, own, level)
        return fixed, t_columns(self.beta, std_error, own)

    @cached_property
    def equations(self) -> Equations:
        """The equations with R at the estimate."""
        return self.at(self.model.equations, self.optimum.theta)

    @cached_property
    def _solved(self) -> tuple[Array, Array]:
        return self.equations.solve(self.optimum.M)

    @property
    def beta(self) -> Array:
        """Estimates of the coefficients; (p,)."""
        return self._solved[0]

    @cached_property
    def u(self) -> tuple[Array, ...]:
        """BLUPs of the random effects; (levels, q), one for each factor."""
        return tuple(self.model.equations.split_u(self._solved[1]).values())

    @cached_property
    def M(self) -> list[Array]:
        """The relative factors of G; (q, q), one for each factor."""
        return self.model.equations.split_M(self.optimum.M)

    @cached_property
    def moments(self) -> tuple[dict[str, Array], float]:
        """Estimates of G of one level by factor, and of the residual variance σ²."""
        sigma = self.optimum.sigma
        return self.model.equations.covariances(self.optimum.M, sigma), sigma**2

    def linear(self, functions: Functions, level: float = LEVEL) -> Estimates:
        """Estimates of linear functions of (beta, u)."""
        M, sigma = self.optimum.M, self.optimum.sigma
        variance = self.equations.var_linear(
            M, sigma, functions.X, functions.codes, functions.Z, functions.relatives
        )
        if not functions.certain:
            variance = variance + functions.variance(self.M, self.optimum.theta)
        estimate = functions.values(self.beta, self.u)
        df = np.full(len(functions), np.inf)
        alone = functions.of_beta
        if alone.any():
            df[alone] = self.wald("satterthwaite").df(functions.X[alone])
        return t_intervals(estimate, np.sqrt(variance), df, level)

    @cached_property
    def _conditional_sd(self) -> tuple[Array, ...]:
        variances = self.equations.var_u(self.optimum.M, self.optimum.sigma, beta_known=True)
        return tuple(
            np.sqrt(np.diagonal(blocks, axis1=1, axis2=2)).ravel() for blocks in variances.values()
        )

    def level_effects(self, position: int, level: float = LEVEL) -> Estimates:
        """Estimates of the random effects of a factor, by level and within it by effect."""
        return Estimates.normal(self.u[position].ravel(), self._conditional_sd[position], level)

    def parameters(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta."""
        theta, bounds = self.optimum.theta, self.model.parameters.bounds
        vcov = np.diag(self.optimum.vcov)
        sd = np.sqrt(np.where(vcov >= 0, vcov, np.nan))
        half = float(ndtri((1 + level) / 2)) * sd
        with np.errstate(divide="ignore", invalid="ignore"):
            working = scales.working(theta, bounds)
            lower = scales.natural(working - half, bounds)
            upper = scales.natural(working + half, bounds)
        std_error = scales.slopes(theta, bounds) * sd
        held = self.model.held
        std_error = np.where(held, 0.0, std_error)
        lower, upper = np.where(held, theta, lower), np.where(held, theta, upper)
        return Estimates(np.where(self.undefined, np.nan, theta), std_error, lower, upper)

    def variances(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta with variances for standard deviations and covariances for
        correlations (`Variances`).

        Standard errors are by the delta method. Intervals of variances have the squared ends of
        those of standard deviations, and those of covariances are symmetric.
        """
        theta, vcov, held = self.optimum.theta, self.optimum.vcov, self.model.held
        functions = Variances.of(self.model.design, self.model.parameters)
        estimate, of_theta = functions.values(theta), self.parameters(level)
        jacobian = functions.jacobian(theta) * scales.slopes(theta, self.model.parameters.bounds)
        known = (np.diag(vcov) >= 0) & ~held
        vcov = np.where(np.outer(known, known), vcov, 0.0)
        # squares of derivatives in units of y² may overflow
        size = np.abs(jacobian).max(axis=1, keepdims=True)
        jacobian = np.divide(jacobian, size, out=np.zeros_like(jacobian), where=size > 0)
        std_error = size[:, 0] * np.sqrt(np.einsum("ij,jk,ik->i", jacobian, vcov, jacobian))
        std_error[(functions.arguments & ~(known | held)).any(axis=1)] = np.nan
        wald = Estimates.normal(estimate, std_error, level)
        squared, covariances = functions.squared, functions.covariances
        lower, upper = (
            np.where(covariances, end, np.where(squared, np.square(other), other))
            for end, other in ((wald.lower, of_theta.lower), (wald.upper, of_theta.upper))
        )
        estimate = np.where(squared | covariances, estimate, of_theta.estimate)
        return Estimates(estimate, std_error, lower, upper)

    @cached_property
    def undefined(self) -> Array:
        """Whether each parameter is undefined: correlations with an effect whose variance is zero,
        and those of a structure when none of its effects varies.
        """
        parameters, optimum = self.model.parameters, self.optimum
        undefined = np.zeros(len(parameters), dtype=bool)
        for block in parameters.blocks:
            if block.kind == "sd" or block.factor is None:
                continue
            factor = self.model.design.factor(block.factor)
            if factor.bars[block.bar].shape is not None:
                own, _ = bars_together(parameters, factor, block.bar)
                none = all(optimum.boundary[b.slice].all() for b in own)
                undefined[block.slice] = none
                continue
            sds = parameters.find(block.factor, block.bar, "sd")
            if sds is None:
                continue
            zero = {
                label
                for label, at in zip(sds.labels, range(sds.start, sds.stop), strict=True)
                if optimum.boundary[at]
            }
            undefined[block.slice] = [bool(zero.intersection(pair)) for pair in block.labels]
        return undefined

    def drawn(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        """Values of beta (n, p), M (n, q, q) by factor and theta (n, k): the estimates, n times."""
        return (
            np.tile(self.beta, (n, 1)),
            tuple(np.tile(m, (n, 1, 1)) for m in self.M),
            np.tile(self.optimum.theta, (n, 1)),
        )

    @property
    def residual_sds(self) -> Array:
        """Standard deviations of the residuals of the rows, weights aside."""
        return self.optimum.sigma * self.model.equations.residual_sds(self.optimum.theta)

    def residual_covariance(self, rows: Array) -> Array:
        """Covariance matrix of the residuals of some rows, weights aside."""
        R = self.model.equations.residual_covariance(self.optimum.theta, rows)
        return self.optimum.sigma**2 * R


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodSolution(PointSolution):
    """Estimates by restricted or full maximum likelihood."""

    @property
    def method(self) -> Literal["reml", "ml"]:
        """Which likelihood was maximised."""
        return "ml" if self.optimum.method == "ml" else "reml"

    @property
    def options(self) -> dict[str, object]:
        """The algorithm, and the information that its steps are made with."""
        optimum = self.optimum
        return {"algorithm": optimum.algorithm, "information": optimum.information}

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations; see `LikelihoodFit.trace`."""
        return trace_frame(self.model.equations, self.optimum)

    @property
    def loglik(self) -> float:
        """The log-likelihood at its maximum: restricted for REML, so that it depends on X."""
        return -0.5 * self.optimum.criterion

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 n_parameters."""
        return self.optimum.criterion + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + log(rows) n_parameters, for REML too as lme4 has it."""
        return self.optimum.criterion + log(self.model.equations.n) * self.n_parameters

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples, aic + 2k(k + 1)/(n - k - 1); NaN without rows to
        spare.
        """
        k, n = self.n_parameters, self.model.equations.n
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.nan

    def at(self, equations: Equations, theta: Array) -> Equations:
        """Equations of this model, of any rows, with R at theta."""
        return equations.given_residuals(theta)

    def maximise(self, equations: Equations) -> Optimum:
        """The optimum of equations of this model, of any rows."""
        from bayeslmm.estimation.likelihood.held import optimise_held
        from bayeslmm.estimation.likelihood.quasi_newton import optimise

        if self.model.held.any():
            return optimise_held(equations, self.method, self.model.priors)
        return optimise(equations, self.method)

    def _new_wald(self, df: DF) -> Wald:
        return wald(self.model, self.optimum, df)


@dataclass(frozen=True, eq=False, repr=False)
class MapSolution(PointSolution):
    """The mode of the posterior of theta, with beta and u at their means given it."""

    @property
    def method(self) -> Literal["map"]:
        """That the posterior was maximised."""
        return "map"

    @property
    def options(self) -> dict[str, object]:
        """Nothing: there is one way to maximise."""
        return {}

    @cached_property
    def loglik(self) -> float:
        """The log-likelihood at the mode, with beta integrated out under its prior."""
        model, priors = self.model, self.model.priors
        theta = self.optimum.theta
        value, _ = model.equations.collapsed(theta, priors.beta_mean, priors.beta_precision)
        return float(value)

    @property
    def log_prior(self) -> float:
        """The log prior density of theta at the mode, without normalising constants."""
        return -0.5 * self.optimum.criterion - self.loglik

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations; see `MapFit.trace`."""
        steps, names = self.optimum.trace, list(self.model.parameters.names)
        table = pd.DataFrame(
            {
                "criterion": [step.criterion for step in steps],
                "gradient": [step.gradient for step in steps],
                "seconds": [step.seconds for step in steps],
            },
            index=pd.RangeIndex(len(steps), name="iteration"),
        )
        theta = np.array([step.working for step in steps]).reshape(len(steps), len(names))
        return table.join(pd.DataFrame(theta, columns=names, index=table.index))

    def at(self, equations: Equations, theta: Array) -> Equations:
        """Equations with R and sigma at theta and the prior of beta among the data."""
        return self._prior_added(equations).given_residuals(theta)

    def maximise(self, equations: Equations) -> Optimum:
        """The optimum of equations of this model, of any rows."""
        from bayeslmm.estimation.posterior.penalised import maximise_posterior

        return maximise_posterior(equations, self.model.priors)

    def _new_wald(self, df: DF) -> Wald:
        """As for a likelihood, with the covariance matrix that beta has under its prior."""
        if df == "satterthwaite":
            return satterthwaite(self._prior_added(self.model.equations), self.optimum)
        if df not in ("residual", "none"):
            raise ArgumentError(
                f"df={df!r} is derived for REML, and a fit by MAP has only 'satterthwaite', "
                "'residual' and 'none'."
            )
        equations = self.model.equations
        each = float(equations.n - equations.p) if df == "residual" else np.inf
        vcov = self.equations.var_beta(self.optimum.M, self.optimum.sigma)
        return ByStratum(vcov, Strata.one(each, equations.p))

    def _prior_added(self, equations: Equations) -> EquationsWithPrior:
        priors = self.model.priors
        return EquationsWithPrior.of_prior(equations, priors.beta_mean, priors.beta_precision)


def no_draws(method: str) -> MissingAttributeError:
    """The error that a point estimate has no draws."""
    return MissingAttributeError(
        f"a fit by {method.upper()} is a point estimate and has no draws; fit the model with "
        "`model.fit('nuts')` for a posterior, or use `simulate()` for new responses."
    )
