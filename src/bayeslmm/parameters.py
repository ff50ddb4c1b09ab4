"""The layout of theta: what each covariance parameter is called and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from .structures import STRUCTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .design import GroupingFactor
    from .residual_structure import Residuals

__all__ = ["Block", "Parameters"]

Kind = Literal["sd", "corr", "sigma", "rho", "lag", "ma", "range", "nugget", "power"]
_KINDS: tuple[Kind, ...] = ("sd", "corr")


@dataclass(frozen=True)
class Block:
    """A run of parameters of one kind within theta, of one bar of the formula (or of R).

    Attributes
    ----------
    name : str
        The variable it belongs to, such as ``sd_Subject``. Bars over one factor share it.
    kind : {"sd", "corr", "sigma", "rho", "lag", "ma", "range", "nugget", "power"}
    factor : str or None
        The grouping factor; None for parameters of R.
    labels : tuple of str or of pairs of str
        A coordinate for each parameter: an effect or occasion, or a pair of them; "" where the name
        says all.
    start, stop : int
        Its slice of theta.
    bar : int
        The position of the bar among those of its factor; -1 for R.
    size : int
        The number of effects of the bar, or of occasions.
    lower, upper : float
        The interval that each of its parameters lies in.
    typical : tuple of float
        Values to start from, of parameters that are no standard deviations; none for zeros.
    """

    name: str
    kind: Kind
    factor: str | None
    labels: tuple[str, ...] | tuple[tuple[str, str], ...]
    start: int
    stop: int
    bar: int
    size: int
    lower: float = 0.0
    upper: float = np.inf
    typical: tuple[float, ...] | float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters as ``summary()`` shows them."""
        texts = [label if isinstance(label, str) else ", ".join(label) for label in self.labels]
        return tuple(f"{self.name}[{text}]" if text else self.name for text in texts)


@dataclass(frozen=True)
class Parameters:
    """The covariance parameters theta of a model, on their natural scale, in order.

    Per grouping factor, in the order of the formula: the standard deviations of all its bars, then
    the correlations of each bar (the strict lower triangle, row by row). Then the parameters of R:
    its correlations, what its variance depends on, and last the residual standard deviations.
    """

    blocks: tuple[Block, ...]

    @classmethod
    def of(
        cls, factors: Sequence[GroupingFactor], residuals: Residuals | None = None
    ) -> Parameters:
        """Lay out theta for the bars of a design and for the structure of R, if it has one."""
        blocks: list[Block] = []
        at = 0
        for factor in factors:
            for kind in _KINDS:
                for i, bar in enumerate(factor.bars):
                    structure = STRUCTURES[bar.structure]
                    effects = factor.effects[bar.start : bar.stop]
                    labels: tuple[str, ...] | tuple[tuple[str, str], ...] = (
                        structure.sd_labels(effects, bar.label)
                        if kind == "sd"
                        else structure.corr_labels(effects)
                    )
                    if labels:
                        name = f"{kind}_{factor.name}"
                        stop = at + len(labels)
                        size = len(effects)
                        lowest = -1.0 if kind == "corr" else 0.0
                        highest = 1.0 if kind == "corr" else np.inf
                        blocks.append(
                            Block(
                                name, kind, factor.name, labels, at, stop, i, size, lowest, highest
                            )
                        )
                        at = stop
        if residuals is None:
            blocks.append(Block("sigma", "sigma", None, ("",), at, at + 1, -1, 1))
        else:
            blocks += residuals.blocks(at)
        return cls(tuple(blocks))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Summary row names, in the order of theta."""
        return tuple(name for block in self.blocks for name in block.names)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each parameter, in the order of theta."""
        return tuple(block.kind for block in self.blocks for _ in block.labels)

    @cached_property
    def bounds(self) -> np.ndarray:
        """The interval (k, 2) that each parameter lies in."""
        return np.array([(b.lower, b.upper) for b in self.blocks for _ in b.labels])

    def __len__(self) -> int:
        return self.blocks[-1].stop

    def find(self, factor: str, bar: int, kind: str) -> Block | None:
        """The block of a kind that belongs to a bar of a factor, if it has one."""
        for block in self.blocks:
            if (block.factor, block.bar, block.kind) == (factor, bar, kind):
                return block
        return None
