"""Coordinates of theta in which one of its parameters is held and the others are free.

The factor L of G of a bar moves freely, with its effects in an order that makes the parameter held
a coordinate of its own. Of a `UN` bar the first row of L is (sd, 0, ...), and the second
sd (r, √(1 - r²), 0, ...), with r the correlation of the two: so the effects that the parameter is
about come first. Signs are free, and standard deviations of zero and correlations of ±1 are
ordinary places. The parameters of R and of bars with a `Shape` move in the coordinates of
`Coordinates`, where the one held is solved for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.cholesky import STRUCTURES, UN, lower_triangle
from bayeslmm.estimation.coordinates import Coordinates
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.covariance.cholesky import Structure
    from bayeslmm.equations.equations import Equations

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
        Those without a `Shape`; their coordinates come first.
    held : int or None
        The coordinate whose value is that of the parameter held.
    coordinates : Coordinates
    own : int array
        The positions in theta of the parameters that move in them.
    fine : tuple of arrays
        Standard deviations (q,) of each factor's effects that the data can hardly tell from zero.
    """

    equations: Equations
    bars: tuple[BarChart, ...]
    held: int | None
    coordinates: Coordinates
    own: Array
    fine: tuple[Array, ...]

    @classmethod
    def of(cls, equations: Equations, parameter: int | None, sigma: float) -> Chart:
        """The coordinates in which the parameter at a position of theta is held; or none.

        Parameters
        ----------
        equations : Equations
        parameter : int or None
        sigma : float
            The residual standard deviation, roughly.
        """
        parameters = equations.parameters
        bars: list[BarChart] = []
        held, at = None, 0
        places = [b for b in parameters.blocks if b.factor is None]
        fine = tuple(_fine(equations, f, sigma) for f in range(len(equations.factors)))
        scales = np.zeros(len(parameters))
        for f, factor in enumerate(equations.factors):
            for i, bar in enumerate(factor.bars):
                sds, corrs = (parameters.find(factor.name, i, kind) for kind in ("sd", "corr"))
                own = bar.slice
                if bar.shape is not None:
                    places += [b for b in parameters.of_bar(factor.name, i) if b.bar == i]
                    assert sds is not None
                    several = sds.stop - sds.start > 1
                    scales[sds.slice] = fine[f][own] if several else fine[f][own].min()
                    continue
                structure = STRUCTURES[bar.structure]
                q = bar.stop - bar.start
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
                here = slice(at, at + size)
                bars.append(BarChart(structure, f, own, order, here, len(front) == 2))
                at += size
        moved = np.array(sorted(i for b in places for i in range(b.start, b.stop)))
        if parameter is not None and held is None:
            held = at + int(np.searchsorted(moved, parameter))
        coordinates = Coordinates.of(equations, None, scales)
        return cls(equations, tuple(bars), held, coordinates, moved, fine)

    @cached_property
    def n_bars(self) -> int:
        """The number of coordinates of `bars`."""
        return self.bars[-1].at.stop if self.bars else 0

    @cached_property
    def _anywhere(self) -> Array:
        """Coordinates of some theta, for the part of it that does not move in them."""
        theta = np.ones(len(self.equations.parameters))
        for block in self.equations.parameters.blocks:
            if block.kind not in ("sd", "sigma"):
                theta[block.slice] = block.typical
        return self.coordinates.unconstrained(theta, np.zeros(len(theta)))

    def _whole(self, x: Array) -> Array:
        """What `coordinates` take; NaN where the parameter held cannot have its value."""
        whole = self._anywhere.copy()
        whole[self.own] = x[self.n_bars :]
        if self._held_position is not None:
            return self.coordinates.holding(whole, self._held_position, float(x[self.held]))
        return whole

    @property
    def _held_position(self) -> int | None:
        """The position in theta of the parameter held, if it is one of `own`."""
        if self.held is None or self.held < self.n_bars:
            return None
        return int(self.own[self.held - self.n_bars])

    def start(self, M: Array, theta: Array, boundary: Array) -> Array:
        """The coordinates of a place, by its relative factors and theta; near it, of parameters
        that are on the boundary and have no coordinates there.
        """
        other = self.coordinates.natural(self._anywhere)
        other[self.own] = theta[self.own]
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = self.coordinates.unconstrained(other, np.zeros(len(theta)), ~boundary)
        whole = np.where(np.isfinite(whole), whole, self._anywhere)
        x = np.empty(self.n_bars + len(self.own))
        x[self.n_bars :] = whole[self.own]
        for bar, L in zip(self.bars, self._blocks(theta[-1] * M), strict=True):
            x[bar.at] = bar.of(L)
        if self._held_position is not None:
            x[self.held] = theta[self._held_position]
        return x

    def _blocks(self, flat: Array) -> list[Array]:
        """Views of what belongs to each of `bars` in something flat like M."""
        blocks = self.equations.split_M(flat)
        return [blocks[bar.factor][bar.own, bar.own] for bar in self.bars]

    @cached_property
    def _in_units(self) -> Array:
        """The parameters that are standard deviations."""
        return np.isin(self.equations.parameters.kinds, ("sd", "sigma"))

    def place(self, x: Array) -> tuple[Array, Array]:
        """Relative factors, and a theta of which only the parameters of `own` count."""
        whole = self._whole(x)
        theta = self.coordinates.natural(whole) if np.isfinite(whole).all() else whole * np.nan
        M = np.zeros(sum(len(f.effects) ** 2 for f in self.equations.factors))
        for bar, block in zip(self.bars, self._blocks(M), strict=True):
            block[:] = bar.matrix(x) / theta[-1]
        return self.equations.with_shapes(M, self._relative(theta)), theta

    def _relative(self, theta: Array) -> Array:
        """Theta with σ one."""
        return np.where(self._in_units, theta / theta[-1], theta)

    def criterion(self, x: Array) -> tuple[float, Array]:
        """-2 log-likelihood (ML) and its gradient; inf where there is none."""
        nothing = np.inf, np.zeros(len(x))
        if not np.isfinite(x).all():
            return nothing
        M, theta = self.place(x)
        if not (np.isfinite(theta).all() and np.isfinite(M).all()):
            return nothing
        value, dM, dtheta = self.equations.given_factors(M, theta, "ml")
        if not np.isfinite(value):
            return nothing
        slope = np.empty(len(x))
        for bar, dL in zip(self.bars, self._blocks(dM), strict=True):
            slope[bar.at] = bar.pull(x, dL / theta[-1])
        # M = L/σ, and L is what moves
        dtheta[-1] -= M @ dM / theta[-1]
        of_shapes = self.equations.pull_shapes(self._relative(theta), M, dM)
        of_shapes[-1] = 0.0  # that of σ in M, which is in the line before
        dtheta += np.where(self._in_units, of_shapes / theta[-1], of_shapes)
        whole = self._whole(x)
        slopes = self.coordinates.gradient(whole, dtheta)
        at = self._held_position
        if at is not None:
            unit = np.zeros(len(theta))
            unit[at] = 1.0
            moves = self.coordinates.gradient(whole, unit)
            # a standard deviation of zero does not move; its sign is free, and so is the slope
            along = slopes[at] / moves[at] if moves[at] != 0 else 0.0
            slopes = slopes - along * moves
            slopes[at] = along
        slope[self.n_bars :] = slopes[self.own]
        return float(value), slope

    def sizes(self) -> Array:
        """Changes of the coordinates that the data can tell of, roughly."""
        sizes = np.full(self.n_bars + len(self.own), 1e-2)
        scale = np.where(self._in_units, self.coordinates.ab[:, 0], 0.0)
        sizes[self.n_bars :][scale[self.own] > 0] = 1.0
        for bar in self.bars:
            own = self.fine[bar.factor][bar.own][bar.order]
            size = bar.at.stop - bar.at.start
            rows = lower_triangle(len(own))[0] if bar.structure is UN else np.arange(size)
            own = own[rows]
            if bar.pair:
                own[1] = 1e-2
            sizes[bar.at] = own
        if self._held_position is not None and scale[self._held_position] > 0:
            sizes[self.held] = scale[self._held_position]
        return sizes


def _fine(equations: Equations, f: int, sigma: float) -> Array:
    """Standard deviations of a factor's effects that the data can hardly tell from zero."""
    columns = np.sqrt(np.diag(equations.cross[f]))
    fine = sigma * np.sqrt(len(equations.factors[f].levels) / equations.n)
    return fine / np.where(columns > 0, columns, 1.0)
