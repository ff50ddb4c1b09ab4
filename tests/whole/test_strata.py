"""Random effects whose covariance differs between strata of levels, or whose standard deviations
grow with occasions, against dense algebra and fits of each stratum alone.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.design.variables import variables_of
from bayeslmm.effects.pooling import own_effects, pooled_effects
from bayeslmm.effects.response_variance import derived_quantities
from bayeslmm.errors import ArgumentError, ConvergenceWarning, DataError, DesignError
from bayeslmm.estimation.posterior.density import Density
from tests.oracles.dense import criteria
from tests.oracles.differences import central
from tests.pymc_models.test_full import python_mode, random_point

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

DATA = bl.load_dataset("Orthodont")
TWICE = pd.concat([DATA, DATA.assign(distance=DATA["distance"] + 1)], ignore_index=True)
MODELS = {
    "UN": ("distance ~ age * Sex + (age | Subject)", bl.UN(by="Sex")),
    "Diag": ("distance ~ age * Sex + (age | Subject)", bl.Diag(by="Sex")),
    "ID": ("distance ~ age * Sex + (0 + age + I(age**2) | Subject)", bl.ID(by="Sex")),
    "intercept": ("distance ~ age * Sex + (1 | Subject)", bl.UN(by="Sex")),
    "AR1": ("distance ~ age * Sex + (0 + age | Subject)", bl.AR1(by="Sex")),
    "one of two": (
        "distance ~ age * Sex + (1 | Subject) + (0 + age | Subject)",
        [None, bl.UN(by="Sex")],
    ),
} | {
    name: ("distance ~ age * Sex + (0 + age | Subject)", structure)
    for name, structure in {
        "AR1 with VarIdent": bl.AR1(variance=bl.VarIdent("Sex")),
        "AR1 with VarPower": bl.AR1(variance=bl.VarPower("age")),
        "AR1 by Sex with VarPower": bl.AR1(by="Sex", variance=bl.VarPower("age")),
        "ID with VarExp": bl.ID(variance=bl.VarExp("age")),
        "AR1 with VarIdent and VarExp": bl.AR1(variance=[bl.VarExp("age"), bl.VarIdent("Sex")]),
        "CS with both": bl.CS(variance=[bl.VarExp("age"), bl.VarPower("age")]),
    }.items()
}
MODELS["UN with VarIdent"] = (
    "distance ~ age * Sex + (age | Subject)",
    bl.UN(variance=["occasion", bl.VarIdent("Sex")]),
)
every_model = pytest.mark.parametrize("name", MODELS)


@cache
def model(name: str) -> bl.Model:
    formula, G = MODELS[name]
    return bl.Model(formula, DATA, G={"Subject": G})


def some_theta(own: bl.Model, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slope = 0.1 if own.design.factors[0].bars[0].shape is None else 0.7
    sizes = {"corr": 0.3, "rho": 0.5, "sigma": 1.3, "power": 0.4, "expon": 0.05, "log": 0.5}
    return np.array(
        [
            sizes.get(name.split("_")[0], slope if "age" in name and "I" not in name else 1.5)
            * rng.uniform(0.7, 1.2)
            for name in own.parameters.names
        ]
    )


def dense_V(own: bl.Model, name: str, theta: np.ndarray) -> np.ndarray:
    """V from the parameters by their names, row by row."""
    value = dict(zip(own.parameters.names, theta, strict=True))
    n, subject = len(DATA), DATA["Subject"].to_numpy()
    V = value["sigma"] ** 2 * np.eye(n)
    ages = [8, 10, 12, 14]
    for sex in ("Female", "Male"):
        sd = {key: value.get(f"sd_Subject[{sex}, {key}]") for key in ("Intercept", "age")}
        corr = value.get(f"corr_Subject[{sex}: Intercept, age]", 0.0)
        for i in np.flatnonzero(DATA["Sex"] == sex):
            for j in np.flatnonzero(subject == subject[i]):
                s, t = DATA["age"].iloc[[i, j]]
                if name in ("UN", "Diag"):
                    G = np.array([[sd["Intercept"] ** 2, 0], [0, sd["age"] ** 2]])
                    G[0, 1] = G[1, 0] = corr * sd["Intercept"] * sd["age"]
                    V[i, j] += np.array([1, s]) @ G @ np.array([1, t])
                elif name == "ID":
                    shared = value[f"sd_Subject[{sex}, age + I(age**2)]"]
                    V[i, j] += shared**2 * (s * t + s**2 * t**2)
                elif name == "intercept":
                    V[i, j] += sd["Intercept"] ** 2
                elif name == "UN with VarIdent":
                    shared = value["corr_Subject[Intercept, age]"]
                    ratio = np.exp(value["log_ratio_Subject[Sex[Male]]"]) if sex == "Male" else 1
                    own = ratio * np.array([value[f"sd_Subject[{e}]"] for e in sd])
                    G = np.outer(own, own) * [[1, shared], [shared, 1]]
                    V[i, j] += np.array([1, s]) @ G @ np.array([1, t])
                elif name.startswith(("AR", "CS", "ID ")):
                    lag = abs(ages.index(s) - ages.index(t))
                    scale = value.get("sd_Subject[age]", sd["age"])
                    power, expon, rho = (
                        value.get(f"{kind}_Subject", value.get(f"{kind}_Subject[{sex}]", 0.0))
                        for kind in ("power", "expon", "rho")
                    )
                    correlation = {"AR1": rho**lag, "CS": rho if lag else 1, "ID": lag == 0}
                    grown = [scale * age**power * np.exp(expon * age) for age in (s, t)]
                    V[i, j] += grown[0] * grown[1] * correlation[name.split()[0]]
                else:
                    V[i, j] += value["sd_Subject[Intercept]"] ** 2 + sd["age"] ** 2 * s * t
    return V


@every_model
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_likelihoods_and_gradients(name, method):
    own = model(name)
    theta = some_theta(own, 1)
    expected = criteria(dense_V(own, name, theta), own.design.X, own.design.y)[method]
    value, gradient = own.equations.loglik(theta, method)
    assert value == pytest.approx(expected, rel=1e-9)
    numeric = central(lambda at: own.equations.loglik(at, method)[0], theta, 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4)


@every_model
def test_a_fit_and_what_it_shows(name):
    own = model(name)
    fit = own.fit("reml")
    assert fit.status.ok
    V = dense_V(own, name, fit.optimum.theta)
    found = criteria(V, own.design.X, own.design.y)["reml"]
    assert fit.loglik == pytest.approx(found, rel=1e-9)
    rows = np.flatnonzero(DATA["Subject"] == "F05")
    np.testing.assert_allclose(fit.V("F05"), V[np.ix_(rows, rows)], rtol=1e-8)
    assert np.isfinite(fit.ranef()["estimate"]).all()
    text = repr(own) + repr(fit) + str(own.describe())
    assert ("Female" in text) == any(bar.stratum for bar in own.design.factors[0].bars)
    assert fit.predict().shape == (108, 1)


def test_strata_that_share_nothing_are_fits_of_their_own():
    """With G, R and coefficients by sex, the likelihood is the product of that of each sex."""
    both = bl.Model(
        "distance ~ 0 + Sex + age:Sex + (age | Subject)",
        DATA,
        G={"Subject": bl.UN(by="Sex")},
        R=bl.ID(by="Sex"),
    ).fit("ml")
    alone = {
        sex: bl.Model("distance ~ age + (age | Subject)", DATA[DATA["Sex"] == sex]).fit("ml")
        for sex in ("Female", "Male")
    }
    assert both.loglik == pytest.approx(sum(fit.loglik for fit in alone.values()), abs=1e-6)
    for sex, fit in alone.items():
        named = {f"sd_Subject[{sex}, {e}]": f"sd_Subject[{e}]" for e in ("Intercept", "age")}
        for ours, theirs in named.items():
            assert both.theta[ours] == pytest.approx(fit.theta[theirs], rel=2e-3)
        ranef = both.ranef().set_index("level").loc[fit.u["Subject"].index]
        np.testing.assert_allclose(
            ranef["estimate"].to_numpy().reshape(-1, 2), fit.u["Subject"], atol=2e-3
        )
        coef = both.coef().query("effect in ['Intercept', 'age']")
        assert set(coef["level"]) == set(DATA["Subject"])


def test_effects_of_occasions_that_leave_no_residual_are_told():
    structure = bl.CS(variance=bl.VarIdent("Sex"))
    own = bl.Model("distance ~ age * Sex + (0 + age | Subject)", DATA, G={"Subject": structure})
    with pytest.warns(ConvergenceWarning, match="the residual variance went to zero"):
        fit = own.fit("reml")
    assert fit.theta["sigma"] < 0.01


def test_structures_of_two_parameters_differ_between_strata():
    """At given theta, with coefficients by sex, the likelihood is the product of that of each."""
    both = bl.Model(
        "distance ~ 0 + Sex + (0 + age | Subject)", TWICE, G={"Subject": bl.ARMA11(by="Sex")}
    )
    values = {"sd_Subject": 1.3, "rho_Subject": 0.5, "ma_Subject": 0.2, "sigma": 1.1}
    theta = {name: values[name.split("[")[0]] for name in both.parameters.names}
    theta |= {"rho_Subject[Male]": 0.3, "ma_Subject[Male]": -0.1}
    alone = 0.0
    for sex in ("Female", "Male"):
        own = bl.Model(
            "distance ~ (0 + age | Subject)",
            TWICE[TWICE["Sex"] == sex],
            G={"Subject": bl.ARMA11()},
        )
        named = {name.replace(f"[{sex}]", "").replace(f"{sex}, ", ""): name for name in theta}
        point = [theta[named[name]] for name in own.parameters.names]
        alone += own.equations.loglik(np.array(point), "ml")[0]
    found = both.equations.loglik(np.array(list(theta.values())), "ml")[0]
    assert found == pytest.approx(alone, rel=1e-12)


def test_tables_have_the_effects_of_each_level_only():
    fit = model("UN").fit("reml")
    assert list(fit.ranef()["effect"].unique()) == ["Intercept", "age"]
    assert len(fit.ranef()) == 2 * 27
    assert fit.model.parameters.names == (
        "sd_Subject[Female, Intercept]",
        "sd_Subject[Female, age]",
        "sd_Subject[Male, Intercept]",
        "sd_Subject[Male, age]",
        "corr_Subject[Female: Intercept, age]",
        "corr_Subject[Male: Intercept, age]",
        "sigma",
    )
    u = fit.u["Subject"]
    assert np.isnan(u.loc["F01", "Male, age"])
    assert np.isfinite(u.loc["F01", "Female, age"])
    coef = fit.coef().set_index(["level", "effect"])["estimate"]
    expected = fit.beta["age"] + u.loc["M01", "Male, age"]
    assert coef["M01", "age"] == pytest.approx(expected, rel=1e-10)


def test_new_rows_are_of_a_stratum():
    fit = model("UN").fit("reml")
    new = pd.DataFrame({"Subject": ["F01", "new", "other"], "Sex": ["Female", "Female", "Male"]})
    new["age"] = 9.0
    found = fit.predict(new, new_levels="sample", interval="mean")
    theta = fit.theta
    z = np.array([1, 9.0])
    for row, sex in ((1, "Female"), (2, "Male")):
        sd = theta[[f"sd_Subject[{sex}, Intercept]", f"sd_Subject[{sex}, age]"]].to_numpy()
        rho = theta[f"corr_Subject[{sex}: Intercept, age]"]
        G = np.outer(sd, sd) * [[1, rho], [rho, 1]]
        mean = fit.predict(new.iloc[[row]], groups="none", interval="mean")["std_error"].iloc[0]
        assert found["std_error"].iloc[row] == pytest.approx(np.sqrt(mean**2 + z @ G @ z), rel=1e-6)
    with pytest.raises(DataError, match="'F01' of 'Subject' lies in another stratum"):
        fit.predict(new.assign(Sex="Male"), new_levels="zero")


def test_priors_are_scaled_within_strata():
    own = model("UN")
    table = own.priors.frame()
    alone = bl.Model("distance ~ age + (age | Subject)", DATA[DATA["Sex"] == "Male"])
    spread = np.std(DATA["distance"], ddof=1) / np.std(alone.data["distance"], ddof=1)
    for effect in ("Intercept", "age"):
        prior = table.loc[f"sd_Subject[Male, {effect}]", "prior"]
        other = alone.priors[f"sd_Subject[{effect}]"]
        assert type(prior) is type(other)
        assert prior.sigma == pytest.approx(spread * other.sigma)
    point = some_theta(own, 3)
    prior, equations = own.priors, own.equations
    V = dense_V(own, "UN", point)
    V += own.design.X @ np.linalg.inv(prior.beta_precision) @ own.design.X.T
    expected = stats.multivariate_normal.logpdf(own.design.y, own.design.X @ prior.beta_mean, V)
    value = equations.collapsed(point, prior.beta_mean, prior.beta_precision)[0]
    assert value == pytest.approx(expected, rel=1e-9)


def test_draws_programs_and_files(tmp_path):
    own = model("UN")
    fit = own.fit("nuts", random_seed=1, chains=2, draws=600, progress=False)
    reml = own.fit("reml")
    assert list(fit.ranef()["effect"].unique()) == ["Intercept", "age"]
    # the mean over draws of the BLUPs given theta is that of the exact draws of u
    theta = fit.draws.theta.reshape(-1, 7)[::10]
    given = [own.equations.solve(own.equations.relative_factors(t))[1] for t in theta]
    factor = own.design.factors[0]
    expected = np.mean(given, axis=0)[factor.own.ravel()]
    error = fit.ranef()["std_error"].to_numpy() / np.sqrt(len(theta))
    difference = fit.ranef()["estimate"].to_numpy() - expected
    assert np.sqrt(np.mean((difference / error) ** 2)) < 2
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef())
    pd.testing.assert_frame_equal(again.predict(), fit.predict())
    full = own.full_pymc()
    scope = {"data": own.data}
    exec(compile(own.code(), "program", "exec"), scope)
    point = random_point(full, 1)
    densities = [m.compile_logp(mode=python_mode()) for m in (scope["model"], full)]
    found, expected = (float(density(point)) for density in densities)
    assert found == pytest.approx(expected, rel=1e-9)
    assert reml.update(formula="distance ~ age + (age | Subject)").model.G["Subject"][0].by == "Sex"


SHARED = ["AR1 with VarIdent", "UN with VarIdent", "AR1 by Sex with VarPower", "CS with both"]


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("name", SHARED)
def test_the_density_in_the_coordinates_of_the_sampler(name, scale):
    own = model(name)
    told = None if scale is None else np.full(len(own.parameters), scale)
    density = Density.of(own.equations, own.priors, told)
    theta = some_theta(own, 6)
    x = density.unconstrained(theta)
    np.testing.assert_allclose(density.theta(x), theta, rtol=1e-8)
    numeric = central(lambda at: density(at)[0], x, 1e-5)
    assert density(x)[1] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", SHARED[:3])
def test_the_collapsed_model_has_the_same_density(name):
    own = model(name)
    pymc, density = own.pymc, Density.of(own.equations, own.priors)
    pieces = [pymc[variable.name].reshape((-1,)) for variable in variables_of(own.parameters)]
    theta = pymc.replace_rvs_by_values([pt.concatenate(pieces)])[0]
    evaluate = pymc.compile_fn(
        [theta, pymc.logp(jacobian=False)], inputs=pymc.value_vars, point_fn=True
    )
    differences = []
    for seed in (1, 2):
        rng, start = np.random.default_rng(seed), pymc.initial_point().items()
        at, logp = evaluate({k: v + 0.2 * rng.standard_normal(np.shape(v)) for k, v in start})
        x = density.unconstrained(at)
        change = np.array(
            [(density.theta(x + e) - density.theta(x - e)) / 2e-6 for e in 1e-6 * np.eye(len(x))]
        )
        # priors are densities of what they are about: sd where covariates have their means
        shift = sum((w @ at for w in own.priors.exponents.values()), 0.0)
        expected = density(x)[0] - np.linalg.slogdet(change)[1] - shift
        differences.append(logp - expected)
    assert differences[0] == pytest.approx(differences[1], abs=1e-5)


def test_a_fit_with_shared_correlations_in_full(tmp_path):
    structure = bl.AR1(variance=[bl.VarIdent("Sex"), bl.VarExp("age")])
    own = bl.Model("distance ~ age * Sex + (0 + age | Subject)", TWICE, G={"Subject": structure})
    posterior = own.fit("nuts", random_seed=1, chains=2, draws=500, progress=False)
    assert posterior.summary()["r_hat"].max() < 1.05
    mode = own.fit("map")
    assert mode.status.ok
    z = (mode.theta - posterior.summary().loc[mode.theta.index, "estimate"]) / posterior.summary()[
        "std_error"
    ].loc[mode.theta.index]
    assert z.abs().max() < 1.5
    fit = own.fit("ml")
    assert list(fit.theta.index) == [
        "expon_Subject",
        "sd_Subject[Female, age]",
        "sd_Subject[Male, age]",
        "rho_Subject",
        "sigma",
    ]
    for kind in (fit, posterior, mode):
        kind.save(tmp_path / "fit.nc")
        pd.testing.assert_frame_equal(bl.load(tmp_path / "fit.nc").summary(), kind.summary())
    interval = fit.confint(method="profile", parameters=["expon_Subject", "sd_Subject[Male, age]"])
    assert (interval["lower"] < fit.theta[interval.index]).all()
    assert (interval["upper"] > fit.theta[interval.index]).all()
    text = str(own.describe())
    assert "= sd_Subject[Male, age]·exp(expon_Subject·ageⱼ)" in text
    assert "sd_Subject[Male, age]·exp(11·expon_Subject)" in text
    candidates = [bl.AR1(), structure, bl.AR1(by="Sex")]
    chosen = bl.select_structure(own, candidates, on="Subject", method="ml")
    assert sorted(chosen.table["n_parameters"]) == [7, 9, 9]
    assert "with VarIdent(Sex) with VarExp(age)" in str(list(chosen.table.index))


def test_equal_covariances_are_nested():
    plain = bl.Model("distance ~ age * Sex + (age | Subject)", DATA).fit("ml")
    table = bl.compare([plain, model("UN").fit("ml")])
    assert "chi-square" in str(table.to_string() if hasattr(table, "to_string") else table)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        ("age", DataError, "should be constant within a level, and the level 'M01' has '8', '10'"),
        ("few", DesignError, "the stratum 'x' of by='few' in `G` has one level only"),
        ("none", DataError, "no column 'none'"),
    ],
)
def test_strata_that_cannot_be(column, error, message):
    data = DATA.assign(few=np.where(DATA["Subject"] == "M01", "x", "y"))
    with pytest.raises(error, match=message):
        bl.Model("distance ~ age + (1 | Subject)", data, G={"Subject": bl.UN(by=column)})


def test_a_product_with_each_occasion_cannot_be_told_apart():
    structure = bl.Diag(variance=["occasion", bl.VarPower("age")])
    with pytest.raises(ArgumentError, match=r"told apart.*variance=bl.VarPower\('age'\)\."):
        bl.Model("distance ~ age + (0 + age | Subject)", DATA, G={"Subject": structure})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("abcd", "VarPower needs numbers, and the occasions of .* are text"),
        ([0, 1, 2, 3], "bl.VarExp\\('week'\\), or shift the column"),
    ],
)
def test_occasions_that_have_no_power(values, message):
    data = DATA.assign(week=DATA["age"].map(dict(zip([8, 10, 12, 14], values, strict=True))))
    with pytest.raises(DataError, match=message):
        bl.Model(
            "distance ~ age + (0 + week | Subject)",
            data,
            G={"Subject": bl.AR1(variance=bl.VarPower("week"))},
        )


REFUSED = {
    "power": (bl.AR1(variance=bl.VarPower("age")), "the effects of .* are not those of 'age'"),
    "exponential": (bl.ID(variance=bl.VarExp("age")), "are not those of 'age'; give the column"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_variance_models_say_what_to_write(name):
    structure, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        bl.Model("distance ~ age + (age | Subject)", DATA, G={"Subject": structure})


SAME = {
    "ID": (bl.ID(variance=bl.VarIdent("Sex")), bl.ID(by="Sex")),
    "one of Diag": (bl.Diag(variance=["one", bl.VarIdent("Sex")]), bl.ID(by="Sex")),
}


@pytest.mark.parametrize("name", SAME)
def test_without_correlations_a_variance_for_each_stratum_is_that_of_strata(name):
    formula = "distance ~ age * Sex + (age | Subject)"
    found, expected = (bl.Model(formula, DATA, G={"Subject": own}) for own in SAME[name])
    assert found.parameters.names == expected.parameters.names
    theta = some_theta(expected, 2)
    assert found.equations.loglik(theta, "ml")[0] == expected.equations.loglik(theta, "ml")[0]
    assert [bar.by for bar in found.design.factors[0].bars] == ["Sex", "Sex"]
    exec(compile(found.code(), "program", "exec"), {"data": DATA})


def test_pooling_is_by_effect_whatever_the_stratum():
    fit, factor = model("UN").fit("reml"), model("UN").design.factors[0]
    pooled = pooled_effects(fit.solution, factor)
    coef = fit.coef().query("effect in ['Intercept', 'age']")
    np.testing.assert_allclose(pooled.ravel(), coef["estimate"], rtol=1e-10)
    assert np.isfinite(own_effects(fit.solution, factor)).all()


def test_what_else_a_fit_offers():
    fit = model("Diag").fit("ml")
    walk = fit.random_structures()
    assert walk["parameters"].is_monotonic_decreasing
    interval = fit.confint(method="profile", parameters=["sd_Subject[Male, Intercept]"])
    assert interval.iloc[0]["lower"] < fit.theta["sd_Subject[Male, Intercept]"]
    reml = model("Diag").fit("reml")
    assert np.isfinite(reml.summary(df="kenward-roger")["df"].iloc[:4]).all()
    assert len(fit.bootstrap(3, random_seed=1)["posterior"]["sigma"].to_numpy().ravel()) == 3


def test_an_icc_is_a_mean_over_strata():
    own = model("UN")
    theta = some_theta(own, 5)
    ages = own.data.groupby("Sex")["age"]
    value = dict(zip(own.parameters.names, theta, strict=True))
    v = 0.0
    for sex, share in own.data["Sex"].value_counts(normalize=True).items():
        sd = np.array([value[f"sd_Subject[{sex}, {e}]"] for e in ("Intercept", "age")])
        rho = value[f"corr_Subject[{sex}: Intercept, age]"]
        z = np.column_stack([np.ones(len(ages.get_group(sex))), ages.get_group(sex)])
        v += share * np.diag(z @ (np.outer(sd, sd) * [[1, rho], [rho, 1]]) @ z.T).mean()
    beta = np.zeros((1, len(own.design.coef)))
    found = derived_quantities(own, theta[None], beta)["icc[adjusted]"][0]
    assert found == pytest.approx(v / (v + value["sigma"] ** 2), rel=1e-10)
