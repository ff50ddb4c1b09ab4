"""Default priors give the same posterior whatever the zero and the unit of a predictor."""

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.density import Density

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
        values = [density(np.array([np.log(r / (1 - r)), 0.7]))[0] for r in rho]
        # as densities of log(-log(rho)), which a unit of time only shifts
        log_densities.append(values - np.log(1 - rho) + np.log(-np.log(rho)))
    np.testing.assert_allclose(np.diff(log_densities[0]), np.diff(log_densities[1]), atol=1e-8)


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
