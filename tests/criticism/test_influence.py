"""Deletion diagnostics against solving again without the rows, with dense matrices."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.criticism import deletion
from bayeslmm.support.lapack import blas_threads
from tests.oracles.dense import fitted_covariances
from tests.oracles.fits_cache import likelihood

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "influence.json").read_text(encoding="utf-8")
)
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
    "related": ("distance ~ age + (1 | Subject)", None, "w"),
    "by stratum": ("distance ~ age * Sex + (age | Subject)", None, None),
    "related with ar1": ("distance ~ age + (age | Subject)", bl.AR1(**WHERE), None),
    "crossed with cs": (
        "distance ~ age + (1 | ageF)",
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
    G = {"Subject": bl.Known(relationship())} if "related" in name else None
    G = {"Subject": bl.UN(by="Sex")} if "by stratum" in name else G
    return bl.Model(formula, data, G=G, R=R, weights=weights).fit("reml")


def relationship():
    """Of the subjects, and of some that the data lack."""
    names = [*sorted(bl.load_dataset("Orthodont")["Subject"].unique()), "X1", "X2"]
    return pd.DataFrame(0.5 ** np.abs(np.subtract.outer(range(29), range(29))), names, names)


def dense(fit):
    """V, R, X, y and the precision and mean of beta's prior, if there is one."""
    design = fit.model.design
    V, R = fitted_covariances(fit)
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
    sums = [(hat[rows].sum(), fixed[rows].sum()) for rows in rows_by(fit, by)]
    leverages = table[["leverage", "leverage_fixed"]]
    np.testing.assert_allclose(leverages, sums, rtol=1e-9, atol=1e-11)
    names = [f"dfbetas[{name}]" for name in fit.model.design.coef]
    se = np.sqrt(np.diag(vcov))
    every = 23 if by == "row" else 1
    sets = rows_by(fit, by)
    assert len(table) == len(sets)
    for (_, row), rows in zip(list(table.iterrows())[::every], sets[::every], strict=True):
        kept = np.setdiff1d(np.arange(n), rows)
        other, its = gls(V[np.ix_(kept, kept)], X[kept], y[kept], *prior)
        change = beta - other
        np.testing.assert_allclose(row[names] * se, change, rtol=1e-9, atol=1e-9 * se.max())
        distance = change @ np.linalg.solve(vcov, change) / p
        assert row["cooks_distance"] == pytest.approx(distance, rel=1e-8, abs=1e-12)
        ratio = np.linalg.det(its @ np.linalg.inv(vcov))
        assert row["covratio"] == pytest.approx(ratio, rel=1e-8)


@pytest.mark.parametrize("name", [*PLAIN, *STRUCTURED, "map"])
def test_deletion_is_solving_without_the_rows(name):
    fit = fitted(name)
    own = fit.model.design.residuals
    by = ["row", *(factor.name for factor in fit.model.design.factors)]
    if own is not None and own.structure.group not in (None, *by):
        by.append(own.structure.group)
    with blas_threads(1):
        for unit in by:
            check(fit, unit)


def test_large_groups_are_left_out_by_solving_again(monkeypatch):
    names = ("slopes", "weighted ar1 and intercepts", "related", "map")
    groups = ("Subject", "Subject", "Subject", "Worker")
    expected = [fitted(name).influence(by) for name, by in zip(names, groups, strict=True)]
    monkeypatch.setattr(deletion, "_LARGEST", 1)
    for name, by, table in zip(names, groups, expected, strict=True):
        pd.testing.assert_frame_equal(fitted(name).influence(by), table, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("formula", "R", "held"),
    [
        ("distance ~ age + (1 | Subject)", None, ("sd_Subject[Intercept]", "sigma")),
        ("distance ~ age * Sex", bl.AR1(**WHERE), ("rho", "sigma")),
    ],
)
def test_the_model_of_the_other_rows_at_the_same_theta(formula, R, held):
    data = orthodont()
    fit = bl.Model(formula, data, R=R).fit("reml")
    priors = {name: bl.Fixed(float(fit.theta[name])) for name in held}
    for by in ("row", "Subject"):
        table = fit.influence(by).filter(like="dfbetas")
        se = fit.fixef()["std_error"].to_numpy()
        for label in table.index[:3]:
            others = data.drop(index=label) if by == "row" else data[data[by] != label]
            beta = bl.Model(formula, others, R=R, priors=priors).fit("reml").beta
            found = fit.beta - table.loc[label].to_numpy() * se
            np.testing.assert_allclose(found, beta, rtol=1e-9)


@pytest.mark.parametrize("name", ["slopes", "weights", "crossed"])
def test_leverage_is_that_of_lme4(name):
    leverage = likelihood(name).influence()["leverage"]
    np.testing.assert_allclose(leverage, REFERENCE["hatvalues"][name], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "by"), [("slopes", "Subject"), ("weights", "Subject"), ("crossed", "sample")]
)
def test_refits_are_those_of_lme4(name, by):
    fit, expected = likelihood(name), REFERENCE["deleted"][name]
    table = fit.influence(by, refit=True)
    assert list(table.index) == expected["levels"]
    se = fit.fixef()["std_error"].to_numpy()
    beta = fit.beta.to_numpy() - table.filter(like="dfbetas").to_numpy() * se
    np.testing.assert_allclose(beta / se, np.array(expected["beta"]) / se, atol=1e-4)
    np.testing.assert_allclose(table["cooks_distance"], expected["cooks"], rtol=2e-3)


@pytest.mark.parametrize(
    "name", ["strata", "by stratum", "weighted ar1 and intercepts", "related", "map"]
)
def test_refits_are_fits_to_the_other_rows(name):
    fit = fitted(name)
    by, data = fit.model.design.factors[0].name, fit.model.data
    table = fit.influence(by, refit=True)
    se = fit.fixef()["std_error"].to_numpy()
    for level in table.index[1:3]:
        others = data[data[by] != level]
        names = fit.summary().index
        priors = {key: fit.model.priors[key] for key in names} if name == "map" else None
        G = {"related": bl.Known(relationship()), "by stratum": bl.UN(by="Sex")}.get(name)
        G = None if G is None else {by: G}
        own = {"G": G, "R": fit.model.R, "weights": fit.model.weights, "priors": priors}
        model = bl.Model(fit.model.formula, others, **own)
        again = model.fit(fit.method)
        change = (fit.beta - again.beta).to_numpy()
        np.testing.assert_allclose(
            table.loc[level].filter(like="dfbetas"), change / se, rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(
            table.loc[level, list(again.theta.index)].astype(float), again.theta, rtol=2e-5
        )
        ratio = np.linalg.det(vcov(again)) / np.linalg.det(vcov(fit))
        assert table.loc[level, "covratio"] == pytest.approx(ratio, rel=1e-5)


def vcov(fit):
    return fit.solution.equations.var_beta(fit.optimum.M, fit.optimum.sigma)


@pytest.mark.slow
def test_processes_change_nothing():
    fit = likelihood("slopes")
    alone, several = (fit.influence("Subject", refit=True, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(alone, several, rtol=1e-12)


def lonely():
    """One subject alone has the level that a coefficient is of."""
    data = bl.load_dataset("Orthodont")
    return data.assign(treated=np.where(data["Subject"] == "M05", "yes", "no"))


@pytest.mark.parametrize("refit", [False, True])
def test_what_is_not_determined_without_the_rows_is_missing(refit):
    fit = bl.Model("distance ~ age + treated + (1 | Subject)", lonely()).fit("reml")
    with pytest.warns(errors.ConvergenceWarning, match="1 of 27 .* do not determine .*M05"):
        table = fit.influence("Subject", refit=refit)
    missing = table.drop(columns=["leverage", "leverage_fixed"]).isna()
    assert missing.loc["M05"].all()
    assert not missing.drop(index="M05").to_numpy().any()


BAD = {
    "unknown": (lambda fit: fit.influence("Sbject"), "Did you mean 'Subject'"),
    "no name": (lambda fit: fit.influence(["Subject"]), "unknown `by`"),
    "jobs": (lambda fit: fit.influence(jobs=2), "refit=True"),
    "refit": (lambda fit: fit.influence(refit="yes"), "True or False"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    call, match = BAD[case]
    with pytest.raises(errors.BayeslmmError, match=match):
        call(likelihood("slopes"))


def test_models_that_have_no_influence():
    with pytest.raises(errors.ArgumentError, match="no coefficients"):
        likelihood("no coefficients").influence()
    data = bl.load_dataset("Orthodont").rename(columns={"Subject": "row"})
    with pytest.raises(errors.ArgumentError, match="rename its column"):
        bl.Model("distance ~ age + (1 | row)", data).fit("reml").influence()
