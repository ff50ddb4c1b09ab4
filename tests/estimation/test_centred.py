"""Covariates of variances that are far from zero: the fits are those with them about their means.

Sigma is the standard deviation where the covariate is zero, so that all else is the same.
"""

from functools import cache

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.errors import ConvergenceWarning, DataError
from bayeslmm.estimation.likelihood.centred import centred

CHILDREN = bl.load_dataset("Orthodont")
CHILDREN = CHILDREN.assign(middle=CHILDREN["age"] - 11, year=CHILDREN["age"] + 1999)
FAR = 2010.0
CASES = {
    "residuals": ("distance ~ age * Sex", {}, {}),
    "beside an intercept": ("distance ~ age * Sex + (1 | Subject)", {}, {}),
    "beside slopes": ("distance ~ age * Sex + (middle | Subject)", {}, {}),
    "of strata": ("distance ~ age * Sex + (1 | Subject)", {"by": "Sex"}, {}),
    "times VarIdent": ("distance ~ age * Sex + (1 | Subject)", {"Sex": True}, {}),
    "of effects": ("distance ~ age * Sex + (0 + {t} | Subject)", None, {}),
    "of effects of strata": ("distance ~ age * Sex + (0 + {t} | Subject)", None, {"by": "Sex"}),
}
every_case = pytest.mark.parametrize("name", CASES)


def model(name: str, time: str) -> bl.Model:
    formula, own, of_effects = CASES[name]
    grows = bl.VarExp(time)
    if own is None:
        G = {"Subject": bl.CS(variance=grows, **of_effects)}
        return bl.Model(formula.format(t=time), CHILDREN, G=G)
    variance = [grows, bl.VarIdent("Sex")] if own.get("Sex") else grows
    return bl.Model(formula, CHILDREN, R=bl.ID(variance=variance, by=own.get("by")))


@cache
def fit(name: str, time: str, method: str):
    return model(name, time).fit(method)


def at_zero(name: str) -> np.ndarray:
    """Theta of years from that of the middle: standard deviations at the year zero."""
    weights = centred(model(name, "year").equations).weights
    theta = fit(name, "middle", "reml").optimum.theta
    # the middle is the mean but for the rows of a stratum, which all have the same ages here
    grown = np.where(weights.any(axis=0), FAR * theta, 0.0)
    return theta * np.exp(-((weights != 0) @ grown))


@every_case
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_estimates_are_those_about_the_mean(name, method):
    near, far = fit(name, "middle", method), fit(name, "year", method)
    assert far.status is near.status
    assert far.optimum.evaluations == near.optimum.evaluations
    np.testing.assert_allclose(far.loglik, near.loglik, rtol=1e-9)
    moved = centred(far.model.equations).weights.any(axis=1)
    columns = ["estimate", "std_error", "lower", "upper", "df"]
    rows = np.r_[np.zeros(len(near.fixef()), dtype=bool), moved]
    a, b = (one.summary()[columns].to_numpy() for one in (near, far))
    np.testing.assert_allclose(b[~rows], a[~rows], rtol=1e-5)
    if method == "reml":
        np.testing.assert_allclose(far.optimum.theta, at_zero(name), rtol=1e-5)


@every_case
def test_likelihood_at_the_estimates(name):
    """Of the model's own equations, at its own theta."""
    far = fit(name, "year", "reml")
    value, _ = far.model.equations.loglik(far.optimum.theta)
    np.testing.assert_allclose(value, far.loglik, rtol=1e-8)
    M = far.model.equations.relative_factors(far.optimum.theta)
    np.testing.assert_allclose(far.optimum.M, M, rtol=1e-8, atol=1e-12 * M.max(initial=0))


@every_case
def test_way_there_and_back(name):
    far = fit(name, "year", "reml")
    about = centred(far.model.equations)
    there = about.of_model(far.optimum)
    back = about.to_model(there)
    np.testing.assert_allclose(back.theta, far.optimum.theta, rtol=1e-8)
    np.testing.assert_allclose(back.M, far.optimum.M, rtol=1e-8)
    np.testing.assert_allclose(back.hessian, far.optimum.hessian, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        about.equations.loglik(there.theta)[0], far.model.equations.loglik(back.theta)[0], rtol=1e-8
    )


def test_covariates_of_the_equations_have_mean_zero():
    own = centred(model("of strata", "year").equations).equations
    assert own.residuals is not None
    for sigma in range(own.residuals.n_sigmas):
        here = own.residuals.sigma == sigma
        np.testing.assert_allclose(own.residuals.covariates[here].mean(axis=0), 0.0, atol=1e-9)
    (factor,) = centred(model("of effects", "year").equations).equations.factors
    np.testing.assert_allclose(factor.bars[0].shape.covariates.ravel(), [-3, -1, 1, 3], atol=1e-9)


@pytest.mark.parametrize("df", ["kenward-roger", "satterthwaite"])
@pytest.mark.parametrize("name", ["beside an intercept", "of effects"])
def test_degrees_of_freedom(name, df):
    near, far = (fit(name, time, "reml").fixef(df=df) for time in ("middle", "year"))
    np.testing.assert_allclose(far.to_numpy(float), near.to_numpy(float), rtol=1e-5)


@pytest.mark.parametrize("name", ["beside an intercept", "of strata", "of effects"])
def test_what_follows_a_fit(name):
    near, far = (fit(name, time, "reml") for time in ("middle", "year"))
    for what in (
        lambda own: own.ranef()[["estimate", "std_error"]],
        lambda own: own.predict(interval="new")[["estimate", "lower", "upper"]],
        lambda own: own.residuals("studentized"),
        lambda own: own.V("M01"),
        lambda own: own.trace[["criterion", "gradient"]],
    ):
        a, b = (np.asarray(what(own), dtype=float) for own in (near, far))
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
    # the last step is no iteration
    of_theta = centred(far.model.equations).of_theta
    last = far.trace[list(far.model.parameters.names)].iloc[-1].to_numpy()
    np.testing.assert_allclose(of_theta(last), of_theta(far.optimum.theta), rtol=1e-3, atol=1e-3)


def test_bootstrap():
    draws = [
        fit("beside an intercept", time, "reml").bootstrap(5, random_seed=1).posterior
        for time in ("middle", "year")
    ]
    for name in ("beta", "sd_Subject", "expon"):
        a, b = (own[name].to_numpy() for own in draws)
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)


def test_sigma_that_is_no_number():
    rng = np.random.default_rng(2)
    data = CHILDREN.assign(z=CHILDREN["age"] + 1e5)
    data["y"] = rng.normal(size=len(data)) * np.exp(0.2 * CHILDREN["middle"])
    with pytest.raises(DataError, match=r"sigma is a standard deviation where .* centre the"):
        bl.Model("y ~ age", data, R=bl.ID(variance=bl.VarExp("z"))).fit("reml")


@pytest.mark.parametrize("name", ["beside an intercept", "of effects of strata"])
def test_profiles(name):
    near, far = fit(name, "middle", "reml"), fit(name, "year", "reml")
    names = [*near.model.parameters.names, "beta[age]"]
    moved = centred(far.model.equations).weights.any(axis=1)
    rows = [not there for there in moved] + [True]
    a = near.confint("profile", parameters=names).to_numpy()
    own = [*far.model.parameters.names, "beta[age]"]
    with pytest.warns(ConvergenceWarning, match="has no profile: it is the standard deviation"):
        b = far.confint("profile", parameters=own).to_numpy()
    np.testing.assert_allclose(b[rows], a[rows], rtol=1e-4)
    assert np.isnan(b[~np.array(rows)]).all()


@pytest.mark.parametrize("held", ["sd_Subject", "sigma"])
def test_held(held):
    """A sigma that is held stays the one at zero of the covariate."""
    name = "beside an intercept"
    near = fit(name, "middle", "reml")
    value = {"sd_Subject": 1.5, "sigma": 1.2}[held]
    data = CHILDREN.assign(z=CHILDREN["middle"] + 2.0)
    fits = []
    for column, factor in (("middle", 1.0), ("z", np.exp(-2 * near.optimum.theta[1]))):
        own = bl.Model(CASES[name][0], data, R=bl.ID(variance=bl.VarExp(column)))
        prior = {held: bl.Fixed(value * (factor if held == "sigma" else 1.0))}
        fits.append(own.with_priors(prior).fit("reml"))
    one, other = fits
    assert one.status.ok
    assert other.status.ok
    if held == "sd_Subject":
        np.testing.assert_allclose(other.loglik, one.loglik, rtol=1e-9)
        np.testing.assert_allclose(other.optimum.theta[:2], one.optimum.theta[:2], rtol=1e-4)
    for own in fits:
        value, slope = own.model.equations.loglik(own.optimum.theta)
        np.testing.assert_allclose(value, own.loglik, rtol=1e-9)
        free = np.isfinite(np.diag(own.optimum.hessian))
        np.testing.assert_allclose(slope[free], 0.0, atol=1e-2)
