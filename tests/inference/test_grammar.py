"""Strings that state hypotheses: what they mean, and where they are wrong."""

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.inference.grammar import parse_expression, parse_statement

VALUES = {
    "Days": 10.0,
    "sigma": 25.0,
    "sd_Subject[Days]": 6.0,
    "corr_Subject[Intercept, Days]": 0.1,
    "icc[adjusted]": 0.7,
    "age:Sex[Male]": 0.3,
    "I(x > 2)[True]": 1.5,
    "np.log(x)": -2.0,
    "年": 3.0,
}
NAMES = {name: name for name in VALUES} | {"icc": "icc[adjusted]", "beta[Days]": "Days"}

MEANINGS = {
    "Days > 5": (5.0, ">"),
    "beta[Days]>=5": (5.0, ">"),
    "Days = 2*np.log(x)": (14.0, "="),
    "Days - 2 == 0": (8.0, "="),
    "icc < 1/2": (0.2, "<"),
    "sd_Subject[Days]**2 / sigma**2 > 0.1": (36 / 625 - 0.1, ">"),
    "corr_Subject[Intercept,Days] <= -(0.2)": (0.3, "<"),
    "-age:Sex[Male] + I(x > 2)[True] > 年": (-1.8, ">"),
    "exp(np.log(x)) > sqrt(abs(-sigma))": (np.exp(-2) - 5, ">"),
    "2 ** -2 * Days = log(1)": (2.5, "="),
    " Days\n > 5 ": (5.0, ">"),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_statements(text):
    statement = parse_statement(text, NAMES)
    value, relation = MEANINGS[text]
    assert statement.relation == relation
    found = statement.difference.at({name: np.array(own) for name, own in VALUES.items()})
    np.testing.assert_allclose(found, value)


LINEAR = {
    "Days": ({"Days": 1.0}, 0.0),
    "-(Days - 2) * 3": ({"Days": -3.0}, 6.0),
    "Days / 4 + sigma - Days": ({"Days": -0.75, "sigma": 1.0}, 0.0),
    "2 * (sigma + 1) * 3": ({"sigma": 6.0}, 6.0),
    "+Days + exp(0)": ({"Days": 1.0}, 1.0),
    "Days * sigma": None,
    "Days / sigma": None,
    "Days ** 1": None,
    "abs(Days)": None,
    "Days / 0": None,
}


@pytest.mark.parametrize("text", LINEAR)
def test_linear_functions_are_told_from_others(text):
    assert parse_expression(text, NAMES).linear == LINEAR[text]


# the text, what the message says, and where the carets are
WRONG = [
    ("Days >", "expression is missing", "      ^"),
    ("> 5", "expression is missing", "^"),
    ("Days + > 3", "cannot be read", "      ^"),
    ("Dayz > 3", "Did you mean 'Days'", "^^^^"),
    ("2 * sd_Subject[Dayz] > 1", "Did you mean 'sd_Subject", "    ^^^^^^^^^^^^^^^^"),
    ("0 < Days < 5", "two relations", "         ^"),
    ("Days != 2", "has one of =, < and >", "     ^^"),
    ("Days", "states a relation", "    ^"),
    ("5 > 3", "no quantity of the model", "^^^^^"),
    ("Days ^ 2 > 1", "and nothing else", "^^^^^^^^"),
    ("(Days > 1", "cannot be read", "^"),
    ("Days + (sigma * > 1", "cannot be read", "       ^"),
    ("sigma > __import__('os')", "and nothing else", "        ^^^^^^^^^^^^^^^^"),
    ("sigma > [1, 2]", "and nothing else", "        ^^^^^^"),
    ("Days.real > 1", "unknown quantity 'Days.real'", "^^^^^^^^^"),
    ("年 + 月 > 2", "unknown quantity '月'", "    ^"),
    ("Days > True", "and nothing else", "       ^^^^"),
    ("Days Days > 1", "cannot be read", "     ^"),
]


@pytest.mark.parametrize(("text", "message", "carets"), WRONG)
def test_the_place_of_an_error_is_marked(text, message, carets):
    with pytest.raises(bl.ArgumentError) as caught:
        parse_statement(text, NAMES)
    first, shown, marks = str(caught.value).split("\n")
    assert message in first
    assert shown == f"    {text}"
    assert marks == f"    {carets}"


def test_a_hypothesis_is_a_text():
    with pytest.raises(bl.ArgumentTypeError, match="such as 'Days > 5', got int"):
        parse_statement(5, NAMES)
