"""Residuals of every kind, against dense matrices and nlme."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.effects import residuals as residual_kinds
from tests.oracles.dense import fitted_covariances
from tests.oracles.fits_cache import likelihood, posterior

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "influence.json").read_text(encoding="utf-8")
)["residuals"]
WHERE = {"time": "occ", "group": "Subject"}
KINDS = ("standardized", "studentized", "normalized")
MODELS = {
    "ar1": ("distance ~ age * Sex", bl.AR1(**WHERE), None),
    "car1": (
        "distance ~ age + (1 | Subject)",
        bl.CAR1(time="age", group="Subject", variance=bl.VarIdent("Sex")),
        None,
    ),
    "weights": ("distance ~ age + (age | Subject)", None, "w"),
    "related": ("distance ~ age + (age | Subject)", None, "w"),
    "both": ("distance ~ age + (1 | Subject) + (1 | Sex:occ)", bl.AR1(**WHERE), "w"),
}


def orthodont():
    data = bl.load_dataset("Orthodont")
    return data.assign(occ=(data["age"] - 8) // 2 + 1, w=np.linspace(1, 2, len(data)))


@cache
def fitted(name):
    formula, R, weights = MODELS[name]
    names = orthodont()["Subject"].unique()
    K = np.diag(np.linspace(1, 2, 27)) + 0.3
    G = {"Subject": bl.Known(pd.DataFrame(K, names, names))} if name == "related" else None
    return bl.Model(formula, orthodont(), G=G, R=R, weights=weights).fit("reml")


def dense(fit, marginal):
    """Residuals, the covariance matrix of what they are about, and their own."""
    design = fit.model.design
    V, R = fitted_covariances(fit)
    X, inverse = design.X, np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.inv(X.T @ inverse @ X) @ X.T @ inverse
    if marginal:
        return V @ P @ design.y, V, V @ P @ V
    return R @ P @ design.y, R, R @ P @ R


@pytest.mark.parametrize("marginal", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_kinds(name, marginal):
    fit = fitted(name)
    values, about, own = dense(fit, marginal)
    expected = {
        "response": values,
        "pearson": values * np.sqrt(1 if MODELS[name][2] is None else fit.model.design.weights),
        "standardized": values / np.sqrt(np.diag(about)),
        "studentized": values / np.sqrt(np.diag(own)),
        "normalized": np.linalg.solve(np.linalg.cholesky(about), values),
    }
    for kind, value in expected.items():
        found = fit.residuals(kind, marginal=marginal)
        np.testing.assert_allclose(found, value, rtol=1e-7, atol=1e-9, err_msg=kind)
        assert found.index.equals(fit.model.data.index)


@pytest.mark.parametrize("name", ["ar1", "car1"])
def test_residuals_are_those_of_nlme(name):
    for kind, values in REFERENCE[name].items():
        np.testing.assert_allclose(fitted(name).residuals(kind), values, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marginal", [False, True])
def test_the_order_of_rows_does_not_matter_where_occasions_have_one(kind, marginal):
    formula, R, _ = MODELS["ar1"]
    shuffled = bl.Model(formula, orthodont().sample(frac=1, random_state=3), R=R).fit("reml")
    found = shuffled.residuals(kind, marginal=marginal).sort_index()
    np.testing.assert_allclose(found, fitted("ar1").residuals(kind, marginal=marginal), rtol=1e-5)


@pytest.mark.parametrize("marginal", [False, True])
def test_a_posterior_has_those_of_its_means(marginal):
    fit = posterior("slopes")
    values = fit.model.design.y - fit.predict(groups="none" if marginal else "all")["estimate"]
    np.testing.assert_allclose(fit.residuals(marginal=marginal), values)
    level = fit.model.design.factors[0].levels[2]
    rows = np.flatnonzero(fit.model.data["Subject"] == level)
    V = (fit.V if marginal else fit.R)(level).to_numpy()
    own = values.to_numpy()[rows]
    whitened = np.linalg.solve(np.linalg.cholesky(V), own)
    sds = own / np.sqrt(np.diag(V))
    np.testing.assert_allclose(fit.residuals("normalized", marginal).to_numpy()[rows], whitened)
    np.testing.assert_allclose(fit.residuals("standardized", marginal).to_numpy()[rows], sds)
    with pytest.raises(errors.ArgumentError, match="repeated samples"):
        fit.residuals("studentized", marginal)


@pytest.mark.parametrize("method", ["reml", "nuts"])
def test_quantile_residuals_are_ranks_among_responses_with_new_groups(method):
    """As DHARMa has them, by simulation."""
    fit = posterior("weights") if method == "nuts" else likelihood("weights")
    n = 4000
    y = fit.simulate(n, random_seed=1).to_numpy()
    rank = (y < fit.model.design.y).mean(axis=0)
    found = fit.residuals("quantile", marginal=True).to_numpy()
    error = np.sqrt(found * (1 - found) / n + 1 / n**2)
    assert (abs(rank - found) < 4.5 * error).all()


def test_quantile_residuals_given_the_groups_are_those_of_each_draw():
    fit = posterior("intercepts")
    draws, design = fit.posterior, fit.model.design
    beta, u = draws["beta"].to_numpy(), draws["u_Subject"].to_numpy()[..., 0]
    means = beta @ design.X.T + u[..., design.factors[0].codes]
    z = (design.y - means) / draws["sigma"].to_numpy()[..., None]
    found = fit.residuals("quantile")
    np.testing.assert_allclose(found, stats.norm.cdf(z).mean(axis=(0, 1)))
    point = likelihood("intercepts")
    expected = stats.norm.cdf(point.residuals("standardized"))
    np.testing.assert_allclose(point.residuals("quantile"), expected)
    labels = [axis.get_ylabel() for axis in point.plot.residuals("quantile").figure.axes]
    assert "Quantile residual - ½" in labels


def test_what_is_refused(monkeypatch):
    fit = likelihood("slopes")
    with pytest.raises(errors.ArgumentError, match="marginal=True"):
        fit.residuals("marginal")
    with pytest.raises(errors.ArgumentError, match="the default"):
        fit.residuals("conditional")
    with pytest.raises(errors.ArgumentTypeError, match="True or False"):
        fit.residuals(marginal="yes")
    monkeypatch.setattr(residual_kinds, "_LARGEST", 5)
    with pytest.raises(errors.ArgumentError, match="10 rows here"):
        fit.residuals("normalized", marginal=True)
