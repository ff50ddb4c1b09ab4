"""The part of `Model.code` about the response: independent or structured residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bayeslmm.covariance.correlations import kernels as correlations
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import VarExp, VarIdent, VarPower, correlation_of_distance
from bayeslmm.pymc_models.program.correlations import (
    by_lag_or_distance,
    is_by_element,
    of_all_occasions,
)
from bayeslmm.pymc_models.program.data import codes_of, identifier, quoted

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.api.model import Model
    from bayeslmm.data.frames import Array
    from bayeslmm.design.residuals import Residuals

__all__ = ["response", "response_data"]

_PAIRS = "occasion[rows][:, :, None], occasion[rows][:, None, :]"


def _independent(residuals: Residuals | None) -> bool:
    return residuals is None or residuals.structure.correlation.code == correlations.NONE.code


def _codes(columns: Sequence[str], frame: pd.DataFrame, target: Array) -> str:
    grouped = codes_of(columns, frame, target) if columns else None
    if grouped:
        return f"{grouped}.ngroup().to_numpy()"
    return f"np.array({target.tolist()})"


def response_data(model: Model, frame: pd.DataFrame) -> Iterator[str]:
    """What the program needs to know of each row for R."""
    residuals = model.design.residuals
    if residuals is None:
        return
    structure, rows = residuals.structure, residuals.rows
    own = [structure.by] if structure.by else []
    if rows.n_sigmas > 1:
        columns = list(own)
        for part in structure.variances:
            columns += list(structure.times) if part == "occasion" else []
            columns += [part.column] if isinstance(part, VarIdent) else []
        yield f"row_sigma = {_codes(columns, frame, rows.sigma)}"
    grows = any(isinstance(part, VarPower | VarExp) for part in structure.variances)
    if rows.n_strata > 1 or (grows and len(residuals.variance_strata) > 1):
        yield f"stratum = {_codes(own, frame, rows.stratum)}"
    if _independent(residuals):
        return
    assert residuals.subjects is not None
    yield f"subject = {_codes([str(structure.group)], frame, residuals.subjects.codes)}"
    if not structure.times:
        yield "order = np.argsort(subject, kind='stable')"
    elif correlation_of_distance(structure.correlation):
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


def _sd(model: Model) -> str:
    """The standard deviations of the rows."""
    residuals = model.design.residuals
    sd = "sigma"
    if residuals is not None:
        if residuals.rows.n_sigmas > 1:
            sd = "sigma[row_sigma]"
        growing = [p for p in residuals.structure.variances if isinstance(p, VarPower | VarExp)]
        strata = len(residuals.variance_strata)
        counts = {VarPower: 0, VarExp: 0}
        for part in growing:
            kind = type(part)
            total = sum(type(other) is kind for other in growing)
            exponent = "power" if kind is VarPower else "expon"
            if total * strata > 1:
                at = str(counts[kind] * strata)
                exponent += f"[{at if strata == 1 else f'{at} + stratum'}]"
            counts[kind] += 1
            x = f"data[{quoted(part.column)}].to_numpy(float)"
            grown = (
                f"np.abs({x}) ** {exponent}" if kind is VarPower else f"pt.exp({exponent} * {x})"
            )
            sd += f" * {grown}"
    return sd if model.design.weights is None else f"{sd} / np.sqrt(weights)"


def response(model: Model) -> Iterator[str]:
    """The observed response."""
    design, residuals = model.design, model.design.residuals
    if _independent(residuals):
        yield f"pm.Normal({quoted(design.response)}, mu, {_sd(model)}, observed=y)"
        return
    assert residuals is not None
    yield f"sd = {_sd(model)} * np.ones(len(y))"
    yield "# subjects with equally many rows together"
    yield "for t in sorted({len(rows) for rows in blocks}):"
    yield "    rows = np.array([rows for rows in blocks if len(rows) == t])"
    for line in _correlation(residuals):
        yield f"    {line}"
    yield "    cov = sd[rows][:, :, None] * C * sd[rows][:, None, :]"
    name = f'{quoted(design.response)} + f"[{{t}} rows]"'
    yield f"    pm.MvNormal({name}, mu[rows], cov, observed=y[rows])"


def _correlation(residuals: Residuals) -> Iterator[str]:
    """The correlation matrices C of the subjects with t rows."""
    structure, rows = residuals.structure, residuals.rows
    strata = rows.n_strata

    def parameter(name: str) -> str:
        name = identifier(name)
        return name if strata == 1 else f"{name}[stratum[rows[:, 0]]][:, None, None]"

    if isinstance(structure, Known):
        yield f"C = K_all[{_PAIRS}]"
        return
    if is_by_element(structure.correlation):
        yield from _of_occasions(residuals)
        return
    if structure.correlation.of_distance:
        yield "apart = place[rows][:, :, None] - place[rows][:, None, :]"
        yield "distance = np.sqrt((apart**2).sum(axis=-1))"
    lags = "abs(occasion[rows][:, :, None] - occasion[rows][:, None, :])"
    yield from by_lag_or_distance(structure.correlation, "t", lags, parameter)


def _of_occasions(residuals: Residuals) -> Iterator[str]:
    """The matrix of all occasions, of which subjects have parts."""
    correlation, T = residuals.structure.correlation, len(residuals.occasions)
    strata, m = residuals.rows.n_strata, residuals.rows.n_corr
    variable = "loading" if correlation.factors else "rho"
    for stratum in range(strata):
        own = "" if strata == 1 else f"[{stratum * m}:{(stratum + 1) * m}]"
        name = "C_all" if strata == 1 else f"C_{stratum}"
        root = "L_R" if strata == 1 else f"L_R_{stratum + 1}"
        yield from of_all_occasions(correlation, T, name, f"{variable}{own}", root)
    if strata == 1:
        yield f"C = C_all[{_PAIRS}]"
    else:
        yield f"C_all = pt.stack([{', '.join(f'C_{s}' for s in range(strata))}])"
        yield f"C = C_all[stratum[rows[:, 0]][:, None, None], {_PAIRS}]"
