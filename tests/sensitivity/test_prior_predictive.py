"""Draws from priors and of responses, what they imply, and their pictures."""

import numpy as np
import pytest
from matplotlib.colors import same_color

import bayeslmm as bl
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.sensitivity.implied import implied_quantities
from tests.oracles.dense import marginal_covariance
from tests.oracles.fits_cache import likelihood, posterior
from tests.plots.test_plots import panels, texts

ORANGE, BLUE, INK, FAINT = "#D55E00", "#0072B2", "#333333", "#BBBBBB"


def nearly(value):
    """A prior that is almost a point."""
    return bl.Uniform(value, value * (1 + 1e-9))


def sleep(formula="Reaction ~ Days + (Days | Subject)", **arguments):
    return bl.Model(formula, bl.load_dataset("sleepstudy"), **arguments)


def test_draws_of_parameters_have_the_moments_of_their_priors():
    priors = {
        "beta[Intercept]": bl.Normal(200, 50),
        "beta[Days]": bl.Normal(-3, 2),
        "sd": bl.Exponential(0.1),
        "corr": bl.LKJ(3),
        "sigma": bl.Gamma(4, 0.5),
    }
    theta, beta, _ = draw_priors(sleep(priors=priors), 4000, 1)
    rows = np.column_stack([beta, theta])
    expected_mean = np.array([200, -3, 10, 10, 0, 8])
    expected_sd = np.array([50, 2, 10, 10, 1 / np.sqrt(7), 4])  # LKJ: (1 + r)/2 is Beta(3, 3)
    error = expected_sd / np.sqrt(4000)
    np.testing.assert_array_less(abs(rows.mean(axis=0) - expected_mean), 4 * error)
    np.testing.assert_allclose(rows.std(axis=0), expected_sd, rtol=0.12)


def test_default_priors_are_drawn_at_the_means():
    model = sleep()
    theta, beta, _ = draw_priors(model, 4000, 1)
    at_means = beta @ model.design.X.mean(axis=0)
    prior = model.priors["beta[Intercept]"]
    assert abs(at_means.mean() - prior.mu) < 4 * prior.sigma / np.sqrt(4000)
    np.testing.assert_allclose(at_means.std(), prior.sigma, rtol=0.05)
    M = np.stack([model.equations.relative_factors(row) for row in theta])
    G = [
        theta[:, -1, None, None] ** 2 * (m @ m.transpose(0, 2, 1))
        for m in model.equations.split_M(M)
    ]
    z = np.array([1, 4.5])
    sd = np.sqrt(np.einsum("i,sij,j->s", z, G[0], z))
    # the median of a half t with 3 degrees of freedom is 0.7649 scales
    np.testing.assert_allclose(np.median(sd), 0.7649 * np.std(model.design.y, ddof=1), rtol=0.06)


def test_responses_have_the_covariance_of_the_model():
    data = bl.load_dataset("Orthodont")
    data = data[data["Subject"].isin(["M01", "F01"])].assign(w=np.linspace(0.5, 2, 8))
    R = bl.AR1(time="age", group="Subject")
    narrow = {"beta[Intercept]": bl.Normal(20, 1e-6), "beta[age]": bl.Normal(1, 1e-6)}
    model = bl.Model("distance ~ age + (1 | Sex)", data, R=R, weights="w").with_priors(
        narrow | {"sd": nearly(2.0), "rho": bl.Uniform(0.6, 0.600001), "sigma": nearly(1.5)}
    )
    y = model.prior_predictive(draws=20_000, random_seed=3)["prior_predictive"]["y"].to_numpy()[0]
    same = data["Subject"].to_numpy()[:, None] == data["Subject"].to_numpy()
    lag = abs(data["age"].to_numpy()[:, None] - data["age"].to_numpy()) / 2
    sds = 1.5 / np.sqrt(data["w"].to_numpy())
    V = 4.0 * same + np.where(same, 0.6**lag, 0) * np.outer(sds, sds)
    np.testing.assert_allclose(np.cov(y.T), V, atol=0.04 * V.max())
    np.testing.assert_allclose(y.mean(axis=0), 20 + data["age"], atol=0.08)


def test_tree_has_the_dimensions_of_a_posterior():
    tree = bl.Model("strength ~ 1 + (1 | batch/cask)", bl.load_dataset("Pastes")).prior_predictive(
        draws=7, random_seed=1
    )
    assert list(tree.children) == ["prior", "prior_predictive", "observed_data"]
    prior = tree["prior"]
    assert prior["beta"].dims == ("chain", "draw", "coef")
    assert prior["sd_batch:cask"].dims == ("chain", "draw", "batch:cask_effect_sd")
    assert prior["u_batch"].shape == (1, 7, 10, 1)
    assert prior["sigma"].dims == ("chain", "draw")
    assert tree["prior_predictive"]["y"].dims == ("chain", "draw", "row")
    assert tree["observed_data"]["y"].shape == (60,)


def test_a_seed_gives_the_same_draws():
    model = sleep("Reaction ~ Days")
    first, again, other = (
        model.prior_predictive(draws=3, random_seed=seed)["prior_predictive"]["y"].to_numpy()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_uniform_lags_make_correlation_matrices():
    R = bl.Toep(time="age", group="Subject")
    model = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=R)
    theta, _, _ = draw_priors(model, 300, 1)
    lags = abs(np.subtract.outer(np.arange(4), np.arange(4)))
    rho = np.column_stack([np.ones(300), theta[:, :3]])
    assert np.linalg.eigvalsh(rho[:, lags]).min() > 0


REFUSED = [
    ({"priors": {"beta": bl.Flat()}}, {}, bl.PriorError, r"'beta\[Days\]' has a flat prior"),
    ({}, {"draws": 0}, bl.ArgumentError, "`draws` should be"),
    ({}, {"draws": "many"}, bl.ArgumentTypeError, "`draws` should be"),
    ({}, {"random_seed": -1}, bl.ArgumentError, "`random_seed` should be"),
]


@pytest.mark.parametrize(("model", "arguments", "error", "message"), REFUSED)
def test_refusals(model, arguments, error, message):
    with pytest.raises(error, match=message):
        sleep("Reaction ~ Days", **model).prior_predictive(**arguments)


def test_implied_quantities_at_the_estimates():
    theta, beta = np.array([[24.740, 5.922, 0.066, 25.592]]), np.array([[251.4, 10.467]])
    model = sleep()
    found = implied_quantities(model, theta, beta)
    sd = theta[0, :2]
    G = np.outer(sd, sd) * np.array([[1, 0.066], [0.066, 1]])
    Z = model.design.factors[0].Z
    between, fixed = np.diag(Z @ G @ Z.T).mean(), np.var(model.design.X @ beta[0], ddof=1)
    around = between + 25.592**2
    np.testing.assert_allclose(found["icc[adjusted]"], between / around)
    np.testing.assert_allclose(found["icc[unadjusted]"], between / (fixed + around))
    np.testing.assert_allclose(found["r2[marginal]"], fixed / (fixed + around))
    np.testing.assert_allclose(found["r2[conditional]"], (fixed + between) / (fixed + around))
    at_means = np.array([1, 4.5]) @ G @ [1, 4.5]
    expected = np.sqrt(at_means + 25.592**2 / 10)
    np.testing.assert_allclose(found["sd of a mean of Subject"], expected)


def test_implied_sd_of_a_mean_is_that_of_the_marginal_covariance():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    theta = np.array([42.0, 49.5])
    V = marginal_covariance(theta, model.parameters, model.design)
    own = model.design.factors[0].codes == 0
    found = implied_quantities(model, theta[None], np.zeros((1, 1)))["sd of a mean of Batch"]
    np.testing.assert_allclose(found, np.sqrt(V[np.ix_(own, own)].mean()))


def test_without_groups_or_with_correlated_residuals_less_is_implied():
    found = implied_quantities(sleep("Reaction ~ Days"), np.array([[30.0]]), np.ones((1, 2)))
    assert list(found) == ["r2[marginal]"]
    R = bl.AR1(time="age", group="Subject")
    model = bl.Model("distance ~ age + (1 | Subject)", bl.load_dataset("Orthodont"), R=R)
    found = implied_quantities(model, np.array([[2.0, 0.3, 1.4]]), np.ones((1, 2)))
    shares = ["r2[marginal]", "r2[conditional]", "icc[adjusted]", "icc[unadjusted]"]
    assert list(found) == shares


def area(axis, color):
    [line] = [line for line in axis.lines if same_color(line.get_color(), color)]
    return np.trapezoid(line.get_ydata(), line.get_xdata())


def test_picture_of_priors():
    figure = sleep("Reaction ~ Days + (1 | Subject)").plot.priors(random_seed=1)
    shown = panels(figure)
    assert list(shown) == [
        "beta[Intercept]",
        "beta[Days]",
        "sd_Subject[Intercept]",
        "sigma",
        "r2[marginal]",
        "r2[conditional]",
        "icc[adjusted]",
        "icc[unadjusted]",
        "sd of a mean of Subject",
    ]
    for axis in shown.values():
        assert 0.93 < area(axis, ORANGE) < 1.02
    assert shown["icc[adjusted]"].lines[0].get_xdata().max() <= 1
    assert shown["sigma"].lines[0].get_xdata().min() >= 0


def test_picture_of_simulated_responses():
    model = sleep("Reaction ~ Days + (1 | Subject)")
    figure = model.plot.prior_predictive(draws=10, random_seed=1)
    [axis] = [axis for axis in figure.axes if axis.lines]
    assert len([line for line in axis.lines if same_color(line.get_color(), FAINT)]) == 10
    np.testing.assert_allclose(area(axis, INK), 1, rtol=0.02)
    assert axis.get_xlabel() == "Reaction"
    assert "10 responses simulated from the priors" in texts(figure)


def test_picture_of_prior_and_posterior():
    fit = posterior("intercepts")
    figure = fit.plot.prior_posterior(["beta[Days]", "sd_Subject", "icc"], random_seed=1)
    shown = panels(figure)
    shares = ["icc[adjusted]", "icc[unadjusted]"]
    assert list(shown) == ["beta[Days]", "sd_Subject[Intercept]", *shares]
    for axis in shown.values():
        np.testing.assert_allclose(area(axis, BLUE), 1, atol=0.03)
    assert area(shown["beta[Days]"], ORANGE) < 0.6  # far wider than what is shown of it
    with pytest.raises(bl.ArgumentError, match="'sd_Subjet'"):
        fit.plot.prior_posterior("sd_Subjet")


def test_an_estimate_has_no_posterior_to_draw():
    with pytest.raises(bl.MissingAttributeError, match="draws"):
        likelihood("intercepts").plot.prior_posterior()
