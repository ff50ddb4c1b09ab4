"""Candidate covariance structures fitted to the same data and laid out side by side."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayeslmm import printing
from bayeslmm.bar_structure import structures_beside
from bayeslmm.covariance import Covariance
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    BayeslmmError,
    ConvergenceWarning,
    DataError,
    DesignWarning,
    unknown_name,
)
from bayeslmm.frames import to_pandas
from bayeslmm.model import Model

if TYPE_CHECKING:
    from bayeslmm.likelihood_fit import LikelihoodFit

__all__ = ["StructureSelection", "select_structure"]

_METHODS = ("reml", "ml")
_ELSEWHERE = {
    "nuts": "posteriors are compared by leave-one-out cross-validation, which is not in this "
    "version",
    "map": "a penalised likelihood has no AIC",
}
_INDEPENDENT, _UNRESTRICTED = "independent", "unrestricted"


@dataclass(frozen=True, eq=False, repr=False)
class StructureSelection:
    """What `select_structure` found.

    Attributes
    ----------
    model : Model
        Whose formula, data and weights the candidates share.
    method : {"reml", "ml"}
    fits : dict of LikelihoodFit
        The fit of each structure, the one with the smallest AIC first.
    failures : dict of str
        Why each of the others has no fit that can be used.
    on : str or None
        The grouping factor whose random effects have the structures; None for the residuals.
    """

    model: Model
    method: Literal["reml", "ml"]
    fits: dict[str, LikelihoodFit]
    failures: dict[str, str]
    on: str | None = None

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows = []
        for fit in self.fits.values():
            rows.append((-2 * fit.loglik, fit.n_parameters, fit.aic, fit.aicc, fit.bic))
        columns = ["criterion", "n_parameters", "aic", "aicc", "bic"]
        index = pd.Index(list(self.fits), name="structure", dtype=object)
        table = pd.DataFrame(np.array(rows).reshape(len(rows), 5), index=index, columns=columns)
        table["n_parameters"] = table["n_parameters"].astype(int)
        for name in ("aic", "aicc", "bic"):
            table[f"delta_{name}"] = table[name] - table[name].min()
        return table

    @property
    def table(self) -> pd.DataFrame:
        """The structures that could be fitted, by AIC.

        ``criterion`` is -2 log-likelihood, restricted for REML; ``n_parameters`` counts
        coefficients and covariance parameters; ``aic``, ``aicc`` (AIC with the correction of
        Hurvich and Tsai 1989, Biometrika 76, 297-307, for n rows) and ``bic`` follow, and by how
        much each is above the smallest, ``delta_aic`` and so on.
        """
        return self._table.copy()

    @property
    def best(self) -> LikelihoodFit:
        """The fit with the smallest AIC.

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

    def __repr__(self) -> str:
        return printing.as_text(printing.of_selection(self))

    def _repr_html_(self) -> str:
        return printing.as_html(printing.of_selection(self))


def _correlation(G: pd.DataFrame) -> pd.DataFrame:
    """Correlations of effects; NaN with one that does not vary."""
    sd = np.sqrt(np.diag(G))
    scale = np.outer(sd, sd)
    return pd.DataFrame(G / np.where(scale > 0, scale, np.nan))


def select_structure(
    model: Model,
    structures: Sequence[Covariance | None],
    method: Literal["reml", "ml"] = "reml",
    data: object | None = None,
    on: str | None = None,
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
    method : {"reml", "ml"}
        All candidates have the same fixed effects, so that REML compares them fairly.
    data : data frame, optional
        What the model was made from. A model keeps only the columns that it uses; where the
        structures need others, give all of them again.
    on : str, optional
        The grouping factor whose random effects have the structures; the residuals by default.

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
    if not isinstance(method, str) or method not in _METHODS:
        why = _ELSEWHERE.get(method if isinstance(method, str) else "")
        remedy = f"{why[0].upper()}{why[1:]}." if why else ""
        raise ArgumentError(unknown_name("method", method, _METHODS, remedy))
    if model.held.any():
        raise ArgumentError(
            "the model holds parameters by Fixed, which the candidates would estimate; compare "
            "fits of models that you make yourself by bl.compare."
        )
    if on is not None:
        _check_one_bar(model, on)
    models: dict[str, Model] = {}
    failures: dict[str, str] = {}
    candidates = _labelled(structures, _INDEPENDENT if on is None else _UNRESTRICTED)
    _check_columns(candidates, model, data)
    frame = model.data if data is None else data
    for name, structure in candidates.items():
        try:
            models[name] = _with_structure(model, structure, frame, on)
        except BayeslmmError as error:
            failures[name] = str(error)
    _check_same_rows(models)
    fits = {}
    for name, candidate in models.items():
        with warnings.catch_warnings():
            # listed with its reason below
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                fit = candidate.fit(method)
            except BayeslmmError as error:
                failures[name] = str(error)
                continue
        if fit.status.ok:
            fits[name] = fit
        else:
            failures[name] = fit.status.value
    order = sorted(fits, key=lambda name: fits[name].aic)
    # in the order in which they were given
    failures = {name: failures[name] for name in candidates if name in failures}
    return StructureSelection(model, method, {name: fits[name] for name in order}, failures, on)


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
    short = [none if s is None else _short(s) for s in structures]
    long = [none if s is None else s.words for s in structures]
    counts = Counter(short)
    names = [a if counts[a] == 1 else b for a, b in zip(short, long, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(f"`structures` should differ, and {twice!r} is there twice.")
    return dict(zip(names, structures, strict=True))


def _short(structure: Covariance) -> str:
    """The words of a structure but for its occasions and subjects."""
    left = {"over", *structure.times, "and", "within", structure.group}
    return " ".join(word for word in structure.words.split() if word not in left)


def _check_columns(candidates: dict[str, Covariance | None], model: Model, data: object) -> None:
    """Refuse columns that are absent, which is no failure of a structure."""
    names = [column for own in candidates.values() if own is not None for column in own.columns]
    names = list(dict.fromkeys(names))
    if data is not None:
        to_pandas(data, names, "the structures use")
        return
    lacking = [name for name in names if name not in model.data.columns]
    if lacking:
        raise DataError(
            f"the structures use {', '.join(map(repr, lacking))}, and a model keeps only the "
            "columns that it uses itself: give `data`, the frame that it was made from."
        )


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
        found = Model(model.formula, frame, G=G, R=R, weights=model.weights)
    y = model.design.y
    if len(y) == len(found.design.y) and not np.array_equal(y, found.design.y):
        return found.with_response(y)  # which the data of the model do not have
    return found


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
