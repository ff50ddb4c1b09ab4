"""Correlation structures against definitions in plain NumPy, finite differences, dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.special import gamma, kv

import bayeslmm as bl
from bayeslmm.core.library import Status, address, floats, function
from bayeslmm.covariance.correlations import kernels as cor
from bayeslmm.covariance.correlations.base import Whitening
from bayeslmm.covariance.correlations.known import KnownCorrelation
from bayeslmm.errors import ArgumentError

T = 5
TIMES = np.array([0.0, 0.7, 1.5, 3.0, 4.2])
PLANE = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, -1.0], [0.3, 2.0], [-1.0, 1.2]])
DISTANCES = {
    "line": np.abs(TIMES[:, None] - TIMES),
    "plane": np.linalg.norm(PLANE[:, None] - PLANE, axis=2),
}
POINTS = np.arange(T)
SUBSETS = [[0, 1, 2, 3, 4], [0, 2, 3], [1, 4], [3], [4, 0, 2]]
NONE, UN, CS, AR1, ARMA11, TOEP, ANTE1, CAR1, EXP, GAU, RATQUAD, SPH = (
    own().correlation
    for own in (
        *(bl.ID, bl.UN, bl.CS, bl.AR1, bl.ARMA11, bl.Toep, bl.Ante1, bl.CAR1, bl.Exp, bl.Gau),
        *(bl.RatQuad, bl.Sph),
    )
)
MATERN15, MATERN25 = (bl.Matern(smoothness=nu).correlation for nu in (1.5, 2.5))
FA1, FA2 = (bl.FA(k).correlation for k in (1, 2))
KNOWN = KnownCorrelation()
SPATIAL = (CAR1, EXP, GAU, MATERN15, MATERN25, RATQUAD, SPH)
STRUCTURES = [
    *(NONE, UN, CS, AR1, ARMA11, TOEP, ANTE1, *SPATIAL, FA1, FA2),
    *(replace(structure, nugget=True) for structure in SPATIAL),
]
WITH_COORDINATES = [s for s in STRUCTURES if s != UN]


def named(structure):
    return structure.name + "+nugget" * structure.nugget


each = pytest.mark.parametrize("structure", STRUCTURES, ids=named)
each_with_coordinates = pytest.mark.parametrize("structure", WITH_COORDINATES, ids=named)


# The structures once more, from their definitions


def arma11(rho, ma, size):
    """Correlations of y_t = rho y_{t-1} + e_t + ma e_{t-1}, from its weights on past e."""
    psi = np.concatenate([[1.0], (rho + ma) * rho ** np.arange(4000.0)])
    cov = [psi[: len(psi) - k] @ psi[k:] for k in range(size)]
    return toeplitz(np.array(cov) / cov[0])


def matern(nu, d, length):
    s = np.sqrt(2 * nu) * np.where(d > 0, d, 1.0) / length
    return np.where(d > 0, 2 ** (1 - nu) / gamma(nu) * s**nu * kv(nu, s), 1.0)


def lower_to_matrix(values):
    C = np.eye(T)
    C[np.tril_indices(T, -1)] = values
    return np.tril(C) + np.tril(C, -1).T


def ante1(rho):
    return np.array([[np.prod(rho[min(i, j) : max(i, j)]) for j in range(T)] for i in range(T)])


def factor_analysis(params, k):
    loadings = np.zeros((T, k))
    loadings[np.tril_indices(T, 0, k)] = params
    C = loadings @ loadings.T
    np.fill_diagonal(C, 1)
    return C


DEFINITIONS = {
    "fa1": lambda p, D: factor_analysis(p, 1),
    "fa2": lambda p, D: factor_analysis(p, 2),
    "none": lambda p, D: np.eye(T),
    "un": lambda p, D: lower_to_matrix(p),
    "cs": lambda p, D: np.full((T, T), p[0]) + (1 - p[0]) * np.eye(T),
    "ar1": lambda p, D: toeplitz(p[0] ** np.arange(T)),
    "arma11": lambda p, D: arma11(p[0], p[1], T),
    "toep": lambda p, D: toeplitz([1.0, *p[: T - 1]]),
    "ante1": lambda p, D: ante1(p),
    "car1": lambda p, D: np.exp(np.log(p[0]) * D),
    "exp": lambda p, D: matern(0.5, D, p[0]),
    "gau": lambda p, D: np.exp(-((D / p[0]) ** 2)),
    "ratquad": lambda p, D: 1 / (1 + (D / p[0]) ** 2),
    "sph": lambda p, D: np.where(p[0] > D, 1 - 1.5 * D / p[0] + (D / p[0]) ** 3 / 2, 0),
    "matern15": lambda p, D: matern(1.5, D, p[0]),
    "matern25": lambda p, D: matern(2.5, D, p[0]),
}


def defined(structure, params, D):
    C = DEFINITIONS[structure.name](params, D)
    if structure.nugget:
        C = (1 - params[-1]) * C + params[-1] * np.eye(T)
    return C


def matrix(structure, params, points=POINTS, D=DISTANCES["line"]):
    """The matrix at rows `points` of all occasions."""
    points = np.asarray(points)
    C, ok = cor.correlation(structure, params, points, D[np.ix_(points, points)])
    return C if ok else None


def natural(structure, x, occasions=T):
    return cor.to_natural(structure, occasions, x)


def random_params(structure, rng, spread=1.0):
    if structure == UN:
        A = rng.normal(size=(T, T + 2)) + (spread - 1) * rng.normal(size=T + 2)
        return np.corrcoef(A)[np.tril_indices(T, -1)]
    return natural(structure, spread * rng.normal(size=structure.n_parameters(T)))


def slope(f, at, i, step):
    """The derivative in coordinate i by four values, to fourth order."""
    h = np.zeros(len(at))
    h[i] = step
    return (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * step)


def differences(f, at, step=1e-3):
    """The derivatives in all coordinates, along the last axis."""
    columns = [slope(f, at, i, step) for i in range(len(at))]
    return np.stack(columns, axis=-1) if columns else np.empty((*np.shape(f(at)), 0))


# Parameters → matrix


@each
@pytest.mark.parametrize("D", DISTANCES.values(), ids=DISTANCES)
@pytest.mark.parametrize("seed", range(3))
def test_a_matrix_is_its_definition(structure, D, seed):
    params = random_params(structure, np.random.default_rng(seed))
    C = matrix(structure, params, D=D)
    np.testing.assert_allclose(C, defined(structure, params, D), atol=1e-13)


@each
@pytest.mark.parametrize("points", SUBSETS, ids=str)
def test_rows_of_some_occasions_are_those_of_the_complete_matrix(structure, points):
    params = random_params(structure, np.random.default_rng(5))
    complete = matrix(structure, params)
    np.testing.assert_array_equal(
        matrix(structure, params, points), complete[np.ix_(points, points)]
    )


@each
@pytest.mark.parametrize("spread", [0.3, 1, 4])
def test_matrices_are_positive_definite(structure, spread):
    """Far from the origin, up to rounding."""
    D = DISTANCES["line"]
    rng = np.random.default_rng(1)
    for _ in range(20):
        params = random_params(structure, rng, spread)
        C = matrix(structure, params)
        if C is None:  # singular to rounding
            assert structure == TOEP
            assert np.linalg.eigvalsh(defined(structure, params, D))[0] < 1e-12
            continue
        np.testing.assert_array_equal(C, C.T)
        assert np.linalg.eigvalsh(C)[0] > (0 if spread < 1 else -1e-14)


@each
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_starting_values_are_inside(structure, size):
    params = structure.start(size, distance=2.0)
    assert len(params) == structure.n_parameters(size) == len(structure.bounds(size))
    D = 2.0 * np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    C = matrix(structure, params, np.arange(size), D)
    assert np.linalg.eigvalsh(C)[0] > 1e-4
    assert all(
        lower < value < upper
        for value, (lower, upper) in zip(params, structure.bounds(size), strict=True)
    )


def test_known_values():
    # Pinheiro and Bates (2000), section 5.3.3, write the first correlation of an ARMA(1,1) so
    C = matrix(ARMA11, [0.6, 0.3])
    first = (1 + 0.6 * 0.3) * (0.6 + 0.3) / (1 + 2 * 0.6 * 0.3 + 0.3**2)
    np.testing.assert_allclose(C[0], [1, *(first * 0.6 ** np.arange(4))], rtol=1e-14)
    # a missing occasion keeps its gap
    np.testing.assert_allclose(matrix(AR1, [-0.5], [0, 1, 4])[2], [0.0625, -0.125, 1])
    np.testing.assert_allclose(matrix(ANTE1, [0.5, 0.4, -0.3, 0.2], [3, 0])[0, 1], -0.06)


def test_known_correlations_are_those_given():
    C = matrix(KNOWN, [], [3, 0, 2], D=0.1 * DISTANCES["line"])
    np.testing.assert_allclose(C, [[1, 0.3, 0.15], [0.3, 1, 0.15], [0.15, 0.15, 1]])
    assert (KNOWN.n_parameters(9), KNOWN.kinds(9), KNOWN.labels("abc")) == (0, (), ())
    assert not KNOWN.of_distance


INVALID = [
    (CS, [[-0.25], [1.0], [-0.3], [np.nan]]),
    (AR1, [[1.0], [-1.0], [1.2], [np.nan]]),
    (ARMA11, [[1.0, 0.0], [0.0, -1.0], [0.2, np.nan]]),
    (TOEP, [[0.9, 0.1, 0, 0], [0, 0, 0, 1.0], [0, -1.0, 0, 0], [np.nan, 0, 0, 0]]),
    (UN, [[0.9, 0.9, -0.9, *[0] * 7], [1.1, *[0] * 9], [np.nan, *[0] * 9]]),
    (ANTE1, [[0.5, 1.0, 0.5, 0.5], [0.5, 0.5, 0.5, -1.1]]),
    (CAR1, [[0.0], [1.0], [-0.2]]),
    (FA1, [[1.1, 0, 0, 0, 0], [-0.1, 0, 0, 0, 0], [np.nan, 0, 0, 0, 0]]),
    (FA2, [[0.5, 0.8, 0.7, *[0] * 6], [0.5, 0.5, -0.1, *[0] * 6]]),
    (EXP, [[0.0], [-1.0], [np.inf], [np.nan]]),
    (replace(GAU, nugget=True), [[1.0, 1.0], [1.0, -0.1], [0.0, 0.1], [1.0, np.nan]]),
]


@pytest.mark.parametrize(("structure", "params"), [(s, p) for s, ps in INVALID for p in ps])
def test_outside_the_bounds_there_is_no_matrix(structure, params):
    assert matrix(structure, params) is None
    if structure != UN:
        with pytest.raises(ArgumentError, match=f"'{structure.name}' has no correlation matrix"):
            cor.to_unconstrained(structure, T, np.array(params))


def test_inside_the_bounds_there_is_one():
    assert matrix(CS, [-0.2499]) is not None
    # fewer rows bear a more negative correlation
    assert matrix(CS, [-0.4], [0, 1, 2]) is not None
    # the correlations of three occasions are possible, those of all are not
    assert matrix(TOEP, [0.0, 0.0, 0.0, 1.5], [0, 1, 2]) is None
    without = matrix(replace(EXP, nugget=True), [2.0, 0.0])
    np.testing.assert_array_equal(without, matrix(EXP, [2.0]))


# The adjoint

EDGES = [
    (UN, [0.999] * 10),
    (CS, [-0.2499]),
    (CS, [0.9999]),
    (AR1, [0.0]),
    (AR1, [-0.9999]),
    (AR1, [0.9999]),
    (ARMA11, [0.0, 0.0]),
    (ARMA11, [0.0, 0.5]),
    (ARMA11, [0.5, -0.5]),
    (ARMA11, [0.999, -0.99]),
    (ARMA11, [-0.999, -0.99]),
    (TOEP, [0.999, 0.997, 0.994, 0.99]),
    (ANTE1, [0.0, 0.0, 0.5, 0.999]),
    (ANTE1, [0.5, 0.0, -0.999, 0.3]),
    (CAR1, [1e-4]),
    (CAR1, [0.9999]),
    (EXP, [0.05]),
    (GAU, [0.4]),
    (MATERN15, [200.0]),
    (MATERN25, [200.0]),
    (replace(MATERN25, nugget=True), [0.3, 1e-5]),
    (replace(CAR1, nugget=True), [0.5, 0.9999]),
]


def distance_to_bounds(structure, params):
    """Beside which a step must be small, as some correlations are singular functions there."""
    return [
        min(value - lower, value if upper == np.inf else upper - value)
        for value, (lower, upper) in zip(params, structure.bounds(T), strict=True)
    ]


def check_adjoint(structure, params, points, D, rng):
    """On a random function of the matrix, sum of W_ij C_ij."""
    params = np.asarray(params, dtype=float)
    W = rng.normal(size=(len(points), len(points)))
    W += W.T
    own = D[np.ix_(points, points)]
    dparams = cor.correlation_pullback(structure, params, np.asarray(points), own, W)
    room = distance_to_bounds(structure, params)
    if structure in (UN, TOEP):
        room = np.full(len(params), np.linalg.eigvalsh(matrix(structure, params))[0])
    for i in range(len(params)):
        expected = slope(
            lambda at, i=i: np.sum(W * matrix(structure, at, points, D)), params, i, 2e-3 * room[i]
        )
        np.testing.assert_allclose(dparams[i], expected, rtol=2e-6, atol=1e-6)


@each
@pytest.mark.parametrize("points", SUBSETS, ids=str)
@pytest.mark.parametrize("D", DISTANCES.values(), ids=DISTANCES)
def test_the_adjoint_is_that_of_finite_differences(structure, points, D):
    rng = np.random.default_rng(2)
    for _ in range(3):
        check_adjoint(structure, random_params(structure, rng), points, D, rng)


@pytest.mark.parametrize(("structure", "params"), EDGES)
def test_the_adjoint_holds_at_zero_and_near_the_bounds(structure, params):
    rng = np.random.default_rng(3)
    for points in SUBSETS:
        check_adjoint(structure, params, points, DISTANCES["line"], rng)


# Unconstrained coordinates


@each_with_coordinates
@pytest.mark.parametrize("spread", [0.5, 2])
def test_coordinates_go_there_and_back(structure, spread):
    rng = np.random.default_rng(4)
    for _ in range(5):
        x = np.clip(spread * rng.normal(size=structure.n_parameters(T)), -3, 3)
        params = natural(structure, x)
        back = cor.to_unconstrained(structure, T, params)
        np.testing.assert_allclose(natural(structure, back), params, rtol=1e-8, atol=1e-8)
        if structure in (FA1, FA2):  # the signs of a factor's loadings mean nothing
            back, x = np.abs(back), np.abs(x)
        np.testing.assert_allclose(back, x, rtol=1e-8, atol=1e-8)


@each_with_coordinates
@pytest.mark.parametrize("spread", [0.0, 0.5, 2])
@pytest.mark.parametrize("occasions", [2, T])
def test_gradient_and_jacobian_are_those_of_finite_differences(structure, spread, occasions):
    rng = np.random.default_rng(6)
    n = structure.n_parameters(occasions)
    x, weights = spread * rng.normal(size=n), rng.normal(size=n)
    if structure in (FA1, FA2) and not spread:  # loadings turn their signs at a diagonal of zero
        x = x - 0.1

    def log_jacobian(at):
        return cor.coordinates_pullback(structure, occasions, at, weights)[0]

    given, dx = cor.coordinates_pullback(structure, occasions, x, weights)
    slopes = differences(lambda at: natural(structure, at, occasions), x)
    expected = np.linalg.slogdet(slopes)[1] if n else 0.0
    np.testing.assert_allclose(given, expected, atol=1e-6)
    total = differences(
        lambda at: np.asarray(weights @ natural(structure, at, occasions) + log_jacobian(at)), x
    )
    np.testing.assert_allclose(dx, total, rtol=1e-6, atol=1e-6)


@each_with_coordinates
@pytest.mark.parametrize("far", [-700.0, -30.0, 30.0, 700.0])
def test_nothing_overflows_far_out(structure, far):
    n = structure.n_parameters(T)
    x = np.full(n, far)
    params = natural(structure, x)
    assert np.all(np.isfinite(params))
    value, dx = cor.coordinates_pullback(structure, T, x, np.ones(n))
    assert np.isfinite(value)
    assert np.all(np.isfinite(dx))
    C = matrix(structure, params)
    if C is None:  # rounded to the bound
        return
    assert np.all(np.isfinite(C))
    dparams = cor.correlation_pullback(
        structure, params, POINTS, DISTANCES["line"], np.ones((T, T))
    )
    assert np.all(np.isfinite(dparams))


def test_partial_autocorrelations_are_those_of_the_normal_equations():
    x = np.array([0.4, -0.9, 0.2, 1.3])
    rho = natural(TOEP, x)
    for k in range(1, T):
        predictor = np.linalg.solve(toeplitz([1.0, *rho[: k - 1]]), rho[:k])
        np.testing.assert_allclose(predictor[-1], np.tanh(x[k - 1]), rtol=1e-12)


def test_an_autoregression_has_one_partial_autocorrelation():
    x = cor.to_unconstrained(TOEP, T, 0.7 ** np.arange(1, T))
    np.testing.assert_allclose(x, [np.arctanh(0.7), 0, 0, 0], atol=1e-14)


def test_a_nugget_of_zero_has_the_coordinate_of_a_small_one():
    x = cor.to_unconstrained(replace(EXP, nugget=True), T, np.array([2.0, 0.0]))
    np.testing.assert_allclose(natural(replace(EXP, nugget=True), x), [2, 1e-6], rtol=1e-9)


def test_un_has_its_coordinates_elsewhere():
    with pytest.raises(ArgumentError, match=r"bayeslmm\.coordinates"):
        cor.to_unconstrained(UN, T, np.zeros(10))
    assert np.all(np.isnan(natural(UN, np.zeros(10))))
    value, dx = cor.coordinates_pullback(UN, T, np.zeros(10), np.zeros(10))
    assert np.isnan(value)
    assert np.all(np.isnan(dx))


def test_parameters_of_another_number_are_refused():
    with pytest.raises(ArgumentError, match=r"'toep' got parameters of shape \(2,\); .* 4 for 5"):
        cor.to_unconstrained(TOEP, T, np.array([0.3, 0.1]))


# Markov structures in O(T)

MARKOV = [
    (AR1, [0.6], POINTS),
    (AR1, [-0.6], np.array([0, 1, 4, 6])),
    (AR1, [0.0], np.array([0, 1, 3])),
    (AR1, [0.9999], POINTS),
    (AR1, [0.5], np.array([3])),
    (CAR1, [0.3], TIMES),
    (CAR1, [0.9999], TIMES),
    (CAR1, [1e-4], TIMES),
    (EXP, [0.7], TIMES),
    (EXP, [300.0], TIMES),
    (ANTE1, [0.5, -0.7, 0.2, 0.99], POINTS),
    (ANTE1, [0.5, -0.7, 0.2, 0.9], np.array([0, 3, 4])),
    (ANTE1, [0.5, 0.0, 0.2, 0.9], np.array([1, 4])),
    (ANTE1, [0.5, 0.0, 0.0, 0.9], np.array([0, 4])),
]


# What whitens rows in order is internal to the library: two weights a row, (a, c).
_WEIGHTS = function("order_weights", "ibaiiiaa")
_WEIGHTS_PULLBACK = function("order_weights_pullback", "ibaiiiaaaa")


def order_weights(structure, params, points):
    """The weights, or None where there are none."""
    params, place, weights = floats(params), floats(points), np.empty((2, len(points)))
    how = structure.whitened(1)
    own = structure.code, structure.nugget, address(params), len(params), how, len(place)
    status = _WEIGHTS(*own, address(place), address(weights))
    return weights if status == Status.OK else None


def order_pullback(structure, params, points, weights, dweights):
    params, place, dweights = floats(params), floats(points), np.array(dweights)
    dparams, how = np.zeros(len(params)), structure.whitened(1)
    own = structure.code, structure.nugget, address(params), len(params), how, len(place)
    arrays = place, weights, dweights, dparams
    assert _WEIGHTS_PULLBACK(*own, *map(address, arrays)) == Status.OK
    return dparams


def markov(structure, params, points):
    return order_weights(structure, params, points)


@pytest.mark.parametrize(("structure", "params", "points"), MARKOV)
def test_markov_weights_whiten_as_the_dense_factor_does(structure, params, points):
    a, c = markov(structure, params, points)
    D = np.abs(np.subtract.outer(points, points)).astype(float)
    K, ok = cor.correlation(structure, params, points.astype(int), D)
    assert ok
    L = np.linalg.cholesky(K)
    whiten = np.diag(1 / c) - np.diag(a[1:] / c[1:], -1)
    np.testing.assert_allclose(whiten @ L, np.eye(len(points)), atol=1e-10)
    np.testing.assert_allclose(
        whiten.T @ whiten @ K, np.eye(len(points)), atol=1e-13 * np.linalg.cond(K)
    )
    np.testing.assert_allclose(
        2 * np.sum(np.log(c)), np.linalg.slogdet(K)[1], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("structure", "params", "points"), MARKOV)
def test_the_adjoint_of_markov_weights_is_that_of_finite_differences(structure, params, points):
    rng = np.random.default_rng(7)
    params = np.array(params)
    a, c = markov(structure, params, points)
    da, dc = rng.normal(size=(2, len(points)))
    dparams = order_pullback(structure, params, points, np.array([a, c]), [da, dc])

    def value(at):
        a, c = markov(structure, at, points)
        return np.asarray(da @ a + dc @ c)

    expected = differences(value, params, step=1e-3 * min(distance_to_bounds(structure, params)))
    np.testing.assert_allclose(dparams, expected, rtol=1e-5, atol=1e-6)


def test_markov_weights_hold_for_observations_close_in_time():
    """Where 1 − a² of rounded numbers would keep few digits."""
    times = np.array([0.0, 1e-12])
    _, c = markov(CAR1, [0.5], times)
    np.testing.assert_allclose(c[1] ** 2, 2e-12 * np.log(2), rtol=1e-11)


@pytest.mark.parametrize(
    ("structure", "params", "points"),
    [
        (AR1, [1.0], POINTS),
        (CAR1, [0.0], TIMES),
        (EXP, [0.0], TIMES),
        (ANTE1, [0.5, 0.5, 1.0, 0.5], POINTS),
        (AR1, [0.5], np.array([0, 2, 2])),
        (CAR1, [0.5], np.array([0.0, 2.0, 1.0])),
        (CAR1, [np.nextafter(1.0, 0.0)], np.array([0.0, 1e-310])),
    ],
)
def test_there_are_no_markov_weights_of_other_parameters_or_points(structure, params, points):
    assert order_weights(structure, params, points) is None


# Compound symmetry in O(T)


@pytest.mark.parametrize("rho", [-0.2499, -0.1, 0.0, 0.4, 0.9999])
def test_exchangeable_weights_whiten_as_the_dense_factor_does(rho):
    a, c = order_weights(CS, [rho], POINTS)
    L = np.linalg.cholesky(np.where(np.eye(T, dtype=bool), 1.0, rho))
    whiten = (np.eye(T) - np.tril(np.ones((T, T)), -1) * a[:, None]) / c[:, None]
    np.testing.assert_allclose(whiten @ L, np.eye(T), atol=1e-10)

    da, dc = np.random.default_rng(3).normal(size=(2, T))

    def value(at):
        a, c = order_weights(CS, at, POINTS)
        return np.asarray(da @ a + dc @ c)

    step = 1e-3 * min(1 - rho, rho + 0.25)
    (expected,) = differences(value, np.array([rho]), step=step)
    (drho,) = order_pullback(CS, [rho], POINTS, np.array([a, c]), [da, dc])
    assert drho == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rho", [-0.25, -0.3, 1.0, np.nan])
def test_there_are_no_exchangeable_weights_of_other_parameters(rho):
    assert order_weights(CS, [rho], POINTS) is None


# Names and bounds


def test_parameters_have_names_and_bounds():
    occasions = ["8", "10", "12"]
    table = {
        named(s): list(zip(s.kinds(3), s.labels(occasions), s.bounds(3), strict=True))
        for s in STRUCTURES
    }
    inside, unit, above = (-1.0, 1.0), (0.0, 1.0), (0.0, np.inf)
    pairs = ("8, 10", "8, 12", "10, 12")
    assert table == {
        "fa1": [("loading", f"{occasion}, 1", inside) for occasion in occasions],
        "fa2": [
            ("loading", label, inside) for label in ("8, 1", "10, 1", "10, 2", "12, 1", "12, 2")
        ],
        "none": [],
        "un": [("corr", pair, inside) for pair in pairs],
        "cs": [("rho", "", (-0.5, 1.0))],
        "ar1": [("rho", "", inside)],
        "arma11": [("rho", "", inside), ("ma", "", inside)],
        "toep": [("rho", "1", inside), ("rho", "2", inside)],
        "ante1": [("rho", "8, 10", inside), ("rho", "10, 12", inside)],
        "car1": [("rho", "", unit)],
        "exp": [("range", "", above)],
        "gau": [("range", "", above)],
        "ratquad": [("range", "", above)],
        "sph": [("range", "", above)],
        "matern15": [("range", "", above)],
        "matern25": [("range", "", above)],
        "car1+nugget": [("rho", "", unit), ("nugget", "", unit)],
        "exp+nugget": [("range", "", above), ("nugget", "", unit)],
        "gau+nugget": [("range", "", above), ("nugget", "", unit)],
        "ratquad+nugget": [("range", "", above), ("nugget", "", unit)],
        "sph+nugget": [("range", "", above), ("nugget", "", unit)],
        "matern15+nugget": [("range", "", above), ("nugget", "", unit)],
        "matern25+nugget": [("range", "", above), ("nugget", "", unit)],
    }
    markov = {named(s) for s in STRUCTURES if s.whitened(1) is Whitening.MARKOV}
    assert markov == {"ar1", "ante1", "car1", "exp"}


def test_a_nugget_belongs_to_functions_of_distance():
    with pytest.raises(ArgumentError, match="'ar1' was asked for with a nugget"):
        replace(AR1, nugget=True)
