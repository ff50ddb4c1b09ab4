"""Whether one model is contained in another, and what its likelihood-ratio statistic follows.

A variance of zero is on the boundary of its parameter space. If the smaller model puts one there,
the statistic has not the chi-square distribution but a mixture: with one more effect in a bar of q
correlated effects half of χ²_q and half of χ²_{q+1} (Stram and Lee 1994, Biometrics 50, 1171-1177;
Self and Liang 1987, JASA 82, 605-610), and k parameters that are not on the boundary add k to both.
A nugget of zero is on the boundary likewise. With one factor more than a factor analysis has, the
information is singular, and the statistic follows no chi-square (Drton 2009, Annals of Statistics
37, 979-1012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from bayeslmm.covariance.correlations.base import Needs
from bayeslmm.covariance.correlations.registry import ID, UN
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import Covariance, VarExp, VarIdent, VarPower

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.support.arrays import Array

__all__ = ["Reference", "lies_in", "reference", "spans"]

_CONSERVATIVE = "chi-square, conservative: variances on the boundary"
_NONE, _MANY, _SINGULAR = -1, -2, -3
"""Nothing on the boundary; several parameters; where the information is singular."""
_Bar = tuple[Covariance, frozenset[str]]


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


def lies_in(small: Covariance, large: Covariance) -> bool:
    """Whether a structure is a special case of another, as far as is known.

    Parameters
    ----------
    small, large : Covariance
    """
    if small == large:
        return True
    if small.by not in (None, large.by):
        return False
    return _variances_lie_in(small, large) and _correlation_lies_in(small, large)


def _variances_lie_in(small: Covariance, large: Covariance) -> bool:
    """Whether variances that differ in the small structure do so in the large one."""
    free = set(large.variances)
    if large.by is not None:
        free.add(VarIdent(large.by))
    occasions = large.times if "occasion" in free else ()
    for part in small.variances:
        by_time = isinstance(part, VarIdent | VarPower | VarExp) and part.column in occasions
        same = part in free and (part != "occasion" or small.time == large.time)
        if part != "one" and not by_time and not same:
            return False
    return True


def _correlation_lies_in(small: Covariance, large: Covariance) -> bool:
    one, other = small.correlation, large.correlation
    in_line = len(small.times) < 2
    if one.independent:
        return one.lies_in(other, in_line)
    if small.group != large.group:
        return False
    # the correlation of compound symmetry does not depend on time
    if one.needs is not Needs.NOTHING and small.time != large.time:
        return False
    return one.lies_in(other, in_line)


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
    given, wanted = (ID() if d.residuals is None else d.residuals.structure for d in (small, large))
    if not lies_in(given, wanted):
        return f"R differs: not known to be nested, {given.words} in {wanted.words}"
    change = _change(small.factors, large.factors)
    if change is None:
        return "not nested: random effects that the larger model has not"
    change = _together([change, _of_correlations(given, wanted)])
    if change == _SINGULAR:
        return "nested, but with more factors the statistic follows no chi-square: use a bootstrap"
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
        effects = tuple(prefix + effect for effect in factor.effects[bar.slice])
        if bar.structure == "diag" or len(effects) == 1:
            out += [(UN(), frozenset([effect])) for effect in effects]
        else:
            plain = ID() if bar.structure == "id" else UN()
            out.append((plain if bar.shape is None else bar.covariance, frozenset(effects)))
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
    return None if None in found else _together([step for step in found if step is not None])


def _together(changes: Sequence[int]) -> int:
    """What is on the boundary in all of some changes."""
    changed = [change for change in changes if change != _NONE]
    if _SINGULAR in changed:
        return _SINGULAR
    if not changed:
        return _NONE
    return changed[0] if len(changed) == 1 else _MANY


def _of_correlations(small: Covariance, large: Covariance) -> int:
    """What of a larger structure's correlation is on the boundary at a smaller one's."""
    one, other = small.correlation, large.correlation
    if other.singular_at(one):
        return _SINGULAR
    if other.nugget and not one.nugget and not one.independent:
        return 0 if large.by is None else _MANY
    return _NONE


def _step(small: list[_Bar], large: list[_Bar]) -> int | None:
    """The same for the bars of one factor."""
    small, large = list(small), list(large)
    for bar in list(small):
        if bar in large:
            small.remove(bar)
            large.remove(bar)
    changes = []
    for kind, effects in small:
        homes = [other for other, own in large if _has_home(kind, effects, other, own)]
        if not homes:
            return None
        changes.append(_of_correlations(kind, homes[0]))
    had = frozenset[str]().union(*(effects for _, effects in small))
    has = frozenset[str]().union(*(effects for _, effects in large))
    if has == had or _SINGULAR in changes:
        return _together(changes)
    if len(large) > 1:
        return _MANY
    kind, effects = large[0]
    if not small:
        return 0 if len(effects) == 1 or kind == ID() else _MANY
    grown = kind == UN() and len(effects) == len(had) + 1
    return len(had) if len(small) == 1 and small[0][0] == UN() and grown else _MANY


def _has_home(
    kind: Covariance, effects: frozenset[str], large: Covariance, of_large: frozenset[str]
) -> bool:
    """Whether a bar is a special case of another, of which other effects have no variance."""
    if large == UN() or len(effects) == 1:
        own = large == UN() or "occasion" in large.variances
        return own and effects <= of_large and not isinstance(large, Known)
    return effects == of_large and lies_in(kind, large)
