"""Comparisons of fits: published tables, simulation, refits, errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.comparison.nesting import Reference, lies_in, reference
from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.errors import ArgumentError, ArgumentTypeError
from bayeslmm.estimation.optimum import Status
from tests.oracles.dense import full_Z
from tests.oracles.fits_cache import likelihood


def fit(formula, dataset="sleepstudy", method="ml", **options):
    return bl.Model(formula, bl.load_dataset(dataset), **options).fit(method)


SLOPES, INTERCEPTS = "Reaction ~ Days + (Days | Subject)", "Reaction ~ Days + (1 | Subject)"
INDEPENDENT = "Reaction ~ Days + (Days || Subject)"
MACHINES = "score ~ Machine + (Machine | Worker)"


def test_the_table_of_bates_et_al():
    """Bates, Mächler, Bolker and Walker (2015), Journal of Statistical Software 67(1), section
    5.1: anova() of the sleepstudy models with and without correlation.
    """
    table = bl.compare([fit(SLOPES), fit(INDEPENDENT)])
    assert list(table.index) == [INDEPENDENT, SLOPES]
    assert table["parameters"].tolist() == [5, 6]
    assert table["aic"].round(1).tolist() == [1762.0, 1763.9]
    assert table["bic"].round(1).tolist() == [1778.0, 1783.1]
    assert table["loglik"].round(2).tolist() == [-876.00, -875.97]
    assert table["deviance"].round(1).tolist() == [1752.0, 1751.9]
    last = table.iloc[1]
    assert (round(last["chi2"], 4), last["df"], round(last["p"], 4)) == (0.0639, 1, 0.8004)


@pytest.mark.parametrize(
    ("small", "large", "dataset", "df"),
    [
        ("Reaction ~ Days", INTERCEPTS, "sleepstudy", (0, 1)),
        (INTERCEPTS, SLOPES, "sleepstudy", (1, 2)),
        (INTERCEPTS, INDEPENDENT, "sleepstudy", (0, 1)),
        (INDEPENDENT, SLOPES, "sleepstudy", (1,)),
        (INTERCEPTS, "Reaction ~ Days + I(Days**2) + (Days | Subject)", "sleepstudy", (2, 3)),
        ("Reaction ~ 1 + (1 | Subject)", INTERCEPTS, "sleepstudy", (1,)),
        ("Reaction ~ 0 + Days + (1 | Subject)", INTERCEPTS, "sleepstudy", (1,)),
        ("Reaction ~ Days", SLOPES, "sleepstudy", (3,)),
        ("score ~ Machine + (1 | Worker)", MACHINES, "Machines", (5,)),
        ("score ~ Machine + (1 | Worker)", "score ~ 1 + (1 | Worker)", "Machines", None),
        (
            "score ~ Machine + id(0 + Machine | Worker)",
            "score ~ Machine + (0 + Machine | Worker)",
            "Machines",
            (5,),
        ),
        (
            "diameter ~ 1 + (1 | plate)",
            "diameter ~ 1 + (1 | plate) + (1 | sample)",
            "Penicillin",
            (0, 1),
        ),
        ("diameter ~ 1 + (1 | plate)", "diameter ~ 1 + (1 | sample)", "Penicillin", None),
    ],
)
def test_what_the_statistic_follows(small, large, dataset, df):
    models = [bl.Model(formula, bl.load_dataset(dataset)) for formula in (small, large)]
    sizes = [len(model.design.coef) + len(model.parameters) for model in models]
    found = reference(*(model.design for model in models), sizes[1] - sizes[0])
    if df is None:
        assert "not nested" in found
    else:
        assert found.df == df
        assert ("conservative" in found.text) == (df in ((3,), (5,)) and "id(" not in small)


def test_p_of_mixtures():
    tail = stats.chi2.sf
    assert Reference((0, 1), "").p(2.7) == pytest.approx(0.5 * tail(2.7, 1))
    assert Reference((1, 2), "").p(2.7) == pytest.approx(0.5 * (tail(2.7, 1) + tail(2.7, 2)))
    assert Reference((0, 1), "").p(0.0) == 1
    assert Reference((3,), "").p(5.0) == pytest.approx(tail(5.0, 3))


def test_p_is_uniform_where_the_mixture_says_so():
    """Under no variance, as many small p as there should be; one chi-square would have half."""
    rng = np.random.default_rng(5)
    data = {"g": np.repeat(np.arange(40), 5), "y": rng.standard_normal(200)}
    model = bl.Model("y ~ 1 + (1 | g)", data)
    plain = bl.Model("y ~ 1", data)
    p = []
    for _ in range(300):
        y = rng.standard_normal(200)
        large, small = (one.with_response(y).fit("ml").loglik for one in (model, plain))
        p.append(Reference((0, 1), "").p(max(2 * (large - small), 0)))
    assert 0.05 < np.mean(np.array(p) < 0.1) < 0.14


def test_structures_of_r_are_compared():
    plain = fit("distance ~ age * Sex", "Orthodont")
    ar1, un = (
        fit("distance ~ age * Sex", "Orthodont", R=R(time="age", group="Subject"))
        for R in (bl.AR1, bl.UN)
    )
    table = bl.compare({"un": un, "plain": plain, "ar1": ar1})
    assert list(table.index) == ["plain", "ar1", "un"]
    assert table.loc["ar1", "chi2"] == pytest.approx(2 * (ar1.loglik - plain.loglik))
    assert table.loc["un", "reference"] == "chi-square"
    assert table.loc["un", "p"] == pytest.approx(stats.chi2.sf(2 * (un.loglik - ar1.loglik), 8))
    cs = fit("distance ~ age * Sex", "Orthodont", R=bl.CS(group="Subject"))
    arma = fit("distance ~ age * Sex", "Orthodont", R=bl.ARMA11(time="age", group="Subject"))
    table = bl.compare([cs, arma])
    assert "not known to be nested, CS within Subject in ARMA11" in table["reference"].iloc[1]
    assert np.isnan(table["p"].iloc[1])


ORTHODONT = bl.load_dataset("Orthodont")
WHERE = {"time": "age", "group": "Subject"}
ORDER = ("8", "10", "12", "14")
# a structure, one that it lies in
LIES_IN = [
    (None, bl.CS(**WHERE)),
    (None, bl.ID(variance=bl.VarIdent("Sex"))),
    (bl.CS(group="Subject"), bl.Toep(**WHERE)),
    (bl.CS(**WHERE), bl.UN(**WHERE)),
    (bl.CSH(**WHERE), bl.UN(**WHERE)),
    (bl.AR1(**WHERE), bl.ARMA11(**WHERE)),
    (bl.AR1(**WHERE), bl.Toep(**WHERE)),
    (bl.AR1(**WHERE), bl.Ante1(**WHERE)),
    (bl.ARH1(**WHERE), bl.Ante1(**WHERE)),
    (bl.AR1(**WHERE), bl.AR1(**WHERE, variance=bl.VarPower("age"))),
    (bl.AR1(**WHERE, variance=bl.VarPower("age")), bl.ARH1(**WHERE)),
    (bl.AR1(**WHERE, variance=bl.VarExp("age")), bl.UN(**WHERE)),
    (bl.ARMA11(**WHERE), bl.Toep(**WHERE)),
    (bl.Toep(**WHERE), bl.ToepH(**WHERE)),
    (bl.ToepH(**WHERE), bl.UN(**WHERE)),
    (bl.Ante1(**WHERE), bl.UN(**WHERE)),
    (bl.CAR1(**WHERE), bl.Ante1(**WHERE)),
    (bl.CAR1(**WHERE), bl.Exp(**WHERE)),
    (bl.Exp(**WHERE), bl.UN(**WHERE)),
    (bl.Gau(**WHERE), bl.UN(**WHERE)),
    (bl.RatQuad(**WHERE), bl.UN(**WHERE)),
    (bl.Sph(**WHERE), bl.UN(**WHERE)),
    (bl.Matern(**WHERE), bl.UN(**WHERE)),
    (bl.FA(1, **WHERE), bl.UN(**WHERE)),
    *((own(**WHERE, nugget=True), bl.UN(**WHERE)) for own in (bl.CAR1, bl.Exp, bl.Gau, bl.Matern)),
    *((own(**WHERE), own(**WHERE, nugget=True)) for own in (bl.CAR1, bl.Exp, bl.Gau, bl.Matern)),
    (bl.CAR1(**WHERE), bl.Exp(**WHERE, nugget=True)),
    (bl.CAR1(**WHERE, nugget=True), bl.Exp(**WHERE, nugget=True)),
    (bl.CS(**WHERE), bl.CS(**WHERE, by="Sex")),
    (bl.CS(**WHERE, variance=bl.VarIdent("Sex")), bl.CS(**WHERE, by="Sex")),
]


def values_of(large, small):
    """Values of the parameters of a structure at which it has the fitted R of another."""
    out = {}
    for name in large.parameters.names:
        variable, _, label = name.rstrip("]").partition("[")
        subject = "F01" if label.startswith("Female") else "M01"
        R = small.solution.R(np.flatnonzero(ORTHODONT["Subject"] == subject))
        sd = np.sqrt(np.diag(R))
        C = R / np.outer(sd, sd)
        places = [ORDER.index(x) for x in label.split(", ") if x in ORDER]
        nugget = small.theta.get("nugget", 1e-9)  # none is as near as a number inside its bounds is
        C = np.where(np.eye(4) == 1, 1, C / (1 - nugget))
        if variable == "nugget":
            value = nugget
        elif variable == "sigma":
            value = sd[places[0] if places else 0]
        elif variable in ("power", "expon", "ma"):
            value = 0.0
        elif variable == "range":
            value = small.theta.get("range", -2 / np.log(C[0, 1]))
        elif isinstance(large.R, bl.Toep):
            value = C[0, int(label)]
        elif isinstance(large.R, bl.CAR1):
            value = np.sqrt(C[0, 1])  # of a distance of 1, where that of the occasions is 2
        else:
            value = C[tuple(places) if places else (0, 1)]
        out[name] = bl.Fixed(float(value))
    return out


@pytest.mark.parametrize(("small", "large"), LIES_IN)
def test_the_maximum_of_a_nested_structure_lies_in_the_larger_one(small, large):
    """At the small one's fitted R the large one has the same likelihood."""
    assert lies_in(small or bl.ID(), large)
    own = bl.Model("distance ~ age * Sex", ORTHODONT, R=small).fit("ml")
    model = bl.Model("distance ~ age * Sex", ORTHODONT, R=large)
    if isinstance(large, bl.UN):  # whose elements cannot be held
        assert model.fit("ml").loglik > own.loglik - 1e-6
        return
    held = bl.Model("distance ~ age * Sex", ORTHODONT, R=large, priors=values_of(model, own))
    assert held.fit("ml").loglik == pytest.approx(own.loglik, abs=1e-6)


def test_a_factor_more_is_nested_without_a_chi_square_and_a_nugget_is_on_the_boundary():
    sleep = bl.load_dataset("sleepstudy").query("Days < 6")
    where = {"time": "Days", "group": "Subject"}
    one, two, none = (
        bl.Model("Reaction ~ Days", sleep, R=R)
        for R in (bl.FA(1, **where), bl.FA(2, **where), bl.Diag(time="Days"))
    )
    small = one.fit("ml")
    held = {}
    for name in two.parameters.names:
        label = name.rstrip("]").partition("[")[2]
        held[name] = bl.Fixed(0.0 if label.endswith(", 2") else float(small.theta[name]))
    # a diagonal loading of zero is a bound, so that its likelihood is evaluated
    theta = np.array([held[name].value for name in two.parameters.names])
    assert two.equations.loglik(theta, "ml")[0] == pytest.approx(small.loglik, abs=1e-6)
    for a, b in ((one, two), (none, one)):
        assert "nested, but with more factors" in reference(a.design, b.design, 5)
    unrestricted = bl.Model("Reaction ~ Days", sleep, R=bl.UN(**where)).design
    assert reference(one.design, unrestricted, 9) == Reference((9,), "chi-square")
    on_G = [
        bl.Model(
            "Reaction ~ Days + (0 + Days | Subject)", sleep, G={"Subject": bl.FA(k)}, check=False
        )
        for k in (1, 2)
    ]
    assert "nested, but with more factors" in reference(*(own.design for own in on_G), 5)
    nuggets = [
        bl.Model("Reaction ~ Days", sleep, R=bl.Exp(**where, nugget=nugget)).design
        for nugget in (False, True)
    ]
    assert reference(*nuggets, 1).df == (0, 1)


NOT_IN = [
    (bl.CS(**WHERE), bl.AR1(**WHERE)),
    (bl.CS(**WHERE), bl.Ante1(**WHERE)),
    (bl.CSH(**WHERE), bl.Toep(**WHERE)),
    (bl.UN(**WHERE), bl.ToepH(**WHERE)),
    (bl.AR1(**WHERE), None),
    (bl.AR1(**WHERE), bl.UN(time="visit", group="Subject")),
    (bl.AR1(**WHERE), bl.Toep(time="age", group="school")),
    (bl.AR1(**WHERE, by="Sex"), bl.ARMA11(**WHERE)),
    (bl.AR1(**WHERE, variance=bl.VarPower("x")), bl.ARH1(**WHERE)),
    (bl.Exp(**WHERE, nugget=True), bl.Ante1(**WHERE)),
    (bl.FA(2, **WHERE), bl.FA(1, **WHERE)),
    (bl.CS(**WHERE), bl.FA(1, **WHERE)),  # of which a negative correlation is none
    (bl.Exp(**WHERE, nugget=True), bl.Exp(**WHERE)),
    (bl.Exp(**WHERE, nugget=True), bl.Gau(**WHERE, nugget=True)),
    (bl.Gau(**WHERE), bl.Exp(**WHERE, nugget=True)),
    (None, bl.Known(np.eye(4), levels=ORDER, **WHERE)),
]


@pytest.mark.parametrize(("small", "large"), NOT_IN)
def test_what_does_not_lie_in_a_structure(small, large):
    assert not lies_in(small or bl.ID(), large or bl.ID())


def test_structures_of_random_effects_are_nested_likewise():
    data = bl.load_dataset("Machines")

    def design(structure):
        return bl.Model(f"score ~ Machine + {structure}(0 + Machine | Worker)", data).design

    for small, large in (("cs", "toep"), ("diag", "csh"), ("ar1", "us"), ("id", "ar1")):
        assert reference(design(small), design(large), 1).df == (1,)
    for small, large in (("cs", "arh1"), ("csh", "toep")):
        assert "not nested" in reference(design(small), design(large), 1)


def test_small_samples_have_a_criterion_of_their_own():
    own = fit("Yield ~ 1 + (1 | Batch)", "Dyestuff")
    assert own.aicc == pytest.approx(own.aic + 2 * 3 * 4 / (30 - 4))
    other = fit("Yield ~ 1", "Dyestuff")
    assert bl.compare([own, other])["aicc"].tolist() == pytest.approx([other.aicc, own.aicc])


def test_reml_with_different_fixed_parts_is_refused_and_refitted():
    reml = [fit(f, method="reml") for f in ("Reaction ~ 1 + (1 | Subject)", INTERCEPTS)]
    with pytest.raises(ArgumentError, match="refit='ml'"):
        bl.compare(reml)
    ml = [fit(f) for f in ("Reaction ~ 1 + (1 | Subject)", INTERCEPTS)]
    assert bl.compare(reml, refit="ml").equals(bl.compare(ml))
    same = bl.compare([fit(f, method="reml") for f in (INDEPENDENT, SLOPES)])
    assert same["p"].notna().sum() == 1
    with pytest.raises(ArgumentError, match=r"by REML and .* by ML"):
        bl.compare([reml[1], ml[0]])


def test_other_data_are_refused_with_the_reason():
    sleep = bl.load_dataset("sleepstudy")
    one = bl.Model(INTERCEPTS, sleep).fit("ml")
    others = {
        "responses are": bl.Model("np.log(Reaction) ~ Days + (1 | Subject)", sleep),
        "180 and 170 rows": bl.Model(INTERCEPTS, sleep[sleep["Subject"] != "308"]),
        "values of Reaction": bl.Model(INTERCEPTS, sleep.assign(Reaction=sleep["Reaction"] + 1)),
        "weights": bl.Model(INTERCEPTS, sleep.assign(w=2.0), weights="w"),
    }
    for reason, other in others.items():
        with pytest.raises(ArgumentError, match=reason):
            bl.compare([one, other.fit("ml")])
    with pytest.raises(ArgumentError, match="two fits"):
        bl.compare([one])
    with pytest.raises(ArgumentError, match="'ml'"):
        bl.compare([one, one], refit="reml")
    for wrong in (one, [one, "fit"]):
        with pytest.raises(ArgumentTypeError, match="fits"):
            bl.compare(wrong)


def test_drop1_is_that_of_fits_without_the_term():
    table = fit("yield ~ Variety * nitro + (1 | Block/Variety)", "Oats", "reml").drop1()
    assert list(table.index) == ["<none>", "Variety:nitro"]
    assert table.loc["Variety:nitro", "df"] == 2
    additive = fit("yield ~ Variety + nitro + (1 | Block/Variety)", "Oats")
    assert table.loc["Variety:nitro", "loglik"] == pytest.approx(additive.loglik, abs=1e-6)
    assert table.loc["Variety:nitro", "aic"] == pytest.approx(additive.aic, abs=1e-6)
    table = additive.drop1()
    assert list(table.index) == ["<none>", "Variety", "nitro"]
    without = fit("yield ~ nitro + (1 | Block/Variety)", "Oats")
    chi2 = 2 * (additive.loglik - without.loglik)
    assert table.loc["Variety", "chi2"] == pytest.approx(chi2, abs=1e-6)
    assert table.loc["Variety", "p"] == pytest.approx(stats.chi2.sf(chi2, 2), abs=1e-6)


def test_the_only_coefficient_can_be_dropped():
    assert list(fit("Reaction ~ 0 + Days + (1 | Subject)").drop1().index) == ["<none>", "Days"]


@pytest.mark.parametrize(
    ("name", "method"),
    [("slopes", "ml"), ("crossed", "ml"), ("weights", "reml")],
)
def test_effective_degrees_of_freedom_are_the_divergence_of_the_fitted_values(name, method):
    """Stein's formula, by refits to responses of which one value is moved."""
    own = likelihood(name, method)
    model, y = own.model, own.model.design.y
    rows = range(len(y))
    size = 0.01 * np.std(y)
    moved = []
    for i in rows:
        step = size * (np.arange(len(y)) == i)
        up, down = (model.with_response(y + s).fit(method).fitted().iloc[i] for s in (step, -step))
        moved.append((up - down) / (2 * size))
    rows_of = functions_of_rows(model)
    parts = own.conditional_aic
    variance = model.equations.var_linear(
        own.optimum.M, own.sigma, rows_of.X, rows_of.codes, rows_of.Z
    )
    w = np.ones(len(y)) if model.design.weights is None else model.design.weights
    assert parts.df_given_theta == pytest.approx(1 + w @ variance / own.sigma**2)
    if name == "crossed":
        assert parts.df > parts.df_given_theta
    estimate = 1 + np.sum(moved)
    assert parts.df == pytest.approx(estimate, rel=1e-3)


def test_the_conditional_aic_is_near_that_of_caic4():
    """cAIC4 1.0 prints -824.51, 31.30 and 1711.62 for its example, with a correction for theta of
    its own; refits with each value moved give 31.25.
    """
    own = likelihood("slopes")
    parts = own.conditional_aic
    assert round(parts.loglik, 2) == -824.51
    assert parts.df == pytest.approx(31.30, abs=0.06)
    assert own.caic == pytest.approx(1711.62, abs=0.12)


def test_degrees_of_freedom_of_least_squares_are_those_of_aic():
    own = likelihood("no random effects", "ml")
    assert own.caic == pytest.approx(own.aic)


def test_a_variance_of_zero_leaves_the_other_degrees_of_freedom():
    own = fit("Yield ~ 1 + (1 | Batch)", "Dyestuff2")
    assert own.conditional_aic.df == pytest.approx(2)


@pytest.mark.parametrize(
    ("formula", "dataset", "R"),
    [
        ("distance ~ age + (1 | Subject)", "Orthodont", bl.ID(variance=bl.VarIdent("early"))),
        ("distance ~ age + (1 | Subject)", "Orthodont", bl.AR1(time="age", group="Subject")),
        ("distance ~ age", "Orthodont", bl.AR1(time="age", group="Subject")),
        ("Reaction ~ Days + ar1(0 + Days | Subject)", "sleepstudy", None),
    ],
)
def test_effective_degrees_of_freedom_with_structures_are_the_divergence(formula, dataset, R):
    """Stein's formula, by refits; the hat matrix and the likelihood by dense algebra."""
    data = bl.load_dataset(dataset).iloc[:40]
    if dataset == "Orthodont":
        data["early"] = np.where(data["age"] < 11, "yes", "no")
    own = bl.Model(formula, data, R=R).fit("reml")
    assert own.status is Status.CONVERGED
    model, y = own.model, own.model.design.y
    size = 0.005 * np.std(y)
    moved = []
    for i in range(len(y)):
        step = size * (np.arange(len(y)) == i)
        up, down = (model.with_response(y + s).fit("reml").fitted().iloc[i] for s in (step, -step))
        moved.append((up - down) / (2 * size))
    of_R = sum(block.factor is None for block in model.parameters.blocks for _ in block.labels)
    parts = own.conditional_aic
    assert parts.df == pytest.approx(of_R + np.sum(moved), rel=2e-3)
    rows = np.arange(len(y))
    R = own.solution.residual_covariance(rows)
    V = R.copy()
    for factor in model.design.factors:
        Z = full_Z(factor)
        V += Z @ np.kron(np.eye(len(factor.levels)), own.G(factor.name)) @ Z.T
    X, P = model.design.X, np.linalg.inv(V)
    P -= P @ X @ np.linalg.solve(X.T @ P @ X, X.T @ P)
    hat = np.eye(len(y)) - R @ P
    assert parts.df_given_theta == pytest.approx(of_R + np.trace(hat), rel=1e-6)
    residual = y - own.fitted().to_numpy()
    exact = stats.multivariate_normal.logpdf(residual, cov=R)
    assert parts.loglik == pytest.approx(exact, rel=1e-9)


def test_the_conditional_aic_of_related_and_of_stratified_levels():
    data = bl.load_dataset("sleepstudy")
    names = sorted(data["Subject"].unique())
    K = pd.DataFrame(0.5 ** np.abs(np.subtract.outer(range(18), range(18))), names, names)
    data["shift"] = np.where(data["Subject"].astype(int) % 2, "day", "night")
    for G in ({"Subject": bl.Known(K)}, {"Subject": bl.UN(by="shift")}):
        own = bl.Model("Reaction ~ Days + (Days | Subject)", data, G=G).fit("reml")
        design, rows = own.model.design, np.arange(180)
        factor = design.factors[0]
        V = own.sigma**2 * np.eye(180)
        V += factor.between(rows) * (factor.Z @ own.solution.moments[0]["Subject"] @ factor.Z.T)
        X, P = design.X, np.linalg.inv(V)
        P -= P @ X @ np.linalg.solve(X.T @ P @ X, X.T @ P)
        trace = 180 - own.sigma**2 * np.trace(P)
        parts = own.conditional_aic
        assert parts.df_given_theta == pytest.approx(1 + trace, rel=1e-6)
        exact = stats.norm.logpdf(own.residuals(), scale=own.sigma).sum()
        assert parts.loglik == pytest.approx(exact, rel=1e-9)


def test_components_of_random_effects():
    own = likelihood("slopes")
    table = own.repca()
    Z = own.model.design.factor("Subject").Z
    size = np.sqrt((Z**2).mean(axis=0))
    values = np.linalg.eigvalsh(size[:, None] * own.G().to_numpy() * size)[::-1]
    assert table["sd"].to_numpy() == pytest.approx(np.sqrt(values))
    assert table["cumulative"].iloc[-1] == pytest.approx(1)
    assert table["supported"].all()
    none = fit("Yield ~ 1 + (1 | Batch)", "Dyestuff2").repca()
    assert not none["supported"].any()
    assert likelihood("crossed").repca()["group"].tolist() == ["plate", "sample"]


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_each_simpler_structure_is_that_of_its_own_formula(method):
    table = fit(MACHINES, "Machines", method).random_structures()
    assert table["parameters"].tolist() == [10, 7, 6, 5]
    assert table["loglik"].is_monotonic_decreasing
    for step, formula in ((1, "(Machine || Worker)"), (3, "(1 | Worker)")):
        own = fit(f"score ~ Machine + {formula}", "Machines", method)
        assert table.loc[step, "loglik"] == pytest.approx(own.loglik, abs=1e-5)
        assert table.loc[step, "aic"] == pytest.approx(own.aic, abs=1e-5)
    assert table.loc[1, "df"] == 3
    assert table.loc[2, "reference"] == "half chi-square(0), half chi-square(1)"


def test_factors_go_last():
    table = likelihood("crossed", "ml").random_structures()
    assert table["change"].tolist() == ["as fitted", "no effects of plate"]
    one = fit("diameter ~ 1 + (1 | sample)", "Penicillin")
    assert table.loc[1, "loglik"] == pytest.approx(one.loglik, abs=1e-5)
