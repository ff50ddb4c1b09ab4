"""Which models the data identify, by dense information matrices and by what is known of each."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import bayeslmm as bl
from bayeslmm.errors import DesignError, DesignWarning

SCHOOLS = pd.DataFrame(
    {"y": [28.0, 8, -3, 7, -1, 1, 18, 12], "school": list("ABCDEFGH"), "twin": list("abcdefgh")}
)
"""Rubin (1981), Journal of Educational Statistics 6, 377-401: effects of coaching."""
ONE_EACH = "y ~ 1 + (1 | school)"


def panel(n=60, seed=1):
    """Three interviews a person, at times of their own, as in Singer and Willett's chapter 5."""
    rng = np.random.default_rng(seed)
    months = np.sort(rng.uniform(0, 15, (n, 3)), axis=1)
    unemployed = np.column_stack([np.ones(n), rng.uniform(size=(n, 2)) < 0.6]).astype(float)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), 3),
            "months": months.ravel(),
            "unemp": unemployed.ravel(),
            "y": rng.normal(size=3 * n),
        }
    )


def dense_information(Z, groups):
    """½ tr(V⁻¹ V_a V⁻¹ V_b) of G (its lower triangle) and σ² at G = σ² = 1, in their units."""
    q = Z.shape[1]
    pairs = [(i, j) for i in range(q) for j in range(i + 1)]
    information = np.zeros((len(pairs) + 1, len(pairs) + 1))
    for rows in groups:
        z = Z[rows]
        V = z @ z.T + np.eye(len(rows))
        slopes = [np.outer(z[:, i], z[:, j]) for i, j in pairs]
        slopes = [(S + S.T) / 2 for S in slopes] + [np.eye(len(rows))]
        white = [linalg.solve(V, S) for S in slopes]
        information += 0.5 * np.array([[np.sum(a * b.T) for b in white] for a in white])
    return information


def test_as_many_effects_as_rows_where_their_columns_differ_between_people():
    data, formula = panel(), "y ~ unemp + months:unemp + (1 + unemp + months:unemp | id)"
    Z = np.column_stack([np.ones(len(data)), data["unemp"], data["unemp"] * data["months"]])
    information = dense_information(Z, data.groupby("id").indices.values())
    size = np.sqrt(np.diag(information))
    assert np.linalg.eigvalsh(information / np.outer(size, size))[0] > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error", DesignWarning)
        model = bl.Model(formula, data)
    assert model.unidentified == ""


def test_as_many_effects_as_rows_where_their_columns_are_the_same_in_all():
    data = panel().assign(months=np.tile([0.0, 5, 10], 60))
    with pytest.raises(DesignError, match="3 effects on each of 60 levels, and no level has more"):
        bl.Model("y ~ months + (months + I(months**2) | id)", data)


@pytest.mark.parametrize("zero", [0.0, 1e4])
def test_neither_zero_nor_unit_of_a_predictor_matters(zero):
    data = panel().groupby("id").head(2)
    data = data.assign(x=1e3 * (data["months"] + zero))
    assert bl.Model("y ~ x + (x | id)", data).unidentified == ""


def test_a_variance_that_is_held_tells_the_other():
    """Meta-analysis. The likelihood of eight means with variance τ² + 144 has its maximum where
    that is their empirical variance, as far as τ² >= 0: by hand.
    """
    data = SCHOOLS.assign(y=2 * SCHOOLS["y"])
    model = bl.Model(ONE_EACH, data, priors={"sigma": bl.Fixed(12.0)}, weights=np.full(8, 1.0))
    fit = model.fit("reml")
    assert fit.theta.iloc[0] == pytest.approx(np.sqrt(data["y"].var() - 144), rel=1e-5)
    assert fit.diagnose().ok
    with pytest.raises(DesignError, match="hold one of the two"):
        model.with_priors({"sigma": None})
    with pytest.raises(DesignError, match="hold one of the two"):
        bl.Model(ONE_EACH, data, priors={"sigma": bl.HalfNormal(5)})
    bl.Model(ONE_EACH, data, priors={"sd_school": bl.Fixed(3.0)})


ALMOST = np.r_[1 + 1e-6, np.ones(7)]


@pytest.mark.parametrize("weights", [None, np.full(8, 2.0), ALMOST, 1e9 * ALMOST])
def test_weights_that_are_as_good_as_equal_tell_nothing(weights):
    with pytest.raises(DesignError, match="weights that differ"):
        bl.Model(ONE_EACH, SCHOOLS, weights=weights)


def test_weights_that_differ_tell_the_variances_apart():
    assert bl.Model(ONE_EACH, SCHOOLS, weights=np.linspace(1, 3, 8)).unidentified == ""


TWINS = "y ~ 1 + (1 | school) + (1 | twin)"
OTHERS = {
    "factors alike": (TWINS, {}, "group the rows alike"),
    "one level": ("y ~ 1 + (1 | twin)", {"twin": "a"}, "one level only, 'a'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_held_counts_for_every_finding(name):
    formula, change, words = OTHERS[name]
    data = pd.concat([SCHOOLS, SCHOOLS.assign(y=SCHOOLS["y"] + [1, -1] * 4)]).assign(**change)
    with pytest.raises(DesignError, match=words):
        bl.Model(formula, data)
    held = bl.Model(formula, data, priors={"sd_twin": bl.Fixed(2.0)})
    assert np.isfinite(held.fit("reml").loglik)


def test_parts_of_a_variance_model_that_say_the_same():
    data = bl.load_dataset("Orthodont").assign(old=lambda d: d["age"] > 10)
    both = bl.ID(variance=[bl.VarIdent("age"), bl.VarIdent("old")])
    with pytest.raises(DesignError, match="parts of `variance` say the same of their rows"):
        bl.Model("distance ~ age", data, R=both)
    with pytest.raises(DesignError, match="parts of `variance` say the same of their rows"):
        bl.Model(
            "distance ~ age", data, R=bl.Diag(time="age", variance=["occasion", bl.VarExp("age")])
        )
    bl.Model("distance ~ age", data, R=both, priors={"log_ratio": bl.Fixed(0.0)})


def test_who_insists_goes_on_and_is_told_by_diagnose(tmp_path):
    model = bl.Model(ONE_EACH, SCHOOLS, check=False)
    with warnings.catch_warnings():
        # where on the ridge of the likelihood the fit ends, and so its status, is up to rounding
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        fit = model.fit("reml")
    # the total variance is identified, and the likelihood is that of a sample wherever the two
    # parts are of one size: by hand. Where on this ridge a fit ends is not determined.
    squares = 7 * SCHOOLS["y"].var()
    expected = -0.5 * (7 * np.log(2 * np.pi * squares / 7) + np.log(8) + 7)
    for ratio in (0.1, 1.0, 10.0):
        value = model.equations.profiled(np.array([ratio]), "reml")[0]
        assert -0.5 * value == pytest.approx(expected, abs=1e-9)
    found = fit.diagnose()
    assert not found.ok
    assert "as many levels as there are rows" in str(found.findings[0])
    fit.save(tmp_path / "fit.blmm")
    assert "as many levels" in str(bl.load(tmp_path / "fit.blmm").diagnose())
    assert model.with_priors({"sigma": bl.HalfNormal(5)}).check is False
    assert model.updated(formula="y ~ 0 + (1 | school)").check is False
    with pytest.raises(bl.ArgumentTypeError, match="`check`"):
        bl.Model(ONE_EACH, SCHOOLS, check="no")


def of_a_ridge(seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=40),
            "x": rng.normal(size=40),
            "row": np.arange(40).astype(str),
            "pair": (np.arange(40) // 2).astype(str),
            "same": (np.arange(40) // 2 + 100).astype(str),
            "t": np.tile([0, 1], 20),
        }
    )


# a model whose variances are not identified, and one with the same covariance matrices that is
RIDGES = {
    "a level for each row": ("y ~ x + (1 | row)", None, "y ~ x", None),
    "a factor twice": ("y ~ x + (1 | pair) + (1 | same)", None, "y ~ x + (1 | pair)", None),
    "an intercept beside CS": (
        "y ~ x + (1 | pair)",
        bl.CS(time="t", group="pair"),
        "y ~ x",
        bl.CS(time="t", group="pair"),
    ),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("seed", [0, 1, 4, 10])
@pytest.mark.parametrize("name", RIDGES)
def test_an_unidentified_fit_is_that_of_the_identified_model_wherever_it_ends(name, seed, method):
    formula, R, identified, same_R = RIDGES[name]
    data = of_a_ridge(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        fit = bl.Model(formula, data, R=R, check=False).fit(method)
        expected = bl.Model(identified, data, R=same_R).fit(method)
    assert any(finding.severity == "error" for finding in fit.diagnose().findings)
    assert np.isfinite(fit.theta).all()
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-4)
    np.testing.assert_allclose(fit.beta, expected.beta, rtol=1e-4, atol=1e-5)
    errors = [own.fixef(df="none")["std_error"] for own in (fit, expected)]
    np.testing.assert_allclose(*errors, rtol=1e-4)


def test_a_residual_variance_that_does_go_to_zero_is_no_ridge():
    data = of_a_ridge(1)
    data["y"] = np.repeat(np.random.default_rng(2).normal(size=20), 2)
    with pytest.warns(bl.ConvergenceWarning, match="residual variance went to zero"):
        fit = bl.Model("y ~ 1 + (1 | pair)", data).fit("reml")
    assert fit.sigma == 0
