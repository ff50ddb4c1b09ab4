"""Every algorithm reaches the same maximum or says that it has not; their pieces against dense
algebra and finite differences.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.estimation.likelihood.algorithms import ALGORITHMS
from bayeslmm.estimation.likelihood.em import em_iterations, started
from bayeslmm.estimation.likelihood.iterations import theta_at, value_at
from bayeslmm.estimation.likelihood.newton import Likelihood, Rows
from bayeslmm.estimation.likelihood.search import prepare
from tests.oracles.dense import full_Z, marginal_covariance, profiled

MODELS = {
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "sleepstudy ||": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "Penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "Pastes": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "Dyestuff": ("Yield ~ 1 + (1 | Batch)", "Dyestuff"),
    "Dyestuff2": ("Yield ~ 1 + (1 | Batch)", "Dyestuff2"),
    "Machines": ("score ~ Machine + (Machine | Worker)", "Machines"),
    "Machines id": ("score ~ Machine + id(0 + Machine | Worker)", "Machines"),
    "Orthodont": ("distance ~ age * Sex + (age | Subject)", "Orthodont"),
}
OTHERS = [(name, None) for name in ALGORITHMS[1:]] + [
    ("newton", "observed"),
    ("em+newton", "observed"),
]
# EM approaches a variance of zero ever more slowly.
STOPS = {("Dyestuff2", "em")}


@cache
def model(name):
    formula, dataset = MODELS[name]
    return bl.Model(formula, bl.load_dataset(dataset))


@cache
def best(name, method):
    return model(name).fit(method)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("algorithm", "information"), OTHERS)
def test_all_reach_the_same_maximum_or_say_that_they_stopped(name, method, algorithm, information):
    expected = best(name, method)
    if (name, algorithm) in STOPS:
        with pytest.warns(bl.ConvergenceWarning, match="EM does where a variance is small"):
            fit = model(name).fit(method, algorithm=algorithm)
        assert fit.status.name == "STOPPED"
        assert 1e-6 < fit.optimum.criterion - expected.optimum.criterion < 0.01
        return
    fit = model(name).fit(method, algorithm=algorithm, information=information)
    assert fit.algorithm == algorithm
    assert fit.status is expected.status
    assert fit.optimum.criterion == pytest.approx(expected.optimum.criterion, abs=1e-6)
    scale = np.where(np.array(fit.model.parameters.kinds) == "corr", 1.0, expected.sigma)
    np.testing.assert_allclose(fit.theta / scale, expected.theta / scale, atol=1e-5)
    np.testing.assert_allclose(
        fit.summary()["std_error"], expected.summary()["std_error"], rtol=1e-3, equal_nan=True
    )
    trace = fit.trace
    assert trace["criterion"].iloc[-1] == pytest.approx(fit.optimum.criterion, abs=1e-5)
    np.testing.assert_allclose(
        trace.iloc[-1][list(fit.theta.index)] / scale, fit.theta / scale, atol=2e-3
    )


@pytest.mark.parametrize("algorithm", ["em", "squarem", "newton", "em+newton"])
@pytest.mark.parametrize("name", ["sleepstudy", "Pastes"])
def test_no_step_makes_it_worse(name, algorithm):
    criterion = model(name).fit("reml", algorithm=algorithm).trace["criterion"]
    assert (np.diff(criterion) <= 1e-9).all()


def test_weights_and_offsets_are_heard_by_all():
    data = bl.load_dataset("sleepstudy")
    data = data.assign(w=1 / (1 + 0.1 * data["Days"]), off=5 * np.sqrt(data["Days"]))
    weighted = bl.Model("Reaction ~ Days + offset(off) + (Days | Subject)", data, weights="w")
    expected = weighted.fit("reml")
    for algorithm in ALGORITHMS[1:]:
        fit = weighted.fit("reml", algorithm=algorithm)
        assert fit.loglik == pytest.approx(expected.loglik, abs=1e-6)
        np.testing.assert_allclose(fit.beta, expected.beta, rtol=1e-6)


def test_without_random_effects_there_is_nothing_to_iterate_over():
    ordinary = bl.Model("Reaction ~ Days", bl.load_dataset("sleepstudy"))
    expected = ordinary.fit("reml")
    for algorithm in ALGORITHMS[1:]:
        fit = ordinary.fit("reml", algorithm=algorithm)
        assert fit.status.ok
        assert fit.loglik == pytest.approx(expected.loglik, abs=1e-9)


# -- EM against dense algebra ----


def dense_em_step(theta, model, method):
    """One step of EM in the variances, from the joint distribution of y, u and beta."""
    design = model.design
    X, y, n = design.X, design.y, len(design.y)
    W = np.ones(n) if design.weights is None else design.weights
    sigma2 = theta[-1] ** 2
    V = marginal_covariance(theta, model.parameters, design)
    inverse = np.linalg.inv(V)
    bread = np.linalg.inv(X.T @ inverse @ X)
    P = inverse - inverse @ X @ bread @ X.T @ inverse
    R = np.diag(sigma2 / W)
    e = R @ P @ y
    middle = P if method == "reml" else inverse
    errors = np.diag(e[:, None] * e + R - R @ middle @ R)
    out = []
    for factor in design.factors:
        Z, q, levels = full_Z(factor), factor.Z.shape[1], len(factor.levels)
        G = np.kron(np.eye(levels), covariance(theta, model, factor))
        u = G @ Z.T @ P @ y
        second = np.outer(u, u) + G - G @ Z.T @ middle @ Z @ G
        blocks = second.reshape(levels, q, levels, q)
        out.append(np.einsum("iaib->ab", blocks) / levels)
    return out, W @ errors / n


def covariance(theta, model, factor):
    from tests.oracles.dense import covariances

    names = [f.name for f in model.design.factors]
    return covariances(theta, model.parameters, model.design)[names.index(factor.name)]


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("formula", "dataset", "weights"),
    [
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None),
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy", "Weight"),
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy", None),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", None),
        ("score ~ Machine + id(0 + Machine | Worker)", "Machines", None),
    ],
)
def test_a_step_of_em_is_that_of_dense_algebra(formula, dataset, weights, method):
    data = bl.load_dataset(dataset)
    if weights:
        data[weights] = np.linspace(0.5, 2.0, len(data))
    compiled = bl.Model(formula, data, weights=weights)
    search, start = prepare(compiled.equations, method)
    x = started(search, start) + np.append(np.linspace(-0.3, 0.3, len(start)), 0.2)
    theta = theta_at(search, x[:-1], np.exp(x[-1]))
    G, sigma2 = dense_em_step(theta, compiled, method)
    moved = em_iterations(search, x, 1)
    found = theta_at(search, moved[:-1], np.exp(moved[-1]))
    assert found[-1] ** 2 == pytest.approx(sigma2, rel=1e-9)
    for factor, expected in zip(compiled.design.factors, G, strict=True):
        structures = {bar.structure for bar in factor.bars}
        if structures == {"id"}:
            expected = np.trace(expected) / len(expected) * np.eye(len(expected))
        elif structures == {"diag"}:
            expected = np.diag(np.diag(expected))
        actual = covariance(found, compiled, factor)
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)
    assert value_at(search, moved[:-1], sigma2) == pytest.approx(
        -2 * profiled(found, compiled.parameters, compiled.design)[method], rel=1e-10
    )


# -- Newton's informations ----

NEWTON = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", None),
    "id": ("score ~ Machine + id(0 + Machine | Worker)", "Machines", None),
}


def at(name):
    formula, dataset, R = NEWTON[name]
    return bl.Model(formula, bl.load_dataset(dataset), R=R)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", NEWTON)
def test_the_informations_are_those_of_dense_algebra(name, method):
    compiled = at(name)
    design, parameters = compiled.design, compiled.parameters
    search, _ = prepare(compiled.equations, method)
    likelihood = Likelihood(search, Rows(design, compiled.equations))
    fit = compiled.fit(method)
    coordinates = search.free.coordinates
    x = coordinates.unconstrained(fit.theta.to_numpy(), np.zeros(len(parameters)))
    x = x + np.linspace(-0.3, 0.2, len(x))
    k, h = len(x), 1e-4

    def V(point):
        return marginal_covariance(coordinates.natural(point), parameters, design)

    units = h * np.eye(k)
    slopes = [(V(x + unit) - V(x - unit)) / (2 * h) for unit in units]
    inverse = np.linalg.inv(V(x))
    X = design.X
    P = inverse - inverse @ X @ np.linalg.inv(X.T @ inverse @ X) @ X.T @ inverse
    Py = P @ design.y
    working = np.column_stack([slope @ Py for slope in slopes])
    expected = 0.5 * working.T @ P @ working
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    average = likelihood.average_information(x)
    np.testing.assert_allclose(average / scale, expected / scale, atol=1e-6)

    def loglik(point):
        return profiled(coordinates.natural(point), parameters, design)[method]

    h = 1e-3
    units = h * np.eye(k)
    observed = np.empty((k, k))
    for i, a in enumerate(units):
        for j, b in enumerate(units):
            corners = loglik(x + a + b) - loglik(x + a - b) - loglik(x - a + b) + loglik(x - a - b)
            observed[i, j] = -corners / (4 * h * h)
    np.testing.assert_allclose(
        likelihood.observed_information(x) / scale, observed / scale, atol=1e-4
    )
    gradient = [(loglik(x + unit) - loglik(x - unit)) / (2 * h) for unit in units]
    np.testing.assert_allclose(likelihood.at(x)[1], gradient, rtol=1e-4, atol=1e-4)


STRUCTURED = {
    "ar1": (bl.AR1(time="age", group="Subject"), "distance ~ age * Sex"),
    "arh1": (bl.ARH1(time="age", group="Subject"), "distance ~ age * Sex"),
    "un": (bl.UN(time="age", group="Subject"), "distance ~ age * Sex"),
    "id by": (bl.ID(by="Sex"), "distance ~ age * Sex + (age | Subject)"),
    "cs": (bl.CS(time="age", group="Subject"), "distance ~ age * Sex"),
    "ar1 and intercept": (
        bl.AR1(time="age", group="Subject"),
        "distance ~ age * Sex + (1 | Subject)",
    ),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", STRUCTURED)
def test_newton_with_structured_residuals(name, method):
    R, formula = STRUCTURED[name]
    compiled = bl.Model(formula, bl.load_dataset("Orthodont"), R=R)
    expected = compiled.fit(method)
    for information in ("average", "observed"):
        fit = compiled.fit(method, algorithm="newton", information=information)
        assert fit.status is expected.status
        assert fit.loglik == pytest.approx(expected.loglik, abs=5e-7)
        np.testing.assert_allclose(fit.theta, expected.theta, rtol=1e-3, atol=1e-3)


# -- what is refused ----


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("reml", {"algorithm": "emm"}, "Did you mean 'em'"),
        ("reml", {"algorithm": "bobyqa"}, "unknown algorithm 'bobyqa'; valid: 'quasi-newton'"),
        ("ml", {"algorithm": "newton", "information": "expected"}, "'average', 'observed'"),
        ("ml", {"algorithm": "em", "information": "observed"}, "'em' has no use for `information`"),
        ("ml", {"information": "observed"}, "'quasi-newton' has no use for `information`"),
        (
            "nuts",
            {"algorithm": "em"},
            "NUTS has no use for algorithm; leave that out, or fit by 'reml' or 'ml'",
        ),
        ("nuts", {"information": "average"}, "has no use for information"),
        ("reml", {"draws": 10}, "REML has no use for draws; leave that out, or fit by 'nuts'"),
    ],
)
def test_options_that_do_not_fit_are_refused(method, options, message):
    with pytest.raises(bl.ArgumentError, match=message):
        model("Dyestuff").fit(method, **options)


@pytest.mark.parametrize("algorithm", ["em", "squarem", "em+newton", "profile"])
def test_algorithms_without_steps_for_a_structure_say_so(algorithm):
    R = bl.AR1(time="age", group="Subject")
    compiled = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=R)
    with pytest.raises(bl.ArgumentError, match="use algorithm='quasi-newton' or 'newton'"):
        compiled.fit("reml", algorithm=algorithm)


# -- pictures ----------------------------------------------------------------------------


def test_the_picture_of_one_fit_shows_its_trace():
    fit = best("sleepstudy", "reml")
    criterion, gradient = fit.plot.convergence().axes
    trace = fit.trace
    above = np.maximum(trace["criterion"] - trace["criterion"].min(), 1e-9)
    np.testing.assert_allclose(criterion.lines[0].get_ydata(), above)
    np.testing.assert_allclose(gradient.lines[0].get_ydata(), trace["gradient"])
    np.testing.assert_array_equal(criterion.lines[0].get_xdata(), trace.index)
    assert criterion.get_xscale() == "linear"


def test_the_picture_of_several_fits_has_one_minimum_for_all():
    fits = {"slow": model("Pastes").fit("ml", algorithm="em"), "fast": best("Pastes", "ml")}
    criterion = bl.plot_convergence(fits).axes[0]
    least = min(fit.trace["criterion"].min() for fit in fits.values())
    for line, (name, fit) in zip(criterion.lines, fits.items(), strict=True):
        assert line.get_label() == name
        above = np.maximum(fit.trace["criterion"] - least, 1e-9)
        np.testing.assert_allclose(line.get_ydata(), above)
        np.testing.assert_array_equal(line.get_xdata(), fit.trace.index + 1)
    assert criterion.get_xscale() == "log"


@pytest.mark.parametrize(
    ("fits", "error", "message"),
    [
        (list, bl.ArgumentError, "`fits` is empty"),
        (lambda: [best("Pastes", "ml")] * 2, bl.ArgumentError, "by the same algorithm"),
        (
            lambda: {m: best("Pastes", m) for m in ("ml", "reml")},
            bl.ArgumentError,
            "by ML and of .* by REML, with criteria that are not comparable",
        ),
        (
            lambda: {name: best(name, "ml") for name in ("Pastes", "Dyestuff")},
            bl.ArgumentError,
            "not comparable",
        ),
        (lambda: [best("Pastes", "ml"), 3], bl.ArgumentTypeError, "got int"),
    ],
)
def test_fits_that_cannot_be_in_one_picture_are_refused(fits, error, message):
    with pytest.raises(error, match=message):
        bl.plot_convergence(fits())


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("seed", [4, 8])
def test_newton_reaches_a_singular_covariance_of_unequal_groups(seed, method):
    # few, unequal groups: the average information leads out of the way of both
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(5, 1, 40), "g": rng.integers(0, 5, 40)})
    u = rng.normal(size=5)[data["g"]]
    data["y"] = data["x"] + 2 * u + 0.8 * u * data["x"] + rng.normal(size=40)
    unequal = bl.Model("y ~ x + (x | g)", data)
    expected = unequal.fit(method)
    fit = unequal.fit(method, algorithm="newton")
    assert fit.status is expected.status
    assert fit.loglik == pytest.approx(expected.loglik, abs=5e-7)
