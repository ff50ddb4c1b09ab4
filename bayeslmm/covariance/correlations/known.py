"""Known correlations, given in the place of the distances: the correlation of `Known`."""

from __future__ import annotations

from bayeslmm.covariance.correlations.base import Correlation, Needs
from bayeslmm.covariance.correlations.writing import Symbols

__all__ = ["KnownCorrelation"]


class KnownCorrelation(Correlation):
    """Correlations that are given, without parameters."""

    stem, kind = "known", 12
    needs = Needs.POSITIONS

    def is_linear(self, variance: object) -> bool:
        """Covariances are linear in variances."""
        return True

    def lies_in(self, other: Correlation, in_line: bool) -> bool:
        """Two of them may be different matrices."""
        return other.unrestricted

    def formula(self, s: Symbols) -> str:
        """K_jk."""
        return s.w.indexed("K", "j", "k")
