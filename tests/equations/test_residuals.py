"""Structured R in the equations, against dense algebra, finite differences and simulation."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.covariance.correlations.registry import STRUCTURES
from bayeslmm.covariance.structures import Covariance
from bayeslmm.design.build import compile_design
from bayeslmm.equations.equations import Equations
from tests.oracles.dense import random_theta
from tests.oracles.dense_residuals import marginal_covariance

ON = {"time": "age", "group": "Subject"}


GIVEN = np.array(
    [
        [1, 0.7, 0.1, 0.2, -0.2],
        [0.7, 1, 0.3, 0.1, 0],
        [0.1, 0.3, 1, 0.6, 0.4],
        [0.2, 0.1, 0.6, 1, 0.5],
        [-0.2, 0, 0.4, 0.5, 1],
    ]
)
"""Correlations of five ages, one of which the data lack."""


class Case(NamedTuple):
    """A model of the frame below, or of some of its rows."""

    R: Covariance
    formula: str = "distance ~ age * Sex"
    weighted: bool = False
    rows: str = "all"  # "missing": some of them, in any order


CASES = {
    "UN": Case(bl.UN(**ON)),
    "UN, missing": Case(bl.UN(**ON), rows="missing", weighted=True),
    "UN, one variance": Case(bl.UN(**ON, variance="one"), rows="missing"),
    "UN by": Case(bl.UN(**ON, by="Sex"), rows="missing"),
    "UN, crossed": Case(bl.UN(**ON), "distance ~ age + (1 | room)", rows="missing"),
    "FA": Case(bl.FA(1, **ON)),
    "FA by, missing": Case(
        bl.FA(1, **ON, by="Sex"), "distance ~ age + (1 | clinic)", True, "missing"
    ),
    "CS": Case(bl.CS(group="Subject"), weighted=True),
    "CS, missing": Case(
        bl.CS(group="Subject"), "distance ~ age + (0 + age | Subject)", True, "missing"
    ),
    "CS by": Case(bl.CS(group="Subject", by="Sex"), "distance ~ age + (1 | clinic)"),
    "CSH": Case(bl.CSH(**ON), rows="missing"),
    "AR1": Case(bl.AR1(**ON), "distance ~ age * Sex + (1 | Subject)"),
    "AR1, missing": Case(bl.AR1(**ON), "distance ~ age + (age | Subject)", True, "missing"),
    "AR1 by": Case(bl.AR1(**ON, by="Sex"), "distance ~ age + (1 | Subject)", rows="missing"),
    "AR1, nested": Case(bl.AR1(**ON), "distance ~ age + (1 | clinic/Subject)", True, "missing"),
    "AR1, crossed": Case(
        bl.AR1(**ON), "distance ~ age + (1 | Subject) + (age | room)", rows="missing"
    ),
    "AR1, nothing nested": Case(
        bl.AR1(**ON), "distance ~ 1 + (1 | room) + (1 | ageF)", rows="missing"
    ),
    "AR1, crossed within": Case(
        bl.AR1(**ON), "distance ~ age + (1 | room) + (1 | clinic)", True, "missing"
    ),
    "AR1 VarIdent": Case(bl.AR1(**ON, variance=bl.VarIdent("Sex")), rows="missing"),
    "ARH1": Case(bl.ARH1(**ON), "distance ~ age * Sex + (1 | Subject)", rows="missing"),
    "ARMA11": Case(bl.ARMA11(**ON), "distance ~ age + (1 | Subject)", True, "missing"),
    "Toep": Case(bl.Toep(**ON), rows="missing"),
    "Toep by": Case(bl.Toep(**ON, by="Sex"), "distance ~ age + (1 | clinic)", rows="missing"),
    "ToepH": Case(bl.ToepH(**ON), weighted=True),
    "Ante1": Case(bl.Ante1(**ON), "distance ~ age + (1 | clinic)", rows="missing"),
    "CAR1": Case(bl.CAR1(**ON), "distance ~ age + (1 | Subject)", True, "missing"),
    "CAR1 VarPower": Case(bl.CAR1(**ON, variance=bl.VarPower("age"))),
    "CAR1, nugget": Case(bl.CAR1(**ON, nugget=True), rows="missing"),
    "CAR1, own times": Case(bl.CAR1(time="when", group="Subject"), rows="missing"),
    "Exp, nugget, by": Case(bl.Exp(**ON, nugget=True, by="Sex"), rows="missing"),
    "Exp, plane": Case(
        bl.Exp(time=("east", "north"), group="Subject"), "distance ~ age + (1 | clinic)"
    ),
    "Gau": Case(bl.Gau(time="when", group="Subject", nugget=True), rows="missing"),
    "Sph": Case(bl.Sph(time=("east", "north"), group="Subject", nugget=True), rows="missing"),
    "RatQuad, plane": Case(
        bl.RatQuad(time=("east", "north"), group="Subject", nugget=True), rows="missing"
    ),
    "Matern": Case(bl.Matern(time=("east", "north"), group="Subject"), weighted=True),
    "Matern 2.5": Case(bl.Matern(**ON, smoothness=2.5, nugget=True), rows="missing"),
    "ID by": Case(bl.ID(by="Sex"), "distance ~ age * Sex + (age | Subject)", True, "missing"),
    "ID VarIdent": Case(bl.ID(variance=bl.VarIdent("clinic")), "distance ~ age + (1 | room)"),
    "ID VarIdents": Case(
        bl.ID(variance=[bl.VarIdent("Sex"), bl.VarIdent("clinic"), bl.VarIdent("age")]),
        "distance ~ age + (1 | room)",
        rows="missing",
    ),
    "AR1 VarIdents by": Case(
        bl.AR1(**ON, by="Sex", variance=[bl.VarIdent("clinic"), "occasion", bl.VarPower("age")]),
        rows="missing",
    ),
    "CS VarIdent of an interaction": Case(
        bl.CS(group="Subject", variance=[bl.VarIdent("age"), bl.VarIdent("Sex:clinic")]),
        weighted=True,
    ),
    "ID VarPower": Case(
        bl.ID(variance=bl.VarPower("when")), "distance ~ age + (1 | clinic/Subject)"
    ),
    "ID VarExp": Case(bl.ID(variance=bl.VarExp("x")), rows="missing"),
    "ID, product": Case(
        bl.ID(variance=[bl.VarIdent("Sex"), bl.VarPower("age"), bl.VarExp("x")]),
        "distance ~ age + (1 | Subject)",
        rows="missing",
    ),
    "Known": Case(bl.Known(GIVEN, levels=[14, 12, 10, 9, 8], **ON), weighted=True),
    "Known, missing": Case(
        bl.Known(GIVEN, levels=[14, 12, 10, 9, 8], **ON),
        "distance ~ age + (age | Subject)",
        True,
        "missing",
    ),
    "Known by": Case(
        bl.Known(GIVEN, levels=[14, 12, 10, 9, 8], **ON, by="Sex", variance=bl.VarPower("age")),
        "distance ~ age + (1 | clinic) + (1 | room)",
        rows="missing",
    ),
    "Known VarExp": Case(
        bl.Known(
            GIVEN,
            levels=[14, 12, 10, 9, 8],
            **ON,
            variance=[bl.VarIdent("Sex"), "occasion", bl.VarExp("x")],
        ),
        "distance ~ age + (1 | clinic/Subject)",
        rows="missing",
    ),
    "Known, inverse": Case(
        bl.Known(
            inverse=np.linalg.inv(GIVEN), levels=[14, 12, 10, 9, 8], **ON, variance="occasion"
        ),
        rows="missing",
    ),
    "VarPower by": Case(bl.AR1(**ON, by="Sex", variance=[bl.VarPower("age"), bl.VarExp("age")])),
    "Diag": Case(bl.Diag(**ON), "distance ~ age + (1 | Subject)"),
}


@cache
def frame(rows: str = "all") -> pd.DataFrame:
    """Orthodont with factors that cross and hold the subjects, places and other times."""
    rng = np.random.default_rng(8)
    data = bl.load_dataset("Orthodont")
    subject = pd.factorize(data["Subject"])[0]
    data = data.assign(
        clinic=pd.Series(subject % 5).map("clinic {}".format),
        room=rng.choice(list("uvwxyz"), len(data)),
        ageF=data["age"].map("at {:02d}".format),
        when=data["age"] + rng.uniform(-0.9, 0.9, len(data)),
        east=rng.uniform(0, 3, len(data)),
        north=rng.uniform(0, 3, len(data)),
        x=rng.normal(size=len(data)),
        w=rng.uniform(0.5, 2, len(data)),
    )
    if rows == "missing":
        keep = rng.permutation(len(data))[: int(0.8 * len(data))]
        data = data.iloc[keep].reset_index(drop=True)
    return data


@cache
def model(name: str):
    case = CASES[name]
    weights = "w" if case.weighted else None
    design = compile_design(case.formula, frame(case.rows), weights, case.R)
    return design, Equations.of(design)


def theta_of(name: str, seed: int = 0) -> np.ndarray:
    """Some theta within the support."""
    design, equations = model(name)
    rng = np.random.default_rng(seed)
    theta = random_theta(equations.parameters, design, seed)
    for block in equations.parameters.blocks:
        size = block.stop - block.start
        values = {
            "rho": lambda low=block.lower, n=size: rng.uniform(max(low, -0.5), 0.8, n),
            "lag": lambda n=size: rng.uniform(0.2, 0.6) ** np.arange(1, n + 1),
            "ma": lambda n=size: rng.uniform(-0.3, 0.5, n),
            "range": lambda n=size: rng.uniform(0.5, 4, n),
            "nugget": lambda n=size: rng.uniform(0.05, 0.5, n),
            "power": lambda n=size: rng.uniform(-0.2, 0.3, n),
            "loading": lambda n=size: rng.uniform(0.2, 0.9, n),
        }.get("lag" if block.kind == "rho" and block.joint is not None else block.kind)
        if values is not None:
            theta[block.start : block.stop] = values()
    return theta


def dense_logliks(theta, design, parameters, V):
    """Log-likelihoods with beta at its maximum, and integrated out."""
    X, y, p = design.X, design.y, design.X.shape[1]
    root = np.linalg.cholesky(V)
    whole = np.linalg.solve(root, np.column_stack([X, y]))
    beta, *_ = np.linalg.lstsq(whole[:, :p], whole[:, p])
    rest = whole[:, p] - whole[:, :p] @ beta
    ml = -0.5 * (len(y) * np.log(2 * np.pi) + rest @ rest) - np.log(np.diag(root)).sum()
    information = np.linalg.slogdet(whole[:, :p].T @ whole[:, :p])[1]
    return {"ml": ml, "reml": ml - 0.5 * (information - p * np.log(2 * np.pi))}


def differences(function, theta):
    """Central differences of fourth order, with steps in proportion to what they change."""
    slopes = np.empty(len(theta))
    for i in range(len(theta)):
        step = 1e-4 * max(abs(theta[i]), 0.05)
        e = step * np.eye(len(theta))[i]
        near = function(theta + e) - function(theta - e)
        far = function(theta + 2 * e) - function(theta - 2 * e)
        slopes[i] = (8 * near - far) / (12 * step)
    return slopes


def test_every_correlation_has_a_case():
    names = {cls.of_call().correlation.name for cls in STRUCTURES.values()}
    assert {case.R.correlation.name for case in CASES.values()} == names | {"known", "matern25"}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_log_likelihoods_are_those_of_dense_algebra(name, seed):
    case, (design, equations) = CASES[name], model(name)
    theta = theta_of(name, seed)
    V = marginal_covariance(theta, equations.parameters, design, case.R, frame(case.rows))
    for method, expected in dense_logliks(theta, design, equations.parameters, V).items():
        value, slope = equations.loglik(theta, method)
        assert value == pytest.approx(expected, abs=1e-8 * abs(expected)), method
        numeric = differences(lambda x, m=method: equations.loglik(x, m)[0], theta)
        np.testing.assert_allclose(slope, numeric, rtol=2e-6, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("name", CASES)
def test_collapsed_density_is_that_of_dense_algebra(name):
    case, (design, equations) = CASES[name], model(name)
    theta = theta_of(name, 2)
    p = equations.p
    half = np.random.default_rng(3).normal(size=(p, p))
    mean, precision = np.linspace(-1, 20, p), half @ half.T + np.eye(p)
    V = marginal_covariance(theta, equations.parameters, design, case.R, frame(case.rows))
    V += design.X @ np.linalg.inv(precision) @ design.X.T
    value, slope = equations.collapsed(theta, mean, precision)
    expected = stats.multivariate_normal.logpdf(design.y, design.X @ mean, V)
    assert value == pytest.approx(expected, rel=1e-9)
    numeric = differences(lambda x: equations.collapsed(x, mean, precision)[0], theta)
    np.testing.assert_allclose(slope, numeric, rtol=2e-6, atol=1e-6 * np.abs(slope).max())


NEAR_BOUNDS = {
    "CS": [{"rho": -1 / 3 + 1e-4}, {"rho": 0.9999}],
    "CS by": [{"rho[Male]": -1 / 3 + 1e-4, "rho[Female]": 0.9999}],
    "AR1": [{"rho": 0.9999}, {"rho": -0.9999}, {"sd_Subject[Intercept]": 1e-6}],
    "AR1, missing": [{"rho": 0.9999}, {"rho": 0.0}, {"corr_Subject[Intercept, age]": 0.9999}],
    "ARMA11": [{"rho": 0.999, "ma": -0.9}, {"rho": -0.99, "ma": 0.99}, {"rho": 0.0, "ma": 0.5}],
    "CAR1": [{"rho": 1e-6}, {"rho": 0.9999}],
    "CAR1, nugget": [{"nugget": 1e-6}, {"nugget": 0.9999}, {"rho": 0.999, "nugget": 1e-3}],
    "Gau": [{"range": 0.01}, {"range": 3.0, "nugget": 1e-3}],
    "Matern": [{"range": 0.01}, {"range": 100.0}],
    "Toep": [{"rho[1]": 0.999, "rho[2]": 0.997, "rho[3]": 0.994}],
    "Ante1": [{"rho[8, 10]": 0.9999, "rho[10, 12]": -0.9999, "rho[12, 14]": 0.0}],
    "UN": [
        dict.fromkeys(("corr_R[8, 10]", "corr_R[8, 12]", "corr_R[10, 12]"), 0.999)
        | {"corr_R[8, 14]": 0.1, "corr_R[10, 14]": 0.1, "corr_R[12, 14]": 0.1}
    ],
    "ID VarPower": [{"power": -2.0}, {"power": 4.0}],
    "ID by": [{"sigma[Male]": 1e-2}, {"sigma[Female]": 1e3}],
}


@pytest.mark.parametrize(
    ("name", "values"), [(name, values) for name, all in NEAR_BOUNDS.items() for values in all]
)
def test_near_the_bounds(name, values):
    case, (design, equations) = CASES[name], model(name)
    parameters = equations.parameters
    theta = theta_of(name)
    for parameter, value in values.items():
        theta[parameters.names.index(parameter)] = value
    V = marginal_covariance(theta, parameters, design, case.R, frame(case.rows))
    expected = dense_logliks(theta, design, parameters, V)["reml"]
    value, slope = equations.loglik(theta, "reml")
    assert value == pytest.approx(expected, rel=1e-7)
    bounds = parameters.bounds
    room = np.minimum(np.abs(theta - bounds[:, 0]), np.abs(bounds[:, 1] - theta))
    for i in range(len(theta)):
        step = 1e-3 * min(max(abs(theta[i]), 0.05), room[i], 0.1)
        e = step * np.eye(len(theta))[i]
        dense = [
            dense_logliks(
                theta,
                design,
                parameters,
                marginal_covariance(theta + s * e, parameters, design, case.R, frame(case.rows)),
            )["reml"]
            for s in (-2, -1, 1, 2)
        ]
        numeric = (8 * (dense[2] - dense[1]) - (dense[3] - dense[0])) / (12 * step)
        assert slope[i] == pytest.approx(numeric, rel=1e-3, abs=1e-5 * np.abs(slope).max())


OUTSIDE = {
    "CS": {"rho": -0.34},
    "AR1": {"rho": 1.0},
    "UN": {"corr_R[8, 10]": 0.9, "corr_R[8, 12]": 0.9, "corr_R[10, 12]": -0.9},
    "Toep": {"rho[1]": 0.9, "rho[2]": -0.9},
    "CAR1": {"rho": 0.0},
    "Gau": {"nugget": 1.0},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_there_is_no_likelihood_outside_the_bounds(name):
    _, equations = model(name)
    theta = theta_of(name)
    for parameter, value in OUTSIDE[name].items():
        theta[equations.parameters.names.index(parameter)] = value
    assert equations.loglik(theta)[0] == -np.inf
    with pytest.raises(ValueError, match="covariance matrices"):
        equations.given_residuals(theta)


ALIKE = [
    "UN, missing",
    "Known VarExp",
    "AR1, crossed",
    "CAR1, nugget",
    "Toep by",
    "Ante1",
    "ID, product",
    "CSH",
]


@pytest.mark.parametrize("name", ALIKE)
def test_order_of_rows_and_names_of_subjects_do_not_matter(name):
    case, (_, equations) = CASES[name], model(name)
    theta = theta_of(name)
    data = frame(case.rows)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(data))
    names = data["Subject"].unique()
    renamed = dict(zip(names, [f"s{k}" for k in rng.permutation(len(names))], strict=True))
    for other in (data.iloc[order], data.assign(Subject=data["Subject"].map(renamed))):
        weights = "w" if case.weighted else None
        again = Equations.of(compile_design(case.formula, other, weights, case.R))
        assert again.parameters.names == equations.parameters.names
        value, slope = again.loglik(theta)
        expected, slopes = equations.loglik(theta)
        assert value == pytest.approx(expected, rel=1e-11)
        np.testing.assert_allclose(slope, slopes, rtol=1e-8, atol=1e-8)


LONG = {
    "AR1": lambda T: (0.7 ** lags(T), bl.AR1(time="t", group="id")),
    "CAR1": lambda T: (0.7 ** lags(T), bl.CAR1(time="t", group="id")),
    "CS": lambda T: (0.3 + 0.7 * np.eye(T), bl.CS(group="id")),
}


def lags(T):
    return np.abs(np.subtract.outer(np.arange(T), np.arange(T)))


@pytest.mark.parametrize("name", LONG)
def test_long_subjects(name):
    """Whitened in order, not by a dense factor."""
    T = 700
    K, R = LONG[name](T)
    data = pd.DataFrame({"t": np.arange(T), "id": "a", "x": np.sin(np.arange(T))})
    data["y"] = np.cos(0.1 * data["t"]) + data["x"]
    design = compile_design("y ~ x", data, None, R)
    equations = Equations.of(design)
    theta = np.array([0.3 if name == "CS" else 0.7, 1.3])
    value, _ = equations.loglik(theta, "ml")
    expected = dense_logliks(theta, design, equations.parameters, 1.3**2 * K)["ml"]
    assert value == pytest.approx(expected, rel=1e-10)
    assert len(equations.packed.floats) + len(equations.packed.ints) < 20 * T


def test_rows_without_correlation_are_packed_by_level():
    data = pd.DataFrame({"g": np.repeat(list("abcd"), 600), "k": np.tile(list("uv"), 1200)})
    data["y"] = np.sin(np.arange(2400.0)) + (data["g"] == "a")
    R = bl.ID(variance=bl.VarIdent("k"))
    equations = Equations.of(compile_design("y ~ 1 + (1 | g)", data, None, R))
    assert len(equations.packed.floats) + len(equations.packed.ints) < 6 * len(data)


@pytest.mark.parametrize(
    "name", ["AR1, missing", "CS by", "Toep", "ID, product", "Exp, plane", "Known by"]
)
def test_simulated_residuals_have_their_covariance_matrix(name):
    design, equations = model(name)
    theta = theta_of(name)
    n = len(design.y)
    root = np.column_stack([equations.residual_noise(theta, e) for e in np.eye(n)])
    R = equations.residual_covariance(theta, np.arange(n))
    np.testing.assert_allclose(root @ root.T, R, atol=1e-10)


def test_tables_tell_the_occasions_of_a_correlation_apart():
    for R, kind in ((bl.UN(**ON), "corr"), (bl.Ante1(**ON), "rho")):
        fit = bl.Model("distance ~ age", frame(), R=R).fit("ml")
        rows = fit.varcorr().query("kind == @kind")
        assert tuple(rows.iloc[0][["effect_1", "effect_2"]]) == ("8", "10")
        name = fit.model.parameters.names[0]
        assert name == f"{'corr_R' if kind == 'corr' else kind}[8, 10]"
        assert "Residual variation:" in str(fit)
        assert "Random effects:" not in str(fit)
    by = bl.Model("distance ~ age", frame(), R=bl.UN(**ON, by="Sex")).fit("ml")
    first = by.varcorr().iloc[0]
    assert tuple(first[["effect_1", "effect_2"]]) == ("Female: 8", "10")
    assert by.model.parameters.names[0] == "corr_R[Female: 8, 10]"
