"""Penalised likelihood: against REML under flat priors, and against SciPy on dense matrices."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.estimation.optimum import Status
from bayeslmm.support import scales
from tests.oracles import dense

SLEEP = bl.load_dataset("sleepstudy")
DYESTUFF2 = bl.load_dataset("Dyestuff2")
FLAT = {"beta": bl.Flat(), "sigma": bl.Uniform(0, 1e4)}


def flat(model):
    """The model with flat priors of everything."""
    kinds = {"rho": bl.Uniform(-1, 1), "corr": bl.LKJ(1), "sd": bl.Uniform(0, 1e4)}
    priors = dict(FLAT)
    for row in model.priors.rows:
        kind = row.parameter.partition("_")[0].partition("[")[0]
        if kind == "beta":
            priors[row.parameter] = bl.Flat()
            priors.pop("beta", None)
        elif kind in kinds:
            priors[row.parameter] = kinds[kind]
    return model.with_priors(priors)


def flat_beta(model):
    """The model with flat priors of the coefficients."""
    given = {row.parameter: row.prior for row in model.priors.rows if row.source == "user"}
    flat_ones = {f"beta[{name}]": bl.Flat() for name in model.design.coef}
    return model.with_priors(given | flat_ones)


@pytest.mark.parametrize(
    ("formula", "data", "R"),
    [
        ("Reaction ~ Days + (1 | Subject)", "sleepstudy", None),
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None),
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy", None),
        ("Reaction ~ Days", "sleepstudy", None),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", None),
        ("strength ~ 1 + (1 | batch/cask)", "Pastes", None),
        ("score ~ Machine + (Machine | Worker)", "Machines", None),
        ("distance ~ age * Sex", "Orthodont", bl.AR1(time="age", group="Subject")),
        ("distance ~ age * Sex", "Orthodont", bl.UN(time="age", group="Subject")),
    ],
)
def test_flat_priors_give_reml(formula, data, R):
    model = flat(bl.Model(formula, bl.load_dataset(data), R=R))
    found, reml = model.fit("map"), model.fit("reml")
    assert found.status is Status.CONVERGED
    assert found.criterion == pytest.approx(reml.optimum.criterion, rel=1e-8)
    se = reml.summary()["std_error"].to_numpy()
    difference = (found.summary()["estimate"] - reml.summary()["estimate"]).to_numpy()
    assert np.abs(difference / se).max() < 1e-4
    np.testing.assert_allclose(found.summary()["std_error"], se, rtol=1e-3)
    np.testing.assert_allclose(found.summary()["df"], reml.summary()["df"], rtol=1e-2)
    for df in ("residual", "none"):
        left, right = found.summary(df=df)["df"], reml.summary(df=df)["df"]
        np.testing.assert_array_equal(left, right)
    tolerance = 1e-4 * np.abs(reml.fitted()).max()
    np.testing.assert_allclose(found.fitted(), reml.fitted(), atol=tolerance)
    for name in reml.u:
        of_map, of_reml = found.ranef(name), reml.ranef(name)
        np.testing.assert_allclose(of_map["std_error"], of_reml["std_error"], rtol=1e-4)


INFORMED = {
    "intercept": (
        "Reaction ~ Days + (1 | Subject)",
        {
            "beta[Intercept]": bl.Normal(200, 10),
            "beta": bl.Normal(0, 3),
            "sd": bl.Gamma(3, 0.2),
            "sigma": bl.HalfNormal(20),
        },
        (
            lambda v: stats.gamma(3, scale=5).logpdf(v) - 3 * np.log(0.2) + np.log(2),
            lambda v: -0.5 * (v / 20) ** 2,
        ),
    ),
    "slope": (
        "Reaction ~ Days + (Days | Subject)",
        {
            "beta[Intercept]": bl.Normal(200, 10),
            "beta": bl.Normal(0, 3),
            "sd_Subject[Intercept]": bl.InverseGamma(3, 50),
            "sd_Subject[Days]": bl.LogNormal(1, 0.2),
            "corr": bl.LKJ(4),
            "sigma": bl.Exponential(1),
        },
        (
            lambda v: -4 * np.log(v) - 50 / v,
            lambda v: -np.log(v) - 0.5 * ((np.log(v) - 1) / 0.2) ** 2,
            lambda r: 3 * np.log(1 - r**2),
            lambda v: -v,
        ),
    ),
}


def dense_criterion(model, log_priors):
    """Half the criterion as a function of theta on its working scale, from dense matrices."""
    parameters, design, priors = model.parameters, model.design, model.priors

    def value(x):
        theta = scales.natural(x, parameters.bounds)
        ll = dense.log_likelihood(
            theta, parameters, design, priors.beta_mean, priors.beta_precision
        )
        return -ll - sum(f(t) for f, t in zip(log_priors, theta, strict=True))

    return value


@pytest.mark.parametrize("name", INFORMED)
def test_the_mode_is_that_of_scipy_on_dense_matrices(name):
    formula, priors, log_priors = INFORMED[name]
    model = bl.Model(formula, SLEEP[:60], priors=priors)
    fit = model.fit("map")
    value, bounds = dense_criterion(model, log_priors), model.parameters.bounds
    start = scales.working(model.fit("reml").optimum.theta, bounds)
    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000}
    there = minimize(value, start, method="Nelder-Mead", options=options)
    assert fit.criterion == pytest.approx(2 * there.fun, rel=1e-9)
    x = scales.working(fit.optimum.theta, bounds)
    np.testing.assert_allclose(x, there.x, atol=2e-4)
    # standard errors on the working scale
    k, h = len(x), 1e-3
    H = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            a, b = h * np.eye(k)[i], h * np.eye(k)[j]
            H[i, j] = value(x + a + b) - value(x + a - b) - value(x - a + b) + value(x - a - b)
    np.testing.assert_allclose(
        fit.optimum.vcov, np.linalg.inv(H / (4 * h * h)), rtol=0.01, atol=1e-4
    )


@pytest.mark.parametrize("name", INFORMED)
def test_coefficients_and_effects_are_posterior_moments_given_theta(name):
    formula, priors, _ = INFORMED[name]
    model = bl.Model(formula, SLEEP, priors=priors)
    fit = model.fit("map")
    design, table = model.design, model.priors
    (factor,) = design.factors
    Z, q = dense.full_Z(factor), len(factor.effects)
    G = np.kron(np.eye(len(factor.levels)), fit.G("Subject"))
    W = np.hstack([design.X, Z])
    p = len(design.coef)
    precision = np.zeros((W.shape[1], W.shape[1]))
    precision[:p, :p] = table.beta_precision
    precision[p:, p:] = np.linalg.inv(G)
    mean = np.zeros(W.shape[1])
    mean[:p] = table.beta_mean
    V = np.linalg.inv(W.T @ W / fit.sigma**2 + precision)
    w = V @ (W.T @ design.y / fit.sigma**2 + precision @ mean)
    np.testing.assert_allclose(fit.beta, w[:p], rtol=1e-8)
    np.testing.assert_allclose(fit.u["Subject"].to_numpy().ravel(), w[p:], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(fit.fixef()["std_error"], np.sqrt(np.diag(V)[:p]), rtol=1e-8)
    A = np.hstack([design.X, Z])[:20]
    expected = np.sqrt(np.diag(A @ V @ A.T))
    np.testing.assert_allclose(fit.predict(interval="mean")["std_error"][:20], expected, rtol=1e-8)
    assert fit.ranef().shape == (len(factor.levels) * q, 7)


def test_default_priors_are_about_effects_at_the_means():
    # so that the mode does not depend on where a predictor has its zero
    model = bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP)
    moved = bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP.assign(Days=SLEEP.Days + 2006))
    fit, other = model.fit("map"), moved.fit("map")
    assert other.criterion == pytest.approx(fit.criterion, rel=1e-9)
    np.testing.assert_allclose(other.fitted(), fit.fitted(), rtol=1e-5)
    slope = ["sd_Subject[Days]", "sigma"]
    np.testing.assert_allclose(other.theta[slope], fit.theta[slope], rtol=1e-4)


def test_what_keeps_a_variance_off_zero():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", DYESTUFF2)
    default = model.fit("map")
    assert default.status is Status.SINGULAR
    assert default.theta["sd_Batch[Intercept]"] == 0
    assert "bl.Gamma" in str(default.diagnose())
    row = default.summary().loc["sd_Batch[Intercept]"]
    assert np.isnan(row["std_error"])
    assert (default.u["Batch"] == 0).all(axis=None)

    # the mode from the profile of the likelihood of a balanced one-way layout
    kept = flat(model)
    priors = {row.parameter: row.prior for row in kept.priors.rows}
    kept = kept.with_priors(priors | {"sd_Batch[Intercept]": bl.Gamma(2, 1e-6)}).fit("map")
    assert kept.status is Status.CONVERGED
    within = DYESTUFF2["Yield"].groupby(DYESTUFF2["Batch"].to_numpy())
    means, ssw = (
        within.mean().to_numpy(),
        float(((within.transform("mean") - DYESTUFF2["Yield"]) ** 2).sum()),
    )
    ssb = 5 * float(((means - means.mean()) ** 2).sum())

    def half(x):
        sd, sigma = np.exp(x)
        between = sigma**2 + 5 * sd**2
        return (
            24 * np.log(sigma)
            + ssw / (2 * sigma**2)
            + 2.5 * np.log(between)
            + ssb / (2 * between)
            - np.log(sd)
        )

    there = minimize(
        half, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}
    )
    np.testing.assert_allclose(kept.theta, np.exp(there.x), rtol=1e-4)


def test_a_correlation_of_one_is_a_singular_fit():
    rng = np.random.default_rng(20)
    data = SLEEP.assign(y=np.repeat(rng.normal(0, 20, 18), 10) * (1 + SLEEP["Days"] / 10))
    data["y"] += rng.normal(0, 30, len(data))
    model = flat(bl.Model("y ~ Days + (Days | Subject)", data))
    fit, reml = model.fit("map"), model.fit("reml")
    assert reml.status is Status.SINGULAR
    assert fit.status is Status.SINGULAR
    assert fit.criterion == pytest.approx(reml.optimum.criterion, rel=1e-7)
    assert abs(fit.theta["corr_Subject[Intercept, Days]"]) == pytest.approx(1)
    np.testing.assert_allclose(fit.theta, reml.theta, rtol=1e-3)
    pair = bl.LKJ(2)
    inside = model.with_priors({"corr": pair}).fit("map")
    assert inside.status is Status.CONVERGED


def test_a_structured_effect_that_does_not_vary_leaves_its_range_undefined():
    data = bl.load_dataset("Orthodont")
    data["y"] = np.random.default_rng(3).normal(size=len(data))
    fit = bl.Model("y ~ age + exp(0 + age | Subject)", data).fit("map")
    assert fit.status is Status.SINGULAR
    assert fit.theta["sd_Subject[age]"] == 0
    assert np.isnan(fit.theta["range_Subject"])
    alone = bl.Model("y ~ age", data).fit("map")
    np.testing.assert_allclose(fit.sigma, alone.sigma, rtol=1e-5)
    assert "mode of a standard deviation is zero" in str(fit.diagnose())


def test_three_effects_with_a_singular_covariance_keep_their_standard_errors():
    data = SLEEP.assign(square=(SLEEP["Days"] - 4.5) ** 2)
    fit = bl.Model("Reaction ~ Days + (Days + square | Subject)", data).fit("map")
    table = fit.varcorr()
    sds = table["kind"] == "sd"
    assert fit.status.ok
    assert np.isfinite(table.loc[sds & (table["estimate"] > 0), "std_error"]).all()


def test_held_parameters_stay_where_they_are():
    formula = "Reaction ~ Days + (Days | Subject)"
    held = {"corr": bl.Fixed(0.0), "sigma": bl.Fixed(25.0)}
    fit = bl.Model(formula, SLEEP, priors=held | {"sd": bl.Uniform(0, 1e4)}).fit("map")
    assert fit.status is Status.CONVERGED
    assert fit.theta[["corr_Subject[Intercept, Days]", "sigma"]].tolist() == [0.0, 25.0]
    model = bl.Model(
        formula.replace("|", "||"),
        SLEEP,
        priors={"sd": bl.Uniform(0, 1e4), "sigma": bl.Fixed(25.0)},
    )
    np.testing.assert_allclose(model.fit("map").theta[:2], fit.theta[:2], rtol=1e-4)
    held_reml = flat_beta(model).fit("reml")
    np.testing.assert_allclose(flat_beta(model).fit("map").theta, held_reml.theta, rtol=1e-4)


def test_coefficients_that_cannot_be_integrated_out_are_refused():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", DYESTUFF2)
    model = model.with_priors({"beta[Intercept]": bl.StudentT(3, 0, 10)})
    with pytest.raises(errors.PriorError, match=r"integrates coefficients out.*'nuts'"):
        model.fit("map")


def test_an_infinite_prior_density_is_refused():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", DYESTUFF2, priors={"sd": bl.Gamma(0.5, 1)})
    with pytest.raises(errors.PriorError, match=r"infinite at zero.*alpha of 1 or more"):
        model.fit("map")


def test_a_response_without_noise_has_no_mode():
    data = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 6], "x": [1.0, 2, 3, 4, 5, 6]})
    with pytest.warns(errors.ConvergenceWarning, match="residual variance went to zero"):
        fit = bl.Model("y ~ x", data).fit("map")
    assert fit.status is Status.ZERO_RESIDUAL


def test_it_prints_saves_and_says_what_it_lacks(tmp_path):
    fit = bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP).fit("map")
    text = repr(fit)
    assert "penalised likelihood" in text
    assert "AIC" not in text
    assert f"{fit.criterion:.1f}" in text
    assert "Penalised criterion" in fit._repr_html_()
    assert fit.method == "map"
    assert fit.criterion == pytest.approx(-2 * (fit.loglik + fit.log_prior))
    assert fit.trace["criterion"].iloc[-1] == pytest.approx(fit.criterion)
    np.testing.assert_allclose(fit.trace[list(fit.theta.index)].iloc[-1], fit.theta, rtol=1e-4)
    with pytest.raises(errors.ArgumentError, match="MAP has no use for algorithm"):
        fit.model.fit("map", algorithm="em")
    for name in ("aic", "bic", "draws", "loo"):
        with pytest.raises(errors.MissingAttributeError, match="MAP"):
            getattr(fit, name)
    with pytest.raises(errors.ArgumentError, match="MAP has no use for"):
        fit.model.fit("map", draws=10)
    for name in ("aicc", "caic", "conditional_aic", "drop1", "profile", "bootstrap"):
        with pytest.raises(errors.MissingAttributeError, match="without penalty"):
            getattr(fit, name)
    with pytest.raises(errors.MissingAttributeError, match="without penalty"):
        fit.confint("profile")
    pd.testing.assert_series_equal(fit.confint()["lower"], fit.summary()["lower"])
    twice = fit.refit(2 * fit.model.design.y)
    assert type(twice) is bl.MapFit
    assert twice.sigma == pytest.approx(2 * fit.sigma, rel=1e-4)
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert type(again) is bl.MapFit
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    assert again.criterion == fit.criterion
    assert repr(again) == text
    assert again.simulate(1, random_seed=1).equals(fit.simulate(1, random_seed=1))
