"""Estimates are within three standard errors of what 2,000 subjects were simulated from: structures
of R and of G.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl

TIMES = np.array([0, 1, 2, 4, 7])
LAG = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
APART = np.abs(np.subtract.outer(TIMES, TIMES))
SDS = np.array([1.0, 1.5, 2.0, 1.2, 0.8])
NEIGHBOURS = np.array([0.8, 0.3, 0.6, -0.4])
ANTE = np.array([[np.prod(NEIGHBOURS[min(i, j) : max(i, j)]) for i in range(5)] for j in range(5)])
TOEPLITZ = np.array([1, 0.5, 0.4, 0.1, 0.0])[LAG]
DIFFERENT = np.outer(SDS, SDS)
LOADINGS = np.array([0.8, 0.7, 0.3, -0.5, 0.6])
ONE_FACTOR = np.outer(LOADINGS, LOADINGS) + np.diag(1 - LOADINGS**2)
MATERN = (1 + np.sqrt(3) * APART / 2) * np.exp(-np.sqrt(3) * APART / 2)
GROWING = np.exp(0.1 * TIMES)


def simulated(covariance: np.ndarray, intercept_sd: float, noise_sd: float) -> pd.DataFrame:
    """Rows of 2,000 subjects, two for each occasion where there is noise beside the covariance
    between occasions; a tenth of them missing, in any order.
    """
    rng = np.random.default_rng(12)
    subjects, T, each = 2000, len(TIMES), 2 if noise_sd else 1
    between = rng.normal(size=(subjects, T)) @ np.linalg.cholesky(covariance).T
    between += intercept_sd * rng.normal(size=(subjects, 1))
    data = pd.DataFrame(
        {
            "x": rng.normal(size=subjects * T * each),
            "t": np.repeat(np.tile(TIMES, subjects), each),
            "id": np.repeat(np.arange(subjects), T * each).astype(str),
        }
    )
    data["y"] = 3 + 0.5 * data["x"] + np.repeat(between.ravel(), each)
    data["y"] += noise_sd * rng.normal(size=len(data))
    return data.sample(frac=0.9, random_state=11)


def check(fit: bl.LikelihoodFit, truth: dict[str, float]) -> None:
    table = fit.summary()
    for parameter, value in ({"beta[Intercept]": 3.0, "beta[x]": 0.5} | truth).items():
        row = table.loc[parameter]
        assert abs(row["estimate"] - value) < 3 * row["std_error"], parameter


RESIDUALS = {
    "AR1 + intercept": (bl.AR1, 4 * 0.6**LAG, 1.5, {"rho": 0.6, "sigma": 2.0}),
    "ARH1": (bl.ARH1, 0.7**LAG * DIFFERENT, 0.0, {"rho": 0.7, "sigma[4]": 1.2}),
    "CAR1 + intercept": (bl.CAR1, 0.5**APART, 0.7, {"rho": 0.5, "sigma": 1.0}),
    "CS": (bl.CS, 0.4 + 0.6 * np.eye(5), 0.0, {"rho": 0.4, "sigma": 1.0}),
    "CSH": (bl.CSH, (0.4 + 0.6 * np.eye(5)) * DIFFERENT, 0.0, {"rho": 0.4, "sigma[7]": 0.8}),
    "Ante1": (
        bl.Ante1,
        ANTE * DIFFERENT,
        0.0,
        {"rho[0, 1]": 0.8, "rho[4, 7]": -0.4, "sigma[7]": 0.8},
    ),
    "UN": (
        bl.UN,
        ANTE * DIFFERENT,
        0.0,
        {"corr_R[0, 1]": 0.8, "corr_R[0, 2]": 0.24, "sigma[2]": 2.0},
    ),
    "Toep": (bl.Toep, TOEPLITZ, 0.0, {"rho[1]": 0.5, "rho[2]": 0.4, "rho[4]": 0.0, "sigma": 1.0}),
    "ToepH": (bl.ToepH, TOEPLITZ * DIFFERENT, 0.0, {"rho[1]": 0.5, "sigma[1]": 1.5}),
    "ARMA11": (bl.ARMA11, np.where(LAG == 0, 1.0, 0.5 * 0.8 ** (LAG - 1.0)), 0.0, {"rho": 0.8}),
    "Exp": (bl.Exp, np.exp(-APART / 2), 0.0, {"range": 2.0, "sigma": 1.0}),
    "Gau": (bl.Gau, np.exp(-((APART / 2) ** 2)), 0.0, {"range": 2.0, "sigma": 1.0}),
    "Matern": (bl.Matern, MATERN, 0.0, {"range": 2.0, "sigma": 1.0}),
    "FA": (
        partial(bl.FA, 1),
        ONE_FACTOR * DIFFERENT,
        0.0,
        {"loading[4, 1]": -0.5, "sigma[1]": 1.5},
    ),
    "UN with one variance": (
        partial(bl.UN, variance="one"),
        ANTE,
        0.0,
        {"corr_R[0, 1]": 0.8, "corr_R[0, 2]": 0.24, "sigma": 1.0},
    ),
    "CAR1 with a nugget": (
        partial(bl.CAR1, nugget=True),
        0.7 * 0.5**APART + 0.3 * np.eye(5),
        0.0,
        {"rho": 0.5, "nugget": 0.3, "sigma": 1.0},
    ),
}


@pytest.mark.parametrize("name", RESIDUALS)
def test_structures_of_R(name):
    cls, covariance, sd, truth = RESIDUALS[name]
    formula = "y ~ x + (1 | id)" if sd else "y ~ x"
    model = bl.Model(formula, simulated(covariance, sd, 0.0), R=cls(time="t", group="id"))
    check(model.fit("reml"), truth | ({"sd_id[Intercept]": sd} if sd else {}))


@pytest.mark.parametrize(
    ("variance", "truth"),
    [
        (bl.VarPower("level"), {"power": 0.7}),
        (bl.VarExp("level"), {"expon": 0.25}),
        (bl.VarIdent("kind"), {"sigma[a]": 1.0, "sigma[b]": 3.0}),
    ],
)
def test_variances_of_R(variance, truth):
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"level": rng.uniform(0.5, 5, 3000), "kind": rng.choice(["a", "b"], 3000)})
    sds = {
        "VarPower": data["level"] ** 0.7,
        "VarExp": np.exp(0.25 * data["level"]),
        "VarIdent": data["kind"].map({"a": 1.0, "b": 3.0}),
    }[type(variance).__name__]
    data["x"] = rng.normal(size=3000)
    data["y"] = 3 + 0.5 * data["x"] + sds * rng.normal(size=3000)
    check(bl.Model("y ~ x", data, R=bl.ID(variance=variance)).fit("ml"), truth)


EFFECTS = {
    "UN": (
        bl.UN(),
        ANTE * DIFFERENT,
        {"corr_id[C(t)[0], C(t)[1]]": 0.8, "sd_id[C(t)[7]]": 0.8},
    ),
    "CS": (bl.CS(), 4 * (0.4 + 0.6 * np.eye(5)), {"rho_id": 0.4, "sd_id[t]": 2.0}),
    "CSH": (bl.CSH(), (0.4 + 0.6 * np.eye(5)) * DIFFERENT, {"rho_id": 0.4, "sd_id[t[2]]": 2.0}),
    "AR1": (bl.AR1(), 4 * 0.6**LAG, {"rho_id": 0.6, "sd_id[t]": 2.0}),
    "ARH1": (bl.ARH1(), 0.7**LAG * DIFFERENT, {"rho_id": 0.7, "sd_id[t[4]]": 1.2}),
    "Toep": (bl.Toep(), TOEPLITZ, {"rho_id[1]": 0.5, "rho_id[4]": 0.0, "sd_id[t]": 1.0}),
    "ToepH": (bl.ToepH(), TOEPLITZ * DIFFERENT, {"rho_id[2]": 0.4, "sd_id[t[1]]": 1.5}),
    "Ante1": (
        bl.Ante1(),
        ANTE * DIFFERENT,
        {"rho_id[t[0], t[1]]": 0.8, "rho_id[t[4], t[7]]": -0.4},
    ),
    "ARMA11": (
        bl.ARMA11(),
        np.where(LAG == 0, 1.0, 0.5 * 0.8 ** (LAG - 1.0)),
        {"rho_id": 0.8, "sd_id[t]": 1.0},
    ),
    "CAR1": (bl.CAR1(), 0.5**APART, {"rho_id": 0.5, "sd_id[t]": 1.0}),
    "Exp": (bl.Exp(), np.exp(-APART / 2), {"range_id": 2.0, "sd_id[t]": 1.0}),
    "Gau": (bl.Gau(), np.exp(-((APART / 2) ** 2)), {"range_id": 2.0, "sd_id[t]": 1.0}),
    "Matern": (bl.Matern(), MATERN, {"range_id": 2.0, "sd_id[t]": 1.0}),
    "FA": (
        bl.FA(1),
        ONE_FACTOR * DIFFERENT,
        {"loading_id[t[0], 1]": 0.8, "loading_id[t[4], 1]": -0.5, "sd_id[t[1]]": 1.5},
    ),
    "UN with one variance": (bl.UN(variance="one"), ANTE, {"sd_id[t]": 1.0}),
    "AR1 and VarExp": (
        bl.AR1(variance=bl.VarExp("t")),
        0.6**LAG * np.outer(GROWING, GROWING),
        {"rho_id": 0.6, "expon_id": 0.1, "sd_id[t]": 1.0},
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_structures_of_G(name):
    structure, covariance, truth = EFFECTS[name]
    data = simulated(covariance, 0.0, 0.7)
    occasions = "C(t)" if name == "UN" else "t"  # the others are over occasions, never slopes
    model = bl.Model(f"y ~ x + (0 + {occasions} | id)", data, G={"id": structure})
    fit = model.fit("reml")
    check(fit, truth | {"sigma": 0.7})
