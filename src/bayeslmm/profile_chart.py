"""Coordinates of theta in which one of its parameters is held and the others are free.

The factor L of G of a bar moves freely, with its effects in an order that makes the parameter held
a coordinate of its own. Of a `UN` bar the first row of L is (sd, 0, ...), and the second
sd (r, √(1 - r²), 0, ...), with r the correlation of the two: so the effects that the parameter is
about come first. Signs are free, and standard deviations of zero and correlations of ±1 are
ordinary places. The parameters of R move in the coordinates of `Coordinates`, where the one held is
solved for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .coordinates import Coordinates
from .frames import Array
from .structures import STRUCTURES, UN, lower_triangle

if TYPE_CHECKING:
    from .equations import Equations
    from .structures import Structure

__all__ = ["BarChart", "Chart"]


@dataclass(frozen=True, eq=False)
class BarChart:
    """Coordinates of the factor L of one bar.

    Attributes
    ----------
    structure : Structure
    factor : int
        The position of its grouping factor.
    own : slice
        Its rows and columns in the factor's G.
    order : (q,) int array
        Its effects, those first that the parameter held is about.
    at : slice
        Its coordinates.
    pair : bool
        Whether the second row is (s r, s √(1 - r²)), with coordinates r and s.
    """

    structure: Structure
    factor: int
    own: slice
    order: Array
    at: slice
    pair: bool

    def _rows(self, x: Array) -> Array:
        """L with the effects in `order`."""
        q, own = len(self.order), x[self.at]
        if self.structure is not UN:
            return np.diag(np.broadcast_to(own, (q,)))
        L = np.zeros((q, q))
        L[lower_triangle(q)] = own
        if self.pair:
            r, s = own[1], own[2]
            L[1, :2] = s * r, s * np.sqrt(1 - r * r)
        return L

    def matrix(self, x: Array) -> Array:
        """L (q, q) with the effects in the bar's order."""
        L = np.empty((len(self.order),) * 2)
        L[self.order] = self._rows(x)
        return L

    def pull(self, x: Array, dL: Array) -> Array:
        """The gradient in the coordinates, from that in L."""
        dL = dL[self.order]
        if self.structure is not UN:
            slopes = np.diag(dL)
            return slopes if len(x[self.at]) == len(slopes) else slopes.sum(keepdims=True)
        slopes = dL[lower_triangle(len(dL))]
        if self.pair:
            r, s = x[self.at][1:3]
            across = np.sqrt(1 - r * r)
            with np.errstate(divide="ignore", invalid="ignore"):
                along_r = s * (dL[1, 0] - dL[1, 1] * r / across)
            slopes[1:3] = along_r, dL[1, 0] * r + dL[1, 1] * across
        return slopes

    def of(self, L: Array) -> Array:
        """The coordinates of any L with the right product LL'."""
        L = L[self.order]
        q = len(L)
        if self.structure is not UN:
            return np.diag(L)[: self.at.stop - self.at.start].copy()
        lower = np.linalg.qr(L.T, mode="r").T
        lower = lower * np.where(np.diag(lower) < 0, -1.0, 1.0)
        own = lower[lower_triangle(q)]
        if self.pair:
            s = np.hypot(*lower[1, :2])
            own[1:3] = lower[1, 0] / s if s > 0 else 0.0, s
        return own


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates of all of theta.

    Attributes
    ----------
    equations : Equations
    bars : tuple of BarChart
    held : int or None
        The coordinate whose value is that of the parameter held.
    residual : Coordinates
        Those of R.
    first : int
        The position in theta of R's first parameter.
    """

    equations: Equations
    bars: tuple[BarChart, ...]
    held: int | None
    residual: Coordinates
    first: int

    @classmethod
    def of(cls, equations: Equations, parameter: int | None) -> Chart:
        """The coordinates in which the parameter at a position of theta is held; or none."""
        parameters = equations.parameters
        first = next(block.start for block in parameters.blocks if block.factor is None)
        bars: list[BarChart] = []
        held, at = None, 0
        for f, factor in enumerate(equations.factors):
            for i, bar in enumerate(factor.bars):
                structure = STRUCTURES[bar.structure]
                q = bar.stop - bar.start
                sds, corrs = (parameters.find(factor.name, i, kind) for kind in ("sd", "corr"))
                front: tuple[int, ...] = ()
                size = q * (q + 1) // 2 if structure is UN else sds.stop - sds.start if sds else 0
                if parameter is not None:
                    if sds is not None and sds.start <= parameter < sds.stop:
                        front = (parameter - sds.start,) if structure is UN else ()
                        held = at + (0 if structure is UN else parameter - sds.start)
                    elif corrs is not None and corrs.start <= parameter < corrs.stop:
                        rows, columns = lower_triangle(q, -1)
                        which = parameter - corrs.start
                        front, held = (int(columns[which]), int(rows[which])), at + 1
                order = np.array([*front, *(k for k in range(q) if k not in front)])
                own = slice(bar.start, bar.stop)
                here = slice(at, at + size)
                bars.append(BarChart(structure, f, own, order, here, len(front) == 2))
                at += size
        if parameter is not None and held is None:
            held = at + parameter - first
        return cls(equations, tuple(bars), held, Coordinates.of(equations), first)

    @cached_property
    def n_G(self) -> int:
        """The number of coordinates of G."""
        return self.bars[-1].at.stop if self.bars else 0

    @cached_property
    def _anywhere(self) -> Array:
        """Coordinates of some theta, for the part of it that is not R's."""
        theta = np.ones(len(self.equations.parameters))
        for block in self.equations.parameters.blocks:
            if block.kind not in ("sd", "sigma"):
                theta[block.start : block.stop] = block.typical
        return self.residual.unconstrained(theta, np.zeros(len(theta)))

    def _of_R(self, x: Array) -> Array:
        """What `residual` takes; NaN where R's parameter held cannot have its value."""
        whole = self._anywhere.copy()
        whole[self.first :] = x[self.n_G :]
        if self.held is not None and self.held >= self.n_G:
            return self.residual.holding(whole, self._held_in_R, x[self.held])
        return whole

    @property
    def _held_in_R(self) -> int:
        assert self.held is not None
        return self.first + self.held - self.n_G

    def start(self, M: Array, theta: Array) -> Array:
        """The coordinates of a place, by its relative factors and theta."""
        whole = self.residual.unconstrained(
            np.concatenate([np.ones(self.first), theta[self.first :]])
            if not self.bars
            else self._with_R(theta),
            np.zeros(len(theta)),
        )
        x = np.empty(self.n_G + len(theta) - self.first)
        x[self.n_G :] = whole[self.first :]
        for bar, L in zip(self.bars, self._blocks(theta[-1] * M), strict=True):
            x[bar.at] = bar.of(L)
        if self.held is not None and self.held >= self.n_G:
            x[self.held] = theta[self._held_in_R]
        return x

    def _with_R(self, theta: Array) -> Array:
        """Some theta whose R is that of another."""
        other = self.residual.natural(self._anywhere)
        other[self.first :] = theta[self.first :]
        return other

    def _blocks(self, flat: Array) -> list[Array]:
        """Views of what belongs to each bar in something flat like M."""
        blocks = self.equations.split_M(flat)
        return [blocks[bar.factor][bar.own, bar.own] for bar in self.bars]

    def place(self, x: Array) -> tuple[Array, Array]:
        """Relative factors, and a theta of which only R's parameters count."""
        whole = self._of_R(x)
        theta = self.residual.natural(whole) if np.isfinite(whole).all() else whole * np.nan
        M = np.zeros(sum(len(f.effects) ** 2 for f in self.equations.factors))
        for bar, block in zip(self.bars, self._blocks(M), strict=True):
            block[:] = bar.matrix(x) / theta[-1]
        return M, theta

    def criterion(self, x: Array) -> tuple[float, Array]:
        """-2 log-likelihood (ML) and its gradient; inf where there is none."""
        if not np.isfinite(x).all():
            return np.inf, np.zeros(len(x))
        M, theta = self.place(x)
        if not np.isfinite(theta[-1]):
            return np.inf, np.zeros(len(x))
        value, dM, dtheta = self.equations.given_factors(M, theta, "ml")
        if not np.isfinite(value):
            return np.inf, np.zeros(len(x))
        slope = np.empty(len(x))
        for bar, dL in zip(self.bars, self._blocks(dM), strict=True):
            slope[bar.at] = bar.pull(x, dL / theta[-1])
        # M = L/σ, and L is what moves
        dtheta[-1] -= M @ dM / theta[-1]
        whole = self._of_R(x)
        of_R = self.residual.gradient(whole, dtheta)
        if self.held is not None and self.held >= self.n_G:
            unit = np.zeros(len(theta))
            unit[self._held_in_R] = 1.0
            moves = self.residual.gradient(whole, unit)
            along = of_R[self._held_in_R] / moves[self._held_in_R]
            of_R = of_R - along * moves
            of_R[self._held_in_R] = along
        slope[self.n_G :] = of_R[self.first :]
        return float(value), slope

    def sizes(self, theta: Array) -> Array:
        """Changes of the coordinates that the data can tell of, roughly."""
        equations, sizes = self.equations, np.full(self.n_G + len(theta) - self.first, 1e-2)
        for bar in self.bars:
            factor = equations.factors[bar.factor]
            columns = np.sqrt(np.diag(equations.cross[bar.factor])[bar.own])[bar.order]
            fine = theta[-1] * np.sqrt(len(factor.levels) / equations.n)
            fine = fine / np.where(columns > 0, columns, 1.0)
            size = bar.at.stop - bar.at.start
            rows = lower_triangle(len(fine))[0] if bar.structure is UN else np.arange(size)
            own = fine[rows]
            if bar.pair:
                own[1] = 1e-2
            sizes[bar.at] = own
        return sizes
