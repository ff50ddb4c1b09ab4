"""CAR1's rho is the correlation at a distance of one, whatever that is to the data: the same model
in any unit of time.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.errors import DataError
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.support import scales
from tests.oracles.differences import central

UNITS = (0.05, 24.0, 1440.0, 86400.0)


@cache
def frame() -> pd.DataFrame:
    """Subjects at irregular times, about one apart, with two rows at each time."""
    rng = np.random.default_rng(102)
    rows = []
    for subject in range(20):
        t = np.sort(rng.choice(np.arange(9.0), 6, replace=False))
        root = np.linalg.cholesky(0.8 ** np.abs(t[:, None] - t))
        for time, effect in zip(t, root @ rng.standard_normal(6), strict=True):
            rows += [(f"s{subject:02d}", time, effect + 0.6 * rng.normal()) for _ in range(2)]
    return pd.DataFrame(rows, columns=["id", "t", "y"])


def model(kind: type, unit: float, side: str) -> bl.Model:
    data = frame().assign(t=frame().t * unit)
    if side == "G":
        return bl.Model("y ~ 1 + (0 + t | id)", data, G={"id": kind()})
    once = data.drop_duplicates(["id", "t"])
    return bl.Model("y ~ 1", once, R=kind(time="t", group="id", nugget=True))


@pytest.mark.parametrize("side", ["R", "G"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_maximum_is_that_of_exponential_correlations_in_any_unit(side, method):
    # exp(-d/range) is rho^d: the same model, whose search moves in another parameter
    expected = model(bl.Exp, 1.0, side).fit(method)
    reach = expected.theta[[name for name in expected.theta.index if "range" in name]].iloc[0]
    for unit in UNITS:
        fit = model(bl.CAR1, unit, side).fit(method)
        assert fit.status.ok
        assert fit.loglik == pytest.approx(expected.loglik, abs=1e-6)
        rho = fit.theta[[name for name in fit.theta.index if "rho" in name]].iloc[0]
        assert -1 / np.log(rho) == pytest.approx(unit * reach, rel=1e-3)
        errors = [
            fit.fixef(df="kenward-roger" if method == "reml" else "satterthwaite"),
            expected.fixef(df="kenward-roger" if method == "reml" else "satterthwaite"),
        ]
        np.testing.assert_allclose(errors[0], errors[1], rtol=1e-3)


@pytest.mark.parametrize("side", ["R", "G"])
def test_the_density_in_the_coordinates_of_the_sampler(side):
    found = []
    for unit in (1.0, *UNITS):
        own = model(bl.CAR1, unit, side)
        density = Density.of(own.equations, own.priors)
        theta = np.full(len(own.parameters), 0.4)
        rho = next(i for i, name in enumerate(own.parameters.names) if "rho" in name)
        theta[rho] = 0.4 ** (1 / unit)
        x = density.unconstrained(theta)
        np.testing.assert_allclose(density.theta(x), theta, rtol=1e-8)
        gradient = density(x)[1]
        numeric = central(lambda at, density=density: density(at)[0], x, 1e-5)
        assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-5)
        found.append([density(x + 0.5)[0] - density(x)[0], *gradient])
    np.testing.assert_allclose(found, found[:1] * len(found), rtol=1e-6)


def test_scales_near_zero_and_one():
    bounds = np.array([(0.0, 1.0)])
    for theta in (1e-81, 0.3, 1 - 1e-7):
        x = scales.working(np.array([theta]), bounds)
        assert scales.natural(x, bounds)[0] == pytest.approx(theta, rel=1e-9)
        up, down = (scales.natural(x + step, bounds)[0] for step in (1e-4, -1e-4))
        slope = (up - down) / 2e-4
        assert scales.slopes(np.array([theta]), bounds)[0] == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(("unit", "told"), [(1e-6, "zero"), (1e7, "one")])
@pytest.mark.parametrize("side", ["R", "G"])
def test_a_unit_in_which_rho_is_no_number_is_refused(unit, told, side):
    with pytest.raises(DataError, match=f"'t' are .* apart, where it cannot be told from {told}"):
        model(bl.CAR1, unit, side)
    fit, expected = (model(bl.Exp, own, side).fit("reml") for own in (unit, 1.0))
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-6)


@pytest.mark.parametrize(
    ("structure", "without", "told"),
    [(bl.AR1, [], False), (bl.AR1, [10], True), (bl.Toep, [10], True), (bl.CAR1, [10], False)],
)
def test_times_that_are_not_equally_far_apart_are_told(structure, without, told):
    """Lags are counted in occasions, which a time that no row has is none of."""
    children = bl.load_dataset("Orthodont")
    data = children[~children["age"].isin(without)]
    fit = bl.Model("distance ~ age", data, R=structure(time="age", group="Subject")).fit("reml")
    found = [finding.what for finding in fit.diagnose().findings]
    what = "counts lags in occasions: neighbours in 'age' count as one apart, and are 2 to 4 apart"
    assert found == ([f"{structure.__name__} {what}"] if told else [])
    text = data.assign(age=data["age"].map("at {:02d}".format))
    if told:
        same = bl.Model("distance ~ 1", text, R=structure(time="age", group="Subject")).fit("ml")
        assert not same.diagnose().findings
