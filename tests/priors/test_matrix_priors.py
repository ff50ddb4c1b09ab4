"""Priors of whole covariance matrices: normalised in (sd, corr), and drawn by PyMC as defined."""

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.priors.kernels import log_matrix_prior

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

PRIORS = [
    bl.Wishart(4, [[2.0, 0.5], [0.5, 1.0]]),
    bl.InverseWishart(5, [[2.0, -0.5], [-0.5, 1.0]]),
    bl.HuangWand(2, [2.0, 0.7]),
    bl.HuangWand(4, [1.0, 1.0]),
]


def log_density(prior, sd, corr):
    """The compiled density of (sd, corr), which leaves out its constant."""
    return log_matrix_prior(prior.code, prior.numbers(), sd, [corr])[0]


def mixture(prior, G):
    """Log density of G under Huang and Wand's prior, integrated over a by quadrature."""
    q, df = len(G), prior.df + len(G) - 1
    t = np.linspace(-25, 40, 20001)  # log(a)
    P = np.linalg.inv(G)
    reference = stats.invwishart.logpdf(G, df, np.eye(q)) + 0.5 * np.trace(P)
    total = reference
    for k in range(q):
        scale = 2 * prior.df / np.exp(t)
        log_a = stats.invgamma.logpdf(np.exp(t), 0.5, scale=prior.scales[k] ** -2) + t
        terms = 0.5 * df * np.log(scale) - 0.5 * scale * P[k, k] + log_a
        total += np.log(np.trapezoid(np.exp(terms), t))
    return total


def log_truth(prior, G):
    if isinstance(prior, bl.HuangWand):
        return mixture(prior, G)
    family = stats.wishart if isinstance(prior, bl.Wishart) else stats.invwishart
    return family.logpdf(G, prior.df, np.array(prior.scale))


def constant(prior):
    """What the compiled density leaves out."""
    found = []
    for sd, corr in (([1.0, 0.5], 0.3), ([0.4, 2.0], -0.8), ([3.0, 3.0], 0.0)):
        G = np.diag(sd) @ np.array([[1, corr], [corr, 1]]) @ np.diag(sd)
        truth = log_truth(prior, G) + np.log(4 * np.prod(sd) ** 2)
        found.append(truth - log_density(prior, sd, corr))
    np.testing.assert_allclose(found, found[0], atol=1e-7)
    return found[0]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_density_is_that_of_its_definition_and_integrates_to_one(prior):
    log_sd, weight = np.linspace(-8, 9, 52), 17 / 51
    nodes, weights = np.polynomial.legendre.leggauss(40)
    total, left_out = 0.0, constant(prior)
    for a in log_sd:
        for b in log_sd:
            logs = np.array([log_density(prior, np.exp([a, b]), c) for c in nodes])
            total += weight**2 * np.exp(a + b) * weights @ np.exp(logs + left_out)
    np.testing.assert_allclose(total, 1.0, atol=2e-3)


def test_huang_and_wand_have_half_t_sds_and_with_two_df_uniform_correlations():
    prior = bl.HuangWand(2, [2.0, 0.7])
    c = constant(prior)
    log_sd = np.linspace(-12, 14, 1301)
    nodes, weights = np.polynomial.legendre.leggauss(100)
    for sd in (0.2, 1.5, 6.0):
        inner = [
            weights @ np.exp([log_density(prior, [sd, np.exp(b)], r) + c for r in nodes])
            for b in log_sd[::13]
        ]
        density = np.trapezoid(np.array(inner) * np.exp(log_sd[::13]), log_sd[::13])
        np.testing.assert_allclose(density, 2 * stats.t.pdf(sd, 2, scale=2.0), rtol=5e-3)


CHILDREN = bl.load_dataset("Orthodont")
UN = bl.UN(time="age", group="Subject")
SCALE = 2.0 * np.eye(4) + 1.0
OF_R = [bl.InverseWishart(7, 4 * SCALE), bl.Wishart(6, SCALE / 3), bl.HuangWand(3, [2, 1, 2, 3])]


@pytest.mark.parametrize("prior", OF_R[:2], ids=repr)
def test_density_of_R_is_that_of_its_definition(prior):
    model = bl.Model("distance ~ age", CHILDREN, R=UN)
    with_prior = model.with_priors({"R": prior})
    family = stats.wishart if isinstance(prior, bl.Wishart) else stats.invwishart
    own = Density.of(with_prior.equations, with_prior.priors)
    rng = np.random.default_rng(2)
    left_out = []
    for _ in range(4):
        x = np.concatenate([rng.normal(0, 0.4, 6), rng.normal(0.5, 0.3, 4)])
        theta = own.theta(x)
        C = np.eye(4)
        C[np.tril_indices(4, -1)] = theta[:6]
        R = theta[6:] * (C + np.tril(C, -1).T) * theta[6:, None]
        likelihood, _ = model.equations.collapsed(
            theta, model.priors.beta_mean, model.priors.beta_precision
        )
        # R in (corr, sd), these in partial correlations and logarithms, those in Fisher's z
        jacobian = 4 * np.log(2) + 4 * np.log(theta[6:]).sum() + np.log(theta[6:]).sum()
        column = np.array([0, 0, 1, 0, 1, 2])
        jacobian += ((4 - column) * np.log(1 - np.tanh(x[:6]) ** 2)).sum() / 2
        truth = family.logpdf(R, prior.df, np.array(prior.scale)) + likelihood + jacobian
        left_out.append(truth - own(x)[0])
    np.testing.assert_allclose(left_out, left_out[0], atol=1e-6)


@pytest.mark.parametrize("prior", OF_R, ids=repr)
def test_gradient_of_a_posterior_with_a_prior_of_R(prior):
    model = bl.Model("distance ~ age", CHILDREN, R=UN, priors={"R": prior})
    density = Density.of(model.equations, model.priors)
    x = np.random.default_rng(5).normal(0.2, 0.3, 10)
    steps = 1e-5 * np.eye(10)
    differences = [(density(x + e)[0] - density(x - e)[0]) / 2e-5 for e in steps]
    np.testing.assert_allclose(density(x)[1], differences, rtol=1e-4, atol=1e-5)


def test_a_prior_of_R_moves_the_posterior_to_it():
    # so many degrees of freedom that R is known
    R = np.array([[5.0, 2, 1, 1], [2, 4, 2, 1], [1, 2, 6, 3], [1, 1, 3, 7]])
    prior = bl.InverseWishart(1e6, 1e6 * R)
    model = bl.Model("distance ~ age", CHILDREN, R=UN, priors={"R": prior})
    fit = model.fit("nuts", random_seed=2, chains=2, draws=800, progress=False)
    np.testing.assert_allclose(fit.R("M01").to_numpy(), R, rtol=0.02, atol=0.02)
    assert [row.parameter for row in model.priors.rows][2:] == ["R"]
    full = model.full_pymc()
    assert {v.name for v in full.free_RVs} == {"beta_at_means", "R_squares", "R_below"}


def test_prior_draws_of_R():
    model = bl.Model("distance ~ age", CHILDREN, R=UN, priors={"R": OF_R[0]})
    theta, _, _ = draw_priors(model, 400, 3)
    G = stats.invwishart.rvs(7, 4 * SCALE, size=3000, random_state=4)
    drawn = theta[:, 6] * theta[:, 7] * theta[:, 0]
    assert stats.ks_2samp(theta[:, 6] ** 2, G[:, 0, 0]).pvalue > 1e-3
    assert stats.ks_2samp(drawn, G[:, 0, 1]).pvalue > 1e-3


NOT_OF_R = [
    (None, "R is not a matrix of its own for all occasions"),
    (bl.AR1(time="age", group="Subject"), "R is not a matrix of its own for all occasions"),
    (bl.UN(time="age", group="Subject", by="Sex"), "the strata of Sex have a matrix each"),
    (bl.UN(time="age", group="Subject", variance="one"), "are not one for each occasion"),
]


@pytest.mark.parametrize(("R", "message"), NOT_OF_R)
def test_only_unrestricted_residuals_have_a_prior_of_R(R, message):
    model = bl.Model("distance ~ age", CHILDREN, R=R)
    with pytest.raises(bl.PriorError, match=message):
        model.with_priors({"R": OF_R[0]})
    with pytest.raises(bl.PriorError, match="for 2 occasions; there are 4: 8, 10, 12, 14"):
        bl.Model("distance ~ age", CHILDREN, R=UN, priors={"R": PRIORS[0]})


def rats():
    rng = np.random.default_rng(8)
    rat = np.repeat(np.arange(12), 10)
    data = {name: rng.normal(size=120) for name in "abc"}
    u = rng.normal(size=(12, 4))[rat]
    y = u[:, 0] + u[:, 1] * data["a"] + u[:, 2] * data["b"] + u[:, 3] * data["c"]
    return data | {"rat": rat, "y": y + rng.normal(size=120)}


BARS = "y ~ a + (a | rat) + (0 + b + c | rat)"
OF_BARS = {
    "both": {"G_rat[1 + a]": PRIORS[1], "G_rat[0 + b + c]": PRIORS[0]},
    "one": {"G_rat[0 + b + c]": PRIORS[1], "sd_rat": bl.HalfNormal(2), "corr_rat": bl.LKJ(1)},
    "strata": {"G_rat[y, 1 + a]": PRIORS[1], "sd_rat": bl.HalfNormal(2), "corr_rat": bl.LKJ(2)},
}


def of_bars(name):
    data = rats()
    if name == "strata":
        data["kind"] = np.where(data["rat"] % 2, "x", "y")
        G = {"rat": bl.UN(by="kind")}
        return bl.Model("y ~ a + (a | rat)", data, G=G, priors=OF_BARS[name])
    return bl.Model(BARS, data, priors=OF_BARS[name])


def log_prior(name, theta):
    """Of the bars, with the Jacobian from G to (sd, corr); theta has sds, correlations, sigma."""
    total, priors = 0.0, OF_BARS[name]
    for bar in (0, 1):
        sd, corr = theta[2 * bar : 2 * bar + 2], theta[4 + bar]
        G = np.diag(sd) @ np.array([[1, corr], [corr, 1]]) @ np.diag(sd)
        if name == "both" or bar == 1:
            prior = list(priors.values())[bar if name == "both" else 0]
            total += log_truth(prior, G) + np.log(4 * np.prod(sd) ** 2)
        else:
            total += stats.halfnorm.logpdf(sd, scale=2).sum()
            total += (priors["corr_rat"].eta - 1) * np.log(1 - corr**2)
    return total


def unit(value, place):
    at = np.zeros(np.shape(value))
    at[place] = 1.0
    return at


@pytest.mark.parametrize("name", OF_BARS)
def test_densities_with_a_prior_of_the_matrix_of_each_bar(name):
    """The compiled one against its definition, and that of the collapsed model in PyMC."""
    import pytensor.tensor as pt

    from bayeslmm.design.variables import variables_in_pymc

    model = of_bars(name)
    density, pymc = Density.of(model.equations, model.priors), model.pymc
    pieces = [pymc[v.name].reshape((-1,)) for v in variables_in_pymc(model.parameters)]
    at = pymc.replace_rvs_by_values([pt.concatenate(pieces)])[0]
    evaluate = pymc.compile_fn([at, pymc.logp()], inputs=pymc.value_vars, point_fn=True)
    rng = np.random.default_rng(3)
    of_definition, of_pymc = [], []
    for _ in range(3):
        start = pymc.initial_point()
        point = {k: v + 0.3 * rng.standard_normal(np.shape(v)) for k, v in start.items()}
        theta, logp = evaluate(point)
        x = density.unconstrained(theta)
        np.testing.assert_allclose(density.theta(x), theta, rtol=1e-8)
        change = [(density.theta(x + e) - density.theta(x - e)) / 2e-6 for e in 1e-6 * np.eye(7)]
        volume = np.linalg.slogdet(change)[1]
        likelihood, _ = model.equations.collapsed(
            theta, model.priors.beta_mean, model.priors.beta_precision
        )
        sigma = model.priors["sigma"]
        expected = likelihood + log_prior(name, theta) + volume
        expected += stats.t.logpdf(theta[-1] / sigma.sigma, sigma.nu)
        of_definition.append(expected - density(x)[0])
        # PyMC's variables are others, as many where a matrix has two effects
        moved = [
            (evaluate({**point, k: up})[0] - evaluate({**point, k: down})[0]) / 2e-6
            for k, v in point.items()
            for i in np.ndindex(np.shape(v))
            for up, down in [(v + 1e-6 * unit(v, i), v - 1e-6 * unit(v, i))]
        ]
        of_pymc.append(float(logp) - density(x)[0] - np.linalg.slogdet(moved)[1] + volume)
    np.testing.assert_allclose(of_definition, of_definition[0], atol=1e-5)
    np.testing.assert_allclose(of_pymc, of_pymc[0], atol=1e-4)
    own = np.random.default_rng(5).normal(0.2, 0.3, 7)
    differences = [(density(own + e)[0] - density(own - e)[0]) / 2e-5 for e in 1e-5 * np.eye(7)]
    np.testing.assert_allclose(density(own)[1], differences, rtol=1e-4, atol=1e-5)


def test_a_matrix_prior_of_a_bar_in_the_textbook_model_and_in_tables():
    model = of_bars("one")
    names = {v.name for v in model.full_pymc().free_RVs}
    assert {"G_rat_2_squares", "G_rat_2_below", "sd_rat[a]", "cholesky_rat_1"} <= names
    rows = {row.parameter: row.prior for row in model.priors.rows}
    assert rows["G_rat[0 + b + c]"] == PRIORS[1]
    assert rows["corr_rat"] == bl.LKJ(1)
    assert "0 + b + c" in str(model.describe())
    again = bl.Model(BARS, rats(), priors=model.priors)
    assert again.priors.whole == model.priors.whole
    assert "corr_rat" not in {row.parameter for row in of_bars("both").priors.rows}
    theta, _, _ = draw_priors(model, 400, 3)
    G = stats.invwishart.rvs(5, np.array(PRIORS[1].scale), size=3000, random_state=4)
    assert stats.ks_2samp(theta[:, 2] ** 2, G[:, 0, 0]).pvalue > 1e-3
    assert stats.ks_2samp(theta[:, 2] * theta[:, 3] * theta[:, 5], G[:, 0, 1]).pvalue > 1e-3
    assert model.fit("map").status.ok


def test_a_factor_of_several_bars_has_a_key_for_each():
    keys = r"are 'G_rat\[1 \+ a\]', 'G_rat\[0 \+ b \+ c\]'; set"
    with pytest.raises(bl.PriorError, match=keys):
        bl.Model(BARS, rats(), priors={"G_rat": PRIORS[0]})
    of_two = {"G_rat[0 + b]": PRIORS[0]}
    with pytest.raises(bl.PriorError, match="for 2 effects; there are 1: b"):
        bl.Model("y ~ a + (a | rat) + (0 + b | rat)", rats(), priors=of_two)
    with pytest.raises(bl.PriorError, match="nothing would use the prior for 'corr_rat'"):
        bl.Model(BARS, rats(), priors=OF_BARS["both"] | {"corr_rat": bl.LKJ(2)})


def test_pymc_draws_have_these_distributions():
    import pymc as pm
    import pytensor.tensor as pt

    chosen = PRIORS[:3]
    with pm.Model():
        factors = [prior.covariance_factor(f"G{i}") for i, prior in enumerate(chosen)]
    draws = pm.draw([pt.dot(F, F.T) for F in factors], draws=3000, random_seed=5)
    rng = np.random.default_rng(6)
    a = stats.invgamma.rvs(0.5, scale=[2.0**-2, 0.7**-2], size=(3000, 2), random_state=rng)
    truth = [
        stats.wishart.rvs(4, np.array(chosen[0].scale), size=3000, random_state=rng),
        stats.invwishart.rvs(5, np.array(chosen[1].scale), size=3000, random_state=rng),
        np.array([stats.invwishart.rvs(3, np.diag(4 / row), random_state=rng) for row in a]),
    ]
    for G, expected in zip(draws, truth, strict=True):
        for of in (lambda g: g[:, 0, 0], lambda g: g[:, 1, 1], lambda g: g[:, 0, 1]):
            assert stats.ks_2samp(of(np.asarray(G)), of(expected)).pvalue > 1e-3
