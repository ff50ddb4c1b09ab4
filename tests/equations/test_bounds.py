"""Parameters at a bound: what is said, and that nothing is said where all is well."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.estimation.optimum import Status

HERE = Path(__file__).parents[1]
WHERE = {"time": "t", "group": "id"}


def repeated(make, seed, n=20, T=6):
    """n subjects at T times, with a response made of random numbers (n, T + 1)."""
    z = np.random.default_rng(seed).standard_normal((n, T + 1))
    ids = [f"s{i:02}" for i in range(n)]
    data = pd.DataFrame([(i, t) for i in ids for t in range(T)], columns=["id", "t"])
    return data.assign(y=make(z).ravel(), g=np.repeat(["a", "b"], n * T // 2))


def autoregressive(z, rho=0.6):
    y = z[:, :-1].copy()
    for t in range(1, y.shape[1]):
        y[:, t] = rho * y[:, t - 1] + np.sqrt(1 - rho**2) * y[:, t]
    return y


def differences(z):
    return z[:, 1:] - z[:, :-1]


def alternating(z):
    y = z[:, :-1].copy()
    y[:, 1:] -= 0.6 * y[:, :-1]
    return y


AT_BOUNDS = {
    "no nugget": (autoregressive, bl.CAR1(**WHERE, nugget=True), "nugget", 0.0, "measurement"),
    "no nugget, by range": (autoregressive, bl.Exp(**WHERE, nugget=True), "nugget", 0.0, "measur"),
    "moving average": (differences, bl.ARMA11(**WHERE), "ma", -1.0, "moving average"),
    "independent": (alternating, bl.CAR1(**WHERE), "rho", 0.0, "rows are independent"),
    "no range": (alternating, bl.Exp(**WHERE), "range", 0.0, "rows are independent"),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", AT_BOUNDS)
def test_parameters_of_R_at_a_bound_have_no_standard_error(name, method):
    make, R, parameter, bound, words = AT_BOUNDS[name]
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit = bl.Model("y ~ t", repeated(make, seed), R=R).fit(method)
        if fit.optimum.boundary.any():
            break
    assert fit.status is Status.CONVERGED
    row = fit.summary().loc[parameter]
    assert row["estimate"] == pytest.approx(bound, abs=0.02)
    assert row[["std_error", "lower", "upper"]].isna().all()
    assert np.isfinite(fit.summary()["std_error"].drop(parameter)).all()
    (finding,) = fit.diagnose().findings
    assert finding.what.startswith(f"{parameter} is at its bound {bound:g}")
    assert words in finding.what
    assert "--" in repr(fit)
    # it is where the likelihood is largest: nearby it is no larger
    inside = fit.optimum.theta.copy()
    at = list(fit.theta.index).index(parameter)
    inside[at] += 0.05 if bound <= 0 and parameter != "range" else 0.3
    assert fit.model.equations.loglik(inside, method)[0] <= fit.loglik + 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stratum", ["a", "b"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_stratum_that_is_reproduced_exactly_is_named(stratum, method, seed):
    data = repeated(autoregressive, seed)
    data.loc[data["g"] == stratum, "y"] = 2.0
    with pytest.warns(bl.ConvergenceWarning, match=rf"went to zero.*sigma\[{stratum}\]"):
        fit = bl.Model("y ~ g", data, R=bl.ID(by="g")).fit(method)
    assert fit.status is Status.ZERO_RESIDUAL
    assert fit.summary()["std_error"].iloc[2:].isna().all()
    assert "likelihood has no maximum" in repr(fit)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_an_occasion_that_random_effects_reproduce_is_at_its_bound(method):
    rng = np.random.default_rng(3)
    level = np.repeat(2 * rng.standard_normal(20), 6)
    data = repeated(autoregressive, 1).assign(y=level + rng.standard_normal(120))
    data.loc[data["t"] == 3, "y"] = level[data["t"] == 3]
    R = bl.ID(variance=bl.VarIdent("t"))
    fit = bl.Model("y ~ 1 + (1 | id)", data, R=R).fit(method)
    assert fit.status is Status.CONVERGED
    row = fit.summary().loc["sigma[3]"]
    assert row["estimate"] < 1e-3
    assert np.isnan(row["std_error"])
    assert np.isfinite(fit.summary()["std_error"].drop("sigma[3]")).all()
    (finding,) = fit.diagnose().findings
    assert finding.what.startswith("sigma[3] is numerically zero")


GOOD = {
    "sleepstudy": "Reaction ~ Days + (Days | Subject)",
    "Penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "Pastes": "strength ~ 1 + (1 | batch/cask)",
    "Dyestuff": "Yield ~ 1 + (1 | Batch)",
    "Machines": "score ~ Machine + (1 | Worker/Machine)",
    "Orthodont": "distance ~ age * Sex + (age | Subject)",
    "MathAchieve": "MathAch ~ SES + (1 | School)",
    "Oats": "yield ~ nitro * Variety + (1 | Block/Variety)",
    "Rail": "travel ~ 1 + (1 | Rail)",
    "ergoStool": "effort ~ Type + (1 | Subject)",
    "cake": "angle ~ recipe * temperature + (1 | recipe:replicate)",
}


def data_of(name):
    if name in ("MathAchieve", "ergoStool"):
        label = {"School": "str", "Subject": "str"}
        data = pd.read_csv(HERE / "data" / f"{name}.csv", dtype=label)
        if name == "ergoStool":
            return data
        schools = pd.read_csv(HERE / "data" / "MathAchSchool.csv", dtype=label)
        return data.merge(schools[["School", "Sector"]], on="School")
    return bl.load_dataset(name)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", GOOD)
def test_no_false_alarms(name, method):
    fit = bl.Model(GOOD[name], data_of(name)).fit(method)  # warnings are errors here
    assert fit.status is Status.CONVERGED
    assert fit.diagnose().ok


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_variance_of_zero_is_no_failure_to_converge(method):
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit(method)
    assert fit.status is Status.SINGULAR
    (finding,) = fit.diagnose().findings
    assert finding.severity == "warning"
    assert finding.what == "the variance of Intercept over Batch is zero"
    assert "converged to a singular fit" in fit.status.value


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_direction_without_variance_is_named(method):
    model = bl.Model("MathAch ~ SES * Sector + (SES | School)", data_of("MathAchieve"))
    fit = model.fit(method)
    assert fit.status is Status.SINGULAR
    (finding,) = fit.diagnose().findings
    assert finding.what == "the correlation of Intercept and SES over School is 1"
