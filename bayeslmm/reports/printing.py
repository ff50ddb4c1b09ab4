"""How models, fits and diagnoses are shown, as text and as HTML. Only here are numbers rounded."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations import kernels as correlations
from bayeslmm.support.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from bayeslmm.api.fit import Fit
    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.map_fit import MapFit
    from bayeslmm.api.model import Model
    from bayeslmm.api.point_fit import PointFit
    from bayeslmm.api.posterior_fit import PosteriorFit
    from bayeslmm.comparison.structures import StructureSelection
    from bayeslmm.covariance.relationship import Relationship
    from bayeslmm.criticism.diagnose import Diagnosis
    from bayeslmm.design.design import Design
    from bayeslmm.reports.henderson import MixedModelEquations

__all__ = [
    "Lines",
    "Page",
    "Table",
    "as_html",
    "as_text",
    "of_diagnosis",
    "of_equations",
    "of_likelihood_fit",
    "of_map_fit",
    "of_model",
    "of_posterior_fit",
    "of_selection",
]

_DIGITS = 4
_POSTERIOR = ("Estimate", "Post. SD", "2.5%", "97.5%", "ESS", "r_hat")
_SMALL_SYSTEM = 16
"""Equations that are printed with their matrix."""
_BOUNDARY = "not available: on the boundary"
_UNKNOWN = "not available"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text, with an optional label before each.

    Attributes
    ----------
    pairs : tuple of (label, text)
    """

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    title : str
    header : tuple of str
    rows : tuple of tuples of str
    labels : int
        The first columns, which hold labels and not numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int


type Page = tuple[Lines | Table, ...]


def as_text(page: Page) -> str:
    """A page as plain text."""
    return "\n\n".join(
        _lines_text(part) if isinstance(part, Lines) else _table_text(part) for part in page
    )


def as_html(page: Page) -> str:
    """A page as HTML, with everything in it escaped."""
    parts = [_lines_html(part) if isinstance(part, Lines) else _table_html(part) for part in page]
    return "<div>" + "\n".join(parts) + "</div>"


def of_model(model: Model) -> Page:
    """What a model looks like."""
    design = model.design
    n, p = design.X.shape
    pairs = [("Formula", model.formula), ("Rows", f"{n} used{_dropped_rows(design)}")]
    if model.weights is not None:
        source = model.weights if isinstance(model.weights, str) else "an array"
        pairs.append(("Weights", source))
    pairs.append(("Coefficients", f"{', '.join(design.coef) or 'none'} ({p})"))
    if design.dropped:
        pairs.append(("Dropped from X", ", ".join(design.dropped)))
    if design.residuals is not None:
        pairs.append(("Residuals", design.residuals.structure.words))
    if not design.factors:
        pairs.append(_groups(design))
    head: Page = (Lines(((_kind(design), ""), *pairs)),)
    if not design.factors:
        return head
    rows = tuple(
        (
            factor.name,
            str(len(factor.levels) if factor.own is None else factor.own[:, bar.start].sum()),
            f"{bar.text}, {bar.stratum}" if bar.stratum else bar.text,
            ", ".join(factor.plain[bar.start : bar.stop]),
        )
        for factor in design.factors
        for bar in factor.bars
    )
    groups = Table("Groups:", ("group", "levels", "term", "effects"), rows, 4)
    related = tuple(
        (f"Relationship of {factor.name}", _relationship(factor.related))
        for factor in design.factors
        if factor.related is not None
    )
    return (*head, groups, Lines(related)) if related else (*head, groups)


def _residual_structure(fit: Fit) -> Iterator[tuple[str, str]]:
    """What R is, where no table of its parameters says so."""
    residuals = fit.model.design.residuals
    shown = any(title.startswith("Residuals") for title, _ in _structures(fit))
    if residuals is not None and not shown:
        yield "Residuals", residuals.structure.words


def _relationship(related: Relationship) -> str:
    others = len(related.others)
    beside = f"; {others:,} more levels that it has are integrated out" if others else ""
    return f"known, of {len(related.levels):,} levels{beside}"


def of_likelihood_fit(fit: LikelihoodFit) -> Page:
    """What a fit by REML or ML looks like: what lme4 shows, with status and findings."""
    reml = fit.method == "reml"
    values = f"{-2 * fit.loglik:.1f}   AIC: {fit.aic:.1f}   BIC: {fit.bic:.1f}"
    criteria = (
        ("REML criterion" if reml else "Deviance", values),
        ("Status", _status(fit)),
    )
    by = "REML" if reml else "maximum likelihood"
    return _of_point(fit, by, criteria)


def of_map_fit(fit: MapFit) -> Page:
    """What a fit by penalised likelihood looks like: as one by REML, with the penalty."""
    values = f"{fit.criterion:.1f}   of it -2 log prior: {-2 * fit.log_prior:.1f}"
    criteria = (("Penalised criterion", values), ("Status", _status(fit)))
    return _of_point(fit, "penalised likelihood (posterior mode)", criteria)


def _status(fit: PointFit) -> str:
    return fit.status.value.split(":")[0].split(". ")[0]


def _of_point(fit: PointFit, by: str, criteria: tuple[tuple[str, str], ...]) -> Page:
    random = [_random_effects(fit, _BOUNDARY if fit.status.ok else _UNKNOWN)]
    random += [_structure(fit, title, rows) for title, rows in _structures(fit)]
    return _of_fit(fit, by, criteria, random, _fixed_effects(fit))


def of_posterior_fit(fit: PosteriorFit) -> Page:
    """What a fit by NUTS looks like: intervals and convergence of every parameter, and findings."""
    draws = fit.draws
    chains, length = draws.theta.shape[:2]
    criteria = (
        ("Draws", f"{chains} chains of {length} after {draws.settings.tune} of warm-up"),
        ("Sampler", f"{draws.sampler}, seed {draws.settings.seed}, {draws.seconds:.1f} s"),
    )
    random = [_posterior_random_effects(fit)]
    residuals = [(title, rows) for title, rows in _structures(fit) if title.startswith("Residuals")]
    random += [_posterior_structure(fit, title, rows) for title, rows in residuals]
    return _of_fit(fit, "NUTS", criteria, random, _posterior_fixed(fit))


def _of_fit(
    fit: Fit,
    by: str,
    criteria: tuple[tuple[str, str], ...],
    random: Sequence[Table],
    fixed: Table,
) -> Page:
    design = fit.model.design
    # findings say which rows were dropped
    sizes = (
        ("Number of obs", str(len(design.y))),
        _groups(design),
        *_residual_structure(fit),
    )
    return (
        Lines(((f"{_kind(design)} fit by {by}", ""), ("Formula", fit.model.formula), *criteria)),
        _residuals(fit),
        *random,
        Lines(sizes),
        fixed,
        Lines(_findings(fit.diagnose())),
    )


def _groups(design: Design) -> tuple[str, str]:
    """Whose random effects there are or, without any, which rows R correlates."""
    if design.factors:
        sizes = [f"{factor.name}, {len(factor.levels)}" for factor in design.factors]
        return "Groups", "; ".join(sizes)
    subjects = None if design.residuals is None else design.residuals.subjects
    if design.residuals is None:
        return "Groups", "no random effects: an ordinary linear model"
    if subjects is None:
        return "Groups", "no random effects"
    return "Subjects", f"{design.residuals.structure.group}, {len(subjects.levels)}"


def _kind(design: Design) -> str:
    if design.factors:
        return "Linear mixed model"
    R = None if design.residuals is None else design.residuals.structure
    if R is not None and R.correlation.code != correlations.NONE.code:
        return "Linear model with correlated residuals"
    if R is not None and (R.by is not None or R.variances != ("one",)):
        return "Linear model with residuals of unequal variance"
    return "Linear model"


def of_diagnosis(diagnosis: Diagnosis) -> Page:
    """What a diagnosis looks like."""
    return (Lines(_findings(diagnosis)),)


def of_equations(system: MixedModelEquations) -> Page:
    """Mixed-model equations: the system, if it is small, and its solution."""
    scale = 1.0 if system.sigma2 is None else system.sigma2
    names = [str(name) for name in system.rhs.index]
    times = "" if system.sigma2 is None else f", times the residual variance {scale:g}"
    head = Lines((("Henderson's mixed-model equations", ""), ("Formula", system.formula)))
    columns = [_numbers(system.solution[name].to_numpy()) for name in ("estimate", "std_error")]
    rows = tuple(zip(names, *columns, strict=True))
    if len(names) > _SMALL_SYSTEM:
        rows = rows[:_SMALL_SYSTEM]
    shown = f", the first {len(rows)} of {len(names)}" if len(rows) < len(names) else ""
    solution = Table(f"Solution{shown}:", ("", "Estimate", "Std. Error"), rows, 1)
    if len(names) > _SMALL_SYSTEM:
        return (head, solution)
    C = [[f"{value:.{_DIGITS}g}" for value in row] for row in scale * system.C.to_numpy()]
    y = [f"{value:.{_DIGITS}g}" for value in scale * system.rhs]
    # a zero of the matrix is where no row joins the two, as textbooks show it
    cells = [["." if cell == "0" else cell for cell in row] for row in C]
    equations = tuple(
        (name, *row, "|", right) for name, row, right in zip(names, cells, y, strict=True)
    )
    blank = tuple("" for _ in names)
    title = f"Equations{times}:"
    return (head, Table(title, ("", *blank, "", "rhs"), equations, 1), solution)


def of_selection(selection: StructureSelection) -> Page:
    """What a comparison of structures looks like: the table, and what failed."""
    table, n = selection.table, len(selection.model.design.y)
    where = "" if selection.on is None else f" of the random effects of {selection.on}"
    head = Lines(
        (
            (f"Covariance structures{where} fit by {selection.method.upper()}", ""),
            ("Formula", selection.model.formula),
            ("Number of obs", str(n)),
        )
    )
    page: list[Lines | Table] = [head]
    if len(table):
        page += _by_loo(table) if selection.method == "nuts" else _by_aic(table)
    if selection.failures:
        page.append(Lines((("Not fitted", ""), *selection.failures.items())))
    return tuple(page)


def _by_aic(table: pd.DataFrame) -> list[Lines | Table]:
    names = ("criterion", "aic", "aicc", "bic", "delta_aic", "delta_bic")
    columns = [[f"{value:.1f}" for value in table[name]] for name in names]
    columns.insert(1, [str(count) for count in table["n_parameters"]])
    rows = tuple(zip(table.index, *columns, strict=True))
    header = ("", "-2 loglik", "Parameters", "AIC", "AICc", "BIC", "AIC diff.", "BIC diff.")
    smallest = (
        ("Smallest AIC", str(table["aic"].idxmin())),
        ("Smallest BIC", str(table["bic"].idxmin())),
    )
    return [Table("Structures, by AIC:", header, rows, 1), Lines(smallest)]


def _by_loo(table: pd.DataFrame) -> list[Lines | Table]:
    names = ("elpd", "se", "p", "delta_elpd", "delta_se")
    columns = [[f"{value:.1f}" for value in table[name]] for name in names]
    columns.append([f"{value:.2f}" for value in table["pareto_k"]])
    header = ("", "ELPD", "SE", "p", "ELPD diff.", "SE of diff.", "Largest Pareto k")
    rows = tuple(zip(table.index, *columns, strict=True))
    return [Table("Structures, by leave-one-out cross-validation:", header, rows, 1)]


def _findings(diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    if not diagnosis.findings:
        return (("no problem found", ""),)
    return tuple((finding.severity, str(finding)) for finding in diagnosis.findings)


def _residuals(fit: Fit) -> Table:
    quantiles = np.quantile(fit.residuals("standardized"), [0, 0.25, 0.5, 0.75, 1])
    cells = tuple("--" if np.isnan(value) else f"{value:.4f}" for value in quantiles)
    return Table("Scaled residuals:", ("Min", "1Q", "Median", "3Q", "Max"), (cells,), 0)


def _random_effects(fit: PointFit, missing: str) -> Table:
    """Variances, standard deviations and correlations, a row per effect as lme4 has it.

    Parameters
    ----------
    fit : PointFit
    missing : str
        What stands for a standard error that there is none of.
    """
    parameters, table = fit.model.parameters, fit.varcorr()
    estimate, std_error = table["estimate"].to_numpy(), table["std_error"].to_numpy()
    factors = {factor.name: factor for factor in fit.model.design.factors}
    G = {name: fit.G(name).to_numpy() for name in factors}
    labels: list[tuple[str, str]] = []
    variances: list[float] = []
    places: list[int] = []
    correlations: list[list[str]] = []
    for block in parameters.blocks:
        if block.kind not in ("sd", "sigma"):
            continue
        places += range(block.start, block.stop)
        if block.factor is None:
            for i, label in enumerate(block.labels):
                labels.append(("" if i else "Residual", str(label)))
                variances.append(float(estimate[block.start + i] ** 2))
                correlations.append([])
            continue
        bar = factors[block.factor].bars[block.bar]
        pairs = parameters.find(block.factor, block.bar, "corr") if bar.shape is None else None
        corr = [] if pairs is None else list(estimate[pairs.start : pairs.stop])
        first = bar.start
        for i, label in enumerate(block.labels):
            repeated = any(group == block.factor for group, _ in labels)
            labels.append(("" if repeated else block.factor, str(label)))
            variance = G[block.factor][first + i, first + i]
            if bar.shape is not None and bar.shape.exponents:  # where the covariate is zero, or one
                variance = estimate[block.start + i] ** 2
            variances.append(float(variance))
            row = corr[i * (i - 1) // 2 : i * (i + 1) // 2]
            correlations.append(["--" if np.isnan(r) else f"{r:.2f}" for r in row])
    columns = [
        _numbers(variances),
        _numbers(estimate[places]),
        _numbers(std_error[places], missing),
    ]
    width = max(map(len, correlations))
    header = ["Groups", "Name", "Variance", "Std.Dev.", "Std. Error"]
    header += ["Corr"] * min(width, 1) + [""] * (width - 1)
    rows = tuple(
        (*label, *numbers, *row, *[""] * (width - len(row)))
        for label, numbers, row in zip(
            labels, zip(*columns, strict=True), correlations, strict=True
        )
    )
    return Table(_heading(fit), tuple(header), rows, 2)


def _heading(fit: Fit) -> str:
    """What the table of variances is called: without random effects it is the residuals'."""
    return "Random effects:" if fit.model.design.factors else "Residual variation:"


_Places = list[tuple[str, int]]


def _structures(fit: Fit) -> list[tuple[str, _Places]]:
    """For each bar with a structure that is not in the table of random effects, and for R: a title,
    and the parameters other than standard deviations with their places in theta.
    """
    design, blocks = fit.model.design, fit.model.parameters.blocks
    found: dict[str, _Places] = {}
    for block in blocks:
        if block.kind in ("sd", "sigma"):
            continue
        if block.factor is None:
            assert design.residuals is not None
            title = f"Residuals, {design.residuals.structure.words}:"
        else:
            bar = design.factor(block.factor).bars[block.bar]
            if bar.shape is None:
                continue
            title = f"Random effects {bar.text}, {bar.covariance.words}:"
        places = zip(block.names, range(block.start, block.stop), strict=True)
        found.setdefault(title, []).extend(places)
    return list(found.items())


def _structure(fit: PointFit, title: str, rows: _Places) -> Table:
    """Parameters of a structure other than standard deviations."""
    p = len(fit.model.design.coef)
    summary = fit.summary().iloc[[p + place for _, place in rows]]
    columns = [_numbers(summary[name].to_numpy()) for name in ("estimate", "std_error")]
    cells = tuple(zip([name for name, _ in rows], *columns, strict=True))
    return Table(title, ("", "Estimate", "Std. Error"), cells, 1)


def _posterior_structure(fit: PosteriorFit, title: str, rows: _Places) -> Table:
    p = len(fit.model.design.coef)
    kinds = ["corr"] * len(rows)
    cells = _posterior_cells(fit.summary().iloc[[p + place for _, place in rows]], kinds)
    named = tuple((name, *own) for (name, _), own in zip(rows, cells, strict=True))
    return Table(title, ("", *_POSTERIOR), named, 1)


def _fixed_effects(fit: PointFit) -> Table:
    summary = fit.summary().iloc[: len(fit.model.design.coef)]
    columns = (
        _numbers(summary["estimate"].to_numpy()),
        _numbers(summary["std_error"].to_numpy()),
        ["--" if np.isnan(df) else f"{df:.1f}" for df in summary["df"]],
        [f"{t:.2f}" if abs(t) < 1e6 else f"{t:.3g}" for t in summary["t"]],
        [_p_value(p) for p in summary["p"]],
    )
    rows = tuple(zip(fit.model.design.coef, *columns, strict=True))
    return Table("Fixed effects:", ("", "Estimate", "Std. Error", "df", "t value", "p"), rows, 1)


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "--"
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def _posterior_random_effects(fit: PosteriorFit) -> Table:
    """Standard deviations and correlations below the factor that they belong to."""
    p = len(fit.model.design.coef)
    rows: list[tuple[str, ...]] = []
    cells = _posterior_cells(fit.summary().iloc[p:], fit.model.parameters.kinds)
    factor = None
    for block in fit.model.parameters.blocks:
        if block.factor is None and block.kind == "sigma":
            for label, own in zip(block.labels, cells[block.start : block.stop], strict=True):
                rows.append((f"Residual sd({label})" if label else "Residual sd", *own))
            continue
        if block.factor is None:
            continue
        if block.factor != factor:
            factor = block.factor
            rows.append((factor, *[""] * len(_POSTERIOR)))
        for label, own in zip(block.labels, cells[block.start : block.stop], strict=True):
            effects = label if isinstance(label, str) else ", ".join(label)
            kind = block.name.removesuffix(f"_{block.factor}")
            rows.append((f"  {kind}({effects})" if effects else f"  {kind}", *own))
    return Table(_heading(fit), ("", *_POSTERIOR), tuple(rows), 1)


def _posterior_fixed(fit: PosteriorFit) -> Table:
    coef = fit.model.design.coef
    cells = _posterior_cells(fit.summary().iloc[: len(coef)], ("beta",) * len(coef))
    rows = tuple((name, *row) for name, row in zip(coef, cells, strict=True))
    return Table("Fixed effects:", ("", *_POSTERIOR), rows, 1)


def _posterior_cells(summary: pd.DataFrame, kinds: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows of `_POSTERIOR`: numbers with the decimals that the posterior sds need.

    Correlations have two, and the others as many as show three digits of the smallest sd.
    """
    names = ["estimate", "std_error", "lower", "upper"]
    values = summary[names].to_numpy()
    corr = np.array([kind == "corr" for kind in kinds], dtype=bool)
    low, high = _orders(values[~corr, 1])[0], _orders(values[~corr])[1]
    decimals = _decimals(low, high, _DIGITS - 1)
    rows = []
    for row, kind, ess, r_hat in zip(
        values, kinds, summary["ess_bulk"], summary["r_hat"], strict=True
    ):
        style = ".2f" if kind == "corr" else decimals
        rows.append(
            (
                *(f"{value:{style}}" for value in row),
                "--" if np.isnan(ess) else f"{ess:.0f}",
                "--" if np.isnan(r_hat) else f"{r_hat:.3f}",
            )
        )
    return rows


def _dropped_rows(design: Design) -> str:
    if not design.n_dropped:
        return ""
    counts = ", ".join(f"{name} {count}" for name, count in design.missing.items())
    return f", {design.n_dropped} dropped (missing: {counts})"


def _numbers(values: Sequence[float] | np.ndarray, missing: str = "--") -> list[str]:
    """A column of numbers with as many decimals as show four digits of the smallest of them.

    Where that would be too long, each has four digits of its own.
    """
    array = np.asarray(values, dtype=float)
    style = _decimals(*_orders(array), _DIGITS)
    return [missing if np.isnan(value) else f"{value:{style}}" for value in array]


def _orders(values: np.ndarray) -> tuple[int | None, int | None]:
    """Powers of ten of the smallest and the largest number that is not zero; None without any."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return None, None
    low, high = np.floor(np.log10([sizes.min(), sizes.max()])).astype(int)
    return int(low), int(high)


def _decimals(low: int | None, high: int | None, digits: int) -> str:
    """Format that shows digits of numbers from the order `low` on, up to the order `high`."""
    if low is None or high is None:
        return "g"
    decimals = max(0, digits - 1 - low)
    return f".{_DIGITS}g" if decimals > 7 or high + decimals > 8 else f".{decimals}f"


def _lines_text(lines: Lines) -> str:
    shown = "\n".join(f"{label}: {text}" if text else label for label, text in lines.pairs)
    return visible(shown, keep="\n")


def _table_text(table: Table) -> str:
    grid = [[visible(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[j]) for row in grid) for j in range(len(table.header))]
    lines = [
        " "
        + "  ".join(
            cell.ljust(width) if j < table.labels else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
    return "\n".join([visible(table.title), *lines])


def _lines_html(lines: Lines) -> str:
    return (
        "<p>"
        + "<br>\n".join(
            f"<b>{escape(label)}</b>" + (f": {escape(text)}" if text else "")
            for label, text in lines.pairs
        )
        + "</p>"
    )


def _table_html(table: Table) -> str:
    def cells(row: tuple[str, ...], tag: str) -> str:
        sides = ["left" if j < table.labels else "right" for j in range(len(row))]
        return "".join(
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, row, strict=True)
        )

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    return (
        f"<p><b>{escape(table.title)}</b></p>\n<table><thead><tr>{cells(table.header, 'th')}</tr>"
        f"</thead><tbody>{body}</tbody></table>"
    )
