"""Between-within degrees of freedom against those that nlme and SAS define."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.solutions.degrees_of_freedom.between_within import between_within
from tests.oracles import fits_cache

ERGO = pd.read_csv(Path(__file__).parents[1] / "data" / "ergoStool.csv", dtype={"Subject": str})


def df_of(formula, data, **model):
    fit = bl.Model(formula, data, **model).fit("reml")
    table = fit.summary(df="between-within").iloc[: len(fit.model.design.coef)]
    return {name[5:-1]: value for name, value in table["df"].items()}


def test_one_factor_has_two_strata():
    data = bl.load_dataset("Orthodont")
    expected = {"Intercept": 25, "age": 79, "Sex[Male]": 25, "age:Sex[Male]": 79}
    assert df_of("distance ~ age * Sex + (1 | Subject)", data) == expected
    assert df_of("distance ~ age * Sex + (age | Subject)", data) == expected
    R = bl.CS(group="Subject")
    assert df_of("distance ~ age * Sex", data, R=R) == expected


def test_nested_factors_are_those_of_a_split_plot():
    # nlme's for Oats: Variety 10, nitro 51 without the interaction
    data = bl.load_dataset("Oats")
    found = df_of("yield ~ Variety + C(nitro) + (1 | Block/Variety)", data)
    assert found["Intercept"] == 5
    assert found["Variety[Victory]"] == 10
    assert found["C(nitro)[0.2]"] == 51


def test_balanced_strata_are_those_of_satterthwaite():
    fit = bl.Model("yield ~ Variety * C(nitro) + (1 | Block/Variety)", bl.load_dataset("Oats")).fit(
        "reml"
    )
    own, other = fit.anova(df="between-within"), fit.anova()
    np.testing.assert_allclose(own, other, rtol=1e-3)
    assert list(own["den_df"]) == [10, 45, 45]


def test_levels_of_a_factor_can_be_in_different_strata():
    """Level q is compared between groups, r with p within one of them too."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(8), 5)
    a = np.where(group < 3, "p", np.where(group < 6, "q", "r")).astype(object)
    a[group == 7] = ["p", "p", "r", "r", "r"]
    data = pd.DataFrame({"y": rng.standard_normal(40), "a": a, "g": group})
    # nlme 3.1.162 has 6 and 31, and the intercept within groups
    assert df_of("y ~ a + (1 | g)", data) == {"Intercept": 6, "a[q]": 6, "a[r]": 31}


def test_means_go_with_their_columns():
    # as nlme 3.1.162 has them: TypeT1 to TypeT4 of effort ~ Type - 1
    found = df_of("effort ~ 0 + Type + (1 | Subject)", ERGO)
    assert list(found.values()) == [24, 24, 24, 24]


def test_functions_over_strata_have_the_smallest():
    data = bl.load_dataset("Orthodont")
    fit = bl.Model("distance ~ age * Sex + (1 | Subject)", data).fit("reml")
    table = fit.contrast({"at 8": {"Sex[Male]": 1, "age:Sex[Male]": 8}}, df="between-within")
    assert table["df"].iloc[0] == 25
    assert fit.test(["age", "age:Sex[Male]"], df="between-within")["den_df"].iloc[0] == 79


def test_what_has_no_strata_is_refused():
    with pytest.raises(bl.ArgumentError, match="nested"):
        fits_cache.likelihood("crossed").summary(df="between-within")
    with pytest.raises(bl.ArgumentError, match="residual"):
        fits_cache.likelihood("no random effects").anova(df="between-within")
    data = bl.load_dataset("Orthodont")
    two = bl.Model(
        "distance ~ Sex * age + (1 | Subject)", data[data["Subject"].isin(["F01", "M01"])]
    )
    with pytest.raises(bl.ArgumentError, match="are 0: 2 coefficients"):
        between_within(two.design)


DIFFERENCES = np.array([[-1, 1, 0, 0], [-1, 0, 1, 0], [-1, 0, 0, 1]])


@pytest.mark.parametrize(
    ("formula", "to_means"),
    [
        ("effort ~ Type", np.eye(4) + np.outer([0, 1, 1, 1], [1, 0, 0, 0])),
        ("effort ~ 0 + Type", np.eye(4)),
    ],
)
def test_differences_of_means_have_the_same_df_in_any_coding(formula, to_means):
    fit = bl.Model(f"{formula} + (1 | Subject)", ERGO).fit("reml")
    L = DIFFERENCES @ to_means
    assert fit.contrast(L, df="between-within")["df"].to_list() == [(9 - 1) * (4 - 1)] * 3
    assert fit.test(L, df="between-within")["den_df"].to_list() == [(9 - 1) * (4 - 1)]
    assert fit.anova(df="between-within")["den_df"].to_list() == [(9 - 1) * (4 - 1)]


def test_contrasts_of_cell_means_are_those_of_the_split_plot():
    """Varieties are compared between plots, though no column of the cell means is constant there:
    (6 - 1)(3 - 1), and (6 - 1) 3 (4 - 1) for what is compared within plots.
    """
    data = bl.load_dataset("Oats").astype({"nitro": str})
    fit = bl.Model("yield ~ 0 + Variety:nitro + (1 | Block/Variety)", data).fit("reml")
    names = list(fit.model.design.coef)
    variety = {"Victory": 1, "Marvellous": -1}
    between = {name: variety.get(name.split("[")[1].split("]")[0], 0) / 4 for name in names}
    within = {name: (("0.2" in name) - ("0.4" in name)) / 3 for name in names}
    L = {"between plots": between, "within plots": within}
    assert fit.contrast(L, df="between-within")["df"].to_list() == [10, 45]
    # a test of both has those of the outermost stratum, as their differences are in it
    assert fit.test(pd.DataFrame(L).T, df="between-within")["den_df"].to_list() == [10]


def test_a_regression_through_the_origin_has_no_level_between():
    fit = bl.Model("Reaction ~ 0 + Days + (1 | Subject)", bl.load_dataset("sleepstudy"))
    assert fit.fit("reml").summary(df="between-within")["df"].iloc[0] == 180 - 18 - 1


def test_a_covariate_far_from_zero_is_in_the_same_stratum():
    data = bl.load_dataset("Orthodont")
    data["age"] += 1e6
    found = df_of("distance ~ age * Sex + (1 | Subject)", data)
    assert list(found.values()) == [25, 79, 25, 79]


# nlme 3.1.162 in R 4.2.2, by REML: df, t and p of age, Sex and their interaction; gls has n - p.
# lme's df of the intercept are left out, as nlme counts it within subjects.
AGE = {"time": "age", "group": "Subject"}
NLME = {
    "lme, slopes": (
        " + (age | Subject)",
        None,
        [(79, 4.623492, 1.450065e-5), (25, -0.646789, 0.5236631), (79, 2.262432, 0.02641752)],
    ),
    "lme, a variance for each age": (
        " + (1 | Subject)",
        bl.ID(variance=bl.VarIdent("age")),
        [(79, 5.213991, 1.444997e-6), (25, -0.911847, 0.3705587), (79, 2.822009, 0.006034601)],
    ),
    "gls, AR1": (
        "",
        bl.AR1(**AGE),
        [(104, 3.430176, 0.0008661530), (104, -0.338808, 0.7354378), (104, 1.557869, 0.1223022)],
    ),
    "gls, UN": (
        "",
        bl.UN(**AGE),
        [(104, 4.804078, 5.245962e-6), (104, -1.039233, 0.3011064), (104, 2.720573, 0.007640270)],
    ),
}


@pytest.mark.parametrize("name", NLME)
def test_t_tests_are_those_of_nlme(name):
    bars, R, rows = NLME[name]
    data = bl.load_dataset("Orthodont")
    fit = bl.Model(f"distance ~ age * Sex{bars}", data, R=R).fit("reml")
    table = fit.summary(df="between-within" if bars else "residual").iloc[1:4]
    for ours, (df, t, p) in zip(table.itertuples(), rows, strict=True):
        assert ours.df == df
        assert ours.t == pytest.approx(t, rel=1e-4)
        assert ours.p == pytest.approx(p, rel=1e-3)
