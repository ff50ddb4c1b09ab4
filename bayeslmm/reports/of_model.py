"""What a model looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.support.pages import Lines, Page, Table

if TYPE_CHECKING:
    from bayeslmm.covariance.relationship import Relationship
    from bayeslmm.design.design import Design
    from bayeslmm.specification import Specification

__all__ = ["groups_or_subjects", "kind_of_model", "of_model"]


def of_model(model: Specification) -> Page:
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
        pairs.append(groups_or_subjects(design))
    head: Page = (Lines(((kind_of_model(design), ""), *pairs)),)
    if not design.factors:
        return head
    rows = tuple(
        (
            factor.name,
            str(len(factor.levels) if factor.own is None else factor.own[:, bar.start].sum()),
            f"{bar.text}, {bar.stratum}" if bar.stratum else bar.text,
            ", ".join(factor.plain[bar.slice]),
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


def _relationship(related: Relationship) -> str:
    others = len(related.others)
    beside = f"; {others:,} more levels that it has are integrated out" if others else ""
    return f"known, of {len(related.levels):,} levels{beside}"


def groups_or_subjects(design: Design) -> tuple[str, str]:
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


def kind_of_model(design: Design) -> str:
    """What a model is called."""
    if design.factors:
        return "Linear mixed model"
    R = None if design.residuals is None else design.residuals.structure
    if R is not None and not R.correlation.independent:
        return "Linear model with correlated residuals"
    if R is not None and (R.by is not None or R.variances != ("one",)):
        return "Linear model with residuals of unequal variance"
    return "Linear model"


def _dropped_rows(design: Design) -> str:
    if not design.n_dropped:
        return ""
    counts = ", ".join(f"{name} {count}" for name, count in design.missing.items())
    return f", {design.n_dropped} dropped (missing: {counts})"
