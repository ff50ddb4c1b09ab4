"""Prior families of parameters that can be any number: the coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from bayeslmm.prior import Prior

__all__ = [
    "Cauchy",
    "Flat",
    "Laplace",
    "Normal",
    "NormalAtMeans",
    "StudentT",
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
