"""Structures of R that the subjects and occasions of a data set cannot tell of, refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayeslmm.covariance.correlations.base import Needs
from bayeslmm.covariance.structures import Covariance, VarIdent
from bayeslmm.errors import DataError, DesignError
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.data.frames import Column

__all__ = [
    "Found",
    "check_constant",
    "check_correlations",
    "check_occasions",
    "check_order",
    "check_ratios",
    "check_variances",
]


class Found(NamedTuple):
    """What each row has of subjects, occasions and strata."""

    block: Array
    point: Array
    place: Array
    stratum: Array
    occasions: tuple[str, ...]
    strata: tuple[str, ...]


def check_constant(structure: Covariance, found: Found, subjects: tuple[str, ...]) -> None:
    """Refuse strata that change within a subject."""
    home = np.zeros(len(subjects), dtype=np.int64)
    home[found.block] = found.stratum
    changing = np.flatnonzero(home[found.block] != found.stratum)
    if len(changing):
        raise DataError(
            f"{structure.by!r} gives each stratum parameters of its own, so it should be the same "
            f"in all rows of a {structure.group!r}; it changes within "
            f"{subjects[found.block[changing[0]]]!r}"
        )


def check_occasions(structure: Covariance, found: Found, subjects: tuple[str, ...]) -> None:
    """Refuse subjects and occasions between which there is no correlation to estimate."""
    T, sizes = len(found.occasions), np.bincount(found.block)
    if sizes.max() < 2:
        raise DesignError(
            f"no {structure.group!r} has more than one row, so that there is nothing for "
            f"{structure.name} to correlate; check `group`"
        )
    if structure.time is None:
        return
    shown = " and ".join(map(repr, structure.times))
    values, counts = np.unique(found.block * T + found.point, return_counts=True)
    if counts.max() > 1:
        worst = int(values[counts.argmax()])
        when = _occasion_text(structure, found, worst % T)
        raise DataError(
            f"the {structure.group!r} {subjects[worst // T]!r} has {counts.max()} rows at "
            f"{shown} = {when}; {structure.name} needs one row for each. Average them, or number "
            "the occasions"
        )
    if T < 2:
        raise DesignError(
            f"{shown} has one occasion only, {found.occasions[0]!r}, so that there is no "
            f"correlation over time to estimate; use bl.CS(group={structure.group!r}) or leave "
            "R out"
        )


def _occasion_text(structure: Covariance, found: Found, at: int) -> str:
    if len(structure.times) == 1:
        return found.occasions[at]
    place = found.place[np.flatnonzero(found.point == at)[0]]
    return "(" + ", ".join(f"{x:g}" for x in place) + ")"


def check_correlations(structure: Covariance, found: Found) -> None:
    """Refuse correlations between occasions that no subject has both of."""
    correlation, T = structure.correlation, len(found.occasions)
    correlation.check_size(T, repr(structure.time))
    if correlation.most_occasions is not None and correlation.most_occasions < T:
        raise DesignError(
            f"{T} occasions of {structure.time!r} make {T * (T - 1) // 2} correlations, more than "
            "data can tell; use AR1, Toep or Ante1, or CAR1 if the times differ between subjects"
        )
    for stratum, label in enumerate(found.strata):
        here = found.stratum == stratum
        where = f" in the stratum {label!r}" if label else ""
        missing = correlation.unidentified(found.block[here], found.point[here], T)
        if missing is None:
            continue
        first, last = (f"{structure.time!r} = {found.occasions[i]}" for i in missing)
        if correlation.needs is Needs.LAGS:
            lag = missing[1] - missing[0]
            raise DesignError(
                f"no {structure.group!r} has two rows that are {lag} occasions of "
                f"{structure.time!r} apart{where}, so that the correlation at this lag is not "
                "identified; use AR1 or ARMA11, which have fewer parameters"
            )
        raise DesignError(
            f"no {structure.group!r} has rows at both {first} and {last}{where}, or at others that "
            "would tell their correlation, so that it is not identified; use AR1, Toep or CAR1, "
            "which have fewer parameters"
        )


def check_order(structure: Covariance, column: Column) -> None:
    """Refuse text whose order is not that of the numbers in it."""
    if not structure.correlation.needs.ordered or column.kind == "number":
        return
    texts = list(map(str, column.levels))
    natural = sorted(texts, key=lambda text: [float(x) for x in re.findall(r"\d+", text)])
    if all(re.search(r"\d", text) for text in texts) and texts != natural:
        raise DataError(
            f"{structure.name} needs occasions in their order, and {column.name!r} is text, whose "
            f"order is {', '.join(map(repr, texts[:4]))}; make it numbers, or a categorical whose "
            "levels are in order"
        )


def check_variances(labels: tuple[str, ...], sigma: Array) -> None:
    """Refuse a standard deviation of a single row, which fits it exactly by going to zero."""
    alone = np.flatnonzero(np.bincount(sigma, minlength=len(labels)) < 2)
    if len(labels) > 1 and len(alone):
        raise DesignError(
            f"a residual standard deviation of their own is asked for at "
            f"{', '.join(repr(labels[i]) for i in alone[:5])}, where there is one row only, from "
            "which none can be estimated; merge levels, or use fewer variances"
        )


def check_ratios(
    growing: Iterable[tuple[object, Sequence[str]]], strata: Sequence[str], covariates: Array
) -> None:
    """Refuse a ratio of standard deviations for a single row, which fits it exactly, and for no
    row.
    """
    counts = (covariates != 0).sum(axis=0)
    at = 0
    for part, labels in growing:
        for label in labels:
            for stratum in strata:
                if isinstance(part, VarIdent) and counts[at] < 2:
                    where = f" in the stratum {stratum!r}" if stratum else ""
                    raise DesignError(
                        f"{part!r} asks for a ratio of standard deviations at {label}, which "
                        f"{counts[at] or 'no'} row has{where}, so that it cannot be estimated; "
                        "merge levels, or leave it out"
                    )
                at += 1
