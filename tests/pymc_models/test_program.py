"""Programs that `code` writes are run, and have the density of the textbook model."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from tests.pymc_models.test_full import STRUCTURES, python_mode, random_point

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

MODELS = {
    "one bar": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "intercept": ("Reaction ~ Days + (1 | Subject)", "sleepstudy"),
    "||": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "two bars": ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy"),
    "several correlated bars": (
        "score ~ Machine + (Machine | Worker) + (0 + x + z | Worker)",
        "Machines",
    ),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "cells": ("score ~ 0 + Machine + x + (1 | Worker)", "Machines"),
    "one variance": ("score ~ Machine + id(0 + Machine | Worker)", "Machines"),
    "interaction": ("distance ~ age * Sex + (age | Subject)", "Orthodont"),
    "expressions": ("log(Reaction) ~ I(Days**2) + C(Days > 4) + (1 | Subject)", "sleepstudy"),
    "splines": ("Reaction ~ poly(Days, 2) + (poly(Days, 2) | Subject)", "sleepstudy"),
    "offset": ("Reaction ~ Days + offset(off) + (1 | Subject)", "sleepstudy"),
    "no random effects": ("Reaction ~ Days", "sleepstudy"),
    "no coefficients": ("Reaction ~ 0 + (1 | Subject)", "sleepstudy"),
}


def frame(name):
    rng = np.random.default_rng(1)
    data = bl.load_dataset(name)
    return data.assign(
        x=rng.normal(size=len(data)),
        z=rng.normal(2, 1, size=len(data)),
        w=rng.uniform(0.5, 2, len(data)),
        off=rng.normal(0, 20, len(data)),
    )


def run(model, data, **others):
    scope = {"data": data} | others
    exec(compile(model.code(), "program", "exec"), scope)
    return scope["model"]


def same_density(model, data, **others):
    """Whether the program's density is that of the textbook model at random points."""
    written, full = run(model, data, **others), model.full_pymc()
    assert {v.name for v in written.free_RVs} == {v.name for v in full.free_RVs}
    assert {v.name for v in full.deterministics} <= {v.name for v in written.deterministics}
    densities = [m.compile_logp(mode=python_mode()) for m in (written, full)]
    for seed in range(2):
        point = random_point(full, seed)
        # loadings whose signs are fixed are not negative
        point = {key: abs(x) if "loading" in key else x for key, x in point.items()}
        found, expected = (float(density(point)) for density in densities)
        assert np.isfinite(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("name", list(MODELS))
def test_program_runs_and_has_the_density_of_the_textbook_model(name):
    formula, dataset = MODELS[name]
    data = frame(dataset)
    same_density(bl.Model(formula, data), data)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_structured_residuals(name):
    data = frame("Orthodont").iloc[:-6].sample(60, random_state=1)
    bar = "" if name in ("UN", "CS", "CSH", "Toep") else " + (1 | Subject)"
    model = bl.Model(f"distance ~ age{bar}", data, R=STRUCTURES[name], weights="w")
    same_density(model, data)


OTHERS = {
    "UN by": bl.UN(time="age", group="Subject", by="Sex"),
    "Toep by": bl.Toep(time="age", group="Subject", by="Sex"),
    "Matern 1.5": bl.Matern(time=("age", "x"), group="Subject"),
    "powers by": bl.ID(by="Sex", variance=bl.VarPower("age")),
    "VarIdents by": bl.ID(time="age", by="Sex", variance=[bl.VarIdent("half"), "occasion"]),
    "VarIdents": bl.ID(variance=[bl.VarIdent("age"), bl.VarIdent("half"), bl.VarIdent("Sex")]),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_residuals_of_strata_and_in_the_plane(name):
    data = frame("Orthodont").assign(half=lambda d: np.where(d["x"] > 0, "upper", "lower"))
    same_density(bl.Model("distance ~ age", data, R=OTHERS[name]), data)


def test_priors_of_several_families_and_missing_values():
    data = frame("sleepstudy")
    data.loc[data.index[3], "Days"] = np.nan
    data["Subject"] = data["Subject"].astype("category")
    priors = {
        "beta[Intercept]": bl.StudentTAtMeans(3, 250, 100),
        "beta[Days]": bl.Flat(),
        "sd_Subject[Intercept]": bl.Exponential(0.1),
        "sd_Subject[Days]": bl.Gamma(2, 0.1),
        "corr": bl.LKJ(2),
        "sigma": bl.LogNormal(3, 1),
    }
    model = bl.Model(
        "Reaction ~ Days + (Days | Subject)", data, priors=priors, weights=data["w"].to_numpy()
    )
    assert "dropna" in model.code()
    same_density(model, data)


def test_precisions_are_written():
    data = frame("sleepstudy")
    priors = {"sd": bl.GammaPrecision(1.5, 200), "sigma": bl.GammaPrecision(2.5, 3000)}
    model = bl.Model("Reaction ~ Days + (Days | Subject)", data, priors=priors)
    same_density(model, data)
    same_density(model.update_priors({"sd_Subject[Days]": bl.HalfNormal(9)}), data)


def test_program_of_correlated_slopes_is_short_and_its_own():
    code = bl.Model("Reaction ~ Days + (Days | Subject)", frame("sleepstudy")).code()
    assert "bayeslmm" not in code
    assert len(code.splitlines()) < 65
    assert max(map(len, code.splitlines())) < 110


OVER = "(0 + age | Subject)"
EACH = ["occasion"]
EFFECTS = {
    "AR1": (OVER, bl.AR1()),
    "ARH1": (OVER, bl.ARH1()),
    "ARMA11": (OVER, bl.ARMA11()),
    "CS": (OVER, bl.CS()),
    "CSH": (OVER, bl.CSH()),
    "Toep": (OVER, bl.Toep()),
    "ToepH of strata": (OVER, bl.ToepH(by="Sex")),
    "Ante1": (OVER, bl.Ante1()),
    "CAR1": (OVER, bl.CAR1()),
    "Exp with a nugget": (OVER, bl.Exp(nugget=True)),
    "Gau": (OVER, bl.Gau()),
    "RatQuad": (OVER, bl.RatQuad()),
    "Sph": (OVER, bl.Sph()),
    "Matern": (OVER, bl.Matern(smoothness=2.5)),
    "one factor": (OVER, bl.FA(1)),
    "two factors of strata": ("(0 + C(spot) | Subject)", bl.FA(2, by="Sex")),
    "UN with one variance": (OVER, bl.UN(variance="one")),
    "UN of strata": ("(age | Subject)", bl.UN(by="Sex")),
    "ID of strata": ("(1 | Subject)", bl.ID(by="Sex")),
    "AR1 of strata": (OVER, bl.AR1(by="Sex")),
    "one variance each": (OVER, bl.UN(variance="one", by="Sex")),
    "AR1 with a variance for each stratum": (OVER, bl.AR1(variance=bl.VarIdent("Sex"))),
    "UN of effects with a ratio": ("(age | Subject)", bl.UN(variance=[*EACH, bl.VarIdent("Sex")])),
    "UN with a ratio": (OVER, bl.UN(variance=[bl.VarIdent("age"), bl.VarIdent("Sex")])),
    "CS with ratios": (OVER, bl.CS(variance=[bl.VarIdent("Sex"), bl.VarIdent("age")])),
    "AR1 with ratios in strata": (
        OVER,
        bl.AR1(by="half", variance=[bl.VarIdent("Sex"), bl.VarIdent("age")]),
    ),
    "intercepts with a ratio": (
        "(1 | Subject)",
        bl.ID(variance=[bl.VarIdent("Sex"), bl.VarIdent("half")]),
    ),
    "a variance of each combination": (OVER, bl.CS(variance=bl.VarIdent("Sex:age"))),
    "AR1 that grows": (OVER, bl.AR1(variance=bl.VarPower("age"))),
    "ID that grows": (OVER, bl.ID(variance=[bl.VarExp("age"), bl.VarPower("age")])),
    "Toep that grows in strata": (OVER, bl.Toep(by="Sex", variance=bl.VarExp("age"))),
    "CS that grows with a variance for each stratum": (
        OVER,
        bl.CS(variance=[bl.VarExp("age"), bl.VarIdent("Sex")]),
    ),
    "several bars": (f"(1 + age | Subject) + {OVER}", [None, bl.AR1()]),
    "two structures": (f"{OVER} + (0 + C(spot) | Subject)", [bl.UN(variance="one"), bl.FA(1)]),
    "one of two grows": (
        f"{OVER} + (0 + spot | Subject)",
        [bl.AR1(variance=bl.VarExp("age")), bl.CS()],
    ),
    "same variable": (f"{OVER} + (0 + C(spot) | Subject)", [bl.AR1(), bl.CS()]),
}


def twice():
    """Each occasion twice, so that random effects are told from residuals; and spots of a mouth."""
    data = bl.load_dataset("Orthodont")
    data = pd.concat([data, data.assign(distance=data["distance"] + 1)], ignore_index=True)
    half = np.where(data["Subject"].str[1:].astype(int) % 2, "odd", "even")
    return data.assign(spot=np.arange(len(data)) % 5, half=half)


@pytest.mark.parametrize("name", list(EFFECTS))
def test_structured_random_effects(name):
    bars, structure = EFFECTS[name]
    data = twice()
    same_density(bl.Model(f"distance ~ age + {bars}", data, G={"Subject": structure}), data)


def test_structured_random_effects_beside_splines_in_strata_and_a_known_relationship():
    data = twice()
    formula = "distance ~ poly(age, 2) + (0 + age | Subject)"
    for structure in (bl.AR1(by="Sex"), bl.Matern(smoothness=2.5), bl.FA(1)):
        same_density(bl.Model(formula, data, G={"Subject": structure}), data)
    names = sorted(data["Subject"].unique())
    K = pd.DataFrame(0.5 + 0.5 * np.eye(len(names)), names, names)
    model = bl.Model("distance ~ age + ar1(0 + age | Subject)", data, G={"Subject": bl.Known(K)})
    same_density(model, data, K_Subject=K)


def test_names_of_columns_do_not_meet_those_of_the_program():
    data = twice().rename(columns={"Subject": "subject", "Sex": "L"}).assign(rows=range(216))
    R = bl.CAR1(time="rows", group="subject")
    model = bl.Model("distance ~ age + ar1(0 + age | subject) + (1 | L)", data, R=R)
    same_density(model, data)


def test_a_stretched_beta_and_held_parameters_are_written():
    data = bl.load_dataset("Orthodont")
    R = bl.AR1(time="age", group="Subject")
    priors = {"rho": bl.Beta(2, 3), "sigma": bl.Fixed(2.5)}
    text = bl.Model("distance ~ age", data, R=R, priors=priors).code()
    assert 'pm.Deterministic("rho", -1 + 2 * pm.Beta("rho_share", alpha=2, beta=3))' in text
    space = {"data": data}
    exec(text, space)
    assert "rho_share" in [v.name for v in space["model"].free_RVs]
    assert float(space["model"]["sigma"].eval()) == 2.5


SPLIT = bl.VarianceSplit(bl.HalfNormal(50), icc=bl.Beta(2, 3), shares=1.5)


@pytest.mark.parametrize("name", ["one bar", "intercept", "||", "two bars", "nested"])
def test_a_split_of_the_variance(name):
    formula, dataset = MODELS[name]
    data = frame(dataset)
    same_density(bl.Model(formula, data, weights="w", priors={"V": SPLIT}), data)


R2 = {
    "one slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", bl.Beta(2, 5), {}),
    "several": ("distance ~ age * Sex + (1 | Subject)", "Orthodont", bl.Beta(1, 1), {}),
    "from zero": ("Reaction ~ 0 + Days + (1 | Subject)", "sleepstudy", bl.Beta(0.5, 1), {}),
    "intercept": (
        "Reaction ~ Days + (1 | Subject)",
        "sleepstudy",
        bl.Beta(2, 5),
        {"beta[Intercept]": bl.StudentT(3, 250, 50)},
    ),
    "no random effects": ("Reaction ~ Days + x", "sleepstudy", bl.Beta(1, 1), {}),
}


@pytest.mark.parametrize("name", list(R2))
def test_a_share_of_the_fixed_effects(name):
    formula, dataset, r2, priors = R2[name]
    data = frame(dataset)
    icc = bl.Beta(2, 3) if "(" in formula else None
    priors = priors | {"V": bl.VarianceSplit(bl.HalfNormal(50), icc=icc, r2=r2)}
    same_density(bl.Model(formula, data, weights="w", priors=priors), data)


GROWING = {
    "one": bl.ID(variance=bl.VarPower("age")),
    "two": bl.ID(variance=[bl.VarPower("age"), bl.VarExp("x")]),
    "strata": bl.AR1(time="age", group="Subject", by="Sex", variance=bl.VarExp("age")),
}


@pytest.mark.parametrize("name", list(GROWING))
def test_residuals_whose_prior_is_about_the_means(name):
    data = frame("Orthodont")
    same_density(bl.Model("distance ~ age", data, R=GROWING[name]), data)


EXPRESSIONS = {
    "np.log(Days + 1)": "np.log(data['Days'] + 1),",
    "I(-(Days**2) / 3 + 1)": "-data['Days']**2 / 3 + 1,",
    "I(Days != 3)": "data['Days'] != 3",
    "np.where(Days > 3, Days, 0)": "np.where(data['Days'] > 3, data['Days'], 0),",
    "np.maximum(Days, 2)": "np.maximum(data['Days'], 2),",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_are_written_in_python(text):
    data = frame("sleepstudy")
    model = bl.Model(f"Reaction ~ {text} + (1 | Subject)", data)
    assert EXPRESSIONS[text] in model.code().replace(" ** ", "**")
    same_density(model, data)


def test_priors_of_whole_matrices_are_not_written():
    data = bl.load_dataset("sleepstudy")
    priors = {"G_Subject": bl.HuangWand(2, [30, 5])}
    model = bl.Model("Reaction ~ Days + (Days | Subject)", data, priors=priors)
    with pytest.raises(bl.ArgumentError, match="code\\(\\) cannot write the prior HuangWand"):
        model.code()
