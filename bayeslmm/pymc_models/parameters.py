"""The covariance parameters as PyMC variables, which the collapsed and the full model share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.linalg import solve_triangular

from bayeslmm.design.variables import Variable, in_pymc, variables_in_pymc
from bayeslmm.priors.families import Beta, Fixed, HuangWand, InverseWishart, Wishart

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
        own = priors.theta[variable.start : variable.stop]
        if variable.dim is not None:
            model.add_coord(variable.dim, variable.labels)
        if variable.kind == "sigma":
            ready = split if split is None else split[variable.start :]
            ready = ready if R is None else pt.sqrt((R**2).sum(axis=1))
            pieces.append(_sigmas(variable, priors, pieces, ready))
            continue
        if variable.dim is None:
            pieces.append(_scalar(variable.name, own[0], _bounds(variable)[0])[None])
            continue
        if variable.blocks[0].factor is None and variable.kind == "corr":
            lower = []
            for number, block in enumerate(variable.blocks):
                suffix = "" if len(variable.blocks) == 1 else f"_{number + 1}"
                if own[0].support == "covariance":
                    K = R = _covariance_factor(own[0], "R")
                else:
                    K = _cholesky(own[0], f"cholesky_R{suffix}", block.size)
                lower.append(_correlations(K, block.size))
            values = pt.concatenate(lower)
            pieces.append(pm.Deterministic(variable.name, values, dims=variable.dim))
            continue
        if variable.kind not in ("sd", "corr"):
            values = vector_variable(
                variable.name, variable.labels, own, variable.dim, _bounds(variable)
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
                    K = prior.to_pymc(name, n=block.size)
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
            values = split[variable.start : variable.stop]
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
                K = _cholesky(priors.theta[corr.start], own_name, block.size)
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
        if prior.support == "covariance":
            suffix = "" if len(variable.blocks) == 1 else f"_{bar + 1}"
            found[factor, bar] = _covariance_factor(prior, in_pymc(f"G_{factor}{suffix}"))
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
            _scalar(in_pymc(f"{name}[{variable.labels[i]}]"), priors[i], (0.0, np.inf))
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
    own = priors.theta[variable.start : variable.stop]
    places = range(variable.start, variable.stop)
    shifted = any(place in priors.exponents for place in places)
    values = ready
    if values is None:
        name = f"{variable.name}_at_means" if shifted else variable.name
        if variable.dim is None:
            values = _scalar(name, own[0], _bounds(variable)[0])[None]
        else:
            values = vector_variable(name, variable.labels, own, variable.dim, _bounds(variable))
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


def _cholesky(prior: Prior, name: str, q: int) -> TensorVariable:
    """Cholesky factor of a correlation matrix, whose elements are all the same where it is held."""
    if isinstance(prior, Fixed):
        held = np.full((q, q), prior.value) + (1.0 - prior.value) * np.eye(q)
        return pt.as_tensor_variable(np.linalg.cholesky(held))
    return prior.to_pymc(name, n=q)


def _covariance_factor(prior: Prior, name: str) -> TensorVariable:
    """A factor F (q, q) of G = FF' under a prior of the whole matrix, after Bartlett.

    A Wishart matrix with scale LL' is LAA'L', where A is lower triangular with independent
    elements: roots of chi-squared variables with df, df - 1, ... degrees of freedom on the
    diagonal, and standard normal ones below. The inverse of one has the factor (LA)'⁻¹.
    """
    if isinstance(prior, HuangWand):
        q, df = prior.size, prior.df + prior.size - 1
        a = pm.InverseGamma(f"{name}_a", 0.5, 1 / np.array(prior.scales) ** 2, shape=q)
        L = pt.diag(pt.sqrt(a / (2 * prior.df)))
    elif isinstance(prior, Wishart | InverseWishart):
        q, df, scale = prior.size, prior.df, np.array(prior.scale)
        inverse = isinstance(prior, InverseWishart)
        L = pt.as_tensor_variable(np.linalg.cholesky(np.linalg.inv(scale) if inverse else scale))
    else:
        raise AssertionError(f"{prior!r} is no prior of a covariance matrix")
    squares = pm.ChiSquared(f"{name}_squares", df - np.arange(q), shape=q)
    A = pt.diag(pt.sqrt(squares))
    if q > 1:
        below = pm.Normal(f"{name}_below", 0.0, 1.0, shape=q * (q - 1) // 2)
        A = pt.set_subtensor(A[np.tril_indices(q, -1)], below)
    F = pt.dot(L, A)
    return F if isinstance(prior, Wishart) else solve_triangular(F.T, np.eye(q), lower=False)


def _scalar(name: str, prior: Prior, bounds: tuple[float, float]) -> TensorVariable:
    """One parameter; a held one is a number, one in an interval a share of it."""
    if isinstance(prior, Fixed):
        return pm.Deterministic(name, pt.as_tensor_variable(np.float64(prior.value)))
    if isinstance(prior, Beta):
        lower, upper = bounds
        share = prior.to_pymc(f"{name}_share")
        return pm.Deterministic(name, lower + (upper - lower) * share)
    return prior.to_pymc(name)


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
    own = any(isinstance(prior, Beta | Fixed) for prior in priors)
    if not own and all(prior.pymc_name == family for prior in priors):
        arguments = {
            key: np.array([prior.pymc_arguments()[key] for prior in priors])
            for key in priors[0].pymc_arguments()
        }
        return getattr(pm, family)(name, **arguments, dims=dim)
    intervals = [(-np.inf, np.inf)] * len(priors) if bounds is None else bounds
    each = [
        _scalar(in_pymc(f"{name}[{label}]"), prior, interval)
        for label, prior, interval in zip(labels, priors, intervals, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(each), dims=dim)


def _bounds(variable: Variable) -> list[tuple[float, float]]:
    return [(block.lower, block.upper) for block in variable.blocks for _ in block.labels]


def theta_draws(variables: dict[str, np.ndarray], parameters: Parameters) -> np.ndarray:
    """Draws of theta from those of the variables, (chain, draw, k).

    Parameters
    ----------
    variables : dict of (chain, draw, ...) arrays
    parameters : Parameters
    """
    arrays = [variables[variable.name] for variable in variables_in_pymc(parameters)]
    return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=-1)
