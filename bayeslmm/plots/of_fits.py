"""Plots of fits: ``fit.plot.trellis()`` and its companions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.criticism.influence import influence
from bayeslmm.criticism.lag_correlation import lag_correlation, subjects_of
from bayeslmm.criticism.quantiles import quantiles_of_fit
from bayeslmm.criticism.variogram import variogram
from bayeslmm.data.frames import level_label
from bayeslmm.design.variables import in_pymc
from bayeslmm.drawing.correlation import draw_correlation, draw_matrices, draw_variogram
from bayeslmm.drawing.groups import draw_caterpillar, draw_spaghetti, draw_trellis
from bayeslmm.drawing.posterior import (
    by_row,
    draw_forest,
    draw_trace,
    how_to_see,
    on_other_scales,
)
from bayeslmm.drawing.priors import draw_prior_posterior
from bayeslmm.drawing.residuals import draw_quantiles, draw_residuals
from bayeslmm.drawing.shrinkage import Shrinkage, draw_shrinkage_arrows, draw_shrinkage_dots
from bayeslmm.drawing.variance import draw_partition, draw_parts
from bayeslmm.effects.explained import icc, variance_partition
from bayeslmm.effects.pooling import common_coefficients, own_effects, pooled_effects
from bayeslmm.effects.predictions import predict
from bayeslmm.effects.residuals import ResidualKind, residuals
from bayeslmm.effects.tables import ranef
from bayeslmm.effects.variance_at import variance_columns
from bayeslmm.errors import ArgumentError, MissingAttributeError, unknown_name
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.plots.of_models import PRIOR_DRAWS, bounds_by_row, chosen_rows, draws_by_row
from bayeslmm.plots.trellis import axis_of, trellis_of
from bayeslmm.solutions.point import PointSolution, no_draws
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.support.arguments import probability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.effects.quantity_table import QuantityTable
    from bayeslmm.solutions.base import Solution
    from bayeslmm.specification import Specification

__all__ = ["Plots"]


_OF_DRAWS = ("forest", "trace", "prior_posterior")
_OF_POINTS = ("convergence", "influence")
"""Plots that a point estimate does not have, and those that only it has."""
_GRID = 41
"""Points of a curve over a covariate."""
_STRANDS = 200
"""Groups that can still be followed in one panel."""


class Plots:
    """Plots of a fit; each method returns a matplotlib Figure.

    In a notebook a figure shows where it is the last value of a cell; in a script save it with
    ``figure.savefig("name.png")``, or open windows with ``matplotlib.pyplot.show()``.

    Parameters
    ----------
    solution : Solution

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> figure = model.fit("reml").plot.trellis()
    >>> len([axis for axis in figure.axes if axis.get_title()])
    18
    """

    def __init__(self, solution: Solution) -> None:
        self._solution = solution

    def __repr__(self) -> str:
        others = _OF_POINTS if self._solution.method == "nuts" else _OF_DRAWS
        methods = [
            name for name in vars(type(self)) if not name.startswith("_") and name not in others
        ]
        return f"Plots of a fit by {self._solution.method.upper()}: {', '.join(methods)}"

    def trellis(
        self,
        group: str | None = None,
        x: str | None = None,
        levels: int | Sequence[object] | None = None,
        lines: Sequence[str] = ("no pooling", "complete pooling"),
    ) -> Figure:
        """Data and lines of every group, a panel each.

        Parameters
        ----------
        group : str, optional
            Grouping factor, or the subjects of R; needed when there are several.
        x : str, optional
            Column for the horizontal axis; by default one that varies within groups, of the effects
            that vary by group if there is one, or the time of R.
        levels : int or list, optional
            How many groups to show, or which; 30 by default, and a note says how many are left out.
        lines : list of str
            What to draw beside the group's line from the fit: "no pooling", the regression on the
            fixed effects of this group's rows alone, and "complete pooling", that of all rows.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown group, column, level or line, and a model without groups.

        Notes
        -----
        The line from the fit has the random effects of this group, and of groups in which it is
        nested; those of crossed factors are zero. Other predictors stand at the group's mean or
        most frequent value. Where a group's rows do not determine a line of their own, none is
        drawn.
        """
        factor = self._solution.model.design.grouping(group)
        name = "partial pooling" if factor.effects else "fit"
        fits = {f"{name} ({self._solution.method.upper()})": self._solution}
        trellis = trellis_of(fits, factor, x, levels, lines)
        return draw_trellis(trellis, title=f"{trellis.y_label} by {factor.name}")

    def spaghetti(
        self,
        group: str | None = None,
        x: str | None = None,
        levels: int | Sequence[object] | None = None,
    ) -> Figure:
        """Data of every group as a line, beside the groups' lines from the fit.

        Parameters
        ----------
        group : str, optional
            Grouping factor, or the subjects of R; needed when there are several.
        x : str, optional
            Column for the horizontal axis, as for `trellis`.
        levels : int or list, optional
            How many groups to show, or which; 200 by default, and a note says how many are left
            out.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown group, column or level, and a model without groups.
        """
        factor = self._solution.model.design.grouping(group)
        fits = {f"fit ({self._solution.method.upper()})": self._solution}
        trellis = trellis_of(fits, factor, x, levels, (), most=_STRANDS)
        return draw_spaghetti(trellis, title=f"{trellis.y_label} by {factor.name}")

    def caterpillar(self, group: str | None = None, level: float = 0.95) -> Figure:
        """Random effects with their intervals, sorted, a panel for each effect.

        Parameters
        ----------
        group : str, optional
            Grouping factor; all by default.
        level : float
            Of the intervals.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown group or level, and a model without groups.
        """
        design = self._solution.model.design
        if len(design.factors) < 2:
            group = design.factor_or_only(group).name
        table = ranef(self._solution, group, probability(level))
        pairs = table[["group", "effect"]].drop_duplicates().itertuples(index=False)
        tables = [
            (factor, effect, table[(table["group"] == factor) & (table["effect"] == effect)])
            for factor, effect in pairs
        ]
        draws = self._solution.method == "nuts"
        kind = "posterior intervals" if draws else "intervals given the variances"
        return draw_caterpillar(
            tables,
            interval=f"{100 * level:g}% {kind}",
            title=f"Random effects ({self._solution.method.upper()})",
        )

    def shrinkage(self, group: str | None = None) -> Figure:
        """What partial pooling does to the estimates of each level.

        Two effects are drawn as arrows in their plane, from the level's own estimate to the
        model's; any other number as dots on a line, a panel for each effect.

        Parameters
        ----------
        group : str, optional
            Grouping factor; needed when there are several.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown group, and a model without groups.

        Notes
        -----
        No pooling: least squares on the rows of the level, everything else in the model held at the
        fit's estimates. Complete pooling: the coefficients of one regression for all rows.
        """
        design = self._solution.model.design
        factor = design.factor_or_only(group)
        common = dict(zip(design.coef, common_coefficients(design), strict=True))
        effects = tuple(dict.fromkeys(factor.plain))
        shrinkage = Shrinkage(
            levels=factor.levels,
            effects=effects,
            no_pooling=own_effects(self._solution, factor),
            partial_pooling=pooled_effects(self._solution, factor),
            complete_pooling=np.array([common.get(effect, 0.0) for effect in effects]),
        )
        alone = int(np.isnan(shrinkage.no_pooling).any(axis=1).sum())
        note = (
            f"{alone:,} of {len(factor.levels):,} levels have too few rows for an estimate of "
            "their own."
            if alone
            else ""
        )
        draw = draw_shrinkage_arrows if len(effects) == 2 else draw_shrinkage_dots
        name = f"partial pooling ({self._solution.method.upper()})"
        title = f"{design.response}: effects by {factor.name}"
        return draw(shrinkage, fit=name, title=title, note=note)

    def correlation(self, time: str | None = None, group: str | None = None) -> Figure:
        """Correlation within subjects over lag: as fitted, and of the residuals.

        Parameters
        ----------
        time : str, optional
            A column that the model uses, in whose differences lags are; by default the occasions
            that R is over, or the times of a structure that depends on distance.
        group : str, optional
            Grouping factor; by default the subjects of R, or the only grouping factor.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown column or group, and where there is no time to take lags in.

        Notes
        -----
        Residuals are those about the fixed effects, in units of their fitted standard deviation,
        and the fitted correlation is that of V = ZGZ' + R, which random effects are part of. Both
        are means over the pairs of rows that far apart; the area of a point is in proportion to
        their number. More than 15 lags are put into bins.
        """
        model = self._solution.model
        lagged = lag_correlation(self._solution, subjects_of(model, group, time))
        title = f"{model.design.response}: correlation within {subjects_of(model, group).group}"
        most, fewest = lagged.pairs.max(), lagged.pairs.min()
        pairs = f"{fewest:,} to {most:,}" if fewest < most else f"{most:,}"
        note = f"Points: mean over {pairs} pairs of rows at each lag."
        return draw_correlation(lagged, title=title, note=note)

    def variogram(self, time: str | None = None, group: str | None = None) -> Figure:
        """Semivariance of residuals over lag: beside the fitted one, and when they are normalized.

        Parameters
        ----------
        time : str, optional
            A column that the model uses, in whose differences lags are; by default the occasions
            that R is over, or the times of a structure that depends on distance.
        group : str, optional
            Grouping factor; by default the subjects of R, or the only grouping factor.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown column or group, and where there is no time to take lags in.

        Notes
        -----
        Residuals are those about the fixed effects. On the left they are in units of their standard
        deviation under V = ZGZ' + R, and a semivariance is expected to be one less the correlation.
        On the right they are whitened by V: where the structure is right they are independent, at
        one for every lag. More than 15 lags are put into bins.
        """
        model = self._solution.model
        found = variogram(self._solution, subjects_of(model, group, time))
        most, fewest = found.pairs.max(), found.pairs.min()
        pairs = f"{fewest:,} to {most:,}" if fewest < most else f"{most:,}"
        return draw_variogram(
            found,
            title=f"{model.design.response}: variogram within {subjects_of(model, group).group}",
            note=f"Points: means over {pairs} pairs of rows at each lag.",
        )

    def residuals(self, kind: ResidualKind = "standardized", marginal: bool = False) -> Figure:
        """Residuals against fitted values, with a smooth line.

        Parameters
        ----------
        kind : {"response", "pearson", "standardized", "studentized", "normalized", "quantile"}
        marginal : bool
            Of the fixed part alone; both as for `residuals` of the fit.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown kind, one that the fit has not, and residuals that are no numbers.

        Notes
        -----
        The line is a local regression, each place's by the nearest two thirds of the rows: it
        should stay near zero. The rows of the five largest residuals are named. Quantile residuals
        are drawn less a half.
        """
        fit = self._solution
        residual = residuals(fit, kind, marginal)
        if not np.isfinite(residual).all():
            raise ArgumentError(
                f"kind={kind!r} has no value in {int(np.isnan(residual).sum())} rows, where what "
                "it is divided by is zero; use kind='response'."
            )
        fitted = predict(fit, groups="none" if marginal else "all")["estimate"]
        name = f"{kind.capitalize()} residual"
        if kind == "quantile":
            residual, name = residual - 0.5, f"{name} - ½"
        return draw_residuals(
            fitted.to_numpy(),
            residual,
            [str(label) for label in fit.model.design.index],
            names=(
                "Fitted value, fixed part" if marginal else "Fitted value",
                name,
            ),
            title=f"{fit.model.design.response}: residuals ({fit.method.upper()})",
            note="",
        )

    def qq(self, level: float = 0.95) -> Figure:
        """Quantiles of residuals and random effects against those of a normal distribution.

        Parameters
        ----------
        level : float
            Probability of the band, in each place by itself.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            If `level` is not between 0 and 1, or there is nothing to show.

        Notes
        -----
        Residuals are normalized. Predicted random effects are divided by the standard deviations
        that they have, shrinkage counted (Lange and Ryan 1989, Annals of Statistics 17, 624-642),
        and are closer to normal than what they predict. Line and band are those of a normal sample
        of the same mean and standard deviation. Effects that do not vary are left out, which the
        picture says.
        """
        found, left = quantiles_of_fit(self._solution, probability(level))
        if not found:
            raise ArgumentError(
                f"there is nothing to show: {', '.join(left)} do not vary; see `diagnose()`."
            )
        note = f"Band: {100 * level:g}% of normal samples, in each place by itself."
        if left:
            note += f" Not shown, without variance or levels enough: {', '.join(left)}."
        response, method = self._solution.model.design.response, self._solution.method.upper()
        title = f"{response}: normal quantiles ({method})"
        return draw_quantiles(found, title=title, note=note)

    def influence(self, by: str = "row") -> Figure:
        """Cook's distances of rows or groups, and what leaving them out does to each coefficient.

        Parameters
        ----------
        by : str
            "row" or a grouping factor, as for `influence` of the fit.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            As for `influence` of the fit.
        MissingAttributeError
            For a fit by NUTS.
        """
        from bayeslmm.drawing.influence import draw_influence

        fit = _point(self._solution)
        table = influence(fit, by)
        return draw_influence(
            table,
            title=f"{fit.model.design.response}: influence by {by} ({fit.method.upper()})",
            unit="rows" if by == "row" else "levels",
        )

    def covariance(self, level: object | None = None, group: str | None = None) -> Figure:
        """Heat maps of R and V, the fitted covariances of residuals and responses of a subject.

        Parameters
        ----------
        level : str, optional
            The subject; by default the first of those with most rows.
        group : str, optional
            Grouping factor; by default the subjects of R, or the only grouping factor.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For an unknown level or group, and a model without groups.
        """
        fit, subjects = self._solution, subjects_of(self._solution.model, group)
        labels, axis = subjects.labels, subjects.time.removeprefix("occasions of ")
        label = subjects.levels[int(np.bincount(subjects.codes).argmax())]
        if level is not None:
            label = level_label(level)
            if label not in subjects.levels:
                raise ArgumentError(unknown_name("level", label, list(subjects.levels)))
        rows = np.flatnonzero(subjects.codes == subjects.levels.index(label))
        if subjects.at.shape[1] == 1:
            rows = rows[np.argsort(subjects.at[rows, 0], kind="stable")]
        found = None if axis else axis_of(fit.model, fit.model.design.grouping(subjects.group))
        if found is not None:
            axis, labels = found
        matrices = [("R", fit.R(rows))]
        if fit.model.design.factors:
            matrices.append(("V = ZGZ' + R", fit.V(rows)))
        return draw_matrices(
            matrices,
            [str(name) for name in labels[rows]],
            axis_label=axis or str(fit.model.design.index.name or "row"),
            title=f"{fit.model.design.response}: fitted covariances of {subjects.group} {label}",
        )

    def variance_partition(self, x: str | None = None, level: float = 0.95) -> Figure:
        """The parts of the variance of a response over a covariate, and the correlation that they
        make of two responses of one level.

        Parameters
        ----------
        x : str, optional
            A column that the variance depends on: of a bar, of strata or of R; by default the
            first. Where there is none, the parts are means over the rows.
        level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For a column that the variance does not depend on, and a model whose variance depends on
            another category.
        """
        model, level = self._solution.model, probability(level)
        title = f"{model.design.response}: parts of the variance ({self._solution.method.upper()})"
        known = variance_columns(model)
        if x is None and not known:
            table = variance_partition(self._solution, None, level)
            return draw_parts(list(table.index), *_estimates(table), level, title)
        name = known[0] if x is None else x
        if name not in known:
            raise ArgumentError(unknown_name("column of the variance", name, known))
        values, categories = _grid_of(model, name)
        parts = variance_partition(self._solution, {name: values}, level)["estimate"].unstack(
            "part"
        )
        shares = icc(self._solution, None, {name: values}, level)
        factors = [factor.name for factor in model.design.factors]
        return draw_partition(
            np.arange(len(values)) if categories else np.asarray(values, dtype=float),
            {part: parts.loc[values, part].to_numpy() for part in [*factors, "residual"]},
            _estimates(shares) if factors else None,
            categories,
            name,
            level,
            title,
        )

    def forest(self, var_names: str | Sequence[str] | None = None) -> Figure:
        """Posterior means with 50% and 95% intervals, by ArviZ.

        Parameters
        ----------
        var_names : str or list of str, optional
            Variables of the posterior, such as "beta" or "u_Subject". By default coefficients and
            standard deviations; an intercept beside other coefficients, and correlations, are on
            other scales and are left out, which the picture says.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For a fit without draws, and unknown variables.
        """
        return draw_forest(*self._draws(var_names, one_scale=True))

    def trace(self, var_names: str | Sequence[str] | None = None) -> Figure:
        """Draws in the order in which they were made, a colour for each chain, by ArviZ.

        Parameters
        ----------
        var_names : str or list of str, optional
            Variables of the posterior, such as "beta"; by default all but the random effects.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For a fit without draws, and unknown variables.
        """
        return draw_trace(*self._draws(var_names, one_scale=False))

    def convergence(self) -> Figure:
        """The iterations of the algorithm that maximised the likelihood: the criterion above its
        minimum, and the largest element of its gradient.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentTypeError
            For a fit by NUTS.

        See Also
        --------
        bayeslmm.plot_convergence : Several fits in one figure.
        """
        from bayeslmm.plots.convergence import plot_convergence

        return plot_convergence(self._solution)

    def prior_posterior(
        self, var_names: str | Sequence[str] | None = None, random_seed: int | None = None
    ) -> Figure:
        """Prior and posterior of every parameter, and of what they imply, in one panel each.

        Parameters
        ----------
        var_names : str or list of str, optional
            Variables such as "sd_Subject", or rows such as "beta[Days]"; all by default.
        random_seed : int, optional
            For the same draws from the priors again.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            For a fit without draws, and unknown variables.
        PriorError
            For a flat prior.
        """
        model, posterior = self._solution.model, _posterior(self._solution).draws
        theta, beta = (a.reshape(-1, a.shape[-1]) for a in (posterior.theta, posterior.beta))
        found = draws_by_row(model, theta, beta)
        names = chosen_rows(found, var_names)
        theta, beta, _ = draw_priors(model, PRIOR_DRAWS, random_seed)
        priors = draws_by_row(model, theta, beta)
        return draw_prior_posterior(
            {name: priors[name] for name in names},
            {name: found[name] for name in names},
            bounds_by_row(model),
        )

    def _draws(
        self, var_names: str | Sequence[str] | None, *, one_scale: bool
    ) -> tuple[dict[str, np.ndarray], str]:
        """Draws (chain, draw) by the names of `summary`, and what is left out of them."""
        posterior = _posterior(self._solution).tree["posterior"].dataset
        valid = [str(name) for name in posterior.data_vars]
        if var_names is None:
            effects = {f"u_{factor.name}" for factor in self._solution.model.design.factors}
            rows = by_row(posterior, [name for name in valid if name not in effects])
            left = on_other_scales(rows) if one_scale else []
            shown = {name: row for name, row in rows.items() if name not in left}
            return self._marked(shown), how_to_see(left)
        names = [var_names] if isinstance(var_names, str) else list(var_names)
        for name in names:
            if name not in valid:
                raise ArgumentError(unknown_name("variable of the posterior", name, valid))
        return self._marked(by_row(posterior, names)), ""

    def _marked(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Draws by row, of which those of held parameters say so."""
        model = self._solution.model
        names = zip(model.parameters.names, model.held, strict=True)
        held = {in_pymc(name) for name, is_held in names if is_held}
        return {f"{name} (held)" if name in held else name: row for name, row in rows.items()}


def _estimates(table: QuantityTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates and the ends of their intervals."""
    return table["estimate"].to_numpy(), table["lower"].to_numpy(), table["upper"].to_numpy()


def _grid_of(model: Specification, name: str) -> tuple[list[Any], tuple[str, ...]]:
    """Values of a column to draw a curve over, and their names where they are not continuous."""
    column = model.data[name].dropna()
    residuals = model.design.residuals
    occasions = residuals is not None and "occasion" in residuals.structure.variances
    shaped = any(bar.shape is not None for factor in model.design.factors for bar in factor.bars)
    distinct = sorted(column.unique().tolist())
    if not pd.api.types.is_numeric_dtype(column) or occasions or shaped:
        return distinct, tuple(map(level_label, distinct))
    return np.linspace(distinct[0], distinct[-1], _GRID).tolist(), ()


def _posterior(solution: Solution) -> PosteriorSolution:
    if isinstance(solution, PosteriorSolution):
        return solution
    raise no_draws(solution.method)


def _point(solution: Solution) -> PointSolution:
    if isinstance(solution, PointSolution):
        return solution
    raise MissingAttributeError(
        "a fit by NUTS has no 'influence': it is of what rows do to estimates at given covariance "
        "parameters. Fit the model by 'reml' or 'map' for that."
    )
