"""Checks of numbers and truth values: what is taken, and how the rest is refused."""

from fractions import Fraction

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.errors import ArgumentError, ArgumentTypeError
from bayeslmm.support.arguments import one_of, real_number, truth_value, whole_number


def whole(value):
    return whole_number("n", value, 0, 2**64 - 1)


def real(value):
    return real_number("level", value, 0, 1)


def truth(value):
    return truth_value("collapse", value)


TAKEN = [
    (whole, 0, 0),
    (whole, np.uint64(2**64 - 1), 2**64 - 1),
    (real, 0.5, 0.5),
    (real, np.float32(0.25), 0.25),
    (real, Fraction(1, 4), 0.25),
    (truth, False, False),
]


@pytest.mark.parametrize(("check", "given", "expected"), TAKEN)
def test_taken(check, given, expected):
    assert check(given) == expected
    assert type(check(given)) is type(expected)


def method(value):
    return one_of("method", value, ("reml", "ml"), "See the docs.")


REFUSED = [
    (method, "RML", ArgumentError, "unknown method 'RML'; valid: 'reml', 'ml'. Did you mean"),
    (method, 3, ArgumentError, "unknown method 3; .* See the docs"),
    (method, ["reml"], ArgumentError, "unknown method"),
    (whole, -1, ArgumentError, "`n` should be a whole number from 0 to 18446744073709551615, got"),
    (whole, 2**64, ArgumentError, "got 18446744073709551616"),
    (whole, 2.0, ArgumentError, r"got 2\.0"),
    (whole, True, ArgumentTypeError, "got True"),
    (whole, "1", ArgumentTypeError, "got '1'"),
    (whole, None, ArgumentTypeError, "got None"),
    (real, 1, ArgumentError, "`level` should be between 0 and 1, got 1"),
    (real, np.nan, ArgumentError, "got nan"),
    (real, "0.8", ArgumentTypeError, "got '0.8'"),
    (real, np.True_, ArgumentTypeError, "got np.True_"),
    (truth, "no", ArgumentTypeError, "`collapse` should be True or False, got 'no'"),
    (truth, 0, ArgumentTypeError, "got 0"),
]


@pytest.mark.parametrize(("check", "given", "error", "message"), REFUSED)
def test_refused(check, given, error, message):
    with pytest.raises(error, match=message):
        check(given)


def test_names_of_methods_have_any_case():
    assert [method(name) for name in ("REML", "Reml", "ml")] == ["reml", "reml", "ml"]
    model = bl.Model("Reaction ~ Days + (1 | Subject)", bl.load_dataset("sleepstudy"))
    fit = model.fit("REML", algorithm="EM")
    assert (fit.method, fit.algorithm) == ("reml", "em")
    assert fit.confint("Wald").equals(fit.confint("wald"))
    assert fit.summary(df="Kenward-Roger").equals(fit.summary(df="kenward-roger"))
    assert fit.residuals("Pearson").equals(fit.residuals("pearson"))
    assert bl.compare([fit, fit.update("Reaction ~ 1 + (1 | Subject)")], refit="ML").shape[0] == 2
    assert bl.select_structure(model, [None, bl.CS(group="Subject")], "ML").method == "ml"
