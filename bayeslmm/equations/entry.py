"""The heart of the kernels as one C function, compiled once and called by symbol.

Everything that evaluates the equations goes through :func:`run`. Numba would otherwise compile the
factorisation anew into each of its callers, and nutpie's callback once more: calling it by symbol
leaves one copy, and makes all of them quick to compile.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import carray, cfunc, njit, types

from bayeslmm.equations.factorisation import back_substitute, factorise
from bayeslmm.equations.packing import N_HEADER, unpack
from bayeslmm.equations.selected_inverse import gradient_factors, selected_inverse
from bayeslmm.support.announce import announced

__all__ = ["GRADIENT", "INVERSE", "SOLVE", "Workspace", "compile_core", "run", "workspace"]

SOLVE, INVERSE, GRADIENT = 1, 2, 4
"""What to do beyond the factorisation; the gradient needs the first two."""
_PRODUCTS = 8
"""Also the gradient in the cross-products."""

_SYMBOL = "bayeslmm_core"
_pointer, _real, _integer = types.voidptr, types.float64, types.int64
_SIGNATURE = types.void(
    *(_integer, _integer),  # what, kind
    *(
        _pointer,
        _pointer,
        _pointer,
        _real,
        _pointer,
    ),  # M, ridge, its right-hand side and square, noise
    *(_real, _integer),  # sigma2, df
    *(_pointer, _pointer),  # ints, floats
    *(_pointer, _pointer, _pointer),  # panel, inverse, root
    *(_pointer, _pointer, _pointer, _pointer, _pointer),  # b, gamma, dM, draw, out
)


def _core(
    what,
    kind,
    M_,
    ridge_,
    rhs_,
    square,
    noise_,
    sigma2,
    df,
    ints_,
    floats_,
    panel_,
    inverse_,
    root_,
    b_,
    gamma_,
    dM_,
    draw_,
    out_,
):
    header = carray(ints_, (N_HEADER,), np.int64)
    ints = carray(ints_, (header[22],), np.int64)
    floats = carray(floats_, (header[N_HEADER - 1] + 3,), np.float64)
    system = unpack(ints, floats)
    p, nd = system.meta[2], system.meta[4] + system.meta[2] + 1
    n_m, n_b = system.m_offset[-1], system.u_offset[-1]
    M = carray(M_, (n_m,), np.float64)
    panel = carray(panel_, (len(system.panel),), np.float64)
    inverse = carray(inverse_, (len(system.panel),), np.float64)
    root = carray(root_, (nd, nd), np.float64)
    b = carray(b_, (n_b,), np.float64)
    gamma = carray(gamma_, (p,), np.float64)
    out = carray(out_, (4,), np.float64)
    logdet, logdet_x, rss, ok = factorise(
        M,
        carray(ridge_, (p, p), np.float64),
        carray(rhs_, (p,), np.float64),
        square,
        ints,
        floats,
        panel,
        root,
    )
    out[0] = logdet
    out[1] = logdet_x
    out[2] = rss
    out[3] = 1.0 if ok else 0.0
    if not ok:
        return
    if what & 1:
        back_substitute(ints, floats, panel, root, carray(noise_, (p + n_b,), np.float64), b, gamma)
    if what & 2:
        selected_inverse(ints, floats, panel, root, kind, inverse)
    if what & 4:
        scale = 1.0 / sigma2 if sigma2 > 0.0 else df / rss
        gradient_factors(
            M,
            ints,
            floats,
            inverse,
            root,
            b,
            gamma,
            scale,
            carray(dM_, (n_m,), np.float64),
            carray(draw_, (len(floats) if what & 8 else 0,), np.float64),
        )


@cache
def compile_core() -> object:
    """Compile the C function, or load it from Numba's cache, and give it its symbol. Nothing here
    may run before.
    """
    with announced(
        "bayeslmm: compiling the equations, once for all models on this machine; this takes a "
        "minute or two."
    ):
        compiled = cfunc(_SIGNATURE, cache=True, error_model="numpy")(_core)
    llvm.add_symbol(_SYMBOL, compiled.address)
    return compiled  # kept alive by the cache of this function


_external = types.ExternalFunction(_SYMBOL, _SIGNATURE)


class Workspace(NamedTuple):
    """Arrays of :func:`run`.

    Attributes
    ----------
    ridge, rhs : (p, p) and (p,) arrays
        Read: the prior of gamma times σ²; see :func:`factorise`.
    noise : (p + len(u),) array
        Read: added to the solution; see :func:`back_substitute`.
    panel, root : array and (root, root) array
        Written: the factor; the root is replaced by the inverse's where that is asked for.
    inverse : array
        Written: blocks of the inverse.
    b, gamma : arrays
        Written: the solution.
    dM : array
        Written: the gradient in the relative factors.
    draw : array
        Written: the gradient in the cross-products; empty where it is not wanted.
    out : (4,) array
        Written: log|Z part|, log|Z and X parts|, r², 1 if it worked.
    """

    ridge: np.ndarray
    rhs: np.ndarray
    noise: np.ndarray
    panel: np.ndarray
    inverse: np.ndarray
    root: np.ndarray
    b: np.ndarray
    gamma: np.ndarray
    dM: np.ndarray
    draw: np.ndarray
    out: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def workspace(system, products):
    """A `Workspace` for a flat prior and no noise; ``products`` is the number of elements of the
    gradient in the cross-products.
    """
    p, nd, n_b = system.meta[2], system.meta[4] + system.meta[2] + 1, system.u_offset[-1]
    size = len(system.panel)
    return Workspace(
        np.zeros((p, p)),
        np.zeros(p),
        np.zeros(p + n_b),
        np.empty(size),
        np.empty(size),
        np.empty((nd, nd)),
        np.empty(n_b),
        np.empty(p),
        np.zeros(system.m_offset[-1]),
        np.empty(products),
        np.empty(4),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def run(what, kind, M, square, sigma2, df, ints, floats, work):
    """Factorise the equations and, as ``what`` says, solve them, invert blocks, differentiate.

    Parameters
    ----------
    what : int
        Sum of `SOLVE`, `INVERSE` and `GRADIENT`.
    kind : int
        `ML` or `REML`: what the inverse is of.
    M : array
        Relative factors.
    square : float
        Of the prior of gamma, times σ²; see :func:`factorise`.
    sigma2 : float
        For the gradient; where it is not positive it is taken to be r²/df.
    df : int
    ints, floats : arrays
    work : Workspace
    """
    _external(
        what + (_PRODUCTS if len(work.draw) else 0),
        kind,
        M.ctypes,
        work.ridge.ctypes,
        work.rhs.ctypes,
        square,
        work.noise.ctypes,
        sigma2,
        df,
        ints.ctypes,
        floats.ctypes,
        work.panel.ctypes,
        work.inverse.ctypes,
        work.root.ctypes,
        work.b.ctypes,
        work.gamma.ctypes,
        work.dM.ctypes,
        work.draw.ctypes,
        work.out.ctypes,
    )
