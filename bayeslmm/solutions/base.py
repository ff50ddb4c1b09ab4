"""`Solution`: what was estimated, whichever way, by the quantities that every analysis needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np

from bayeslmm.data.frames import level_label
from bayeslmm.equations.linear import Estimates, Functions
from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.specification import Specification
from bayeslmm.support.arrays import Array

__all__ = ["LEVEL", "Method", "Solution", "solution_of"]

Method = Literal["reml", "ml", "map", "nuts"]

LEVEL = 0.95
"""Probability of intervals, unless another is asked for."""


class Solution(ABC):
    """Estimates of one model: coefficients, random effects and covariance parameters.

    Point estimates and posteriors differ in how they estimate linear functions of (beta, u) and
    the covariance parameters theta; tables, predictions and plots are functions of a solution that
    need not know which it is. Arrays have no labels: those are the model's.

    Attributes
    ----------
    model : Specification
        What was fitted.
    """

    model: Specification

    @property
    @abstractmethod
    def method(self) -> Method:
        """How the model was fitted."""

    @property
    @abstractmethod
    def options(self) -> Mapping[str, object]:
        """The options of the method, by which another model is fitted in the same way."""

    @property
    @abstractmethod
    def beta(self) -> Array:
        """Estimates of the coefficients; (p,)."""

    @property
    @abstractmethod
    def u(self) -> tuple[Array, ...]:
        """Estimates of the random effects; (levels, q), one for each factor."""

    @property
    @abstractmethod
    def moments(self) -> tuple[dict[str, Array], float]:
        """Estimates of G of one level by factor, and of the residual variance σ²."""

    @abstractmethod
    def linear(self, functions: Functions, level: float = LEVEL) -> Estimates:
        """Estimates of linear functions of (beta, u)."""

    @abstractmethod
    def level_effects(self, position: int, level: float = LEVEL) -> Estimates:
        """Estimates of the random effects of a factor, by level and within it by effect."""

    @abstractmethod
    def parameters(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta."""

    @abstractmethod
    def variances(self, level: float = LEVEL) -> Estimates:
        """Estimates of theta with variances for standard deviations and covariances for
        correlations (`Variances`).
        """

    @abstractmethod
    def drawn(self, n: int, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...], Array]:
        """Values of beta (n, p), M (n, q, q) by factor and theta (n, k) to simulate from."""

    @property
    @abstractmethod
    def residual_sds(self) -> Array:
        """Standard deviations of the residuals of the rows, weights aside."""

    @abstractmethod
    def residual_covariance(self, rows: Array) -> Array:
        """Covariance matrix of the residuals of some rows, weights aside."""

    @cached_property
    def theta(self) -> Array:
        """Estimates of the covariance parameters; (k,)."""
        return self.parameters().estimate

    def coefficients(self, level: float = LEVEL) -> Estimates:
        """Estimates of the coefficients with their uncertainty."""
        design = self.model.design
        return self.linear(Functions.of(design.factors, np.eye(len(design.coef))), level)

    def R(self, rows: Array) -> Array:
        """Covariance matrix of the residuals of some rows."""
        R = self.residual_covariance(rows)
        weights = self.model.design.weights
        return R if weights is None else R / np.sqrt(np.outer(weights[rows], weights[rows]))

    def ZGZ(self, rows: Array) -> Array:
        """Covariance matrix ZGZ' of what the random effects add to some rows."""
        V = np.zeros((len(rows), len(rows)))
        for factor in self.model.design.factors:
            Z = factor.Z[rows]
            V += factor.between(rows) * (Z @ self.moments[0][factor.name] @ Z.T)
        return V

    def V(self, rows: Array) -> Array:
        """Covariance matrix ZGZ' + R of the responses of some rows."""
        return self.R(rows) + self.ZGZ(rows)

    def rows_of(self, level: object, group: str | None) -> Array:
        """Indices of the rows of a level of a grouping factor, or of a subject of R."""
        label, design = level_label(level), self.model.design
        known = {factor.name: (factor.levels, factor.codes) for factor in design.factors}
        residuals = design.residuals
        if residuals is not None and residuals.subjects is not None:
            subjects = residuals.subjects
            known.setdefault(str(residuals.structure.group), (subjects.levels, subjects.codes))
        if not known:
            design.factor_or_only(group)  # which says so
        if group is not None and group not in known:
            raise ArgumentError(unknown_name("grouping factor", group, list(known)))
        among = [name for name in known if group in (None, name) and label in known[name][0]]
        if len(among) > 1:
            raise ArgumentError(f"several groups have a level {label!r}: give `group`, of {among}.")
        if not among:
            valid = [x for name in known if group in (None, name) for x in known[name][0]]
            raise ArgumentError(unknown_name("level", label, valid))
        levels, codes = known[among[0]]
        return np.flatnonzero(codes == levels.index(label))


def solution_of(fit: object) -> Any:
    """The solution that a fit holds; anything else as it is."""
    return getattr(fit, "solution", fit)
