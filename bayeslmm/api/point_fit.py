"""What a fit that is a point estimate offers: by REML, by ML, or as a posterior mode."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

import numpy as np
from scipy.special import ndtri

from bayeslmm.api.fit import Fit
from bayeslmm.data.frames import Array
from bayeslmm.design.parameters import bars_together
from bayeslmm.equations.linear import Estimates
from bayeslmm.errors import MissingAttributeError
from bayeslmm.inference.effect_tests import anova_table, contrast_table, joint_table
from bayeslmm.solutions.degrees_of_freedom.methods import DF, df_method
from bayeslmm.solutions.degrees_of_freedom.wald import t_columns, t_intervals
from bayeslmm.support import scales
from bayeslmm.support.arguments import probability

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayeslmm.api.model import Model
    from bayeslmm.equations.equations import Equations
    from bayeslmm.equations.linear import Functions
    from bayeslmm.estimation.likelihood.quasi_newton import Optimum, Status
    from bayeslmm.solutions.degrees_of_freedom.wald import Wald

__all__ = ["PointFit"]

_LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class PointFit(Fit):
    """Estimates at the maximum of a criterion: what `LikelihoodFit` and `MapFit` share.

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the criterion in log(sd) and Fisher's z
    of a correlation, mapped back. A parameter on the boundary has none; one that is held has a
    standard error of 0.

    Attributes
    ----------
    model : Model
        What was fitted.
    optimum : Optimum
        What the optimiser found, with status, trace, Hessian and time.
    """

    model: Model
    optimum: Optimum

    _elsewhere: ClassVar[Mapping[str, str]] = {
        "draws": "it is a point estimate. `model.fit('nuts')` draws from the posterior",
        "convergence": "it is a point estimate, without draws to converge. `status` says how the "
        "optimiser ended, and `diagnose()` what to do about it",
        "loo": "it is cross-validation of a posterior: `model.fit('nuts').loo()`. `influence()` "
        "says what leaving out rows or groups does to the coefficients, and `compare` sets fits "
        "side by side",
    }

    @property
    @abstractmethod
    def loglik(self) -> float:
        """The log-likelihood at the estimate."""

    @property
    @abstractmethod
    def trace(self) -> pd.DataFrame:
        """The iterations, a row each."""

    @abstractmethod
    def _given(self, equations: Equations, theta: Array) -> Equations:
        """Equations of this model, of any rows, with R at theta."""

    @abstractmethod
    def _maximum(self, equations: Equations) -> Optimum:
        """The optimum of equations of this model, of any rows."""

    @abstractmethod
    def _new_wald(self, df: DF) -> Wald:
        """Tests of functions of beta with degrees of freedom of a kind."""

    @property
    def status(self) -> Status:
        """How the optimiser ended; its value says it in words."""
        return self.optimum.status

    @property
    def algorithm(self) -> str:
        """What has maximised the criterion."""
        return self.optimum.algorithm

    @property
    def n_parameters(self) -> int:
        """The number of coefficients and covariance parameters, without those that are held."""
        return self.model.equations.p + int((~self.model.held).sum())

    def summary(self, level: float = _LEVEL, df: DF = "satterthwaite") -> pd.DataFrame:
        """Coefficients and covariance parameters.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
            The degrees of freedom of the coefficients: Satterthwaite's, as lmerTest gives them;
            Kenward and Roger's, of REML only, with their adjusted standard errors, as pbkrtest
            gives them, or as SAS does with `KenwardRoger`; those of SAS's strata between and within
            nested groups; n - p; or infinitely many, which makes t a z.
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
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
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
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
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
        L : dict, DataFrame, str, sequence of str, sequence of dict, or array_like
            Weights of coefficients: ``{"Days": 7}``; several functions with names, ``{"a week":
            {"Days": 7}, "a day": {"Days": 1}}``, or without, ``[{"Days": 7}, {"Days": 1}]``; a
            frame with a column for each coefficient that counts; names of coefficients; or an
            array with a number for each, one row a function.
        rhs : float or array_like
            What each is tested to be.
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
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
        L : dict, DataFrame, str, sequence of str, sequence of dict, or array_like
            As for `contrast`. Functions that others determine count once.
        rhs : float or array_like
            What they are tested to be.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
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
            self._known_wald[method] = self._new_wald(method)
        return self._known_wald[method]

    @cached_property
    def _known_wald(self) -> dict[DF, Wald]:
        """What was computed for each way of finding degrees of freedom."""
        return {}

    @property
    def posterior(self) -> NoReturn:
        """A point estimate has no draws: asking for them is an error that says what has."""
        raise MissingAttributeError(
            f"a fit by {self.method.upper()} is a point estimate and has no draws; fit the model "
            "with `model.fit('nuts')` for a posterior, or use `simulate()` for new responses."
        )

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
        from bayeslmm.comparison.dimensions import principal_components

        return principal_components(self)

    def influence(
        self, by: str = "row", refit: bool = False, jobs: int | None = None
    ) -> pd.DataFrame:
        """What each row, or each group, does to the coefficients: they are left out in turn.

        Parameters
        ----------
        by : str
            "row", or a grouping factor, or the subjects of R, whose levels are left out with all
            their rows.
        refit : bool
            Whether the covariance parameters are estimated again without the rows. Otherwise they
            stay at the estimate, and the coefficients are found exactly without solving again.
        jobs : int, optional
            Processes that refit; by default several where that is quicker.

        Returns
        -------
        pandas.DataFrame
            A row for each row of data, or level: ``cooks_distance``, the squared distance between
            the coefficients with and without the rows, by their covariance matrix and divided by
            their number; ``covratio``, the determinant of that matrix without the rows over that
            with them; ``leverage``, the derivatives of the fitted values in the responses, summed
            over the rows, as lme4's ``hatvalues``, and ``leverage_fixed``, those of the fixed part;
            ``dfbetas[...]`` of every coefficient, the change in standard errors. After refits also
            the covariance parameters. Missing where the other rows do not determine the
            coefficients.

        Raises
        ------
        ArgumentError
            For an unknown grouping factor, a model without coefficients or estimates, and `jobs`
            without refits.

        Warns
        -----
        ConvergenceWarning
            Where rows or levels have missing values, with the reason.

        Notes
        -----
        Cook (1977), for mixed models Demidenko and Stukel (2005); the derivation is in
        docs/influence.md. Standard errors and covariance matrix are those with all rows.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> table = model.fit("reml").influence(by="Subject")
        >>> table.iloc[:, [0, 1, -1]].nlargest(3, "cooks_distance").round(2)
                 cooks_distance  covratio  dfbetas[Days]
        Subject
        309                0.15      1.12          -0.31
        335                0.13      1.12          -0.51
        337                0.13      1.12           0.33
        """
        from bayeslmm.criticism.influence import influence

        return influence(self, by, refit, jobs)

    @cached_property
    def _equations(self) -> Equations:
        """The equations with R at the estimate."""
        return self._given(self.model.equations, self.optimum.theta)

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
        df = np.full(len(functions), np.inf)
        alone = functions.of_beta
        if alone.any():
            df[alone] = self._wald("satterthwaite").df(functions.X[alone])
        return t_intervals(estimate, np.sqrt(variance), df, level)

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
            factor = self.model.design.factor(block.factor)
            if factor.bars[block.bar].shape is not None:
                own, _ = bars_together(parameters, factor, block.bar)
                none = all(optimum.boundary[b.start : b.stop].all() for b in own)
                undefined[block.start : block.stop] = none
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
