"""The inverse of a pedigree's additive relationships, by rules that do not need these."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from bayeslmm.data.frames import level_label, to_pandas
from bayeslmm.errors import DataError
from bayeslmm.support.arrays import Array

__all__ = ["PedigreeInverse", "pedigree_inverse"]

_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class PedigreeInverse:
    """The inverse of additive relationships A, which `bayeslmm.Known` takes as it is.

    Attributes
    ----------
    levels : tuple of str, length N
        The animals: those of the pedigree in its order, then parents that have no row of their own.
    matrix : scipy.sparse.csc_array, shape (N, N)
        A⁻¹.
    inbreeding : (N,) array
        F of each animal; its diagonal element of A is 1 + F.
    """

    levels: tuple[str, ...]
    matrix: Any
    inbreeding: Array

    def __repr__(self) -> str:
        inbred = int((self.inbreeding > 0).sum())
        return f"PedigreeInverse({len(self.levels):,} animals, {inbred:,} inbred)"


def pedigree_inverse(
    pedigree: object, *, id: str = "id", sire: str = "sire", dam: str = "dam"
) -> PedigreeInverse:
    """The inverse of the additive (numerator) relationship matrix A of a pedigree.

    A is twice the probability that alleles of two animals are identical by descent. Its inverse is
    sparse and follows from the parents of each animal alone, with their inbreeding (Henderson 1976,
    Biometrics 32, 69-83; Quaas 1976, Biometrics 32, 949-953), which is found by the algorithm of
    Meuwissen and Luo (1992, Genetics Selection Evolution 24, 305-313).

    Parameters
    ----------
    pedigree : data frame
        A row for each animal, in any order. A missing parent is unknown; a parent without a row of
        its own is a founder, whose parents are unknown. Sire and dam may be the same, by selfing.
    id, sire, dam : str
        Its columns.

    Returns
    -------
    PedigreeInverse

    Raises
    ------
    DataError
        For columns that are absent, an animal without a name, with several rows, or that is its own
        ancestor.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> pedigree = {
    ...     "id": ["c", "d", "e"],
    ...     "sire": ["a", "c", "c"],
    ...     "dam": ["b", None, "d"],
    ... }
    >>> inverse = bl.pedigree_inverse(pedigree)
    >>> inverse.levels, inverse.inbreeding
    (('c', 'd', 'e', 'a', 'b'), array([0.  , 0.  , 0.25, 0.  , 0.  ]))
    >>> bl.Known(inverse=inverse)
    Known(by the inverse, 5 levels: 'c', 'd', 'e', 'a', 'b')
    """
    frame, _ = to_pandas(pedigree, [id, sire, dam], "the pedigree needs")
    own, sires, dams = (
        [None if pd.isna(value) else level_label(value) for value in frame[name].tolist()]
        for name in (id, sire, dam)
    )
    if None in own:
        raise DataError(
            f"the pedigree has an animal without a name in row {own.index(None)} of {id!r}; name "
            "it, or leave the row out"
        )
    place = {name: i for i, name in enumerate(own)}
    if len(place) < len(own):
        twice = [str(name) for name in place if own.count(name) > 1]
        shown = ", ".join(map(repr, twice[:_SHOWN]))
        raise DataError(f"the pedigree has several rows of {shown}; leave all but one out")
    for parent in (*sires, *dams):
        if parent is not None and parent not in place:
            place[parent] = len(place)
    parents = np.full((len(place), 2), -1, dtype=np.int64)
    for column, names in enumerate((sires, dams)):
        for i, name in enumerate(names):
            if name is not None:
                parents[i, column] = place[name]
    levels = tuple(map(str, place))
    order = _parents_first(parents, levels)
    inbreeding, left = _inbreeding(parents, order)
    return PedigreeInverse(levels, _inverse(parents, left), inbreeding)


def _parents_first(parents: Array, levels: tuple[str, ...]) -> Array:
    """The animals in an order in which parents come before their offspring."""
    N = len(parents)
    offspring: list[list[int]] = [[] for _ in range(N)]
    waiting = (parents >= 0).sum(axis=1)
    for i, own in enumerate(parents.tolist()):
        for parent in own:
            if parent >= 0:
                offspring[parent].append(i)
    order = [i for i in range(N) if waiting[i] == 0]
    for i in order:
        for child in offspring[i]:
            waiting[child] -= 1
            if waiting[child] == 0:
                order.append(child)
    if len(order) < N:
        at, line = int(np.flatnonzero(waiting > 0)[0]), []
        while at not in line:  # up through parents that wait too, of which there always is one
            line.append(at)
            at = next(int(p) for p in parents[at] if p >= 0 and waiting[p] > 0)
        circle = [levels[i] for i in line[line.index(at) :]]
        raise DataError(
            f"the pedigree makes {circle[0]!r} its own ancestor: "
            f"{' < '.join([*circle, circle[0]])}; correct a parent of one of them"
        )
    return np.array(order, dtype=np.int64)


def _inbreeding(parents: Array, order: Array) -> tuple[Array, Array]:
    """F of each animal, and what its parents leave of its variance: Mendelian sampling."""
    N = len(parents)
    rank = np.empty(N, dtype=np.int64)
    rank[order] = np.arange(N)
    F, left = np.zeros(N), np.ones(N)
    of_parents: dict[tuple[int, int], float] = {}
    for i in order.tolist():
        known = [p for p in parents[i].tolist() if p >= 0]
        left[i] = 1.0 - sum(0.25 * (1.0 + F[p]) for p in known)
        if len(known) < 2:
            continue
        pair = (min(known), max(known))
        if pair not in of_parents:
            # the variance that both parents pass on, summed over all ancestors, youngest first
            share = {i: 1.0}
            ahead = [(-int(rank[i]), i)]
            total = 0.0
            while ahead:
                _, at = heapq.heappop(ahead)
                own = share.pop(at)
                total += own * own * left[at]
                for parent in parents[at].tolist():
                    if parent >= 0:
                        if parent not in share:
                            share[parent] = 0.0
                            heapq.heappush(ahead, (-int(rank[parent]), parent))
                        share[parent] += 0.5 * own
            of_parents[pair] = total - 1.0
        F[i] = of_parents[pair]
    return F, left


def _inverse(parents: Array, left: Array) -> Any:
    """A⁻¹ = T⁻ᵀ D⁻¹ T⁻¹, where row i of T⁻¹ is animal i less half of each parent."""
    N = len(parents)
    child, column = np.nonzero(parents >= 0)
    rows = np.concatenate([np.arange(N), child])
    columns = np.concatenate([np.arange(N), parents[child, column]])
    values = np.concatenate([np.ones(N), np.full(len(child), -0.5)])
    T = sparse.csr_array((values, (rows, columns)), shape=(N, N))
    return sparse.csc_array(T.T @ sparse.diags_array(1.0 / left) @ T)
