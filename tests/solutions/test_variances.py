"""Variances and covariances with their uncertainty: `varcorr(scale="variance")`."""

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.solutions.variances import Variances
from tests.oracles import dense, fits_cache

COLUMNS = ["estimate", "std_error", "lower", "upper"]
ORTHODONT = bl.load_dataset("Orthodont")
WHERE = {"time": "age", "group": "Subject"}


def test_standard_errors_of_an_unrestricted_r_come_from_the_observed_information():
    """By ML, from the joint information of beta and the elements of R, which V is linear in, by
    dense algebra. SAS prints these with COVTEST; no listing of it could be had to compare with.
    """
    fit = bl.Model("distance ~ Sex * age", ORTHODONT, R=bl.UN(**WHERE)).fit("ml")
    ages, X, y = sorted(ORTHODONT["age"].unique()), fit.model.design.X, fit.model.design.y
    at = ORTHODONT["age"].map(ages.index).to_numpy()
    subject = ORTHODONT["Subject"].to_numpy()
    within = subject[:, None] == subject
    pairs = [(i, j) for i in range(4) for j in range(i + 1)]
    R = fit.R("M01").to_numpy()
    derivatives = []
    for i, j in pairs:
        E = np.zeros((4, 4))
        E[i, j] = E[j, i] = 1.0
        derivatives.append(within * E[np.ix_(at, at)])
    W = np.linalg.inv(within * R[np.ix_(at, at)])
    r = y - X @ np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    # at the maximum the slopes in the elements of R are zero
    for D in derivatives:
        assert r @ W @ D @ W @ r == pytest.approx(np.trace(W @ D), rel=1e-4, abs=1e-3)
    information = [
        [r @ W @ A @ W @ B @ W @ r - np.trace(W @ A @ W @ B) / 2 for B in derivatives]
        for A in derivatives
    ]
    across = np.array([X.T @ W @ D @ W @ r for D in derivatives])
    joint = np.block([[np.array(information), across], [across.T, X.T @ W @ X]])
    expected = np.sqrt(np.diag(np.linalg.inv(joint)))[: len(pairs)]
    rows = {
        (row["effect_1"], row["effect_2"]): row
        for _, row in fit.varcorr(scale="variance").iterrows()
    }
    assert len(rows) == len(pairs)
    for (i, j), std_error in zip(pairs, expected, strict=True):
        row = rows[str(int(ages[j])), None if i == j else str(int(ages[i]))]
        assert row["kind"] == ("variance" if i == j else "cov")
        assert row["estimate"] == pytest.approx(R[i, j], rel=1e-6)
        assert row["std_error"] == pytest.approx(std_error, rel=1e-4)


def natural(values, functions):
    """Standard deviations and correlations of variances and covariances, by their definition."""
    theta = np.where(functions.squared, np.sqrt(np.where(functions.squared, values, 0)), values)
    for at, (a, b) in enumerate(functions.pairs):
        if a >= 0:
            theta[at] = values[at] / np.sqrt(values[a] * values[b])
    return theta


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", ["slopes", "weights", "nested", "factor ||"])
def test_standard_errors_come_from_the_curvature_in_the_variances(name, method):
    fit = fits_cache.likelihood(name, method)
    table = fit.varcorr(scale="variance")
    functions = Variances.of(fit.model.design, fit.model.parameters)
    centre = table["estimate"].to_numpy()
    steps = np.diag(2e-3 * np.maximum(np.abs(centre), table["std_error"].to_numpy() / 2))

    def loglik(values):
        return dense.profiled(natural(values, functions), fit.model.parameters, fit.model.design)[
            method
        ]

    hessian = np.array(
        [
            [
                loglik(centre + a + b)
                - loglik(centre + a - b)
                - loglik(centre - a + b)
                + loglik(centre - a - b)
                for a in steps
            ]
            for b in steps
        ]
    ) / (4 * np.outer(steps.sum(axis=0), steps.sum(axis=0)))
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(table["std_error"], expected, rtol=3e-3)


def test_intervals():
    fit = fits_cache.likelihood("slopes")
    sds, table = fit.varcorr(0.9), fit.varcorr(0.9, scale="variance")
    assert list(table["kind"]) == ["variance", "variance", "cov", "variance"]
    ends = ["lower", "upper"]
    np.testing.assert_allclose(table.loc[[0, 1, 3], ends], sds.loc[[0, 1, 3], ends] ** 2)
    half = 1.6448536269514722 * table.loc[2, "std_error"]
    expected = table.loc[2, "estimate"] + np.array([-half, half])
    np.testing.assert_allclose(table.loc[2, ends].astype(float), expected)


def test_columns_but_estimates_are_as_on_the_other_scale():
    fit = fits_cache.likelihood("slopes")
    assert list(fit.varcorr(scale="variance")) == list(fit.varcorr())
    assert fit.varcorr(scale="SD").equals(fit.varcorr())
    with pytest.raises(bl.ArgumentError, match=r"scale.*'variance'"):
        fit.varcorr(scale="log")


def test_a_posterior_summarises_the_variances_of_its_draws():
    post = fits_cache.posterior("slopes")
    draws = {name: post.posterior[name].to_numpy().reshape(2000, -1) for name in post.posterior}
    sd, corr = draws["sd_Subject"], draws["corr_Subject"][:, 0]
    by_hand = [sd[:, 0] ** 2, sd[:, 1] ** 2, corr * sd[:, 0] * sd[:, 1], draws["sigma"][:, 0] ** 2]
    table = post.varcorr(0.8, scale="variance")
    assert list(table["kind"]) == ["variance", "variance", "cov", "variance"]
    for values, (_, row) in zip(by_hand, table.iterrows(), strict=True):
        expected = [values.mean(), values.std(ddof=1), *np.quantile(values, [0.1, 0.9])]
        np.testing.assert_allclose(row[COLUMNS].astype(float), expected)
    G = post.G().to_numpy()
    np.testing.assert_allclose(table["estimate"][:3], [G[0, 0], G[1, 1], G[0, 1]])
    assert table.loc[3, "estimate"] == pytest.approx(post.residual_variance)


def test_what_is_on_the_boundary_has_no_standard_error():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    zero, residual = fit.varcorr(scale="variance")[COLUMNS].to_numpy()
    assert zero[0] == 0
    assert np.isnan(zero[1:]).all()
    assert np.isfinite(residual).all()


def test_a_covariance_at_a_correlation_of_one_has_no_standard_error():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 8), np.tile(np.arange(8.0), 12)
    u = rng.normal(size=12)[g]
    y = 10 + x + 3 * u * (1 + 0.5 * x) + rng.normal(size=len(g))
    fit = bl.Model("y ~ x + (x | g)", {"y": y, "x": x, "g": g}).fit("reml")
    table = fit.varcorr(scale="variance").set_index("kind")
    row = table.loc["cov", COLUMNS].astype(float)
    assert row["estimate"] == pytest.approx(fit.G().iloc[0, 1])
    assert row[1:].isna().all()
    assert table.loc["variance", "std_error"].notna().all()


def test_what_is_held_has_a_standard_error_of_zero():
    data = bl.load_dataset("sleepstudy")
    held = {"sd_Subject[Intercept]": bl.Fixed(20.0), "sd_Subject[Days]": bl.Fixed(5.0)}
    fit = bl.Model("Reaction ~ Days + (Days | Subject)", data, priors=held).fit("reml")
    table, corr = fit.varcorr(scale="variance"), fit.varcorr().loc[2]
    np.testing.assert_array_equal(table.loc[0, COLUMNS].astype(float), [400, 0, 400, 400])
    # a covariance with both standard deviations held is 100 times its correlation
    shown = table.loc[2, ["estimate", "std_error"]].astype(float)
    np.testing.assert_allclose(shown, 100 * corr[["estimate", "std_error"]].astype(float))


STRUCTURES = {
    "R by occasion": ({"R": bl.UN(**WHERE)}, 6),
    "R by occasion and stratum": ({"R": bl.UN(**WHERE, by="Sex")}, 12),
    "R with one variance": ({"R": bl.UN(**WHERE, variance="one")}, 6),
    "R with a variance of each sex": ({"R": bl.UN(**WHERE, variance=bl.VarIdent("Sex"))}, 0),
    "R that grows": ({"R": bl.UN(**WHERE, variance=bl.VarPower("age"))}, 0),
    "R with neighbours": ({"R": bl.Ante1(**WHERE)}, 0),
    "G": ({}, 1),
    "G by stratum": ({"G": {"Subject": bl.UN(by="Sex")}}, 2),
    "G with shared correlations": ({"G": {"Subject": bl.UN(variance=bl.VarIdent("Sex"))}}, 0),
}


def structured(name):
    given, covariances = STRUCTURES[name]
    bar = "" if "R" in given else " + (age | Subject)"
    return bl.Model(f"distance ~ Sex * age{bar}", ORTHODONT, **given), covariances


@pytest.mark.parametrize("name", STRUCTURES)
def test_correlations_of_one_pair_become_covariances(name):
    model, covariances = structured(name)
    functions = Variances.of(model.design, model.parameters)
    assert functions.covariances.sum() == covariances
    theta = np.random.default_rng(2).uniform(0.2, 0.9, len(model.parameters))
    step = 1e-6
    numeric = np.column_stack(
        [
            (functions.values(theta + e) - functions.values(theta - e)) / (2 * step)
            for e in step * np.eye(len(theta))
        ]
    )
    np.testing.assert_allclose(functions.jacobian(theta), numeric, atol=1e-8)
    np.testing.assert_array_equal(functions.arguments, numeric != 0)


@pytest.mark.parametrize("name", ["R by occasion", "R by occasion and stratum"])
def test_covariances_of_occasions_are_those_of_R(name):
    fit = structured(name)[0].fit("reml")
    shown = fit.varcorr(scale="variance")
    for sex, subject in (("Male", "M01"), ("Female", "F01")):
        R = fit.R(subject, "Subject")
        prefix = sex if "stratum" in name else ""
        for _, row in shown.iterrows():
            if not str(row["effect_1"]).startswith(prefix):
                continue
            one = str(row["effect_1"]).removeprefix(prefix).lstrip(",: ")
            assert row["estimate"] == pytest.approx(R.loc[one, row["effect_2"] or one])


def test_the_unit_of_the_response_does_not_matter():
    data = bl.load_dataset("sleepstudy")
    table = fits_cache.likelihood("slopes").varcorr(scale="variance")
    data["Reaction"] *= 1e100
    scaled = bl.Model("Reaction ~ Days + (Days | Subject)", data).fit("reml")
    numbers = scaled.varcorr(scale="variance")[COLUMNS].to_numpy() / 1e200
    np.testing.assert_allclose(numbers, table[COLUMNS].to_numpy(), rtol=1e-3)
