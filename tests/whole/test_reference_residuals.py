"""Structured R under REML and ML against nlme, with the tolerances of tests/reference/README.md."""

from functools import cache

import pytest

import bayeslmm as bl
from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.api.model import Model
from tests.oracles import cases


@cache
def fitted(id: str) -> LikelihoodFit:
    case = cases.case(id)
    return Model(case.formula, case.data, R=case.R).fit(case.method)


every_case = pytest.mark.parametrize("id", cases.RESIDUAL_IDS)


@every_case
def test_criterion(id):
    record, fit = cases.record(id), fitted(id)
    assert fit.loglik == pytest.approx(record["loglik"], rel=1e-6)
    assert fit.n_parameters == record["n_par"]
    assert fit.model.equations.n == record["n_obs"]
    assert fit.aic == pytest.approx(2 * record["n_par"] - 2 * record["loglik"], rel=1e-6)
    assert fit.status.ok


@every_case
def test_theta(id):
    record, table = cases.record(id), fitted(id).summary()
    assert set(record["theta"]) == set(fitted(id).model.parameters.names)
    for name, value in record["theta"].items():
        row = table.loc[name]
        assert row["estimate"] == pytest.approx(value, abs=1e-4 * row["std_error"]), name


@every_case
def test_coefficients(id):
    cases.check_coefficients(cases.record(id), fitted(id).fixef())


@pytest.mark.parametrize("id", [id for id in cases.RESIDUAL_IDS if cases.record(id)["ranef"]])
def test_random_effects(id):
    record, table = cases.record(id), fitted(id).ranef()
    ours = {(row.group, row.level, row.effect): row for row in table.itertuples()}
    for group, levels in record["ranef"].items():
        for level, values in levels.items():
            for effect, mode in values["mode"].items():
                row, sd = ours[group, level, effect], values["sd"][effect]
                assert row.estimate == pytest.approx(mode, abs=1e-4 * sd), (level, effect)
                assert row.std_error == pytest.approx(sd, rel=1e-4), (level, effect)


ON_AGE = {"time": "age", "group": "Subject"}
SHORTHANDS = {
    "gls_ortho_un_ml": bl.UN(**ON_AGE),
    "gls_ortho_csh_ml": bl.CSH(**ON_AGE),
    "gls_ortho_arh1_reml": bl.ARH1(**ON_AGE),
    "gls_ortho_varsex_reml": bl.ID(by="Sex"),
    "lme_ortho_ri_varage_reml": bl.Diag(time="age"),
    "gls_ortho_ar1_ml": bl.AR1(time="age", group="Subject", variance=["one"]),
}


@pytest.mark.parametrize("id", SHORTHANDS)
def test_shorthands_are_the_pieces_that_they_stand_for(id):
    case = cases.case(id)
    fit = Model(case.formula, case.data, R=SHORTHANDS[id]).fit(case.method)
    assert fit.loglik == pytest.approx(cases.record(id)["loglik"], rel=1e-6)
    assert fit.n_parameters == cases.record(id)["n_par"]


def test_two_factors_multiply_variances_as_in_nlme():
    """nlme: gls(distance ~ age * Sex, Orthodont, correlation = corCompSymm(form = ~ 1 | Subject),
    weights = varComb(varIdent(form = ~ 1 | Sex), varIdent(form = ~ 1 | age))), 1 + 1 + 1 + 3
    covariance parameters.
    """
    data, formula = bl.load_dataset("Orthodont"), "distance ~ age * Sex"
    both = [bl.VarIdent("Sex"), bl.VarIdent("age")]
    product = Model(formula, data, R=bl.CS(group="Subject", variance=both)).fit("reml")
    assert product.loglik == pytest.approx(-210.035888, abs=2e-6)
    assert len(product.model.parameters) == 6
    assert Model(formula, data, R=bl.CSH(**ON_AGE, variance=["occasion", both[0]])).fit(
        "reml"
    ).loglik == pytest.approx(product.loglik, abs=1e-6)
    each = Model(formula, data, R=bl.CS(group="Subject", variance=bl.VarIdent("Sex:age")))
    assert len(each.parameters) == 9
    assert each.fit("reml").loglik > product.loglik
