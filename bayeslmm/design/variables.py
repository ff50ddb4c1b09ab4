"""theta as variables of a posterior: sd_<factor>, corr_<factor>, sigma, each with its labels."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.blocks import Block
    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.support.arrays import Array

__all__ = [
    "Variable",
    "in_pymc",
    "labelled",
    "level_dim",
    "response_name",
    "variables_in_pymc",
    "variables_of",
]

_LIKE_A_VARIABLE = re.compile(
    r"(coef|beta|sigma|rho|ma|range|nugget|power|expon|loading)(_|\[|$)|(sd|corr|cholesky|[uzGRV])_"
)


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
        The dimension that has the labels; None for a single number. No other variable has it: a
        dimension that is shared, with another beside it, makes ArviZ label rows wrongly.
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

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The interval that each of its elements lies in."""
        return [(block.lower, block.upper) for block in self.blocks for _ in block.labels]

    @property
    def slice(self) -> builtins.slice:
        """The place of the parameters in theta."""
        return slice(self.start, self.stop)


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
        dim = f"{blocks[0].factor}_effect_sd"
    elif blocks[0].kind == "corr":
        dim = f"{blocks[0].factor or 'R'}_pair"
    elif any(labels):
        dim = f"{name}_level"
    return Variable(name, blocks, labels, dim)


def response_name(design: Design, parameters: Parameters) -> str:
    """What the observed response is called in a ``pm.Model``: its name, unless a parameter of the
    model has that.

    Parameters
    ----------
    design : Design
    parameters : Parameters
    """
    names = ["beta", *(variable.name for variable in variables_of(parameters))]
    names += [f"{letter}_{factor.name}" for factor in design.factors for letter in "zu"]
    taken = {
        f"{name}{suffix}" for name in names for suffix in ("", "_at_means", "_share", "_joint")
    }
    own = design.response.partition("[")[0]
    made = own in taken or own.startswith(("cholesky_", "V_", "G_", "R_"))
    return in_pymc(f"response_{design.response}" if made else design.response)


def in_pymc(name: str) -> str:
    """A name as a ``pm.Model`` and a DataTree can have it, where a slash would be a path."""
    return name.replace("/", "\N{DIVISION SLASH}")


def level_dim(factor: str) -> str:
    """The dimension of the levels of a grouping factor in a ``pm.Model``: its name, unless that
    reads like the name of a variable or of another dimension.
    """
    return in_pymc(f"{factor}_level" if _LIKE_A_VARIABLE.match(factor) else factor)


def variables_in_pymc(parameters: Parameters) -> tuple[Variable, ...]:
    """The variables that theta is made of, with names that a ``pm.Model`` can have."""
    return tuple(
        replace(own, name=in_pymc(own.name), dim=None if own.dim is None else in_pymc(own.dim))
        for own in variables_of(parameters)
    )


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
        name = in_pymc(variable.name)
        draws = theta[..., variable.slice]
        if variable.dim is None:
            values[name] = draws[..., 0]
            continue
        dim = in_pymc(variable.dim)
        coords[dim] = list(variable.labels)
        values[name], dims[name] = draws, [dim]
    return values, dims, coords
