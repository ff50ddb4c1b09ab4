"""The covariance parameters as PyMC variables, which the collapsed and the full model share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayeslmm.design.variables import Variable, in_pymc, variables_in_pymc
from bayeslmm.priors.families import Fixed
from bayeslmm.priors.matrix import CovariancePrior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytensor.tensor import TensorVariable

    from bayeslmm.design.parameters import Parameters
    from bayeslmm.priors.families import Prior
    from bayeslmm.priors.table import PriorTable
    from bayeslmm.pymc_models.split_variables import SplitVariables

__all__ = ["CovarianceVariables", "covariance_variables", "theta_draws", "vector_variable"]


@dataclass(frozen=True, eq=False)
class CovarianceVariables:
    """Variables of a model on the context.

    Attributes
    ----------
    theta : vector
        In the order of `Parameters`.
    factors : dict
        By grouping factor and bar, a factor (q, q) of the bar's G, of bars with correlations.
    """

    theta: TensorVariable
    factors: dict[tuple[str, int], TensorVariable]


def covariance_variables(
    parameters: Parameters, priors: PriorTable, joint: SplitVariables | None
) -> CovarianceVariables:
    """Add sd_<factor>, corr_<factor> and sigma to the model on the context.

    Elements of sd_<factor> whose priors are of one family are one variable; otherwise each is a
    variable of its own and sd_<factor> is what they make up. The variable of a correlation matrix
    is its Cholesky factor, as PyMC's ``LKJCorr`` has it. Where priors are about a random intercept
    at the means, or about the means of covariates that standard deviations grow with, the variable
    is sd_<factor>_at_means, of which the reported ones are made, and sigma_at_means for sigma.

    Parameters
    ----------
    parameters : Parameters
    priors : PriorTable
    joint : SplitVariables, optional
        What a joint prior of all standard deviations has made of them.
    """
    model = pm.modelcontext(None)
    pieces: list[TensorVariable] = []
    factors: dict[tuple[str, int], TensorVariable] = {}
    split = None if joint is None else joint.sds
    R: TensorVariable | None = None
    for variable in variables_in_pymc(parameters):
        own = priors.theta[variable.slice]
        if variable.dim is not None:
            model.add_coord(variable.dim, variable.labels)
        if variable.kind == "sigma":
            ready = split if split is None else split[variable.start :]
            ready = ready if R is None else pt.sqrt((R**2).sum(axis=1))
            pieces.append(_sigmas(variable, priors, pieces, ready))
            continue
        if variable.dim is None:
            pieces.append(own[0].parameter(variable.name, *variable.bounds[0])[None])
            continue
        if variable.blocks[0].factor is None and variable.kind == "corr":
            lower = []
            for number, block in enumerate(variable.blocks):
                suffix = "" if len(variable.blocks) == 1 else f"_{number + 1}"
                if isinstance(own[0], CovariancePrior):
                    K = R = own[0].covariance_factor("R")
                else:
                    K = own[0].correlation_factor(f"cholesky_R{suffix}", block.size)
                lower.append(_correlations(K, block.size))
            values = pt.concatenate(lower)
            pieces.append(pm.Deterministic(variable.name, values, dims=variable.dim))
            continue
        if variable.kind not in ("sd", "corr"):
            values = vector_variable(
                variable.name, variable.labels, own, variable.dim, variable.bounds
            )
            pieces.append(values)
            continue
        if variable.kind == "corr":
            lower = []
            for block in variable.blocks:
                K = factors.get((str(block.factor), block.bar))
                if K is None:  # of effects that share a standard deviation
                    prior = priors.theta[block.start]
                    name = in_pymc(f"cholesky_{block.name}_{block.bar + 1}")
                    K = prior.correlation_factor(name, block.size)
                lower.append(_correlations(K, block.size))
            values = pt.concatenate(lower)
            pieces.append(pm.Deterministic(variable.name, values, dims=variable.dim))
            continue
        places = range(variable.start, variable.stop)
        grown = any(place in priors.exponents for place in places)
        moved = grown or any((factor, bar) in priors.bases for factor, bar in _bars(variable))
        name = f"{variable.name}_at_means" if moved else variable.name
        wholes = _matrix_factors(variable, priors)
        factors |= wholes
        if wholes:
            sds, moved = _beside_matrices(variable, name, own, wholes), True
        elif split is None:
            sds = vector_variable(name, variable.labels, own, variable.dim)
        else:
            values = split[variable.slice]
            sds = pm.Deterministic(name, values, dims=variable.dim)
        if grown:
            sds = sds / _growth(places, priors, pieces)
        reported = []
        for block, (factor, bar) in zip(variable.blocks, _bars(variable), strict=True):
            part = sds[block.start - variable.start : block.stop - variable.start]
            corr = parameters.find(factor, bar, "corr")
            each = block.stop - block.start == block.size
            if (factor, bar) not in wholes and corr and each and not corr.sharing:
                suffix = "" if len(variable.blocks) == 1 else f"_{bar + 1}"
                own_name = in_pymc(f"cholesky_{factor}{suffix}")
                K = priors.theta[corr.start].correlation_factor(own_name, block.size)
                basis = priors.basis(factor, bar, block.size)
                factors[factor, bar] = pt.dot(basis, part[:, None] * K)
                part = pt.sqrt((factors[factor, bar] ** 2).sum(axis=1)) if moved else part
            reported.append(part)
        if moved:
            values = pt.concatenate(reported)
            sds = pm.Deterministic(variable.name, values, dims=variable.dim)
        pieces.append(sds)
    return CovarianceVariables(pt.concatenate(pieces), factors)


def _matrix_factors(
    variable: Variable, priors: PriorTable
) -> dict[tuple[str, int], TensorVariable]:
    """By factor and bar, a factor of G of the bars whose G has a prior as a whole."""
    found = {}
    for block, (factor, bar) in zip(variable.blocks, _bars(variable), strict=True):
        prior = priors.theta[block.start]
        if isinstance(prior, CovariancePrior):
            suffix = "" if len(variable.blocks) == 1 else f"_{bar + 1}"
            found[factor, bar] = prior.covariance_factor(in_pymc(f"G_{factor}{suffix}"))
    return found


def _beside_matrices(
    variable: Variable,
    name: str,
    priors: Sequence[Prior],
    wholes: dict[tuple[str, int], TensorVariable],
) -> TensorVariable:
    """The standard deviations of bars some of which have a prior of the whole matrix."""
    parts = []
    for block, bar in zip(variable.blocks, _bars(variable), strict=True):
        if bar in wholes:
            parts.append(pt.sqrt((wholes[bar] ** 2).sum(axis=1)))
            continue
        places = range(block.start - variable.start, block.stop - variable.start)
        each = [
            priors[i].parameter(in_pymc(f"{name}[{variable.labels[i]}]"), 0.0, np.inf)
            for i in places
        ]
        parts.append(pt.stack(each))
    return pt.concatenate(parts)


def _sigmas(
    variable: Variable,
    priors: PriorTable,
    before: Sequence[TensorVariable],
    ready: TensorVariable | None,
) -> TensorVariable:
    """The residual standard deviations: what a joint prior has made of them, or variables of their
    own, which may be those at the means of covariates.

    Parameters
    ----------
    variable : Variable
    priors : PriorTable
    before : sequence of vectors
        What precedes them in theta.
    ready : vector, optional
        The standard deviations, if they are made already.
    """
    own = priors.theta[variable.slice]
    places = range(variable.start, variable.stop)
    shifted = any(place in priors.exponents for place in places)
    values = ready
    if values is None:
        name = f"{variable.name}_at_means" if shifted else variable.name
        if variable.dim is None:
            values = own[0].parameter(name, *variable.bounds[0])[None]
        else:
            values = vector_variable(name, variable.labels, own, variable.dim, variable.bounds)
        if not shifted:
            return values
        values = values / _growth(places, priors, before)
    if variable.dim is None:
        return pm.Deterministic(variable.name, values[0])[None]
    return pm.Deterministic(variable.name, values, dims=variable.dim)


def _growth(places: range, priors: PriorTable, before: Sequence[TensorVariable]) -> TensorVariable:
    """What standard deviations are multiplied by at the means of covariates, which exponents say
    that precede them in theta.
    """
    zero = np.zeros(len(priors.theta))
    weights = np.array([priors.exponents.get(i, zero)[: places.start] for i in places])
    return pt.exp(pt.dot(weights, pt.concatenate(before)))


def _bars(variable: Variable) -> list[tuple[str, int]]:
    return [(str(block.factor), block.bar) for block in variable.blocks]


def _correlations(L: TensorVariable, q: int) -> TensorVariable:
    """The strict lower triangle by rows of the correlation matrix of LL'."""
    unit = L / pt.sqrt((L**2).sum(axis=1))[:, None]
    rows, columns = np.tril_indices(q, -1)
    return (unit[rows] * unit[columns]).sum(axis=1)


def vector_variable(
    name: str,
    labels: Sequence[str],
    priors: Sequence[Prior],
    dim: str,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> TensorVariable:
    """A vector of independent parameters, added to the model on the context.

    Priors of one family make one variable; else each parameter is a variable of its own, with its
    label in brackets, and the vector is what they make up.

    Parameters
    ----------
    name : str
    labels : sequence of str
    priors : sequence of Prior
        One for each label.
    dim : str
        The dimension of the vector.
    bounds : sequence of pairs of floats, optional
        The interval that each parameter lies in; none by default.
    """
    family = priors[0].pymc_name
    own = any(prior.pymc_suffix or isinstance(prior, Fixed) for prior in priors)
    if not own and all(prior.pymc_name == family for prior in priors):
        arguments = {
            key: np.array([prior.pymc_arguments()[key] for prior in priors])
            for key in priors[0].pymc_arguments()
        }
        return getattr(pm, family)(name, **arguments, dims=dim)
    intervals = [(-np.inf, np.inf)] * len(priors) if bounds is None else bounds
    each = [
        prior.parameter(in_pymc(f"{name}[{label}]"), *interval)
        for label, prior, interval in zip(labels, priors, intervals, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(each), dims=dim)


def theta_draws(variables: dict[str, np.ndarray], parameters: Parameters) -> np.ndarray:
    """Draws of theta from those of the variables, (chain, draw, k).

    Parameters
    ----------
    variables : dict of (chain, draw, ...) arrays
    parameters : Parameters
    """
    arrays = [variables[variable.name] for variable in variables_in_pymc(parameters)]
    return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=-1)
