"""Kenward-Roger's adjustment against dense algebra, and its invariances."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.estimation.optimum import Status
from bayeslmm.solutions.degrees_of_freedom import information as sensitivity
from bayeslmm.solutions.degrees_of_freedom import structured_information as structured_sensitivity
from tests.oracles import dense, dense_effects, fits_cache

EXPECTED = bl.KenwardRoger()
ORTHODONT = "distance ~ age * Sex"
WEEKS = np.array([1.0, 2.0, 4.0, 7.0, 8.0])


def covariances(theta, fit, name):
    """G of each factor, of which the first has a structure by the name, if one is given."""
    design, parameters = fit.model.design, fit.model.parameters
    if name is None:
        return dense.covariances(theta, parameters, design)
    value = dict(zip(parameters.names, theta, strict=True))
    factor = design.factors[0]
    label, weeks = factor.bars[0].label, np.unique(WEEKS)
    return [
        dense_effects.covariance(value, name, factor.effects, factor.name, label, weeks),
        *(np.array([[value[f"sd_{f.name}[Intercept]"] ** 2]]) for f in design.factors[1:]),
    ]


def marginal(fit, name=None):
    """V of all rows at theta."""
    design, equations = fit.model.design, fit.model.equations
    rows = np.arange(equations.n)
    weights = np.ones(len(rows)) if design.weights is None else design.weights

    def V(theta):
        R = theta[-1] ** 2 * equations.residual_covariance(theta, rows)
        out = R / np.sqrt(np.outer(weights, weights))
        for factor, G in zip(design.factors, covariances(theta, fit, name), strict=True):
            Z = dense.full_Z(factor)
            out += Z @ np.kron(np.eye(len(factor.levels)), G) @ Z.T
        return out

    return V


def restricted_deviance(fit, V):
    """-2 log L by REML but for a constant, dense."""
    X, y = fit.model.design.X, fit.model.design.y
    inverse = np.linalg.inv(V)
    information = X.T @ inverse @ X
    residual = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (V, information)]
    return sum(logs) + residual @ inverse @ residual


def second_differences(function, at):
    """All second derivatives, by central differences."""
    k, step = len(at), 1e-3 * np.maximum(np.abs(at), 0.1)
    out = [[None] * k for _ in at]
    for i in range(k):
        for j in range(k):
            a, b = np.eye(k)[i] * step, np.eye(k)[j] * step
            ends = function(at + a + b) - function(at + a - b)
            ends = ends - function(at - a + b) + function(at - a - b)
            out[i][j] = ends / (4 * step[i] * step[j])
    return np.array(out)


def adjusted(fit, name=None, V=None, way=EXPECTED):
    """The adjusted matrix by the formula as it is printed, with V differentiated in theta, or in
    SAS's parameters: variances for standard deviations.
    """
    theta, X = fit.optimum.theta, fit.model.design.X
    V = marginal(fit, name) if V is None else V
    if way.second_derivatives:
        of_theta, sds = V, np.isin(fit.model.parameters.kinds, ["sd", "sigma"])
        theta = np.where(sds, theta**2, theta)

        def V(phi):
            return of_theta(np.where(sds, np.sqrt(np.abs(phi)), phi))

    inverse = np.linalg.inv(V(theta))
    C = np.linalg.inv(X.T @ inverse @ X)
    derivatives = []
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = 1e-4 * max(abs(theta[i]), 0.1)
        derivatives.append((V(theta + step) - V(theta - step)) / (2 * step[i]))
    k = len(theta)
    projection = inverse - inverse @ X @ C @ X.T @ inverse
    P = [-X.T @ inverse @ D @ inverse @ X for D in derivatives]
    information = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            product = projection @ derivatives[i] @ projection @ derivatives[j]
            information[i, j] = np.trace(product) / 2
    if way.information == "observed":
        information = second_differences(lambda at: restricted_deviance(fit, V(at)), theta) / 2
    W = np.linalg.inv(information)
    inner = np.zeros_like(C)
    for i in range(k):
        for j in range(k):
            Q = X.T @ inverse @ derivatives[i] @ inverse @ derivatives[j] @ inverse @ X
            inner += W[i, j] * (Q - P[i] @ C @ P[j])
    if way.second_derivatives:
        bends = second_differences(V, theta)
        inner -= X.T @ inverse @ np.einsum("ij,ijnm->nm", W, bends) @ inverse @ X / 4
    return C + 2 * C @ inner @ C


def ours(fit, way="kenward-roger"):
    return fit.solution.wald(way).vcov


@pytest.mark.parametrize(
    "name", ["slopes", "two bars", "weights", "crossed", "nested", "factor ||", "one variance"]
)
def test_adjusted_covariance_is_that_of_dense_algebra(name):
    fit = fits_cache.likelihood(name)
    np.testing.assert_allclose(ours(fit), adjusted(fit), rtol=1e-6, atol=1e-9)


STRUCTURED = {
    "UN": (ORTHODONT, bl.UN(time="age", group="Subject")),
    "CSH": (ORTHODONT, bl.CSH(time="age", group="Subject")),
    "AR1": (ORTHODONT, bl.AR1(time="age", group="Subject")),
    "a set for each sex": (ORTHODONT, bl.Toep(time="age", group="Subject", by="Sex")),
    "AR1 and slopes": (ORTHODONT + " + (age || Subject)", bl.AR1(time="age", group="Subject")),
    "a variance for each sex": (ORTHODONT + " + (1 | Subject)", bl.ID(variance=bl.VarIdent("Sex"))),
    "a power": (ORTHODONT, bl.ID(variance=bl.VarPower("age"))),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_adjusted_covariance_with_a_structure_for_R(name):
    formula, R = STRUCTURED[name]
    data = bl.load_dataset("Orthodont").sample(90, random_state=4)
    weights = np.linspace(1, 2, 90)
    fit = bl.Model(formula, data, R=R, weights=weights).fit("reml")
    assert fit.optimum.status is Status.CONVERGED
    np.testing.assert_allclose(ours(fit), adjusted(fit), rtol=1e-5, atol=1e-7)


def same_tests(one, other):
    for df, rtol in (("kenward-roger", 1e-5), ("satterthwaite", 1e-3)):
        tables = [fit.summary(df=df).iloc[: len(fit.model.design.coef)] for fit in (one, other)]
        columns = ["estimate", "std_error", "df", "t"]
        np.testing.assert_allclose(tables[0][columns], tables[1][columns], rtol=rtol)
        columns = ["num_df", "den_df", "F"]
        tables = [fit.anova(df=df) for fit in (one, other)]
        np.testing.assert_allclose(tables[0][columns], tables[1][columns], rtol=rtol)


def test_a_random_intercept_is_compound_symmetry():
    data = bl.load_dataset("Machines").drop([0, 7, 8, 20, 33])
    one = bl.Model("score ~ Machine + (1 | Worker)", data).fit("reml")
    other = bl.Model("score ~ Machine", data, R=bl.CS(group="Worker")).fit("reml")
    same_tests(one, other)


def test_the_parametrisation_of_R_does_not_matter():
    data = bl.load_dataset("Orthodont").drop([3, 50, 51])
    fits = [
        bl.Model(ORTHODONT, data, R=R(time="age", group="Subject")).fit("reml")
        for R in (bl.AR1, bl.CAR1)
    ]
    same_tests(*fits)


def test_a_covariate_far_from_zero_has_the_same_slope():
    data = bl.load_dataset("sleepstudy").drop([4, 5, 77])
    near = bl.Model("Reaction ~ Days + (1 | Subject)", data).fit("reml")
    far = bl.Model("Reaction ~ Days + (1 | Subject)", data.assign(Days=data["Days"] + 1e6)).fit(
        "reml"
    )
    np.testing.assert_allclose(
        near.anova(df="kenward-roger"), far.anova(df="kenward-roger"), rtol=1e-5
    )


def test_hotellings_t_squared_is_exact():
    """With unrestricted R and complete data, F of the means over occasions is Hotelling's."""
    data = bl.load_dataset("Orthodont")
    data = data.assign(age=data["age"].astype(int).astype(str))
    wide = data.pivot(index="Subject", columns="age", values="distance").to_numpy()
    wide = wide[:, np.argsort(np.array(sorted(data["age"].unique())))]
    n, T = wide.shape
    difference = wide[:, 1:] - wide[:, :1]
    mean, S = difference.mean(axis=0), np.cov(difference.T)
    exact = n * mean @ np.linalg.solve(S, mean) * (n - T + 1) / ((T - 1) * (n - 1))
    fit = bl.Model("distance ~ age", data, R=bl.UN(time="age", group="Subject")).fit("reml")
    row = fit.anova(df="kenward-roger").loc["age"]
    assert row["F"] == pytest.approx(exact, rel=1e-5)
    assert row["den_df"] == pytest.approx(n - T + 1, rel=1e-5)


def test_singular_fits_keep_all_parameters():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    assert fit.optimum.singular
    # the variance between batches could be more than zero: six means, five degrees of freedom
    assert fit.summary(df="kenward-roger")["df"].iloc[0] == pytest.approx(5)


def test_fits_by_ml_are_refused():
    with pytest.raises(bl.ArgumentError, match="REML"):
        fits_cache.likelihood("slopes", "ml").summary(df="kenward-roger")


G_STRUCTURES = {
    "CS": bl.CS(),
    "CSH": bl.CSH(),
    "AR1": bl.AR1(),
    "ARH1": bl.ARH1(),
    "Toep": bl.Toep(),
    "Ante1": bl.Ante1(),
    "UN one": bl.UN(variance="one"),
    "Exp": bl.Exp(),
}


def weekly(residual_sds=(1.0, 1.0)):
    """Subjects with some rows at some of five weeks, in rooms."""
    rng = np.random.default_rng(11)
    rows = []
    root = 2 * np.linalg.cholesky(0.8 ** np.abs(WEEKS[:, None] - WEEKS))
    for subject in range(24):
        u = root @ rng.standard_normal(len(WEEKS)) * np.linspace(0.7, 1.3, len(WEEKS))
        rows += [
            (f"s{subject}", week, "uvw"[subject % 3], "ab"[half], own + rng.normal(0, sd))
            for week, own in zip(WEEKS, u, strict=True)
            for half, sd in enumerate(residual_sds)
            if rng.random() < 0.85
        ]
    return pd.DataFrame(rows, columns=["id", "week", "room", "half", "y"])


@pytest.mark.parametrize("name", G_STRUCTURES)
def test_adjusted_covariance_with_a_structure_for_G(name):
    data, G = weekly(), {"id": G_STRUCTURES[name]}
    fit = bl.Model("y ~ week * room + (0 + week | id)", data, G=G).fit("reml")
    assert fit.optimum.status is Status.CONVERGED
    np.testing.assert_allclose(ours(fit), adjusted(fit, name), rtol=1e-5, atol=1e-7)


def test_adjusted_covariance_with_structures_for_G_and_R():
    data = weekly((1.0, 2.0))
    R = bl.ID(variance=bl.VarIdent("half"))
    fit = bl.Model("y ~ week + ar1(0 + week | id)", data, R=R).fit("reml")
    assert fit.optimum.status is Status.CONVERGED
    np.testing.assert_allclose(ours(fit), adjusted(fit, "AR1"), rtol=1e-5, atol=1e-7)


STRATIFIED = {
    "Diag": ("(Days | Subject)", bl.Diag(by="shift")),
    "UN": ("(Days | Subject)", bl.UN(variance=["occasion", bl.VarIdent("shift")])),
    "AR1": ("(0 + Days | Subject)", bl.AR1(variance=[bl.VarIdent("shift"), bl.VarExp("Days")])),
}


@pytest.mark.parametrize("own", ["related", *STRATIFIED])
def test_adjusted_covariance_with_related_and_stratified_levels(own):
    data = bl.load_dataset("sleepstudy").drop([4, 5, 77])
    names = sorted(data["Subject"].unique())
    K = pd.DataFrame(0.5 ** np.abs(np.subtract.outer(range(18), range(18))), names, names)
    data["shift"] = np.where(data["Subject"].astype(int) % 2, "day", "night")
    bar, G = STRATIFIED.get(own, ("(Days | Subject)", bl.Known(K)))
    fit = bl.Model(f"Reaction ~ Days + {bar}", data, G={"Subject": G}).fit("reml")
    assert fit.optimum.status is Status.CONVERGED
    equations, rows = fit.model.equations, np.arange(len(data))
    (factor,) = fit.model.design.factors

    def V(theta):
        (G,) = equations.covariances(equations.relative_factors(theta), theta[-1]).values()
        within = factor.between(rows) * (factor.Z @ G @ factor.Z.T)
        return within + theta[-1] ** 2 * np.eye(len(rows))

    np.testing.assert_allclose(ours(fit), adjusted(fit, V=V), rtol=1e-5, atol=1e-7)


def test_nested_intercepts_are_compound_symmetry_of_G():
    data = bl.load_dataset("Machines").drop([0, 7, 8, 20, 33])
    one = bl.Model("score ~ Machine + (1 | Worker/Machine)", data).fit("reml")
    other = bl.Model("score ~ Machine + cs(0 + Machine | Worker)", data).fit("reml")
    same_tests(one, other)


def test_structures_of_G_and_of_R_have_the_same_tests():
    """sleepstudy with AR(1) effects and noise is a model of either side of V."""
    data = bl.load_dataset("sleepstudy").drop([4, 5, 77])
    one = bl.Model("Reaction ~ Days + exp(0 + Days | Subject)", data).fit("reml")
    R = bl.Exp(time="Days", group="Subject", nugget=True)
    other = bl.Model("Reaction ~ Days", data, R=R).fit("reml")
    assert one.loglik == pytest.approx(other.loglik, abs=1e-6)
    same_tests(one, other)


def test_a_structure_of_G_without_variance_leaves_the_tests_without_it():
    data = weekly()
    data["y"] = np.random.default_rng(0).standard_normal(len(data))
    data["y"] -= data.groupby("id")["y"].transform("mean")
    fit = bl.Model("y ~ week + exp(0 + week | id)", data).fit("reml")
    assert fit.optimum.boundary.tolist() == [True, True, False]
    without = bl.Model("y ~ week", data).fit("reml")
    np.testing.assert_allclose(
        fit.anova(df="kenward-roger"), without.anova(df="kenward-roger"), rtol=1e-6
    )


def test_what_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(sensitivity, "_LARGEST", 29)
    fit = bl.Model("diameter ~ 1 + (1 | plate) + (1 | sample)", bl.load_dataset("Penicillin"))
    with pytest.raises(bl.ArgumentError, match="30 here"):
        fit.fit("reml").summary(df="kenward-roger")
    monkeypatch.setattr(structured_sensitivity, "_LARGEST", 3)
    data = bl.load_dataset("Orthodont")
    fit = bl.Model(ORTHODONT, data, R=bl.AR1(time="age", group="Subject")).fit("reml")
    with pytest.raises(bl.ArgumentError, match="4 here"):
        fit.anova(df="kenward-roger")


OBSERVED = bl.KenwardRoger(information="observed")
FULL = bl.KenwardRoger(information="observed", second_derivatives=True)


@pytest.mark.parametrize("name", ["slopes", "crossed"])
def test_observed_information_of_random_effects_is_that_of_dense_algebra(name):
    fit = fits_cache.likelihood(name)
    expected = adjusted(fit, way=OBSERVED)
    np.testing.assert_allclose(ours(fit, OBSERVED), expected, rtol=1e-4, atol=1e-9)
    # G and σ²I are linear in variances and covariances
    np.testing.assert_allclose(ours(fit, FULL), ours(fit, OBSERVED), rtol=1e-12)


def test_second_derivatives_of_a_structure_for_R():
    formula, R = STRUCTURED["AR1"]
    data = bl.load_dataset("Orthodont").sample(60, random_state=4)
    fit = bl.Model(formula, data, R=R).fit("reml")
    assert fit.optimum.status is Status.CONVERGED
    expected = adjusted(fit, way=FULL)
    np.testing.assert_allclose(ours(fit, FULL), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["AR1 and slopes", "a power"])
def test_second_derivatives_that_are_not_confirmed_are_refused(name):
    formula, R = STRUCTURED[name]
    fit = bl.Model(formula, bl.load_dataset("Orthodont"), R=R).fit("reml")
    with pytest.raises(bl.ArgumentError, match="leave second_derivatives out"):
        fit.summary(df=FULL)
    data = weekly()
    fit = bl.Model("y ~ week + ar1(0 + week | id)", data).fit("reml")
    with pytest.raises(bl.ArgumentError, match="leave second_derivatives out"):
        fit.summary(df=FULL)


def test_singular_fits_hold_what_is_on_the_boundary_with_observed_information():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    assert fit.summary(df=OBSERVED)["df"].iloc[0] == pytest.approx(30 - 1, rel=1e-4)


def test_settings_of_kenward_roger_are_checked():
    with pytest.raises(bl.ArgumentError, match="'observed'"):
        bl.KenwardRoger(information="average")
    with pytest.raises(bl.ArgumentTypeError, match="second_derivatives"):
        bl.KenwardRoger(second_derivatives=1)


# SAS PROC MIXED, from tests/testthat/test-kenwardroger.R of the R package mmrm (openpharma/mmrm,
# Apache-2.0): MODEL FEV1 = ARMCD by REML, with REPEATED AVISIT / SUBJECT=USUBJID TYPE=...
# Of ARMCD: the standard error by DDFM=KENWARDROGER and with (FIRSTORDER), and df, of both.
# mmrm has the two standard errors of SP(EXP) the other way round. The formula with dense algebra
# gives 0.90528 with second derivatives and 0.90553 without, which is how they stand here, and
# `test_which_of_two_numbers_of_sas_is_with_second_derivatives` has it.
# SAS stops a little before the maximum: tolerances are those of its convergence.
SAS = {
    "AR1": (bl.AR1, 0.95865439662225, 0.96058142305176, 188.46934887972),
    "ARH1": (bl.ARH1, 0.7590316099633, 0.75924807546934, 188.225339095373),
    "CS": (bl.CS, 0.7964696053595, 0.7964696053595, 177.038485931223),
    "CSH": (bl.CSH, 0.67414806011886, 0.67403858183242, 190.737701349941),
    "Toep": (bl.Toep, 0.87839805519623, 0.87839805519623, 160.027408337368),
    "ToepH": (bl.ToepH, 0.72543828853831, 0.72537324518435, 180.062730071701),
    "Ante1": (bl.Ante1, 0.66172017349971, 0.66158550758897, 162.393385281755),
    "UN": (bl.UN, 0.66124382270307, 0.66124382270307, 160.733266403768),
    "Exp": (bl.Exp, 0.90527620094771, 0.90552903839818, 195.584197921463),
}
FEV = pd.read_csv(Path(__file__).parents[1] / "data" / "fev.csv")


@pytest.mark.parametrize("name", SAS)
def test_the_observed_information_is_that_of_sas(name):
    R, full, first_order, df = SAS[name]
    time = ("VISITN", "VISITN2") if name == "Exp" else "AVISIT"
    fit = bl.Model("FEV1 ~ ARMCD", FEV, R=R(time=time, group="USUBJID")).fit("reml")
    for second_derivatives, std_error in ((False, first_order), (True, full)):
        way = bl.KenwardRoger(information="observed", second_derivatives=second_derivatives)
        row = fit.summary(df=way).loc["beta[ARMCD[TRT]]"]
        assert row["std_error"] == pytest.approx(std_error, rel=2e-4)
        assert row["df"] == pytest.approx(df, rel=5e-4)


def test_which_of_two_numbers_of_sas_is_with_second_derivatives():
    """Of SP(EXP), by the formula as it is printed: 0.90528 is with them, 0.90553 is FIRSTORDER."""
    _, full, first_order, _ = SAS["Exp"]
    assert full < first_order
    R = bl.Exp(time=("VISITN", "VISITN2"), group="USUBJID")
    fit = bl.Model("FEV1 ~ ARMCD", FEV, R=R).fit("reml")
    used = FEV.loc[fit.model.design.index]
    place = used[["VISITN", "VISITN2"]].to_numpy(float)
    apart = np.sqrt(((place[:, None] - place) ** 2).sum(axis=2))
    subject = used["USUBJID"].to_numpy()
    within = subject[:, None] == subject

    def V(theta):
        reach, sigma = theta
        return sigma**2 * np.where(within, np.exp(-apart / reach), 0.0)

    assert list(fit.model.parameters.names) == ["range", "sigma"]
    position = fit.model.design.coef.index("ARMCD[TRT]")
    for way, number in ((FULL, full), (OBSERVED, first_order)):
        dense_se = np.sqrt(adjusted(fit, V=V, way=way)[position, position])
        assert dense_se == pytest.approx(number, rel=5e-5)
