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


@pytest.mark.parametrize("exponent", [-14, 120])
def test_profile_intervals(exponent):
    found, plain = (fitted("slopes", k).confint()[["lower", "upper"]] for k in (exponent, 0))
    unit = np.where(found.index.str.startswith("corr"), 1.0, 10.0**exponent)[:, None]
    same(found / unit, plain, rtol=1e-5)


@pytest.mark.parametrize("exponent", [-120, 120])
def test_penalised_likelihood(exponent):
    found, plain = (fitted("slopes", k, "map").summary() for k in (exponent, 0))
    same(found[["df", "t", "p"]], plain[["df", "t", "p"]])


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
