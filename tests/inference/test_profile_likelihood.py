"""Profile likelihood: intervals of other programs, dense algebra, boundaries."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import bayeslmm as bl
from bayeslmm.errors import ArgumentError
from bayeslmm.inference.profile.chart import Chart
from tests.oracles.cases import case
from tests.oracles.dense import profiled

_TEXT = (Path(__file__).parents[1] / "reference" / "profile.json").read_text(encoding="utf-8")
REFERENCE = {record["id"]: record["intervals"] for record in json.loads(_TEXT)}
RELATED = bl.Known(pd.DataFrame(np.eye(6) + 0.2, list("123456"), list("123456")))
MACHINES = "score ~ Machine + (Machine | Worker)"
SLEEP = "Reaction ~ Days + (Days | Subject)"


def ml(formula, dataset, **options):
    return bl.Model(formula, bl.load_dataset(dataset), **options).fit("ml")


def structured(formula, dataset, structure):
    """A model with a structure of R, or of G, which comes by its factor."""
    return ml(formula, dataset, **{"G" if isinstance(structure, dict) else "R": structure})


@pytest.mark.parametrize("id", REFERENCE)
def test_intervals_are_those_of_root_finding_on_the_exact_deviance(id):
    own = case(id)
    fit = bl.Model(own.formula, own.data).fit("ml")
    table, std_error = fit.profile().intervals(), fit.summary()["std_error"]
    assert list(table.index) == list(std_error.index)
    for name, interval in REFERENCE[id].items():
        found = table.loc[name, ["lower", "upper"]].to_numpy()
        assert np.abs(found - interval).max() < 1e-3 * std_error[name], name


def least(fit, at, value, criterion, method, options):
    """-2 log-likelihood with one natural parameter at a value, by an optimiser of SciPy."""
    parameters = fit.model.parameters
    scale = np.array(["log" if k in ("sd", "sigma") else "as is" for k in parameters.kinds])
    free = np.arange(len(scale)) != at

    def natural(eta):
        theta = np.empty(len(scale))
        theta[free] = np.where(scale[free] == "log", np.exp(np.minimum(eta, 20)), eta)
        theta[at] = value
        return theta

    def deviance(eta):
        found, slope = criterion(natural(eta))
        slope = slope[free] * np.where(scale == "log", natural(eta), 1)[free]
        return (found, slope) if np.isfinite(found) else (1e10, 0 * slope)

    theta = fit.optimum.theta
    logs = np.log(np.maximum(theta, 1e-300))
    starts = [np.where(scale == "log", logs, size * theta)[free] for size in (0.9, 0.5, 0.2, 0)]
    start = next(start for start in starts if deviance(start)[0] < 1e10)
    jac = method != "Nelder-Mead"
    objective = deviance if jac else lambda eta: deviance(eta)[0]
    for _ in range(3):
        start = minimize(objective, start, jac=jac, method=method, options=options).x
    return deviance(start)[0]


@pytest.mark.parametrize(
    ("formula", "dataset", "name"),
    [
        ("strength ~ 1 + (1 | batch/cask)", "Pastes", "sd_batch[Intercept]"),
        ("score ~ Machine + id(0 + Machine | Worker)", "Machines", "sd_Worker[Machine]"),
    ],
)
def test_the_deviance_is_that_of_a_constrained_optimum_in_dense_algebra(formula, dataset, name):
    fit = ml(formula, dataset)
    design, parameters = fit.model.design, fit.model.parameters
    path = fit.profile(name).paths[name]

    def criterion(theta):
        return -2 * profiled(theta, parameters, design)["ml"], np.zeros(len(theta))

    options = {"xatol": 1e-6, "fatol": 1e-8}
    at = parameters.names.index(name)
    found = least(fit, at, path.value[-2], criterion, "Nelder-Mead", options)
    assert path.zeta[-2] ** 2 == pytest.approx(found - fit.optimum.criterion, abs=1e-5)


@pytest.mark.parametrize(
    ("formula", "dataset", "R"),
    [
        (MACHINES, "Machines", None),
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy", None),
        ("distance ~ age * Sex", "Orthodont", bl.AR1(time="age", group="Subject")),
        ("distance ~ age * Sex", "Orthodont", bl.ToepH(time="age", group="Subject")),
        ("distance ~ age * Sex", "Orthodont", bl.UN(time="age", group="Subject")),
        ("distance ~ age * Sex", "Orthodont", bl.ID(by="Sex")),
        ("score ~ Machine + cs(0 + Machine | Worker)", "Machines", None),
        ("score ~ Machine + csh(0 + Machine | Worker)", "Machines", None),
        ("Reaction ~ Days + ar1(0 + Days | Subject)", "sleepstudy", None),
    ],
)
def test_the_deviance_is_that_of_a_constrained_optimum_over_natural_parameters(formula, dataset, R):
    fit = structured(formula, dataset, R)
    names = fit.model.parameters.names
    profile = fit.profile(names)

    def criterion(theta):
        value, slope = fit.model.equations.loglik(theta, "ml")
        return -2 * value, -2 * slope

    for at, name in enumerate(names):
        path = profile.paths[name]
        for i in (2, -3):
            options = {"ftol": 1e-12, "gtol": 1e-6}
            found = least(fit, at, path.value[i], criterion, "L-BFGS-B", options)
            assert path.zeta[i] ** 2 == pytest.approx(found - fit.optimum.criterion, abs=1e-4)


@pytest.mark.parametrize(
    ("formula", "dataset", "R"),
    [
        (MACHINES, "Machines", None),
        ("yield ~ nitro + (1 | Block/Variety)", "Oats", None),
        ("distance ~ age", "Orthodont", bl.ARH1(time="age", group="Subject")),
        ("distance ~ age", "Orthodont", bl.UN(time="age", group="Subject")),
        ("distance ~ age", "Orthodont", bl.Toep(time="age", group="Subject")),
        ("score ~ Machine + csh(0 + Machine | Worker)", "Machines", None),
        ("score ~ Machine + (0 + Machine | Worker)", "Machines", {"Worker": bl.UN(variance="one")}),
        ("distance ~ age + ar1(0 + age | Subject)", "Orthodont", bl.ID(by="Sex")),
        ("Reaction ~ exp(0 + Days | Subject) + (Days | Subject)", "sleepstudy", None),
        ("score ~ Machine + (0 + Machine | Worker)", "Machines", {"Worker": RELATED}),
    ],
)
def test_gradients_of_charts_are_finite_differences(formula, dataset, R):
    fit = structured(formula, dataset, R)
    rng = np.random.default_rng(1)
    for parameter in (None, *range(len(fit.model.parameters))):
        chart = Chart.of(fit.model.equations, parameter, fit.sigma)
        x = chart.start(fit.optimum.M, fit.optimum.theta, fit.optimum.boundary)
        assert chart.criterion(x)[0] == pytest.approx(fit.optimum.criterion, abs=1e-6)
        x = x * (1 + 0.02 * rng.standard_normal(len(x)))
        value, slope = chart.criterion(x)
        assert np.isfinite(value)
        for k in range(len(x)):
            step = np.zeros(len(x))
            step[k] = 1e-5 * max(abs(x[k]), 1e-2)
            up, down = chart.criterion(x + step)[0], chart.criterion(x - step)[0]
            difference = (up - down) / (2 * step[k])
            assert slope[k] == pytest.approx(difference, rel=1e-4, abs=1e-4)


def test_an_estimate_of_zero_has_an_interval_from_zero():
    fit = ml("Yield ~ 1 + (1 | Batch)", "Dyestuff2")
    table = fit.confint()
    assert table.loc["sd_Batch[Intercept]", ["estimate", "lower"]].tolist() == [0, 0]
    assert 1.5 < table.loc["sd_Batch[Intercept]", "upper"] < 2.5


def test_a_correlation_that_the_data_hardly_tell_of_reaches_its_bound():
    table = ml("distance ~ age * Sex + (age | Subject)", "Orthodont").confint()
    assert table.loc["corr_Subject[Intercept, age]", "upper"] == 1
    assert table.loc["sd_Subject[age]", "lower"] == 0


def test_a_random_intercept_has_the_intervals_of_compound_symmetry():
    own = ml("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "Machines").profile()
    other = ml("score ~ Machine + cs(0 + Machine | Worker)", "Machines").profile()
    names = ["beta[Machine[B]]", "sigma"]
    ours, theirs = own.intervals().loc[names], other.intervals().loc[names]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_where_optima_change_places_the_lower_one_counts():
    """Below zero the others are best at a second optimum, which is met farther out."""
    G, name = {"Worker": bl.UN(variance="one")}, "corr_Worker[Machine[A], Machine[C]]"
    fit = ml("score ~ Machine + (0 + Machine | Worker)", "Machines", G=G)
    path = fit.profile(name).paths[name]

    def criterion(theta):
        value, slope = fit.model.equations.loglik(theta, "ml")
        return -2 * value, -2 * slope

    at = fit.model.parameters.names.index(name)
    for value, zeta in zip(path.value[:4], path.zeta[:4], strict=True):
        found = least(fit, at, value, criterion, "L-BFGS-B", {"ftol": 1e-12, "gtol": 1e-6})
        assert zeta**2 == pytest.approx(found - fit.optimum.criterion, abs=1e-4)


def test_a_structure_without_variance_has_an_interval_from_zero():
    rng = np.random.default_rng(0)
    week, id = np.tile([1.0, 2, 4, 7], 40), np.repeat(np.arange(20), 8)
    y = rng.standard_normal(160)
    y -= np.repeat(y.reshape(20, 8).mean(axis=1), 8)
    fit = bl.Model("y ~ week + exp(0 + week | id)", {"y": y, "week": week, "id": id}).fit("ml")
    assert fit.optimum.boundary.tolist() == [True, True, False]
    table = fit.confint()
    sd = table.loc["sd_id[week]"]
    assert (sd["estimate"], sd["lower"]) == (0, 0)
    assert 0.05 < sd["upper"] < 1.5
    assert table.loc["range_id"].isna().all()
    # zeta ends where the deviance, at its best over the range, is 3.84
    least = min(
        -2 * fit.model.equations.loglik(np.array([sd["upper"], reach, sigma]), "ml")[0]
        for reach in np.geomspace(0.01, 100, 60)
        for sigma in np.linspace(0.5, 1.1, 60)
    )
    assert least - fit.optimum.criterion == pytest.approx(3.84, abs=0.05)


def test_a_reml_fit_is_profiled_by_ml():
    model = bl.Model(SLEEP, bl.load_dataset("sleepstudy"))
    reml, ml_ = (model.fit(method).profile("sigma").intervals() for method in ("reml", "ml"))
    assert reml.equals(ml_)


def test_without_random_effects_the_profile_is_that_of_least_squares():
    fit = ml("Reaction ~ Days", "sleepstudy")
    path = fit.profile("beta[Days]").paths["beta[Days]"]
    n, rss = 180, 180 * fit.sigma**2
    X, y = fit.model.design.X, fit.model.design.y
    for value, zeta in zip(path.value, path.zeta, strict=True):
        rest = y - value * X[:, 1]
        held = np.sum((rest - rest.mean()) ** 2)
        assert zeta**2 == pytest.approx(n * np.log(held / rss), abs=1e-6)


def test_only_coefficient_and_offset_and_weights():
    data = bl.load_dataset("sleepstudy").assign(o=3.0, w=2.0)
    plain = bl.Model("Reaction ~ 1 + (1 | Subject)", data).fit("ml").confint("profile")
    moved = bl.Model("Reaction ~ 1 + offset(o) + (1 | Subject)", data, weights="w").fit("ml")
    table = moved.confint()
    shift = plain.loc["beta[Intercept]"] - table.loc["beta[Intercept]"]
    assert shift.to_numpy() == pytest.approx(3.0, abs=1e-4)
    ratio = table.loc["sigma"] / plain.loc["sigma"]
    assert ratio.to_numpy() == pytest.approx(np.sqrt(2), abs=1e-5)


def test_zeta_frame_and_plot():
    profile = ml(SLEEP, "sleepstudy").profile(["sigma", "beta[Days]"], level=0.95)
    ends = profile.intervals(0.9).loc["sigma", ["lower", "upper"]]
    assert profile.zeta("sigma", ends) == pytest.approx([-1.6448536, 1.6448536], abs=1e-6)
    assert np.isnan(profile.zeta("sigma", 1.0))
    frame = profile.frame()
    assert list(frame) == ["parameter", "value", "zeta", "slope"]
    assert (frame.groupby("parameter")["zeta"].diff().dropna() > 0).all()
    assert len([axis for axis in profile.plot().axes if axis.get_title()]) == 2
    assert "2 parameters" in repr(profile)


def test_errors_name_what_is_valid():
    fit = ml(SLEEP, "sleepstudy")
    with pytest.raises(ArgumentError, match="'sigma'"):
        fit.profile("sigmas")
    with pytest.raises(ArgumentError, match=r"profile\(level=0.999\)"):
        fit.profile("sigma").intervals(0.999)
    with pytest.raises(ArgumentError, match="'sigma'"):
        fit.profile("sigma").zeta("beta[Days]", 1.0)
    with pytest.raises(ArgumentError, match="'wald'"):
        fit.confint("walt")
    with pytest.raises(ArgumentError, match="bootstrap"):
        fit.confint("wald", n=10)
