"""The prior family of a variance as a whole and of how it is split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeslmm.errors import ArgumentTypeError, PriorError
from bayeslmm.priors.base import Prior, PriorCode, Vector, vector
from bayeslmm.priors.interval import Beta

__all__ = ["VarianceSplit"]

_LEAST_POWER = 0.25


@dataclass(frozen=True, repr=False)
class VarianceSplit(Prior):
    """Joint prior of all standard deviations of a model, under the key ``"V"``: of the total, the
    share that random effects have in it (the intraclass correlation), and how they divide that;
    with `r2` of all slopes too, by the share that fixed effects have in the total.

    The variance of a response around its fixed effects, as a mean over the rows, is
    V = Σ wₖ sdₖ² + w σ², where wₖ is the mean square of the column that the effect belongs to (1 of
    an intercept) and w the mean of 1/weight. The total √V has the prior `total`; the share
    Σ wₖ sdₖ²/V is beta distributed as `icc` says; what each effect has of it is Dirichlet
    distributed with the concentrations `shares`; and the three are independent. With one random
    intercept the share is its intraclass correlation. If the concentrations add up to the first
    parameter of `icc`, all shares of V together are Dirichlet distributed. In a bar with a
    correlation, ``(x | g)``, the intercept is the one at the means of the bar's other columns, and
    `LKJ` is for the correlations with it.

    With `r2` the total is the standard deviation of a response altogether, √(f + V), where
    f = b'Sb is the variance of Xb over the rows: b are the coefficients but the intercept, and S
    is the covariance matrix of their columns. The marginal R², f/(f + V), is beta distributed as
    `r2` says, independently of the rest, and given f every direction of S^½ b is as likely as any
    other. The density of b given V at f = 0 is infinite, positive or zero as the first parameter
    of `r2` is below, at or above half the number of slopes. NUTS samples coefficients under this
    prior, which is not Gaussian.

    Sources: Fuglstad, Hem, Knight, Rue and Riebler (2020), Bayesian Analysis 15, 1109-1137, for
    the split; Zhang, Naughton, Bondell and Reich (2022), Journal of the American Statistical
    Association 117, 862-874, for R² and the uniform distribution on the ellipsoid; Aguilar and
    Bürkner (2023), Electronic Journal of Statistics 17, 1711-1767, for R² of models with random
    effects.

    Parameters
    ----------
    total : Prior
        Of √V, with `r2` of √(f + V), which is a standard deviation in units of the response: one of
        the families of positive parameters.
    icc : Beta, optional
        Of the share of the random effects in V, between 0 and 1; for a model that has some.
    shares : float or sequence of float
        Concentrations of the Dirichlet distribution of the effects' parts, one for each standard
        deviation of random effects in the order of ``summary()``, or a number for all. Below 1 few
        effects have most of the variance, above 1 all have about as much.
    r2 : Beta, optional
        Of the share of the fixed effects in f + V, between 0 and 1. Without it coefficients have
        priors of their own.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> prior = bl.VarianceSplit(bl.HalfNormal(100), icc=bl.Beta(2, 2))
    >>> data = bl.load_dataset("Dyestuff")
    >>> bl.Model("Yield ~ 1 + (1 | Batch)", data, priors={"V": prior}).priors
    beta[Intercept]  NormalAtMeans(1527.5, 157.559)  (default: at the predictors' means: \
mean(y) = 1528, 2.5 sd(y) = 157.6)
    V                VarianceSplit(HalfNormal(100), Beta(2, 2), 1)  (user: of sd_Batch[Intercept], \
sigma)

    >>> bl.VarianceSplit(bl.HalfNormal(100), icc=bl.Beta(2, 2), r2=bl.Beta(1, 2))
    VarianceSplit(HalfNormal(100), Beta(2, 2), 1, Beta(1, 2))
    """

    total: Prior
    icc: Beta | None = None
    shares: float | Vector = 1.0
    r2: Beta | None = None
    support = "variances"
    code = PriorCode.VARIANCE_SPLIT
    name_is_shared = False
    pymc_name = "Dirichlet"
    pymc_parameters = ("total", "icc", "shares", "r2")

    def __post_init__(self) -> None:
        given = [prior for prior in (self.icc, self.r2) if prior is not None]
        if not isinstance(self.total, Prior) or not all(isinstance(own, Beta) for own in given):
            raise ArgumentTypeError(
                "VarianceSplit: `total` should be a prior such as bl.HalfNormal(50), and `icc` and "
                f"`r2` ones such as bl.Beta(2, 2), got {self.total!r}, {self.icc!r} and "
                f"{self.r2!r}."
            )
        if not given:
            raise PriorError(
                "VarianceSplit: it needs `icc`, the share of the random effects, or `r2`, that of "
                f"the fixed effects, such as bl.Beta(2, 2); got neither beside {self.total!r}."
            )
        if self.total.support != "positive" or self.total.at_means:
            raise PriorError(
                "VarianceSplit: `total` is a standard deviation, so its prior should be "
                f"HalfNormal or another family of positive parameters, got {self.total!r}."
            )
        shares = vector("VarianceSplit", "shares", self.shares)
        if min(shares) <= 0:
            raise PriorError(f"VarianceSplit: `shares` should be positive, got {self.shares}.")
        object.__setattr__(self, "shares", shares[0] if np.ndim(self.shares) == 0 else shares)

    def concentrations(self, count: int) -> Vector:
        """The concentration of each effect's part, of so many."""
        if isinstance(self.shares, tuple):
            return self.shares
        return (self.shares,) * count

    @property
    def _values(self) -> tuple[Any, ...]:
        """The hyperparameters in order, without an `r2` that is not given."""
        values = tuple(self.parameters.values())
        return values if self.r2 is not None else values[:-1]

    def radial_power(self, p: int) -> float:
        """The power c of |z| that |w| is, where slopes √V A w are sampled as z with
        w = |z|^(c-1) z.

        With R²/(1 - R²) = |w|² and a the first parameter of `r2`, the density of w is infinite at
        zero for a < p/2, and zero for a > p/2, a gap that a single slope cannot cross. With
        c = p/2a that of z is neither. A power near zero would turn w far from zero into long tails
        of z, so there is a least one.

        Parameters
        ----------
        p : int
            The number of slopes.
        """
        assert self.r2 is not None
        return max(p / (2.0 * self.r2.alpha), _LEAST_POWER)

    def infinite_at_zero(self, count: int) -> bool:
        """Whether the density of the standard deviations has no bound where some or all of those
        of the random effects, of which there are so many, are zero.

        It goes like sdₖ^(2 shareₖ - 1) towards zero of one of several, and of all of them like the
        power 2a - count of their size, with a the first parameter of `icc`.
        """
        one = count > 1 and min(self.concentrations(count)) < 0.5
        return one or (self.icc is not None and 2 * self.icc.alpha < count)

    def finite_with(self, count: int) -> str:
        """Larger parameters of the share and of its parts."""
        return f"an icc with a first parameter of {count / 2:g} or more and shares of 0.5 or more"
