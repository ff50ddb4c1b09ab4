"""The unit of the response changes the size of what has it, and nothing else."""

import warnings
from functools import cache

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.errors import DataError

MODELS = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None),
    "AR1": (
        "distance ~ age * Sex + (1 | Subject)",
        "Orthodont",
        bl.AR1(time="age", group="Subject", variance=bl.VarIdent("Sex")),
    ),
}


@cache
def fitted(name, exponent=0, method="reml"):
    formula, dataset, R = MODELS[name]
    data, response = bl.load_dataset(dataset), formula.split()[0]
    return bl.Model(formula, data.assign(**{response: data[response] * 10.0**exponent}), R=R).fit(
        method
    )


def sleepstudy(exponent):
    return bl.load_dataset("sleepstudy").assign(Reaction=lambda d: d.Reaction * 10.0**exponent)


def units(names, exponent):
    """Of parameters: that of the response, or none."""
    return np.where(names.str.contains("^(?:beta|sd|sigma)"), 10.0**exponent, 1.0)


def same(found, expected, rtol=1e-4):
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=rtol, atol=1e-12
    )


@pytest.mark.parametrize("exponent", [-130, -80, 60, 80, 130])
@pytest.mark.parametrize("name", MODELS)
def test_degrees_of_freedom_and_tests(name, exponent):
    fit, plain = fitted(name, exponent), fitted(name)
    same(fit.summary()[["df", "t", "p"]], plain.summary()[["df", "t", "p"]])
    for df in ("satterthwaite", "kenward-roger", "between-within"):
        columns = ["F", "num_df", "den_df", "p"]
        same(fit.anova(df=df)[columns], plain.anova(df=df)[columns])
        same(fit.fixef(df=df)["std_error"] / 10.0**exponent, plain.fixef(df=df)["std_error"])


@pytest.mark.parametrize("exponent", [-120, -80, -40, -14, 40, 80, 120])
@pytest.mark.parametrize("name", MODELS)
def test_profile_intervals(name, exponent):
    names = {"AR1": ["beta[age]", "sd_Subject[Intercept]", "rho"], "slopes": None}[name]
    found, plain = (
        fitted(name, k).confint(parameters=names)[["lower", "upper"]] for k in (exponent, 0)
    )
    same(found / units(found.index, exponent)[:, None], plain, rtol=1e-6)


@pytest.mark.parametrize("exponent", [-80, -40, 40, 80])
def test_bootstrap(exponent):
    found, plain = (
        fitted("slopes", k).bootstrap(5, random_seed=1).posterior for k in (exponent, 0)
    )
    assert set(found.data_vars) == set(plain.data_vars) > {"beta", "sd_Subject", "sigma"}
    for name, values in plain.data_vars.items():
        unit = 1.0 if name.startswith("corr") else 10.0**exponent
        same(found[name] / unit, values, rtol=1e-5)


@cache
def posterior(exponent):
    model = bl.Model(MODELS["slopes"][0], sleepstudy(exponent))
    return model.fit("nuts", random_seed=2, progress=False).summary()


@pytest.mark.parametrize("exponent", [-80, -40, 40, 80])
def test_posterior(exponent):
    """The same to the error of the draws, whose paths part by rounding."""
    one, two = posterior(exponent), posterior(0)
    unit = units(one.index, exponent)
    error = np.hypot(one["mcse"] / unit, two["mcse"])
    assert (np.abs(one["estimate"] / unit - two["estimate"]) < 5 * error).all()
    same(one["std_error"] / unit, two["std_error"], rtol=0.2)


@pytest.mark.parametrize("exponent", [-120, -80, -40, 40, 80, 120])
def test_penalised_likelihood(exponent):
    found, plain = (fitted("slopes", k, "map").summary() for k in (exponent, 0))
    same(found[["df", "t", "p"]], plain[["df", "t", "p"]])
    same(found["estimate"] / units(found.index, exponent), plain["estimate"], rtol=1e-5)


def test_units_whose_squares_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="use a unit in which it lies between"):
        fitted("slopes", 145)


@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e5, 3e5, 1e6, 1e7])
def test_a_coefficient_is_right_or_said_not_to_be(ratio):
    """In balanced data the intercept is the mean."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 5)
    y = ratio * rng.normal(size=20)[group] + rng.normal(size=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.errors.ConvergenceWarning)
        fit = bl.Model("y ~ 1 + (1 | g)", {"y": y, "g": group}).fit("reml")
    off = abs(fit.beta.iloc[0] - y.mean()) / fit.fixef()["std_error"].iloc[0]
    assert off < 1e-6 or not fit.diagnose().ok
    if ratio <= 1e4:
        assert off < 1e-6
        assert fit.diagnose().ok
