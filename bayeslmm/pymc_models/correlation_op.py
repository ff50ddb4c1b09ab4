"""Correlation matrices as an operation of PyTensor, with its gradient: `correlations` in a
``pm.Model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt
from numba import types
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from bayeslmm.covariance.correlations.base import Correlation
from bayeslmm.covariance.correlations.kernels import correlation, correlation_pullback
from bayeslmm.pymc_models.numba_calls import external
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytensor.graph.basic import Variable
    from pytensor.tensor import TensorVariable

__all__ = ["correlation_matrices"]


def correlation_matrices(
    structure: Correlation, params: TensorVariable, points: Array, distances: Array
) -> TensorVariable:
    """Correlation matrices of several sets of rows.

    Parameters
    ----------
    structure : Correlation
    params : (m, n_corr) tensor
        The parameters of each set.
    points : (m, t) array of int
        Positions of its rows among the occasions.
    distances : (m, t, t) array
        Their distances, used by functions of distance only; of known correlations these.

    Returns
    -------
    (m, t, t) tensor
        NaN where parameters are those of no correlation matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import pytensor.tensor as pt
    >>> from bayeslmm.pymc_models.correlation_op import correlation_matrices
    >>> import bayeslmm as bl
    >>> rho = pt.as_tensor([[0.5]])
    >>> points, distances = np.array([[0, 1, 3]]), np.zeros((1, 3, 3))
    >>> C = correlation_matrices(bl.AR1().correlation, rho, points, distances)
    >>> C.eval(mode="FAST_COMPILE")[0]
    array([[1.   , 0.5  , 0.125],
           [0.5  , 1.   , 0.25 ],
           [0.125, 0.25 , 1.   ]])
    """
    op = CorrelationMatrices(structure)
    matrices: TensorVariable = op(params, points.astype(np.int64), distances)
    return matrices


class CorrelationMatrices(Op):
    """`correlation` of each set of rows; the structure is the operation's, the rest its inputs."""

    __props__ = ("structure",)

    def __init__(self, structure: Correlation) -> None:
        self.structure = structure

    def make_node(self, *inputs: Any) -> Apply:
        """Apply to parameters, positions and distances."""
        return Apply(self, [pt.as_tensor_variable(value) for value in inputs], [pt.dtensor3()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Evaluate outside PyTensor's Numba backend."""
        arrays = map(np.ascontiguousarray, inputs)
        output_storage[0][0] = correlation(self.structure, *arrays)[0]

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """That of the distances."""
        return [shapes[2]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only parameters can be differentiated with respect to."""
        return [[True], [False], [False]]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """The adjoint that `correlations` has."""
        gradient = CorrelationPullback(self.structure)(*inputs, *cotangents)
        return [gradient, disconnected_type(), disconnected_type()]


class CorrelationPullback(CorrelationMatrices):
    """The adjoint of `CorrelationMatrices`: that of the matrices is the last input."""

    def make_node(self, *inputs: Any) -> Apply:
        """Apply to parameters, positions, distances and the adjoint of the matrices."""
        return Apply(self, [pt.as_tensor_variable(value) for value in inputs], [pt.dmatrix()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Evaluate outside PyTensor's Numba backend."""
        arrays = map(np.ascontiguousarray, inputs)
        output_storage[0][0] = correlation_pullback(self.structure, *arrays)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """That of the parameters."""
        return [shapes[0]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """There are no second derivatives."""
        return [[False]] * len(node.inputs)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """There are no second derivatives."""
        raise NotImplementedError("second derivatives of correlations are not available")


@register_funcify_default_op_cache_key(CorrelationMatrices)
def _numba_matrices(op: Any, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    code, nugget = op.structure.code, op.structure.nugget
    correlations = external("correlations", "ibaiiiaaa")

    @numba_njit
    def matrices(params: Any, points: Any, D: Any) -> Any:
        C = np.empty(D.shape)
        own, at = np.ascontiguousarray(params), np.ascontiguousarray(points)
        between = np.ascontiguousarray(D)
        correlations(
            code,
            nugget,
            own.ctypes,
            own.shape[1],
            own.shape[0],
            at.shape[1],
            at.ctypes,
            between.ctypes,
            C.ctypes,
        )
        return C

    return matrices, 4  # the codes of correlations: another key where they change


@register_funcify_default_op_cache_key(CorrelationPullback)
def _numba_pullback(op: Any, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    code, nugget = op.structure.code, op.structure.nugget
    correlations_pullback = external("correlations_pullback", "ibaiiiaaaa", types.void)

    @numba_njit
    def pullback(params: Any, points: Any, D: Any, dC: Any) -> Any:
        dparams = np.zeros(params.shape)
        own, at = np.ascontiguousarray(params), np.ascontiguousarray(points)
        between, adjoint = np.ascontiguousarray(D), np.ascontiguousarray(dC)
        correlations_pullback(
            code,
            nugget,
            own.ctypes,
            own.shape[1],
            own.shape[0],
            at.shape[1],
            at.ctypes,
            between.ctypes,
            adjoint.ctypes,
            dparams.ctypes,
        )
        return dparams

    return pullback, 4
