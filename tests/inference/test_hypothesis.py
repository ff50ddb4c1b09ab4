"""Hypotheses about quantities: t tests, the delta method, posteriors and Bayes factors."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.inference.savage_dickey import _density_at_zero
from tests.oracles.fits_cache import likelihood, posterior


def test_linear_functions_of_coefficients_are_those_of_contrast():
    fit = likelihood("three effects")
    texts = ["Machine[C] - Machine[B] = 0", "Machine[C] = Machine[B] + 3"]
    found = fit.hypothesis(texts, level=0.9, df="kenward-roger")
    L = {"Machine[C]": 1, "Machine[B]": -1}
    expected = fit.contrast(L, level=0.9, df="kenward-roger").iloc[0]
    np.testing.assert_allclose(found.iloc[0], expected)
    shifted = fit.contrast(L, 3.0, df="kenward-roger").iloc[0]
    columns = ["std_error", "df", "t", "p"]
    np.testing.assert_allclose(found.loc[texts[1], columns], shifted[columns])
    np.testing.assert_allclose(found["estimate"].iloc[1], expected["estimate"] - 3)
    for text in texts[:1]:
        np.testing.assert_allclose(fit.contrast(text).iloc[0], fit.contrast(L).iloc[0])
    joint = fit.test(["Machine[B] = 0", "Machine[B] = Machine[C]"])
    np.testing.assert_allclose(joint, fit.test(["Machine[B]", "Machine[C]"]))


def test_p_is_one_sided_where_the_hypothesis_has_a_side():
    table = likelihood("slopes").hypothesis(["Days = 5", "Days > 5", "Days < 5"])
    p = table["p"].to_list()
    t = table["t"].iloc[0]
    np.testing.assert_allclose(p[0], 2 * stats.t.sf(abs(t), 17.0), rtol=1e-4)
    np.testing.assert_allclose([p[1], p[2]], [p[0] / 2, 1 - p[0] / 2])


@pytest.mark.parametrize("method", ["reml", "map"])
def test_covariance_parameters_have_the_standard_errors_of_the_tables(method):
    fit = likelihood("slopes", method)
    texts = ["sd_Subject[Days] > 3", "corr_Subject[Intercept, Days] = 0", "sigma**2 = 600"]
    found = fit.hypothesis(texts)
    summary, variances = fit.summary(), fit.varcorr(scale="variance")
    rows = ["sd_Subject[Days]", "corr_Subject[Intercept, Days]"]
    expected = [*summary.loc[rows, "std_error"], variances["std_error"].iloc[-1]]
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-6)
    z = (summary["estimate"]["sd_Subject[Days]"] - 3) / expected[0]
    np.testing.assert_allclose(found["p"].iloc[0], stats.norm.sf(z), rtol=1e-6)


def test_shares_are_those_of_the_tables():
    fit = likelihood("crossed")
    names = ["icc", "icc[unadjusted]", "icc[plate]", "r2[conditional]"]
    found = fit.hypothesis([f"{name} = 0" for name in names])[["estimate", "std_error"]]
    icc, r2 = fit.icc(), fit.r2()
    rows = [icc.loc["adjusted"], icc.loc["unadjusted"], icc.loc["plate"], r2.loc["conditional"]]
    np.testing.assert_allclose(found, [row[["estimate", "std_error"]] for row in rows])


def test_what_is_on_the_boundary_has_no_test():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    table = fit.hypothesis(["sd_Batch[Intercept] > 1", "sigma > 1"])
    assert table["std_error"].isna().to_list() == [True, False]
    assert np.isnan(table["p"].iloc[0])


def test_of_a_posterior():
    fit = posterior("slopes")
    texts = ["Days > 10", "Days < 10", "sd_Subject[Days]**2 / sigma**2 > 0.05"]
    table = fit.hypothesis(texts, rope=(-1, 2))
    days = fit.posterior["beta"].sel(coef="Days").to_numpy() - 10
    ratio = (fit.posterior["sd_Subject"][..., 1] ** 2 / fit.posterior["sigma"] ** 2).to_numpy()
    expected = [np.mean(days > 0), np.mean(days < 0), np.mean(ratio > 0.05)]
    np.testing.assert_allclose(table["probability"], expected)
    odds = np.divide(expected, np.subtract(1, expected))
    np.testing.assert_allclose(table["evidence_ratio"], odds)
    np.testing.assert_allclose(table["rope"].iloc[0], np.mean((days >= -1) & (days <= 2)))
    np.testing.assert_allclose(table["estimate"].iloc[2], ratio.mean() - 0.05)
    np.testing.assert_allclose(table.draws.sel(hypothesis="Days > 10"), days)
    assert table["bayes_factor"].isna().all()


def conjugate():
    """A regression with a known residual standard deviation, whose posterior is normal."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=30)
    data = pd.DataFrame({"x": x, "y": 1 + 0.3 * x + rng.normal(0, 1.2, 30)})
    priors = {
        "beta[Intercept]": bl.Normal(0, 5),
        "beta[x]": bl.Normal(0.2, 0.8),
        "sigma": bl.Uniform(1.2, 1.2 + 1e-9),
    }
    model = bl.Model("y ~ x", data, priors=priors)
    X, prior = np.column_stack([np.ones(30), x]), np.diag([1 / 25, 1 / 0.64])
    V = np.linalg.inv(X.T @ X / 1.44 + prior)
    mean = V @ (X.T @ data["y"] / 1.44 + prior @ [0, 0.2])
    return model, mean, V


def test_bayes_factors_are_those_of_the_conjugate_case():
    model, mean, V = conjugate()
    fit = model.fit("nuts", random_seed=1, progress=False)
    texts = ["x = 0", "Intercept - x = 1", "exp(x) = 1"]
    table = fit.hypothesis(texts)
    exact = stats.norm.pdf(0, mean[1], np.sqrt(V[1, 1])) / stats.norm.pdf(0, 0.2, 0.8)
    np.testing.assert_allclose(table["bayes_factor"]["x = 0"], exact, rtol=1e-6)
    w = np.array([1, -1])
    other = stats.norm.pdf(1, w @ mean, np.sqrt(w @ V @ w))
    other /= stats.norm.pdf(1, -0.2, np.sqrt(25 + 0.64))
    np.testing.assert_allclose(table["bayes_factor"].iloc[1], other, rtol=1e-6)
    # the same point on another scale, whose densities have the same ratio: by kernels
    value, error = table.loc["exp(x) = 1", ["bayes_factor", "bayes_factor_error"]]
    assert 0 < error < 0.15 * value
    assert abs(value - exact) < 4 * error


def test_an_improper_prior_has_no_bayes_factor():
    model, _, _ = conjugate()
    flat = model.update_priors({"beta[x]": bl.Flat()})
    table = flat.fit("nuts", random_seed=1, progress=False).hypothesis(
        ["x = 0", "Intercept = 0", "x**3 = 1", "r2[marginal] = 0.1", "exp(Intercept) = 2"]
    )
    assert table["bayes_factor"].isna().to_list() == [True, False, True, True, False]


def test_a_density_at_the_end_of_its_support():
    draws = np.abs(np.random.default_rng(1).normal(0, 2, (4, 5000)))
    value, error = _density_at_zero(draws, (0.0, np.inf))
    assert abs(value - stats.halfnorm(scale=2).pdf(0)) < 4 * error
    assert error < 0.05 * value


REFUSED = [
    (lambda: likelihood("slopes").hypothesis([]), bl.ArgumentError, "no hypothesis"),
    (lambda: likelihood("slopes").hypothesis("r2 > 0.5"), bl.ArgumentError, "r2.marginal"),
    (lambda: likelihood("slopes").hypothesis(["Days > 1"] * 2), bl.ArgumentError, "twice"),
    (lambda: likelihood("slopes").hypothesis([3]), bl.ArgumentTypeError, "got int"),
    (lambda: posterior("slopes").hypothesis("Days > 1", rope=-1), bl.ArgumentError, "`rope`"),
    (lambda: posterior("slopes").hypothesis("Days > 1", rope="x"), bl.ArgumentError, "`rope`"),
    (lambda: likelihood("slopes").contrast("Days**2"), bl.ArgumentError, "a sum of coefficients"),
    (lambda: likelihood("slopes").contrast("Days > 2"), bl.ArgumentError, "is for equations"),
    (lambda: likelihood("slopes").contrast("Days = 2"), bl.ArgumentError, "which is for `rhs`"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
