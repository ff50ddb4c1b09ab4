"""The layout of theta: what each covariance parameter is called and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.cholesky import STRUCTURES, UN
from bayeslmm.design.blocks import Block
from bayeslmm.design.factors import within
from bayeslmm.support import scales

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.factors import BarBlock, GroupingFactor
    from bayeslmm.design.residuals import Residuals

__all__ = ["Parameters", "bars_together"]

_SHOWN = 8
"""Names in a repr."""
_VARIABLES = (
    "power",
    "expon",
    "log_ratio",
    "sd",
    "corr",
    "rho",
    "loading",
    "ma",
    "range",
    "nugget",
)


@dataclass(frozen=True)
class Parameters:
    """The covariance parameters theta of a model, on their natural scale, in order.

    Per grouping factor, in the order of the formula: what standard deviations grow by, the standard
    deviations of all its bars, then the correlations of each bar (the strict lower triangle, row by
    row), then what other parameters their correlations have. Then the parameters of R: its
    correlations, what its variance depends on, and last the residual standard deviations.
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
            # bars of a factor share their variables, which are runs of theta
            for variable in _VARIABLES:
                for i in range(len(factor.bars)):
                    block = _block_of_bar(factor, i, variable, at)
                    if block is not None:
                        blocks.append(block)
                        at = block.stop
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

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:_SHOWN])
        more = f", ... ({len(self)} in all)" if len(self) > _SHOWN else ""
        return f"Parameters: {shown}{more}"

    def stepped(self, theta: np.ndarray, position: int, step: float) -> np.ndarray:
        """Theta with one parameter moved by a step on its working scale (`scales`); loadings of a
        communality of 1 stay at that.
        """
        moved, where = theta.copy(), [position]
        x = scales.working(theta[where], self.bounds[where]) + step
        moved[where] = scales.natural(x, self.bounds[where])
        for block in self.blocks:
            if block.joint is not None and block.start <= position < block.stop:
                own = block.slice
                moved[own] = block.joint.kept_inside(moved[own])
        return moved

    def of_bar(self, factor: str, bar: int) -> tuple[Block, ...]:
        """The blocks that belong to a bar of a factor, its standard deviations first."""
        own = [b for b in self.blocks if b.factor == factor and bar in b.bars]
        return tuple(sorted(own, key=lambda block: block.kind != "sd"))

    def block_at(self, position: int) -> Block:
        """The block that a parameter belongs to, by its place in theta."""
        return next(block for block in self.blocks if block.start <= position < block.stop)

    def find(self, factor: str | None, bar: int, kind: str) -> Block | None:
        """The block of a kind that belongs to a bar of a factor (of R: None, -1), if it has one."""
        for block in self.blocks:
            if (block.factor, block.kind) == (factor, kind) and bar in block.bars:
                return block
        return None


def bars_together(
    parameters: Parameters, factor: GroupingFactor, number: int
) -> tuple[list[Block], list[Block]]:
    """The standard deviations of a bar and of the strata that share its other parameters, a block
    for each; and these other parameters.
    """
    _, *others = parameters.of_bar(factor.name, number)
    together = [number, *(i for i, bar in enumerate(factor.bars) if bar.like == number)]
    return list(dict.fromkeys(parameters.of_bar(factor.name, i)[0] for i in together)), others


def _block_of_bar(factor: GroupingFactor, bar: int, variable: str, at: int) -> Block | None:
    """The block that a bar has of a variable, from the place ``at`` of theta on."""
    own = factor.bars[bar]
    labels = _labels(factor, own, variable)
    if not labels or (own.sds_like if variable == "sd" else own.like) is not None:
        return None
    name, q, stop = f"{variable}_{factor.name}", own.stop - own.start, at + len(labels)
    where = factor.name, labels, at, stop, bar, q
    if variable == "sd":
        alike = tuple(i for i, other in enumerate(factor.bars) if other.sds_like == bar)
        return Block(name, variable, *where, sharing=alike)
    sharing = tuple(i for i, other in enumerate(factor.bars) if other.like == bar)
    if own.shape is None or variable == "corr":
        return Block(name, variable, *where, -1.0, 1.0, 0.0, sharing)
    kind, bounds = own.shape.kind(variable), own.shape.bounds(variable, q)
    typical = own.shape.start(variable, q)
    exponent = variable if own.shape.is_exponent(variable) else ""
    made = own.shape.parameter(variable), own.shape.joint(variable)
    return Block(name, kind, *where, *bounds, typical, sharing, exponent, *made)


def _labels(
    factor: GroupingFactor, bar: BarBlock, variable: str
) -> tuple[str, ...] | tuple[tuple[str, str], ...]:
    """The labels of a bar's elements of a variable."""
    plain = factor.plain[bar.slice]
    effects, (label,) = tuple(within(bar.of_sds, plain)), within(bar.of_sds, [bar.label])
    if bar.shape is None:
        structure = STRUCTURES[bar.structure]
        if variable == "sd":
            return structure.sd_labels(effects, label)
        if variable != "corr":
            return ()
        return tuple((_within(bar, a), b) for a, b in structure.corr_labels(plain))
    if variable == "sd":
        return bar.shape.sd_labels(effects, label)
    labels = bar.shape.variables(plain).get(variable, ())
    if variable == "corr":
        pairs = UN.corr_labels(plain) if labels else ()
        return tuple((_within(bar, a), b) for a, b in pairs)
    others = {
        b.text
        for b in factor.bars
        if b.shape is not None and variable in b.shape.variables(("", ""))
    }
    if len(others) > 1:
        (text,) = within(bar.of_correlations, [bar.label])
        return tuple(": ".join(filter(None, (text, label))) for label in labels)
    return tuple(_within(bar, label) for label in labels)


def _within(bar: BarBlock, label: str) -> str:
    """A label of one of several strata."""
    return ": ".join(filter(None, (bar.of_correlations, label)))
