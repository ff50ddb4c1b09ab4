"""Independent rows."""

from __future__ import annotations

from bayeslmm.covariance.correlations.base import Correlation, Whitening
from bayeslmm.covariance.correlations.known import KnownCorrelation
from bayeslmm.covariance.structures import Covariance

__all__ = ["ID", "Diag", "NoCorrelation"]


class NoCorrelation(Correlation):
    """Independent rows, without parameters."""

    stem, kind = "none", 0
    whitening = Whitening.INDEPENDENT

    def is_linear(self, variance: object) -> bool:
        """Variances are linear in themselves."""
        return True

    def lies_in(self, other: Correlation, in_line: bool) -> bool:
        """Correlations may be zero, unless they are known."""
        return not isinstance(other, KnownCorrelation)


class ID(Covariance):
    """Independent, with one variance; with ``by`` or `VarIdent` one for each stratum."""

    _correlation, calls = NoCorrelation(), ("id",)


class Diag(Covariance):
    """Independent, with a variance for each occasion."""

    _correlation, _variance, calls = NoCorrelation(), "occasion", ("diag",)
