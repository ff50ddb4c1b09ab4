"""The collapsed model in PyMC: priors of theta, and the mixed-model equations as one operation.

The operation has its gradient; beta and u are integrated out. The density is the one that `density`
evaluates without PyTensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from bayeslmm.equations import kernels
from bayeslmm.equations.system import Packed
from bayeslmm.pymc_models.numba_calls import external
from bayeslmm.pymc_models.parameters import covariance_variables
from bayeslmm.pymc_models.split_variables import split_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytensor.graph.basic import Variable

    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["CollapsedLogLikelihood", "collapsed_model"]


class CollapsedLogLikelihood(Op):
    """Log density of y given theta, with beta and u integrated out, and its gradient in theta.

    All data are inputs, so that every model shares one compiled function.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Apply to theta, beta's prior mean and precision, and the equations' arrays."""
        variables = [pt.as_tensor_variable(value) for value in inputs]
        return Apply(self, variables, [pt.dscalar(), pt.dvector()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Evaluate outside PyTensor's Numba backend."""
        theta, mean, precision, ints, floats = map(np.ascontiguousarray, inputs)
        value, gradient = kernels.collapsed(theta, mean, precision, Packed(ints, floats))
        output_storage[0][0] = np.asarray(value)
        output_storage[1][0] = gradient

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """A scalar, and a vector like theta."""
        return [(), shapes[0]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only theta can be differentiated with respect to."""
        return [[i == 0, i == 0] for i in range(len(node.inputs))]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """The gradient that was computed along with the value."""
        if not isinstance(cotangents[1].type, DisconnectedType):
            raise NotImplementedError(
                "second derivatives of the collapsed likelihood are not available"
            )
        return [cotangents[0] * outputs[1], *(disconnected_type() for _ in inputs[1:])]


@register_funcify_default_op_cache_key(CollapsedLogLikelihood)
def _numba_collapsed(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    loglik = external("loglik", "aiaiaaaa")
    kind = kernels.REML

    @numba_njit
    def collapsed(theta: Any, beta_mean: Any, beta_precision: Any, ints: Any, floats: Any) -> Any:
        packed = np.empty(3, dtype=np.int64)  # `PackedVectors`
        packed[0], packed[1], packed[2] = ints.ctypes.data, len(ints), floats.ctypes.data
        value, gradient = np.full(1, -np.inf), np.zeros(len(theta))
        loglik(
            packed.ctypes,
            kind,
            theta.ctypes,
            len(theta),
            beta_mean.ctypes,
            beta_precision.ctypes,
            gradient.ctypes,
            value.ctypes,
        )
        return np.asarray(value[0]), gradient

    return collapsed, 7  # how the library is called: another key where it changes


def collapsed_model(equations: Equations, priors: PriorTable, response: str = "y") -> pm.Model:
    """The ``pm.Model`` over theta.

    Parameters
    ----------
    equations : Equations
    priors : PriorTable
    response : str
        Names the potential that holds the likelihood.

    Returns
    -------
    pm.Model
        With ``sd_<factor>``, ``corr_<factor>`` and ``sigma``.
    """
    data = (priors.beta_mean, priors.beta_precision, *equations.arrays)
    names = ("beta_mean", "beta_precision", "equations_ints", "equations_floats")
    with pm.Model() as model:
        joint = split_variables(priors)
        theta = covariance_variables(equations.parameters, priors, joint).theta
        shared = [pytensor.shared(a, name=name) for a, name in zip(data, names, strict=True)]
        value, _ = CollapsedLogLikelihood()(theta, *shared)
        pm.Potential(response, value)
    return model
