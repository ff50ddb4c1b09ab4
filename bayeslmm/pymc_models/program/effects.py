"""The part of `Model.code` about random effects: the factors of G and the mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bayeslmm.design.growth import exponent_places
from bayeslmm.design.variables import in_pymc, level_dim, variables_in_pymc
from bayeslmm.pymc_models.program.data import names_of, number, quoted, stems_of

if TYPE_CHECKING:
    from bayeslmm.covariance.shapes import Shape
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.specification import Specification

__all__ = ["bar_suffix", "correlation_factor_name", "mean"]


def bar_suffix(model: Specification, factor: str, bar: int) -> str:
    """What tells the factor of a bar's G from those of other bars."""
    found = {
        i
        for f in model.design.factors
        if f.name == factor
        for i, own in enumerate(f.bars)
        if own.shape is not None or model.parameters.find(factor, i, "corr") is not None
    }
    return "" if found == {bar} else f"_{bar + 1}"


def correlation_factor_name(model: Specification, block: Block) -> str:
    """The name of the factor of unrestricted correlations of effects whose standard deviations are
    not theirs alone.
    """
    factor = str(block.factor)
    return f"K_{stems_of(model)[factor]}{bar_suffix(model, factor, block.bar)}"


def mean(model: Specification) -> Iterator[str]:
    """The mean ``mu`` of the rows, given random effects."""
    design = model.design
    yield "mu = pt.dot(X, beta)" + ("" if design.offset is None else " + offset")
    for factor in design.factors:
        name = stems_of(model)[factor.name]
        for position, bar in enumerate(factor.bars):
            if bar.shape is not None:
                yield from _factor_of_shape(model, factor, position, bar.shape)
        dims = (
            f"dims=({quoted(level_dim(factor.name))}, {quoted(in_pymc(factor.name + '_effect'))})"
        )
        yield f"z_{name} = pm.Normal({quoted(in_pymc('z_' + factor.name))}, 0, 1, {dims})"
        parts = [_effects(model, factor, position, name) for position in range(len(factor.bars))]
        u = parts[0]
        if len(parts) > 1:
            u = f"u_{name}"
            yield f"{u} = pt.concatenate(["
            yield from (f"    {part}," for part in parts)
            yield "], axis=1)"
        if factor.related is not None:
            u = f"pt.dot(root_{name}, {u})"
        yield f"u_{name} = pm.Deterministic({quoted(in_pymc('u_' + factor.name))}, {u}, {dims})"
        if factor.effects == ("Intercept",):
            yield f"mu = mu + u_{name}[row_{name}, 0]"
        else:
            yield f"mu = mu + (Z_{name} * u_{name}[row_{name}]).sum(axis=1)"


def _effects(model: Specification, factor: GroupingFactor, position: int, name: str) -> str:
    """Random effects of a bar."""
    bar = factor.bars[position]
    z = f"z_{name}" if len(factor.bars) == 1 else f"z_{name}[:, {bar.start}:{bar.stop}]"
    if bar.shape is not None or model.parameters.find(factor.name, position, "corr") is not None:
        return f"{z} @ L_{name}{bar_suffix(model, factor.name, position)}.T"
    sds = model.parameters.find(factor.name, position, "sd")
    assert sds is not None
    return f"{z} * {_elements(model, sds)}"


def _elements(model: Specification, block: Block) -> str:
    """The parameters of a block: a number, or a vector."""
    own = next(v for v in variables_in_pymc(model.parameters) if v.blocks[0].name == block.name)
    name, start, stop = names_of(model)[own.name], block.start - own.start, block.stop - own.start
    if own.dim is None:
        return name
    if stop - start == 1:
        return f"{name}[{start}]"
    return name if len(own.blocks) == 1 else f"{name}[{start}:{stop}]"


def _factor_of_shape(
    model: Specification, factor: GroupingFactor, position: int, shape: Shape
) -> Iterator[str]:
    """The factor of the G of a bar with a structured correlation."""
    correlation, bar = shape.correlation, factor.bars[position]
    own = {block.name: block for block in model.parameters.of_bar(factor.name, position)}
    sds = own.pop(f"sd_{factor.name}")
    q = sds.size

    def parameter(variable: str, place: int = 0, count: int = 1) -> str:
        elements = _elements(model, own[f"{variable}_{factor.name}"])
        return elements if count == 1 else f"{elements}[{place}]"

    def exponent(place: int) -> str:
        block = next(block for block in own.values() if block.start <= place < block.stop)
        return _elements(model, replace(block, start=place, stop=place + 1))

    L = f"L_{stems_of(model)[factor.name]}{bar_suffix(model, factor.name, position)}"
    yield f"# {bar.covariance.words.split(' by ')[0]} over the effects of {quoted(bar.text)}" + (
        f" in {quoted(bar.stratum)}" if bar.stratum else ""
    )
    scale = _elements(model, sds)
    if shape.exponents and not shape.several and scale == names_of(model)[sds.name]:
        scale += "[0]"
    grown = [covariate.any() for covariate in shape.covariates.T]
    exponents = exponent_places(model.parameters, factor, position)
    for place, covariate in zip(exponents, shape.covariates.T, strict=True):
        values = ", ".join(map(number, covariate))
        if covariate.any():  # else it is a ratio of another stratum
            scale += f" * pt.exp({exponent(place)} * np.array([{values}]))"
    own = {name: block for name, block in own.items() if block.kind != "power"}
    if shape.several or any(grown):
        scale = f"({scale})[:, None]" if any(grown) else f"{scale}[:, None]"
    if f"corr_{factor.name}" in own:
        yield f"{L} = {scale} * {correlation_factor_name(model, own[f'corr_{factor.name}'])}"
        return
    if correlation.independent:
        yield f"{L} = {scale} * np.eye({q})"
        return
    if correlation.single:
        ((_, block),) = own.items()
        vector = _elements(model, block)
        if block.stop - block.start == 1:
            vector = f"pt.stack([{vector}])"
        yield from correlation.program_of_all(q, "C", vector, L)
    else:
        if correlation.of_distance:
            places = ", ".join(map(number, shape.distances[0]))
            yield f"place = np.array([{places}])"
            yield "distance = abs(np.subtract.outer(place, place))"
        lags = f"abs(np.subtract.outer(np.arange({q}), np.arange({q})))"
        yield from correlation.program(str(q), lags, parameter)
    yield f"{L} = {scale} * pt.linalg.cholesky(C)"
