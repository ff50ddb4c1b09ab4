"""Plots of models that are not fitted yet: ``model.plot.priors()`` and its companion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.priors import draw_priors, draw_simulated
from bayeslmm.effects.response_variance import SHARE, derived_names
from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.inference.prior_draws import draw_priors as draws_of_priors
from bayeslmm.sensitivity.implied import implied_quantities
from bayeslmm.sensitivity.prior_predictive import prior_predictive
from bayeslmm.support.arguments import whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["PRIOR_DRAWS", "ModelPlots", "bounds_by_row", "chosen_rows", "draws_by_row"]

PRIOR_DRAWS = 4000
"""For the density of a prior."""


class ModelPlots:
    """Plots of a model's priors; each method returns a matplotlib Figure.

    Parameters
    ----------
    model : Specification

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    >>> figure = model.plot.priors(random_seed=1)
    >>> [axis.get_title() for axis in figure.axes][:3]
    ['beta[Intercept]', 'sd_Batch[Intercept]', 'sigma']
    """

    def __init__(self, model: Specification) -> None:
        self._model = model

    def __repr__(self) -> str:
        return "Plots of a model: priors, prior_predictive"

    def priors(
        self, var_names: str | Sequence[str] | None = None, random_seed: int | None = None
    ) -> Figure:
        """The prior of every parameter, and what the priors imply.

        Parameters
        ----------
        var_names : str or list of str, optional
            Variables such as "sd_Subject", or rows such as "beta[Days]"; all by default.
        random_seed : int, optional
            For the same draws again.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PriorError
            For a flat prior.
        ArgumentError
            For unknown variables.

        Notes
        -----
        Coefficients, standard deviations and correlations are those that are reported, where the
        predictors are zero, also when their priors are about the predictors' means. Implied
        are R², the intraclass correlations and the standard deviation of a group's mean, see
        `Fit.r2` and `Fit.icc`.
        """
        theta, beta, _ = draws_of_priors(self._model, PRIOR_DRAWS, random_seed)
        rows = draws_by_row(self._model, theta, beta)
        names = chosen_rows(rows, var_names)
        return draw_priors({name: rows[name] for name in names}, bounds_by_row(self._model))

    def prior_predictive(self, draws: int = 50, random_seed: int | None = None) -> Figure:
        """Densities of responses simulated from the priors, over that of the data.

        Parameters
        ----------
        draws : int
            How many simulated responses.
        random_seed : int, optional
            For the same draws again.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PriorError
            For a flat prior.
        """
        draws = whole_number("draws", draws)
        tree = prior_predictive(self._model, draws, random_seed)
        y = tree["prior_predictive"]["y"].to_numpy()[0]
        return draw_simulated(y, self._model.design.y, self._model.design.response)


def draws_by_row(model: Specification, theta: Array, beta: Array) -> dict[str, Array]:
    """Draws by the rows of ``summary()``, and of implied quantities by theirs.

    Parameters
    ----------
    model : Specification
    theta : (draws, k) array
    beta : (draws, p) array
    """
    rows = {f"beta[{name}]": beta[:, i] for i, name in enumerate(model.design.coef)}
    rows |= {name: theta[:, i] for i, name in enumerate(model.parameters.names)}
    return rows | implied_quantities(model, theta, beta)


def bounds_by_row(model: Specification) -> dict[str, tuple[float, float]]:
    """Where the supports of parameters and of implied quantities end."""
    bounds = {
        name: (float(low), float(high))
        for name, (low, high) in zip(model.parameters.names, model.parameters.bounds, strict=True)
    }
    bounds |= dict.fromkeys(derived_names(model), SHARE)
    for factor in model.design.factors:
        bounds[f"sd of a mean of {factor.name}"] = (0.0, np.inf)
    return bounds


def chosen_rows(rows: dict[str, Array], var_names: str | Sequence[str] | None) -> list[str]:
    """The rows that are asked for, by their names or by those of their variables.

    Raises
    ------
    ArgumentError
        For an unknown name.
    """
    if var_names is None:
        return list(rows)
    names = [var_names] if isinstance(var_names, str) else list(var_names)
    found = []
    for name in names:
        own = [row for row in rows if name in (row, row.partition("[")[0])]
        if not own:
            valid = [*dict.fromkeys(row.partition("[")[0] for row in rows), *rows]
            raise ArgumentError(unknown_name("variable", name, valid))
        found += own
    return list(dict.fromkeys(found))
