"""Second derivatives of -2 log L at an optimum, in directions that suit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.cholesky import UN, lower_triangle
from bayeslmm.support import scales

if TYPE_CHECKING:
    from bayeslmm.estimation.likelihood.search import Bar, Place, Search

__all__ = ["Curvature", "curvature_at", "natural_hessian", "theta_slices", "varying"]

_STEP = 1e-4
"""Of differences, relative to what they are differences in."""


@dataclass(frozen=True)
class Curvature:
    """Derivatives of -2 log L in directions of Λ, one bar each, then in `FreeCoordinates`, and
    in log σ, which comes last in ``joint``.
    """

    directions: tuple[tuple[int, np.ndarray], ...]  # of Λ
    free: np.ndarray  # which working coordinates of `FreeCoordinates`, those that are not held
    slope: np.ndarray  # (m,), with σ at its best
    profiled: np.ndarray  # (m, m), with σ at its best
    joint: np.ndarray  # (m + 1, m + 1)

    def along(self, place: Place, steps: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Λ of each bar after steps in the directions, and working coordinates with the others
        moved.
        """
        matrices, working = list(place.matrices), place.working.copy()
        for (i, direction), step in zip(self.directions, steps, strict=False):
            matrices[i] = matrices[i] + step * direction
        working[self.free] += steps[len(self.directions) :]
        return matrices, working


def curvature_at(search: Search, place: Place) -> Curvature:
    """Central differences of the gradient, with σ at its best; and with -2 log L = 2 df log σ +
    r²/σ² + log|A|, what σ adds follows from how its best value σ̂ moves.
    """
    directions = _directions(search, place)
    n_free = len(place.working) - search.n_M
    moving = np.array([j for j in range(n_free) if j not in place.held], dtype=np.int64)
    steps = np.array([step for *_, step in directions] + len(moving) * [_STEP])
    flat = search.flat(place.matrices, place.working)
    m = len(steps)
    moves = np.zeros((len(flat), m))
    moves[len(flat) - n_free + moving, m - len(moving) + np.arange(len(moving))] = 1.0
    for j, (i, direction, _) in enumerate(directions):
        bar = search.bars[i]
        block = search.equations.split_M(moves[:, j])[bar.factor][bar.block, bar.block]
        block[:] = bar.transform @ direction
    changes, ratios = np.empty((m, len(flat))), np.empty(m)
    for j, move in enumerate((moves * steps).T):
        _, up, more = search.profiled(flat + move)
        _, down, less = search.profiled(flat - move)
        changes[j], ratios[j] = up - down, more / less
    H = changes @ moves / (2 * steps[:, None])
    H = (H + H.T) / 2
    log_sigma = np.log(ratios) / (4 * steps)
    equations = search.equations
    df = equations.n - (equations.p if search.method == "reml" else 0)
    joint = np.empty((m + 1, m + 1))
    joint[:m, :m] = H + 4 * df * np.outer(log_sigma, log_sigma)
    joint[m, :m] = joint[:m, m] = -4 * df * log_sigma
    joint[m, m] = 4 * df
    free = search.n_M + moving
    return Curvature(tuple((i, d) for i, d, _ in directions), free, place.slope @ moves, H, joint)


def _directions(search: Search, place: Place) -> list[tuple[int, np.ndarray, float]]:
    """In which Λ can move with what is at the boundary held, with steps for differences.

    A bar whose G has full rank moves in its coordinates. Of a singular G the standard deviations
    that are not zero can still change.
    """
    out = []
    for i, bar in enumerate(search.bars):
        matrix = place.matrices[i]
        q = len(matrix)
        if i in place.singular and bar.structure is UN:
            M = bar.transform @ matrix
            for k in np.flatnonzero(varying(bar, matrix)):
                row = np.zeros((q, q))
                row[k] = M[k]
                out.append((i, np.linalg.solve(bar.transform, row), _STEP))
            continue
        units = bar.structure.working_units(q)
        sizes = np.sqrt((matrix * matrix).sum(axis=1))[units.any(axis=2).argmax(axis=1)]
        steps = _STEP * bar.scale * np.maximum(sizes, bar.fine)
        for direction, step in zip(units / bar.scale, steps, strict=True):
            if i not in place.singular or (direction * matrix).any():
                out.append((i, direction, step))
    return out


def varying(bar: Bar, matrix: np.ndarray) -> np.ndarray:
    """Which effects of a bar have a standard deviation that is not zero but for rounding."""
    M = bar.transform @ matrix
    sd = np.sqrt(np.einsum("ij,ij->i", M, M) * np.diag(bar.cross))
    return sd > 1e-9 * max(sd.max(), bar.fine)


def natural_hessian(
    search: Search, place: Place, boundary: np.ndarray, curvature: Curvature
) -> np.ndarray:
    """The Hessian of log L in log(sd), Fisher's z(corr), the other parameters on the scale of
    `scales` and log(sigma); NaN at the boundary.

    The map to them is differentiated in the rows a of M: d log|a| = a'da/|a|², and with the unit
    vectors e and p = e_j - r e_i orthogonal to e_i, 1 - r² = |p|² and dr = p'de_i + ..., in which
    nothing cancels when r is close to ±1.
    """
    k, n_dirs = len(boundary), len(curvature.directions)
    jacobian = np.zeros((k, len(curvature.joint)))
    jacobian[-1, -1] = 1.0
    own = search.free.own
    if len(own):
        parameters, x = search.equations.parameters, place.working[search.n_M :]
        slopes = scales.slopes(search.free.relative(x), parameters.bounds)
        for row in own[~boundary[own]]:
            unit = np.zeros(k)
            unit[row] = 1.0 / slopes[row]
            jacobian[row, n_dirs:-1] = search.free.gradient(x, unit)[curvature.free - search.n_M]
            jacobian[row, -1] = parameters.kinds[row] in ("sigma", "sd")
    for i, sds, corrs in theta_slices(search):
        bar = search.bars[i]
        rows = bar.transform @ place.matrices[i]
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        unit = np.divide(rows, length[:, None], out=np.zeros_like(rows), where=length[:, None] > 0)
        pairs = np.column_stack(lower_triangle(len(rows), -1))
        jacobian[sds, -1] = 1.0
        for column, (of, direction) in enumerate(curvature.directions):
            if of != i:
                continue
            moves = bar.transform @ direction
            moves = np.divide(moves, length[:, None], out=moves * 0, where=length[:, None] > 0)
            jacobian[sds, column] = np.einsum("ij,ij->i", unit, moves)[: sds.stop - sds.start]
            for at, (a, b) in zip(range(corrs.start, corrs.stop), pairs, strict=False):
                r = unit[a] @ unit[b]
                over_a, over_b = unit[b] - r * unit[a], unit[a] - r * unit[b]
                with np.errstate(all="ignore"):
                    from_a = over_a @ moves[a] / (over_a @ over_a)
                    from_b = over_b @ moves[b] / (over_b @ over_b)
                jacobian[at, column] = from_a + from_b
    full = np.full((k, k), np.nan)
    free = ~boundary
    part = jacobian[free]
    if part.shape[0] == part.shape[1] and np.isfinite(part).all():
        try:
            inverse = np.linalg.inv(part)
        except np.linalg.LinAlgError:
            return full
        full[np.ix_(free, free)] = -0.5 * inverse.T @ curvature.joint @ inverse
    return full


def theta_slices(search: Search) -> list[tuple[int, slice, slice]]:
    """Where the standard deviations and correlations of each bar stand in theta."""
    out = []
    for i, bar in enumerate(search.bars):
        factor = search.equations.factors[bar.factor]
        position = [b.start for b in factor.bars].index(bar.start)
        found = [search.equations.parameters.find(factor.name, position, k) for k in ("sd", "corr")]
        sds, corrs = (b.slice if b else slice(0, 0) for b in found)
        out.append((i, sds, corrs))
    return out
