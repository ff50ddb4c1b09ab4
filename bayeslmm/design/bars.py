"""Which covariance structure each bar has: by the call around it, or by ``G={"Subject": ...}``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.registry import CALLS
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.shapes import Exponent, Shape
from bayeslmm.covariance.structures import (
    Covariance,
    VarExp,
    VarIdent,
    VarPower,
)
from bayeslmm.design.strata import EffectVariances, Ratio, lone_column
from bayeslmm.errors import ArgumentError, ArgumentTypeError, DataError, DesignError, unknown_name
from bayeslmm.formula.parsing import columns_of
from bayeslmm.formula.tokens import quote

if TYPE_CHECKING:
    from bayeslmm.data.frames import Column
    from bayeslmm.formula.parsing import Bar
    from bayeslmm.support.arrays import Array

__all__ = [
    "effect_labels",
    "effects_of_bar",
    "plain_name",
    "relationships_of",
    "shapes_of_bar",
    "structures_beside",
    "structures_of_bars",
]


def relationships_of(G: object) -> tuple[dict[str, Known], object]:
    """What `G` says of the relationships of levels, by grouping factor, and what else it says."""
    if not isinstance(G, Mapping):
        return {}, G
    known = {name: given for name, given in G.items() if isinstance(given, Known)}
    for name, given in known.items():
        beside = [*given.options, *given.priors]
        if beside:
            raise ArgumentError(
                f"Known in `G` is the relationship of the levels of {name!r}, whose variances and "
                f"strata are those of its bars, and has no use for "
                f"{', '.join(f'`{option}`' for option in beside)}; leave that out, or give "
                "correlations of residuals as `R`."
            )
    return known, {name: given for name, given in G.items() if name not in known}


def structures_beside(
    bars: Sequence[Bar], G: Mapping[str, Sequence[Covariance] | Known]
) -> dict[str, list[Covariance | None] | Known]:
    """The structures of bars, by factor, that do not have theirs from the formula: what to give as
    ``G`` for the same model again.
    """
    own = structures_of_bars(bars, None)
    found: dict[str, list[Covariance | None] | Known] = {}
    for name, structures in G.items():
        if isinstance(structures, Known):
            found[name] = structures
            continue
        written = [s for bar, s in zip(bars, own, strict=True) if bar.factor_name == name]
        pairs = list(zip(structures, written, strict=True))
        if any(a != b for a, b in pairs):
            found[name] = [None if a == b else a for a, b in pairs]
    return found


def structures_of_bars(
    bars: Sequence[Bar], G: object, relationships: Collection[str] = ()
) -> tuple[Covariance, ...]:
    """The structure of each bar of a formula.

    Parameters
    ----------
    bars : sequence of Bar
    G : mapping, optional
        A structure by the name of the grouping factor; a list of them, one for each of its bars,
        where it has several.
    relationships : collection of str
        Grouping factors whose levels are related, and whose bars have their structures from the
        formula.

    Returns
    -------
    tuple of Covariance

    Raises
    ------
    ArgumentTypeError
        If `G` is no mapping, or a value no structure.
    ArgumentError
        For an unknown grouping factor, another number of structures than bars, a structure for a
        bar that has one in the formula, and options that are for residuals.
    """
    found = [
        CALLS["diag" if bar.uncorrelated else "us" if bar.structure is None else bar.structure]
        for bar in bars
    ]
    names = list(dict.fromkeys(bar.factor_name for bar in bars))
    for name in relationships:
        if name not in names:
            raise ArgumentError(unknown_name("grouping factor in `G`", name, names))
    if G is None:
        return tuple(found)
    if not isinstance(G, Mapping):
        raise ArgumentTypeError(
            "`G` should be a dictionary from grouping factors to structures, such as "
            f"{{'id': bl.AR1()}}, got {type(G).__name__}."
        )
    for name, given in G.items():
        if name not in names:
            raise ArgumentError(unknown_name("grouping factor in `G`", name, names))
        own = [i for i, bar in enumerate(bars) if bar.factor_name == name]
        several = list(given) if isinstance(given, list | tuple) else [given]
        if len(several) != len(own):
            texts = ", ".join(bars[i].text for i in own)
            raise ArgumentError(
                f"`G` has {len(several)} structures for {name!r}, which has {len(own)} bars: "
                f"{texts}; give a list with one for each, None for a bar that stays as it is."
            )
        for i, structure in zip(own, several, strict=True):
            if structure is not None:
                found[i] = _checked(bars[i], structure)
    return tuple(found)


def _checked(bar: Bar, structure: object) -> Covariance:
    """A structure of `G` for a bar."""
    if isinstance(structure, Known):
        raise ArgumentError(
            f"Known is a relationship between the levels of {bar.factor_name!r}, and holds for all "
            f"its bars: give it alone, G={{{bar.factor_name!r}: bl.Known(...)}}, and the bars "
            "their structures in the formula, diag(...)."
        )
    if not isinstance(structure, Covariance):
        raise ArgumentTypeError(
            f"`G` should give {bar.factor_name!r} a covariance structure such as bl.AR1(), got "
            f"{structure!r}."
        )
    if bar.structure is not None or bar.uncorrelated:
        raise ArgumentError(
            f"{bar.text} has its structure in the formula, and `G` gives it another, "
            f"{structure.name}; write a plain bar, or leave it out of `G`."
        )
    columns = [name for name in ("time", "group") if getattr(structure, name) is not None]
    if columns:
        raise ArgumentError(
            f"{structure.name} in `G` is over the effects of {bar.text}, and has no use for "
            f"{', '.join(f'`{name}`' for name in columns)}; leave that out."
        )
    return _with_variances(bar, structure)


def _with_variances(bar: Bar, structure: Covariance) -> Covariance:
    """A structure whose variances are those that the effects of a bar can have."""
    several = EffectVariances.of(bar, structure).several
    for part in structure.variances:
        if not isinstance(part, VarPower | VarExp):
            continue
        if lone_column(bar) != part.column:
            raise ArgumentError(
                f"`variance` of {structure.name} in `G` has {part!r}, and the effects of "
                f"{bar.text} are not those of {part.column!r}; give the column of occasions before "
                f"the bar, (0 + {quote(part.column)} | {bar.factor_name}), or 'one' or 'occasion'."
            )
        if several:
            raise ArgumentError(
                f"`variance` of {structure.name} in `G` has a standard deviation for each occasion "
                f"and {type(part).__name__}, and these cannot be told apart, because all rows of "
                f"an occasion have one value of {part.column!r}; give one of them: "
                f"variance=bl.{type(part).__name__}({part.column!r})."
            )
    return structure


def plain_name(variances: EffectVariances) -> str | None:
    """The name of a structure that the equations have without a `Shape`, or None."""
    structure, several = variances.structure, variances.several
    if structure.growing:
        return None
    if structure.correlation.independent:
        return "diag" if several else "id"
    unrestricted = structure.correlation.unrestricted
    return "un" if unrestricted and several and not variances.shares_correlations else None


def effects_of_bar(bar: Bar, structure: Covariance, columns: Mapping[str, Column]) -> str:
    """The left side of a bar as its structure means it: a column of numbers alone, of a structure
    that is over occasions, stands for its values, each of which is one.

    Raises
    ------
    DesignError
        For a structure that is asked for by name, has a variance for each effect, and would have
        the slope alone.
    """
    variances = EffectVariances.of(bar, structure)
    alone = variances.occasion
    if alone is None or columns[alone].kind != "number":
        return bar.effects
    name = plain_name(variances)
    independent = structure.correlation.independent
    if variances.over_occasions or (name is None and not independent):
        return f"0 + C({quote(alone)})"
    asked = bar.structure is not None or structure is not CALLS["us"]
    if asked and not bar.uncorrelated and variances.several and not variances.columns:
        raise DesignError(
            f"{structure.name} is over several effects, and {bar.text} has one, the slope of "
            f"{alone!r}; for an effect at each of its values write 0 + C({quote(alone)}) "
            "before the bar, and for the slope leave the structure out"
        )
    return bar.effects


def effect_labels(bar: Bar, labels: Sequence[str]) -> tuple[str, ...]:
    """Names of a bar's effects: those of `effects_of_bar` without its call, "week[3]"."""
    alone = lone_column(bar)
    if alone is not None:
        return tuple(label.replace(f"C({alone})[", f"{alone}[", 1) for label in labels)
    return tuple(labels)


def shapes_of_bar(
    bar: Bar,
    structure: Covariance,
    effects: Sequence[str],
    Z: Array,
    ratios: Mapping[VarIdent, Ratio],
    strata: int,
) -> list[Shape | None]:
    """The shape of a bar's covariance in each stratum; None for those that are named.

    Parameters
    ----------
    bar : Bar
    structure : Covariance
    effects : sequence of str, length q
    Z : (n, q) array
    ratios : mapping from VarIdent to Ratio
        Of the parts of the variance model that multiply standard deviations.
    strata : int
        How many there are.

    Raises
    ------
    DesignError
        For effects that the structure cannot be over.
    DataError
        For distances between effects that are no numbers.
    """
    variances = EffectVariances.of(bar, structure)
    if plain_name(variances) is not None:
        return [None] * strata
    q, correlation = len(effects), structure.correlation
    if q < 2 and not correlation.independent:
        raise DesignError(
            f"{structure.name} correlates the effects of a bar, and {bar.text} has one, "
            f"{effects[0]!r}; put a column of occasions before the bar, (0 + week | "
            f"{bar.factor_name})"
        )
    correlation.check_size(q, bar.text)
    if correlation.most_occasions is not None and q > correlation.most_occasions:
        raise DesignError(
            f"{bar.text} has {q} effects with {q * (q - 1) // 2} correlations, more than data can "
            "tell; use AR1, Toep or Ante1"
        )
    distances = np.zeros((q, q))
    growing = [part for part in structure.variances if isinstance(part, VarPower | VarExp)]
    if correlation.of_distance or correlation.needs.ordered or growing:
        values = _occasions(bar, structure, effects, Z)
        if correlation.of_distance:
            if (values != values).any():
                raise DataError(
                    f"{structure.name} depends on distances, so the occasions in {bar.text} should "
                    f"be numbers; they are {', '.join(map(repr, effects[:3]))}"
                )
            distances = np.abs(values[:, None] - values).astype(np.float64)
    exponents, covariates = [], [np.empty((strata, q, 0))]
    for part in structure.growing:
        if isinstance(part, VarIdent):
            exponents += [Exponent(part, label) for label in ratios[part].labels]
            covariates.append(ratios[part].indicators)
        else:
            exponents.append(Exponent(part, ""))
            own = _covariate(part, values, bar)[:, None]
            covariates.append(np.broadcast_to(own, (strata, q, 1)))
    of_effects = (correlation, variances.several, _one_each(Z), distances, tuple(exponents))
    shapes = [Shape(*of_effects, own) for own in np.concatenate(covariates, axis=2)]
    correlation.check_spacing(shapes[0].spacing, ", ".join(columns_of(bar.effects)), structure.name)
    return list(shapes)


def _covariate(part: VarPower | VarExp, values: Array, bar: Bar) -> Array:
    """What the logarithm of each occasion's standard deviation is linear in."""
    if (values != values).any():
        raise DataError(
            f"{type(part).__name__} needs numbers, and the occasions of {bar.text} are text"
        )
    if isinstance(part, VarExp):
        return values.astype(np.float64)
    if (values == 0).any():
        raise DataError(
            f"VarPower takes a power of |{part.column}|, which is 0 at an occasion, where the "
            f"variance would be 0; use bl.VarExp({part.column!r}), or shift the column"
        )
    return np.log(np.abs(values.astype(np.float64)))


def _occasions(bar: Bar, structure: Covariance, effects: Sequence[str], Z: Array) -> Array:
    """The numbers that the effects stand for, NaN where they are none; in their order, and Python's
    own, so that whole ones stay exact.
    """
    if len(columns_of(bar.effects)) != 1 or not _one_each(Z):
        raise DesignError(
            f"{structure.name} is over occasions, so the effects in {bar.text} should be those of "
            f"one column of them and no intercept, (0 + week | {bar.factor_name}); they are "
            f"{', '.join(map(repr, effects[:4]))}"
        )
    labels = [effect[effect.rindex("[") + 1 : -1] for effect in effects]
    values = np.array([_number(label) for label in labels], dtype=object)
    if not (values != values).any() and (np.diff(values) <= 0).any():
        raise DesignError(
            f"{structure.name} is over occasions in their order, and those in {bar.text} are text "
            f"in the order {', '.join(labels[:5])}; make the column numbers, or a category with "
            "its levels in order"
        )
    return values


def _one_each(Z: Array) -> bool:
    """Whether each row is of one effect."""
    return bool(np.isin(Z, (0.0, 1.0)).all() and (Z.sum(axis=1) == 1.0).all())


def _number(label: str) -> float:
    try:
        return int(label) if label.isdecimal() else float(label)
    except ValueError:
        return np.nan
