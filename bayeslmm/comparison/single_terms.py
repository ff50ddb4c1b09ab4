"""Tests of single fixed-effect terms by refits without them."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2

from bayeslmm.equations.equations import Equations
from bayeslmm.solutions.solving import maximum_likelihood

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.solutions.point import LikelihoodSolution

__all__ = ["drop1"]


def drop1(solution: LikelihoodSolution) -> pd.DataFrame:
    """Single-term deletions; see `LikelihoodFit.drop1`."""
    solution = maximum_likelihood(solution)
    design, n = solution.model.design, solution.model.equations.n
    dropped, found = [0], [solution.loglik]
    terms = _droppable(design)
    for columns in terms.values():
        kept = [i for i in range(len(design.coef)) if i not in columns]
        smaller = replace(
            design,
            X=np.ascontiguousarray(design.X[:, kept]),
            coef=tuple(design.coef[i] for i in kept),
        )
        optimum = solution.maximise(Equations.of(smaller))
        found.append(-0.5 * optimum.criterion if optimum.status.ok else np.nan)
        dropped.append(len(columns))
    loglik, df = np.array(found), np.array(dropped, dtype=float)
    k = solution.n_parameters - df
    statistic = np.maximum(2 * (solution.loglik - loglik), 0.0)
    tested = df > 0
    return pd.DataFrame(
        {
            "loglik": loglik,
            "aic": -2 * loglik + 2 * k,
            "bic": -2 * loglik + log(n) * k,
            "chi2": np.where(tested, statistic, np.nan),
            "df": np.where(tested, df, np.nan),
            "p": np.where(tested, chi2.sf(statistic, np.maximum(df, 1)), np.nan),
        },
        index=pd.Index(["<none>", *terms], name="term", dtype=object),
    )


def _droppable(design: Design) -> dict[str, list[int]]:
    """The columns of each term that no other term contains."""
    terms = [term for term in design.learned.fixed.terms if term.components]
    found = {}
    for term in terms:
        if any(term.names < other.names for other in terms):
            continue
        kept = enumerate(design.learned.kept)
        columns = [i for i, j in kept if term.start <= j < term.stop]
        if columns:
            found[term.name] = columns
    return found
