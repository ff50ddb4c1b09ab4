"""Kenward and Roger's adjusted covariance matrix, degrees of freedom and scaled F.

The covariance matrix C = (X'V⁻¹X)⁻¹ at the estimated theta is too small: beta was estimated with
the weights of a V that is itself estimated, and C as a function of theta is biased. Kenward and
Roger (1997) add both to second order, and choose the degrees of freedom and the scale of the F
statistic by its first two moments, so that they are exact where an exact F exists.

Where V is not linear in its parameters, their adjustment also has its second derivatives, and then
depends on how V is parametrised. Without these the result is the same for all parametrisations, and
that of the linear one where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.solutions.degrees_of_freedom.wald import FTest, principal_functions
from bayeslmm.support.arguments import truth_value
from bayeslmm.support.arrays import Array

__all__ = ["AdjustedTests", "KenwardRoger", "Sensitivity", "expected_covariance", "kenward_roger"]

_ILL_CONDITIONED = 1e13
_NO_SCALE = 1e-2
"""How close to 2 the degrees of freedom leave the F statistic unscaled, as in pbkrtest."""
_ZERO = 1e-10


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How X'V⁻¹X and the restricted likelihood depend on the parameters of V, in which it has the
    derivatives V_i.

    Attributes
    ----------
    information : (p, p) array
        X'V⁻¹X.
    P : (k, p, p) array
        X'V⁻¹V_iV⁻¹X.
    Q : (k, k, p, p) array
        X'V⁻¹V_iV⁻¹V_jV⁻¹X.
    traces : (k, k) array
        tr(V⁻¹V_iV⁻¹V_j).
    """

    information: Array
    P: Array
    Q: Array
    traces: Array


@dataclass(frozen=True, kw_only=True)
class KenwardRoger:
    """Kenward and Roger's degrees of freedom and adjusted standard errors, as a value of `df`.

    Parameters
    ----------
    information : {"expected", "observed"}
        The information about the covariance parameters, whose inverse is their covariance matrix.
    second_derivatives : bool, default False
        Whether the second derivatives of V are in the adjustment, in the parameters of SAS:
        variances, and correlations or ranges. They are zero for structures that are linear in their
        covariances, which are all that have no parameters but standard deviations, and `UN`, `CS`
        and `Toep`. So far they are offered for structures of R alone: without random effects, for
        which they have been confirmed by SAS's figures.

    Notes
    -----
    `KenwardRoger()` is ``df="kenward-roger"``, and what pbkrtest computes.
    `KenwardRoger(information="observed", second_derivatives=True)` is DDFM=KENWARDROGER of SAS's
    PROC MIXED, and without the second derivatives DDFM=KENWARDROGER(FIRSTORDER), which is
    "Kenward-Roger-Linear" of the R package mmrm.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> R = bl.AR1(time="age", group="Subject")
    >>> fit = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=R).fit("reml")
    >>> sas = bl.KenwardRoger(information="observed", second_derivatives=True)
    >>> fit.summary(df=sas).loc["beta[age]", ["std_error", "df"]].round(4).to_list()
    [0.0963, 105.533]
    """

    information: Literal["expected", "observed"] = "expected"
    second_derivatives: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if self.information not in ("expected", "observed"):
            raise ArgumentError(
                unknown_name("information", self.information, ("expected", "observed"))
            )
        truth_value("second_derivatives", self.second_derivatives)


@dataclass(frozen=True, eq=False)
class AdjustedTests:
    """Tests of functions of beta with Kenward and Roger's degrees of freedom.

    Attributes
    ----------
    vcov : (p, p) array
        The adjusted covariance matrix of the estimates.
    rotation : (p, p) array
        From gamma, of which the following are, to beta.
    adjusted, unadjusted : (p, p) arrays
        That matrix, and C.
    P : (k, p, p) array
        X'V⁻¹V_iV⁻¹X.
    W : (k, k) array
        Covariance matrix of the estimates of the parameters.
    """

    vcov: Array
    rotation: Array
    adjusted: Array
    unadjusted: Array
    P: Array
    W: Array

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each of the functions L beta; L is (m, p)."""
        return np.array([self._approximation(row[None])[0] for row in L @ self.rotation])

    def f_test(self, L: Array, difference: Array) -> FTest:
        """Test that L beta is what it differs from by `difference`; L is (m, p)."""
        functions, values, _ = principal_functions(L @ self.rotation, difference, self.unadjusted)
        den_df, scale = self._approximation(functions)
        q = len(values)
        adjusted = functions @ self.adjusted @ functions.T
        F = float(values @ np.linalg.solve(adjusted, values)) / q
        return FTest(scale * F, q, den_df)

    def _approximation(self, L: Array) -> tuple[float, float]:
        """Degrees of freedom, and the factor of the F statistic, that match its mean and variance
        to those of an F variable; L is (q, p), of gamma. The notation is Kenward and Roger's.
        """
        q, C = len(L), self.unadjusted
        theta = L.T @ np.linalg.solve(L @ C @ L.T, L)
        each = np.einsum("ab,bc,kcd,de->kae", theta, C, self.P, C)
        first = np.einsum("kaa->k", each)
        A1 = first @ self.W @ first
        A2 = np.sum(self.W * np.einsum("kab,lba->kl", each, each))
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        below = 3 * q + 2 * (1 - g)
        above = 1 + g / below * B
        v1, v2 = 1 - (q - g) / below * B, 1 - (q + 2 - g) / below * B
        mean = 1 - A2 / q  # one over the expectation
        both_vanish = abs(mean) < _ZERO and abs(v1) < _ZERO
        ratio = 1.0 if both_vanish else mean / v1
        rho = ratio**2 * (0.0 if abs(above) < _ZERO else above / v2) / q
        den_df = 4 + (q + 2) / (q * rho - 1)
        near_two = abs(den_df - 2) < _NO_SCALE
        return float(den_df), 1.0 if near_two else float(den_df * mean / (den_df - 2))


def expected_covariance(of: Sensitivity) -> Array:
    """Covariance matrix (k, k) of the parameters of V by the expected information of the restricted
    likelihood.

    Raises
    ------
    ArgumentError
        If the data do not determine the parameters.
    """
    C = np.linalg.inv(of.information)
    CP = np.einsum("ab,kbc->kac", C, of.P)
    twice = of.traces - 2 * np.einsum("ab,klba->kl", C, of.Q) + np.einsum("kab,lba->kl", CP, CP)
    size = np.sqrt(np.abs(np.diag(twice)))
    if not (size > 0).all() or np.linalg.cond(twice / np.outer(size, size)) > _ILL_CONDITIONED:
        raise ArgumentError(
            "Kenward-Roger's degrees of freedom need the information about the covariance "
            "parameters, which is singular here: the data do not determine them all. Simplify the "
            "random effects, or use df='satterthwaite'."
        )
    return np.asarray(2 * np.linalg.inv(twice / np.outer(size, size)) / np.outer(size, size))


def kenward_roger(of: Sensitivity, rotation: Array, W: Array, bend: Array) -> AdjustedTests:
    """Adjust the covariance matrix of beta.

    Parameters
    ----------
    of : Sensitivity
        Of coefficients gamma, at the REML estimates.
    rotation : (p, p) array
        beta = rotation @ gamma.
    W : (k, k) array
        Covariance matrix of the parameters of V.
    bend : (p, p) array
        The sum over them of W_ij X'V⁻¹V_ijV⁻¹X, with the second derivatives of V.
    """
    C = np.linalg.inv(of.information)
    CP = np.einsum("ab,kbc->kac", C, of.P)
    inner = np.einsum("kl,klab->ab", W, of.Q) - np.einsum("kl,kab,lbc->ac", W, of.P, CP)
    adjusted = C + C @ (inner + inner.T - bend / 2) @ C
    return AdjustedTests(rotation @ adjusted @ rotation.T, rotation, adjusted, C, of.P, W)
