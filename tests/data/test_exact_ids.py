"""Whole numbers beyond 2**53, which double precision does not tell apart, as levels of anything."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayeslmm as bl
from bayeslmm.data.frames import level_label, read
from bayeslmm.data.levels import group
from bayeslmm.design.build import compile_design
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.errors import DataError

FIRST = 2**53
IDS = [FIRST + i // 3 for i in range(12)]
"""Four ids of three rows each, of which doubles tell three apart at most."""
LEVELS = tuple(str(FIRST + i) for i in range(4))
X = [0.0, 1.0, 2.0] * 4
Y = [1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 2.0, 2.5, 6.0, 3.5, 1.5, 4.0]
GAP = 12
"""The row without an id, where a kind of column can have one."""


def pandas_column(ids: list[int | None], dtype: object) -> pd.Series[Any]:
    return pd.Series(pd.array([pd.NA if i is None else i for i in ids], dtype=dtype))  # type: ignore[call-overload]


WITH_GAPS = {
    "object ints and None": lambda ids: pd.Series(ids, dtype=object),
    "object ints and NaN": lambda ids: pd.Series(
        [np.nan if i is None else i for i in ids], dtype=object
    ),
    "object ints and NA": lambda ids: pd.Series(
        [pd.NA if i is None else i for i in ids], dtype=object
    ),
    "object ints and NaT": lambda ids: pd.Series(
        [pd.NaT if i is None else i for i in ids], dtype=object
    ),
    "NumPy ints among objects": lambda ids: pd.Series(
        [None if i is None else np.int64(i) for i in ids], dtype=object
    ),
    "Decimal": lambda ids: pd.Series(
        [None if i is None else decimal.Decimal(i) for i in ids], dtype=object
    ),
    "Int64": lambda ids: pandas_column(ids, "Int64"),
    "UInt64": lambda ids: pandas_column(ids, "UInt64"),
    "int64[pyarrow]": lambda ids: pandas_column(ids, "int64[pyarrow]"),
    "uint64[pyarrow]": lambda ids: pandas_column(ids, "uint64[pyarrow]"),
    "decimal[pyarrow]": lambda ids: pd.Series(
        pd.array(
            [None if i is None else decimal.Decimal(i) for i in ids],
            dtype=pd.ArrowDtype(pa.decimal128(20, 2)),
        )
    ),
    "text of a Categorical of ints": lambda ids: pd.Series(pd.Categorical(ids)),
    "text": lambda ids: pd.Series([None if i is None else str(i) for i in ids]),
}
PANDAS_WITHOUT = {
    "int64": lambda ids: pd.Series(ids, dtype="int64"),
    "uint64": lambda ids: pd.Series(ids, dtype="uint64"),
}


def frames(ids: list[int | None]) -> dict[str, Any]:
    """The same data as every kind of frame."""
    columns = {"y": [*Y, 9.0][: len(ids)], "x": [*X, 0.5][: len(ids)]}
    kinds = WITH_GAPS if None in ids else WITH_GAPS | PANDAS_WITHOUT
    found = {
        f"pandas {kind}": pd.DataFrame(columns | {"id": make(ids)}) for kind, make in kinds.items()
    }
    for dtype in (pl.Int64, pl.UInt64, pl.Decimal(20, 0), pl.Int128):
        series = pl.Series("id", ids, dtype=dtype)
        found[f"polars {dtype}"] = pl.DataFrame(columns | {"id": series})
        found[f"polars lazy {dtype}"] = pl.DataFrame(columns | {"id": series}).lazy()
        found[f"dict of polars {dtype}"] = columns | {"id": series}
    for arrow in (pa.int64(), pa.uint64(), pa.decimal128(20), pa.decimal256(40, 3)):
        values: list[Any] = list(ids)
        if pa.types.is_decimal(arrow):
            values = [None if i is None else decimal.Decimal(i) for i in ids]
        array = pa.array(values, type=arrow)
        found[f"pyarrow {arrow}"] = pa.table(columns | {"id": array})
        found[f"dict of pyarrow {arrow}"] = columns | {"id": pa.chunked_array([array])}
        found[f"pyarrow dictionary of {arrow}"] = pa.table(
            columns | {"id": array.dictionary_encode()}
        )
    found["dict of lists"] = columns | {"id": ids}
    found["dict of tuples"] = columns | {"id": tuple(ids)}
    found["dict of object arrays"] = columns | {"id": np.array(ids, dtype=object)}
    return found


COMPLETE = frames(list(IDS))
GAPPED = frames([*IDS, None])


@pytest.mark.parametrize("kind", COMPLETE)
def test_ids_of_every_kind_stay_apart(kind: str) -> None:
    factor = compile_design("y ~ x + (1 | id)", COMPLETE[kind]).factors[0]
    assert factor.levels == LEVELS
    assert factor.codes.tolist() == [i // 3 for i in range(12)]


@pytest.mark.parametrize("kind", GAPPED)
def test_ids_of_every_kind_stay_apart_beside_a_missing_one(kind: str) -> None:
    design = compile_design("y ~ x + (1 | id)", GAPPED[kind])
    assert design.factors[0].levels == LEVELS
    assert design.factors[0].codes.tolist() == [i // 3 for i in range(12)]
    assert design.missing == {"id": 1}


@pytest.mark.parametrize("kind", COMPLETE)
def test_new_data_of_every_kind_match_ids_of_every_kind(kind: str) -> None:
    data = pd.DataFrame({"y": Y, "x": X, "id": IDS})
    design = compile_design("y ~ x + (1 | id)", data)
    new = evaluate_new(design, COMPLETE[kind])
    assert new.factors[0].codes.tolist() == design.factors[0].codes.tolist()
    # and the other way round, beside an id that is not there
    design = compile_design("y ~ x + (1 | id)", COMPLETE[kind])
    new = evaluate_new(design, data.assign(id=data["id"] + 1))
    assert new.factors[0].codes.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, -1, -1, -1]


@pytest.mark.parametrize("kind", GAPPED)
def test_new_data_with_a_missing_id_are_refused(kind: str) -> None:
    design = compile_design("y ~ x + (1 | id)", GAPPED[kind])
    with pytest.raises(DataError, match=r"missing values: 'id' in 1 row \(12\)"):
        evaluate_new(design, GAPPED[kind])


@pytest.mark.parametrize("kind", GAPPED)
def test_categories_of_ids_are_exact(kind: str) -> None:
    model = bl.Model("y ~ 0 + C(id)", GAPPED[kind])
    assert model.design.coef == tuple(f"C(id)[{level}]" for level in LEVELS)
    np.testing.assert_array_equal(model.design.X.argmax(axis=1), [i // 3 for i in range(12)])
    new = COMPLETE["pandas int64"].iloc[[0, 11]]
    np.testing.assert_array_equal(evaluate_new(model.design, new).X.argmax(axis=1), [0, 3])


@pytest.mark.parametrize("term", ["C(id, Treatment({}))", "T(id, {})", "S(id, {})", "I(id == {})"])
def test_an_id_in_a_formula_is_exact(term: str) -> None:
    data = COMPLETE["pandas int64"]
    text = term.format(FIRST + 1)
    design = compile_design(f"y ~ {text}", data)
    of_text = {
        "C": f"C(id, Treatment('{FIRST + 1}'))",
        "T": f"T(id, '{FIRST + 1}')",
        "S": f"S(id, '{FIRST + 1}')",
        "I": f"I(id == '{FIRST + 1}')",
    }[text[0]]
    same = compile_design(f"y ~ {of_text}", data.assign(id=data["id"].astype(str)))
    np.testing.assert_array_equal(design.X, same.X)
    new = data.iloc[[4, 7]]
    np.testing.assert_array_equal(evaluate_new(design, new).X, design.X[[4, 7]])


@pytest.mark.parametrize("kind", GAPPED)
def test_subjects_and_strata_of_residuals_are_exact(kind: str) -> None:
    """Against the same ids as text."""
    text = pd.DataFrame({"y": Y, "x": X, "id": [str(i) for i in IDS]})
    structure = bl.AR1(time="x", group="id", by="id")
    found = compile_design("y ~ 1", GAPPED[kind], R=structure).residuals
    same = compile_design("y ~ 1", text, R=structure).residuals
    assert found is not None
    assert same is not None
    assert (found.sigmas, found.strata) == (same.sigmas, same.strata)
    np.testing.assert_array_equal(found.rows.block, same.rows.block)
    np.testing.assert_array_equal(found.rows.sigma, same.rows.sigma)
    np.testing.assert_array_equal(found.rows.stratum, same.rows.stratum)


def test_strata_of_random_effects_are_exact() -> None:
    rows = [str(i // 2) for i in range(12)]
    strata = [IDS[0]] * 6 + [IDS[0] + 1] * 6
    plain = {"y": Y, "x": X, "row": rows, "id": strata}
    design = compile_design("y ~ 1 + (1 | row)", plain, G={"row": bl.UN(by="id")})
    assert [bar.stratum for bar in design.factors[0].bars] == [str(FIRST), str(FIRST + 1)]
    new = {"x": [0.0], "row": ["0"], "id": [FIRST + 1]}
    with pytest.raises(DataError, match="lies in another stratum"):
        evaluate_new(design, new)


TIMES = [FIRST, FIRST + 1, FIRST + 4] * 4
"""Of which doubles take the first two for one."""


@pytest.mark.parametrize("structure", [bl.CAR1, bl.Exp, bl.AR1])
def test_times_of_residuals_are_exact(structure: type[bl.CAR1]) -> None:
    data = {"y": Y, "t": np.array(TIMES), "g": [i // 3 for i in range(12)]}
    found = compile_design("y ~ 1", data, R=structure(time="t", group="g")).residuals
    small = data | {"t": np.array(TIMES) - FIRST}
    same = compile_design("y ~ 1", small, R=structure(time="t", group="g")).residuals
    assert found is not None
    assert same is not None
    assert found.occasions == tuple(str(FIRST + i) for i in (0, 1, 4))
    np.testing.assert_array_equal(found.rows.point, same.rows.point)
    np.testing.assert_array_equal(found.rows.place, same.rows.place)
    assert found.spacing == same.spacing


def test_two_times_of_residuals_are_exact() -> None:
    data = {"y": Y, "t": np.array(TIMES), "s": [0.0, 1.0] * 6, "g": [i // 6 for i in range(12)]}
    data["t"] = FIRST + np.array([0, 0, 1, 1, 4, 4] * 2)
    structure = bl.Exp(time=("t", "s"), group="g")
    found = compile_design("y ~ 1", data, R=structure).residuals
    assert found is not None
    assert len(found.occasions) == 6
    np.testing.assert_array_equal(np.unique(found.rows.place[:, 0]), [0, 1, 4])


def test_times_of_random_effects_are_exact() -> None:
    rng = np.random.default_rng(1)
    times = np.tile(TIMES[:3], 20)
    data = {"y": rng.normal(size=60), "g": np.repeat(np.arange(10), 6)}
    formula = "y ~ 1 + car1(0 + C(t) | g)"
    design = compile_design(formula, data | {"t": times})
    same = compile_design(formula, data | {"t": times - FIRST})
    shape, expected = design.factors[0].bars[0].shape, same.factors[0].bars[0].shape
    assert shape is not None
    assert expected is not None
    np.testing.assert_array_equal(shape.distances, expected.distances)
    assert design.factors[0].effects == tuple(f"C(t)[{FIRST + i}]" for i in (0, 1, 4))


def test_rows_of_weights_are_matched_exactly() -> None:
    data = pd.DataFrame({"y": Y, "x": X}, index=pd.Index([FIRST + 1 + i for i in range(12)]))
    weights = pd.Series(np.arange(1.0, 13), index=data.index)
    design = compile_design("y ~ x", data, weights=weights)
    np.testing.assert_array_equal(design.weights, weights)
    rounded = weights.set_axis(data.index.astype(np.float64))
    assert data.index.equals(rounded.index)  # to pandas
    with pytest.raises(DataError, match="index is not that of the data"):
        compile_design("y ~ x", data, weights=rounded)


KNOWN = 0.5 * np.eye(4) + 0.5
NAMES = {
    "ints": [FIRST + i for i in range(4)],
    "Decimals": [decimal.Decimal(FIRST + i) for i in range(4)],
    "text": list(LEVELS),
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("kind", GAPPED)
def test_known_relationships_of_ids_are_exact(kind: str, names: str) -> None:
    for known in (
        bl.Known(pd.DataFrame(KNOWN, NAMES[names], NAMES[names])),
        bl.Known(KNOWN, levels=NAMES[names]),
    ):
        assert known.levels == LEVELS
        related = (
            compile_design("y ~ x + (1 | id)", GAPPED[kind], G={"id": known}).factors[0].related
        )
        assert related is not None
        np.testing.assert_array_equal(related.matrix, KNOWN)


def test_known_correlations_of_times_are_exact() -> None:
    data = {"y": Y, "t": np.array(TIMES), "g": [i // 3 for i in range(12)]}
    times = TIMES[:3]
    K = pd.DataFrame([[1, 0.5, 0.2], [0.5, 1, 0.3], [0.2, 0.3, 1]], times, times)
    found = compile_design("y ~ 1", data, R=bl.Known(K, time="t", group="g")).residuals
    assert found is not None
    np.testing.assert_array_equal(found.rows.known, K)


def test_names_of_known_that_may_have_been_merged_are_refused() -> None:
    names = np.array([FIRST + 2.0 * i for i in range(4)])
    with pytest.raises(DataError, match="do not tell neighbours apart"):
        bl.Known(pd.DataFrame(KNOWN, names, names))
    with pytest.raises(DataError, match="do not tell neighbours apart"):
        bl.Known(KNOWN, levels=names)


@pytest.mark.parametrize(
    "column",
    [
        [FIRST, FIRST + 1, None, None],
        pd.array([FIRST, FIRST + 1, None, None], dtype="Int64"),
        pl.Series([FIRST, FIRST + 1, None, None]),
        pa.chunked_array([pa.array([FIRST, FIRST + 1, None, None])]),
    ],
)
def test_animals_of_a_pedigree_are_exact(column: object) -> None:
    pedigree = {
        "id": [FIRST + 3, FIRST + 2, FIRST, FIRST + 1],
        "sire": column,
        "dam": [None, None, None, None],
    }
    inverse = bl.pedigree_inverse(pedigree)
    assert inverse.levels == tuple(str(FIRST + i) for i in (3, 2, 0, 1))
    K = np.linalg.inv(inverse.matrix.toarray())
    np.testing.assert_allclose(K[0], [1, 0, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(K[1], [0, 1, 0, 0.5], atol=1e-12)


def test_a_level_is_found_by_its_number() -> None:
    data = pd.DataFrame({"y": Y, "x": X, "id": IDS})
    fit = bl.Model("y ~ x + (1 | id)", data).fit("reml")
    assert fit.model.design.factors[0].levels == LEVELS
    again = fit.update(data=data.astype({"id": "Int64"}))
    assert again.model.design.factors[0].levels == LEVELS


MERGED = {
    "float64": np.array(IDS, dtype=np.float64),
    "float32": np.array([2**24 + i // 3 for i in range(12)], dtype=np.float32),
    "longdouble": np.array(IDS, dtype=np.longdouble),
    "Float64": pd.array(np.array(IDS, dtype=np.float64), dtype="Float64"),
    "objects": [*map(float, IDS[:6]), *IDS[6:]],
    "lists": [*map(float, IDS)],
}


@pytest.mark.parametrize("kind", MERGED)
def test_ids_that_floats_may_have_merged_are_refused(kind: str) -> None:
    data = {"y": Y, "x": X, "id": MERGED[kind]}
    with pytest.raises(DataError, match=r"'id' holds the whole number .* do not tell neighbours"):
        compile_design("y ~ x + (1 | id)", data)
    if kind != "float32":  # which formulas compute with as float64
        with pytest.raises(DataError, match="do not tell neighbours apart"):
            compile_design("y ~ C(id)", data)


def test_large_measurements_of_few_digits_are_levels() -> None:
    data = {"y": Y, "x": X, "dose": np.repeat([1e15, 1e16, 2e18, 3e300], 3)}
    levels = compile_design("y ~ x + (1 | dose)", data).factors[0].levels
    assert levels == ("1" + "0" * 15, "1" + "0" * 16, "2" + "0" * 18, "3e+300")
    ints = data | {"dose": [10**15] * 3 + [10**16] * 3 + [2 * 10**18] * 6}
    assert compile_design("y ~ x + (1 | dose)", ints).factors[0].levels == levels[:3]


def test_decimals_are_levels_by_their_value() -> None:
    """0.1 is the nearest double's decimal, and another decimal beside it is another level."""
    one, other = decimal.Decimal("0.1"), decimal.Decimal("0.10000000000000000001")
    values = [one, decimal.Decimal("0.100"), other, decimal.Decimal("3.00")]
    data = {"y": Y[:4], "d": values}
    grouping = group([read(data, ["d"]).columns["d"]])
    assert grouping.levels == ("0.1", "0.10000000000000000001", "3")
    assert grouping.codes.tolist() == [0, 0, 1, 2]
    assert level_label(0.1) == level_label(one)
    assert level_label(decimal.Decimal("1E+3")) == level_label(1000.0) == "1000"
    assert level_label(decimal.Decimal("1E+30")) == level_label(10**30)


@pytest.mark.parametrize("ids", [[2**70, 2**70 + 1, -(2**70)], [-1, 2**64 - 1, 2**64 - 2]])
def test_whole_numbers_of_any_size_are_levels(ids: list[int]) -> None:
    data = {"y": Y[:6], "id": ids * 2}
    factor = compile_design("y ~ 1 + (1 | id)", data).factors[0]
    assert factor.levels == tuple(map(str, sorted(ids)))


@pytest.mark.parametrize("kind", ["Int64", "uint64[pyarrow]", "objects", "polars"])
def test_ids_survive_a_file(kind: str, tmp_path: Path) -> None:
    columns: dict[str, Any] = {"y": [*Y, 1.0], "x": [*X, 1.0]}
    ids = [2**64 - 10 + i // 3 for i in range(12)] if kind == "uint64[pyarrow]" else IDS
    if kind == "polars":
        data: Any = pl.DataFrame(columns | {"id": [*ids, None]})
    elif kind == "objects":
        data = pd.DataFrame(columns | {"id": pd.Series([*ids, None], dtype=object)})
    else:
        data = pd.DataFrame(columns | {"id": pd.array([*ids, pd.NA], dtype=kind)})
    fit = bl.Model("y ~ x + (1 | id)", data).fit("reml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert again.model.design.factors[0].levels == tuple(map(str, sorted(set(ids))))
    assert again.model.design.factors[0].codes.tolist() == [i // 3 for i in range(12)]
