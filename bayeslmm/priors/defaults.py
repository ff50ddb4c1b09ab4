"""The default priors, scaled to the data, and the keys by which each parameter's can be set.

With sd(y) the standard deviation of the response (less its offset) and sd(x) that of a
column of X or Z:

- the linear predictor at the predictors' means: normal around mean(y) with sd 2.5 sd(y), so that
  where a predictor has its zero does not matter;
- any other coefficient: normal around 0 with sd 2.5 sd(y)/sd(x);
- the standard deviation of a random effect: half Student's t with 3 degrees of freedom and scale
  sd(y)/sd(z), of a random intercept and of the residuals the same with scale sd(y). Most of its
  mass lies below a few sd(y), where a component of var(y) can be;
- the same of effects that are occasions, those of a structure over time: with scale sd(y);
- correlations: LKJ(1); those of a structure uniform within their bounds, for `CAR1` the one at the
  spacing of the data, so that the unit of time does not matter;
- exponents of `VarPower` and logarithms of ratios of `VarIdent`: normal around 0 with sd 1;
  exponents of `VarExp` with sd 1/sd(x). The standard
  deviation of residuals is then about rows where the covariates have their means (|x| of `VarPower`
  its geometric mean), so that neither unit nor zero of x matters;
- both of a random intercept that is correlated with slopes are about the intercept at the means of
  the slopes' columns, so that again it does not matter where a predictor has its zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.base import Scale
from bayeslmm.covariance.structures import VarExp
from bayeslmm.design.factors import within
from bayeslmm.design.growth import Growth, exponent_places
from bayeslmm.priors.families import (
    LKJ,
    Beta,
    HalfStudentT,
    HalfStudentTAtMeans,
    LogNormal,
    Normal,
    NormalAtMeans,
    Prior,
    Uniform,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bayeslmm.design.blocks import Block
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters

__all__ = [
    "MatrixSlot",
    "Slot",
    "coefficient_slots",
    "growth_of",
    "level_coefficients",
    "matrix_slots",
    "theta_slots",
]

_INTERCEPT = "Intercept"
_COEFFICIENT_SCALE = 2.5
_SD_DF = 3
_ROUNDING = 1e-6
_AT_MEANS = "at the means of the variance's covariates: "


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter that needs a prior.

    Attributes
    ----------
    parameter : str
        Its name, for correlations that of their matrix.
    keys : tuple of str
        What sets its prior, the most specific first.
    default : Prior
    scale : str
        How the default's scale comes about.
    kind : str
        "beta", or the kind of its `Block`.
    bounds : tuple of two floats
        The interval that it lies in.
    size : int
        The number of effects or occasions that correlations are between.
    at_means : bool
        Whether its prior may be about the value at the predictors' means.
    others : str
        What those are called that its bounds depend on, if they do.
    """

    parameter: str
    keys: tuple[str, ...]
    default: Prior
    scale: str
    kind: str
    bounds: tuple[float, float] = (-np.inf, np.inf)
    size: int = 1
    at_means: bool = False
    others: str = ""


def coefficient_slots(design: Design) -> list[Slot]:
    """The coefficients, in the order of X."""
    y, level = design.y_less_offset, level_coefficients(design)
    centred = bool(level.any())
    spread_y = _spread(y, centred)
    what = "sd" if centred else "rms"
    slots = []
    for j, name in enumerate(design.coef):
        keys = (f"beta[{name}]",) if name == _INTERCEPT else (f"beta[{name}]", "beta")
        if level[j]:
            mu, sigma = float(y.mean()), _COEFFICIENT_SCALE * spread_y
            text = f"at the predictors' means: mean(y) = {mu:.4g}, 2.5 sd(y) = {sigma:.4g}"
            default = NormalAtMeans(mu, sigma)
            slots.append(Slot(keys[0], keys, default, text, "beta", at_means=True))
        else:
            spread_x = _spread(design.X[:, j], centred)
            text = f"2.5 {what}(y)/{what}(x) = 2.5 × {spread_y:.4g}/{spread_x:.4g}"
            prior = Normal(0.0, _COEFFICIENT_SCALE * spread_y / spread_x)
            slots.append(Slot(keys[0], keys, prior, text, "beta"))
    return slots


def theta_slots(parameters: Parameters, design: Design, given: Collection[str] = ()) -> list[Slot]:
    """The covariance parameters, in the order of theta.

    Parameters
    ----------
    parameters : Parameters
    design : Design
    given : collection of str
        Keys for which there are priors: one for correlations keeps the default of the intercept's
        standard deviation from being about the intercept at the means.

    Returns
    -------
    list of Slot
    """
    growing = growth_of(parameters, design).weights.any(axis=1)
    slots: dict[str, Slot] = {}
    for block in parameters.blocks:
        kind, bounds = block.kind, (block.lower, block.upper)
        if kind == "corr":
            # the bars of a factor share the key, and each has a matrix of its own
            size = max(block.size, slots[block.name].size if block.name in slots else 0)
            keys = (block.name, "corr")
            slots[block.name] = Slot(block.name, keys, LKJ(1.0), "", kind, bounds, size)
            continue
        for place, name in enumerate(block.names, block.start):
            if kind in ("sd", "sigma"):
                grows = bool(growing[place])
                slots[name] = _slot_of_sd(parameters, design, block, place, grows, given)
                continue
            if kind == "power":
                prior, text = _default_of_exponent(parameters, design, block, place)
            else:
                prior, text = _default_of_correlation(block)
            own = tuple(dict.fromkeys((name, block.name)))
            joint = block.parameter if block.joint is not None else None
            others = "" if joint is None else joint.plural
            slots[name] = Slot(name, own, prior, text, kind, bounds, others=others)
    return list(slots.values())


def _slot_of_sd(
    parameters: Parameters,
    design: Design,
    block: Block,
    place: int,
    grows: bool,
    given: Collection[str],
) -> Slot:
    """A standard deviation by its place in theta, and whether it grows with a covariate."""
    name = block.names[place - block.start]
    scale = _spread(design.y_less_offset, centred=True)
    keys: tuple[str, ...] = (name, block.name)
    text, movable = f"sd(y) = {scale:.4g}", False
    if block.factor is not None:
        keys = (name, block.name, "sd")
        bar = design.factor(block.factor).bars[block.bar]
        label = str(block.labels[place - block.start])
        intercept = label.removeprefix(f"{bar.of_sds}, " if bar.of_sds else "") == _INTERCEPT
        over_time = bar.shape is not None and bar.shape.occasions
        if not over_time:  # else an intercept at each
            spread = _spread_of_effects(design, block, place)
            if not intercept:
                text = f"sd(y)/sd(z) = {scale:.4g}/{spread:.4g}"
            scale /= spread
        correlated = parameters.find(block.factor, block.bar, "corr") is not None
        movable = intercept and correlated and bar.shape is None
    if grows:
        text = _AT_MEANS + text
    moved = movable and not {f"corr_{block.factor}", "corr"}.intersection(given)
    if moved:
        text = f"at the means of the bar's other columns: {text}"
    prior = (HalfStudentTAtMeans if grows or moved else HalfStudentT)(_SD_DF, scale)
    return Slot(
        name,
        tuple(dict.fromkeys(keys)),
        prior,
        text,
        block.kind,
        (block.lower, block.upper),
        at_means=movable or grows,
    )


def _spread_of_effects(design: Design, block: Block, place: int) -> float:
    """That of an effect's column, or the least where one standard deviation is that of all."""
    assert block.factor is not None
    factor = design.factor(block.factor)
    bars = [factor.bars[i] for i in block.bars]
    rows = np.any([factor.has(bar.start) for bar in bars], axis=0)
    # the strata that share a standard deviation have no rows in common
    columns = sum(factor.Z[rows, bar.start : bar.stop] for bar in bars)
    assert isinstance(columns, np.ndarray)
    if len(block.names) == columns.shape[1]:
        columns = columns[:, [place - block.start]]
    return min(map(_spread_z, columns.T))


@dataclass(frozen=True, slots=True)
class MatrixSlot:
    """A covariance matrix, G or R, that can have a prior as a whole, or says why it cannot.

    Attributes
    ----------
    key : str
        ``G_<factor>``, with the left side of a bar in brackets where there are several; or ``R``.
    parameters : tuple of str
        The parameters whose own priors it takes the place of.
    effects : tuple of str
        Effects, or occasions.
    what : {"effects", "occasions"}
    refusal : str
        Why there is no such matrix; empty if there is.
    """

    key: str
    parameters: tuple[str, ...]
    effects: tuple[str, ...]
    what: str
    refusal: str


def matrix_slots(parameters: Parameters, design: Design) -> dict[str, MatrixSlot]:
    """The covariance matrices of all factors and of the residuals, by key."""
    slots: dict[str, MatrixSlot] = {}
    for factor in design.factors:
        own = [_slot_of_bar(parameters, factor, number) for number in range(len(factor.bars))]
        slots |= {slot.key: slot for slot in own}
        if len(own) > 1:
            keys = ", ".join(repr(slot.key) for slot in own if not slot.refusal) or "none of them"
            refusal = (
                f"the {len(own)} bars of {factor.name} have a matrix each, and those that can have "
                f"a prior as a whole are {keys}"
            )
            key = f"G_{factor.name}"
            names = _names_of(block for block in parameters.blocks if block.factor == factor.name)
            slots[key] = MatrixSlot(key, names, factor.effects, "effects", refusal)
    residuals = design.residuals
    refusal, occasions = "", () if residuals is None else residuals.occasions
    if residuals is None or not residuals.structure.correlation.unrestricted:
        refusal = "R is not a matrix of its own for all occasions, bl.UN(time=..., group=...)"
    elif residuals.structure.by is not None:
        refusal = f"the strata of {residuals.structure.by} have a matrix each"
    elif residuals.structure.variances != ("occasion",):
        refusal = "the standard deviations of R are not one for each occasion"
    names = _names_of(block for block in parameters.blocks if block.factor is None)
    slots["R"] = MatrixSlot("R", names, occasions, "occasions", refusal)
    return slots


def _slot_of_bar(parameters: Parameters, factor: GroupingFactor, number: int) -> MatrixSlot:
    """The covariance matrix of the effects of a bar."""
    bar, refusal = factor.bars[number], ""
    blocks = parameters.of_bar(factor.name, number)
    if bar.shape is not None:
        refusal = f"the covariance of {bar.text} has a structure"
    elif bar.stop - bar.start > 1 and not parameters.find(factor.name, number, "corr"):
        refusal = f"the effects of {bar.text} have no correlations of their own"
    key, names = f"G_{factor.name}", _names_of(blocks)
    if len(factor.bars) > 1:
        (left,) = within(bar.stratum, [bar.left])
        # the bars of a factor share the name of their correlations
        key, names = f"{key}[{left}]", tuple(name for block in blocks for name in block.names)
    return MatrixSlot(key, names, factor.effects[bar.start : bar.stop], "effects", refusal)


def _names_of(blocks: Iterable[Block]) -> tuple[str, ...]:
    """The keys of parameters, of correlations that of their matrix."""
    names = [(block.name,) if block.kind == "corr" else block.names for block in blocks]
    return tuple(name for part in names for name in part)


def growth_of(parameters: Parameters, design: Design) -> Growth:
    """How the standard deviations of a design grow with covariates."""
    rows = None if design.residuals is None else design.residuals.rows
    return Growth.of(parameters, design.factors, rows)


def _default_of_exponent(
    parameters: Parameters, design: Design, block: Block, place: int
) -> tuple[Prior, str]:
    """The default of an exponent by its place in theta."""
    if block.factor is not None:
        factor = design.factor(block.factor)
        bar = factor.bars[block.bar]
        assert bar.shape is not None
        number = exponent_places(parameters, factor, block.bar).index(place)
        part = bar.shape.exponents[number].part
        x = factor.Z[:, bar.start : bar.stop] @ bar.shape.covariates[:, number]
        x = x[factor.has(bar.start)]
    else:
        residuals = design.residuals
        assert residuals is not None
        strata = len(residuals.variance_strata)
        parts = [part for part, labels in residuals.growing for _ in labels]
        number = (place - parameters.blocks[-1].start) // strata + len(parts)
        part = parts[number]
        own = slice(number * strata, (number + 1) * strata)
        x = residuals.rows.covariates[:, own].sum(axis=1)
    if not isinstance(part, VarExp):
        return Normal(0.0, 1.0), ""
    spread = _spread_z(x)
    return Normal(0.0, 1.0 / spread), f"1/sd({part.column}) = 1/{spread:.4g}"


def _default_of_correlation(block: Block) -> tuple[Prior, str]:
    """The default of a parameter of a structured correlation, and how it comes about."""
    assert block.parameter is not None
    if block.scale is Scale.DISTANCE:
        spacing = float(np.ravel(block.typical)[0]) / block.parameter.start
        return LogNormal(float(np.log(3 * spacing)), 1.5), f"3 × the spacing, {spacing:.4g}"
    if block.at_one:  # what is uniform is that at the spacing, whatever the unit of time
        return Beta(block.spacing, 1.0), f"uniform at the spacing, {block.spacing:.4g}"
    return Uniform(block.lower, block.upper), block.parameter.prior_note


def _spread(values: np.ndarray, centred: bool) -> float:
    """Standard deviation, or the root mean square where a model has no level to deviate from."""
    return float(np.std(values, ddof=1) if centred else np.sqrt(np.mean(values**2)))


def _spread_z(values: np.ndarray) -> float:
    """Standard deviation of a column of Z; of a constant one its size, 1 for an intercept."""
    return float(np.std(values, ddof=1) if np.ptp(values) > 0 else abs(values[0]))


def level_coefficients(design: Design) -> np.ndarray:
    """Which coefficients set the level of the response: the intercept, or the cells that add up to
    one.

    Returns
    -------
    (p,) bool array
        All False when no combination of the columns is constant (a regression through the origin).
    """
    if _INTERCEPT in design.coef:
        return np.array([name == _INTERCEPT for name in design.coef])
    X = design.X
    size = np.abs(X).max(axis=0)
    weights = np.linalg.lstsq(X / size, np.ones(len(X)))[0] / size
    cells: np.ndarray = np.abs(weights - 1.0) < _ROUNDING
    if np.all(cells | (np.abs(weights) * size < _ROUNDING)) and np.allclose(X @ weights, 1.0):
        return cells
    return np.zeros_like(cells)
