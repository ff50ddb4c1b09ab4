"""Sampling: agreement with quadrature, seeds, interruption, and the coordinates it moves in."""

from dataclasses import replace
from functools import cache
from importlib import import_module
from time import sleep

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.design.build import compile_design
from bayeslmm.equations.equations import Equations
from bayeslmm.errors import ArgumentError, ArgumentTypeError, InterruptedWarning
from bayeslmm.estimation.posterior import nuts
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.estimation.posterior.mode import standardise
from bayeslmm.estimation.posterior.nuts import Settings
from bayeslmm.priors.table import resolve
from tests.oracles.dense import DATASET, FORMULAS, covariances, full_Z, marginal_covariance


@cache
def model(formula, dataset="sleepstudy", **priors):
    design = compile_design(formula, bl.load_dataset(dataset))
    equations = Equations.of(design)
    return design, equations, resolve(priors, equations.parameters, design)


@cache
def named(name):
    return model(FORMULAS[name], DATASET.get(name, "sleepstudy"))


@pytest.mark.parametrize("name", ["slope", "three effects", "crossed", "nested"])
def test_positions_are_about_standard_normal(name):
    _, equations, priors = named(name)
    density = standardise(equations, priors)
    k = len(equations.parameters)
    np.testing.assert_allclose(density(np.zeros(k))[1], 0, atol=1e-2)
    step = 1e-3
    hessian = [(density(-e)[1] - density(e)[1]) / (2 * step) for e in step * np.eye(k)]
    np.testing.assert_allclose(hessian, np.eye(k), atol=1e-2)


@pytest.mark.parametrize(
    "start", [(0.0, 0.0, 0.0, 30.0), (25.0, 6.0, 1.0, 25.0), (25.0, 0.0, -1.0, 1e-9)]
)
def test_the_mode_is_found_from_anywhere(start):
    _, equations, priors = named("slope")
    expected = standardise(equations, priors)
    found = standardise(equations, priors, np.array(start))
    at = np.zeros(4)
    np.testing.assert_allclose(found.theta(at), expected.theta(at), rtol=5e-3, atol=1e-3)
    np.testing.assert_allclose(found(at)[0], expected(at)[0], atol=1e-5)


def test_positions_do_not_depend_on_where_a_covariate_has_its_zero():
    """Years as 0-9 or 2006-2015: the same basis of the random effects, so the same sampler."""
    found = []
    for shift in (0, 2006):
        design, equations, _ = model(f"Reaction ~ Days + (I(Days + {shift}) | Subject)")
        flat = resolve({"sd_Subject": bl.Uniform(0, 1e6)}, equations.parameters, design)
        scales = np.array([5.0, 2.0, 0.0, 0.0])
        density = Density.of(equations, resolve({}, equations.parameters, design), scales)
        theta = density.theta(np.array([2.0, 1.5, 0.3, 3.0]))
        V = marginal_covariance(theta, equations.parameters, design)
        found.append(V)
        assert np.any(density.coordinates.bars)
        plain = Density.of(equations, flat).coordinates
        np.testing.assert_array_equal(plain.basis(plain.bars[0]), np.eye(2))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_divergences_are_sampled_again_with_smaller_steps(monkeypatch):
    _, equations, priors = named("slope")
    settings = Settings(draws=20, tune=50, chains=2, seed=0)
    run, targets = nuts._run_nutpie, []

    def diverging(nutpie, compiled, settings):
        variables, stats = run(nutpie, compiled, settings)
        targets.append(settings.target_accept)
        stats["diverging"] = np.full((2, 20), settings.target_accept < 0.95)
        return variables, stats

    monkeypatch.setattr(nuts, "_run_nutpie", diverging)
    draws = nuts.sample_collapsed(equations, priors, settings)
    assert targets == [0.7, 0.9, 0.98]
    assert draws.settings == replace(settings, target_accept=0.98)
    targets.clear()
    fixed = replace(settings, target_accept=0.8)
    assert nuts.sample_collapsed(equations, priors, fixed).settings == fixed
    assert targets == [0.8]


def test_posterior_is_that_of_quadrature():
    """One factor with q = 1: theta has two elements, and a grid can integrate over both."""
    _, equations, priors = model("Yield ~ 1 + (1 | Batch)", "Dyestuff")
    density = Density.of(equations, priors)
    sds, sigmas = np.exp(np.linspace(0, 7, 141)), np.exp(np.linspace(3, 5, 81))
    grid = np.array([(sd, sigma) for sd in sds for sigma in sigmas])
    logp = np.array([density(density.unconstrained(theta))[0] for theta in grid])
    weights = np.exp(logp - logp.max())
    weights /= weights.sum()
    draws = nuts.sample_collapsed(equations, priors, Settings(seed=3)).theta.reshape(-1, 2)
    for i in range(2):
        exact = weights @ grid[:, i]
        sd = np.sqrt(weights @ (grid[:, i] - exact) ** 2)
        # at least 1,000 effective draws, four standard errors
        np.testing.assert_allclose(draws[:, i].mean(), exact, atol=4 * sd / np.sqrt(1000))
        below = weights @ (grid[:, i] < np.median(draws[:, i]))
        np.testing.assert_allclose(below, 0.5, atol=0.06)


def test_draws_of_beta_and_u_have_their_conditional_moments():
    design, equations, priors = named("uncorrelated")
    theta = np.array([25.0, 6.0, 26.0])
    repeated = np.broadcast_to(theta, (4, 5000, 3))
    beta, u = nuts.draw_coefficients(equations, priors, repeated, Settings(seed=1))
    factor = design.factors[0]
    W = np.hstack([design.X, full_Z(factor)])
    (G,) = covariances(theta, equations.parameters, design)
    precision = W.T @ W / theta[-1] ** 2
    precision[:2, :2] += priors.beta_precision
    precision[2:, 2:] += np.kron(np.eye(len(factor.levels)), np.linalg.inv(G))
    right = W.T @ design.y / theta[-1] ** 2
    right[:2] += priors.beta_precision @ priors.beta_mean
    mean, covariance = np.linalg.solve(precision, right), np.linalg.inv(precision)
    drawn = np.concatenate([beta, u], axis=-1).reshape(20_000, -1)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(abs(drawn.mean(axis=0) - mean) / sd, 4.5 / np.sqrt(20_000))
    standardised = np.cov(drawn.T) / np.outer(sd, sd)
    np.testing.assert_allclose(standardised, covariance / np.outer(sd, sd), atol=0.04)


def test_a_seed_gives_the_same_draws_on_any_number_of_cores():
    _, equations, priors = named("slope")
    short = {"draws": 60, "tune": 60, "chains": 2}
    one = nuts.sample_collapsed(equations, priors, Settings(**short, seed=5, cores=1))
    two = nuts.sample_collapsed(equations, priors, Settings(**short, seed=5, cores=2))
    other = nuts.sample_collapsed(equations, priors, Settings(**short, seed=6))
    for name in ("theta", "beta", "u"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert np.all(getattr(one, name) != getattr(other, name))
    assert not np.array_equal(one.theta[0], one.theta[1])


def test_what_is_returned():
    _, equations, priors = named("slope")
    settings = Settings(draws=30, tune=50, chains=3, seed=0)
    draws = nuts.sample_collapsed(equations, priors, settings, np.array([24.7, 5.9, 0.07, 25.6]))
    assert draws.theta.shape == (3, 30, 4)
    assert draws.beta.shape == (3, 30, 2)
    assert draws.u.shape == (3, 30, 36)
    assert set(draws.stats) == set(nuts._STATS.values())
    assert {stat.shape for stat in draws.stats.values()} == {(3, 30)}
    assert draws.stats["diverging"].dtype == bool
    assert draws.sampler.startswith("nutpie ")
    assert draws.settings == replace(settings, target_accept=0.7)


def test_a_variance_near_zero_is_sampled():
    _, equations, priors = model("Yield ~ 1 + (1 | Batch)", "Dyestuff2")
    draws = nuts.sample_collapsed(equations, priors, Settings(seed=2), np.array([0.0, 3.7]))
    assert np.all(draws.theta > 0)
    assert np.all(np.isfinite(draws.u))
    assert draws.stats["diverging"].sum() == 0


def test_other_priors_other_posterior():
    design, equations, priors = named("slope")
    tight = resolve({"sd_Subject[Days]": bl.HalfNormal(0.5)}, equations.parameters, design)
    settings = Settings(draws=200, tune=100, seed=1)
    wide = nuts.sample_collapsed(equations, priors, settings).theta[..., 1].mean()
    assert nuts.sample_collapsed(equations, tight, settings).theta[..., 1].mean() < wide / 2


def interrupt_after(monkeypatch, enough):
    """Make waiting for nutpie end as Ctrl-C ends it, once the trace so far is enough."""
    nuts._nutpie()
    sampler = import_module("nutpie.sample")._BackgroundSampler

    def wait(self, *, timeout=None):
        while not enough(self.inspect().get_arrow_trace()[1]):
            sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(sampler, "wait", wait)


def drawn(batch):
    return int((~nuts._column(batch, "tuning")).sum())


def test_ctrl_c_returns_what_was_drawn(monkeypatch):
    _, equations, priors = named("slope")
    interrupt_after(monkeypatch, lambda stats: any(drawn(batch) > 100 for batch in stats))
    settings = Settings(draws=10**7, tune=50, chains=4, cores=2, seed=1)
    with pytest.warns(InterruptedWarning, match="of 10000000 draws of [1-4] of 4 chains"):
        draws = nuts.sample_collapsed(equations, priors, settings)
    chains, length = draws.theta.shape[:2]
    assert chains >= 1
    assert 0 < length < 10**7
    assert np.all(np.isfinite(draws.theta))
    assert draws.u.shape == (chains, length, 36)


def test_ctrl_c_before_the_first_draw_is_ctrl_c(monkeypatch):
    _, equations, priors = named("slope")
    interrupt_after(monkeypatch, lambda stats: True)
    with pytest.raises(KeyboardInterrupt):
        nuts.sample_collapsed(equations, priors, Settings(draws=10, tune=10**7, seed=1))


LENGTHS = [
    ([1000, 1000, 1000, 1000], ([0, 1, 2, 3], 1000)),
    ([900, 1000, 3, 0], ([0, 1], 900)),
    ([900, 0, 0, 800], ([0, 3], 800)),
    ([10, 0], ([0], 10)),
    ([400, 300, 250], ([0, 1, 2], 250)),
]


@pytest.mark.parametrize(("lengths", "kept"), LENGTHS)
def test_chains_of_unequal_length(lengths, kept):
    assert nuts._longest(lengths) == kept


INVALID = [
    ({"draws": 0}, ArgumentError, "`draws` should be a whole number of 1 or more, got 0"),
    ({"tune": 2.5}, ArgumentError, "`tune` should be"),
    ({"chains": True}, ArgumentTypeError, "`chains` should be"),
    ({"cores": -1}, ArgumentError, "`cores` should be"),
    ({"seed": -1}, ArgumentError, "`random_seed` should be"),
    ({"seed": "1"}, ArgumentTypeError, "`random_seed` should be"),
    ({"target_accept": 1.0}, ArgumentError, "`target_accept` should be between 0 and 1"),
    ({"target_accept": "0.8"}, ArgumentTypeError, "`target_accept` should be between 0 and 1"),
    ({"progress": "yes"}, ArgumentTypeError, "`progress` should be True or False"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), INVALID)
def test_settings_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        Settings(**arguments)


def test_numbers_of_numpy_are_numbers():
    given = Settings(draws=np.int32(5), seed=np.uint8(1), target_accept=np.float32(0.5))
    assert given == Settings(draws=5, seed=1, target_accept=0.5)


def test_without_a_seed_two_runs_differ():
    assert Settings().seed != Settings().seed


@pytest.mark.slow
@pytest.mark.parametrize(("full", "sampler"), [(False, "pymc"), (True, "pymc"), (True, "nutpie")])
def test_pymc_models_sampled_as_they_stand_agree(full, sampler):
    from bayeslmm.pymc_models.collapsed import collapsed_model
    from bayeslmm.pymc_models.parameters import theta_draws
    from bayeslmm.pymc_models.textbook import full_model

    design, equations, priors = named("slope")
    pm_model = (
        full_model(design, equations.parameters, priors)
        if full
        else collapsed_model(equations, priors, design.response)
    )
    settings = Settings(seed=1, draws=2000, tune=1000)
    variables, stats, name = nuts.sample_model(pm_model, settings, sampler)
    assert name.startswith(sampler)
    assert {"diverging", "energy", "tree_depth"} <= set(stats)
    theirs = theta_draws(variables, equations.parameters).reshape(-1, 4)
    ours = nuts.sample_collapsed(equations, priors, settings).theta.reshape(-1, 4)
    # at least 1,000 effective draws on either side
    error = np.sqrt(ours.var(axis=0) * 2 / 1000)
    np.testing.assert_array_less(abs(theirs.mean(axis=0) - ours.mean(axis=0)), 4 * error)
