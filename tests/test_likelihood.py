"""The REML/ML engine where reference cases do not reach: boundaries, scales, other optimisers."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from dense import profiled
from scipy.optimize import minimize

from bayeslmm.design import compile_design
from bayeslmm.equations import Equations
from bayeslmm.example_data import load_dataset
from bayeslmm.likelihood import Status, optimise


def fit(formula, data, method="reml"):
    design = compile_design(formula, data)
    equations = Equations.of(design)
    return design, equations, optimise(equations, method)


def dense_criterion(theta, equations, design, method):
    """-2 log-likelihood by dense algebra."""
    return -2 * profiled(theta, equations.parameters, design)[method]


@cache
def simulated(G: tuple[tuple[float, ...], ...], subjects: int = 40, seed: int = 0) -> pd.DataFrame:
    """Five rows a subject at x = 0..4 with random effects of covariance G on (1, x, x²)."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.array(G) + 1e-12 * np.eye(len(G)))
    u = rng.standard_normal((subjects, len(G))) @ root.T
    x = np.tile(np.arange(5.0), subjects)
    subject = np.repeat(np.arange(subjects), 5)
    powers = np.vander(x, len(G), increasing=True)
    y = 3 + x + np.einsum("ij,ij->i", powers, u[subject]) + rng.standard_normal(len(x))
    return pd.DataFrame({"y": y, "x": x, "z": 1000 * x, "late": x + 2006, "s": subject})


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
        ("score ~ Machine + (Machine || Worker)", "Machines"),
    ],
)
def test_a_derivative_free_optimiser_on_dense_algebra_finds_the_same_place(formula, data, method):
    design, equations, optimum = fit(formula, load_dataset(data), method)
    kinds = np.array(equations.parameters.kinds)

    def natural(eta):
        return np.where(kinds == "corr", np.tanh(eta), np.exp(np.where(kinds == "corr", 0, eta)))

    theta = optimum.theta
    start = np.where(
        kinds == "corr", np.arctanh(np.where(kinds == "corr", theta, 0)), np.log(abs(theta))
    )
    result = minimize(
        lambda eta: dense_criterion(natural(eta), equations, design, method),
        start + 0.3,
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
    )
    assert optimum.criterion == pytest.approx(result.fun, abs=1e-6)
    assert optimum.criterion <= result.fun + 1e-9
    np.testing.assert_allclose(natural(result.x), theta, rtol=2e-3, atol=2e-3)


def test_under_flat_priors_the_mode_over_theta_is_the_reml_estimate():
    _, equations, optimum = fit("Reaction ~ Days + (Days | Subject)", load_dataset("sleepstudy"))
    flat = np.zeros(2), np.zeros((2, 2))
    value, gradient = equations.collapsed(optimum.theta, *flat)
    assert value == pytest.approx(-optimum.criterion / 2, rel=1e-12)
    assert np.abs(gradient * optimum.theta).max() < 1e-5


def test_the_hessian_is_that_of_dense_algebra():
    design, equations, optimum = fit(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", load_dataset("Penicillin")
    )
    eta, k, h = np.log(optimum.theta), len(optimum.theta), 1e-3

    def loglik(point):
        return -dense_criterion(np.exp(point), equations, design, "reml") / 2

    expected = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            a, b = h * np.eye(k)[i], h * np.eye(k)[j]
            corners = loglik(eta + a + b) - loglik(eta + a - b)
            corners += loglik(eta - a - b) - loglik(eta - a + b)
            expected[i, j] = corners / (4 * h * h)
    np.testing.assert_allclose(optimum.hessian, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(optimum.vcov, np.linalg.inv(-optimum.hessian))


def test_a_variance_of_zero_is_reached_exactly_and_its_error_is_unavailable():
    _, _, optimum = fit("Yield ~ 1 + (1 | Batch)", load_dataset("Dyestuff2"))
    assert optimum.status is Status.SINGULAR
    assert optimum.theta[0] == 0.0
    assert optimum.boundary.tolist() == [True, False]
    assert np.isnan(optimum.vcov[0]).all()
    assert np.isfinite(optimum.vcov[1, 1])
    # the model without the factor has the same likelihood
    without = fit("Yield ~ 1", load_dataset("Dyestuff2"))[2]
    assert optimum.criterion == pytest.approx(without.criterion, rel=1e-12)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_correlation_of_one_is_reached(sign, method):
    data = simulated(((1.0, sign * 0.5), (sign * 0.5, 0.25)), seed=5)
    design, equations, optimum = fit("y ~ x + (x | s)", data, method)
    assert optimum.status is Status.SINGULAR
    assert optimum.theta[2] == pytest.approx(sign, abs=1e-6)
    assert optimum.boundary.tolist() == [False, False, True, False]
    assert np.isfinite(np.diag(optimum.vcov)[[0, 1, 3]]).all()
    for step in (0.05, 0.2):  # inside the boundary it is worse
        theta = optimum.theta.copy()
        theta[2] -= sign * step
        assert dense_criterion(theta, equations, design, method) > optimum.criterion


def test_a_covariance_of_rank_one_among_three_effects_is_reached():
    v = np.array([1.0, 0.5, -0.3])
    data = simulated(tuple(map(tuple, np.outer(v, v).tolist())), seed=4)
    _, _, optimum = fit("y ~ x + I(x**2) + (x + I(x**2) | s)", data)
    assert optimum.status is Status.SINGULAR
    corr = np.eye(3)
    corr[np.tril_indices(3, -1)] = optimum.theta[3:6]
    corr = corr + np.tril(corr, -1).T
    assert np.linalg.eigvalsh(corr)[0] == pytest.approx(0, abs=1e-6)
    assert optimum.boundary.tolist() == [False] * 3 + [True] * 3 + [False]


@pytest.mark.parametrize("column", ["z", "late"])
def test_neither_the_unit_nor_the_zero_of_a_covariate_matters(column):
    data = simulated(((1.0, 0.1), (0.1, 0.25)))
    _, _, plain = fit("y ~ x + (x | s)", data)
    _, _, moved = fit(f"y ~ {column} + ({column} | s)", data)
    assert moved.status is plain.status is Status.CONVERGED
    change = 2 * np.log(1000) if column == "z" else 0.0  # log|X'V⁻¹X| follows the coding of X
    assert moved.criterion == pytest.approx(plain.criterion + change, abs=1e-6)
    assert moved.sigma == pytest.approx(plain.sigma, rel=1e-6)
    slope = 0.001 if column == "z" else 1.0
    assert moved.theta[1] == pytest.approx(slope * plain.theta[1], rel=1e-5)


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_the_unit_of_the_response_does_not_matter(unit):
    data = load_dataset("sleepstudy")
    _, _, plain = fit("Reaction ~ Days + (Days | Subject)", data)
    scaled = data.assign(Reaction=unit * data.Reaction)
    _, _, other = fit("Reaction ~ Days + (Days | Subject)", scaled)
    size = np.array([unit, unit, 1.0, unit])
    np.testing.assert_allclose(other.theta, size * plain.theta, rtol=1e-6)


def test_an_exact_fit_is_told():
    data = simulated(((1.0,),)).assign(y=lambda d: 2 * d.x + 5)
    optimum = fit("y ~ x + (1 | s)", data)[2]
    assert optimum.status is Status.ZERO_RESIDUAL
    assert not optimum.status.ok


def test_a_factor_of_many_levels_with_little_data_each():
    rng = np.random.default_rng(1)
    s = np.repeat(np.arange(3000), 2)
    data = pd.DataFrame({"s": s, "y": 0.3 * rng.normal(size=3000)[s] + rng.normal(size=6000)})
    _, _, optimum = fit("y ~ 1 + (1 | s)", data)
    # balanced one-way layout: REML is the analysis of variance
    means = data.groupby("s").y.mean()
    within = (data.y - means.loc[data.s].to_numpy()).pow(2).sum() / 3000
    between = 2 * means.var(ddof=1)
    assert optimum.sigma**2 == pytest.approx(within, rel=1e-7)
    assert optimum.theta[0] ** 2 == pytest.approx((between - within) / 2, rel=1e-6)


def test_the_trace_descends_to_the_criterion():
    _, _, optimum = fit("Reaction ~ Days + (Days | Subject)", load_dataset("sleepstudy"))
    values = [step.criterion for step in optimum.trace]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(optimum.criterion, abs=1e-5)
    assert optimum.evaluations >= len(values)
