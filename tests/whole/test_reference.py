"""REML and ML against lme4, nlme and glmmTMB, with the tolerances of tests/reference/README.md."""

from functools import cache

import numpy as np
import pytest

from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.api.model import Model
from tests.oracles import cases


@cache
def fitted(id: str) -> LikelihoodFit:
    case = cases.case(id)
    return Model(case.formula, case.data, weights=case.weights).fit(case.method)


every_case = pytest.mark.parametrize("id", cases.LIKELIHOOD_IDS)


@every_case
def test_criterion(id):
    record, fit = cases.record(id), fitted(id)
    assert fit.loglik == pytest.approx(record["loglik"], rel=1e-6)
    assert fit.n_parameters == record["n_par"]
    assert fit.model.equations.n == record["n_obs"]
    assert fit.optimum.singular == record["singular"]
    assert fit.status.ok


@pytest.mark.parametrize("id", [id for id in cases.LIKELIHOOD_IDS if "aic" in cases.record(id)])
def test_information_criteria(id):
    record, fit = cases.record(id), fitted(id)
    assert fit.aic == pytest.approx(record["aic"], rel=1e-6)
    assert fit.bic == pytest.approx(record["bic"], rel=1e-6)


@every_case
def test_theta(id):
    record, fit = cases.record(id), fitted(id)
    ours = {_r_parameter(row): row for _, row in fit.varcorr().iterrows()}
    assert set(ours) == set(record["theta"])
    for name, value in record["theta"].items():
        # a parameter on the boundary has no standard error
        scale = np.nan_to_num(ours[name]["std_error"], nan=1e-3 * fit.sigma)
        assert ours[name]["estimate"] == pytest.approx(value, abs=1e-4 * scale), name


@every_case
def test_coefficients(id):
    cases.check_coefficients(cases.record(id), fitted(id).fixef())


@every_case
def test_random_effects(id):
    record, table = cases.record(id), fitted(id).ranef()
    ours = {(row.group, row.level, cases.r_name(row.effect)): row for row in table.itertuples()}
    compared = 0
    for group, levels in record["ranef"].items():
        for level, values in levels.items():
            for effect, mode in values["mode"].items():
                row = ours[group, level, effect]
                sd = values["sd"][effect]
                scale = max(sd, 1e-3 * fitted(id).sigma)
                assert row.estimate == pytest.approx(mode, abs=1e-4 * scale), (level, effect)
                assert row.std_error == pytest.approx(sd, rel=1e-4, abs=1e-4 * scale)
                compared += 1
    assert compared


def _r_parameter(row):
    """The name of a row of `varcorr` in the reference."""
    if row["group"] == "Residual":
        return "sigma"
    effects = [cases.r_name(name) for name in (row["effect_1"], row["effect_2"]) if name]
    return f"{row['kind']}_{row['group']}[{', '.join(effects)}]"
