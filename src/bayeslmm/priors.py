"""Prior families: what each is called, its parameters and on what scale they are, and its support.

Each is a small frozen object whose ``repr`` is the code that makes it. Which parameter gets which
prior is settled in `prior_table`; densities are evaluated by `density` and, in a ``pm.Model``, by
PyMC.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bayeslmm.errors import ArgumentTypeError, PriorError

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = [
    "FAMILIES",
    "LKJ",
    "Cauchy",
    "Exponential",
    "Flat",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "HalfStudentTAtMeans",
    "InverseGamma",
    "Laplace",
    "LogNormal",
    "Normal",
    "NormalAtMeans",
    "Prior",
    "StudentT",
    "Uniform",
    "as_prior",
]

Support = Literal["real", "positive", "interval", "correlation"]

# Parameters that can be any number; every other one must be positive.
_UNBOUNDED = {"mu", "lower", "upper"}


@dataclass(frozen=True)
class Prior:
    """Base of the prior families.

    Attributes
    ----------
    support : {"real", "positive", "interval", "correlation"}
        Where the density is not zero. ``"correlation"`` is a whole correlation matrix.
    pymc_name : str
        The class in PyMC.
    pymc_parameters : tuple of str
        PyMC's names of the parameters, in the order of the fields.
    """

    support: ClassVar[Support]
    pymc_name: ClassVar[str]
    pymc_parameters: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        given: dict[str, Any] = dict(self.parameters)
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ArgumentTypeError(
                    f"{type(self).__name__}: `{name}` should be a number, got {value!r} "
                    f"of type {type(value).__name__}."
                )
            if not isfinite(value):
                raise PriorError(
                    f"{type(self).__name__}: `{name}` should be finite, got {value!r}."
                )
            if name not in _UNBOUNDED and value <= 0:
                raise PriorError(
                    f"{type(self).__name__}: `{name}` should be positive, got {value!r}."
                )
            object.__setattr__(self, name, float(value))

    def __repr__(self) -> str:
        values = ", ".join(repr(value).removesuffix(".0") for value in self.parameters.values())
        return f"{type(self).__name__}({values})"

    def __str__(self) -> str:
        values = ", ".join(f"{value:.6g}" for value in self.parameters.values())
        return f"{type(self).__name__}({values})"

    @property
    def parameters(self) -> dict[str, float]:
        """The hyperparameters by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def pymc_arguments(self) -> dict[str, float]:
        """The hyperparameters by PyMC's names."""
        return dict(zip(self.pymc_parameters, self.parameters.values(), strict=True))

    def to_pymc(self, name: str | None = None, **kwargs: object) -> TensorVariable:
        """Make the PyMC variable: registered in the model on the context when named, else a free
        one.

        Parameters
        ----------
        name : str, optional
        **kwargs
            Passed on, such as ``dims`` or ``shape``.

        Examples
        --------
        >>> import pymc as pm
        >>> from bayeslmm import HalfNormal
        >>> with pm.Model() as model:
        ...     sigma = HalfNormal(2.0).to_pymc("sigma")
        """
        import pymc as pm

        family = getattr(pm, self.pymc_name)
        # PyTensor computes with Python's floats in single precision where they are short
        numbers = {key: np.float64(value) for key, value in self.pymc_arguments().items()}
        arguments = {**numbers, **kwargs}
        return family.dist(**arguments) if name is None else family(name, **arguments)


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


@dataclass(frozen=True, repr=False)
class StudentT(Prior):
    """Student's t distribution.

    Coefficients are integrated out exactly, which needs Gaussian priors, so that no parameter takes
    it; it is known so that the refusal can say this.

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
    >>> from bayeslmm.priors import StudentT
    >>> StudentT(3, mu=0, sigma=10)
    StudentT(3, 0, 10)
    """

    nu: float
    mu: float
    sigma: float
    support = "real"
    pymc_name = "StudentT"
    pymc_parameters = ("nu", "mu", "sigma")


@dataclass(frozen=True, repr=False)
class Cauchy(Prior):
    """Cauchy distribution; no parameter takes it, see `StudentT`.

    Parameters
    ----------
    mu : float
        Median; there is no mean.
    sigma : float
        Scale, half the interquartile range; there is no standard deviation.

    Examples
    --------
    >>> from bayeslmm.priors import Cauchy
    >>> Cauchy(0, sigma=2.5)
    Cauchy(0, 2.5)
    """

    mu: float
    sigma: float
    support = "real"
    pymc_name = "Cauchy"
    pymc_parameters = ("alpha", "beta")


@dataclass(frozen=True, repr=False)
class Laplace(Prior):
    """Laplace distribution; no parameter takes it, see `StudentT`.

    Parameters
    ----------
    mu : float
        Mean.
    b : float
        Scale; the standard deviation is √2 b.

    Examples
    --------
    >>> from bayeslmm.priors import Laplace
    >>> Laplace(0, b=1)
    Laplace(0, 1)
    """

    mu: float
    b: float
    support = "real"
    pymc_name = "Laplace"
    pymc_parameters = ("mu", "b")


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


@dataclass(frozen=True, repr=False)
class HalfStudentTAtMeans(HalfStudentT):
    """Half Student's t prior for the standard deviation that a random intercept has where the other
    columns of its bar are at their means.

    `nu` are its degrees of freedom and `sigma` its scale, in units of the response. The reported
    standard deviation and correlations stay where the predictors are zero; their prior is set
    elsewhere, so that it does not depend on where a predictor has its zero. The LKJ prior of the
    bar is then for the correlations of that intercept too. ``"sd_Subject[Intercept]"`` takes it
    in a bar with correlations, ``(Days | Subject)``.
    """


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


@dataclass(frozen=True, repr=False)
class Uniform(Prior):
    """Uniform distribution, for standard deviations (not for their squares).

    Parameters
    ----------
    lower, upper : float
        The bounds, in the parameter's units; `lower` is 0 or more for a standard deviation.

    Examples
    --------
    >>> from bayeslmm import Uniform
    >>> Uniform(0, upper=100)
    Uniform(0, 100)
    """

    lower: float
    upper: float
    support = "interval"
    pymc_name = "Uniform"
    pymc_parameters = ("lower", "upper")

    def __post_init__(self) -> None:
        Prior.__post_init__(self)
        if not self.lower < self.upper:
            raise PriorError(
                f"Uniform: `lower` should be below `upper`, got lower={self.lower:g} and "
                f"upper={self.upper:g}."
            )


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


FAMILIES: dict[str, type[Prior]] = {
    family.__name__: family
    for family in (
        Normal,
        NormalAtMeans,
        StudentT,
        Cauchy,
        Laplace,
        Flat,
        HalfNormal,
        HalfStudentT,
        HalfStudentTAtMeans,
        HalfCauchy,
        Exponential,
        Gamma,
        InverseGamma,
        LogNormal,
        Uniform,
        LKJ,
    )
}


def as_prior(value: object, key: str) -> Prior:
    """Take a prior of this library, or an object with ``to_pymc`` (PreliZ) of a family of the same
    name.

    Parameters
    ----------
    value : object
    key : str
        The parameter it is for, named in errors.

    Raises
    ------
    ArgumentTypeError
        If it is neither.
    PriorError
        If it is of a family that this library does not have, or its parameters are not set.
    """
    if isinstance(value, Prior):
        return value
    name = type(value).__name__
    if not hasattr(value, "to_pymc") or isinstance(value, type):
        raise ArgumentTypeError(
            f"the prior for {key!r} should be a prior such as bl.Normal(0, 1), got {value!r} "
            f"of type {name}."
        )
    family = FAMILIES.get(name)
    if family is None or family in (LKJ, NormalAtMeans, HalfStudentTAtMeans):
        raise PriorError(
            f"the prior for {key!r} is of the family {name}, which this library does not have; "
            f"it has {', '.join(FAMILIES)}."
        )
    arguments: list[Any] = [getattr(value, parameter, None) for parameter in family.pymc_parameters]
    if any(argument is None for argument in arguments):
        raise PriorError(
            f"the prior for {key!r}, {value!r}, lacks values for "
            f"{', '.join(family.pymc_parameters)}; set them first."
        )
    return family(*map(float, arguments))
