"""Products of variance functions on G (nlme's varComb): sds of one factor, and ratios by others,
against dense algebra, differences, the same product on R and the textbook model in PyMC.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.errors import DataError, DesignError
from bayeslmm.estimation.posterior.density import Density
from tests.oracles.dense import criteria
from tests.oracles.differences import central

AGES = (8, 10, 12, 14)
SEX, AGE = bl.VarIdent("Sex"), bl.VarIdent("age")
FORMULA = "distance ~ age * Sex + (0 + age | Subject)"


@cache
def data() -> pd.DataFrame:
    """Each occasion twice, so that random effects are told from residuals; halves of the sexes."""
    once = bl.load_dataset("Orthodont")
    noise = np.random.default_rng(0).normal(0, 1, len(once))
    both = pd.concat([once, once.assign(distance=once["distance"] + noise)], ignore_index=True)
    return both.assign(half=np.where(both["Subject"].str[1:].astype(int) % 2, "odd", "even"))


def ratio(value: dict[str, float], label: str) -> float:
    """The ratio of a level: 1 for the first, which has no parameter."""
    return float(np.exp(value.get(f"log_ratio_Subject[{label}]", 0.0)))


# by model: the structure, and the standard deviation from what a row has
CASES = {
    "sds of sexes": (
        bl.CS(variance=[SEX, AGE]),
        lambda v, r: v[f"sd_Subject[{r.Sex}, age]"] * ratio(v, f"age[{r.age}]"),
    ),
    "sds of ages": (
        bl.CS(variance=[AGE, SEX]),
        lambda v, r: v[f"sd_Subject[age[{r.age}]]"] * ratio(v, f"Sex[{r.Sex}]"),
    ),
    "occasion": (
        bl.CS(variance=["occasion", SEX]),
        lambda v, r: v[f"sd_Subject[age[{r.age}]]"] * ratio(v, f"Sex[{r.Sex}]"),
    ),
    "with a power": (
        bl.CS(variance=[bl.VarPower("age"), SEX, bl.VarIdent("half")]),
        lambda v, r: (
            v[f"sd_Subject[{r.Sex}, age]"]
            * r.age ** v["power_Subject"]
            * ratio(v, f"half[{r.half}]")
        ),
    ),
    "with an exponential": (
        bl.CS(variance=[SEX, bl.VarExp("age"), bl.VarIdent("half")]),
        lambda v, r: (
            v[f"sd_Subject[{r.Sex}, age]"]
            * np.exp(v["expon_Subject"] * r.age)
            * ratio(v, f"half[{r.half}]")
        ),
    ),
    "each combination": (
        bl.CS(variance=bl.VarIdent("Sex:age")),
        lambda v, r: v[f"sd_Subject[{r.Sex}, age[{r.age}]]"],
    ),
    "each combination of strata": (
        bl.CS(variance=bl.VarIdent("Sex:half")),
        lambda v, r: v[f"sd_Subject[{r.Sex}, {r.half}, age]"],
    ),
    "ratios of combinations": (
        bl.CS(variance=[SEX, bl.VarIdent("half:age")]),
        lambda v, r: v[f"sd_Subject[{r.Sex}, age]"] * ratio(v, f"half:age[{r.half}:{r.age}]"),
    ),
    "in strata": (
        bl.CS(by="half", variance=[SEX, AGE]),
        lambda v, r: v[f"sd_Subject[{r.half}, {r.Sex}, age]"] * ratio(v, f"{r.half}: age[{r.age}]"),
    ),
}
every_case = pytest.mark.parametrize("name", CASES)


@cache
def model(name: str) -> bl.Model:
    return bl.Model(FORMULA, data(), G={"Subject": CASES[name][0]})


def some_theta(own: bl.Model, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sizes = {"sd": 1.5, "sigma": 0.8, "rho": 0.6, "power": 0.3, "expon": 0.04, "log": 0.4}
    return np.array([sizes[n.split("_")[0].split("[")[0]] for n in own.parameters.names]) * (
        rng.uniform(0.7, 1.3, len(own.parameters))
    )


def dense_V(name: str, value: dict[str, float], rows: pd.DataFrame) -> np.ndarray:
    """V = Σ sd_i sd_j C_ij + σ²I, row by row."""
    found = list(rows.itertuples())
    sd = np.array([CASES[name][1](value, row) for row in found])
    age, subject = rows["age"].to_numpy(), rows["Subject"].to_numpy()
    rho = np.array([value.get("rho_Subject", value.get(f"rho_Subject[{r.half}]")) for r in found])
    C = np.where(age[:, None] == age, 1.0, rho[:, None]) * (subject[:, None] == subject)
    return sd[:, None] * C * sd + value["sigma"] ** 2 * np.eye(len(rows))


@every_case
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_likelihoods_and_gradients(name, method):
    own = model(name)
    theta = some_theta(own, 1)
    V = dense_V(name, dict(zip(own.parameters.names, theta, strict=True)), data())
    value, gradient = own.equations.loglik(theta, method)
    assert value == pytest.approx(criteria(V, own.design.X, own.design.y)[method], rel=1e-10)
    numeric = central(lambda at: own.equations.loglik(at, method)[0], theta, 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4)


@every_case
def test_the_density_in_the_coordinates_of_the_sampler(name):
    own = model(name)
    density = Density.of(own.equations, own.priors, np.full(len(own.parameters), 0.3))
    theta = some_theta(own, 2)
    x = density.unconstrained(theta)
    np.testing.assert_allclose(density.theta(x), theta, rtol=1e-8)
    numeric = central(lambda at: density(at)[0], x, 1e-5)
    assert density(x)[1] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@every_case
def test_a_fit_is_at_the_dense_optimum(name):
    own = model(name)
    fit = own.fit("reml")
    assert fit.status.ok
    V = dense_V(name, fit.theta.to_dict(), data())
    assert fit.loglik == pytest.approx(criteria(V, own.design.X, own.design.y)["reml"], rel=1e-10)
    np.testing.assert_allclose(own.equations.loglik(fit.optimum.theta, "reml")[1], 0, atol=5e-3)
    np.testing.assert_allclose(fit.predict(data().iloc[:20]), fit.predict().iloc[:20])


def test_the_order_of_a_product_says_which_part_has_the_standard_deviations_alone():
    first, second = (model(name).fit("ml") for name in ("sds of sexes", "sds of ages"))
    assert first.loglik == pytest.approx(second.loglik, abs=1e-7)
    a, b = first.theta, second.theta
    assert a["sd_Subject[Female, age]"] == pytest.approx(b["sd_Subject[age[8]]"], rel=1e-3)
    apart = np.log(a["sd_Subject[Male, age]"] / a["sd_Subject[Female, age]"])
    assert apart == pytest.approx(b["log_ratio_Subject[Sex[Male]]"], abs=1e-3)
    larger = model("each combination").fit("ml")
    assert larger.loglik > first.loglik
    assert len(larger.theta) == len(first.theta) + 3


@pytest.mark.parametrize("name", ["sds of sexes", "sds of ages", "each combination"])
def test_a_product_on_g_is_that_on_r(name):
    """With a residual variance of 1e-6, which changes the likelihood by about n times that over the
    variances; names differ in what stands for "sd_Subject" and "sigma".
    """
    once = bl.load_dataset("Orthodont")
    variance = CASES[name][0].variance
    on_G = bl.Model(FORMULA, once, G={"Subject": CASES[name][0]}, check=False)
    R = bl.CS(group="Subject", variance=variance)
    on_R = bl.Model("distance ~ age * Sex", once, R=R)
    value = dict(zip(on_R.parameters.names, some_theta(on_R, 3), strict=True))

    def of_R(name: str) -> str:
        name = name.replace("age[", "") if name.startswith("sd") else name
        name = name.replace(", age]", "]").replace("]]", "]" if name.startswith("sd") else "]]")
        return name.replace("sd_Subject", "sigma").replace("_Subject", "")

    theta = np.array([value.get(of_R(name), 1e-3) for name in on_G.parameters.names])
    assert (theta == 1e-3).sum() == 1
    for method in ("ml", "reml"):
        expected = on_R.equations.loglik(np.array(list(value.values())), method)[0]
        assert on_G.equations.loglik(theta, method)[0] == pytest.approx(expected, abs=2e-3)


def test_a_single_effect_and_effects_that_are_no_occasions():
    for formula, structure in {
        "distance ~ age + (1 | Subject)": bl.ID(variance=[SEX, bl.VarIdent("half")]),
        "distance ~ age + (0 + age | Subject)": bl.ID(variance=[SEX, bl.VarIdent("half")]),
        "distance ~ age + (age | Subject)": bl.UN(variance=["occasion", bl.VarIdent("half")]),
    }.items():
        own = bl.Model(formula, data(), G={"Subject": structure})
        assert own.parameters.names[0] == "log_ratio_Subject[half[odd]]"
        theta = 0.5 * some_theta(own, 4) if "corr" not in str(own.parameters) else None
        if theta is None:
            theta = np.array([0.3, 1.5, 0.1, -0.2, 0.8])
        value = dict(zip(own.parameters.names, theta, strict=True))
        V = theta[-1] ** 2 * np.eye(len(data()))
        subject = data()["Subject"].to_numpy()
        z = np.column_stack([np.ones(len(data())), data()["age"]])
        z = z[:, [0]] if "(1 |" in formula else z[:, [1]] if "0 +" in formula else z
        effects = {"(1 |": ["Intercept"], "(0 +": ["age"], "(age": ["Intercept", "age"]}
        labels = next(own for text, own in effects.items() if text in formula)
        rows = list(data().itertuples())
        sd = np.array(
            [
                [
                    value.get(f"sd_Subject[{r.Sex}, {e}]", value.get(f"sd_Subject[{e}]"))
                    * ratio(value, f"half[{r.half}]")
                    for e in labels
                ]
                for r in rows
            ]
        )
        rho = value.get("corr_Subject[Intercept, age]", 0.0)
        C = rho + (1 - rho) * np.eye(len(labels))
        scaled = sd * z
        V += scaled @ C @ scaled.T * (subject[:, None] == subject)
        expected = criteria(V, own.design.X, own.design.y)["reml"]
        assert own.equations.loglik(theta, "reml")[0] == pytest.approx(expected, rel=1e-10)


def test_draws_files_priors_and_profiles(tmp_path):
    structure = CASES["sds of ages"][0]
    priors = {"log_ratio_Subject": bl.Normal(0, 0.5), "sd_Subject": bl.HalfNormal(3)}
    own = bl.Model(FORMULA, data(), G={"Subject": structure}, priors=priors)
    posterior = own.fit("nuts", random_seed=1, chains=2, draws=500, progress=False)
    assert posterior.summary()["r_hat"].max() < 1.05
    mode, fit = own.fit("map"), own.fit("ml")
    assert mode.status.ok
    summary = posterior.summary().loc[mode.theta.index]
    assert ((mode.theta - summary["estimate"]) / summary["std_error"]).abs().max() < 1.5
    for kind in (fit, posterior, mode):
        kind.save(tmp_path / "fit.nc")
        pd.testing.assert_frame_equal(bl.load(tmp_path / "fit.nc").summary(), kind.summary())
    names = ["log_ratio_Subject[Sex[Male]]", "sd_Subject[age[10]]"]
    interval = fit.confint(method="profile", parameters=names)
    assert (interval["lower"] < fit.theta[names]).all()
    assert (interval["upper"] > fit.theta[names]).all()
    other = own.with_priors({"log_ratio_Subject[Sex[Male]]": bl.Fixed(0.0)})
    same = bl.Model(FORMULA, data(), G={"Subject": bl.CSH()})
    held = np.concatenate([[0.0], some_theta(same, 5)])
    expected = same.equations.loglik(held[1:], "ml")[0]
    assert other.equations.loglik(held, "ml")[0] == pytest.approx(expected, rel=1e-12)
    assert other.fit("map").theta["log_ratio_Subject[Sex[Male]]"] == 0.0


def test_a_description_has_the_product():
    text = str(model("sds of sexes").describe())
    assert "= sd_Subject[Male, age]·exp(log_ratio_Subject[ageⱼ])" in text
    assert "log_ratio_Subject[age[10]]" in text
    text = str(model("sds of ages").describe())
    assert "= sd_Subject[ageⱼ]·exp(log_ratio_Subject[Sex[Male]])" in text
    assert "sd_Subject[age[8]]·exp(0.5926·log_ratio_Subject[Sex[Male]])" in text


def test_what_these_data_cannot_tell():
    few = data().assign(few=np.where(data()["Subject"] == "M01", "a", "b"))
    with pytest.raises(DesignError, match=r"ratio of standard deviations at few\[a\], which has 1"):
        bl.Model(FORMULA, few, G={"Subject": bl.CS(variance=[SEX, bl.VarIdent("few")])})
    with pytest.raises(DesignError, match=r"cannot tell .*log_ratio_Subject.* apart"):
        bl.Model(FORMULA, data(), G={"Subject": bl.CS(variance=[SEX, bl.VarIdent("Sex:age")])})
    fit = model("each combination of strata").fit("reml")
    with pytest.raises(DataError, match="the strata 'half' of the new data have 'third'"):
        fit.predict(data().iloc[:2].assign(half="third"))
    some = data()[(data()["Sex"] != "Male") | (data()["half"] == "odd")]
    own = bl.Model(FORMULA, some, G={"Subject": bl.CS(variance=bl.VarIdent("Sex:half"))})
    with pytest.raises(DataError, match="the stratum 'Male, even' of Sex and half"):
        own.fit("reml").predict(data()[data()["Sex"] == "Male"].assign(half="even").iloc[:2])
