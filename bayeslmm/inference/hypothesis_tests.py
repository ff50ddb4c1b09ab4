"""Tests of statements about quantities of a fit, whichever way it was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import stdtr

from bayeslmm.effects.derived import derived
from bayeslmm.effects.quantity_table import QuantityTable
from bayeslmm.effects.response_variance import SHARE, derived_names, derived_quantities
from bayeslmm.errors import ArgumentError
from bayeslmm.inference.grammar import Statement, parse_statement
from bayeslmm.solutions.degrees_of_freedom.wald import t_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeslmm.effects.derived import Function
    from bayeslmm.inference.savage_dickey import BayesFactor
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.solutions.posterior import PosteriorSolution
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["likelihood_tests", "posterior_tests", "quantity_names"]

_UNBOUNDED = (-np.inf, np.inf)
_OF_SLOPES = re.compile(r"r2\[|icc\[unadjusted\]")
"""Shares of variance that depend on all coefficients but the intercept."""
_OF_POINTS = """\
Estimates are of the left side less the right side. Linear functions of coefficients have t tests;
others have the delta method with the observed information, and df = inf. p is two-sided for =, and
one-sided for > and <, where the hypothesis is the alternative."""
_OF_DRAWS = """\
Estimates are of the left side less the right side. probability: of the hypothesis; evidence_ratio:
that over the probability of its opposite. bayes_factor: in favour of the point, the posterior over
the prior density there (Savage and Dickey), with its Monte Carlo error; none where the prior is
improper."""
_ROPE = "\nrope: the probability that the difference lies between {low:g} and {high:g}."


def quantity_names(model: Specification) -> dict[str, str]:
    """What may be written in a hypothesis, and the quantity that it stands for: coefficients as
    ``Days`` or ``beta[Days]``, the other names of ``summary()``, and ``icc`` and ``r2``.
    """
    coef, theta, shares = model.design.coef, model.parameters.names, derived_names(model)
    names = {name: f"beta[{name}]" for name in coef}  # where a name is two things, not this one
    names |= {f"beta[{name}]": f"beta[{name}]" for name in coef}
    names |= {name: name for name in (*theta, *shares)}
    if "icc[adjusted]" in names:
        names["icc"] = "icc[adjusted]"
    else:
        names["r2"] = "r2[marginal]"
    return names


def likelihood_tests(
    solution: PointSolution, statements: str | Sequence[str], level: float, df: DF
) -> QuantityTable:
    """Test statements with a point estimate; see `PointFit.hypothesis`."""
    read = _read(solution.model, statements)
    function = _function(solution.model, read, solution.undefined)
    found = derived(solution, function, np.array([_UNBOUNDED]), level)
    columns = found.estimates.columns()
    columns["df"] = np.full(len(read), np.inf)
    coef = [f"beta[{name}]" for name in solution.model.design.coef]
    for row, statement in enumerate(read):
        linear = statement.difference.linear
        if linear is None or not set(linear[0]) <= set(coef):
            continue
        weights = np.array([[linear[0].get(name, 0.0) for name in coef]])
        wald = solution.wald(df)
        std_error = np.sqrt(np.einsum("mp,pr,mr->m", weights, wald.vcov, weights))
        own = wald.df(weights)
        estimate = weights @ solution.beta + linear[1]
        for name, value in t_intervals(estimate, std_error, own, level).columns().items():
            columns[name][row] = value[0]
        columns["df"][row] = own[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = columns["estimate"] / columns["std_error"]
    signs = _signs(read)
    two_sided = np.isnan(signs)
    tail = stdtr(columns["df"], np.where(two_sided, -np.abs(t), -signs * t))
    columns |= {"t": t, "p": np.where(two_sided, 2 * tail, tail)}
    return _table(columns, read, _OF_POINTS, solution.method)


def posterior_tests(
    solution: PosteriorSolution,
    statements: str | Sequence[str],
    level: float,
    rope: float | tuple[float, float] | None,
) -> QuantityTable:
    """What a posterior says of statements; see `PosteriorFit.hypothesis`."""
    read, limits = _read(solution.model, statements), _limits(rope)
    function = _function(solution.model, read)
    found = derived(solution, function, np.array([_UNBOUNDED]), level)
    assert found.draws is not None
    flat = found.draws.reshape(-1, len(read))
    signs = _signs(read)
    probability = np.where(np.isnan(signs), np.nan, np.mean(flat * signs > 0, axis=0))
    columns = found.estimates.columns()
    with np.errstate(divide="ignore"):
        ratio = probability / (1 - probability)
    columns |= {"probability": probability, "evidence_ratio": ratio}
    factors = _bayes_factors(solution, read, found.draws)
    columns["bayes_factor"] = np.array([factor.value for factor in factors])
    columns["bayes_factor_error"] = np.array([factor.error for factor in factors])
    text = _OF_DRAWS
    if limits is not None:
        columns["rope"] = np.mean((flat >= limits[0]) & (flat <= limits[1]), axis=0)
        text += _ROPE.format(low=limits[0], high=limits[1])
    return _table(columns, read, text, solution.method, found.draws)


def _bayes_factors(
    solution: PosteriorSolution, read: Sequence[Statement], draws: Array
) -> list[BayesFactor]:
    """The Bayes factors in favour of point hypotheses; none of the others."""
    from bayeslmm.inference import savage_dickey

    found: list[BayesFactor] = []
    coef = {f"beta[{name}]" for name in solution.model.design.coef}
    prior = None
    for row, statement in enumerate(read):
        linear, names = statement.difference.linear, statement.difference.names
        factor = None
        if statement.relation != "=":
            factor = savage_dickey.NONE
        elif linear is not None and names <= coef:
            factor = savage_dickey.of_linear_function(solution, linear)
        if factor is None:
            prior = prior or savage_dickey.prior_draws(solution)
            if any(_OF_SLOPES.match(name) for name in names):
                names = names | (coef - {"beta[Intercept]"})
            if names & prior[2]:
                factor = savage_dickey.NONE
            else:
                of_prior = _function(solution.model, [statement])(*prior[:2])[statement.text]
                bounds = _support(solution.model, statement)
                factor = savage_dickey.of_draws(of_prior, draws[..., row], bounds)
        found.append(factor)
    return found


def _read(model: Specification, statements: str | Sequence[str]) -> list[Statement]:
    given = [statements] if isinstance(statements, str) else list(statements)
    if not given:
        raise ArgumentError("there is no hypothesis; give one such as 'Days > 5'.")
    names = quantity_names(model)
    read = [parse_statement(text, names) for text in given]
    for i, statement in enumerate(read):
        if statement.text in given[:i]:
            raise ArgumentError(f"the hypothesis {statement.text!r} is there twice; give it once.")
    return read


def _function(
    model: Specification, read: Sequence[Statement], undefined: Array | None = None
) -> Function:
    """The differences of statements, by their texts, as functions of theta and beta."""
    shares = set(derived_names(model))
    shared = any(statement.difference.names & shares for statement in read)

    def function(theta: Array, beta: Array) -> Mapping[str, Array]:
        values = {f"beta[{name}]": beta[:, i] for i, name in enumerate(model.design.coef)}
        for i, name in enumerate(model.parameters.names):
            missing = undefined is not None and undefined[i]
            values[name] = np.full(len(theta), np.nan) if missing else theta[:, i]
        if shared:
            values |= derived_quantities(model, theta, beta)
        return {statement.text: statement.difference.at(values) for statement in read}

    return function


def _signs(read: Sequence[Statement]) -> Array:
    """1 of >, -1 of <, NaN of =."""
    known = {">": 1.0, "<": -1.0, "=": np.nan}
    return np.array([known[statement.relation] for statement in read])


def _support(model: Specification, statement: Statement) -> tuple[float, float]:
    """Where the support of the difference ends, if it is of one quantity and a number."""
    function = statement.difference.linear
    if function is None or len(function[0]) != 1:
        return _UNBOUNDED
    [(name, weight)] = function[0].items()
    known = dict(zip(model.parameters.names, map(tuple, model.parameters.bounds), strict=True))
    known |= dict.fromkeys(derived_names(model), SHARE)
    low, high = sorted(weight * end + function[1] for end in known.get(name, _UNBOUNDED))
    return float(low), float(high)


def _limits(rope: object) -> tuple[float, float] | None:
    """The region of practical equivalence: a number around zero, or two.

    Raises
    ------
    ArgumentError
        If it is neither, or its ends are not in order.
    """
    if rope is None:
        return None
    try:
        ends = np.asarray(rope, dtype=np.float64)
        low, high = (-float(ends), float(ends)) if ends.ndim == 0 else map(float, ends)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high:
        raise ArgumentError(
            "`rope` should be a positive number, the greatest difference that does not matter, or "
            f"the two ends of an interval in order, such as (-1, 1); got {rope!r}."
        )
    return low, high


def _table(
    columns: Mapping[str, Array],
    read: Sequence[Statement],
    text: str,
    method: str,
    draws: Array | None = None,
) -> QuantityTable:
    index = pd.Index([statement.text for statement in read], name="hypothesis", dtype=object)
    return QuantityTable.of(
        pd.DataFrame(dict(columns), index=index),
        name="difference",
        title="Hypotheses",
        definition=text,
        method=method,
        draws=draws,
    )
