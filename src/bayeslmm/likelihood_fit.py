"""A fit by REML or ML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

import numpy as np
from scipy.special import ndtri

from bayeslmm import printing, scales
from bayeslmm.arguments import probability
from bayeslmm.degrees_of_freedom import DF, df_method, wald
from bayeslmm.effect_tests import anova_table, contrast_table, joint_table
from bayeslmm.errors import MissingAttributeError
from bayeslmm.fits import Fit
from bayeslmm.frames import Array
from bayeslmm.iterations import trace_frame
from bayeslmm.linear import Estimates
from bayeslmm.wald import t_columns, t_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from xarray import DataTree

    from bayeslmm.conditional_aic import ConditionalAIC
    from bayeslmm.diagnose import Diagnosis
    from bayeslmm.equations import Equations
    from bayeslmm.likelihood import Optimum, Status
    from bayeslmm.linear import Functions
    from bayeslmm.model import Model
    from bayeslmm.profile_likelihood import Profile
    from bayeslmm.wald import Wald

__all__ = ["LikelihoodFit"]

_LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodFit(Fit):
    """Estimates by restricted or full maximum likelihood; made by ``model.fit("reml")`` or "ml".

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the log-likelihood in log(sd) and
    Fisher's z of a correlation, mapped back. A parameter on the boundary has none; one that is held
    has a standard error of 0.

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
        return "ml" if self.optimum.method == "ml" else "reml"

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
        """The number of coefficients and covariance parameters, without those that are held."""
        return self.model.equations.p + int((~self.model.held).sum())

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 n_parameters."""
        return self.optimum.criterion + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + log(rows) n_parameters, for REML too as lme4 has it."""
        return self.optimum.criterion + log(self.model.equations.n) * self.n_parameters

    def summary(self, level: float = _LEVEL, df: DF = "satterthwaite") -> pd.DataFrame:
        """Coefficients and covariance parameters.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}
            The degrees of freedom of the coefficients: Satterthwaite's, as lmerTest gives them;
            Kenward and Roger's, of REML only, with their adjusted standard errors; those of SAS's
            strata between and within nested groups; n - p; or infinitely many, which makes t a z.
            Intervals have the same.

        Returns
        -------
        pandas.DataFrame
            A row per parameter, under the names of `Fit.summary`: ``estimate``, ``std_error``,
            ``lower``, ``upper``, and of coefficients ``df``, ``t`` and ``p``, which is two-sided.
            Degrees of freedom are NaN where the optimiser did not reach a maximum.

        Raises
        ------
        ArgumentError
            If `level` is not between 0 and 1; for an unknown `df`, or one that the fit has not.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").summary().loc[["beta[Days]"], "estimate":"t"].round(2)
                    estimate  std_error  lower  upper    df     t
        parameter
        beta[Days]     10.47       1.55   7.21  13.73  17.0  6.77
        """
        level = probability(level)
        fixed, statistics = self._coefficients(level, df)
        nan = np.full(len(self.model.parameters), np.nan)
        padded = {name: np.concatenate([values, nan]) for name, values in statistics.items()}
        return self._summary(fixed, self._parameters(level), padded)

    def fixef(self, level: float = _LEVEL, df: DF = "satterthwaite") -> pd.DataFrame:
        """The coefficients beta.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}
            The degrees of freedom that the intervals have: see `summary`.

        Returns
        -------
        pandas.DataFrame
            Indexed by coefficient: ``estimate``, ``std_error``, ``lower``, ``upper``. Standard
            errors are those of generalised least squares at theta, but for Kenward and Roger's.

        Raises
        ------
        ArgumentError
            As for `summary`.
        """
        return self._fixef(self._coefficients(probability(level), df)[0])

    def anova(self, type: Literal[1, 2, 3] = 3, df: DF = "satterthwaite") -> pd.DataFrame:
        """F tests of the terms of the fixed effects.

        Parameters
        ----------
        type : {1, 2, 3}
            What each term is adjusted for: 1, the terms before it; 2, all terms that do not contain
            it; 3, all others, at the mean over the levels of factors, each level counted once, and
            at zero of covariates. How factors are coded in the formula does not matter.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}
            The denominator degrees of freedom: see `summary`.

        Returns
        -------
        pandas.DataFrame
            Indexed by term: ``num_df``, ``den_df``, ``F``, ``p``. The intercept is not tested.

        Raises
        ------
        ArgumentError
            For another type, an unknown `df`, or one that the fit has not.
        DesignError
            Of type 3, for a model in which means over all levels cannot be estimated.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> model.fit("reml").anova().round(3)
                 num_df  den_df       F    p
        term
        Machine       2    46.0  87.798  0.0
        """
        return anova_table(self.model.design, self._beta, self._wald(df), type)

    def contrast(
        self, L: object, rhs: object = 0.0, level: float = _LEVEL, df: DF = "satterthwaite"
    ) -> pd.DataFrame:
        """Estimate linear functions of the coefficients, and test each by t.

        Parameters
        ----------
        L : dict, DataFrame, str, sequence of str or array_like
            Weights of coefficients: ``{"Days": 7}``; several functions with names, ``{"a week":
            {"Days": 7}, "a day": {"Days": 1}}``; a frame with a column for each coefficient that
            counts; names of coefficients; or an array with a number for each, one row a function.
        rhs : float or array_like
            What each is tested to be.
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}
            The degrees of freedom: see `summary`.

        Returns
        -------
        pandas.DataFrame
            A row per function: ``estimate``, ``std_error``, ``lower``, ``upper``, ``df``, ``t``,
            ``p``.

        Raises
        ------
        ArgumentTypeError
            If `L` is none of these.
        ArgumentError
            For unknown coefficients, functions without any, numbers that are not finite; as for
            `summary`.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> fit = model.fit("reml")
        >>> fit.contrast({"Machine[C]": 1, "Machine[B]": -1}).loc[:, :"df"].round(2)
                                 estimate  std_error  lower  upper    df
        contrast
        Machine[C] - Machine[B]      5.95       1.05   3.83   8.07  46.0
        """
        coef, level = self.model.design.coef, probability(level)
        return contrast_table(L, rhs, coef, self._beta, self._wald(df), level)

    def test(self, L: object, rhs: object = 0.0, df: DF = "satterthwaite") -> pd.DataFrame:
        """Test linear functions of the coefficients together, by one F.

        Parameters
        ----------
        L : dict, DataFrame, str, sequence of str or array_like
            As for `contrast`. Functions that others determine count once.
        rhs : float or array_like
            What they are tested to be.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}
            The denominator degrees of freedom: see `summary`.

        Returns
        -------
        pandas.DataFrame
            One row: ``num_df``, ``den_df``, ``F``, ``p``.

        Raises
        ------
        ArgumentTypeError
            If `L` is none of these.
        ArgumentError
            As for `contrast`; if the functions contradict each other.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> model.fit("reml").test(["Machine[B]", "Machine[C]"]).iloc[0, :3].round(3).to_list()
        [2.0, 46.0, 87.798]
        """
        return joint_table(L, rhs, self.model.design.coef, self._beta, self._wald(df))

    def _coefficients(self, level: float, df: DF) -> tuple[Estimates, dict[str, Array]]:
        """Estimates of beta and the columns df, t and p."""
        tests, each = self._wald(df), np.eye(self.model.equations.p)
        std_error, own = np.sqrt(np.diag(tests.vcov)), tests.df(each)
        fixed = t_intervals(self._beta, std_error, own, level)
        return fixed, t_columns(self._beta, std_error, own)

    def _wald(self, df: DF) -> Wald:
        method = df_method(df)
        if method not in self._known_wald:
            self._known_wald[method] = wald(self.model, self.optimum, method)
        return self._known_wald[method]

    @cached_property
    def _known_wald(self) -> dict[str, Wald]:
        """What was computed for each way of finding degrees of freedom."""
        return {}

    @property
    def posterior(self) -> NoReturn:
        """A point estimate has no draws: asking for them is an error that says what has."""
        raise MissingAttributeError(
            f"a fit by {self.method.upper()} is a point estimate and has no draws; fit the model "
            "with `model.fit('nuts')` for a posterior, or use `simulate()` for new responses."
        )

    def _fit_again(self, model: Model) -> LikelihoodFit:
        optimum = self.optimum
        return model.fit(self.method, algorithm=optimum.algorithm, information=optimum.information)

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
        from bayeslmm.profile_likelihood import profile

        return profile(self, parameters, level)

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
        ('chain', 'draw', 'Batch_effect')
        """
        from bayeslmm.bootstrap import bootstrap

        return bootstrap(self, n, kind, random_seed, jobs)

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
        from bayeslmm.intervals import confint

        return confint(self, method, level, parameters, n, random_seed)

    # -- comparing ------------------------------------------------------------------------------

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples, aic + 2k(k + 1)/(n - k - 1); NaN without rows to
        spare.
        """
        k, n = self.n_parameters, self.model.equations.n
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.nan

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
        from bayeslmm.conditional_aic import conditional_aic

        return conditional_aic(self)

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
        from bayeslmm.single_terms import drop1

        return drop1(self)

    def repca(self) -> pd.DataFrame:
        """Principal components of the random effects: how many dimensions the data support.

        Returns
        -------
        pandas.DataFrame
            A row for each component of each ``group``: its standard deviation ``sd`` in units of
            the response, with columns of Z at unit mean square, so that the units of predictors do
            not matter; relative to σ (``relative_sd``); its share of the variance, alone and
            ``cumulative``; whether it is ``supported``, that is not estimated as zero; and its
            loadings on the effects.

        Notes
        -----
        lme4's rePCA leaves the columns as they are, and its shares depend on their units.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").repca()[["component", "sd", "proportion"]].round(2)
           component     sd  proportion
        0          1  31.72        0.62
        1          2  24.61        0.38
        """
        from bayeslmm.dimensions import principal_components

        return principal_components(self)

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
        from bayeslmm.random_structures import random_structures

        return random_structures(self)

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
        variance = self._equations.var_linear(
            M, sigma, functions.X, functions.codes, functions.Z, functions.relatives
        )
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
        held = self.model.held
        std_error = np.where(held, 0.0, std_error)
        lower, upper = np.where(held, theta, lower), np.where(held, theta, upper)
        return Estimates(np.where(self._undefined, np.nan, theta), std_error, lower, upper)

    @cached_property
    def _undefined(self) -> Array:
        """Correlations with an effect whose variance is zero, and what those of a structure are
        when none of its effects varies.
        """
        parameters, optimum = self.model.parameters, self.optimum
        undefined = np.zeros(len(parameters), dtype=bool)
        for block in parameters.blocks:
            if block.kind == "sd" or block.factor is None:
                continue
            sds = parameters.find(block.factor, block.bar, "sd")
            if sds is None:
                continue
            if self.model.design.factor(block.factor).bars[block.bar].shape is not None:
                undefined[block.start : block.stop] = optimum.boundary[sds.start : sds.stop].all()
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
