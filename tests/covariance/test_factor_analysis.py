"""Factor-analytic covariances on G and R, against dense algebra, another optimiser, finite
differences, and unrestricted ones where they are as many parameters.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import bayeslmm as bl
from bayeslmm.covariance.correlations import loadings
from bayeslmm.covariance.correlations.factor_analytic import FactorAnalytic
from bayeslmm.covariance.correlations.loadings import most_factors, n_loadings
from bayeslmm.errors import ArgumentError, DesignError, PriorError

L1 = np.array([0.9, 0.7, 0.5, 0.6, 0.4, 0.3])
L2 = np.array([0.0, 0.5, -0.5, 0.4, -0.6, 0.5])
SDS = np.array([1.0, 2.0, 1.5, 1.0, 1.2, 0.8])


@cache
def frame(rows: int = 1) -> pd.DataFrame:
    """300 subjects at six occasions, whose effects have two common factors; in any order."""
    rng = np.random.default_rng(7)
    C = np.outer(L1, L1) + np.outer(L2, L2)
    np.fill_diagonal(C, 1)
    root = np.linalg.cholesky(C * np.outer(SDS, SDS))
    data = [
        (f"s{j:03d}", week, u + (rows > 1) * 0.5 * rng.normal())
        for j in range(300)
        for week, u in enumerate(root @ rng.standard_normal(6), start=1)
        for _ in range(rows)
    ]
    found = pd.DataFrame(data, columns=["id", "week", "y"])
    return found.sample(frac=1, random_state=1, ignore_index=True)


def on_G(k: int, weeks: int = 6) -> bl.Model:
    data = frame(2)
    data = data[data["week"] <= weeks]
    return bl.Model("y ~ 1 + (0 + week | id)", data, G={"id": bl.FA(k)})


def on_R(k: int, weeks: int = 6) -> bl.Model:
    data = frame()
    R = bl.FA(k, time="week", group="id")
    return bl.Model("y ~ 0 + C(week)", data[data["week"] <= weeks], R=R)


def covariance_of(fit, prefix: str, sds: str, labels: list[str], k: int) -> np.ndarray:
    """From the parameters by their names."""
    theta = fit.theta
    L = np.array([[theta.get(f"{prefix}[{at}, {f + 1}]", 0.0) for f in range(k)] for at in labels])
    C = L @ L.T
    np.fill_diagonal(C, 1)
    sd = theta[[f"{sds}[{at}]" for at in labels]].to_numpy()
    return C * np.outer(sd, sd)


@pytest.mark.parametrize("k", [1, 2])
def test_the_maximum_is_that_of_another_optimiser(k):
    """With means free at each occasion, ML depends on the sample covariance alone."""
    fit = on_R(k).fit("ml")
    assert fit.status.ok
    assert fit.n_parameters == 6 + 6 + n_loadings(k, 6)
    wide = frame().pivot(index="id", columns="week", values="y").to_numpy()
    S = np.cov(wide.T, bias=True)

    def deviance(x):
        loadings = np.zeros((6, k))
        loadings[np.tril_indices(6, 0, k)] = x[6:]
        V = loadings @ loadings.T + np.diag(np.exp(x[:6]))
        return 300 * (
            6 * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + np.trace(np.linalg.solve(V, S))
        )

    start = np.concatenate([np.zeros(6), np.full(n_loadings(k, 6), 0.5)])
    best = min(
        minimize(deviance, start * (1 + 0.5 * np.sin(i + np.arange(len(start))))).fun
        for i in range(4)
    )
    assert -2 * fit.loglik == pytest.approx(best, abs=1e-3)
    weeks = [str(week) for week in range(1, 7)]
    V = covariance_of(fit, "loading", "sigma", weeks, k)
    R = fit.R("s003").sort_index().sort_index(axis=1)
    np.testing.assert_allclose(R, V, rtol=1e-8)
    assert all(fit.theta[f"loading[{f + 1}, {f + 1}]"] >= 0 for f in range(k))


@pytest.mark.parametrize("k", [1, 2])
def test_on_G_the_truth_is_recovered(k):
    fit = on_G(k).fit("reml")
    assert fit.status.ok
    labels = [f"week[{week}]" for week in range(1, 7)]
    V = covariance_of(fit, "loading_id", "sd_id", labels, k)
    np.testing.assert_allclose(fit.G(), V, rtol=1e-8)
    assert fit.n_parameters == 1 + 1 + 6 + n_loadings(k, 6)
    table = fit.varcorr().query("kind == 'loading'")
    assert len(table) == n_loadings(k, 6)
    if k == 2:
        C = np.outer(L1, L1) + np.outer(L2, L2)
        np.fill_diagonal(C, 1)
        sd = np.sqrt(np.diag(V))
        assert np.abs(V / np.outer(sd, sd) - C).max() < 0.15


@pytest.mark.parametrize("where", ["G", "R"])
def test_one_factor_of_three_occasions_is_unrestricted(where):
    """Where the correlations are those of one factor; at weeks 2, 4 and 6 they are."""
    data = frame(2) if where == "G" else frame()
    data = data[data["week"].isin([2, 4, 6])]
    ON = {"time": "week", "group": "id"}
    if where == "R":
        models = [bl.Model("y ~ 0 + C(week)", data, R=R) for R in (bl.FA(1, **ON), bl.UN(**ON))]
    else:
        formulas = ("y ~ 1 + fa(0 + week | id)", "y ~ 1 + (0 + C(week) | id)")
        models = [bl.Model(formula, data) for formula in formulas]
    fit, free = (model.fit("reml") for model in models)
    assert fit.loglik == pytest.approx(free.loglik, abs=1e-5)
    assert fit.n_parameters == free.n_parameters


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("make", [on_G, on_R])
def test_gradients_are_finite_differences(make, method):
    own = make(2)
    rng = np.random.default_rng(1)
    theta = rng.uniform(0.5, 1.5, len(own.parameters))
    kinds = np.array(own.parameters.kinds)
    theta[kinds == "loading"] = rng.uniform(0.1, 0.6, (kinds == "loading").sum())
    gradient = own.equations.loglik(theta, method)[1]
    for i, move in enumerate(1e-6 * np.eye(len(theta))):
        up, down = (own.equations.loglik(theta + m, method)[0] for m in (move, -move))
        assert gradient[i] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-3)


def test_a_uniqueness_of_zero_is_said_and_no_error():
    """A Heywood case: two occasions that a third determines."""
    rng = np.random.default_rng(3)
    common = rng.standard_normal(60)
    wide = np.column_stack([common, 0.8 * common + 0.6 * rng.standard_normal(60)])
    wide = np.column_stack([wide, 0.8 * common + 0.6 * rng.standard_normal(60), wide[:, 1] * 0.1])
    wide += np.column_stack([np.zeros((60, 3)), 0.3 * rng.standard_normal(60)])
    data = pd.DataFrame(wide, columns=[1, 2, 3, 4]).reset_index(names="id")
    data = data.melt("id", var_name="week", value_name="y")
    data = pd.concat([data, data.assign(y=data["y"] + 0.05 * rng.standard_normal(len(data)))])
    data["week"] = data["week"].astype(int)
    fit = bl.Model("y ~ 1 + fa(0 + week | id)", data.reset_index(drop=True)).fit("reml")
    assert fit.status.ok
    assert fit.theta["loading_id[week[1], 1]"] > 0.97
    assert "FA(1)" in repr(fit)


def test_effects_that_are_one_another_are_at_a_bound():
    """All of them the same but for their size: uniquenesses round to zero."""
    rng = np.random.default_rng(0)
    wide = np.outer(rng.normal(size=(20, 5))[:, 0], np.arange(1, 6))
    data = pd.DataFrame(
        {"id": np.tile(np.repeat(np.arange(20), 5), 2), "week": np.tile(np.arange(5), 40)}
    )
    data["y"] = np.tile(wide.ravel(), 2) + 0.3 * rng.normal(size=200)
    fit = bl.Model("y ~ 1 + fa(0 + C(week) | id)", data).fit("reml")
    table = fit.summary().filter(like="loading", axis=0)
    at = table["estimate"].to_numpy() > 1 - 1e-6
    assert at.any()
    assert table["std_error"].isna().to_numpy()[at].all()
    assert "Heywood" in str(fit.diagnose())


def test_a_uniqueness_near_zero_is_said():
    """Wald's interval of the loading goes from -0.13 to 0.997, that of the profile from 0.63 to 1;
    with ten times the data neither is near the bound.
    """
    loading = np.array([0.985, 0.7, 0.6, 0.5, 0.4])
    C = np.outer(loading, loading)
    np.fill_diagonal(C, 1)

    def fitted(n, C):
        y = np.random.default_rng(0).multivariate_normal(np.zeros(5), C, size=n)
        data = pd.DataFrame(
            {"id": np.repeat(np.arange(n), 5), "week": np.tile(np.arange(5), n), "y": y.ravel()}
        )
        R = bl.FA(1, time="week", group="id")
        return bl.Model("y ~ 0 + C(week)", data, R=R).fit("reml")

    near = fitted(40, C)
    (finding,) = near.diagnose().findings
    assert finding.where == "loading, 0: 0.15"
    assert "confint('profile')" in finding.remedy
    assert near.diagnose().ok
    row = near.summary().loc["loading[0, 1]"]
    lower, upper = near.confint("profile", parameters="loading[0, 1]")[["lower", "upper"]].iloc[0]
    assert upper - lower < 0.4 < 1.1 < row["upper"] - row["lower"]
    far = fitted(400, np.where(np.eye(5) == 1, 1, 0.7 * C))
    assert far.diagnose().findings == ()


def test_too_many_factors_have_uniquenesses_of_zero():
    """Two factors made the data, and a third finds nothing but the noise of a few occasions."""
    fit = on_R(3).fit("reml")
    assert fit.status.ok
    assert "Heywood" in str(fit.diagnose())
    R = bl.UN(time="week", group="id")
    free = bl.Model(fit.model.formula, fit.model.data, R=R).fit("reml")
    assert on_R(2).fit("reml").loglik < fit.loglik < free.loglik


def test_how_many_factors_there_can_be():
    assert [most_factors(T) for T in range(2, 9)] == [0, 1, 1, 2, 3, 3, 4]
    with pytest.raises(DesignError, match=r"has 7 loadings .* 6 correlations .* is FA\(1\)"):
        on_R(2, 4)
    with pytest.raises(DesignError, match="use UN or CS"):
        on_G(1, 2)
    for k in (0, 1.5, True, 10):
        with pytest.raises(ArgumentError, match="number of factors"):
            bl.FA(k)
    with pytest.raises(ArgumentError, match="FA needs `k`, the number of factors"):
        bl.FA(time="week", group="id")
    assert bl.FA(2).correlation == FactorAnalytic(2)


def test_the_default_prior_is_uniform_on_balls():
    """Rows of the unit ball: the density of the coordinates is the Jacobian alone."""
    own = on_G(2)
    prior = own.priors["loading_id[week[3], 2]"]
    assert (prior.lower, prior.upper) == (-1, 1)
    with pytest.raises(PriorError, match="depends on the other loadings"):
        own.with_priors({"loading_id": bl.Uniform(0, 1)})
    with pytest.raises(PriorError, match="hold all of them, or none"):
        own.with_priors({"loading_id[week[3], 2]": bl.Fixed(0.2)})


def test_files_and_words(tmp_path):
    for fit in (on_G(2).fit("reml"), on_R(1).fit("ml")):
        fit.save(tmp_path / "fit.nc")
        again = bl.load(tmp_path / "fit.nc")
        pd.testing.assert_frame_equal(again.summary(), fit.summary())
        assert "FA(" in repr(fit)
        assert "loading" in str(fit.model.describe())


def test_candidates_have_numbers_of_factors():
    where = {"time": "week", "group": "id"}
    model = bl.Model("y ~ 0 + C(week)", frame())
    candidates = [bl.FA(1, **where), bl.FA(2, **where), bl.FA(3, **where), bl.UN(**where)]
    chosen = bl.select_structure(model, candidates, data=frame())
    assert chosen.table["bic"].idxmin() == "FA(2)"
    assert set(chosen.table.index) == {"FA(1)", "FA(2)", "FA(3)", "UN"}


def test_candidates_for_random_effects():
    model = bl.Model("y ~ 1 + (0 + week | id)", frame(2), G={"id": bl.AR1()})
    chosen = bl.select_structure(model, [bl.AR1(), bl.FA(1), bl.FA(2), bl.FA(4)], on="id")
    assert chosen.table["bic"].idxmin() == "FA(2)"
    assert list(chosen.failures) == ["FA(4)"]
    C = chosen.correlations["FA(2)"]
    np.testing.assert_allclose(np.diag(C), 1)
    assert list(C.columns) == [f"week[{week}]" for week in range(1, 7)]
    assert "of the random effects of id" in repr(chosen)
    two = bl.Model("y ~ 1 + (1 | id) + (0 + week | id)", frame(2))
    with pytest.raises(ArgumentError, match="one plain bar"):
        bl.select_structure(two, [bl.AR1()], on="id")


def test_posteriors():
    for own in (on_R(1, 4), on_G(1, 4)):
        fit = own.fit("nuts", random_seed=3, chains=2, progress=False)
        reml = own.fit("reml")
        names = [name for name in own.parameters.names if name.startswith("loading")]
        both = [f.summary().loc[names, ["estimate", "std_error"]].to_numpy() for f in (fit, reml)]
        assert (np.abs(both[0] - both[1])[:, 0] < 2 * both[0][:, 1] + 0.02).all()
        first = "loading_id" if own.R is None else "loading"
        assert (fit.posterior[first].to_numpy()[..., 0] >= 0).all()


# Where one descent in ordinary coordinates ends 11.06, 0.21 and 14.76 higher. The minima are those
# of SciPy's L-BFGS over all 12 loadings, the roots of uniquenesses and log(sigma), from principal
# factors of the unrestricted G and from three random starts, which agree.
HARD = {7: 704.5723, 8: 866.5112, 11: 773.4925}


@pytest.mark.parametrize("seed", HARD)
def test_a_search_gets_around_communalities_of_one(seed):
    rng = np.random.default_rng(seed)
    L = rng.normal(size=(6, 2))
    u = rng.multivariate_normal(np.zeros(6), L @ L.T + np.diag(rng.uniform(0.05, 0.6, 6)), size=30)
    data = pd.DataFrame(
        {"id": np.repeat(np.arange(30), 12), "t": np.tile(np.repeat(np.arange(6), 2), 30)}
    )
    data["y"] = u[data["id"], data["t"]] + 0.6 * rng.normal(size=360)
    data = data[rng.uniform(size=360) > 0.15].reset_index(drop=True)
    fit = bl.Model("y ~ 1 + (0 + C(t) | id)", data, G={"id": bl.FA(2)}).fit("reml")
    assert fit.status.ok
    assert -2 * fit.loglik == pytest.approx(HARD[seed], abs=2e-4)


@pytest.mark.parametrize("algorithm", ["quasi-newton", "newton"])
@pytest.mark.parametrize("seed", [13, 46])
def test_of_several_maxima_the_largest_is_found(seed, algorithm):
    """One factor where there are three: another optimiser over the sample covariance."""
    rng = np.random.default_rng(seed)
    T, n = {13: (7, 100), 46: (6, 25)}[seed]
    V = (lambda L: L @ L.T + np.diag(rng.uniform(0.02, 0.6, T)))(rng.normal(size=(T, 3)))
    y = rng.multivariate_normal(np.zeros(T), V, size=n)
    S = np.cov(y.T, bias=True)

    def deviance(x):
        V = np.outer(x[:T], x[:T]) + np.diag(x[T:] ** 2)
        inverse = np.linalg.inv(V)
        slope = n * (inverse - inverse @ S @ inverse)
        value = n * (T * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + np.trace(inverse @ S))
        return value, np.concatenate([2 * slope @ x[:T], 2 * x[T:] * np.diag(slope)])

    sd = np.sqrt(np.diag(S))
    found = [
        minimize(
            deviance,
            np.concatenate([sd * rng.normal(size=T), sd * rng.uniform(0.3, 1, T)]),
            jac=True,
            method="L-BFGS-B",
        ).fun
        for _ in range(20)
    ]
    assert max(found) > min(found) + 0.1
    data = pd.DataFrame(
        {"id": np.repeat(np.arange(n), T), "week": np.tile(np.arange(T), n), "y": y.ravel()}
    )
    R = bl.FA(1, time="week", group="id")
    fit = bl.Model("y ~ 0 + C(week)", data, R=R).fit("ml", algorithm=algorithm)
    assert fit.status.ok
    assert -2 * fit.loglik == pytest.approx(min(found), abs=1e-3)


@pytest.mark.parametrize(("k", "T"), [(1, 3), (2, 5), (3, 7)])
def test_ratios_of_loadings(k, T):
    rng = np.random.default_rng(k)
    n = n_loadings(k, T)
    ratios, weights = rng.normal(size=n + T), rng.normal(size=n)
    params = loadings.from_ratios(k, ratios, n)
    assert loadings.inside(k, params)
    back = loadings.to_ratios(k, params)
    np.testing.assert_allclose(loadings.from_ratios(k, back, n), params)
    gradient = loadings.ratios_pullback(k, ratios, weights)
    for i, move in enumerate(1e-6 * np.eye(n + T)):
        up, down = (weights @ loadings.from_ratios(k, ratios + m, n) for m in (move, -move))
        assert gradient[i] == pytest.approx((up - down) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_maximum_does_not_depend_on_which_occasions_come_first(seed):
    # a diagonal loading is not negative by convention, where a search must not end
    rng = np.random.default_rng(seed)
    L = np.array([[1.5, 0], [1.2, 0.6], [0.9, 0.9], [0.7, 1.1], [0.4, 1.3]])
    u = rng.multivariate_normal(np.zeros(5), L @ L.T + 0.4 * np.eye(5), size=30)
    data = pd.DataFrame({"id": np.repeat(range(30), 10), "t": np.tile(np.repeat(range(5), 2), 30)})
    data["y"] = u[data["id"], data["t"]] + 0.6 * rng.normal(size=300)
    data["back"] = 4 - data["t"]
    fits = [
        bl.Model(f"y ~ 1 + (0 + {time} | id)", data, G={"id": bl.FA(2)}).fit("reml")
        for time in ("t", "back")
    ]
    assert all(own.status.ok for own in fits)
    assert fits[0].loglik == pytest.approx(fits[1].loglik, abs=1e-5)
