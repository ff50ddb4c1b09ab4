"""Structured covariances of random effects, against dense algebra, finite differences, glmmTMB and
equivalent models.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.design.variables import variables_of
from bayeslmm.errors import ArgumentError, ArgumentTypeError, DataError, DesignError, FormulaError
from bayeslmm.estimation.optimum import Status
from bayeslmm.estimation.posterior.density import Density
from tests.oracles import dense_effects
from tests.oracles.dense import criteria
from tests.oracles.differences import central

STRUCTURES = {
    "CS": bl.CS(),
    "CSH": bl.CSH(),
    "AR1": bl.AR1(),
    "ARH1": bl.ARH1(),
    "ARMA11": bl.ARMA11(),
    "Toep": bl.Toep(),
    "ToepH": bl.ToepH(),
    "Ante1": bl.Ante1(),
    "UN one": bl.UN(variance="one"),
    "CAR1": bl.CAR1(),
    "CAR1 nugget": bl.CAR1(nugget=True),
    "Exp": bl.Exp(),
    "Gau": bl.Gau(),
    "Matern": bl.Matern(),
    "RatQuad": bl.RatQuad(),
    "Sph": bl.Sph(),
    "Matern nugget": bl.Matern(nugget=True),
}
WEEKS = np.array([1.0, 2.0, 4.0, 7.0])
every_structure = pytest.mark.parametrize("name", STRUCTURES)


@cache
def frame() -> pd.DataFrame:
    """Subjects with up to two rows at each of four weeks, some missing, in any order."""
    rng = np.random.default_rng(4)
    corr = 0.7 ** np.abs(WEEKS[:, None] - WEEKS)
    root = 1.5 * np.linalg.cholesky(corr)
    rows = [
        (f"s{j:02d}", week, 1 + 0.2 * week + u + rng.normal())
        for j in range(40)
        for week, u in zip(WEEKS, root @ rng.standard_normal(4), strict=True)
        for _ in range(2)
    ]
    data = pd.DataFrame(rows, columns=["id", "week", "y"])
    data["room"] = rng.choice(list("uvwx"), len(data))
    return data.iloc[rng.permutation(len(data))[: int(0.8 * len(data))]].reset_index(drop=True)


@cache
def model(name: str, formula: str = "y ~ week + (0 + week | id)") -> bl.Model:
    return bl.Model(formula, frame(), G={"id": STRUCTURES[name]})


def some_theta(own: bl.Model, seed: int, edge: float = 0.0) -> np.ndarray:
    """Theta somewhere, or with a share of what is left between it and its bounds."""
    rng = np.random.default_rng(seed)
    theta = np.empty(len(own.parameters))
    for block in own.parameters.blocks:
        size = block.stop - block.start
        if block.kind in ("sd", "sigma", "range"):
            values = rng.uniform(0.5, 2.5, size) * (1e-3 if edge and block.kind == "sd" else 1)
        elif block.joint is not None or block.kind == "corr":  # of some positive definite matrix
            values = np.full(size, 0.3) if block.kind == "corr" else 0.6 ** np.arange(1, size + 1)
            values = values * rng.uniform(0.8, 1.0)
        else:
            share = 1 - edge if edge else rng.uniform(0.2, 0.9)
            values = np.full(size, block.lower + (block.upper - block.lower) * share)
        theta[block.start : block.stop] = values
    return theta


def dense_V(own: bl.Model, name: str, theta: np.ndarray) -> np.ndarray:
    value = dict(zip(own.parameters.names, theta, strict=True))
    factor = own.design.factors[0]
    G = dense_effects.covariance(value, name, factor.effects, "id", "week", WEEKS)
    return dense_effects.marginal_covariance([G], [factor], theta[-1], len(own.design.y))


@every_structure
@pytest.mark.parametrize("edge", [0.0, 1e-3])
def test_likelihoods_are_those_of_dense_algebra(name, edge):
    own = model(name)
    theta = some_theta(own, 1, edge)
    expected = criteria(dense_V(own, name, theta), own.design.X, own.design.y)
    for method, value in expected.items():
        assert own.equations.loglik(theta, method)[0] == pytest.approx(value, rel=1e-9)


@every_structure
@pytest.mark.parametrize("edge", [0.0, 1e-3])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_gradients_are_finite_differences(name, edge, method):
    own = model(name)
    theta = some_theta(own, 2, edge)
    gradient = own.equations.loglik(theta, method)[1]
    for i, step in enumerate(1e-5 * (np.abs(theta) if not edge else np.full(len(theta), 1e-1))):
        move = step * np.eye(len(theta))[i]
        up, down = (own.equations.loglik(theta + m, method)[0] for m in (move, -move))
        scale = max(1.0, np.abs(gradient).max())
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-5 * scale)


@every_structure
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_estimates_are_a_maximum(name, method):
    own = model(name)
    fit = own.fit(method)
    assert fit.status is Status.CONVERGED
    assert fit.n_parameters == 2 + len(own.parameters)
    theta = fit.optimum.theta
    V = dense_V(own, name, theta)
    assert fit.loglik == pytest.approx(criteria(V, own.design.X, own.design.y)[method], rel=1e-9)
    value, gradient = own.equations.loglik(theta, method)
    assert value == pytest.approx(fit.loglik, rel=1e-10)
    # the increase that a Newton step on the scale of the standard errors promises
    gain = 0.5 * np.square(gradient * fit.varcorr()["std_error"].to_numpy()).max()
    assert gain < 1e-4
    np.testing.assert_allclose(
        fit.G("id"),
        dense_effects.covariance(
            dict(zip(own.parameters.names, theta, strict=True)),
            name,
            own.design.factors[0].effects,
            "id",
            "week",
            WEEKS,
        ),
        rtol=1e-8,
    )


ORTHODONT = "distance ~ age * Sex + {}(0 + age | Subject)", "Orthodont"
SLEEP = "Reaction ~ Days + {}(0 + Days | Subject)", "sleepstudy"
# glmmTMB 1.1.5, TMB 1.9.2, R 4.2.2: ar1(ageF + 0 | Subject), ou(...), with an iid residual. The
# optimum is that of an independent dense-algebra Newton from its estimates, good to 1e-9.
# log-likelihood, sd, correlation of the first two occasions, sigma, parameters, AIC, the intercept
# and its standard error
GLMMTMB = {
    ("ar1", ORTHODONT, "reml"): (
        *(-216.69483692244103, 1.8780775361540203, 0.9606636924465132, 1.3033292885405612),
        *(7, 447.389673845686, 17.369150387355592, 1.2358257628351845),
    ),
    ("ou", ORTHODONT, "reml"): (
        *(-216.69483692244103, 1.878077536157265, 0.9606636924502254, 1.303329288538648),
        *(7, 447.389673844885, 17.369150387356004, 1.2358257628262534),
    ),
    ("ar1", ORTHODONT, "ml"): (
        *(-214.23051336447907, 1.7833133600864581, 0.9713865012188455, 1.3131175877961407),
        *(7, 442.461026729158, 17.370369220793965, 1.1965501633499978),
    ),
    ("ou", ORTHODONT, "ml"): (
        *(-214.23051336447998, 1.783313360079992, 0.9713865012108128, 1.313117587784004),
        *(7, 442.461026729011, 17.370369220793343, 1.1965501633586666),
    ),
    ("ar1", SLEEP, "reml"): (
        *(-867.0932339707476, 47.34049471830933, 0.8834993230016547, 15.130444889224457),
        *(5, 1744.18646794149, 253.9074365481695, 11.365325155306406),
    ),
    ("ar1", SLEEP, "ml"): (
        *(-871.5309327872127, 46.082874754311774, 0.8789120875278618, 15.228766281552973),
        *(5, 1753.06186557442, 253.84804641288935, 11.070207926303246),
    ),
}


@pytest.mark.parametrize("case", GLMMTMB, ids=lambda case: f"{case[0]} {case[1][1]} {case[2]}")
def test_glmmtmb(case):
    call, (formula, dataset), method = case
    loglik, sd, rho, sigma, n_parameters, aic, intercept, std_error = GLMMTMB[case]
    fit = bl.Model(formula.format(call), bl.load_dataset(dataset)).fit(method)
    assert fit.loglik == pytest.approx(loglik, rel=1e-9)
    assert fit.aic == pytest.approx(aic, rel=1e-6)
    assert fit.n_parameters == n_parameters
    errors = fit.varcorr()["std_error"]
    G = fit.G().to_numpy()
    assert np.sqrt(G[0, 0]) == pytest.approx(sd, abs=1e-4 * errors[0])
    assert G[0, 1] / G[0, 0] == pytest.approx(rho, abs=1e-4 * errors[1])
    assert fit.sigma == pytest.approx(sigma, abs=1e-4 * errors[2])
    assert fit.beta["Intercept"] == pytest.approx(intercept, abs=1e-4 * std_error)
    assert fit.fixef()["std_error"]["Intercept"] == pytest.approx(std_error, rel=1e-4)


def test_order_of_rows_and_names_of_levels_do_not_matter():
    fit = model("Toep").fit("reml")
    shuffled = frame().sample(frac=1, random_state=1)
    shuffled["id"] = shuffled["id"].map(lambda level: f"t{99 - int(level[1:])}")
    other = bl.Model("y ~ week + toep(0 + week | id)", shuffled).fit("reml")
    assert other.loglik == pytest.approx(fit.loglik, rel=1e-10)
    np.testing.assert_allclose(other.theta, fit.theta, rtol=1e-4)


CALLS = {
    "cs": "CS", "csh": "CSH", "ar1": "AR1", "arh1": "ARH1", "arma11": "ARMA11", "toep": "Toep",
    "toeph": "ToepH", "ante1": "Ante1", "car1": "CAR1", "ou": "CAR1", "exp": "Exp", "gau": "Gau",
    "matern": "Matern", "ratquad": "RatQuad", "sph": "Sph",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_the_same_as_G(call):
    own = bl.Model(f"y ~ week + {call}(0 + week | id)", frame())
    same = model(CALLS[call])
    assert own.parameters.names == same.parameters.names
    theta = some_theta(own, 3)
    assert own.equations.loglik(theta)[0] == same.equations.loglik(theta)[0]


def test_categories_and_numbers_are_the_same_occasions():
    data = frame().assign(when=lambda d: d["week"].map("week {:g}".format))
    own = bl.Model("y ~ week + ar1(0 + when | id)", data).fit("reml")
    assert own.loglik == pytest.approx(model("AR1").fit("reml").loglik, rel=1e-10)
    assert own.G("id").index.tolist()[:2] == ["when[week 1]", "when[week 2]"]


def test_ar1_over_even_weeks_is_car1_and_exp():
    data = frame().assign(week=lambda d: d["week"].rank(method="dense"))
    fits = [
        bl.Model("y ~ week + (0 + week | id)", data, G={"id": structure}).fit("ml")
        for structure in (bl.AR1(), bl.CAR1(), bl.Exp())
    ]
    assert fits[1].loglik == pytest.approx(fits[0].loglik, rel=1e-9)
    assert fits[2].loglik == pytest.approx(fits[0].loglik, rel=1e-9)
    rho = fits[0].theta["rho_id"]
    assert fits[1].theta["rho_id"] == pytest.approx(rho, rel=1e-4)
    assert np.exp(-1 / fits[2].theta["range_id"]) == pytest.approx(rho, rel=1e-4)


def test_effects_with_iid_residuals_are_residuals_with_a_nugget():
    data = frame().drop_duplicates(["id", "week"])
    on_G = bl.Model("y ~ week + car1(0 + week | id)", data).fit("reml")
    R = bl.CAR1(time="week", group="id", nugget=True)
    on_R = bl.Model("y ~ week", data, R=R).fit("reml")
    assert on_R.loglik == pytest.approx(on_G.loglik, rel=1e-8)
    total = on_G.theta["sd_id[week]"] ** 2 + on_G.sigma**2
    assert on_R.theta["nugget"] == pytest.approx(on_G.sigma**2 / total, rel=1e-3)
    assert on_R.sigma**2 == pytest.approx(total, rel=1e-3)
    np.testing.assert_allclose(on_R.beta, on_G.beta, rtol=1e-5)


def test_two_effects_with_csh_are_unrestricted():
    data = bl.load_dataset("sleepstudy")
    csh = bl.Model("Reaction ~ Days + csh(1 + Days | Subject)", data).fit("reml")
    un = bl.Model("Reaction ~ Days + (1 + Days | Subject)", data).fit("reml")
    assert csh.loglik == pytest.approx(un.loglik, rel=1e-9)
    np.testing.assert_allclose(csh.theta, un.theta, rtol=1e-3)
    np.testing.assert_allclose(csh.varcorr()["std_error"], un.varcorr()["std_error"], rtol=1e-3)


def test_bars_of_a_factor_have_structures_of_their_own():
    formula = "y ~ week + (1 | id) + (0 + room | id)"
    own = bl.Model(formula, frame(), G={"id": [None, bl.AR1()]})
    assert own.parameters.names == ("sd_id[Intercept]", "sd_id[room]", "rho_id", "sigma")
    fit = own.fit("reml")
    G = fit.G("id").to_numpy()
    assert (G[0, 1:] == 0).all()
    assert fit.status.ok
    V = dense_effects.marginal_covariance([G], own.design.factors, fit.sigma, len(own.design.y))
    expected = criteria(V, own.design.X, own.design.y)["reml"]
    assert fit.loglik == pytest.approx(expected, rel=1e-9)
    both = bl.Model("y ~ week + ar1(0 + week | id) + cs(0 + room | id)", frame())
    assert both.parameters.names[:4] == (
        "sd_id[week]",
        "sd_id[room]",
        "rho_id[week]",
        "rho_id[room]",
    )


@pytest.mark.parametrize("name", ["CS", "AR1", "Toep", "CAR1", "Gau", "UN one"])
def test_effects_that_do_not_vary_end_as_a_singular_fit(name):
    rng = np.random.default_rng(0)
    data = frame().sort_values(["id", "week"])
    # pairs of rows of one week that differ in sign
    sign = np.where(data.groupby(["id", "week"]).cumcount() == 0, 1, -1)
    size = rng.standard_normal(len(data))
    data["y"] = sign * pd.Series(size, data.index).groupby([data["id"], data["week"]]).transform(
        "first"
    )
    own = bl.Model("y ~ week + (0 + week | id)", data, G={"id": STRUCTURES[name]})
    fit = own.fit("reml")
    assert fit.status is Status.SINGULAR
    assert fit.optimum.boundary.any()
    assert fit.diagnose().findings
    without = bl.Model("y ~ week", data).fit("reml")
    intercept = bl.Model("y ~ week + (1 | id)", data).fit("reml")
    # all of them contain both
    assert fit.loglik >= max(without.loglik, intercept.loglik) - 1e-6
    if fit.theta["sd_id[week]"] == 0:
        assert fit.summary().loc[list(own.parameters.names[1:-1]), "estimate"].isna().all()


def test_a_random_intercept_is_found_at_the_edge():
    rng = np.random.default_rng(5)
    u = dict(zip([f"s{j:02d}" for j in range(40)], 2 * rng.standard_normal(40), strict=True))
    data = frame().assign(y=lambda d: d["id"].map(u) + rng.standard_normal(len(d)))
    intercept = bl.Model("y ~ week + (1 | id)", data).fit("reml")
    for name in ("CS", "AR1", "CAR1", "Exp"):
        own = bl.Model("y ~ week + (0 + week | id)", data, G={"id": STRUCTURES[name]})
        fit = own.fit("reml")
        assert fit.status.ok
        assert fit.loglik > intercept.loglik - 1e-5


# -- the posterior


@every_structure
def test_coordinates_and_density(name):
    own = model(name)
    density = Density.of(own.equations, own.priors, np.full(len(own.parameters), 0.3))
    theta = some_theta(own, 6)
    x = density.unconstrained(theta)
    np.testing.assert_allclose(density.theta(x), theta, rtol=1e-8)
    value, gradient = density(x)
    assert np.isfinite(value)
    numeric = central(lambda at: density(at)[0], x, 1e-5)
    assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["ARH1", "Toep", "CAR1 nugget"])
def test_the_collapsed_model_has_the_same_density(name):
    import pytensor.tensor as pt

    own = model(name)
    pymc = own.pymc
    pieces = [pymc[variable.name].reshape((-1,)) for variable in variables_of(own.parameters)]
    theta = pymc.replace_rvs_by_values([pt.concatenate(pieces)])[0]
    evaluate = pymc.compile_fn(
        [theta, pymc.logp(jacobian=False)], inputs=pymc.value_vars, point_fn=True
    )
    rng = np.random.default_rng(3)
    differences = []
    for size in (0.1, 0.3):
        start = pymc.initial_point().items()
        at, logp = evaluate({k: v + size * rng.standard_normal(np.shape(v)) for k, v in start})
        expected = own.equations.collapsed(at, own.priors.beta_mean, own.priors.beta_precision)[0]
        for value, prior in zip(at, own.priors.theta, strict=True):
            if isinstance(prior, bl.HalfStudentT):
                expected += stats.t.logpdf(value / prior.sigma, prior.nu)
            elif isinstance(prior, bl.Beta):
                expected += stats.beta.logpdf(value, prior.alpha, prior.beta)
        differences.append(logp - expected)
    assert differences[0] == pytest.approx(differences[1], abs=1e-6)


def test_the_collapsed_model_has_correlations_beside_one_standard_deviation():
    pymc = model("UN one").pymc
    assert np.isfinite(pymc.compile_logp()(pymc.initial_point()))
    assert {"sd_id", "corr_id", "sigma"} <= set(pymc.named_vars)


def test_nuts_agrees_with_quadrature():
    own = model("AR1")
    fit = own.fit("nuts", random_seed=1, progress=False)
    assert not fit.draws.stats["diverging"].any()
    grid = np.array(
        [(s, r, e) for s in np.linspace(0.8, 2.6, 25) for r in np.linspace(-0.2, 0.95, 31)
         for e in np.linspace(0.8, 1.3, 25)]
    )  # fmt: skip
    mean, precision = own.priors.beta_mean, own.priors.beta_precision
    log_density = np.array([own.equations.collapsed(t, mean, precision)[0] for t in grid])
    for column, at in ((0, "sd_id[week]"), (2, "sigma")):
        scale = own.priors[at].sigma
        log_density += -2 * np.log1p((grid[:, column] / scale) ** 2 / 3)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    expected, draws = weight @ grid, fit.draws.theta.reshape(-1, 3)
    sd = np.sqrt(weight @ (grid - expected) ** 2)
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.06 * sd.max(), rtol=0)
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.08)
    assert "rho" in str(fit)


# -- what else there is


def test_files_keep_the_structures(tmp_path):
    for own in (model("ARH1"), bl.Model("y ~ week + toep(0 + week | id)", frame())):
        fit = own.fit("reml")
        fit.save(tmp_path / "fit.nc")
        loaded = bl.load(tmp_path / "fit.nc")
        assert loaded.model.G == own.G
        pd.testing.assert_frame_equal(loaded.summary(), fit.summary())


def test_tables_and_predictions():
    own = model("AR1")
    fit = own.fit("reml")
    table = fit.varcorr()
    assert table["kind"].tolist() == ["sd", "rho", "sd"]
    assert table["effect_1"].tolist() == ["week", None, None]
    assert "AR1" in str(fit)
    assert "rho_id" in str(fit)
    new = pd.DataFrame({"week": [2, 7], "id": ["s03", "somebody new"]})
    predicted = fit.predict(new, new_levels="sample", interval="new")
    known = fit.ranef().query("level == 's03' and effect == 'week[2]'")["estimate"].iloc[0]
    assert predicted["estimate"].iloc[0] == pytest.approx(fit.beta @ [1, 2] + known)
    expected = np.hypot(fit.theta["sd_id[week]"], fit.sigma)
    assert predicted["std_error"].iloc[1] == pytest.approx(expected, rel=0.05)
    assert fit.simulate(3, random_seed=1).shape == (3, len(own.design.y))


def test_priors_of_occasions_are_scaled_to_the_response():
    spread = np.std(frame()["y"], ddof=1)
    assert model("AR1").priors["sd_id[week]"].sigma == pytest.approx(spread)
    assert model("AR1").priors["rho_id"] == bl.Uniform(-1, 1)
    assert model("CS").priors["rho_id"] == bl.Uniform(-1 / 3, 1)
    narrow = model("AR1").with_priors({"rho_id": bl.Uniform(0, 1)})
    assert narrow.priors["rho_id"] == bl.Uniform(0, 1)


PLAIN = "y ~ week + (0 + week | id)"
ERRORS = {
    "unknown factor": (PLAIN, {"ID": bl.AR1()}, ArgumentError, "'ID'"),
    "no mapping": (PLAIN, bl.AR1(), ArgumentTypeError, "dictionary"),
    "no structure": (PLAIN, {"id": "ar1"}, ArgumentTypeError, "bl.AR1()"),
    "a class": (PLAIN, {"id": bl.AR1}, ArgumentTypeError, "bl.AR1()"),
    "several": (PLAIN, {"id": [bl.AR1(), bl.CS()]}, ArgumentError, "has 1 bars"),
    "twice": ("y ~ cs(0 + week | id)", {"id": bl.AR1()}, ArgumentError, "in the formula"),
    "time": (PLAIN, {"id": bl.AR1(time="week")}, ArgumentError, "`time`"),
    "variance": (PLAIN, {"id": bl.AR1(variance=bl.VarExp("room"))}, ArgumentError, "not those"),
    "one effect": ("y ~ week + (1 | id)", {"id": bl.AR1()}, DesignError, "has one"),
    "a slope, by G": ("y ~ 1 + (0 + week | id)", {"id": bl.UN()}, DesignError, "C(week) before"),
    "a slope, by call": ("y ~ 1 + diag(0 + week | id)", None, DesignError, "slope of 'week'"),
    "intercept": ("y ~ week + (1 + week | id)", {"id": bl.AR1()}, DesignError, "one column"),
    "text": ("y ~ week + car1(0 + room | id)", None, DataError, "should be numbers"),
    "text in disorder": ("y ~ week + ar1(0 + text | id)", None, DesignError, "in order"),
    "not identified": ("y ~ week + cs(0 + row | id)", None, DesignError, "cannot tell"),
    "residuals too": ("y ~ week + toep(0 + row | id)", None, DesignError, "cannot tell"),
    "factor": ("y ~ week + factor(0 + week | id)", None, FormulaError, "not a covariance"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    formula, G, kind, words = ERRORS[name]
    data = frame().assign(text=lambda d: (2 * d["week"]).map("{:g}".format))
    if "row" in formula:
        data = data.drop_duplicates(["id", "week"])
        data = data.assign(row=data["week"])
    with pytest.raises(kind, match=words.replace("(", r"\(").replace(")", r"\)")):
        bl.Model(formula, data, G=G)


@pytest.mark.parametrize("name", ["CSH", "Toep", "CAR1 nugget"])
def test_effects_of_the_textbook_model_have_G(name):
    from pytensor.compile.mode import Mode

    own = model(name)
    full = own.full_pymc()
    names = ["u_id", "z_id", *dict.fromkeys(block.name for block in own.parameters.blocks)]
    shown = full.replace_rvs_by_values([full[variable] for variable in names])
    evaluate = full.compile_fn(
        [*shown, full.logp()], mode=Mode(linker="py", optimizer="fast_compile")
    )
    rng = np.random.default_rng(1)
    start = full.initial_point().items()
    u, z, *rest, _ = evaluate({k: v + 0.2 * rng.standard_normal(np.shape(v)) for k, v in start})
    theta = np.concatenate([np.ravel(values) for values in rest])
    value = dict(zip(own.parameters.names, theta, strict=True))
    effects = own.design.factors[0].effects
    G = dense_effects.covariance(value, name, effects, "id", "week", WEEKS)
    np.testing.assert_allclose(u, z @ np.linalg.cholesky(G).T, rtol=1e-8)


DESCRIBED = {
    "AR1": ("sd_id[week]²·C", "rho_id^|j−k|"),
    "ARH1": ("D C D", "rho_id^|j−k|"),
    "Ante1": ("D C D", "rho_id[j, j+1]"),
    "Exp": ("sd_id[week]²·C", "exp(−|t[j]−t[k]|/range_id)"),
    "CAR1 nugget": ("sd_id[week]²·C", "(1−nugget_id)"),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_description_has_the_correlations(name):
    text = str(model(name).describe())
    for part in DESCRIBED[name]:
        assert part in text


def test_refits_and_bootstraps_keep_the_structure():
    fit = model("AR1").fit("ml")
    again = fit.refit(frame().loc[:, "y"].to_numpy() * 2)
    np.testing.assert_allclose(again.theta["sd_id[week]"], 2 * fit.theta["sd_id[week]"], rtol=1e-3)
    np.testing.assert_allclose(again.theta["rho_id"], fit.theta["rho_id"], rtol=1e-3)
