"""Whether a prior fits a parameter, and errors that say which do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import PriorError
from bayeslmm.priors.families import Fixed, Normal, Prior, VarianceSplit, names_of
from bayeslmm.priors.matrix import CovariancePrior

if TYPE_CHECKING:
    from bayeslmm.priors.base import Support
    from bayeslmm.priors.defaults import MatrixSlot, Slot
    from bayeslmm.priors.variance_parts import VarianceParts

__all__ = ["check_fits", "check_fits_matrix", "check_fits_variance"]

_WHAT = {"sd": "standard deviation", "sigma": "standard deviation", "range": "range"}


def check_fits(slot: Slot, prior: Prior) -> None:
    """Refuse a prior that a parameter cannot have.

    Parameters
    ----------
    slot : Slot
        The parameter.
    prior : Prior

    Raises
    ------
    PriorError
    """
    if isinstance(prior, Fixed):
        _check_held(slot, prior)
    elif prior.support == "covariance":
        raise PriorError(
            f"the prior {prior!r} does not fit {slot.parameter!r}: it is for the whole covariance "
            "matrix of a bar, under a key such as 'G_Subject', or of the residuals, under 'R'."
        )
    elif prior.support == "variances":
        raise PriorError(
            f"the prior {prior!r} does not fit {slot.parameter!r}: it is for all standard "
            "deviations together, under the key 'V'."
        )
    elif slot.kind == "beta":
        _check_coefficient(slot, prior)
    elif slot.kind == "corr":
        if prior.support != "correlation":
            raise _misfit(slot, prior, "it is a correlation matrix", "LKJ")
    elif np.isfinite(slot.bounds[1]):
        _check_within(slot, prior)
    elif np.isinf(slot.bounds[0]):
        if not isinstance(prior, Normal) or prior.at_means:
            raise _misfit(slot, prior, "it can be any number", "Normal")
    elif not _is_positive(prior):
        what = f"a {_WHAT.get(slot.kind, slot.kind)} is positive"
        raise _misfit(slot, prior, what, f"{_either('positive')}, or Uniform from 0 or more")
    elif prior.at_means and not slot.at_means:
        raise PriorError(
            f"{prior!r} is for a random intercept that is correlated with slopes and for residuals "
            f"whose variance changes with a covariate, which {slot.parameter!r} is not; use "
            f"{prior.distribution}."
        )


def check_fits_matrix(slot: MatrixSlot, prior: Prior) -> None:
    """Refuse a prior that the covariance matrix of a bar cannot have.

    Parameters
    ----------
    slot : MatrixSlot
    prior : Prior

    Raises
    ------
    PriorError
    """
    if not isinstance(prior, CovariancePrior):
        raise PriorError(
            f"the prior {prior!r} does not fit {slot.key!r}: it is a covariance matrix. Use "
            f"{_either('covariance')}; or set {', '.join(map(repr, slot.parameters))} one by one."
        )
    if slot.refusal:
        raise PriorError(
            f"{slot.key!r} got the prior {prior!r}, but {slot.refusal}; set "
            f"{', '.join(map(repr, slot.parameters))} one by one."
        )
    if prior.size != len(slot.effects):
        raise PriorError(
            f"{slot.key!r} got the prior {prior!r}, which is for {prior.size} {slot.what}; there "
            f"are {len(slot.effects)}: {', '.join(slot.effects)}."
        )


def check_fits_variance(parts: VarianceParts, prior: Prior) -> None:
    """Refuse a prior under ``"V"`` that the variance of a response cannot have.

    Parameters
    ----------
    parts : VarianceParts
    prior : Prior

    Raises
    ------
    PriorError
    """
    names = parts.parameters[:-1]
    instead = f"set {', '.join(map(repr, parts.parameters))} one by one"
    got = f"'V' got the prior {prior!r}"
    if not isinstance(prior, VarianceSplit):
        raise PriorError(
            f"the prior {prior!r} does not fit 'V', the variance of a response. Use VarianceSplit; "
            f"or {instead}."
        )
    if parts.refusal:
        raise PriorError(f"{got}, but {parts.refusal}; or {instead}.")
    if prior.icc is not None and not names:
        raise PriorError(
            f"{got}, but there are no random effects; state `r2`, the share of the fixed effects, "
            f"in place of `icc`, or {instead}."
        )
    if prior.icc is None and names:
        raise PriorError(
            f"{got}, which has no `icc`: state the share that {', '.join(names)} have in the "
            "variance around the fixed effects too, such as icc=bl.Beta(1, 1)."
        )
    if prior.r2 is not None and parts.no_slopes:
        raise PriorError(f"{got}, but {parts.no_slopes}; or leave `r2` out.")
    if isinstance(prior.shares, tuple) and len(prior.shares) != len(names):
        raise PriorError(
            f"{got}, which has {len(prior.shares)} shares; there are "
            f"{len(names)} standard deviations of random effects: {', '.join(names)}."
        )


def _check_coefficient(slot: Slot, prior: Prior) -> None:
    if prior.support == "coefficients":
        raise PriorError(
            f"the prior {prior!r} does not fit {slot.parameter!r}: it is for several coefficients, "
            "under the key 'beta'."
        )
    if prior.support != "real":
        raise _misfit(slot, prior, "a coefficient can be any number", _either("real"))
    if prior.at_means and not slot.at_means:
        raise PriorError(
            f"{prior!r} is for an intercept, which {slot.parameter!r} is not; use "
            f"{prior.distribution}, which is on the coefficient itself."
        )


def _check_within(slot: Slot, prior: Prior) -> None:
    lower, upper = slot.bounds
    where = f"it lies in ({lower:.4g}, {upper:.4g})"
    families = "Beta, which is stretched to that interval, or Uniform within it"
    if prior.support != "interval":
        raise _misfit(slot, prior, where, families)
    if prior.bounds is None:
        return
    if prior.bounds != prior.within(lower, upper):
        raise _misfit(slot, prior, where, families)
    if slot.others and prior.bounds != (lower, upper):
        raise _misfit(
            slot,
            prior,
            f"what values it can have depends on the other {slot.others}, so that bounds of its "
            "own cannot be kept",
            "Beta, or Uniform over the whole interval",
        )


def _check_held(slot: Slot, prior: Fixed) -> None:
    value = prior.value
    if slot.kind == "beta":
        column = slot.parameter.removeprefix("beta[").removesuffix("]")
        raise PriorError(
            f"{slot.parameter!r} cannot be held by {prior!r}: leave {column} out of the formula "
            f"and add an offset of {value:g} times it, offset(...)."
        )
    lower, upper = slot.bounds
    if slot.kind == "corr":
        lower = -1.0 / (slot.size - 1)
        many = f" of all correlations between {slot.size}" if slot.size > 2 else ""
        if not lower < value < upper:
            raise PriorError(
                f"{slot.parameter!r} cannot be held at {value:g}: a correlation{many} lies in "
                f"({lower:.4g}, {upper:.4g})."
            )
    elif not lower < value < upper:
        what = "positive" if np.isinf(upper) else f"inside ({lower:.4g}, {upper:.4g})"
        raise PriorError(
            f"{slot.parameter!r} cannot be held at {value:g}: it should be {what}. To leave a "
            "random effect or a correlation out, leave it out of the formula or the structure."
        )


def _is_positive(prior: Prior) -> bool:
    """Whether the density is zero for negative numbers."""
    return prior.bounds is not None and prior.bounds[0] >= 0


def _either(support: Support) -> str:
    """The families with a support, in words."""
    *names, last = names_of(support)
    return f"{', '.join(names)} or {last}"


def _misfit(slot: Slot, prior: Prior, why: str, families: str) -> PriorError:
    return PriorError(
        f"the prior {prior!r} does not fit {slot.parameter!r}: {why}. Use {families}."
    )
