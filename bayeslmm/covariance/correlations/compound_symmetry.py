"""Compound symmetry: one correlation of all pairs of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.base import Correlation, Parameter, Whitening
from bayeslmm.covariance.correlations.toeplitz import Toeplitz
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance

__all__ = ["CS", "CSH", "CompoundSymmetry"]


class CompoundSymmetry(Correlation):
    """One correlation; the more rows, the less negative it may be."""

    stem, kind = "cs", 2
    whitening = Whitening.EXCHANGEABLE
    within = (Toeplitz,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The correlation."""
        return (Parameter("rho", at_upper="rows of a subject are perfectly correlated"),)

    def bounds(self, T: int) -> tuple[tuple[float, float], ...]:
        """The interval in which the matrix of T rows is positive definite."""
        return ((-1.0 / max(T - 1, 1), 1.0),)

    def is_linear(self, variance: object) -> bool:
        """With one variance there is one covariance."""
        return variance == "one"

    def formula(self, s: Symbols) -> str:
        """The correlation, rho."""
        return s.parameter("rho")

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """The same for all pairs."""
        yield f"C = pt.where(np.eye({size}), 1, {parameter('rho')})"


class CS(Covariance):
    """Compound symmetry: one correlation for all pairs of occasions, negative ones included."""

    _correlation, calls = CompoundSymmetry(), ("cs",)


class CSH(CS):
    """Compound symmetry with a variance for each occasion."""

    _variance, calls = "occasion", ("csh",)
