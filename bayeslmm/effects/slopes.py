"""Slopes of the linear predictor in a number: differences of the formula at close values, averaged
as means are (emmeans' emtrends).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.effects.grid import Rows, grid_variables, reference_grid, rows_of
from bayeslmm.effects.means import averages, chosen, notes_on_averages, scale_of
from bayeslmm.effects.result import Effects
from bayeslmm.effects.rows import used_columns
from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.solutions.base import LEVEL
from bayeslmm.solutions.degrees_of_freedom.methods import df_method
from bayeslmm.support.arguments import probability

if TYPE_CHECKING:
    from bayeslmm.effects.grid import ReferenceGrid
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.degrees_of_freedom.methods import DF

__all__ = ["slopes"]

_STEP = 1e-3
"""The distance of the two values, relative to the range of the data; emmeans' ``delta.var``."""


def slopes(
    solution: Solution,
    variable: str,
    by: object = None,
    at: Mapping[str, object] | None = None,
    df: DF = "satterthwaite",
    level: float = LEVEL,
) -> Effects:
    """Slopes in a variable; see `Fit.slopes`."""
    model = solution.model
    names = grid_variables(model.design)
    numbers = [name for name in names if model.design.learned.levels[name] is None]
    if variable not in numbers:
        raise ArgumentError(unknown_name("number among the fixed effects", variable, numbers))
    within = chosen(by, names, "by")
    grid = reference_grid(model, at)
    used = used_columns(model)
    step = _STEP * float(np.ptp(used[variable].values.astype(np.float64)))
    ends = [_moved(grid, variable, sign * step / 2) for sign in (1, -1)]
    up, down = (rows_of(model, frame, used) for frame in ends)
    rows = Rows((up.X - down.X) / step, (up.offset - down.offset) / step, up.loose - down.loose)
    labels, rows = averages(replace(grid, rows=rows), within, "equal")
    labels = labels if within else labels.iloc[:, :0]
    labels.insert(0, "slope", [variable] * len(rows.X))
    notes = [*grid.notes, *notes_on_averages(model.design, grid, within, "equal", variable)]
    notes.append("Slopes are those of the population, with random effects of zero.")
    return Effects(
        solution,
        labels,
        rows,
        within or ("slope",),
        (),
        "slope",
        probability(level),
        df_method(df),
        scale=scale_of(solution, "link"),
        notes=tuple(notes),
    )


def _moved(grid: ReferenceGrid, variable: str, by: float) -> pd.DataFrame:
    """The grid with one variable moved."""
    return grid.frame.assign(**{variable: grid.frame[variable].astype(float) + by})
