"""Coefficients whose priors are not Gaussian: sampled beside theta, or in the textbook model."""

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.estimation.posterior.density import Density

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

FLAT = {"beta[Intercept]": bl.Flat()}
PRIORS = [
    (FLAT | {"beta": bl.StudentT(3, 0, 20)}, lambda b: stats.t(3, 0, 20).logpdf(b[1])),
    (FLAT | {"beta": bl.Laplace(5, 4)}, lambda b: stats.laplace(5, 4).logpdf(b[1])),
    (
        {"beta[Intercept]": bl.Cauchy(250, 50), "beta": bl.Flat()},
        lambda b: stats.cauchy(250, 50).logpdf(b[0]),
    ),
    (
        {"beta[Intercept]": bl.StudentTAtMeans(3, 300, 50), "beta": bl.Flat()},
        lambda b: stats.t(3, 300, 50).logpdf(b[0] + 4.5 * b[1]),
    ),
    (
        {"beta": bl.MvNormal([250, 10], [[900, -40], [-40, 25]])},
        lambda b: stats.multivariate_normal([250, 10], [[900, -40], [-40, 25]]).logpdf(b),
    ),
    (
        {"beta": bl.MvNormal([10], 25), "beta[Intercept]": bl.Normal(200, 30)},
        lambda b: stats.norm([200, 10], [30, 5]).logpdf(b).sum(),
    ),
]


WIDE = {"beta[Intercept]": bl.Normal(250, 40)}
LOG_DENSITY = {
    "StudentT": lambda p: stats.t(p.nu, p.mu, p.sigma),
    "Cauchy": lambda p: stats.cauchy(p.mu, p.sigma),
    "Laplace": lambda p: stats.laplace(p.mu, p.b),
    "Normal": lambda p: stats.norm(p.mu, p.sigma),
    "NormalAtMeans": lambda p: stats.norm(p.mu, p.sigma),
    "StudentTAtMeans": lambda p: stats.t(p.nu, p.mu, p.sigma),
}


def sleepstudy(priors):
    others = {"sd": bl.HalfNormal(50), "sigma": bl.HalfNormal(50)}
    data = bl.load_dataset("sleepstudy")
    return bl.Model("Reaction ~ Days + (1 | Subject)", data, priors={**others, **priors})


@pytest.mark.parametrize(("priors", "log_density"), PRIORS)
def test_textbook_model_has_the_prior_of_the_coefficients(priors, log_density):
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    model = sleepstudy(priors).full_pymc()
    variables = [v for v in model.free_RVs if v.name.startswith("beta")]
    mode = Mode(linker="py", optimizer="fast_compile")
    values = [model.rvs_to_values[v] for v in variables]
    total = sum(term.sum() for term in model.logp(vars=variables, sum=False))
    log_prior = pytensor.function(values, total, mode=mode)
    reported = model.replace_rvs_by_values([pt.as_tensor(model["beta"])])[0]
    beta = pytensor.function(values, reported, mode=mode, on_unused_input="ignore")
    rng = np.random.default_rng(2)
    found = []
    for _ in range(3):
        point = [rng.normal(100, 60, size=tuple(v.shape.eval(mode=mode))) for v in variables]
        found.append(log_prior(*point) - log_density(beta(*point)))
    np.testing.assert_allclose(found, found[0], atol=1e-8)


def test_sampling_agrees_with_the_gaussian_limit():
    """Student's t with many degrees of freedom is normal, which is integrated out exactly."""
    normal = sleepstudy({"beta": bl.Normal(0, 3)})
    heavy = sleepstudy({"beta": bl.StudentT(1e6, 0, 3)})
    exact = normal.fit("nuts", random_seed=1, progress=False)
    sampled = heavy.fit("nuts", random_seed=1, progress=False)
    one, two = exact.summary(), sampled.summary()
    error = np.sqrt(one["mcse"] ** 2 + two["mcse"] ** 2)
    assert (np.abs(one["estimate"] - two["estimate"]) < 5 * error).all()
    assert sampled.diagnose().ok


SAMPLED = {
    "Student's t": {"beta": bl.StudentT(3, 5, 2), **WIDE},
    "Cauchy": {"beta[Intercept]": bl.Cauchy(240, 8), "beta": bl.Normal(8, 3)},
    "Laplace": {"beta": bl.Laplace(7, 1), **WIDE},
    "intercept at the means": {
        "beta": bl.Laplace(7, 1),
        "beta[Intercept]": bl.NormalAtMeans(300, 5),
    },
    "Student's t at the means": {
        "beta": bl.Normal(7, 3),
        "beta[Intercept]": bl.StudentTAtMeans(4, 300, 5),
    },
    "all at the means": {
        "beta": bl.Laplace(8, 2),
        "beta[Intercept]": bl.StudentTAtMeans(3, 300, 8),
    },
    "all": {"beta[Intercept]": bl.StudentT(4, 240, 9), "beta": bl.Cauchy(8, 1)},
}


@pytest.mark.parametrize("name", SAMPLED)
def test_the_gradient_is_that_of_finite_differences(name):
    model = sleepstudy(SAMPLED[name])
    density = Density.of(model.equations, model.priors)
    rng = np.random.default_rng(3)
    x = density.unconstrained(np.array([35.0, 30.0])) + 0.5 * rng.normal(size=density.dim)
    _, gradient = density(x)
    for i, step in enumerate(1e-5 * np.eye(density.dim)):
        up, down = density(x + step)[0], density(x - step)[0]
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_posterior_is_that_of_reweighted_draws(name):
    """Draws under a wide normal prior, with the ratio of the priors for weights."""
    priors = SAMPLED[name]
    model, wide = sleepstudy(priors), sleepstudy({"beta": bl.Normal(9, 3), **WIDE})
    fit = model.fit("nuts", random_seed=5, progress=False)
    draws = wide.fit("nuts", draws=10_000, random_seed=6, progress=False).draws.beta.reshape(-1, 2)
    log_weights = -stats.norm(9, 3).logpdf(draws[:, 1]) - stats.norm(250, 40).logpdf(draws[:, 0])
    for j, coef in enumerate(("Intercept", "Days")):
        prior = model.priors[f"beta[{coef}]"]
        about = draws[:, 0] + 4.5 * draws[:, 1] if prior.at_means else draws[:, j]
        log_weights = log_weights + LOG_DENSITY[type(prior).__name__](prior).logpdf(about)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    effective = 1 / np.sum(weights**2)
    assert effective > 1000
    mean = weights @ draws
    sd = np.sqrt(weights @ (draws - mean) ** 2)
    summary = fit.summary().iloc[:2]
    error = sd * np.sqrt(1 / effective + 1 / summary["ess_bulk"].to_numpy())
    assert (np.abs(summary["estimate"].to_numpy() - mean) < 4.5 * error).all()
    np.testing.assert_allclose(summary["std_error"], sd, rtol=0.1)


def dense_log_density(priors, sd, sigma, at_means):
    """Of theta and the linear predictor at the means, with the slope integrated out by
    quadrature, and without the logarithms' Jacobian.
    """
    data = bl.load_dataset("sleepstudy")
    y, days = data["Reaction"].to_numpy(), data["Days"].to_numpy()
    same = data["Subject"].to_numpy()[:, None] == data["Subject"].to_numpy()
    V = sd**2 * same + sigma**2 * np.eye(len(y))
    root = np.linalg.cholesky(V)
    slopes = np.linspace(0, 20, 2001)
    residuals = y[:, None] - at_means - np.subtract.outer(days, [4.5]) * slopes
    squares = (np.linalg.solve(root, residuals) ** 2).sum(axis=0)
    logs = -0.5 * squares - np.log(np.diag(root)).sum()
    slope, level = priors["beta"], priors["beta[Intercept]"]
    logs += LOG_DENSITY[type(slope).__name__](slope).logpdf(slopes)
    total = logs.max() + np.log(np.trapezoid(np.exp(logs - logs.max()), slopes))
    total += stats.t(level.nu, level.mu, level.sigma).logpdf(at_means)
    return total + stats.halfnorm(0, 50).logpdf([sd, sigma]).sum()


def test_the_density_at_the_means_is_that_of_dense_algebra():
    priors = SAMPLED["Student's t at the means"]
    model = sleepstudy(priors)
    density = Density.of(model.equations, model.priors)
    unit = density.sampled.table[0, -1]
    left_out = []
    for sd, sigma, at_means in ((35, 30, 300), (50, 25, 285), (20, 35, 310), (36, 31, 296)):
        x = np.array([np.log(sd), np.log(sigma), at_means / unit])
        truth = dense_log_density(priors, sd, sigma, at_means) + np.log(sd * sigma)
        left_out.append(truth - density(x)[0])
    # beta is smoothed by a thousandth of a standard error
    np.testing.assert_allclose(left_out, left_out[0], atol=1e-4)


def test_an_intercept_at_the_means_agrees_with_the_textbook_model(capfd):
    priors = {"beta[Intercept]": bl.StudentTAtMeans(3, 320, 4), "beta": bl.Normal(8, 5)}
    model = sleepstudy(priors)
    fit = model.fit("nuts", random_seed=3, progress=False)
    assert "compiling" not in capfd.readouterr().err
    full = model.fit("nuts", random_seed=4, collapse=False, target_accept=0.95, progress=False)
    one, two = fit.summary(), full.summary()
    error = np.sqrt(one["mcse"] ** 2 + two["mcse"] ** 2)
    assert (np.abs(one["estimate"] - two["estimate"]) < 4.5 * error).all()
    at_means = fit.draws.beta @ [1.0, 4.5]
    assert 300 < at_means.mean() < 320  # between the data's 298.5 and the prior's 320


def test_where_a_predictor_has_its_zero_does_not_matter_at_the_means():
    data = bl.load_dataset("sleepstudy").assign(year=lambda d: d["Days"] + 2000)
    priors = {"beta[Intercept]": bl.StudentTAtMeans(3, 320, 4), "beta": bl.Laplace(8, 2)}
    draws = [
        bl.Model(f"Reaction ~ {x} + (1 | Subject)", data, priors=priors).fit(
            "nuts", random_seed=3, progress=False
        )
        for x in ("Days", "year")
    ]
    one, two = (fit.summary() for fit in draws)
    error = np.sqrt(one["mcse"] ** 2 + two["mcse"].to_numpy() ** 2).to_numpy()
    difference = one["estimate"].to_numpy() - two["estimate"].to_numpy()
    assert (np.abs(difference[1:]) < 4.5 * error[1:]).all()


def test_reml_does_not_use_it():
    data = bl.load_dataset("sleepstudy")
    free = bl.Model("Reaction ~ Days + (1 | Subject)", data).fit("reml")
    fit = sleepstudy({"beta": bl.Laplace(0, 0.1)}).fit("reml")
    np.testing.assert_allclose(fit.beta, free.beta)
