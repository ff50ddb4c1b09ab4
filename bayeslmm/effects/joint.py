"""Joint tests of linear functions of beta: all of them against zero at once."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.effects.contrasts import product_of
from bayeslmm.solutions.point import PointSolution
from bayeslmm.solutions.posterior import PosteriorSolution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeslmm.effects.grid import Rows
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.support.arrays import Array

__all__ = ["joint_test", "terms_of"]


def terms_of(levels: Mapping[str, int]) -> list[tuple[str, Array]]:
    """The main effects and interactions of factors, as contrasts of their combinations.

    Parameters
    ----------
    levels : dict of str to int
        The number of levels of each factor, of which the first changes fastest.

    Returns
    -------
    list of (str, (contrasts, combinations) array)
        Main effects first, with names such as ``"Variety:nitro"``.
    """
    varying = [name for name, k in levels.items() if k > 1]
    found = []
    for size in range(1, len(varying) + 1):
        for chosen in combinations(varying, size):
            parts = [
                np.diff(np.eye(k), axis=0) if name in chosen else np.full((1, k), 1 / k)
                for name, k in levels.items()
            ]
            found.append((":".join(chosen), product_of(parts)))
    return found


def joint_test(solution: Solution, df: DF, tested: Rows) -> dict[str, float]:
    """Test functions of beta against zero; those that are not estimable are left out.

    Returns
    -------
    dict of str to float
        ``num_df``, ``den_df``, ``F`` and ``p`` of a point estimate; ``num_df``, ``chi2`` and
        ``p_farther`` of a posterior, as `Effects.joint` has them.
    """
    keep = tested.estimable
    L, value = tested.X[keep], tested.X[keep] @ solution.beta + tested.offset[keep]
    if isinstance(solution, PosteriorSolution):
        draws = solution.flat[1] @ L.T + tested.offset[keep]
        away = draws - draws.mean(axis=0)
        precision = np.linalg.pinv(np.atleast_2d(np.cov(away.T)), hermitian=True)
        chi2 = float(value @ precision @ value)
        farther = np.einsum("si,ij,sj->s", away, precision, away) > chi2
        rank = int(np.linalg.matrix_rank(L))
        return {"num_df": rank, "chi2": chi2, "p_farther": float(farther.mean())}
    assert isinstance(solution, PointSolution)
    test = solution.wald(df).f_test(L, value)
    return {"num_df": test.num_df, "den_df": test.den_df, "F": test.F, "p": test.p}
