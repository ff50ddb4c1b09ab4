"""`Known` as R: correlations of occasions that are given. Likelihoods and gradients against dense
algebra are in test_residuals, with those of other structures.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.criticism.lag_correlation import lag_correlation, subjects_of
from tests.oracles.dense import fitted_covariances
from tests.pymc_models.test_full import python_mode, random_point

AGES = [8, 10, 12, 14]
ON = {"time": "age", "group": "Subject"}
SITES = {"time": "site", "group": "one"}
LAGS = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))


def data() -> pd.DataFrame:
    """Unbalanced: 20 of 108 rows are left out, and the others in no order."""
    whole = bl.load_dataset("Orthodont").assign(one="all")
    return whole.sample(88, random_state=2).assign(w=np.linspace(0.5, 2, 88))


def ar1(rho: float = 0.45) -> pd.DataFrame:
    """The correlations of AR1 at some rho, named by ages that are in another order."""
    K = pd.DataFrame(rho**LAGS, AGES, AGES)
    return K.loc[[12, 8, 14, 10], [12, 8, 14, 10]]


def known(K: object = None, **options: object) -> bl.Known:
    return bl.Known(ar1() if K is None else K, **(ON | options))


@cache
def model(bar: str = "") -> bl.Model:
    return bl.Model(f"distance ~ age * Sex{bar}", data(), R=known(), weights="w")


@cache
def fitted(bar: str = "") -> bl.LikelihoodFit:
    return model(bar).fit("reml")


@pytest.mark.parametrize("method", ["reml", "ml", "map"])
@pytest.mark.parametrize("bar", ["", " + (1 | Subject)"])
def test_a_matrix_of_ar1_is_ar1_with_rho_held(bar, method):
    priors = {"rho": bl.Fixed(0.45)}
    formula = f"distance ~ age * Sex{bar}"
    held = bl.Model(formula, data(), R=bl.AR1(**ON), weights="w", priors=priors).fit(method)
    own = model(bar).fit(method)
    others = np.array(held.model.parameters.names) != "rho"
    theta = held.optimum.theta[others]
    assert list(own.model.parameters.names) == list(np.array(held.model.parameters.names)[others])
    np.testing.assert_allclose(own.optimum.theta, theta, rtol=2e-5)
    assert own.optimum.criterion == pytest.approx(held.optimum.criterion, rel=1e-9)
    np.testing.assert_allclose(own.fixef()["estimate"], held.fixef()["estimate"], rtol=1e-5)
    np.testing.assert_allclose(own.fixef()["std_error"], held.fixef()["std_error"], rtol=1e-5)
    if method != "map":
        assert own.n_parameters == held.n_parameters == 4 + len(theta)
        assert own.aic == pytest.approx(held.aic, rel=1e-9)


def test_a_single_block_of_all_rows_is_least_squares_of_whitened_data():
    rng = np.random.default_rng(4)
    n = 24
    places = rng.uniform(0, 3, (n, 2))
    K = np.exp(-np.linalg.norm(places[:, None] - places, axis=2))
    frame = pd.DataFrame({"x": rng.normal(size=n), "site": [f"s{i:02d}" for i in range(n)]})
    frame["y"] = frame["x"] + np.linalg.cholesky(K) @ rng.normal(size=n)
    R = bl.Known(K, levels=frame["site"], time="site", group="one")
    shuffled = frame.assign(one=1).sample(frac=1, random_state=3)
    fit = bl.Model("y ~ x", shuffled, R=R).fit("reml")
    white = np.linalg.solve(np.linalg.cholesky(K), np.column_stack([np.ones(n), frame[["x", "y"]]]))
    columns = dict(zip("ixy", white.T, strict=True))
    plain = bl.Model("y ~ 0 + i + x", pd.DataFrame(columns)).fit("reml")
    for own, other in (
        (fit.fixef(), plain.fixef()),
        (fit.fixef(df="kenward-roger"), plain.fixef()),
    ):
        np.testing.assert_allclose(own.to_numpy(float), other.to_numpy(float), rtol=1e-6)
    assert fit.optimum.theta == pytest.approx(plain.optimum.theta, rel=1e-6)
    ml = -2 * fit.loglik + np.linalg.slogdet(K)[1] - -2 * plain.loglik
    assert ml == pytest.approx(2 * np.linalg.slogdet(K)[1], rel=1e-6)


def test_levels_that_come_again_late_in_a_long_block_are_told_from_residuals():
    """The first row of each level stands before any second one, and these are independent."""
    i, n = np.arange(100), 200
    K = np.eye(n)
    partner = (i + 37) % 100 + 100
    K[i, partner] = K[partner, i] = 0.5
    frame = pd.DataFrame({"g": np.tile(i, 2), "site": np.arange(n), "one": 1})
    rng = np.random.default_rng(0)
    frame["y"] = rng.normal(size=n) + rng.normal(size=100)[frame["g"]]
    R = bl.Known(K, levels=range(n), **SITES)
    assert bl.Model("y ~ 1 + (1 | g)", frame, R=R).fit("reml").status.ok


def test_degrees_of_freedom_are_those_of_whitened_data():
    """A random intercept of whitened data is a column of numbers."""
    whole = bl.load_dataset("Orthodont")
    R = known()
    fit = bl.Model("distance ~ age + (1 | Subject)", whole, R=R).fit("reml")
    root = np.linalg.inv(np.linalg.cholesky(0.45**LAGS))
    white = np.kron(np.eye(27), root) @ np.column_stack(
        [whole["distance"], np.ones(108), whole["age"]]
    )
    columns = dict(zip("yix", white.T, strict=True)) | {"Subject": whole["Subject"].to_numpy()}
    plain = bl.Model("y ~ 0 + i + x + (0 + i | Subject)", pd.DataFrame(columns)).fit("reml")
    for df in ("satterthwaite", "kenward-roger"):
        own, other = fit.fixef(df=df), plain.fixef(df=df)
        np.testing.assert_allclose(own.to_numpy(float), other.to_numpy(float), rtol=1e-5)
    random, expected = fit.ranef("Subject"), plain.ranef("Subject")
    np.testing.assert_allclose(random["estimate"], expected["estimate"], rtol=1e-5)


def test_matrices_and_residuals():
    fit = fitted(" + (1 | Subject)")
    _, R = fitted_covariances(fit)
    design = fit.model.design
    first = design.factors[0].levels[0]
    rows = np.flatnonzero(design.factors[0].codes == 0)
    ages = [str(age) for age in fit.model.data["age"].iloc[rows]]
    sigma = fit.sigma
    w = design.weights[rows]
    K = ar1().rename(str, axis=0).rename(str, axis=1).loc[ages, ages].to_numpy()
    expected = sigma**2 * K / np.sqrt(np.outer(w, w))
    np.testing.assert_allclose(fit.R(first), expected, rtol=1e-10)
    np.testing.assert_allclose(R[np.ix_(rows, rows)], expected, rtol=1e-10)
    sd = fit.optimum.theta[0]
    np.testing.assert_allclose(fit.V(first), expected + sd**2, rtol=1e-10)
    values = fit.residuals("normalized")
    order = rows[np.argsort(fit.model.data["age"].iloc[rows].to_numpy())]
    own = np.linalg.cholesky(R[np.ix_(order, order)])
    raw = fit.residuals().to_numpy()[order]
    np.testing.assert_allclose(values.to_numpy()[order], np.linalg.solve(own, raw), rtol=1e-9)


def test_one_matrix_for_all_strata_whose_variances_are_their_own():
    R = known(by="Sex", variance=bl.VarPower("age"))
    names = bl.Model("distance ~ age", data(), R=R).parameters.names
    assert names == ("power[Female]", "power[Male]", "sigma[Female]", "sigma[Male]")
    apart = bl.Model("distance ~ 0 + Sex + Sex:age", data(), R=known(by="Sex")).fit("ml")
    each = [
        bl.Model("distance ~ age", data().query("Sex == @sex"), R=known()).fit("ml")
        for sex in ("Female", "Male")
    ]
    assert apart.loglik == pytest.approx(sum(fit.loglik for fit in each), rel=1e-8)
    sigma = [fit.sigma for fit in each]
    np.testing.assert_allclose(apart.optimum.theta, sigma, rtol=1e-5)


def test_levels_are_matched_by_name_and_others_are_fine():
    ages = [14, 9, 8, 16, 12, 10]
    K = pd.DataFrame(0.45 ** (np.abs(np.subtract.outer(ages, ages)) / 2), ages, ages)
    fit = bl.Model("distance ~ age * Sex", data(), R=known(K), weights="w").fit("reml")
    assert fit.loglik == pytest.approx(fitted().loglik, rel=1e-12)
    by_inverse = bl.Known(
        inverse=sparse.csc_array(np.linalg.inv(K)), levels=list(map(str, ages)), **ON
    )
    again = bl.Model("distance ~ age * Sex", data(), R=by_inverse, weights="w").fit("reml")
    assert again.loglik == pytest.approx(fitted().loglik, rel=1e-10)


OPTIONS = [
    {},
    {"variance": "occasion"},
    {"by": "Sex", "variance": [bl.VarIdent("one"), bl.VarExp("age")]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("bar", ["", " + (1 | Subject)"])
def test_densities_of_the_program_and_the_textbook_model_are_the_same(bar, options):
    own = bl.Model(f"distance ~ age{bar}", data(), R=known(**options), weights="w")
    scope = {"data": data(), "K_R": ar1()}
    exec(compile(own.code(), "program", "exec"), scope)
    full = own.full_pymc()
    densities = [m.compile_logp(mode=python_mode()) for m in (scope["model"], full)]
    for seed in range(2):
        point = random_point(full, seed)
        found, expected = (float(density(point)) for density in densities)
        assert np.isfinite(expected)
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_program_of_occasions_that_are_text():
    text = data().assign(age=data()["age"].map("at {:02d}".format))
    K = ar1().rename("at {:02d}".format, axis=0).rename("at {:02d}".format, axis=1)
    own = bl.Model("distance ~ Sex", text, R=known(K))
    scope = {"data": text, "K_R": K}
    exec(compile(own.code(), "program", "exec"), scope)
    full = own.full_pymc()
    point = random_point(full, 0)
    found, expected = (
        float(m.compile_logp(mode=python_mode())(point)) for m in (scope["model"], full)
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_what_is_shown():
    fit = fitted(" + (1 | Subject)")
    assert "Residuals: Known over age within Subject" in str(fit)
    assert "Known over age within Subject" in str(fit.model)
    text = fit.model.describe().text
    assert "C[j, k]    = K[j, k]" in text
    assert "K is known" in text
    assert repr(known(variance="occasion")) == (
        "Known(4 levels: '12', '8', '14', '10', time='age', group='Subject', variance='occasion')"
    )


def test_saved_and_loaded(tmp_path):
    R = known(inverse_of(ar1()), by="Sex", variance=[bl.VarIdent("one"), bl.VarExp("age")])
    fit = bl.Model("distance ~ age", data(), R=R).fit("ml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    assert again.model.R == R
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    given = {"Subject": relationship()}
    both = bl.Model("distance ~ age + (1 | Subject)", data(), G=given, R=known()).fit("reml")
    both.save(tmp_path / "both.nc")
    again = bl.load(tmp_path / "both.nc")
    assert (known(), given) == (again.model.R, again.model.G)
    assert again.loglik == pytest.approx(both.loglik, rel=1e-12)


def inverse_of(K):
    return pd.DataFrame(np.linalg.inv(np.linalg.inv(K)), K.index, K.columns)


def relationship() -> bl.Known:
    """Of subjects in threes."""
    names = sorted(data()["Subject"].unique())
    family = np.arange(len(names)) // 3
    K = np.where(family[:, None] == family, 0.4, 0) + 0.6 * np.eye(len(names))
    return bl.Known(K, levels=names)


def test_equality():
    assert known() == known()
    assert hash(known()) == hash(known())
    assert known() != known(ar1(0.3))
    assert known() != known(variance="occasion")
    assert known() != bl.AR1(**ON)
    K = sparse.csc_array(np.eye(2))
    assert bl.Known(inverse=K, levels="ab") == bl.Known(inverse=K.copy(), levels="ab")
    assert bl.Known(inverse=K, levels="ab") != bl.Known(inverse=2 * K, levels="ab")


def test_simulated_responses_have_the_correlations():
    own = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=known()).fit("reml")
    draws = np.asarray(own.simulate(2000, random_seed=1)).reshape(2000, -1)
    residuals = (draws - draws.mean(axis=0)).reshape(-1, 4) / own.sigma
    np.testing.assert_allclose(np.cov(residuals.T), 0.45**LAGS, atol=0.03)


def test_predictions_are_those_of_the_fixed_effects():
    fit = fitted()
    new = pd.DataFrame({"age": [9, 11], "Sex": ["Male", "Female"], "Subject": "new"})
    found = fit.predict(new)
    X = np.array([[1, 9, 1, 9], [1, 11, 0, 0]])
    np.testing.assert_allclose(found["estimate"], X @ fit.fixef()["estimate"], rtol=1e-10)
    again = fit.update(data=data().iloc[::-1])
    assert again.loglik == pytest.approx(fit.loglik, rel=1e-10)


def test_selection_counts_no_parameters_and_tells_matrices_apart():
    base = bl.Model("distance ~ age * Sex", data())
    candidates = [known(), known(ar1(0.7)), bl.AR1(**ON), None]
    chosen = bl.select_structure(base, candidates, data=data())
    table = chosen.table
    assert set(table.index) == {"Known (1)", "Known (2)", "AR1", "independent"}
    assert table["n_parameters"].to_dict() == {
        "Known (1)": 5,
        "Known (2)": 5,
        "AR1": 6,
        "independent": 5,
    }
    assert chosen.correlations["Known (1)"].to_numpy() == pytest.approx(0.45**LAGS)
    assert not chosen.failures
    with pytest.raises(errors.ArgumentError, match="there twice"):
        bl.select_structure(base, [known(), known()], data=data())


def test_a_known_matrix_is_nested_in_no_other():
    larger = fitted(" + (1 | Subject)")
    plain = bl.Model("distance ~ age * Sex", data(), weights="w").fit("reml")
    assert np.isfinite(bl.compare([fitted(), larger]).iloc[1]["p"])
    assert np.isnan(bl.compare([plain, larger]).iloc[1]["p"])


def test_correlation_by_lag():
    lagged = lag_correlation(fitted().solution, subjects_of(model()))
    assert lagged.unit == "occasions of age"
    np.testing.assert_array_equal(lagged.lag, [1, 2, 3])
    np.testing.assert_allclose(lagged.fitted, 0.45**lagged.lag, rtol=1e-10)
    factors = subjects_of(bl.Model("distance ~ age", data(), R=bl.FA(1, **ON)))
    assert factors.time == "occasions of age"
    assert set(factors.at.ravel()) == {0, 1, 2, 3}


def test_nuts():
    fit = model(" + (1 | Subject)").fit("nuts", chains=2, random_seed=1, progress=False)
    assert fit.draws.theta.shape == (2, 1000, 2)
    mode = fitted(" + (1 | Subject)")
    own, other = fit.fixef(), mode.fixef()
    assert (np.abs(own["estimate"] - other["estimate"]) < 0.3 * other["std_error"]).all()


def variances() -> pd.DataFrame:
    d = np.sqrt([1, 2, 4, 8])
    return pd.DataFrame(0.3**LAGS * np.outer(d, d), AGES, AGES)


REFUSED = {
    "no time": (
        lambda: bl.Model("distance ~ age", data(), R=bl.Known(ar1())),
        "needs `time`: bl.Known(K, time='week', group='id')",
    ),
    "no group": (
        lambda: bl.Model("distance ~ age", data(), R=bl.Known(ar1(), time="age")),
        "needs `group`",
    ),
    "in the plane": (
        lambda: bl.Known(ar1(), time=("age", "w"), group="Subject"),
        "`time` should be one column",
    ),
    "an occasion is lacking": (
        lambda: bl.Model("distance ~ age", data(), R=known(ar1().drop(12).drop(columns=12))),
        "has no row for 1 of its 4 occasions: '12'",
    ),
    "variances": (
        lambda: bl.Model("distance ~ age", data(), R=known(variances())),
        "at '14' it is 8",
    ),
    "in G": (
        lambda: bl.Model(
            "distance ~ age + (1 | Subject)",
            data(),
            G={"Subject": bl.Known(ar1(), time="age", variance="occasion")},
        ),
        "has no use for `time`, `variance`",
    ),
    "an occasion twice": (
        lambda: bl.Model("distance ~ Sex", data().assign(age=8), R=known()),
        "rows at 'age' = 8",
    ),
    "what `by` does already": (
        lambda: known(by="Sex", variance=bl.VarIdent("Sex")),
        "gives each stratum a variance of its own already",
    ),
    "not positive definite": (
        lambda: known(pd.DataFrame(np.ones((4, 4)), AGES, AGES)),
        "should be positive definite",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, words = REFUSED[name]
    with pytest.raises(errors.BayeslmmError) as caught:
        call()
    assert words in str(caught.value)
