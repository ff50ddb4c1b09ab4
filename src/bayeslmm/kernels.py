"""Compiled mixed-model equations: factorise, go back up the tree, differentiate, solve, draw.

The unknowns are w = (b, gamma): u = M b (M the relative factor, G = σ²MM') and gamma the coefficients of the orthonormal basis of X. The
system A is that of docs/architecture.md; its Cholesky factor is kept as the panels of the chain and the dense root, whose last row,
that of y, holds L⁻¹ of the right-hand side. docs/mathematics.md derives what is computed here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .elimination import unpack
from .lapack import cholesky_lower, inverse_from_cholesky
from .structures import factor, factor_pullback

__all__ = [
    "ML",
    "REML",
    "collapsed",
    "conditional_variances",
    "draw_coefficients",
    "half_solve_chain",
    "loglik",
    "profiled",
    "relative_factors",
    "solve",
]

ML, REML = 0, 1
_SMALL_ROOT = 24
"""Below this order plain loops beat the call to LAPACK."""


@njit(nogil=True, cache=True)
def _cholesky_inplace(a, n):
    if n > _SMALL_ROOT:
        return cholesky_lower(a, n) == 0
    for i in range(n):
        for j in range(i + 1):
            value = a[i, j]
            for k in range(j):
                value -= a[i, k] * a[j, k]
            if i == j:
                if not value > 0.0:
                    return False
                a[i, i] = np.sqrt(value)
            else:
                a[i, j] = value / a[j, j]
    return True


@njit(nogil=True, cache=True)
def _add_transformed(out, at, raw, start, rows, q, left, lo, M, mo):
    """Add left' raw M to the (rows, q) block of ``out`` at ``at``; ``left`` is square (rows), absent when ``lo`` < 0."""
    for i in range(rows):
        for j in range(q):
            value = 0.0
            if lo < 0:
                for k in range(q):
                    value += raw[start + i * q + k] * M[mo + k * q + j]
            else:
                for h in range(rows):
                    weight = left[lo + h * rows + i]
                    if weight != 0.0:
                        part = 0.0
                        for k in range(q):
                            part += raw[start + h * q + k] * M[mo + k * q + j]
                        value += weight * part
            out[at + i * q + j] += value


@njit(nogil=True, cache=True)
def _root_rows(s, node, system, index):
    """Write the root position of each panel row of a node below the chain's rows; return the first such row and their number."""
    p = system.meta[2]
    nr = system.meta[4]
    base = 0
    for later in range(s, system.meta[1]):
        base += system.q[system.stage_factor[later]]
    count = 0
    for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
        r = system.root_list[e]
        for k in range(system.q[system.root_factor[r]]):
            index[count] = system.root_var[r] + k
            count += 1
    for k in range(p + 1):
        index[count] = nr + k
        count += 1
    return base, count


@njit(nogil=True, cache=True)
def factorise(M, ridge, ridge_rhs, ridge_square, system, panel, root):
    """Cholesky factor of A bordered by y, into ``panel`` and ``root``.

    ``ridge`` (p, p) is added to X'WX, ``ridge_rhs`` (p,) to X'Wy and ``ridge_square`` to y'Wy: the prior of gamma times σ².
    Returns log|Z part|, log|Z and X parts|, the squared length r² of the penalised residual, and whether it worked.
    """
    S, p, n_root, nr = system.meta[1], system.meta[2], system.meta[3], system.meta[4]
    nd = nr + p + 1
    root[:, :] = 0.0
    # the root's own entries
    for r in range(n_root):
        f = system.root_factor[r]
        q, mo, v = system.q[f], system.m_offset[f], system.root_var[r]
        for i in range(q):
            for j in range(i + 1):
                value = 0.0
                for h in range(q):
                    for k in range(q):
                        value += (
                            M[mo + h * q + i]
                            * system.diag[system.root_diag[r] + h * q + k]
                            * M[mo + k * q + j]
                        )
                root[v + i, v + j] = value + (1.0 if i == j else 0.0)
        for i in range(p + 1):
            for j in range(q):
                value = 0.0
                for k in range(q):
                    value += system.border[system.root_border[r] + i * q + k] * M[mo + k * q + j]
                root[nr + i, v + j] = value
    for e in range(len(system.pair_a)):
        a, b = system.pair_a[e], system.pair_b[e]
        fa, fb = system.root_factor[a], system.root_factor[b]
        qa, qb, ma, mb = system.q[fa], system.q[fb], system.m_offset[fa], system.m_offset[fb]
        for i in range(qa):
            for j in range(qb):
                value = 0.0
                for h in range(qa):
                    for k in range(qb):
                        value += (
                            M[ma + h * qa + i]
                            * system.pairs[system.pair_at[e] + h * qb + k]
                            * M[mb + k * qb + j]
                        )
                root[system.root_var[a] + i, system.root_var[b] + j] = value
    for i in range(p + 1):
        for j in range(i + 1):
            root[nr + i, nr + j] = system.xy[i * (p + 1) + j]
    for i in range(p):
        for j in range(i + 1):
            root[nr + i, nr + j] += ridge[i, j]
        root[nr + p, nr + i] += ridge_rhs[i]
    root[nr + p, nr + p] += ridge_square

    # the chain, from the largest factor up
    logdet = 0.0
    index = np.empty(nd, dtype=np.int64)
    first_stage_end = system.stage_start[1] if S > 0 else 0
    panel[: system.panel_start[first_stage_end]] = 0.0
    panel[system.panel_start[first_stage_end] :] = 0.0
    for s in range(S):
        f = system.stage_factor[s]
        q, mo = system.q[f], system.m_offset[f]
        for node in range(system.stage_start[s], system.stage_start[s + 1]):
            at = system.panel_start[node]
            base, count = _root_rows(s, node, system, index)
            # assemble onto what the descendants have left here
            _add_transformed(panel, at, system.panel, at, q, q, M, mo, M, mo)
            for i in range(q):
                panel[at + i * q + i] += 1.0
            row = q
            for later in range(s + 1, S):
                g = system.stage_factor[later]
                _add_transformed(
                    panel,
                    at + row * q,
                    system.panel,
                    at + row * q,
                    system.q[g],
                    q,
                    M,
                    system.m_offset[g],
                    M,
                    mo,
                )
                row += system.q[g]
            for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
                g = system.root_factor[system.root_list[e]]
                _add_transformed(
                    panel,
                    at + row * q,
                    system.panel,
                    at + row * q,
                    system.q[g],
                    q,
                    M,
                    system.m_offset[g],
                    M,
                    mo,
                )
                row += system.q[g]
            _add_transformed(
                panel, at + row * q, system.panel, at + row * q, p + 1, q, M, -1, M, mo
            )
            # own block
            for i in range(q):
                for j in range(i + 1):
                    value = panel[at + i * q + j]
                    for k in range(j):
                        value -= panel[at + i * q + k] * panel[at + j * q + k]
                    if i == j:
                        if not value > 0.0:
                            return 0.0, 0.0, 0.0, False
                        panel[at + i * q + i] = np.sqrt(value)
                        logdet += np.log(value)
                    else:
                        panel[at + i * q + j] = value / panel[at + j * q + j]
            rows = base + count
            for i in range(q, rows):
                for j in range(q):
                    value = panel[at + i * q + j]
                    for k in range(j):
                        value -= panel[at + i * q + k] * panel[at + j * q + k]
                    panel[at + i * q + j] = value / panel[at + j * q + j]
            # what it leaves to its ancestors in the chain
            row = q
            for later in range(s + 1, S):
                g = system.stage_factor[later]
                qg = system.q[g]
                up = system.ancestor[node * S + later]
                target = system.panel_start[up]
                for i in range(row, base):  # rows of the chain stand in the same order there
                    for j in range(qg):
                        value = 0.0
                        for k in range(q):
                            value += panel[at + i * q + k] * panel[at + (row + j) * q + k]
                        panel[target + (i - row) * qg + j] -= value
                counted = system.root_ptr[node + 1] - system.root_ptr[node]
                rel = system.rel_ptr[node] + (later - s - 1) * counted
                i = base
                for e in range(counted):
                    r = system.root_list[system.root_ptr[node] + e]
                    there = system.rel[rel + e]
                    for h in range(system.q[system.root_factor[r]]):
                        for j in range(qg):
                            value = 0.0
                            for k in range(q):
                                value += panel[at + i * q + k] * panel[at + (row + j) * q + k]
                            panel[target + (there + h) * qg + j] -= value
                        i += 1
                there = (system.panel_start[up + 1] - target) // qg - p - 1
                for h in range(p + 1):
                    for j in range(qg):
                        value = 0.0
                        for k in range(q):
                            value += panel[at + i * q + k] * panel[at + (row + j) * q + k]
                        panel[target + (there + h) * qg + j] -= value
                    i += 1
                row += qg
            # and to the root
            for i in range(count):
                start = at + (base + i) * q
                for j in range(i + 1):
                    other = at + (base + j) * q
                    value = 0.0
                    for k in range(q):
                        value += panel[start + k] * panel[other + k]
                    root[index[i], index[j]] -= value

    if not _cholesky_inplace(root, nd):
        return 0.0, 0.0, 0.0, False
    for i in range(nr):
        logdet += 2.0 * np.log(root[i, i])
    logdet_x = logdet
    for i in range(nr, nr + p):
        logdet_x += 2.0 * np.log(root[i, i])
    return logdet, logdet_x, root[nd - 1, nd - 1] ** 2, True


@njit(nogil=True, cache=True)
def back_substitute(system, panel, root, noise, b, gamma):
    """Solve L'w = L⁻¹(right-hand side) + noise into ``b`` (ordered as u) and ``gamma``.

    With zero noise w is the solution of the equations; with standard normal noise times σ, a draw of w given theta and y.
    ``noise`` holds p values for gamma, then one for each element of b.
    """
    S, p, n_root, nr = system.meta[1], system.meta[2], system.meta[3], system.meta[4]
    nd = nr + p + 1
    w = np.empty(nd)
    for i in range(p):
        w[nr + i] = root[nd - 1, nr + i] + noise[i]
    for r in range(n_root):
        f = system.root_factor[r]
        u = p + system.u_offset[f] + (r - system.root_start[f]) * system.q[f]
        for k in range(system.q[f]):
            w[system.root_var[r] + k] = root[nd - 1, system.root_var[r] + k] + noise[u + k]
    for i in range(nr + p - 1, -1, -1):  # by rows, as the root is stored
        w[i] /= root[i, i]
        for j in range(i):
            w[j] -= root[i, j] * w[i]
    for i in range(p):
        gamma[i] = w[nr + i]
    for r in range(n_root):
        f = system.root_factor[r]
        u = system.u_offset[f] + (r - system.root_start[f]) * system.q[f]
        for k in range(system.q[f]):
            b[u + k] = w[system.root_var[r] + k]
    index = np.empty(nd, dtype=np.int64)
    for s in range(S - 1, -1, -1):
        f = system.stage_factor[s]
        q = system.q[f]
        for node in range(system.stage_start[s], system.stage_start[s + 1]):
            at = system.panel_start[node]
            base, count = _root_rows(s, node, system, index)
            u = system.u_offset[f] + (node - system.stage_start[s]) * q
            y_row = at + (base + count - 1) * q
            for j in range(q):
                value = panel[y_row + j] + noise[p + u + j]
                row = q
                for later in range(s + 1, S):
                    g = system.stage_factor[later]
                    up = system.ancestor[node * S + later] - system.stage_start[later]
                    v = system.u_offset[g] + up * system.q[g]
                    for k in range(system.q[g]):
                        value -= panel[at + (row + k) * q + j] * b[v + k]
                    row += system.q[g]
                for i in range(count - 1):
                    value -= panel[at + (base + i) * q + j] * w[index[i]]
                b[u + j] = value
            for j in range(q - 1, -1, -1):
                value = b[u + j]
                for k in range(j + 1, q):
                    value -= panel[at + k * q + j] * b[u + k]
                b[u + j] = value / panel[at + j * q + j]


@njit(nogil=True, cache=True)
def selected_inverse(system, panel, root, kind, inverse):
    """Blocks of A⁻¹ on the pattern of its factor: panels into ``inverse``, the root's in place in ``root``.

    REML: A with the columns of X. ML: A without them, the blocks that belong to X zero. Of the root the lower triangle is filled.
    The recursion is that of Takahashi, Fagan and Chin (1973); see docs/mathematics.md.
    """
    S, p, nr = system.meta[1], system.meta[2], system.meta[4]
    nd = nr + p + 1
    order = nr + p if kind == REML else nr
    inverse_from_cholesky(root, order)
    for i in range(order, nd):
        root[i, :] = 0.0
    index = np.empty(nd, dtype=np.int64)
    for s in range(S - 1, -1, -1):
        f = system.stage_factor[s]
        q = system.q[f]
        for node in range(system.stage_start[s], system.stage_start[s + 1]):
            at = system.panel_start[node]
            base, count = _root_rows(s, node, system, index)
            rows = base + count - 1  # without y
            inverse[at : at + (rows + 1) * q] = 0.0
            # inverse[below, own] = (A⁻¹)[below, below] L[below, own], gathered from what is known
            row = q
            for later in range(s + 1, S):
                g = system.stage_factor[later]
                qg = system.q[g]
                up = system.ancestor[node * S + later]
                there = system.panel_start[up]
                counted = system.root_ptr[node + 1] - system.root_ptr[node]
                rel = system.rel_ptr[node] + (later - s - 1) * counted
                border = (system.panel_start[up + 1] - there) // qg - p - 1
                e = -1
                left = 0
                for i in range(row, rows):
                    if i < base:
                        source = there + (i - row) * qg
                    elif i >= base + count - 1 - p:
                        source = there + (border + i - (base + count - 1 - p)) * qg
                    else:
                        if left == 0:
                            e += 1
                            left = system.q[
                                system.root_factor[system.root_list[system.root_ptr[node] + e]]
                            ]
                            source = there + system.rel[rel + e] * qg
                        else:
                            source += qg
                        left -= 1
                    for j in range(qg):
                        value = inverse[source + j]
                        for k in range(q):
                            inverse[at + i * q + k] += value * panel[at + (row + j) * q + k]
                            if i >= row + qg:
                                inverse[at + (row + j) * q + k] += value * panel[at + i * q + k]
                row += qg
            for i in range(count - 1):
                a = at + (base + i) * q
                for j in range(i + 1):
                    value = root[index[i], index[j]]
                    c = at + (base + j) * q
                    for k in range(q):
                        inverse[a + k] += value * panel[c + k]
                    if i != j:
                        for k in range(q):
                            inverse[c + k] += value * panel[a + k]
            # times -L[own, own]⁻¹ from the right
            for i in range(q, rows):
                for j in range(q - 1, -1, -1):
                    value = -inverse[at + i * q + j]
                    for k in range(j + 1, q):
                        value -= inverse[at + i * q + k] * panel[at + k * q + j]
                    inverse[at + i * q + j] = value / panel[at + j * q + j]
            # own block: (L⁻ᵀ - inverse[own, below] L[below, own]) L⁻¹, from the last column back
            for j in range(q - 1, -1, -1):
                for i in range(q - 1, -1, -1):
                    if i < j:
                        continue
                    value = 1.0 / panel[at + j * q + j] if i == j else 0.0
                    for k in range(q, rows):
                        value -= inverse[at + k * q + i] * panel[at + k * q + j]
                    for k in range(j + 1, q):
                        value -= inverse[at + i * q + k] * panel[at + k * q + j]
                    value /= panel[at + j * q + j]
                    inverse[at + i * q + j] = value
                    inverse[at + j * q + i] = value


@njit(nogil=True, cache=True)
def _moment(inverse, start, rows, q, left, lo, right, ro, scale, out):
    """out[i, j] = inverse[i, j] + scale · left_i right_j: a block of E[ww'|y]/σ²; ``out`` is (rows, q) and flat."""
    for i in range(rows):
        for j in range(q):
            out[i * q + j] = inverse[start + i * q + j] + scale * left[lo + i] * right[ro + j]


@njit(nogil=True, cache=True)
def _pull_pair(dM, M, raw, start, qa, ma, qb, mb, moment):
    """Adjoint of M_a' raw M_b, whose weight is ``moment`` (qa, qb), for a and b different variables."""
    for h in range(qa):
        for k in range(qb):
            value = raw[start + h * qb + k]
            if value == 0.0:
                continue
            for j in range(qb):
                # dM_b += raw' M_a moment
                total = 0.0
                for i in range(qa):
                    total += M[ma + h * qa + i] * moment[i * qb + j]
                dM[mb + k * qb + j] -= value * total
            for i in range(qa):
                # dM_a += raw M_b moment'
                total = 0.0
                for j in range(qb):
                    total += M[mb + k * qb + j] * moment[i * qb + j]
                dM[ma + h * qa + i] -= value * total


@njit(nogil=True, cache=True)
def _pull_own(dM, M, raw, start, q, mo, moment):
    """Adjoint of M' raw M, half of it: raw M moment."""
    for h in range(q):
        for j in range(q):
            total = 0.0
            for k in range(q):
                part = 0.0
                for i in range(q):
                    part += M[mo + k * q + i] * moment[i * q + j]
                total += raw[start + h * q + k] * part
            dM[mo + h * q + j] -= total


@njit(nogil=True, cache=True)
def gradient_factors(M, system, inverse, root, b, gamma, scale, dM):
    """Gradient of -½(log|A| + r²/σ²) in the relative factors, into ``dM``.

    It is the sum, over the pattern of A, of the cross-products times the blocks of A⁻¹ + ww'/σ² (``scale`` is 1/σ²), with w = -1 for y: nothing is
    divided by M, so that it holds for a singular G too.
    """
    S, p, n_root, nr = system.meta[1], system.meta[2], system.meta[3], system.meta[4]
    dM[:] = 0.0
    largest = 1
    for f in range(system.meta[0]):
        largest = max(largest, system.q[f])
    moment = np.empty(max(largest, p + 1) * largest)
    signed = np.empty(p + 1)
    signed[:p] = gamma
    signed[p] = -1.0
    flat = root.reshape(root.size)
    nd = nr + p + 1
    for s in range(S):
        f = system.stage_factor[s]
        q, mo = system.q[f], system.m_offset[f]
        for node in range(system.stage_start[s], system.stage_start[s + 1]):
            at = system.panel_start[node]
            u = system.u_offset[f] + (node - system.stage_start[s]) * q
            _moment(inverse, at, q, q, b, u, b, u, scale, moment)
            _pull_own(dM, M, system.panel, at, q, mo, moment)
            row = q
            for later in range(s + 1, S):
                g = system.stage_factor[later]
                qg = system.q[g]
                up = system.ancestor[node * S + later] - system.stage_start[later]
                _moment(
                    inverse,
                    at + row * q,
                    qg,
                    q,
                    b,
                    system.u_offset[g] + up * qg,
                    b,
                    u,
                    scale,
                    moment,
                )
                _pull_pair(dM, M, system.panel, at + row * q, qg, system.m_offset[g], q, mo, moment)
                row += qg
            for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
                r = system.root_list[e]
                g = system.root_factor[r]
                qg = system.q[g]
                v = system.u_offset[g] + (r - system.root_start[g]) * qg
                _moment(inverse, at + row * q, qg, q, b, v, b, u, scale, moment)
                _pull_pair(dM, M, system.panel, at + row * q, qg, system.m_offset[g], q, mo, moment)
                row += qg
            _moment(inverse, at + row * q, p + 1, q, signed, 0, b, u, scale, moment)
            for i in range(p + 1):
                for h in range(q):
                    value = system.panel[at + (row + i) * q + h]
                    for j in range(q):
                        dM[mo + h * q + j] -= value * moment[i * q + j]
    for r in range(n_root):
        f = system.root_factor[r]
        q, mo, v = system.q[f], system.m_offset[f], system.root_var[r]
        u = system.u_offset[f] + (r - system.root_start[f]) * q
        for i in range(q):
            for j in range(q):
                element = root[v + max(i, j), v + min(i, j)]
                moment[i * q + j] = element + scale * b[u + i] * b[u + j]
        _pull_own(dM, M, system.diag, system.root_diag[r], q, mo, moment)
        for i in range(p + 1):
            for j in range(q):
                moment[i * q + j] = flat[(nr + i) * nd + v + j] + scale * signed[i] * b[u + j]
            for h in range(q):
                value = system.border[system.root_border[r] + i * q + h]
                for j in range(q):
                    dM[mo + h * q + j] -= value * moment[i * q + j]
    for e in range(len(system.pair_a)):
        a, c = system.pair_a[e], system.pair_b[e]
        fa, fc = system.root_factor[a], system.root_factor[c]
        qa, qc = system.q[fa], system.q[fc]
        ua = system.u_offset[fa] + (a - system.root_start[fa]) * qa
        uc = system.u_offset[fc] + (c - system.root_start[fc]) * qc
        for i in range(qa):
            for j in range(qc):
                element = root[system.root_var[a] + i, system.root_var[c] + j]
                moment[i * qc + j] = element + scale * b[ua + i] * b[uc + j]
        _pull_pair(
            dM,
            M,
            system.pairs,
            system.pair_at[e],
            qa,
            system.m_offset[fa],
            qc,
            system.m_offset[fc],
            moment,
        )


@njit(nogil=True, cache=True)
def profiled(M, kind, ints, floats):
    """-2 log-likelihood with sigma (and beta) at their best for the relative factors ``M``, and its gradient in them.

    Returns the value (inf where it does not exist), the gradient, sigma², b and gamma.
    """
    system = unpack(ints, floats)
    p, nr, n = system.meta[2], system.meta[4], system.meta[6]
    nd = nr + p + 1
    panel = np.empty(len(system.panel))
    inverse = np.empty(len(system.panel))
    root = np.empty((nd, nd))
    b = np.empty(system.u_offset[-1])
    gamma = np.empty(p)
    dM = np.zeros(len(M))
    logdet, logdet_x, rss, ok = factorise(
        M, np.zeros((p, p)), np.zeros(p), 0.0, system, panel, root
    )
    if not ok:
        return np.inf, dM, np.nan, b, gamma
    back_substitute(system, panel, root, np.zeros(p + len(b)), b, gamma)
    df = n - p if kind == REML else n
    sigma2 = rss / df
    value = df * (1.0 + np.log(2.0 * np.pi * sigma2)) - system.constants[0]
    value += logdet_x + 2.0 * system.constants[1] if kind == REML else logdet
    selected_inverse(system, panel, root, kind, inverse)
    gradient_factors(M, system, inverse, root, b, gamma, 1.0 / sigma2, dM)
    return value, -2.0 * dM, sigma2, b, gamma


@njit(nogil=True, cache=True)
def relative_factors(theta, system, M):
    """Write M_f = L_f/σ of every factor into ``M``; False where theta is not that of covariance matrices."""
    sigma = theta[-1]
    if not sigma > 0.0:
        return False
    M[:] = 0.0
    for at in range(system.meta[5]):
        bar = system.bars[at * 6 : at * 6 + 6]
        f, first, q, code, sd, corr = bar[0], bar[1], bar[2], bar[3], bar[4], bar[5]
        L = np.empty((q, q))
        if not factor(code, q, theta[sd:], theta[corr:], L):
            return False
        width = system.q[f]
        for i in range(q):
            for j in range(i + 1):
                M[system.m_offset[f] + (first + i) * width + first + j] = L[i, j] / sigma
    return True


@njit(nogil=True, cache=True)
def _pull_theta(theta, system, M, dM, dtheta):
    """Add the adjoint of :func:`relative_factors` to ``dtheta``."""
    sigma = theta[-1]
    for at in range(system.meta[5]):
        bar = system.bars[at * 6 : at * 6 + 6]
        f, first, q, code, sd, corr = bar[0], bar[1], bar[2], bar[3], bar[4], bar[5]
        width = system.q[f]
        dL = np.zeros((q, q))
        for i in range(q):
            for j in range(i + 1):
                where = system.m_offset[f] + (first + i) * width + first + j
                dL[i, j] = dM[where] / sigma
                dtheta[-1] -= dM[where] * M[where] / sigma
        factor_pullback(code, q, theta[sd:], theta[corr:], dL, dtheta[sd:], dtheta[corr:])


@njit(nogil=True, cache=True)
def _rotate_prior(mean, precision, system, center, rotated):
    """The prior of beta as one of gamma = r(beta - beta_ols). Returns log of the precision's (pseudo-)determinant and its rank."""
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


@njit(nogil=True, cache=True)
def _scaled_prior(center, rotated, sigma2, ridge, rhs):
    """The prior of gamma in the equations' units; returns its square, g0'Pg0 σ²."""
    square = 0.0
    for i in range(len(center)):
        rhs[i] = 0.0
        for j in range(len(center)):
            ridge[i, j] = sigma2 * rotated[i, j]
            rhs[i] += ridge[i, j] * center[j]
        square += rhs[i] * center[i]
    return square


@njit(nogil=True, cache=True)
def collapsed(theta, beta_mean, beta_precision, ints, floats):
    """Log density of y given theta, with beta and u integrated out, and its gradient in theta.

    beta ~ N(beta_mean, beta_precision⁻¹); rows and columns of zeros stand for a flat prior, for which the density is that of REML.
    Minus infinity, with a zero gradient, where theta is not that of covariance matrices.
    """
    return loglik(theta, REML, beta_mean, beta_precision, ints, floats)


@njit(nogil=True, cache=True)
def loglik(theta, kind, beta_mean, beta_precision, ints, floats):
    """:func:`collapsed` for REML; for ML beta is at its maximum instead, and its prior must be flat."""
    system = unpack(ints, floats)
    p, nr, n = system.meta[2], system.meta[4], system.meta[6]
    nd = nr + p + 1
    dtheta = np.zeros(len(theta))
    M = np.empty(system.m_offset[-1])
    if not relative_factors(theta, system, M):
        return -np.inf, dtheta
    center, rhs = np.empty(p), np.empty(p)
    rotated, ridge = np.empty((p, p)), np.empty((p, p))
    prior_logdet, prior_rank = _rotate_prior(beta_mean, beta_precision, system, center, rotated)
    sigma = theta[-1]
    sigma2 = sigma * sigma
    square = _scaled_prior(center, rotated, sigma2, ridge, rhs)
    panel = np.empty(len(system.panel))
    inverse = np.empty(len(system.panel))
    root = np.empty((nd, nd))
    logdet, logdet_x, rss, ok = factorise(M, ridge, rhs, square, system, panel, root)
    if not ok:
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
    b, gamma = np.empty(system.u_offset[-1]), np.empty(p)
    back_substitute(system, panel, root, np.zeros(p + len(b)), b, gamma)
    selected_inverse(system, panel, root, kind, inverse)
    dM = np.empty(len(M))
    gradient_factors(M, system, inverse, root, b, gamma, 1.0 / sigma2, dM)
    # sigma: -df/σ + r²/σ³ - σ[tr(A⁻¹ P) + (gamma - g0)'P(gamma - g0)/σ²]
    prior_part = 0.0
    for i in range(p):
        for j in range(p):
            element = root[nr + max(i, j), nr + min(i, j)]
            element += (gamma[i] - center[i]) * (gamma[j] - center[j]) / sigma2
            prior_part += rotated[i, j] * element
    dtheta[-1] = -df / sigma + rss / (sigma2 * sigma) - sigma * prior_part
    _pull_theta(theta, system, M, dM, dtheta)
    return value, dtheta


@njit(nogil=True, cache=True)
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
    p, nr = system.meta[2], system.meta[4]
    nd = nr + p + 1
    size = system.u_offset[-1]
    beta, u = np.empty((len(thetas), p)), np.empty((len(thetas), size))
    M = np.empty(system.m_offset[-1])
    center, rhs = np.empty(p), np.empty(p)
    rotated, ridge = np.empty((p, p)), np.empty((p, p))
    _rotate_prior(beta_mean, beta_precision, system, center, rotated)
    panel = np.empty(len(system.panel))
    root = np.empty((nd, nd))
    b, gamma = np.empty(size), np.empty(p)
    for s in range(len(thetas)):
        sigma = thetas[s, -1]
        ok = relative_factors(thetas[s], system, M)
        if ok:
            square = _scaled_prior(center, rotated, sigma * sigma, ridge, rhs)
            _, _, _, ok = factorise(M, ridge, rhs, square, system, panel, root)
        if not ok:
            beta[s] = np.nan
            u[s] = np.nan
            continue
        back_substitute(system, panel, root, sigma * z[s], b, gamma)
        _to_user(system, M, b, gamma, beta[s], u[s])
    return beta, u


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def solve(M, ints, floats):
    """BLUE and BLUP at the relative factors ``M``."""
    system = unpack(ints, floats)
    p, nr = system.meta[2], system.meta[4]
    nd = nr + p + 1
    panel, root = np.empty(len(system.panel)), np.empty((nd, nd))
    b, gamma = np.empty(system.u_offset[-1]), np.empty(p)
    beta, u = np.full(p, np.nan), np.full(len(b), np.nan)
    _, _, _, ok = factorise(M, np.zeros((p, p)), np.zeros(p), 0.0, system, panel, root)
    if ok:
        back_substitute(system, panel, root, np.zeros(p + len(b)), b, gamma)
        _to_user(system, M, b, gamma, beta, u)
    return beta, u


@njit(nogil=True, cache=True)
def conditional_variances(M, kind, ints, floats):
    """Blocks of the inverse at ``M``, in units of σ²: Var(gamma) and, for each level, the block of Var(u - û).

    ML: beta taken as known, lme4's conditional variances. REML: with what estimating beta adds.

    Returns
    -------
    (p, p) array (zero for ML) and a flat array with a (q, q) block for each level, in the order of u
    """
    system = unpack(ints, floats)
    F, S, p, n_root, nr = (
        system.meta[0],
        system.meta[1],
        system.meta[2],
        system.meta[3],
        system.meta[4],
    )
    nd = nr + p + 1
    panel, inverse = np.empty(len(system.panel)), np.empty(len(system.panel))
    root = np.empty((nd, nd))
    block_start = np.zeros(F + 1, dtype=np.int64)
    largest = 1
    for f in range(F):
        block_start[f + 1] = block_start[f] + system.n_levels[f] * system.q[f] ** 2
        largest = max(largest, system.q[f])
    var_gamma, blocks = np.full((p, p), np.nan), np.full(block_start[F], np.nan)
    _, _, _, ok = factorise(M, np.zeros((p, p)), np.zeros(p), 0.0, system, panel, root)
    if not ok:
        return var_gamma, blocks
    selected_inverse(system, panel, root, kind, inverse)
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


@njit(nogil=True, cache=True)
def half_solve_chain(M, ints, floats, panel, codes, values, basis, rest):
    """Forward substitution L⁻¹ through the chain for sparse linear functions of (u, gamma), one a row.

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
        # a function may touch levels of the chain that do not lie within each other: each starts a walk of its own
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
                        node = -1
                        break
                if node < 0:
                    continue
            for walk in range(n_walks):
                node = chain[walk, s]
                if node < 0:
                    continue
                at = system.panel_start[node]
                base, count = _root_rows(s, node, system, index)
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
