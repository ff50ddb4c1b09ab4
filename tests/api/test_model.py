"""`Model`: what it holds, what it refuses, refits, and what it does not import."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayeslmm as bl
from bayeslmm.support.announce import announced
from tests.oracles import fits_cache


@pytest.fixture(scope="module")
def sleep():
    return bl.load_dataset("sleepstudy")


def sampled(model, **options):
    return model.fit("nuts", chains=2, random_seed=4, progress=False, **options)


def test_likelihood_fits_import_nothing_that_samples_or_draws():
    program = """
import json, sys
import bayeslmm as bl
data = bl.load_dataset("sleepstudy")
model = bl.Model("Reaction ~ Days + (Days | Subject)", data)
for method in ("reml", "ml"):
    fit = model.fit(method)
    repr(fit), fit._repr_html_(), repr(model), fit.summary(), fit.varcorr(), fit.ranef(), fit.coef()
    fit.predict(data, interval="new"), fit.fitted(), fit.residuals(), fit.simulate(2)
    fit.G(), fit.R("308"), fit.V("308"), fit.diagnose(), fit.aic, fit.bic
heavy = (
    *("numba", "llvmlite", "pymc", "pytensor", "nutpie"),
    *("arviz", "arviz_base", "arviz_stats", "xarray", "matplotlib"),
)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout) == []


def test_what_a_model_holds(sleep):
    model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep)
    assert model.formula == "Reaction ~ Days + (Days | Subject)"
    assert list(model.data.columns) == ["Reaction", "Days", "Subject"]
    assert model.parameters.names[:2] == ("sd_Subject[Intercept]", "sd_Subject[Days]")
    assert model.equations is model.equations
    assert model.weights is None
    assert "beta[Days]" in model.priors.frame().index


def test_a_model_does_not_change(sleep):
    model = bl.Model("Reaction ~ Days + (1 | Subject)", sleep)
    with pytest.raises(AttributeError, match="does not change"):
        model.design = None


def test_a_model_keeps_its_data_when_the_frame_changes(sleep):
    data = sleep.copy()
    model = bl.Model("Reaction ~ Days + (1 | Subject)", data)
    before = model.data.copy()
    data.loc[0, "Reaction"] = 0.0
    data["Days"] = 1
    pd.testing.assert_frame_equal(model.data, before)
    np.testing.assert_array_equal(model.design.y, before["Reaction"])


def test_what_a_model_holds_cannot_be_changed_through_what_it_shows(sleep):
    model = bl.Model("Reaction ~ Days + (1 | Subject)", sleep, weights=np.ones(len(sleep)))
    before = model.data.copy()
    shown = model.data
    shown.loc[0, "Days"] = 99
    shown["Reaction"] = 99
    pd.testing.assert_frame_equal(model.data, before)
    [factor] = model.design.factors
    for array in (model.weights, model.design.X, model.design.y, factor.codes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_model_keeps_its_data_when_arrays_change():
    data = {"y": np.arange(8.0) ** 2, "x": np.arange(8.0), "w": np.ones(8)}
    model = bl.Model("y ~ x", data, weights=data["w"])
    expected = model.fit("reml").summary()
    for column in data.values():
        column[:] = -1
    assert (model.data["x"] >= 0).all()
    assert (model.weights == 1).all()
    pd.testing.assert_frame_equal(bl.Model("y ~ x", model.data).fit("reml").summary(), expected)
    assert model.design.y[3] == 9
    assert model.design.weights[0] == 1


@pytest.mark.parametrize(
    "convert",
    [pl.from_pandas, pa.Table.from_pandas, lambda frame: frame.to_dict("list")],
    ids=["polars", "arrow", "dictionary"],
)
def test_data_frames_of_other_libraries(convert):
    spec = fits_cache.MODELS["weights"]
    data = fits_cache.data("weights").reset_index(drop=True)
    fit = bl.Model(spec.formula, convert(data), weights="w").fit("reml")
    expected = fits_cache.likelihood("weights")
    pd.testing.assert_frame_equal(fit.summary(), expected.summary())
    assert isinstance(fit.model.data, pd.DataFrame)
    assert list(fit.model.data.columns) == ["Reaction", "Days", "Subject", "w"]


def test_the_order_of_a_polars_categorical_is_kept_in_the_data():
    data = {"y": [1.0, 4, 2, 5, 3, 9], "x": ["b", "a", "b", "a", "c", "c"]}
    frame = pl.DataFrame(data).with_columns(pl.col("x").cast(pl.Categorical))
    model = bl.Model("y ~ x", frame)
    assert model.design.coef == ("Intercept", "x[b]", "x[c]")
    again = bl.Model("y ~ x", model.data)
    np.testing.assert_array_equal(again.design.X, model.design.X)


METHODS = {
    "RELM": r"unknown method 'RELM'; valid: 'nuts', 'reml', 'ml', 'map'\. Did you mean 'reml'",
    "nutz": "Did you mean 'nuts'",
    None: "unknown method None",
}


@pytest.mark.parametrize("method", METHODS)
def test_misspelt_methods(method):
    with pytest.raises(bl.ArgumentError, match=METHODS[method]):
        fits_cache.model("slopes").fit(method)


NOT_TRUTH_VALUES = [{"collapse": "no"}, {"collapse": 0}, {"progress": 1}]


@pytest.mark.parametrize("options", NOT_TRUTH_VALUES, ids=repr)
def test_what_only_counts_as_true_or_false_is_refused(options):
    with pytest.raises(bl.ArgumentTypeError, match="should be True or False, got"):
        fits_cache.model("slopes").fit("nuts", **options)


OPTIONS = [
    ("nuts", {"sampler": ""}, "unknown sampler ''; valid: 'nutpie', 'pymc'"),
    ("ml", {"sampler": ""}, "ML has no use for sampler; leave that out, or fit by 'nuts'"),
    ("reml", {"random_seed": 1}, "REML has no use for random_seed"),
    (
        "ml",
        {"draws": 10, "sampler": "pymc"},
        "ML has no use for draws, sampler",
    ),
    ("reml", {"collapse": False}, "has no use for collapse"),
    ("nuts", {"sampler": "stan"}, "unknown sampler 'stan'; valid: 'nutpie', 'pymc'"),
    ("nuts", {"draws": 0}, "`draws` should be a whole number of 1 or more, got 0"),
    ("nuts", {"target_accept": 1.0}, "between 0 and 1, got 1.0"),
    ("nuts", {"random_seed": -1}, "got -1"),
]


@pytest.mark.parametrize(("method", "options", "message"), OPTIONS)
def test_options_that_do_not_fit(method, options, message):
    with pytest.raises(bl.ArgumentError, match=message):
        fits_cache.model("slopes").fit(method, **options)


def test_priors_are_checked_at_once(sleep):
    with pytest.raises(bl.PriorError, match="unknown prior key 'sd_Subjet'"):
        bl.Model("Reaction ~ Days + (1 | Subject)", sleep, priors={"sd_Subjet": bl.HalfNormal(1)})
    with pytest.raises(bl.PriorError, match="unknown prior key"):
        fits_cache.model("intercepts").with_priors({"sd_Subject[Days]": bl.HalfNormal(1)})


def test_other_priors_share_the_equations():
    model = fits_cache.model("intercepts")
    other = model.with_priors({"sd_Subject": bl.HalfNormal(10.0)})
    assert other.equations is model.equations
    assert other.design is model.design
    assert model.priors["sd_Subject[Intercept]"] != other.priors["sd_Subject[Intercept]"]
    old = fits_cache.likelihood("intercepts").theta["sd_Subject[Intercept]"]
    assert sampled(other).theta["sd_Subject[Intercept]"] < 0.9 * old
    again = other.with_priors(None)
    assert again.priors["sd_Subject[Intercept]"] == model.priors["sd_Subject[Intercept]"]


def test_an_edited_table_of_priors_can_be_passed_back():
    model = fits_cache.model("intercepts")
    frame = model.priors.frame()
    frame.loc["sigma", "prior"] = bl.Exponential(0.1)
    assert model.with_priors(frame).priors["sigma"] == bl.Exponential(0.1)


def test_another_response(sleep):
    model = fits_cache.model("slopes")
    y = 100 - 2 * model.design.y
    fit, old = model.with_response(y).fit("reml"), fits_cache.likelihood("slopes")
    np.testing.assert_allclose(fit.theta.iloc[[0, 1, 3]], 2 * old.theta.iloc[[0, 1, 3]], rtol=1e-6)
    assert fit.theta.iloc[2] == pytest.approx(old.theta.iloc[2], abs=1e-6)
    assert fit.beta["Days"] == pytest.approx(-2 * old.beta["Days"])
    np.testing.assert_array_equal(model.design.y, sleep["Reaction"])
    scale = model.with_response(y).priors["sigma"].sigma
    assert scale == pytest.approx(2 * model.priors["sigma"].sigma)


RESPONSES = [
    ([1.0, 2.0], bl.DataError, "a number for each of the 180 rows"),
    (np.ones(180), bl.DataError, "not the same in every row"),
    (np.r_[np.nan, np.arange(179)], bl.DataError, "finite"),
    (["a"] * 180, bl.ArgumentTypeError, "should be numbers"),
]


@pytest.mark.parametrize(("y", "error", "message"), RESPONSES)
def test_responses_that_do_not_fit(y, error, message):
    with pytest.raises(error, match=message):
        fits_cache.model("slopes").with_response(y)


def test_a_seed_gives_the_same_draws_again():
    model = fits_cache.model("intercepts")
    a, b = sampled(model), sampled(model)
    np.testing.assert_array_equal(a.draws.theta, b.draws.theta)
    np.testing.assert_array_equal(a.draws.u, b.draws.u)
    pd.testing.assert_frame_equal(a.summary(), b.summary())


def test_too_few_draws_are_said_at_once():
    model = fits_cache.model("intercepts")
    with pytest.warns(bl.ConvergenceWarning, match=r"too few effective draws.*Raise draws to"):
        fit = model.fit("nuts", draws=20, chains=2, random_seed=4, progress=False)
    assert not fit.diagnose().ok
    frame = fit.diagnose().frame()
    assert list(frame.columns) == ["severity", "what", "where", "remedy"]
    assert "sigma" in frame["where"].str.cat()


DIVERGED = [
    (0.7, "one", r"Raise target_accept, which was 0\.7; or give the parameter named a more inform"),
    (0.98, "one", "^Give the parameter named a more informative prior, or simplify the model"),
    (0.98, "all", "^Give standard deviations and correlations a more informative prior, or simpl"),
]


@pytest.mark.parametrize(("target", "which", "remedy"), DIVERGED)
def test_what_to_do_about_divergences(target, which, remedy):
    fit = fits_cache.posterior("slopes")
    draws = fit.draws
    diverging = np.ones(draws.theta.shape[:2], dtype=bool)
    where = ""
    if which == "one":
        sd = draws.theta[..., 1]
        diverging = sd == sd.min()
        where = "mostly at extreme values of sd_Subject[Days]"
    settings = replace(draws.settings, target_accept=target)
    changed = replace(draws, settings=settings, stats=draws.stats | {"diverging": diverging})
    found = replace(fit, solution=replace(fit.solution, draws=changed)).diagnose().findings[0]
    assert "diverged" in found.what
    assert found.where == where
    assert re.search(remedy, found.remedy)


def test_a_response_without_noise_is_said_at_once():
    g = np.arange(40) % 5
    x = np.arange(40.0)
    y = 1 + 2 * x + np.array([0.3, -1, 2, 0.5, -0.7])[g]
    model = bl.Model("y ~ x + (1 | g)", {"y": y, "x": x, "g": g})
    with pytest.warns(bl.ConvergenceWarning, match="residual variance went to zero|stopped before"):
        fit = model.fit("reml")
    assert fit.summary()["std_error"].iloc[-2:].isna().all()
    assert "error" in repr(fit)
    assert "nan" not in repr(fit)


def test_dropped_columns_and_rows_are_findings(sleep):
    data = sleep.assign(Days=sleep["Days"].where(sleep.index != 3))
    data["Hours"] = 24 * data["Days"]
    with pytest.warns(bl.DesignWarning, match="'Hours'"):
        model = bl.Model("Reaction ~ Days + Hours + (1 | Subject)", data)
    for fit in (model.fit("reml"), sampled(model)):
        what = [(finding.severity, finding.where) for finding in fit.diagnose().findings]
        assert what == [("warning", "Hours"), ("note", "missing: Days 1, Hours 1")]
        assert "Hours" not in " ".join(fit.summary().index)


def test_the_textbook_model_has_the_same_posterior():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    collapsed = model.fit("nuts", random_seed=2, progress=False)
    full = model.fit(
        "nuts", collapse=False, random_seed=2, tune=1000, target_accept=0.99, progress=False
    )
    a, b = collapsed.summary(), full.summary()
    error = np.hypot(a["mcse"], b["mcse"])
    assert ((a["estimate"] - b["estimate"]).abs() < 4.5 * error).all()
    u = full.u["Batch"]["Intercept"] - collapsed.u["Batch"]["Intercept"]
    sd = collapsed.ranef().set_index("level")["std_error"]
    assert (u.abs() < 0.25 * sd).all()


def test_pymc_models():
    model = fits_cache.model("slopes")
    assert model.pymc is model.pymc
    names = {"sd_Subject_at_means", "sigma", "cholesky_Subject"}
    assert names == {variable.name for variable in model.pymc.free_RVs}
    assert {"sd_Subject", "corr_Subject"} <= set(model.pymc.named_vars)
    assert "u_Subject" in model.full_pymc().named_vars


@pytest.mark.parametrize(("seconds", "said"), [(0.3, "compiling\n"), (0.0, "")])
def test_only_work_that_takes_time_is_announced(seconds, said, capfd):
    with announced("compiling", patience=0.1):
        time.sleep(seconds)
    assert capfd.readouterr().err == said
