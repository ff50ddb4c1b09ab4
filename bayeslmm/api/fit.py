"""The result interface: what a fit offers, whichever way it was made.

A fit is a model with its solution. Its methods are functions of the solution, under the names that
users know.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pandas as pd

from bayeslmm.effects import means, predictions, tables
from bayeslmm.effects.residuals import ResidualKind, residuals
from bayeslmm.effects.slopes import slopes
from bayeslmm.errors import ConvergenceWarning, MissingAttributeError
from bayeslmm.solutions.base import LEVEL, Method, Solution
from bayeslmm.solutions.solving import solve
from bayeslmm.support.arguments import one_of, probability, truth_value
from bayeslmm.support.pages import Page, as_html, as_text

if TYPE_CHECKING:
    from os import PathLike
    from typing import Self

    from xarray import Dataset

    from bayeslmm.criticism.findings import Diagnosis
    from bayeslmm.criticism.predictive import PredictiveCheck
    from bayeslmm.effects.quantity_table import QuantityTable
    from bayeslmm.effects.result import Effects
    from bayeslmm.plots.of_fits import Plots
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array


class Fit[M: Specification](ABC):
    """A fitted model: the interface that `LikelihoodFit` and `PosteriorFit` share.

    An estimate with its uncertainty is always four columns: ``estimate``, ``std_error``, ``lower``
    and ``upper``. From REML or ML they are the estimate, its standard error and a confidence
    interval; from NUTS the posterior mean, the posterior standard deviation and an equal-tailed
    interval. Numbers in frames are unrounded. Frames are copies: changing one does not change the
    fit.

    The argument `level` of tables and predictions is the probability of their intervals. That of
    `R` and `V` is something else, a level of a grouping factor.

    Attributes
    ----------
    model : Model
        What was fitted.
    solution : Solution
        What was estimated, as arrays.
    """

    model: M
    solution: Solution

    _elsewhere: ClassVar[Mapping[str, str]]
    """Attributes that only the other kind of fit has, and what to do instead."""

    if not TYPE_CHECKING:  # where it would stand for every attribute

        def __getattr__(self, name: str) -> object:
            if name in self._elsewhere:
                raise MissingAttributeError(
                    f"a fit by {self.method.upper()} has no {name!r}: {self._elsewhere[name]}."
                )
            return self.__getattribute__(name)  # an error of its own, or that of a property

    @property
    def method(self) -> Method:
        """How the model was fitted."""
        return self.solution.method

    def _fit_again(self, model: M) -> Self:
        """Another model, fitted as this one was."""
        solution = solve(model, self.method, **self.solution.options)
        again = type(self)(model, solution)  # type: ignore[call-arg]
        warn_of_problems(again)
        return again

    @abstractmethod
    def _page(self) -> Page:
        """What the fit looks like."""

    @property
    @abstractmethod
    def posterior(self) -> Dataset:
        """The draws, of a fit that has some."""

    @abstractmethod
    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the fit, in plain words, and what to try.

        Returns
        -------
        Diagnosis
            Prints well; its `findings` can be read by a program.
        """

    # -- estimates ------------------------------------------------------------------------------

    @property
    def beta(self) -> pd.Series:
        """Estimates of the coefficients, by name, in units of the response per unit of X."""
        return tables.beta(self.solution)

    @property
    def theta(self) -> pd.Series:
        """Estimates of the covariance parameters, by the names of `summary`."""
        return tables.theta(self.solution)

    @property
    def sigma(self) -> float:
        """Estimate of the residual standard deviation, for a weight of one."""
        return float(self.solution.theta[-1])

    @property
    def residual_variance(self) -> float:
        """Estimate of σ², for a weight of one; from NUTS the posterior mean of the variance."""
        return self.solution.moments[1]

    @property
    def u(self) -> dict[str, pd.DataFrame]:
        """Estimates of the random effects: by factor, a frame of levels × effects; NaN for effects
        of other strata than the level's.
        """
        return tables.u(self.solution)

    # -- tables ---------------------------------------------------------------------------------

    @abstractmethod
    def summary(self, level: float = LEVEL) -> pd.DataFrame:
        """Coefficients and covariance parameters.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            A row per parameter, named ``beta[Days]``, ``sd_Subject[Days]``,
            ``corr_Subject[Intercept, Days]``, ``sigma``. After the four columns come ``df``, ``t``
            and ``p`` of the coefficients from REML and ML, or ``ess_bulk``, ``ess_tail``,
            ``r_hat`` and ``mcse`` from NUTS.

        Raises
        ------
        ArgumentError
            If `level` is not between 0 and 1.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").summary()[["estimate", "std_error"]].round(2)
                               estimate  std_error
        parameter
        beta[Intercept]          251.41       9.75
        beta[Days]                10.47       0.80
        sd_Subject[Intercept]     37.12       6.81
        sigma                     30.99       1.73
        """

    def fixef(self, level: float = LEVEL) -> pd.DataFrame:
        """The coefficients beta.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            Indexed by coefficient: ``estimate``, ``std_error``, ``lower``, ``upper``. Standard
            errors of the likelihood fits are those of generalised least squares at theta.
        """
        return tables.fixef(self.solution, self.solution.coefficients(probability(level)))

    def varcorr(self, level: float = LEVEL, scale: tables.Scale = "sd") -> pd.DataFrame:
        """Standard deviations and correlations of the random effects, and the parameters of R.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.
        scale : {"sd", "variance"}
            With "variance" the rows are variances and covariances, as SAS prints them. Their
            standard errors follow by the delta method; intervals of variances have the squared
            ends of those of standard deviations, and intervals of covariances are symmetric. From
            NUTS all four columns are those of the variances and covariances of the draws.

        Returns
        -------
        pandas.DataFrame
            ``group`` ("Residual" for the residual), ``kind`` ("sd" or "corr"; "variance" or "cov";
            of structured covariances also "rho", "range" and so on, on either scale),
            ``effect_1``, ``effect_2`` (None for a standard deviation), then ``estimate``,
            ``std_error``, ``lower``, ``upper``. Where an estimate is on the boundary it has no
            standard error and no interval, which are NaN. Correlations that several pairs of
            standard deviations share, as with a variance function, stay correlations.

        Raises
        ------
        ArgumentError
            If `level` is not between 0 and 1, or for another scale.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").varcorr().iloc[:, :6].round(2)
              group  kind   effect_1 effect_2  estimate  std_error
        0   Subject    sd  Intercept     None     24.74       5.84
        1   Subject    sd       Days     None      5.92       1.25
        2   Subject  corr  Intercept     Days      0.07       0.33
        3  Residual    sd       None     None     25.59       1.51
        >>> model.fit("reml").varcorr(scale="variance").iloc[:, :6].round(2)
              group      kind   effect_1 effect_2  estimate  std_error
        0   Subject  variance  Intercept     None    612.09     288.78
        1   Subject  variance       Days     None     35.07      14.78
        2   Subject       cov  Intercept     Days      9.60      46.68
        3  Residual  variance       None     None    654.94      77.19
        """
        scale = cast("tables.Scale", one_of("scale", scale, ("sd", "variance")))
        return tables.varcorr(self.solution, probability(level), scale)

    def ranef(self, group: str | None = None, level: float = LEVEL) -> pd.DataFrame:
        """The random effects u.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            ``group``, ``level``, ``effect``, ``estimate``, ``std_error``, ``lower``, ``upper``.
            Likelihood fits give BLUPs with their standard deviations given y and theta at beta
            known, as lme4 does.

        Raises
        ------
        ArgumentError
            If there is no such grouping factor.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").ranef().head(2).round(2)
             group level     effect  estimate  std_error  lower  upper
        0  Subject   308  Intercept      2.26      12.07 -21.40  25.92
        1  Subject   308       Days      9.20       2.30   4.68  13.72
        """
        return tables.ranef(self.solution, group, probability(level))

    def coef(self, group: str | None = None, level: float = LEVEL) -> pd.DataFrame:
        """The coefficients of each level: beta plus the level's random effects of the same name.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            ``group``, ``level``, ``effect``, ``estimate``, ``std_error``, ``lower``, ``upper``.
            An effect that is only random or only fixed stands alone. Standard errors count the
            uncertainty of beta and u together.

        Raises
        ------
        ArgumentError
            If there is no such grouping factor.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").coef().head(2).round(2)
             group level     effect  estimate  std_error   lower   upper
        0  Subject   308  Intercept    253.66      12.25  229.64  277.68
        1  Subject   308       Days     19.67       2.34   15.09   24.25
        """
        return tables.coef(self.solution, group, probability(level))

    # -- covariance matrices --------------------------------------------------------------------

    def G(self, group: str | None = None) -> pd.DataFrame:
        """Covariance matrix of the random effects of one level.

        Parameters
        ----------
        group : str, optional
            A grouping factor; needed when there are several.

        Returns
        -------
        pandas.DataFrame
            Effect × effect, in squared units; from NUTS the posterior mean of the matrix. With a
            known relationship K, that of a level with 1 on K's diagonal.

        Raises
        ------
        ArgumentError
            If there is no such grouping factor, or there are several and none is named.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").G().round(2)
                   Intercept   Days
        Intercept     612.09   9.60
        Days            9.60  35.07
        """
        return tables.G(self.solution, group)

    def R(self, level: object, group: str | None = None) -> pd.DataFrame:
        """Covariance matrix of the residuals of the rows of one level.

        Parameters
        ----------
        level : str
            A level of a grouping factor, such as ``"308"``: a group, not a probability.
        group : str, optional
            The grouping factor; needed when several have such a level.

        Returns
        -------
        pandas.DataFrame
            Row × row, in squared units of the response; labelled by occasion where they are of a
            subject of R with a time, otherwise as the data are.

        Raises
        ------
        ArgumentError
            If there is no such level or grouping factor, or several factors have such a level.
        """
        return tables.R(self.solution, level, group)

    def V(self, level: object, group: str | None = None) -> pd.DataFrame:
        """Covariance matrix ZGZ' + R of the responses of the rows of one level.

        Parameters
        ----------
        level : str
            A level of a grouping factor, such as ``"308"``: a group, not a probability.
        group : str, optional
            The grouping factor; needed when several have such a level.

        Returns
        -------
        pandas.DataFrame
            Row × row, labelled as `R` is, in squared units of the response. The effects of all
            grouping factors count.

        Raises
        ------
        ArgumentError
            If there is no such level or grouping factor, or several factors have such a level.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").V("308").iloc[:2, :2].round(1)
                0       1
        0  1267.0   621.7
        1   621.7  1321.3
        """
        return tables.V(self.solution, level, group)

    # -- variance -------------------------------------------------------------------------------

    def icc(
        self,
        group: str | None = None,
        at: Mapping[str, object] | None = None,
        level: float = LEVEL,
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

        Returns
        -------
        QuantityTable
            A frame with the rows ``adjusted``, the share in the variance around the fixed effects,
            and ``unadjusted``, that in the whole variance, in the words of R's performance; then a
            row for each grouping factor where there are several. ``estimate``, ``std_error``,
            ``lower``, ``upper``. It prints with its definition, and has ``draws`` from NUTS.
            With `at` a row for each combination of values: the correlation of two responses of one
            level there, whose residuals are independent. ``matrix`` then has the correlation of
            responses at different values, in which residuals of one subject of R are correlated,
            and ``pairs`` the same with intervals.

        Raises
        ------
        ArgumentError
            For an unknown grouping factor, and a model without random effects; for covariates that
            the variance does not depend on, or categories that it depends on and that are missing.
        DataError
            For levels and occasions that fitting did not see.

        Notes
        -----
        The variance of random slopes is the mean over the rows of z'Gz (Johnson 2014, Methods in
        Ecology and Evolution 5, 944-946). Intervals of point estimates are by the delta method on
        the logit scale. Where a variance is estimated as zero they do not exist.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").icc().round(4)
                    estimate  std_error   lower   upper
        quantity
        adjusted      0.7217     0.0721  0.5620  0.8397
        unadjusted    0.5206     0.0952  0.3395  0.6964
        >>> model.fit("reml").icc(at={"Days": [0, 9]}).matrix.round(2)
        Days     0     9
        Days
        0     0.48  0.30
        9     0.30  0.85
        """
        from bayeslmm.effects.explained import icc

        return icc(self.solution, group, at, probability(level))

    def r2(self, group: str | None = None, level: float = LEVEL) -> QuantityTable:
        """R²: the share of the variance of the response that the model explains.

        Parameters
        ----------
        group : str, optional
            A grouping factor, for R² of the fixed effects within its levels and between them.
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        QuantityTable
            A frame with the rows ``marginal``, the share of the fixed effects, and
            ``conditional``, that of fixed and random effects; with `group` the rows ``within`` and
            ``between``. ``estimate``, ``std_error``, ``lower``, ``upper``. It prints with its
            definition, and has ``draws`` from NUTS.

        Raises
        ------
        ArgumentError
            For an unknown grouping factor.

        Notes
        -----
        Nakagawa and Schielzeth (2013), Methods in Ecology and Evolution 4, 133-142, with random
        slopes after Johnson (2014), ibid. 5, 944-946; within and between levels Rights and Sterba
        (2019), Psychological Methods 24, 309-338.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").r2().round(4)
                     estimate  std_error   lower   upper
        quantity
        marginal       0.2787     0.0770  0.1543  0.4500
        conditional    0.7992     0.0436  0.7004  0.8714
        """
        from bayeslmm.effects.explained import r2

        return r2(self.solution, group, probability(level))

    def variance_partition(
        self, at: Mapping[str, object] | None = None, level: float = LEVEL
    ) -> QuantityTable:
        """The variance of a response by its parts: fixed effects, grouping factors, residual.

        Parameters
        ----------
        at : dict of str to list, optional
            Values of the covariates that the variance depends on, as for `icc`. Without them the
            parts are means over the rows of the data.
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        QuantityTable
            A row for each part, at each combination of values: ``estimate``, ``std_error``,
            ``lower``, ``upper``, in squared units of the response. With `at` the parts are those
            around the fixed effects.

        Raises
        ------
        ArgumentError, DataError
            As for `icc`.

        See Also
        --------
        bayeslmm.plots.of_fits.Plots.variance_partition : The picture.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").variance_partition().iloc[:, :2].round(1)
                  estimate  std_error
        part
        fixed        909.0      268.5
        Subject     1698.1      570.2
        residual     654.9       77.2
        """
        from bayeslmm.effects.explained import variance_partition

        return variance_partition(self.solution, at, probability(level))

    # -- predictions ----------------------------------------------------------------------------

    def predict(
        self,
        data: object | None = None,
        groups: str | Sequence[str] = "all",
        new_levels: Literal["error", "zero", "sample"] = "error",
        interval: Literal["mean", "new"] | None = None,
        level: float = LEVEL,
        weights: object | None = None,
    ) -> pd.DataFrame:
        """Predict the response.

        Parameters
        ----------
        data : data frame, optional
            New rows; the response is not needed. By default the rows that were fitted.
        groups : "all", "none" or list of str
            The grouping factors whose random effects count.
        new_levels : {"error", "zero", "sample"}
            What to do with levels of `data` that were not fitted: refuse them, take their effects
            as zero, or as drawn from N(0, G), which leaves the estimate and adds their variance.
            Levels that a known relationship has are predicted from those related to them.
        interval : {"mean", "new"}, optional
            For the mean of such rows, or for a new observation, which adds the residual variance.
        level : float
            Probability of the interval, between 0 and 1.
        weights : str or array_like, optional
            Weights of new rows, for ``interval="new"`` of a model with weights; by default the
            column that the model's weights came from.

        Returns
        -------
        pandas.DataFrame
            Aligned with the rows of `data`; without data, with the rows that were fitted, which
            are those without missing values. ``estimate``, and with an interval ``std_error``,
            ``lower``, ``upper``. Likelihood fits give prediction errors at theta, and intervals
            that are normal but for means without random effects, which have Satterthwaite's
            degrees of freedom; intervals from NUTS of new levels and observations use random
            numbers of the fit's seed.

        Raises
        ------
        ArgumentError
            For an unknown option or grouping factor, and for an option that nothing would use:
            `level` without an interval, `new_levels` without new data, `weights` without new data
            or without ``interval="new"``.
        DataError
            For missing columns or values, and levels that were not fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> new = pd.DataFrame({"Days": [10, 10], "Subject": ["308", "somebody new"]})
        >>> model.fit("reml").predict(new, new_levels="sample", interval="mean").round(1)
           estimate  std_error  lower  upper
        0     450.3       15.9  419.3  481.4
        1     356.1       67.6  223.6  488.5
        """
        return predictions.predict(
            self.solution, data, groups, new_levels, interval, level, weights
        )

    def fitted(self) -> pd.Series:
        """Fitted values, with all random effects and offsets.

        Returns
        -------
        pandas.Series
            Aligned with the rows that were fitted: rows with missing values have none.
        """
        return predictions.fitted(self.solution)

    def residuals(self, kind: ResidualKind = "response", marginal: bool = False) -> pd.Series:
        """Differences between response and fitted values.

        Parameters
        ----------
        kind : {"response", "pearson", "standardized", "studentized", "normalized", "quantile"}
            As they are; times the square root of the weight; divided by the standard deviation of
            the row's residual, correlations of R aside; by their own standard deviation, smaller
            since the fit has followed the row; multiplied by the inverse of R's Cholesky
            factor, so that they are independent with variance one where R is right; or the
            probability of a smaller response, which is uniform between 0 and 1 where the model is
            right.
        marginal : bool
            Whether the fitted values are those of the fixed part alone. Then V = ZGZ' + R takes the
            place of R.

        Returns
        -------
        pandas.Series
            Aligned with the rows that were fitted: rows with missing values have none. NaN where
            what they are divided by is zero.

        Raises
        ------
        ArgumentError
            For an unknown kind; for "studentized" of draws; for marginal "normalized" where more
            than 5,000 rows are correlated with each other.

        Notes
        -----
        From NUTS they are those of the posterior means of coefficients and random effects, divided
        by posterior means of the matrices. "standardized" is nlme's "pearson" and "normalized" its
        "normalized"; "pearson" is lme4's. Rows of a subject of R are factorised in the order of
        their occasions, others in that of the data: each normalized residual is what the ones
        before it do not predict. "quantile" is from NUTS the mean of the probabilities at all
        draws. It is the limit of DHARMa's scaled residuals, ranks among simulated responses, with
        ever more simulations; ``marginal=True`` is for simulations with new random effects.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> fit = model.fit("reml")
        >>> fit.residuals().head(3).round(1).to_list()
        [-4.1, -14.6, -42.2]
        >>> fit.residuals("normalized", marginal=True).head(3).round(2).to_list()
        [-0.05, -0.07, -0.63]
        """
        values = residuals(self.solution, kind, truth_value("marginal", marginal))
        return pd.Series(values, index=self.model.design.index, name="residual")

    def simulate(self, n: int = 1, random_seed: int | None = None) -> pd.DataFrame:
        """Simulate responses of the rows that were fitted, with new random effects and residuals.

        Parameters
        ----------
        n : int
            How many responses.
        random_seed : int, optional
            For the same numbers again.

        Returns
        -------
        pandas.DataFrame
            A row per simulation, a column per row of the data. From REML or ML every simulation
            is at the estimates; from NUTS each is at another draw of the parameters.

        Raises
        ------
        ArgumentError
            If `n` is not a positive whole number, or needs more memory than is free, or
            `random_seed` is not a whole number from 0 to 2**64 - 1.
        ArgumentTypeError
            If they are no numbers.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").simulate(100, random_seed=1).shape
        (100, 180)
        """
        return predictions.simulate(self.solution, n, random_seed)

    def ppc(
        self,
        statistic: str | Callable[[Array], float] = "sd",
        group: str | None = None,
        replicate: Literal["same groups", "new groups"] = "same groups",
        n: int = 500,
        random_seed: int | None = None,
    ) -> PredictiveCheck:
        """Check whether the model makes responses like those of the data, in a statistic.

        Parameters
        ----------
        statistic : str or callable
            "mean", "sd", "smallest" or "largest" of all rows; "sd of group means"; "largest range
            within a group"; "correlation of intercepts and slopes" of each group's own regression;
            "lag-one correlation" of the residuals from these, in the order of the data; or a
            function from a response, an array with a number for each row, to a number.
        group : str, optional
            The grouping factor of such a statistic; needed when there are several.
        replicate : {"same groups", "new groups"}
            Whether replicates keep the random effects of these groups, as brms and lme4 do by
            default, or draw new ones. With the same groups what groups have in common is hardly
            checked.
        n : int
            How many replicates.
        random_seed : int, optional
            For the same numbers again.

        Returns
        -------
        PredictiveCheck
            With ``observed``, ``replicated``, ``p``, ``frame()`` and ``plot()``. Replicates of
            point estimates are at the estimates, those of a posterior each at another draw.

        Raises
        ------
        ArgumentError
            For an unknown statistic or group, one that does not suit the model, and another
            `replicate`.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> fit = model.fit("reml")
        >>> check = fit.ppc("sd of group means", replicate="new groups", random_seed=1)
        >>> round(check.observed, 1), 0.2 < check.p < 0.8
        (38.4, True)
        """
        from bayeslmm.criticism.predictive import predictive_check

        return predictive_check(self.solution, statistic, group, replicate, n, random_seed)

    # -- means, contrasts and slopes --------------------------------------------------------------

    def emmeans(
        self,
        specs: object,
        by: object = None,
        at: Mapping[str, object] | None = None,
        weights: Literal["equal", "proportional", "cells"] = "equal",
        df: DF = "satterthwaite",
        level: float = LEVEL,
        type: Literal["link", "response"] = "link",
        bias_adjust: bool = False,
        sigma: float | None = None,
    ) -> Effects:
        """Estimated marginal means of the fixed effects: emmeans in R.

        Parameters
        ----------
        specs : str or list of str
            Variables whose combinations have a mean each; ``"~ Sex | age"`` is read too.
        by : str or list of str, optional
            Variables within whose values means are compared.
        at : mapping, optional
            Values of variables, ``{"Days": [0, 9]}``, in place of levels or means.
        weights : {"equal", "proportional", "cells"}
            How levels of other factors count: each alike, by the frequencies of their combinations
            in the data, or by those in each cell.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
            The degrees of freedom of likelihood fits; posteriors have none.
        level : float
            Probability of the intervals, between 0 and 1.
        type : {"link", "response"}
            Whether means of a transformed response, such as log(y), are taken back.
        bias_adjust : bool
            Whether what is taken back is a mean, by the delta method, rather than a median.
        sigma : float, optional
            The standard deviation for that; by default of a response, random effects included.

        Returns
        -------
        Effects
            Prints as its table; with ``frame()``, ``contrast()``, ``pairs()``, ``test()``,
            ``joint()``, ``letters()``, ``plot()`` and, of a posterior, ``draws``.

        Raises
        ------
        ArgumentError
            For an unknown variable, level or option.

        Notes
        -----
        Numbers are at their means, factors at their levels (Lenth 2023, R package emmeans).

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> model.fit("reml").emmeans("Machine").frame().iloc[:, :3].round(2)
          Machine  estimate  std_error
        0       A     52.36       2.23
        1       B     60.32       2.23
        2       C     66.27       2.23
        """
        return means.emmeans(
            self.solution, specs, by, at, weights, df, level, type, bias_adjust, sigma
        )

    def slopes(
        self,
        variable: str,
        by: object = None,
        at: Mapping[str, object] | None = None,
        df: DF = "satterthwaite",
        level: float = LEVEL,
    ) -> Effects:
        """Slopes of the population in a number: emtrends in R.

        Parameters
        ----------
        variable : str
            The number.
        by : str or list of str, optional
            Variables whose combinations have a slope each, which `pairs` compares.
        at, df, level
            As for `emmeans`.

        Returns
        -------
        Effects

        Raises
        ------
        ArgumentError
            For an unknown variable, level or option.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.fit("reml").slopes("Days").frame().iloc[:, :3].round(2)
          slope  estimate  std_error
        0  Days     10.47       1.55
        """
        return slopes(self.solution, variable, by, at, df, level)

    # -- fits of changed models ------------------------------------------------------------------

    def refit(self, y: object) -> Self:
        """Fit the same model to another response, in the same way.

        Parameters
        ----------
        y : array_like of shape (n,)
            A number for each row that is used, as for `Model.with_response`; a row of `simulate`.

        Returns
        -------
        LikelihoodFit or PosteriorFit
            By the same method and algorithm; by NUTS with the same seed and numbers of draws.

        Raises
        ------
        DataError
            If `y` has another length, is constant, or has values that are not finite.
        ArgumentTypeError
            If `y` is not numbers.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
        >>> fit.refit(fit.model.design.y / 1000).theta.round(3).to_dict()
        {'sd_Batch[Intercept]': 0.042, 'sigma': 0.05}
        """
        return self._fit_again(self.model.with_response(y))

    def update(self, formula: str | None = None, data: object | None = None) -> Self:
        """Fit another formula, other data or both, in the same way; R, priors and weights stay.

        Parameters
        ----------
        formula : str, optional
            In full.
        data : data frame, optional
            By default the columns that the model uses.

        Returns
        -------
        LikelihoodFit or PosteriorFit
            By the same method and algorithm; by NUTS with the same seed and numbers of draws.

        Raises
        ------
        ArgumentError
            If nothing is to change, or the model's weights are an array and the data change.
        DataError, FormulaError, DesignError, PriorError
            As for `Model`; also for columns that this model does not use, without `data`.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> fit = model.fit("ml")
        >>> without = fit.update(formula="Reaction ~ Days + (1 | Subject)")
        >>> round(2 * (fit.loglik - without.loglik), 2)
        42.14
        """
        return self._fit_again(self.model.updated(formula, data))

    # -- what other modules do with a fit -------------------------------------------------------

    @property
    def plot(self) -> Plots:
        """Plots of the fit, as methods: ``fit.plot.trellis()``."""
        from bayeslmm.plots.of_fits import Plots

        return Plots(self.solution)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to a file that `bayeslmm.load` reads; loading runs no code of the file.

        Parameters
        ----------
        path : path
            Usually ending in ``.nc``. A file of that name is replaced.

        Raises
        ------
        ArgumentTypeError
            If `path` is not a path.
        FileError
            If the file cannot be written there, or the data hold what it cannot hold.
        """
        from bayeslmm.storage.solutions import save

        save(self.solution, path)

    def __repr__(self) -> str:
        return as_text(self._page())

    def _repr_html_(self) -> str:
        return as_html(self._page())


def warn_of_problems(fit: Fit[Any]) -> None:
    """Warn when estimates or draws should not be trusted.

    Warns
    -----
    ConvergenceWarning
    """
    status = getattr(fit, "status", None) if fit.method != "nuts" else None
    if status is not None and status.ok:
        return
    findings = fit.diagnose().findings
    problems = [str(finding) for finding in findings if finding.severity == "error"]
    if problems:
        warnings.warn("; ".join(problems), ConvergenceWarning, stacklevel=3)
