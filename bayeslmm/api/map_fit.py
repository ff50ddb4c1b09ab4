"""A fit by penalised likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd

from bayeslmm.api.point_fit import PointFit
from bayeslmm.equations.equations import EquationsWithPrior
from bayeslmm.errors import ArgumentError
from bayeslmm.reports import printing
from bayeslmm.solutions.degrees_of_freedom.satterthwaite import satterthwaite
from bayeslmm.solutions.degrees_of_freedom.wald import ByStratum, Strata
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslmm.api.model import Model
    from bayeslmm.criticism.diagnose import Diagnosis
    from bayeslmm.data.frames import Array
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.quasi_newton import Optimum
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.solutions.degrees_of_freedom.wald import Wald

__all__ = ["MapFit"]


_OF_LIKELIHOODS = (
    *("aic", "aicc", "bic", "caic", "conditional_aic", "drop1", "random_structures"),
    *("profile", "bootstrap"),
)
_UNPENALISED = (
    "it is of a likelihood at its maximum, without penalty. Fit by 'reml' or 'ml'; for intervals "
    "use confint('wald'), or fit by 'nuts'"
)


@dataclass(frozen=True, eq=False, repr=False)
class MapFit(PointFit):
    """The mode of the posterior of theta; made by ``model.fit("map")``.

    The log-likelihood with beta integrated out under its prior, plus the log prior density of the
    covariance parameters, is maximised over them: REML with a penalty. The density is that of
    standard deviations and correlations as they are reported, not of their logarithms or squares.
    Coefficients and random effects are then the posterior means given theta, with the posterior
    standard deviations given theta as standard errors. Those of theta come from the curvature of
    the penalised log-likelihood, on the scales that fits by REML use. With flat priors all of
    it is REML's.

    Whether a variance can be estimated as zero is for its prior to say. The default, half Student's
    t, is highest at zero and allows it. A density that is zero there does not:
    ``bl.Gamma(2, rate)``, with a rate so small that the density rises over all values that matter,
    adds log(sd) and little else (Chung, Rabe-Hesketh, Dorie, Gelman and Liu 2013, Psychometrika 78,
    685-709); the package blme has sd^1.5 by default, which is ``bl.Gamma(2.5, rate)`` so.

    Attributes
    ----------
    model : Model
        What was fitted.
    optimum : Optimum
        What the optimiser found, with status, trace, Hessian and time.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("Dyestuff2")
    >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors={"sd": bl.Gamma(2, 1e-4)})
    >>> model.fit("reml").theta.round(2).to_dict()
    {'sd_Batch[Intercept]': 0.0, 'sigma': 3.72}
    >>> model.fit("map").theta.round(2).to_dict()
    {'sd_Batch[Intercept]': 1.17, 'sigma': 3.65}
    """

    _elsewhere: ClassVar[Mapping[str, str]] = {
        **PointFit._elsewhere,
        **dict.fromkeys(_OF_LIKELIHOODS, _UNPENALISED),
    }

    @property
    def method(self) -> Literal["map"]:
        """That the posterior was maximised."""
        return "map"

    @property
    def criterion(self) -> float:
        """-2 (log-likelihood + log prior density) at the mode; prior densities are without their
        normalising constants.
        """
        return self.optimum.criterion

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
        return -0.5 * self.criterion - self.loglik

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations: a row each with the criterion, the largest element of its gradient,
        seconds since the start, and theta by name.
        """
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

    def confint(
        self,
        method: Literal["profile", "wald", "bootstrap"] = "wald",
        level: float = 0.95,
        parameters: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """The intervals of `summary`: others are of a likelihood without penalty.

        Parameters
        ----------
        method : {"wald"}
        level : float
            Probability of the intervals, between 0 and 1.
        parameters : str or list of str, optional
            Names of `summary`; all by default.

        Returns
        -------
        pandas.DataFrame
            ``estimate``, ``lower``, ``upper``, indexed as `summary`.

        Raises
        ------
        ArgumentError
            For an unknown method or parameter.
        MissingAttributeError
            For "profile" and "bootstrap".
        """
        from bayeslmm.inference.intervals import wald_intervals

        given = one_of("method", method, ("wald", "profile", "bootstrap"))
        if given != "wald":
            getattr(self, given)
        return wald_intervals(self, level, parameters)

    def _fit_again(self, model: Model) -> MapFit:
        return model.fit("map")

    def _page(self) -> printing.Page:
        return printing.of_map_fit(self)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the fit: status, variances of zero, dropped columns and rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.criticism.diagnose import of_map

        return of_map(self)

    def _new_wald(self, df: DF) -> Wald:
        """As for a likelihood, with the covariance matrix that beta has under its prior."""
        if df == "satterthwaite":
            return satterthwaite(self._with_prior, self.optimum)
        if df not in ("residual", "none"):
            raise ArgumentError(
                f"df={df!r} is derived for REML, and a fit by MAP has only 'satterthwaite', "
                "'residual' and 'none'."
            )
        equations = self.model.equations
        each = float(equations.n - equations.p) if df == "residual" else np.inf
        vcov = self._equations.var_beta(self.optimum.M, self.optimum.sigma)
        return ByStratum(vcov, Strata.one(each, equations.p))

    @cached_property
    def _with_prior(self) -> EquationsWithPrior:
        return self._prior_added(self.model.equations)

    def _prior_added(self, equations: Equations) -> EquationsWithPrior:
        priors = self.model.priors
        return EquationsWithPrior.of_prior(equations, priors.beta_mean, priors.beta_precision)

    def _given(self, equations: Equations, theta: Array) -> Equations:
        """Equations with R and sigma at theta and the prior of beta among the data."""
        return self._prior_added(equations).given_residuals(theta)

    def _maximum(self, equations: Equations) -> Optimum:
        from bayeslmm.estimation.posterior.penalised import maximise_posterior

        return maximise_posterior(equations, self.model.priors)
