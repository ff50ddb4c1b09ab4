"""The Gaussian prior of beta, put together of those of the coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import PriorError, unknown_name
from bayeslmm.priors.defaults import level_coefficients
from bayeslmm.priors.families import MvNormal, Normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.priors.families import Prior

__all__ = ["covered", "gaussian_prior", "means_basis"]


def covered(prior: MvNormal, coef: Sequence[str]) -> tuple[str, ...]:
    """The coefficients that a joint prior is for, in its order.

    Parameters
    ----------
    prior : MvNormal
    coef : sequence of str
        All coefficients, in the order of X.

    Raises
    ------
    PriorError
        For a label that is no coefficient, or another number of coefficients.
    """
    for label in prior.labels:
        if label not in coef:
            raise PriorError(unknown_name("label in the prior for 'beta'", label, coef))
    if prior.labels:
        return prior.labels
    others = tuple(name for name in coef if name != "Intercept")
    if prior.size == len(coef):
        return tuple(coef)
    if prior.size == len(others):
        return others
    raise PriorError(
        f"the prior for 'beta', {prior}, is for {prior.size} coefficients, but there are "
        f"{len(coef)}: {', '.join(coef)}. Give it all of them, all but the intercept, or `labels`."
    )


def gaussian_prior(
    priors: Sequence[Prior], coef: Sequence[str], basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and precision of beta from a prior for each coefficient.

    A prior at the means is one on a'beta, where a picks the coefficient and adds the other
    predictors at their means. Each prior adds a a'/sigma² to the precision, and the mean is where
    all of them are at their centre.

    Parameters
    ----------
    priors : sequence of Prior
        One a coefficient; those of a joint prior have the same. What is not Gaussian adds nothing.
    coef : sequence of str
    basis : (p, p) array
        That of `means_basis`.

    Returns
    -------
    mean : (p,) array
    precision : (p, p) array
    """
    p = len(priors)
    mean, precision = np.zeros(p), np.zeros((p, p))
    about = 2.0 * np.eye(p) - basis  # the inverse
    joint = next((prior for prior in priors if isinstance(prior, MvNormal)), None)
    if joint is not None:
        own = [list(coef).index(name) for name in covered(joint, coef)]
        mean[own] = joint.mean
        precision[np.ix_(own, own)] = np.linalg.inv(joint.cov)
    for direction, (j, prior) in zip(about, enumerate(priors), strict=True):
        if isinstance(prior, Normal):
            mean[j] = prior.mu
            precision += np.outer(direction, direction) / prior.sigma**2
    return basis @ mean, precision


def means_basis(design: Design, priors: Sequence[Prior]) -> np.ndarray:
    """The matrix (p, p) that takes the coefficients that priors are about to the reported ones.

    They differ where a prior is for the value at the predictors' means: there an intercept is less
    by the other predictors' means times their coefficients.

    Parameters
    ----------
    design : Design
    priors : sequence of Prior
        One for each coefficient.
    """
    moved = np.array([prior.at_means for prior in priors], dtype=bool)
    others = np.where(level_coefficients(design), 0.0, design.X.mean(axis=0))
    basis: np.ndarray = np.eye(len(priors)) - np.outer(moved, others)
    return basis
