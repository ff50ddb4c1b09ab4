"""The part of `Model.code` about the response: independent or structured residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import (
    VarIdent,
    VarPower,
    columns_of_variance,
)
from bayeslmm.design.variables import response_name
from bayeslmm.pymc_models.program.data import codes_of, identifier, quoted

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.design.residuals import Residuals
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["response", "response_data"]

_PAIRS = "occasion[rows][:, :, None], occasion[rows][:, None, :]"


def _independent(residuals: Residuals | None) -> bool:
    return residuals is None or residuals.structure.correlation.independent


def _codes(columns: Sequence[str], frame: pd.DataFrame, target: Array) -> str:
    grouped = codes_of(columns, frame, target) if columns else None
    if grouped:
        return f"{grouped}.ngroup().to_numpy()"
    return f"np.array({target.tolist()})"


def response_data(model: Specification, frame: pd.DataFrame) -> Iterator[str]:
    """What the program needs to know of each row for R."""
    residuals = model.design.residuals
    if residuals is None:
        return
    structure, rows = residuals.structure, residuals.rows
    own = [structure.by] if structure.by else []
    if rows.n_sigmas > 1:
        columns = list(own)
        leading = structure.leading
        columns += structure.times if leading == "occasion" else columns_of_variance(leading)
        yield f"row_sigma = {_codes(columns, frame, rows.sigma)}"
    if rows.n_strata > 1 or (residuals.growing and len(residuals.variance_strata) > 1):
        yield f"stratum = {_codes(own, frame, rows.stratum)}"
    for number, (part, codes) in enumerate(_ratio_codes(residuals)):
        yield f"{_ratio(number)} = {_codes(part.columns, frame, codes)}"
    if _independent(residuals):
        return
    assert residuals.subjects is not None
    yield f"subject = {_codes([str(structure.group)], frame, residuals.subjects.codes)}"
    if not structure.times:
        yield "order = np.argsort(subject, kind='stable')"
    elif structure.correlation.of_distance:
        yield f"place = data[{quoted(structure.times)}].to_numpy(float)"
        yield "order = np.lexsort([*place.T[::-1], subject])"
    else:
        yield f"occasion = {_codes(list(structure.times), frame, rows.point)}"
        yield "order = np.lexsort([occasion, subject])"
        if isinstance(structure, Known):
            yield from _known(residuals, frame)
    yield "blocks = np.split(order, np.flatnonzero(np.diff(subject[order])) + 1)"


def _known(residuals: Residuals, frame: pd.DataFrame) -> Iterator[str]:
    """The known correlations of all occasions."""
    times = list(residuals.structure.times)
    grouped = codes_of(times, frame, residuals.rows.point)
    occasions = f"list({grouped}.groups)" if grouped else quoted(residuals.occasions)
    yield "# K_R: the correlations of residuals, a frame named by the occasions on both axes"
    yield f"occasions = {occasions}"
    yield "K_all = K_R.loc[occasions, occasions].to_numpy(float)"


def _sd(model: Specification) -> str:
    """The standard deviations of the rows."""
    residuals = model.design.residuals
    sd = "sigma"
    if residuals is not None:
        if residuals.rows.n_sigmas > 1:
            sd = "sigma[row_sigma]"
        sd = " * ".join([sd, *_multipliers(residuals)])
    return sd if model.design.weights is None else f"{sd} / np.sqrt(weights)"


def _multipliers(residuals: Residuals) -> Iterator[str]:
    """What standard deviations are multiplied by."""
    strata, kinds = len(residuals.variance_strata), [type(part) for part, _ in residuals.growing]
    at, n_ratios = dict.fromkeys(kinds, 0), 0
    own = "" if strata == 1 else "stratum"
    for part, labels in residuals.growing:
        name, kind = identifier(part.exponent), type(part)
        first = at[kind]
        at[kind] += len(labels) * strata
        if isinstance(part, VarIdent):
            row = f"{_ratio(n_ratios)}{f' * {strata} + {own}' if own else ''}"
            n_ratios += 1
            values = f"pt.concatenate([np.zeros({strata}), {name}[{first}:{at[kind]}]])"
            yield f"pt.exp({values}[{row}])"
            continue
        if kinds.count(kind) * strata > 1:
            name += f"[{' + '.join(filter(None, (str(first), own)))}]"
        x = f"data[{quoted(part.column)}].to_numpy(float)"
        yield f"np.abs({x}) ** {name}" if kind is VarPower else f"pt.exp({name} * {x})"


def _ratio(number: int) -> str:
    """The variable of a program that has which level of a `VarIdent` is each row's."""
    return f"of_ratio_{number + 1}"


def _ratio_codes(residuals: Residuals) -> Iterator[tuple[VarIdent, Array]]:
    """The level of each row, by `VarIdent` whose ratios multiply standard deviations."""
    at, strata = 0, len(residuals.variance_strata)
    for part, labels in residuals.growing:
        own = residuals.rows.covariates[:, at : at + len(labels) * strata]
        at += own.shape[1]
        if isinstance(part, VarIdent):
            yield part, (own @ np.repeat(np.arange(1, len(labels) + 1), strata)).astype(np.int64)


def response(model: Specification) -> Iterator[str]:
    """The observed response."""
    design, residuals = model.design, model.design.residuals
    name = quoted(response_name(design, model.parameters))
    if _independent(residuals):
        yield f"pm.Normal({name}, mu, {_sd(model)}, observed=y)"
        return
    assert residuals is not None
    yield f"sd = {_sd(model)} * np.ones(len(y))"
    yield "# subjects with equally many rows together"
    yield "for t in sorted({len(rows) for rows in blocks}):"
    yield "    rows = np.array([rows for rows in blocks if len(rows) == t])"
    for line in _correlation(residuals):
        yield f"    {line}"
    yield "    cov = sd[rows][:, :, None] * C * sd[rows][:, None, :]"
    name = f'{name} + f"[{{t}} rows]"'
    yield f"    pm.MvNormal({name}, mu[rows], cov, observed=y[rows])"


def _correlation(residuals: Residuals) -> Iterator[str]:
    """The correlation matrices C of the subjects with t rows."""
    structure, rows = residuals.structure, residuals.rows
    strata = rows.n_strata

    def parameter(name: str, place: int = 0, count: int = 1) -> str:
        name = identifier(name)
        if strata == 1:
            return name if count == 1 else f"{name}[{place}]"
        row = "stratum[rows[:, 0]]"
        index = row if count == 1 else f"{row} * {count} + {place}"
        return f"{name}[{index}][:, None, None]"

    if isinstance(structure, Known):
        yield f"C = K_all[{_PAIRS}]"
        return
    if structure.correlation.single:
        yield from _of_occasions(residuals)
        return
    if structure.correlation.of_distance:
        yield "apart = place[rows][:, :, None] - place[rows][:, None, :]"
        yield "distance = np.sqrt((apart**2).sum(axis=-1))"
    lags = "abs(occasion[rows][:, :, None] - occasion[rows][:, None, :])"
    yield from structure.correlation.program("t", lags, parameter)


def _of_occasions(residuals: Residuals) -> Iterator[str]:
    """The matrix of all occasions, of which subjects have parts."""
    correlation, T = residuals.structure.correlation, len(residuals.occasions)
    strata, m = residuals.rows.n_strata, residuals.rows.n_corr
    (variable,) = correlation.variables
    for stratum in range(strata):
        own = "" if strata == 1 else f"[{stratum * m}:{(stratum + 1) * m}]"
        name = "C_all" if strata == 1 else f"C_{stratum}"
        root = "L_R" if strata == 1 else f"L_R_{stratum + 1}"
        yield from correlation.program_of_all(T, name, f"{variable}{own}", root)
    if strata == 1:
        yield f"C = C_all[{_PAIRS}]"
    else:
        yield f"C_all = pt.stack([{', '.join(f'C_{s}' for s in range(strata))}])"
        yield f"C = C_all[stratum[rows[:, 0]][:, None, None], {_PAIRS}]"
