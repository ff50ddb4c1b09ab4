"""A fit by NUTS: draws of theta, beta and u from their posterior."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bayeslmm.api.fit import Fit
from bayeslmm.data.frames import Array
from bayeslmm.equations.linear import Estimates, Functions, over_draws
from bayeslmm.errors import ArgumentError
from bayeslmm.reports import printing
from bayeslmm.solutions.labelled import labelled_draws, labelled_rows
from bayeslmm.support.arguments import probability
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from arviz_stats.utils import ELPDData
    from xarray import Dataset, DataTree

    from bayeslmm.api.model import Model
    from bayeslmm.criticism.diagnose import Diagnosis
    from bayeslmm.estimation.posterior.nuts import Draws, Settings

__all__ = ["PosteriorFit", "sample"]

_NO_MAXIMUM = (
    "a posterior has no maximised likelihood. `model.fit('ml')` or 'reml' gives one, for the same "
    "model"
)
_NO_OPTIMISER = (
    "nothing was maximised. `diagnose()` says how sampling went, `convergence` and `draws.stats` "
    "in numbers, `plot.trace()` in a picture"
)
_NO_TEST = (
    "a posterior has no degrees of freedom, and nothing is tested. `summary()` has the intervals "
    "of coefficients, and `posterior` the draws, of which any function can be computed"
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
_STATISTICS = 16
"""Numbers that a sampler keeps of a draw beside theta, roughly."""
_TAILS = (0.05, 0.95)
"""Quantiles whose effective sample sizes `ess_tail` is the smaller of."""


def sample(
    model: Model, settings: Settings, sampler: Literal["nutpie", "pymc"], collapse: bool
) -> Draws:
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : Model
    settings : Settings
    sampler : {"nutpie", "pymc"}
    collapse : bool
        Whether theta alone is sampled, and beta and u drawn exactly afterwards; otherwise the
        textbook model is sampled as it stands.

    Returns
    -------
    Draws
    """
    from bayeslmm.estimation.posterior import nuts

    if sys.flags.optimize > 1:
        # arviz-stats adds to docstrings, and would fail when the draws are made
        raise ArgumentError(
            "draws cannot be summarised without docstrings, which python -OO and PYTHONOPTIMIZE=2 "
            "take away; run Python with -O at most, or fit by 'reml', 'ml' or 'map'."
        )
    _require_memory(model, settings, collapse)
    if collapse and sampler == "nutpie":
        from bayeslmm.estimation.likelihood.quasi_newton import optimise

        began = time.perf_counter()
        reml = optimise(model.equations, "reml")
        start = reml.theta if reml.status.ok else None
        draws = nuts.sample_collapsed(model.equations, model.priors, settings, start)
        return replace(draws, seconds=time.perf_counter() - began)

    from bayeslmm.design.variables import in_pymc
    from bayeslmm.pymc_models.parameters import theta_draws

    began = time.perf_counter()
    settings = replace(settings, target_accept=settings.target_accept or nuts.PYMC_TARGET)
    compiled = model.pymc if collapse else model.full_pymc()
    variables, stats, name = nuts.sample_model(compiled, settings, sampler)
    theta = theta_draws(variables, model.parameters)
    if collapse:
        beta, u = nuts.draw_coefficients(model.equations, model.priors, theta, settings)
    else:
        beta = variables["beta"]
        effects = [variables[in_pymc(f"u_{factor.name}")] for factor in model.design.factors]
        empty = np.empty((*theta.shape[:2], 0))
        u = np.concatenate([*(e.reshape(*e.shape[:2], -1) for e in effects), empty], axis=-1)
    return nuts.Draws(theta, beta, u, stats, settings, name, time.perf_counter() - began)


def _require_memory(model: Model, settings: Settings, collapse: bool) -> None:
    """Refuse draws for which there is no room: what the sampler keeps, warm-up included, once more
    as it is put together, and beta and u.
    """
    coefficients = model.equations.p + model.equations.n_random
    kept = len(model.parameters) + _STATISTICS + (0 if collapse else coefficients)
    tune, draws = settings.chains * settings.tune, settings.chains * settings.draws
    require_memory(
        2 * kept * (tune + draws) + coefficients * draws,
        f"draws={settings.draws} and tune={settings.tune} of {settings.chains} chains, each draw "
        f"with {coefficients:,} coefficients and random effects,",
        "ask for fewer; 1,000 draws of each of 4 chains are enough for most purposes",
    )


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorFit(Fit):
    """Draws from the posterior; made by ``model.fit("nuts")``.

    Estimates are posterior means, standard errors posterior standard deviations, intervals
    equal-tailed. A posterior has no maximised likelihood, hence neither `aic` nor `bic`.

    Attributes
    ----------
    model : Model
        What was fitted.
    draws : Draws
        The draws as arrays, the sampler's statistics and settings; `posterior` and `idata` have
        them labelled.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    >>> fit = model.fit("nuts", random_seed=1, progress=False)
    >>> fit.posterior["u_Batch"].dims
    ('chain', 'draw', 'Batch', 'Batch_effect')
    """

    model: Model
    draws: Draws

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
        import arviz_base

        variables, dims, coords = labelled_draws(
            self.model, self.draws.theta, self.draws.beta, self.draws.u
        )
        data, own, rows = labelled_rows(self.model)
        groups = {"posterior": variables, "sample_stats": self.draws.stats, **data}
        attributes: dict[str, Any] = {
            "/": {"formula": self.model.formula, "response": self.model.design.response},
            "posterior": {"sampler": self.draws.sampler, "sampling_time": self.draws.seconds},
        }
        return arviz_base.from_dict(groups, dims=dims | own, coords=coords | rows, attrs=attributes)

    def _fit_again(self, model: Model) -> PosteriorFit:
        own = self.draws.settings
        return model.fit(
            "nuts",
            random_seed=own.seed,
            draws=own.draws,
            tune=own.tune,
            chains=own.chains,
            cores=own.cores,
            progress=own.progress,
        )

    def _page(self) -> printing.Page:
        return printing.of_posterior_fit(self)

    def diagnose(self) -> Diagnosis:
        """Say what is wrong with the draws: too few, not mixed, divergences; dropped columns, rows.

        Returns
        -------
        Diagnosis
        """
        from bayeslmm.criticism.diagnose import of_posterior

        return of_posterior(self)

    @cached_property
    def _flat(self) -> tuple[Array, Array, tuple[Array, ...]]:
        """Draws of theta, beta and of u by factor, over all chains."""
        theta = self.draws.theta.reshape(-1, self.draws.theta.shape[-1])
        beta = self.draws.beta.reshape(len(theta), -1)
        u = self.draws.u.reshape(len(theta), -1)
        return theta, beta, tuple(self.model.equations.split_u(u).values())

    @cached_property
    def _beta(self) -> Array:
        return self._flat[1].mean(axis=0)

    @cached_property
    def _u(self) -> tuple[Array, ...]:
        return tuple(u.mean(axis=0) for u in self._flat[2])

    def _relative_factors(self, theta: Array) -> tuple[Array, ...]:
        """M of each factor at each draw of theta; (draws, q, q)."""
        equations = self.model.equations
        return tuple(equations.split_M(np.stack([equations.relative_factors(t) for t in theta])))

    @cached_property
    def _M(self) -> tuple[Array, ...]:
        return self._relative_factors(self._flat[0])

    @cached_property
    def _moments(self) -> tuple[dict[str, Array], float]:
        sigma = self._flat[0][:, -1]
        factors = self.model.design.factors
        G = {
            factor.name: np.einsum("s,sij,skj->ik", sigma**2, m, m) / len(sigma)
            for factor, m in zip(factors, self._M, strict=True)
        }
        return G, float(np.mean(sigma**2))

    def _linear(self, functions: Functions, level: float) -> Estimates:
        theta, beta, u = self._flat
        if functions.certain:
            return over_draws(
                functions, lambda part: (part.values(beta, u), None), len(beta), level
            )
        sampled = any(rows.any() for rows in functions.new)
        M = self._M if sampled else tuple(np.zeros((1, 1)) for _ in functions.new)
        rng = np.random.default_rng([self.draws.settings.seed, 2])
        return over_draws(
            functions,
            lambda part: (part.values(beta, u), part.variance(M, theta)),
            len(beta),
            level,
            rng,
        )

    def _effects(self, position: int, level: float) -> Estimates:
        factors = self.model.design.factors
        factor = factors[position]
        levels, q = len(factor.levels), len(factor.effects)
        functions = Functions.of(
            factors,
            np.zeros((levels * q, self.model.equations.p)),
            {factor.name: np.repeat(np.arange(levels, dtype=np.int32), q)},
            {factor.name: np.tile(np.eye(q), (levels, 1))},
        )
        return self._linear(functions, level)

    def _parameters(self, level: float) -> Estimates:
        return Estimates.of_draws(self._flat[0], level)

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
        level = probability(level)
        return self._summary(self._fixed(level), self._parameters(level), self.convergence)

    @cached_property
    def convergence(self) -> dict[str, Array]:
        """Effective sample sizes, R̂ and Monte Carlo errors, in the order of `summary`; NaN for
        parameters that are held.
        """
        from arviz_stats.base import array_stats

        draws = np.concatenate([self.draws.beta, self.draws.theta], axis=-1)
        drawn = np.r_[np.ones(self.draws.beta.shape[-1], dtype=bool), ~self.model.held]
        axes = {"chain_axis": 0, "draw_axis": 1}
        found = {
            "ess_bulk": array_stats.ess(draws[..., drawn], **axes, method="bulk"),
            "ess_tail": array_stats.ess(draws[..., drawn], **axes, method="tail", prob=_TAILS),
            "r_hat": array_stats.rhat(draws[..., drawn], **axes),
            "mcse": array_stats.mcse(draws[..., drawn], **axes),
        }
        out = {name: np.full(len(drawn), np.nan) for name in found}
        for name, values in found.items():
            out[name][drawn] = values
        return out

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

        return loo(self, unit)

    def _truths(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        theta, beta, _ = self._flat
        chosen = rng.choice(len(theta), size=n, replace=n > len(theta))
        return beta[chosen], self._relative_factors(theta[chosen]), theta[chosen]

    @cached_property
    def _residual_sds(self) -> Array:
        equations, theta = self.model.equations, self._flat[0]
        if not equations.structured:
            return np.full(equations.n, np.sqrt(self.residual_variance))
        variances = np.zeros(equations.n)
        for row in theta:
            variances += (row[-1] * equations.residual_sds(row)) ** 2
        return np.sqrt(variances / len(theta))

    def _residual_covariance(self, rows: Array) -> Array:
        equations, theta = self.model.equations, self._flat[0]
        if not equations.structured:
            return np.diag(np.full(len(rows), self.residual_variance))
        R = np.zeros((len(rows), len(rows)))
        for row in theta:
            R += row[-1] ** 2 * equations.residual_covariance(row, rows)
        return R / len(theta)
