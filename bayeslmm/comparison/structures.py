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

from bayeslmm.api.model import Model
from bayeslmm.api.posterior_fit import PosteriorFit
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import Covariance
from bayeslmm.data.frames import to_pandas
from bayeslmm.design.bars import structures_beside
from bayeslmm.design.subsets import sets_of_rows
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    BayeslmmError,
    ConvergenceWarning,
    DataError,
    DesignWarning,
)
from bayeslmm.reports import printing
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData
    from matplotlib.figure import Figure

    from bayeslmm.api.likelihood_fit import LikelihoodFit

__all__ = ["StructureSelection", "select_structure"]

_METHODS = ("reml", "ml", "nuts")
_ELSEWHERE = {"map": "A penalised likelihood has no AIC."}
_INDEPENDENT, _UNRESTRICTED = "independent", "unrestricted"


@dataclass(frozen=True, eq=False, repr=False)
class StructureSelection:
    """What `select_structure` found.

    Attributes
    ----------
    model : Model
        Whose formula, data and weights the candidates share.
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

    model: Model
    method: Literal["reml", "ml", "nuts"]
    fits: Mapping[str, LikelihoodFit | PosteriorFit]
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
    def best(self) -> LikelihoodFit | PosteriorFit:
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
            return {name: _correlation(fit.G(self.on)) for name, fit in self.fits.items()}
        if not self.fits:
            return {}
        rows, labels = self._subject
        found = {}
        for name, fit in self.fits.items():
            V = fit._marginal_covariance(rows)
            sd = np.sqrt(np.diag(V))
            found[name] = pd.DataFrame(V / np.outer(sd, sd), index=labels, columns=labels)
        return found

    @property
    def _subject(self) -> tuple[np.ndarray, pd.Index]:
        """Positions of the rows of the subject with most rows, and their labels."""
        designs = [fit.model.design for fit in self.fits.values()]
        structured = [d.residuals for d in designs if d.residuals and d.residuals.subjects]
        timed = [own for own in structured if own.structure.time is not None]
        groups = [own.subjects.codes for own in [*timed, *structured] if own.subjects]
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
        """By how much the criteria of each structure are above the smallest: AIC and BIC or, of
        posteriors, by how much the expected density is below the largest, with its standard error.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            If no structure could be fitted.
        """
        from bayeslmm.plots.of_selections import draw_selection

        self.best  # noqa: B018  which says so
        left = f"Not fitted: {', '.join(self.failures)}." if self.failures else ""
        what = "residuals" if self.on is None else f"random effects of {self.on}"
        title = f"{self.model.design.response}: structures of the {what} ({self.method.upper()})"
        return draw_selection(self.table, title=title, note=left)

    def __repr__(self) -> str:
        return printing.as_text(printing.of_selection(self))

    def _repr_html_(self) -> str:
        return printing.as_html(printing.of_selection(self))


def _correlation(G: pd.DataFrame) -> pd.DataFrame:
    """Correlations of effects; NaN with one that does not vary."""
    sd = np.sqrt(np.diag(G))
    scale = np.outer(sd, sd)
    return pd.DataFrame(G / np.where(scale > 0, scale, np.nan))


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
    rows = [(own.elpd, own.se, own.p, float(np.max(own.pareto_k))) for own in loos.values()]
    table = _indexed(loos, rows, ["elpd", "se", "p", "pareto_k"])
    if len(table):
        best = np.asarray(loos[str(table["elpd"].idxmax())].elpd_i)
        below = [best - np.asarray(own.elpd_i) for own in loos.values()]
        table.insert(3, "delta_elpd", [own.sum() for own in below])
        table.insert(4, "delta_se", [np.sqrt(len(own)) * own.std() for own in below])
    return table.sort_values("elpd", kind="stable", ascending=False)


def _indexed(names: Mapping[str, object], rows: list[Any], columns: list[str]) -> pd.DataFrame:
    index = pd.Index(list(names), name="structure", dtype=object)
    return pd.DataFrame(np.array(rows).reshape(len(rows), len(columns)), index, columns)


def select_structure(
    model: Model,
    structures: Sequence[Covariance | None],
    method: Literal["reml", "ml", "nuts"] = "reml",
    data: object | None = None,
    on: str | None = None,
    unit: str | None = None,
    **settings: Any,
) -> StructureSelection:
    """Fit candidate covariance structures of residuals or random effects and compare them.

    Formula, data and weights are the model's; each candidate takes the place of its `R`, or of its
    `G` of a grouping factor. A structure that these data cannot identify, or whose fit does not
    converge, is listed with the reason.

    Parameters
    ----------
    model : Model
    structures : sequence of Covariance or None
        Such as ``[bl.CS(group="id"), bl.AR1(time="week", group="id")]``; None is σ²I. With `on`
        such as ``[bl.CS(), bl.AR1(), None]``, where None is an unrestricted matrix.
    method : {"reml", "ml", "nuts"}
        All candidates have the same fixed effects, so that REML compares them fairly. Posteriors
        are compared by leave-one-out cross-validation. Their priors are the model's for the
        parameters that it has too, and the defaults for others.
    data : data frame, optional
        By default what the model was made from. A model that comes from a file has only the columns
        that it uses; where the structures need others, give all of them again.
    on : str, optional
        The grouping factor whose random effects have the structures; the residuals by default.
    unit : str, optional
        For "nuts": what is left out, "row" (the default) or the levels of a grouping factor.
    **settings
        For "nuts": those of `Model.fit`, such as ``random_seed``.

    Returns
    -------
    StructureSelection
        A table by AIC, the fits, and the fitted correlation matrices; it prints.

    Raises
    ------
    ArgumentError
        For another method, no structures, one that is given twice, an unknown grouping factor or
        one with several bars, and candidates that use different rows because columns of theirs
        have missing values.
    ArgumentTypeError
        If `model` is no model, or a candidate no structure.
    DataError
        For columns that are absent.

    Notes
    -----
    A smaller AIC is better. It favours the structure that predicts best, BIC, whose penalty grows
    with the rows, the smallest that is right; differences of less than 2 say little. The
    structures of fits by REML may differ, their fixed effects may not.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("Orthodont")
    >>> model = bl.Model("distance ~ age * Sex", data)
    >>> where = {"time": "age", "group": "Subject"}
    >>> structures = [bl.CS(**where), bl.AR1(**where), bl.UN(**where)]
    >>> chosen = bl.select_structure(model, structures, data=data)
    >>> chosen.table[["criterion", "n_parameters", "aic", "bic"]].round(1)
               criterion  n_parameters    aic    bic
    structure
    CS             433.8             6  445.8  461.9
    UN             424.5            14  452.5  490.1
    AR1            444.6             6  456.6  472.7
    >>> chosen.correlations["AR1"].round(2).iloc[0].to_dict()
    {'8': 1.0, '10': 0.62, '12': 0.39, '14': 0.24}
    """
    if not isinstance(model, Model):
        raise ArgumentTypeError(
            "`model` should be a bl.Model, whose R the candidates replace, got "
            f"{type(model).__name__}."
        )
    remedy = _ELSEWHERE.get(str(method).lower(), "")
    method = cast("Any", one_of("method", method, _METHODS, remedy))
    if method != "nuts" and (unit is not None or settings):
        names = ", ".join(["unit"] * (unit is not None) + list(settings))
        raise ArgumentError(f"{method.upper()} has no use for {names}; leave that out.")
    if model.held.any():
        raise ArgumentError(
            "the model holds parameters by Fixed, which the candidates would estimate; compare "
            "fits of models that you make yourself by bl.compare."
        )
    if on is not None:
        _check_one_bar(model, on)
    sampled = method == "nuts"
    if sampled:
        _check_priors(model)
    models: dict[str, Model] = {}
    failures: dict[str, str] = {}
    candidates = _labelled(structures, _INDEPENDENT if on is None else _UNRESTRICTED)
    frame = model._made_from if data is None else data
    _check_columns(candidates, frame, given=data is not None)
    for name, structure in candidates.items():
        try:
            made = _with_structure(model, structure, frame, on)
            models[name] = made.with_priors(_shared_priors(model, made)) if sampled else made
        except BayeslmmError as error:
            failures[name] = str(error)
    _check_same_rows(models)
    if sampled:
        _check_unit(models, unit or "row")
    fits: dict[str, LikelihoodFit | PosteriorFit] = {}
    loos: dict[str, ELPDData] = {}
    for name, candidate in models.items():
        with warnings.catch_warnings():
            # listed with its reason below
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                fit = candidate.fit(method, **settings)
                if isinstance(fit, PosteriorFit):
                    loos[name] = fit.loo(unit or "row")
            except BayeslmmError as error:
                failures[name] = str(error)
                continue
        wrong = _what_is_wrong(fit)
        if wrong:
            failures[name] = wrong
            loos.pop(name, None)
        else:
            fits[name] = fit
    # in the order in which they were given
    failures = {name: failures[name] for name in candidates if name in failures}
    found = StructureSelection(model, method, fits, failures, on, loos)
    return replace(found, fits={name: fits[name] for name in found._table.index})


def _what_is_wrong(fit: LikelihoodFit | PosteriorFit) -> str:
    """Why a fit cannot be used; an empty text where it can."""
    if isinstance(fit, PosteriorFit):
        findings = fit.diagnose().findings
        return "; ".join(str(finding) for finding in findings if finding.severity == "error")
    return "" if fit.status.ok else fit.status.value


def _check_one_bar(model: Model, on: str) -> None:
    factor = model.design.factor(on)
    own = [bar for bar in model.design.formula.bars if bar.factor_name == factor.name]
    if len(own) > 1 or own[0].structure is not None or own[0].uncorrelated:
        raise ArgumentError(
            f"`on` is a grouping factor with one plain bar, whose structure the candidates are; "
            f"{on!r} has {', '.join(bar.text for bar in own)}. Compare fits of models that you "
            "make yourself by bl.compare."
        )
    if factor.related is not None:
        raise ArgumentError(
            f"the levels of {on!r} have a known relationship in `G`, beside which the structure of "
            "a bar stands in the formula; compare fits of models by bl.compare."
        )


def _labelled(structures: object, none: str) -> dict[str, Covariance | None]:
    """The candidates by the shortest names that tell them apart."""
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
    """Which it is of known matrices over the same columns that differ, or nothing."""
    if not isinstance(structure, Known):
        return ""
    alike = [own for own in structures if own is not None and own.words == structure.words]
    several = len(alike) > 1 and len(set(alike)) == len(alike)
    return f" ({alike.index(structure) + 1})" if several else ""


def _short(structure: Covariance) -> str:
    """The words of a structure but for its occasions and subjects."""
    left = {"over", *structure.times, "and", "within", structure.group}
    return " ".join(word for word in structure.words.split() if word not in left)


def _check_columns(candidates: dict[str, Covariance | None], frame: object, *, given: bool) -> None:
    """Refuse columns that are absent, which is no failure of a structure."""
    names = [column for own in candidates.values() if own is not None for column in own.columns]
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
    model: Model, structure: Covariance | None, frame: object, on: str | None
) -> Model:
    with warnings.catch_warnings():
        # said when the model was made
        warnings.simplefilter("ignore", DesignWarning)
        G = structures_beside(model.design.formula.bars, model.G)
        R = structure if on is None else model.R
        if on is not None:
            G[on] = [structure]
        found = Model(
            model.formula,
            frame,
            G=G,
            R=R,
            weights=model.weights,
            max_columns=model.max_columns,
            check=model.check,
        )
    y = model.design.y
    if len(y) == len(found.design.y) and not np.array_equal(y, found.design.y):
        return found.with_response(y)  # which the data of the model do not have
    return found


def _check_unit(models: Mapping[str, Model], unit: str) -> None:
    """Refuse a unit that no candidate has; those that lack it are listed with that reason."""
    errors: list[ArgumentError] = []
    for model in models.values():
        try:
            sets_of_rows(model.design, unit, "unit")
        except ArgumentError as error:
            errors.append(error)
    if errors and len(errors) == len(models):
        raise errors[-1]


def _shared_priors(model: Model, candidate: Model) -> dict[str, object]:
    """The user's priors of parameters that the candidate has too, without one of its own."""
    own = {row.parameter for row in candidate.priors.rows if row.source == "default"}
    given = [row for row in model.priors.rows if row.source == "user"]
    return {row.parameter: row.prior for row in given if row.parameter in own}


def _check_priors(model: Model) -> None:
    joint = list(dict.fromkeys(model.priors.whole.values()))
    if joint:
        raise ArgumentError(
            f"the model has a joint prior, {', '.join(map(repr, joint))}, and it is not clear what "
            "that would be for another structure; compare fits of models that you make yourself by "
            "their `loo()`."
        )


def _check_same_rows(models: dict[str, Model]) -> None:
    sizes = {name: len(model.design.y) for name, model in models.items()}
    first = next(iter(models.values()), None)
    if first is not None and any(
        not model.design.index.equals(first.design.index) for model in models.values()
    ):
        raise ArgumentError(
            "the candidates use different rows, because columns of theirs have missing values, so "
            f"that their likelihoods cannot be compared: {sizes}. Drop these rows first."
        )
