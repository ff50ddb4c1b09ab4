"""The fit that a solution makes: the model with what was estimated, as users hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.api.map_fit import MapFit
from bayeslmm.api.posterior_fit import PosteriorFit
from bayeslmm.solutions.point import LikelihoodSolution, MapSolution
from bayeslmm.solutions.posterior import PosteriorSolution

if TYPE_CHECKING:
    from bayeslmm.solutions.base import Solution
    from bayeslmm.specification import Specification

__all__ = ["fit_of"]

_FITS = {LikelihoodSolution: LikelihoodFit, MapSolution: MapFit, PosteriorSolution: PosteriorFit}


def fit_of[M: Specification](
    model: M, solution: Solution
) -> LikelihoodFit[M] | MapFit[M] | PosteriorFit[M]:
    """The fit of a model by what was estimated."""
    return _FITS[type(solution)](model, solution)
