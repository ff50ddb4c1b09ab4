"""Compiled mixed-model equations at given covariance parameters: likelihoods, solutions,
variances, draws; of levels that are independent, or have a known relationship.

docs/mathematics.md derives what is computed here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bayeslmm.covariance.shapes import ROW, bar_factor, bar_pullback, is_shaped
from bayeslmm.equations.entry import GRADIENT, INVERSE, SOLVE, run, workspace
from bayeslmm.equations.factorisation import root_rows, stage_rows
from bayeslmm.equations.packing import unpack
from bayeslmm.equations.residual_kernels import assemble, has_structure, pull_assembled
from bayeslmm.equations.selected_inverse import ML, REML

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
    "loglik_by_mean",
    "profiled",
    "pull_shaped",
    "relative_factors",
    "shaped_factors",
    "solve",
]

_GRADIENT = SOLVE + INVERSE + GRADIENT


@njit(nogil=True, cache=True, error_model="numpy")
def profiled(M, relative, kind, ints, floats):
    """-2 log-likelihood with sigma (and beta) at their best for the relative factors ``M``.

    ``relative`` is theta with R's parameters at its end, sigma one; no other element of it is read,
    and none of them if R has no structure.

    Returns the value (inf where it does not exist), its gradient in M, sigma², b, gamma, and the
    gradient in ``relative``.
    """
    structured = has_structure(ints)
    slopes = np.zeros(len(relative))
    base = floats
    ok = True
    if structured:
        base, ok = assemble(relative, ints, floats)
    system = unpack(ints, base)
    p, n = system.meta[2], system.meta[6]
    work = workspace(system, len(base) if structured else 0)
    if not ok:
        return np.inf, work.dM, np.nan, work.b, work.gamma, slopes
    df = n - p if kind == REML else n
    run(_GRADIENT, kind, M, 0.0, 0.0, df, ints, base, work)
    logdet, logdet_x, rss, positive = work.out
    if positive == 0.0:
        return np.inf, work.dM, np.nan, work.b, work.gamma, slopes
    sigma2 = rss / df
    value = df * (1.0 + np.log(2.0 * np.pi * sigma2)) - system.constants[0]
    value += logdet_x + 2.0 * system.constants[1] if kind == REML else logdet
    if structured:
        pull_assembled(relative, ints, floats, work.draw, slopes)
        slopes *= -2.0
    return value, -2.0 * work.dM, sigma2, work.b, work.gamma, slopes


@njit(nogil=True, cache=True, error_model="numpy")
def relative_factors(theta, system, M):
    """Write M_f = L_f/σ of every factor into ``M``; False where theta is not that of covariance
    matrices.
    """
    M[:] = 0.0
    return _write_bars(theta, system, False, M)


@njit(nogil=True, cache=True, error_model="numpy")
def shaped_factors(theta, ints, floats, M):
    """Write the blocks of bars with a `Shape` into ``M``; False where theta is not that of
    covariance matrices.
    """
    return _write_bars(theta, unpack(ints, floats), True, M)


@njit(nogil=True, cache=True, error_model="numpy")
def _write_bars(theta, system, shaped, M):
    """Write the blocks of all bars, or only of those with a `Shape`."""
    sigma = theta[-1]
    if not sigma > 0.0:
        return False
    for at in range(system.meta[5]):
        bar = system.bars[at * ROW : (at + 1) * ROW]
        if shaped and not is_shaped(bar):
            continue
        f, first, q = bar[0], bar[1], bar[2]
        L = np.empty((q, q))
        if not bar_factor(bar, system.bars, theta, L):
            return False
        width = system.q[f]
        for i in range(q):
            for j in range(q):
                value = L[i, j] / sigma if j <= i else 0.0
                M[system.m_offset[f] + (first + i) * width + first + j] = value
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _pull_theta(theta, system, M, dM, dtheta):
    """Add the adjoint of :func:`relative_factors` to ``dtheta``."""
    _pull_bars(theta, system, False, M, dM, dtheta)


@njit(nogil=True, cache=True, error_model="numpy")
def pull_shaped(theta, ints, floats, M, dM, dtheta):
    """Add the adjoint of :func:`shaped_factors` to ``dtheta``."""
    _pull_bars(theta, unpack(ints, floats), True, M, dM, dtheta)


@njit(nogil=True, cache=True, error_model="numpy")
def _pull_bars(theta, system, shaped, M, dM, dtheta):
    sigma = theta[-1]
    for at in range(system.meta[5]):
        bar = system.bars[at * ROW : (at + 1) * ROW]
        if shaped and not is_shaped(bar):
            continue
        f, first, q = bar[0], bar[1], bar[2]
        width = system.q[f]
        dL = np.zeros((q, q))
        for i in range(q):
            for j in range(i + 1):
                where = system.m_offset[f] + (first + i) * width + first + j
                dL[i, j] = dM[where] / sigma
                dtheta[-1] -= dM[where] * M[where] / sigma
        bar_pullback(bar, system.bars, theta, dL, dtheta)


@njit(nogil=True, cache=True, error_model="numpy")
def _rotate_prior(mean, precision, system, center, rotated):
    """The prior of beta as one of gamma = r(beta - beta_ols). Returns log of the precision's
    (pseudo-)determinant and its rank.
    """
    p = system.meta[2]
    work = np.zeros((p, p))
    for i in range(p):
        center[i] = 0.0
        for j in range(i, p):
            center[i] += system.rotation[i * p + j] * (mean[j] - system.beta_ols[j])
        for j in range(p):
            for k in range(j + 1):
                work[i, j] += precision[i, k] * system.rotation_inverse[k * p + j]
    for i in range(p):
        for j in range(p):
            value = 0.0
            for k in range(i + 1):
                value += system.rotation_inverse[k * p + i] * work[k, j]
            rotated[i, j] = value
    logdet = 0.0
    rank = 0
    for i in range(p):
        for j in range(i + 1):
            value = precision[i, j]
            for k in range(j):
                value -= work[i, k] * work[j, k]
            if i == j:
                if value > 1e-12 * precision[i, i]:
                    work[i, i] = np.sqrt(value)
                    logdet += np.log(value)
                    rank += 1
                else:
                    work[i, i] = 0.0
            else:
                work[i, j] = value / work[j, j] if work[j, j] > 0.0 else 0.0
    return logdet, rank


@njit(nogil=True, cache=True, error_model="numpy")
def _scaled_prior(center, rotated, sigma2, work):
    """Write the prior of gamma in the equations' units; returns its square, g0'Pg0 σ²."""
    ridge, rhs = work.ridge, work.rhs
    square = 0.0
    for i in range(len(center)):
        rhs[i] = 0.0
        for j in range(len(center)):
            ridge[i, j] = sigma2 * rotated[i, j]
            rhs[i] += ridge[i, j] * center[j]
        square += rhs[i] * center[i]
    return square


@njit(nogil=True, cache=True, error_model="numpy")
def collapsed(theta, beta_mean, beta_precision, ints, floats):
    """Log density of y given theta, with beta and u integrated out, and its gradient in theta.

    beta ~ N(beta_mean, beta_precision⁻¹); rows and columns of zeros stand for a flat prior, for
    which the density is that of REML. Minus infinity, with a zero gradient, where theta is not
    that of covariance matrices.
    """
    return loglik(theta, REML, beta_mean, beta_precision, ints, floats)


@njit(nogil=True, cache=True, error_model="numpy")
def loglik(theta, kind, beta_mean, beta_precision, ints, floats):
    """:func:`collapsed` for REML; for ML beta is at its maximum instead, and its prior must be
    flat.
    """
    dmean = np.empty(len(beta_mean))
    return loglik_by_mean(theta, kind, beta_mean, beta_precision, ints, floats, dmean)


@njit(nogil=True, cache=True, error_model="numpy")
def loglik_by_mean(theta, kind, beta_mean, beta_precision, ints, floats, dmean):
    """:func:`loglik`, which also writes its gradient in ``beta_mean`` into ``dmean``."""
    structured = has_structure(ints)
    dtheta = np.zeros(len(theta))
    base = floats
    if structured:
        base, ok = assemble(theta, ints, floats)
        if not ok:
            return -np.inf, dtheta
    system = unpack(ints, base)
    p, nr, n = system.meta[2], system.meta[4], system.meta[6]
    M = np.empty(system.m_offset[-1])
    if not relative_factors(theta, system, M):
        return -np.inf, dtheta
    center, rotated = np.empty(p), np.empty((p, p))
    prior_logdet, prior_rank = _rotate_prior(beta_mean, beta_precision, system, center, rotated)
    sigma = theta[-1]
    sigma2 = sigma * sigma
    work = workspace(system, len(base) if structured else 0)
    gamma, root = work.gamma, work.root
    square = _scaled_prior(center, rotated, sigma2, work)
    run(_GRADIENT, kind, M, square, sigma2, n, ints, base, work)
    logdet, logdet_x, rss, positive = work.out
    if positive == 0.0:
        return -np.inf, dtheta
    df = n
    if kind == REML:
        df = n - p
        logdet = logdet_x + 2.0 * system.constants[1] - prior_logdet
    value = -0.5 * (
        logdet
        + df * np.log(sigma2)
        + (df + prior_rank) * np.log(2.0 * np.pi)
        + rss / sigma2
        - system.constants[0]
    )
    # sigma: -df/σ + r²/σ³ - σ[tr(A⁻¹ P) + (gamma - g0)'P(gamma - g0)/σ²]
    prior_part = 0.0
    for i in range(p):
        for j in range(p):
            element = root[nr + max(i, j), nr + min(i, j)]
            element += (gamma[i] - center[i]) * (gamma[j] - center[j]) / sigma2
            prior_part += rotated[i, j] * element
    for j in range(p):
        dmean[j] = 0.0
        for i in range(j + 1):
            for k in range(p):
                slope = rotated[i, k] * (gamma[k] - center[k])
                dmean[j] += system.rotation[i * p + j] * slope
    dtheta[-1] = -df / sigma + rss / sigma2 / sigma - sigma * prior_part
    _pull_theta(theta, system, M, work.dM, dtheta)
    if structured:
        pull_assembled(theta, ints, floats, work.draw, dtheta)
    return value, dtheta


@njit(nogil=True, cache=True, error_model="numpy")
def given_factors(M, theta, kind, ints, floats):
    """-2 log-likelihood at relative factors ``M`` and, from theta, sigma and the parameters of R.

    Unlike :func:`loglik` it is regular where G is singular. Returns the value (inf where it does
    not exist), its gradient in M and that in theta, zero but for sigma and the parameters of R.
    """
    structured = has_structure(ints)
    dtheta = np.zeros(len(theta))
    base, ok = floats, theta[-1] > 0.0
    if structured and ok:
        base, ok = assemble(theta, ints, floats)
    system = unpack(ints, base)
    p, n = system.meta[2], system.meta[6]
    work = workspace(system, len(base) if structured else 0)
    if not ok:
        return np.inf, work.dM, dtheta
    df = n - p if kind == REML else n
    sigma2 = theta[-1] * theta[-1]
    run(_GRADIENT, kind, M, 0.0, sigma2, n, ints, base, work)
    logdet, logdet_x, rss, positive = work.out
    if positive == 0.0:
        return np.inf, work.dM, dtheta
    value = df * np.log(2.0 * np.pi * sigma2) + rss / sigma2 - system.constants[0]
    value += logdet_x + 2.0 * system.constants[1] if kind == REML else logdet
    dtheta[-1] = -df / theta[-1] + rss / sigma2 / theta[-1]
    if structured:
        pull_assembled(theta, ints, floats, work.draw, dtheta)
    return value, -2.0 * work.dM, -2.0 * dtheta


@njit(nogil=True, cache=True, error_model="numpy")
def draw_coefficients(thetas, beta_mean, beta_precision, z, ints, floats):
    """Exact draws of (beta, u) given theta and y, one for each row of ``thetas``.

    Parameters
    ----------
    thetas : (S, k) array
    beta_mean, beta_precision : (p,) and (p, p) arrays
    z : (S, p + len(u)) array
        Standard normal; zeros give the conditional means.

    Returns
    -------
    (S, p) and (S, len(u)) arrays
    """
    system = unpack(ints, floats)
    p, size = system.meta[2], system.u_offset[-1]
    beta, u = np.empty((len(thetas), p)), np.empty((len(thetas), size))
    M = np.empty(system.m_offset[-1])
    center, rotated = np.empty(p), np.empty((p, p))
    _rotate_prior(beta_mean, beta_precision, system, center, rotated)
    work = workspace(system, 0)
    for s in range(len(thetas)):
        sigma = thetas[s, -1]
        work.out[3] = 0.0
        base, ok = floats, True
        if has_structure(ints):
            base, ok = assemble(thetas[s], ints, floats)
        if ok and relative_factors(thetas[s], system, M):
            square = _scaled_prior(center, rotated, sigma * sigma, work)
            work.noise[:] = sigma * z[s]
            run(SOLVE, REML, M, square, 0.0, 1, ints, base, work)
        if work.out[3] == 0.0:
            beta[s] = np.nan
            u[s] = np.nan
            continue
        _to_user(system, M, work.b, work.gamma, beta[s], u[s])
    return beta, u


@njit(nogil=True, cache=True, error_model="numpy")
def _to_user(system, M, b, gamma, beta, u):
    """beta = beta_ols + r⁻¹ gamma and u = M b."""
    p = system.meta[2]
    for i in range(p):
        beta[i] = system.beta_ols[i]
        for j in range(i, p):
            beta[i] += system.rotation_inverse[i * p + j] * gamma[j]
    for f in range(system.meta[0]):
        q, mo = system.q[f], system.m_offset[f]
        for level in range(system.n_levels[f]):
            at = system.u_offset[f] + level * q
            for i in range(q):
                value = 0.0
                for j in range(q):
                    value += M[mo + i * q + j] * b[at + j]
                u[at + i] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _at(M, what, kind, ints, floats):
    """Run the equations at ``M`` with beta's prior flat; returns the workspace."""
    work = workspace(unpack(ints, floats), 0)
    run(what, kind, M, 0.0, 0.0, 1, ints, floats, work)
    return work


@njit(nogil=True, cache=True, error_model="numpy")
def solve(M, ints, floats):
    """BLUE and BLUP at the relative factors ``M``."""
    work = _at(M, SOLVE, REML, ints, floats)
    beta, u = np.full(len(work.gamma), np.nan), np.full(len(work.b), np.nan)
    if work.out[3] == 1.0:
        _to_user(unpack(ints, floats), M, work.b, work.gamma, beta, u)
    return beta, u


@njit(nogil=True, cache=True, error_model="numpy")
def factor_at(M, ints, floats):
    """Cholesky factor of the equations at ``M``: the chain's panels and the root."""
    work = _at(M, 0, REML, ints, floats)
    return work.panel, work.root


@njit(nogil=True, cache=True, error_model="numpy")
def conditional_variances(M, kind, ints, floats):
    """Blocks of the inverse at ``M``, in units of σ²: Var(gamma) and, for each level, the block of
    Var(u - û).

    ML: beta taken as known, lme4's conditional variances. REML: with what estimating beta adds.

    Returns
    -------
    (p, p) array (zero for ML) and a flat array with a (q, q) block for each level, in the order of
    u
    """
    system = unpack(ints, floats)
    F, S, p, nr = system.meta[0], system.meta[1], system.meta[2], system.meta[4]
    block_start = np.zeros(F + 1, dtype=np.int64)
    largest = 1
    for f in range(F):
        block_start[f + 1] = block_start[f] + system.n_levels[f] * system.q[f] ** 2
        largest = max(largest, system.q[f])
    var_gamma, blocks = np.full((p, p), np.nan), np.full(block_start[F], np.nan)
    work = _at(M, INVERSE, kind, ints, floats)
    inverse, root = work.inverse, work.root
    if work.out[3] == 0.0:
        return var_gamma, blocks
    for i in range(p):
        for j in range(p):
            var_gamma[i, j] = root[nr + max(i, j), nr + min(i, j)]
    own = np.empty((largest, largest))
    for f in range(F):
        q, mo = system.q[f], system.m_offset[f]
        stage = -1
        for s in range(S):
            if system.stage_factor[s] == f:
                stage = s
        for level in range(system.n_levels[f]):
            for i in range(q):
                for j in range(q):
                    if stage >= 0:
                        at = system.panel_start[system.stage_start[stage] + level]
                        own[i, j] = inverse[at + i * q + j]
                    else:
                        v = system.root_var[system.root_start[f] + level]
                        own[i, j] = root[v + max(i, j), v + min(i, j)]
            for i in range(q):
                for j in range(q):
                    value = 0.0
                    for h in range(q):
                        for k in range(q):
                            value += M[mo + i * q + h] * own[h, k] * M[mo + j * q + k]
                    blocks[block_start[f] + level * q * q + i * q + j] = value
    return var_gamma, blocks


@njit(nogil=True, cache=True, error_model="numpy")
def half_solve_chain(M, ints, floats, panel, codes, values, basis, rest):
    """Forward substitution L⁻¹ through the chain for sparse linear functions of (u, gamma), one a
    row.

    Parameters
    ----------
    panel : array
        The chain's factor, from :func:`factorise`.
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
    system = unpack(ints, floats)
    F, S, p, nr = system.meta[0], system.meta[1], system.meta[2], system.meta[4]
    n = len(codes)
    first = np.zeros(F + 1, dtype=np.int64)
    for f in range(F):
        first[f + 1] = first[f] + system.q[f]
    length = np.zeros(n)
    rest[:, :] = 0.0
    index = np.empty(nr + p + 1, dtype=np.int64)
    own = np.zeros(first[F])
    chain = np.zeros((S, S), dtype=np.int64)
    work = np.zeros((S, S, first[F]))
    for row in range(n):
        own[:] = 0.0
        for f in range(F):  # M'z: from weights on u to weights on b
            q, mo = system.q[f], system.m_offset[f]
            if codes[row, f] >= 0:
                for j in range(q):
                    for i in range(q):
                        own[first[f] + j] += M[mo + i * q + j] * values[row, first[f] + i]
        for j in range(p):
            rest[row, nr + j] = basis[row, j]
        for f in range(F):
            if system.root_start[f + 1] > system.root_start[f] and codes[row, f] >= 0:
                v = system.root_var[system.root_start[f] + codes[row, f]]
                for j in range(system.q[f]):
                    rest[row, v + j] = own[first[f] + j]
        # a function may touch levels of the chain that do not lie within each other: each starts a
        # walk of its own
        work[:, :, :] = 0.0
        n_walks = 0
        for s in range(S):
            f = system.stage_factor[s]
            if codes[row, f] < 0:
                continue
            node = system.stage_start[s] + codes[row, f]
            walk = -1
            for t in range(n_walks):
                if chain[t, s] == node:
                    walk = t
            if walk < 0:
                walk = n_walks
                n_walks += 1
                for later in range(S):
                    chain[walk, later] = -1
                chain[walk, s] = node
                for later in range(s + 1, S):
                    chain[walk, later] = system.ancestor[node * S + later]
            for j in range(system.q[f]):
                work[walk, s, j] += own[first[f] + j]
        for s in range(S):
            f = system.stage_factor[s]
            q = system.q[f]
            for walk in range(n_walks):
                node = chain[walk, s]
                if node < 0:
                    continue
                # walks that meet go on as one
                for other in range(walk):
                    if chain[other, s] == node:
                        for later in range(s, S):
                            for j in range(system.q[system.stage_factor[later]]):
                                work[other, later, j] += work[walk, later, j]
                            chain[walk, later] = -1
                        break
            for walk in range(n_walks):
                node = chain[walk, s]
                if node < 0:
                    continue
                at = system.panel_start[node]
                base, count = stage_rows(s, system), root_rows(node, system, index)
                for j in range(q):
                    value = work[walk, s, j]
                    for k in range(j):
                        value -= panel[at + j * q + k] * work[walk, s, k]
                    value /= panel[at + j * q + j]
                    work[walk, s, j] = value
                    length[row] += value * value
                i = q
                for later in range(s + 1, S):
                    for h in range(system.q[system.stage_factor[later]]):
                        for j in range(q):
                            work[walk, later, h] -= panel[at + i * q + j] * work[walk, s, j]
                        i += 1
                for h in range(count - 1):
                    for j in range(q):
                        rest[row, index[h]] -= panel[at + (base + h) * q + j] * work[walk, s, j]
    return length
