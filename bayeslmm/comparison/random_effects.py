"""How many dimensions of each G the data support, and simpler random effects, step by step."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.comparison.nesting import Reference, reference
from bayeslmm.covariance.correlations.registry import Diag
from bayeslmm.equations.equations import Equations
from bayeslmm.estimation.likelihood.quasi_newton import optimise
from bayeslmm.specification import require_nothing_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.estimation.optimum import Optimum
    from bayeslmm.solutions.point import LikelihoodSolution, PointSolution

__all__ = ["principal_components", "random_structures"]

_NOTHING = 1e-3
"""A standard deviation relative to σ, of effects of columns of unit size, that is none."""


def principal_components(solution: PointSolution) -> pd.DataFrame:
    """Principal components of the random effects; see `PointFit.repca`."""
    parts = []
    for factor, relative in zip(solution.model.design.factors, solution.M, strict=True):
        size = np.sqrt(np.mean(factor.Z**2, axis=0))
        scaled = size[:, None] * relative
        vectors, sd, _ = np.linalg.svd(scaled)
        variance = sd**2
        total = variance.sum()
        share = variance / total if total > 0 else np.full(len(sd), np.nan)
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(sd))])
        loadings = pd.DataFrame(
            (vectors * signs).T, columns=[f"loading[{effect}]" for effect in factor.effects]
        )
        table = pd.DataFrame(
            {
                "group": pd.Series([factor.name] * len(sd), dtype=object),
                "component": np.arange(1, len(sd) + 1),
                "sd": solution.optimum.sigma * sd,
                "relative_sd": sd,
                "proportion": share,
                "cumulative": np.cumsum(share),
                "supported": sd > _NOTHING,
            }
        )
        parts.append(pd.concat([table, loadings], axis=1))
    columns = ["group", "component", "sd", "relative_sd", "proportion", "cumulative", "supported"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def random_structures(solution: LikelihoodSolution) -> pd.DataFrame:
    """Walk from the random effects of a fit down; see `LikelihoodFit.random_structures`."""
    require_nothing_held(
        solution.model, "the walk to simpler random effects", "compare fits by compare"
    )
    design, optimum = solution.model.design, solution.optimum
    rows = [_row("as fitted", design, optimum) | _untested("")]
    while True:
        found = []
        for change, smaller in _candidates(design):
            other = optimise(Equations.of(smaller), solution.method)
            if other.status.ok:
                found.append((other.criterion, change, smaller, other))
        if not found:
            break
        _, change, smaller, other = min(found, key=lambda item: item[0])
        rows.append(_row(change, smaller, other) | _test(smaller, design, other, optimum))
        design, optimum = smaller, other
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="step"))


def _candidates(design: Design) -> Iterator[tuple[str, Design]]:
    """Designs that are one step simpler: without the correlations of a bar, as long as there are
    any, then without an effect.
    """
    correlated = [
        (f, b)
        for f, factor in enumerate(design.factors)
        for b, bar in enumerate(factor.bars)
        if bar.structure == "un" and bar.stop - bar.start > 1
    ]
    for f, b in correlated:
        factor = design.factors[f]
        bars = list(factor.bars)
        bars[b] = replace(bars[b], structure="diag", covariance=Diag())
        yield (
            f"no correlations in {_text(factor, b)}",
            _with(design, f, replace(factor, bars=tuple(bars))),
        )
    if correlated:
        return
    for f, factor in enumerate(design.factors):
        alone = len(factor.effects) == 1
        for b, bar in enumerate(factor.bars):
            whole = bar.structure not in ("un", "diag")
            effects = [bar.slice] if whole else _each(bar.start, bar.stop)
            for own in effects:
                names = factor.effects[own]
                if own.stop - own.start == len(factor.effects):
                    if len(design.factors) > 1:
                        yield f"no effects of {factor.name}", _without_factor(design, f)
                elif "Intercept" not in names or alone:
                    yield (
                        f"no {', '.join(names)} by {factor.name}",
                        _with(design, f, _without(factor, b, own)),
                    )


def _each(start: int, stop: int) -> list[slice]:
    return [slice(k, k + 1) for k in range(start, stop)]


def _with(design: Design, f: int, factor: GroupingFactor) -> Design:
    factors = list(design.factors)
    factors[f] = factor
    return replace(design, factors=tuple(factors))


def _without_factor(design: Design, f: int) -> Design:
    return replace(design, factors=(*design.factors[:f], *design.factors[f + 1 :]))


def _without(factor: GroupingFactor, b: int, own: slice) -> GroupingFactor:
    """A factor without some effects of a bar."""
    size = own.stop - own.start
    bars = []
    for i, bar in enumerate(factor.bars):
        start = bar.start - size * (i > b)
        stop = bar.stop - size * (i >= b)
        if stop > start:
            bars.append(replace(bar, start=start, stop=stop))
    kept = [k for k in range(len(factor.effects)) if not own.start <= k < own.stop]
    return replace(
        factor,
        Z=np.ascontiguousarray(factor.Z[:, kept]),
        effects=tuple(factor.effects[k] for k in kept),
        bars=tuple(bars),
        own=None if factor.own is None else factor.own[:, kept],
    )


def _text(factor: GroupingFactor, b: int) -> str:
    """A bar by its effects: (Intercept + Days | Subject)."""
    bar = factor.bars[b]
    effects = " + ".join(factor.effects[bar.slice])
    sign = "||" if bar.structure == "diag" and bar.stop - bar.start > 1 else "|"
    name = "" if bar.structure in ("un", "diag") else type(bar.covariance).__name__.lower()
    return f"{name}({effects} {sign} {factor.name})"


def _row(change: str, design: Design, optimum: Optimum) -> dict[str, object]:
    texts = [_text(f, b) for f in design.factors for b in range(len(f.bars))]
    k = len(design.coef) + len(optimum.theta)
    return {
        "change": change,
        "random": " + ".join(texts),
        "parameters": k,
        "loglik": -0.5 * optimum.criterion,
        "aic": optimum.criterion + 2 * k,
        "bic": optimum.criterion + log(len(design.y)) * k,
        "singular": optimum.singular,
    }


def _untested(text: str) -> dict[str, object]:
    return {"chi2": np.nan, "df": np.nan, "p": np.nan, "reference": text}


def _test(small: Design, large: Design, less: Optimum, more: Optimum) -> dict[str, object]:
    df = len(more.theta) - len(less.theta)
    found = reference(small, large, df)
    if not isinstance(found, Reference):
        return _untested(found)
    statistic = max(less.criterion - more.criterion, 0.0)
    return {"chi2": statistic, "df": float(df), "p": found.p(statistic), "reference": found.text}
