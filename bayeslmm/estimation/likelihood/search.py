"""The search for the optimum of -2 log L over the relative factors M: L-BFGS with the analytic
gradient, escapes from the boundary, and further starts where they are cheap.

M moves in coordinates without bounds (see `Structure.working_units`): a variance of zero and a
correlation of ±1 are ordinary stationary points there. The parameters of R but for sigma, and those
of bars with a `Shape`, move in those of `FreeCoordinates`. What the criterion depends on is "flat":
the elements of M, where the blocks of such bars are zero, then these.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.linalg import block_diag

from bayeslmm.covariance.cholesky import ID, STRUCTURES, UN, lower_triangle
from bayeslmm.estimation.likelihood.centred import centred
from bayeslmm.estimation.likelihood.descent import descent
from bayeslmm.estimation.likelihood.free_coordinates import FreeCoordinates
from bayeslmm.estimation.likelihood.loading_ratios import LoadingRatios
from bayeslmm.estimation.optimum import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.covariance.cholesky import Structure
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.centred import Centred

__all__ = [
    "BETTER",
    "Bar",
    "Place",
    "Search",
    "best_place",
    "by_ratios",
    "descend",
    "near_boundary",
    "off_boundary",
    "prepare",
    "snap",
]

BETTER = 1e-6
"""A difference of -2 log L that counts."""
_ALMOST = 1e-3
"""The same, and a slope that is none, at a residual standard deviation that is not quite zero."""
_SINGULAR = 1e-3
"""A direction of G whose standard deviation is below this fraction of σ (columns standardised) is
tried at zero."""
_RESTARTS = 5
_EM_STEPS = 2
_CLOSELY = 1e-3
"""The gradient that ends a descent."""
_ELSEWHERE, _ROUGHLY = 1e-3, 1e-2
"""How much better another place must be after a rough descent, and the gradient that ends one."""
_AMPLE = 6
"""Levels per coordinate that are many."""
_VERY_FAR = (1e3, 1e5)
"""Sizes of random effects, relative to σ, at which the criterion is flat."""
_FAR, _DECADES = 100.0, 12
"""Standard deviations above σ from which larger ones are tried, and how often ten times larger."""
_CHEAP = 1000
"""What an evaluation grows with, times working coordinates, up to which descents from several
starts cost next to nothing."""


@dataclass(frozen=True)
class Bar:
    """Where a bar's block of M and its working coordinates stand."""

    structure: Structure
    factor: int
    start: int
    stop: int
    transform: np.ndarray  # T (q, q) in M = T Λ
    cross: np.ndarray  # (q, q), mean cross-product of its columns
    coordinates: slice
    scale: float  # root of the number of levels: the curvature in a coordinate is of order one
    fine: float  # the least standard deviation, relative to σ, that the data can tell of

    @property
    def block(self) -> slice:
        """Its rows and columns in the factor's M."""
        return slice(self.start, self.stop)

    def matrix(self, working: np.ndarray) -> np.ndarray:
        """Λ at the coordinates of all bars."""
        own = working[self.coordinates] / self.scale
        return self.structure.working_matrix(own, self.stop - self.start)

    def working(self, matrix: np.ndarray) -> np.ndarray:
        """Its own coordinates of any matrix with the same product ΛΛ' as its factor."""
        q = len(matrix)
        if self.structure is UN:
            return self.scale * np.linalg.qr(matrix.T, mode="r").T[lower_triangle(q)]
        size = self.coordinates.stop - self.coordinates.start
        return self.scale * np.diag(matrix)[:size]


@dataclass
class Search:
    """The criterion as the optimiser sees it, with what it has seen."""

    centred: Centred
    method: Literal["reml", "ml"]
    bars: tuple[Bar, ...]
    free: FreeCoordinates
    to_flat: np.ndarray  # takes working coordinates to what is flat
    began: float
    trace: list[Step]
    evaluations: int = 0
    at: bytes | None = None  # where the criterion was last asked for, and what it was
    last: tuple[float, np.ndarray, float] = (np.inf, np.empty(0), np.nan)

    @property
    def equations(self) -> Equations:
        """Those that are searched, with covariates of variances about their means."""
        return self.centred.equations

    @cached_property
    def size(self) -> int:
        """What the price of an evaluation grows with."""
        equations = self.equations
        return equations.n_random + (equations.n if equations.structured else 0)

    @cached_property
    def n_M(self) -> int:
        """The number of working coordinates that M is linear in; `free` has the others."""
        return sum(bar.coordinates.stop - bar.coordinates.start for bar in self.bars)

    def profiled(self, flat: np.ndarray) -> tuple[float, np.ndarray, float]:
        """-2 log L, its gradient in what is flat, and σ²."""
        self.evaluations += 1
        n_free = self.to_flat.shape[1] - self.n_M
        if not n_free:
            value, slope, sigma2, *_ = self.equations.profiled(flat, self.method)
            return float(value), slope, float(sigma2)
        M, x = flat[:-n_free], flat[-n_free:]
        relative = self.free.relative(x)
        if self.free.bars:
            M = self.equations.with_shapes(M, relative)
            if not np.isfinite(M).all():
                return np.inf, np.zeros(len(flat)), np.nan
        value, slope, sigma2, *_, slopes = self.equations.profiled(M, self.method, relative)
        if self.free.bars:
            slopes = slopes + self.equations.pull_shapes(relative, M, slope)
        slope = np.concatenate([slope, self.free.gradient(x, slopes)])
        if not np.isfinite(slope).all():  # so far out that coordinates are no numbers
            return np.inf, np.zeros(len(flat)), np.nan
        return float(value), slope, float(sigma2)

    def M(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The relative factors of what is flat, of all bars, and theta with `free` there, σ one."""
        n_free = self.to_flat.shape[1] - self.n_M
        relative = self.free.relative(flat[len(flat) - n_free :])
        return self.equations.with_shapes(flat[: len(flat) - n_free], relative), relative

    def criterion(self, working: np.ndarray) -> tuple[float, np.ndarray]:
        """-2 log L and its gradient in the working coordinates."""
        value, slope, _ = self.profiled_at(working)
        return value, slope @ self.to_flat

    def profiled_at(self, working: np.ndarray) -> tuple[float, np.ndarray, float]:
        """What :meth:`profiled` says at working coordinates; where it was asked last is known."""
        here = working.tobytes()
        if here != self.at:
            self.at, self.last = here, self.profiled(self.to_flat @ working)
        return self.last

    def record(self, working: np.ndarray) -> None:
        """Add an iteration to the trace."""
        value, slope, sigma2 = self.profiled_at(working)
        largest = float(np.abs(slope @ self.to_flat).max(initial=0.0))
        seconds = time.perf_counter() - self.began
        sigma = float(np.sqrt(sigma2))
        self.trace.append(Step(len(self.trace), value, largest, working.copy(), sigma, seconds))

    def flat(self, matrices: Sequence[np.ndarray], working: np.ndarray) -> np.ndarray:
        """What is flat for a Λ of each bar, and `free` as in working coordinates."""
        flat = np.zeros(len(self.to_flat))
        flat[len(flat) - len(working) + self.n_M :] = working[self.n_M :]
        blocks = self.equations.split_M(flat)
        for bar, matrix in zip(self.bars, matrices, strict=True):
            blocks[bar.factor][bar.block, bar.block] = bar.transform @ matrix
        return flat

    def working(self, matrices: Sequence[np.ndarray], others: np.ndarray) -> np.ndarray:
        """Working coordinates of a Λ for each bar, with `free` as it is in others."""
        own = [bar.working(matrix) for bar, matrix in zip(self.bars, matrices, strict=True)]
        return np.concatenate([*own, others[self.n_M :]])

    def is_singular(self, place: Place) -> bool:
        """Whether G is singular; that of a structure is not at a nugget or uniqueness of zero."""
        if place.singular or not place.held:
            return bool(place.singular)
        parameters = self.equations.parameters
        of_G = np.zeros(len(parameters), dtype=bool)
        for block in parameters.blocks:
            singular = block.parameter is None or block.parameter.singular
            of_G[block.slice] = block.factor is not None and singular
        return bool(of_G[self.free.own[list(place.held)]].any())


@dataclass(frozen=True)
class Place:
    """Where a descent ended: a Λ for each bar, exact at the boundary."""

    working: np.ndarray
    matrices: tuple[np.ndarray, ...]
    singular: tuple[int, ...]  # the bars whose Λ is singular
    held: tuple[int, ...]  # which of `FreeCoordinates` are at an edge
    value: float
    slope: np.ndarray  # in what is flat
    sigma2: float


def prepare(equations: Equations, method: Literal["reml", "ml"]) -> tuple[Search, np.ndarray]:
    """The search, and where it starts."""
    about = centred(equations)
    equations = about.equations
    bars, start, at = [], [], 0
    for i, (f, cross) in enumerate(zip(equations.factors, equations.cross, strict=True)):
        levels = len(f.levels)
        scale, fine = np.sqrt(levels), np.sqrt(levels / equations.n)
        for bar in f.bars:
            if bar.shape is not None:
                continue
            structure = STRUCTURES[bar.structure]
            inner = cross[bar.slice, bar.slice]
            start.append(scale * structure.working_start(len(inner)))
            here = slice(at, at + len(start[-1]))
            transform = structure.working_transform(inner)
            bars.append(Bar(structure, i, bar.start, bar.stop, transform, inner, here, scale, fine))
            at = here.stop
    free = FreeCoordinates.of(equations)
    start.append(free.start)
    from_M = np.zeros((at, sum(len(f.effects) ** 2 for f in equations.factors)))
    blocks = equations.split_M(from_M)
    for own in bars:
        units = own.structure.working_units(len(own.transform)) / own.scale
        blocks[own.factor][own.coordinates, own.block, own.block] = own.transform @ units
    to_flat = block_diag(from_M.T, np.eye(len(free.start))) if len(free.start) else from_M.T
    search = Search(about, method, tuple(bars), free, to_flat, time.perf_counter(), [])
    return search, np.concatenate(start)


def best_place(search: Search, start: np.ndarray) -> Place:
    """The best of the places that descents from one start, or where that is cheap from several,
    lead to.
    """
    if not len(start):
        return Place(start, (), (), (), *search.profiled(start))
    working = start
    for _ in range(_EM_STEPS):
        search.record(working)
        working = _em_step(search, working)
    working = by_ratios(search, working)
    best, trace = descend(search, working), search.trace
    if search.size * len(start) <= _CHEAP:
        for other in _other_starts(search, start, best.value):
            promising = descent(search.criterion, other, _ROUGHLY)
            if search.criterion(promising)[0] < best.value - _ELSEWHERE:
                search.trace = []
                place = descend(search, promising)
                if place.value < best.value - BETTER:
                    best, trace = place, search.trace
    search.trace = trace
    return best


def _other_starts(search: Search, start: np.ndarray, value: float) -> list[np.ndarray]:
    """Random effects that vary much more than the residuals and, with several bars, much less;
    from none at all the way in which the criterion falls fastest; and random effects so large that
    the criterion is flat there, where it is better than a value.
    """
    free = search.free
    bars = len(search.bars) + len(free.bars)
    if not bars:
        return []

    def times(size: float) -> np.ndarray:
        tail = free.scaled(start[search.n_M :], size)
        return np.concatenate([size * start[: search.n_M], tail])

    sizes = (10.0,) if bars == 1 else (30.0, 3.0, 0.3, 0.03)
    others = [] if _one_ample_bar(search) else [times(size) for size in sizes]
    if free.bars:
        tail = free.strongly_correlated(start[search.n_M :])
        others.append(np.concatenate([start[: search.n_M], tail]))
    away = off_boundary(search, snap(search, times(0.0)))
    if away is not None:
        others.append(away)
    far = [times(size) for size in _VERY_FAR]
    return others + [there for there in far if search.criterion(there)[0] < value]


def _one_ample_bar(search: Search) -> bool:
    """Whether there is one bar, with many levels for each coordinate, and its effects are fixed
    effects too: large random effects have then nothing to explain that others cannot.

    Among 2,400 such data sets, made to be rugged, a start there found something better once, by
    0.02 of -2 log L.
    """
    if len(search.bars) > 1 or search.free.bars:
        return False
    factor = search.equations.factors[0]
    many = len(factor.levels) >= _AMPLE * search.n_M
    free = len(factor.effects) == 1 or search.bars[0].structure is UN
    return many and free and set(factor.effects) <= set(search.equations.coef)


def by_ratios(search: Search, working: np.ndarray) -> np.ndarray:
    """The best place that L-BFGS gets to with loadings as ratios, from several starts; without
    loadings the start itself.
    """
    if "loading" not in search.equations.parameters.kinds:
        return working
    ratios, n_M = LoadingRatios.beside(search.free), search.n_M
    tails = ratios.starts(ratios.ratios(working[n_M:]))
    to_M = search.to_flat[: len(search.to_flat) - len(working) + n_M, :n_M]
    to_flat = block_diag(to_M, np.eye(len(tails[0])))
    own = replace(search, free=ratios, to_flat=to_flat, evaluations=0, at=None)

    def ordinary(there: np.ndarray) -> np.ndarray:
        return np.concatenate([there[:n_M], ratios.ordinary(there[n_M:])])

    starts = [np.concatenate([working[:n_M], tail]) for tail in tails]
    finite = [start for start in starts if np.isfinite(own.criterion(start)[0])]
    if not finite:
        return working
    ends = [descent(own.criterion, start, _ROUGHLY) for start in finite]
    best = min(ends, key=lambda there: own.criterion(there)[0])
    best = descent(own.criterion, best, _CLOSELY, lambda there: search.record(ordinary(there)))
    search.evaluations += own.evaluations
    return ordinary(best)


def _em_step(search: Search, working: np.ndarray) -> np.ndarray:
    """One step of EM, which from far away covers most of the distance.

    With D the gradient of the log-likelihood in M, the mean over levels of E[bb'|y]/σ² is I +
    M'D/levels: what EM makes of G comes from the gradient alone. See docs/mathematics.md.
    """
    equations = search.equations
    value, dM, _ = search.profiled_at(working)
    if not np.isfinite(value):
        return working
    moved, slopes = working.copy(), equations.split_M(dM)
    for bar in search.bars:
        levels, own = len(equations.factors[bar.factor].levels), bar.matrix(working)
        product = (bar.transform @ own).T @ slopes[bar.factor][bar.block, bar.block]
        moment = np.eye(len(own)) - (product + product.T) / (4 * levels)
        try:
            coordinates = bar.structure.working_of(own @ moment @ own.T)
        except np.linalg.LinAlgError:  # rounding at the boundary: leave it to the descent
            continue
        moved[bar.coordinates] = bar.scale * coordinates
    return moved


def descend(search: Search, working: np.ndarray, tolerance: float = _CLOSELY) -> Place:
    """Where L-BFGS gets to, with escapes from the boundary where that is not the best."""
    for _ in range(_RESTARTS):
        search.record(working)
        if np.isfinite(search.criterion(working)[0]):
            working = descent(search.criterion, working, tolerance, search.record)
        working = _grown(search, working)
        place = snap(search, working)
        better = off_boundary(search, place)
        if better is None:
            return place
        working = better
    return place


def _grown(search: Search, working: np.ndarray) -> np.ndarray:
    """Better coordinates that are ten times as large, again and again, for bars whose G is far
    above σ²: there the criterion is so flat that L-BFGS stops early.
    """
    value = search.criterion(working)[0]
    for bar in search.bars:
        for _ in range(_DECADES):
            if not np.abs(working[bar.coordinates]).max() > _FAR * bar.scale:
                break
            moved = working.copy()
            moved[bar.coordinates] *= 10
            further = search.criterion(moved)[0]
            if not further < value - BETTER:
                break
            working, value = moved, further
    return working


def near_boundary(
    matrices: Sequence[np.ndarray],
) -> tuple[tuple[np.ndarray, ...], tuple[int, ...]]:
    """Each Λ with its near-zero directions at zero, and the bars that have any."""
    exact, singular = list(matrices), []
    for i, matrix in enumerate(matrices):
        left, values, right = np.linalg.svd(matrix)
        small = values < _SINGULAR
        if small.any():
            singular.append(i)
            exact[i] = (left * np.where(small, 0.0, values)) @ right
    return tuple(exact), tuple(singular)


def snap(search: Search, working: np.ndarray) -> Place:
    """The place of working coordinates, with near-zero directions of each bar's G at zero if that
    is no worse, and coordinates that are near an edge at it.
    """
    working = _at_edges(search, working)
    held = search.free.at_edges(working[search.n_M :])
    found = search.profiled_at(working)
    matrices = tuple(bar.matrix(working) for bar in search.bars)
    exact, singular = near_boundary(matrices)
    if singular:
        snapped = search.profiled(search.flat(exact, working))
        if snapped[0] <= found[0] + BETTER:
            return Place(working, exact, singular, held, *snapped)
    return Place(working, matrices, (), held, *found)


def _at_edges(search: Search, working: np.ndarray) -> np.ndarray:
    """Working coordinates with those near an edge at it, where that is no worse."""
    for at, edge in search.free.near_edges(working[search.n_M :]):
        x = working[search.n_M :]
        if at in search.free.at_edges(x):  # it means nothing any more
            continue
        value = search.profiled_at(working)[0]
        moved = np.concatenate([working[: search.n_M], search.free.moved_to(x, at, edge)])
        there, slope, _ = search.profiled(search.to_flat @ moved)
        if search.equations.parameters.kinds[search.free.own[at]] == "sigma":
            # where rows are reproduced exactly, the likelihood grows without end on the way to zero
            level = abs(slope[len(slope) - len(x) + at]) < _ALMOST
            better = level and there <= value + _ALMOST
        else:
            better = there <= value + BETTER
        if better:
            working = moved
    return working


def off_boundary(search: Search, place: Place) -> np.ndarray | None:
    """Better coordinates away from the boundary, if the criterion falls in a direction of G that
    is at zero.

    G may grow by any positive semidefinite matrix within the null space N of Λ', so what counts is
    the least eigenvalue of N'SN, with S the gradient in G. In Λ the gradient is 2SΛ: with the
    directions at zero moved to a small ε it gives SN, for all bars at once.
    """
    for tail in search.free.released(place.working[search.n_M :]):
        other = np.concatenate([place.working[: search.n_M], tail])
        if search.criterion(other)[0] < place.value - BETTER:
            return other
    if not place.singular:
        return None
    eps = 1e-3
    probe = list(place.matrices)
    null = {}
    for i in place.singular:
        bar = search.bars[i]
        if bar.structure is UN:
            left, values, right = np.linalg.svd(place.matrices[i])
            zero = values < 1e-9
            null[i] = left[:, zero], right[zero]
        else:
            zero = np.diag(place.matrices[i]) == 0
            null[i] = np.eye(len(zero))[:, zero], np.eye(len(zero))[zero]
        probe[i] = probe[i] + eps * bar.fine * null[i][0] @ null[i][1]
    _, slope, _ = search.profiled(search.flat(probe, place.working))
    slopes = search.equations.split_M(slope)
    found = []
    for i in place.singular:
        bar = search.bars[i]
        left, right = null[i]
        own = bar.transform.T @ slopes[bar.factor][bar.block, bar.block]
        inner = left.T @ own @ right.T / (2 * eps * bar.fine)
        if bar.structure is UN:
            values, vectors = np.linalg.eigh((inner + inner.T) / 2)
            found.append((values[0], i, np.outer(left @ vectors[:, 0], vectors[:, 0] @ right)))
        elif bar.structure is ID:
            found.append((np.trace(inner), i, np.eye(len(own))))
        else:
            k = np.argmin(np.diag(inner))
            found.append((inner[k, k], i, np.outer(left[:, k], right[k])))
    for curvature, i, direction in sorted(found, key=lambda row: row[0]):
        bar = search.bars[i]
        if not curvature * bar.fine**2 < -BETTER:
            break
        for size in (3.0, 0.3, 0.03):
            moved = list(place.matrices)
            moved[i] = moved[i] + size * bar.fine * direction
            working = search.working(moved, place.working)
            if search.criterion(working)[0] < place.value - BETTER:
                return working
    return None
