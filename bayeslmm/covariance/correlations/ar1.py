"""First-order autoregression: rho to the power of the lag."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.antedependence import Antedependence
from bayeslmm.covariance.correlations.arma11 import AutoregressiveMovingAverage
from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter, Whitening
from bayeslmm.covariance.correlations.toeplitz import Toeplitz
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance

__all__ = ["AR1", "ARH1", "Autoregressive"]


class Autoregressive(Correlation):
    """rho to the power of the lag."""

    stem, kind = "ar1", 3
    needs, whitening = Needs.LAGS, Whitening.MARKOV
    within = (AutoregressiveMovingAverage, Toeplitz, Antedependence)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The correlation of neighbours."""
        return (Parameter("rho", at_upper="rows of a subject are perfectly correlated"),)

    def formula(self, s: Symbols) -> str:
        """rho^|j-k|."""
        return s.w.power(s.parameter("rho"), s.lag)

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """A power, of which zero is left out, where its gradient has no value."""
        yield f"lag = {lags}"
        yield f"C = pt.where(lag == 0, 1, {parameter('rho')} ** np.maximum(lag, 1))"


class AR1(Covariance):
    """First-order autoregressive: rho to the power of the lag, counted in occasions."""

    _correlation, calls = Autoregressive(), ("ar1",)


class ARH1(AR1):
    """First-order autoregressive with a variance for each occasion."""

    _variance, calls = "occasion", ("arh1",)
