"""The covariance parameters as PyMC variables, which the collapsed and the full model share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayeslmm.variables import Variable, variables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytensor.tensor import TensorVariable

    from bayeslmm.parameters import Parameters
    from bayeslmm.prior_table import PriorTable
    from bayeslmm.priors import Prior

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


def covariance_variables(parameters: Parameters, priors: PriorTable) -> CovarianceVariables:
    """Add sd_<factor>, corr_<factor> and sigma to the model on the context.

    Elements of sd_<factor> whose priors are of one family are one variable; otherwise each is a
    variable of its own and sd_<factor> is what they make up. The variable of a correlation matrix
    is its Cholesky factor, as PyMC's ``LKJCorr`` has it. Where priors are about a random intercept
    at the means, the variable is sd_<factor>_at_means, of which the reported ones are made.
    """
    model = pm.modelcontext(None)
    pieces: list[TensorVariable] = []
    factors: dict[tuple[str, int], TensorVariable] = {}
    for variable in variables_of(parameters):
        own = priors.theta[variable.start : variable.stop]
        if variable.dim is None:
            pieces.append(own[0].to_pymc(variable.name)[None])
            continue
        model.add_coord(variable.dim, variable.labels)
        if variable.blocks[0].factor is None and variable.kind == "corr":
            lower = []
            for number, block in enumerate(variable.blocks):
                suffix = "" if len(variable.blocks) == 1 else f"_{number + 1}"
                K = own[0].to_pymc(f"cholesky_R{suffix}", n=block.size)
                lower.append(_correlations(K, block.size))
            values = pt.concatenate(lower)
            pieces.append(pm.Deterministic(variable.name, values, dims=variable.dim))
            continue
        if variable.kind not in ("sd", "corr"):
            pieces.append(vector_variable(variable.name, variable.labels, own, variable.dim))
            continue
        if variable.kind == "corr":
            lower = []
            for block in variable.blocks:
                K = factors.get((str(block.factor), block.bar))
                if K is None:  # of effects that share a standard deviation
                    prior = priors.theta[block.start]
                    K = prior.to_pymc(f"cholesky_{block.name}_{block.bar + 1}", n=block.size)
                lower.append(_correlations(K, block.size))
            values = pt.concatenate(lower)
            pieces.append(pm.Deterministic(variable.name, values, dims=variable.dim))
            continue
        moved = any((factor, bar) in priors.bases for factor, bar in _bars(variable))
        name = f"{variable.name}_at_means" if moved else variable.name
        sds = vector_variable(name, variable.labels, own, variable.dim)
        reported = []
        for block, (factor, bar) in zip(variable.blocks, _bars(variable), strict=True):
            part = sds[block.start - variable.start : block.stop - variable.start]
            corr = parameters.find(factor, bar, "corr")
            if corr and block.stop - block.start == block.size:
                suffix = "" if len(variable.blocks) == 1 else f"_{bar + 1}"
                K = priors.theta[corr.start].to_pymc(f"cholesky_{factor}{suffix}", n=block.size)
                basis = priors.basis(factor, bar, block.size)
                factors[factor, bar] = pt.dot(basis, part[:, None] * K)
                part = pt.sqrt((factors[factor, bar] ** 2).sum(axis=1)) if moved else part
            reported.append(part)
        if moved:
            values = pt.concatenate(reported)
            sds = pm.Deterministic(variable.name, values, dims=variable.dim)
        pieces.append(sds)
    return CovarianceVariables(pt.concatenate(pieces), factors)


def _bars(variable: Variable) -> list[tuple[str, int]]:
    return [(str(block.factor), block.bar) for block in variable.blocks]


def _correlations(L: TensorVariable, q: int) -> TensorVariable:
    """The strict lower triangle by rows of the correlation matrix of LL'."""
    unit = L / pt.sqrt((L**2).sum(axis=1))[:, None]
    rows, columns = np.tril_indices(q, -1)
    return (unit[rows] * unit[columns]).sum(axis=1)


def vector_variable(
    name: str, labels: Sequence[str], priors: Sequence[Prior], dim: str
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
    """
    family = priors[0].pymc_name
    if all(prior.pymc_name == family for prior in priors):
        arguments = {
            key: np.array([prior.pymc_arguments()[key] for prior in priors])
            for key in priors[0].pymc_arguments()
        }
        return getattr(pm, family)(name, **arguments, dims=dim)
    each = [prior.to_pymc(f"{name}[{label}]") for label, prior in zip(labels, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(each), dims=dim)


def theta_draws(variables: dict[str, np.ndarray], parameters: Parameters) -> np.ndarray:
    """Draws of theta from those of the variables, (chain, draw, k).

    Parameters
    ----------
    variables : dict of (chain, draw, ...) arrays
    parameters : Parameters
    """
    arrays = [variables[variable.name] for variable in variables_of(parameters)]
    return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=-1)
