"""The order of elimination, and the cross-products of [Z X y] laid out in it.

Every level of a grouping factor is a *node* with q variables. Before any data, b of a factor is
N(0, σ²I), or N(0, σ²K ⊗ I) for levels with a known relationship K. A chain of nested factors, the
largest first, is eliminated level by level: the rows of such a level all belong to one level of
each later factor of the chain, so eliminating it fills nothing in among the levels of any of them.
The other (crossed) factors, and those whose levels are related, fill in when the chain is gone;
with X and y they are the dense *root*.

For a node of the chain the *panel* holds, row by row, its couplings to: its own variables; its
ancestors in the chain; the root nodes that it shares rows of data with; X; y. All of it is packed
into one vector of integers and one of floats (`System` names the parts), which is what the kernels
take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import address, floats, function, integers
from bayeslmm.covariance.cholesky import STRUCTURES
from bayeslmm.covariance.shapes import ROW
from bayeslmm.design.growth import exponent_places
from bayeslmm.equations.residual_packing import Layout, pack_residuals
from bayeslmm.equations.system import (
    Counts,
    Packed,
    System,
    pack_system,
    part,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.design.residual_rows import ResidualRows

__all__ = ["pack", "replace_bars"]


@dataclass(frozen=True)
class _Order:
    """Which factors form the chain and which the root, by their positions in the design.

    Levels with a known relationship are not eliminated one by one, since each fills in between
    those it is related to.
    """

    chain: tuple[int, ...]
    root: tuple[int, ...]


def _is_nested(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether the rows of every level of ``inner`` lie within one level of ``outer``, both given by
    the level of each row.
    """
    home = np.empty(inner.max(initial=-1) + 1, dtype=np.int64)
    home[inner] = outer
    return bool(np.array_equal(home[inner], outer))


def _order(factors: Sequence[GroupingFactor], block: np.ndarray | None) -> _Order:
    by_size = sorted(
        range(len(factors)), key=lambda f: (-len(factors[f].levels) * factors[f].Z.shape[1], f)
    )
    chain: list[int] = []
    root: list[int] = []
    for f in by_size:
        inner = factors[chain[-1]].codes if chain else block
        related = factors[f].related is not None
        if not related and (inner is None or _is_nested(inner, factors[f].codes)):
            chain.append(f)
        else:
            root.append(f)
    return _Order(tuple(chain), tuple(sorted(root)))


def pack(
    factors: Sequence[GroupingFactor],
    parameters: Parameters,
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    residuals: ResidualRows | None = None,
) -> Packed:
    """Choose the order of elimination, reduce the data to cross-products, and pack both.

    Parameters
    ----------
    factors : sequence of GroupingFactor
    parameters : Parameters
    X : (n, p) array
        Of full column rank.
    y : (n,) array
        The response less any offset.
    weights : (n,) array or None
    residuals : ResidualRows, optional
        A structure for R. The cross-products are then left at zero, for `residuals.assemble` to
        make at given parameters. The rows of a block must lie within one level of each factor of
        the chain.

    Returns
    -------
    Packed
    """
    order = _order(factors, None if residuals is None else residuals.block)
    n, p = X.shape
    F, S = len(factors), len(order.chain)
    q = np.array([f.Z.shape[1] for f in factors], dtype=np.int64)
    n_levels = np.array([len(f.levels) for f in factors], dtype=np.int64)

    w = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    border, rotation, rotation_inverse, beta_ols = _orthonormalise(X, y, w)

    stage_start = _starts(n_levels[list(order.chain)])
    nodes = int(stage_start[-1])
    root_start = _starts([n_levels[f] if f in order.root else 0 for f in range(F)])
    n_root = int(root_start[-1])
    root_factor = np.repeat(np.arange(F), np.diff(root_start))
    root_q = q[root_factor]
    root_var = _starts(root_q)

    chain_node = [stage_start[s] + factors[f].codes for s, f in enumerate(order.chain)]
    root_node = {f: root_start[f] + factors[f].codes.astype(np.int64) for f in order.root}

    in_root = np.array([root_node[f] for f in order.root], dtype=np.int64).reshape(-1, n)
    met_nodes, root_list, entry = _meetings(chain_node, in_root, nodes, n_root)
    root_ptr = _starts(met_nodes)

    # rows of the panels
    stage_of = np.repeat(np.arange(S), np.diff(stage_start))
    chain_q = q[list(order.chain)]
    base_rows = np.array([chain_q[s:].sum() for s in range(S)], dtype=np.int64)
    list_q = root_q[root_list]
    within = _starts(list_q)  # running row counts of the entries
    node_rows = base_rows[stage_of] + (within[root_ptr[1:]] - within[root_ptr[:-1]]) + p + 1
    panel_start = _starts(node_rows * chain_q[stage_of])
    owner = np.repeat(np.arange(nodes), met_nodes)
    entry_row = base_rows[stage_of[owner]] + within[:-1] - within[root_ptr[owner]]

    ancestor = np.full((nodes, S), -1, dtype=np.int64)
    for s in range(S):
        for later in range(s + 1, S):
            ancestor[chain_node[s], later] = chain_node[later]
    rel_ptr, rel = _relative_rows(stage_of, ancestor, root_ptr, root_list, entry_row, n_root, S)

    # pairs of root nodes
    root_border = _starts((p + 1) * root_q)
    root_diag = _starts(root_q**2)
    precision, related, coupled = _relationships(factors, root_start, n_root)
    pair_entry: dict[tuple[int, int], np.ndarray] = {}
    if residuals is not None and n_root:
        keys = np.union1d(_pairs_within(residuals.block, in_root, n_root), related)
    else:
        keys, pair_entry = _pairs_of_factors(order.root, root_node, n_root)
        keys = np.concatenate([keys, related])
    pair_a, pair_b = keys // max(n_root, 1), keys % max(n_root, 1)
    pair_at = _starts(root_q[pair_a] * root_q[pair_b])
    coupling = np.zeros(len(keys))
    if len(related):
        sort = np.argsort(keys)
        coupling[sort[np.searchsorted(keys, related, sorter=sort)]] = coupled

    # cross-products
    panel = np.zeros(panel_start[-1])
    border_sum = np.zeros(root_border[-1])
    diag_sum = np.zeros(root_diag[-1])
    pair_sum = np.zeros(pair_at[-1])
    independent = residuals is None
    for s, f in enumerate(order.chain if independent else ()):
        node = chain_node[s]
        start = panel_start[node]
        _accumulate(panel, start, factors[f].Z, factors[f].Z, w)
        at = int(q[f])
        for g in order.chain[s + 1 :]:
            _accumulate(panel, start + at * q[f], factors[g].Z, factors[f].Z, w)
            at += int(q[g])
        for k, g in enumerate(order.root):
            _accumulate(panel, start + entry_row[entry[s, k]] * q[f], factors[g].Z, factors[f].Z, w)
        last = start + (node_rows[node] - p - 1) * q[f]
        _accumulate(panel, last, border, factors[f].Z, w)
    for f in order.root if independent else ():
        Z = factors[f].Z
        _accumulate(diag_sum, root_diag[root_node[f]], Z, Z, w)
        _accumulate(border_sum, root_border[root_node[f]], border, Z, w)
    for (f, g), where in pair_entry.items():
        _accumulate(pair_sum, pair_at[where], factors[f].Z, factors[g].Z, w)

    system = System(
        sizes=np.array(Counts(F, S, p, n_root, root_var[-1], sum(len(f.bars) for f in factors), n)),
        q=q,
        n_levels=n_levels,
        m_offset=_starts(q**2),
        u_offset=_starts(q * n_levels),
        bars=_bar_table(factors, parameters),
        stage_factor=np.array(order.chain, dtype=np.int64),
        stage_start=stage_start,
        root_start=root_start,
        panel_start=panel_start,
        ancestor=ancestor.ravel(),
        root_ptr=root_ptr,
        root_list=root_list,
        rel_ptr=rel_ptr,
        rel=rel,
        root_factor=root_factor,
        root_var=root_var[:-1],
        root_border=root_border[:-1],
        root_diag=root_diag[:-1],
        pair_a=pair_a,
        pair_b=pair_b,
        pair_at=pair_at[:-1],
        panel=panel,
        border=border_sum,
        diag=diag_sum,
        pairs=pair_sum,
        xy=((border * w[:, None]).T @ border).ravel(),
        rotation=rotation.ravel(),
        rotation_inverse=rotation_inverse.ravel(),
        beta_ols=beta_ols,
        precision=precision,
        coupling=coupling,
        constants=np.array(
            [
                np.log(w).sum() - _log_det(factors),
                np.log(np.abs(np.diag(rotation))).sum(),
                np.abs(y).max(initial=0.0),
            ]
        ),
    )
    packed = pack_system(system)
    if residuals is None:
        return packed
    layout = Layout(
        Z=tuple(f.Z for f in factors),
        chain=order.chain,
        root=order.root,
        chain_node=tuple(chain_node),
        root_node=root_node,
        system=system,
        entry_key=owner * n_root + root_list,
        entry_row=entry_row,
    )
    first = len(parameters) - residuals.n_parameters
    integers, floats = pack_residuals(residuals, layout, border, w, first)
    return Packed(np.concatenate([packed.ints, integers]), np.concatenate([packed.floats, floats]))


def _meetings(
    chain_node: Sequence[np.ndarray], in_root: np.ndarray, nodes: int, n_root: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many root nodes each node of the chain meets; which, one node's after another's; and the
    entry of that list at which each row of data falls, by stage and root factor.

    Parameters
    ----------
    chain_node : sequence of (n,) arrays
        The node of each row, by stage.
    in_root : (root factors, n) array
        The root nodes of each row.
    nodes, n_root : int
        How many nodes there are.
    """
    counts = np.zeros(nodes, dtype=np.int64)
    lists = [np.empty(0, dtype=np.int64)]
    entry = np.zeros((len(chain_node), *in_root.shape), dtype=np.int64)
    filled = 0
    for s, node in enumerate(chain_node if n_root else ()):
        keys, inverse = np.unique((node * n_root + in_root).ravel(), return_inverse=True)
        counts += np.bincount(keys // n_root, minlength=nodes)
        lists.append(keys % n_root)
        entry[s] = filled + inverse.reshape(in_root.shape)
        filled += len(keys)
    return counts, np.concatenate(lists), entry


def _pairs_of_factors(
    root: Sequence[int], root_node: Mapping[int, np.ndarray], n_root: int
) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """Pairs of root nodes that share a row, as a * n_root + b; by pair of factors, that of each
    row.
    """
    keys, entry, found = [np.empty(0, dtype=np.int64)], {}, 0
    for i, f in enumerate(root):
        for g in root[:i]:
            own, inverse = np.unique(root_node[f] * n_root + root_node[g], return_inverse=True)
            keys.append(own)
            entry[f, g] = found + inverse
            found += len(own)
    return np.concatenate(keys), entry


def _relationships(
    factors: Sequence[GroupingFactor], root_start: np.ndarray, n_root: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The diagonals of the precisions of known relationships, by root node; the pairs of nodes that
    these couple, as a * n_root + b with a after b, ascending, and by how much.
    """
    diagonal = np.ones(n_root)
    keys, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for f, factor in enumerate(factors):
        if factor.related is None:
            continue
        P = factor.related.precision
        first = root_start[f]
        diagonal[first : first + len(P)] = np.diag(P)
        a, b = np.nonzero(np.tril(P, -1))
        keys.append((first + a) * n_root + first + b)
        values.append(P[a, b])
    return diagonal, np.concatenate(keys), np.concatenate(values)


def _log_det(factors: Sequence[GroupingFactor]) -> float:
    """log|K ⊗ I| of all factors."""
    return sum(f.related.log_det * f.Z.shape[1] for f in factors if f.related is not None)


def _pairs_within(block: np.ndarray, met: np.ndarray, n_root: int) -> np.ndarray:
    """Pairs of different root nodes that the rows of one block meet, as a * n_root + b with a after
    b.

    Parameters
    ----------
    block : (n,) int array
    met : (factors, n) int array
        The root nodes of each row.
    """
    n_blocks = int(block.max(initial=-1)) + 1
    home, node = np.divmod(np.unique((block * n_root + met).ravel()), n_root)
    ends = np.cumsum(np.bincount(home, minlength=n_blocks))
    sizes = np.diff(ends, prepend=0)
    pairs = [np.empty(0, dtype=np.int64)]
    for size in np.unique(sizes[sizes > 1]):
        own = node[(ends - sizes)[sizes == size][:, None] + np.arange(size)]
        i, j = np.tril_indices(size, -1)
        pairs.append((own[:, i] * n_root + own[:, j]).ravel())
    return np.unique(np.concatenate(pairs))


def _starts(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where runs of these lengths start when they stand one after another, and where the last
    ends.
    """
    out = np.zeros(len(counts) + 1, dtype=np.int64)
    np.asarray(counts, dtype=np.int64).cumsum(out=out[1:])
    return out


def _orthonormalise(
    X: np.ndarray, y: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A basis of X orthonormal under the weights with the least-squares residuals beside it, the
    triangular factor, its inverse, and the least-squares beta.

    With them y'y and X'y cannot swamp the residual sum of squares, however far y and X are from
    zero.
    """
    n, p = X.shape
    border = np.empty((n, p + 1), order="F")
    if not p:
        border[:, 0] = y
        return border, np.empty((0, 0)), np.empty((0, 0)), np.empty(0)
    rotation = np.linalg.qr(X * np.sqrt(w)[:, None], mode="r")
    basis = np.linalg.solve(rotation.T, X.T).T
    weighted = (basis * w[:, None]).T
    beta = np.linalg.solve(rotation, weighted @ y)
    residual = y - X @ beta
    # once more: the first pass loses digits where y is large against its variation
    again = weighted @ residual
    border[:, :p], border[:, p] = basis, residual - basis @ again
    beta = beta + np.linalg.solve(rotation, again)
    return border, rotation, np.linalg.inv(rotation), beta


def _relative_rows(
    stage_of: np.ndarray,
    ancestor: np.ndarray,
    root_ptr: np.ndarray,
    root_list: np.ndarray,
    entry_row: np.ndarray,
    n_root: int,
    S: int,
) -> tuple[np.ndarray, np.ndarray]:
    """For each chain node and each of its ancestors, the panel rows there of the root nodes it
    meets.

    A node's data lie within each ancestor's, so every root node it meets is in the ancestor's list.
    """
    nodes = len(stage_of)
    counts = np.diff(root_ptr)
    rel_ptr = np.concatenate([[0], np.cumsum(counts * (S - 1 - stage_of))]).astype(np.int64)
    rel = np.empty(rel_ptr[-1], dtype=np.int64)
    if not len(rel):
        return rel_ptr, rel
    owner = np.repeat(np.arange(nodes), counts)
    keys = owner * n_root + root_list  # ascending within a stage, and stages ascend
    for later in range(1, S):
        mine = stage_of[owner] < later
        at = np.searchsorted(keys, ancestor[owner[mine], later] * n_root + root_list[mine])
        step = later - stage_of[owner[mine]] - 1
        position = np.arange(len(owner))[mine] - root_ptr[owner[mine]]
        rel[rel_ptr[owner[mine]] + step * counts[owner[mine]] + position] = entry_row[at]
    return rel_ptr, rel


def _bar_table(factors: Sequence[GroupingFactor], parameters: Parameters) -> np.ndarray:
    """The rows of `shapes.ROW`, then the records that they refer to."""
    rows: list[list[int]] = []
    records = [np.empty(0, dtype=np.int64)]
    at = ROW * sum(len(factor.bars) for factor in factors)
    for f, factor in enumerate(factors):
        for i, bar in enumerate(factor.bars):
            sd, *others = parameters.of_bar(factor.name, i)
            own = [block for block in others if block.kind != "power"]
            first, count = own[0].start if own else 0, sum(b.stop - b.start for b in own)
            code = STRUCTURES[bar.structure].code if bar.shape is None else bar.shape.code
            row = [f, bar.start, bar.stop - bar.start, code, sd.start, sd.stop - sd.start]
            grown = 0 if bar.shape is None else len(bar.shape.exponents)
            rows.append([*row, first, count, at, grown])
            if bar.shape is not None:
                exponents = exponent_places(parameters, factor, i)
                places = [place for b in own for place in range(b.start, b.stop)]
                floats = np.append(bar.shape.distances, bar.shape.covariates)
                records.append(np.array([*places, *exponents], dtype=np.int64))
                records.append(floats.view(np.int64))
                at += len(records[-2]) + len(records[-1])
    return np.concatenate([np.array(rows, dtype=np.int64).ravel(), *records])


def replace_bars(packed: Packed, factors: Sequence[GroupingFactor], parameters: Parameters) -> None:
    """Write the bars of factors that differ in covariates alone into the packed integers."""
    part(packed, "bars")[:] = _bar_table(factors, parameters)


_accumulate_in_place = function("accumulate", "aaiaiaia", None)


def _accumulate(
    out: np.ndarray, at: np.ndarray, A: np.ndarray, B: np.ndarray, w: np.ndarray
) -> None:
    """Add w_i a_i b_i' to the block of ``out`` that starts at ``at[i]``, for every row i of
    data.
    """
    at, A, B, w = integers(at), floats(A), floats(B), floats(w)
    shape_a, shape_b = A.shape[1], B.shape[1]
    _accumulate_in_place(
        address(out), address(at), len(at), address(A), shape_a, address(B), shape_b, address(w)
    )
