"""Priors that stand with a structure, `UN(sd=..., corr=...)`, as those of the flat namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.errors import PriorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters

__all__ = ["priors_of_structures"]

_OF_RESIDUALS = {"sd": "sigma", "corr": "corr_R"}
"""What variables of R are called that have another name there."""


def priors_of_structures(parameters: Parameters, design: Design) -> dict[str, object]:
    """The priors that the structures of a model have, by the keys of ``Model(priors=)``.

    Parameters
    ----------
    parameters : Parameters
    design : Design

    Raises
    ------
    PriorError
        For a parameter that the structure does not have on these data, and two priors for the
        correlations of one factor.
    """
    found: dict[str, object] = {}
    for factor in design.factors:
        alone = len(factor.structures) == 1
        for number, bar in enumerate(factor.bars):
            blocks = parameters.of_bar(factor.name, number)
            for variable, prior in bar.covariance.priors.items():
                key = f"{variable}_{factor.name}"
                own = _own(blocks, key, bar.covariance, variable, bar.text)
                # the bars of a factor share the names of correlation matrices
                keys = [key] if alone or variable == "corr" else [n for b in own for n in b.names]
                if any(found.get(name, prior) != prior for name in keys):
                    raise PriorError(
                        f"two structures of {factor.name!r} have a prior for {key!r}, {found[key]} "
                        f"and {prior}; give one."
                    )
                found |= dict.fromkeys(keys, prior)
    if design.residuals is not None:
        structure = design.residuals.structure
        of_residuals = [block for block in parameters.blocks if block.factor is None]
        for variable, prior in structure.priors.items():
            key = _OF_RESIDUALS.get(variable, variable)
            _own(of_residuals, key, structure, variable, "R")
            found[key] = prior
    return found


def _own(
    blocks: Sequence[Block], key: str, structure: Covariance, variable: str, where: str
) -> list[Block]:
    own = [block for block in blocks if block.name == key]
    if not own:
        raise PriorError(
            f"{structure.name} of {where} has a prior for `{variable}`, a parameter that it does "
            "not have on these data; leave it out."
        )
    return own
