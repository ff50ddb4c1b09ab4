"""The bootstrap: what is drawn, what the refits find, that they are the same again."""

from dataclasses import replace

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.responses import of_response
from bayeslmm.errors import ArgumentError, ConvergenceWarning
from bayeslmm.estimation.likelihood.refit import refit, start_of
from bayeslmm.inference.resampling import Cases, Parametric, Residual
from tests.oracles.fits_cache import MODELS, likelihood, model

KINDS = ["parametric", "residual", "cases"]


def structured():
    R = bl.AR1(time="age", group="Subject")
    return bl.Model("distance ~ age * Sex", bl.load_dataset("Orthodont"), R=R)


@pytest.mark.parametrize("name", [*MODELS, "structured"])
def test_equations_of_another_response_are_those_made_anew(name):
    own = structured() if name == "structured" else model(name)
    y = own.design.y_less_offset + np.random.default_rng(0).standard_normal(len(own.design.y))
    quick = of_response(own.equations, own.design, y)
    anew = Equations.of(replace(own.design, y=y, offset=None))
    size = np.abs(anew.packed.floats).max()
    assert np.array_equal(quick.packed.ints, anew.packed.ints)
    assert quick.packed.floats == pytest.approx(anew.packed.floats, abs=1e-12 * size)
    assert np.array_equal(own.equations.packed.floats, Equations.of(own.design).packed.floats)


@pytest.mark.parametrize("name", ["slopes", "crossed", "nested", "weights", "offset", "factor ||"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_refits_from_the_estimate_find_what_fits_from_nowhere_find(name, method):
    fit = likelihood(name, method)
    own = fit.model
    start = start_of(own.equations, method)
    for y in fit.simulate(5, random_seed=3).to_numpy():
        offset = 0.0 if own.design.offset is None else own.design.offset
        equations = of_response(own.equations, own.design, y - offset)
        found, anew = refit(equations, method, start), own.with_response(y).fit(method)
        at = np.array(own.parameters.kinds) != "corr"
        assert found.beta == pytest.approx(anew.beta.to_numpy(), rel=1e-3)
        assert found.theta[at] == pytest.approx(anew.optimum.theta[at], rel=2e-2, abs=2e-3)
        M = equations.relative_factors(np.where(at, np.maximum(found.theta, 1e-9), found.theta))
        value = equations.profiled(M, method)[0]
        assert value == pytest.approx(anew.optimum.criterion, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["slopes", "no random effects", "nested"])
def test_draws_have_the_form_of_a_posterior(name, kind):
    fit = likelihood(name)
    draws = fit.bootstrap(30, kind, random_seed=1)["posterior"]
    assert draws.sizes["chain"] == 1
    assert draws.sizes["draw"] == 30 - draws.attrs["n_failed"]
    assert draws["beta"].dims == ("chain", "draw", "coef")
    if name == "slopes":
        assert draws["sd_Subject"].dims == ("chain", "draw", "Subject_effect_sd")
        assert draws["corr_Subject"]["Subject_pair"].values.tolist() == ["Intercept, Days"]
    assert (draws["sigma"] > 0).all()


def test_the_seed_decides_and_the_number_of_processes_does_not():
    fit = likelihood("slopes")
    one, two = (fit.bootstrap(60, random_seed=7, jobs=jobs)["posterior"] for jobs in (1, 2))
    other = fit.bootstrap(60, random_seed=8)["posterior"]
    for name in one.data_vars:
        assert np.array_equal(one[name], two[name])
        assert not np.array_equal(one[name], other[name])


def test_simulated_responses_have_the_moments_of_the_model():
    fit = likelihood("weights")
    rng = np.random.default_rng(0)
    sampler = Parametric.of(fit.solution)
    draws = np.array([sampler(rng).packed.system.beta_ols for _ in range(4000)])
    X, w = fit.model.design.X, fit.model.design.weights
    V = np.zeros((len(X), len(X)))
    for level in fit.model.design.factors[0].levels:
        block = fit.V(level)
        rows = fit.model.design.index.get_indexer(block.index)
        V[np.ix_(rows, rows)] = block
    A = np.linalg.solve((X.T * w) @ X, X.T * w)
    assert draws.mean(axis=0) == pytest.approx(fit.beta.to_numpy(), abs=0.5)
    assert np.cov(draws.T) == pytest.approx(A @ V @ A.T, rel=0.1, abs=0.6)


@pytest.mark.parametrize("name", ["slopes", "crossed", "weights"])
def test_resampled_effects_and_residuals_have_the_covariance_estimated(name):
    fit = likelihood(name)
    sampler = Residual.of(fit.solution)
    for u, factor in zip(sampler.effects, fit.model.design.factors, strict=True):
        assert u.mean(axis=0) == pytest.approx(0, abs=1e-8)
        assert u.T @ u / len(u) == pytest.approx(fit.G(factor.name).to_numpy(), rel=1e-8)
    assert np.mean(sampler.residuals**2) == pytest.approx(1)


def test_cases_are_whole_groups_and_copies_are_different_groups():
    fit = likelihood("nested")
    rows = Cases.of(fit.solution).rows
    design = fit.model.design
    outer = design.factor("batch")
    assert sorted(np.concatenate(rows)) == list(range(len(design.y)))
    assert all(len(set(outer.codes[own])) == 1 for own in rows)
    equations = Cases.of(fit.solution)(np.random.default_rng(0))
    assert [len(f.levels) for f in equations.factors] == [len(f.levels) for f in design.factors]


def test_intervals_of_the_bootstrap_are_near_those_of_wald():
    fit = likelihood("slopes")
    table = fit.confint("bootstrap", n=400, random_seed=1)
    wald = fit.confint("wald")
    size = wald["upper"] - wald["lower"]
    coef = ["beta[Intercept]", "beta[Days]", "sigma"]
    assert ((table - wald).abs().div(size, axis=0) < 0.15).loc[coef].all(axis=None)
    assert table.equals(fit.confint("bootstrap", n=400, random_seed=1))
    assert list(fit.confint("bootstrap", 0.9, "sigma", n=20, random_seed=1).index) == ["sigma"]


def test_refits_without_estimates_are_counted_and_said():
    data = bl.load_dataset("Orthodont")
    few = data[data["Subject"].isin(["M01", "M02", "F01"])]
    fit = bl.Model("distance ~ age + Sex + (1 | Subject)", few).fit("reml")
    with pytest.warns(ConvergenceWarning, match="of 40 refits have no estimates"):
        draws = fit.bootstrap(40, "cases", random_seed=1)["posterior"]
    assert draws.attrs["n_failed"] > 0
    assert draws.sizes["draw"] == 40 - draws.attrs["n_failed"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_structured_r_is_drawn_with_its_correlations(kind):
    fit = structured().fit("ml")
    draws = fit.bootstrap(60, kind, random_seed=1)["posterior"]
    assert abs(float(draws["rho"].mean()) - fit.theta["rho"]) < 0.1
    assert float(draws["sigma"].mean()) == pytest.approx(fit.sigma, rel=0.1)


def test_independent_residuals_of_a_structured_r_have_unit_variance():
    data = bl.load_dataset("Orthodont").sample(95, random_state=2)
    R = bl.ARH1(time="age", group="Subject")
    fit = bl.Model("distance ~ age * Sex", data, R=R, weights=np.linspace(1, 2, 95)).fit("ml")
    sampler = Residual.of(fit.solution)
    assert np.mean(sampler.residuals**2) == pytest.approx(1)
    # without random effects and by ML, the sum of squares is that of as many as there are
    assert np.sum(fit.residuals("normalized") ** 2) == pytest.approx(95, rel=1e-6)


def test_cases_of_a_structured_r_are_subjects():
    fit = structured().fit("ml")
    design = fit.model.design
    sampler = Cases.of(fit.solution)
    assert [len(rows) for rows in sampler.rows] == [4] * 27
    rng = np.random.default_rng(5)
    equations = sampler(rng)
    drawn = np.random.default_rng(5).integers(27, size=27)
    rows = np.concatenate([sampler.rows[i] for i in drawn])
    frame = bl.load_dataset("Orthodont").iloc[rows].assign(Subject=np.repeat(range(27), 4))
    R = bl.AR1(time="age", group="Subject")
    anew = bl.Model("distance ~ age * Sex", frame, R=R)
    theta = fit.optimum.theta
    assert len(design.y) == equations.n
    assert equations.loglik(theta)[0] == pytest.approx(anew.equations.loglik(theta)[0], rel=1e-9)


def test_cases_without_a_stratum_of_r_have_no_estimates():
    data = bl.load_dataset("Orthodont")
    few = data[data["Subject"].isin(["M01", "M02", "M03", "F01"])]
    fit = bl.Model("distance ~ age + (1 | Subject)", few, R=bl.ID(by="Sex")).fit("reml")
    with pytest.warns(ConvergenceWarning, match="parameters of R"):
        fit.bootstrap(30, "cases", random_seed=1)


def test_errors():
    fit = likelihood("crossed")
    with pytest.raises(ArgumentError, match="crossed"):
        fit.bootstrap(20, "cases")
    with pytest.raises(ArgumentError, match="'cases'"):
        fit.bootstrap(20, "case")
    with pytest.raises(ArgumentError, match="`n`"):
        fit.bootstrap(0)
    with pytest.raises(ArgumentError, match="`jobs`"):
        fit.bootstrap(10, jobs=0)
