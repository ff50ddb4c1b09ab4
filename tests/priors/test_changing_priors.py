"""Models made from models: what is held, and what is stated, stays unless it is named."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.errors import PriorError

SLEEP = bl.load_dataset("sleepstudy")
CHILDREN = bl.load_dataset("Orthodont")
SLOPES = "Reaction ~ Days + (Days | Subject)"
GROWTH = "distance ~ age * Sex"
AT = {"time": "age", "group": "Subject"}
FIXED = bl.Fixed(25)


def model(priors=None, formula=SLOPES):
    return bl.Model(formula, SLEEP, priors=priors)


def stated(found):
    """The user's priors by parameter."""
    return {row.parameter: row.prior for row in found.priors.rows if row.source == "user"}


# priors at first, the new ones, and the user's in the end
REPLACED = {
    "what is held stays": (
        {"sigma": FIXED},
        {"sd": bl.HalfNormal(9)},
        {
            "sd_Subject[Intercept]": bl.HalfNormal(9),
            "sd_Subject[Days]": bl.HalfNormal(9),
            "sigma": FIXED,
        },
    ),
    "other priors do not": ({"sd": bl.HalfNormal(9)}, {"sigma": FIXED}, {"sigma": FIXED}),
    "by its key": ({"sigma": FIXED}, {"sigma": bl.HalfNormal(9)}, {"sigma": bl.HalfNormal(9)}),
    "no priors at all": ({"sigma": FIXED}, None, {"sigma": FIXED}),
    "None takes it back": ({"sigma": FIXED}, {"sigma": None}, {}),
    "a key for fewer parameters": (
        {"sd": bl.Fixed(9)},
        {"sd_Subject[Days]": bl.HalfNormal(9)},
        {"sd_Subject[Intercept]": bl.Fixed(9), "sd_Subject[Days]": bl.HalfNormal(9)},
    ),
    "a key for more parameters": (
        {"sd_Subject[Days]": bl.Fixed(9)},
        {"sd": bl.HalfNormal(9)},
        {"sd_Subject[Intercept]": bl.HalfNormal(9), "sd_Subject[Days]": bl.Fixed(9)},
    ),
    "keys for all of them": (
        {"sd_Subject": bl.Fixed(9)},
        {"sd_Subject[Days]": bl.HalfNormal(9), "sd_Subject[Intercept]": bl.HalfNormal(8)},
        {"sd_Subject[Intercept]": bl.HalfNormal(8), "sd_Subject[Days]": bl.HalfNormal(9)},
    ),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_held_stays_unless_it_is_named(name):
    before, new, expected = REPLACED[name]
    found = model(before).with_priors(new)
    assert stated(found) == expected
    assert found.held.tolist() == [isinstance(prior, bl.Fixed) for prior in found.priors.theta]


def test_the_table_of_another_model_names_every_parameter():
    assert stated(model({"sigma": FIXED}).with_priors(model().priors)) == {}
    frame = model({"sigma": FIXED}).priors.frame()
    assert stated(model({"sigma": FIXED}).with_priors(frame)) == {"sigma": FIXED}
    assert stated(model({"sigma": FIXED}).with_priors(frame.drop("sigma"))) == {"sigma": FIXED}


def test_a_meta_analysis_keeps_its_known_variances():
    data = SLEEP.assign(w=np.linspace(1, 2, len(SLEEP)) / 900)
    known = bl.Model(SLOPES, data, weights="w", priors={"sigma": bl.Fixed(1)})
    other = known.with_priors({"sd": bl.HalfNormal(20)})
    assert other.fit("reml").theta["sigma"] == 1
    assert other.fit("reml").loglik == known.fit("reml").loglik


def test_a_joint_prior_does_not_release_what_is_held():
    split = bl.VarianceSplit(bl.HalfNormal(100), bl.Beta(2, 2))
    one = model({"sigma": FIXED}, "Reaction ~ Days + (1 | Subject)")
    with pytest.raises(PriorError, match=r"'V' .* 'sigma' too, which is held .* \{'sigma': None"):
        one.with_priors({"V": split})
    assert stated(one.with_priors({"V": split, "sigma": None})) == {"V": split}


def test_a_joint_prior_does_not_release_what_a_structure_holds():
    R = bl.UN(**AT, corr=bl.Fixed(0.5))
    with pytest.raises(PriorError, match=r"'R' .* 'corr_R' too, which is held"):
        bl.Model(GROWTH, CHILDREN, R=R, priors={"R": bl.HuangWand(2, [3, 3, 3, 3])})


# priors at first, the changes, and the user's in the end
CHANGED = {
    "one of two": (
        {"beta": bl.Normal(0, 5), "sigma": bl.HalfNormal(9)},
        {"sigma": bl.HalfNormal(8)},
        {"beta[Days]": bl.Normal(0, 5), "sigma": bl.HalfNormal(8)},
    ),
    "one more": (
        {"beta": bl.Normal(0, 5)},
        {"corr": bl.LKJ(2)},
        {"beta[Days]": bl.Normal(0, 5), "corr_Subject": bl.LKJ(2)},
    ),
    "one less": (
        {"beta": bl.Normal(0, 5), "sigma": FIXED},
        {"beta": None},
        {"sigma": FIXED},
    ),
    "the most specific key wins": (
        {"sd_Subject[Days]": bl.HalfNormal(5)},
        {"sd": bl.HalfNormal(9)},
        {"sd_Subject[Intercept]": bl.HalfNormal(9), "sd_Subject[Days]": bl.HalfNormal(5)},
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_some_priors_are_changed_and_the_others_kept(name):
    before, changes, expected = CHANGED[name]
    assert stated(model(before).update_priors(changes)) == expected


def test_a_part_of_a_frame_changes_its_rows():
    before = model({"beta": bl.Normal(0, 5), "sigma": bl.HalfNormal(9)})
    frame = before.with_priors({"sigma": bl.HalfNormal(8)}).priors.frame().loc[["sigma"]]
    assert stated(before.update_priors(frame)) == {
        "beta[Days]": bl.Normal(0, 5),
        "sigma": bl.HalfNormal(8),
    }
    # a row with a default takes back what was stated
    default = model().priors.frame().loc[["sigma"]]
    assert stated(before.update_priors(default)) == {"beta[Days]": bl.Normal(0, 5)}


@pytest.mark.parametrize("change", ["with_priors", "update_priors"])
def test_what_was_not_stated_cannot_be_taken_back(change):
    with pytest.raises(PriorError, match=r"no prior is stated under 'sd'.*; stated are 'sigma'"):
        getattr(model({"sigma": FIXED}), change)({"sd": None})
    with pytest.raises(PriorError, match=r"no prior is stated under 'sigma', .*; nothing is"):
        model({"sigma": None})


def structured():
    R = bl.AR1(**AT, rho=bl.Fixed(0.5), sd=bl.HalfNormal(3))
    return bl.Model(GROWTH, CHILDREN, R=R)


def test_priors_of_structures_stay_unless_they_are_named():
    before = structured()
    assert stated(before.with_priors({"beta": bl.Normal(0, 5)}))["rho"] == bl.Fixed(0.5)
    named = before.with_priors({"rho": bl.Uniform(0, 1)})
    assert stated(named) == {"rho": bl.Uniform(0, 1), "sigma": bl.HalfNormal(3)}
    # the key stays when others change, and goes with the others
    again = named.update_priors({"sigma": bl.HalfNormal(4)})
    assert stated(again) == {"rho": bl.Uniform(0, 1), "sigma": bl.HalfNormal(4)}
    assert stated(again.with_priors(None))["rho"] == bl.Fixed(0.5)
    # None in place of a structure's is the default
    default = before.update_priors({"rho": None})
    assert stated(default) == {"sigma": bl.HalfNormal(3)}
    assert not default.held.any()
    assert stated(default.update_priors({"beta": bl.Normal(0, 5)}))["sigma"] == bl.HalfNormal(3)


# each way in which a model is made from another
MADE = {
    "with_response": lambda m: m.with_response(m.design.y * 2),
    "with_priors": lambda m: m.with_priors({"beta": bl.Normal(0, 5)}),
    "update_priors": lambda m: m.update_priors({"beta": bl.Normal(0, 5)}),
    "refit": lambda m: m.fit("ml").refit(m.design.y * 2).model,
    "update": lambda m: m.fit("ml").update(formula=m.formula.replace("~", "~ 1 +")).model,
    "other data": lambda m: m.fit("ml").update(data=m.data).model,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("of", ["key", "structure", "frame"])
def test_what_is_held_stays_in_models_made_from_others(name, of):
    before = structured() if of == "structure" else model({"sigma": FIXED})
    if of == "frame":
        before = model(before.priors.frame())
    made = MADE[name](before)
    assert made.held.tolist() == before.held.tolist()
    assert made.held.any()


def test_defaults_in_a_frame_are_scaled_to_another_response():
    frame = model({"sigma": FIXED}).priors.frame()
    for before in (model({"sigma": FIXED}), model(frame), model().with_priors(frame)):
        made = before.with_response(before.design.y / 1000)
        assert stated(made) == {"sigma": FIXED}
        assert made.priors["beta[Days]"].sigma < 1


def test_defaults_that_other_priors_change_are_defaults_of_a_frame():
    before = model({"corr": bl.LKJ(2)})
    assert stated(model(before.priors.frame())) == {"corr_Subject": bl.LKJ(2)}


def test_a_file_keeps_which_priors_are_defaults(tmp_path):
    before = model({"corr": bl.LKJ(2), "sigma": FIXED})
    fit = before.with_response(before.design.y / 10).fit("ml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc").model
    pd.testing.assert_frame_equal(again.priors.frame(), fit.model.priors.frame())


def test_a_file_keeps_that_a_structures_prior_was_replaced(tmp_path):
    before = structured().update_priors({"rho": None})
    fit = before.fit("ml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc").model
    pd.testing.assert_frame_equal(again.priors.frame(), before.priors.frame())
    assert not again.held.any()


def test_a_term_is_dropped_with_what_is_held():
    fit = model({"sigma": FIXED}).fit("ml")
    without = model({"sigma": FIXED}, "Reaction ~ 1 + (Days | Subject)").fit("ml")
    np.testing.assert_allclose(fit.drop1().loc["Days", "loglik"], without.loglik, rtol=1e-9)


def test_steps_of_the_random_effects_are_refused_where_a_parameter_is_held():
    with pytest.raises(bl.ArgumentError, match="sigma is held by Fixed; compare fits"):
        model({"sigma": FIXED}).fit("ml").random_structures()


# a key, what it is for
ALIASES = [
    ("b", SLOPES, {"beta[Days]"}),
    ("Days", "Reaction ~ Days + (1 | Subject)", {"beta[Days]"}),
    ("I(Days ** 2)", "Reaction ~ Days + I(Days ** 2) + (Days | Subject)", {"beta[I(Days ** 2)]"}),
]


@pytest.mark.parametrize(("key", "formula", "names"), ALIASES)
def test_the_name_of_a_coefficient_is_a_key(key, formula, names):
    found = model({key: bl.Normal(0, 5)}, formula)
    assert set(stated(found)) == names
    # under its full name from then on
    full = next(iter(names)) if key != "b" else "beta"
    assert stated(found.update_priors({full: bl.Normal(0, 6)})) == dict.fromkeys(
        names, bl.Normal(0, 6)
    )
    frame = pd.DataFrame({"parameter": [key], "prior": [bl.Normal(0, 5)]})
    assert set(stated(model(frame, formula))) == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Days": bl.Normal(0, 5)}, r"'Days' .* Did you mean 'beta\[Days\]' or 'sd_Subject\[Days"),
        ({"Intercept": bl.Normal(0, 5)}, r"Did you mean 'beta\[Intercept\]' or 'sd_Subject\[Int"),
        ({"Subject": bl.HalfNormal(5)}, "Did you mean 'corr_Subject' or 'sd_Subject' or 'G_S"),
        ({"b": bl.Normal(0, 5), "beta": bl.Normal(0, 5)}, "'b' and 'beta' are the same"),
    ],
)
def test_a_name_of_several_parameters_is_no_key(given, message):
    with pytest.raises(PriorError, match=message):
        model(given)


def test_unused_keys_are_allowed_on_request():
    grid = {"sd": bl.HalfNormal(9), "corr": bl.LKJ(2), "sd_Item": bl.HalfNormal(3)}
    one = model(formula="Reaction ~ Days + (1 | Subject)")
    with pytest.raises(PriorError, match="unknown prior key 'corr'"):
        one.with_priors(grid)
    found = one.with_priors(grid, allow_unused=True)
    assert stated(found) == {"sd_Subject[Intercept]": bl.HalfNormal(9)}
    assert found.priors.unused == ("corr", "sd_Item")
    assert repr(found.priors).endswith("unused: corr, sd_Item")
    shadowed = one.update_priors(
        {"sd": bl.HalfNormal(9), "sd_Subject": bl.HalfNormal(8)}, allow_unused=True
    )
    assert shadowed.priors.unused == ("sd",)
    # a prior that does not fit, and what is no prior, are errors as before
    with pytest.raises(PriorError, match="does not fit"):
        one.with_priors({"sigma": bl.LKJ(2)}, allow_unused=True)
    with pytest.raises(bl.ArgumentTypeError, match="should be a prior"):
        one.with_priors({"sd_Item": 3}, allow_unused=True)
    with pytest.raises(bl.ArgumentTypeError, match="allow_unused"):
        one.with_priors(grid, allow_unused="yes")
