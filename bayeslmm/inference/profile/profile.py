"""Profile likelihood of a fit: ζ curves and intervals of coefficients and covariance parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bayeslmm.effects.tables import known_parameters
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.responses import of_response
from bayeslmm.errors import ArgumentError, ConvergenceWarning, unknown_name
from bayeslmm.estimation.likelihood.centred import about_means, centred
from bayeslmm.inference.profile.chart import Chart
from bayeslmm.inference.profile.path import Constrained, Path, trace
from bayeslmm.priors.defaults import growth_of
from bayeslmm.solutions.solving import maximum_likelihood
from bayeslmm.specification import require_nothing_held
from bayeslmm.support.arguments import real_number
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["Profile", "profile"]

_LOWER = 1e-3
"""A deviance below that of the fit by this much is a better fit."""
_BEYOND = 1.02
"""How far the curve goes, relative to the end of the widest interval."""


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Profile of the likelihood; made by ``fit.profile()``.

    For each parameter ζ is the signed root of the deviance, -2 times the logarithm of the
    likelihood ratio, with all other parameters at their best. Where the likelihood is that of a
    normal distribution ζ is a straight line, and the interval is Wald's.

    Attributes
    ----------
    model : Specification
        What was fitted.
    level : float
        Probability of the widest intervals that the curves reach.
    paths : dict of str to Path
        The curves, by the names of ``summary()``.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("ml")
    >>> fit.profile().intervals(0.95).round(2)
                           estimate    lower    upper
    parameter
    beta[Intercept]         1527.50  1486.45  1568.55
    sd_Batch[Intercept]       37.26    12.20    84.06
    sigma                     49.51    38.23    67.66
    """

    model: Specification
    level: float
    paths: Mapping[str, Path]

    def intervals(self, level: float = 0.95) -> pd.DataFrame:
        """Intervals of the parameters whose deviance is not too large.

        Parameters
        ----------
        level : float
            Probability of the intervals, up to that of the profile.

        Returns
        -------
        pandas.DataFrame
            ``estimate`` by maximum likelihood, ``lower``, ``upper``. An interval ends at the bound
            of the parameter where the deviance stays below the limit up to there. A correlation
            with an effect of zero variance has none.

        Raises
        ------
        ArgumentError
            If `level` is greater than that of the profile.
        """
        level = real_number("level", level, 0, 1, "the probability of the intervals, ")
        if level > self.level:
            raise ArgumentError(
                f"the profile goes as far as level={self.level:g}; make one that goes farther, "
                f"with `fit.profile(level={level:g})`."
            )
        half = float(ndtri((1 + level) / 2))
        rows = {
            name: (path.estimate, path.crossing(-half), path.crossing(half))
            for name, path in self.paths.items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "lower", "upper"])
        return table.rename_axis("parameter")

    def zeta(self, parameter: str, value: object) -> Array:
        """ζ of a parameter at values, from the curve through the points.

        Parameters
        ----------
        parameter : str
            Its name in ``summary()``.
        value : array_like

        Returns
        -------
        array
            NaN beyond the points.

        Raises
        ------
        ArgumentError
            For a parameter that is not profiled.
        """
        if parameter not in self.paths:
            raise ArgumentError(unknown_name("profiled parameter", parameter, self.paths))
        return self.paths[parameter].at(np.asarray(value, dtype=float))

    def frame(self) -> pd.DataFrame:
        """The points of the curves.

        Returns
        -------
        pandas.DataFrame
            ``parameter``, ``value``, ``zeta``, and ``slope``, which is dζ/dvalue.
        """
        parts = [
            pd.DataFrame(
                {
                    "parameter": pd.Series([name] * len(path.value), dtype=object),
                    "value": path.value,
                    "zeta": path.zeta,
                    "slope": path.slope,
                }
            )
            for name, path in self.paths.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def plot(self) -> Figure:
        """Draw ζ of every parameter, with intervals of 50, 80, 95 and 99%.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from bayeslmm.drawing.profile import draw_zeta

        return draw_zeta(self.paths, self.level, title=f"Profile of {self.model.formula}")

    def __repr__(self) -> str:
        return (
            f"Profile likelihood of {self.model.formula}: {len(self.paths)} parameters, to level "
            f"{self.level:g}. intervals() has the intervals, plot() draws the curves."
        )


def profile(
    solution: LikelihoodSolution, parameters: str | Sequence[str] | None = None, level: float = 0.99
) -> Profile:
    """Profile the likelihood; see `LikelihoodFit.profile`."""
    level = real_number("level", level, 0, 1, "the probability of the widest intervals, ")
    names = known_parameters(solution, parameters)
    require_nothing_held(solution.model, "the profile likelihood", "use confint(method='wald')")
    solution = maximum_likelihood(solution)
    if not solution.status.ok:
        raise ArgumentError(
            f"the likelihood of {solution.model.formula} cannot be profiled, because its maximum "
            f"was not found: {solution.status.value}."
        )
    cutoff = _BEYOND * float(ndtri((1 + level) / 2))
    with blas_threads(solution.model.equations.root_order):
        paths = {name: _path(solution, name, cutoff) for name in names}
    return Profile(solution.model, level, paths)


def _path(solution: LikelihoodSolution, name: str, cutoff: float) -> Path:
    coef = [f"beta[{own}]" for own in solution.model.design.coef]
    if name in coef:
        return _of_coefficient(solution, coef.index(name), cutoff)
    return _of_parameter(solution, solution.model.parameters.names.index(name), cutoff)


class _Walk:
    """Constrained optima at one value after another, each from the one before."""

    def __init__(self, constrained: Constrained, estimate: float, name: str, least: float) -> None:
        self.constrained = constrained
        self.estimate, self.name, self.minimum = estimate, name, least
        self.told = False
        self.last: list[tuple[float, Array]] = []

    def to(
        self, value: float, criterion: Callable[[Array], tuple[float, Array]], held: int | None
    ) -> tuple[float, Array]:
        """D and the coordinates at a value."""
        side = np.sign(value - self.estimate)
        if not self.last or np.sign(self.last[-1][0] - self.estimate) not in (side, 0):
            self.last = [(self.estimate, self.constrained.x)]
        starts = [self.last[-1][1]]
        if len(self.last) > 1:
            (a, x_a), (b, x_b) = self.last[-2:]
            starts.insert(0, x_b + (value - b) / (b - a) * (x_b - x_a))
        if held is not None:
            starts = [x.copy() for x in starts]
            for x in starts:
                x[held] = value
        start = min(starts, key=lambda x: criterion(x)[0])
        x = self.constrained.least(criterion, start)
        D = criterion(x)[0] - self.minimum
        self.last = [*self.last[-1:], (value, x)]
        if D < -_LOWER and not self.told:
            self.told = True
            warnings.warn(
                f"the profile of {self.name} found a likelihood greater than that of the fit: the "
                "fit is at a local maximum, and the intervals are not to be trusted",
                ConvergenceWarning,
                stacklevel=9,
            )
        return D, x


def _of_parameter(solution: LikelihoodSolution, position: int, cutoff: float) -> Path:
    """The curve of a parameter of theta."""
    parameters = solution.model.parameters
    name, kind = parameters.names[position], parameters.kinds[position]
    lower, upper = map(float, parameters.bounds[position])
    far = growth_of(parameters, solution.model.design).far[position].any()
    if far:
        warnings.warn(
            f"{name} has no profile: it is the standard deviation where the covariate of the "
            "variance is zero, far from the data. Centre the covariate",
            ConvergenceWarning,
            stacklevel=5,
        )
    if far or solution.undefined[position]:
        nothing = np.empty(0)
        return Path(np.nan, lower, upper, nothing, nothing, nothing)
    equations, optimum = about_means(solution.model.equations, solution.optimum, position)
    chart = Chart.of(equations, position, optimum.sigma)
    held = chart.held
    assert held is not None
    x = chart.start(optimum.M, optimum.theta, optimum.boundary)
    free = np.arange(len(x)) != held
    sizes = chart.sizes()
    estimate = float(x[held])
    std_error = solution.parameters(0.95).std_error[position]
    if not (np.isfinite(std_error) and std_error > 0):
        std_error = sizes[held]
    walk = _Walk(Constrained(chart.criterion, x, free, sizes), estimate, name, optimum.criterion)

    def deviance(value: float) -> tuple[float, float]:
        D, there = walk.to(value, chart.criterion, held)
        return D, float(chart.criterion(there)[1][held])

    closed = kind == "sd" or (held < chart.n_bars and kind == "corr")
    return trace(deviance, estimate, float(std_error), (lower, upper), closed, cutoff)


def _of_coefficient(solution: LikelihoodSolution, position: int, cutoff: float) -> Path:
    """The curve of a coefficient: its column is an offset, times the value."""
    design = solution.model.design
    whole, optimum = about_means(solution.model.equations, solution.optimum)
    others = np.arange(len(design.coef)) != position
    column = design.X[:, position]
    rest = replace(
        design,
        X=np.ascontiguousarray(design.X[:, others]),
        coef=tuple(name for name, other in zip(design.coef, others, strict=True) if other),
    )
    y, estimate = design.y_less_offset, float(solution.beta[position])
    base = centred(Equations.of(rest)).equations
    equations = of_response(base, rest, y - estimate * column)
    chart = Chart.of(equations, None, optimum.sigma)
    x = chart.start(optimum.M, optimum.theta, optimum.boundary)
    free = np.ones(len(x), dtype=bool)
    constrained = Constrained(chart.criterion, x, free, chart.sizes())
    walk = _Walk(constrained, estimate, f"beta[{design.coef[position]}]", optimum.criterion)

    def deviance(value: float) -> tuple[float, float]:
        given = replace(chart, equations=of_response(base, rest, y - value * column))
        D, there = walk.to(value, given.criterion, None)
        # at theta the criterion is a parabola in the coefficient
        M, theta = given.place(there)
        own = whole.given_residuals(theta)
        best = own.solve(M)[0][position]
        variance = own.var_beta(M, theta[-1])[position, position]
        return D, float(2 * (value - best) / variance)

    std_error = float(np.sqrt(solution.wald("none").vcov[position, position]))
    return trace(deviance, estimate, std_error, (-np.inf, np.inf), False, cutoff)
