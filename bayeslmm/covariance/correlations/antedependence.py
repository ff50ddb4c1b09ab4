"""First-order antedependence: products of the correlations of neighbouring occasions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter, Whitening
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance
from bayeslmm.support.arrays import Array

__all__ = ["Ante1", "Antedependence"]


class Antedependence(Correlation):
    """A correlation for each pair of neighbours, and the product of those between two others."""

    stem, kind = "ante1", 6
    needs, whitening = Needs.ORDER, Whitening.MARKOV
    single = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The correlations of neighbours."""
        return (Parameter("rho", at_upper="rows of a subject are perfectly correlated"),)

    def count(self, own: Parameter, T: int) -> int:
        """The number of neighbours."""
        return T - 1

    def pairs(self, occasions: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Neighbours."""
        return tuple(pairwise(occasions))

    def unidentified(self, block: Array, point: Array, T: int) -> tuple[int, int] | None:
        """Neighbours whose correlation the logarithms of products between rows do not tell."""
        order = np.lexsort((point, block))
        same = np.diff(block[order]) == 0
        ends = np.unique(np.column_stack([point[order][:-1], point[order][1:]])[same], axis=0)
        steps = np.arange(T - 1)
        spans = (ends[:, :1] <= steps) & (steps < ends[:, 1:])
        for k in range(T - 1):
            extra = np.vstack([spans, steps == k]).astype(float)
            if np.linalg.matrix_rank(extra) > np.linalg.matrix_rank(spans.astype(float)):
                return k, k + 1
        return None

    def formula(self, s: Symbols) -> str:
        """The product of the correlations from j to k."""
        ends = (("j", "j+1"), (f"k{s.w.word('minus')}1", "k"))
        return s.w.word("dots").join(s.parameter("rho", *pair) for pair in ends)

    def program_of_all(self, T: int, name: str, parameters: str, root: str) -> Iterator[str]:
        """Products of runs of neighbours."""
        product = f"{parameters}[min(i, j) : max(i, j)].prod()"
        inner = f"pt.stack([{product} for j in range({T})])"
        yield f"{name} = pt.stack([{inner} for i in range({T})])"


class Ante1(Covariance):
    """First-order antedependence: a correlation for each pair of neighbours, a variance each."""

    _correlation, _variance, calls = Antedependence(), "occasion", ("ante1",)
