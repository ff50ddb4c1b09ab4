"""The covariance parameters as PyMC variables, which the collapsed and the full model share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayeslmm.variables import variables_of

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
    pieces: list[TensorVariable] = []
    cholesky: dict[tuple[str, int], TensorVariable] = {}
    for variable in variables_of(parameters):
        own = priors.theta[variable.start : variable.stop]
        if variable.dim is None:
            pieces.append(own[0].to_pymc(variable.name)[None])
            continue
        model.add_coord(variable.dim, variable.labels)
        if variable.kind == "sd":
            pieces.append(_sd(variable.name, variable.labels, own, variable.dim))
        else:
            lower = []
            for block in variable.blocks:
                suffix = "" if len(variable.blocks) == 1 else f"_{block.bar + 1}"
                L = own[0].to_pymc(f"cholesky_{block.factor}{suffix}", n=block.size)
                cholesky[str(block.factor), block.bar] = L
                rows, columns = np.tril_indices(block.size, -1)
                lower.append((L[rows] * L[columns]).sum(axis=1))
            piece = pm.Deterministic(variable.name, pt.concatenate(lower), dims=variable.dim)
            pieces.append(piece)
    return CovarianceVariables(pt.concatenate(pieces), cholesky)


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
    arrays = [variables[variable.name] for variable in variables_of(parameters)]
    return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=-1)
