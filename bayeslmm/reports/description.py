"""`Model.describe`: the model as a statistician writes it on a board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import (
    VarExp,
    VarIdent,
    VarPower,
    columns_of_variance,
)
from bayeslmm.design.growth import exponent_places
from bayeslmm.priors.families import Fixed, Prior, VarianceSplit
from bayeslmm.reports.notation import LATEX, TEXT, Line, Notation, lay_out
from bayeslmm.support.visible import visible

if TYPE_CHECKING:
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.design.factors import BarBlock, GroupingFactor
    from bayeslmm.specification import Specification

__all__ = ["Description", "describe"]

_WRITTEN_OUT = 8
"""Coefficients up to which the linear predictor is written out."""
_SHOWN_CORRELATIONS, _SHOWN_EFFECTS = 3, 4


@dataclass(frozen=True, repr=False)
class Description:
    """A model in statements: Unicode in a terminal, LaTeX in a notebook.

    Attributes
    ----------
    text : str
        In Unicode.
    latex : str
        An ``aligned`` environment, without what delimits mathematics.
    """

    text: str
    latex: str

    def __repr__(self) -> str:
        return visible(self.text, keep="\n")

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"


def describe(model: Specification) -> Description:
    """Write a model with the names and sizes of its data, and its priors.

    Parameters
    ----------
    model : Specification
    """
    n = len(model.design.y)
    title = f"{visible(model.formula)}, {n:,} rows"
    if model.design.n_dropped:
        title += f" ({model.design.n_dropped:,} more have missing values)"
    written = [
        lay_out(
            notation,
            title,
            [
                (
                    notation.words("Likelihood"),
                    [_response(model, notation), *_residuals(model, notation)],
                ),
                *_random_effects(model, notation),
                (
                    notation.words("Priors (of a normal one mean and standard deviation)"),
                    list(_priors(model, notation)),
                ),
            ],
        )
        for notation in (TEXT, LATEX)
    ]
    return Description(*written)


def _response(model: Specification, w: Notation) -> Line:
    design, dot = model.design, w.word("dot")
    terms = []
    if len(design.coef) <= _WRITTEN_OUT:
        for name in design.coef:
            coefficient = w.parameter(f"beta[{name}]")
            terms.append(
                coefficient if name == "Intercept" else f"{coefficient}{dot}{w.of_row(name)}"
            )
    else:
        terms.append(f"{w.of_row('x')}{w.word('transposed')}{w.greek('beta')}")
    terms += [w.of_row(text) for text in design.formula.offsets]
    for factor in design.factors:
        for effect in dict.fromkeys(factor.plain):
            value = w.indexed("u", w.of_row(factor.name), w.name(effect))
            terms.append(value if effect == "Intercept" else f"{value}{dot}{w.of_row(effect)}")
    terms.append(w.row_of(w.greek("varepsilon")))
    remark = f"i = 1, …, {len(design.y)}"
    if len(design.coef) > _WRITTEN_OUT:
        remark += f"; x has {len(design.coef)} columns"
    return Line(w.of_row(design.response), "=", tuple(terms), w.words(remark))


def _residuals(model: Specification, w: Notation) -> Iterator[Line]:
    residuals, distributed, dot = model.design.residuals, w.word("distributed"), w.word("dot")
    epsilon = w.greek("varepsilon")
    if residuals is None or residuals.structure.correlation.independent:
        right = w.function("Normal", "0", _residual_sd(model, w, "i"))
        yield Line(w.row_of(epsilon), distributed, (right,))
        return
    structure, subjects = residuals.structure, residuals.subjects
    assert subjects is not None
    group = str(structure.group)
    remark = w.words(f"for each {{}}, {len(subjects.levels):,} in all", group)
    right = w.function("MvNormal", "0", "R")
    yield Line(w.indexed(epsilon, w.name(group)), distributed, (right,), remark)
    product = [w.indexed("s", "j"), w.indexed("s", "k"), w.indexed("C", "j", "k")]
    times = w.words(f"{structure.name}: j and k are rows of a {{}}", group)
    if structure.times:
        columns = " and ".join(["{}"] * len(structure.times))
        text = f"j and k are occasions of {columns}, {len(residuals.occasions)} in all"
        times = w.words(f"{structure.name}: {text}", *structure.times)
    yield Line(w.indexed("R", "j", "k"), "=", (dot.join(product),), times)
    yield Line(w.indexed("s", "j"), "=", (_residual_sd(model, w, "j"),))
    formula = _correlation(residuals.structure, w)
    remark = "j ≠ k, K is known" if isinstance(structure, Known) else "j ≠ k"
    yield Line(w.indexed("C", "j", "k"), "=", (formula,), w.words(remark))


def _residual_sd(model: Specification, w: Notation, row: str) -> str:
    """The standard deviation of the residual of a row."""
    residuals, design = model.design.residuals, model.design
    sd = w.greek("sigma")
    if residuals is not None:
        structure, dot = residuals.structure, w.word("dot")
        own = [structure.by] if structure.by else []
        leading = structure.leading
        own += [str(structure.time)] if leading == "occasion" else columns_of_variance(leading)
        if len(residuals.sigmas) > 1:
            sd = w.indexed(sd, *(w.of_row(name, row) for name in own))
        growing = structure.growing
        for part in growing:
            several = sum(type(part) is type(other) for other in growing) > 1
            indices = [w.of_row(structure.by, row)] if structure.by else []
            if isinstance(part, VarIdent):
                indices += [w.of_row(name, row) for name in part.columns]
            elif several:
                indices.append(w.name(part.column))
            exponent = w.name(part.exponent)
            exponent = w.indexed(exponent, *indices) if indices else exponent
            sd = f"{sd}{dot}{_grown(part, exponent, w.of_row(part.column, row), w)}"
    if design.weights is not None:
        name = model.weights if isinstance(model.weights, str) else "weight"
        sd = f"{sd}/{w.root(w.of_row(name, row))}"
    return sd


def _correlation(structure: Covariance, w: Notation, factor: str | None = None) -> str:
    """An element of the correlation matrix of residuals, or of effects over a factor, of the
    occasions j and k.
    """
    stratum = (w.name(structure.by),) if structure.by else ()
    symbols = Symbols(w, factor, stratum)
    formula = structure.correlation.formula(symbols)
    if structure.nugget:
        return f"(1{w.word('minus')}{symbols.parameter('nugget')}){w.word('dot')}{formula}"
    return formula


def _random_effects(model: Specification, w: Notation) -> Iterator[tuple[str, list[Line]]]:
    for factor in model.design.factors:
        lines = []
        for number, bar in enumerate(factor.bars):
            lines += list(_bar(model, factor, number, bar, w))
        if factor.related is not None:
            lines.append(_relationship(factor, w))
        yield w.words(f"Random effects of {{}}, {len(factor.levels):,} levels", factor.name), lines


def _relationship(factor: GroupingFactor, w: Notation) -> Line:
    """The covariance of the effects of two levels."""
    u = [w.indexed("u", *index) for index in ([w.name(factor.name)], "j", "k")]
    times = f"{w.indexed('K', 'j', 'k')}{w.word('dot')}{w.function('Cov', u[0])}"
    remark = w.words("j and k are levels of {}, K is known", factor.name)
    return Line(w.function("Cov", *u[1:]), "=", (times,), remark)


def _bar(
    model: Specification, factor: GroupingFactor, number: int, bar: BarBlock, w: Notation
) -> Iterator[Line]:
    effects = factor.plain[bar.slice]
    sds = model.parameters.find(factor.name, number, "sd")
    assert sds is not None
    sd = [w.parameter(name) for name in sds.names]
    u = w.vector([w.indexed("u", w.name(factor.name), w.name(effect)) for effect in effects])
    if len(effects) > _SHOWN_EFFECTS:
        u = w.indexed("u", w.name(factor.name))
    distributed = w.word("distributed")
    stratum = ""
    if bar.stratum:
        stratum = w.words("where {} is {}", bar.by, bar.stratum)
    if len(effects) == 1:
        yield Line(u, distributed, (w.function("Normal", "0", sd[0]),), stratum)
        return
    suffix = f" {number + 1}" if len(factor.bars) > 1 else ""
    G = w.name(f"G_{factor.name}{suffix}")
    yield Line(u, distributed, (w.function("MvNormal", "0", G),), stratum)
    variances = [w.power(value, "2") for value in sd]
    if bar.shape is not None:
        C = "I" if bar.covariance.correlation.independent else "C"
        several = len(sd) > 1 or bar.shape.exponents
        yield Line(G, "=", (f"D {C} D" if several else f"{variances[0]}{w.word('dot')}{C}",))
        if bar.shape.exponents:
            grown = _grown_sd(model, factor, number, sd[0], w)
            yield Line(w.indexed("D", "j", "j"), "=", (grown,))
        elif several:
            yield Line("D", "=", (w.function("diag", *sd),))
        if C == "I":
            return
        formula = _correlation(bar.covariance, w, factor.name)
        remark = w.words("j ≠ k, {}", bar.covariance.words)
        yield Line(w.indexed("C", "j", "k"), "=", (formula,), remark)
        return
    corr = model.parameters.find(factor.name, number, "corr")
    if corr is None:
        if len(sd) == 1:
            yield Line(G, "=", (f"{variances[0]}{w.word('dot')}I",))
        else:
            yield Line(G, "=", (w.function("diag", *variances),))
        return
    yield Line(G, "=", ("D C D",))
    yield Line("D", "=", (w.function("diag", *sd),))
    names = [w.parameter(name) for name in corr.names]
    if len(names) > _SHOWN_CORRELATIONS:
        remark = w.words(f"{len(names)} correlations, {corr.size}×{corr.size}")
        yield Line("C", "=", (w.name(corr.name),), remark)
        return
    for (first, second), name in zip(corr.labels, names, strict=True):
        yield Line(w.indexed("C", w.name(first), w.name(second)), "=", (name,))


def _grown_sd(
    model: Specification, factor: GroupingFactor, number: int, sd: str, w: Notation
) -> str:
    """The standard deviation of the j-th effect, of a bar where they grow."""
    bar, structure = factor.bars[number], factor.bars[number].covariance
    assert bar.shape is not None
    first = model.parameters.find(factor.name, number, "sd")
    occasion = bar.occasion
    stratum = [w.name(bar.of_sds)] if bar.of_sds else []
    parts = [sd]
    if bar.shape.several and first is not None:
        own = "j" if occasion is None else w.of_row(occasion, "j")
        parts = [w.indexed(w.name(first.name), *stratum, own)]
    places = exponent_places(model.parameters, factor, number)
    pairs = list(zip(places, bar.shape.exponents, bar.shape.covariates.T, strict=True))
    for part in structure.growing:
        here = [(place, x) for place, exponent, x in pairs if exponent.part == part]
        if isinstance(part, VarIdent) and occasion in part.columns:
            of_all = model.parameters.names[here[0][0]].partition("[")[0]
            columns = [w.of_row(c, "j") if c == occasion else w.name(c) for c in part.columns]
            by = [w.name(bar.of_correlations)] if bar.of_correlations else []
            parts.append(w.function("exp", w.indexed(w.name(of_all), *by, *columns)))
            continue
        for place, x in here:
            if x.any():  # else it is a ratio of another stratum
                name = w.parameter(model.parameters.names[place])
                parts.append(_grown(part, name, w.of_row(part.column, "j"), w))
    return w.word("dot").join(parts)


def _grown(part: VarIdent | VarPower | VarExp, exponent: str, x: str, w: Notation) -> str:
    """What a standard deviation is multiplied by at x."""
    if isinstance(part, VarIdent):
        return w.function("exp", exponent)
    if isinstance(part, VarPower):
        return w.power(f"|{x}|", exponent)
    return w.function("exp", f"{exponent}{w.word('dot')}{x}")


def _priors(model: Specification, w: Notation) -> Iterator[Line]:
    design, table = model.design, model.priors
    # rows of the inverse say what each prior is about
    about = np.linalg.inv(table.beta_basis)
    left = {
        f"beta[{name}]": _combination(
            w, row, [w.parameter(f"beta[{other}]") for other in design.coef]
        )
        for name, row in zip(design.coef, about, strict=True)
    }
    remarks = {}
    for (name, number), basis in table.bases.items():
        factor = design.factor(name)
        bar = factor.bars[number]
        effects = factor.plain[bar.slice]
        row = np.linalg.inv(basis)[effects.index("Intercept")]
        u = [w.indexed("u", w.name(name), w.name(effect)) for effect in effects]
        combined = _combination(w, row, u)
        intercept = ", ".join(filter(None, (bar.stratum, "Intercept")))
        left[f"sd_{name}[{intercept}]"] = w.function("sd", combined)
        if bar.stratum:
            where = w.words("where {} is {}", bar.by, bar.stratum)
            remarks[f"sd_{name}[{intercept}]"] = where
        remarks[f"corr_{name}"] = w.words("with the intercept at those means")
    for place, weights in table.exponents.items():
        name = model.parameters.names[place]
        left[name] = w.word("dot").join([w.parameter(name), *_growth(model, weights, w)])
    for row_ in table.rows:
        if isinstance(row_.prior, VarianceSplit):
            yield from _variance_split(model, row_.prior, left, w)
            continue
        yield Line(
            left.get(row_.parameter, w.parameter(row_.parameter)),
            "=" if isinstance(row_.prior, Fixed) else w.word("distributed"),
            (_prior(row_.prior, w),),
            remarks.get(row_.parameter, ""),
        )


def _growth(model: Specification, weights: np.ndarray, w: Notation) -> Iterator[str]:
    """What a standard deviation is multiplied by at the means of covariates."""
    for place in np.flatnonzero(weights):
        name = model.parameters.names[place]
        if model.parameters.block_at(int(place)).exponent == VarPower.exponent:
            yield w.power(f"{np.exp(weights[place]):.4g}", w.parameter(name))
        else:
            product = f"{weights[place]:.4g}{w.word('dot')}{w.parameter(name)}"
            yield w.function("exp", product.replace("-", w.word("minus")))


def _variance_split(
    model: Specification, prior: VarianceSplit, left: Mapping[str, str], w: Notation
) -> Iterator[Line]:
    """The total variance, and priors of its root and of shares in it."""
    names, weights = model.parameters.names, model.priors.variance_weights
    squares = []
    for place in np.flatnonzero(weights):
        square = w.power(left.get(names[place], w.parameter(names[place])), "2")
        size = f"{weights[place]:.4g}{w.word('dot')}"
        squares.append(square if np.isclose(weights[place], 1) else f"{size}{square}")
    distributed, minus = w.word("distributed"), w.word("minus")
    *effects, noise = squares
    total = "V"
    if prior.r2 is not None:
        total = "f + V" if w.latex else "(f + V)"
        slopes = [name for name in model.design.coef if name != "Intercept"]
        terms = [
            f"{w.parameter(f'beta[{name}]')}{w.word('dot')}{w.of_row(name)}" for name in slopes
        ]
        about = w.words("the variance over the rows")
        if len(slopes) > _WRITTEN_OUT:
            terms = [f"{w.of_row('x')}{w.word('transposed')}{w.greek('beta')}"]
        yield Line("f", "=", (w.function("var", " + ".join(terms)),), about)
    yield Line("V", "=", tuple(squares))
    yield Line(w.root(total), distributed, (_prior(prior.total, w),))
    if prior.r2 is not None:
        remark = w.words("all directions of the slopes alike, given f")
        yield Line("f/(f + V)", distributed, (_prior(prior.r2, w),), remark)
    if prior.icc is not None:
        yield Line(f"1 {minus} {noise}/V", distributed, (_prior(prior.icc, w),))
    if len(effects) > 1:
        shares = w.function("Dirichlet", *(f"{a:.6g}" for a in prior.concentrations(len(effects))))
        remark = w.words("of the other terms of V, in their order")
        yield Line(w.words("shares"), distributed, (shares,), remark)


def _combination(w: Notation, weights: np.ndarray, symbols: list[str]) -> str:
    """A linear combination, without what has no weight."""
    written = ""
    for weight, symbol in zip(weights, symbols, strict=True):
        if weight == 0:
            continue
        size = f"{abs(weight):.4g}{w.word('dot')}" if abs(weight) != 1 else ""
        sign = w.word("minus") if weight < 0 else "+"
        written += f" {sign} {size}{symbol}" if written else f"{size}{symbol}"
    return written


def _prior(prior: Prior, w: Notation) -> str:
    if isinstance(prior, Fixed):
        return prior.shown[0]
    return w.function(prior.distribution, *prior.shown)
