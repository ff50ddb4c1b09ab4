"""Deletion diagnostics against solving again without the rows, with dense matrices."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from dense import full_Z
from fits_cache import likelihood

import bayeslmm as bl
from bayeslmm import deletion, errors
from bayeslmm.deletion import deletions, without_rows

WHERE = {"time": "age", "group": "Subject"}


def orthodont():
    """Unbalanced, in no order, with weights."""
    data = bl.load_dataset("Orthodont").sample(frac=1, random_state=1).iloc[:95]
    return data.assign(w=np.linspace(1, 2, 95))


STRUCTURED = {
    "ar1": ("distance ~ age * Sex", bl.AR1(**WHERE), None),
    "weighted ar1 and intercepts": ("distance ~ age + (1 | Subject)", bl.AR1(**WHERE), "w"),
    "un": ("distance ~ age", bl.UN(**WHERE), None),
    "strata": ("distance ~ age + (age | Subject)", bl.ID(by="Sex"), None),
    "power": ("distance ~ age + (1 | Subject)", bl.CAR1(**WHERE, variance=bl.VarPower("age")), "w"),
    "crossed": (
        "distance ~ age + (1 | Subject) + (1 | ageF)",
        bl.CS(**WHERE, variance=bl.VarIdent("Sex")),
        None,
    ),
}
PLAIN = ("slopes", "two bars", "crossed", "nested", "no random effects", "weights", "offset")


@cache
def fitted(name):
    if name == "map":
        data = bl.load_dataset("Machines")
        priors = {"beta": bl.Normal(0, 2), "beta[Intercept]": bl.Normal(50, 3)}
        return bl.Model("score ~ Machine + (1 | Worker)", data, priors=priors).fit("map")
    if name in PLAIN:
        return likelihood(name)
    formula, R, weights = STRUCTURED[name]
    data = orthodont().assign(ageF=lambda d: "at " + d["age"].astype(str))
    return bl.Model(formula, data, R=R, weights=weights).fit("reml")


def dense(fit):
    """V, R, X, y and the precision and mean of beta's prior, if there is one."""
    design, n = fit.model.design, len(fit.model.design.y)
    R = fit._weighted_covariance(np.arange(n))
    V = R.copy()
    for factor in design.factors:
        Z = full_Z(factor)
        V += Z @ np.kron(np.eye(len(factor.levels)), fit.G(factor.name)) @ Z.T
    p = design.X.shape[1]
    priors = fit.model.priors if fit.method == "map" else None
    precision = np.zeros((p, p)) if priors is None else priors.beta_precision
    mean = np.zeros(p) if priors is None else priors.beta_mean
    return V, R, design.X, design.y_less_offset, precision, mean


def gls(V, X, y, precision, mean):
    information = X.T @ np.linalg.solve(V, X) + precision
    vcov = np.linalg.inv(information)
    return vcov @ (X.T @ np.linalg.solve(V, y) + precision @ mean), vcov


def rows_by(fit, by):
    if by == "row":
        return [np.array([i]) for i in range(len(fit.model.design.y))]
    codes = {f.name: f.codes for f in fit.model.design.factors}
    if by not in codes:
        codes[by] = fit.model.design.residuals.subjects.codes
    return [np.flatnonzero(codes[by] == level) for level in range(codes[by].max() + 1)]




def check(fit, by):
    V, R, X, y, *prior = dense(fit)
    table = fit.influence(by)
    beta, vcov = gls(V, X, y, *prior)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-8)
    n, p = X.shape
    projection = np.linalg.inv(V)
    projection -= projection @ X @ vcov @ X.T @ projection
    hat = np.diag(np.eye(n) - R @ projection)
    fixed = np.diag(X @ vcov @ X.T @ np.linalg.inv(V))
    names = [f"dfbetas[{name}]" for name in fit.model.design.coef]
    se = np.sqrt(np.diag(vcov))
    for (_, row), rows in zip(table.iterrows(), rows_by(fit, by), strict=True):
        kept = np.setdiff1d(np.arange(n), rows)
        other, its = gls(V[np.ix_(kept, kept)], X[kept], y[kept], *prior)
        change = beta - other
        np.testing.assert_allclose(row[names] * se, change, rtol=1e-9, atol=1e-9 * se.max())
        distance = change @ np.linalg.solve(vcov, change) / p
        assert row["cooks_distance"] == pytest.approx(distance, rel=1e-8, abs=1e-12)
        ratio = np.linalg.det(its @ np.linalg.inv(vcov))
        assert row["covratio"] == pytest.approx(ratio, rel=1e-8)
        assert row["leverage"] == pytest.approx(hat[rows].sum(), rel=1e-9, abs=1e-11)
        assert row["leverage_fixed"] == pytest.approx(fixed[rows].sum(), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("name", [*PLAIN, *STRUCTURED, "map"])
def test_deletion_is_solving_without_the_rows(name):
    fit = fitted(name)
    own = fit.model.design.residuals
    by = ["row", *(factor.name for factor in fit.model.design.factors)]
    if own is not None and own.structure.group not in (None, *by):
        by.append(own.structure.group)
    for unit in by:
        check(fit, unit)
