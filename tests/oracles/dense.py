"""Mixed-model algebra with dense matrices, written apart from the library to check it against."""

import numpy as np
from scipy import stats

FORMULAS = {
    "intercept": "Reaction ~ Days + (1 | Subject)",
    "slope": "Reaction ~ Days + (Days | Subject)",
    "uncorrelated": "Reaction ~ Days + (Days || Subject)",
    "two bars": "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
    "three effects": "Reaction ~ Days + (Days + I(Days**2) | Subject)",
    "crossed": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "nested": "strength ~ 1 + (1 | batch / cask)",
    "one variance": "score ~ Machine + id(0 + Machine | Worker)",
    "no intercept": "score ~ 0 + Machine + (1 | Worker)",
}
DATASET = {
    "crossed": "Penicillin",
    "nested": "Pastes",
    "one variance": "Machines",
    "no intercept": "Machines",
}


def covariances(theta, parameters, design):
    """G of each factor, from theta read by the names in its layout."""
    value = dict(zip(parameters.names, theta, strict=True))
    out = []
    for factor in design.factors:
        q = len(factor.effects)
        shared = {
            effect: bar.label
            for bar in factor.bars
            if bar.structure == "id"
            for effect in factor.effects[bar.start : bar.stop]
        }
        labels = [shared.get(effect, effect) for effect in factor.effects]
        sd = np.array([value[f"sd_{factor.name}[{label}]"] for label in labels])
        corr = np.eye(q)
        for i in range(q):
            for j in range(i):
                name = f"corr_{factor.name}[{factor.effects[j]}, {factor.effects[i]}]"
                corr[i, j] = corr[j, i] = value.get(name, 0.0)
        out.append(sd[:, None] * corr * sd)
    return out


def full_Z(factor):
    """Z with a column for each element of u: by level, within it by effect."""
    n, q = factor.Z.shape
    Z = np.zeros((n, len(factor.levels), q))
    Z[np.arange(n), factor.codes] = factor.Z
    return Z.reshape(n, -1)


def marginal_covariance(theta, parameters, design):
    """V = ZGZ' + R."""
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    V = np.diag(theta[-1] ** 2 / weights)
    for factor, G in zip(design.factors, covariances(theta, parameters, design), strict=True):
        Z = full_Z(factor)
        V += Z @ np.kron(np.eye(len(factor.levels)), G) @ Z.T
    return V


def fitted_covariances(fit):
    """V = Σ Z(K ⊗ G)Z' + R and R of all rows, at the estimates of a fit."""
    R = fit.solution.R(np.arange(len(fit.model.design.y)))
    V = R.copy()
    for factor in fit.model.design.factors:
        K = np.eye(len(factor.levels)) if factor.related is None else factor.related.matrix
        Z = full_Z(factor)
        V += Z @ np.kron(K, fit.G(factor.name)) @ Z.T
    return V, R


def log_likelihood(theta, parameters, design, beta_mean, beta_precision):
    """Log density of y with beta and u integrated out, beta under a proper Gaussian prior."""
    y = design.y if design.offset is None else design.y - design.offset
    V = marginal_covariance(theta, parameters, design)
    V += design.X @ np.linalg.inv(beta_precision) @ design.X.T
    return stats.multivariate_normal.logpdf(y, design.X @ beta_mean, V)


def criteria(V, X, y):
    """Log-likelihoods "ml" and "reml" of y with the covariance matrix V, beta at its maximum or
    integrated out.
    """
    n, p = X.shape
    solved = np.linalg.solve(V, np.column_stack([X, y]))
    information = X.T @ solved[:, :p]
    beta = np.linalg.solve(information, X.T @ solved[:, p])
    residual = y - X @ beta
    logdet = np.linalg.slogdet(V)[1]
    ml = -0.5 * (logdet + residual @ np.linalg.solve(V, residual) + n * np.log(2 * np.pi))
    reml = ml - 0.5 * (np.linalg.slogdet(information)[1] - p * np.log(2 * np.pi))
    return {"ml": ml, "reml": reml}


def profiled(theta, parameters, design):
    """Log-likelihoods "ml" and "reml", beta at its maximum or integrated out; -inf where theta are
    not the parameters of covariance matrices.
    """
    y = design.y if design.offset is None else design.y - design.offset
    V = marginal_covariance(theta, parameters, design)
    if np.linalg.slogdet(V)[0] <= 0:
        return {"ml": -np.inf, "reml": -np.inf}
    return criteria(V, design.X, y)


def random_theta(parameters, design, seed):
    """Some theta within the support, of the size of the data."""
    rng = np.random.default_rng(seed)
    scale = np.std(design.y)
    theta = np.empty(len(parameters))
    for block in parameters.blocks:
        if block.kind == "corr":
            factor = rng.standard_normal((block.size, block.size + 2))
            rows, columns = np.tril_indices(block.size, -1)
            theta[block.start : block.stop] = np.corrcoef(factor)[rows, columns]
        else:
            theta[block.start : block.stop] = scale * rng.uniform(
                0.1, 0.8, block.stop - block.start
            )
    return theta
