"""Autoregressive moving average of orders 1 and 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter
from bayeslmm.covariance.correlations.toeplitz import Toeplitz
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance

__all__ = ["ARMA11", "AutoregressiveMovingAverage"]

_NO_INVERSE = "the moving average has no inverse"


class AutoregressiveMovingAverage(Correlation):
    """The correlation at lag 1 times rho to the power of the lags beyond it."""

    stem, kind = "arma11", 4
    needs = Needs.LAGS
    within = (Toeplitz,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The coefficients; not started at 0, where the two cannot be told apart."""
        return (
            Parameter("rho", at_upper="rows of a subject are perfectly correlated"),
            Parameter("ma", start=0.1, at_lower=_NO_INVERSE, at_upper=_NO_INVERSE),
        )

    def formula(self, s: Symbols) -> str:
        """The correlation at lag 1, and a power."""
        w, rho, ma = s.w, s.parameter("rho"), s.parameter("ma")
        dot = w.word("dot")
        first = f"(1+{rho}{dot}{ma})({rho}+{ma})/(1+2{dot}{rho}{dot}{ma}+{w.power(ma, '2')})"
        return f"{first}{dot}{w.power(rho, f'({s.lag}{w.word("minus")}1)')}"

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """The correlation at lag 1, and a power."""
        rho, ma = parameter("rho"), parameter("ma")
        yield f"lag = {lags}"
        yield f"first = (1 + {rho} * {ma}) * ({rho} + {ma}) / (1 + 2 * {rho} * {ma} + {ma}**2)"
        yield f"C = pt.where(lag == 0, 1, first * {rho} ** np.maximum(lag - 1, 0))"


class ARMA11(Covariance):
    """First-order autoregressive and moving average, parametrised as in nlme's ``corARMA``."""

    _correlation, calls = AutoregressiveMovingAverage(), ("arma11",)
