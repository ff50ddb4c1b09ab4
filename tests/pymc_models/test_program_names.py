"""Programs of data with any names: nothing from the data is code, and the density is right."""

import ast
import io
import tokenize

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import bayeslmm as bl
from tests.pymc_models.test_program import run, same_density

SIGNS = "\"'\\{}#$/:[]"
ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
INJECTED = "a\rprint('INJECTED'),#"
ATTACKS = [
    INJECTED,
    *(f"a{end}exit()#" for end in ENDS if end != "\n"),
    "coding: utf-7 +AAo-raise SystemExit(1)+AAo-",
    '"]); raise SystemExit(1) #',
    "'''",
    '"""',
    "\\",
    '\\"',
    "{__import__('os')}",
    "%s{0}",
    "a/b",
    "x²",
    "ﬁ",
    "ｐｍ",
    "\u202eabc",
    "class",
    "match",
    "😀",
    "ª",
    "1st",
    "design.",
    "# = slopes(",
]
"""Names, of which a carriage return ends a comment, a cookie sets the encoding of a file, others
end a string, and letters are read by Python as others."""

OWN_CALLS = {"abs", "correlations", "len", "list", "map", "max", "min", "range"}
"""Functions that programs call by a bare name."""

names = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(ENDS + SIGNS)),
        min_size=1,
        max_size=12,
    ),
)


def of(group, x, y, levels, formula="`{y}` ~ `{x}` + f + (1 + `{x}` | `{group}`)"):
    """A model whose columns and levels have these names, and its data."""
    rng = np.random.default_rng(1)
    n = 24
    data = pd.DataFrame(
        {
            y: rng.normal(5, 2, n),
            x: rng.normal(size=n),
            group: np.repeat([f"{level}{i}" for i, level in enumerate(levels * 2)], n // 4),
            "f": np.tile(levels, n // 2),
        }
    )
    return bl.Model(formula.format(y=y, x=x, group=group), data), data


def check_safe(code):
    """A program has no code and no comment but its own."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        assert token.type != tokenize.COMMENT or token.string.isprintable()
    assert tokenize.detect_encoding(io.BytesIO(code.encode()).readline)[0] == "utf-8"
    assert len(code.splitlines()) == code.count("\n")
    calls = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert {call.id for call in calls if isinstance(call, ast.Name)} <= OWN_CALLS


@pytest.mark.parametrize("attack", ATTACKS)
def test_programs_of_hostile_names_run(attack, capsys):
    model, data = of(attack, f"{attack} x", f"{attack} y", [attack, "b"])
    check_safe(model.code())
    run(model, data)
    assert "INJECTED" not in capsys.readouterr().out


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(names, min_size=3, max_size=3, unique=True), st.lists(names, min_size=2, max_size=2)
)
def test_programs_of_any_names_are_safe(columns, levels):
    assume(all("`" not in name and "\n" not in name and name.strip() for name in columns))
    assume("f" not in columns and levels[0] != levels[1])
    try:
        model, _ = of(*columns, levels=list(levels))
    except bl.errors.BayeslmmError:
        assume(False)
    check_safe(model.code())


COLLIDING = [
    ("sigma", "beta", "u_sigma"),
    ("float", "row_float", "sd_float"),
    ("x y", "x_y", "x-y"),
    ("all", "R", "K_all"),
    ("x", "row_x", "z_x"),
    ("g", "g_1", "L_g"),
    ("a/b", "a_b", "a:b"),
    ("ﬁ", "fi", "pm"),
    ("formula", "data", "bl"),
]


@pytest.mark.parametrize("trio", COLLIDING, ids=str)
def test_names_that_meet_each_other_or_the_programs(trio):
    rng = np.random.default_rng(2)
    n = 36
    data = pd.DataFrame(
        {name: rng.integers(0, 3 + i, n).astype(str) for i, name in enumerate(trio)}
    )
    data = data.assign(value=rng.normal(size=n), w=rng.normal(size=n))
    one, two, three = trio
    bars = f"(w | `{one}`) + (1 | `{two}`) + (1 | `{three}`)"
    model = bl.Model(f"value ~ w + {bars}", data)
    same_density(model, data)


@pytest.mark.parametrize("response", ["beta", "sigma", "u_g", "sd_g", "cholesky_g", "a/b"])
def test_a_response_with_the_name_of_a_parameter(response):
    model, data = of("g", "x", response, ["a", "b"])
    same_density(model, data)
    assert len(model.pymc.potentials) == 1


def test_options_of_structures_are_written_for_the_design():
    data = bl.load_dataset("Orthodont").astype({"age": int})
    G = {"Subject": bl.AR1(variance=bl.VarPower("age"), rho=bl.Uniform(0, 1))}
    model = bl.Model(
        "distance ~ poly(age, 2) + (0 + age | Subject)", data.astype({"age": int}), G=G
    )
    assert 'bl.AR1(variance=bl.VarPower("age"))' in model.code()


@example("007")
@example("٣")
@example("1" * 5000)
@settings(max_examples=5, deadline=None)
@given(st.text(st.characters(categories=["Nd"]), min_size=1, max_size=5))
def test_levels_that_look_like_numbers(level):
    model, data = of("g", "x", "y", [level, "b"])
    run(model, data)
