"""R² and intraclass correlations: against R's performance, dense algebra and simulation."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from tests.oracles.dense import marginal_covariance
from tests.oracles.fits_cache import likelihood, posterior

# R 4.2.2, lme4 1.1.31 by REML, performance 0.10.2: r2_nakagawa(fit), icc(fit).
# Marginal and conditional R²; adjusted and unadjusted ICC.
PERFORMANCE = {
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)"): (
        *(0.278652042562012, 0.799218896977232),
        *(0.721658457679865, 0.520566854415219),
    ),
    ("Orthodont", "distance ~ age * Sex + (age | Subject)"): (
        *(0.409460457256162, 0.806176888476859),
        *(0.671786396178356, 0.396716431220697),
    ),
    ("Oats", "yield ~ Variety * nitroF + (1 | Block/Variety)"): (
        *(0.385114729598413, 0.781187559325232),
        *(0.644141027265362, 0.396072829726818),
    ),
    ("Machines", "score ~ Machine + (Machine | Worker)"): (
        *(0.467700142033384, 0.98694223332608),
        *(0.975469152436372, 0.519242091292697),
    ),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"): (
        *(0.0, 0.936336844988435),
        *(0.936336844988435, 0.936336844988435),
    ),
    ("Dyestuff", "Yield ~ 1 + (1 | Batch)"): (
        *(0.0, 0.418487406803533),
        *(0.418487406803533, 0.418487406803533),
    ),
}


def data(name):
    frame = bl.load_dataset(name)
    return frame.assign(nitroF=frame["nitro"].astype(str)) if name == "Oats" else frame


@pytest.mark.parametrize(("dataset", "formula"), PERFORMANCE)
def test_they_are_those_of_performance(dataset, formula):
    fit = bl.Model(formula, data(dataset)).fit("reml")
    r2, icc = fit.r2()["estimate"], fit.icc()["estimate"]
    found = [r2["marginal"], r2["conditional"], icc["adjusted"], icc["unadjusted"]]
    np.testing.assert_allclose(found, PERFORMANCE[dataset, formula], rtol=1e-6, atol=1e-12)


def test_shares_of_grouping_factors_are_those_of_their_variances():
    fit = likelihood("crossed")
    variance = {"plate": fit.G("plate").iloc[0, 0], "sample": fit.G("sample").iloc[0, 0]}
    around = sum(variance.values()) + fit.sigma**2
    table = fit.icc()
    assert list(table.index) == ["adjusted", "unadjusted", "plate", "sample"]
    for name, own in variance.items():
        np.testing.assert_allclose(table["estimate"][name], own / around)
        np.testing.assert_allclose(fit.icc(name)["estimate"], own / around)


def shares(model, values):
    """R² and ICC by dense algebra, of theta and beta."""
    k = len(model.parameters)
    theta, beta = values[:k], values[k:]
    V = marginal_covariance(theta, model.parameters, model.design)
    fixed = np.var(model.design.X @ beta, ddof=1)
    around, residual = np.diag(V).mean(), theta[-1] ** 2
    total = fixed + around
    return np.array(
        [fixed / total, 1 - residual / total, 1 - residual / around, (around - residual) / total]
    )


def minus_loglik(model, values):
    """Of ML, by dense algebra."""
    k = len(model.parameters)
    V = marginal_covariance(values[:k], model.parameters, model.design)
    e = model.design.y - model.design.X @ values[k:]
    return 0.5 * (np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e))


def test_standard_errors_are_those_of_the_observed_information():
    """The Hessian of theta and beta together, by differences of the dense likelihood."""
    rows = data("Orthodont").iloc[:60].drop(index=[2, 7, 11, 30])  # beta moves with theta
    model = bl.Model("distance ~ age + (age | Subject)", rows)
    fit = model.fit("ml")
    x = np.concatenate([fit.theta, fit.beta])
    h = 2e-4 * np.maximum(np.abs(x), 0.1)
    steps = np.diag(h)
    hessian = np.empty((len(x), len(x)))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            around = [minus_loglik(model, x + s * a + t * b) for s in (1, -1) for t in (1, -1)]
            hessian[i, j] = np.dot([1, -1, -1, 1], around) / (4 * h[i] * h[j])
    slopes = np.stack(
        [(shares(model, x + a) - shares(model, x - a)) / (2 * a.max()) for a in steps]
    )
    expected = np.sqrt(np.diag(slopes.T @ np.linalg.inv(hessian) @ slopes))
    found = np.concatenate([fit.r2()["std_error"], fit.icc()["std_error"]])
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_intervals_are_symmetric_on_the_logit_scale():
    table = likelihood("intercepts").icc(level=0.9)
    logit = np.log(table[["estimate", "lower", "upper"]] / (1 - table))
    half = 1.6448536 * table["std_error"] / (table["estimate"] * (1 - table["estimate"]))
    np.testing.assert_allclose(logit["upper"] - logit["estimate"], half, rtol=1e-6)
    np.testing.assert_allclose(logit["estimate"] - logit["lower"], half, rtol=1e-6)


def test_of_a_posterior_they_are_those_of_the_draws():
    fit = posterior("intercepts")
    draws = fit.posterior
    random, residual = draws["sd_Subject"][..., 0].to_numpy() ** 2, draws["sigma"].to_numpy() ** 2
    icc = random / (random + residual)
    table = fit.icc(level=0.8)
    np.testing.assert_allclose(table.draws.sel(quantity="adjusted"), icc)
    expected = [icc.mean(), icc.std(ddof=1), *np.quantile(icc, [0.1, 0.9])]
    np.testing.assert_allclose(table.loc["adjusted"], expected)
    fixed = np.var(fit.model.data["Days"], ddof=1) * draws["beta"][..., 1].to_numpy() ** 2
    marginal = fixed / (fixed + random + residual)
    np.testing.assert_allclose(fit.r2().draws.sel(quantity="marginal"), marginal)
    assert fit.r2().draws.dims == ("chain", "draw", "quantity")


def test_r2_within_and_between_levels():
    """The mean of a covariate over a level has the coefficient of the context, and only that."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(3, 9, 30)
    g = np.repeat(np.arange(30), sizes)
    x = rng.normal(0, 1, 30)[g] + rng.normal(0, 2, len(g))
    mean = pd.Series(x).groupby(g).transform("mean").to_numpy()
    y = 3 * mean + (x - mean) + rng.normal(0, 1.5, 30)[g] + rng.normal(0, 1, len(g))
    frame = pd.DataFrame({"y": y, "x": x, "mean": mean, "inside": x - mean, "g": g.astype(str)})
    model = bl.Model("y ~ inside + mean + (1 + inside | g)", frame)
    fit = model.fit("reml")
    b, G = fit.beta, fit.G("g").to_numpy()
    inside = b["inside"] ** 2 * np.var(frame["inside"], ddof=1)
    between = b["mean"] ** 2 * np.var(mean, ddof=1)
    slopes = G[1, 1] * np.mean(frame["inside"] ** 2)
    found = fit.r2("g")["estimate"]
    np.testing.assert_allclose(found["within"], inside / (inside + slopes + fit.sigma**2))
    np.testing.assert_allclose(found["between"], between / (between + G[0, 0]))


def test_where_a_variance_is_zero_the_bootstrap_has_the_interval():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    table = fit.icc()
    assert (table["estimate"] == 0).all()
    assert table[["std_error", "lower", "upper"]].isna().to_numpy().all()
    refits = fit.icc(method="bootstrap", n=60, random_seed=1)
    assert refits["lower"]["adjusted"] == 0
    assert 0 < refits["upper"]["adjusted"] < 0.7


def test_the_bootstrap_is_that_of_the_refits():
    fit = likelihood("intercepts")
    draws = fit.bootstrap(50, random_seed=2)["posterior"]
    random, residual = draws["sd_Subject"][0, :, 0] ** 2, draws["sigma"][0] ** 2
    icc = (random / (random + residual)).to_numpy()
    table = fit.icc(method="bootstrap", n=50, random_seed=2)
    expected = [
        fit.icc()["estimate"]["adjusted"],
        icc.std(ddof=1),
        *np.quantile(icc, [0.025, 0.975]),
    ]
    np.testing.assert_allclose(table.loc["adjusted"], expected)


@cache
def shown(kind):
    fit = posterior("intercepts") if kind == "nuts" else likelihood("intercepts")
    return fit.icc(), fit.r2()


@pytest.mark.parametrize("kind", ["reml", "nuts"])
def test_the_definition_is_printed_with_the_number(kind):
    icc, r2 = shown(kind)
    assert f"{icc['estimate']['adjusted']:.4f}" in str(icc)
    assert "random / (random + residual)" in str(icc)
    assert "Nakagawa and Schielzeth 2013" in str(r2)
    assert "Johnson 2014" in r2.definition
    assert "random / (random + residual)" in icc._repr_html_()
    assert type(icc.round(2)) is pd.DataFrame
    assert list(icc.columns) == ["estimate", "std_error", "lower", "upper"]


REFUSED = [
    (lambda: likelihood("no random effects").icc(), "has no random effects"),
    (lambda: likelihood("intercepts").icc("Subjct"), "Did you mean 'Subject'"),
    (lambda: likelihood("intercepts").r2("Days"), "'Days'"),
    (lambda: likelihood("intercepts").r2(n=3), "draws nothing"),
    (lambda: likelihood("intercepts").r2(method="profile"), "'delta', 'bootstrap'"),
    (lambda: likelihood("intercepts").icc().draws, "point estimate and has no draws"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals(call, message):
    with pytest.raises(bl.ArgumentError, match=message):
        call()
