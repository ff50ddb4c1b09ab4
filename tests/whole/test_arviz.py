"""What `arviz.summary` shows of draws: each number beside the name of what it is of.

The numbers come from `Fit.summary` and `Fit.ranef`, or from the draws at the labels by xarray.
"""

from functools import cache

import arviz as az
import numpy as np
import pymc as pm
import pytest

import bayeslmm as bl
from tests.oracles import fits_cache

MODELS = ["intercepts", "slopes", "three effects", "crossed", "nested", "one variance"]


def rows_of(dataset):
    """The draws of each row that ArviZ shows, by its label."""
    rows = {}
    for name, variable in dataset.data_vars.items():
        dims = [dim for dim in variable.dims if dim not in ("chain", "draw")]
        places = np.ndindex(*(variable.sizes[dim] for dim in dims))
        for place in places:
            one = variable.isel(dict(zip(dims, place, strict=True)))
            labels = ", ".join(str(one.coords[dim].item()) for dim in dims)
            rows[f"{name}[{labels}]" if dims else name] = one.to_numpy()
    return rows


@cache
def shown(name):
    """The table of ArviZ for all draws of a fit."""
    return az.summary(fits_cache.posterior(name).posterior, round_to="none")


@pytest.mark.parametrize("name", MODELS)
def test_every_row_is_that_of_summary_and_ranef(name):
    fit = fits_cache.posterior(name)
    expected = fit.summary()[["estimate", "std_error", "ess_bulk"]]
    table = shown(name)
    found = table.loc[expected.index, ["mean", "sd", "ess_bulk"]].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, equal_nan=True)
    effects = fit.ranef()
    labels = [f"u_{row.group}[{row.level}, {row.effect}]" for row in effects.itertuples()]
    found = table.loc[labels, ["mean", "sd"]].to_numpy()
    np.testing.assert_allclose(found, effects[["estimate", "std_error"]], rtol=1e-6, atol=1e-9)
    assert len(table) == len(expected) + len(effects)


@pytest.mark.parametrize("name", MODELS)
def test_the_order_in_which_variables_are_asked_for_does_not_matter(name):
    posterior = fits_cache.posterior(name).posterior
    names = list(posterior.data_vars)
    for order in (names[::-1], sorted(names), sorted(names, reverse=True)):
        table = az.summary(posterior, var_names=order, kind="stats", round_to="none")
        expected = shown(name).loc[table.index, "mean"]
        np.testing.assert_allclose(table["mean"], expected, rtol=1e-9, equal_nan=True)


TREES = {
    "prior": lambda model: model.prior_predictive(draws=20, random_seed=1),
    "posterior": lambda model: model.fit("ml").bootstrap(20, random_seed=1),
    "of PyMC": lambda model: pm.sample_prior_predictive(20, model.full_pymc(), random_seed=1),
}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("name", ["slopes", "nested", "three effects"])
def test_other_draws_have_their_own_names_too(name, tree):
    made = TREES[tree](fits_cache.model(name))
    group = tree if tree in made.children else "prior"
    table = az.summary(made, group=group, kind="stats", round_to="none")
    expected = rows_of(made[group].dataset)
    assert set(table.index) == set(expected)
    found = table.loc[list(expected), "mean"]
    np.testing.assert_allclose(found, [own.mean() for own in expected.values()], rtol=1e-9)


def test_effects_of_strata_have_their_own_names():
    data = bl.load_dataset("Orthodont")
    model = bl.Model("distance ~ age * Sex + (age | Subject)", data, G={"Subject": bl.UN(by="Sex")})
    made = model.prior_predictive(draws=20, random_seed=1)
    table = az.summary(made, group="prior", kind="stats", round_to="none")
    expected = rows_of(made["prior"].dataset)
    means = [own.mean() for own in expected.values()]
    np.testing.assert_allclose(table.loc[list(expected), "mean"], means, equal_nan=True)


MEETING = [
    ("a/b", "a_b"),
    ("a", "a_effect"),
    ("sigma", "beta"),
    ("a", "u_a"),
    ("coef", "coef_level"),
    ("a_pair", "a"),
]


@pytest.mark.parametrize("names", MEETING, ids=str)
def test_factors_whose_names_meet_stay_apart(names):
    rng = np.random.default_rng(1)
    data = {name: rng.integers(0, 5 + i, 120).astype(str) for i, name in enumerate(names)}
    data |= {"y": rng.normal(size=120), "x": rng.normal(size=120)}
    one, two = names
    model = bl.Model(f"y ~ x + (x | `{one}`) + (x | `{two}`)", data)
    with pytest.warns(bl.ConvergenceWarning, match="too few effective draws"):
        fit = model.fit("nuts", draws=20, tune=20, chains=1, progress=False, random_seed=1)
    rows = rows_of(fit.posterior)
    for name in fit.model.parameters.names:
        draws = fit.draws.theta[..., fit.model.parameters.names.index(name)]
        np.testing.assert_array_equal(rows[name.replace("/", "\N{DIVISION SLASH}")], draws)
    assert len(rows) == len(fit.model.parameters) + 2 + 2 * (5 + 6)
