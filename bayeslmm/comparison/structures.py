"""Candidate covariance structures fitted to the same data and laid out side by side."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import Covariance
from bayeslmm.criticism.diagnose import diagnose
from bayeslmm.criticism.loo import loo
from bayeslmm.data.frames import to_pandas
from bayeslmm.design.bars import structures_beside
from bayeslmm.design.subsets import sets_of_rows
from bayeslmm.effects.tables import G
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    BayeslmmError,
    ConvergenceWarning,
    DataError,
    DesignWarning,
)
from bayeslmm.solutions.base import Solution, solution_of
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.solutions.solving import solve
from bayeslmm.specification import Specification
from bayeslmm.support.arguments import one_of
from bayeslmm.support.pages import Lines, Page, Table, as_html, as_text

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData
    from matplotlib.figure import Figure

    from bayeslmm.solutions.point import LikelihoodSolution

__all__ = ["StructureSelection", "select_structure"]

_METHODS = ("reml", "ml", "nuts")
_ELSEWHERE = {"map": "A penalised likelihood has no AIC."}
_INDEPENDENT, _UNRESTRICTED = "independent", "unrestricted"


@dataclass(frozen=True, eq=False, repr=False)
class StructureSelection:
    """Candidate structures with their fits, as `select_structure` returns them.

    Attributes
    ----------
    model : Specification
        The model whose formula, data and weights the candidates share.
    method : {"reml", "ml", "nuts"}
    fits : dict of LikelihoodFit or PosteriorFit
        The fit of each structure, the best first.
    failures : dict of str
        Why each of the others has no fit that can be used.
    on : str or None
        The grouping factor whose random effects have the structures; None for the residuals.
    loos : dict of arviz_stats.ELPDData
        The cross-validation of each posterior; empty for likelihoods.
    """

    model: Specification
    method: Literal["reml", "ml", "nuts"]
    fits: Mapping[str, Any]
    failures: dict[str, str]
    on: str | None = None
    loos: Mapping[str, ELPDData] = field(default_factory=dict)

    @cached_property
    def _table(self) -> pd.DataFrame:
        return _by_loo(self.loos) if self.method == "nuts" else _by_aic(self.fits)

    @property
    def table(self) -> pd.DataFrame:
        """The structures that could be fitted, the best first: by AIC or, of posteriors, by LOO.

        ``criterion`` is -2 log-likelihood, restricted for REML; ``n_parameters`` counts
        coefficients and covariance parameters; ``aic``, ``aicc`` (AIC with the correction of
        Hurvich and Tsai 1989, Biometrika 76, 297-307, for n rows) and ``bic`` follow, and by how
        much each is above the smallest, ``delta_aic`` and so on.

        Of posteriors ``elpd`` is the expected log predictive density, ``se`` its standard error
        and ``p`` the effective number of parameters, all by `PosteriorFit.loo`; ``delta_elpd`` is
        by how much the density is below the largest, with ``delta_se``, the standard error of that
        difference; and ``pareto_k`` the largest of the rows or levels.
        """
        return self._table.copy()

    @property
    def best(self) -> Any:
        """The fit with the smallest AIC or, of posteriors, the largest expected density.

        Raises
        ------
        ArgumentError
            If no structure could be fitted.
        """
        if not self.fits:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())
            raise ArgumentError(f"none of the structures could be fitted: {reasons}")
        return next(iter(self.fits.values()))

    @cached_property
    def correlations(self) -> dict[str, pd.DataFrame]:
        """The fitted correlation matrix of the responses of one subject, by structure.

        The subject is the first of those with most rows, labelled by occasion. It is that of V =
        ZGZ' + R, in which random effects count, so that a random intercept and compound symmetry
        can be seen to be the same. With ``on``, that of the random effects of a level.
        """
        if self.on is not None:
            return {
                name: _correlation(G(solution_of(fit), self.on)) for name, fit in self.fits.items()
            }
        if not self.fits:
            return {}
        rows, labels = self._subject
        return {
            name: _correlation(pd.DataFrame(solution_of(fit).V(rows), labels, labels))
            for name, fit in self.fits.items()
        }

    @property
    def _subject(self) -> tuple[np.ndarray, pd.Index]:
        """Positions of the rows of the subject with most rows, and their labels."""
        designs = [fit.model.design for fit in self.fits.values()]
        structured = [d.residuals for d in designs if d.residuals and d.residuals.subjects]
        timed = [R for R in structured if R.structure.time is not None]
        groups = [R.subjects.codes for R in [*timed, *structured] if R.subjects]
        groups += [factor.codes for factor in designs[0].factors]
        if not groups:
            rows = np.arange(1)
            return rows, designs[0].index[rows]
        codes = groups[0]
        rows = np.flatnonzero(codes == np.bincount(codes).argmax())
        if not timed:
            return rows, designs[0].index[rows]
        points = timed[0].rows.point[rows]
        rows = rows[np.argsort(points, kind="stable")]
        occasions = [timed[0].occasions[i] for i in np.sort(points)]
        return rows, pd.Index(occasions, name=" and ".join(timed[0].structure.times))

    def plot(self) -> Figure:
        """Draw by how much the AIC and BIC of each structure are above the smallest or, of
        posteriors, by how much the expected density is below the largest, with its standard error.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            If no structure could be fitted.
        """
        from bayeslmm.drawing.selection import draw_selection

        self.best  # noqa: B018  raises if no structure could be fitted
        note = f"Not fitted: {', '.join(self.failures)}." if self.failures else ""
        what = "residuals" if self.on is None else f"random effects of {self.on}"
        title = f"{self.model.design.response}: structures of the {what} ({self.method.upper()})"
        return draw_selection(self.table, title=title, note=note)

    def __repr__(self) -> str:
        return as_text(of_selection(self))

    def _repr_html_(self) -> str:
        return as_html(of_selection(self))


def of_selection(selection: StructureSelection) -> Page:
    """The page that shows a comparison of structures: the table, and what failed."""
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
        page += _table_by_loo(table) if selection.method == "nuts" else _table_by_aic(table)
    if selection.failures:
        page.append(Lines((("Not fitted", ""), *selection.failures.items())))
    return tuple(page)


def _table_by_aic(table: pd.DataFrame) -> list[Lines | Table]:
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


def _table_by_loo(table: pd.DataFrame) -> list[Lines | Table]:
    names = ("elpd", "se", "p", "delta_elpd", "delta_se")
    columns = [[f"{value:.1f}" for value in table[name]] for name in names]
    columns.append([f"{value:.2f}" for value in table["pareto_k"]])
    header = ("", "ELPD", "SE", "p", "ELPD diff.", "SE of diff.", "Largest Pareto k")
    rows = tuple(zip(table.index, *columns, strict=True))
    return [Table("Structures, by leave-one-out cross-validation:", header, rows, 1)]


def _correlation(covariance: pd.DataFrame) -> pd.DataFrame:
    """The correlation matrix of a covariance matrix; NaN beside a variance of zero."""
    sd = np.sqrt(np.diag(covariance))
    scale = np.outer(sd, sd)
    return pd.DataFrame(covariance / np.where(scale > 0, scale, np.nan))


def _by_aic(fits: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for fit in fits.values():
        rows.append((-2 * fit.loglik, fit.n_parameters, fit.aic, fit.aicc, fit.bic))
    table = _indexed(fits, rows, ["criterion", "n_parameters", "aic", "aicc", "bic"])
    table["n_parameters"] = table["n_parameters"].astype(int)
    for name in ("aic", "aicc", "bic"):
        table[f"delta_{name}"] = table[name] - table[name].min()
    return table.sort_values("aic", kind="stable")


def _by_loo(loos: Mapping[str, ELPDData]) -> pd.DataFrame:
    rows = [(each.elpd, each.se, each.p, float(np.max(each.pareto_k))) for each in loos.values()]
    table = _indexed(loos, rows, ["elpd", "se", "p", "pareto_k"])
    if len(table):
        best = np.asarray(loos[str(table["elpd"].idxmax())].elpd_i)
        below = [best - np.asarray(each.elpd_i) for each in loos.values()]
        table.insert(3, "delta_elpd", [difference.sum() for difference in below])
        table.insert(4, "delta_se", [np.sqrt(len(d)) * d.std() for d in below])
    return table.sort_values("elpd", kind="stable", ascending=False)


def _indexed(names: Mapping[str, object], rows: list[Any], columns: list[str]) -> pd.DataFrame:
    index = pd.Index(list(names), name="structure", dtype=object)
    return pd.DataFrame(np.array(rows).reshape(len(rows), len(columns)), index, columns)


def select_structure(
    model: Specification,
    structures: Sequence[Covariance | None],
    method: Literal["reml", "ml", "nuts"] = "reml",
    data: object | None = None,
    on: str | None = None,
    unit: str | None = None,
    **settings: Any,
) -> StructureSelection:
    """Fit candidate covariance structures of residuals or random effects and compare them; see
    `bayeslmm.select_structure`.
    """
    if not isinstance(model, Specification):
        raise ArgumentTypeError(
            "`model` should be a bl.Model, whose R the candidates replace, got "
            f"{type(model).__name__}."
        )
    remedy = _ELSEWHERE.get(str(method).lower(), "")
    method = cast("Any", one_of("method", method, _METHODS, remedy))
    _check_settings(method, unit, settings)
    _check_model(model, method, on)
    candidates = _labelled(structures, _INDEPENDENT if on is None else _UNRESTRICTED)
    frame = model.made_from if data is None else data
    _check_columns(candidates, frame, given=data is not None)
    models, failures = _models(model, candidates, method, frame, on)
    _check_same_rows(models)
    unit = unit or "row"
    if method == "nuts":
        _check_unit(models, unit)
    solutions, loos, failed = _solutions(models, method, unit, settings)
    failures |= failed
    # in the order in which they were given
    failures = {name: failures[name] for name in candidates if name in failures}
    selection = StructureSelection(model, method, solutions, failures, on, loos)
    return replace(selection, fits={name: solutions[name] for name in selection.table.index})


def _models(
    model: Specification,
    candidates: dict[str, Covariance | None],
    method: str,
    frame: object,
    on: str | None,
) -> tuple[dict[str, Specification], dict[str, str]]:
    """The model with each candidate structure, and why others cannot be made."""
    models: dict[str, Specification] = {}
    failures: dict[str, str] = {}
    for name, structure in candidates.items():
        try:
            made = _with_structure(model, structure, frame, on)
            if method == "nuts":
                made = made.with_priors(_shared_priors(model, made))
        except BayeslmmError as error:
            failures[name] = str(error)
        else:
            models[name] = made
    return models, failures


def _solutions(
    models: dict[str, Specification], method: str, unit: str, settings: dict[str, Any]
) -> tuple[dict[str, Solution], dict[str, ELPDData], dict[str, str]]:
    """The solutions that can be used, cross-validations of posteriors, and why others fail."""
    solutions: dict[str, Solution] = {}
    loos: dict[str, ELPDData] = {}
    failures: dict[str, str] = {}
    for name, model in models.items():
        with warnings.catch_warnings():
            # what they say is listed among the failures
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                solution = solve(model, method, **settings)
                density = loo(solution, unit) if isinstance(solution, PosteriorSolution) else None
            except BayeslmmError as error:
                failures[name] = str(error)
                continue
        wrong = _what_is_wrong(solution)
        if wrong:
            failures[name] = wrong
            continue
        solutions[name] = solution
        if density is not None:
            loos[name] = density
    return solutions, loos, failures


def _what_is_wrong(solution: Solution) -> str:
    """Why a solution cannot be used; an empty text where it can."""
    if isinstance(solution, PosteriorSolution):
        findings = diagnose(solution).findings
        return "; ".join(str(finding) for finding in findings if finding.severity == "error")
    status = cast("LikelihoodSolution", solution).status
    return "" if status.ok else status.value


def _check_settings(method: str, unit: str | None, settings: dict[str, Any]) -> None:
    """Refuse settings of the sampler beside a likelihood."""
    if method != "nuts" and (unit is not None or settings):
        names = ", ".join(["unit"] * (unit is not None) + list(settings))
        raise ArgumentError(f"{method.upper()} has no use for {names}; leave that out.")


def _check_model(model: Specification, method: str, on: str | None) -> None:
    """Refuse models with parts that are not defined for other structures."""
    if model.held.any():
        raise ArgumentError(
            "the model holds parameters by Fixed, which the candidates would estimate; compare "
            "fits of models that you make yourself by bl.compare."
        )
    if on is not None:
        _check_one_bar(model, on)
    if method == "nuts":
        _check_priors(model)


def _check_one_bar(model: Specification, on: str) -> None:
    factor = model.design.factor(on)
    bars = [bar for bar in model.design.formula.bars if bar.factor_name == factor.name]
    if len(bars) > 1 or bars[0].structure is not None or bars[0].uncorrelated:
        raise ArgumentError(
            f"`on` is a grouping factor with one plain bar, whose structure the candidates are; "
            f"{on!r} has {', '.join(bar.text for bar in bars)}. Compare fits of models that you "
            "make yourself by bl.compare."
        )
    if factor.related is not None:
        raise ArgumentError(
            f"the levels of {on!r} have a known relationship in `G`, beside which the structure of "
            "a bar stands in the formula; compare fits of models by bl.compare."
        )


def _labelled(structures: object, none: str) -> dict[str, Covariance | None]:
    """The candidates by the shortest names that distinguish them."""
    if isinstance(structures, str) or not isinstance(structures, Sequence):
        raise ArgumentTypeError(
            "`structures` should be a list such as [bl.CS(group='id'), bl.AR1(time='week', "
            f"group='id')], got {structures!r}."
        )
    for structure in structures:
        if structure is not None and not isinstance(structure, Covariance):
            call = f"; call it, {structure.__name__}(...)" if isinstance(structure, type) else ""
            raise ArgumentTypeError(
                "each of `structures` should be a covariance structure such as "
                f"bl.AR1(time='week', group='id'), or None for σ²I, got {structure!r}{call}."
            )
    if not structures:
        raise ArgumentError("`structures` should have at least one structure to fit, got none.")
    number = [_number(s, structures) for s in structures]
    short = [none if s is None else _short(s) + n for s, n in zip(structures, number, strict=True)]
    long = [none if s is None else s.words + n for s, n in zip(structures, number, strict=True)]
    counts = Counter(short)
    names = [a if counts[a] == 1 else b for a, b in zip(short, long, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(f"`structures` should differ, and {twice!r} is there twice.")
    return dict(zip(names, structures, strict=True))


def _number(structure: Covariance | None, structures: Sequence[Covariance | None]) -> str:
    """The number of a known matrix among those over the same columns; empty where it is the only
    one.
    """
    if not isinstance(structure, Known):
        return ""
    alike = [s for s in structures if s is not None and s.words == structure.words]
    several = len(alike) > 1 and len(set(alike)) == len(alike)
    return f" ({alike.index(structure) + 1})" if several else ""


def _short(structure: Covariance) -> str:
    """The words of a structure without its occasions and subjects."""
    omitted = {"over", *structure.times, "and", "within", structure.group}
    return " ".join(word for word in structure.words.split() if word not in omitted)


def _check_columns(candidates: dict[str, Covariance | None], frame: object, *, given: bool) -> None:
    """Refuse absent columns: they are an error of the call, not a failure of a structure."""
    names = [column for s in candidates.values() if s is not None for column in s.columns]
    try:
        to_pandas(frame, list(dict.fromkeys(names)), "the structures use")
    except DataError as error:
        if given:
            raise
        raise DataError(
            f"{error} Where the model's own data lack columns, give `data`, the frame that it was "
            "made from."
        ) from None


def _with_structure(
    model: Specification, structure: Covariance | None, frame: object, on: str | None
) -> Specification:
    with warnings.catch_warnings():
        # the warnings were given when the model was made
        warnings.simplefilter("ignore", DesignWarning)
        G = structures_beside(model.design.formula.bars, model.G)
        R = structure if on is None else model.R
        if on is not None:
            G[on] = [structure]
        made = type(model)(
            model.formula,
            frame,
            G=G,
            R=R,
            weights=model.weights,
            max_columns=model.max_columns,
            check=model.check,
        )
    y = model.design.y
    if len(y) == len(made.design.y) and not np.array_equal(y, made.design.y):
        # the response was replaced after the model was made from its data
        return made.with_response(y)
    return made


def _check_unit(models: Mapping[str, Specification], unit: str) -> None:
    """Refuse a unit that no candidate has; those that lack it are listed with that reason."""
    errors: list[ArgumentError] = []
    for model in models.values():
        try:
            sets_of_rows(model.design, unit, "unit")
        except ArgumentError as error:
            errors.append(error)
    if errors and len(errors) == len(models):
        raise errors[-1]


def _shared_priors(model: Specification, candidate: Specification) -> dict[str, object]:
    """The user's priors of parameters for which the candidate has only a default."""
    defaults = {row.parameter for row in candidate.priors.rows if row.source == "default"}
    given = [row for row in model.priors.rows if row.source == "user"]
    return {row.parameter: row.prior for row in given if row.parameter in defaults}


def _check_priors(model: Specification) -> None:
    joint = list(dict.fromkeys(model.priors.whole.values()))
    if joint:
        raise ArgumentError(
            f"the model has a joint prior, {', '.join(map(repr, joint))}, and it is not clear what "
            "that would be for another structure; compare fits of models that you make yourself by "
            "their `loo()`."
        )


def _check_same_rows(models: dict[str, Specification]) -> None:
    sizes = {name: len(model.design.y) for name, model in models.items()}
    first = next(iter(models.values()), None)
    if first is not None and any(
        not model.design.index.equals(first.design.index) for model in models.values()
    ):
        raise ArgumentError(
            "the candidates use different rows, because some of their columns have missing "
            f"values, so that their likelihoods cannot be compared: {sizes}. Drop these rows first."
        )
