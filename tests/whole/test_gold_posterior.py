"""Posteriors against those of brms and of importance sampling, within Monte Carlo error."""

from functools import cache

import numpy as np
import pytest

import bayeslmm as bl
from tests.oracles import cases

_CLASSES = {"sd": "sd", "sigma": "sigma", "L": "corr"}
_LARGEST = 4.5
"""Standard errors: among some 200 comparisons, one in a thousand test runs would differ more."""


def prior(text):
    """A prior as brms writes it; one of a standard deviation is truncated at zero."""
    name, arguments = text.rstrip(")").split("(")
    numbers = [float(number) for number in arguments.split(",")]
    return bl.LKJ(*numbers) if name == "lkj_corr_cholesky" else numbers


def priors(record):
    found = {}
    for row in record["priors"]:
        value = prior(row["prior"])
        if row["class"] == "b":
            found[f"beta[{row['coef']}]"] = bl.Normal(*value)
        elif row["class"] == "L":
            found["corr"] = value
        else:
            found[_CLASSES[row["class"]]] = bl.HalfNormal(value[1])
    return found


@cache
def draws(id):
    """Draws (chain, draw) by the names that the records use."""
    case = cases.case(id)
    model = bl.Model(case.formula, case.data, priors=priors(case.record))
    fit = model.fit("nuts", random_seed=1, draws=4000, progress=False)
    found = {}
    posterior = fit.posterior
    for name in posterior.data_vars:
        array = posterior[name]
        stacked = array.stack(element=array.dims[2:]) if array.ndim > 2 else array
        if array.ndim == 2:
            found[name] = stacked.to_numpy()
        else:
            for i, labels in enumerate(stacked["element"].to_numpy()):
                text = ", ".join([labels] if isinstance(labels, str) else map(str, labels))
                found[f"{name}[{text}]"] = stacked[..., i].to_numpy()
    return found


COMPARISONS = [
    (id, source, name)
    for id in cases.POSTERIOR_IDS
    for source in ("posterior", "importance_sampling")
    for name in cases.record(id)[source]
]


@pytest.mark.parametrize(("id", "source", "name"), COMPARISONS)
def test_posterior_is_the_reference(id, source, name):
    from arviz_stats.base import array_stats

    record = cases.record(id)[source][name]
    drawn = draws(id)[name]
    ess = array_stats.ess(drawn, method="bulk", chain_axis=0, draw_axis=1)
    # importance sampling has its error in the mean alone; that of its other figures is below ours
    theirs = record["mcse_mean"]
    own = drawn.std() / np.sqrt(ess)
    errors = {
        "mean": np.hypot(own, theirs),
        "sd": np.hypot(drawn.std() * _sd_error(drawn, ess), record.get("mcse_sd", theirs)),
    }
    found = {"mean": drawn.mean(), "sd": drawn.std()}
    for key, probability in (("q5", 0.05), ("q50", 0.5), ("q95", 0.95)):
        found[key] = np.quantile(drawn, probability)
        mcse = array_stats.mcse(
            drawn, method="quantile", prob=probability, chain_axis=0, draw_axis=1
        )
        errors[key] = np.hypot(mcse, record.get(f"mcse_{key}", theirs))
    for key, value in found.items():
        assert abs(value - record[key]) < _LARGEST * errors[key], (key, value, record[key])


def _sd_error(drawn, ess):
    """Standard error of a standard deviation, relative to it, from the fourth moment."""
    standard = (drawn - drawn.mean()) / drawn.std()
    return np.sqrt((np.mean(standard**4) - 1) / (4 * ess))
