"""A gamma prior of a precision: inverse gamma on the variance, in the convention of BUGS."""

import numpy as np
import pytest
from scipy import integrate, stats

import bayeslmm as bl
from bayeslmm.priors.kernels import log_prior, row_of
from bayeslmm.sensitivity.prior_predictive import draw_priors

PRIOR = bl.GammaPrecision(2.5, 3000.0)
SLEEP = bl.load_dataset("sleepstudy")
MODEL = bl.Model(
    "Reaction ~ Days + (Days || Subject)",
    SLEEP,
    priors={"sd": bl.GammaPrecision(1.5, 200.0), "sigma": PRIOR},
)


def test_probabilities_are_those_of_the_precision():
    code, *hyper = row_of(PRIOR, 0.0, np.inf)

    def density(x):
        return np.exp(log_prior(code, x, hyper)[0] - log_prior(code, 30.0, hyper)[0])

    total = integrate.quad(density, 0, np.inf, limit=200)[0]
    for sd in (20.0, 35.0, 60.0):
        below = integrate.quad(density, 0, sd)[0] / total
        assert below == pytest.approx(stats.gamma(2.5, scale=1 / 3000).sf(sd**-2), rel=1e-8)
        assert below == pytest.approx(stats.invgamma(2.5, scale=3000).cdf(sd**2), rel=1e-8)


def test_the_typical_value_is_the_mode_of_the_logarithm():
    sd = np.linspace(1, 100, 100_000)
    of_log = stats.invgamma(2.5, scale=3000).logpdf(sd**2) + 2 * np.log(sd)
    assert PRIOR.typical(0.0, np.inf) == pytest.approx(sd[np.argmax(of_log)], rel=1e-4)


def test_draws_from_the_prior_are_those_of_precisions():
    theta, _, _ = draw_priors(MODEL, 2000, 3)
    for place, prior in enumerate(MODEL.priors.theta):
        truth = stats.gamma(prior.alpha, scale=1 / prior.beta)
        assert stats.kstest(theta[:, place] ** -2.0, truth.cdf).pvalue > 1e-3


def test_the_posterior_of_a_sample_is_the_conjugate_one():
    """Of a sample with a known mean the precision is gamma with n/2 more and half the squares."""
    y = np.random.default_rng(4).normal(0, 40, 30)
    data = {"y": y, "x": np.ones(30)}
    model = bl.Model(
        "y ~ 0 + x",
        data,
        priors={"beta": bl.Normal(0, 1e-3), "sigma": PRIOR},
    )
    fit = model.fit("nuts", random_seed=2, progress=False)
    truth = stats.gamma(2.5 + 15, scale=1 / (3000 + np.sum(y**2) / 2))
    precision = fit.draws.theta.ravel() ** -2.0
    error = truth.std() / np.sqrt(fit.summary()["ess_bulk"].to_numpy()[-1])
    assert abs(precision.mean() - truth.mean()) < 4 * error
    np.testing.assert_allclose(precision.std(), truth.std(), rtol=0.1)
    mode = model.fit("map").sigma
    # the density of the standard deviation has the Jacobian 2/x³
    assert mode == pytest.approx(np.sqrt((3000 + np.sum(y**2) / 2) / (2.5 + 15 + 0.5)), rel=1e-6)


def test_variables_of_pymc_are_the_precisions():
    names = {v.name for v in MODEL.full_pymc().free_RVs}
    assert {"sd_Subject[Intercept]_precision", "sigma_precision"} < names
    assert "GammaPrecision(2.5, 3000)" in MODEL.describe().text


def test_it_takes_the_total_of_a_split_of_the_variance():
    split = bl.VarianceSplit(PRIOR, icc=bl.Beta(2, 2))
    model = bl.Model("Reaction ~ Days + (1 | Subject)", SLEEP, priors={"V": split})
    theta, _, _ = draw_priors(model, 2000, 5)
    total = (theta**2).sum(axis=1)
    assert stats.kstest(total, stats.invgamma(2.5, scale=3000).cdf).pvalue > 1e-3
    assert "V_total_precision" in model.code()


@pytest.mark.parametrize(
    ("key", "message"),
    [("beta", "a coefficient can be any number"), ("corr_Subject", "it is a correlation matrix")],
)
def test_it_is_for_standard_deviations(key, message):
    with pytest.raises(bl.PriorError, match=message):
        bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP, priors={key: PRIOR})
