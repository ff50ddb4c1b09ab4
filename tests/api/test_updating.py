"""`refit` and `update`: what stays, what changes, and what cannot."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl


def sleep():
    return bl.load_dataset("sleepstudy")


def fitted(method="reml", **options):
    return bl.Model("Reaction ~ Days + (Days | Subject)", sleep(), **options).fit(method)


@pytest.mark.parametrize("algorithm", ["quasi-newton", "em"])
def test_a_refit_is_a_fit_of_the_other_response(algorithm):
    model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep())
    fit = model.fit("ml", algorithm=algorithm)
    y = fit.simulate(1, random_seed=3).iloc[0]
    again = fit.refit(y)
    expected = bl.Model(model.formula, sleep().assign(Reaction=y)).fit("ml", algorithm=algorithm)
    pd.testing.assert_frame_equal(again.summary(), expected.summary())
    assert (again.method, again.algorithm) == ("ml", algorithm)
    # what is fitted once is as it was
    pd.testing.assert_frame_equal(fit.summary(), model.fit("ml", algorithm=algorithm).summary())


@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("Reaction ~ Days + (1 | Subject)", None),
        ("log(Reaction) ~ Days + (Days | Subject)", None),
        (None, sleep().query("Days > 1")),
        ("Reaction ~ z + (1 | Subject)", sleep().assign(z=lambda d: d["Days"] ** 2)),
    ],
)
def test_an_update_is_a_fit_of_the_other_model(formula, data):
    fit = fitted("ml")
    again = fit.update(formula=formula, data=data)
    expected = bl.Model(
        fit.model.formula if formula is None else formula, sleep() if data is None else data
    ).fit("ml")
    pd.testing.assert_frame_equal(again.summary(), expected.summary())


def test_the_information_of_newtons_method_stays():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    fit = model.fit("reml", algorithm="newton", information="observed")
    again = fit.refit(fit.model.design.y + 1)
    assert again.optimum.information == "observed"
    # other steps, other iterations
    expected = fit.trace["criterion"].to_numpy()
    np.testing.assert_allclose(again.trace["criterion"].to_numpy(), expected, rtol=1e-6)
    assert model.fit("reml").optimum.information is None


def test_weights_and_structure_of_R_stay():
    data = bl.load_dataset("Orthodont").assign(w=lambda d: 1 + d["age"] / 10)
    R = bl.AR1(time="age", group="Subject")
    fit = bl.Model("distance ~ age * Sex", data, R=R, weights="w").fit("reml")
    again = fit.update(formula="distance ~ age + Sex", data=data)
    expected = bl.Model("distance ~ age + Sex", data, R=R, weights="w").fit("reml")
    pd.testing.assert_frame_equal(again.summary(), expected.summary())


def test_priors_stay_and_must_still_fit():
    priors = {"sd_Subject[Days]": bl.HalfNormal(5), "sigma": bl.Exponential(0.1)}
    fit = fitted(priors=priors)
    kept = fit.update(formula="Reaction ~ Days + (Days || Subject)").model.priors
    assert kept["sd_Subject[Days]"] == bl.HalfNormal(5)
    with pytest.raises(bl.PriorError, match=r"sd_Subject\[Days\]"):
        fit.update(formula="Reaction ~ Days + (1 | Subject)")


def test_a_response_that_was_replaced_stays():
    fit = fitted()
    y = np.random.default_rng(1).normal(300, 50, 180) + fit.model.design.y
    refit = fit.refit(y)
    without = refit.update(formula="Reaction ~ Days + (1 | Subject)")
    np.testing.assert_array_equal(without.model.design.y, y)
    # and goes with data that have one
    back = refit.update(data=sleep())
    pd.testing.assert_frame_equal(back.summary(), fit.summary())


def with_gap():
    data = sleep()
    return data.assign(z=data["Days"].where(data.index != 3) ** 2.0)


def test_rows_that_another_formula_uses():
    whole = bl.Model("Reaction ~ Days + z + (1 | Subject)", with_gap()).fit("reml")
    assert len(whole.model.design.y) == 179
    more = whole.update(formula="Reaction ~ Days + (1 | Subject)")
    assert len(more.model.design.y) == 180
    fewer = more.update(formula="Reaction ~ Days + z + (1 | Subject)", data=with_gap())
    pd.testing.assert_frame_equal(fewer.summary(), whole.summary())
    replaced = whole.refit(whole.model.design.y + np.arange(179) % 3)
    with pytest.raises(bl.DataError, match="uses rows for which it has none"):
        replaced.update(formula="Reaction ~ Days + (1 | Subject)")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda fit: fit.update(), bl.ArgumentError, "nothing is to change"),
        (
            lambda fit: fit.update(formula="Reaction ~ Sex + (1 | Subject)"),
            bl.DataError,
            "no column 'Sex'.* give `data` too",
        ),
        (
            lambda fit: fit.update(formula="Reaction ~ Days + (1 | Subject"),
            bl.FormulaError,
            "never closed",
        ),
        (lambda fit: fit.refit([1.0, 2.0]), bl.DataError, "each of the 180 rows"),
        (lambda fit: fit.refit("y"), bl.ArgumentTypeError, "`y` should be numbers"),
    ],
)
def test_what_cannot_be_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        change(fitted())


def test_weights_of_an_array_belong_to_their_rows():
    fit = fitted(weights=np.linspace(1, 2, 180))
    assert fit.update(formula="Reaction ~ Days + (1 | Subject)").model.design.weights is not None
    with pytest.raises(bl.ArgumentError, match="are an array, which belongs to the rows"):
        fit.update(data=sleep())


@pytest.mark.filterwarnings("ignore::bayeslmm.ConvergenceWarning")
def test_draws_are_made_again_as_they_were():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    fit = model.fit("nuts", random_seed=5, draws=30, tune=50, chains=2, progress=False)
    again = fit.refit(model.design.y)
    np.testing.assert_array_equal(again.draws.theta, fit.draws.theta)
    assert fit.update(data=bl.load_dataset("Dyestuff2")).draws.theta.shape == (2, 30, 2)


def test_a_structure_given_by_G_stays():
    data = bl.load_dataset("Orthodont").assign(age=lambda d: d["age"].astype(int).astype(str))
    data["age"] = pd.Categorical(data["age"], ["8", "10", "12", "14"])
    formula = "distance ~ Sex * age + (0 + age | Subject)"
    model = bl.Model(formula, data, G={"Subject": bl.AR1()})
    again = model.fit("reml").update(formula="distance ~ age + Sex + (0 + age | Subject)")
    expected = bl.Model(again.model.formula, data, G={"Subject": bl.AR1()}).fit("reml")
    pd.testing.assert_frame_equal(again.summary(), expected.summary())
    assert "rho_Subject" in again.summary().index
