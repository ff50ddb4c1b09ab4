"""Default priors give the same posterior whatever the zero and the unit of a predictor."""

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.inference.prior_draws import draw_priors

RECODED = [
    # formula, what is added to days, and what they are multiplied by
    ("Reaction ~ x + (x | Subject)", 2006.0, 1.0),
    ("Reaction ~ x + (x | Subject)", 0.0, 1000.0),
    ("Reaction ~ x + (x | Subject)", 2006.0, 0.001),
    ("Reaction ~ x + (1 | Subject)", 2006.0, 0.001),
    ("Reaction ~ x + (1 | Subject)", -4.5, 24.0),
    ("Reaction ~ x + (x || Subject)", 0.0, 1000.0),
    ("Reaction ~ x + (0 + x | Subject)", 0.0, 0.001),
    ("Reaction ~ 0 + x + (0 + x | Subject)", 0.0, 1000.0),
    ("Reaction ~ x + I(x**2) + (x | Subject)", 0.0, 0.001),
]


def sleepstudy(formula, shift, unit):
    data = bl.load_dataset("sleepstudy")
    return bl.Model(formula, data.assign(x=(data.Days + shift) * unit))


def densities(model, points):
    density = Density.of(model.equations, model.priors)
    return density, np.array([density(x)[0] for x in points])


@pytest.mark.parametrize(("formula", "shift", "unit"), RECODED)
def test_posterior_does_not_depend_on_how_a_predictor_is_coded(formula, shift, unit):
    # effects that are correlated have coordinates of their own for orthonormal columns, others
    # the logarithms of their standard deviations: the same for the same quantity
    one, two = sleepstudy(formula, 0.0, 1.0), sleepstudy(formula, shift, unit)
    points = np.random.default_rng(3).normal(1.5, 1.0, (6, len(one.parameters)))
    points[:, -1] += 2
    moved = points.copy()
    for i, name in enumerate(one.parameters.names):
        if name == "sd_Subject[x]" and "(x | " not in formula:
            moved[:, i] -= np.log(unit)
    first, log_one = densities(one, points)
    second, log_two = densities(two, moved)
    # density of beta: that of the unit too, which is the same everywhere
    np.testing.assert_allclose(log_two - log_two[0], log_one - log_one[0], atol=2e-4)
    np.testing.assert_allclose(second.theta(moved[0])[-1], first.theta(points[0])[-1])


def test_posterior_does_not_depend_on_the_unit_of_time_of_the_residuals():
    data = bl.load_dataset("Orthodont").assign(hours=lambda d: 24.0 * d["age"])
    models = [
        bl.Model("distance ~ age", data, R=bl.CAR1(time=time, group="Subject"))
        for time in ("age", "hours")
    ]
    log_densities = []
    for model, unit in zip(models, (1.0, 24.0), strict=True):
        density = Density.of(model.equations, model.priors)
        rho = np.array([0.2, 0.5, 0.7, 0.9]) ** (1 / unit)
        points = [density.unconstrained(np.array([r, np.exp(0.7)])) for r in rho]
        log_densities.append([density(x)[0] for x in points])
    np.testing.assert_allclose(np.diff(log_densities[0]), np.diff(log_densities[1]), atol=1e-8)


CHILDREN = bl.load_dataset("Orthodont")
GROWING = {
    # the covariate, recoded, and what a power or exponent and sigma then are
    "power in months": (bl.VarPower, "age", 12.0, 0.0),
    "power in decades": (bl.VarPower, "age", 0.1, 0.0),
    "exponent in months": (bl.VarExp, "age", 12.0, 0.0),
    "exponent of years": (bl.VarExp, "age", 1.0, 2006.0),
    "exponent from the middle": (bl.VarExp, "age", 0.1, -11.0),
}


def growing(kind, column, data, by=None):
    R = bl.ID(by=by, variance=kind(column))
    return bl.Model("distance ~ age + (1 | Subject)", data, R=R)


@pytest.mark.parametrize("by", [None, "Sex"])
@pytest.mark.parametrize("name", GROWING)
def test_posterior_does_not_depend_on_how_the_covariate_of_the_variance_is_coded(name, by):
    kind, column, unit, shift = GROWING[name]
    data = CHILDREN.assign(z=unit * (CHILDREN[column] + shift))
    one, two = growing(kind, column, data, by), growing(kind, "z", data, by)
    strata = 1 if by is None else 2
    powers = np.random.default_rng(5).normal(0, 0.04, (5, strata))
    sigmas = np.linspace(0.5, 1.5, 5 * strata).reshape(5, strata)
    if kind is bl.VarPower:
        moved, change = powers, unit**-powers
    else:
        moved, change = powers / unit, np.exp(-powers * shift)
    log_densities = []
    for model, exponent, sigma in ((one, powers, sigmas), (two, moved, sigmas * change)):
        density = Density.of(model.equations, model.priors)
        thetas = np.column_stack([np.full(5, 1.5), exponent, sigma])
        x = np.array([density.unconstrained(theta) for theta in thetas])
        np.testing.assert_allclose([density.theta(row) for row in x], thetas, rtol=1e-9)
        # exponents in standard deviations of x, and sigma where it has its mean
        np.testing.assert_allclose(x, log_densities[0] if log_densities else x, rtol=1e-7)
        log_densities += [x, [density(row)[0] for row in x]]
    np.testing.assert_allclose(np.diff(log_densities[1]), np.diff(log_densities[3]), atol=1e-6)


@pytest.mark.parametrize("name", GROWING)
def test_posterior_does_not_depend_on_how_occasions_are_coded(name):
    kind, column, unit, shift = GROWING[name]
    data = CHILDREN.assign(z=unit * (CHILDREN[column] + shift))
    models = [
        bl.Model(f"distance ~ age + (0 + {c} | Subject)", data, G=AR1)
        for c in (column, "z")
        for AR1 in [{"Subject": bl.AR1(variance=kind(c))}]
    ]
    powers, sds = np.random.default_rng(5).normal(0, 0.04, 5), np.linspace(0.5, 1.5, 5)
    if kind is bl.VarPower:
        moved, change = powers, unit**-powers
    else:
        moved, change = powers / unit, np.exp(-powers * shift)
    found = []
    for model, exponent, sd in zip(models, (powers, moved), (sds, sds * change), strict=True):
        density = Density.of(model.equations, model.priors)
        thetas = np.column_stack([exponent, sd, np.full(5, 0.6), np.full(5, 1.3)])
        x = np.array([density.unconstrained(theta) for theta in thetas])
        np.testing.assert_allclose([density.theta(row) for row in x], thetas, rtol=1e-9)
        np.testing.assert_allclose(x, found[0] if found else x, rtol=1e-7)
        found += [x, [density(row)[0] for row in x]]
    np.testing.assert_allclose(np.diff(found[1]), np.diff(found[3]), atol=1e-6)


def test_gradient_where_the_prior_of_sigma_is_about_the_means():
    model = growing(bl.VarExp, "age", CHILDREN, "Sex")
    model = model.with_priors({"sigma[Male]": bl.Gamma(2, 1)})
    density = Density.of(model.equations, model.priors)
    x = np.array([0.5, 0.03, -0.02, 0.3, -0.1])
    steps = 1e-5 * np.eye(5)
    differences = [(density(x + e)[0] - density(x - e)[0]) / 2e-5 for e in steps]
    np.testing.assert_allclose(density(x)[1], differences, rtol=1e-5, atol=1e-6)


def test_the_mode_does_not_depend_on_how_the_covariate_of_the_variance_is_coded():
    data = CHILDREN.assign(z=2006.0 + CHILDREN["age"])
    one, two = (growing(bl.VarExp, column, data).fit("map") for column in ("age", "z"))
    assert two.status.ok
    np.testing.assert_allclose(one.theta["expon"], two.theta["expon"], rtol=1e-4)
    np.testing.assert_allclose(one.fitted(), two.fitted(), rtol=1e-6)


def test_prior_draws_of_the_residuals_at_the_means_are_those_of_the_prior():
    model = growing(bl.VarExp, "age", CHILDREN, "Sex")
    theta, _, _ = draw_priors(model, 1500, 2)
    at = CHILDREN.groupby("Sex")["age"].mean().to_numpy()
    prior = model.priors["sigma[Male]"]
    for i in range(2):
        sd = theta[:, 3 + i] * np.exp(theta[:, 1 + i] * at[i])
        assert stats.kstest(sd, lambda v: 2 * stats.t(3, 0, prior.sigma).cdf(v) - 1).pvalue > 1e-3


@pytest.mark.parametrize("kind", [bl.Exp, bl.Gau, bl.Matern])
@pytest.mark.parametrize("side", ["R", "G"])
def test_posterior_does_not_depend_on_the_unit_of_a_distance(kind, side):
    data = CHILDREN.assign(hours=24.0 * CHILDREN["age"])
    log_densities = []
    for time, unit in (("age", 1.0), ("hours", 24.0)):
        if side == "R":
            model = bl.Model("distance ~ age", data, R=kind(time=time, group="Subject"))
            points = [[np.log(unit * r), 0.7] for r in (0.5, 3.0, 20.0)]
        else:
            formula = f"distance ~ age + (0 + {time} | Subject)"
            model = bl.Model(formula, data, G={"Subject": kind()})
            points = [[0.8, np.log(unit * r), 0.7] for r in (0.5, 3.0, 20.0)]
        density = Density.of(model.equations, model.priors)
        log_densities.append([density(np.array(x))[0] for x in points])
    np.testing.assert_allclose(np.diff(log_densities[0]), np.diff(log_densities[1]), atol=1e-7)


def test_the_unit_of_the_response_scales_everything():
    data = bl.load_dataset("sleepstudy")
    priors = [
        bl.Model("Reaction ~ Days + (Days | Subject)", data.assign(Reaction=data.Reaction * unit))
        for unit in (1.0, 0.001)
    ]
    for row, other in zip(*(model.priors.rows for model in priors), strict=True):
        if row.parameter == "corr_Subject":
            assert row.prior == other.prior
            continue
        own, scaled = (list(r.prior.parameters.values()) for r in (row, other))
        # all but degrees of freedom have the unit of the response
        start = 1 if "StudentT" in repr(row.prior) else 0
        np.testing.assert_allclose(scaled[start:], 0.001 * np.array(own[start:]), rtol=1e-9)


def test_a_covariate_far_from_zero_is_told():
    data = CHILDREN.assign(z=2006.0 + CHILDREN["age"])
    fit = growing(bl.VarExp, "z", data).fit("map")
    (finding,) = (f for f in fit.diagnose().findings if "say nothing of" in f.what)
    assert "sigma is the standard deviation where the covariate of expon is 0, 902" in finding.what
    assert not growing(bl.VarExp, "age", data).fit("map").diagnose().findings
