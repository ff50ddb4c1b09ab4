"""Correlation matrices as an operation of PyTensor, with its gradient: `correlations` in a
``pm.Model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt
from numba import njit
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from bayeslmm.covariance.correlations.kernels import Correlation, correlation, correlation_pullback
from bayeslmm.data.frames import Array

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
        Their distances, used by functions of distance only; of `KNOWN` the correlations.

    Returns
    -------
    (m, t, t) tensor
        NaN where parameters are those of no correlation matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import pytensor.tensor as pt
    >>> from bayeslmm.pymc_models.correlation_op import correlation_matrices
    >>> from bayeslmm.covariance.correlations.kernels import AR1
    >>> rho = pt.as_tensor([[0.5]])
    >>> C = correlation_matrices(AR1, rho, np.array([[0, 1, 3]]), np.zeros((1, 3, 3)))
    >>> C.eval(mode="FAST_COMPILE")[0]
    array([[1.   , 0.5  , 0.125],
           [0.5  , 1.   , 0.25 ],
           [0.125, 0.25 , 1.   ]])
    """
    op = CorrelationMatrices(structure.code, structure.nugget)
    matrices: TensorVariable = op(params, points.astype(np.int64), distances)
    return matrices


@njit(cache=True, nogil=True, error_model="numpy")
def _matrices(code: int, nugget: bool, params: Array, points: Array, D: Array) -> Array:
    C = np.empty(D.shape)
    for i in range(len(D)):
        if not correlation(code, nugget, params[i], points[i], D[i], C[i]):
            C[i] = np.nan
    return C


@njit(cache=True, nogil=True, error_model="numpy")
def _pullback(code: int, nugget: bool, params: Array, points: Array, D: Array, dC: Array) -> Array:
    dparams = np.zeros(params.shape)
    for i in range(len(D)):
        correlation_pullback(code, nugget, params[i], points[i], D[i], dC[i], dparams[i])
    return dparams


class CorrelationMatrices(Op):
    """`correlation` of each set of rows; the structure is the operation's, the rest its inputs."""

    __props__ = ("code", "nugget")

    def __init__(self, code: int, nugget: bool) -> None:
        self.code = code
        self.nugget = nugget

    def make_node(self, *inputs: Any) -> Apply:
        """Apply to parameters, positions and distances."""
        return Apply(self, [pt.as_tensor_variable(value) for value in inputs], [pt.dtensor3()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Evaluate outside PyTensor's Numba backend."""
        arrays = map(np.ascontiguousarray, inputs)
        output_storage[0][0] = _matrices(self.code, self.nugget, *arrays)

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
        gradient = CorrelationPullback(self.code, self.nugget)(*inputs, *cotangents)
        return [gradient, disconnected_type(), disconnected_type()]


class CorrelationPullback(CorrelationMatrices):
    """The adjoint of `CorrelationMatrices`: that of the matrices is the last input."""

    def make_node(self, *inputs: Any) -> Apply:
        """Apply to parameters, positions, distances and the adjoint of the matrices."""
        return Apply(self, [pt.as_tensor_variable(value) for value in inputs], [pt.dmatrix()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Evaluate outside PyTensor's Numba backend."""
        arrays = map(np.ascontiguousarray, inputs)
        output_storage[0][0] = _pullback(self.code, self.nugget, *arrays)

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
    code, nugget = op.code, op.nugget

    @numba_njit
    def matrices(params: Any, points: Any, D: Any) -> Any:
        return _matrices(code, nugget, params, points, D)

    return matrices, 2  # the codes of correlations: another key where they change


@register_funcify_default_op_cache_key(CorrelationPullback)
def _numba_pullback(op: Any, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    code, nugget = op.code, op.nugget

    @numba_njit
    def pullback(params: Any, points: Any, D: Any, dC: Any) -> Any:
        return _pullback(code, nugget, params, points, D, dC)

    return pullback, 2
