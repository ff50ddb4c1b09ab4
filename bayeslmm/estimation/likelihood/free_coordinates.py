"""Parameters that the likelihood search moves without bounds and that relative factors are not
linear in: those of R but for sigma, and those of bars with a `Shape`.

A standard deviation of zero, and correlations at which such a G is singular, lie at infinity in
these coordinates. A search that gets near sets them to where the difference is no longer a number
that counts, and *holds* them there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.base import Scale
from bayeslmm.design.parameters import bars_together
from bayeslmm.estimation.coordinates import Coordinates

if TYPE_CHECKING:
    from bayeslmm.covariance.shapes import Shape
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.equations.equations import Equations

__all__ = ["FreeBar", "FreeCoordinates"]

_ZERO, _EDGE, _FISHER = -40.0, 20.0, 9.0
"""The logarithm of a standard deviation of zero, the logit of a share of zero or one, and Fisher's
z of a (partial) correlation of one, but for rounding."""
_DISTANT = 10.0
"""The logarithm of a range, in spacings, at which everything is correlated."""
_CLOSE = 4.0
"""The same, negative, of one at which nothing is."""
_ALMOST = -8.0
"""The logarithm of one residual standard deviation over another that is as good as zero; far
smaller ones leave no digits."""
_SMALL = 0.1
"""A standard deviation, relative to σ, below which zero is tried."""
_STRONG = 3.0
"""A logit of strong correlation, beyond which the edge is tried."""
_OF_PARTIALS = ((-_FISHER, -_STRONG / 2), (_FISHER, _STRONG / 2))
"""Edges of (partial) correlations and of shares, as `_edges` has them."""
_OF_INTERVAL = ((-_EDGE, -_STRONG), (_EDGE, _STRONG))
"""Those of parameters in an interval."""


@dataclass(frozen=True, eq=False)
class FreeBar:
    """A bar with a `Shape`: where its parameters are among the coordinates. Loadings of R are here
    too, without standard deviations, since uniquenesses may be zero.

    Attributes
    ----------
    sds, others : int arrays
        Of its standard deviations and of its correlation's parameters.
    runs : tuple of int arrays
        Partial correlations of which one at an edge makes those that follow it mean nothing.
    edges : tuple of (int, float, float)
        Coordinates with an edge at which G is singular or the nugget zero; the edge; and a
        coordinate on the way there, of strong correlation.
    size : float
        The logarithm of the standard deviation that makes all its effects vary as the residual
        does.
    fine : float
        The least standard deviation, relative to σ, that the data can tell of.
    """

    sds: np.ndarray
    others: np.ndarray
    runs: tuple[np.ndarray, ...]
    edges: tuple[tuple[int, float, float], ...]
    size: float
    fine: float


@dataclass(frozen=True, eq=False)
class FreeCoordinates:
    """The coordinates x of these parameters.

    Attributes
    ----------
    equations : Equations
    first : (k,) array
        Theta at the start, where sigma is one.
    own : int array
        The places of x in theta.
    bars : tuple of FreeBar
    edges : tuple of (int, float, float)
        Of R: coordinates with an edge, the edge, and a coordinate on the way there.
    """

    equations: Equations
    first: np.ndarray
    own: np.ndarray
    bars: tuple[FreeBar, ...]
    edges: tuple[tuple[int, float, float], ...]

    @classmethod
    def of(cls, equations: Equations) -> FreeCoordinates:
        """Those of a model, and where they start."""
        parameters = equations.parameters
        theta = np.ones(len(parameters))
        for block in parameters.blocks:
            if block.kind not in ("sd", "sigma"):
                theta[block.slice] = block.typical
        shaped = [
            (factor, number, np.trace(cross[bar.slice, bar.slice]))
            for factor, cross in zip(equations.factors, equations.cross, strict=True)
            for number, bar in enumerate(factor.bars)
            if bar.shape is not None
        ]
        own = {b for b in parameters.blocks if b.factor is None}
        for factor, number, cross in shaped:
            blocks = parameters.of_bar(factor.name, number)
            own.update(blocks)
            theta[blocks[0].slice] = 1 / np.sqrt(cross)
        places = np.array(sorted(i for b in own for i in range(b.start, b.stop)))[:-1]
        bars = tuple(
            _free_bar(
                factor, number, *bars_together(parameters, factor, number), places, equations.n
            )
            for factor, number, _ in shaped
            if factor.bars[number].like is None
        )
        bars += tuple(
            _joint_of_residuals(block, places)
            for block in parameters.blocks
            if block.factor is None and block.joint is not None and block.joint.tried_at_edges
        )
        edges = tuple(
            (int(np.searchsorted(places, i)), *edge)
            for block in parameters.blocks
            if block.factor is None
            for i, edge in _residual_edges(block)
        )
        return cls(equations, theta, places, bars, edges)

    @cached_property
    def coordinates(self) -> Coordinates:
        """Those of all of theta."""
        return Coordinates.of(self.equations)

    @cached_property
    def whole(self) -> np.ndarray:
        """Coordinates (k,) of all of theta at the start."""
        return self.coordinates.unconstrained(self.first, np.zeros(len(self.first)))

    @property
    def start(self) -> np.ndarray:
        """Where they start."""
        return self.whole[self.own] if len(self.own) else np.empty(0)

    def _at(self, x: np.ndarray) -> np.ndarray:
        whole = self.whole.copy()
        whole[self.own] = x
        return whole

    def relative(self, x: np.ndarray) -> np.ndarray:
        """Theta with these parameters at x, and sigma one."""
        return self.coordinates.natural(self._at(x)) if len(self.own) else self.first

    def gradient(self, x: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """The gradient in x of what has these slopes in theta."""
        return self.coordinates.gradient(self._at(x), slopes)[self.own] if len(x) else x

    def scaled(self, x: np.ndarray, size: float) -> np.ndarray:
        """x with the standard deviations of bars times a size, which may be zero."""
        x = x.copy()
        for bar in self.bars:
            x[bar.sds] = x[bar.sds] + np.log(size) if size > 0 else _ZERO
        return x

    def strongly_correlated(self, x: np.ndarray) -> np.ndarray:
        """x with correlations close to the upper edge, where there is one."""
        x = x.copy()
        for bar in self.bars:
            for at, edge, strong in bar.edges:
                if edge > strong:
                    x[at] = strong
        return x

    def near_edges(self, x: np.ndarray) -> list[tuple[int, float]]:
        """Coordinates that are near an edge, and the edge; standard deviations first."""
        found = []
        for bar in self.bars:
            small = bar.size + np.log(_SMALL)
            found += [(int(at), _ZERO) for at in bar.sds if _ZERO < x[at] < small]
        for edges in (*(bar.edges for bar in self.bars), self.edges):
            found += [
                (at, edge)
                for at, edge, strong in edges
                if x[at] != edge and (x[at] - strong) * (edge - strong) > 0
            ]
        return found

    def moved_to(self, x: np.ndarray, at: int, edge: float) -> np.ndarray:
        """x with a coordinate at its edge, and those that then mean nothing at zero."""
        x = x.copy()
        x[at] = edge
        for bar in self.bars:
            for run in bar.runs:
                for place in np.flatnonzero(run == at):
                    x[run[place + 1 :]] = 0.0
        return x

    def at_edges(self, x: np.ndarray) -> tuple[int, ...]:
        """Coordinates at an edge or, of bars, beyond it, and those that then mean nothing."""
        held = [at for at, edge, _ in self.edges if x[at] == edge]
        for bar in self.bars:
            zero = x[bar.sds] <= _ZERO
            held += [int(at) for at in bar.sds[zero]]
            if len(zero) and zero.all():
                held += [int(at) for at in bar.others]
            else:
                # what has run on beyond an edge has rounded to its bound
                held += [at for at, e, strong in bar.edges if (x[at] - e) * (e - strong) >= 0]
                for run in bar.runs:
                    first = np.flatnonzero(np.isin(run, held))[:1]
                    held += [int(at) for start in first for at in run[start:]]
        return tuple(sorted(set(held)))

    def released(self, x: np.ndarray) -> list[np.ndarray]:
        """Coordinates with standard deviations that are at zero away from it, a bar at a time; with
        correlations as they are, and with strong ones.
        """
        found = []
        for bar in self.bars:
            zero = bar.sds[x[bar.sds] <= _ZERO]
            if not len(zero):
                continue
            upper = [(at, strong) for at, edge, strong in bar.edges if edge > strong]
            lower = [(at, strong) for at, edge, strong in bar.edges if edge < strong]
            for correlations in ((), upper, lower) if len(zero) == len(bar.sds) else ((),):
                for size in (3.0, 1.0, 0.3, 0.1, 0.03):
                    moved = x.copy()
                    moved[zero] = bar.size + np.log(size * bar.fine)
                    for at, strong in correlations:
                        moved[at] = strong
                    found.append(moved)
        return found


def _free_bar(
    factor: GroupingFactor,
    number: int,
    sds: list[Block],
    others: list[Block],
    places: np.ndarray,
    n: int,
) -> FreeBar:
    """Those of a bar, or of the bars of strata that share the others."""
    shape, q = factor.bars[number].shape, sds[0].size
    assert shape is not None
    own = [bar for i, bar in enumerate(factor.bars) if number in (i, bar.like)]
    squares = sum(float((factor.Z[:, bar.start : bar.stop] ** 2).sum()) for bar in own)
    size = -0.5 * float(np.log(squares / n))

    def at(block: Block) -> np.ndarray:
        return np.searchsorted(places, np.arange(block.start, block.stop))

    edges = [
        (int(i), *edge) for block in others for i in at(block) for edge in _edges(shape, block)
    ]
    joint = [run for block in others if block.joint for run in block.joint.runs(at(block))]
    rows = [row for block in others if block.kind == "corr" for row in _rows(at(block), q)]
    fine = float(np.sqrt(len(factor.levels) / n))
    none = np.empty(0, dtype=np.int64)
    return FreeBar(
        np.concatenate([at(block) for block in sds]),
        np.concatenate([none, *map(at, others)]),
        (*joint, *rows),
        tuple(edges),
        size,
        fine,
    )


def _joint_of_residuals(block: Block, places: np.ndarray) -> FreeBar:
    assert block.joint is not None
    own = np.searchsorted(places, np.arange(block.start, block.stop))
    edges = [(int(at), *edge) for at in own for edge in _OF_PARTIALS]
    none = np.empty(0, dtype=np.int64)
    return FreeBar(none, none, tuple(block.joint.runs(own)), tuple(edges), 0.0, 0.0)


def _rows(lower: np.ndarray, q: int) -> list[np.ndarray]:
    """The rows of a strict lower triangle."""
    return [lower[i * (i - 1) // 2 : i * (i + 1) // 2] for i in range(1, q)]


def _edges(shape: Shape, block: Block) -> tuple[tuple[float, float], ...]:
    """Coordinates at which a parameter makes G singular, or a uniqueness or nugget zero, and others
    on the way there.
    """
    if block.kind == "corr" or block.joint is not None:
        return _OF_PARTIALS
    if block.parameter is None:  # an exponent
        return ()
    if block.scale is Scale.DISTANCE:
        spacing = float(np.log(shape.spacing))
        return ((spacing + _DISTANT, spacing + _STRONG / 2),)
    lower, upper = _OF_INTERVAL
    if block.scale is Scale.AT_ONE:
        return (upper,)
    return (lower, upper) if block.parameter.upper_edge else (lower,)


def _residual_edges(block: Block) -> list[tuple[int, tuple[float, float]]]:
    """The places in theta of parameters of R that the likelihood can be largest at a bound of, and
    edges as `_edges` has them. R is singular at those of correlations in general (`un`, `toep`,
    `ante1`), where the likelihood is zero.
    """
    edges: tuple[tuple[float, float], ...] = ()
    if block.parameter is not None and block.scale in (Scale.INTERVAL, Scale.AT_ONE):
        edges = _OF_INTERVAL if block.parameter.upper_edge else _OF_INTERVAL[:1]
    places = [(i, edge) for i in range(block.start, block.stop) for edge in edges]
    if block.kind == "sigma":  # the last is what the others are relative to
        places = [(i, (_ALMOST, _ALMOST / 2)) for i in range(block.start, block.stop - 1)]
    if block.scale is Scale.DISTANCE:
        assert isinstance(block.typical, tuple)
        for i, typical in zip(range(block.start, block.stop), block.typical, strict=True):
            spacing = float(np.log(typical))
            places.append((i, (spacing - _CLOSE, spacing - _STRONG / 3)))
            places.append((i, (spacing + _DISTANT, spacing + _STRONG / 2)))
    return places
