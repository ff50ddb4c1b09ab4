"""Fits side by side: information criteria and likelihood-ratio tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd

from bayeslmm.comparison.nesting import Reference, reference
from bayeslmm.errors import ArgumentError, ArgumentTypeError
from bayeslmm.solutions.base import solution_of
from bayeslmm.solutions.point import LikelihoodSolution, MapSolution
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.solutions.solving import maximum_likelihood
from bayeslmm.specification import Specification
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from bayeslmm.design.design import Design

__all__ = ["compare"]


def compare(
    fits: Sequence[object] | Mapping[str, object],
    refit: Literal["ml"] | None = None,
) -> pd.DataFrame:
    """Compare fits by REML or ML of the same data.

    Parameters
    ----------
    fits : sequence or dict of LikelihoodFit
        In any order; a dictionary gives them names, which are the formulas otherwise.
    refit : "ml", optional
        Fit them by ML first. Fits by REML whose fixed parts differ cannot be compared, since each
        is the likelihood of other contrasts of the data.

    Returns
    -------
    pandas.DataFrame
        A row per fit, that with fewest parameters first: ``parameters``, ``loglik``, ``deviance``
        (-2 loglik), ``aic``, ``aicc``, ``bic``; then the test against the row before: ``chi2``,
        ``df``, ``p``, and ``reference``, which says what `chi2` was compared with, or why there is
        no test. Where the smaller model has one variance at zero that is half and half of two
        chi-squares; where it has several, `p` is that of one chi-square, which is too large.

    Raises
    ------
    ArgumentError
        For fewer than two fits, other responses, rows or weights, fits by REML with different
        fixed parts, REML beside ML, and fits that did not reach a maximum.
    ArgumentTypeError
        For anything that is no fit by REML or ML.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> sleep = bl.load_dataset("sleepstudy")
    >>> independent = bl.Model("Reaction ~ Days + (Days || Subject)", sleep).fit("ml")
    >>> correlated = bl.Model("Reaction ~ Days + (Days | Subject)", sleep).fit("ml")
    >>> table = bl.compare({"independent": independent, "correlated": correlated})
    >>> table[["aic", "chi2", "df", "p"]].round(4)
                       aic    chi2   df       p
    model
    independent  1762.0033     NaN  NaN     NaN
    correlated   1763.9393  0.0639  1.0  0.8004
    """
    named = _named(fits)
    if refit is not None:
        one_of("`refit`", refit, ("ml",))
    _check_data({name: fit.model.design for name, fit in named.items()})
    if refit is not None:
        named = {name: maximum_likelihood(fit) for name, fit in named.items()}
    _check_methods(named)
    for name, fit in named.items():
        if not fit.status.ok:
            raise ArgumentError(f"{name!r} has no maximum to compare: {fit.status.value}.")
    ordered = sorted(named.items(), key=lambda item: item[1].n_parameters)
    rows, before = [], None
    for _, fit in ordered:
        rows.append(_criteria(fit) | _test(before, fit))
        before = fit
    index = pd.Index([name for name, _ in ordered], name="model", dtype=object)
    return pd.DataFrame(rows, index=index)


def _named(fits: object) -> dict[str, LikelihoodSolution]:
    if isinstance(fits, Mapping):
        named = {str(name): solution_of(fit) for name, fit in fits.items()}
    elif isinstance(fits, Sequence) and not isinstance(fits, str):
        named = {}
        for fit in map(solution_of, fits):
            text = fit.model.formula if isinstance(fit, LikelihoodSolution) else "?"
            R = fit.model.R if isinstance(fit, LikelihoodSolution) else None
            name = text if R is None else f"{text}, R={type(R).__name__}"
            count = sum(other == name or other.startswith(f"{name} (") for other in named)
            named[f"{name} ({count + 1})" if count else name] = fit
    else:
        raise ArgumentTypeError(f"`fits` should be a list of fits, got {type(fits).__name__}.")
    for fit in named.values():
        if not isinstance(fit, LikelihoodSolution):
            raise ArgumentTypeError(f"`fits` should be fits by REML or ML, {_instead_of(fit)}")
    if len(named) < 2:
        raise ArgumentError(
            f"there is nothing to compare: give two fits or more, got {len(named)}."
        )
    return cast("dict[str, LikelihoodSolution]", named)


def _instead_of(given: object) -> str:
    """What arrived in place of a fit by REML or ML, and how to make one."""
    if isinstance(given, Specification):
        return f"got a {type(given).__name__}; fit it first, `model.fit('ml')`."
    if isinstance(given, PosteriorSolution):
        return (
            "got a posterior, which has no maximised likelihood. `fit.loo()` is its leave-one-out "
            "cross-validation, which `arviz.compare` compares."
        )
    if isinstance(given, MapSolution):
        return "got a fit by MAP; `model.fit('ml')` makes one."
    return f"got {type(given).__name__}; `model.fit('ml')` makes one."


def _check_data(designs: dict[str, Design]) -> None:
    """Refuse models of different data: their likelihoods are not comparable."""
    (first, one), *others = designs.items()
    for name, other in others:
        what = f"{first!r} and {name!r} cannot be compared:"
        if one.response != other.response:
            raise ArgumentError(
                f"{what} the responses are {one.response} and {other.response}; fit both to the "
                "same response."
            )
        if len(one.y) != len(other.y):
            raise ArgumentError(
                f"{what} they use {len(one.y)} and {len(other.y)} rows, because of missing values "
                "or other data; fit both to the rows that are complete in all variables."
            )
        if not np.array_equal(one.y, other.y):
            raise ArgumentError(
                f"{what} the values of {one.response} differ; fit both to the same data."
            )
        mine, theirs = (np.ones(len(d.y)) if d.weights is None else d.weights for d in (one, other))
        if not np.array_equal(mine, theirs):
            raise ArgumentError(f"{what} the weights differ; fit both with the same ones.")


def _check_methods(fits: dict[str, LikelihoodSolution]) -> None:
    (first, one), *others = fits.items()
    for name, other in others:
        if one.method != other.method:
            raise ArgumentError(
                f"{first!r} was fitted by {one.method.upper()} and {name!r} by "
                f"{other.method.upper()}; compare(..., refit='ml') fits all by ML."
            )
        if one.method == "reml":
            X = [fit.model.design.X for fit in (one, other)]
            if X[0].shape != X[1].shape or not np.allclose(X[0], X[1]):
                raise ArgumentError(
                    f"the fixed parts of {first!r} and {name!r} differ, in terms or coding, and "
                    "likelihoods by REML are then of different contrasts of the data; "
                    "compare(..., refit='ml') fits all by ML."
                )


def _criteria(fit: LikelihoodSolution) -> dict[str, object]:
    return {
        "parameters": fit.n_parameters,
        "loglik": fit.loglik,
        "deviance": -2 * fit.loglik,
        "aic": fit.aic,
        "aicc": fit.aicc,
        "bic": fit.bic,
    }


def _test(before: LikelihoodSolution | None, fit: LikelihoodSolution) -> dict[str, object]:
    nothing: dict[str, object] = {"chi2": np.nan, "df": np.nan, "p": np.nan}
    if before is None:
        return nothing | {"reference": ""}
    df = fit.n_parameters - before.n_parameters
    found = reference(before.model.design, fit.model.design, df)
    if not isinstance(found, Reference):
        return nothing | {"reference": found}
    statistic = max(2 * (fit.loglik - before.loglik), 0.0)
    return {"chi2": statistic, "df": float(df), "p": found.p(statistic), "reference": found.text}
