"""The algorithms that maximise a likelihood, by name; all start at the same place and reach the
same maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.em import em, squarem
from bayeslmm.estimation.likelihood.newton import Information, em_newton, newton
from bayeslmm.estimation.likelihood.profiled_deviance import profile
from bayeslmm.estimation.likelihood.quasi_newton import check_unit, optimise
from bayeslmm.estimation.likelihood.search import by_ratios, prepare
from bayeslmm.estimation.optimum import Optimum
from bayeslmm.support.arguments import one_of
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    import numpy as np

    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.search import Search

__all__ = ["ALGORITHMS", "maximise"]

type _Simple = Callable[[Search, np.ndarray], Optimum]
type _WithInformation = Callable[[Search, np.ndarray, Design, Information], Optimum]

_SIMPLE: dict[str, _Simple] = {"em": em, "squarem": squarem, "profile": profile}
_WITH_INFORMATION: dict[str, _WithInformation] = {"newton": newton, "em+newton": em_newton}
_DEFAULT = "quasi-newton"
_INFORMATIONS = ("average", "observed")

ALGORITHMS = (_DEFAULT, "em", "squarem", "newton", "em+newton", "profile")
"""What ``fit`` takes as ``algorithm``."""


def maximise(
    design: Design,
    equations: Equations,
    method: Literal["reml", "ml"],
    algorithm: str | None = None,
    information: str | None = None,
) -> Optimum:
    """Maximise the likelihood of a model.

    Parameters
    ----------
    design : Design
    equations : Equations
        Of the design.
    method : {"reml", "ml"}
    algorithm : str, optional
        One of `ALGORITHMS`; the first by default.
    information : {"average", "observed"}, optional
        The matrix that the steps of "newton" and "em+newton" are made with; "average" by default.

    Returns
    -------
    Optimum

    Raises
    ------
    ArgumentError
        For an unknown algorithm or information, an information without an algorithm that uses it,
        and a model that the algorithm has no steps for.
    DataError
        If the response is so small or large that its squares are not numbers.
    """
    name = one_of("algorithm", _DEFAULT if algorithm is None else algorithm, ALGORITHMS)
    if information is not None:
        information = one_of("information", information, _INFORMATIONS)
        if name not in _WITH_INFORMATION:
            raise ArgumentError(
                f"algorithm={name!r} has no use for `information`; leave that out, or use "
                "algorithm='newton' or 'em+newton'."
            )
    if name == _DEFAULT:
        return optimise(equations, method)
    with blas_threads(equations.root_order):
        check_unit(equations)
        search, start = prepare(equations, method)
        if name in _SIMPLE:
            return _SIMPLE[name](search, start)
        start = by_ratios(search, start)  # from one start of loadings, one of several maxima
        search.trace = []
        return _WITH_INFORMATION[name](
            search, start, design, cast("Information", information or "average")
        )
