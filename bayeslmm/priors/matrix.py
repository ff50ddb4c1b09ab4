"""Prior families of whole matrices: of correlations, and of the covariances G and R."""

from __future__ import annotations

from dataclasses import dataclass

from bayeslmm.errors import PriorError
from bayeslmm.priors.base import Matrix, Prior, Vector, matrix, vector

__all__ = ["LKJ", "HuangWand", "InverseWishart", "Wishart"]


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


@dataclass(frozen=True, repr=False)
class _OfScale(Prior):
    """What the two Wishart families have in common: degrees of freedom and a scale matrix."""

    df: float
    scale: Matrix
    support = "covariance"
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

    pymc_name = "Wishart"


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

    pymc_name = "InverseWishart"


@dataclass(frozen=True, repr=False)
class HuangWand(Prior):
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
    support = "covariance"
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
