"""`VarianceSplit` as PyMC variables: a total and shares, and what they make of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy.special import betaln, gammaln

from bayeslmm.priors.families import VarianceSplit

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

    from bayeslmm.priors.families import Beta
    from bayeslmm.priors.table import PriorTable

__all__ = ["SplitVariables", "split_variables"]


@dataclass(frozen=True, eq=False)
class SplitVariables:
    """What the variables on the context make.

    Attributes
    ----------
    sds : (k,) vector
        Like theta, with the standard deviations, and zeros for what is none.
    slopes : (p,) vector, optional
        Like beta, with the slopes, and zero for an intercept; None where R² has no prior.
    """

    sds: TensorVariable
    slopes: TensorVariable | None


def split_variables(priors: PriorTable) -> SplitVariables | None:
    """Add V_total, V_icc and V_shares to the model on the context, as far as there are such, and
    with a prior of R² the vector V_slopes and V_r2. None without `VarianceSplit`.

    With f the variance that fixed effects explain and V that around them, the slopes are √V A w,
    where A is `PriorTable.slope_root`, so that |w|² = f/V = R²/(1 - R²). What is sampled is z with
    w = |z|^(c-1) z; see `VarianceSplit.radial_power`.
    """
    prior = next((own for own in priors.theta if isinstance(own, VarianceSplit)), None)
    if prior is None:
        return None
    total, slopes = prior.total.parameter("V_total", 0.0, np.inf), None
    if prior.r2 is not None:
        z, c = _slopes(prior, prior.r2, priors.slope_root.shape[1])
        length = (z**2).sum()
        ratio = length**c
        pm.Deterministic("V_r2", ratio / (1.0 + ratio))
        total = total / pt.sqrt(1.0 + ratio)
        slopes = total * pt.dot(priors.slope_root, length ** ((c - 1.0) / 2.0) * z)
    places = np.flatnonzero(priors.variance_weights)
    split = pt.ones(1)
    if prior.icc is not None:
        concentrations = np.array(prior.concentrations(len(places) - 1))
        icc = prior.icc.to_pymc("V_icc")
        shares = pt.ones(1)
        if len(concentrations) > 1:
            shares = pm.Dirichlet("V_shares", concentrations)
        split = pt.concatenate([icc * shares, (1.0 - icc)[None]])
    sds = total * pt.sqrt(split / priors.variance_weights[places])
    return SplitVariables(pt.set_subtensor(pt.zeros(len(priors.theta))[places], sds), slopes)


def _slopes(prior: VarianceSplit, r2: Beta, p: int) -> tuple[TensorVariable, float]:
    """The vector z, whose direction is uniform, and c, with |z|^2c / (1 + |z|^2c) as `r2` says: its
    density is proportional to |z|^(2ac - p) (1 + |z|^2c)^-(a + b).
    """
    a, b, c = np.float64(r2.alpha), np.float64(r2.beta), prior.radial_power(p)
    constant = np.log(c) - p / 2 * np.log(np.pi) + gammaln(p / 2) - betaln(a, b)
    power = a * c - p / 2

    def draw(size: TensorVariable) -> TensorVariable:
        direction, share = pm.Normal.dist(shape=p), pm.Beta.dist(a, b)
        length = (share / (1.0 - share)) ** (0.5 / c)
        return length * direction / pt.sqrt((direction**2).sum())

    def log_density(z: TensorVariable) -> TensorVariable:
        square = (z**2).sum()
        near_zero = power * pt.log(square) if power else 0.0
        return constant + near_zero - (a + b) * pt.log1p(square**c)

    def start(z: TensorVariable, *_: TensorVariable) -> TensorVariable:
        return pt.full_like(z, 0.5)

    z = pm.CustomDist(
        "V_slopes", dist=draw, logp=log_density, support_point=start, signature="->(p)"
    )
    return z, c
