"""A fit by penalised likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import pandas as pd

from bayeslmm.api.point_fit import PointFit
from bayeslmm.reports import of_fit as pages
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslmm.criticism.findings import Diagnosis
    from bayeslmm.solutions.point import MapSolution
    from bayeslmm.specification import Specification
    from bayeslmm.support.pages import Page

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
class MapFit[M: Specification](PointFit[M]):
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
    solution : MapSolution
        What was estimated, as arrays.

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

    model: M
    solution: MapSolution

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
        return self.solution.optimum.criterion

    @property
    def loglik(self) -> float:
        """The log-likelihood at the mode, with beta integrated out under its prior."""
        return self.solution.loglik

    @property
    def log_prior(self) -> float:
        """The log prior density of theta at the mode, without normalising constants."""
        return self.solution.log_prior

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations: a row each with the criterion, the largest element of its gradient,
        seconds since the start, and theta by name.
        """
        return self.solution.trace

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
        return wald_intervals(self.solution, level, parameters)

    def _page(self) -> Page:
        return pages.of_map_fit(self.solution)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the fit: status, variances of zero, dropped columns and rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.criticism.diagnose import diagnose

        return diagnose(self.solution)
