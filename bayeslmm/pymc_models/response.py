"""The observed response of the textbook model, with independent or structured residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayeslmm.design.variables import response_name
from bayeslmm.pymc_models.correlation_op import correlation_matrices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytensor.tensor import TensorVariable

    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.design.residuals import Residuals
    from bayeslmm.support.arrays import Array

__all__ = ["observe", "subjects_by_length"]


def observe(
    design: Design, parameters: Parameters, mean: TensorVariable, theta: TensorVariable
) -> None:
    """Add the observed response to the model on the context.

    Subjects with equally many rows are one variable, a multivariate normal for each of them: named
    as the response if all have, else with the number of rows in brackets. Independent residuals are
    one normal variable.

    Parameters
    ----------
    design : Design
    parameters : Parameters
    mean : (n,) tensor
        The linear predictor.
    theta : (k,) tensor
        The covariance parameters.
    """
    residuals, response = design.residuals, response_name(design, parameters)
    sd = _standard_deviations(design, theta)
    if residuals is None or residuals.structure.correlation.independent:
        pm.Normal(response, mean, sd, observed=design.y)
        return
    lengths = list(subjects_by_length(residuals))
    for rows in lengths:
        t = rows.shape[1]
        name = response if len(lengths) == 1 else f"{response}[{t} rows]"
        if t == 1:
            own = rows[:, 0]
            pm.Normal(name, mean[own], sd[own], observed=design.y[own])
            continue
        subject, which = _distinct(design, residuals, rows)
        own = rows[subject]
        C = _correlations(residuals, own, theta)
        cov = sd[own][:, :, None] * C * sd[own][:, None, :]
        cov = cov[0] if len(own) == 1 else cov[which]
        pm.MvNormal(name, mean[rows], cov, observed=design.y[rows])


def subjects_by_length(residuals: Residuals) -> Iterator[Array]:
    """Rows (subjects, t) in the order of occasions, of the subjects with t rows, for each t."""
    order = residuals.rows.order
    block = residuals.rows.block[order]
    starts = np.flatnonzero(np.r_[True, block[1:] != block[:-1]])
    lengths = np.diff(np.r_[starts, len(block)])
    for t in np.unique(lengths):
        yield order[starts[lengths == t][:, None] + np.arange(t)]


def _standard_deviations(design: Design, theta: TensorVariable) -> TensorVariable:
    """Residual standard deviations of the rows, or one for all."""
    if design.residuals is None:
        sd = theta[-1]
    else:
        rows = design.residuals.rows
        first = theta.shape[0] - rows.n_sigmas
        sd = theta[first:][rows.sigma] if rows.n_sigmas > 1 else theta[-1]
        powers = rows.covariates.shape[1]
        if powers:
            sd = sd * pt.exp(pt.dot(rows.covariates, theta[first - powers : first]))
        sd = sd * np.ones(len(design.y))
    return sd if design.weights is None else sd / np.sqrt(design.weights)


def _distinct(design: Design, residuals: Residuals, rows: Array) -> tuple[Array, Array]:
    """Subjects whose covariance matrices are all that there are, and which of them each has."""
    own = residuals.rows
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    known = [own.stratum, own.point, own.sigma, weights, *own.covariates.T]
    columns = [values[rows] for values in known]
    columns += [place[rows] - place[rows[:, :1]] for place in own.place.T]
    _, subject, which = np.unique(
        np.hstack(columns), axis=0, return_index=True, return_inverse=True
    )
    return subject, which.ravel()


def _correlations(residuals: Residuals, rows: Array, theta: TensorVariable) -> TensorVariable:
    own = residuals.rows
    first = theta.shape[0] - own.n_parameters
    stop = first + own.n_strata * own.n_corr
    # strata without parameters of their own share them
    stratum = own.stratum[rows[:, 0]] if own.n_strata > 1 else np.zeros(len(rows), dtype=np.int64)
    params = theta[first:stop].reshape((own.n_strata, own.n_corr))[stratum]
    correlation = residuals.structure.correlation
    return correlation_matrices(correlation, params, own.point[rows], own.between(rows))
