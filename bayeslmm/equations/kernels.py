"""The mixed-model equations at given covariance parameters: likelihoods, solutions, variances,
draws; of levels that are independent, or have a known relationship.

The compiled library computes; here are its functions with arrays in and out. docs/mathematics.md
derives what they compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import Status, address, floats, function, integers

if TYPE_CHECKING:
    from bayeslmm.equations.system import Packed

__all__ = [
    "ML",
    "REML",
    "collapsed",
    "conditional_variances",
    "draw_coefficients",
    "factor_at",
    "given_factors",
    "half_solve_chain",
    "loglik",
    "profiled",
    "pull_shaped",
    "relative_factors",
    "shaped_factors",
    "solve",
]

ML, REML = 0, 1
"""Whether beta is at its maximum, or integrated out (under a flat prior or another)."""

_OK = int(Status.OK)
_FLOAT = 8
"""Bytes of a float."""

_profiled = function("profiled", "aiaaiaaaaa")
_given_factors = function("given_factors", "aiaaiaaa")
_loglik = function("loglik", "aiaiaaaa")
_relative_factors = function("relative_factors", "aaiba")
_shaped_factors_pullback = function("shaped_factors_pullback", "aaiaaa")
_solve = function("solve", "aaaa")
_factor = function("factor", "aaaa")
_conditional_variances = function("conditional_variances", "aaiaa")
_half_solve_chain = function("half_solve_chain", "aaaiaaaaa")
_draw = function("draw", "aiaiabaaaa")


def profiled(
    M: np.ndarray, relative: np.ndarray, kind: int, packed: Packed
) -> tuple[float, np.ndarray, float, np.ndarray, np.ndarray, np.ndarray]:
    """-2 log-likelihood with sigma (and beta) at their best for the relative factors ``M``.

    ``relative`` is theta with R's parameters at its end, sigma one; no other element of it is read,
    and none of them if R has no structure.

    Returns the value (inf where it does not exist), its gradient in M, sigma², b, gamma, and the
    gradient in ``relative``.
    """
    M, relative, sizes = floats(M), floats(relative), packed.sizes
    b = sizes.relative
    gamma = b + sizes.random
    slopes = gamma + sizes.p
    end = slopes + len(relative)
    out = np.empty(end + 2)  # one array, as addresses take longer than a small model's equations
    at = address(out)
    status = _profiled(
        packed.handle,
        kind,
        address(M),
        address(relative),
        len(relative),
        at,
        at + _FLOAT * b,
        at + _FLOAT * gamma,
        at + _FLOAT * slopes,
        at + _FLOAT * end,
    )
    if status != _OK:
        out[:b] = out[slopes:end] = 0.0
        out[b:slopes] = out[end + 1] = np.nan
        out[end] = np.inf
    value, sigma2 = out[end:].tolist()
    return value, out[:b], sigma2, out[b:gamma], out[gamma:slopes], out[slopes:end]


def given_factors(
    M: np.ndarray, theta: np.ndarray, kind: int, packed: Packed
) -> tuple[float, np.ndarray, np.ndarray]:
    """-2 log-likelihood at relative factors ``M`` and, from theta, sigma and the parameters of R.

    Unlike :func:`loglik` it is regular where G is singular. Returns the value (inf where it does
    not exist), its gradient in M and that in theta, zero but for sigma and the parameters of R.
    """
    M, theta, value = floats(M), floats(theta), np.full(1, np.inf)
    dM, dtheta = np.zeros(len(M)), np.zeros(len(theta))
    _given_factors(
        packed.handle,
        kind,
        address(M),
        address(theta),
        len(theta),
        address(dM),
        address(dtheta),
        address(value),
    )
    return float(value[0]), dM, dtheta


def collapsed(
    theta: np.ndarray, beta_mean: np.ndarray, beta_precision: np.ndarray, packed: Packed
) -> tuple[float, np.ndarray]:
    """Log density of y given theta, with beta and u integrated out, and its gradient in theta.

    beta ~ N(beta_mean, beta_precision⁻¹); rows and columns of zeros stand for a flat prior, for
    which the density is that of REML. Minus infinity, with a zero gradient, where theta is not
    that of covariance matrices.
    """
    return loglik(theta, REML, beta_mean, beta_precision, packed)


def loglik(
    theta: np.ndarray,
    kind: int,
    beta_mean: np.ndarray,
    beta_precision: np.ndarray,
    packed: Packed,
) -> tuple[float, np.ndarray]:
    """:func:`collapsed` for REML; for ML beta is at its maximum instead, and its prior must be
    flat.
    """
    theta, mean, precision = floats(theta), floats(beta_mean), floats(beta_precision)
    dtheta, value = np.zeros(len(theta)), np.full(1, -np.inf)
    _loglik(
        packed.handle,
        kind,
        address(theta),
        len(theta),
        address(mean),
        address(precision),
        address(dtheta),
        address(value),
    )
    return float(value[0]), dtheta


def relative_factors(theta: np.ndarray, packed: Packed, M: np.ndarray) -> bool:
    """Write M_f = L_f/σ of every factor into ``M``; False where theta is not that of covariance
    matrices.
    """
    theta = floats(theta)
    return _relative_factors(packed.handle, address(theta), len(theta), False, address(M)) == _OK


def shaped_factors(theta: np.ndarray, packed: Packed, M: np.ndarray) -> bool:
    """Write the blocks of bars with a `Shape` into ``M``; False where theta is not that of
    covariance matrices.
    """
    theta = floats(theta)
    return _relative_factors(packed.handle, address(theta), len(theta), True, address(M)) == _OK


def pull_shaped(
    theta: np.ndarray, packed: Packed, M: np.ndarray, dM: np.ndarray, dtheta: np.ndarray
) -> None:
    """Add the adjoint of :func:`shaped_factors` to ``dtheta``."""
    theta, M, dM = floats(theta), floats(M), floats(dM)
    _shaped_factors_pullback(
        packed.handle, address(theta), len(theta), address(M), address(dM), address(dtheta)
    )


def draw_coefficients(
    thetas: np.ndarray,
    beta_mean: np.ndarray,
    beta_precision: np.ndarray,
    z: np.ndarray,
    packed: Packed,
) -> tuple[np.ndarray, np.ndarray]:
    """Exact draws of (beta, u) given theta and y, one for each row of ``thetas``.

    Parameters
    ----------
    thetas : (S, k) array
    beta_mean : (p,) or (S, p) array
        One for all draws, or each draw's own.
    beta_precision : (p, p) array
    z : (S, p + len(u)) array
        Standard normal; zeros give the conditional means.

    Returns
    -------
    (S, p) and (S, len(u)) arrays
        NaN where theta is not that of covariance matrices.
    """
    thetas, mean, precision = floats(thetas), floats(beta_mean), floats(beta_precision)
    noise, sizes = np.array(z, dtype=np.float64, order="C"), packed.sizes
    beta, u = np.empty((len(thetas), sizes.p)), np.empty((len(thetas), sizes.random))
    _draw(
        packed.handle,
        len(thetas),
        address(thetas),
        thetas.shape[1],
        address(mean),
        mean.ndim == 1,
        address(precision),
        address(noise),
        address(beta),
        address(u),
    )
    return beta, u


def solve(M: np.ndarray, packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """BLUE and BLUP at the relative factors ``M``; NaN where the equations are singular."""
    M, sizes = floats(M), packed.sizes
    beta, u = np.full(sizes.p, np.nan), np.full(sizes.random, np.nan)
    _solve(packed.handle, address(M), address(beta), address(u))
    return beta, u


def factor_at(M: np.ndarray, packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Cholesky factor of the equations at ``M``: the chain's panels and the root."""
    M, sizes = floats(M), packed.sizes
    panel, root = np.empty(sizes.panel), np.empty((sizes.root, sizes.root))
    _factor(packed.handle, address(M), address(panel), address(root))
    return panel, root


def conditional_variances(
    M: np.ndarray, kind: int, packed: Packed
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of the inverse at ``M``, in units of σ²: Var(gamma) and, for each level, the block of
    Var(u - û).

    ML: beta taken as known, lme4's conditional variances. REML: with what estimating beta adds.

    Returns
    -------
    (p, p) array (zero for ML) and a flat array with a (q, q) block for each level, in the order of
    u
    """
    M, system, p = floats(M), packed.system, packed.sizes.p
    var_gamma = np.full((p, p), np.nan)
    blocks = np.full(int(system.n_levels @ system.q**2), np.nan)
    _conditional_variances(packed.handle, address(M), kind, address(var_gamma), address(blocks))
    return var_gamma, blocks


def half_solve_chain(
    M: np.ndarray,
    packed: Packed,
    panel: np.ndarray,
    codes: np.ndarray,
    values: np.ndarray,
    basis: np.ndarray,
    rest: np.ndarray,
) -> np.ndarray:
    """Forward substitution L⁻¹ through the chain for sparse linear functions of (u, gamma), one a
    row.

    Parameters
    ----------
    panel : array
        The chain's factor, from :func:`factor_at`.
    codes : (n, F) array
        The level of each factor that a function touches; negative for none.
    values : (n, sum of q) array
        Its weights on that level's effects, factor after factor.
    basis : (n, p) array
        Its weights on gamma.
    rest : (n, root variables + p) array
        Filled with what is left for the root.

    Returns
    -------
    (n,) array: the squared length of the part solved in the chain.
    """
    M, codes, values, basis = floats(M), integers(codes), floats(values), floats(basis)
    length = np.empty(len(codes))
    _half_solve_chain(
        packed.handle,
        address(M),
        address(panel),
        len(codes),
        address(codes),
        address(values),
        address(basis),
        address(rest),
        address(length),
    )
    return length
