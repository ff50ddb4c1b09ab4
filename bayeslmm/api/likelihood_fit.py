"""A fit by REML or ML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from bayeslmm.api.point_fit import PointFit
from bayeslmm.reports import of_fit as pages
from bayeslmm.solutions.base import LEVEL
from bayeslmm.support.arguments import probability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from xarray import DataTree

    from bayeslmm.comparison.conditional_aic import ConditionalAIC
    from bayeslmm.criticism.findings import Diagnosis
    from bayeslmm.effects.quantity_table import QuantityTable
    from bayeslmm.inference.profile.profile import Profile
    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.specification import Specification
    from bayeslmm.support.pages import Page

__all__ = ["LikelihoodFit"]


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodFit[M: Specification](PointFit[M]):
    """Estimates by restricted or full maximum likelihood; made by ``model.fit("reml")`` or "ml".

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the log-likelihood in log(sd) and
    Fisher's z of a correlation, mapped back. A parameter on the boundary has none; one that is held
    has a standard error of 0.

    Attributes
    ----------
    model : Model
        What was fitted.
    solution : LikelihoodSolution
        What was estimated, as arrays.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    >>> round(fit.loglik, 3), round(fit.aic, 3)
    (-159.827, 325.654)
    """

    model: M
    solution: LikelihoodSolution

    @property
    def method(self) -> Literal["reml", "ml"]:
        """Which likelihood was maximised."""
        return self.solution.method

    @property
    def trace(self) -> pd.DataFrame:
        """The iterations: criterion (-2 log L), largest element of its gradient in the coordinates
        of the default algorithm with σ at its best, seconds since the start, and theta by name.
        """
        return self.solution.trace

    @property
    def loglik(self) -> float:
        """The log-likelihood at its maximum: restricted for REML, so that it depends on X."""
        return self.solution.loglik

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 n_parameters."""
        return self.solution.aic

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + log(rows) n_parameters, for REML too as lme4 has it."""
        return self.solution.bic

    def _page(self) -> Page:
        return pages.of_likelihood_fit(self.solution)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the fit: status, singular directions, dropped columns and rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.criticism.diagnose import diagnose

        return diagnose(self.solution)

    # -- intervals ------------------------------------------------------------------------------

    def profile(
        self, parameters: str | Sequence[str] | None = None, level: float = 0.99
    ) -> Profile:
        """Profile the likelihood: intervals that do not take it to be normal.

        The criterion is that of ML, also for a fit by REML, which is then fitted by ML first, as
        lme4 does: a restricted likelihood says nothing about the coefficients.

        Parameters
        ----------
        parameters : str or list of str, optional
            Names of `summary`; all by default.
        level : float
            Probability of the widest intervals that the profile is to have.

        Returns
        -------
        Profile
            With ``intervals(level)``, ``zeta(parameter, value)``, ``frame()`` and ``plot()``.

        Raises
        ------
        ArgumentError
            For an unknown parameter, and where no maximum was found.

        Warns
        -----
        ConvergenceWarning
            When a likelihood greater than that of the fit is met.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").profile("sd_Subject[Days]").intervals(0.95).round(2)
                          estimate  lower  upper
        parameter
        sd_Subject[Days]      5.72    3.8   8.75
        """
        from bayeslmm.inference.profile.profile import profile

        return profile(self.solution, parameters, level)

    def bootstrap(
        self,
        n: int = 1000,
        kind: Literal["parametric", "residual", "cases"] = "parametric",
        random_seed: int | None = None,
        jobs: int | None = None,
    ) -> DataTree:
        """Refit the model to other data: the sampling distribution of its estimates.

        Parameters
        ----------
        n : int
            How many refits.
        kind : {"parametric", "residual", "cases"}
            Responses simulated at the estimates; from predicted random effects and residuals, drawn
            with replacement after they are given the covariance that was estimated; or groups drawn
            with replacement, with all their rows.
        random_seed : int, optional
            For the same draws again, whatever `jobs` is.
        jobs : int, optional
            Processes; by default several where that is quicker.

        Returns
        -------
        xarray.DataTree
            Group ``posterior``, the name that ArviZ looks for, with one chain and the variables of
            a posterior but for the random effects. Attributes say how many refits failed
            (``n_failed``, which are left out) and were singular (``n_singular``).

        Raises
        ------
        ArgumentError
            For an unknown kind, one that does not suit the model, and where no refit has estimates.

        Warns
        -----
        ConvergenceWarning
            When some refits have no estimates.

        Notes
        -----
        Refits start at the estimate and make no Hessian. "cases" draws levels of the factor that
        the others, and the subjects of R, are nested in; "residual" draws residuals that are
        independent, and gives them the correlations of R.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
        >>> draws = fit.bootstrap(200, random_seed=1)
        >>> draws["posterior"]["sd_Batch"].dims
        ('chain', 'draw', 'Batch_effect_sd')
        """
        from bayeslmm.inference.bootstrap import bootstrap

        return bootstrap(self.solution, n, kind, random_seed, jobs)

    def confint(
        self,
        method: Literal["profile", "wald", "bootstrap"] = "profile",
        level: float = 0.95,
        parameters: str | Sequence[str] | None = None,
        n: int | None = None,
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """Confidence intervals of coefficients and covariance parameters.

        Parameters
        ----------
        method : {"profile", "wald", "bootstrap"}
            From `profile`, which is of the likelihood by ML; those of `summary`; or quantiles of
            a parametric `bootstrap`.
        level : float
            Probability of the intervals, between 0 and 1.
        parameters : str or list of str, optional
            Names of `summary`; all by default.
        n, random_seed : int, optional
            Of the bootstrap: how many refits, 1000 by default, and for the same ones again.

        Returns
        -------
        pandas.DataFrame
            ``estimate``, ``lower``, ``upper``, indexed as `summary`. With "profile" the estimates
            are those by ML.

        Raises
        ------
        ArgumentError
            For an unknown method or parameter, and `n` or `random_seed` without a bootstrap.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
        >>> fit.confint().round(1)
                             estimate   lower   upper
        parameter
        beta[Intercept]        1527.5  1486.5  1568.5
        sd_Batch[Intercept]      37.3    12.2    84.1
        sigma                    49.5    38.2    67.7
        """
        from bayeslmm.inference.intervals import confint

        return confint(self.solution, method, level, parameters, n, random_seed)

    # -- variance -------------------------------------------------------------------------------

    def icc(
        self,
        group: str | None = None,
        at: Mapping[str, object] | None = None,
        level: float = LEVEL,
        method: Literal["delta", "bootstrap"] = "delta",
        n: int | None = None,
        random_seed: int | None = None,
    ) -> QuantityTable:
        """Intraclass correlations: the share that random effects have in the variance.

        Parameters
        ----------
        group : str, optional
            The grouping factor whose share it is; by default that of all of them together and,
            where there are several, of each.
        at : dict of str to list, optional
            Values of the covariates that the variance depends on, ``{"Days": [0, 5, 9]}``: those of
            random slopes, of strata and of R. A number that is not among them is at its mean.
        level : float
            Probability of the intervals, between 0 and 1.
        method : {"delta", "bootstrap"}
            How standard errors and intervals are made. Those of a parametric `bootstrap` exist
            where a variance is estimated as zero too.
        n, random_seed : int, optional
            Of the bootstrap: how many refits, 1000 by default, and for the same ones again.

        Returns
        -------
        QuantityTable
            As `Fit.icc`.

        Raises
        ------
        ArgumentError
            As `Fit.icc`; for `n` or `random_seed` without a bootstrap.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
        >>> fit.icc(method="bootstrap", n=200, random_seed=1).loc["adjusted"].round(1).to_dict()
        {'estimate': 0.4, 'std_error': 0.2, 'lower': 0.0, 'upper': 0.7}
        """
        from bayeslmm.effects.explained import icc
        from bayeslmm.inference.intervals import refits_of

        refits = refits_of(self.solution, method, n, random_seed)
        return icc(self.solution, group, at, probability(level), refits)

    def r2(
        self,
        group: str | None = None,
        level: float = LEVEL,
        method: Literal["delta", "bootstrap"] = "delta",
        n: int | None = None,
        random_seed: int | None = None,
    ) -> QuantityTable:
        """R²: the share of the variance of the response that the model explains.

        Parameters
        ----------
        group : str, optional
            A grouping factor, for R² of the fixed effects within its levels and between them.
        level : float
            Probability of the intervals, between 0 and 1.
        method : {"delta", "bootstrap"}
            How standard errors and intervals are made.
        n, random_seed : int, optional
            Of the bootstrap: how many refits, 1000 by default, and for the same ones again.

        Returns
        -------
        QuantityTable
            As `Fit.r2`.

        Raises
        ------
        ArgumentError
            As `Fit.r2`; for `n` or `random_seed` without a bootstrap.
        """
        from bayeslmm.effects.explained import r2
        from bayeslmm.inference.intervals import refits_of

        refits = refits_of(self.solution, method, n, random_seed)
        return r2(self.solution, group, probability(level), refits)

    # -- comparing ------------------------------------------------------------------------------

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples, aic + 2k(k + 1)/(n - k - 1); NaN without rows to
        spare.
        """
        return self.solution.aicc

    @property
    def caic(self) -> float:
        """The conditional Akaike criterion, for predictions of the same groups.

        That of Vaida and Blanchard (2005) with the correction of Greven and Kneib (2010) for θ
        having been estimated; `conditional_aic` has its parts. Parameters of a structured R count
        one each, beside what they change in the fitted values.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> round(model.fit("reml").caic, 2)
        1711.52
        """
        return self.conditional_aic.value

    @cached_property
    def conditional_aic(self) -> ConditionalAIC:
        """Log-likelihood given the random effects, and effective degrees of freedom."""
        from bayeslmm.comparison.conditional_aic import conditional_aic

        return conditional_aic(self.solution)

    def drop1(self) -> pd.DataFrame:
        """Test each fixed-effect term that no other term contains, by a refit without it.

        By ML, also for a fit by REML, which is then fitted by ML first: likelihoods by REML with
        different fixed parts are not comparable.

        Returns
        -------
        pandas.DataFrame
            A row for the whole model, ``<none>``, and one for each term: ``loglik``, ``aic`` and
            ``bic`` without it, and the likelihood-ratio test ``chi2``, ``df``, ``p``.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("ml").drop1()[["aic", "chi2", "df"]].round(2)
                    aic   chi2   df
        term
        <none>  1763.94    NaN  NaN
        Days    1785.48  23.54  1.0
        """
        from bayeslmm.comparison.single_terms import drop1

        return drop1(self.solution)

    def random_structures(self) -> pd.DataFrame:
        """Walk from these random effects to simpler ones, and report each step.

        Correlations go first, a bar at a time, then effects, an intercept after the others; each
        step is the one that costs the least likelihood. Nothing is chosen: where to stop, if
        anywhere, is debated (Barr et al. 2013, Journal of Memory and Language 68, 255-278, keep the
        maximal structure; Matuschek et al. 2017, the same journal 94, 305-315, do not).

        Returns
        -------
        pandas.DataFrame
            A row for each step: what ``change`` it makes, the ``random`` effects then,
            ``parameters``, ``loglik``, ``aic``, ``bic``, whether the fit is ``singular``, and the
            test of the step before against this one as in `bayeslmm.compare`.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("ml").random_structures()[["random", "aic", "p"]].round(3)
                                        random       aic    p
        step
        0           (Intercept + Days | Subject)  1763.939  NaN
        1          (Intercept + Days || Subject)  1762.003  0.8
        2                  (Intercept | Subject)  1802.079  0.0
        """
        from bayeslmm.comparison.random_effects import random_structures

        return random_structures(self.solution)
