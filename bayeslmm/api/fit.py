"""The result interface: what a fit offers, whichever way it was made.

Every table, prediction and matrix is written here once, on top of a few primitives by which
`LikelihoodFit` and `PosteriorFit` differ: how they estimate linear functions of (beta, u) and the
covariance parameters theta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd

from bayeslmm.api.updating import changed
from bayeslmm.data.frames import Array, level_label
from bayeslmm.effects.residuals import ResidualKind, residuals
from bayeslmm.effects.rows import NEW_LEVELS, functions_of_data, functions_of_rows
from bayeslmm.equations.linear import Estimates, Functions
from bayeslmm.errors import ArgumentError, MissingAttributeError, unknown_name
from bayeslmm.reports import printing
from bayeslmm.support.arguments import GREATEST_SEED, one_of, probability, truth_value, whole_number
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from os import PathLike
    from typing import Self

    from xarray import Dataset

    from bayeslmm.api.model import Model
    from bayeslmm.criticism.diagnose import Diagnosis
    from bayeslmm.design.design import GroupingFactor
    from bayeslmm.plots.of_fits import Plots

_LEVEL = 0.95


class Fit(ABC):
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
    """

    model: Model

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
    @abstractmethod
    def method(self) -> Literal["reml", "ml", "map", "nuts"]:
        """How the model was fitted."""

    @property
    @abstractmethod
    def _beta(self) -> Array:
        """Estimates of beta; (p,)."""

    @property
    @abstractmethod
    def _u(self) -> tuple[Array, ...]:
        """Estimates of u; (levels, q), one a factor."""

    @property
    @abstractmethod
    def _moments(self) -> tuple[dict[str, Array], float]:
        """Estimates of G of one level by factor, and of the residual variance σ²."""

    @abstractmethod
    def _linear(self, functions: Functions, level: float) -> Estimates:
        """Estimate linear functions of (beta, u)."""

    @abstractmethod
    def _effects(self, position: int, level: float) -> Estimates:
        """Estimate the random effects of a factor, by level and within it by effect."""

    @abstractmethod
    def _parameters(self, level: float) -> Estimates:
        """Estimate theta."""

    @abstractmethod
    def _truths(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        """Values of beta (n, p), M (n, q, q) by factor and theta (n, k) to simulate from."""

    @property
    @abstractmethod
    def _residual_sds(self) -> Array:
        """Standard deviations of the residuals of the rows, weights aside."""

    @abstractmethod
    def _residual_covariance(self, rows: Array) -> Array:
        """Covariance matrix of the residuals of some rows, weights aside."""

    @abstractmethod
    def _fit_again(self, model: Model) -> Fit:
        """Another model, fitted as this one was."""

    @abstractmethod
    def _page(self) -> printing.Page:
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
        index = pd.Index(self.model.design.coef, name="coef")
        return pd.Series(self._beta, index=index, copy=True)

    @cached_property
    def _theta(self) -> Array:
        return self._parameters(_LEVEL).estimate

    @property
    def theta(self) -> pd.Series:
        """Estimates of the covariance parameters, by the names of `summary`."""
        index = pd.Index(self.model.parameters.names, name="parameter")
        return pd.Series(self._theta, index=index, copy=True)

    @property
    def sigma(self) -> float:
        """Estimate of the residual standard deviation, for a weight of one."""
        return float(self._theta[-1])

    @property
    def residual_variance(self) -> float:
        """Estimate of σ², for a weight of one; from NUTS the posterior mean of the variance."""
        return self._moments[1]

    @property
    def u(self) -> dict[str, pd.DataFrame]:
        """Estimates of the random effects: by factor, a frame of levels × effects; NaN for effects
        of other strata than the level's.
        """
        return {
            factor.name: pd.DataFrame(
                u if factor.own is None else np.where(factor.own, u, np.nan),
                index=pd.Index(factor.levels, name=factor.name),
                columns=pd.Index(factor.effects, name="effect"),
                copy=True,
            )
            for factor, u in zip(self.model.design.factors, self._u, strict=True)
        }

    # -- tables ---------------------------------------------------------------------------------

    @abstractmethod
    def summary(self, level: float = _LEVEL) -> pd.DataFrame:
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

    def _summary(
        self, fixed: Estimates, random: Estimates, statistics: Mapping[str, Array]
    ) -> pd.DataFrame:
        """The table of `summary`, given the path's own columns of it."""
        names = [f"beta[{name}]" for name in self.model.design.coef]
        columns = {
            name: np.concatenate([values, random.columns()[name]])
            for name, values in fixed.columns().items()
        }
        index = pd.Index([*names, *self.model.parameters.names], name="parameter")
        return pd.DataFrame(columns | dict(statistics), index=index)

    def fixef(self, level: float = _LEVEL) -> pd.DataFrame:
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
        return self._fixef(self._fixed(probability(level)))

    def _fixef(self, fixed: Estimates) -> pd.DataFrame:
        index = pd.Index(self.model.design.coef, name="coef")
        return pd.DataFrame(fixed.columns(), index=index)

    def varcorr(self, level: float = _LEVEL) -> pd.DataFrame:
        """Standard deviations and correlations of the random effects, and the parameters of R.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            ``group`` ("Residual" for the residual), ``kind`` ("sd" or "corr"; of structured
            covariances also "rho", "range" and so on), ``effect_1``, ``effect_2`` (None for a
            standard deviation), then ``estimate``, ``std_error``, ``lower``, ``upper``. Where an
            estimate is on the boundary it has no standard error and no interval, which are NaN.

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
        """
        level = probability(level)
        rows: list[tuple[str, str, str | None, str | None]] = []
        kind: str
        for block in self.model.parameters.blocks:
            for label in block.labels:
                kind = "sd" if block.kind in ("sd", "sigma") else block.name.removesuffix("_R")
                if block.factor is not None:
                    kind = block.name.removesuffix(f"_{block.factor}")
                pair = (label or None, None) if isinstance(label, str) else label
                rows.append((block.factor or "Residual", kind, *pair))
        labels = pd.DataFrame(rows, columns=["group", "kind", "effect_1", "effect_2"], dtype=object)
        return labels.assign(**self._parameters(level).columns())

    def ranef(self, group: str | None = None, level: float = _LEVEL) -> pd.DataFrame:
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
        level = probability(level)
        parts = []
        for position, factor in self._positions(group):
            q = len(factor.effects)
            labels = _labels(factor, np.repeat(factor.levels, q), factor.plain)
            table = labels.assign(**self._effects(position, level).columns())
            parts.append(table if factor.own is None else table[factor.own.ravel()])
        return _stacked(parts)

    def coef(self, group: str | None = None, level: float = _LEVEL) -> pd.DataFrame:
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
        level = probability(level)
        design = self.model.design
        parts = []
        for _, factor in self._positions(group):
            names = tuple(dict.fromkeys((*design.coef, *factor.plain)))
            levels = len(factor.levels)
            X = (np.array(names)[:, None] == np.array(design.coef)).astype(float)
            Z = (np.array(names)[:, None] == np.array(factor.plain)).astype(float)
            Z = np.tile(Z, (levels, 1))
            if factor.own is not None:
                Z *= np.repeat(factor.own, len(names), axis=0)
            functions = Functions.of(
                design.factors,
                np.tile(X.reshape(len(names), -1), (levels, 1)),
                {factor.name: np.repeat(np.arange(levels, dtype=np.int32), len(names))},
                {factor.name: Z},
            )
            labels = _labels(factor, np.repeat(factor.levels, len(names)), names)
            parts.append(labels.assign(**self._linear(functions, level).columns()))
        return _stacked(parts)

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
        factor = self.model.design.factor_or_only(group)
        G = self._moments[0][factor.name]
        return pd.DataFrame(G, factor.effects, factor.effects, copy=True)

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
        rows = self._rows(level, group)
        return self._square(self._weighted_covariance(rows), rows)

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
        rows = self._rows(level, group)
        return self._square(self._marginal_covariance(rows), rows)

    # -- predictions ----------------------------------------------------------------------------

    def predict(
        self,
        data: object | None = None,
        groups: str | Sequence[str] = "all",
        new_levels: Literal["error", "zero", "sample"] = "error",
        interval: Literal["mean", "new"] | None = None,
        level: float = _LEVEL,
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
        level = probability(level)
        if interval is not None:
            hint = "None gives no interval."
            interval = cast("Any", one_of("interval", interval, ("mean", "new"), hint))
        new_levels = cast("Any", one_of("new_levels", new_levels, NEW_LEVELS))
        noise = interval == "new"
        if interval is None and level != _LEVEL:
            raise ArgumentError(
                f"`level` is the probability of an interval, and none is asked for: give "
                f"interval='mean' or 'new' too, or leave out level={level:g}."
            )
        if data is None and new_levels != "error":
            raise ArgumentError(
                "`new_levels` is for new `data`; the rows fitted have no new levels. Give `data`, "
                f"or leave out new_levels={new_levels!r}."
            )
        if weights is not None and data is None:
            raise ArgumentError("`weights` are for new `data`; the rows fitted have theirs.")
        if weights is not None and not noise:
            raise ArgumentError(
                "`weights` are for the residual variance of new observations: give "
                "interval='new' too, or leave them out."
            )
        if data is None:
            functions = functions_of_rows(self.model, groups, noise=noise)
            index = self.model.design.index
        else:
            functions, index = functions_of_data(
                self.model, data, groups, new_levels, noise=noise, weights=weights
            )
        if interval is None:
            return pd.DataFrame({"estimate": functions.values(self._beta, self._u)}, index=index)
        return pd.DataFrame(self._linear(functions, level).columns(), index=index)

    def fitted(self) -> pd.Series:
        """Fitted values, with all random effects and offsets.

        Returns
        -------
        pandas.Series
            Aligned with the rows that were fitted: rows with missing values have none.
        """
        values = functions_of_rows(self.model).values(self._beta, self._u)
        return pd.Series(values, index=self.model.design.index, name="fitted")

    def residuals(self, kind: ResidualKind = "response", marginal: bool = False) -> pd.Series:
        """Differences between response and fitted values.

        Parameters
        ----------
        kind : {"response", "pearson", "standardized", "studentized", "normalized"}
            As they are; times the square root of the weight; divided by the standard deviation of
            the row's residual, correlations of R aside; by their own standard deviation, smaller
            since the fit has followed the row; or multiplied by the inverse of R's Cholesky
            factor, so that they are independent with variance one where R is right.
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
        before it do not predict.

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
        values = residuals(self, kind, truth_value("marginal", marginal))
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
        n = whole_number("n", n)
        if random_seed is not None:
            random_seed = whole_number("random_seed", random_seed, 0, GREATEST_SEED)
        design = self.model.design
        require_memory(
            n * (4 * len(design.y) + 2 * self.model.equations.n_random),
            f"n={n} simulations of {len(design.y):,} rows",
            "ask for fewer, or for some at a time with another random_seed",
        )
        rng = np.random.default_rng(random_seed)
        beta, M, theta = self._truths(n, rng)
        sigma = theta[:, -1]
        u = tuple(
            sigma[:, None, None] * np.einsum("sij,slj->sli", m, factor.standard(rng, (n,)))
            for factor, m in zip(design.factors, M, strict=True)
        )
        y = functions_of_rows(self.model).values(beta, u)
        z = np.asarray(rng.standard_normal(y.shape))
        noise = self.model.equations.residual_noise
        e = np.stack([noise(t, own) for t, own in zip(theta, z, strict=True)]) * sigma[:, None]
        y += e if design.weights is None else e / np.sqrt(design.weights)
        index = pd.RangeIndex(n, name="simulation")
        return pd.DataFrame(y, index=index, columns=design.index)

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
        return cast("Self", self._fit_again(self.model.with_response(y)))

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
        return cast("Self", self._fit_again(changed(self.model, formula, data)))

    # -- what other modules do with a fit -------------------------------------------------------

    @property
    def plot(self) -> Plots:
        """Plots of the fit, as methods: ``fit.plot.trellis()``."""
        from bayeslmm.plots.of_fits import Plots

        return Plots(self)

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
        from bayeslmm.storage import solutions as storage

        storage.save(self, path)

    def __repr__(self) -> str:
        return printing.as_text(self._page())

    def _repr_html_(self) -> str:
        return printing.as_html(self._page())

    # -- what the above share -------------------------------------------------------------------

    def _fixed(self, level: float) -> Estimates:
        design = self.model.design
        return self._linear(Functions.of(design.factors, np.eye(len(design.coef))), level)

    def _positions(self, group: str | None) -> list[tuple[int, GroupingFactor]]:
        factors = self.model.design.factors
        if group is None:
            return list(enumerate(factors))
        factor = self.model.design.factor(group)
        return [(factors.index(factor), factor)]

    def _rows(self, level: object, group: str | None) -> Array:
        """Positions of the rows of a level of a grouping factor, or of a subject of R."""
        label, design = level_label(level), self.model.design
        known = {factor.name: (factor.levels, factor.codes) for factor in design.factors}
        residuals = design.residuals
        if residuals is not None and residuals.subjects is not None:
            subjects = residuals.subjects
            known.setdefault(str(residuals.structure.group), (subjects.levels, subjects.codes))
        if not known:
            design.factor_or_only(group)  # which says so
        if group is not None and group not in known:
            raise ArgumentError(unknown_name("grouping factor", group, list(known)))
        among = [name for name in known if group in (None, name) and label in known[name][0]]
        if len(among) > 1:
            raise ArgumentError(f"several groups have a level {label!r}: give `group`, of {among}.")
        if not among:
            valid = [x for name in known if group in (None, name) for x in known[name][0]]
            raise ArgumentError(unknown_name("level", label, valid))
        levels, codes = known[among[0]]
        return np.flatnonzero(codes == levels.index(label))

    def _labels_of(self, rows: Array) -> pd.Index:
        """Labels of some rows: occasions, where they are of one subject of R; else those of the
        data.
        """
        design, own = self.model.design, self.model.design.residuals
        if own is None or own.subjects is None or len(own.structure.times) != 1:
            return design.index[rows]
        if len(np.unique(own.subjects.codes[rows])) > 1:
            return design.index[rows]
        occasions = [own.occasions[point] for point in own.rows.point[rows]]
        return pd.Index(occasions, name=own.structure.times[0], dtype=object)

    def _weighted_covariance(self, rows: Array) -> Array:
        """Covariance matrix of the residuals of some rows."""
        R = self._residual_covariance(rows)
        weights = self.model.design.weights
        return R if weights is None else R / np.sqrt(np.outer(weights[rows], weights[rows]))

    def _marginal_covariance(self, rows: Array) -> Array:
        """Covariance matrix ZGZ' + R of the responses of some rows."""
        return self._weighted_covariance(rows) + self._between_covariance(rows)

    def _between_covariance(self, rows: Array) -> Array:
        """Covariance matrix ZGZ' of what the random effects add to some rows."""
        V = np.zeros((len(rows), len(rows)))
        for factor in self.model.design.factors:
            Z = factor.Z[rows]
            V += factor.between(rows) * (Z @ self._moments[0][factor.name] @ Z.T)
        return V

    def _square(self, matrix: Array, rows: Array) -> pd.DataFrame:
        index = self._labels_of(rows)
        return pd.DataFrame(matrix, index=index, columns=index)


def _labels(factor: GroupingFactor, levels: Array, effects: Sequence[str]) -> pd.DataFrame:
    """The label columns of a table with a row for each level and effect."""
    return pd.DataFrame(
        {
            "group": pd.Series([factor.name] * len(levels), dtype=object),
            "level": pd.Series(levels, dtype=object),
            "effect": pd.Series(list(effects) * len(factor.levels), dtype=object),
        }
    )


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if parts:
        return pd.concat(parts, ignore_index=True)
    labels = pd.DataFrame({name: pd.Series(dtype=object) for name in ("group", "level", "effect")})
    empty = np.empty(0)
    return labels.assign(**Estimates(empty, empty, empty, empty).columns())
