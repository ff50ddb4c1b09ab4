"""`Model.code`: the textbook model as a PyMC program that runs on the same data frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import VarExp, VarIdent, VarPower
from bayeslmm.design.bars import structures_beside
from bayeslmm.design.variables import Variable, in_pymc, level_dim, variables_in_pymc
from bayeslmm.errors import ArgumentError
from bayeslmm.priors.families import Fixed, Prior, VarianceSplit
from bayeslmm.pymc_models.program.data import (
    codes_of,
    column_of,
    names_of,
    number,
    numbers,
    quoted,
    stems_of,
    value_of,
)
from bayeslmm.pymc_models.program.effects import bar_suffix, correlation_factor_name, mean
from bayeslmm.pymc_models.program.residuals import response, response_data

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.factors import BarBlock, GroupingFactor
    from bayeslmm.specification import Specification

__all__ = ["program"]

_WIDTH = 88
_CORRELATIONS = '''
def correlations(L):
    """Correlations of LL', the lower triangle by rows."""
    L = L / pt.sqrt((L**2).sum(axis=1))[:, None]
    return pt.stack([L[i] @ L[j] for i in range(L.type.shape[0]) for j in range(i)])

'''


_SLOPES = '''
def slopes(p, a, b, c):
    """A vector of any direction, whose length to the power 2c is x/(1 - x) with x ~ Beta(a, b)."""

    def draw(size):
        direction, x = pm.Normal.dist(shape=p), pm.Beta.dist(np.float64(a), np.float64(b))
        return (x / (1 - x)) ** (0.5 / c) * direction / pt.sqrt((direction**2).sum())

    def logp(value):
        square = (value**2).sum()
        const = np.log(c) - p / 2 * np.log(np.pi) + gammaln(p / 2) - betaln(a, b)
        power = a * c - p / 2
        near_zero = power * pt.log(square) if power else 0.0
        return const + near_zero - (a + b) * pt.log1p(square**c)

    def start(value, *_):
        return pt.full_like(value, 0.5)

    functions = {"dist": draw, "logp": logp, "support_point": start}
    return pm.CustomDist("V_slopes", **functions, signature="->(p)")

'''


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NOT_WRITTEN = ("coefficients", "covariance")
"""Supports of the priors for which a program would need more than a variable."""


def program(model: Specification) -> str:
    """Write the program.

    Parameters
    ----------
    model : Specification

    Returns
    -------
    str
        It makes ``model``, a ``pm.Model``, of a data frame ``data``.

    Raises
    ------
    ArgumentError
        For a prior that has no class of PyMC.
    """
    frame = model.data.dropna()
    data = [*_data(model, frame), *response_data(model, frame)]
    joint = model.priors.theta[-1]
    split = list(_variance_split(model, joint)) if isinstance(joint, VarianceSplit) else []
    body = [*split, *_coefficients(model), *_theta(model), *mean(model), *response(model)]
    text = _STRING.sub('""', "\n".join([*data, *body]))
    related = [stems_of(model)[f.name] for f in model.design.factors if f.related is not None]
    related += ["R"] * isinstance(model.R, Known)
    beside = "".join(f" and `K_{name}`" for name in related)
    # Nothing from the data or the formula stands outside a quoted literal, not even in a comment,
    # which some characters end; the first lines of a file could also name its encoding.
    header = [f"# The textbook model, for a pandas frame `data`{beside}", ""]
    header += ["import numpy as np", "import pymc as pm"]
    header += ["import pytensor.tensor as pt"] if "pt." in text or "correlations(" in text else []
    header += ["from scipy.special import betaln, gammaln"] if "= slopes(" in text else []
    header += ["", "import bayeslmm as bl"] if "design." in text else []
    uses = any(f"correlations({factor}_" in text for factor in "LK")
    header += ["", *_CORRELATIONS.splitlines()] if uses else []
    header += ["", *_SLOPES.splitlines()] if "= slopes(" in text else []
    start = []
    if model.design.n_dropped:
        start.append(f"data = data.dropna(subset={quoted(list(frame.columns))})")
    if "design." in text:
        start.append("# columns that depend on the data as a whole, such as splines")
        G = _structures_as_code(model)
        start.append(f"design = bl.Model(formula, data{G}).design")
    header += ["", f"formula = {quoted(model.formula)}"]
    return "\n".join([*header, "", *start, *data, "", *_indented(model, body)]) + "\n"


def _indented(model: Specification, body: Sequence[str]) -> Iterator[str]:
    coords = [f'"coef": {quoted(model.design.coef)}']
    for factor in model.design.factors:
        levels = f"list({stems_of(model)[factor.name]}.groups)"
        if not _codes(factor, model.data.dropna()):
            levels = f"design.factor({quoted(factor.name)}).levels"
        coords.append(f"{quoted(level_dim(factor.name))}: {levels}")
        coords.append(f"{quoted(in_pymc(factor.name + '_effect'))}: {quoted(factor.effects)}")
    for variable in variables_in_pymc(model.parameters):
        if variable.dim is not None:
            coords.append(f"{quoted(variable.dim)}: {quoted(variable.labels)}")
    yield "coords = {"
    yield from (f"    {line}," for line in coords)
    yield "}"
    yield "with pm.Model(coords=coords) as model:"
    for line in body:
        call = re.fullmatch(r"((?:\w+ = )?pm\.\w+\()(.*)\)", line)
        if call and len(line) > _WIDTH:
            yield from (f"    {call[1]}", f"        {call[2]}", "    )")
        else:
            yield f"    {line}"


def _codes(factor: GroupingFactor, frame: pd.DataFrame) -> str | None:
    return codes_of(factor.columns, frame, factor.codes)


def _matrix(labels: Sequence[str], columns: Sequence[str]) -> list[str]:
    if not columns:
        return ["np.empty((len(data), 0))"]
    width = max(map(len, columns)) + 1
    lines = [
        f"    {text + ',':<{width}}  # {quoted(label)}"
        for text, label in zip(columns, labels, strict=True)
    ]
    return ["np.column_stack([", *lines, "]).astype(float)"]


def _data(model: Specification, frame: pd.DataFrame) -> Iterator[str]:
    """The response, X and Z."""
    design = model.design
    y = value_of(design.response, frame, design.y)
    yield f"y = {f'{y}.to_numpy(float)' if y else 'design.y'}"
    columns = [column_of(name, frame, design.X[:, j]) for j, name in enumerate(design.coef)]
    yield from _written("X", design.coef, columns, "design.X")
    if design.offset is not None:
        texts = [f"np.asarray({text}, float)" for text in design.formula.offsets]
        found = value_of(" + ".join(design.formula.offsets), frame, design.offset)
        yield f"offset = {f'({found}).to_numpy(float)' if found and texts else 'design.offset'}"
    if design.weights is not None:
        column = model.weights
        written = isinstance(column, str)
        source = (
            f"data[{quoted(str(column))}].to_numpy(float)" if written else _literal(design.weights)
        )
        yield f"weights = {source}"
    for factor in design.factors:
        name = stems_of(model)[factor.name]
        grouped = _codes(factor, frame)
        if grouped:
            yield f"{name} = {grouped}"
            yield f"row_{name} = {name}.ngroup().to_numpy()"
        else:
            yield f"row_{name} = design.factor({quoted(factor.name)}).codes"
        if factor.related is not None:
            yield from _relationship(factor, name, grouped is not None)
        if factor.effects == ("Intercept",):
            continue
        labels = [
            label for bar in factor.bars for label in _within_stratum(bar, factor.plain[bar.slice])
        ]
        own = [column_of(label, frame, factor.Z[:, j]) for j, label in enumerate(labels)]
        yield from _written(
            f"Z_{name}", factor.effects, own, f"design.factor({quoted(factor.name)}).Z"
        )


def _within_stratum(bar: BarBlock, effects: Sequence[str]) -> list[str]:
    """The names of columns that are effects in the rows of the bar's stratum, zero elsewhere."""
    if not bar.stratum:
        return list(effects)
    inside = f"{bar.by}[{bar.stratum}]"
    return [inside if effect == "Intercept" else f"{effect}:{inside}" for effect in effects]


def _structures_as_code(model: Specification) -> str:
    """The argument `G` that gives the structures of random effects that the formula has not."""
    beside = structures_beside(model.design.formula.bars, model.G)
    own = {name: given for name, given in beside.items() if not isinstance(given, Known)}
    written = ", ".join(
        f"{quoted(name)}: [{', '.join(map(_as_code, given))}]" for name, given in own.items()
    )
    return f", G={{{written}}}" if written else ""


def _as_code(structure: Covariance | None) -> str:
    """A structure as a call."""
    if structure is None:
        return "None"
    # priors, which a design has no use for, are the fields that are not compared
    values = [
        (f.name, getattr(structure, f.name), f.default) for f in fields(structure) if f.compare
    ]
    options = [f"{name}={_literally(value)}" for name, value, default in values if value != default]
    return f"bl.{structure.name}({', '.join(options)})"


def _literally(value: object) -> str:
    """An option of a structure as code."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literally, value))}]"
    if isinstance(value, VarIdent | VarPower | VarExp):
        return f"bl.{type(value).__name__}({quoted(value.column)})"
    return repr(value)


def _relationship(factor: GroupingFactor, name: str, grouped: bool) -> Iterator[str]:
    """The factor of the known relationship of the levels."""
    levels = f"list(design.factor({quoted(factor.name)}).levels)"
    if grouped:
        levels = f"list({name}.groups)"
        if len(factor.columns) > 1:
            levels = f'[":".join(map(str, level)) for level in {name}.groups]'
    yield f"# K_{name}: the relationship, a frame named by the levels on both axes"
    yield f"levels = {levels}"
    K = f"K_{name}.loc[levels, levels].to_numpy(float)"
    yield f"root_{name} = np.linalg.cholesky({K})"


def _literal(values: np.ndarray) -> str:
    return f"np.array([{', '.join(map(number, values))}])"


def _written(
    name: str, labels: Sequence[str], columns: Sequence[str | None], otherwise: str
) -> Iterator[str]:
    known = [text for text in columns if text is not None]
    if len(known) < len(columns):
        yield f"{name} = {otherwise}"
        return
    first, *rest = _matrix(labels, known)
    yield f"{name} = {first}"
    yield from rest


def _require_written(name: str, prior: Prior) -> None:
    if prior.support in _NOT_WRITTEN:
        raise ArgumentError(
            f"code() cannot write the prior {prior} of {name!r}, which is no distribution of a "
            "variable of PyMC; model.full_pymc() has it."
        )


def distribution(name: str, prior: Prior, **more: str) -> str:
    """A variable of PyMC.

    Raises
    ------
    ArgumentError
        For a prior that has no class of PyMC.
    """
    _require_written(name, prior)
    arguments = {key: number(value) for key, value in prior.pymc_arguments().items()} | more
    written = "".join(f", {key}={value}" for key, value in arguments.items())
    return f"pm.{prior.pymc_name}({quoted(in_pymc(name))}{written})"


def _vector(
    target: str,
    name: str,
    labels: Sequence[str],
    priors: Sequence[Prior],
    dim: str,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Iterator[str]:
    """A vector of independent parameters, as `vector_variable` makes it."""
    family = priors[0]
    own = any(prior.pymc_suffix or isinstance(prior, Fixed) for prior in priors)
    if not own and all(prior.pymc_name == family.pymc_name for prior in priors):
        _require_written(name, family)
        arguments = {
            key: numbers([prior.pymc_arguments()[key] for prior in priors])
            for key in family.pymc_arguments()
        }
        written = "".join(f", {key}={value}" for key, value in arguments.items())
        yield f"{target} = pm.{family.pymc_name}({quoted(name)}{written}, dims={quoted(dim)})"
        return
    yield f"{target} = pt.stack(["
    intervals = [(-np.inf, np.inf)] * len(priors) if bounds is None else bounds
    for label, prior, interval in zip(labels, priors, intervals, strict=True):
        yield f"    {_parameter(f'{name}[{label}]', prior, interval)},"
    yield "])"
    yield f"{target} = pm.Deterministic({quoted(name)}, {target}, dims={quoted(dim)})"


def _coefficients(model: Specification) -> Iterator[str]:
    design = model.design
    own = [model.priors[f"beta[{name}]"] for name in design.coef]
    if not own:
        yield 'beta = pm.Deterministic("beta", pt.zeros(0), dims="coef")'
        return
    off = model.priors.beta_basis - np.eye(len(own))
    moved, others = (np.flatnonzero(off.any(axis=axis)).tolist() for axis in (1, 0))
    if not moved:
        yield from _beta("beta", "beta", model, own)
        return
    yield "# the prior of the level is about the predictors' means"
    yield from _beta("at_means", "beta_at_means", model, own)
    yield f"to_zero = np.eye({len(own)})"
    yield f"to_zero[np.ix_({moved}, {others})] = -X[:, {others}].mean(axis=0)"
    yield 'beta = pm.Deterministic("beta", pt.dot(to_zero, at_means), dims="coef")'


def _beta(target: str, name: str, model: Specification, own: Sequence[Prior]) -> Iterator[str]:
    """The coefficients that priors are about, of which the slopes may be made already."""
    if not isinstance(own[-1], VarianceSplit):
        yield from _vector(target, name, model.design.coef, own, "coef")
        return
    vector = "b"
    if not isinstance(own[0], VarianceSplit):
        yield f"level = {_parameter(f'{name}[{model.design.coef[0]}]', own[0])}"
        vector = "pt.concatenate([level[None], b])"
    yield f'{target} = pm.Deterministic({quoted(name)}, {vector}, dims="coef")'


def _theta(model: Specification) -> Iterator[str]:
    """The variables of `covariance_variables`, in their order."""
    for variable in variables_in_pymc(model.parameters):
        own = model.priors.theta[variable.slice]
        target = names_of(model)[variable.name]
        if isinstance(own[-1], VarianceSplit) and variable.kind == "sigma":
            weight = model.priors.variance_weights[-1]
            share = "1.0" if own[-1].icc is None else "1 - icc"
            share = share if weight == 1 else f"({share}) / {number(weight)}"
            value = f"total * pt.sqrt({share})"
            yield f"{target} = pm.Deterministic({quoted(variable.name)}, {value})"
        elif variable.kind == "sigma" and _grows(model, variable):
            yield from _shifted(model, variable, own)
        elif variable.dim is None:
            yield f"{target} = {_parameter(variable.name, own[0], variable.bounds[0])}"
        elif variable.kind == "sd":
            yield from _sds(model, variable, own)
        elif variable.kind == "corr" and variable.blocks[0].factor is not None:
            factors = []
            for block in variable.blocks:
                if model.design.factor(str(block.factor)).bars[block.bar].shape is None:
                    factors.append(_factor_name(model, block))
                    continue
                factors.append(correlation_factor_name(model, block))
                name = f"cholesky_{block.name}_{block.bar + 1}"
                prior = model.priors.theta[block.start]
                yield f"{factors[-1]} = {distribution(name, prior, n=str(block.size))}"
            yield from _correlations(variable, factors)
        elif variable.kind == "corr":
            factors = []
            for count, block in enumerate(variable.blocks):
                suffix = "" if len(variable.blocks) == 1 else f"_{count + 1}"
                factors.append(f"L_R{suffix}")
                yield f"L_R{suffix} = " + distribution(
                    f"cholesky_R{suffix}", own[0], n=str(block.size)
                )
            yield from _correlations(variable, factors)
        else:
            yield from _vector(
                target, variable.name, variable.labels, own, variable.dim, variable.bounds
            )


def _variance_split(model: Specification, prior: VarianceSplit) -> Iterator[str]:
    """The total, the share of the fixed effects, that of the random effects in what is left, and
    their parts of it.
    """
    weights, root = model.priors.variance_weights, model.priors.slope_root
    yield f"total = {_parameter('V_total', prior.total, (0.0, np.inf))}"
    if prior.r2 is not None:
        p = root.shape[1]
        c = prior.radial_power(p)
        own = [j for j, name in enumerate(model.design.coef) if name != "Intercept"]
        yield "# the variance over the rows of what the slopes b add is a share of the total, V_r2"
        alpha, beta = number(prior.r2.alpha), number(prior.r2.beta)
        yield f"z = slopes({p}, {alpha}, {beta}, {number(c)})"
        yield f"ratio = (z**2).sum() ** {number(c)}"
        yield 'pm.Deterministic("V_r2", ratio / (1 + ratio))'
        yield "total = total / pt.sqrt(1 + ratio)  # around the fixed effects"
        yield f"centred = X[:, {own}] - X[:, {own}].mean(axis=0)"
        yield 'R = np.linalg.qr(centred / np.sqrt(len(X)), mode="r")'
        yield "R = R * np.sign(np.diag(R))[:, None]"
        scaled = "z" if c == 1 else f"(z**2).sum() ** {number((c - 1) / 2)} * z"
        yield f"b = pt.dot(np.linalg.inv(R), total * {scaled})"
    if prior.icc is None:
        return
    concentrations = prior.concentrations(int(np.count_nonzero(weights)) - 1)
    yield f'icc = pm.Beta("V_icc", {number(prior.icc.alpha)}, {number(prior.icc.beta)})'
    if len(concentrations) == 1:
        yield "shares = np.ones(1)"
    else:
        written = ", ".join(map(number, concentrations))
        yield f'shares = pm.Dirichlet("V_shares", np.array([{written}], float))'


def _grows(model: Specification, variable: Variable) -> bool:
    """Whether priors of standard deviations are about the means of covariates."""
    return any(place in model.priors.exponents for place in range(variable.start, variable.stop))


def _growth(model: Specification, variable: Variable) -> str:
    """What standard deviations are multiplied by at the means of covariates."""
    names = names_of(model)
    exponents, zero = model.priors.exponents, np.zeros(len(model.parameters))
    places = range(variable.start, variable.stop)
    weights = np.array([exponents.get(place, zero) for place in places])
    terms = []
    for power in variables_in_pymc(model.parameters):
        part = weights[:, power.slice]
        if power.kind != "power" or not part.any():
            continue
        if variable.dim is None and power.dim is None:
            terms.append(f"{number(part[0, 0])} * {names[power.name]}")
            continue
        rows = ", ".join(f"[{', '.join(map(number, row))}]" for row in part)
        terms.append(f"pt.dot(np.array([{rows}]), pt.atleast_1d({names[power.name]}))")
    return f"pt.exp({' + '.join(terms)})"


def _shifted(model: Specification, variable: Variable, own: Sequence[Prior]) -> Iterator[str]:
    """Residual standard deviations that are the prior's where covariates have their means."""
    target, name = names_of(model)[variable.name], f"{variable.name}_at_means"
    yield "# the prior of the residuals is about rows at the means of the variance's covariates"
    if variable.dim is None:
        yield f"{target}_at_means = {_parameter(name, own[0], variable.bounds[0])}"
    else:
        yield from _vector(f"{target}_at_means", name, variable.labels, own, variable.dim)
    value = f"{target}_at_means / {_growth(model, variable)}"
    dims = "" if variable.dim is None else f", dims={quoted(variable.dim)}"
    yield f"{target} = pm.Deterministic({quoted(variable.name)}, {value}{dims})"


def _parameter(name: str, prior: Prior, bounds: tuple[float, float] = (-np.inf, np.inf)) -> str:
    """One parameter: a number where it is held, PyMC's variable, or a function of that."""
    if isinstance(prior, Fixed):
        value = f"pm.math.constant({number(prior.value)})"
        return f"pm.Deterministic({quoted(in_pymc(name))}, {value})"
    variable = distribution(f"{name}{prior.pymc_suffix}", prior)
    if not prior.pymc_suffix:
        return variable
    value = prior.parameter_text(variable, *bounds)
    return f"pm.Deterministic({quoted(in_pymc(name))}, {value})"


def _factor_name(model: Specification, block: Block) -> str:
    factor = str(block.factor)
    return f"L_{stems_of(model)[factor]}{bar_suffix(model, factor, block.bar)}"


def _correlations(variable: Variable, factors: Sequence[str]) -> Iterator[str]:
    parts = [f"correlations({factor})" for factor in factors]
    value = parts[0] if len(parts) == 1 else f"pt.concatenate([{', '.join(parts)}])"
    yield f"pm.Deterministic({quoted(variable.name)}, {value}, dims={quoted(str(variable.dim))})"


def _sds(model: Specification, variable: Variable, own: Sequence[Prior]) -> Iterator[str]:
    """Standard deviations of a factor, and the factors of G of its bars with correlations."""
    name, priors = str(variable.blocks[0].factor), model.priors
    grown = _grows(model, variable)
    moved = grown or any((name, block.bar) in priors.bases for block in variable.blocks)
    target, dim = names_of(model)[variable.name], str(variable.dim)
    source = f"{target}_at_means" if moved else target
    shown = f"{variable.name}_at_means" if moved else variable.name
    if isinstance(own[0], VarianceSplit):
        effects = np.flatnonzero(priors.variance_weights).tolist()
        first = effects.index(variable.start)
        weights = priors.variance_weights[variable.slice]
        part = f"shares[{first}:{first + len(weights)}]"
        scale = "" if np.all(weights == 1) else f" / np.array([{', '.join(map(number, weights))}])"
        yield f"{source} = total * pt.sqrt(icc * {part}{scale})"
        yield f"{source} = pm.Deterministic({quoted(shown)}, {source}, dims={quoted(dim)})"
    else:
        yield from _vector(source, shown, variable.labels, own, dim)
    if grown:
        yield "# the prior is about occasions at the means of the variance's covariates"
        yield f"{target} = {source} / {_growth(model, variable)}"
        source = target
    reported = []
    for block in variable.blocks:
        start, stop = block.start - variable.start, block.stop - variable.start
        part = source if len(variable.blocks) == 1 else f"{source}[{start}:{stop}]"
        corr = model.parameters.find(name, block.bar, "corr")
        if corr is not None and block.stop - block.start == block.size and not corr.sharing:
            suffix = "" if len(variable.blocks) == 1 else f"_{block.bar + 1}"
            L = _factor_name(model, block)
            prior = priors.theta[corr.start]
            K = distribution(f"cholesky_{name}{suffix}", prior, n=str(block.size))
            yield f"{L} = {part}[:, None] * {K}"
            if (name, block.bar) in priors.bases:
                basis = priors.bases[name, block.bar]
                rows = ", ".join(f"[{', '.join(map(number, row))}]" for row in basis)
                yield "# the priors are about the intercept at the means of the bar's columns"
                yield f"{L} = pt.dot(np.array([{rows}]), {L})"
                part = f"pt.sqrt(({L}**2).sum(axis=1))"
        reported.append(part)
    if moved:
        value = reported[0] if len(reported) == 1 else f"pt.concatenate([{', '.join(reported)}])"
        yield f"{target} = pm.Deterministic({quoted(variable.name)}, {value}, dims={quoted(dim)})"
