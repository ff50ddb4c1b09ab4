"""Whether the data identify the parameters of G and R: one judgement, by their information.

What the data say of the covariance parameters that are not held is in the expected information
(Rothenberg 1971, Econometrica 39, 577-591), I_ab = ½ tr(V⁻¹ V_a V⁻¹ V_b), at a point that is
nothing special: all parts of a model are about equally large there. Standard deviations count on
their logarithms, so that no unit matters. A model is not identified where I is singular, or so
close to it that a standard error would be above `_LARGEST`.

Only models are judged in which something can go wrong: those with a structure, and those without
more rows of a level than it has effects. Subjects, or levels, that are alike are looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from bayeslmm.covariance.correlations.base import Scale
from bayeslmm.covariance.relationship import ALIKE
from bayeslmm.design.growth import Growth
from bayeslmm.design.identifiability import related, same_levels, same_relationship, stratum_of
from bayeslmm.design.rank import dependent_columns
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.equations.equations import Equations

__all__ = ["unidentified"]

_LOOKED, _SUBJECTS, _ROWS, _PARTNERS = 20_000, 100, 60, 30
"""How many subjects are compared, how many that differ are looked at, how many rows of each, and
how many others that have levels of theirs.
"""
_STEP, _ZERO = 1e-5, 1e-7
"""Of differences; and a singular value, relative to the largest, that is zero but for them."""
_LARGEST = 100.0
"""A standard error, of a logarithm or a correlation, from which data say nothing of a parameter."""


def unidentified(design: Design, equations: Equations, held: Array, values: Array) -> str:
    """What the data cannot tell of the covariance parameters of a model, and what to do.

    Parameters
    ----------
    design : Design
    equations : Equations
    held : (k,) array of bool
        Parameters that are known.
    values : (k,) array
        Theta with the values of these.

    Returns
    -------
    str
        Empty where they are identified.
    """
    judge = _Judge(design, equations, held, values)
    return next(filter(None, judge.findings()), "")


@dataclass(frozen=True, eq=False)
class _Judge:
    """A model, and which of its parameters are held."""

    design: Design
    equations: Equations
    held: Array
    values: Array

    def findings(self) -> Iterator[str]:
        """What is found, part by part; empty where nothing is."""
        yield from map(self._of_levels, self.design.factors)
        yield from (self._of_pair(a, b) for a, b in combinations(self.design.factors, 2))
        yield self._of_growth()
        yield self._of_residuals()
        for factor in self.design.factors:
            yield self._of_shape(factor)
            yield self._of_counts(factor)
            if not self._known(self._own(factor)) and not self.held[-1]:
                yield _told_from_residuals(factor, self.design.X)

    def _own(self, factor: GroupingFactor, kinds: tuple[str, ...] = ("sd",)) -> list[Block]:
        blocks = self.equations.parameters.blocks
        return [b for b in blocks if b.factor == factor.name and b.kind in kinds]

    def _known(self, blocks: list[Block]) -> bool:
        """Whether all parameters of some blocks are held."""
        return all(self.held[b.slice].all() for b in blocks)

    @property
    def _of_subjects(self) -> bool:
        residuals = self.design.residuals
        return residuals is not None and residuals.subjects is not None

    def _of_levels(self, factor: GroupingFactor) -> str:
        if len(factor.levels) > 1 or self._known(self._own(factor)):
            return ""
        return (
            f"the grouping factor {factor.name!r} has one level only, {factor.levels[0]!r}, so "
            "its variance cannot be estimated; leave out its terms, which the fixed effects "
            "cover"
        )

    def _of_pair(self, a: GroupingFactor, b: GroupingFactor) -> str:
        if (related(a) or related(b)) and not same_relationship(a, b):
            return ""
        shared = [effect for effect in a.effects if effect in b.effects]
        if not shared or not same_levels(a, b):
            return ""
        if self._known(self._own(a)) or self._known(self._own(b)):
            return ""
        return (
            f"the grouping factors {a.name!r} and {b.name!r} group the rows alike, so the "
            f"variances of {shared[0]!r} over the two cannot be told apart; leave one out"
        )

    def _of_growth(self) -> str:
        """Of the parts of a variance model of residuals, which say the same of these rows."""
        rows, parameters = self.equations.residuals, self.equations.parameters
        if rows is None or not rows.covariates.shape[1]:
            return ""
        m = rows.n_sigmas
        sigma = (rows.sigma[:, None] == np.arange(m)).astype(np.float64)
        means = sigma.T @ rows.covariates / sigma.sum(axis=0)[:, None]
        centred = rows.covariates - means[rows.sigma]
        size = np.abs(rows.covariates).max(axis=0)
        centred[:, np.abs(centred).max(axis=0) <= 1e-10 * size] = 0.0
        free = ~self.held[-m - centred.shape[1] :]
        all_free = free[-m:].all()  # else a mean is not that of what is free
        columns = np.hstack([centred if all_free else rows.covariates, sigma])[:, free]
        names = [n for n, own in zip(parameters.names[-len(free) :], free, strict=True) if own]
        back = np.arange(columns.shape[1])[::-1]  # so that the sigmas come first
        for dependence in dependent_columns(columns[:, back]):
            others = ", ".join(names[back[j]] for j in dependence.on[:5]) or "the others"
            return (
                f"these data cannot tell {names[back[dependence.column]]} of the residuals from "
                f"{others}: parts of `variance` say the same of their rows. Leave one out"
            )
        return ""

    def _of_residuals(self) -> str:
        """Of a structure of R and random effects within its subjects."""
        residuals = self.design.residuals
        if residuals is None or residuals.subjects is None:
            return ""
        codes = residuals.subjects.codes
        inner = self._within(codes)
        names = self._told_badly(codes, inner) if inner else []
        if not names:
            return ""
        return (
            f"these data cannot tell {_shown(names)} apart: the residuals, "
            f"{residuals.structure.words}, can already have the covariances that random "
            f"effects of {' and '.join(map(repr, inner))} would add. Leave out the random "
            f"effects, or give R a structure with fewer parameters, such as "
            f"bl.AR1(time=..., group={residuals.structure.group!r})"
        )

    def _of_shape(self, factor: GroupingFactor) -> str:
        """Of a structure of random effects."""
        shaped = [bar for bar in factor.bars if bar.shape is not None]
        if not shaped or self._of_subjects or factor.related is not None:
            return ""
        names = self._told_badly(factor.codes, self._within(factor.codes))
        if not names:
            return ""
        bar = shaped[0]
        return (
            f"these data cannot tell {_shown(names)} apart: random effects {bar.text} with the "
            f"structure {bar.covariance.name} can already have the covariances that the "
            f"residuals and other random effects add. Leave other bars out, use a structure "
            f"with fewer parameters, or give it to the residuals instead, by `R` with "
            f"group={factor.name!r}"
        )

    def _of_counts(self, factor: GroupingFactor) -> str:
        """Of effects where no level has more rows than effects."""
        if self._of_subjects or related(factor):
            return ""
        for bar in factor.bars:
            part, q = stratum_of(factor, bar), bar.stop - bar.start
            most = int(np.bincount(part.codes).max())
            if bar.shape is not None or most > q:
                continue
            levels, n = len(part.levels), len(part.codes)
            # deviations of no more levels than effects span less than all effects, but for what X
            # takes, and in what is left over sigma can go to zero and the likelihood to infinity
            few = bar.structure == "un" and q > 1 and levels <= q and not self.held[-1]
            if not few and not self._told_badly(factor.codes, self._within(factor.codes)):
                return ""
            held = "or hold one of the two, such as priors={'sigma': bl.Fixed(...)}"
            if q == 1:
                return (
                    f"the grouping factor {factor.name!r} has as many levels as there are rows "
                    f"({n}), so the variance of {bar.text} cannot be told from the residual "
                    f"variance; use data with more rows per level, weights that differ, {held}"
                )
            return (
                f"{bar.text} has {q} effects on each of {levels} levels, and no level has more "
                f"than {most} rows, whose covariances cannot be told from the residual variance "
                f"({q * levels} random effects, {n} rows); leave out effects, use data with more "
                f"rows per level, {held}"
            )
        return ""

    def _within(self, subjects: Array) -> list[str]:
        return [f.name for f in self.design.factors if _within(f, subjects)]

    def _told_badly(self, codes: Array, inner: list[str]) -> list[str]:
        """The parameters of R and of factors within subjects that cannot be told apart.

        The rows of a subject are independent of those of others but for factors that reach across
        subjects, so what can be known of the other parameters is in the covariance matrices of the
        subjects.
        """
        parameters, held = self.equations.parameters, self.held
        own = [
            i
            for b in parameters.blocks
            if b.factor in (None, *inner)
            for i in range(b.start, b.stop)
            if not held[i]
        ]
        blocks, counts = _different_subjects(self.design, codes, inner)
        growth = Growth.of(parameters, self.equations.factors, self.equations.residuals)
        point = _Point.of(self, growth)
        root = [np.linalg.cholesky(V) for V in self._covariances(point, point.theta, blocks, inner)]
        columns = []
        for i in own:
            step = np.zeros(len(held))
            step[i] = _STEP * point.units[i]
            up, down = (
                self._covariances(point, point.moved(s, growth, held), blocks, inner)
                for s in (step, -step)
            )
            parts = []
            for L, above, below, count in zip(root, up, down, counts, strict=True):
                half = solve_triangular(L, (above - below) / (2 * _STEP), lower=True)
                whitened = solve_triangular(L, half.T, lower=True)
                parts.append(np.sqrt(count / 2) * whitened.ravel())
            columns.append(np.concatenate(parts))
        if not columns:
            return []
        jacobian = np.column_stack(columns)
        sizes = np.sqrt((jacobian**2).sum(axis=0))
        weight = _null_direction(jacobian / np.where(sizes > 0, sizes, 1.0), _ZERO)
        if weight is None:
            weight = _null_direction(jacobian, 0.0)
        if weight is None:
            return []
        return [parameters.names[own[j]] for j in np.flatnonzero(weight > 0.05 * weight.max())]

    def _covariances(
        self, point: _Point, theta: Array, blocks: list[Array], inner: list[str]
    ) -> list[Array]:
        """V of some rows that random effects within subjects and R make."""
        sigma, weights = float(theta[-1]), self.design.weights
        G = self.equations.covariances(self.equations.relative_factors(theta), sigma)
        found = []
        for rows in blocks:
            V = sigma**2 * self.equations.residual_covariance(theta, rows)
            if weights is not None:
                V = V / np.sqrt(np.outer(weights[rows], weights[rows]))
            for factor in self.design.factors:
                if factor.name in inner:
                    Z = point.Z[factor.name][rows]
                    V = V + factor.between(rows) * (Z @ G[factor.name] @ Z.T)
            found.append(V)
        return found


@dataclass(frozen=True, eq=False)
class _Point:
    """A point that is nothing special.

    Attributes
    ----------
    theta : (k,) array
        Standard deviations are so at the means of the covariates that they grow with.
    units : (k,) array
        What a change of one in a logarithm, or of another parameter that has no unit, is there.
    Z : dict of (n, q) arrays
        By factor, with effects that have any covariance made orthogonal, so that it does not matter
        where a predictor has its zero.
    """

    theta: Array
    units: Array
    Z: dict[str, Array]

    def moved(self, step: Array, growth: Growth, held: Array) -> Array:
        """Theta after a step in which standard deviations stay as they are at the means of the
        covariates that they grow with: zero of a covariate may be far from them.
        """
        moved = (self.theta + step) * np.exp(-growth.weights @ step)
        return np.where(held, self.theta, moved)

    @classmethod
    def of(cls, judge: _Judge, growth: Growth) -> _Point:
        parameters, held, design = judge.equations.parameters, judge.held, judge.design
        n = len(design.y)
        sizes, Z = np.ones(len(parameters)), {}
        if design.weights is not None:
            sizes[-1] = np.sqrt(np.mean(1 / design.weights))
        for factor in design.factors:
            Z[factor.name] = factor.Z.copy()
            for number, bar in enumerate(factor.bars):
                blocks, own = parameters.of_bar(factor.name, number), bar.slice
                sds, columns = blocks[0], Z[factor.name][:, own]
                if bar.structure == "un" and not any(held[b.slice].any() for b in blocks):
                    columns[:] = np.linalg.qr(columns)[0] * np.sqrt(n)
                rms = np.sqrt((columns**2).mean(axis=0))
                if sds.stop - sds.start == 1:
                    rms = np.sqrt((rms**2).mean(keepdims=True))
                sizes[sds.slice] = np.where(rms > 0, rms, 1.0)
        sd = np.isin(parameters.kinds, ("sd", "sigma"))
        known = sd & held & (judge.values > 0)
        unit = np.exp(np.log(judge.values[known] * sizes[known]).mean()) if known.any() else 1.0
        rng = np.random.default_rng(0)
        theta, units = np.empty(len(parameters)), growth.units.copy()
        for block in parameters.blocks:
            own = block.slice
            wobble = rng.uniform(0.7, 1.3, block.stop - block.start)
            if block.kind in ("sd", "sigma"):
                theta[own] = unit * wobble / sizes[own]
            elif block.kind == "corr":
                theta[own] = 0.1 * wobble
            else:
                typical = np.broadcast_to(block.typical, wobble.shape)
                value = np.where(typical == 0, 0.2, typical) * (0.9 + 0.1 * wobble)
                if block.at_one:
                    value = typical ** (0.9 + 0.1 * wobble)
                    units[own] = np.minimum(value, 1.0 - value)
                elif block.scale is Scale.DISTANCE:
                    units[own] = value
                theta[own] = value * growth.units[own]
        theta = np.where(held, judge.values, theta * np.exp(-growth.weights @ theta))
        return cls(theta, np.where(sd, theta, units), Z)


def _null_direction(jacobian: Array, zero: float) -> Array | None:
    """Of what the whitened covariances do not depend on, the sizes of its elements; None where the
    smallest singular value is above a share of the largest, and gives no absurd standard error.
    """
    R = np.linalg.qr(jacobian, mode="r")
    _, singular, right = np.linalg.svd(R)
    least = zero * singular[0] if zero else 1.0 / _LARGEST
    if len(R) == R.shape[1] and singular[-1] > least:
        return None
    return np.asarray(np.abs(right[-1]))


def _shown(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _within(factor: GroupingFactor, subjects: Array) -> bool:
    """Whether every level has rows of one subject only, and is related to no other."""
    if factor.related is not None:
        return False
    codes = factor.codes
    home = np.zeros(codes.max() + 1, dtype=np.int64)
    home[codes] = subjects
    return bool((home[codes] == subjects).all())


def _different_subjects(
    design: Design, codes: Array, inner: list[str]
) -> tuple[list[Array], list[float]]:
    """Rows of subjects that differ in occasions, places, weights or columns of Z, and for how many
    each stands.
    """
    within = [f.codes for f in design.factors if f.name in inner]
    rows = None if design.residuals is None else design.residuals.rows
    order = np.argsort(codes, kind="stable")
    subjects = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    chosen = np.random.default_rng(0).permutation(len(subjects))[:_LOOKED]
    found: dict[bytes, list[Array]] = {}
    for own in (subjects[i] for i in np.sort(chosen)):
        some = _rows_of_subject(own, within)
        parts = [] if design.weights is None else [design.weights[some]]
        if rows is not None:
            parts += [rows.point[some], rows.place[some], rows.sigma[some], rows.covariates[some]]
        parts += [part for f in design.factors for part in (f.Z[some], np.diff(f.codes[some]))]
        key = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        found.setdefault(key, []).append(some)
    kinds = list(found.values())
    kept = np.random.default_rng(1).permutation(len(kinds))[:_SUBJECTS]
    share = len(subjects) / len(chosen) * len(kinds) / len(kept)
    return [kinds[i][0] for i in kept], [share * len(kinds[i]) for i in kept]


def _rows_of_subject(own: Array, within: list[Array]) -> Array:
    """The first rows of a subject, and of the others those that share levels with them, without
    which the covariances that factors add are not seen.
    """
    first, others = own[:_ROWS], own[_ROWS:]
    sharing = [others[np.isin(codes[others], codes[first])] for codes in within]
    partners = [rows[: _PARTNERS // len(within)] for rows in sharing]
    return np.concatenate([first, np.unique(np.concatenate([others[:0], *partners]))])


def _told_from_residuals(factor: GroupingFactor, X: Array) -> str:
    """Of related levels with one row each, that their covariance is that of the residuals, but for
    what the fixed effects take away; empty where it is not.
    """
    related = factor.related
    if related is None or len(factor.effects) > 1 or len(factor.levels) < len(factor.codes):
        return ""
    z = factor.Z[:, 0]
    S = related.matrix[np.ix_(factor.codes, factor.codes)] * np.outer(z, z)
    basis = np.linalg.qr(X)[0]
    S = S - basis @ (basis.T @ S)
    S = S - (S @ basis) @ basis.T
    P = np.eye(len(S)) - basis @ basis.T
    share = np.sum(S * P) / np.sum(P * P)
    if np.abs(S - share * P).max() <= ALIKE * np.abs(S).max():
        return (
            f"every level of {factor.name!r} has one row, and beside the fixed effects its "
            "relationship says no more than that all differ alike, as residuals do, so the "
            "variance between levels cannot be told from that of the residuals; use data with more "
            "rows per level, or leave the factor out"
        )
    return ""
