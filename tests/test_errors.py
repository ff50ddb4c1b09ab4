"""Exceptions and warnings: what they derive from and how they read."""

import pickle

import pytest

from bayeslmm import errors
from bayeslmm.errors import FormulaError, unknown_name


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("FormulaError", ValueError),
        ("DataError", ValueError),
        ("DesignError", ValueError),
        ("PriorError", ValueError),
        ("ArgumentError", ValueError),
        ("ArgumentTypeError", TypeError),
        ("FileError", ValueError),
        ("MissingAttributeError", AttributeError),
    ],
)
def test_exceptions_are_ours_and_the_built_in_kind(name, base):
    assert issubclass(getattr(errors, name), errors.BayeslmmError)
    assert issubclass(getattr(errors, name), base)


@pytest.mark.parametrize("name", ["DesignWarning", "ConvergenceWarning", "InterruptedWarning"])
def test_warnings_can_be_silenced_together(name):
    assert issubclass(getattr(errors, name), errors.BayeslmmWarning)
    assert issubclass(errors.BayeslmmWarning, UserWarning)


@pytest.mark.parametrize(
    ("formula", "position", "length", "shown"),
    [
        (None, None, 1, ["wrong"]),
        ("y ~ x", None, 1, ["wrong", "    y ~ x"]),
        ("y ~ x", 0, 1, ["wrong", "    y ~ x", "    ^"]),
        ("y ~ foo + z", 4, 3, ["wrong", "    y ~ foo + z", "        ^^^"]),
        ("y ~ (1 | g", 10, 1, ["wrong", "    y ~ (1 | g", "              ^"]),
        ("y ~ x", 4, 99, ["wrong", "    y ~ x", "        ^"]),
        ("y ~ x +\n  zz", 10, 2, ["wrong", "    y ~ x +", "      zz", "      ^^"]),
        ("y ~ zz\n + x", 4, 2, ["wrong", "    y ~ zz", "        ^^", "     + x"]),
        ("y ~\tx", 4, 1, ["wrong", "    y ~\tx", "       \t^"]),
        ("", 0, 1, ["wrong", "    ", "    ^"]),
    ],
)
def test_formula_error_marks_the_place(formula, position, length, shown):
    error = FormulaError("wrong", formula=formula, position=position, length=length)
    assert str(error).split("\n") == shown


def test_formula_error_survives_a_process_boundary():
    error = FormulaError("wrong", formula="y ~ x", position=4)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("given", "valid", "hint", "message"),
    [
        (
            "lm",
            ["nuts", "reml"],
            "",
            "unknown method 'lm'; valid: 'nuts', 'reml'.",
        ),
        (
            "REML",
            ["nuts", "reml", "ml"],
            "",
            "unknown method 'REML'; valid: 'nuts', 'reml', 'ml'. Did you mean 'reml'?",
        ),
        (
            "Dayz",
            ["Days", "days"],
            "",
            "unknown method 'Dayz'; valid: 'Days', 'days'. Did you mean 'Days' or 'days'?",
        ),
        (3, ["nuts"], "", "unknown method 3; valid: 'nuts'."),
        ("x", [], "Name one.", "unknown method 'x'; there are none. Name one."),
    ],
    ids=["far", "case", "two", "number", "none"],
)
def test_unknown_name(given, valid, hint, message):
    assert unknown_name("method", given, valid, hint) == message


def test_unknown_name_shortens_a_long_list_but_searches_all_of_it():
    message = unknown_name("column", "column_40", (f"column{i}" for i in range(50)))
    assert "'column29' and 20 more." in message
    assert "'column40'" in message
