"""The joint prior of all standard deviations: a total, the ICC, and parts of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.effects.response_variance import derived_quantities
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.priors.kernels import _split_row, log_variance_split
from bayeslmm.priors.variance_parts import variance_parts

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

SLEEP = bl.load_dataset("sleepstudy")
HALF = bl.VarianceSplit(bl.HalfNormal(3), icc=bl.Beta(2.5, 1.5))

# the prior, that of its total in SciPy, and the weights of theta, of which sigma is the last
SPLITS = {
    "one effect": (HALF, stats.halfnorm(scale=3), [1.0, 1.0]),
    "two": (
        bl.VarianceSplit(bl.Exponential(0.5), bl.Beta(3, 2), [0.7, 2.0]),
        stats.expon(scale=2),
        [1.0, 12.5, 0.0, 0.8],
    ),
    "three": (
        bl.VarianceSplit(bl.LogNormal(0.2, 0.4), bl.Beta(0.8, 4), 1.5),
        stats.lognorm(0.4, scale=np.exp(0.2)),
        [1.0, 0.3, 0.0, 2.0, 1.0],
    ),
    "Dirichlet": (
        bl.VarianceSplit(bl.PC(10, 0.05), bl.Beta(2, 1), [0.5, 1.5]),
        stats.expon(scale=10 / -np.log(0.05)),
        [1.0, 1.0, 1.0],
    ),
}


def kernel(prior, weights, theta):
    """The compiled density and its gradient."""
    value, _, gradient = log_variance_split(_split_row(prior, np.array(weights)), theta, 1.0)
    return value, gradient


def split(weights, sds):
    """The total, the share of the random effects, and their parts of it but the last."""
    v = weights * sds**2
    return np.array([np.sqrt(v.sum()), 1 - v[-1] / v.sum(), *(v[:-2] / v[:-1].sum())])


def log_truth(prior, total, weights, sds):
    """The density of the definition, with a Jacobian by central differences."""
    h = 1e-6
    J = np.array([(split(weights, sds + h * e) - split(weights, sds - h * e)) / (2 * h)
                  for e in np.eye(len(sds)) * sds])  # fmt: skip
    T, icc, *parts = split(weights, sds)
    value = total.logpdf(T) + stats.beta(prior.icc.alpha, prior.icc.beta).logpdf(icc)
    if parts:
        concentrations = prior.concentrations(len(sds) - 1)
        value += stats.dirichlet(concentrations).logpdf([*parts, 1 - sum(parts)])
    return value + np.log(abs(np.linalg.det(J / sds[:, None])))


@pytest.mark.parametrize("name", SPLITS)
def test_density_is_that_of_the_definition(name):
    prior, total, weights = SPLITS[name]
    weights = np.array(weights)
    own = weights > 0
    rng = np.random.default_rng(4)
    left_out = []
    for _ in range(6):
        theta = np.exp(rng.normal(0, 0.7, len(weights)))
        value, gradient = kernel(prior, weights, theta)
        left_out.append(log_truth(prior, total, weights[own], theta[own]) - value)
        for i, e in enumerate(np.eye(len(theta))):
            ahead, behind = (kernel(prior, weights, theta + s * e)[0] for s in (1e-6, -1e-6))
            np.testing.assert_allclose(gradient[i], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(left_out, left_out[0], atol=1e-6)


@pytest.mark.parametrize("name", ["one effect", "two"])
def test_density_integrates_to_one(name):
    prior, total, weights = SPLITS[name]
    own = np.array(weights)[np.array(weights) > 0]
    ones = np.ones(len(own))
    constant = log_truth(prior, total, own, ones) - kernel(prior, own, ones)[0]
    logs = np.linspace(-10, 4, 36 if len(own) == 3 else 141)
    step = logs[1] - logs[0]
    mesh = np.stack(np.meshgrid(*[logs] * len(own), indexing="ij"), axis=-1).reshape(-1, len(own))
    values = [kernel(prior, own, np.exp(x))[0] for x in mesh]
    mass = step ** len(own) * np.exp(np.array(values) + mesh.sum(axis=1) + constant).sum()
    np.testing.assert_allclose(mass, 1.0, atol=2e-3)


def mean_variance(model, theta):
    """The variance of the random effects of a row, a mean over the rows, and that of a residual."""
    equations, between = model.equations, 0.0
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    for factor, own in zip(model.design.factors, M, strict=True):
        between = between + ((factor.Z @ own) ** 2).sum(axis=-1).mean(axis=-1)
    weights = 1.0 if model.design.weights is None else model.design.weights
    return theta[:, -1] ** 2 * between, theta[:, -1] ** 2 * np.mean(1 / weights)


MODELS = {
    "intercept": ("Reaction ~ Days + (1 | Subject)", {}),
    "slope": ("Reaction ~ Days + (Days | Subject)", {"corr": bl.LKJ(2)}),
    "slope far from zero": ("Reaction ~ x + (x | Subject)", {}),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", {}),
    "weights": ("Reaction ~ Days + (1 | Subject) + (1 | g)", {}),
    "occasions": ("Reaction ~ Days + ar1(0 + Days | Subject) + (1 | g)", {}),
}


def of(name, prior=HALF):
    formula, priors = MODELS[name]
    data = SLEEP.assign(
        x=SLEEP["Days"] + 2006, g=np.arange(180) % 7, w=np.linspace(0.5, 3, len(SLEEP))
    )
    weights = "w" if name == "weights" else None
    return bl.Model(formula, data, priors=priors | {"V": prior}, weights=weights)


@pytest.mark.parametrize("name", MODELS)
def test_the_icc_and_the_total_are_those_stated(name):
    model = of(name)
    theta, beta, _ = draw_priors(model, 1500, 7)
    between, within = mean_variance(model, theta)
    total = np.sqrt(between + within)
    assert stats.kstest(between / total**2, stats.beta(2.5, 1.5).cdf).pvalue > 1e-3
    assert stats.kstest(total, stats.halfnorm(scale=3).cdf).pvalue > 1e-3
    icc = derived_quantities(model, theta, beta)["icc[adjusted]"]
    np.testing.assert_allclose(icc, between / total**2)


def test_levels_with_a_known_relationship_contribute_by_their_own_variance():
    levels = SLEEP["Subject"].unique()
    K = pd.DataFrame(np.diag(np.linspace(1, 2, len(levels))), levels, levels)
    model = bl.Model("Reaction ~ (1 | Subject)", SLEEP, G={"Subject": bl.Known(K)})
    parts = variance_parts(model.parameters, model.design)
    np.testing.assert_allclose(parts.weights, [1.5, 1.0])


def test_strata_contribute_by_their_rows():
    data = bl.load_dataset("Orthodont")
    G = {"Subject": bl.UN(by="Sex")}
    model = bl.Model("distance ~ age + (age | Subject)", data, G=G, priors={"V": HALF})
    male, spread = (data["Sex"] == "Male").mean(), data["age"].var(ddof=0)
    expected = [1 - male, (1 - male) * spread, male, male * spread, 0, 0, 1]
    np.testing.assert_allclose(model.priors.variance_weights, expected)
    theta, _, _ = draw_priors(model, 1500, 9)
    between, within = mean_variance(model, theta)
    assert stats.kstest(between / (between + within), stats.beta(2.5, 1.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["slope", "uncorrelated", "weights"])
def test_parts_are_dirichlet(name):
    prior = bl.VarianceSplit(bl.HalfNormal(50), bl.Beta(2, 2), [0.7, 3])
    model = of(name, prior)
    theta, _, _ = draw_priors(model, 1500, 8)
    weights = variance_parts(model.parameters, model.design).weights
    v = weights * theta**2
    if name == "slope":
        # that of the slope is not moved
        between, _ = mean_variance(model, theta)
        second = v[:, 1] / between
    else:
        second = v[:, 1] / v[:, :2].sum(axis=1)
    assert stats.kstest(second, stats.beta(3, 0.7).cdf).pvalue > 1e-3


def test_the_posterior_is_that_of_quadrature():
    data = bl.load_dataset("Dyestuff")
    prior = bl.VarianceSplit(bl.HalfStudentT(3, 60), icc=bl.Beta(1, 3))
    priors = {"V": prior, "beta[Intercept]": bl.Flat()}
    model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors=priors)
    groups = data.groupby("Batch")["Yield"]
    ssb = 5 * float(((groups.mean() - data["Yield"].mean()) ** 2).sum())
    ssw = float(((data["Yield"] - groups.transform("mean")) ** 2).sum())

    def density(log_total, icc):
        V = np.exp(2 * log_total)
        within = V * (1 - icc)
        above = within + 5 * V * icc
        value = -12 * np.log(within) - 0.5 * ssw / within - 2.5 * np.log(above) - 0.5 * ssb / above
        value += stats.t(3, scale=60).logpdf(np.exp(log_total)) + log_total
        return np.exp(value + stats.beta(1, 3).logpdf(icc) + 125)

    log_total, icc = np.meshgrid(np.linspace(3, 7, 400), (np.arange(400) + 0.5) / 400)
    weights = density(log_total, icc)
    mean = (weights * icc).sum() / weights.sum()
    fit = model.fit("nuts", random_seed=3, chains=2, draws=1500, progress=False)
    sd, sigma = fit.draws.theta[..., 0], fit.draws.theta[..., 1]
    icc = (sd**2 / (sd**2 + sigma**2)).ravel()
    assert abs(icc.mean() - mean) < 5 * icc.std() / np.sqrt(800)


def test_gradient_of_a_posterior_with_slopes():
    model = of("slope far from zero")
    density = Density.of(model.equations, model.priors)
    x = np.array([3.0, 1.5, 0.3, 3.2])
    steps = 1e-5 * np.eye(4)
    differences = [(density(x + e)[0] - density(x - e)[0]) / 2e-5 for e in steps]
    np.testing.assert_allclose(density(x)[1], differences, rtol=1e-5, atol=1e-5)


def test_posterior_does_not_depend_on_where_a_predictor_has_its_zero():
    data = SLEEP.assign(x=SLEEP["Days"] + 2006)
    models = [
        bl.Model(f"Reaction ~ {x} + ({x} | Subject)", data, priors={"V": HALF})
        for x in ("Days", "x")
    ]
    points = np.random.default_rng(3).normal(1.5, 1.0, (5, 4))
    one, two = (
        [Density.of(model.equations, model.priors)(x)[0] for x in points] for model in models
    )
    np.testing.assert_allclose(np.diff(one), np.diff(two), rtol=1e-6, atol=2e-4)


def test_it_is_one_row_that_says_what_it_is_of():
    model = of("slope")
    rows = {row.parameter: row for row in model.priors.rows}
    assert list(rows) == ["beta[Intercept]", "beta[Days]", "V", "corr_Subject"]
    assert rows["V"].scale == "of sd_Subject[Intercept], sd_Subject[Days], sigma"
    assert model.priors["sigma"] == model.priors["sd_Subject[Days]"] == HALF
    again = model.with_priors(model.priors.frame())
    assert again.priors.rows == model.priors.rows


def test_it_is_described():
    text = " ".join(of("slope").describe().text.split())
    assert "1 − σ²/V ~ Beta(2.5, 1.5)" in text
    assert "√V ~ HalfNormal(3)" in text
    assert (
        "V = sd(u[Subject, Intercept] + 4.5·u[Subject, Days])² + 8.25·sd_Subject[Days]² + σ²"
        in text
    )
    assert "shares ~ Dirichlet(1, 1) of the other terms of V, in their order" in text
    assert r"\sqrt{V}" in of("slope").describe().latex


def test_a_mode_keeps_off_zero_or_is_refused():
    data = bl.load_dataset("Dyestuff2")
    model = bl.Model("Yield ~ 1 + (1 | Batch)", data)
    kept = model.with_priors({"V": bl.VarianceSplit(bl.HalfNormal(10), bl.Beta(2, 2))}).fit("map")
    assert kept.status.ok
    assert kept.theta["sd_Batch[Intercept]"] > 0.3
    sparse = bl.VarianceSplit(bl.HalfNormal(10), bl.Beta(0.4, 2))
    with pytest.raises(bl.PriorError, match="infinite at zero"):
        model.with_priors({"V": sparse}).fit("map")


def test_a_fit_is_saved_with_it(tmp_path):
    fit = of("weights").fit("map")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert again.model.priors.rows == fit.model.priors.rows
    pd.testing.assert_frame_equal(again.summary(), fit.summary())


ORTHODONT = {"time": "age", "group": "Subject"}
REFUSED = [
    # formula, R, priors, message
    ("distance ~ age + (1 | Subject)", bl.ID(by="Sex"), {"V": HALF}, "have 2 standard deviations"),
    (
        "distance ~ age + (1 | Subject)",
        bl.ID(variance=bl.VarPower("age")),
        {"V": HALF},
        "changes with a covariate; or set 'sd_Subject",
    ),
    (
        "distance ~ age + (age + I(age**2) | Subject)",
        None,
        {"V": HALF},
        "are correlated, so that what its effects contribute depends on their correlations",
    ),
    ("distance ~ age + (1 | Subject)", None, {"V": bl.HalfNormal(3)}, "Use VarianceSplit; or set"),
    ("distance ~ age + (1 | Subject)", None, {"sigma": HALF}, "under the key 'V'"),
    ("distance ~ age + (1 | Subject)", None, {"sd": HALF}, "under the key 'V'"),
    (
        "distance ~ age + (1 | Subject)",
        None,
        {"V": HALF, "sd": bl.HalfNormal(3)},
        "nothing would use the prior for 'sd'",
    ),
    (
        "distance ~ age + (age | Subject)",
        None,
        {"V": HALF, "G_Subject": bl.HuangWand(2, [1, 1])},
        "both have a prior",
    ),
    (
        "distance ~ age + (age | Subject)",
        None,
        {"V": HALF, "corr": bl.Fixed(0.2)},
        "Centre these columns",
    ),
    (
        "distance ~ age + (1 | Subject)",
        None,
        {"V": bl.VarianceSplit(bl.HalfNormal(1), bl.Beta(1, 1), [1, 1])},
        "has 2 shares; there are 1 standard deviations",
    ),
]


@pytest.mark.parametrize(("formula", "R", "priors", "message"), REFUSED)
def test_refused(formula, R, priors, message):
    with pytest.raises(bl.PriorError, match=message):
        bl.Model(formula, bl.load_dataset("Orthodont"), R=R, priors=priors)


INVALID = [
    (lambda: bl.VarianceSplit(3, bl.Beta(1, 1)), bl.ArgumentTypeError, "`total` should be a prior"),
    (lambda: bl.VarianceSplit(bl.HalfNormal(3), (1, 1)), bl.ArgumentTypeError, "`r2` ones such as"),
    (lambda: bl.VarianceSplit(bl.Normal(0, 3), bl.Beta(1, 1)), bl.PriorError, "HalfNormal or"),
    (lambda: bl.VarianceSplit(bl.Uniform(0, 3), bl.Beta(1, 1)), bl.PriorError, "should be Half"),
    (
        lambda: bl.VarianceSplit(bl.HalfNormal(3), bl.Beta(1, 1), [1, 0]),
        bl.PriorError,
        "`shares` should be positive",
    ),
    (
        lambda: bl.VarianceSplit(bl.HalfNormal(3), bl.Beta(1, 1), "a"),
        bl.ArgumentTypeError,
        "`shares` should be numbers",
    ),
    (lambda: HALF.to_pymc("V"), bl.PriorError, r"model.full_pymc\(\) has them"),
]


@pytest.mark.parametrize(("make", "error", "message"), INVALID)
def test_impossible_hyperparameters(make, error, message):
    with pytest.raises(error, match=message):
        make()
