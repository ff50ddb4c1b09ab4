"""What the measured programs share; each of them runs in a process of its own.

A program ends by printing one line of JSON, its figures by name. Ours and the peers' use this file,
so that effective sample sizes are computed by the same code.
"""

import json
import time
from pathlib import Path
from statistics import median

DRAWS = 250
"""Draws of each of 4 chains for large data, where the goal is an effective sample size of 400."""


def report(**figures: float) -> None:
    print(json.dumps({name: float(value) for name, value in figures.items()}))


def seconds(function, calls: int = 1, warm_up: int = 0) -> float:
    """Median time of a call."""
    for _ in range(warm_up):
        function()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def read_case(path: str):
    """A model to fit, and its data, with labels as categories."""
    import pandas as pd

    case = json.loads(Path(path).read_text())
    return case, pd.read_csv(case["data"], dtype=dict.fromkeys(case["labels"], "category"))


def smallest_ess(draws) -> float:
    """Smallest bulk ESS over all elements of (chain, draw, ...) arrays, constants left out.

    The diagonal of a matrix of correlations is such a constant.
    """
    from arviz_stats.base import array_stats

    smallest = float("inf")
    for array in draws:
        flat = array.reshape(*array.shape[:2], -1)
        flat = flat[:, :, (flat != flat[:1, :1]).any((0, 1))]
        if flat.shape[-1]:
            ess = array_stats.ess(flat, chain_axis=0, draw_axis=1, method="bulk")
            smallest = min(smallest, float(ess.min()))
    return smallest


def large_data(rows: int, groups: int = 10_000, seed: int = 20_240_601):
    """Columns y, x, g with a random intercept and slope that correlate by 0.5."""
    import numpy as np

    rng = np.random.default_rng(seed)
    u = rng.multivariate_normal([0, 0], [[4, 1], [1, 1]], groups)
    g = np.tile(np.arange(groups, dtype=np.int32), -(-rows // groups))[:rows]
    x = rng.standard_normal(rows)
    y = 10 + 2 * x + u[g, 0] + u[g, 1] * x + 3 * rng.standard_normal(rows)
    return {"y": y, "x": x, "g": g}
