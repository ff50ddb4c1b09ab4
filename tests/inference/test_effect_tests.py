"""Tests of terms and of linear functions of the coefficients."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from tests.oracles import fits_cache


@pytest.fixture(scope="module")
def unbalanced():
    """Two crossed factors and a covariate, with cells of different sizes."""
    rng = np.random.default_rng(11)
    a, b = rng.choice(list("pqr"), 90), rng.choice(list("uvwx"), 90)
    x = rng.standard_normal(90)
    y = (a == "q") + 0.5 * (b == "v") * (a == "r") + 0.3 * x + rng.standard_normal(90)
    group = rng.integers(0, 9, 90).astype(str)
    return pd.DataFrame({"y": y, "a": a, "b": b, "x": x, "g": group})


def residual_sum(X, y):
    return np.sum((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2)


def design(formula, data):
    return bl.Model(formula, data).design.X


def f_of(larger, smaller, full, y):
    """F of what one set of columns explains beyond another, with the residuals of the model."""
    rank = np.linalg.matrix_rank
    q, rest = rank(larger) - rank(smaller), len(y) - rank(full)
    return (residual_sum(smaller, y) - residual_sum(larger, y)) / q / residual_sum(full, y) * rest


FULL = "y ~ a * b + x"
SEQUENTIAL = {"a": ("1 + a", "1"), "b": ("1 + a + b", "1 + a"), "x": ("a + b + x", "a + b")}
MARGINAL = {
    "a": ("a + b + x", "b + x"),
    "b": ("a + b + x", "a + x"),
    "x": ("a * b + x", "a * b"),
    "a:b": ("a * b + x", "a + b + x"),
}


@pytest.mark.parametrize(("kind", "models"), [(1, SEQUENTIAL), (2, MARGINAL)])
def test_types_1_and_2_of_a_linear_model_compare_models(unbalanced, kind, models):
    table = bl.Model(FULL, unbalanced).fit("reml").anova(kind)
    assert list(table.index) == ["a", "b", "x", "a:b"]
    y, full = unbalanced["y"].to_numpy(), design(FULL, unbalanced)
    for term, (larger, smaller) in models.items():
        expected = f_of(
            design(f"y ~ {larger}", unbalanced), design(f"y ~ {smaller}", unbalanced), full, y
        )
        assert table.loc[term, "F"] == pytest.approx(expected, rel=1e-6), term
        assert table.loc[term, "den_df"] == pytest.approx(90 - 13, rel=1e-5)


def test_type_3_of_a_linear_model_drops_columns_that_sum_to_zero(unbalanced):
    table = bl.Model(FULL, unbalanced).fit("reml").anova(3)
    model = bl.Model("y ~ C(a, Sum) * C(b, Sum) + x", unbalanced)
    X, y, names = model.design.X, unbalanced["y"].to_numpy(), np.array(model.design.coef)
    for term, own in {"a": "C(a", "b": "C(b", "x": "x", "a:b": ":"}.items():
        chosen = np.array([own in name and (own == ":" or ":" not in name) for name in names])
        assert table.loc[term, "F"] == pytest.approx(f_of(X, X[:, ~chosen], X, y), rel=1e-6), term


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_coding_of_factors_does_not_matter(unbalanced, kind):
    tables = [
        bl.Model(f"y ~ {formula} + (1 | g)", unbalanced).fit("reml").anova(kind)
        for formula in ("a * b + x", "C(a, Sum) * C(b, Treatment('w')) + x")
    ]
    same = ["num_df", "den_df", "F", "p"] if kind == 3 else ["num_df", "F"]
    np.testing.assert_allclose(tables[0][same], tables[1][same], rtol=1e-5)
    assert list(tables[1].index)[-1] == "C(a, Sum):C(b, Treatment('w'))"


def test_a_covariate_in_an_interaction_is_contained_and_the_factor_is_not(unbalanced):
    fit = bl.Model("y ~ a * x", unbalanced).fit("reml")
    y, full = unbalanced["y"].to_numpy(), fit.model.design.X
    two, three = fit.anova(2), fit.anova(3)
    without = f_of(design("y ~ a + x", unbalanced), design("y ~ a", unbalanced), full, y)
    assert two.loc["x", "F"] == pytest.approx(without, rel=1e-6)
    # the differences of levels at x = 0, in both
    own = [name.startswith("a[") and ":" not in name for name in fit.model.design.coef]
    at_zero = f_of(full, full[:, ~np.array(own)], full, y)
    assert two.loc["a", "F"] == pytest.approx(at_zero, rel=1e-6)
    assert three.loc["a", "F"] == pytest.approx(at_zero, rel=1e-6)
    # the mean slope over levels, not that of the first
    mean = fit.test({"x": 1, "a[q]:x": 1 / 3, "a[r]:x": 1 / 3})
    assert three.loc["x", "F"] == pytest.approx(mean["F"].iloc[0], rel=1e-8)


def test_no_intercept_tests_whether_all_means_are_zero(unbalanced):
    fit = bl.Model("y ~ 0 + a + (1 | g)", unbalanced).fit("reml")
    together = fit.test(["a[p]", "a[q]", "a[r]"]).iloc[0]
    np.testing.assert_allclose(fit.anova().loc["a"], together, rtol=1e-10)


def test_only_an_intercept_has_no_tests():
    table = fits_cache.likelihood("crossed").anova()
    assert list(table.columns) == ["num_df", "den_df", "F", "p"]
    assert not len(table)


@pytest.mark.filterwarnings("ignore::bayeslmm.DesignWarning")
def test_type_3_is_refused_where_cells_are_empty(unbalanced):
    some = unbalanced[(unbalanced["a"] != "q") | (unbalanced["b"] != "v")]
    fit = bl.Model("y ~ a * b", some).fit("reml")
    with pytest.raises(bl.DesignError, match="type=2"):
        fit.anova(3)
    assert fit.anova(2).loc["a:b", "num_df"] == 5


def test_contrasts_in_all_ways_of_writing():
    fit = fits_cache.likelihood("factor ||")
    expected = fit.contrast([[0, -1, 1], [0, 1, 0]])
    assert list(expected.index) == ["-Machine[B] + Machine[C]", "Machine[B]"]
    beta, vcov = fit.beta.to_numpy(), fit.summary(df="none")["std_error"].iloc[1] ** 2
    assert expected["estimate"].iloc[0] == beta[2] - beta[1]
    assert expected["std_error"].iloc[1] ** 2 == pytest.approx(vcov)
    ways = [
        {"C - B": {"Machine[C]": 1, "beta[Machine[B]]": -1}, "B": {"Machine[B]": 1}},
        pd.DataFrame({"Machine[B]": [-1, 1], "Machine[C]": [1, np.nan]}, index=["C - B", "B"]),
        np.array([[0, -1, 1], [0, 1, 0]]),
        [{"Machine[C]": 1, "Machine[B]": -1}, {"Machine[B]": 1}],
        [{"C - B": {"Machine[C]": 1, "Machine[B]": -1}}, {"Machine[B]": 1}],
    ]
    for way in ways:
        np.testing.assert_array_equal(fit.contrast(way), expected)
    one = fit.contrast({"Machine[B]": 1})
    for way in ("Machine[B]", ["Machine[B]"], [0, 1, 0]):
        pd.testing.assert_frame_equal(fit.contrast(way), one)
    assert fit.contrast(["Machine[B]"], rhs=beta[1])["t"].iloc[0] == 0


def test_a_contrast_is_t_and_its_test_is_the_square():
    fit = fits_cache.likelihood("two bars")
    t, F = fit.contrast({"Days": 1}, rhs=8), fit.test({"Days": 1}, rhs=8)
    assert F["F"].iloc[0] == pytest.approx(t["t"].iloc[0] ** 2)
    assert F["p"].iloc[0] == pytest.approx(t["p"].iloc[0])
    assert F["den_df"].iloc[0] == pytest.approx(t["df"].iloc[0])
    half = stats.t.ppf(0.9, t["df"]) * t["std_error"]
    np.testing.assert_allclose(fit.contrast("Days", level=0.8)["upper"], t["estimate"] + half)


def test_functions_that_others_determine_count_once():
    fit = fits_cache.likelihood("factor ||")
    two = fit.test(["Machine[B]", "Machine[C]"])
    three = fit.test([[0, 1, 0], [0, 0, 1], [0, 1, -1]])
    for name in ("num_df", "F"):  # Satterthwaite's depend on how functions are written
        assert three[name].iloc[0] == pytest.approx(two[name].iloc[0])
    with pytest.raises(bl.ArgumentError, match="contradict"):
        fit.test([[0, 1, 0], [0, 2, 0]], rhs=[1, 1])


@pytest.mark.parametrize(
    ("L", "rhs", "error", "match"),
    [
        ({"Dayz": 1}, 0, bl.ArgumentError, "Did you mean|Days"),
        ({"Days": "one"}, 0, bl.ArgumentTypeError, "a number"),
        ({"Days": True}, 0, bl.ArgumentTypeError, "a number"),
        ({"Days": np.inf}, 0, bl.ArgumentError, "finite"),
        ({"Days": 0}, 0, bl.ArgumentError, "zero for every"),
        ({"a": {"Days": 1}, "b": 2}, 0, bl.ArgumentTypeError, "dict of coefficients"),
        ({}, 0, bl.ArgumentError, "no|zero"),
        ([1, 2, 3], 0, bl.ArgumentError, "needs 2 numbers"),
        (object(), 0, bl.ArgumentTypeError, "dict such as"),
        ([{"Days": 1}, {"Days": 1}], 0, bl.ArgumentError, "'Days' is in the list twice"),
        ([{"Days": 1}, {"Dayz": 1}], 0, bl.ArgumentError, "Days"),
        ([{"Days": 1}, "Days"], 0, bl.ArgumentTypeError, "dict such as"),
        (["Days"], [1, 2], bl.ArgumentError, "`rhs`"),
        (["Days"], "a", bl.ArgumentError, "`rhs`"),
    ],
)
def test_bad_functions_are_refused(L, rhs, error, match):
    fit = fits_cache.likelihood("slopes")
    for call in (fit.contrast, fit.test):
        with pytest.raises(error, match=match):
            call(L, rhs)


@pytest.mark.parametrize("kind", [0, 4, True, "III", None])
def test_types_are_1_2_and_3(kind):
    with pytest.raises(bl.ArgumentError, match="1, 2 or 3"):
        fits_cache.likelihood("slopes").anova(kind)
