"""Predictive checks: a statistic of the response beside those of replicated responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.effects.predictions import replicates
from bayeslmm.errors import ArgumentError
from bayeslmm.support.arguments import GREATEST_SEED, one_of, whole_number
from bayeslmm.support.arrays import Array
from bayeslmm.support.pages import Lines, Page, Table, as_html, as_text, numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.solutions.base import Solution

__all__ = ["REPLICATES", "STATISTICS", "PredictiveCheck", "predictive_check"]

REPLICATES = ("same groups", "new groups")
_ELEMENTS = 4_000_000
"""Numbers of replicated responses that are held at once: 32 MB."""
_LEVEL = 0.95

type _Statistic = Callable[[Array], Array]
"""From responses (s, n) to numbers (s,)."""


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """A statistic of the response, and of responses that the fitted model would make.

    Attributes
    ----------
    statistic : str
        Its name.
    replicate : {"same groups", "new groups"}
        Whether replicates have the random effects of these groups or new ones.
    observed : float
        The statistic of the data.
    replicated : (n,) array
        Those of the replicates.
    title : str
    """

    statistic: str
    replicate: str
    observed: float
    replicated: Array
    title: str

    @property
    def p(self) -> float:
        """The share of replicates whose statistic is larger, ties counting half. Near 0 or 1 the
        model does not make what is in the data.
        """
        larger = np.mean(self.replicated > self.observed)
        return float(larger + 0.5 * np.mean(self.replicated == self.observed))

    def frame(self) -> pd.DataFrame:
        """A row with the ``observed`` statistic, the ``mean`` of the replicates, the ``lower`` and
        ``upper`` ends of their central 95%, and ``p``, the share that is larger.
        """
        lower, upper = np.quantile(self.replicated, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        row = {"observed": self.observed, "mean": self.replicated.mean()}
        row |= {"lower": lower, "upper": upper, "p": self.p}
        return pd.DataFrame(row, index=pd.Index([self.statistic], name="statistic"))

    def plot(self) -> Figure:
        """Draw the replicates' statistics and that of the data.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from bayeslmm.drawing.predictive import draw_check

        note = f"{len(self.replicated):,} replicates with {self.replicate}; {self.p:.1%} are larger"
        return draw_check(self.observed, self.replicated, self.statistic, self.title, note)

    def _page(self) -> Page:
        frame = self.frame()
        cells = tuple(numbers(frame.iloc[0].to_numpy()))
        table = Table(f"{self.title}:", ("", *frame.columns), ((self.statistic, *cells),), 1)
        line = f"{len(self.replicated):,} replicates with {self.replicate}; p: share that is larger"
        return table, Lines(((line, ""),))

    def __repr__(self) -> str:
        return as_text(self._page())

    def _repr_html_(self) -> str:
        return as_html(self._page())


def predictive_check(
    solution: Solution,
    statistic: object,
    group: str | None,
    replicate: str,
    n: int,
    random_seed: int | None,
) -> PredictiveCheck:
    """Compare a statistic of the response with those of replicates; see `Fit.ppc`."""
    replicate = one_of("replicate", replicate, REPLICATES)
    n = whole_number("n", n)
    if random_seed is not None:
        random_seed = whole_number("random_seed", random_seed, 0, GREATEST_SEED)
    design = solution.model.design
    if callable(statistic):
        own, name = _of_callable(statistic), getattr(statistic, "__name__", "statistic")
    else:
        name = one_of("statistic", statistic, STATISTICS)
        if name in _OF_GROUPS:
            own = _OF_GROUPS[name](design.factor_or_only(group))
        elif group is None:
            own = _OF_ROWS[name]
        else:
            raise ArgumentError(f"the statistic {name!r} is of all rows; leave out `group`.")
    rng = np.random.default_rng(random_seed)
    step, parts = max(1, _ELEMENTS // len(design.y)), []
    for at in range(0, n, step):
        some = min(step, n - at)
        parts.append(own(replicates(solution, some, rng, new_groups=replicate == "new groups")))
    observed = float(own(np.asarray(design.y)[None])[0])
    title = f"{design.response}: predictive check ({solution.method.upper()})"
    return PredictiveCheck(name, replicate, observed, np.concatenate(parts), title)


def _of_callable(statistic: Callable[[Array], Any]) -> _Statistic:
    """A user's statistic of one response, of many."""

    def function(y: Array) -> Array:
        try:
            return np.array([float(statistic(row)) for row in y])
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                "`statistic` should be a function from a response, an array of one number a row, "
                f"to a number; it failed: {error}."
            ) from error

    return function


def _sd_of_means(factor: GroupingFactor) -> _Statistic:
    order, starts, sizes = _by_level(factor)
    return lambda y: (np.add.reduceat(y[:, order], starts, axis=1) / sizes).std(axis=1, ddof=1)


def _largest_range(factor: GroupingFactor) -> _Statistic:
    order, starts, _ = _by_level(factor)

    def function(y: Array) -> Array:
        own = y[:, order]
        ends = (f.reduceat(own, starts, axis=1) for f in (np.maximum, np.minimum))
        return np.asarray(np.subtract(*ends).max(axis=1))

    return function


def _intercepts_and_slopes(factor: GroupingFactor) -> _Statistic:
    """The correlation over levels of the intercepts and slopes of their own regressions."""
    plain = factor.plain
    if len(plain) != 2 or plain[0] != "Intercept":
        raise ArgumentError(
            f"the statistic is of an intercept and a slope in each level of {factor.name!r}, whose "
            f"effects are {', '.join(plain) or 'none'}; choose another one."
        )
    order, starts, _ = _by_level(factor)
    several = [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]
    own = [(rows, np.linalg.pinv(factor.Z[rows])) for rows in several
           if np.ptp(factor.Z[rows, 1]) > 0]  # fmt: skip
    if len(own) < 3:
        raise ArgumentError(
            f"{len(own)} levels of {factor.name!r} determine an intercept and a slope of their "
            "own, too few for a correlation; choose another statistic."
        )

    def function(y: Array) -> Array:
        lines = np.stack([y[:, rows] @ solve.T for rows, solve in own], axis=1)
        a, b = np.moveaxis(lines - lines.mean(axis=1, keepdims=True), -1, 0)
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))

    return function


def _lag_one(factor: GroupingFactor) -> _Statistic:
    """The correlation of neighbouring residuals from each level's own regression."""
    order, starts, _ = _by_level(factor)
    own = []
    for rows in np.split(order, starts[1:]):
        Z = factor.Z[rows]
        own.append((rows, Z, np.linalg.pinv(Z)))

    def function(y: Array) -> Array:
        above, below = np.zeros(len(y)), np.zeros(len(y))
        for rows, Z, solve in own:
            e = y[:, rows] - y[:, rows] @ solve.T @ Z.T
            above += (e[:, 1:] * e[:, :-1]).sum(axis=1)
            below += (e**2).sum(axis=1)
        return above / below

    return function


def _by_level(factor: GroupingFactor) -> tuple[Array, Array, Array]:
    """Rows by level, as the data have them; where each begins; and the sizes."""
    sizes = np.bincount(factor.codes, minlength=len(factor.levels))
    order = np.argsort(factor.codes, kind="stable")
    return order, np.cumsum(sizes) - sizes, sizes


_OF_ROWS: dict[str, _Statistic] = {
    "mean": lambda y: y.mean(axis=1),
    "sd": lambda y: y.std(axis=1, ddof=1),
    "smallest": lambda y: y.min(axis=1),
    "largest": lambda y: y.max(axis=1),
}
_OF_GROUPS: dict[str, Callable[[GroupingFactor], _Statistic]] = {
    "sd of group means": _sd_of_means,
    "largest range within a group": _largest_range,
    "correlation of intercepts and slopes": _intercepts_and_slopes,
    "lag-one correlation": _lag_one,
}
STATISTICS = (*_OF_ROWS, *_OF_GROUPS)
"""What can be compared, by name."""
