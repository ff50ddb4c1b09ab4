"""`System`: the cross-products of a design in the order of elimination, and their packed form."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bayeslmm.core.library import PackedVectors, address

__all__ = [
    "N_HEADER",
    "N_INTEGERS",
    "Counts",
    "Packed",
    "Sizes",
    "System",
    "pack_system",
    "part",
    "unpack",
]


N_HEADER = 34
"""Length of the header of offsets at the front of the integer vector."""


class Counts(NamedTuple):
    """What there is how many of in a system, in the order in which the core reads the numbers."""

    factors: int
    stages: int
    p: int
    root_nodes: int
    root_variables: int
    bars: int
    rows: int


class System(NamedTuple):
    """Views into the two packed vectors. F factors, S of them in the chain; nodes of the chain are
    numbered through.
    """

    sizes: np.ndarray  # the numbers that `Counts` names
    q: np.ndarray  # (F,) effects
    n_levels: np.ndarray  # (F,)
    m_offset: np.ndarray  # (F+1,) where M_f stands in the vector of all relative factors
    u_offset: np.ndarray  # (F+1,) where u_f stands in u
    bars: np.ndarray  # the table of bars, as `shapes` has it
    stage_factor: np.ndarray  # (S,) the factor of each stage of the chain
    stage_start: np.ndarray  # (S+1,) first node of each stage
    root_start: (
        np.ndarray
    )  # (F+1,) first root node of each factor; equal ends where it is in the chain
    panel_start: np.ndarray  # (nodes+1,)
    ancestor: np.ndarray  # (nodes*S,) the ancestor of a node in each later stage
    root_ptr: np.ndarray  # (nodes+1,) the root nodes that a chain node meets
    root_list: np.ndarray
    rel_ptr: np.ndarray  # (nodes+1,)
    rel: np.ndarray  # panel row, in each ancestor, of each root node that a chain node meets
    root_factor: np.ndarray  # (root nodes,)
    root_var: np.ndarray  # (root nodes,) first variable in the root
    root_border: np.ndarray  # (root nodes,) where its coupling to X and y stands
    root_diag: np.ndarray  # (root nodes,) where its own cross-product stands
    pair_a: np.ndarray  # pairs of root nodes with rows in common, or related levels; a after b
    pair_b: np.ndarray
    pair_at: np.ndarray
    panel: np.ndarray  # floats from here on: cross-products, panels of the chain
    border: np.ndarray  # [X y]'WZ of root nodes, (p+1, q) each
    diag: np.ndarray  # Z'WZ of root nodes, (q, q) each
    pairs: np.ndarray  # Z_a'WZ_b, (q_a, q_b) each
    xy: (
        np.ndarray
    )  # ((p+1)*(p+1),) [X y]'W[X y], in the orthonormal basis of X and with residuals for y
    rotation: np.ndarray  # (p*p,) r of the QR of X
    rotation_inverse: np.ndarray  # (p*p,)
    beta_ols: np.ndarray  # (p,)
    precision: np.ndarray  # (root nodes,) the diagonal of K⁻¹; 1 without a relationship
    coupling: np.ndarray  # (pairs,) what K⁻¹ has between the two; 0 without
    constants: np.ndarray  # sum of log weights less log|K ⊗ I|, log|det r|, largest |y|

    @property
    def counts(self) -> Counts:
        """The sizes by name."""
        return Counts(*self.sizes.tolist())


N_INTEGERS = System._fields.index("panel")


_PRODUCTS = System._fields.index("rotation") - N_INTEGERS
"""How many of the parts of floats are cross-products; they come first."""


_N_CONSTANTS = 3


@dataclass(frozen=True, eq=False)
class Packed:
    """The packed system: what the kernels, and PyTensor, are handed.

    Attributes
    ----------
    ints, floats : arrays
        Contiguous; what is written into them counts.
    """

    ints: np.ndarray
    floats: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        """The two vectors."""
        return iter((self.ints, self.floats))

    def __reduce__(self) -> tuple[type[Packed], tuple[np.ndarray, np.ndarray]]:
        """Without addresses, which mean nothing in another process."""
        return Packed, (self.ints, self.floats)

    @cached_property
    def system(self) -> System:
        """The parts of the vectors by name."""
        return unpack(self.ints, self.floats)

    @cached_property
    def sizes(self) -> Sizes:
        """The lengths of what the kernels write."""
        system, counts = self.system, self.system.counts
        return Sizes(
            relative=int(system.m_offset[-1]),
            random=int(system.u_offset[-1]),
            p=counts.p,
            root=counts.root_variables + counts.p + 1,
            panel=len(system.panel),
        )

    @property
    def structured(self) -> bool:
        """Whether R has a structure, whose rows of data follow upon the system."""
        return len(self.ints) > self.n_ints

    @property
    def n_ints(self) -> int:
        """The number of integers of the system."""
        return int(self.ints[N_INTEGERS])

    @property
    def n_floats(self) -> int:
        """The number of floats of the system."""
        return int(self.ints[N_HEADER - 1]) + _N_CONSTANTS

    @property
    def products(self) -> slice:
        """Where the cross-products stand among the floats."""
        return slice(0, int(self.ints[N_INTEGERS + 1 + _PRODUCTS]))

    @cached_property
    def _vectors(self) -> PackedVectors:
        return PackedVectors(address(self.ints), len(self.ints), address(self.floats))

    @cached_property
    def handle(self) -> int:
        """The address of what the library takes, valid as long as this object lives."""
        return ctypes.addressof(self._vectors)


def unpack(ints: np.ndarray, floats: np.ndarray) -> System:
    """Name the parts of the packed vectors."""
    starts = ints[:N_HEADER].tolist()
    of_ints, of_floats = starts[: N_INTEGERS + 1], starts[N_INTEGERS + 1 :]
    of_floats.append(of_floats[-1] + _N_CONSTANTS)
    return System(
        *(ints[first:last] for first, last in pairwise(of_ints)),
        *(floats[first:last] for first, last in pairwise(of_floats)),
    )


def part(packed: Packed, name: str) -> np.ndarray:
    """One of the parts that :func:`unpack` names."""
    return np.asarray(getattr(packed.system, name))


def pack_system(system: System) -> Packed:
    """The packed form of a system."""
    integers, floats = system[:N_INTEGERS], system[N_INTEGERS:]
    int_ends = N_HEADER + np.cumsum([0, *map(len, integers)])
    float_ends = np.cumsum([0, *map(len, floats[:-1])])
    header = np.concatenate([int_ends, float_ends])
    assert len(header) == N_HEADER
    return Packed(
        np.concatenate([header, *integers]).astype(np.int64),
        np.concatenate([np.asarray(part, dtype=float) for part in floats]),
    )


class Sizes(NamedTuple):
    """The lengths of relative factors, of u, of beta, of the panels, and the order of the root."""

    relative: int
    random: int
    p: int
    root: int
    panel: int
