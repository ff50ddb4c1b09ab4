"""The part of `Model.code` about the response: independent or structured residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bayeslmm import correlations
from bayeslmm.covariance import VarExp, VarIdent, VarPower, correlation_of_distance
from bayeslmm.program_data import codes_of, quoted

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.frames import Array
    from bayeslmm.model import Model
    from bayeslmm.residual_structure import Residuals

__all__ = ["response", "response_data"]


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
    yield "blocks = np.split(order, np.flatnonzero(np.diff(subject[order])) + 1)"


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
    code, strata = structure.correlation.code, rows.n_strata

    def parameter(name: str) -> str:
        return name if strata == 1 else f"{name}[stratum[rows[:, 0]]][:, None, None]"

    lags = "abs(occasion[rows][:, :, None] - occasion[rows][:, None, :])"
    rho = parameter("rho")
    of_pairs = (correlations.UN.code, correlations.TOEP.code, correlations.ANTE1.code)
    if code in of_pairs or structure.correlation.factors:
        yield from _of_occasions(residuals, lags)
        return
    if code == correlations.CS.code:
        yield f"C = pt.where(np.eye(t), 1, {rho})"
        return
    if code in (correlations.AR1.code, correlations.ARMA11.code):
        yield f"lag = {lags}"
        value = f"{rho} ** np.maximum(lag, 1)"
        if code == correlations.ARMA11.code:
            ma = parameter("ma")
            yield f"first = (1 + {rho} * {ma}) * ({rho} + {ma}) / (1 + 2 * {rho} * {ma} + {ma}**2)"
            value = f"first * {rho} ** np.maximum(lag - 1, 0)"
        yield f"C = pt.where(lag == 0, 1, {value})"
        return
    yield "apart = place[rows][:, :, None] - place[rows][:, None, :]"
    yield "distance = np.sqrt((apart**2).sum(axis=-1))"
    ratio = f"distance / {parameter('range_')}"
    values = {
        correlations.CAR1.code: f"{rho} ** distance",
        correlations.EXP.code: f"pt.exp(-{ratio})",
        correlations.GAU.code: f"pt.exp(-(({ratio}) ** 2))",
        correlations.MATERN15.code: "(1 + s) * pt.exp(-s)",
        correlations.MATERN25.code: "(1 + s + s**2 / 3) * pt.exp(-s)",
    }
    if code in (correlations.MATERN15.code, correlations.MATERN25.code):
        yield f"s = np.sqrt({3 if code == correlations.MATERN15.code else 5}) * {ratio}"
    value = values[code]
    if structure.nugget:
        value = f"(1 - {parameter('nugget')}) * {value}"
    yield f"C = pt.where(distance == 0, 1, {value})"


def _of_occasions(residuals: Residuals, lags: str) -> Iterator[str]:
    """The matrix of all occasions, of which subjects have parts."""
    code, T = residuals.structure.correlation.code, len(residuals.occasions)
    k = residuals.structure.correlation.factors
    strata, m = residuals.rows.n_strata, residuals.rows.n_corr
    for stratum in range(strata):
        own = "" if strata == 1 else f"[{stratum * m}:{(stratum + 1) * m}]"
        name = "C_all" if strata == 1 else f"C_{stratum}"
        if code == correlations.UN.code:
            L = "L_R" if strata == 1 else f"L_R_{stratum + 1}"
            yield f"{name} = {L} @ {L}.T"
        elif k:
            places = [(i, f) for i in range(T) for f in range(min(i + 1, k))]
            i, f = (list(part) for part in zip(*places, strict=True))
            yield f"L = pt.set_subtensor(pt.zeros(({T}, {k}))[{i}, {f}], loading{own})"
            yield "# communalities are at most 1, and the signs of the factors fixed"
            yield f"proper = pt.all((L**2).sum(axis=1) <= 1) & pt.all(pt.diag(L[:{k}]) >= 0)"
            yield f"{name} = pt.where(np.eye({T}), pt.where(proper, 1, np.nan), L @ L.T)"
        elif code == correlations.TOEP.code:
            positions = f"abs(np.subtract.outer(np.arange({T}), np.arange({T})))"
            yield f"{name} = pt.concatenate([np.ones(1), rho{own}])[{positions}]"
        else:
            product = f"rho{own}[min(i, j) : max(i, j)].prod()"
            inner = f"pt.stack([{product} for j in range({T})])"
            yield f"{name} = pt.stack([{inner} for i in range({T})])"
    at = "occasion[rows][:, :, None], occasion[rows][:, None, :]"
    if strata == 1:
        yield f"C = C_all[{at}]"
    else:
        yield f"C_all = pt.stack([{', '.join(f'C_{s}' for s in range(strata))}])"
        yield f"C = C_all[stratum[rows[:, 0]][:, None, None], {at}]"
