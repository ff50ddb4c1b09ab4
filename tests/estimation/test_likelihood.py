"""The REML/ML engine where reference cases do not reach: boundaries, scales, other optimisers."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from bayeslmm.data.examples import load_dataset
from bayeslmm.design.build import compile_design
from bayeslmm.equations.equations import Equations
from bayeslmm.errors import DataError
from bayeslmm.estimation.likelihood.quasi_newton import optimise
from bayeslmm.estimation.optimum import Status
from tests.oracles.dense import profiled


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


@pytest.mark.parametrize("shift", [2006.0, 1e4, 1e5])
def test_standard_errors_survive_a_covariate_far_from_zero(shift):
    data = load_dataset("sleepstudy")
    _, _, plain = fit("Reaction ~ Days + (Days | Subject)", data)
    _, _, moved = fit("Reaction ~ x + (x | Subject)", data.assign(x=data.Days + shift))
    assert moved.status is Status.CONVERGED
    # sums of squares of size shift² leave this much of the criterion to rounding
    assert moved.criterion == pytest.approx(plain.criterion, abs=2e-5)
    # those of log sd[x] and log sigma do not depend on where x is zero
    expected = np.sqrt(np.diag(plain.vcov))[[1, 3]]
    np.testing.assert_allclose(np.sqrt(np.diag(moved.vcov))[[1, 3]], expected, rtol=1e-3)


@pytest.mark.parametrize("shift", [1e6, 1e7])
def test_beyond_the_precision_of_numbers_errors_are_unavailable_rather_than_wrong(shift):
    data = load_dataset("sleepstudy")
    _, _, moved = fit("Reaction ~ x + (x | Subject)", data.assign(x=data.Days + shift))
    assert moved.criterion == pytest.approx(2 * 871.814136, abs=0.2)
    error = moved.vcov[1, 1] ** 0.5
    assert np.isnan(error) or error == pytest.approx(1.508 / 5.922, rel=1e-2)


def random_design(seed: int) -> pd.DataFrame:
    """Few, unequal groups and a covariate far from zero: what makes the likelihood rugged."""
    rng = np.random.default_rng(seed)
    n, levels = int(rng.integers(14, 50)), int(rng.integers(2, 9))
    data = pd.DataFrame(
        {
            "x": rng.normal(rng.choice([0, 5, 50]), 1, n),
            "z": rng.exponential(1, n),
            "g": rng.integers(0, levels, n),
            "h": rng.integers(0, 5, n),
            "weight": 10.0 ** rng.uniform(-3, 3, n),
        }
    )
    u = rng.normal(size=(3, 10)) * rng.choice([0, 0.3, 1, 3], 3)[:, None]
    y = 0.5 * data.x + u[0, data.g] + u[1, data.g] * (data.x - data.x.mean()) + u[2, data.h]
    return data.assign(y=y + rng.normal(size=n) + rng.choice([0, 1e3]))


def dense_minimum(equations, design, method, starts=4):
    """The least criterion that descents over dense algebra from several starts find."""
    sizes = [
        (bar.stop - bar.start, bar.structure) for factor in design.factors for bar in factor.bars
    ]
    assert {structure for _, structure in sizes} <= {"un", "diag"}
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    root = np.sqrt(weights)[:, None]
    X, y = root * design.X, root[:, 0] * design.y
    Q, R = np.linalg.qr(X)
    df = len(y) - (X.shape[1] if method == "reml" else 0)
    blocks = []
    for factor in design.factors:
        for bar in factor.bars:
            Z = factor.Z[:, bar.start : bar.stop]
            basis = np.linalg.inv(np.linalg.qr(Z, mode="r")) * np.sqrt(len(Z))
            if bar.structure == "diag":
                basis = np.diag(1 / np.sqrt((Z**2).mean(axis=0)))
            member = np.eye(len(factor.levels))[factor.codes]
            blocks.append((root * (Z @ basis), member @ member.T, bar.structure))

    def criterion(point):
        V, at = np.eye(len(y)), 0
        for Z, together, structure in blocks:
            q = Z.shape[1]
            L = np.zeros((q, q))
            where = np.tril_indices(q) if structure == "un" else np.diag_indices(q)
            L[where] = point[at : at + len(where[0])]
            at += len(where[0])
            V += (Z @ L @ L.T @ Z.T) * together
        try:
            lower = np.linalg.cholesky(V)
        except np.linalg.LinAlgError:
            return 1e300
        solved = np.linalg.solve(lower, np.column_stack([Q, y]))
        q, r = np.linalg.qr(solved[:, :-1])
        residual = solved[:, -1] - q @ (q.T @ solved[:, -1])
        value = 2 * np.log(np.diag(lower)).sum() - np.log(weights).sum()
        if method == "reml":
            value += 2 * np.log(np.abs(np.diag(r))).sum() + 2 * np.log(np.abs(np.diag(R))).sum()
        return value + df * (1 + np.log(2 * np.pi * residual @ residual / df))

    diagonal = np.concatenate(
        [
            np.eye(q)[np.tril_indices(q)] if structure == "un" else np.ones(q)
            for q, structure in sizes
        ]
    )
    rng = np.random.default_rng(0)
    best = np.inf
    for start in range(starts):
        point = diagonal * np.exp(1.5 * rng.normal(size=len(diagonal)) * (start > 0))
        best = min(best, minimize(criterion, point, method="BFGS", options={"gtol": 1e-4}).fun)
    return best


@pytest.mark.parametrize(
    ("formula", "method", "weighted", "seed"),
    [
        ("y ~ x + (x || g)", "reml", False, 7),
        ("y ~ x + (x || g)", "reml", False, 463),
        ("y ~ x + (1 | g) + (0 + x + z | g)", "ml", True, 14),
        ("y ~ x + (1 | g) + (0 + x + z | g)", "ml", True, 254),
        ("y ~ x + (1 | g) + (0 + x + z | g)", "reml", False, 1016),
        ("y ~ x + (x + z | g)", "ml", True, 684),
        ("y ~ x + (1 | g) + (1 | h)", "ml", True, 448),
        ("y ~ x + (x | g) + (1 | h)", "ml", True, 495),
        ("y ~ 0 + x + (1 | g)", "reml", True, 383),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_no_descent_over_dense_algebra_finds_a_better_optimum(formula, method, weighted, seed):
    data = random_design(seed)
    design = compile_design(formula, data, "weight" if weighted else None)
    equations = Equations.of(design)
    optimum = optimise(equations, method)
    assert optimum.status.ok
    assert optimum.criterion <= dense_minimum(equations, design, method) + 1e-4


def test_an_intercept_that_only_the_random_effects_hold_is_found():
    # two optima, 300 apart: the offset of y in the residuals, or in the random intercepts
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(6), 7)
    x = rng.normal(size=42)
    data = pd.DataFrame({"x": x, "g": g, "y": 1e4 + x + rng.normal(size=6)[g]})
    data["y"] += rng.normal(size=42)
    _, _, optimum = fit("y ~ 0 + x + (1 | g)", data)
    assert optimum.status is Status.CONVERGED
    assert optimum.theta[0] == pytest.approx(1e4, rel=0.5)
    assert optimum.sigma < 2


@pytest.mark.filterwarnings("ignore:in .* the effects")
def test_covariances_that_three_means_cannot_tell_are_named_so():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(3), 8)
    data = pd.DataFrame({"w": rng.normal(size=3)[g], "g": g})
    data["y"] = data.w + 2 * rng.normal(size=3)[g] + rng.normal(size=24)
    _, _, optimum = fit("y ~ w + (w | g)", data)
    assert optimum.status is Status.NOT_IDENTIFIED
    assert np.isnan(optimum.vcov[0]).all()


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_response_made_of_fixed_and_random_effects_alone_is_an_exact_fit(method):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=30), "k": rng.choice(list("abc"), 30)})
    data["z"] = 2 * data.x + 1 + (data.k == "a")
    assert fit("z ~ x + (1 | k)", data, method)[2].status is Status.ZERO_RESIDUAL


def test_a_response_whose_squares_are_no_numbers_is_refused():
    data = load_dataset("sleepstudy")
    with pytest.raises(DataError, match="use a unit in which"):
        fit("Reaction ~ Days + (Days | Subject)", data.assign(Reaction=1e-160 * data.Reaction))


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
