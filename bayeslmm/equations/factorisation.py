"""Cholesky factorisation of the mixed-model equations, up the tree, and the solution back down.

The unknowns are w = (b, gamma): u = M b (M the relative factor, G = σ²MM') and gamma the
coefficients of the orthonormal basis of X. The system A is that of docs/mathematics.md. Its
Cholesky factor is kept as the panels of the chain and the dense root, whose last row, that of y,
holds L⁻¹ of the right-hand side.

Functions that work through a stage of the chain take the number of effects as ``size``: a tuple of
that length where it is 1 or 2, so that the compiler knows it and unrolls the loops over effects,
else an integer.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from bayeslmm.equations.packing import unpack
from bayeslmm.support.lapack import cholesky_lower

__all__ = ["back_substitute", "effects", "factorise", "root_rows"]


def effects(size):
    """Return the number of effects that ``size`` stands for."""
    return len(size) if isinstance(size, tuple) else size


@overload(effects)
def _effects(size):
    if isinstance(size, types.BaseTuple):
        length = len(size)
        return lambda size: length
    return lambda size: size


@njit(nogil=True, cache=True, error_model="numpy")
def stage_rows(s, system):
    """Panel rows of a stage that belong to the chain: its own effects and those of the later
    stages.
    """
    rows = 0
    for later in range(s, system.meta[1]):
        rows += system.q[system.stage_factor[later]]
    return rows


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def root_rows(node, system, index):
    """Write the root position of each panel row below the chain's, y last; return their number."""
    p, nr = system.meta[2], system.meta[4]
    count = 0
    for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
        r = system.root_list[e]
        for k in range(system.q[system.root_factor[r]]):
            index[count] = system.root_var[r] + k
            count += 1
    for k in range(p + 1):
        index[count] = nr + k
        count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _between(out, at, raw, start, left, lo, size, M, mo):
    """Add M_left' raw M to the (left, q) block of ``out`` at ``at``."""
    q = effects(size)
    for i in range(left):
        for h in range(left):
            weight = M[lo + h * left + i]
            if weight != 0.0:
                for j in range(q):
                    part = 0.0
                    for k in range(q):
                        part += raw[start + h * q + k] * M[mo + k * q + j]
                    out[at + i * q + j] += weight * part


@njit(nogil=True, cache=True, error_model="numpy")
def _assemble_root(M, ridge, ridge_rhs, ridge_square, ints, floats, root):
    system = unpack(ints, floats)
    p, n_root, nr = system.meta[2], system.meta[3], system.meta[4]
    root[:, :] = 0.0
    for r in range(n_root):
        f = system.root_factor[r]
        q, mo, v = system.q[f], system.m_offset[f], system.root_var[r]
        raw, border = system.root_diag[r], system.root_border[r]
        for i in range(q):
            for j in range(i + 1):
                value = system.precision[r] if i == j else 0.0
                for h in range(q):
                    for k in range(q):
                        middle = system.diag[raw + h * q + k]
                        value += M[mo + h * q + i] * middle * M[mo + k * q + j]
                root[v + i, v + j] = value
        for i in range(p + 1):
            for j in range(q):
                value = 0.0
                for k in range(q):
                    value += system.border[border + i * q + k] * M[mo + k * q + j]
                root[nr + i, v + j] = value
    for e in range(len(system.pair_a)):
        a, b = system.pair_a[e], system.pair_b[e]
        fa, fb = system.root_factor[a], system.root_factor[b]
        qa, qb, ma, mb = system.q[fa], system.q[fb], system.m_offset[fa], system.m_offset[fb]
        for i in range(qa):
            for j in range(qb):
                value = system.coupling[e] if i == j else 0.0
                for h in range(qa):
                    for k in range(qb):
                        middle = system.pairs[system.pair_at[e] + h * qb + k]
                        value += M[ma + h * qa + i] * middle * M[mb + k * qb + j]
                root[system.root_var[a] + i, system.root_var[b] + j] = value
    for i in range(p + 1):
        for j in range(i + 1):
            root[nr + i, nr + j] = system.xy[i * (p + 1) + j]
    for i in range(p):
        for j in range(i + 1):
            root[nr + i, nr + j] += ridge[i, j]
        root[nr + p, nr + i] += ridge_rhs[i]
    root[nr + p, nr + p] += ridge_square


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _assemble_node(size, s, node, M, system, panel):
    """Add a node's own entries of A to what its descendants have left in its panel."""
    q = effects(size)
    S, p = system.meta[1], system.meta[2]
    mo = system.m_offset[system.stage_factor[s]]
    at = system.panel_start[node]
    raw = system.panel
    for h in range(q):
        for j in range(q):
            part = 0.0
            for k in range(q):
                part += raw[at + h * q + k] * M[mo + k * q + j]
            for i in range(q):
                panel[at + i * q + j] += M[mo + h * q + i] * part
    for i in range(q):
        panel[at + i * q + i] += 1.0
    row = at + q * q
    for later in range(s + 1, S):
        g = system.stage_factor[later]
        _between(panel, row, raw, row, system.q[g], system.m_offset[g], size, M, mo)
        row += system.q[g] * q
    for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
        g = system.root_factor[system.root_list[e]]
        _between(panel, row, raw, row, system.q[g], system.m_offset[g], size, M, mo)
        row += system.q[g] * q
    for i in range(p + 1):
        for j in range(q):
            value = 0.0
            for k in range(q):
                value += raw[row + i * q + k] * M[mo + k * q + j]
            panel[row + i * q + j] += value


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _outer(panel, a, b, size):
    """Return the inner product of panel rows a and b: an element of what the node leaves to
    others.
    """
    value = 0.0
    for k in range(effects(size)):
        value += panel[a + k] * panel[b + k]
    return value


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _leave_to_ancestors(size, s, node, base, system, panel):
    """Subtract a node's outer product from the panels of its ancestors in the chain."""
    q = effects(size)
    S, p = system.meta[1], system.meta[2]
    at = system.panel_start[node]
    met = system.root_ptr[node + 1] - system.root_ptr[node]
    row = q
    for later in range(s + 1, S):
        qg = system.q[system.stage_factor[later]]
        up = system.ancestor[node * S + later]
        target = system.panel_start[up]
        for i in range(row, base):  # the chain's rows stand in the same order there
            for j in range(qg):
                panel[target + (i - row) * qg + j] -= _outer(
                    panel, at + i * q, at + (row + j) * q, size
                )
        rel = system.rel_ptr[node] + (later - s - 1) * met
        i = base
        for e in range(met):
            there = system.rel[rel + e]
            r = system.root_list[system.root_ptr[node] + e]
            for h in range(system.q[system.root_factor[r]]):
                for j in range(qg):
                    panel[target + (there + h) * qg + j] -= _outer(
                        panel, at + i * q, at + (row + j) * q, size
                    )
                i += 1
        there = (system.panel_start[up + 1] - target) // qg - p - 1
        for h in range(p + 1):
            for j in range(qg):
                panel[target + (there + h) * qg + j] -= _outer(
                    panel, at + i * q, at + (row + j) * q, size
                )
            i += 1
        row += qg


@njit(nogil=True, cache=True, error_model="numpy")
def _factorise_stage(size, s, M, ints, floats, panel, root, index):
    """Eliminate the nodes of a stage. Returns log of the determinant of its pivots, -inf where one
    is not positive.
    """
    system = unpack(ints, floats)
    q = effects(size)
    base = stage_rows(s, system)
    crossed = system.meta[3] > 0
    count = root_rows(system.stage_start[s], system, index)
    logdet = 0.0
    for node in range(system.stage_start[s], system.stage_start[s + 1]):
        if crossed:
            count = root_rows(node, system, index)
        _assemble_node(size, s, node, M, system, panel)
        at = system.panel_start[node]
        pivots = 1.0
        for i in range(q):
            for j in range(i):
                value = panel[at + i * q + j]
                for k in range(j):
                    value -= panel[at + i * q + k] * panel[at + j * q + k]
                panel[at + i * q + j] = value / panel[at + j * q + j]
            value = panel[at + i * q + i]
            for k in range(i):
                value -= panel[at + i * q + k] * panel[at + i * q + k]
            if not value > 0.0:
                return -np.inf
            pivots *= value
            panel[at + i * q + i] = np.sqrt(value)
        logdet += np.log(pivots)
        for i in range(q, base + count):
            for j in range(q):
                value = panel[at + i * q + j]
                for k in range(j):
                    value -= panel[at + i * q + k] * panel[at + j * q + k]
                panel[at + i * q + j] = value / panel[at + j * q + j]
        if base > q:
            _leave_to_ancestors(size, s, node, base, system, panel)
        first = at + base * q
        for i in range(count):
            for j in range(i + 1):
                root[index[i], index[j]] -= _outer(panel, first + i * q, first + j * q, size)
    return logdet


@njit(nogil=True, cache=True, error_model="numpy")
def factorise(M, ridge, ridge_rhs, ridge_square, ints, floats, panel, root):
    """Cholesky factor of A bordered by y, into ``panel`` and ``root``.

    ``ridge`` (p, p) is added to X'WX, ``ridge_rhs`` (p,) to X'Wy and ``ridge_square`` to y'Wy: the
    prior of gamma times σ². Returns log|Z part|, log|Z and X parts|, the squared length r² of the
    penalised residual, and whether it worked.
    """
    system = unpack(ints, floats)
    S, p, nr = system.meta[1], system.meta[2], system.meta[4]
    nd = nr + p + 1
    _assemble_root(M, ridge, ridge_rhs, ridge_square, ints, floats, root)
    panel[:] = 0.0
    index = np.empty(nd, dtype=np.int64)
    logdet = 0.0
    for s in range(S):
        q = system.q[system.stage_factor[s]]
        if q == 1:
            logdet += _factorise_stage((0,), s, M, ints, floats, panel, root, index)
        elif q == 2:
            logdet += _factorise_stage((0, 0), s, M, ints, floats, panel, root, index)
        else:
            logdet += _factorise_stage(q, s, M, ints, floats, panel, root, index)
        if logdet == -np.inf:
            return 0.0, 0.0, 0.0, False
    if not cholesky_lower(root, nd):
        return 0.0, 0.0, 0.0, False
    for i in range(nr):
        logdet += 2.0 * np.log(root[i, i])
    logdet_x = logdet
    for i in range(nr, nr + p):
        logdet_x += 2.0 * np.log(root[i, i])
    return logdet, logdet_x, root[nd - 1, nd - 1] ** 2, True


@njit(nogil=True, cache=True, error_model="numpy")
def _back_stage(size, s, ints, floats, panel, noise, w, b, index):
    system = unpack(ints, floats)
    q = effects(size)
    S, p = system.meta[1], system.meta[2]
    base = stage_rows(s, system)
    crossed = system.meta[3] > 0
    count = root_rows(system.stage_start[s], system, index)
    u = system.u_offset[system.stage_factor[s]]
    for node in range(system.stage_start[s], system.stage_start[s + 1]):
        if crossed:
            count = root_rows(node, system, index)
        at = system.panel_start[node]
        y_row = at + (base + count - 1) * q
        for j in range(q):
            b[u + j] = panel[y_row + j] + noise[p + u + j]
        row = at + q * q
        for later in range(s + 1, S):
            g = system.stage_factor[later]
            up = system.ancestor[node * S + later] - system.stage_start[later]
            v = system.u_offset[g] + up * system.q[g]
            for k in range(system.q[g]):
                for j in range(q):
                    b[u + j] -= panel[row + j] * b[v + k]
                row += q
        for i in range(count - 1):
            value = w[index[i]]
            for j in range(q):
                b[u + j] -= panel[row + j] * value
            row += q
        for j in range(q - 1, -1, -1):
            value = b[u + j]
            for k in range(j + 1, q):
                value -= panel[at + k * q + j] * b[u + k]
            b[u + j] = value / panel[at + j * q + j]
        u += q


@njit(nogil=True, cache=True, error_model="numpy")
def back_substitute(ints, floats, panel, root, noise, b, gamma):
    """Solve L'w = L⁻¹(right-hand side) + noise into ``b`` (ordered as u) and ``gamma``.

    With zero noise w is the solution of the equations; with standard normal noise times σ, a draw
    of w given theta and y. ``noise`` holds p values for gamma, then one for each element of b.
    """
    system = unpack(ints, floats)
    S, p, n_root, nr = system.meta[1], system.meta[2], system.meta[3], system.meta[4]
    nd = nr + p + 1
    w = np.empty(nd)
    for i in range(p):
        w[nr + i] = root[nd - 1, nr + i] + noise[i]
    for r in range(n_root):
        f = system.root_factor[r]
        v = system.root_var[r]
        u = p + system.u_offset[f] + (r - system.root_start[f]) * system.q[f]
        for k in range(system.q[f]):
            w[v + k] = root[nd - 1, v + k] + noise[u + k]
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
        q = system.q[system.stage_factor[s]]
        if q == 1:
            _back_stage((0,), s, ints, floats, panel, noise, w, b, index)
        elif q == 2:
            _back_stage((0, 0), s, ints, floats, panel, noise, w, b, index)
        else:
            _back_stage(q, s, ints, floats, panel, noise, w, b, index)
