"""The mixed-model equations against dense algebra, finite differences and simulation."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.linalg import block_diag

from bayeslmm.design.build import compile_design
from bayeslmm.equations import kernels
from bayeslmm.equations.equations import Equations
from tests.oracles.dense import covariances, full_Z, log_likelihood, profiled, random_theta

FORMULAS = {
    "no random effects": "y ~ x",
    "no coefficients": "y ~ 0 + (1 | item)",
    "one factor, q = 1": "y ~ x + (1 | item)",
    "one factor, q = 2": "y ~ x + (x | item)",
    "one factor, q = 3": "y ~ x + (x + x2 | item)",
    "diagonal": "y ~ x + (x + x2 || item)",
    "one variance": "y ~ x + id(0 + f | item)",
    "two bars": "y ~ x + (1 | item) + (0 + x + x2 | item)",
    "two nested": "y ~ x + (x | a / b)",
    "three nested": "y ~ x + (1 | a / b / c)",
    "nested, different effects": "y ~ x + (x + x2 | a) + (1 | a:b) + (x | a:b:c)",
    "two crossed": "y ~ x + (x | item) + (1 | rater)",
    "three crossed": "y ~ x + (x | rater) + (1 | item) + (x + x2 || a)",
    "crossed and nested": "y ~ x + (x | a / b) + (x2 | rater) + (1 | day)",
    "a dense root that LAPACK factorises": "y ~ x + (x | item) + (x | rater)",
}
SMALL_VARIANCE = 1e-7


@cache
def frame() -> pd.DataFrame:
    """Unbalanced data in which factors are nested, crossed and partly crossed; y far from zero."""
    rng = np.random.default_rng(3)
    n = 170
    c = np.r_[np.arange(36), rng.integers(36, size=n - 36)]
    data = pd.DataFrame(
        {
            "x": rng.normal(2, 1, n),
            "x2": rng.normal(size=n),
            "f": rng.choice(list("uvw"), n),
            "c": c.astype(str),
            "b": ((c % 12) // 2).astype(str),
            "a": (c % 4).astype(str),
            "item": rng.choice(27, n).astype(str),
            "rater": rng.choice(25, n).astype(str),
            "day": rng.choice(3, n).astype(str),
            "w": rng.uniform(0.5, 2, n),
        }
    )
    data["y"] = (
        1000 + data.x + 2 * rng.normal(size=n) + rng.normal(size=27)[data["item"].astype(int)]
    )
    return data


@cache
def model(name: str, weighted: bool = True):
    design = compile_design(FORMULAS[name], frame(), weights="w" if weighted else None)
    return design, Equations.of(design)


def theta_of(name: str, seed: int = 1, scale: float = 1.0):
    design, equations = model(name)
    theta = random_theta(equations.parameters, design, seed)
    for block in equations.parameters.blocks:
        if block.kind == "sd":
            theta[block.start : block.stop] *= scale
    return theta


def theta_size(theta):
    return np.maximum(np.abs(theta), 0.1)


@pytest.mark.parametrize("scale", [1.0, 0.01, SMALL_VARIANCE], ids=["", "small", "near zero"])
@pytest.mark.parametrize("name", FORMULAS)
def test_likelihoods_equal_dense_algebra(name, scale):
    design, equations = model(name)
    theta = theta_of(name, scale=scale)
    expected = profiled(theta, equations.parameters, design)
    for method, value in expected.items():
        assert equations.loglik(theta, method)[0] == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_collapsed_density_is_that_of_the_model_integrated_over_beta_and_u(name):
    design, equations = model(name)
    rng = np.random.default_rng(5)
    p = equations.p
    root = rng.normal(size=(p, p + 2))
    precision, mean = root @ root.T, rng.normal(1000, 10, size=p)
    theta = theta_of(name)
    value, _ = equations.collapsed(theta, mean, precision)
    expected = log_likelihood(theta, equations.parameters, design, mean, precision)
    assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["ml", "reml", "prior"])
@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_equal_finite_differences(name, kind):
    _, equations = model(name)
    p = equations.p
    prior = np.r_[990.0, 1.0][:p], np.diag(np.linspace(0.5, 2, p))

    def value(theta):
        if kind == "prior":
            return equations.collapsed(theta, *prior)
        return equations.loglik(theta, kind)

    for seed in (1, 2):
        theta = theta_of(name, seed)
        numerical = [
            (value(theta + step)[0] - value(theta - step)[0]) / (2 * step.max())
            for step in 1e-5 * np.diag(theta_size(theta))
        ]
        np.testing.assert_allclose(value(theta)[1], numerical, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_profiled_gradient_holds_for_any_relative_factor_and_at_zero(name, method):
    _, equations = model(name)
    rng = np.random.default_rng(2)
    whole = rng.normal(size=len(equations.relative_factors(theta_of(name))))
    for M in (whole, 0.0 * whole, np.where(rng.random(len(whole)) < 0.5, 0.0, whole)):
        gradient = equations.profiled(M, method)[1]
        for direction in rng.normal(size=(3, len(M))):
            step = 1e-5 * direction
            difference = equations.profiled(M + step, method)[0]
            difference -= equations.profiled(M - step, method)[0]
            assert gradient @ direction == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-4)


def test_profiling_leaves_the_likelihood_at_its_maximum_over_sigma():
    _, equations = model("crossed and nested")
    M = equations.relative_factors(theta_of("crossed and nested"))
    for method in ("ml", "reml"):
        value, _, sigma2, *_ = equations.profiled(M, method)
        at = equations.theta(M, np.sqrt(sigma2))
        assert -2 * equations.loglik(at, method)[0] == pytest.approx(value, rel=1e-12)
        assert equations.loglik(equations.theta(M, 1.1 * np.sqrt(sigma2)), method)[0] < -value / 2


def henderson(name):
    """Solution and inverse of Henderson's equations as he wrote them, with G⁻¹."""
    design, equations = model(name)
    theta = theta_of(name)
    weights = design.weights / theta[-1] ** 2
    G = covariances(theta, equations.parameters, design)
    Z = np.hstack([full_Z(f) for f in design.factors] or [np.empty((len(design.y), 0))])
    big_G = block_diag(
        *[np.kron(np.eye(len(f.levels)), g) for f, g in zip(design.factors, G, strict=True)]
    )
    W = np.hstack([design.X, Z])
    C = W.T @ (W * weights[:, None])
    p = equations.p
    if design.factors:
        C[p:, p:] += np.linalg.inv(big_G)
    return theta, np.linalg.solve(C, W.T @ (weights * design.y)), C


@pytest.mark.parametrize("name", FORMULAS)
def test_blue_blup_and_their_variances_solve_hendersons_equations(name):
    _, equations = model(name)
    theta, solution, C = henderson(name)
    M, sigma, p = equations.relative_factors(theta), theta[-1], equations.p
    beta, u = equations.solve(M)
    np.testing.assert_allclose(np.r_[beta, u], solution, rtol=1e-8, atol=1e-8)
    inverse = np.linalg.inv(C)
    np.testing.assert_allclose(equations.var_beta(M, sigma), inverse[:p, :p], rtol=1e-8)
    for known, full in ((False, inverse[p:, p:]), (True, np.linalg.inv(C[p:, p:]))):
        at = 0
        for blocks in equations.var_u(M, sigma, beta_known=known).values():
            for block in blocks:
                here = slice(at, at + len(block))
                np.testing.assert_allclose(block, full[here, here], rtol=1e-7, atol=1e-12)
                at += len(block)


@pytest.mark.parametrize("name", FORMULAS)
def test_variances_of_linear_functions_of_beta_and_u(name):
    design, equations = model(name)
    theta, _, C = henderson(name)
    rng = np.random.default_rng(8)
    n, p = 50, equations.p
    X = rng.normal(size=(n, p))
    # any level of each factor, none at times: also combinations that never occur in the data
    codes = [rng.integers(-1, len(f.levels), n) for f in design.factors]
    Z = [rng.normal(size=(n, len(f.effects))) for f in design.factors]
    W = [X]
    for factor, code, values in zip(design.factors, codes, Z, strict=True):
        part = np.zeros((n, len(factor.levels), len(factor.effects)))
        part[np.arange(n), code] = np.where(code[:, None] >= 0, values, 0.0)
        W.append(part.reshape(n, -1))
    dense = np.hstack(W)
    expected = np.einsum("ij,jk,ik->i", dense, np.linalg.inv(C), dense)
    got = equations.var_linear(equations.relative_factors(theta), theta[-1], X, codes, Z, chunk=7)
    np.testing.assert_allclose(got, expected, rtol=1e-8)


@pytest.mark.parametrize("name", ["one factor, q = 2", "crossed and nested", "three nested"])
def test_draws_have_the_conditional_mean_and_covariance(name):
    _, equations = model(name)
    theta, solution, C = henderson(name)
    p, draws = equations.p, 20_000
    z = np.random.default_rng(4).standard_normal((draws, p + equations.n_random))
    beta, u = kernels.draw_coefficients(
        np.tile(theta, (draws, 1)), np.zeros(p), np.zeros((p, p)), z, equations.packed
    )
    both = np.hstack([beta, u])
    inverse = np.linalg.inv(C)
    sd = np.sqrt(np.diag(inverse))
    # Mahalanobis distances are chi-squared: a check of the whole covariance at once
    distance = np.einsum("ij,jk,ik->i", both - solution, C, both - solution)
    assert stats.kstest(distance, stats.chi2(len(solution)).cdf).pvalue > 1e-3
    standard_error = (both.mean(axis=0) - solution) / sd * np.sqrt(draws)
    assert np.abs(standard_error).max() < 4.5
    zero, _ = kernels.draw_coefficients(
        theta[None], np.zeros(p), np.zeros((p, p)), 0 * z[:1], equations.packed
    )
    np.testing.assert_allclose(zero[0], solution[:p], rtol=1e-10)


def test_a_flat_prior_is_reml_and_a_sharp_one_holds_beta():
    _, equations = model("two crossed")
    theta, p = theta_of("two crossed"), equations.p
    flat = equations.collapsed(theta, np.full(p, 7.0), np.zeros((p, p)))
    reml = equations.loglik(theta, "reml")
    assert flat[0] == pytest.approx(reml[0], rel=1e-14)
    np.testing.assert_allclose(flat[1], reml[1])
    mean = np.array([990.0, 3.0])
    beta, _ = kernels.draw_coefficients(
        theta[None],
        mean,
        1e12 * np.eye(p),
        np.zeros((1, p + equations.n_random)),
        equations.packed,
    )
    np.testing.assert_allclose(beta[0], mean, atol=1e-5)


def test_theta_that_gives_no_covariance_matrix_has_density_zero():
    _, equations = model("one factor, q = 3")
    theta = theta_of("one factor, q = 3")
    bad = theta.copy()
    bad[3:6] = 0.9, -0.9, 0.9
    assert equations.loglik(bad)[0] == -np.inf
    bad = theta.copy()
    bad[-1] = -1.0
    assert equations.loglik(bad)[0] == -np.inf


def test_a_response_far_from_zero_loses_no_digits():
    _, equations = model("one factor, q = 2", weighted=False)
    shifted = frame().assign(y=frame().y + 1e9)
    far = Equations.of(compile_design(FORMULAS["one factor, q = 2"], shifted))
    theta = theta_of("one factor, q = 2")
    # y itself is only known to 1e-7 there
    assert far.loglik(theta)[0] == pytest.approx(equations.loglik(theta)[0], rel=1e-8)


def test_nested_factors_leave_no_dense_root_and_the_cost_is_linear_in_levels():
    """50,000 in 5,000 in 500: X and y alone in the root, a few numbers a level in panels."""
    rng = np.random.default_rng(0)
    n = 120_000
    c = np.r_[np.arange(50_000), rng.integers(50_000, size=n - 50_000)]
    data = pd.DataFrame({"y": rng.normal(size=n), "c": c, "b": c % 5000, "a": c % 500})
    design = compile_design("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", data)
    equations = Equations.of(design)
    assert equations.root_order == 2
    system = equations.packed.system
    assert len(system.panel) < 6 * 55_500
    theta = np.array([0.5, 0.5, 0.5, 1.0])
    _, gradient = equations.loglik(theta)
    step = np.array([0, 0, 1e-4, 0])
    difference = equations.loglik(theta + step)[0] - equations.loglik(theta - step)[0]
    assert gradient[2] == pytest.approx(difference / 2e-4, rel=1e-5)


def test_only_what_is_crossed_with_the_largest_factor_stays_in_the_root():
    _, equations = model("crossed and nested")
    levels = {f.name: len(f.levels) for f in equations.factors}
    assert max(levels, key=lambda name: levels[name]) == "rater"
    assert equations.root_order == 2 * levels["a"] + 2 * levels["a:b"] + levels["day"] + 2 + 1
