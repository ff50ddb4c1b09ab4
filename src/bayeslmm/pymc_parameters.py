"""The covariance parameters as PyMC variables, which the collapsed and the full model share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytensor.tensor import TensorVariable

    from bayeslmm.parameters import Parameters
    from bayeslmm.prior_table import PriorTable
    from bayeslmm.priors import Prior

__all__ = ["CovarianceVariables", "covariance_variables", "theta_draws"]


@dataclass(frozen=True, eq=False)
class CovarianceVariables:
    """Variables of a model on the context.

    Attributes
    ----------
    theta : vector
        In the order of `Parameters`.
    cholesky : dict
        By factor and bar, the Cholesky factor (q, q) of the bar's correlation matrix, where it has
        one.
    """

    theta: TensorVariable
    cholesky: dict[tuple[str, int], TensorVariable]


def covariance_variables(parameters: Parameters, priors: PriorTable) -> CovarianceVariables:
    """Add sd_<factor>, corr_<factor> and sigma to the model on the context.

    Elements of sd_<factor> whose priors are of one family are one variable; otherwise each is a
    variable of its own and sd_<factor> is what they make up. The variable of a correlation matrix
    is its Cholesky factor, as PyMC's ``LKJCorr`` has it.
    """
    model = pm.modelcontext(None)
    names = list(dict.fromkeys(block.name for block in parameters.blocks))
    pieces: list[TensorVariable] = []
    cholesky: dict[tuple[str, int], TensorVariable] = {}
    for name in names:
        blocks = [block for block in parameters.blocks if block.name == name]
        labels = [
            label if isinstance(label, str) else ", ".join(label)
            for block in blocks
            for label in block.labels
        ]
        own = [priors.theta[i] for block in blocks for i in range(block.start, block.stop)]
        if blocks[0].kind == "sigma":
            pieces.append(own[0].to_pymc(name)[None])
        elif blocks[0].kind == "sd":
            dim = _dim(model, f"{blocks[0].factor}_effect", labels)
            pieces.append(_sd(name, labels, own, dim))
        else:
            lower = []
            for block in blocks:
                suffix = "" if len(blocks) == 1 else f"_{block.bar + 1}"
                L = own[0].to_pymc(f"cholesky_{block.factor}{suffix}", n=block.size)
                cholesky[str(block.factor), block.bar] = L
                rows, columns = np.tril_indices(block.size, -1)
                lower.append((L[rows] * L[columns]).sum(axis=1))
            dim = _dim(model, f"{blocks[0].factor}_pair", labels)
            pieces.append(pm.Deterministic(name, pt.concatenate(lower), dims=dim))
    return CovarianceVariables(pt.concatenate(pieces), cholesky)


def _dim(model: pm.Model, dim: str, labels: Sequence[str]) -> str:
    """Register a dimension; under another name where this one has other labels already."""
    if dim in model.coords and list(model.coords[dim]) != list(labels):
        dim += "_sd"
    model.add_coord(dim, list(labels))
    return dim


def _sd(name: str, labels: Sequence[str], priors: Sequence[Prior], dim: str) -> TensorVariable:
    family = type(priors[0])
    if all(type(prior) is family for prior in priors):
        arguments = {
            key: np.array([prior.pymc_arguments()[key] for prior in priors])
            for key in priors[0].pymc_arguments()
        }
        return getattr(pm, family.pymc_name)(name, **arguments, dims=dim)
    each = [prior.to_pymc(f"{name}[{label}]") for label, prior in zip(labels, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(each), dims=dim)


def theta_draws(variables: dict[str, np.ndarray], parameters: Parameters) -> np.ndarray:
    """Draws of theta from those of the variables, (chain, draw, k).

    Parameters
    ----------
    variables : dict of (chain, draw, ...) arrays
    parameters : Parameters
    """
    names = dict.fromkeys(block.name for block in parameters.blocks)
    return np.concatenate(
        [variables[name].reshape(*variables[name].shape[:2], -1) for name in names], axis=-1
    )
