"""Tables of tests of fixed effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.errors import ArgumentError
from bayeslmm.inference.hypotheses import read_functions
from bayeslmm.inference.type_contrasts import type_contrasts
from bayeslmm.solutions.degrees_of_freedom.wald import t_columns, t_intervals

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.solutions.degrees_of_freedom.wald import FTest, Wald
    from bayeslmm.support.arrays import Array

__all__ = ["anova_table", "contrast_table", "joint_table"]

_TYPES = (1, 2, 3)


def contrast_table(
    L: object, rhs: object, coef: tuple[str, ...], beta: Array, wald: Wald, level: float
) -> pd.DataFrame:
    """A t test of each function, with its estimate and interval."""
    names, functions = read_functions(L, coef)
    value = _right_side(rhs, len(names))
    estimate, df = functions @ beta, wald.df(functions)
    std_error = np.sqrt(np.einsum("mp,pr,mr->m", functions, wald.vcov, functions))
    columns = t_intervals(estimate, std_error, df, level).columns()
    index = pd.Index(names, name="contrast", dtype=object)
    return pd.DataFrame(columns | t_columns(estimate - value, std_error, df), index=index)


def joint_table(
    L: object, rhs: object, coef: tuple[str, ...], beta: Array, wald: Wald
) -> pd.DataFrame:
    """One F test of all functions."""
    names, functions = read_functions(L, coef)
    difference = functions @ beta - _right_side(rhs, len(names))
    rank = np.linalg.matrix_rank(functions)
    if rank < len(names) and np.linalg.matrix_rank(np.column_stack([functions, difference])) > rank:
        raise ArgumentError(
            f"the {len(names)} functions of `L` depend on each other, and with these values of "
            "`rhs` they contradict each other; leave out those that the others determine."
        )
    return _f_table({", ".join(names): wald.f_test(functions, difference)})


def anova_table(design: Design, beta: Array, wald: Wald, kind: object) -> pd.DataFrame:
    """An F test of each term."""
    if isinstance(kind, bool) or kind not in _TYPES:
        raise ArgumentError(
            f"`type` should be 1, 2 or 3 (sequential; by marginality; each beside all others), got "
            f"{kind!r}."
        )
    hypotheses = type_contrasts(design, int(kind))
    tests = {name: wald.f_test(L, L @ beta) for name, L in hypotheses.items()}
    return _f_table(tests).rename_axis(index="term")


def _f_table(tests: dict[str, FTest]) -> pd.DataFrame:
    found = list(tests.values())
    return pd.DataFrame(
        {
            "num_df": np.array([test.num_df for test in found], dtype=np.int64),
            "den_df": np.array([test.den_df for test in found], dtype=np.float64),
            "F": np.array([test.F for test in found], dtype=np.float64),
            "p": np.array([test.p for test in found], dtype=np.float64),
        },
        index=pd.Index(list(tests), name="hypothesis", dtype=object),
    )


def _right_side(rhs: object, m: int) -> Array:
    try:
        value = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError):
        value = np.full(m + 1, np.nan)
    if value.shape not in ((), (m,)) or not np.isfinite(value).all():
        raise ArgumentError(
            f"`rhs` should be a number, or one for each of the {m} functions, got {rhs!r}."
        )
    return np.broadcast_to(value, m)
