"""What formulas may ask of transforms, how many columns they may make, contrasts by name."""

from __future__ import annotations

import decimal

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.design.build import compile_design
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.errors import ArgumentError, DataError, DesignError, FormulaError
from bayeslmm.inference.hypotheses import read_functions

rng = np.random.default_rng(7)
DATA = pd.DataFrame(
    {
        "y": rng.normal(size=60),
        "x": np.arange(60.0),
        "f": list("abcd") * 15,
        "g": np.repeat(np.arange(10), 6),
    }
)

REFUSED = {
    # FITPACK has memory for degrees up to 5, and writes beyond it
    "bs(x, df=40, degree=30)": "`degree` of bs should be a whole number from 0 to 5, got 30",
    "bs(x, df=40, degree=6)": "from 0 to 5",
    "bs(x, df=40, degree=-1)": "from 0 to 5",
    "bs(x, df=40, degree=True)": "whole number",
    "bs(x, df=4.0)": "whole number",
    "bs(x, df='4')": "whole number",
    "bs(x)": "bs needs .*df",
    "bs(x, df=None)": "bs needs .*df",
    "bs(x, df=4, center='maybe')": "`center` of bs should be True or False, got 'maybe'",
    "bs(x, df=4, lower_bound=1e999)": "`lower_bound` of bs should be a finite number",
    "bs(x, df=4, lower_bound='0')": "finite number",
    "bs(x, df=4, upper_bound=True)": "finite number",
    "poly(x, 0)": "`degree` of poly should be a whole number of 1 or more, got 0",
    "poly(x, -1)": "whole number of 1 or more",
    "poly(x, 2.0)": "whole number",
    "poly(x, True)": "whole number",
    "poly(x, None)": "whole number",
    "poly(x, 2, raw='maybe')": "`raw` of poly should be True or False, got 'maybe'",
    "poly(x, 2, 1)": "True or False",
    "cr(x, df=1)": "`df` of cr should be a whole number of 2 or more",
    "cr(x, df=2, center=False)": "`df` of cr should be a whole number of 3 or more",
    "cr(x, df=4, center=None)": "True or False",
    "cc(x, period=0)": "`period` of cc should be a finite number greater than 0, got 0",
    "cc(x, period=-3)": "greater than 0",
    "cc(x, period=1e999)": "finite",
    "cc(x, period=12, df=0)": "whole number of 1 or more",
    "tp(x, df=1)": "whole number of 2 or more",
    "tp(x, df=2, center=False)": "whole number of 3 or more",
    "tp(x, df=4, seed=-1)": "`seed` of tp should be a whole number from 0 to 4294967295, got -1",
    "tp(x, df=4, seed=4294967296)": "from 0 to 4294967295",
    "center(2)": "center needs a column of the data",
    "C('a')": "C needs a column of the data",
    "bs(1, df=4)": "bs needs a column of the data",
    "tp(x, df=4, max_knots=2)": "from 3 to 10000",
    "tp(x, df=4, max_knots=1000000)": "from 3 to 10000",
    f"poly(x, {'9' * 5000})": "up to 308 digits, and this has 5000",
    f"I(x + {'9' * 5000})": "up to 308 digits",
    f"(x + f)**{'9' * 5000}": "up to 308 digits",
    f"I(x + {'9' * 400})": "up to 308 digits",
}


@pytest.mark.parametrize("term", REFUSED)
def test_arguments_that_are_refused(term: str) -> None:
    with pytest.raises(FormulaError, match=REFUSED[term]):
        compile_design(f"y ~ {term}", DATA)


@pytest.mark.parametrize(
    "term",
    [
        *(f"bs(x, df=12, degree={degree})" for degree in range(6)),
        "bs(x, df=4, lower_bound=None, upper_bound=None)",
        "bs(x, df=5, center=False, lower_bound=-1, upper_bound=100)",
        "cr(x, df=2)",
        "cr(x)",
        "cc(x, period=12, df=1)",
        "tp(x, df=2, seed=0)",
        "poly(x, 3, raw=True)",
    ],
)
def test_arguments_that_are_allowed(term: str) -> None:
    assert np.isfinite(compile_design(f"y ~ 0 + {term}", DATA).X).all()


def test_a_polynomial_needs_more_values_than_its_degree() -> None:
    """As in R: 'degree' must be less than number of unique points."""
    data = DATA.assign(z=np.tile([1.0, 2.0, 4.0], 20))
    assert compile_design("y ~ poly(z, 2)", data).X.shape == (60, 3)
    for raw in ("True", "False"):
        with pytest.raises(DataError, match=r"3 different values.* degree 2 at most, not 3"):
            compile_design(f"y ~ poly(z, 3, raw={raw})", data)


CROSSED = DATA.assign(**{f"b{i}": rng.integers(0, 2, 60).astype(str) for i in range(25)})
CROSSED = CROSSED.assign(**{f"z{i}": rng.normal(size=60) for i in range(25)})
FACTORS = [f"b{i}" for i in range(25)]
NUMBERS = [f"z{i}" for i in range(25)]
MANY = {
    "factors crossed": "*".join(FACTORS),
    "numbers crossed": "*".join(NUMBERS),
    "one interaction": ":".join(FACTORS),
    "a power": f"({' + '.join(NUMBERS)})**25",
    "nested": f"({' + '.join(NUMBERS)})**5:({' + '.join(FACTORS)})**5",
    "a spline": "bs(x, df=20000)",
    "a polynomial": "poly(x, 20000)",
    "categories": "C(x):C(`my id`)",
}


@pytest.mark.parametrize("case", MANY)
def test_columns_are_counted_before_they_are_built(case: str) -> None:
    data = CROSSED.assign(**{"my id": np.arange(60)})
    with pytest.raises(DesignError, match=r"columns.*more than .*2,000.*max_columns"):
        compile_design(f"y ~ {MANY[case]}", data)
    with pytest.raises(DesignError, match="max_columns"):
        compile_design(f"y ~ 1 + ({MANY[case]} | g)", data)


def test_a_keyword_raises_the_bound() -> None:
    formula = "y ~ C(g) + f"
    with pytest.raises(DesignError, match="13 columns, more than the 12"):
        bl.Model(formula, DATA, max_columns=12)
    model = bl.Model(formula, DATA, max_columns=13)
    assert model.design.X.shape[1] == 13
    with pytest.raises(ArgumentError, match="`max_columns` should be a whole number"):
        bl.Model(formula, DATA, max_columns=0)


@pytest.mark.parametrize("power", [2, 3, 1000000, 10**30])
def test_a_power_beyond_the_terms_crosses_all_of_them(power: int) -> None:
    assert (
        compile_design(f"y ~ (x + f)**{power}", DATA).coef == compile_design("y ~ x * f", DATA).coef
    )


def test_a_power_of_one_is_the_sum() -> None:
    assert compile_design("y ~ (x + f)**1", DATA).coef == compile_design("y ~ x + f", DATA).coef


def test_half_a_character_is_no_level_of_an_effect() -> None:
    data = {"y": DATA["y"].tolist(), "v": ["\ud800", "b"] * 30}
    with pytest.raises(DataError, match="'v' holds half a character"):
        compile_design("y ~ v", data)


def test_numbers_beyond_double_precision() -> None:
    for value in (10**400, decimal.Decimal("1e400"), float("inf")):
        data = {"y": DATA["y"].tolist(), "v": [value, *range(59)]}
        with pytest.raises(DataError, match=r"'v' is infinite or beyond 1.8e\+308 in 1 row \(0\)"):
            compile_design("y ~ v", data)


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, None, np.nan, decimal.Decimal("NaN")])
@pytest.mark.parametrize("values", [[1, 2], [1.5, 2.5], ["a", "b"], [True, False]])
def test_missing_among_objects(gap: object, values: list[object]) -> None:
    column = pd.Series([gap, *values * 30][:60], dtype=object)
    for formula in ("y ~ v", "y ~ 1 + (1 | v)"):
        design = compile_design(formula, DATA.assign(v=column))
        assert design.missing == {"v": 1}


def test_dates_that_cannot_be_ordered() -> None:
    mixed = [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02", tz="UTC")] * 30
    with pytest.raises(DataError, match=r"'d' holds dates .* that cannot be ordered"):
        compile_design("y ~ 1 + (1 | d)", DATA.assign(d=pd.Series(mixed, dtype=object)))


# R 4: contr.helmert(4), contr.sum(4), contr.treatment(4), contr.poly(4)
IN_R = {
    "Helmert": [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]],
    "Sum": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]],
    "Treatment": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "Poly": [
        [-0.6708203932499369, 0.5, -0.223606797749979],
        [-0.22360679774997896, -0.5, 0.6708203932499369],
        [0.22360679774997896, -0.5, -0.6708203932499369],
        [0.6708203932499369, 0.5, 0.223606797749979],
    ],
}
LABELS = {
    "Helmert": "bcd",
    "Sum": "abc",
    "Treatment": "bcd",
    "Poly": ("linear", "quadratic", "cubic"),
}


@pytest.mark.parametrize("name", IN_R)
def test_contrasts_by_name(name: str) -> None:
    codes = np.tile(np.arange(4), 15)
    for spelled in (name, f"contr.{name.lower()}"):
        design = compile_design(f"y ~ C(f, {spelled})", DATA)
        np.testing.assert_allclose(design.X[:, 1:], np.array(IN_R[name])[codes], atol=1e-12)
        assert design.coef[1:] == tuple(f"C(f, {name})[{label}]" for label in LABELS[name])
        new = DATA.iloc[[3, 1, 1]]
        np.testing.assert_array_equal(evaluate_new(design, new).X, design.X[[3, 1, 1]])


@pytest.mark.parametrize("name", IN_R)
def test_contrasts_span_all_levels_without_an_intercept(name: str) -> None:
    design = compile_design(f"y ~ 0 + C(f, {name})", DATA)
    dummies = compile_design("y ~ 0 + f", DATA).X
    assert design.X.shape[1] == 4
    assert np.linalg.matrix_rank(np.hstack([design.X, dummies])) == 4


def test_helmert_coefficients_compare_with_the_levels_before() -> None:
    means = DATA.groupby("f")["y"].mean().to_numpy()
    b = np.linalg.lstsq(compile_design("y ~ C(f, Helmert)", DATA).X, DATA["y"], rcond=None)[0]
    expected = [means.mean(), *((means[j] - means[:j].mean()) / (j + 1) for j in (1, 2, 3))]
    np.testing.assert_allclose(b, expected, atol=1e-12)


def test_trends_of_ordered_numbers_follow_their_order() -> None:
    data = DATA.assign(dose=np.tile([10, 2, 5], 20))
    X = compile_design("y ~ C(dose, Poly)", data).X
    np.testing.assert_allclose(X[:3, 1], [np.sqrt(0.5), -np.sqrt(0.5), 0], atol=1e-12)


CONTRASTS_REFUSED = {
    "C(f, Helmert('a'))": (FormulaError, "Helmert takes no arguments"),
    "C(f, contr.sum('a'))": (FormulaError, r"Sum\('level'\)"),
    "C(f, 'helmert')": (FormulaError, "a contrast is one of .*Helmert.*Poly"),
    "C(f, Treatment('z'))": (DataError, "'z' is not a level .*'a', 'b', 'c', 'd'"),
    "C(f, Sum('z'))": (DataError, "'z' is not a level"),
    "S(f, 'z')": (DataError, "'z' is not a level"),
    "T(f, 'z')": (DataError, "'z' is not a level"),
}


@pytest.mark.parametrize("term", CONTRASTS_REFUSED)
def test_contrasts_that_are_refused(term: str) -> None:
    error, message = CONTRASTS_REFUSED[term]
    with pytest.raises(error, match=message):
        compile_design(f"y ~ {term}", DATA)


def test_a_response_with_an_index_goes_by_it() -> None:
    model = bl.Model("y ~ x", DATA.assign(x=DATA["x"].where(DATA["x"] != 5)))
    y = pd.Series(np.arange(59.0) ** 2, index=model.design.index)
    np.testing.assert_array_equal(model.with_response(y).design.y, y)
    np.testing.assert_array_equal(model.with_response(y.to_numpy()).design.y, y)
    for other in (y[::-1], y.reset_index(drop=True), y.to_frame()):
        with pytest.raises(DataError, match=r"index is not that of the rows|shape"):
            model.with_response(other)
    fit = model.fit("reml")
    with pytest.raises(DataError, match=r"to_numpy\(\)"):
        fit.refit(y[::-1])


def test_a_series_of_weights_goes_by_its_names() -> None:
    """Of coefficients, as a dict does; it was taken by position."""
    coef = ["Intercept", "x", "z"]
    weights = pd.Series({"z": 2.0, "Intercept": 1.0, "x": 0.0})
    functions = read_functions(weights, coef)[1]
    assert functions.tolist() == [[1.0, 0.0, 2.0]]
    assert functions.tolist() == read_functions(weights.to_dict(), coef)[1].tolist()
    with pytest.raises(ArgumentError, match="unknown coefficient 0"):
        read_functions(pd.Series([1.0, 0.0, 2.0]), coef)
