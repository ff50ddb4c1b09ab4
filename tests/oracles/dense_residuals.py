"""Residual covariance matrices from their definitions, pair by pair, to check the library against.

Parameters are read by the names that `summary()` shows.
"""

from itertools import pairwise

import numpy as np

from tests.oracles.dense import covariances, full_Z


def residual_covariance(value, structure, data, weights):
    """R of all rows, from values by name.

    Parameters
    ----------
    value : dict
    structure : Covariance
    data : data frame
    weights : (n,) array
    """
    n = len(data)
    strata = [""] * n if structure.by is None else [str(level) for level in data[structure.by]]
    sds = np.array([_sd(value, structure, data, strata[i], i) for i in range(n)])
    R = np.diag(sds**2 / weights)
    if structure.group is None or type(structure).__name__ in ("ID", "Diag"):
        return R
    subjects = data[structure.group].tolist()
    places = data[list(structure.times)].to_numpy(float) if structure.times else np.zeros((n, 1))
    times = sorted({tuple(place) for place in places})
    position = [times.index(tuple(place)) for place in places]
    for i in range(n):
        for j in range(i):
            if subjects[i] == subjects[j]:
                labels = [f"{times[k][0]:g}" for k in sorted((position[i], position[j]))]
                between = [f"{time[0]:g}" for time in times]
                apart = float(np.linalg.norm(places[i] - places[j]))
                corr = _correlation(
                    value,
                    structure,
                    strata[i],
                    labels,
                    between[min(position[i], position[j]) : max(position[i], position[j]) + 1],
                    abs(position[i] - position[j]),
                    apart,
                )
                R[i, j] = R[j, i] = corr * sds[i] * sds[j] / np.sqrt(weights[i] * weights[j])
    return R


def marginal_covariance(theta, parameters, design, structure, data):
    """V = ZGZ' + R."""
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    value = dict(zip(parameters.names, theta, strict=True))
    V = residual_covariance(value, structure, data, weights)
    for factor, G in zip(design.factors, covariances(theta, parameters, design), strict=True):
        Z = full_Z(factor)
        V += Z @ np.kron(np.eye(len(factor.levels)), G) @ Z.T
    return V


def _named(value, name, *labels):
    text = ", ".join(label for label in labels if label)
    return value[f"{name}[{text}]" if text else name]


def _sd(value, structure, data, stratum, row):
    labels, factor, leading = [stratum], 1.0, "occasion" in structure.variances
    if leading:
        labels.append(f"{data[structure.time].iloc[row]:g}")
    for part in structure.variances:
        kind = type(part).__name__
        if kind == "VarIdent" and not leading:
            leading = True
            labels += [str(data[name].iloc[row]) for name in part.column.split(":")]
        elif kind == "VarIdent":
            columns = [data[name].astype(str) for name in part.column.split(":")]
            text = ":".join(column.iloc[row] for column in columns)
            label = ": ".join(filter(None, (stratum, f"{part.column}[{text}]")))
            factor *= np.exp(value.get(f"log_ratio[{label}]", 0.0))  # 0 at the first level
        elif kind == "VarPower":
            factor *= abs(data[part.column].iloc[row]) ** _named(value, "power", stratum)
        elif kind == "VarExp":
            factor *= np.exp(_named(value, "expon", stratum) * data[part.column].iloc[row])
    return _named(value, "sigma", *labels) * factor


def _correlation(value, structure, stratum, pair, between, lag, apart):
    def own(name, label=""):
        return _named(value, name, ": ".join(filter(None, (stratum, label))))

    name = type(structure).__name__
    share = 1.0 - own("nugget") if structure.nugget else 1.0
    if name == "Known":
        at = [structure.levels.index(label) for label in pair]
        return np.linalg.inv(structure.given)[*at] if structure.inverted else structure.given[*at]
    if name == "UN":
        return own("corr_R", ", ".join(pair))
    if name in ("CS", "CSH"):
        return own("rho")
    if name in ("AR1", "ARH1"):
        return own("rho") ** lag
    if name == "ARMA11":
        rho, ma = own("rho"), own("ma")
        first = (1 + rho * ma) * (rho + ma) / (1 + 2 * rho * ma + ma**2)
        return first * rho ** (lag - 1)
    if name in ("Toep", "ToepH"):
        return own("rho", str(lag))
    if name == "Ante1":
        pairs = pairwise(between)
        return np.prod([own("rho", ", ".join(neighbours)) for neighbours in pairs])
    if name == "FA":
        both = [[own("loading", f"{at}, {f + 1}") for at in pair] for f in range(structure.k)]
        return sum(a * b for a, b in both)
    if name == "CAR1":
        return share * own("rho") ** apart
    s = apart / own("range")
    if name == "Sph":
        return share * (1 - 1.5 * s + s**3 / 2) * (s < 1)
    if name == "RatQuad":
        return share / (1 + s**2)
    if name == "Matern":
        s *= np.sqrt(2 * structure.smoothness)
        more = s**2 / 3 if structure.smoothness == 2.5 else 0.0
        return share * (1 + s + more) * np.exp(-s)
    return share * np.exp(-(s**2) if name == "Gau" else -s)
