"""A fit by NUTS: draws of theta, beta and u from their posterior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from bayeslmm.api.fit import Fit
from bayeslmm.effects import tables
from bayeslmm.reports import of_fit as pages
from bayeslmm.solutions.base import LEVEL
from bayeslmm.support.arguments import probability
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from arviz_stats.utils import ELPDData
    from xarray import Dataset, DataTree

    from bayeslmm.criticism.findings import Diagnosis
    from bayeslmm.effects.quantity_table import QuantityTable
    from bayeslmm.estimation.posterior.nuts import Draws
    from bayeslmm.solutions.posterior import PosteriorSolution
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array
    from bayeslmm.support.pages import Page

__all__ = ["PosteriorFit"]

_NO_MAXIMUM = (
    "a posterior has no maximised likelihood. `model.fit('ml')` or 'reml' gives one, for the same "
    "model"
)
_NO_OPTIMISER = (
    "nothing was maximised. `diagnose()` says how sampling went, `convergence` and `draws.stats` "
    "in numbers, `plot.trace()` in a picture"
)
_NO_TEST = (
    "a posterior has no degrees of freedom, and nothing is tested. `hypothesis()` has the "
    "probabilities of statements about the parameters, and `summary()` intervals of coefficients"
)
_NO_CRITERION = "it is of a maximised likelihood. `loo()` says how well the model predicts"
_NO_COMPARISON = (
    "it compares maximised likelihoods. Compare posteriors of the models by `bl.compare`, or fit "
    "by 'reml' or 'ml'"
)
_NO_INTERVALS = (
    "it makes intervals from a maximised likelihood. `summary(level)` has those of the posterior"
)
_NO_COMPONENTS = "it is of a point estimate of G. Fit the model by 'reml', 'ml' or 'map' for that"
_NO_DELETION = (
    "it is of what rows do to estimates at given covariance parameters. Fit the model by 'reml' or "
    "'map' for that"
)


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorFit[M: Specification](Fit[M]):
    """Draws from the posterior; made by ``model.fit("nuts")``.

    Estimates are posterior means, standard errors posterior standard deviations, intervals
    equal-tailed. A posterior has no maximised likelihood, hence neither `aic` nor `bic`.

    Attributes
    ----------
    model : Model
        What was fitted.
    solution : PosteriorSolution
        What was estimated, as arrays.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    >>> fit = model.fit("nuts", random_seed=1, progress=False)
    >>> fit.posterior["u_Batch"].dims
    ('chain', 'draw', 'Batch', 'Batch_effect')
    """

    model: M
    solution: PosteriorSolution

    _elsewhere: ClassVar[Mapping[str, str]] = (
        dict.fromkeys(("loglik", "aic", "aicc", "bic", "n_parameters"), _NO_MAXIMUM)
        | dict.fromkeys(("caic", "conditional_aic"), _NO_CRITERION)
        | dict.fromkeys(("drop1", "random_structures"), _NO_COMPARISON)
        | dict.fromkeys(("profile", "bootstrap", "confint"), _NO_INTERVALS)
        | {"repca": _NO_COMPONENTS}
        | dict.fromkeys(("status", "trace", "optimum", "algorithm"), _NO_OPTIMISER)
        | dict.fromkeys(("anova", "contrast", "test"), _NO_TEST)
        | {"influence": _NO_DELETION}
    )

    @property
    def method(self) -> Literal["nuts"]:
        """How the model was fitted."""
        return "nuts"

    @property
    def draws(self) -> Draws:
        """The draws as arrays, the sampler's statistics and settings; `posterior` and `idata` have
        them labelled.
        """
        return self.solution.draws

    @cached_property
    def posterior(self) -> Dataset:
        """The draws with their labels, the group of that name of `idata`: ``beta`` by
        ``posterior["beta"]``. Functions of ArviZ take it where they need draws alone.
        """
        return self.idata["posterior"].to_dataset()

    @cached_property
    def idata(self) -> DataTree:
        """All groups of data that ArviZ knows, as ``pm.sample`` returns them.

        Group ``posterior`` has ``beta`` (dim ``coef``), ``sd_<factor>`` (``<factor>_effect_sd``),
        ``corr_<factor>`` (``<factor>_pair``, the pairs of effects as `summary` names them),
        ``u_<factor>`` (``<factor>``, ``<factor>_effect``) and ``sigma``; ``sample_stats`` the
        sampler's statistics, ``observed_data`` the response ``y``, and ``constant_data`` weights
        and offset where there are any.
        """
        return self.solution.tree

    def _page(self) -> Page:
        return pages.of_posterior_fit(self.solution)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the draws: too few, not mixed, divergences; dropped columns, rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.criticism.diagnose import diagnose

        return diagnose(self.solution)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Coefficients and covariance parameters, with the convergence of each.

        Parameters
        ----------
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            A row per parameter, under the names of `Fit.summary`: ``estimate``, ``std_error``,
            ``lower``, ``upper``, ``ess_bulk``, ``ess_tail``, ``r_hat``, ``mcse``.

        Raises
        ------
        ArgumentError
            If `level` is not between 0 and 1.
        """
        return tables.posterior_summary(self.solution, probability(level))

    @property
    def convergence(self) -> dict[str, Array]:
        """Effective sample sizes, R̂ and Monte Carlo errors, in the order of `summary`; NaN for
        parameters that are held.
        """
        return self.solution.convergence

    def hypothesis(
        self,
        hypotheses: str | Sequence[str],
        level: float = LEVEL,
        rope: float | tuple[float, float] | None = None,
    ) -> QuantityTable:
        """What the posterior says of statements about the parameters and what follows from them.

        Parameters
        ----------
        hypotheses : str or list of str
            As for `PointFit.hypothesis`: ``"Days > 5"``, ``"icc > 0.5"``.
        level : float
            Probability of the intervals, between 0 and 1.
        rope : float or (float, float), optional
            The region of practical equivalence: differences that do not matter, between the two
            numbers or up to one in size.

        Returns
        -------
        QuantityTable
            A row for each hypothesis, of its left side less its right side: ``estimate``,
            ``std_error``, ``lower``, ``upper``; for > and < the ``probability`` of the hypothesis
            and its ``evidence_ratio``, the posterior odds; for = the ``bayes_factor`` in favour of
            it with its Monte Carlo error ``bayes_factor_error``, NaN where the prior of what it is
            about is improper; with `rope` the probability of that, ``rope``. It has ``draws``.

        Raises
        ------
        ArgumentError
            For a string that cannot be read, whose place is marked; unknown names; another `rope`.
        ArgumentTypeError
            For what is no string.

        Notes
        -----
        Bayes factors are posterior over prior density at the point (Dickey 1971, Annals of
        Mathematical Statistics 42, 204-223), whose smaller model has the conditional prior of the
        larger one. For linear functions of coefficients with Gaussian priors the densities are
        means of normal ones; otherwise they are kernel estimates of draws, which are poor where
        the point is far in a tail.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", bl.load_dataset("sleepstudy"))
        >>> fit = model.fit("nuts", random_seed=1, progress=False)
        >>> table = fit.hypothesis(["Days > 5", "icc > 0.5"])
        >>> bool(table["probability"]["Days > 5"] > 0.99)
        True
        """
        from bayeslmm.inference.hypothesis_tests import posterior_tests

        return posterior_tests(self.solution, hypotheses, probability(level), rope)

    def loo(self, unit: str = "row") -> ELPDData:
        """Expected log predictive density by leave-one-out cross-validation, without refits.

        What is left out is predicted from all other rows, with beta and u integrated out exactly,
        so that only theta is reweighted, by Pareto-smoothed importance sampling.

        Parameters
        ----------
        unit : str
            "row", or the name of a grouping factor, or of the subjects of R, whose levels are left
            out as a whole: how well the model predicts new ones.

        Returns
        -------
        arviz_stats.ELPDData
            With ``elpd``, ``se``, ``p`` and, by row or level, ``elpd_i`` and ``pareto_k``. Where
            ``pareto_k`` is large, a `ConvergenceWarning` says which row or level it is.

        Raises
        ------
        ArgumentError
            For another unit; where the other rows do not determine coefficients with flat priors.

        Notes
        -----
        The predictive density of a row given the others at theta is normal, and the posterior
        without the row is the one with it weighted by the reciprocal of that density (Vehtari,
        Gelman and Gabry 2017, Statistics and Computing 27, 1413-1432). Other programs condition on
        draws of u, which one row of a small group can change a great deal; here u is integrated
        out, and ``pareto_k`` is small.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> data = bl.load_dataset("Penicillin")
        >>> model = bl.Model("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
        >>> fit = model.fit("nuts", random_seed=1, progress=False)
        >>> found = fit.loo("plate")
        >>> int(found.n_data_points)
        24
        """
        from bayeslmm.criticism.loo import loo

        return loo(self.solution, unit)
