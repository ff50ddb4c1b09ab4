"""Means, contrasts and slopes against emmeans in R, and against draws."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import studentized_range

import bayeslmm as bl
from bayeslmm.effects.adjust import Family, p_values, range_tail

PATH = Path(__file__).parents[1] / "reference" / "effects.json"
RECORDS = {r["id"]: r for r in json.loads(PATH.read_text(encoding="utf-8"))["records"]}
COLUMNS = {
    "estimate": ("emmean", "estimate", "Days.trend", "age.trend"),
    "std_error": ("SE",),
    "df": ("df",),
    "t": ("t.ratio",),
    "p": ("p.value",),
}


@cache
def fit(record):
    data = bl.load_dataset(RECORDS[record]["dataset"])
    if "nitro" in data:
        data["nitroF"] = data["nitro"].map("{:g}".format)
    return bl.Model(RECORDS[record]["formula"], data).fit("reml")


def oats(specs):
    return lambda f, df: f.emmeans(specs, df=df)


AGES = {"age": [8, 11, 14]}
CASES = {
    ("sleepstudy_slopes", "means_at"): lambda f, df: f.emmeans(
        "Days", at={"Days": [0, 5, 9]}, df=df
    ),
    ("sleepstudy_slopes", "consecutive"): lambda f, df: f.emmeans(
        "Days", at={"Days": [0, 5, 9]}, df=df
    ).contrast("consecutive", adjust="none"),
    ("sleepstudy_slopes", "slope"): lambda f, df: f.slopes("Days", df=df),
    ("orthodont_growth", "slopes"): lambda f, df: f.slopes("age", by="Sex", df=df),
    ("orthodont_growth", "slopes_pair"): lambda f, df: f.slopes("age", by="Sex", df=df).pairs(),
    ("orthodont_growth", "means"): lambda f, df: f.emmeans("~ Sex | age", at=AGES, df=df),
    ("orthodont_growth", "means_pairs"): lambda f, df: f.emmeans(
        "Sex", by="age", at=AGES, df=df
    ).pairs(),
    ("oats_factor", "variety_tukey"): lambda f, df: f.emmeans("Variety", df=df).pairs(),
    ("oats_factor", "nitro_poly"): lambda f, df: f.emmeans("nitroF", df=df).contrast("poly"),
    ("oats_factor", "nitro_dunnett"): lambda f, df: f.emmeans("nitroF", df=df).contrast(
        "reference"
    ),
    ("oats_factor", "interaction"): lambda f, df: f.emmeans(["Variety", "nitroF"], df=df).contrast(
        interaction=["pairwise", "poly"]
    ),
    ("machines_slope", "means"): lambda f, df: f.emmeans("Machine", df=df),
    ("machines_slope", "tukey"): lambda f, df: f.emmeans("Machine", df=df).pairs(),
    ("machines_slope", "holm"): lambda f, df: f.emmeans("Machine", df=df).pairs("holm"),
    ("machines_slope", "sidak"): lambda f, df: f.emmeans("Machine", df=df).pairs("sidak"),
    ("penicillin", "mean"): lambda f, df: f.emmeans("1", df=df),
    ("dyestuff", "mean"): lambda f, df: f.emmeans("1", df=df),
}


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_results_are_those_of_emmeans(case, df):
    record, name = case
    table = CASES[case](fit(record), df).frame()
    expected = pd.DataFrame(RECORDS[record]["effects"][name][df])
    assert len(table) == len(expected)
    for ours, theirs in COLUMNS.items():
        for column in expected.columns.intersection(theirs):
            # p values of 1e-12 are differences of numbers near one there
            np.testing.assert_allclose(
                table[ours], expected[column], rtol=1e-4, atol=3e-7 * (ours == "p"), err_msg=ours
            )
    if "lower.CL" in expected:
        np.testing.assert_allclose(table["lower"], expected["lower.CL"], rtol=1e-4)
    for label in expected.columns.intersection(["contrast", "Sex", "Machine"]):
        assert table[label].to_list() == expected[label].to_list()


@pytest.mark.parametrize(("by", "name"), [(None, "joint"), ("nitroF", "joint_by")])
def test_joint_tests_are_those_of_emmeans(by, name):
    specs = ["Variety", "nitroF"] if by is None else "Variety"
    table = fit("oats_factor").emmeans(specs, by=by).joint()
    expected = pd.DataFrame(RECORDS["oats_factor"]["effects"][name]["satterthwaite"])
    np.testing.assert_allclose(table["F"], expected["F.ratio"], atol=6e-4)
    np.testing.assert_allclose(table["p"], expected["p.value"], rtol=1e-4)


def test_a_number_at_two_values_has_the_joint_tests_of_emmeans():
    table = fit("orthodont_growth").emmeans(["Sex", "age"], at={"age": [10, 12]}).joint()
    record = RECORDS["orthodont_growth"]["effects"]["joint"]["satterthwaite"]
    expected = pd.DataFrame(record).set_index("model term")["F.ratio"]
    found = dict(zip(table.iloc[:, 0], table["F"], strict=True))
    assert {*found} == {"Sex", "age", "Sex:age"}
    for term, value in found.items():
        name = term if term in expected.index else "age:Sex"
        assert value == pytest.approx(expected[name], abs=6e-4)


@pytest.mark.parametrize(("q", "k", "df"), [(3.5, 3, 20.0), (1.0, 2, 4.4), (4.0, 60, 44.3)])
def test_the_studentised_range_is_that_of_scipy(q, k, df):
    found = range_tail(np.array([q]), k, np.array([df]))[0]
    assert found == pytest.approx(studentized_range.sf(q, k, df), rel=1e-7)


def test_mvt_of_three_pairs_of_equal_precision_is_tukey():
    C = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1]]) / np.sqrt(2)
    family, t = Family(np.full(3, 10.0), C @ C.T, 3, 0), np.array([1.0, 2.0, 4.0])
    found, error = p_values("mvt", t, family)
    exact = range_tail(np.sqrt(2) * t, 3, np.full(3, 10.0))
    assert 0 < error < 1e-3
    np.testing.assert_allclose(found, exact, atol=4 * error)


def test_posterior_contrasts_are_those_of_the_draws():
    model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
    post = model.fit("nuts", random_seed=1, progress=False)
    pairs = post.emmeans("Machine").pairs()
    beta = post.posterior["beta"]
    by_hand = (beta.sel(coef="Machine[B]") - beta.sel(coef="Machine[C]")).to_numpy()
    np.testing.assert_allclose(pairs.draws.to_numpy()[..., 2], by_hand, atol=1e-9)
    row = pairs.frame().iloc[2]
    assert list(row.index[:5]) == ["contrast", "estimate", "std_error", "lower", "upper"]
    assert row["estimate"] == pytest.approx(by_hand.mean())
    assert row["p_gt_0"] == np.mean(by_hand > 0)


def test_bad_input_says_what_is_known():
    machines = fit("machines_slope")
    with pytest.raises(bl.ArgumentError, match="Machine"):
        machines.emmeans("Machin")
    with pytest.raises(bl.ArgumentError, match="'D'"):
        machines.emmeans("Machine", at={"Machine": ["D"]})
    with pytest.raises(bl.ArgumentError, match="sum to 1"):
        machines.emmeans("Machine").contrast({"B": [0, 1, 0]})
    days = fit("sleepstudy_slopes").emmeans("Days", at={"Days": [0, 30]})
    assert "outside of the data" in repr(days)


def test_a_log_response_gives_ratios_with_one_sided_intervals_and_corrected_means():
    data = bl.load_dataset("Machines")
    log = bl.Model("log(score) ~ Machine + (1 | Worker)", data).fit("reml")
    link, back = log.emmeans("Machine"), log.emmeans("Machine", type="response")
    eta = link.frame()["estimate"]
    np.testing.assert_allclose(back.frame()["estimate"], np.exp(eta))
    ratios = back.pairs("none").test(side="noninferiority", delta=0.1)
    row = link.pairs("none").frame().iloc[0]
    assert ratios["contrast"][0] == "A / B"
    assert ratios["t"][0] == pytest.approx((row["estimate"] + 0.1) / row["std_error"])
    assert np.isfinite(ratios["lower"]).all()
    assert np.isinf(ratios["upper"]).all()
    corrected = log.emmeans("Machine", type="response", bias_adjust=True, sigma=0.3)
    np.testing.assert_allclose(corrected.frame()["estimate"], np.exp(eta) * (1 + 0.3**2 / 2))


def test_a_mean_that_the_data_do_not_determine_is_empty():
    rng = np.random.default_rng(1)
    cells = pd.DataFrame({"a": np.tile(list("pqr"), 40), "b": np.repeat(list("uv"), 60)})
    cells = cells.assign(y=rng.standard_normal(120), g=rng.integers(0, 8, 120).astype(str))
    cells = cells[~((cells["a"] == "r") & (cells["b"] == "v"))]
    with pytest.warns(bl.DesignWarning):
        model = bl.Model("y ~ a * b + (1 | g)", cells)
    table = model.fit("reml").emmeans(["a", "b"]).frame()
    empty = (table["a"] == "r") & (table["b"] == "v")
    assert table["estimate"].isna().equals(empty)
