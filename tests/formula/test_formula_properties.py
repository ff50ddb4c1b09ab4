"""What holds for every formula and every data frame."""

import warnings

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bayeslmm.design.build import compile_design
from bayeslmm.design.design import Design
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.errors import BayeslmmError, DesignWarning, FormulaError
from bayeslmm.formula.parsing import columns_of, parse
from bayeslmm.formula.tokens import tokenize

NUMBERS = ("x", "z")
CATEGORIES = ("f", "h")
GROUPS = ("g", "k", "t")

numeric = st.sampled_from(
    [*NUMBERS, "poly(x, 2)", "scale(z)", "I(x * z - 1)", "np.exp(x)", "I(-(x**2) / 2)"]
)
category = st.sampled_from([*CATEGORIES, "C(h, Sum)", "T(f, 'q')"])
atom = numeric | category
crossed = st.builds(
    lambda a, operator, b: f"{a}{operator}{b}",
    atom,
    st.sampled_from([" * ", ":", " / "]),
    atom,
)
term = atom | crossed
intercept = st.sampled_from(["", "1 + ", "0 + "])
side = st.builds(
    lambda start, terms: start + " + ".join(terms),
    intercept,
    st.lists(term, min_size=1, max_size=3),
)
factor = st.sampled_from([*GROUPS, "g:k", "g/k", "k:t"])
effects = st.sampled_from(
    ["1", "x", "0 + x", "1 + x", "0 + f", "f", "x + z", "poly(x, 2)", "x - 1"]
)
bar = st.builds(
    lambda form, left, right: form.format(left, right),
    st.sampled_from(["({} | {})", "({} || {})", "us({} | {})", "diag({} | {})", "id({} | {})"]),
    effects,
    factor,
)
formula = st.builds(
    lambda fixed, bars, offset: " + ".join([f"y ~ {fixed}", *bars, *offset]),
    side,
    st.lists(bar, max_size=2),
    st.sampled_from([(), ("offset(z)",), ("offset(log(w))",)]),
)


def data(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 2, n),
            "w": rng.uniform(1, 2, n),
            "f": pd.Categorical(rng.choice(list("qpr"), n), list("rqp")),
            "h": rng.choice(list("uvw"), n),
            "g": rng.choice([7, 10, 2, 100], n),
            "k": rng.choice(["a", "B", "c d"], n),
            "t": rng.choice([True, False], n),
        }
    )


def compiled(text: str, frame: pd.DataFrame) -> Design | None:
    """The design, or None for a model that the data cannot identify."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DesignWarning)
        try:
            return compile_design(text, frame)
        except BayeslmmError:
            return None


@given(formula, st.data())
def test_whitespace_and_brackets_change_nothing(text: str, draw: st.DataObject) -> None:
    spaces = st.sampled_from(["", " ", "  ", "\n", "\t"])
    pieces = []
    before = ""
    for token in tokenize(text):
        space = draw.draw(spaces)
        joins = before[-1:].isalnum() and token.text[:1].isalnum()
        pieces.append((space or " ") if joins else space)
        pieces.append(token.text)
        before = token.text
    first, second = parse(text), parse("".join(pieces))
    assert (first.response, first.fixed, first.offsets) == (
        second.response,
        second.fixed,
        second.offsets,
    )
    for one, other in zip(first.bars, second.bars, strict=True):
        assert (one.structure, one.effects, one.factor, one.uncorrelated) == (
            other.structure,
            other.effects,
            other.factor,
            other.uncorrelated,
        )
    left, right = text.split(" ~ ", 1)
    assert parse(f"{left} ~ ({right})").fixed == first.fixed


@given(formula)
def test_normal_form_is_stable(text: str) -> None:
    first = parse(text)
    again = parse(f"{first.response} ~ {first.fixed}")
    assert again.fixed == first.fixed
    assert columns_of(again.fixed) == columns_of(first.fixed)
    for one in first.bars:
        assert text[one.position : one.position + len(one.text)] == one.text
        assert parse(f"y ~ ({one.effects} | g)").bars[0].effects == one.effects


@given(st.text(alphabet="xyg01 ~|+-*/:()`'\",.=<>^np.logIC_", max_size=30))
def test_any_text_is_parsed_or_refused_with_a_place(text: str) -> None:
    try:
        parsed = parse(text)
    except FormulaError as caught:
        error = caught
    else:
        assert parse(f"{parsed.response} ~ {parsed.fixed}").fixed == parsed.fixed
        return
    assert error.position is None or 0 <= error.position <= len(text)
    assert str(error)


@given(formula, st.integers(0, 5))
def test_new_data_equal_to_the_old_give_the_same_design(text: str, seed: int) -> None:
    frame = data(60, seed)
    design = compiled(text, frame)
    if design is None:
        return
    new = evaluate_new(design, frame.drop(columns="y"))
    np.testing.assert_array_equal(new.X, design.X)
    for one, other in zip(new.factors, design.factors, strict=True):
        np.testing.assert_array_equal(one.Z, other.Z)
        np.testing.assert_array_equal(one.codes, other.codes)
    if design.offset is not None:
        np.testing.assert_array_equal(new.offset, design.offset)


def expanded(crossing: tuple[str, str, str]) -> list[frozenset[str]]:
    """The terms that a crossing stands for, as sets of columns."""
    a, operator, b = crossing
    both = frozenset((a, b))
    return {
        "+": [frozenset((a,)), frozenset((b,))],
        ":": [both],
        "*": [frozenset((a,)), frozenset((b,)), both],
        "/": [frozenset((a,)), both],
    }[operator]


def products(frame: pd.DataFrame, columns: frozenset[str]) -> np.ndarray:
    """All products of all indicators (or of the numbers) of some columns."""
    product = np.ones((len(frame), 1))
    for name in sorted(columns):
        column = frame[name]
        block = (
            column.to_numpy()[:, None]
            if name in NUMBERS
            else np.column_stack([column == level for level in column.unique()]).astype(float)
        )
        product = np.einsum("ni,nj->nij", product, block).reshape(len(frame), -1)
    return product


column = st.sampled_from([*NUMBERS, *CATEGORIES])
crossing = st.tuples(column, st.sampled_from("+:*/"), column)


@given(st.booleans(), st.lists(crossing, min_size=1, max_size=4))
def test_fixed_effects_span_their_terms(
    with_intercept: bool, crossings: list[tuple[str, str, str]]
) -> None:
    frame = data(120, 0)
    text = " + ".join(f"{a} {operator} {b}" for a, operator, b in crossings)
    design = compile_design(f"y ~ {int(with_intercept)} + {text}", frame)
    terms = {term for part in crossings for term in expanded(part)}
    full = np.hstack(
        [
            np.ones((120, int(with_intercept))),
            *(products(frame, term) for term in sorted(terms, key=sorted)),
        ]
    )
    rank = np.linalg.matrix_rank(full)
    assert design.X.shape[1] == rank
    assert np.linalg.matrix_rank(np.hstack([full, design.X])) == rank


@given(formula, st.integers(0, 5))
def test_permuted_rows_permute_the_design(text: str, seed: int) -> None:
    frame = data(60, seed)
    order = np.random.default_rng(seed + 1).permutation(60)
    design, permuted = compiled(text, frame), compiled(text, frame.iloc[order])
    assert (design is None) == (permuted is None)
    if design is None or permuted is None:
        return
    assert permuted.coef == design.coef
    assert permuted.index.tolist() == order.tolist()
    np.testing.assert_array_equal(permuted.y, design.y[order])
    # Means and orthogonal polynomials depend on the order of summation.
    np.testing.assert_allclose(permuted.X, design.X[order], atol=1e-10)
    for one, other in zip(permuted.factors, design.factors, strict=True):
        assert one.levels == other.levels
        assert one.codes.tolist() == other.codes[order].tolist()
        np.testing.assert_allclose(one.Z, other.Z[order], atol=1e-10)


@given(
    st.lists(st.sampled_from("abcde"), min_size=8, max_size=20),
    st.permutations(["v", "W", "nan", "a:b", "<i>"]),
)
def test_relabelled_levels_group_alike(values: list[str], names: list[str]) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=2 * len(values)), "g": values * 2})
    relabel = dict(zip("abcde", names, strict=True))
    design = compiled("y ~ (1 | g)", frame)
    other = compiled("y ~ (1 | g)", frame.assign(g=frame["g"].map(relabel)))
    assert design is not None
    assert other is not None
    (one,), (two,) = design.factors, other.factors
    assert two.levels == tuple(sorted(relabel[level] for level in one.levels))
    assert [two.levels[i] for i in two.codes] == [relabel[one.levels[i]] for i in one.codes]


@given(formula, st.integers(0, 3), st.sets(st.integers(0, 59), max_size=8))
def test_missing_rows_are_as_if_they_were_not_there(text: str, seed: int, rows: set[int]) -> None:
    frame = data(60, seed)
    gaps = frame.copy()
    gaps.loc[sorted(rows), ["x", "z", "y"]] = np.nan
    design, short = compiled(text, gaps), compiled(text, frame.drop(index=sorted(rows)))
    assert (design is None) == (short is None)
    if design is None or short is None:
        return
    assert design.n_dropped == len(rows)
    assert design.index.tolist() == short.index.tolist()
    np.testing.assert_array_equal(design.X, short.X)
    for one, other in zip(design.factors, short.factors, strict=True):
        assert one.levels == other.levels
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.Z, other.Z)
