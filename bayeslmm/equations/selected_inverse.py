"""Blocks of A⁻¹ on the pattern of its factor, and the gradient in the relative factors that they
give. What b is before any data, in A, depends on no parameter, and so has no part in the gradient.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bayeslmm.equations.factorisation import effects, root_rows, stage_rows
from bayeslmm.equations.packing import unpack
from bayeslmm.support.lapack import inverse_from_cholesky

__all__ = ["ML", "REML", "gradient_factors", "selected_inverse"]

ML, REML = 0, 1
"""Whether beta is at its maximum, or integrated out (under a flat prior or another)."""


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _gather_ancestors(size, s, node, base, count, system, panel, inverse):
    """Add (A⁻¹)[below, ancestors] L[ancestors, own] and its mirror to inverse[below, own]."""
    q = effects(size)
    S, p = system.meta[1], system.meta[2]
    at = system.panel_start[node]
    rows = base + count - 1
    met = system.root_ptr[node + 1] - system.root_ptr[node]
    row = q
    for later in range(s + 1, S):
        qg = system.q[system.stage_factor[later]]
        up = system.ancestor[node * S + later]
        there = system.panel_start[up]
        border = (system.panel_start[up + 1] - there) // qg - p - 1
        rel = system.rel_ptr[node] + (later - s - 1) * met
        entry, left, source = -1, 0, there
        for i in range(row, rows):
            if i < base:
                source = there + (i - row) * qg
            elif i >= rows - p:
                source = there + (border + i - (rows - p)) * qg
            elif left == 0:
                entry += 1
                r = system.root_list[system.root_ptr[node] + entry]
                left = system.q[system.root_factor[r]] - 1
                source = there + system.rel[rel + entry] * qg
            else:
                source += qg
                left -= 1
            for j in range(qg):
                value = inverse[source + j]
                for k in range(q):
                    inverse[at + i * q + k] += value * panel[at + (row + j) * q + k]
                if i >= row + qg:
                    for k in range(q):
                        inverse[at + (row + j) * q + k] += value * panel[at + i * q + k]
        row += qg


@njit(nogil=True, cache=True, error_model="numpy")
def _inverse_stage(size, s, ints, floats, panel, root, inverse, index):
    system = unpack(ints, floats)
    q = effects(size)
    base = stage_rows(s, system)
    crossed = system.meta[3] > 0
    count = root_rows(system.stage_start[s], system, index)
    for node in range(system.stage_start[s], system.stage_start[s + 1]):
        if crossed:
            count = root_rows(node, system, index)
        at = system.panel_start[node]
        rows = base + count - 1  # without y
        # (A⁻¹)[below, below] L[below, own], gathered from what is known
        if base > q:
            _gather_ancestors(size, s, node, base, count, system, panel, inverse)
        first = at + base * q
        for i in range(count - 1):
            a = first + i * q
            value = root[index[i], index[i]]
            for k in range(q):
                inverse[a + k] += value * panel[a + k]
            for j in range(i):
                value = root[index[i], index[j]]
                c = first + j * q
                for k in range(q):
                    inverse[a + k] += value * panel[c + k]
                for k in range(q):
                    inverse[c + k] += value * panel[a + k]
        # times -L[own, own]⁻¹ from the right
        for i in range(q, rows):
            for j in range(q - 1, -1, -1):
                value = -inverse[at + i * q + j]
                for k in range(j + 1, q):
                    value -= inverse[at + i * q + k] * panel[at + k * q + j]
                inverse[at + i * q + j] = value / panel[at + j * q + j]
        # own block: (L⁻ᵀ - (A⁻¹)[own, below] L[below, own]) L⁻¹, from the last column back
        for j in range(q - 1, -1, -1):
            for i in range(q - 1, j - 1, -1):
                value = 1.0 / panel[at + j * q + j] if i == j else 0.0
                for k in range(q, rows):
                    value -= inverse[at + k * q + i] * panel[at + k * q + j]
                for k in range(j + 1, q):
                    value -= inverse[at + i * q + k] * panel[at + k * q + j]
                value /= panel[at + j * q + j]
                inverse[at + i * q + j] = value
                inverse[at + j * q + i] = value


@njit(nogil=True, cache=True, error_model="numpy")
def selected_inverse(ints, floats, panel, root, kind, inverse):
    """Blocks of A⁻¹ on the pattern of its factor: panels into ``inverse``, the root's in place in
    ``root``.

    REML: A with the columns of X. ML: A without them, the blocks that belong to X zero. Of the
    root the lower triangle is filled. The recursion is that of Takahashi, Fagan and Chin (1973);
    see docs/mathematics.md.
    """
    system = unpack(ints, floats)
    S, p, nr = system.meta[1], system.meta[2], system.meta[4]
    nd = nr + p + 1
    order = nr + p if kind == REML else nr
    inverse_from_cholesky(root, order)
    for i in range(order, nd):
        root[i, :] = 0.0
    inverse[:] = 0.0
    index = np.empty(nd, dtype=np.int64)
    for s in range(S - 1, -1, -1):
        q = system.q[system.stage_factor[s]]
        if q == 1:
            _inverse_stage((0,), s, ints, floats, panel, root, inverse, index)
        elif q == 2:
            _inverse_stage((0, 0), s, ints, floats, panel, root, inverse, index)
        else:
            _inverse_stage(q, s, ints, floats, panel, root, inverse, index)


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _pull_between(dM, M, raw, start, qa, ma, size, mb, moment):
    """Adjoint of M_a' raw M_b, whose weight is ``moment`` (qa, q), for different a and b."""
    q = effects(size)
    for h in range(qa):
        for k in range(q):
            value = raw[start + h * q + k]
            if value == 0.0:
                continue
            for i in range(qa):
                left = value * M[ma + h * qa + i]
                total = 0.0
                for j in range(q):
                    dM[mb + k * q + j] -= left * moment[i * q + j]
                    total += M[mb + k * q + j] * moment[i * q + j]
                dM[ma + h * qa + i] -= value * total


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _pull_own(dM, M, raw, start, size, mo, moment):
    """Adjoint of M' raw M, half of it: raw M moment."""
    q = effects(size)
    for k in range(q):
        for j in range(q):
            part = 0.0
            for i in range(q):
                part += M[mo + k * q + i] * moment[i * q + j]
            for h in range(q):
                dM[mo + h * q + j] -= raw[start + h * q + k] * part


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _pull_products(draw, start, M, qa, ma, size, mb, moment, share):
    """Adjoint of the cross-products themselves: -M_a moment M_b', times ``share``."""
    q = effects(size)
    for i in range(qa):
        for k in range(q):
            value = 0.0
            for j in range(q):
                value += moment[i * q + j] * M[mb + k * q + j]
            value *= share
            for h in range(qa):
                draw[start + h * q + k] -= M[ma + h * qa + i] * value


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient_stage(size, s, M, ints, floats, inverse, b, signed, scale, moment, dM, draw):
    system = unpack(ints, floats)
    q = effects(size)
    S, p = system.meta[1], system.meta[2]
    f = system.stage_factor[s]
    mo = system.m_offset[f]
    u = system.u_offset[f]
    raw = system.panel
    for node in range(system.stage_start[s], system.stage_start[s + 1]):
        at = system.panel_start[node]
        for i in range(q):
            for j in range(q):
                moment[i * q + j] = inverse[at + i * q + j] + scale * b[u + i] * b[u + j]
        _pull_own(dM, M, raw, at, size, mo, moment)
        if len(draw):
            _pull_products(draw, at, M, q, mo, size, mo, moment, 0.5)
        row = at + q * q
        for later in range(s + 1, S):
            g = system.stage_factor[later]
            qg = system.q[g]
            up = system.ancestor[node * S + later] - system.stage_start[later]
            v = system.u_offset[g] + up * qg
            for i in range(qg):
                for j in range(q):
                    moment[i * q + j] = inverse[row + i * q + j] + scale * b[v + i] * b[u + j]
            _pull_between(dM, M, raw, row, qg, system.m_offset[g], size, mo, moment)
            if len(draw):
                _pull_products(draw, row, M, qg, system.m_offset[g], size, mo, moment, 1.0)
            row += qg * q
        for e in range(system.root_ptr[node], system.root_ptr[node + 1]):
            r = system.root_list[e]
            g = system.root_factor[r]
            qg = system.q[g]
            v = system.u_offset[g] + (r - system.root_start[g]) * qg
            for i in range(qg):
                for j in range(q):
                    moment[i * q + j] = inverse[row + i * q + j] + scale * b[v + i] * b[u + j]
            _pull_between(dM, M, raw, row, qg, system.m_offset[g], size, mo, moment)
            if len(draw):
                _pull_products(draw, row, M, qg, system.m_offset[g], size, mo, moment, 1.0)
            row += qg * q
        for i in range(p + 1):
            for j in range(q):
                value = inverse[row + j] + scale * signed[i] * b[u + j]
                for h in range(q):
                    dM[mo + h * q + j] -= raw[row + h] * value
                if len(draw):
                    for h in range(q):
                        draw[row + h] -= value * M[mo + h * q + j]
            row += q
        u += q


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient_root(M, ints, floats, root, b, signed, scale, moment, dM, draw):
    system = unpack(ints, floats)
    p, n_root, nr = system.meta[2], system.meta[3], system.meta[4]
    borders, diagonals, pairs, xy = ints[24], ints[25], ints[26], ints[27]
    if len(draw):
        for i in range(p + 1):
            for j in range(p + 1):
                element = root[nr + max(i, j), nr + min(i, j)] + scale * signed[i] * signed[j]
                draw[xy + i * (p + 1) + j] -= 0.5 * element
    for r in range(n_root):
        f = system.root_factor[r]
        q, mo, v = system.q[f], system.m_offset[f], system.root_var[r]
        u = system.u_offset[f] + (r - system.root_start[f]) * q
        for i in range(q):
            for j in range(q):
                element = root[v + max(i, j), v + min(i, j)]
                moment[i * q + j] = element + scale * b[u + i] * b[u + j]
        _pull_own(dM, M, system.diag, system.root_diag[r], q, mo, moment)
        if len(draw):
            _pull_products(draw, diagonals + system.root_diag[r], M, q, mo, q, mo, moment, 0.5)
        for i in range(p + 1):
            for j in range(q):
                value = root[nr + i, v + j] + scale * signed[i] * b[u + j]
                at = system.root_border[r] + i * q
                for h in range(q):
                    dM[mo + h * q + j] -= system.border[at + h] * value
                if len(draw):
                    for h in range(q):
                        draw[borders + at + h] -= value * M[mo + h * q + j]
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
        ma, mc = system.m_offset[fa], system.m_offset[fc]
        at = system.pair_at[e]
        _pull_between(dM, M, system.pairs, at, qa, ma, qc, mc, moment)
        if len(draw):
            _pull_products(draw, pairs + at, M, qa, ma, qc, mc, moment, 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def gradient_factors(M, ints, floats, inverse, root, b, gamma, scale, dM, draw):
    """Gradient of -½(log|A| + r²/σ²) in the relative factors, into ``dM``, and in the
    cross-products, into ``draw`` unless that is empty.

    It is the sum, over the pattern of A, of the cross-products times the blocks of A⁻¹ + ww'/σ²
    (``scale`` is 1/σ²), with w = -1 for y: nothing is divided by M, so that it holds for a
    singular G too.
    """
    system = unpack(ints, floats)
    S, p = system.meta[1], system.meta[2]
    dM[:] = 0.0
    draw[:] = 0.0
    largest = 1
    for f in range(system.meta[0]):
        largest = max(largest, system.q[f])
    moment = np.empty(largest * largest)
    signed = np.empty(p + 1)
    signed[:p] = gamma
    signed[p] = -1.0
    for s in range(S):
        q = system.q[system.stage_factor[s]]
        if q == 1:
            _gradient_stage((0,), s, M, ints, floats, inverse, b, signed, scale, moment, dM, draw)
        elif q == 2:
            _gradient_stage((0, 0), s, M, ints, floats, inverse, b, signed, scale, moment, dM, draw)
        else:
            _gradient_stage(q, s, M, ints, floats, inverse, b, signed, scale, moment, dM, draw)
    _gradient_root(M, ints, floats, root, b, signed, scale, moment, dM, draw)
