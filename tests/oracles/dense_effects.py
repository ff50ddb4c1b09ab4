"""Covariance matrices of structured random effects from their definitions, pair by pair, to check
the library against. Parameters are read by the names that `summary()` shows.
"""

import numpy as np

from tests.oracles.dense import full_Z


def covariance(value, name, labels, prefix="", label=None, q_times=None):
    """G of the effects of one bar.

    Parameters
    ----------
    value : dict
        Parameters by name.
    name : str
        Of the structure: "AR1", "CAR1 nugget".
    labels : list of str
        The effects.
    prefix : str
        The factor.
    label : str
        What stands for the effects where they share a standard deviation.
    q_times : array, optional
        Occasions as numbers.
    """
    q = len(labels)
    several = name in ("CSH", "ARH1", "ToepH", "Ante1")
    sd = np.array([value[f"sd_{prefix}[{e if several else label}]"] for e in labels])
    corr = np.eye(q)
    for i in range(q):
        for j in range(i):
            corr[i, j] = corr[j, i] = _correlation(value, name, labels, prefix, i, j, q_times)
    return sd[:, None] * corr * sd


def _correlation(value, name, labels, prefix, i, j, times):
    lag, structure = i - j, name.split()[0]
    rho, reach = value.get(f"rho_{prefix}"), value.get(f"range_{prefix}")
    apart = abs(times[i] - times[j]) if times is not None else None
    share = 1 - value.get(f"nugget_{prefix}", 0.0)
    if structure in ("CS", "CSH"):
        return rho
    if structure in ("AR1", "ARH1"):
        return rho**lag
    if structure == "ARMA11":
        ma = value[f"ma_{prefix}"]
        first = (1 + rho * ma) * (rho + ma) / (1 + 2 * rho * ma + ma**2)
        return first * rho ** (lag - 1)
    if structure in ("Toep", "ToepH"):
        return value[f"rho_{prefix}[{lag}]"]
    if structure == "Ante1":
        pairs = [f"rho_{prefix}[{labels[k]}, {labels[k + 1]}]" for k in range(j, i)]
        return float(np.prod([value[pair] for pair in pairs]))
    if structure == "UN":
        return value[f"corr_{prefix}[{labels[j]}, {labels[i]}]"]
    if structure == "CAR1":
        return share * rho**apart
    if structure == "Exp":
        return share * np.exp(-apart / reach)
    if structure == "Gau":
        return share * np.exp(-((apart / reach) ** 2))
    if structure == "Sph":
        s = min(apart / reach, 1.0)
        return share * (1 - 1.5 * s + s**3 / 2)
    if structure == "RatQuad":
        return share / (1 + (apart / reach) ** 2)
    s = np.sqrt(3) * apart / reach
    return share * (1 + s) * np.exp(-s)


def marginal_covariance(G, factors, sigma, n):
    """V = Σ ZGZ' + σ²I."""
    V = sigma**2 * np.eye(n)
    for factor, own in zip(factors, G, strict=True):
        Z = full_Z(factor)
        V += Z @ np.kron(np.eye(len(factor.levels)), own) @ Z.T
    return V
