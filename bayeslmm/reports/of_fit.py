"""What a fit looks like when it is printed: what lme4 shows, with status and findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.criticism.diagnose import diagnose
from bayeslmm.criticism.findings import findings_as_lines
from bayeslmm.effects.residuals import residuals
from bayeslmm.effects.tables import point_summary, posterior_summary, varcorr
from bayeslmm.reports.of_model import groups_or_subjects, kind_of_model
from bayeslmm.support.pages import (
    DIGITS,
    Beside,
    Lines,
    Page,
    Table,
    decimals,
    numbers,
    orders,
    p_value,
)

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.point import LikelihoodSolution, MapSolution, PointSolution
    from bayeslmm.solutions.posterior import PosteriorSolution

__all__ = ["of_likelihood_fit", "of_map_fit", "of_posterior_fit"]

_POSTERIOR = ("Estimate", "Post. SD", "2.5%", "97.5%", "ESS", "r_hat")
_BOUNDARY = "not available: on the boundary"
_UNKNOWN = "not available"


def of_likelihood_fit(solution: LikelihoodSolution) -> Page:
    """What a fit by REML or ML looks like: what lme4 shows, with status and findings."""
    reml = solution.method == "reml"
    values = (
        ("REML criterion" if reml else "Deviance", f"{-2 * solution.loglik:.1f}"),
        ("AIC", f"{solution.aic:.1f}"),
        ("BIC", f"{solution.bic:.1f}"),
    )
    by = "REML" if reml else "maximum likelihood"
    return _of_point(solution, by, values)


def of_map_fit(solution: MapSolution) -> Page:
    """What a fit by penalised likelihood looks like: as one by REML, with the penalty."""
    values = (
        ("Penalised criterion", f"{solution.optimum.criterion:.1f}"),
        ("of it -2 log prior", f"{-2 * solution.log_prior:.1f}"),
    )
    return _of_point(solution, "penalised likelihood (posterior mode)", values)


def _of_point(solution: PointSolution, by: str, values: tuple[tuple[str, str], ...]) -> Page:
    """The page of a point fit, with the values of its criteria beside each other."""
    criteria = (Beside(values), ("Status", solution.status.what))
    random = [_random_effects(solution, _BOUNDARY if solution.status.ok else _UNKNOWN)]
    random += [_structure(solution, title, rows) for title, rows in _structures(solution)]
    return _of_fit(solution, by, criteria, random, _fixed_effects(solution))


def of_posterior_fit(solution: PosteriorSolution) -> Page:
    """What a fit by NUTS looks like: intervals and convergence of every parameter, and findings."""
    draws = solution.draws
    chains, length = draws.theta.shape[:2]
    criteria = (
        ("Draws", f"{chains} chains of {length} after {draws.settings.tune} of warm-up"),
        ("Sampler", f"{draws.sampler}, seed {draws.settings.seed}, {draws.seconds:.1f} s"),
    )
    random = [_posterior_random_effects(solution)]
    of_R = _structures(solution, of_R=True)
    random += [_posterior_structure(solution, title, rows) for title, rows in of_R]
    return _of_fit(solution, "NUTS", criteria, random, _posterior_fixed(solution))


def _of_fit(
    solution: Solution,
    by: str,
    criteria: tuple[tuple[str, str] | Beside, ...],
    random: Sequence[Table],
    fixed: Table,
) -> Page:
    design = solution.model.design
    # findings say which rows were dropped
    sizes = (
        ("Number of obs", str(len(design.y))),
        groups_or_subjects(design),
        *_residual_structure(solution),
    )
    return (
        Lines(
            (
                (f"{kind_of_model(design)} fit by {by}", ""),
                ("Formula", solution.model.formula),
                *criteria,
            )
        ),
        _residuals(solution),
        *random,
        Lines(sizes),
        fixed,
        Lines(findings_as_lines(diagnose(solution))),
    )


def _residual_structure(solution: Solution) -> Iterator[tuple[str, str]]:
    """What R is, where no table of its parameters says so."""
    residuals = solution.model.design.residuals
    if residuals is not None and not _structures(solution, of_R=True):
        yield "Residuals", residuals.structure.words


def _residuals(solution: Solution) -> Table:
    quantiles = np.quantile(
        residuals(solution, "standardized", marginal=False), [0, 0.25, 0.5, 0.75, 1]
    )
    cells = tuple("--" if np.isnan(value) else f"{value:.4f}" for value in quantiles)
    return Table("Scaled residuals:", ("Min", "1Q", "Median", "3Q", "Max"), (cells,), 0)


def _random_effects(solution: PointSolution, missing: str) -> Table:
    """Variances, standard deviations and correlations, a row per effect as lme4 has it.

    Parameters
    ----------
    solution : PointSolution
    missing : str
        What stands for a standard error that there is none of.
    """
    parameters, table = solution.model.parameters, varcorr(solution)
    estimate, std_error = table["estimate"].to_numpy(), table["std_error"].to_numpy()
    factors = {factor.name: factor for factor in solution.model.design.factors}
    G = {name: solution.moments[0][name] for name in factors}
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
        corr = [] if pairs is None else list(estimate[pairs.slice])
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
        numbers(variances),
        numbers(estimate[places]),
        numbers(std_error[places], missing),
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
    return Table(_heading(solution), tuple(header), rows, 2)


def _heading(solution: Solution) -> str:
    """What the table of variances is called: without random effects it is the residuals'."""
    return "Random effects:" if solution.model.design.factors else "Residual variation:"


_Places = list[tuple[str, int]]


def _structures(solution: Solution, *, of_R: bool = False) -> list[tuple[str, _Places]]:
    """For each bar with a structure that is not in the table of random effects, and for R, or for R
    alone: a title, and the parameters other than standard deviations with their places in theta.
    """
    design, blocks = solution.model.design, solution.model.parameters.blocks
    found: dict[str, _Places] = {}
    for block in blocks:
        if block.kind in ("sd", "sigma") or (of_R and block.factor is not None):
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


def _structure(solution: PointSolution, title: str, rows: _Places) -> Table:
    """Parameters of a structure other than standard deviations."""
    p = len(solution.model.design.coef)
    summary = point_summary(solution).iloc[[p + place for _, place in rows]]
    columns = [numbers(summary[name].to_numpy()) for name in ("estimate", "std_error")]
    cells = tuple(zip([name for name, _ in rows], *columns, strict=True))
    return Table(title, ("", "Estimate", "Std. Error"), cells, 1)


def _posterior_structure(solution: PosteriorSolution, title: str, rows: _Places) -> Table:
    p = len(solution.model.design.coef)
    kinds = ["corr"] * len(rows)
    cells = _posterior_cells(
        posterior_summary(solution).iloc[[p + place for _, place in rows]], kinds
    )
    named = tuple((name, *own) for (name, _), own in zip(rows, cells, strict=True))
    return Table(title, ("", *_POSTERIOR), named, 1)


def _fixed_effects(solution: PointSolution) -> Table:
    summary = point_summary(solution).iloc[: len(solution.model.design.coef)]
    columns = (
        numbers(summary["estimate"].to_numpy()),
        numbers(summary["std_error"].to_numpy()),
        ["--" if np.isnan(df) else f"{df:.1f}" for df in summary["df"]],
        [f"{t:.2f}" if abs(t) < 1e6 else f"{t:.3g}" for t in summary["t"]],
        [p_value(p) for p in summary["p"]],
    )
    rows = tuple(zip(solution.model.design.coef, *columns, strict=True))
    return Table("Fixed effects:", ("", "Estimate", "Std. Error", "df", "t value", "p"), rows, 1)


def _posterior_random_effects(solution: PosteriorSolution) -> Table:
    """Standard deviations and correlations below the factor that they belong to."""
    p = len(solution.model.design.coef)
    rows: list[tuple[str, ...]] = []
    cells = _posterior_cells(posterior_summary(solution).iloc[p:], solution.model.parameters.kinds)
    factor = None
    for block in solution.model.parameters.blocks:
        if block.factor is None and block.kind == "sigma":
            for label, own in zip(block.labels, cells[block.slice], strict=True):
                rows.append((f"Residual sd({label})" if label else "Residual sd", *own))
            continue
        if block.factor is None:
            continue
        if block.factor != factor:
            factor = block.factor
            rows.append((factor, *[""] * len(_POSTERIOR)))
        for label, own in zip(block.labels, cells[block.slice], strict=True):
            effects = label if isinstance(label, str) else ", ".join(label)
            kind = block.name.removesuffix(f"_{block.factor}")
            rows.append((f"  {kind}({effects})" if effects else f"  {kind}", *own))
    return Table(_heading(solution), ("", *_POSTERIOR), tuple(rows), 1)


def _posterior_fixed(solution: PosteriorSolution) -> Table:
    coef = solution.model.design.coef
    cells = _posterior_cells(posterior_summary(solution).iloc[: len(coef)], ("beta",) * len(coef))
    rows = tuple((name, *row) for name, row in zip(coef, cells, strict=True))
    return Table("Fixed effects:", ("", *_POSTERIOR), rows, 1)


def _posterior_cells(summary: pd.DataFrame, kinds: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows of `_POSTERIOR`: numbers with the decimals that the posterior sds need.

    Correlations have two, and the others as many as show three digits of the smallest sd.
    """
    names = ["estimate", "std_error", "lower", "upper"]
    values = summary[names].to_numpy()
    corr = np.array([kind == "corr" for kind in kinds], dtype=bool)
    low, high = orders(values[~corr, 1])[0], orders(values[~corr])[1]
    style_of_all = decimals(low, high, DIGITS - 1)
    rows = []
    for row, kind, ess, r_hat in zip(
        values, kinds, summary["ess_bulk"], summary["r_hat"], strict=True
    ):
        style = ".2f" if kind == "corr" else style_of_all
        rows.append(
            (
                *(f"{value:{style}}" for value in row),
                "--" if np.isnan(ess) else f"{ess:.0f}",
                "--" if np.isnan(r_hat) else f"{r_hat:.3f}",
            )
        )
    return rows
