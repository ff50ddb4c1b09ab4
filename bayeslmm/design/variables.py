"""theta as variables of a posterior: sd_<factor>, corr_<factor>, sigma, each with its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.data.frames import Array
    from bayeslmm.design.parameters import Block, Parameters

__all__ = ["Variable", "in_tree", "labelled", "variables_of"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A run of theta under one name: that of one kind, of all bars of a factor.

    Attributes
    ----------
    name : str
        As in ``summary()``, without the label in brackets: ``sd_Subject``.
    blocks : tuple of Block
        One for each bar.
    labels : tuple of str
        An effect, or "effect, effect", for each element.
    dim : str or None
        The dimension that has the labels; None for a single number. ``<factor>_effect`` is that of
        the random effects too, so standard deviations that several effects share have another.
    """

    name: str
    blocks: tuple[Block, ...]
    labels: tuple[str, ...]
    dim: str | None

    @property
    def kind(self) -> str:
        """What it is: "sd", "corr" or "sigma"."""
        return self.blocks[0].kind

    @property
    def start(self) -> int:
        """Where it begins in theta."""
        return self.blocks[0].start

    @property
    def stop(self) -> int:
        """Where it ends in theta."""
        return self.blocks[-1].stop


def variables_of(parameters: Parameters) -> tuple[Variable, ...]:
    """The variables that theta is made of, in its order.

    Parameters
    ----------
    parameters : Parameters
    """
    names = dict.fromkeys(block.name for block in parameters.blocks)
    return tuple(
        _variable(name, tuple(block for block in parameters.blocks if block.name == name))
        for name in names
    )


def _variable(name: str, blocks: tuple[Block, ...]) -> Variable:
    labels = tuple(
        label if isinstance(label, str) else ", ".join(label)
        for block in blocks
        for label in block.labels
    )
    dim = None
    if blocks[0].kind == "sd":
        shared = len(labels) < sum(block.size for block in blocks)
        dim = f"{blocks[0].factor}_effect" + ("_sd" if shared else "")
    elif blocks[0].kind == "corr":
        dim = f"{blocks[0].factor or 'R'}_pair"
    elif any(labels):
        dim = f"{name}_level"
    return Variable(name, blocks, labels, dim)


def in_tree(name: str) -> str:
    """A name as a DataTree can have it: a slash would be a path there."""
    return name.replace("/", "_")


def labelled(
    parameters: Parameters, coef: Sequence[str], beta: Array, theta: Array
) -> tuple[dict[str, Array], dict[str, list[str]], dict[str, object]]:
    """Values of beta and theta as the variables of a DataTree.

    Parameters
    ----------
    parameters : Parameters
    coef : sequence of str, length p
    beta : (chains, draws, p) array
    theta : (chains, draws, k) array

    Returns
    -------
    dict, dict, dict
        Values, dimensions beyond chain and draw, and the coordinates of these, by name.
    """
    values, dims = {"beta": beta}, {"beta": ["coef"]}
    coords: dict[str, object] = {"coef": list(coef)}
    for variable in variables_of(parameters):
        name = in_tree(variable.name)
        draws = theta[..., variable.start : variable.stop]
        if variable.dim is None:
            values[name] = draws[..., 0]
            continue
        dim = in_tree(variable.dim)
        coords[dim] = list(variable.labels)
        values[name], dims[name] = draws, [dim]
    return values, dims, coords
