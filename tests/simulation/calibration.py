"""Simulation-based calibration: parameters drawn from the prior must rank uniformly among
posterior draws.

Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788. Parameters and data come
from PyMC's own draws of the textbook model, so that the collapsed density, the sampler and the
exact draws of beta and u are checked against code that shares nothing with them but the design,
and the correlation matrices of structures. Beside the parameters, the log-likelihood is ranked: it
moves when the data are ignored, which ranks of parameters alone do not show.

`calibration_page` writes docs/calibration.md from what is here.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

import bayeslmm as bl
from bayeslmm.covariance.structures import Covariance

CHAINS, DRAWS, BINS = 4, 100, 20
_AT = {"time": "t", "group": "id"}


@dataclass(frozen=True)
class Case:
    """A model to calibrate: what `bayeslmm.Model` takes, without its data."""

    formula: str
    G: Mapping[str, Covariance] | None = None
    R: Covariance | None = None
    weights: str | None = None
    priors: Mapping[str, object | None] = field(default_factory=dict)
    """Beside or in place of those of `model`; None leaves one out."""


def _relationship() -> bl.Known:
    """Of the levels of g: half-sibs in families of four."""
    names = [str(i) for i in range(12)]
    family = np.arange(12) // 4
    return bl.Known(np.where(family[:, None] == family, 0.25, 0) + 0.75 * np.eye(12), levels=names)


def _given() -> bl.Known:
    """Correlations of residuals at the occasions t, a share of which is at no distance."""
    apart = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    K = np.where(apart == 0, 1, 0.8 * np.exp(-apart / 2))
    return bl.Known(K, levels=range(5), by="s", **_AT)


def _over_occasions(structure: Covariance) -> Case:
    """A structure of G over four occasions, several rows of which have each level."""
    return Case("y ~ x + (0 + o | g)", G={"g": structure})


UNSTRUCTURED = {
    "one factor, q = 1": Case("y ~ x + (1 | g)"),
    "one factor, q = 2": Case("y ~ x + (x | g)", priors={"corr": bl.LKJ(1.5)}),
    "priors at the means": Case(
        "y ~ x + (x | g)",
        priors={"corr": bl.LKJ(1.5), "sd_g[Intercept]": bl.HalfStudentTAtMeans(6, 1)},
    ),
    "one factor, q = 3": Case("y ~ x + (x + x2 | g)", priors={"corr": bl.LKJ(1.5)}),
    "diagonal": Case("y ~ x + (x + x2 || g)"),
    "one variance": Case("y ~ x + id(0 + f | g)"),
    "two nested": Case("y ~ x + (x | a / b)", priors={"corr": bl.LKJ(1.5)}),
    "two crossed": Case("y ~ x + (x | g) + (1 | h)", priors={"corr": bl.LKJ(1.5)}),
    "crossed and nested": Case("y ~ x + (1 | a / b) + (1 | h)"),
    "weights": Case("y ~ x + (x | g)", weights="w", priors={"corr": bl.LKJ(1.5)}),
    "variances near zero": Case(
        "y ~ x + (x | g)", priors={"corr": bl.LKJ(1.5), "sd": bl.HalfNormal(0.02)}
    ),
}
EFFECTS = {
    "G: UN with one variance": _over_occasions(bl.UN(variance="one")),
    "G: CS": _over_occasions(bl.CS()),
    "G: CSH": _over_occasions(bl.CSH()),
    "G: AR1": _over_occasions(bl.AR1()),
    "G: ARH1": _over_occasions(bl.ARH1()),
    "G: ARMA11": _over_occasions(bl.ARMA11()),
    "G: Toep": _over_occasions(bl.Toep()),
    "G: ToepH": _over_occasions(bl.ToepH()),
    "G: Ante1": _over_occasions(bl.Ante1()),
    "G: CAR1 with a nugget": _over_occasions(bl.CAR1(nugget=True)),
    "G: Exp": _over_occasions(bl.Exp()),
    "G: Gau": _over_occasions(bl.Gau()),
    "G: Sph": _over_occasions(bl.Sph()),
    "G: RatQuad": _over_occasions(bl.RatQuad()),
    "G: Matern": _over_occasions(bl.Matern()),
    "G: FA of rank 1": _over_occasions(bl.FA(1)),
    "G: UN by stratum": Case("y ~ x + (x2 | id)", G={"id": bl.UN(by="s")}),
    "G: AR1 and VarExp": _over_occasions(bl.AR1(variance=bl.VarExp("o"))),
    "G: CS and VarIdent": Case("y ~ x + (0 + t | id)", G={"id": bl.CS(variance=bl.VarIdent("s"))}),
    "G: UN and VarIdent": Case(
        "y ~ x + (x2 | id)", G={"id": bl.UN(variance=["occasion", bl.VarIdent("s")])}
    ),
    "G: Known": Case("y ~ x + (x2 | g)", G={"g": _relationship()}),
}
RESIDUALS = {
    "R: ID by stratum": Case("y ~ x + (1 | id)", R=bl.ID(by="s")),
    "R: Diag": Case("y ~ x + (1 | id)", R=bl.Diag(**_AT)),
    "R: VarIdent": Case("y ~ x + (1 | id)", R=bl.ID(variance=bl.VarIdent("s"))),
    "R: UN": Case("y ~ x", R=bl.UN(**_AT)),
    "R: CS": Case("y ~ x + (0 + x2 | id)", R=bl.CS(**_AT)),
    "R: CSH": Case("y ~ x", R=bl.CSH(**_AT)),
    "R: AR1": Case("y ~ x", R=bl.AR1(**_AT)),
    "R: AR1 by stratum": Case("y ~ x", R=bl.AR1(by="s", **_AT)),
    "R: AR1 and a random intercept": Case("y ~ x + (1 | id)", R=bl.AR1(**_AT)),
    "R: ARH1": Case("y ~ x", R=bl.ARH1(**_AT)),
    "R: ARMA11": Case("y ~ x", R=bl.ARMA11(**_AT)),
    "R: Toep": Case("y ~ x", R=bl.Toep(**_AT)),
    "R: ToepH": Case("y ~ x", R=bl.ToepH(**_AT)),
    "R: Ante1": Case("y ~ x", R=bl.Ante1(**_AT)),
    "R: CAR1 with a nugget": Case("y ~ x", R=bl.CAR1(nugget=True, **_AT)),
    "R: Exp and VarPower": Case("y ~ x", R=bl.Exp(variance=bl.VarPower("w"), **_AT)),
    "R: Sph": Case("y ~ x", R=bl.Sph(**_AT)),
    "R: RatQuad": Case("y ~ x", R=bl.RatQuad(**_AT)),
    "R: Gau with a nugget": Case("y ~ x", R=bl.Gau(nugget=True, **_AT)),
    "R: Matern with a nugget": Case("y ~ x", R=bl.Matern(nugget=True, **_AT)),
    "R: VarIdent and VarExp": Case(
        "y ~ x + (1 | id)", R=bl.ID(variance=[bl.VarIdent("s"), bl.VarExp("x")])
    ),
    "R: FA of rank 1": Case("y ~ x", R=bl.FA(1, **_AT)),
    "R: Known": Case("y ~ x + (1 | id)", R=_given()),
}
PRIORS = {
    "joint prior of the variances": Case(
        "y ~ x + (1 | g) + (x2 | h)",
        priors={
            "V": bl.VarianceSplit(total=bl.HalfNormal(3), icc=bl.Beta(2, 3)),
            "sd": None,
            "sigma": None,
        },
    ),
    "joint prior of R² and the variances": Case(
        "y ~ x * f + (1 | g) + (x2 | h)",
        priors={
            "V": bl.VarianceSplit(total=bl.HalfNormal(3), icc=bl.Beta(2, 3), r2=bl.Beta(2, 4)),
            "beta": None,
            "sd": None,
            "sigma": None,
        },
    ),
    "inverse Wishart on G": Case(
        "y ~ x + (x2 | g)", priors={"G_g": bl.InverseWishart(5, np.eye(2)), "sd": None}
    ),
    "Wishart on R": Case(
        "y ~ x", R=bl.UN(**_AT), priors={"R": bl.Wishart(8, np.eye(5) / 8), "sigma": None}
    ),
    "Huang and Wand on G": Case(
        "y ~ x + (x2 | g)", priors={"G_g": bl.HuangWand(2, [1, 1]), "sd": None}
    ),
    "coefficients with Student's t": Case("y ~ x + (1 | g)", priors={"beta": bl.StudentT(4, 0, 1)}),
    "Student's t at the means": Case(
        "y ~ x * f + (1 | g)",
        priors={"beta[Intercept]": bl.StudentTAtMeans(4, 3, 1), "beta": bl.Laplace(0, 1)},
    ),
    "precisions with gamma": Case(
        "y ~ x + (x2 | g)",
        priors={"sd": bl.GammaPrecision(3, 1), "sigma": bl.GammaPrecision(4, 3)},
    ),
    "penalised complexity": Case("y ~ x + (1 | g)", priors={"sd": bl.PC(2, 0.1)}),
}
CASES = UNSTRUCTURED | EFFECTS | RESIDUALS | PRIORS


@cache
def frame() -> pd.DataFrame:
    """Unbalanced data of 90 rows; the response is replaced by simulated ones.

    An id has up to 5 occasions t, in no order; a level of g has its 4 occasions o more than once.
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
            "o": np.random.default_rng(13).choice(4, n),
        }
    )


def model(name: str) -> bl.Model:
    """A model of `CASES`, with priors that do not depend on the data."""
    case = CASES[name]
    priors = {
        "beta[Intercept]": bl.Normal(3, 2),
        "beta": bl.Normal(0, 1),
        "sd": bl.HalfNormal(1),
        "sigma": bl.Gamma(4, 4),
    }
    if not case.G and "(" not in case.formula:
        del priors["sd"]
    priors |= case.priors
    return bl.Model(
        case.formula,
        frame(),
        G=case.G,
        R=case.R,
        priors={name: prior for name, prior in priors.items() if prior is not None},
        weights=case.weights,
    )


def ranks(name: str, replicates: int, seed: int = 1) -> pd.DataFrame:
    """Rank of each true value among the draws, a row for each replicate."""
    base = model(name)
    truth, responses = drawn_from_the_prior(base, replicates, seed)
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
            row[f"beta[{label}]"] = (draws.beta[..., j] < truth["beta"][i, j]).sum()
        if base.design.factors:
            true_u = np.concatenate([truth[f"u_{f.name}"][i].ravel() for f in base.design.factors])
            own = np.flatnonzero(np.isfinite(draws.u[0, 0]))  # not effects of other strata
            for where, at in (("first", own[0]), ("last", own[-1])):
                row[f"u, {where}"] = (draws.u[..., at] < true_u[at]).sum()
        density = [refit.equations.loglik(t)[0] for t in draws.theta.reshape(-1, thetas.shape[1])]
        row["log-likelihood"] = (np.array(density) < refit.equations.loglik(thetas[i])[0]).sum()
        rows.append(row)
    return pd.DataFrame(rows)


def drawn_from_the_prior(
    base: bl.Model, replicates: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Parameters by name (replicates, ...), and responses (replicates, n) in the order of rows.

    PyMC draws Toeplitz correlations from an interval each; those of no covariance matrix have
    density zero and a response that is not a number, and are drawn again.
    """
    import pymc as pm

    textbook = base.full_pymc()
    found, parts = 0, []
    while found < replicates:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            draws = pm.sample_prior_predictive(
                replicates, model=textbook, random_seed=seed + 1000 * len(parts)
            )
        y = simulated_responses(draws["prior_predictive"], base)
        valid = np.isfinite(y).all(axis=1)
        found += valid.sum()
        variables = draws["prior"].data_vars.items()
        parts.append(({name: v.to_numpy()[0][valid] for name, v in variables}, y[valid]))
    truth = {
        name: np.concatenate([own[name] for own, _ in parts])[:replicates] for name in parts[0][0]
    }
    return truth, np.concatenate([y for _, y in parts])[:replicates]


def simulated_responses(predictive, base: bl.Model) -> np.ndarray:
    """Responses (draws, n) of PyMC in the order of the rows."""
    from bayeslmm.pymc_models.response import subjects_by_length

    name = base.design.response
    if name in predictive:
        return predictive[name].to_numpy()[0].reshape(predictive.sizes["draw"], -1)
    y = np.empty((predictive.sizes["draw"], len(base.design.y)))
    for rows in subjects_by_length(base.design.residuals):
        own = predictive[f"{name}[{rows.shape[1]} rows]"].to_numpy()[0]
        y[:, rows] = own.reshape(len(y), *rows.shape)
    return y


def true_theta(truth: Mapping[str, np.ndarray], base: bl.Model) -> np.ndarray:
    """Theta of each draw from the prior, in the order of the model's parameters."""
    from bayeslmm.pymc_models.parameters import theta_draws

    variables = {name: array[None] for name, array in truth.items()}
    return theta_draws(variables, base.parameters)[0]


def uniformity(counts: pd.Series) -> float:
    """P value of a chi-squared test that ranks are uniform."""
    n_draws = CHAINS * DRAWS
    edges = np.linspace(0, n_draws + 1, BINS + 1)
    observed, _ = np.histogram(counts, edges)
    # a rank is one of n_draws + 1 values, which bins of a fixed number do not share out evenly
    expected, _ = np.histogram(np.arange(n_draws + 1), edges)
    return float(stats.chisquare(observed, expected * len(counts) / (n_draws + 1)).pvalue)
