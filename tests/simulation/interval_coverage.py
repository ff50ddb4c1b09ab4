"""Coverage of confidence intervals, by simulation: how often each kind holds what the data were
made with. A test of a coefficient rejects as often as the interval with its degrees of freedom
misses.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

import bayeslmm as bl

WALD = {
    "Satterthwaite": "satterthwaite",
    "Kenward-Roger": "kenward-roger",
    "between-within": "between-within",
    "normal": "none",
}
FORMULA = "Reaction ~ Days + (Days | Subject)"
LEVEL = 0.95
WAYS = ("wald", "profile", "bootstrap")
REFITS = 200
"""Of the bootstrap."""


def complete() -> bl.Model:
    """The design of sleepstudy: 18 subjects on 10 days."""
    return bl.Model(FORMULA, bl.load_dataset("sleepstudy"))


def unbalanced() -> bl.Model:
    """Eight of its subjects, with a random half of the rows."""
    data = bl.load_dataset("sleepstudy")
    data = data[data["Subject"].isin(sorted(data["Subject"].unique())[:8])]
    return bl.Model(FORMULA, data.sample(frac=0.5, random_state=2))


DESIGNS = {"complete": complete, "unbalanced": unbalanced}
TRUTH = {
    "beta[Intercept]": 251.4,
    "beta[Days]": 10.5,
    "sd_Subject[Intercept]": 24.7,
    "sd_Subject[Days]": 5.9,
    "corr_Subject[Intercept, Days]": 0.07,
    "sigma": 25.6,
}
"""About what REML finds in sleepstudy."""


def responses(model: bl.Model, n: int, seed: int) -> np.ndarray:
    """Responses (n, rows) of the model at the truth."""
    rng = np.random.default_rng(seed)
    design, (_, _, sd, slope, corr, sigma) = model.design, TRUTH.values()
    factor = design.factors[0]
    cov = corr * sd * slope
    G = np.array([[sd**2, cov], [cov, slope**2]])
    u = rng.multivariate_normal(np.zeros(2), G, (n, len(factor.levels)))
    mean = design.X @ np.array([TRUTH["beta[Intercept]"], TRUTH["beta[Days]"]])
    random = np.einsum("ia,nia->ni", factor.Z, u[:, factor.codes])
    return mean + random + sigma * rng.standard_normal((n, len(mean)))


def intervals(
    model: bl.Model, y: np.ndarray, way: str, seed: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The intervals of each kind that a way makes, by the names of parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.BayeslmmWarning)
        fit = model.with_response(y).fit("reml")
        if way == "wald":
            for name, df in WALD.items():
                yield name, fit.summary(LEVEL, df=df)[["lower", "upper"]]  # type: ignore[arg-type]
        elif way == "profile":
            yield way, fit.confint(way, LEVEL)[["lower", "upper"]]
        else:
            found = fit.confint("bootstrap", LEVEL, n=REFITS, random_seed=seed)
            yield way, found[["lower", "upper"]]


def held(design: str, way: str, n: int, seed: int = 1) -> pd.DataFrame:
    """Whether each interval held the truth, of n data sets: a row for each of them, kind and
    parameter. A parameter on the boundary has no interval from the curvature.
    """
    model = DESIGNS[design]()
    truth = pd.Series(TRUTH)
    rows = []
    for i, y in enumerate(responses(model, n, seed)):
        for kind, table in intervals(model, y, way, i):
            inside = (table["lower"] <= truth) & (truth <= table["upper"])
            known = table.notna().all(axis=1)
            rows += [(i, kind, name, inside[name], known[name]) for name in TRUTH]
    return pd.DataFrame(rows, columns=["data", "kind", "parameter", "held", "known"])
