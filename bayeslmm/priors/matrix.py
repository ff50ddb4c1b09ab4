"""Prior families of whole matrices: of correlations, and of the covariances G and R."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import PriorError
from bayeslmm.priors.base import Matrix, Prior, PriorCode, Vector, matrix, vector

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = ["LKJ", "CovariancePrior", "HuangWand", "InverseWishart", "Wishart"]


@dataclass(frozen=True, repr=False)
class LKJ(Prior):
    """Prior of a correlation matrix with density proportional to its determinant to the power `eta`
    - 1.

    1 is uniform over correlation matrices; larger values favour small correlations. Source:
    Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100, 1989-2001.

    Parameters
    ----------
    eta : float
        The exponent plus one; it has no unit.

    Examples
    --------
    >>> from bayeslmm import LKJ
    >>> LKJ(eta=2)
    LKJ(2)
    """

    eta: float
    support = "correlation"
    pymc_name = "LKJCorr"
    pymc_parameters = ("eta",)
    code = PriorCode.LKJ
    name_is_shared = False

    def correlation_factor(self, name: str, q: int) -> TensorVariable:
        """A variable of PyMC, which is a Cholesky factor."""
        return self.to_pymc(name, n=q)


@dataclass(frozen=True, repr=False)
class CovariancePrior(Prior):
    """Base of the priors of a covariance matrix (q, q)."""

    support = "covariance"
    name_is_shared = False

    @property
    def size(self) -> int:
        """The number of effects or occasions, q."""
        raise NotImplementedError

    def typical_sd(self, effect: int) -> float:
        """A typical standard deviation of an effect."""
        raise NotImplementedError

    def covariance_factor(self, name: str) -> TensorVariable:
        """A factor F (q, q) of the matrix FF', of variables added to the model on the context."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class _OfScale(CovariancePrior):
    """What the two Wishart families have in common: degrees of freedom and a scale matrix."""

    df: float
    scale: Matrix
    pymc_parameters = ("nu", "V")

    def __post_init__(self) -> None:
        name = type(self).__name__
        object.__setattr__(self, "scale", matrix(name, "scale", self.scale))
        self._check_numbers()
        if self.df <= self.size - 1:
            raise PriorError(
                f"{name}: `df` should be above {self.size - 1} for {self.size} effects, got "
                f"{self.df:g}."
            )

    @property
    def size(self) -> int:
        """The number of effects or occasions."""
        return len(self.scale)


@dataclass(frozen=True, repr=False)
class Wishart(_OfScale):
    """Wishart distribution of the covariance matrix G of a bar, under the key ``"G_Subject"``, or
    of R over the occasions of `UN`, under ``"R"``.

    Its mean is df times the scale. With df of q + 1 or more the density is zero where the matrix is
    singular, so that it keeps variances off zero.

    Parameters
    ----------
    df : float
        Degrees of freedom, above q - 1 for q effects or occasions.
    scale : array_like of shape (q, q)
        Positive definite, in the units of the matrix, which are products of those of the effects; a
        number for one effect.

    Examples
    --------
    >>> from bayeslmm import Wishart
    >>> Wishart(4, scale=[[900, 0], [0, 25]])
    Wishart(4, [[900, 0], [0, 25]])
    """

    code = PriorCode.WISHART
    pymc_name = "Wishart"

    def numbers(self) -> tuple[float, ...]:
        """The degrees of freedom, and the inverse of the scale."""
        return self.df, *np.linalg.inv(self.scale).ravel()

    def typical_sd(self, effect: int) -> float:
        """The root of the mean variance."""
        return float(np.sqrt(self.df * self.scale[effect][effect]))

    def infinite_at_zero(self, count: int) -> bool:
        """Whether there is less than one degree of freedom."""
        return self.df < 1

    def finite_with(self, count: int) -> str:
        """More degrees of freedom."""
        return "a df of 1 or more"

    def covariance_factor(self, name: str) -> TensorVariable:
        """That of the scale, times Bartlett's of a Wishart matrix with scale I."""
        import pytensor.tensor as pt

        return pt.dot(np.linalg.cholesky(self.scale), _bartlett(name, self.df, self.size))


@dataclass(frozen=True, repr=False)
class InverseWishart(_OfScale):
    """Distribution of the inverse of a Wishart matrix, for the covariance matrix G of a bar, under
    the key ``"G_Subject"``, or R over the occasions of `UN`, under ``"R"``.

    Its mean is scale/(df - q - 1), for df above q + 1. Large standard deviations go with large
    correlations, and small ones are all but ruled out: `HuangWand` has less of both.

    Parameters
    ----------
    df : float
        Degrees of freedom, above q - 1 for q effects or occasions.
    scale : array_like of shape (q, q)
        Positive definite, in the units of the matrix; a number for one effect. It is the scale of
        the inverse Wishart distribution itself, the inverse of that of the Wishart matrix.

    Examples
    --------
    >>> from bayeslmm import InverseWishart
    >>> InverseWishart(4, scale=[[900, 0], [0, 25]])
    InverseWishart(4, [[900, 0], [0, 25]])
    """

    code = PriorCode.INVERSE_WISHART
    pymc_name = "InverseWishart"

    def numbers(self) -> tuple[float, ...]:
        """The degrees of freedom, and the scale."""
        return self.df, *np.ravel(self.scale)

    def typical_sd(self, effect: int) -> float:
        """The mode of its logarithm, as if the effect were alone."""
        return float(np.sqrt(self.scale[effect][effect] / (self.df + 1.0)))

    def covariance_factor(self, name: str) -> TensorVariable:
        """The inverse of the transposed factor of a Wishart matrix with the inverse scale."""
        import pytensor.tensor as pt

        L = np.linalg.cholesky(np.linalg.inv(self.scale))
        return _inverse_transposed(pt.dot(L, _bartlett(name, self.df, self.size)), self.size)


@dataclass(frozen=True, repr=False)
class HuangWand(CovariancePrior):
    """Scaled inverse Wishart distribution of the covariance matrix G of a bar, under the key
    ``"G_Subject"``, or of R over the occasions of `UN`, under ``"R"``.

    Each standard deviation is half Student's t with df degrees of freedom and a scale of its own;
    with df = 2 each correlation is uniform. It is inverse Wishart with df + q - 1 degrees of
    freedom and scale 2 df diag(1/a), where each a is inverse gamma with shape 1/2 and scale
    1/scales²; the a are integrated out. Source: Huang and Wand (2013), Bayesian Analysis 8,
    439-452.

    Parameters
    ----------
    df : float
        Degrees of freedom of the standard deviations.
    scales : sequence of float
        Scales of the standard deviations, in the units of the effects or the response, in the order
        of effects or occasions.

    Examples
    --------
    >>> from bayeslmm import HuangWand
    >>> HuangWand(2, scales=[50, 10])
    HuangWand(2, [50, 10])
    """

    df: float
    scales: Vector
    code = PriorCode.HUANG_WAND
    pymc_name = "InverseWishart"
    pymc_parameters = ("nu", "scales")

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", vector("HuangWand", "scales", self.scales))
        if min(self.scales) <= 0:
            raise PriorError(f"HuangWand: `scales` should be positive, got {self.scales}.")
        self._check_numbers()

    @property
    def size(self) -> int:
        """The number of effects or occasions."""
        return len(self.scales)

    def numbers(self) -> tuple[float, ...]:
        """The degrees of freedom, and the scales."""
        return self.df, *self.scales

    def typical_sd(self, effect: int) -> float:
        """The scale of the effect."""
        return self.scales[effect]

    def covariance_factor(self, name: str) -> TensorVariable:
        """That of inverse Wishart, whose scale is made of inverse gamma variables a."""
        import pymc as pm
        import pytensor.tensor as pt

        q = self.size
        a = pm.InverseGamma(f"{name}_a", 0.5, 1 / np.array(self.scales) ** 2, shape=q)
        L = pt.diag(pt.sqrt(a / (2 * self.df)))
        return _inverse_transposed(pt.dot(L, _bartlett(name, self.df + q - 1, q)), q)


def _bartlett(name: str, df: float, q: int) -> TensorVariable:
    """The lower triangular factor A of a Wishart matrix AA' with scale I, after Bartlett.

    Its elements are independent: roots of chi-squared variables with df, df - 1, ... degrees of
    freedom on the diagonal, and standard normal variables below.
    """
    import pymc as pm
    import pytensor.tensor as pt

    squares = pm.ChiSquared(f"{name}_squares", df - np.arange(q), shape=q)
    A = pt.diag(pt.sqrt(squares))
    if q == 1:
        return A
    below = pm.Normal(f"{name}_below", 0.0, 1.0, shape=q * (q - 1) // 2)
    return pt.set_subtensor(A[np.tril_indices(q, -1)], below)


def _inverse_transposed(F: TensorVariable, q: int) -> TensorVariable:
    """The factor (F')⁻¹ of the inverse of FF', of a lower triangular F."""
    from pytensor.tensor.linalg import solve_triangular

    return solve_triangular(F.T, np.eye(q), lower=False)
