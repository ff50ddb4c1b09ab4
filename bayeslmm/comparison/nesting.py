"""Whether one model is contained in another, and what its likelihood-ratio statistic follows.

A variance of zero is on the boundary of its parameter space. If the smaller model puts one there,
the statistic has not the chi-square distribution but a mixture: with one more effect in a bar of q
correlated effects half of χ²_q and half of χ²_{q+1} (Stram and Lee 1994, Biometrics 50, 1171-1177;
Self and Liang 1987, JASA 82, 605-610), and k parameters that are not on the boundary add k to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from bayeslmm.covariance.known import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslmm.data.frames import Array
    from bayeslmm.design.design import Design, GroupingFactor

__all__ = ["Reference", "reference", "spans"]

_CONSERVATIVE = "chi-square, conservative: variances on the boundary"
_NONE, _MANY = -1, -2
"""No variance on the boundary; several."""
_Bar = tuple[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a likelihood-ratio statistic is compared with.

    Attributes
    ----------
    df : tuple of int
        Degrees of freedom of the chi-squares, in equal shares.
    text : str
        In words.
    """

    df: tuple[int, ...]
    text: str

    def p(self, statistic: float) -> float:
        """The probability of a statistic as large as that; χ²_0 is zero."""
        tails = [chi2.sf(statistic, df) if df else float(statistic <= 0) for df in self.df]
        return float(np.mean(tails))


def spans(large: Array, small: Array) -> bool:
    """Whether the columns of one matrix are combinations of those of another."""
    if not small.shape[1]:
        return True
    if not large.shape[1]:
        return False
    basis, _ = np.linalg.qr(large)
    rest = small - basis @ (basis.T @ small)
    return bool(np.linalg.norm(rest) <= 1e-8 * np.linalg.norm(small))


def reference(small: Design, large: Design, df: int) -> Reference | str:
    """The distribution of the likelihood-ratio statistic of two models, or why there is none.

    Parameters
    ----------
    small, large : Design
    df : int
        How many parameters more the large one has.
    """
    if df <= 0:
        return "as many parameters as the model before: not nested"
    if not spans(large.X, small.X):
        return "not nested: fixed effects that the larger model has not"
    given, wanted = (None if d.residuals is None else d.residuals.structure for d in (small, large))
    # independence is among the correlations that a structure can have, unless they are known
    if given != wanted and (given is not None or isinstance(wanted, Known)):
        return "R differs; whether it is nested is not known here"
    change = _change(small.factors, large.factors)
    if change is None:
        return "not nested: random effects that the larger model has not"
    if change == _NONE:
        return Reference((df,), "chi-square")
    if change == _MANY:
        return Reference((df,), _CONSERVATIVE)
    return Reference((df - 1, df), f"half chi-square({df - 1}), half chi-square({df})")


def _known(factor: GroupingFactor) -> object:
    return None if factor.related is None else factor.related.known


def _bars(factor: GroupingFactor, strata: Mapping[str, Sequence[str]] | None = None) -> list[_Bar]:
    """Bars as structure and effects; effects without correlations are bars of their own.

    Parameters
    ----------
    factor : GroupingFactor
    strata : mapping, optional
        By the text of bars, strata that a larger model divides them into, with equal covariances.
    """
    out: list[_Bar] = []
    divided = [
        (bar, f"{stratum}, ")
        for bar in factor.bars
        for stratum in ((strata or {}).get(bar.text, ()) if not bar.stratum else ())
    ]
    whole = [(bar, "") for bar in factor.bars if bar not in [own for own, _ in divided]]
    for bar, prefix in divided + whole:
        effects = tuple(prefix + effect for effect in factor.effects[bar.start : bar.stop])
        if bar.structure == "diag" or len(effects) == 1:
            out += [("un", frozenset([effect])) for effect in effects]
        else:
            kind = bar.structure if bar.shape is None else repr(bar.covariance)
            out.append((kind, frozenset(effects)))
    return out


def _change(small: Sequence[GroupingFactor], large: Sequence[GroupingFactor]) -> int | None:
    """What is on the boundary: with how many effects one effect more is correlated, or `_NONE` or
    `_MANY`; None where the models are not nested.
    """
    more = {factor.name: factor for factor in large}
    found = []
    for factor in small:
        other = more.pop(factor.name, None)
        if other is None or _known(factor) is not _known(other):
            return None
        strata: dict[str, list[str]] = {}
        for bar in other.bars:
            if bar.stratum:
                strata.setdefault(bar.text, []).append(bar.stratum)
        found.append(_step(_bars(factor, strata), _bars(other)))
    found += [_step([], _bars(factor)) for factor in more.values()]
    if None in found:
        return None
    changed = [step for step in found if step not in (None, _NONE)]
    if not changed:
        return _NONE
    return changed[0] if len(changed) == 1 else _MANY


def _step(small: list[_Bar], large: list[_Bar]) -> int | None:
    """The same for the bars of one factor."""
    small, large = list(small), list(large)
    for bar in list(small):
        if bar in large:
            small.remove(bar)
            large.remove(bar)
    for _, effects in small:
        homes = [
            (kind == "un" and effects <= others) or effects == others for kind, others in large
        ]
        if not any(homes):
            return None
    had = frozenset[str]().union(*(effects for _, effects in small))
    has = frozenset[str]().union(*(effects for _, effects in large))
    if has == had:
        return _NONE
    if len(large) > 1:
        return _MANY
    kind, effects = large[0]
    if not small:
        return 0 if len(effects) == 1 or kind == "id" else _MANY
    grown = kind == "un" and len(effects) == len(had) + 1
    return len(had) if len(small) == 1 and small[0][0] == "un" and grown else _MANY
