"""The rows of data under a structured R laid out for `residuals`: blocks, patterns, and where the
cross-products of each block belong.

Everything is done for all blocks with the same number of rows or of nodes at once, so that the time
does not grow with the number of blocks but through the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayeslmm.covariance.correlations.base import Needs, Whitening
from bayeslmm.equations.residual_kernels import N_HEADER
from bayeslmm.equations.whitening import factor_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.design.residual_rows import ResidualRows
    from bayeslmm.equations.system import System

__all__ = ["Layout", "pack_residuals"]

_MOST_ROWS = 256
"""Of a block without correlations, whose rows could as well be blocks of their own."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the cross-products of two nodes stand in the packed floats.

    Nodes of the chain have their number; root nodes theirs plus the number of nodes of the chain.
    """

    Z: tuple[np.ndarray, ...]
    chain: tuple[int, ...]
    root: tuple[int, ...]
    chain_node: tuple[np.ndarray, ...]
    root_node: dict[int, np.ndarray]
    system: System
    entry_key: np.ndarray
    entry_row: np.ndarray

    @property
    def n_chain(self) -> int:
        """The number of nodes of the chain."""
        return int(self.system.stage_start[-1])

    def widths(self, nodes: np.ndarray) -> np.ndarray:
        """The numbers of effects of nodes."""
        s = self.system
        root = nodes >= self.n_chain
        factor = np.empty(len(nodes), dtype=np.int64)
        factor[root] = s.root_factor[nodes[root] - self.n_chain]
        factor[~root] = s.stage_factor[self._stages(nodes[~root])]
        return np.asarray(s.q[factor])

    def _stages(self, nodes: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.system.stage_start, nodes, side="right") - 1

    def products(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Where the cross-products of pairs of nodes begin; b is a, or after it."""
        s, chain = self.system, self.n_chain
        out = np.empty(len(a), dtype=np.int64)
        low, high = a < chain, b >= chain
        widths = s.q[s.stage_factor]
        rows_before = np.concatenate([[0], np.cumsum(widths)])

        within = low & ~high
        stage = self._stages(a[within])
        between = rows_before[self._stages(b[within])] - rows_before[stage]
        out[within] = s.panel_start[a[within]] + between * widths[stage]

        across = low & high
        n_root = s.counts.root_nodes
        entry = np.searchsorted(self.entry_key, a[across] * n_root + b[across] - chain)
        width = widths[self._stages(a[across])]
        out[across] = s.panel_start[a[across]] + self.entry_row[entry] * width

        diagonals = len(s.panel) + len(s.border)
        same = ~low & (a == b)
        out[same] = diagonals + s.root_diag[a[same] - chain]
        apart = ~low & (a != b)
        pair = np.searchsorted(
            s.pair_a * n_root + s.pair_b, (b[apart] - chain) * n_root + a[apart] - chain
        )
        out[apart] = diagonals + len(s.diag) + s.pair_at[pair]
        return out

    def borders(self, a: np.ndarray) -> np.ndarray:
        """Where the cross-products of nodes with the border begin."""
        s, root = self.system, a >= self.n_chain
        out = np.empty(len(a), dtype=np.int64)
        out[root] = len(s.panel) + s.root_border[a[root] - self.n_chain]
        low = a[~root]
        out[~root] = s.panel_start[low + 1] - (s.counts.p + 1) * self.widths(low)
        return out


def pack_residuals(
    rows: ResidualRows, layout: Layout, border: np.ndarray, w: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part for R of the packed vectors.

    Parameters
    ----------
    rows : ResidualRows
    layout : Layout
        Where the cross-products of nodes stand.
    border : (n, p+1) array
        The basis of X and the residuals of y.
    w : (n,) array
        Weights.
    first : int
        The place of R's first parameter in theta.
    """
    n, p1 = border.shape
    how = rows.correlation.whitened(rows.place.shape[1])
    sort, block = _blocks(rows, layout, how)
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    block_row = np.append(starts, n)
    nodes = _Nodes.of(layout, sort, block, starts)
    patterns = _Patterns.of(rows, sort, block_row, how)
    values, block_value, most_columns = _values(layout, nodes, sort, block, block_row, border, w)
    target, block_target = _targets(layout, nodes)
    lengths = np.diff(patterns.row)
    meta = [
        rows.correlation.code,
        int(rows.correlation.nugget),
        rows.n_corr,
        how,
        rows.n_sigmas,
        rows.covariates.shape[1],
        first,
        len(starts),
        len(lengths),
        int(np.diff(block_row).max()),
        most_columns,
        p1 - 1,
        rows.place.shape[1],
    ]
    integers = [
        meta,
        block_row,
        patterns.of_block,
        block_value,
        nodes.ends,
        nodes.width,
        block_target,
        target,
        patterns.stratum,
        patterns.row,
        rows.point[patterns.rows],
        np.append(0, np.cumsum(factor_size(how, lengths))),
        rows.sigma[sort],
        sort,
    ]
    floats = [
        _places(rows, patterns),
        rows.covariates[sort].ravel(),
        values,
    ]
    int_ends = N_HEADER + np.cumsum([0, *map(len, integers)])
    float_ends = np.cumsum([0, *map(len, floats)])[1:3]
    header = np.r_[int_ends, float_ends]
    assert len(header) == N_HEADER
    return (
        np.concatenate([header, *integers]).astype(np.int64),
        np.concatenate(floats).astype(np.float64),
    )


def _blocks(rows: ResidualRows, layout: Layout, how: Whitening) -> tuple[np.ndarray, np.ndarray]:
    """The rows in the order of blocks, and the block of each in that order, from 0."""
    if how is not Whitening.INDEPENDENT:
        sort = rows.order
        return sort, np.cumsum(np.diff(rows.block[sort], prepend=-1) != 0) - 1
    # rows of the same levels have cross-products in the same places
    codes = [*layout.chain_node, *layout.root_node.values()]
    sort = np.lexsort(codes) if codes else np.arange(len(rows.block))
    new = np.zeros(len(sort), dtype=bool)
    new[0] = True
    for code in codes:
        new[1:] |= np.diff(code[sort]) != 0
    begin = np.flatnonzero(new)
    place = np.arange(len(sort)) - np.repeat(begin, np.diff(np.append(begin, len(sort))))
    return sort, np.cumsum(new | (place % _MOST_ROWS == 0)) - 1


class _Nodes(NamedTuple):
    """The nodes that the rows of each block meet: those of the chain, then of the root."""

    ends: np.ndarray  # (blocks+1,)
    node: np.ndarray
    width: np.ndarray
    column: np.ndarray  # the first of its columns among those of the block
    key: np.ndarray  # block and node, of those of the root; ascending
    at: np.ndarray  # where each of these stands above

    @classmethod
    def of(cls, layout: Layout, sort: np.ndarray, block: np.ndarray, starts: np.ndarray) -> _Nodes:
        n_blocks, n_nodes, S = len(starts), layout.n_chain, len(layout.chain)
        n_nodes += layout.system.counts.root_nodes
        met = [block * n_nodes + layout.n_chain + node[sort] for node in layout.root_node.values()]
        key = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *met]))
        counts = np.bincount(key // n_nodes, minlength=n_blocks) if n_nodes else np.zeros(n_blocks)
        ends = np.append(0, np.cumsum(counts.astype(np.int64) + S))
        node = np.empty(ends[-1], dtype=np.int64)
        of_chain = np.zeros(len(node), dtype=bool)
        for s, chain in enumerate(layout.chain_node):
            node[ends[:-1] + s] = chain[sort[starts]]
            of_chain[ends[:-1] + s] = True
        at = np.flatnonzero(~of_chain)
        node[at] = key % n_nodes if len(key) else key
        width = layout.widths(node)
        before = np.append(0, np.cumsum(width))
        column = before[:-1] - np.repeat(before[ends[:-1]], np.diff(ends))
        return cls(ends, node, width, column, key, at)


class _Patterns(NamedTuple):
    """Blocks that share what whitens them."""

    of_block: np.ndarray  # (blocks,)
    stratum: np.ndarray  # (patterns,)
    row: np.ndarray  # (patterns+1,)
    rows: np.ndarray  # rows of data that have a pattern's positions and places

    @classmethod
    def of(
        cls, rows: ResidualRows, sort: np.ndarray, block_row: np.ndarray, how: Whitening
    ) -> _Patterns:
        of_block = np.zeros(len(block_row) - 1, dtype=np.int64)
        empty = np.empty(0, dtype=np.int64)
        if how is Whitening.INDEPENDENT:
            return cls(of_block, empty, np.zeros(1, dtype=np.int64), empty)
        sizes = np.diff(block_row)
        representatives: list[np.ndarray] = []
        for blocks, own in _by_size(sizes, block_row[:-1]):
            at = sort[own]
            parts = [rows.stratum[at[:, 0]]]
            if rows.correlation.needs not in (Needs.NOTHING, Needs.DISTANCE):
                parts.append(rows.point[at])
            # adding zero makes one of the two zeros
            apart = rows.place[at] - rows.place[at[:, :1]] + 0.0
            parts.append(apart.reshape(len(at), -1).view(np.int64))
            keys = np.ascontiguousarray(np.column_stack(parts))
            rows_as_one = keys.view(np.dtype((np.void, keys.itemsize * keys.shape[1]))).ravel()
            _, where, inverse = np.unique(rows_as_one, return_index=True, return_inverse=True)
            of_block[blocks] = len(representatives) + inverse
            representatives += list(at[where])
        lengths = [len(own) for own in representatives]
        stratum = rows.stratum[[own[0] for own in representatives]]
        return cls(
            of_block, stratum, np.append(0, np.cumsum(lengths)), np.concatenate(representatives)
        )


def _places(rows: ResidualRows, patterns: _Patterns) -> np.ndarray:
    """The coordinates of the rows of patterns; of known correlations the factors, flat."""
    if not len(rows.known):
        return np.asarray(rows.place[patterns.rows].ravel())
    every = np.split(patterns.rows, patterns.row[1:-1])
    return np.concatenate([np.linalg.cholesky(rows.between(own)).ravel() for own in every])


def _by_size(sizes: np.ndarray, starts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Runs of the same length, and the places of their elements (runs, length)."""
    for size in np.unique(sizes):
        own = np.flatnonzero(sizes == size)
        yield own, starts[own][:, None] + np.arange(size)


def _values(
    layout: Layout,
    nodes: _Nodes,
    sort: np.ndarray,
    block: np.ndarray,
    block_row: np.ndarray,
    border: np.ndarray,
    w: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int]:
    """[Z X y] of the blocks, row by row, times the roots of the weights; where each block's begins,
    and the most columns of one.
    """
    p1 = border.shape[1]
    before = np.append(0, np.cumsum(nodes.width))
    effects = before[nodes.ends[1:]] - before[nodes.ends[:-1]]
    columns = effects + p1
    block_value = np.append(0, np.cumsum(np.diff(block_row) * columns))
    row = block_value[block] + (np.arange(len(sort)) - block_row[block]) * columns[block]
    root_w = np.sqrt(w[sort])[:, None]
    values = np.zeros(block_value[-1])

    def put(at: np.ndarray, part: np.ndarray) -> None:
        values[at[:, None] + np.arange(part.shape[1])] = part[sort] * root_w

    start = nodes.ends[:-1]
    for s, f in enumerate(layout.chain):
        put(row + nodes.column[start + s][block], layout.Z[f])
    n_nodes = layout.n_chain + layout.system.counts.root_nodes
    for f, node in layout.root_node.items():
        entry = np.searchsorted(nodes.key, block * n_nodes + layout.n_chain + node[sort])
        put(row + nodes.column[nodes.at[entry]], layout.Z[f])
    put(row + effects[block], border)
    return values, block_value, int(columns.max())


def _targets(layout: Layout, nodes: _Nodes) -> tuple[np.ndarray, np.ndarray]:
    """Where the cross-products of each block belong, and where those of a block begin."""
    counts = np.diff(nodes.ends)
    sizes = counts * (counts + 1) // 2 + counts
    begin = np.append(0, np.cumsum(sizes))
    target = np.empty(begin[-1], dtype=np.int64)
    for blocks, own in _by_size(counts, nodes.ends[:-1]):
        k = own.shape[1]
        here = nodes.node[own]
        i, j = np.triu_indices(k)
        place = begin[blocks][:, None] + np.arange(sizes[blocks[0]])
        products = layout.products(here[:, i].ravel(), here[:, j].ravel())
        target[place[:, : len(i)].ravel()] = products
        target[place[:, len(i) :].ravel()] = layout.borders(here.ravel())
    return target, begin
