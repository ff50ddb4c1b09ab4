"""Prior families of parameters that can be any number: the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeslmm.errors import PriorError
from bayeslmm.priors.base import Matrix, Prior, PriorCode, Vector, matrix, vector

__all__ = [
    "Cauchy",
    "Flat",
    "Laplace",
    "MvNormal",
    "Normal",
    "NormalAtMeans",
    "StudentT",
    "StudentTAtMeans",
]


@dataclass(frozen=True, repr=False)
class Normal(Prior):
    """Normal distribution, for coefficients.

    Parameters
    ----------
    mu : float
        Mean, in the parameter's units.
    sigma : float
        Standard deviation (not the variance), in the parameter's units.

    Examples
    --------
    >>> from bayeslmm import Normal
    >>> Normal(0, sigma=50)
    Normal(0, 50)
    """

    mu: float
    sigma: float
    support = "real"
    pymc_name = "Normal"
    pymc_parameters = ("mu", "sigma")
    code = PriorCode.NORMAL
    gaussian = True

    def typical(self, lower: float, upper: float) -> float:
        """The mean."""
        return self.mu


@dataclass(frozen=True, repr=False)
class NormalAtMeans(Normal):
    """Normal prior for the value that the linear predictor has at the predictors' means.

    The reported coefficient stays where the predictors are zero; only its prior is set elsewhere.
    ``"beta[Intercept]"`` takes it, and the coefficients of the cells in a model such as ``y ~ 0 + f
    + x``, which are intercepts too.

    Parameters
    ----------
    mu : float
        Mean, in units of the response.
    sigma : float
        Standard deviation (not the variance), in units of the response.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("sleepstudy")
    >>> prior = bl.NormalAtMeans(300, sigma=100)
    >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", data, priors={"beta[Intercept]": prior})
    >>> model.priors["beta[Intercept]"]
    NormalAtMeans(300, 100)
    """

    at_means = True
    name_is_shared = False


@dataclass(frozen=True, repr=False)
class StudentT(Prior):
    """Student's t distribution, for coefficients.

    Coefficients are integrated out exactly under Gaussian priors only: NUTS samples those with
    other priors beside the covariance parameters.

    Parameters
    ----------
    nu : float
        Degrees of freedom.
    mu : float
        Location.
    sigma : float
        Scale; the standard deviation is larger, sigma √(nu/(nu - 2)).

    Examples
    --------
    >>> from bayeslmm import StudentT
    >>> StudentT(3, mu=0, sigma=10)
    StudentT(3, 0, 10)
    """

    nu: float
    mu: float
    sigma: float
    support = "real"
    pymc_name = "StudentT"
    pymc_parameters = ("nu", "mu", "sigma")
    code = PriorCode.STUDENT_T

    def numbers(self) -> tuple[float, ...]:
        """Location, scale and degrees of freedom."""
        return self.mu, self.sigma, self.nu


@dataclass(frozen=True, repr=False)
class StudentTAtMeans(StudentT):
    """Student's t prior for the value that the linear predictor has at the predictors' means; to
    `StudentT` what `NormalAtMeans` is to `Normal`.

    It is what brms has by default for the parameter of ``class = Intercept``, the intercept of
    centred predictors, with ``nu = 3``, ``mu = median(y)`` and ``sigma = max(2.5, mad(y))``. As for
    `StudentT`, NUTS samples that value beside the covariance parameters.

    Parameters
    ----------
    nu : float
        Degrees of freedom.
    mu : float
        Location, in units of the response.
    sigma : float
        Scale, in units of the response; the standard deviation is larger.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("sleepstudy")
    >>> prior = bl.StudentTAtMeans(3, 288.7, 59.3)
    >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", data, priors={"beta[Intercept]": prior})
    >>> model.priors["beta[Intercept]"]
    StudentTAtMeans(3, 288.7, 59.3)
    """

    at_means = True
    name_is_shared = False


@dataclass(frozen=True, repr=False)
class Cauchy(Prior):
    """Cauchy distribution, for coefficients; as for `StudentT`, NUTS samples it.

    Parameters
    ----------
    mu : float
        Median; there is no mean.
    sigma : float
        Scale, half the interquartile range; there is no standard deviation.

    Examples
    --------
    >>> from bayeslmm import Cauchy
    >>> Cauchy(0, sigma=2.5)
    Cauchy(0, 2.5)
    """

    mu: float
    sigma: float
    support = "real"
    pymc_name = "Cauchy"
    pymc_parameters = ("alpha", "beta")
    code = PriorCode.STUDENT_T

    def numbers(self) -> tuple[float, ...]:
        """Those of Student's t with one degree of freedom."""
        return self.mu, self.sigma, 1.0


@dataclass(frozen=True, repr=False)
class Laplace(Prior):
    """Laplace distribution, for coefficients; as for `StudentT`, NUTS samples it.

    Parameters
    ----------
    mu : float
        Mean.
    b : float
        Scale; the standard deviation is √2 b.

    Examples
    --------
    >>> from bayeslmm import Laplace
    >>> Laplace(0, b=1)
    Laplace(0, 1)
    """

    mu: float
    b: float
    support = "real"
    pymc_name = "Laplace"
    pymc_parameters = ("mu", "b")
    code = PriorCode.LAPLACE

    def numbers(self) -> tuple[float, ...]:
        """Location, scale, and over how many scales the corner at the location is rounded."""
        return self.mu, self.b, 0.0


@dataclass(frozen=True, repr=False)
class Flat(Prior):
    """Improper constant density on the whole line, for coefficients; it has no parameters.

    Examples
    --------
    >>> from bayeslmm import Flat
    >>> Flat()
    Flat()
    """

    support = "real"
    pymc_name = "Flat"
    pymc_parameters = ()
    gaussian = True
    proper = False


@dataclass(frozen=True, repr=False)
class MvNormal(Prior):
    """Multivariate normal distribution of several coefficients, under the key ``"beta"``.

    Parameters
    ----------
    mean : sequence of float
        In the order of the coefficients, or a series with their names.
    cov : array_like of shape (m, m)
        Covariance matrix (of variances, not standard deviations), in products of the units of the
        coefficients; or a frame with their names in its index and columns. Positive definite.
    labels : sequence of str, optional
        The names of the coefficients, as `summary` has them in brackets; those of `mean` or `cov`
        by default. Without labels it is for all coefficients, in the order of X, or, if it has one
        fewer, for all but the intercept.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> prior = bl.MvNormal([250, 10], [[900, -40], [-40, 25]])
    >>> data = bl.load_dataset("sleepstudy")
    >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", data, priors={"beta": prior})
    >>> model.priors["beta"]
    MvNormal([250, 10], [[900, -40], [-40, 25]])
    """

    mean: Vector
    cov: Matrix
    labels: tuple[str, ...] = ()
    support = "coefficients"
    pymc_name = "MvNormal"
    pymc_parameters = ("mu", "cov")
    gaussian = True
    name_is_shared = False

    def __post_init__(self) -> None:
        labels, mean, cov = tuple(self.labels), self.mean, self.cov
        for given in (mean, cov):
            own: Any = getattr(given, "index", None)
            if own is not None and not callable(own) and not labels:
                labels = tuple(map(str, own))
        if len(set(labels)) < len(labels):
            raise PriorError(f"MvNormal: the labels should differ, got {', '.join(labels)}.")
        ordered = [_in_order(value, labels) for value in (mean, cov)]
        object.__setattr__(self, "mean", vector("MvNormal", "mean", ordered[0]))
        object.__setattr__(self, "cov", matrix("MvNormal", "cov", ordered[1]))
        object.__setattr__(self, "labels", labels)
        sizes = {len(self.mean), len(self.cov), len(labels) or len(self.mean)}
        if len(sizes) > 1:
            raise PriorError(
                f"MvNormal: `mean` has {len(self.mean)} elements, and `cov` is for "
                f"{len(self.cov)}" + (f", with {len(labels)} labels." if labels else ".")
            )

    @property
    def size(self) -> int:
        """The number of coefficients."""
        return len(self.mean)

    @property
    def _values(self) -> tuple[Any, ...]:
        return (self.mean, self.cov, self.labels)[: 3 if self.labels else 2]

    def pymc_arguments(self) -> dict[str, Any]:
        """Mean and covariance matrix, by PyMC's names."""
        return {"mu": np.array(self.mean), "cov": np.array(self.cov)}


def _in_order(value: Any, labels: tuple[str, ...]) -> Any:
    """A labelled series or frame in the order of labels; anything else as it is."""
    names = getattr(value, "index", None)
    if names is None or callable(names):
        return value
    axes = [list(map(str, names))]
    if hasattr(value, "columns"):
        axes.append(list(map(str, value.columns)))
    for own in axes:
        if sorted(own) != sorted(labels):
            raise PriorError(
                f"MvNormal: the labels of `mean` and `cov` should be the same, got "
                f"{', '.join(own)} and {', '.join(labels)}."
            )
    array = np.asarray(value)
    for axis, own in enumerate(axes):
        array = array.take([own.index(label) for label in labels], axis=axis)
    return array
