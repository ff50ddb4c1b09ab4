"""Degrees of freedom against lmerTest and pbkrtest, dense algebra and special cases."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.solutions.degrees_of_freedom.satterthwaite import var_beta_slopes
from bayeslmm.support import scales
from tests.oracles import cases, dense, fits_cache

METHODS = ("satterthwaite", "kenward-roger")


@cache
def fitted(id):
    case = cases.case(id)
    return bl.Model(case.formula, case.data, weights=case.weights).fit(case.method)


def with_field(suffix=""):
    """Records that another program's numbers are known of, and by which method."""
    return [
        (id, method)
        for method in METHODS
        for id in cases.LIKELIHOOD_IDS
        if cases.record(id).get(method.replace("-", "_") + suffix)
        and not cases.record(id)["singular"]
    ]


@pytest.mark.parametrize(("id", "method"), with_field())
def test_coefficients_agree_with_lmertest(id, method):
    rows, table = cases.record(id)[method.replace("-", "_")], fitted(id).summary(df=method)
    table = table[table.index.str.startswith("beta[")]
    table.index = [cases.r_name(name[5:-1]) for name in table.index]
    assert set(table.index) == set(rows)
    for name, row in rows.items():
        ours = table.loc[name]
        assert ours["df"] == pytest.approx(row["df"], rel=1e-3), name
        assert ours["t"] == pytest.approx(row["t"], rel=1e-4, abs=1e-4), name
        assert ours["p"] == pytest.approx(row["p"], rel=0.02), name
        if "se" in row:
            assert ours["std_error"] == pytest.approx(row["se"], rel=1e-4), name


@pytest.mark.parametrize(("id", "method"), with_field("_anova"))
def test_terms_agree_with_lmertest(id, method):
    rows = cases.record(id)[method.replace("-", "_") + "_anova"]
    table = fitted(id).anova(df=method)
    assert set(table.index) == set(rows)
    for name, row in rows.items():
        ours = table.loc[name]
        assert ours["num_df"] == row["num_df"]
        assert ours["den_df"] == pytest.approx(row["den_df"], rel=1e-3)
        assert ours["F"] == pytest.approx(row["F"], rel=1e-4)
        assert ours["p"] == pytest.approx(row["p"], rel=0.02)


def means_of(fit, factors):
    """Functions that are means over rows, which in balanced data is over cells, by levels."""
    keys, X = fit.model.data[factors].astype(str).agg("|".join, axis=1), fit.model.design.X
    return {key: X[keys == key].mean(axis=0) for key in keys.unique()}


def with_means():
    """Marginal means and their differences, of all records that have them."""
    return [
        (id, name) for id in cases.LIKELIHOOD_IDS for name in cases.record(id).get("emmeans", {})
    ]


@pytest.mark.parametrize(("id", "name"), with_means())
def test_functions_of_several_coefficients_agree_with_emmeans(id, name):
    fit, table = fitted(id), cases.record(id)["emmeans"][name]
    text, method = name.removesuffix("]").split(" [")
    factors = text.split("|")
    means = means_of(fit, factors)
    for row in table["means"]:
        L = means["|".join(row[factor] for factor in factors)]
        agree(fit.contrast(L[None], df=method).iloc[0], row)
    for row in table["pairs"]:
        first, second = (part.removeprefix(factors[0]) for part in row["contrast"].split(" - "))
        within = [row[factor] for factor in factors[1:]]
        L = means["|".join([first, *within])] - means["|".join([second, *within])]
        agree(fit.contrast(L[None], df=method).iloc[0], row)


def agree(ours, row):
    for key, own, rel in (("df", "df", 1e-3), ("t", "t", 1e-4), ("se", "std_error", 1e-4)):
        if key in row:
            assert ours[own] == pytest.approx(row[key], rel=rel), row
    if "p" in row:
        assert ours["p"] == pytest.approx(row["p"], rel=1e-3)


@pytest.mark.parametrize("id", [i for i in cases.RESIDUAL_IDS if "nlme_t" in cases.record(i)])
def test_t_and_strata_agree_with_nlme(id):
    """nlme gives the intercept to the innermost stratum, unlike here, and gls has n - p."""
    case = cases.case(id)
    fit = bl.Model(case.formula, case.data, R=case.R).fit("reml")
    rows = case.record["nlme_t"]
    of_gls = all(row["df"] is None for row in rows.values())
    table = fit.summary(df="residual" if of_gls else "between-within")
    table = table[table.index.str.startswith("beta[")]
    table.index = [cases.r_name(name[5:-1]) for name in table.index]
    n, p = fit.model.design.X.shape
    for name, row in rows.items():
        # where nlme stops, a little before the maximum
        assert table.loc[name, "t"] == pytest.approx(row["t"], rel=2e-4, abs=1e-4), name
        if name != "Intercept":
            assert table.loc[name, "df"] == (n - p if of_gls else row["df"]), name


@pytest.mark.parametrize("name", ["slopes", "two bars", "crossed", "nested", "one variance"])
def test_slopes_of_var_beta_are_those_of_dense_algebra(name):
    fit = fits_cache.likelihood(name)
    equations, design = fit.model.equations, fit.model.design
    theta, bounds = fit.optimum.theta, equations.parameters.bounds
    ours = var_beta_slopes(equations, fit.optimum, np.arange(len(theta)))
    X = design.X
    V = dense.marginal_covariance(theta, equations.parameters, design)
    solved = np.linalg.solve(V, X)
    C = np.linalg.inv(X.T @ solved)
    middle = scales.working(theta, bounds)
    for i, slope in enumerate(ours):
        moved = []
        for step in (1e-4, -1e-4):
            at = middle.copy()
            at[i] += step
            near = scales.natural(at, bounds)
            moved.append(dense.marginal_covariance(near, equations.parameters, design))
        exact = C @ solved.T @ ((moved[0] - moved[1]) / 2e-4) @ solved @ C
        np.testing.assert_allclose(slope, exact, rtol=1e-6, atol=1e-7 * np.abs(C).max())


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_linear_model_has_those_of_its_residual_variance(method):
    fit = fits_cache.likelihood("no random effects", method)
    n, p = fit.model.design.X.shape
    expected = n - p if method == "reml" else n
    assert fit.summary()["df"].iloc[:p].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert (fit.summary(df="residual")["df"].iloc[:p] == n - p).all()


@pytest.mark.parametrize("name", ["slopes", "crossed", "no random effects"])
def test_means_without_random_effects_are_contrasts(name):
    fit = fits_cache.likelihood(name)
    columns = ["estimate", "std_error", "lower", "upper"]
    found = fit.predict(groups="none", interval="mean", level=0.9)
    np.testing.assert_allclose(found[columns], fit.contrast(fit.model.design.X, level=0.9)[columns])
    # others are normal
    with_effects = fit.predict(interval="new")
    half = stats.norm.ppf(0.975) * with_effects["std_error"]
    np.testing.assert_allclose(with_effects["upper"] - with_effects["estimate"], half)


@pytest.mark.parametrize("df", [*METHODS, "residual", "none"])
def test_intervals_and_tests_have_the_same_degrees_of_freedom(df):
    fit = fits_cache.likelihood("two bars")
    for level in (0.5, 0.95):
        table = fit.summary(level, df=df).iloc[:2]
        half = stats.t.ppf((1 + level) / 2, table["df"]) * table["std_error"]
        np.testing.assert_allclose(table["upper"] - table["estimate"], half)
        np.testing.assert_allclose(table["estimate"] - table["lower"], half)
        fixef = fit.fixef(level, df=df)
        np.testing.assert_array_equal(fixef, table.iloc[:, :4])
    np.testing.assert_allclose(table["p"], 2 * stats.t.sf(table["t"].abs(), table["df"]))


def test_without_degrees_of_freedom_tests_are_by_z_and_chi_squared():
    fit = fits_cache.likelihood("factor ||")
    table = fit.summary(df="none").iloc[:3]
    assert np.isinf(table["df"]).all()
    np.testing.assert_allclose(table["p"], 2 * stats.norm.sf(table["t"].abs()))
    row = fit.anova(df="none").loc["Machine"]
    assert np.isinf(row["den_df"])
    assert row["p"] == pytest.approx(stats.chi2.sf(2 * row["F"], 2))


def test_a_variance_of_zero_leaves_those_of_the_model_without_it():
    data = bl.load_dataset("Dyestuff2")
    with_batch = bl.Model("Yield ~ 1 + (1 | Batch)", data).fit("reml")
    without = bl.Model("Yield ~ 1", data).fit("reml")
    assert with_batch.optimum.singular
    columns = ["estimate", "std_error", "lower", "upper", "df", "t", "p"]
    np.testing.assert_allclose(
        with_batch.summary()[columns].iloc[0], without.summary()[columns].iloc[0], rtol=1e-5
    )


def test_a_correlation_of_one_is_held():
    rng = np.random.default_rng(3)
    group, x = np.repeat(np.arange(12), 6), np.tile(np.arange(6.0), 12)
    y = 3 + x + np.repeat(rng.standard_normal(12), 6) * (1 + x) + rng.standard_normal(72)
    fit = bl.Model("y ~ x + (x | g)", {"y": y, "x": x, "g": group}).fit("reml")
    assert fit.optimum.singular
    # one factor (1 + cx) of the group: as many degrees of freedom as groups allow
    assert fit.summary()["df"].iloc[:2].between(5, 72).all()


def test_unknown_names_are_refused():
    fit = fits_cache.likelihood("slopes")
    for call in (fit.summary, fit.fixef, fit.anova):
        with pytest.raises(bl.ArgumentError, match="satterthwaite"):
            call(df="satterthwait")
    with pytest.raises(bl.ArgumentError, match="satterthwaite"):
        fit.test({"Days": 1}, df=["none"])
