"""The joint prior of R², the slopes and the standard deviations."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import bayeslmm as bl
from bayeslmm.effects.response_variance import derived_quantities
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.estimation.posterior.slopes import vector_of
from bayeslmm.inference.prior_draws import draw_priors

SLEEP = bl.load_dataset("sleepstudy")
ORTHODONT = bl.load_dataset("Orthodont")
TOTAL, ICC, R2 = bl.HalfNormal(80), bl.Beta(2.5, 1.5), bl.Beta(2, 4)
SPLIT = bl.VarianceSplit(TOTAL, icc=ICC, r2=R2)


def small(n=24):
    rng = np.random.default_rng(8)
    g = np.arange(n) % 5
    x, x2 = rng.normal(3, 2, n), rng.normal(0, 1, n)
    y = 10 + 2 * x + rng.normal(0, 3, 5)[g] + rng.normal(0, 4, n)
    f = np.where(np.arange(n) % 3 == 0, "a", np.where(np.arange(n) % 3 == 1, "b", "c"))
    return pd.DataFrame({"y": y, "x": x, "x2": x2, "f": f, "g": g.astype(str)})


# formula, r2, prior of the intercept
MODELS = {
    "one slope": ("y ~ x + (1 | g)", bl.Beta(2, 4), bl.Normal(10, 5)),
    "at the means": ("y ~ x + x2 + (1 | g)", bl.Beta(2, 4), None),
    "two effects": ("y ~ x + x2 + (1 | g) + (0 + x2 | g)", bl.Beta(1, 1), None),
    "a factor": ("y ~ f + x + (1 | g)", bl.Beta(0.5, 2), bl.Normal(10, 5)),
    "through zero": ("y ~ 0 + x + x2 + (1 | g)", bl.Beta(0.7, 0.9), None),
    "no random effects": ("y ~ x + x2", bl.Beta(3, 2), None),
}


def of(name, data=None):
    formula, r2, intercept = MODELS[name]
    icc = bl.Beta(2, 3) if "(" in formula else None
    priors = {"V": bl.VarianceSplit(bl.HalfNormal(8), icc=icc, r2=r2)}
    if intercept is not None:
        priors["beta[Intercept]"] = intercept
    return bl.Model(formula, small() if data is None else data, priors=priors)


def differences(function, x, h=1e-6):
    """A Jacobian by central differences, a column for each coordinate."""
    steps = h * np.eye(len(x))
    return np.array([(function(x + e) - function(x - e)) / (2 * h) for e in steps]).T


def root_of(model):
    """S, the covariance matrix of the columns of the slopes, and its symmetric root."""
    own = [j for j, name in enumerate(model.design.coef) if name != "Intercept"]
    S = np.atleast_2d(np.cov(model.design.X[:, own].T, ddof=0))
    values, vectors = np.linalg.eigh(S)
    return own, S, vectors * np.sqrt(values) @ vectors.T


def log_definition(model, theta, b):
    """The density of what the prior is stated in, with the Jacobian of all of it by differences.

    The direction is a sign, or angles: uniform, and with the density sin φ on the sphere.
    """
    prior, weights = model.priors.theta[-1], model.priors.variance_weights
    _, _, root = root_of(model)
    k = len(theta)

    def stated(values):
        v, d = weights * values[:k] ** 2, root @ values[k:]
        f, V = d @ d, v.sum()
        angles = [np.arctan2(d[1], d[0])] if len(d) > 1 else []
        angles += [np.arccos(d[2] / np.sqrt(f))] if len(d) > 2 else []
        shares = [1 - v[-1] / V, *(v[:-2] / v[:-1].sum())] if k > 1 else []
        return np.array([np.sqrt(f + V), f / (f + V), *shares, *angles])

    values = np.concatenate([theta, b])
    total, r2, *rest = stated(values)
    value = stats.halfnorm(scale=prior.total.sigma).logpdf(total)
    value += stats.beta(prior.r2.alpha, prior.r2.beta).logpdf(r2)
    if k > 1:
        value += stats.beta(prior.icc.alpha, prior.icc.beta).logpdf(rest[0])
        parts = np.append(rest[1 : k - 1], 1 - sum(rest[1 : k - 1]))
        value += stats.dirichlet(prior.concentrations(k - 1)).logpdf(parts) if k > 2 else 0.0
    value += {1: np.log(0.5), 2: -np.log(2 * np.pi)}.get(len(b), -np.log(4 * np.pi))
    if len(b) == 3:
        value += np.log(np.sin(rest[-1]))
    return value + np.linalg.slogdet(differences(stated, values, 1e-5))[1]


def log_likelihood(model, theta, b):
    """Dense, with the intercept integrated out."""
    design = model.design
    own = [j for j, name in enumerate(design.coef) if name != "Intercept"]
    n = len(design.y)
    covariance, at = theta[-1] ** 2 * np.eye(n), 0
    for factor in design.factors:
        for j in range(len(factor.effects)):
            ZZ = np.outer(factor.Z[:, j], factor.Z[:, j])
            covariance += theta[at] ** 2 * ZZ * (factor.codes[:, None] == factor.codes)
            at += 1
    X = design.X[:, own]
    mean = X @ b
    if "Intercept" in design.coef:
        prior = model.priors["beta[Intercept]"]
        covariance += prior.sigma**2
        mean = mean + prior.mu
        if type(prior).__name__ == "NormalAtMeans":
            mean = mean - X.mean(axis=0) @ b
    return stats.multivariate_normal(mean, covariance).logpdf(design.y)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_density_is_that_of_the_definition(name):
    model = of(name)
    density = Density.of(model.equations, model.priors)
    own, _, _ = root_of(model)
    k = len(model.parameters)
    numbers = density.sampled.slopes.numbers

    def natural(x):
        theta = density.theta(x)
        return np.concatenate(
            [theta, (model.priors.slope_root @ vector_of(x[k:], numbers, theta))[own]]
        )

    rng = np.random.default_rng(5)
    start = density.unconstrained(np.full(k, 3.0))
    found = []
    for _ in range(4):
        x = start + rng.normal(0, 0.3, len(start))
        values = natural(x)
        theta, b = values[:k], values[k:]
        expected = log_definition(model, theta, b) + log_likelihood(model, theta, b)
        expected += np.linalg.slogdet(differences(natural, x))[1]
        value, gradient = density(x)
        found.append(value - expected)
        numeric = differences(lambda x: density(x)[0], x, 1e-4)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-4)
    # the prior is smoothed by a thousandth of a standard error
    np.testing.assert_allclose(found, found[0], atol=1e-3)


def test_gradient_where_residuals_are_correlated():
    R = bl.AR1(time="age", group="Subject")
    priors = {"V": bl.VarianceSplit(TOTAL, icc=ICC, r2=bl.Beta(0.5, 2))}
    model = bl.Model("distance ~ age * Sex + (1 | Subject)", ORTHODONT, R=R, priors=priors)
    density = Density.of(model.equations, model.priors)
    x = density.unconstrained(model.fit("reml").theta.to_numpy()) + 0.05
    numeric = differences(lambda x: density(x)[0], x, 1e-4)
    np.testing.assert_allclose(density(x)[1], numeric, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["one slope", "at the means", "a factor"])
def test_draws_have_the_stated_shares(name):
    model = of(name)
    prior = model.priors.theta[-1]
    theta, beta, _ = draw_priors(model, 1500, 3)
    own, S, root = root_of(model)
    b = beta[:, own]
    f = np.einsum("si,ij,sj->s", b, S, b)
    V = (theta**2).sum(axis=1)
    r2 = derived_quantities(model, theta, beta)
    sample = f * 24 / 23  # the prior is of a mean over the rows, R² of the sample's variance
    np.testing.assert_allclose(r2["r2[marginal]"], sample / (sample + V))
    np.testing.assert_allclose(r2["r2[conditional]"], 1 - theta[:, -1] ** 2 / (sample + V))
    assert stats.kstest(f / (f + V), stats.beta(prior.r2.alpha, prior.r2.beta).cdf).pvalue > 1e-3
    assert stats.kstest(np.sqrt(f + V), stats.halfnorm(scale=8).cdf).pvalue > 1e-3
    assert stats.kstest(1 - theta[:, -1] ** 2 / V, stats.beta(2, 3).cdf).pvalue > 1e-3
    direction = (b @ root) / np.sqrt(f)[:, None]
    if len(own) == 1:
        assert stats.binomtest(int((direction > 0).sum()), 1500).pvalue > 1e-3
    elif len(own) == 2:
        angle = np.arctan2(*direction.T)
        assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    else:  # each coordinate of a point on the sphere is uniform (Archimedes)
        assert stats.kstest(direction[:, 2], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_r2_counts_random_slopes_and_weights():
    data = SLEEP.assign(w=np.linspace(0.5, 3, 180))
    formula = "Reaction ~ Days + (Days | Subject)"
    model = bl.Model(formula, data, priors={"V": SPLIT}, weights="w")
    theta, beta, _ = draw_priors(model, 1500, 5)
    r2 = derived_quantities(model, theta, beta)["r2[marginal]"]
    assert stats.kstest(r2, stats.beta(2, 4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("r2", [bl.Beta(0.4, 2), bl.Beta(2, 4), bl.Beta(4, 1)])
def test_the_textbook_density_of_slopes_integrates_to_one(r2):
    model = of("one slope").with_priors({"V": bl.VarianceSplit(TOTAL, icc=ICC, r2=r2)})
    textbook = model.full_pymc()
    z = textbook["V_slopes"]
    value = textbook.rvs_to_values[z]
    import pytensor
    from pytensor.compile.mode import Mode

    mode = Mode(linker="py", optimizer="fast_compile")
    logp = pytensor.function([value], textbook.logp(vars=[z], sum=False)[0], mode=mode)
    # of the logarithm, on both sides
    mass = 2 * integrate.quad(lambda t: np.exp(float(logp([np.exp(t)])) + t), -30, 60, limit=200)[0]
    np.testing.assert_allclose(mass, 1.0, rtol=1e-5)


# the density has a cusp where the slope is zero, and a draw or two may stumble over it
@pytest.mark.filterwarnings("ignore::bayeslmm.ConvergenceWarning")
def test_the_posterior_is_that_of_quadrature():
    """Of a slope that may have either sign, under a prior that is zero at zero."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=20)
    data = pd.DataFrame({"x": x - x.mean(), "y": 0.25 * x + rng.normal(size=20)})
    prior = bl.VarianceSplit(bl.HalfNormal(2), r2=bl.Beta(2, 4))
    model = bl.Model("y ~ x", data, priors={"V": prior, "beta[Intercept]": bl.Normal(0, 1)})
    b, sigma = np.meshgrid(np.linspace(-2, 2, 401), np.linspace(0.3, 2.5, 221))
    s = float(np.var(data["x"]))
    T = np.sqrt(s * b**2 + sigma**2)
    r2 = s * b**2 / T**2
    # (T, r2) to (|b|, sigma): |dT dr2| = 2 s |b| sigma / T³
    log = stats.halfnorm(scale=2).logpdf(T) + np.log(2 * s * np.abs(b) * sigma / T**3 + 1e-300)
    log += np.where(r2 > 0, stats.beta(2, 4).logpdf(np.maximum(r2, 1e-12)), -np.inf)
    e = data["y"].to_numpy() - b[..., None] * data["x"].to_numpy()
    centre = e.mean(axis=-1)
    rss = ((e - centre[..., None]) ** 2).sum(axis=-1)
    var = sigma**2 / 20 + 1
    log += -19 * np.log(sigma) - 0.5 * rss / sigma**2 - 0.5 * np.log(var) - 0.5 * centre**2 / var
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    fit = model.fit("nuts", random_seed=4, draws=3000, progress=False)
    draws, sds = fit.draws.beta[..., 1].ravel(), fit.draws.theta[..., 0].ravel()
    ess = fit.summary()["ess_bulk"].min()
    assert ess > 1000
    for own, grid in ((draws < 0, b < 0), (np.abs(draws), np.abs(b)), (sds, sigma)):
        mean = (weights * grid).sum()
        assert abs(own.mean() - mean) < 4 * own.std() / np.sqrt(ess)
    assert 0.1 < (draws < 0).mean() < 0.9


def test_a_posterior_and_what_is_made_of_it(tmp_path):
    model = bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP, priors={"V": SPLIT})
    fit = model.fit("nuts", random_seed=1, draws=500, chains=2, progress=False)
    reml = bl.Model("Reaction ~ Days + (Days | Subject)", SLEEP).fit("reml")
    assert abs(fit.fixef()["estimate"]["Days"] - reml.fixef()["estimate"]["Days"]) < 1
    assert fit.diagnose().ok
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert again.model.priors.rows == model.priors.rows
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    assert np.isfinite(fit.predict(groups="none")["estimate"]).all()
    figure = fit.plot.prior_posterior(["r2", "beta[Days]"], random_seed=1)
    titles = [axis.get_title() for axis in figure.axes]
    assert {"beta[Days]", "r2[marginal]", "r2[conditional]"} <= set(titles)


def test_the_units_and_zeros_of_predictors_do_not_matter():
    data = small()
    moved = data.assign(x=data["x"] * 1000 + 2006, x2=data["x2"] - 7)
    one, two = (of("at the means", own) for own in (data, moved))
    densities = [Density.of(own.equations, own.priors) for own in (one, two)]
    rng = np.random.default_rng(3)
    points = densities[0].unconstrained(np.full(2, 3.0)) + rng.normal(0, 0.3, (4, 4))
    values = [[density(x)[0] for x in points] for density in densities]
    np.testing.assert_allclose(np.diff(values[0]), np.diff(values[1]), atol=1e-5)


def test_it_is_one_row_that_says_what_it_is_of():
    model = bl.Model("Reaction ~ Days + (1 | Subject)", SLEEP, priors={"V": SPLIT})
    rows = {row.parameter: row for row in model.priors.rows}
    assert list(rows) == ["beta[Intercept]", "V"]
    assert rows["V"].scale == "of beta[Days], sd_Subject[Intercept], sigma"
    assert str(rows["V"].prior) == "VarianceSplit(HalfNormal(80), Beta(2.5, 1.5), 1, Beta(2, 4))"
    assert model.priors["beta[Days]"] == model.priors["sigma"] == SPLIT
    assert model.priors.slopes == ("beta[Days]",)
    frame = model.priors.frame()
    assert model.with_priors(frame).priors.rows == model.priors.rows
    frame.loc["V", "prior"] = bl.VarianceSplit(TOTAL, icc=ICC, r2=bl.Beta(1, 1))
    assert model.with_priors(frame).priors["V"].r2 == bl.Beta(1, 1)
    assert not model.with_priors({"V": bl.VarianceSplit(TOTAL, icc=ICC)}).priors.slopes


def test_it_is_described():
    model = bl.Model("Reaction ~ Days + (1 | Subject)", SLEEP, priors={"V": SPLIT})
    text = " ".join(model.describe().text.split())
    assert "f = var(beta[Days]·Daysᵢ) the variance over the rows" in text.replace("β", "beta")
    assert "√(f + V) ~ HalfNormal(80)" in text
    assert "f/(f + V) ~ Beta(2, 4) all directions of the slopes alike, given f" in text
    assert "1 − σ²/V ~ Beta(2.5, 1.5)" in text
    assert r"\sqrt{f + V}" in model.describe().latex
    alone = bl.Model("Reaction ~ Days", SLEEP, priors={"V": bl.VarianceSplit(TOTAL, r2=R2)})
    assert "V = σ²" in " ".join(alone.describe().text.split())


def test_reml_does_not_use_it_and_a_mode_is_refused():
    formula = "Reaction ~ Days + (1 | Subject)"
    model = bl.Model(formula, SLEEP, priors={"V": SPLIT})
    free = bl.Model(formula, SLEEP)
    np.testing.assert_allclose(model.fit("reml").beta, free.fit("reml").beta)
    with pytest.raises(bl.PriorError, match=r"beta\[Days\] have one of R². Leave `r2` out"):
        model.fit("map")
    with pytest.raises(bl.ArgumentError, match="Leave `collapse` out, or `sampler`"):
        model.fit("nuts", sampler="pymc", collapse=True)


REFUSED = [
    # formula, V, other priors, message
    ("distance ~ 1 + (1 | Subject)", SPLIT, {}, "there are no coefficients but that of an interc"),
    ("distance ~ 0 + Sex + age + (1 | Subject)", SPLIT, {}, "write the formula with an intercept"),
    ("distance ~ age", SPLIT, {}, "there are no random effects; state `r2`"),
    ("distance ~ age", bl.VarianceSplit(TOTAL, icc=ICC), {}, "there are no random effects"),
    (
        "distance ~ age + (1 | Subject)",
        bl.VarianceSplit(TOTAL, r2=R2),
        {},
        "has no `icc`: state the share that sd_Subject",
    ),
    (
        "distance ~ age + (1 | Subject)",
        SPLIT,
        {"beta[age]": bl.Normal(0, 1)},
        "nothing would use the prior for 'beta\\[age\\]'",
    ),
    (
        "distance ~ age + (1 | Subject)",
        SPLIT,
        {"beta": bl.MvNormal([0], [[1]])},
        "both have a prior, and both are for 'beta\\[age\\]'",
    ),
    ("distance ~ age + (1 | Subject)", None, {"beta": SPLIT}, "under the key 'V'"),
]


@pytest.mark.parametrize(("formula", "V", "priors", "message"), REFUSED)
def test_refused(formula, V, priors, message):
    given = priors if V is None else priors | {"V": V}
    with pytest.raises(bl.PriorError, match=message):
        bl.Model(formula, ORTHODONT, priors=given)


INVALID = [
    (lambda: bl.VarianceSplit(TOTAL), bl.PriorError, "it needs `icc`, the share of the random"),
    (lambda: bl.VarianceSplit(TOTAL, r2=0.3), bl.ArgumentTypeError, "`r2` ones such as bl.Beta"),
    (lambda: bl.VarianceSplit(TOTAL, ICC, r2=TOTAL), bl.ArgumentTypeError, "got HalfNormal"),
]


@pytest.mark.parametrize(("make", "error", "message"), INVALID)
def test_impossible_hyperparameters(make, error, message):
    with pytest.raises(error, match=message):
        make()
