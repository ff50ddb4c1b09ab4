"""Designs against matrices written by hand, and what is refused."""

import datetime
import itertools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayeslmm.api.model import Model
from bayeslmm.design.build import compile_design
from bayeslmm.design.design import Design
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.design.rank import dependent_columns
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DesignError,
    DesignWarning,
    FormulaError,
)

# Two groups of three, an unbalanced factor, categories in an order of their own.
SMALL = pd.DataFrame(
    {
        "y": [1.0, 3.0, 2.0, 5.0, 4.0, 7.0],
        "x": [0.0, 1.0, 2.0, 0.0, 1.0, 4.0],
        "f": ["b", "a", "b", "a", "c", "c"],
        "size": pd.Categorical(
            ["small", "big", "big", "small", "big", "small"], ["small", "mid", "big"]
        ),
        "flag": [True, False, True, True, False, False],
        "g": [10, 10, 10, 9, 9, 9],
        "my x": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        "w": [1.0, 2.0, 1.0, 2.0, 1.0, 2.0],
    },
    index=list("pqrstu"),
)
ONE = [1.0] * 6
X = SMALL["x"].tolist()
A, B, C = ([float(value == level) for value in SMALL["f"]] for level in "abc")
BIG = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
TRUE = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def times(a: list[float], b: list[float]) -> list[float]:
    return [i * j for i, j in zip(a, b, strict=True)]


FIXED = {
    "1": {"Intercept": ONE},
    "x": {"Intercept": ONE, "x": X},
    "0 + x": {"x": X},
    "f": {"Intercept": ONE, "f[b]": B, "f[c]": C},
    "0 + f": {"f[a]": A, "f[b]": B, "f[c]": C},
    "size": {"Intercept": ONE, "size[big]": BIG},
    "0 + size": {"size[small]": [1 - i for i in BIG], "size[big]": BIG},
    "flag": {"Intercept": ONE, "flag[True]": TRUE},
    "0 + flag": {"flag[False]": [1 - i for i in TRUE], "flag[True]": TRUE},
    "flag * x": {"Intercept": ONE, "flag[True]": TRUE, "x": X, "flag[True]:x": times(TRUE, X)},
    "x:flag": {"Intercept": ONE, "x:flag[False]": times([1 - i for i in TRUE], X)}
    | {"x:flag[True]": times(TRUE, X)},
    "I(x > 1) + I(f == 'a')": {
        "Intercept": ONE,
        "I(x > 1)": [0, 0, 1, 0, 0, 1],
        "I(f == 'a')": A,
    },
    "I((x + 1) * 2) + I(x ** 2 + 1)": {
        "Intercept": ONE,
        "I((x + 1) * 2)": [2 * (i + 1) for i in X],
        "I(x ** 2 + 1)": [i**2 + 1 for i in X],
    },
    "log1p(x) + np.log(`my x`)": {
        "Intercept": ONE,
        "log1p(x)": np.log1p(X),
        "np.log(my x)": np.log(SMALL["my x"]),
    },
    "np.where(x > 1, x, 0) + np.maximum(x, 1)": {
        "Intercept": ONE,
        "np.where(x > 1, x, 0)": [0, 0, 2, 0, 0, 4],
        "np.maximum(x, 1)": [1, 1, 2, 1, 1, 4],
    },
    "center(x)": {"Intercept": ONE, "center(x)": np.array(X) - np.mean(X)},
    "scale(x)": {"Intercept": ONE, "scale(x)": (np.array(X) - np.mean(X)) / np.std(X)},
    "C(g)": {"Intercept": ONE, "C(g)[10]": [1, 1, 1, 0, 0, 0]},
    "C(f, Treatment('b'))": {
        "Intercept": ONE,
        "C(f, Treatment('b'))[a]": A,
        "C(f, Treatment('b'))[c]": C,
    },
    "C(f, Sum)": {
        "Intercept": ONE,
        "C(f, Sum)[a]": [i - k for i, k in zip(A, C, strict=True)],
        "C(f, Sum)[b]": [j - k for j, k in zip(B, C, strict=True)],
    },
}


@pytest.mark.parametrize("terms", FIXED)
def test_fixed_effects(terms: str) -> None:
    design = compile_design(f"y ~ {terms}", SMALL)
    assert design.coef == tuple(FIXED[terms])
    np.testing.assert_allclose(design.X, np.column_stack(list(FIXED[terms].values())), atol=1e-12)
    assert design.X.dtype == np.float64
    assert design.X.flags.c_contiguous
    assert design.dropped == ()
    assert design.factors == ()
    np.testing.assert_array_equal(design.y, SMALL["y"])
    assert design.index.tolist() == list("pqrstu")


# formula: factors as (name, levels, codes, effects with Z, structures)
G_LEVELS, G_CODES = ("9", "10"), [1, 1, 1, 0, 0, 0]
BARS = {
    "(1 | g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE}, ["un"])],
    "(x | g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE, "x": X}, ["un"])],
    "(0 + x | g)": [("g", G_LEVELS, G_CODES, {"x": X}, ["un"])],
    "(x || g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE, "x": X}, ["diag"])],
    "us(x | g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE, "x": X}, ["un"])],
    "(1 | g) + (0 + x | g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE, "x": X}, ["un", "un"])],
    "(0 + flag || g)": [
        (
            "g",
            G_LEVELS,
            G_CODES,
            {"flag[False]": [1 - i for i in TRUE], "flag[True]": TRUE},
            ["diag"],
        )
    ],
    "(flag | g)": [("g", G_LEVELS, G_CODES, {"Intercept": ONE, "flag[True]": TRUE}, ["un"])],
    "diag(0 + flag | g)": [
        (
            "g",
            G_LEVELS,
            G_CODES,
            {"flag[False]": [1 - i for i in TRUE], "flag[True]": TRUE},
            ["diag"],
        )
    ],
    "id(0 + size | g)": [
        (
            "g",
            G_LEVELS,
            G_CODES,
            {"size[small]": [1 - i for i in BIG], "size[big]": BIG},
            ["id"],
        )
    ],
    "(1 | f)": [("f", ("a", "b", "c"), [1, 0, 1, 0, 2, 2], {"Intercept": ONE}, ["un"])],
    "(1 | size)": [("size", ("small", "big"), [0, 1, 1, 0, 1, 0], {"Intercept": ONE}, ["un"])],
    "(1 | flag)": [("flag", ("False", "True"), [1, 0, 1, 1, 0, 0], {"Intercept": ONE}, ["un"])],
    "(1 | g/size)": [
        ("g", G_LEVELS, G_CODES, {"Intercept": ONE}, ["un"]),
        (
            "g:size",
            ("9:small", "9:big", "10:small", "10:big"),
            [2, 3, 3, 0, 1, 0],
            {"Intercept": ONE},
            ["un"],
        ),
    ],
    # Only combinations that occur are levels.
    "(1 | f:g)": [
        (
            "f:g",
            ("a:9", "a:10", "b:10", "c:9"),
            [2, 1, 2, 0, 3, 3],
            {"Intercept": ONE},
            ["un"],
        ),
    ],
    "(1 | g) + (1 | f) + (0 + x | g)": [
        ("g", G_LEVELS, G_CODES, {"Intercept": ONE, "x": X}, ["un", "un"]),
        ("f", ("a", "b", "c"), [1, 0, 1, 0, 2, 2], {"Intercept": ONE}, ["un"]),
    ],
}


@pytest.mark.parametrize("bars", BARS)
def test_grouping_factors(bars: str) -> None:
    design = compile_design(f"y ~ {bars}", SMALL)
    assert [factor.name for factor in design.factors] == [row[0] for row in BARS[bars]]
    for factor, (_, levels, codes, effects, structures) in zip(
        design.factors, BARS[bars], strict=True
    ):
        assert factor.levels == levels
        assert factor.codes.tolist() == codes
        assert factor.codes.dtype == np.int32
        assert factor.effects == tuple(effects)
        np.testing.assert_array_equal(factor.Z, np.column_stack(list(effects.values())))
        assert factor.Z.flags.c_contiguous
        assert [block.structure for block in factor.bars] == structures
        assert factor.bars[0].start == 0
        assert factor.bars[-1].stop == len(effects)


@pytest.mark.parametrize(
    ("bar", "label"),
    [
        ("(1 | g)", "Intercept"),
        ("(x | g)", "x"),
        ("id(0 + size | g)", "size"),
        ("(0 + x || g)", "x"),
    ],
)
def test_label_of_a_bar(bar: str, label: str) -> None:
    block = compile_design(f"y ~ {bar}", SMALL).factors[0].bars[0]
    assert (block.text, block.label) == (bar, label)


def random_data(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 2, size=n),
            "a": rng.choice(list("pqr"), n),
            "b": rng.choice(list("uv"), n),
            "g": rng.choice(np.arange(6), n),
        }
    )


def indicator(data: pd.DataFrame, name: str) -> np.ndarray:
    """All indicators of a category, or the numbers, as columns."""
    column = data[name]
    if column.dtype.kind == "f":
        return column.to_numpy()[:, None]
    return np.column_stack([column == level for level in sorted(set(column))]).astype(float)


def overcomplete(data: pd.DataFrame, terms: list[str]) -> np.ndarray:
    """All products of all indicators: the space of the terms without any choice of coding."""
    blocks = [np.ones((len(data), 1))]
    for term in terms:
        product = np.ones((len(data), 1))
        for name in term.split(":"):
            columns = indicator(data, name)
            product = np.einsum("ni,nj->nij", product, columns).reshape(len(data), -1)
        blocks.append(product)
    return np.hstack(blocks)


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        ("a * b", ["a", "b", "a:b"]),
        ("a / b", ["a", "a:b"]),
        ("a:b", ["a:b"]),
        ("a:x", ["a:x"]),
        ("x + a:x", ["x", "a:x"]),
        ("x / a", ["x", "x:a"]),
        ("a * b * x", ["a", "b", "x", "a:b", "a:x", "b:x", "a:b:x"]),
        ("(a + b + x)**2", ["a", "b", "x", "a:b", "a:x", "b:x"]),
        ("a * b - a", ["b", "a:b"]),
        ("a / (b + x)", ["a", "a:b", "a:x"]),
        ("x:z + a", ["x:z", "a"]),
        ("a:b:x", ["a:b:x"]),
        ("a:b + a", ["a", "a:b"]),
        ("a:b + b:a", ["a:b"]),
        ("a * b - b:a", ["a", "b"]),
    ],
)
def test_space_of_crossed_terms(written: str, terms: list[str]) -> None:
    data = random_data()
    design = compile_design(f"y ~ {written}", data)
    full = overcomplete(data, terms)
    rank = np.linalg.matrix_rank(full)
    assert design.X.shape[1] == rank
    assert np.linalg.matrix_rank(np.hstack([full, design.X])) == rank
    assert design.dropped == ()


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ poly(x, 2) + (poly(x, 2) | g)",
        "y ~ bs(x, df=5) + cr(z, df=3)",
        "y ~ scale(log(z)) * a + (center(x) | g)",
        "y ~ a / b + C(g) + offset(log(z)) + offset(2)",
        "y ~ C(a, Sum) * x + T(b, 'v')",
        "y ~ (a || g) + (1 | a:b)",
    ],
)
def test_new_rows_use_what_was_learned(formula: str) -> None:
    data = random_data()
    design = compile_design(formula, data)
    for rows in ([0], [5, 3, 3], list(range(60)), []):
        part = evaluate_new(design, data.iloc[rows].drop(columns="y"))
        np.testing.assert_allclose(part.X, design.X[rows], atol=1e-12)
        assert part.index.tolist() == rows
        if design.offset is None:
            assert part.offset is None
        else:
            np.testing.assert_array_equal(part.offset, design.offset[rows])
        for new, factor in zip(part.factors, design.factors, strict=True):
            np.testing.assert_allclose(new.Z, factor.Z[rows], atol=1e-12)
            assert new.codes.tolist() == factor.codes[rows].tolist()
            assert new.labels.tolist() == [factor.levels[i] for i in factor.codes[rows]]


def test_new_levels() -> None:
    design = compile_design("y ~ x + (1 | g) + (1 | g:f)", SMALL)
    new = evaluate_new(design, {"x": [0, 1, 2], "g": [10, 11, 9], "f": ["b", "b", "z"]})
    assert new.factors[0].codes.tolist() == [1, -1, 0]
    assert new.factors[0].labels.tolist() == ["10", "11", "9"]
    assert new.factors[1].codes.tolist() == [design.factors[1].levels.index("10:b"), -1, -1]
    assert new.factors[1].labels.tolist() == ["10:b", "11:b", "9:z"]


def test_new_factors_on_request() -> None:
    design = compile_design("y ~ 1 + (x | g) + (1 | f)", SMALL)
    assert [
        factor.name for factor in evaluate_new(design, {"f": ["a"]}, factors=["f"]).factors
    ] == ["f"]
    assert evaluate_new(design, pd.DataFrame(index=range(3)), factors=()).X.tolist() == [[1.0]] * 3
    with pytest.raises(ArgumentError, match="unknown grouping factor 'G'"):
        evaluate_new(design, SMALL, factors=["G"])


NEW_ERRORS = {
    "missing columns": (
        SMALL[["y", "g"]],
        "no columns 'x', 'f', 'w', .* their columns: 'y', 'g'. Add it.$",
    ),
    "missing value": (SMALL.assign(x=[1, None, 2, 3, 4, 5]), r"'x' in 1 row \(q\)"),
    "unseen level": (SMALL.assign(f="q"), r"'f' has levels .*: 'q' in 6 rows .*'a', 'b', 'c'"),
    "text for a number": (SMALL.assign(x="1"), "'x' was numeric in fitting"),
    "infinite": (SMALL.assign(x=np.inf), "'x' is infinite in 6 rows"),
    "out of the domain": (SMALL.assign(w=-1.0), r"'log\(w\)' is not a finite number in 6 rows"),
    "unseen level in a call": (SMALL.assign(g=7), r"C\(g\) has the levels 9, 10"),
}


@pytest.mark.parametrize("case", NEW_ERRORS)
def test_new_data_refused(case: str) -> None:
    data, message = NEW_ERRORS[case]
    design = compile_design("y ~ x + C(g) + f + offset(log(w))", _twice())
    with pytest.raises(DataError, match=message):
        evaluate_new(design, data)


def _twice() -> pd.DataFrame:
    return pd.concat([SMALL, SMALL.assign(y=SMALL["y"] ** 2)])


def test_missing_rows_are_dropped_once() -> None:
    data = random_data()
    data.loc[[1, 2], "x"] = np.nan
    data.loc[2, "a"] = None
    data.loc[5, "y"] = np.nan
    weights = np.ones(60)
    weights[7] = np.nan
    data["g"] = data["g"].astype(float)
    data.loc[9, "g"] = np.nan
    data["unused"] = np.nan
    design = compile_design("y ~ x + (a | g) + offset(z)", data, weights=weights)
    assert design.missing == {"y": 1, "x": 2, "a": 1, "g": 1, "weights": 1}
    assert design.n_dropped == 5
    kept = [i for i in range(60) if i not in (1, 2, 5, 7, 9)]
    assert design.index.tolist() == kept
    for part in (design.y, design.X, design.weights, design.offset, design.factors[0].Z):
        assert part is not None
        assert len(part) == 55
    assert design.factors[0].levels == ("0", "1", "2", "3", "4", "5")
    assert "5 rows dropped" in repr(design)


def test_levels_of_dropped_rows_go() -> None:
    data = SMALL.assign(y=[1.0, None, 2.0, None, 4.0, 7.0])
    design = compile_design("y ~ 0 + f", data)
    assert design.coef == ("f[b]", "f[c]")


FRAMES = {
    "pandas": lambda frame: frame,
    "pandas nullable": lambda frame: frame.convert_dtypes(),
    "pandas arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas object": lambda frame: frame.astype({"f": object, "flag": object, "g": object}),
    "polars": pl.from_pandas,
    "polars lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "dict of lists": lambda frame: {name: frame[name].tolist() for name in frame},
    "dict of arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "dict of polars": lambda frame: {name: pl.from_pandas(frame[name]) for name in frame},
    "dict of series": lambda frame: {
        name: frame[name].set_axis(range(i, i + 6)) for i, name in enumerate(frame)
    },
}


@pytest.mark.parametrize("kind", FRAMES)
def test_kinds_of_frames(kind: str) -> None:
    frame = SMALL.reset_index(drop=True)
    formula = "y ~ x + f + (flag | g)" if "size" in kind else "y ~ x + f + (1 | flag) + (1 | g)"
    design = compile_design(formula, FRAMES[kind](frame), weights="w")
    expected = compile_design(formula, frame, weights="w")
    assert_same(design, expected)


def assert_same(a: Design, b: Design) -> None:
    assert a.coef == b.coef
    np.testing.assert_array_equal(a.X, b.X)
    np.testing.assert_array_equal(a.y, b.y)
    assert (a.weights is None) == (b.weights is None)
    for one, other in zip(a.factors, b.factors, strict=True):
        assert one.levels == other.levels
        assert one.codes.tolist() == other.codes.tolist()
        np.testing.assert_array_equal(one.Z, other.Z)


ORDERS = {
    "text": (["b", "Z", "a", "é", "b", "nan"], ("Z", "a", "b", "nan", "é")),
    "numbers": ([10, 9, 100, 9, -1, 10], ("-1", "9", "10", "100")),
    "fractions": ([1.5, 2.0, 1.5, 2.0, 10.0, 0.25], ("0.25", "1.5", "2", "10")),
    "booleans": ([True, False] * 3, ("False", "True")),
    "categorical": (
        pd.Categorical(list("cabcab"), categories=list("cxab")),
        ("c", "a", "b"),
    ),
    "numeric categorical": (pd.Categorical([3, 1, 2, 3, 1, 2], [3, 1, 2]), ("3", "1", "2")),
    "polars enum": (pl.Series(list("cabcab"), dtype=pl.Enum(list("cxab"))), ("c", "a", "b")),
    "polars categorical": (
        pl.Series(list("cabcab"), dtype=pl.Categorical),
        ("a", "b", "c"),
    ),
    "arrow dictionary": (
        pa.chunked_array(
            [pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0, 1, 2]), ["c", "a", "b"])]
        ),
        ("c", "a", "b"),
    ),
    "html": (["<b>x</b>", "&", "a:b", "]", "[", "a b"], None),
    "dates": (
        [datetime.date(2021, 5, day) for day in (3, 1, 2, 3, 1, 2)],
        ("2021-05-01", "2021-05-02", "2021-05-03"),
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_order_of_levels(case: str) -> None:
    values, levels = ORDERS[case]
    if isinstance(values, pl.Series):
        data: object = pl.DataFrame({"y": [1.0, 2, 4, 3, 5, 9] * 2, "f": pl.concat([values] * 2)})
    elif isinstance(values, pa.ChunkedArray):
        chunks = pa.chunked_array(values.chunks * 2)
        data = pa.table({"y": [1.0, 2, 4, 3, 5, 9] * 2, "f": chunks})
    else:
        data = pd.concat([pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9], "f": values})] * 2)
    factor = compile_design("y ~ (1 | f)", data).factors[0]
    expected = tuple(sorted(values)) if levels is None else levels
    assert factor.levels == expected


@pytest.mark.filterwarnings("ignore::bayeslmm.errors.DesignWarning")
def test_names_that_invite_confusion() -> None:
    rng = np.random.default_rng(3)
    names = ["scale", "log", "np", "Sum", "Größe", "_u", "a.b", "a:b", "I", "diag", "C", "1st"]
    data = pd.DataFrame({name: rng.normal(size=30) for name in ["y", *names]})
    data["k"] = np.tile([1, 2, 3], 10)
    design = compile_design(
        "y ~ scale + log + np + Sum + Größe + _u + a.b + `a:b` + I + diag + C + `1st`"
        " + C(k, Sum) + np.log(np.square(np)) + scale(scale)",
        data,
    )
    assert design.coef[1:13] == tuple(names)
    np.testing.assert_array_equal(design.X[:, 1:13], data[names])
    assert design.coef[13:] == (
        "C(k, Sum)[1]",
        "C(k, Sum)[2]",
        "np.log(np.square(np))",
    )
    assert design.dropped == ("scale(scale)",)


@pytest.mark.parametrize(
    "formula", ["y ~ Intercept", "y ~ `a:b` + a:b", "y ~ `I(a)` + I(a)", "y ~ (Intercept | k)"]
)
def test_two_effects_of_one_name(formula: str) -> None:
    rng = np.random.default_rng(4)
    columns = ["y", "a", "b", "a:b", "Intercept", "I(a)"]
    data = pd.DataFrame({column: rng.normal(size=9) for column in columns}).assign(k=[1, 2, 3] * 3)
    with pytest.raises(DesignError, match="would both be called"):
        compile_design(formula, data)


def test_small_integers_do_not_overflow() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 4, 3], "x": np.array([100, 120, 90, 7], dtype=np.int8)})
    design = compile_design("y ~ I(x**2)", data)
    assert design.X[:, 1].tolist() == [10000, 14400, 8100, 49]


def test_data_are_not_changed() -> None:
    before = SMALL.copy(deep=True)
    compile_design("log(y) ~ scale(x) + np.where(x > 1, x, 0) + f + (x | g)", SMALL, weights="w")
    pd.testing.assert_frame_equal(SMALL, before)


def test_columns_with_names_that_are_not_text() -> None:
    data = pd.DataFrame({0: [1.0, 2, 4, 3], 1: [0.0, 1, 2, 4]})
    assert compile_design("`0` ~ `1`", data).coef == ("Intercept", "1")


def test_duplicate_columns() -> None:
    data = pd.DataFrame([[1.0, 2, 3], [2, 3, 5], [4, 5, 9], [1, 7, 8]], columns=["y", "x", "x"])
    with pytest.raises(DataError, match="2 columns are called 'x'"):
        compile_design("y ~ x", data)
    assert compile_design("y ~ 1", data).X.shape == (4, 1)


# formula: (error, changes to the data, part of the message)
REFUSED = {
    "y ~ xx": (DataError, {}, "no column 'xx', which the formula uses; .*Did you mean 'x'"),
    "y ~ xx + zz": (DataError, {}, "no columns 'xx', 'zz', .*For 'xx': did you mean 'x'.$"),
    "f ~ x": (DataError, {}, "not numeric.*0 and 1"),
    "t ~ x": (DataError, {"t": list("123456")}, r"looks like numbers: .*pd.to_numeric.data.'t'..$"),
    "log(t) ~ x": (
        DataError,
        {"t": ["1", "2", "3", "4", "1,5", "n/a"]},
        r"""pd.to_numeric\(data\['t'\], errors="coerce"\); that makes '1,5', 'n/a' missing""",
    ),
    "flag ~ x": (DataError, {}, "not numeric.*0 and 1"),
    "poly(y, 2) ~ x": (DataError, {}, "one number per row"),
    "log(y) ~ x": (DataError, {"y": -1.0}, r"not a finite number in 6 rows \(p, q"),
    "y ~ log(x)": (DataError, {}, r"'log\(x\)' is not a finite number in 2 rows \(p, s\)"),
    "y ~ I(flag * x)": (DataError, {}, "no arithmetic"),
    "y ~ offset(f)": (DataError, {}, "not numeric"),
    "y ~ 1 + x": (DataError, {"y": 3.0}, "constant, 3 in all 6 rows"),
    "y ~ x": (DataError, {"y": np.nan}, "'y' is missing in every row; check the column, and how"),
    "y ~ x + 1": (DataError, {"x": np.inf}, "'x' is infinite in 6 rows"),
    "y ~ x + f": (DesignError, {"x": np.nan}, "no row is left"),
    "y ~ d": (DataError, {"d": datetime.date(2020, 1, 1)}, "dates"),
    "y ~ o": (DataError, {"o": ["a", 1, "b", 2, "c", 3]}, "values of type int, str"),
    "y ~ j": (DataError, {"j": 1j}, "complex"),
    "y ~ one": (DesignError, {"one": "a"}, "'one' has one level only, 'a'"),
    "y ~ one:x": (DesignError, {"one": "a"}, "'one' has one level only, 'a'"),
    "y ~ C(one)": (DesignError, {"one": 1}, r"'C\(one\)' has one level only, '1'"),
    "y ~ (one | g)": (DesignError, {"one": "a"}, "'one' has one level only"),
    "y ~ (1 | one)": (DesignError, {"one": 4}, "grouping factor 'one' has one level only, '4'"),
    "y ~ (1 | id)": (DesignError, {"id": range(6)}, "as many levels as there are rows"),
    "y ~ (x + I(x**2) | g)": (DesignError, {}, "3 effects on each of 2 levels"),
    "y ~ diag(0 + f | id)": (DesignError, {"id": range(6)}, "residual variance"),
    "y ~ id(0 + id2 | g)": (DesignError, {"id2": list("abcabc")}, "residual variance"),
    "y ~ (1 | g) + (x | g)": (DesignError, {}, r"write \(1 \| g\) \+ \(0 \+ x \| g\)"),
    "y ~ (x | g) + (f | g)": (DesignError, {}, r"write \(x \| g\) \+ \(0 \+ f \| g\)"),
    "y ~ (1 | g) + (1 | g)": (DesignError, {}, "leave it out of one"),
    "y ~ (x | g) + (0 + x | g)": (DesignError, {}, "'x' over 'g' stands in two bars"),
    "y ~ (0 + x + I(2 * x) | g)": (DesignError, {}, r"'I\(2 \* x\)' is a combination of 'x'"),
    "y ~ (0 + I(x > 9) | g)": (DesignError, {}, "zero in every row"),
    "y ~ (1 | g) + (1 | h)": (DesignError, {"h": list("vvvuuu")}, "group the rows alike"),
    "y ~ (1 | g/h)": (DesignError, {"h": list("vvvuuu")}, "group the rows alike"),
    "y ~ (1 | u:v)": (
        DataError,
        {"u": ["a", "a:b", "c"] * 2, "v": ["b:c", "c", "d"] * 2},
        "two different levels of 'u:v'",
    ),
    "y ~ f * g * x * w": (DesignError, {}, "columns and 6 rows"),
    "y ~ poly(x, 2) + w + I(w * x) + `my x`": (DesignError, {}, "as many independent columns"),
    "y ~ bs(x, df=4) * f": (FormulaError, {}, "formulae cannot expand"),
}


@pytest.mark.parametrize("formula", REFUSED)
def test_refused(formula: str) -> None:
    error, changes, message = REFUSED[formula]
    data = SMALL.assign(**changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DesignWarning)
        with pytest.raises(error, match=message):
            Model(formula, data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, ArgumentTypeError),
        (5, ArgumentTypeError),
        ([[1, 2]], ArgumentTypeError),
        ({"y": [1, 2], "x": [1]}, DataError),
        ({"y": [1, 2], "x": 1}, DataError),
        ({"y": [], "x": []}, DesignError),
        (SMALL.iloc[:0], DesignError),
    ],
)
def test_data_refused(data: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        compile_design("y ~ x", data)


WEIGHTS_REFUSED = {
    "zero": ([1, 1, 0, 1, 1, 1], r"not in 1 row \(r\)"),
    "negative": ([1, 1, -2, 1, 1, 1], r"not in 1 row \(r\), the lowest being -2"),
    "infinite": ([1, 1, np.inf, 1, 1, 1], "infinite"),
    "short": ([1, 2], "6; these have 2 values"),
    "scalar": (2.0, r"these have the shape \(\)"),
    "text": (list("abcdef"), "not numbers"),
    "column of text": ("f", "not numbers"),
    "unknown column": ("ww", "the data have no column 'ww', which the weights ask for; their"),
    "another index": (pd.Series(1.0, index=list("utsrqp")), "index is not that of the data"),
}


@pytest.mark.parametrize("case", WEIGHTS_REFUSED)
def test_weights_refused(case: str) -> None:
    weights, message = WEIGHTS_REFUSED[case]
    with pytest.raises(DataError, match=message):
        compile_design("y ~ x", SMALL, weights=weights)


@pytest.mark.parametrize(
    "weights", ["w", SMALL["w"], SMALL["w"].tolist(), SMALL["w"].to_numpy(), pl.Series([1, 2] * 3)]
)
def test_weights(weights: object) -> None:
    design = compile_design("y ~ x", SMALL, weights=weights)
    assert design.weights is not None
    assert design.weights.tolist() == [1, 2, 1, 2, 1, 2]
    assert design.weights.dtype == np.float64


def test_known_variances_identify_a_level_per_row() -> None:
    data = SMALL.assign(study=list("abcdef"))
    design = compile_design("y ~ 1 + (1 | study)", data, weights="w")
    assert len(design.factors[0].levels) == 6
    with pytest.raises(DesignError):
        Model("y ~ 1 + (1 | study)", data, weights=np.full(6, 2.0))


def test_weakly_identified_slopes_warn() -> None:
    rows = {"g": [1, 1, 1, 1, 2, 3, 4], "x": [1.0, 2, 3, 5, 1, 2, 3]}
    with pytest.warns(DesignWarning, match="8 random effects for 7 rows"):
        compile_design("y ~ (x | g)", {"y": [1.0, 2, 4, 3, 1, 2, 5], **rows})


RANK = {
    "x + I(2 * x)": (("I(2 * x)",), "a combination of 'x'"),
    "x + I(1 - x)": (("I(1 - x)",), "a combination of 'Intercept', 'x'"),
    "f + I(f == 'b')": (("I(f == 'b')",), r"a combination of 'f\[b\]'"),
    "I(f == 'nobody') + x": (("I(f == 'nobody')",), "zero in every row"),
    "x + big": (("big",), "a combination of 'x'"),
}


@pytest.mark.parametrize("terms", RANK)
def test_dependent_columns_are_named(terms: str) -> None:
    dropped, why = RANK[terms]
    data = SMALL.assign(big=SMALL["x"] * 1e9)
    with pytest.warns(DesignWarning, match=why):
        design = compile_design(f"y ~ {terms}", data)
    assert design.dropped == dropped
    assert not set(design.coef) & set(dropped)
    np.testing.assert_array_equal(evaluate_new(design, data).X, design.X)
    assert f"dropped from X: {dropped[0]}" in repr(design)


def test_dependent_columns_in_any_position() -> None:
    rng = np.random.default_rng(5)
    independent = rng.normal(size=(200_000, 3)) * [1e-6, 1.0, 1e6]
    mixed = np.column_stack([independent, independent @ [1e6, 1.0, 1e-6]])
    for order in itertools.permutations(range(4)):
        found = dependent_columns(mixed[:, order])
        assert [dependence.column for dependence in found] == [3]
        assert found[0].on == (0, 1, 2)
    assert dependent_columns(independent) == ()
    nearly = np.column_stack([independent, independent[:, 1] + 1e-5 * rng.normal(size=200_000)])
    assert dependent_columns(nearly) == ()
