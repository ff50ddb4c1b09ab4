"""What every maximiser returns: the estimates, how it ended and the iterations on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Literal

import numpy as np

__all__ = ["Optimum", "Status", "Step"]


@dataclass(frozen=True)
class Step:
    """One iteration: criterion (-2 log L), largest element of the gradient with σ at its best,
    working coordinates, σ, seconds since the start.
    """

    iteration: int
    criterion: float
    gradient: float
    working: np.ndarray
    sigma: float
    seconds: float


_ILL_CONDITIONED = 1e13
"""Condition number of the natural parameters' Hessian beyond which its inverse is noise."""


class Status(Enum):
    """How a fit ended: what happened, and what to do about it; the value says both in words.

    Attributes
    ----------
    what : str
    why : str
        What it means; empty where `what` says it.
    remedy : str
        What to try; empty where there is nothing to do.
    """

    CONVERGED = "converged"
    SINGULAR = (
        "converged to a singular fit",
        "a variance is zero or a correlation is ±1",
        "The data do not support this random-effect structure in full; drop the effect or "
        "correlation named, or give it a prior and use NUTS",
    )
    STOPPED = (
        "stopped before the criterion was at its minimum, as EM does where a variance is small and "
        "as others do where they find no better place",
        "",
        "Fit with the default algorithm, or start Newton's method from EM with "
        "algorithm='em+newton'",
    )
    NO_PROGRESS = (
        "stopped before the gradient was small",
        "",
        "Centre predictors that are far from zero, rescale those that differ by orders of "
        "magnitude, or simplify the random effects",
    )
    NOT_IDENTIFIED = (
        "the likelihood is at its maximum and does not change along some direction of the "
        "covariance parameters",
        "the data do not determine them",
        "Drop random effects, above all those whose columns are constant within the levels of "
        "their factor",
    )
    NO_RESIDUAL = (
        "the residual variance went to zero",
        "random effects of single rows, such as those of occasions, take its place",
        "Give their structure to the residuals instead, R=..., or give sigma a prior and fit by "
        "'nuts' or 'map'",
    )
    ZERO_RESIDUAL = (
        "a residual variance went to zero",
        "the model reproduces the response exactly, in all rows or in those of a stratum of R, so "
        "the likelihood has no maximum",
        "Check these rows, or leave them out, and compare the model with simpler ones",
    )

    what: str
    why: str
    remedy: str

    def __new__(cls, what: str, why: str = "", remedy: str = "") -> Status:
        """A status with its parts, whose value is all of them."""
        status = object.__new__(cls)
        status.what, status.why, status.remedy = what, why, remedy
        status._value_ = f"{status.sentence}. {remedy}" if remedy else status.sentence
        return status

    @property
    def sentence(self) -> str:
        """What happened and what it means, without the remedy."""
        return f"{self.what}: {self.why}" if self.why else self.what

    @property
    def ok(self) -> bool:
        """Whether the estimates are those of the maximum."""
        return self in (Status.CONVERGED, Status.SINGULAR)


@dataclass(frozen=True)
class Optimum:
    """What the optimiser found.

    Attributes
    ----------
    method : {"reml", "ml", "map"}
    status : Status
    theta : (k,) array
        Natural parameters. Correlations with an effect of zero variance stand as 0.
    M : array
        Relative factors of all grouping factors, flat; exact where G is singular.
    sigma : float
    criterion : float
        -2 log-likelihood; for "map" that and -2 log prior density (`penalised`).
    boundary : (k,) array of bool
        Parameters that are on, or undefined at, the boundary.
    find_hessian : callable
        What `hessian` is when it is first asked for.
    trace : tuple of Step
    evaluations : int
    seconds : float
    algorithm : str
    information : {"average", "observed"}, optional
        That steps of Newton's method were made with.
    """

    method: Literal["reml", "ml", "map"]
    status: Status
    theta: np.ndarray
    M: np.ndarray
    sigma: float
    criterion: float
    boundary: np.ndarray
    find_hessian: Callable[[], np.ndarray]
    trace: tuple[Step, ...]
    evaluations: int
    seconds: float
    algorithm: str = "quasi-newton"
    information: Literal["average", "observed"] | None = None

    def __repr__(self) -> str:
        how = f"by {self.method.upper()}, {self.algorithm}: {self.status.name.lower()}"
        return f"Optimum {how} at {self.criterion:.4f} after {self.evaluations} evaluations"

    @property
    def singular(self) -> bool:
        """Whether G is singular."""
        return self.status is Status.SINGULAR

    @cached_property
    def hessian(self) -> np.ndarray:
        """Second derivatives (k, k) of -criterion/2 in log(sd), Fisher's z(corr), the parameters of
        R on the scale of `scales` and log(sigma); NaN for parameters at the boundary, which are
        held there for the others.
        """
        return self.find_hessian()

    @cached_property
    def vcov(self) -> np.ndarray:
        """Covariance matrix (k, k) of theta in the coordinates of `hessian`; NaN at the boundary,
        and altogether where the coordinates are too nearly dependent to be told apart by numbers
        of this precision.
        """
        vcov = np.full_like(self.hessian, np.nan)
        free = np.isfinite(np.diag(self.hessian))
        part = -self.hessian[np.ix_(free, free)]
        if self.status.ok and free.any() and (np.diag(part) > 0).all():
            size = np.sqrt(np.diag(part))
            if np.linalg.cond(part / np.outer(size, size)) < _ILL_CONDITIONED:
                vcov[np.ix_(free, free)] = np.linalg.inv(part)
        return vcov
