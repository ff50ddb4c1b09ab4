"""Parameters held by `Fixed`, on all ways of fitting."""

import numpy as np
import pytest
from scipy import integrate

import bayeslmm as bl
from bayeslmm.estimation.posterior.density import Density
from tests.oracles.dense import profiled

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

SLEEP = "Reaction ~ Days + (Days | Subject)"


def sleepstudy(**held):
    return bl.Model(SLEEP, bl.load_dataset("sleepstudy"), priors=held or None)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("key", "parameter"),
    [
        ("sigma", "sigma"),
        ("sd_Subject[Days]", "sd_Subject[Days]"),
        ("corr_Subject", "corr_Subject[Intercept, Days]"),
    ],
)
def test_held_at_its_estimate_the_others_keep_theirs(key, parameter, method):
    model = sleepstudy()
    free = model.fit(method)
    held = model.with_priors({key: bl.Fixed(free.theta[parameter])}).fit(method)
    np.testing.assert_allclose(held.loglik, free.loglik, rtol=1e-10)
    np.testing.assert_allclose(held.theta, free.theta, rtol=1e-4)
    np.testing.assert_allclose(held.beta, free.beta, rtol=1e-6)
    assert held.n_parameters == free.n_parameters - 1
    row = held.summary().loc[parameter]
    assert row["std_error"] == 0
    assert row["lower"] == row["upper"] == row["estimate"] == free.theta[parameter]
    # a standard error given another parameter is no larger than without it
    errors = held.summary()["std_error"] / free.summary()["std_error"]
    assert (errors.drop(parameter) < 1 + 1e-4).all()


DENSE = [
    {"sigma": 20},
    {"sd": 10},
    {"corr_Subject": -0.4},
    {"sd_Subject[Intercept]": 40, "sigma": 30},
    {"sd_Subject[Days]": 2, "corr": 0.3},
]


@pytest.mark.parametrize("given", DENSE, ids=str)
def test_maximum_is_that_of_dense_algebra(given):
    model = sleepstudy(**{key: bl.Fixed(value) for key, value in given.items()})
    fit = model.fit("reml")
    assert fit.status.ok
    value = profiled(fit.theta.to_numpy(), model.parameters, model.design)["reml"]
    np.testing.assert_allclose(fit.loglik, value, rtol=1e-9)

    def at(i, step):
        theta = fit.theta.to_numpy().copy()
        theta[i] += step
        return profiled(theta, model.parameters, model.design)["reml"]

    for i in np.flatnonzero(~model.held):
        step = 0.01 * abs(fit.theta.iloc[i])
        up, down = at(i, step), at(i, -step)
        assert up < value > down
        newton = step * (up - down) / (2 * (2 * value - up - down))
        assert abs(newton) < 0.01 * step


def test_a_variance_of_zero_beside_a_held_one():
    model = bl.Model(
        "Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2"), priors={"sigma": bl.Fixed(3.7)}
    )
    fit = model.fit("reml")
    assert fit.status.value.startswith("converged to a singular fit")
    assert fit.theta["sd_Batch[Intercept]"] == 0
    assert fit.n_parameters == 2
    value = profiled(np.array([0.0, 3.7]), model.parameters, model.design)["reml"]
    np.testing.assert_allclose(fit.loglik, value, rtol=1e-10)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_everything_held(method):
    given = {"sd_Subject": bl.Fixed(20), "corr": bl.Fixed(0.1), "sigma": bl.Fixed(30)}
    model = sleepstudy(**given)
    fit = model.fit(method)
    assert fit.n_parameters == 2
    value = profiled(np.array([20, 20, 0.1, 30.0]), model.parameters, model.design)[method]
    np.testing.assert_allclose(fit.loglik, value, rtol=1e-10)


def test_a_correlation_of_the_residuals():
    data, R = bl.load_dataset("Orthodont"), bl.AR1(time="age", group="Subject")
    free = bl.Model("distance ~ age", data, R=R).fit("reml")
    held = bl.Model(
        "distance ~ age", data, R=R, priors={"rho": bl.Fixed(float(free.theta["rho"]))}
    ).fit("reml")
    np.testing.assert_allclose(held.loglik, free.loglik, rtol=1e-9)
    np.testing.assert_allclose(held.sigma, free.sigma, rtol=1e-4)
    assert held.n_parameters == free.n_parameters - 1


@pytest.mark.parametrize("given", DENSE, ids=str)
def test_posterior_density_given_what_is_held(given):
    """It is that of all of theta, along the part of the space in which the held ones are so."""
    # exponential priors and uniform correlations: about the effects as reported
    others = {"sd": bl.Exponential(0.05), "sigma": bl.Exponential(0.05), "corr": bl.LKJ(1)}
    others = {key: prior for key, prior in others.items() if key not in given}
    if "corr_Subject" in given or "sd_Subject[Intercept]" in given:
        others.pop("corr" if "corr_Subject" in given else "sigma", None)
    held = sleepstudy(**others, **{key: bl.Fixed(value) for key, value in given.items()})
    density = Density.of(held.equations, held.priors)
    m = int((~held.held).sum())
    assert density.dim == m
    rng = np.random.default_rng(1)
    z = density.unconstrained(np.array([20, 6.0, 0.2, 25])) + 0.1 * rng.standard_normal(m)
    theta = density.theta(z)
    np.testing.assert_allclose(theta[held.held], held.priors.with_held(theta)[held.held], rtol=1e-9)
    steps = 1e-6 * np.eye(m)
    numeric = [(density(z + e)[0] - density(z - e)[0]) / 2e-6 for e in steps]
    np.testing.assert_allclose(density(z)[1], numeric, rtol=1e-5, atol=1e-5)


def test_posterior_is_that_of_quadrature():
    data = bl.load_dataset("Dyestuff")
    priors = {"sigma": bl.Fixed(50), "sd_Batch": bl.HalfNormal(40)}
    model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors=priors)
    table = model.priors

    def weight(sd):
        value, _ = model.equations.collapsed(
            np.array([sd, 50.0]), table.beta_mean, table.beta_precision
        )
        return np.exp(value + 165 - 0.5 * (sd / 40) ** 2)

    total, mean = (
        integrate.quad(lambda sd, k=k: sd**k * weight(sd), 0, 300, limit=200)[0] for k in (0, 1)
    )
    fit = model.fit("nuts", random_seed=4, progress=False)
    summary = fit.summary()
    error = summary.loc["sd_Batch[Intercept]", "mcse"]
    assert abs(summary.loc["sd_Batch[Intercept]", "estimate"] - mean / total) < 5 * error
    assert summary.loc["sigma", ["estimate", "std_error", "lower", "upper"]].tolist() == [
        50,
        0,
        50,
        50,
    ]
    assert np.isnan(summary.loc["sigma", "r_hat"])
    assert fit.diagnose().ok
    assert "50" in repr(fit)


def test_nuts_where_everything_is_held():
    data = bl.load_dataset("Dyestuff")
    priors = {"sigma": bl.Fixed(50), "sd_Batch": bl.Fixed(40), "beta[Intercept]": bl.Flat()}
    model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors=priors)
    fit = model.fit("nuts", random_seed=4, progress=False)
    assert fit.draws.theta.shape == (4, 1000, 2)
    reml = model.fit("reml")
    estimate, error = reml.summary().loc["beta[Intercept]", ["estimate", "std_error"]]
    draws = fit.draws.beta.ravel()
    assert abs(draws.mean() - estimate) < 5 * error / np.sqrt(len(draws))
    np.testing.assert_allclose(draws.std(), error, rtol=0.05)
    assert fit.diagnose().ok


def test_a_file_keeps_what_is_held(tmp_path):
    fit = sleepstudy(sigma=bl.Fixed(25)).fit("reml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert again.model.priors["sigma"] == bl.Fixed(25)
    assert again.n_parameters == fit.n_parameters == 5
    np.testing.assert_allclose(again.summary().to_numpy(), fit.summary().to_numpy())


def test_pymc_model_has_what_is_held_as_numbers():
    model = sleepstudy(**{"corr": bl.Fixed(0.2), "sd_Subject[Days]": bl.Fixed(6)})
    assert {v.name for v in model.pymc.free_RVs} == {"sd_Subject[Intercept]", "sigma"}
    theta = [
        float(model.pymc["corr_Subject"].eval()[0]),
        float(model.pymc["sd_Subject[Days]"].eval()),
    ]
    np.testing.assert_allclose(theta, [0.2, 6])


def test_the_trace_of_a_fit_with_a_held_parameter():
    fit = sleepstudy(sigma=bl.Fixed(25)).fit("reml")
    np.testing.assert_allclose(fit.trace["sigma"], 25)
    last = fit.trace["criterion"].min()
    np.testing.assert_allclose(last, -2 * fit.loglik, atol=1e-4)
    with pytest.raises(bl.ArgumentError, match="some are held by Fixed"):
        sleepstudy(sigma=bl.Fixed(25)).fit("reml", algorithm="em")


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit: fit.profile(),
        lambda fit: fit.bootstrap(10),
        lambda fit: fit.summary(df="kenward-roger"),
    ],
)
def test_what_supposes_that_everything_is_estimated_says_so(ask):
    fit = sleepstudy(sigma=bl.Fixed(25)).fit("reml")
    with pytest.raises(bl.ArgumentError, match="all estimated, but sigma is held by Fixed; use"):
        ask(fit)


def test_without_an_estimated_parameter_tests_are_by_z():
    held = {"sd": bl.Fixed(20), "corr_Subject": bl.Fixed(0.1), "sigma": bl.Fixed(25)}
    fit = sleepstudy(**held).fit("reml")
    table, normal = fit.summary().iloc[:2], fit.summary(df="none").iloc[:2]
    assert np.isinf(table["df"]).all()
    np.testing.assert_array_equal(table, normal)
