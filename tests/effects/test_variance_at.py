"""The correlation of two responses at covariates, and parts of the variance: by dense algebra."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from tests.oracles.fits_cache import likelihood, posterior

ORTHODONT = bl.load_dataset("Orthodont")


def correlations(V):
    sd = np.sqrt(np.diag(V))
    return np.asarray(V / np.outer(sd, sd))


def subject(**structure):
    return {"time": "age", "group": "Subject"} | structure


# formula, R, G, what else the variance depends on
MODELS = {
    "slopes": ("distance ~ age + (age | Subject)", None, None, {}),
    "AR1 and an intercept": ("distance ~ age + (1 | Subject)", bl.AR1(**subject()), None, {}),
    "UN": ("distance ~ age", bl.UN(**subject()), None, {}),
    "Toep": ("distance ~ age", bl.Toep(**subject()), None, {}),
    "power": (
        "distance ~ age + (1 | Subject)",
        bl.CAR1(**subject(variance=bl.VarPower("age"))),
        None,
        {},
    ),
    "strata of R": ("distance ~ age", bl.ARH1(**subject(by="Sex")), None, {"Sex": "Male"}),
    "strata of G": (
        "distance ~ age + (age | Subject)",
        None,
        {"Subject": bl.UN(by="Sex")},
        {"Sex": "Male"},
    ),
    "occasions": ("distance ~ age + ar1(0 + age | Subject)", None, None, {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_matrix_is_that_of_the_covariances_of_a_level(name):
    formula, R, G, other = MODELS[name]
    fit = bl.Model(formula, ORTHODONT, R=R, G=G).fit("ml")
    table = fit.icc(at={"age": [8, 10, 12, 14], **other})
    expected = correlations(fit.V("M01", "Subject"))
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(table.matrix.to_numpy()[off], expected[off], rtol=1e-6)
    Z_part = np.diag(np.asarray(fit.V("M01", "Subject") - fit.R("M01", "Subject")))
    shares = Z_part / np.diag(fit.V("M01", "Subject"))
    np.testing.assert_allclose(table["estimate"], shares, rtol=1e-6, atol=1e-12)
    parts = fit.variance_partition(at={"age": [8, 10, 12, 14], **other})["estimate"]
    residual = parts.xs("residual", level="part")
    np.testing.assert_allclose(residual, np.diag(fit.R("M01", "Subject")), rtol=1e-6)
    both = parts.groupby(level=0).sum()
    np.testing.assert_allclose(both, np.diag(fit.V("M01", "Subject")), rtol=1e-6)


def test_pairs_have_the_estimates_of_the_matrix_with_intervals():
    table = likelihood("slopes").icc(at={"Days": [0, 9]})
    pairs = table.pairs
    np.testing.assert_allclose(pairs.loc[(0, 9), "estimate"], table.matrix.loc[0, 9])
    np.testing.assert_allclose(pairs.loc[(9, 9)], table.loc[9])
    assert (pairs["lower"] < pairs["estimate"]).all()
    assert (pairs["estimate"] < pairs["upper"]).all()


def test_of_a_posterior_it_is_that_of_the_draws():
    fit = posterior("slopes")
    draws = fit.posterior
    sd, r = draws["sd_Subject"].to_numpy(), draws["corr_Subject"].to_numpy()[..., 0]
    a, b, c = sd[..., 0] ** 2, sd[..., 0] * sd[..., 1] * r, sd[..., 1] ** 2
    v0, v5, residual = a, a + 10 * b + 25 * c, draws["sigma"].to_numpy() ** 2
    expected = (a + 5 * b) / np.sqrt((v0 + residual) * (v5 + residual))
    table = fit.icc(at={"Days": [0, 5]})
    np.testing.assert_allclose(table.draws.sel(Days=5), v5 / (v5 + residual))
    np.testing.assert_allclose(table.pairs.draws[..., 1], expected)
    parts = fit.variance_partition()
    np.testing.assert_allclose(parts.draws.sel(part="residual"), residual)


def test_levels_of_one_factor_share_its_effects_alone():
    data = bl.load_dataset("sleepstudy").assign(g=np.tile(np.arange(6), 30).astype(str))
    fit = bl.Model("Reaction ~ Days + (Days | Subject) + (1 | g)", data).fit("ml")
    z = np.array([1, 4])
    own, other = z @ fit.G("Subject").to_numpy() @ z, fit.G("g").iloc[0, 0]
    total = own + other + fit.sigma**2
    at = {"Days": 4}
    np.testing.assert_allclose(fit.icc("Subject", at)["estimate"], own / total)
    np.testing.assert_allclose(fit.icc("g", at)["estimate"], other / total, atol=1e-12)
    np.testing.assert_allclose(fit.icc(at=at)["estimate"], (own + other) / total)


def test_parts_of_the_variance():
    fit = likelihood("slopes")
    table = fit.variance_partition()
    assert list(table.index) == ["fixed", "Subject", "residual"]
    total = table["estimate"].sum()
    r2 = fit.r2()["estimate"]
    np.testing.assert_allclose(table["estimate"]["fixed"] / total, r2["marginal"])
    np.testing.assert_allclose(1 - table["estimate"]["residual"] / total, r2["conditional"])
    variance = fit.varcorr(scale="variance").iloc[-1]
    columns = ["estimate", "std_error", "lower", "upper"]
    np.testing.assert_allclose(table.loc["residual"], variance[columns].astype(float), rtol=1e-6)


def test_the_picture_has_the_numbers_of_the_table():
    fit = likelihood("slopes")
    figure = fit.plot.variance_partition()
    left, right = (axis for axis in figure.axes if axis.get_xlabel() == "Days")
    x, y = right.lines[0].get_data()
    np.testing.assert_allclose(y[[0, -1]], fit.icc(at={"Days": [0, 9]})["estimate"])
    assert (x[0], x[-1]) == (0, 9)
    top = max(path.vertices[:, 1].max() for own in left.collections for path in own.get_paths())
    np.testing.assert_allclose(top, np.diag(fit.V("308"))[-1])


@pytest.mark.parametrize(
    ("name", "x", "labels"),
    [("crossed", None, ["residual (6%)", "fixed (0%)"]), ("three effects", "Machine", ["A", "C"])],
)
def test_pictures_of_other_models(name, x, labels):
    figure = likelihood(name).plot.variance_partition(x)
    found = {text.get_text() for axis in figure.axes
             for text in (*axis.get_xticklabels(), *axis.get_yticklabels())}  # fmt: skip
    assert set(labels) <= found


def growth():
    G = {"Subject": bl.UN(by="Sex")}
    return bl.Model("distance ~ age + (age | Subject)", ORTHODONT, G=G).fit("ml")


REFUSED = [
    (lambda: likelihood("slopes").icc(at=3), bl.ArgumentTypeError, "`at` should be a dict"),
    (lambda: likelihood("slopes").icc(at={}), bl.ArgumentError, "has no values"),
    (lambda: likelihood("slopes").icc(at={"Dayz": 1}), bl.ArgumentError, "Did you mean 'Days'"),
    (lambda: likelihood("crossed").icc(at={"plate": 1}), bl.ArgumentError, "same everywhere"),
    (lambda: likelihood("slopes").icc("Subjct", {"Days": 1}), bl.ArgumentError, "'Subject'"),
    (lambda: growth().icc(at={"age": [8, 14]}), bl.ArgumentError, "depends on 'Sex' too"),
    (lambda: growth().icc(at={"age": 8, "Sex": "x"}), bl.ArgumentError, "'Female', 'Male'"),
    (
        lambda: (
            bl.Model("distance ~ age", ORTHODONT, R=bl.AR1(**subject()))
            .fit("ml")
            .icc(at={"age": [8, 9]})
        ),
        bl.ArgumentError,
        "unknown value of age here '9'",
    ),
    (
        lambda: likelihood("slopes").plot.variance_partition("Reaction"),
        bl.ArgumentError,
        "'Reaction'",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_number_that_is_not_given_is_at_its_mean():
    data = bl.load_dataset("sleepstudy").assign(x=lambda d: d["Days"] ** 2 / 10)
    fit = bl.Model("Reaction ~ Days + (Days + x || Subject)", data).fit("ml")
    one, two = (fit.icc(at=at) for at in ({"Days": 3}, {"Days": [3], "x": [data["x"].mean()]}))
    np.testing.assert_allclose(one["estimate"], two["estimate"])
    assert isinstance(two.index, pd.MultiIndex)
