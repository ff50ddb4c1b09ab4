"""Cross-products under a structured R, at given parameters, and the adjoint back to these.

The rows of data that are correlated with each other are a *block*. For each block the rows of
[Z X y] are divided by their standard deviations (relative to sigma) and whitened by their
correlation (`whitening`); the cross-products of the result take the place of those that
`elimination` makes for independent residuals, and everything that works on these stays as it is.
Blocks with the same occasions are one *pattern*, and share what whitens them. `residual_packing`
writes the vectors that are read here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayeslmm.core.library import Status, address, floats, function

if TYPE_CHECKING:
    from bayeslmm.equations.system import Packed

__all__ = [
    "N_HEADER",
    "assemble",
    "coloured",
    "replace_covariates",
    "replace_response",
]

N_HEADER = 17
"""Length of the header of offsets at the front of R's part of the integers."""


class Residual(NamedTuple):
    """Views into the part of the packed vectors that is R's."""

    meta: np.ndarray
    """code, nugget, correlation parameters of a stratum, how to whiten, sds, covariates, place of
    the first parameter in theta, blocks, patterns, most rows of a block, most columns of a block,
    p, coordinates of a place."""
    block_row: np.ndarray  # (blocks+1,)
    block_pattern: np.ndarray  # (blocks,)
    block_value: np.ndarray  # (blocks+1,) where its rows of [Z X y] stand
    block_part: np.ndarray  # (blocks+1,) its nodes
    part_width: np.ndarray  # effects of a node
    block_target: np.ndarray  # (blocks+1,)
    target: np.ndarray
    """Where the cross-product of each pair of nodes (a, b >= a), b's rows by a's columns, and that
    of the border with each node, belongs among the floats."""
    pattern_stratum: np.ndarray  # (patterns,); no patterns without correlations
    pattern_row: np.ndarray  # (patterns+1,)
    point: np.ndarray
    pattern_factor: np.ndarray  # (patterns+1,) where what whitens it stands
    sigma: np.ndarray  # (n,) which standard deviation, in the order of blocks
    row: np.ndarray  # (n,) which row of data, in that order
    place: np.ndarray  # floats: coordinates of the rows of patterns; factors that are known
    covariates: np.ndarray  # (n*m,)
    values: np.ndarray  # [Z X y], a matrix for each block


def _unpack(packed: Packed) -> Residual:
    a, x = packed.ints[packed.n_ints :], packed.floats[packed.n_floats :]
    starts = a[: N_HEADER - 2].tolist()
    places, covariates = a[N_HEADER - 2 : N_HEADER].tolist()
    of_ints = (a[first:last] for first, last in pairwise(starts))
    return Residual._make([*of_ints, x[:places], x[places:covariates], x[covariates:]])


_assemble = function("assemble", "aaiaa")
_coloured = function("coloured", "aaiaa")


def assemble(theta: np.ndarray, packed: Packed) -> tuple[np.ndarray, bool]:
    """The floats of the system with the cross-products under R(theta).

    Parameters
    ----------
    theta : (k,) array
    packed : Packed

    Returns
    -------
    array
        Its ``constants`` have -log|R/σ²| added to the sum of the weights' logarithms.
    bool
        Whether theta are the parameters of a covariance matrix.
    """
    theta, out, log_det = floats(theta), packed.floats[: packed.n_floats].copy(), np.zeros(1)
    status = _assemble(packed.handle, address(theta), len(theta), address(out), address(log_det))
    out[packed.n_floats - 3] -= log_det[0]
    return out, status == Status.OK


def coloured(theta: np.ndarray, packed: Packed, z: np.ndarray) -> np.ndarray:
    """Residuals relative to sigma of independent standard normal ``z``; weights do not count."""
    theta, z = floats(theta), floats(z)
    out = np.full(len(z), np.nan)
    _coloured(packed.handle, address(theta), len(theta), address(z), address(out))
    return out


def replace_response(packed: Packed, values: np.ndarray) -> None:
    """Write other residuals of y, times the root of the weight, into the packed floats."""
    res = _unpack(packed)
    rows = np.diff(res.block_row)
    columns = np.repeat(np.diff(res.block_value) // rows, rows)
    within = np.arange(len(values)) - np.repeat(res.block_row[:-1], rows)
    first = np.repeat(res.block_value[:-1], rows)
    res.values[first + (within + 1) * columns - 1] = values[res.row]


def replace_covariates(packed: Packed, covariates: np.ndarray) -> None:
    """Write other covariates (n, m) of the rows' standard deviations into the packed floats."""
    res = _unpack(packed)
    res.covariates[:] = covariates[res.row].ravel()
