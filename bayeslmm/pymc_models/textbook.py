"""The textbook hierarchical model in PyMC, in which beta and u are sampled like everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayeslmm.design.growth import exponent_places
from bayeslmm.design.variables import in_pymc, level_dim
from bayeslmm.priors.coefficients import covered
from bayeslmm.priors.families import MvNormal, VarianceSplit
from bayeslmm.pymc_models.correlation_op import correlation_matrices
from bayeslmm.pymc_models.parameters import covariance_variables, vector_variable
from bayeslmm.pymc_models.response import observe
from bayeslmm.pymc_models.split_variables import split_variables

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

    from bayeslmm.covariance.shapes import Shape
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.priors.families import Prior
    from bayeslmm.priors.table import PriorTable
    from bayeslmm.pymc_models.split_variables import SplitVariables

__all__ = ["coefficients", "full_model"]


def full_model(design: Design, parameters: Parameters, priors: PriorTable) -> pm.Model:
    """The ``pm.Model`` with beta, u and theta.

    Its marginal over beta and u is that of `collapsed_model`. Random effects are written as
    standard normal variables times the factor of G (non-centred), which keeps the geometry
    tractable when a standard deviation is near zero; those of levels with a known relationship also
    times its factor.

    Parameters
    ----------
    design : Design
    parameters : Parameters
    priors : PriorTable

    Returns
    -------
    pm.Model
        With ``beta`` (dim ``coef``), ``u_<factor>`` (dims ``<factor>``, ``<factor>_effect``), the
        parameters of `collapsed_model`, and the observed response.
    """
    with pm.Model(coords={"coef": design.coef}) as model:
        for factor in design.factors:
            model.add_coord(level_dim(factor.name), factor.levels)
            model.add_coord(in_pymc(f"{factor.name}_effect"), factor.effects)
        joint = split_variables(priors)
        beta = coefficients(design, priors, joint)
        variables = covariance_variables(parameters, priors, joint)
        mean = pt.dot(design.X, beta)
        if design.offset is not None:
            mean += design.offset
        for factor in design.factors:
            dims = (level_dim(factor.name), in_pymc(f"{factor.name}_effect"))
            z = pm.Normal(in_pymc(f"z_{factor.name}"), 0.0, 1.0, dims=dims)
            parts = []
            for i, bar in enumerate(factor.bars):
                sd = parameters.find(factor.name, i, "sd")
                if sd is None:
                    raise AssertionError(f"{bar.text} has no standard deviation")
                own = z[:, bar.slice]
                if bar.shape is not None:
                    L = _factor_of_shape(parameters, factor, i, bar.shape, variables.theta)
                    parts.append(own @ L.T)
                elif (factor.name, i) in variables.factors:
                    parts.append(own @ variables.factors[factor.name, i].T)
                elif sd.stop - sd.start == 1:  # a scalar, which all effects of the bar share
                    parts.append(own * variables.theta[sd.start])
                else:
                    parts.append(own * variables.theta[sd.slice])
            effects = pt.concatenate(parts, axis=1)
            if factor.related is not None:
                effects = pt.dot(factor.related.root, effects)
            u = pm.Deterministic(in_pymc(f"u_{factor.name}"), effects, dims=dims)
            mean += (factor.Z * u[factor.codes]).sum(axis=1)
        observe(design, parameters, mean, variables.theta)
    return model


def _factor_of_shape(
    parameters: Parameters,
    factor: GroupingFactor,
    position: int,
    shape: Shape,
    theta: TensorVariable,
) -> TensorVariable:
    """The factor (q, q) of G of a bar with a shape."""
    sd, *others = parameters.of_bar(factor.name, position)
    sds, q = theta[sd.slice] if shape.several else theta[sd.start], sd.size
    if shape.exponents:
        exponents = theta[exponent_places(parameters, factor, position)]
        sds = sds * pt.exp(pt.dot(shape.covariates, exponents))
    points, distances = np.arange(q)[None], shape.distances[None]
    own = [theta[b.slice] for b in others if b.kind != "power"]
    params = pt.concatenate([np.empty(0), *own])[None]
    C = correlation_matrices(shape.correlation, params, points, distances)[0]
    scale = sds[:, None] if shape.several or shape.exponents else sds
    return scale * pt.linalg.cholesky(C, on_error="nan")


def coefficients(
    design: Design, priors: PriorTable, split: SplitVariables | None
) -> TensorVariable:
    """beta, of coefficients that each have a prior, or a joint one.

    Where the intercept's prior is about the predictors' means, the variable is ``beta_at_means``,
    of which the reported coefficients are made.

    Parameters
    ----------
    design : Design
    priors : PriorTable
    split : SplitVariables, optional
        What a joint prior with standard deviations has made of the slopes.

    Returns
    -------
    (p,) tensor
        With the dimension ``coef``, which the model on the context has.
    """
    own = [priors[f"beta[{name}]"] for name in design.coef]
    if not own:
        return pm.Deterministic("beta", pt.zeros(0), dims="coef")
    basis = priors.beta_basis
    if np.array_equal(basis, np.eye(len(own))):
        return _vector("beta", design, own, split)
    at_means = _vector("beta_at_means", design, own, split)
    return pm.Deterministic("beta", pt.dot(basis, at_means), dims="coef")


def _vector(
    name: str, design: Design, priors: list[Prior], split: SplitVariables | None
) -> TensorVariable:
    slopes = None if split is None else split.slopes
    joint = next((prior for prior in priors if isinstance(prior, MvNormal)), None)
    if joint is None and slopes is None:
        return vector_variable(name, design.coef, priors, "coef")
    together = {}
    if joint is not None:
        own = covered(joint, design.coef)
        vector = joint.to_pymc(f"{name}_joint", shape=len(own))
        together = {label: vector[i] for i, label in enumerate(own)}
    if slopes is not None:
        under = [isinstance(prior, VarianceSplit) for prior in priors]
        together |= {design.coef[j]: slopes[j] for j in np.flatnonzero(under)}
    each = [
        together[label] if label in together else prior.to_pymc(in_pymc(f"{name}[{label}]"))
        for label, prior in zip(design.coef, priors, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(each), dims="coef")
