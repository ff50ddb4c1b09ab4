"""What a fit that is a point estimate offers: by REML, by ML, or as a posterior mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

from bayeslmm.api.fit import Fit
from bayeslmm.effects import tables
from bayeslmm.inference.effect_tests import anova_table, contrast_table, joint_table
from bayeslmm.solutions.base import LEVEL
from bayeslmm.solutions.degrees_of_freedom.methods import DF
from bayeslmm.solutions.point import no_draws
from bayeslmm.support.arguments import probability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bayeslmm.effects.quantity_table import QuantityTable
    from bayeslmm.estimation.optimum import Optimum, Status
    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.specification import Specification

__all__ = ["PointFit"]


@dataclass(frozen=True, eq=False, repr=False)
class PointFit[M: Specification](Fit[M]):
    """Estimates at the maximum of a criterion: what `LikelihoodFit` and `MapFit` share.

    Standard errors of coefficients and predictions are those at the estimated theta; standard
    errors and intervals of theta come from the curvature of the criterion in log(sd) and Fisher's z
    of a correlation, mapped back. A parameter on the boundary has none; one that is held has a
    standard error of 0.

    Attributes
    ----------
    model : Model
        What was fitted.
    solution : PointSolution
        What was estimated, as arrays.
    """

    model: M
    solution: PointSolution

    _elsewhere: ClassVar[Mapping[str, str]] = {
        "draws": "it is a point estimate. `model.fit('nuts')` draws from the posterior",
        "idata": "it is a point estimate. `model.fit('nuts')` draws from the posterior",
        "convergence": "it is a point estimate, without draws to converge. `status` says how the "
        "optimiser ended, and `diagnose()` what to do about it",
        "loo": "it is cross-validation of a posterior: `model.fit('nuts').loo()`. `influence()` "
        "says what leaving out rows or groups does to the coefficients, and `compare` sets fits "
        "side by side",
    }

    @property
    def optimum(self) -> Optimum:
        """What the optimiser found, with status, trace, Hessian and time."""
        return self.solution.optimum

    @property
    def status(self) -> Status:
        """How the optimiser ended; its value says it in words."""
        return self.solution.optimum.status

    @property
    def algorithm(self) -> str:
        """What has maximised the criterion."""
        return self.solution.optimum.algorithm

    @property
    def n_parameters(self) -> int:
        """The number of coefficients and covariance parameters, without those that are held."""
        return self.solution.n_parameters

    def summary(self, level: float = LEVEL, df: DF = "satterthwaite") -> pd.DataFrame:
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
        return tables.point_summary(self.solution, probability(level), df)

    def fixef(self, level: float = LEVEL, df: DF = "satterthwaite") -> pd.DataFrame:
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
        fixed, _ = self.solution.tested_coefficients(probability(level), df)
        return tables.fixef(self.solution, fixed)

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
        return anova_table(self.model.design, self.solution.beta, self.solution.wald(df), type)

    def contrast(
        self, L: object, rhs: object = 0.0, level: float = LEVEL, df: DF = "satterthwaite"
    ) -> pd.DataFrame:
        """Estimate linear functions of the coefficients, and test each by t.

        Parameters
        ----------
        L : dict, DataFrame, str, sequence of str, sequence of dict, or array_like
            Weights of coefficients: ``{"Days": 7}``; several functions with names, ``{"a week":
            {"Days": 7}, "a day": {"Days": 1}}``, or without, ``[{"Days": 7}, {"Days": 1}]``; a
            frame with a column for each coefficient that counts; texts such as ``"A - B"``; or an
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
        return contrast_table(L, rhs, coef, self.solution.beta, self.solution.wald(df), level)

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
        return joint_table(
            L, rhs, self.model.design.coef, self.solution.beta, self.solution.wald(df)
        )

    def hypothesis(
        self,
        hypotheses: str | Sequence[str],
        level: float = LEVEL,
        df: DF = "satterthwaite",
    ) -> QuantityTable:
        r"""Test statements about coefficients, covariance parameters and what follows from them.

        Parameters
        ----------
        hypotheses : str or list of str
            Such as ``"Days > 5"``, ``"Machine[B] = Machine[C]"``, ``"sd_Subject[Days] > 3"``,
            ``"icc > 0.5"`` or ``"sd_Subject[Days]**2 / sigma**2 > 0.1"``. Names are those of
            `summary` (a coefficient without ``beta[...]`` too), ``icc``, which is
            ``icc[adjusted]``, ``icc[unadjusted]``, ``icc[plate]`` of a grouping factor,
            ``r2[marginal]`` and ``r2[conditional]``; with +, -, \*, /, \*\*, abs, exp, log, sqrt.
        level : float
            Probability of the intervals, between 0 and 1.
        df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}, KenwardRoger
            The degrees of freedom of linear functions of coefficients: see `summary`.

        Returns
        -------
        QuantityTable
            A row for each hypothesis, of its left side less its right side: ``estimate``,
            ``std_error``, ``lower``, ``upper``, ``df``, ``t``, ``p``. Where the hypothesis is no
            linear function of coefficients the delta method gives the standard error, from the
            observed information. p is two-sided for =; for > and < it is one-sided, and the
            hypothesis is the alternative.

        Raises
        ------
        ArgumentError
            For a string that cannot be read, whose place is marked, and unknown names.
        ArgumentTypeError
            For what is no string.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> fit = model.fit("reml")
        >>> fit.hypothesis(["Days > 5", "icc = 0.5"])[["estimate", "std_error", "p"]].round(3)
                    estimate  std_error      p
        hypothesis
        Days > 5       5.467      1.546  0.001
        icc = 0.5      0.222      0.072  0.002
        """
        from bayeslmm.inference.hypothesis_tests import likelihood_tests

        return likelihood_tests(self.solution, hypotheses, probability(level), df)

    @property
    def posterior(self) -> NoReturn:
        """A point estimate has no draws: asking for them is an error that says what has."""
        raise no_draws(self.method)

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
        from bayeslmm.comparison.random_effects import principal_components

        return principal_components(self.solution)

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

        return influence(self.solution, by, refit, jobs)
