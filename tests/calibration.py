"""Simulation-based calibration: parameters drawn from the prior must rank uniformly among
posterior draws.

Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788. Parameters and data come
from PyMC's own draws of the textbook model, so that the collapsed density, the sampler and the
exact draws of beta and u are checked against code that shares nothing with them but the design.
Beside the parameters, the log-likelihood is ranked: it moves when the data are ignored, which
ranks of parameters alone do not show.

``uv run python tests/calibration.py`` writes docs/calibration.md.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import bayeslmm as bl

MODELS = {
    "one factor, q = 1": "y ~ x + (1 | g)",
    "one factor, q = 2": "y ~ x + (x | g)",
    "priors at the means": "y ~ x + (x | g)",
    "one factor, q = 3": "y ~ x + (x + x2 | g)",
    "diagonal": "y ~ x + (x + x2 || g)",
    "one variance": "y ~ x + id(0 + f | g)",
    "two nested": "y ~ x + (x | a / b)",
    "two crossed": "y ~ x + (x | g) + (1 | h)",
    "crossed and nested": "y ~ x + (1 | a / b) + (1 | h)",
    "weights": "y ~ x + (x | g)",
    "variances near zero": "y ~ x + (x | g)",
}
_AT = {"time": "t", "group": "id"}
RESIDUALS = {
    "R: ID by stratum": ("y ~ x + (1 | id)", bl.ID(by="s")),
    "R: CS": ("y ~ x + (0 + x2 | id)", bl.CS(**_AT)),
    "R: AR1": ("y ~ x", bl.AR1(**_AT)),
    "R: AR1 and a random intercept": ("y ~ x + (1 | id)", bl.AR1(**_AT)),
    "R: ARMA11": ("y ~ x", bl.ARMA11(**_AT)),
    "R: ToepH": ("y ~ x", bl.ToepH(**_AT)),
    "R: Ante1": ("y ~ x", bl.Ante1(**_AT)),
    "R: UN": ("y ~ x", bl.UN(**_AT)),
    "R: CAR1 with a nugget": ("y ~ x", bl.CAR1(nugget=True, **_AT)),
    "R: Exp and VarPower": ("y ~ x", bl.Exp(variance=bl.VarPower("w"), **_AT)),
    "R: Gau with a nugget": ("y ~ x", bl.Gau(nugget=True, **_AT)),
    "R: Matern with a nugget": ("y ~ x", bl.Matern(nugget=True, **_AT)),
}
MODELS |= {name: formula for name, (formula, _) in RESIDUALS.items()}
SMALL = "variances near zero"
AT_MEANS = "priors at the means"
CHAINS, DRAWS, BINS = 4, 100, 20


def frame() -> pd.DataFrame:
    """Unbalanced data of 90 rows; the response is replaced by simulated ones.

    An id has up to 5 occasions t, in no order.
    """
    rng = np.random.default_rng(11)
    n = 90
    b = np.r_[np.arange(16), rng.integers(16, size=n - 16)]
    places = np.random.default_rng(12).choice(24 * 5, n, replace=False)
    return pd.DataFrame(
        {
            "x": rng.normal(1, 1, n),
            "x2": rng.normal(size=n),
            "f": rng.choice(list("uv"), n),
            "g": rng.choice(12, n).astype(str),
            "h": rng.choice(7, n).astype(str),
            "b": (b // 4).astype(str),
            "a": (b % 4).astype(str),
            "w": rng.uniform(0.3, 3, n),
            "y": rng.normal(size=n),
            "id": places // 5,
            "t": places % 5,
            "s": np.where(places // 5 % 3 == 0, "u", "v"),
        }
    )


def model(name: str) -> bl.Model:
    """A model of `MODELS` with priors that do not depend on the data."""
    sd = 0.02 if name == SMALL else 1.0
    priors = {
        "beta[Intercept]": bl.Normal(3, 2),
        "beta": bl.Normal(0, 1),
        "sd": bl.HalfNormal(sd),
        "sigma": bl.Gamma(4, 4),
    }
    formula = MODELS[name]
    correlated = "||" not in formula and "0 +" not in formula
    if correlated and ("x |" in formula or "x2 |" in formula):
        priors["corr"] = bl.LKJ(1.5)
    if name == AT_MEANS:
        priors["sd_g[Intercept]"] = bl.HalfStudentTAtMeans(6, 1)
    weights = "w" if name == "weights" else None
    _, R = RESIDUALS.get(name, (formula, None))
    return bl.Model(formula, frame(), R=R, priors=priors, weights=weights)


def ranks(name: str, replicates: int, seed: int = 1) -> pd.DataFrame:
    """Rank of each true value among the draws, a row for each replicate."""
    import pymc as pm

    base = model(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prior = pm.sample_prior_predictive(replicates, model=base.full_pymc(), random_seed=seed)
    truth = prior["prior"]
    responses = simulated_responses(prior["prior_predictive"], base)
    thetas = true_theta(truth, base)
    rows = []
    for i in range(replicates):
        refit = base.with_response(responses[i])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bl.ConvergenceWarning)
            fit = refit.fit("nuts", draws=DRAWS, chains=CHAINS, random_seed=i, progress=False)
        draws = fit.draws
        row = {}
        for j, label in enumerate(base.parameters.names):
            row[label] = (draws.theta[..., j] < thetas[i, j]).sum()
        for j, label in enumerate(base.design.coef):
            row[f"beta[{label}]"] = (draws.beta[..., j] < truth["beta"].to_numpy()[0, i, j]).sum()
        if base.design.factors:
            true_u = np.concatenate(
                [truth[f"u_{f.name}"].to_numpy()[0, i].ravel() for f in base.design.factors]
            )
            row["u, first"] = (draws.u[..., 0] < true_u[0]).sum()
            row["u, last"] = (draws.u[..., -1] < true_u[-1]).sum()
        density = [refit.equations.loglik(t)[0] for t in draws.theta.reshape(-1, thetas.shape[1])]
        row["log-likelihood"] = (np.array(density) < refit.equations.loglik(thetas[i])[0]).sum()
        rows.append(row)
    return pd.DataFrame(rows)


def simulated_responses(predictive, base: bl.Model) -> np.ndarray:
    """Responses (replicates, n) in the order of the rows."""
    from bayeslmm.response import subjects_by_length

    name = base.design.response
    if name in predictive:
        return predictive[name].to_numpy()[0].reshape(predictive.sizes["draw"], -1)
    y = np.empty((predictive.sizes["draw"], len(base.design.y)))
    for rows in subjects_by_length(base.design.residuals):
        own = predictive[f"{name}[{rows.shape[1]} rows]"].to_numpy()[0]
        y[:, rows] = own.reshape(len(y), *rows.shape)
    return y


def true_theta(truth, base: bl.Model) -> np.ndarray:
    """Theta of each draw from the prior, in the order of the model's parameters."""
    from bayeslmm.pymc_parameters import theta_draws

    variables = {name: array.to_numpy() for name, array in truth.data_vars.items()}
    return theta_draws(variables, base.parameters)[0]


def uniformity(counts: pd.Series) -> float:
    """P value of a chi-squared test that ranks are uniform."""
    n_draws = CHAINS * DRAWS
    edges = np.linspace(0, n_draws + 1, BINS + 1)
    observed, _ = np.histogram(counts, edges)
    # a rank is one of n_draws + 1 values, which bins of a fixed number do not share out evenly
    expected, _ = np.histogram(np.arange(n_draws + 1), edges)
    return float(stats.chisquare(observed, expected * len(counts) / (n_draws + 1)).pvalue)


def report(replicates: int) -> str:
    """The page with the result for every model."""
    began = time.perf_counter()
    lines = [
        "# Calibration",
        "",
        "Simulation-based calibration (tests/calibration.py): parameters are drawn from the prior",
        "and data from the model, by PyMC; the model is fitted by NUTS; the rank of each true",
        f"value among {CHAINS * DRAWS} draws must be uniform. P values: chi-squared tests with",
        f"{BINS} bins, {replicates} replicates. Of many such values some are small by chance, so",
        "the table ends with a test that they are themselves uniform (Kolmogorov–Smirnov) and",
        "with the smallest after Bonferroni's correction.",
        "",
        "| model | quantity | mean rank / draws | p |",
        "|---|---|---|---|",
    ]
    values = []
    for name in MODELS:
        table = ranks(name, replicates)
        for label in table:
            p = uniformity(table[label])
            values.append(p)
            mean = table[label].mean() / (CHAINS * DRAWS)
            lines.append(f"| {name} | {label.replace('|', '∣')} | {mean:.3f} | {p:.3f} |")
        print(name, f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    uniform = stats.kstest(values, "uniform").pvalue
    smallest = min(1.0, min(values) * len(values))
    command = f"uv run python tests/calibration.py {replicates}"
    lines += [
        "",
        f"{len(values)} quantities; p values uniform: {uniform:.3f}; smallest, corrected: "
        f"{smallest:.3f}.",
        "",
        f"Made by `{command}` with bayeslmm {bl.__version__}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    page = Path(__file__).parents[1] / "docs" / "calibration.md"
    page.write_text(report(replicates), encoding="utf-8")
