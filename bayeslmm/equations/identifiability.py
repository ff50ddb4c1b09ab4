"""Parameters of G and R that the data cannot tell apart, refused before any fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.data.frames import Array
from bayeslmm.design.growth import Growth
from bayeslmm.errors import DesignError

if TYPE_CHECKING:
    from bayeslmm.design.design import Design, GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.equations.equations import Equations

__all__ = ["check_identified"]

_SUBJECTS, _ROWS, _PARTNERS = 100, 60, 30
"""How many subjects that differ are looked at, how many rows of each, and how many others that have
levels of theirs.
"""
_STEP, _ZERO = 1e-5, 1e-7
"""Of differences; and a singular value, relative to the largest, that is zero but for them."""


def check_identified(design: Design, equations: Equations) -> None:
    """Refuse a structure of R that cannot be told from random effects within its subjects, and
    one of random effects that cannot be told from the residuals.

    Raises
    ------
    DesignError
        Naming the parameters that cannot be told apart.
    """
    residuals = design.residuals
    if residuals is not None and residuals.subjects is not None:
        codes = residuals.subjects.codes
        inner = [f.name for f in design.factors if _within(f, codes)]
        names = _alike(design, equations, codes, inner) if inner else []
        if names:
            raise DesignError(
                f"these data cannot tell {_shown(names)} apart: the residuals, "
                f"{residuals.structure.words}, can already have the covariances that random "
                f"effects of {' and '.join(map(repr, inner))} would add. Leave out the random "
                f"effects, or give R a structure with fewer parameters, such as "
                f"bl.AR1(time=..., group={residuals.structure.group!r})"
            )
    for factor in design.factors:
        shaped = [bar for bar in factor.bars if bar.shape is not None]
        of_subjects = residuals is not None and residuals.subjects is not None
        if not shaped or of_subjects or factor.related is not None:
            continue
        inner = [f.name for f in design.factors if _within(f, factor.codes)]
        names = _alike(design, equations, factor.codes, inner)
        if names:
            bar = shaped[0]
            raise DesignError(
                f"these data cannot tell {_shown(names)} apart: random effects {bar.text} with the "
                f"structure {bar.covariance.name} can already have the covariances that the "
                f"residuals and other random effects add. Leave other bars out, use a structure "
                f"with fewer parameters, or give it to the residuals instead, by `R` with "
                f"group={factor.name!r}"
            )


def _shown(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _alike(design: Design, equations: Equations, codes: Array, inner: list[str]) -> list[str]:
    """The parameters of R and of factors within subjects that cannot be told apart.

    The rows of a subject are independent of those of others but for factors that reach across
    subjects, so what can be known of the other parameters is in the covariance matrices of the
    subjects. If their derivatives are linearly dependent at a point that is nothing special, the
    parameters are not identified (Rothenberg 1971, Econometrica 39, 577-591).
    """
    parameters = equations.parameters
    own = np.array(
        [i for b in parameters.blocks if b.factor in (None, *inner) for i in range(b.start, b.stop)]
    )
    blocks = _different_subjects(design, codes, inner)
    growth = Growth.of(parameters, equations.factors, equations.residuals)
    theta = _anywhere(parameters, growth)
    at_one = np.array([b.at_one for b in parameters.blocks for _ in b.labels])
    columns = []
    for i in own:
        step = np.zeros(len(theta))
        step[i] = _STEP * (theta[i] if growth.weights[i].any() else growth.units[i])
        if at_one[i]:
            step[i] = _STEP * min(theta[i], 1.0 - theta[i])
        elif parameters.kinds[i] == "range":
            step[i] = _STEP * theta[i]
        up, down = (
            _covariances(design, equations, theta + s, blocks, inner) for s in (step, -step)
        )
        columns.append((up - down) / (2 * _STEP))
    jacobian = np.column_stack(columns)
    sizes = np.sqrt((jacobian**2).sum(axis=0))
    _, values, right = np.linalg.svd(
        jacobian / np.where(sizes > 0, sizes, 1.0), full_matrices=False
    )
    if len(jacobian) >= len(own) and values[-1] > _ZERO * values[0]:
        return []
    weight = np.abs(right[-1])
    return [parameters.names[own[j]] for j in np.flatnonzero(weight > 0.05 * weight.max())]


def _within(factor: GroupingFactor, subjects: Array) -> bool:
    """Whether every level has rows of one subject only, and is related to no other."""
    if factor.related is not None:
        return False
    codes = factor.codes
    home = np.zeros(codes.max() + 1, dtype=np.int64)
    home[codes] = subjects
    return bool((home[codes] == subjects).all())


def _different_subjects(design: Design, codes: Array, inner: list[str]) -> list[Array]:
    """Rows of subjects that differ in occasions, places or columns of Z."""
    within = [f.codes for f in design.factors if f.name in inner]
    rows = None if design.residuals is None else design.residuals.rows
    order = np.argsort(codes, kind="stable")
    found: dict[bytes, Array] = {}
    for own in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        some = _rows_of_subject(own, within)
        parts = []
        if rows is not None:
            parts = [rows.point[some], rows.place[some], rows.sigma[some], rows.covariates[some]]
        parts += [part for f in design.factors for part in (f.Z[some], np.diff(f.codes[some]))]
        found.setdefault(b"".join(np.ascontiguousarray(part).tobytes() for part in parts), some)
        if len(found) == _SUBJECTS:
            break
    return list(found.values())


def _rows_of_subject(own: Array, within: list[Array]) -> Array:
    """The first rows of a subject, and of the others those that share levels with them, without
    which the covariances that factors add are not seen.
    """
    first, others = own[:_ROWS], own[_ROWS:]
    sharing = [others[np.isin(codes[others], codes[first])] for codes in within]
    partners = [rows[: _PARTNERS // len(within)] for rows in sharing]
    return np.concatenate([first, np.unique(np.concatenate([others[:0], *partners]))])


def _anywhere(parameters: Parameters, growth: Growth) -> Array:
    """A point that is nothing special, with standard deviations that are so at the means of the
    covariates that they grow with.
    """
    rng = np.random.default_rng(0)
    theta = np.empty(len(parameters))
    for block in parameters.blocks:
        own = slice(block.start, block.stop)
        wobble = rng.uniform(0.7, 1.3, block.stop - block.start)
        if block.kind in ("sd", "sigma"):
            theta[own] = wobble
        elif block.kind == "corr":
            theta[own] = 0.1 * wobble
        else:
            typical = np.broadcast_to(block.typical, wobble.shape)
            value = np.where(typical == 0, 0.2, typical) * (0.9 + 0.1 * wobble)
            if block.at_one:
                value = typical ** (0.9 + 0.1 * wobble)
            theta[own] = value * growth.units[own]
    return theta * np.exp(-growth.weights @ theta)


def _covariances(
    design: Design, equations: Equations, theta: Array, blocks: list[Array], inner: list[str]
) -> Array:
    """The elements of V of some rows that random effects within subjects and R make."""
    sigma = float(theta[-1])
    G = equations.covariances(equations.relative_factors(theta), sigma)
    parts = []
    for rows in blocks:
        V = sigma**2 * equations.residual_covariance(theta, rows)
        for factor in design.factors:
            if factor.name in inner:
                Z = factor.Z[rows]
                V = V + factor.between(rows) * (Z @ G[factor.name] @ Z.T)
        parts.append(V[np.tril_indices(len(rows))])
    return np.concatenate(parts)
