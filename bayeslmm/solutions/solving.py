"""From a model to its solution, by each method: one class with its options for each."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np

from bayeslmm.design.identifiability import check_maximum
from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.algorithms import maximise
from bayeslmm.solutions.point import LikelihoodSolution, MapSolution
from bayeslmm.support.arguments import one_of, truth_value
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from bayeslmm.estimation.optimum import Optimum
    from bayeslmm.estimation.posterior.nuts import Draws, Settings
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.posterior import PosteriorSolution
    from bayeslmm.specification import Specification

__all__ = ["METHODS", "maximum_likelihood", "solve"]

_SAMPLERS = ("nutpie", "pymc")
_STATISTICS = 16
"""Numbers that a sampler keeps of a draw beside theta, roughly."""


@dataclass(frozen=True)
class Reml:
    """Restricted maximum likelihood."""

    algorithm: str | None = None
    information: str | None = None
    likelihood: ClassVar[Literal["reml", "ml"]] = "reml"

    def solve(self, model: Specification) -> LikelihoodSolution:
        """Maximise the likelihood of a model."""
        return LikelihoodSolution(model, self._optimum(model))

    def _optimum(self, model: Specification) -> Optimum:
        if model.design.residuals is not None:
            check_maximum(model.design.residuals)
        if not model.held.any():
            return maximise(
                model.design, model.equations, self.likelihood, self.algorithm, self.information
            )
        if self.algorithm not in (None, "quasi-newton") or self.information is not None:
            raise ArgumentError(
                f"algorithm={self.algorithm!r} estimates every covariance parameter, but some are "
                "held by Fixed; leave `algorithm` and `information` out."
            )
        from bayeslmm.estimation.likelihood.held import optimise_held

        return optimise_held(model.equations, self.likelihood, model.priors)


@dataclass(frozen=True)
class Ml(Reml):
    """Maximum likelihood."""

    likelihood: ClassVar[Literal["reml", "ml"]] = "ml"


@dataclass(frozen=True)
class Map:
    """The mode of the posterior of theta, which is a penalised likelihood."""

    def solve(self, model: Specification) -> MapSolution:
        """Maximise the posterior density of a model's theta."""
        from bayeslmm.estimation.posterior.penalised import maximise_posterior

        return MapSolution(model, maximise_posterior(model.equations, model.priors))


@dataclass(frozen=True)
class Nuts:
    """Draws from the posterior by the No-U-Turn sampler."""

    random_seed: int | None = None
    draws: int | None = None
    tune: int | None = None
    chains: int | None = None
    cores: int | None = None
    target_accept: float | None = None
    progress: bool | None = None
    sampler: str | None = None
    collapse: bool | None = None

    def solve(self, model: Specification) -> PosteriorSolution:
        """Draw from the posterior of a model."""
        from bayeslmm.estimation.posterior.nuts import Settings
        from bayeslmm.solutions.posterior import PosteriorSolution

        sampler = "nutpie" if self.sampler is None else self.sampler
        sampler = one_of("sampler", sampler, _SAMPLERS)
        own: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("draws", "tune", "chains", "cores", "target_accept", "progress")
        } | {"seed": self.random_seed}
        settings = Settings(**{name: value for name, value in own.items() if value is not None})
        collapse = None if self.collapse is None else truth_value("collapse", self.collapse)
        draws = _sample(model, settings, sampler, _collapses(model, sampler, collapse))
        return PosteriorSolution(model, draws)


_ESTIMATORS = {"nuts": Nuts, "reml": Reml, "ml": Ml, "map": Map}
METHODS = tuple(_ESTIMATORS)
"""The names of the methods, as `Model.fit` takes them."""


def solve(model: Specification, method: str, **options: object) -> Solution:
    """Fit a model.

    Parameters
    ----------
    model : Specification
    method : {"nuts", "reml", "ml", "map"}
    **options
        Those of the method; None leaves one at its default.

    Returns
    -------
    Solution

    Raises
    ------
    ArgumentError
        For an unknown method, and for an option that the method has no use for.
    """
    method = one_of("method", method, METHODS)
    given = {name: value for name, value in options.items() if value is not None}
    takes = {name: [field.name for field in fields(own)] for name, own in _ESTIMATORS.items()}
    useless = [option for option in given if option not in takes[method]]
    if useless:
        others = [repr(name) for name in METHODS if set(useless) <= set(takes[name])]
        instead = f", or fit by {' or '.join(others)}" if others else ""
        raise ArgumentError(
            f"{method.upper()} has no use for {', '.join(useless)}; leave that out{instead}."
        )
    return cast("Solution", _ESTIMATORS[method](**given).solve(model))


def maximum_likelihood(solution: LikelihoodSolution) -> LikelihoodSolution:
    """The solution by ML of the same model, for what cannot be told from restricted likelihoods."""
    return solution if solution.method == "ml" else Ml().solve(solution.model)


def _collapses(model: Specification, sampler: str, collapse: bool | None) -> bool:
    """Whether theta alone is sampled."""
    textbook = (*model.priors.not_gaussian, *model.priors.slopes) if sampler == "pymc" else ()
    if textbook and collapse:
        raise ArgumentError(
            "collapse=True integrates all of beta out here, which needs Gaussian priors; those of "
            f"{', '.join(textbook)} are not. Leave `collapse` out, or `sampler`."
        )
    if textbook:
        return False
    return collapse is None or collapse


def _sample(model: Specification, settings: Settings, sampler: str, collapse: bool) -> Draws:
    """Draw from the posterior: of theta alone, with beta and u drawn exactly afterwards, or of the
    textbook model as it stands.
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

    from bayeslmm.design.variables import in_pymc, response_name
    from bayeslmm.pymc_models.collapsed import collapsed_model
    from bayeslmm.pymc_models.parameters import theta_draws
    from bayeslmm.pymc_models.textbook import full_model

    began = time.perf_counter()
    settings = replace(settings, target_accept=settings.target_accept or nuts.PYMC_TARGET)
    if collapse:
        response = response_name(model.design, model.parameters)
        compiled = collapsed_model(model.equations, model.priors, response)
    else:
        compiled = full_model(model.design, model.parameters, model.priors)
    variables, stats, name = nuts.sample_model(compiled, settings, sampler)  # type: ignore[arg-type]
    theta = theta_draws(variables, model.parameters)
    if collapse:
        beta, u = nuts.draw_coefficients(model.equations, model.priors, theta, settings)
    else:
        beta = variables["beta"]
        effects = [variables[in_pymc(f"u_{factor.name}")] for factor in model.design.factors]
        empty = np.empty((*theta.shape[:2], 0))
        u = np.concatenate([*(e.reshape(*e.shape[:2], -1) for e in effects), empty], axis=-1)
    return nuts.Draws(theta, beta, u, stats, settings, name, time.perf_counter() - began)


def _require_memory(model: Specification, settings: Settings, collapse: bool) -> None:
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
