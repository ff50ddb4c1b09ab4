"""Comparing covariance structures: against nlme's table for Orthodont."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm import errors

DATA = bl.load_dataset("Orthodont")
MODEL = bl.Model("distance ~ age * Sex", DATA)
VARIANCE = bl.VarianceSplit(total=bl.HalfNormal(5), icc=bl.Beta(2, 2))
WHERE = {"time": "age", "group": "Subject"}
STRUCTURES = {
    "CS": bl.CS(**WHERE),
    "CSH": bl.CSH(**WHERE),
    "AR1": bl.AR1(**WHERE),
    "ARH1": bl.ARH1(**WHERE),
    "UN": bl.UN(**WHERE),
    "UN with one variance": bl.UN(**WHERE, variance="one"),
    "CAR1": bl.CAR1(**WHERE),
    "Exp": bl.Exp(**WHERE),
    "ARMA11": bl.ARMA11(**WHERE),
}
# logLik, number of parameters and AIC of gls(distance ~ age * Sex, correlation =, weights =) by
# nlme 3.1.162 in R 4.2.2 (the records gls_ortho_* of tests/reference/residuals.json)
NLME = {
    "reml": {
        "CS": (-216.878624600568, 6, 445.757249201136),
        "CSH": (-215.9861880713, 9, 449.9723761426),
        "AR1": (-222.293724287844, 6, 456.587448575689),
        "ARH1": (-221.398080101185, 9, 460.796160202371),
        "UN": (-212.273400097239, 14, 452.546800194477),
        "UN with one variance": (-213.085316782206, 11, 448.170633564412),
        "CAR1": (-222.293724287844, 6, 456.587448575689),
        "Exp": (-222.293724287844, 6, 456.587448575689),
        "ARMA11": (-216.694836922441, 7, 447.389673844882),
    },
    "ml": {
        "CS": (-214.319529009755, 6, 440.63905801951),
        "CSH": (-213.358291823917, 9, 444.716583647833),
        "AR1": (-220.340503037726, 6, 452.681006075451),
        "ARH1": (-219.373490149484, 9, 456.746980298968),
        "UN": (-209.738524054995, 14, 447.477048109991),
        "UN with one variance": (-210.617417507882, 11, 443.234835015764),
    },
}


@pytest.mark.parametrize("method", NLME)
def test_the_table_is_nlmes(method):
    expected = pd.DataFrame(NLME[method], index=["loglik", "n_parameters", "aic"]).T
    candidates = [STRUCTURES[name] for name in expected.index]
    found = bl.select_structure(MODEL, candidates, method, data=DATA)
    table = found.table
    assert not found.failures
    assert set(table.index) == set(expected.index)
    table, order = table.loc[expected.index], table.index
    np.testing.assert_allclose(table["criterion"], -2 * expected["loglik"], rtol=1e-6)
    np.testing.assert_array_equal(table["n_parameters"], expected["n_parameters"])
    np.testing.assert_allclose(table["aic"], expected["aic"], rtol=1e-6)
    k, n = expected["n_parameters"], len(DATA)
    np.testing.assert_allclose(table["aicc"] - table["aic"], 2 * k * (k + 1) / (n - k - 1))
    np.testing.assert_allclose(table["bic"], -2 * expected["loglik"] + np.log(n) * k, rtol=1e-6)
    for name in ("aic", "aicc", "bic"):
        np.testing.assert_allclose(table[f"delta_{name}"], table[name] - table[name].min())
    assert list(expected.loc[list(order), "aic"].round(4)) == sorted(expected["aic"].round(4))
    assert found.best is found.fits[order[0]]
    assert order[0] == "CS"


def test_a_random_intercept_is_seen_to_be_compound_symmetry():
    model = bl.Model("distance ~ age * Sex + (1 | Subject)", DATA)
    mixed = bl.select_structure(model, [None, bl.AR1(**WHERE)], data=DATA)
    cs = bl.select_structure(MODEL, [bl.CS(**WHERE)], data=DATA)
    pd.testing.assert_frame_equal(
        mixed.correlations["independent"], cs.correlations["CS"], atol=1e-5, check_names=False
    )
    assert mixed.table.loc["independent", "criterion"] == pytest.approx(
        cs.table.loc["CS", "criterion"]
    )


def test_correlations_are_labelled_by_occasion_in_order():
    shuffled = DATA.sample(frac=1, random_state=3)
    found = bl.select_structure(
        bl.Model("distance ~ age * Sex", shuffled),
        [bl.AR1(**WHERE), bl.UN(**WHERE)],
        data=shuffled,
    )
    rho = found.fits["AR1"].theta["rho"]
    C = found.correlations["AR1"]
    assert list(C.index) == list(C.columns) == ["8", "10", "12", "14"]
    np.testing.assert_allclose(C, rho ** np.abs(np.subtract.outer(range(4), range(4))), rtol=1e-10)
    theta = found.fits["UN"].theta
    assert found.correlations["UN"].loc["12", "8"] == pytest.approx(theta["corr_R[8, 12]"])


def test_without_subjects_there_is_only_a_row_to_correlate():
    found = bl.select_structure(MODEL, [None])
    assert found.correlations["independent"].to_numpy().tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("formula", "G"),
    [
        ("distance ~ age * Sex + (age || Subject)", None),
        ("distance ~ age * Sex + (0 + C(age) | Subject)", {"Subject": bl.AR1()}),
    ],
)
def test_structures_of_random_effects_stay(formula, G):
    model = bl.Model(formula, DATA, G=G)
    found = bl.select_structure(model, [None], method="ml")
    assert found.best.aic == pytest.approx(model.fit("ml").aic)


def test_what_cannot_be_fitted_is_listed_with_the_reason():
    twice = bl.UN(time="Sex", group="Subject")
    model = bl.Model("distance ~ age * Sex + (1 | Subject)", DATA)
    structures = [bl.AR1(**WHERE), bl.UN(**WHERE), twice]
    found = bl.select_structure(model, structures, data=DATA)
    assert list(found.fits) == ["AR1"]
    assert list(found.failures) == ["UN over age within Subject", "UN over Sex within Subject"]
    assert "needs one row for each" in found.failures["UN over Sex within Subject"]
    text = repr(found)
    assert "Not fitted" in text
    assert found.failures["UN over age within Subject"] in text
    nothing = bl.select_structure(model, [twice], data=DATA)
    assert nothing.table.empty
    assert nothing.correlations == {}
    assert "needs one row for each" in repr(nothing)
    with pytest.raises(errors.ArgumentError, match=r"none of the structures could be fitted: UN"):
        nothing.best  # noqa: B018


def test_it_prints_the_table():
    found = bl.select_structure(MODEL, [bl.CS(**WHERE), bl.AR1(**WHERE)], data=DATA)
    text = repr(found)
    assert "Covariance structures fit by REML" in text
    row = next(line for line in text.splitlines() if line.startswith(" CS "))
    assert row.split() == ["CS", "433.8", "6", "445.8", "446.6", "461.9", "0.0", "0.0"]
    assert "Smallest AIC: CS" in text
    html = found._repr_html_()
    assert "<table>" in html
    assert "Smallest BIC" in html


def test_the_response_of_the_model_is_what_is_fitted():
    other = MODEL.with_response(MODEL.design.y * 10)
    found = bl.select_structure(other, [bl.CS(**WHERE)], data=DATA)
    assert found.best.sigma == pytest.approx(
        10 * bl.select_structure(MODEL, [bl.CS(**WHERE)], data=DATA).best.sigma, rel=1e-5
    )


def test_posteriors_are_compared_by_leaving_rows_out():
    priors = {"beta[age]": bl.Normal(0.5, 1), "sigma": bl.HalfNormal(3)}
    model = bl.Model("distance ~ age * Sex", DATA, priors=priors)
    candidates = [None, bl.CS(**WHERE), bl.Diag(**WHERE)]
    found = bl.select_structure(model, candidates, "nuts", DATA, random_seed=1, progress=False)
    assert not found.failures
    table = found.table
    assert list(table.index) == ["CS", "independent", "Diag"] == list(found.fits)
    assert found.best is found.fits["CS"]
    for name, fit in found.fits.items():
        own = fit.loo()
        assert table.loc[name, "elpd"] == own.elpd
        assert fit.model.priors["beta[age]"] == bl.Normal(0.5, 1)
        below = np.asarray(found.loos["CS"].elpd_i) - np.asarray(own.elpd_i)
        assert table.loc[name, "delta_elpd"] == pytest.approx(below.sum())
        assert table.loc[name, "delta_se"] == pytest.approx(np.sqrt(108) * below.std())
    assert found.fits["CS"].model.priors["sigma"] == bl.HalfNormal(3)
    assert "by leave-one-out" in repr(found)
    # of whole subjects, as AIC estimates it; without one that moves theta far, as M09 does under CS
    diagonal = found.fits["Diag"]
    aic = diagonal.model.fit("ml").aic
    assert diagonal.loo("Subject").elpd == pytest.approx(-aic / 2, abs=4)


def test_joint_priors_do_not_carry_over():
    model = bl.Model("distance ~ age + (1 | Subject)", DATA, priors={"V": VARIANCE})
    with pytest.raises(errors.ArgumentError, match="joint prior, 'V'"):
        bl.select_structure(model, [bl.AR1(**WHERE)], "nuts", data=DATA)


ARGUMENTS = [
    ({"unit": "row"}, errors.ArgumentError, "REML has no use for unit"),
    ({"random_seed": 1}, errors.ArgumentError, "REML has no use for random_seed"),
    ({"method": "nuts", "unit": "age"}, errors.ArgumentError, "`unit`"),
    ({"method": "map"}, errors.ArgumentError, "penalised likelihood has no AIC"),
    ({"method": "remil"}, errors.ArgumentError, "reml"),
    ({"method": 1}, errors.ArgumentError, "method"),
    ({"structures": []}, errors.ArgumentError, "at least one"),
    ({"structures": bl.CS(**WHERE)}, errors.ArgumentTypeError, "should be a list"),
    ({"structures": ["ar1"]}, errors.ArgumentTypeError, "such as bl.AR1"),
    ({"structures": [bl.CS]}, errors.ArgumentTypeError, r"call it, CS\(...\)"),
    ({"structures": [bl.CS(**WHERE)] * 2}, errors.ArgumentError, "is there twice"),
    ({"data": DATA.drop(columns="Subject")}, errors.DataError, "no column 'Subject'"),
    (
        {"model": MODEL.with_priors({"sigma": bl.Fixed(1.0)})},
        errors.ArgumentError,
        "holds parameters by Fixed",
    ),
    ({"model": "distance ~ age"}, errors.ArgumentTypeError, "should be a bl.Model"),
]


@pytest.mark.parametrize(("change", "error", "match"), ARGUMENTS)
def test_bad_arguments(change, error, match):
    given = {"model": MODEL, "structures": [bl.CS(**WHERE)], "data": DATA} | change
    with pytest.raises(error, match=match):
        bl.select_structure(**given)


def test_candidates_on_different_rows_are_refused():
    data = DATA.assign(week=DATA["age"].where(DATA.index > 3))
    with pytest.raises(errors.ArgumentError, match="use different rows"):
        bl.select_structure(
            MODEL, [bl.AR1(**WHERE), bl.AR1(time="week", group="Subject")], data=data
        )


def test_the_model_keeps_the_data_that_it_was_made_from():
    data = bl.load_dataset("Orthodont")
    R = [bl.CS(group="Subject"), bl.AR1(time="age", group="Subject")]
    given = bl.select_structure(bl.Model("distance ~ Sex", data), R, data=data)
    for own in (data.copy(), {name: data[name].to_numpy() for name in data}):
        model = bl.Model("distance ~ Sex", own)
        own["age"] = own["age"][::-1]  # what is written to it later does not count
        pd.testing.assert_frame_equal(bl.select_structure(model, R).table, given.table)
    fewer = bl.Model("distance ~ Sex", data[["distance", "Sex"]])
    with pytest.raises(errors.DataError, match=r"'Subject'.*give `data`"):
        bl.select_structure(fewer, R)


def test_the_plot_has_the_differences_of_the_table():
    data = bl.load_dataset("Orthodont")
    where = {"time": "age", "group": "Subject"}
    R = [bl.CS(**where), bl.AR1(**where), bl.UN(**where), bl.Toep(**where)]
    chosen = bl.select_structure(bl.Model("distance ~ age * Sex", data), R)
    (axis,) = chosen.plot().axes
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == list(chosen.table.index)[::-1]
    drawn = [dots.get_offsets()[:, 0] for dots in axis.collections]
    for name in ("delta_aic", "delta_bic"):
        assert any(np.allclose(own, chosen.table[name]) for own in drawn if len(own) == len(R))
