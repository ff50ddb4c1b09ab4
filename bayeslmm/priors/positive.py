"""Prior families of positive parameters, such as standard deviations."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING, Any

from bayeslmm.errors import PriorError
from bayeslmm.priors.base import Prior, PriorCode

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = [
    "PC",
    "Exponential",
    "Gamma",
    "GammaPrecision",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "HalfStudentTAtMeans",
    "InverseGamma",
    "LogNormal",
]


@dataclass(frozen=True, repr=False)
class HalfNormal(Prior):
    """Absolute value of a normal variable with mean 0, for standard deviations.

    Parameters
    ----------
    sigma : float
        Standard deviation of the normal variable (not its variance), in the parameter's units; the
        mean is 0.80 sigma.

    Examples
    --------
    >>> from bayeslmm import HalfNormal
    >>> HalfNormal(sigma=25)
    HalfNormal(25)
    """

    sigma: float
    support = "positive"
    pymc_name = "HalfNormal"
    pymc_parameters = ("sigma",)
    code = PriorCode.HALF_NORMAL

    def typical(self, lower: float, upper: float) -> float:
        """The scale."""
        return self.sigma


@dataclass(frozen=True, repr=False)
class HalfStudentT(Prior):
    """Absolute value of a Student's t variable with location 0, for standard deviations.

    Parameters
    ----------
    nu : float
        Degrees of freedom; fewer make a heavier tail.
    sigma : float
        Scale of the t variable (not its standard deviation), in the parameter's units.

    Examples
    --------
    >>> from bayeslmm import HalfStudentT
    >>> HalfStudentT(3, sigma=25)
    HalfStudentT(3, 25)
    """

    nu: float
    sigma: float
    support = "positive"
    pymc_name = "HalfStudentT"
    pymc_parameters = ("nu", "sigma")
    code = PriorCode.HALF_STUDENT_T

    def typical(self, lower: float, upper: float) -> float:
        """The scale."""
        return self.sigma


@dataclass(frozen=True, repr=False)
class HalfStudentTAtMeans(HalfStudentT):
    """Half Student's t prior for the standard deviation that a random intercept has where the other
    columns of its bar are at their means, or residuals where the covariates of their variance are.

    `nu` are its degrees of freedom and `sigma` its scale, in units of the response. The reported
    standard deviation and correlations stay where the predictors are zero; their prior is set
    elsewhere, so that it does not depend on where a predictor has its zero. The LKJ prior of the
    bar is then for the correlations of that intercept too. ``"sd_Subject[Intercept]"`` takes it
    in a bar with correlations, ``(Days | Subject)``, and ``"sigma"`` with `VarPower` (at the
    geometric mean of the covariate's size) and `VarExp` (at its mean).
    """

    at_means = True
    name_is_shared = False


@dataclass(frozen=True, repr=False)
class HalfCauchy(Prior):
    """Absolute value of a Cauchy variable with median 0, for standard deviations.

    Parameters
    ----------
    sigma : float
        Scale, which is the median, in the parameter's units.

    Examples
    --------
    >>> from bayeslmm import HalfCauchy
    >>> HalfCauchy(sigma=25)
    HalfCauchy(25)
    """

    sigma: float
    support = "positive"
    pymc_name = "HalfCauchy"
    pymc_parameters = ("beta",)
    code = PriorCode.HALF_STUDENT_T

    def numbers(self) -> tuple[float, ...]:
        """Those of half Student's t with one degree of freedom."""
        return 1.0, self.sigma

    def typical(self, lower: float, upper: float) -> float:
        """The median."""
        return self.sigma


@dataclass(frozen=True, repr=False)
class Exponential(Prior):
    """Exponential distribution, for standard deviations.

    Parameters
    ----------
    rate : float
        Rate (not the scale): the mean is 1/rate, so it is in inverse units of the parameter.

    Examples
    --------
    >>> from bayeslmm import Exponential
    >>> Exponential(rate=1 / 25)
    Exponential(0.04)
    """

    rate: float
    support = "positive"
    pymc_name = "Exponential"
    pymc_parameters = ("lam",)
    code = PriorCode.EXPONENTIAL

    def typical(self, lower: float, upper: float) -> float:
        """The mean."""
        return 1.0 / self.rate


@dataclass(frozen=True, repr=False)
class Gamma(Prior):
    """Gamma distribution, for standard deviations (not for their squares, or inverse squares).

    Parameters
    ----------
    alpha : float
        Shape.
    beta : float
        Rate (not the scale), in inverse units of the parameter: the mean is alpha/beta.

    Examples
    --------
    >>> from bayeslmm import Gamma
    >>> Gamma(2, beta=0.1)
    Gamma(2, 0.1)
    """

    alpha: float
    beta: float
    support = "positive"
    pymc_name = "Gamma"
    pymc_parameters = ("alpha", "beta")
    code = PriorCode.GAMMA

    def typical(self, lower: float, upper: float) -> float:
        """The mean."""
        return self.alpha / self.beta

    def infinite_at_zero(self, count: int) -> bool:
        """Whether the shape is below 1."""
        return self.alpha < 1

    def finite_with(self, count: int) -> str:
        """A larger shape."""
        return "an alpha of 1 or more (from 2 on it keeps the mode off zero)"


@dataclass(frozen=True, repr=False)
class InverseGamma(Prior):
    """Distribution of 1/g for g gamma, for standard deviations.

    It is a prior for the standard deviation itself, not for its square as in some other programs.

    Parameters
    ----------
    alpha : float
        Shape.
    beta : float
        Scale, in the parameter's units, which is the rate of g: the mean is beta/(alpha - 1) for
        alpha above 1.

    Examples
    --------
    >>> from bayeslmm import InverseGamma
    >>> InverseGamma(3, beta=50)
    InverseGamma(3, 50)
    """

    alpha: float
    beta: float
    support = "positive"
    pymc_name = "InverseGamma"
    pymc_parameters = ("alpha", "beta")
    code = PriorCode.INVERSE_GAMMA

    def typical(self, lower: float, upper: float) -> float:
        """The mode of the logarithm."""
        return self.beta / self.alpha


@dataclass(frozen=True, repr=False)
class GammaPrecision(Prior):
    """Gamma distribution of a precision, 1/sd², as BUGS, JAGS and NIMBLE state priors of variances:
    ``tau ~ dgamma(alpha, beta)``.

    The variance, sd², is then inverse gamma distributed with shape alpha and scale beta. With
    alpha = n/2 and beta = n s²/2 it is as if n deviations with the mean square s² had been
    observed before. The density of the standard deviation is zero at zero, so that a small alpha
    and beta, such as 0.001, do not make a prior that says little where the data leave a standard
    deviation near zero possible. Source: Gelman (2006), Bayesian Analysis 1, 515-534.

    Parameters
    ----------
    alpha : float
        Shape.
    beta : float
        Rate of the precision, which is the scale of the variance, in squared units of the
        parameter: the mean precision is alpha/beta.

    Examples
    --------
    >>> from bayeslmm import GammaPrecision
    >>> GammaPrecision(2, beta=50)
    GammaPrecision(2, 50)
    """

    alpha: float
    beta: float
    support = "positive"
    code = PriorCode.GAMMA_PRECISION
    pymc_name = "Gamma"
    pymc_parameters = ("alpha", "beta")
    pymc_suffix = "_precision"
    name_is_shared = False

    def typical(self, lower: float, upper: float) -> float:
        """The mode of the logarithm."""
        return sqrt(self.beta / self.alpha)

    def to_pymc(self, name: str | None = None, **kwargs: object) -> TensorVariable:
        """Make the standard deviation of a gamma variable, ``<name>_precision`` where it is named;
        otherwise as `Prior.to_pymc`.
        """
        import pymc as pm

        precision = self._variable(name and f"{name}{self.pymc_suffix}", **kwargs)
        sd = self.parameter_of(precision, 0.0, inf)
        return sd if name is None else pm.Deterministic(name, sd, dims=kwargs.get("dims"))

    def parameter_of(self, variable: Any, lower: float, upper: float) -> Any:
        """A precision as a standard deviation."""
        return variable**-0.5

    def parameter_text(self, variable: str, lower: float, upper: float) -> str:
        """The same in a program."""
        return f"{variable} ** -0.5"


@dataclass(frozen=True, repr=False)
class LogNormal(Prior):
    """Distribution of exp(x) for x normal, for standard deviations.

    Parameters
    ----------
    mu : float
        Mean of the logarithm x: the median is exp(mu).
    sigma : float
        Standard deviation (not the variance) of the logarithm x.

    Examples
    --------
    >>> from bayeslmm import LogNormal
    >>> LogNormal(3, sigma=0.5)
    LogNormal(3, 0.5)
    """

    mu: float
    sigma: float
    support = "positive"
    pymc_name = "LogNormal"
    pymc_parameters = ("mu", "sigma")
    code = PriorCode.LOG_NORMAL

    def typical(self, lower: float, upper: float) -> float:
        """The median."""
        return exp(self.mu)


@dataclass(frozen=True, repr=False)
class PC(Prior):
    """Penalised-complexity prior for a standard deviation, stated by a value that it should hardly
    exceed: P(sd > bound) = alpha.

    The exponential distribution with rate -log(alpha)/bound, whose density falls at a constant rate
    with the distance from the simpler model in which the standard deviation is zero. Source:
    Simpson, Rue, Riebler, Martins and Sørbye (2017), Statistical Science 32, 1-28.

    Parameters
    ----------
    bound : float
        The value U, in the parameter's units.
    alpha : float
        The probability that the standard deviation is larger, in (0, 1).

    Examples
    --------
    >>> from bayeslmm import PC
    >>> prior = PC(100, alpha=0.05)
    >>> round(1 / prior.rate, 2)  # the mean
    33.38
    """

    bound: float
    alpha: float
    support = "positive"
    pymc_name = "Exponential"
    pymc_parameters = ("lam",)
    code = PriorCode.EXPONENTIAL
    name_is_shared = False

    def __post_init__(self) -> None:
        Prior.__post_init__(self)
        if self.alpha >= 1:
            raise PriorError(
                f"PC: `alpha` is the probability of more than `bound` and should be below 1, got "
                f"{self.alpha:g}."
            )

    @property
    def rate(self) -> float:
        """The rate of the exponential distribution."""
        return -log(self.alpha) / self.bound

    def pymc_arguments(self) -> dict[str, float]:
        """The rate, by PyMC's name."""
        return {"lam": self.rate}

    def numbers(self) -> tuple[float, ...]:
        """The rate."""
        return (self.rate,)

    def typical(self, lower: float, upper: float) -> float:
        """The mean."""
        return 1.0 / self.rate
