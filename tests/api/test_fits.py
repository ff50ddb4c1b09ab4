"""The result interface: both kinds of fit alike, and each against dense algebra."""

import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.estimation.likelihood import quasi_newton as likelihood
from bayeslmm.solutions import solving
from tests.oracles import dense, fits_cache
from tests.oracles.fits_cache import MODELS

COLUMNS = ["estimate", "std_error", "lower", "upper"]

every_model = pytest.mark.parametrize("name", MODELS)
both_kinds = pytest.mark.parametrize("kind", [fits_cache.likelihood, fits_cache.posterior])
some_models = pytest.mark.parametrize(
    "name", ["slopes", "crossed", "nested", "weights", "offset", "one variance", "two bars"]
)


class Dense:
    """A model written out in full: matrices with a row for each row of the data."""

    def __init__(self, design):
        self.X, self.y = design.X, design.y - (0 if design.offset is None else design.offset)
        self.weights = np.ones(len(self.y)) if design.weights is None else design.weights
        self.Z = np.hstack(
            [np.empty((len(self.y), 0)), *(dense.full_Z(factor) for factor in design.factors)]
        )

    def G(self, fit):
        """Covariance matrix of all of u."""
        factors = fit.model.design.factors
        return block_diag(*(np.kron(np.eye(len(f.levels)), fit.G(f.name)) for f in factors))

    def solve(self, fit):
        """GLS estimate, BLUP, and the covariance matrix of their errors, from V."""
        G, sigma2 = self.G(fit), fit.sigma**2
        V = self.Z @ G @ self.Z.T + np.diag(sigma2 / self.weights)
        inverse = np.linalg.inv(V)
        var_beta = np.linalg.inv(self.X.T @ inverse @ self.X)
        beta = var_beta @ self.X.T @ inverse @ self.y
        gain = G @ self.Z.T @ inverse
        u = gain @ (self.y - self.X @ beta)
        var_u = G - gain @ self.Z @ G + gain @ self.X @ var_beta @ self.X.T @ gain.T
        cross = -var_beta @ self.X.T @ gain.T
        errors = np.block([[var_beta, cross], [cross.T, var_u]])
        return beta, u, errors, G - gain @ self.Z @ G


@every_model
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_both_kinds_have_the_same_tables(name, method):
    reml, post = fits_cache.likelihood(name, method), fits_cache.posterior(name)
    groups = [factor.name for factor in reml.model.design.factors]
    first = fits_cache.data(name).iloc[:4]
    tables = [
        lambda fit: fit.summary().iloc[:, :4],
        lambda fit: fit.fixef(),
        lambda fit: fit.varcorr(),
        lambda fit: fit.ranef(),
        lambda fit: fit.coef(),
        lambda fit: fit.fitted(),
        lambda fit: fit.residuals("pearson"),
        lambda fit: fit.predict(),
        lambda fit: fit.predict(first, groups="none"),
        lambda fit: fit.predict(first, groups=groups[:1], interval="mean"),
        lambda fit: fit.predict(interval="new", level=0.5),
        lambda fit: fit.simulate(3, random_seed=1),
        lambda fit: fit.beta,
        lambda fit: fit.theta,
        *(lambda fit, g=g: fit.G(g) for g in groups),
        *(lambda fit, g=g: fit.ranef(g) for g in groups),
        *(lambda fit, g=g: fit.coef(g) for g in groups),
        *(lambda fit, g=g: fit.u[g] for g in groups),
        *(lambda fit, g=g: fit.R(fit.u[g].index[0], g) for g in groups),
        *(lambda fit, g=g: fit.V(fit.u[g].index[0], g) for g in groups),
    ]
    for table in tables:
        a, b = table(reml), table(post)
        pd.testing.assert_index_equal(a.index, b.index)
        assert a.shape == b.shape
        if isinstance(a, pd.DataFrame):
            assert list(a.columns) == list(b.columns)
            labels = a.columns[[a[c].dtype == object for c in a.columns]]
            pd.testing.assert_frame_equal(a[labels], b[labels])
            assert (a.dtypes == b.dtypes).all()
        else:
            assert (a.name, a.dtype) == (b.name, b.dtype)


@every_model
def test_both_kinds_agree_roughly(name):
    reml, post = fits_cache.likelihood(name), fits_cache.posterior(name)
    scale = post.summary()["std_error"]
    difference = post.summary()["estimate"] - reml.summary()["estimate"]
    assert (difference.abs() < 1.2 * scale).all()
    spread = reml.fitted().std()
    assert (reml.fitted() - post.fitted()).abs().max() < 0.5 * spread + 1e-9


@every_model
def test_summary_statistics(name):
    reml, post = fits_cache.likelihood(name).summary(), fits_cache.posterior(name).summary()
    assert list(reml.columns) == [*COLUMNS, "df", "t", "p"]
    assert list(post.columns) == [*COLUMNS, "ess_bulk", "ess_tail", "r_hat", "mcse"]
    assert reml.index.name == "parameter"
    fixed = reml.index.str.startswith("beta[")
    assert (reml.loc[fixed, "df"] > 1).all()
    assert reml.loc[fixed, ["t", "p"]].notna().all(axis=None)
    assert reml.loc[~fixed, ["df", "t", "p"]].isna().all(axis=None)
    assert (post["ess_bulk"] > 200).all()
    assert (post["r_hat"] < 1.02).all()
    for table in (reml, post):
        inside = table["lower"].le(table["estimate"]) & table["upper"].ge(table["estimate"])
        assert inside.all()


@some_models
def test_likelihood_estimates_are_those_of_dense_algebra(name):
    fit = fits_cache.likelihood(name)
    full = Dense(fit.model.design)
    beta, u, errors, conditional = full.solve(fit)
    p = len(beta)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-8)
    np.testing.assert_allclose(fit.fixef()["std_error"], np.sqrt(np.diag(errors)[:p]), rtol=1e-8)
    ranef = fit.ranef()
    np.testing.assert_allclose(ranef["estimate"], u, atol=1e-8 * np.abs(u).max())
    np.testing.assert_allclose(ranef["std_error"], np.sqrt(np.diag(conditional)), rtol=1e-6)

    W = np.hstack([full.X, full.Z])
    offset = 0 if fit.model.design.offset is None else fit.model.design.offset
    table = fit.predict(interval="mean")
    variance = np.einsum("ij,jk,ik->i", W, errors, W)
    np.testing.assert_allclose(table["estimate"], W @ np.r_[beta, u] + offset, rtol=1e-10)
    np.testing.assert_allclose(table["std_error"], np.sqrt(variance), rtol=1e-7)
    new = fit.predict(interval="new", level=0.9)
    sd = np.sqrt(variance + fit.sigma**2 / full.weights)
    np.testing.assert_allclose(new["std_error"], sd, rtol=1e-8)
    np.testing.assert_allclose(new["upper"] - new["estimate"], 1.6448536269514722 * sd, rtol=1e-8)


@some_models
def test_posterior_estimates_are_those_of_the_draws(name):
    fit = fits_cache.posterior(name)
    full = Dense(fit.model.design)
    draws = fit.draws.theta.shape[0] * fit.draws.theta.shape[1]
    w = np.hstack([fit.draws.beta.reshape(draws, -1), fit.draws.u.reshape(draws, -1)])
    offset = 0 if fit.model.design.offset is None else fit.model.design.offset
    eta = w @ np.hstack([full.X, full.Z]).T + offset
    table = fit.predict(interval="mean", level=0.8)
    expected = [eta.mean(0), eta.std(0, ddof=1), *np.quantile(eta, [0.1, 0.9], axis=0)]
    np.testing.assert_allclose(table.to_numpy().T, expected, rtol=1e-8)
    np.testing.assert_allclose(fit.fitted(), eta.mean(0), rtol=1e-8)
    u = w[:, full.X.shape[1] :]
    np.testing.assert_allclose(fit.ranef()["estimate"], u.mean(0), atol=1e-10 * np.abs(u).max())
    np.testing.assert_allclose(fit.ranef()["std_error"], u.std(0, ddof=1), rtol=1e-8)

    new = fit.predict(interval="new")
    sigma2 = np.mean(fit.draws.theta[..., -1] ** 2)
    sd = np.sqrt(eta.var(0, ddof=1) + sigma2 / full.weights)
    np.testing.assert_allclose(new["std_error"], sd, rtol=1e-8)
    np.testing.assert_allclose(new["upper"] - new["lower"], 2 * 1.96 * sd, rtol=0.2)


@both_kinds
@some_models
def test_covariance_matrices(name, kind):
    fit = kind(name)
    design = fit.model.design
    full = Dense(design)
    sigma2 = fit.sigma**2 if fit.method != "nuts" else np.mean(fit.draws.theta[..., -1] ** 2)
    V = full.Z @ full.G(fit) @ full.Z.T + np.diag(sigma2 / full.weights)
    factor = design.factors[-1]
    level = factor.levels[1]
    rows = np.flatnonzero(factor.codes == 1)
    np.testing.assert_allclose(fit.V(level, factor.name), V[np.ix_(rows, rows)], rtol=1e-10)
    R = fit.R(level, factor.name)
    np.testing.assert_allclose(R, np.diag(sigma2 / full.weights[rows]), rtol=1e-10)
    pd.testing.assert_index_equal(R.index, design.index[rows])
    assert list(fit.G(factor.name).columns) == list(factor.effects)


def test_G_is_made_of_the_parameters():
    fit = fits_cache.likelihood("slopes")
    sd0, sd1, corr, _ = fit.theta
    expected = [[sd0**2, corr * sd0 * sd1], [corr * sd0 * sd1, sd1**2]]
    np.testing.assert_allclose(fit.G(), expected, rtol=1e-8)

    post = fits_cache.posterior("slopes")
    sd0, sd1, corr, _ = np.moveaxis(post.draws.theta, -1, 0)
    assert post.G().loc["Intercept", "Days"] == pytest.approx(np.mean(sd0 * sd1 * corr))
    assert post.G().loc["Days", "Days"] == pytest.approx(np.mean(sd1**2))


@both_kinds
def test_coef_is_beta_plus_u(kind):
    fit = kind("slopes")
    table = fit.coef("Subject").set_index(["level", "effect"])["estimate"]
    for effect in ("Intercept", "Days"):
        expected = fit.beta[effect] + fit.u["Subject"][effect]
        np.testing.assert_allclose(table.xs(effect, level="effect")[expected.index], expected)


@both_kinds
def test_coef_lists_effects_that_are_only_random_or_only_fixed(kind):
    fit = kind("one variance")
    table = fit.coef()
    names = ["Intercept", "Machine[B]", "Machine[C]", "Machine[A]"]
    assert list(table["effect"][:4]) == names
    first = table[table["level"] == "1"].set_index("effect")["estimate"]
    u = fit.u["Worker"].loc["1"]
    assert first["Intercept"] == pytest.approx(fit.beta["Intercept"])
    assert first["Machine[A]"] == pytest.approx(u["Machine[A]"])
    assert first["Machine[B]"] == pytest.approx(fit.beta["Machine[B]"] + u["Machine[B]"])


@both_kinds
def test_predictions_of_new_levels(kind):
    fit = kind("slopes")
    new = pd.DataFrame({"Days": [0.0, 4.0, 9.0], "Subject": ["308", "new", "newer"]})
    new.index = ["a", "b", "c"]
    with pytest.raises(errors.DataError, match=r"'new', 'newer' in 2 rows \(b, c\)"):
        fit.predict(new)
    zero = fit.predict(new, new_levels="zero", interval="mean")
    none = fit.predict(new, groups="none", interval="mean")
    sample = fit.predict(new, new_levels="sample", interval="mean")
    both = fit.predict(new, new_levels="sample", interval="new")
    assert list(zero.index) == ["a", "b", "c"]
    np.testing.assert_allclose(zero.iloc[1:], none.iloc[1:])
    np.testing.assert_allclose(sample["estimate"], zero["estimate"])
    z = np.column_stack([np.ones(2), new["Days"].iloc[1:]])
    between = np.einsum("ij,jk,ik->i", z, fit.G().to_numpy(), z)
    added = sample["std_error"] ** 2 - zero["std_error"] ** 2
    np.testing.assert_allclose(added.iloc[1:], between, rtol=1e-8)
    assert added.iloc[0] == pytest.approx(0, abs=1e-8)
    residual = both["std_error"] ** 2 - sample["std_error"] ** 2
    np.testing.assert_allclose(residual, fit.residual_variance, rtol=1e-8)
    pd.testing.assert_frame_equal(both, fit.predict(new, new_levels="sample", interval="new"))


@both_kinds
def test_predictions_of_some_groups(kind):
    fit = kind("crossed")
    rows = fits_cache.data("crossed").iloc[:6].drop(columns=["diameter", "sample"])
    table = fit.predict(rows, groups=["plate"])
    u = fit.u["plate"]["Intercept"][rows["plate"].astype(str)].to_numpy()
    np.testing.assert_allclose(table["estimate"], fit.beta["Intercept"] + u)
    assert list(table.columns) == ["estimate"]


@both_kinds
def test_predictions_of_the_rows_fitted_do_not_need_data(kind):
    for name in ("offset", "weights"):
        fit = kind(name)
        for interval in ("mean", "new"):
            np.testing.assert_allclose(
                fit.predict(fits_cache.data(name), interval=interval),
                fit.predict(interval=interval),
            )


def test_new_observations_of_a_model_with_weights_need_weights():
    data = fits_cache.data("weights")
    from bayeslmm.api.model import Model

    fit = Model("Reaction ~ Days + (Days | Subject)", data, weights=data["w"]).fit("reml")
    with pytest.raises(errors.ArgumentError, match="give `weights=`"):
        fit.predict(data, interval="new")
    table = fit.predict(data, interval="new", weights="w")
    np.testing.assert_allclose(table, fit.predict(interval="new"))
    with pytest.raises(errors.ArgumentError, match="for new `data`"):
        fit.predict(interval="new", weights="w")


@both_kinds
def test_residuals(kind):
    fit = kind("weights")
    design = fit.model.design
    response = design.y - fit.fitted()
    np.testing.assert_allclose(fit.residuals(), response)
    np.testing.assert_allclose(fit.residuals("pearson"), response * np.sqrt(design.weights))
    sds = np.sqrt(fit.residual_variance / design.weights)
    np.testing.assert_allclose(fit.residuals("standardized"), response / sds)


def test_rows_with_missing_values_are_left_out_of_fitted_values():
    data = fits_cache.data("intercepts")
    data.loc["row 3", "Days"] = np.nan
    from bayeslmm.api.model import Model

    fit = Model("Reaction ~ Days + (1 | Subject)", data).fit("reml")
    assert len(fit.fitted()) == 179
    assert "row 3" not in fit.fitted().index
    pd.testing.assert_index_equal(fit.predict().index, fit.residuals().index)
    assert "1 row with missing values dropped" in repr(fit.diagnose())


@pytest.mark.parametrize("name", ["slopes", "crossed", "weights", "offset"])
def test_simulated_responses_have_the_moments_of_the_model(name):
    fit = fits_cache.likelihood(name)
    full = Dense(fit.model.design)
    y = fit.simulate(4000, random_seed=5)
    assert y.shape == (4000, len(full.y))
    V = full.Z @ full.G(fit) @ full.Z.T + np.diag(fit.sigma**2 / full.weights)
    mean = fit.predict(groups="none")["estimate"].to_numpy()
    sd = np.sqrt(np.diag(V))
    assert np.abs((y.mean() - mean) / sd).max() < 5 / np.sqrt(4000)
    assert np.abs(np.cov(y.T) - V).max() < 6 * sd.max() ** 2 / np.sqrt(4000)
    pd.testing.assert_frame_equal(y, fit.simulate(4000, random_seed=5))


def test_simulations_from_a_posterior_are_at_different_draws():
    fit = fits_cache.posterior("slopes")
    y = fit.simulate(500, random_seed=5)
    spread = fit.predict(groups="none", interval="mean")["std_error"]
    Z = fit.model.design.factors[0].Z
    between = np.einsum("ij,jk,ik->i", Z, fit.G().to_numpy(), Z)
    expected = np.sqrt(spread**2 + between + fit.residual_variance)
    np.testing.assert_allclose(y.std(), expected, rtol=0.25)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", ["slopes", "weights", "nested", "factor ||"])
def test_standard_errors_of_theta_come_from_the_curvature(name, method):
    fit = fits_cache.likelihood(name, method)
    corr = np.array(fit.model.parameters.kinds) == "corr"
    theta = fit.theta.to_numpy()
    centre = np.where(corr, np.arctanh(np.where(corr, theta, 0)), np.log(np.where(corr, 1, theta)))

    def loglik(working):
        here = np.where(corr, np.tanh(working), np.exp(np.where(corr, 0, working)))
        return dense.profiled(here, fit.model.parameters, fit.model.design)[method]

    assert loglik(centre) == pytest.approx(fit.loglik, rel=1e-9)
    steps = 2e-3 * np.eye(len(theta))
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
    ) / (4 * 2e-3**2)
    sd = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    expected = np.where(corr, 1 - theta**2, theta) * sd
    np.testing.assert_allclose(fit.varcorr()["std_error"], expected, rtol=2e-3)


def test_intervals_of_theta():
    table = fits_cache.likelihood("slopes").summary(level=0.9)
    row = table.loc["sd_Subject[Days]"]
    half = 1.6448536269514722 * row["std_error"] / row["estimate"]
    expected = row["estimate"] * np.exp([-half, half])
    np.testing.assert_allclose(row[["lower", "upper"]].astype(float), expected)
    row = table.loc["corr_Subject[Intercept, Days]"]
    half = 1.6448536269514722 * row["std_error"] / (1 - row["estimate"] ** 2)
    expected = np.tanh(np.arctanh(row["estimate"]) + np.array([-half, half]))
    np.testing.assert_allclose(row[["lower", "upper"]].astype(float), expected)


def test_a_variance_of_zero_has_no_standard_error():
    from bayeslmm.api.model import Model
    from bayeslmm.data.examples import load_dataset

    fit = Model("Yield ~ 1 + (1 | Batch)", load_dataset("Dyestuff2")).fit("reml")
    row = fit.summary().loc["sd_Batch[Intercept]"]
    assert row["estimate"] == 0
    assert row[["std_error", "lower", "upper"]].isna().all()
    assert fit.ranef()["estimate"].eq(0).all()
    assert fit.summary().loc["sigma", COLUMNS].notna().all()
    text = repr(fit)
    assert "not available: on the boundary" in text
    assert "the variance of Intercept over Batch is zero" in text
    assert not fit.diagnose().ok


@pytest.fixture(scope="module")
def perfectly_correlated():
    from bayeslmm.api.model import Model

    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 8)
    x = np.tile(np.arange(8.0), 12)
    u = rng.normal(size=12)[g]
    y = 10 + x + 3 * u * (1 + 0.5 * x) + rng.normal(size=len(g))
    return Model("y ~ x + (x | g)", {"y": y, "x": x, "g": g}).fit("reml")


def test_a_correlation_of_one_has_no_standard_error(perfectly_correlated):
    fit = perfectly_correlated
    if not fit.optimum.singular:
        pytest.fail("the data should make this fit singular")
    table = fit.varcorr()
    row = table[table["kind"] == "corr"].iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert np.isnan(row["std_error"])
    findings = fit.diagnose().findings
    assert [finding.what for finding in findings] == [
        "the correlation of Intercept and x over g is 1"
    ]


def test_a_correlation_with_an_effect_that_does_not_vary_does_not_exist():
    from bayeslmm.api.model import Model

    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(10), 12)
    x = np.tile(np.arange(12.0) - 5.5, 10)
    # residuals that sum to zero against x within a group leave nothing for slopes to vary by
    e = rng.normal(size=(10, 12))
    e -= (e @ x[:12])[:, None] * x[:12] / (x[:12] @ x[:12])
    y = 1 + x + rng.normal(size=10)[g] + e.ravel()
    fit = Model("y ~ x + (x | g)", {"y": y, "x": x, "g": g}).fit("reml")
    assert fit.optimum.singular
    table = fit.varcorr().set_index("kind")
    assert table.loc["sd", "estimate"].iloc[1] == pytest.approx(0, abs=1e-6)
    assert np.isnan(table.loc["corr", "estimate"])
    assert "the variance of x over g is zero" in repr(fit.diagnose())


def test_the_posterior_is_labelled():
    fit = fits_cache.posterior("slopes")
    posterior = fit.posterior
    assert set(posterior.data_vars) == {"beta", "sd_Subject", "corr_Subject", "u_Subject", "sigma"}
    assert posterior["u_Subject"].dims == ("chain", "draw", "Subject", "Subject_effect")
    one = posterior["u_Subject"].sel(Subject="309", Subject_effect="Days").mean().item()
    assert one == pytest.approx(fit.u["Subject"].loc["309", "Days"])
    pair = posterior["corr_Subject"].sel(Subject_pair="Intercept, Days").mean().item()
    assert pair == pytest.approx(fit.theta["corr_Subject[Intercept, Days]"])
    np.testing.assert_array_equal(fit.idata["observed_data"]["y"], fit.model.design.y)
    assert "diverging" in fit.idata["sample_stats"]


@pytest.mark.parametrize(
    "name", ["slopes", "one variance", "two bars", "nested", "no coefficients"]
)
def test_arviz_names_parameters_as_the_summary_does(name):
    import arviz_stats

    fit = fits_cache.posterior(name)
    variables = [v for v in fit.posterior.data_vars if not str(v).startswith("u_")]
    table = arviz_stats.summary(fit.posterior, var_names=variables, round_to="none")
    ours = fit.summary()
    assert set(table.index) == set(ours.index)
    table = table.loc[ours.index]
    np.testing.assert_allclose(table["mean"], ours["estimate"])
    np.testing.assert_allclose(table["sd"], ours["std_error"])
    np.testing.assert_allclose(table["ess_bulk"], ours["ess_bulk"])
    np.testing.assert_allclose(table["r_hat"], ours["r_hat"])
    np.testing.assert_allclose(table["mcse_mean"], ours["mcse"])


def test_the_posterior_holds_weights_and_offset():
    weights = fits_cache.posterior("weights")
    np.testing.assert_array_equal(
        weights.idata["constant_data"]["weights"], weights.model.design.weights
    )
    offset = fits_cache.posterior("offset")
    assert list(offset.idata["constant_data"].data_vars) == ["offset"]
    assert offset.idata["constant_data"]["offset"].coords["row"][0] == "row 0"


def test_a_grouping_factor_may_be_called_chain():
    from bayeslmm.api.model import Model

    data = fits_cache.data("intercepts").rename(columns={"Subject": "chain"})
    model = Model("Reaction ~ Days + (1 | chain)", data)
    fit = model.fit("nuts", draws=500, chains=2, random_seed=1, progress=False)
    u = fit.posterior["u_chain"]
    assert u.dims == ("chain", "draw", "chain_level", "chain_effect")


def test_a_point_estimate_has_no_draws():
    fit = fits_cache.likelihood("slopes")
    with pytest.raises(errors.ArgumentError, match=r"has no draws.*model\.fit\('nuts'\)"):
        _ = fit.posterior


ELSEWHERE = [
    (fits_cache.posterior, "aic", "a fit by NUTS has no 'aic': .*`model.fit.'ml'.` or 'reml'"),
    (fits_cache.posterior, "loglik", "no maximised likelihood"),
    (fits_cache.posterior, "status", "`diagnose..` says how sampling went"),
    (fits_cache.posterior, "drop1", "bl.compare"),
    (fits_cache.posterior, "confint", "`summary.level.` has those of the posterior"),
    (fits_cache.likelihood, "draws", "a fit by REML has no 'draws': .*`model.fit.'nuts'.`"),
    (fits_cache.likelihood, "convergence", "without draws to converge"),
    (fits_cache.likelihood, "posterior", "has no draws"),
    (fits_cache.likelihood, "loo", "a fit by REML has no 'loo': .*`model.fit.'nuts'..loo..`"),
]


def test_each_kind_of_fit_says_what_to_do_instead_of_what_the_others_have():
    kinds = (bl.LikelihoodFit, bl.MapFit, bl.PosteriorFit)
    public = {kind: {name for name in dir(kind) if not name.startswith("_")} for kind in kinds}
    only_of_one = {bl.MapFit: {"criterion", "log_prior"}}
    for kind in kinds:
        others = {n for k in kinds if k is not kind for n in public[k] - only_of_one.get(k, set())}
        assert others - public[kind] <= set(kind._elsewhere)


@pytest.mark.parametrize("given", [3, [], 2.5, b"sigma"])
def test_what_is_no_parameter_is_refused(given):
    for method in (fits_cache.likelihood("slopes").profile, _wald_intervals):
        with pytest.raises(errors.ArgumentTypeError, match="`parameters` should be names"):
            method(given)


def _wald_intervals(parameters):
    return fits_cache.likelihood("slopes").confint("wald", parameters=parameters)


@pytest.mark.parametrize(("kind", "name", "message"), ELSEWHERE)
def test_attributes_that_the_other_kind_of_fit_has(kind, name, message):
    fit = kind("slopes")
    assert not hasattr(fit, name)
    with pytest.raises(errors.MissingAttributeError, match=message):
        getattr(fit, name)
    with pytest.raises(AttributeError, match="object has no attribute 'waic'"):
        _ = fit.waic


def test_criteria_are_plain_numbers():
    fit = fits_cache.likelihood("slopes")
    assert [type(fit.aic), type(fit.bic), type(fit.loglik)] == [float, float, float]


@both_kinds
def test_fits_do_not_change(kind):
    fit = kind("slopes")
    with pytest.raises(AttributeError):
        fit.model = None


BAD = {
    "level of an interval": (lambda fit: fit.summary(level=95), "between 0 and 1, got 95"),
    "group": (lambda fit: fit.ranef("sbject"), "unknown grouping factor 'sbject'; valid: 'Subj"),
    "group of G": (lambda fit: fit.G("sbject"), "unknown grouping factor 'sbject'; valid: 'Subj"),
    "interval": (
        lambda fit: fit.predict(interval="prediction"),
        "valid: 'mean', 'new'. None gives no",
    ),
    "kind of residuals": (lambda fit: fit.residuals("raw"), "unknown kind of residuals 'raw'"),
    "level": (lambda fit: fit.V("999"), "unknown level '999'"),
    "groups": (lambda fit: fit.predict(groups="Subject"), "should be 'all', 'none' or a list"),
    "groups of a list": (lambda fit: fit.predict(groups=["Days"]), "unknown grouping factor"),
    "new_levels": (
        lambda fit: fit.predict(fits_cache.data("slopes"), new_levels="ignore"),
        "unknown new_levels 'ignore'; valid: 'error', 'zero', 'sample'",
    ),
    "new_levels without data": (
        lambda fit: fit.predict(new_levels="ignore"),
        "unknown new_levels 'ignore'",
    ),
    "new_levels that no row can have": (
        lambda fit: fit.predict(new_levels="zero"),
        "`new_levels` is for new `data`",
    ),
    "weights without new observations": (
        lambda fit: fit.predict(fits_cache.data("slopes"), interval="mean", weights="w"),
        "`weights` are for the residual variance of new observations",
    ),
    "level without an interval": (
        lambda fit: fit.predict(level=0.9),
        "`level` is the probability of an interval, and none is asked for",
    ),
    "n": (lambda fit: fit.simulate(0), "a whole number of 1 or more, got 0"),
    "seed": (lambda fit: fit.simulate(random_seed=-1), "`random_seed` should be a whole number"),
}
BAD_TYPES = {
    "level": lambda fit: fit.summary(level="0.9"),
    "n": lambda fit: fit.simulate("3"),
    "random_seed": lambda fit: fit.simulate(random_seed="x"),
}


ABSENT = [
    (
        {"Subject": ["308"]},
        "the data have no column 'Days', which the model needs; their columns: 'Subject'. Add it.",
    ),
    ({"Days": [1]}, "Add it. Without random effects, groups='none', 'Subject' is not needed."),
]


@pytest.mark.parametrize(("data", "message"), ABSENT)
def test_predictions_without_a_column(data, message):
    with pytest.raises(errors.DataError, match=message):
        fits_cache.likelihood("slopes").predict(data)


@both_kinds
@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case, kind):
    call, message = BAD[case]
    with pytest.raises(errors.ArgumentError, match=message):
        call(kind("slopes"))


@both_kinds
@pytest.mark.parametrize("argument", BAD_TYPES)
def test_arguments_of_other_types(argument, kind):
    with pytest.raises(errors.ArgumentTypeError, match=f"`{argument}` should be"):
        BAD_TYPES[argument](kind("slopes"))


@both_kinds
def test_levels_of_intervals_can_be_numbers_of_numpy(kind):
    fit = kind("slopes")
    pd.testing.assert_frame_equal(fit.fixef(np.float32(0.75)), fit.fixef(0.75))


@both_kinds
def test_what_a_fit_shows_can_be_changed_without_changing_the_fit(kind):
    fit = kind("slopes")
    before = fit.sigma, fit.beta.copy(), fit.theta.copy(), fit.u["Subject"].copy(), fit.G().copy()
    theta, beta, u, G = fit.theta, fit.beta, fit.u["Subject"], fit.G()
    theta["sigma"] = beta["Days"] = u.loc["308", "Days"] = G.loc["Days", "Days"] = 1.0
    assert fit.sigma == before[0]
    pd.testing.assert_series_equal(fit.beta, before[1])
    pd.testing.assert_series_equal(fit.theta, before[2])
    pd.testing.assert_frame_equal(fit.u["Subject"], before[3])
    pd.testing.assert_frame_equal(fit.G(), before[4])


@both_kinds
def test_models_without_groups_say_so(kind):
    with pytest.raises(errors.ArgumentError, match="has no grouping factors; add a term such as"):
        kind("no random effects").G()


def test_seconds_of_sampling_include_the_search_for_its_start(monkeypatch):
    model, skipped = fits_cache.model("intercepts"), 0.0

    def slow(*arguments):
        nonlocal skipped
        skipped += 3600.0
        return optimise(*arguments)

    optimise = likelihood.optimise
    monkeypatch.setattr(likelihood, "optimise", slow)
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + skipped)
    monkeypatch.setattr(solving, "time", clock)
    options = {"draws": 4, "tune": 4, "chains": 1, "random_seed": 1, "progress": False}
    assert solving.solve(model, "nuts", **options).draws.seconds > 3600


@both_kinds
def test_groups_and_levels_that_are_not_unique_must_be_named(kind):
    fit = kind("crossed")
    with pytest.raises(errors.ArgumentError, match="`group` is needed"):
        fit.G()
    assert fit.V("A").shape == (24, 24)
    assert kind("slopes").V(308).shape == (10, 10)
