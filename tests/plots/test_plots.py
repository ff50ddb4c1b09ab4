"""Plots show the numbers that the fit has, and say what they leave out."""

import re
import subprocess
import sys
import warnings
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

import bayeslmm as bl

BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"

MODELS = {
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "intercepts": ("Reaction ~ Days + (1 | Subject)", "sleepstudy"),
    "Orthodont": ("distance ~ age * Sex + (age | Subject)", "Orthodont"),
    "Penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "Machines": ("score ~ Machine + (Machine | Worker)", "Machines"),
    "Pastes": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "radon": ("log_radon ~ floor + (1 | county)", "radon"),
    "quadratic": ("opp ~ poly(time, 2) * ccog + offset(ccog) + (time | id)", "opposites"),
}


@cache
def fit(name, method="reml"):
    formula, data = MODELS[name]
    with warnings.catch_warnings():
        # A singular fit and too few draws are drawn like any other.
        warnings.simplefilter("ignore", bl.BayeslmmWarning)
        model = bl.Model(formula, bl.load_dataset(data))
        if method == "nuts":
            return model.fit("nuts", random_seed=1, draws=30, tune=30, chains=2, progress=False)
        return model.fit(method)


def panels(figure):
    """The axes that show something, by title."""
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def line(axis, color):
    [found] = [line for line in axis.lines if same_color(line.get_color(), color)]
    return found.get_xdata(), found.get_ydata()


def points(axis):
    return axis.collections[0].get_offsets()


def texts(figure):
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(text.get_text().replace("\n", " ") for text in found)


# -- trellis --------------------------------------------------------------------------------------


def test_trellis_lines_are_the_coefficients():
    reml = fit("sleepstudy")
    figure = reml.plot.trellis()
    assert isinstance(figure, Figure)
    shown = panels(figure)
    assert list(shown) == list(reml.u["Subject"].index)
    coef = reml.coef().pivot(index="level", columns="effect", values="estimate")
    data = reml.model.data
    for level, axis in shown.items():
        x, y = line(axis, BLUE)
        np.testing.assert_allclose(y, coef.loc[level, "Intercept"] + coef.loc[level, "Days"] * x)
        mine = data[data["Subject"] == level]
        x, y = line(axis, ORANGE)
        slope, intercept = np.polyfit(mine["Days"], mine["Reaction"], 1)
        np.testing.assert_allclose(y, intercept + slope * x)
        x, y = line(axis, INK)
        slope, intercept = np.polyfit(data["Days"], data["Reaction"], 1)
        np.testing.assert_allclose(y, intercept + slope * x)
        np.testing.assert_array_equal(points(axis), mine[["Days", "Reaction"]])


def test_trellis_of_draws_has_their_mean():
    post = fit("sleepstudy", "nuts")
    x, y = line(panels(post.plot.trellis())["308"], BLUE)
    draws = post.posterior
    slope = draws["beta"] + draws["u_Subject"].sel(Subject="308").to_numpy()
    intercept, days = slope.mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(y, intercept + days * x)


def test_trellis_with_factors_between_groups():
    reml = fit("Orthodont")
    figure = reml.plot.trellis()
    shown = panels(figure)
    assert len(shown) == 27
    assert "levels of Subject" not in texts(figure)
    data = reml.model.data
    for level in ("F02", "M13"):
        mine = data[data["Subject"] == level]
        x, y = line(shown[level], BLUE)
        at = mine.iloc[[0, 0]].assign(age=x[[0, -1]])
        np.testing.assert_allclose(y[[0, -1]], reml.predict(at)["estimate"])
        x, y = line(shown[level], ORANGE)
        slope, intercept = np.polyfit(mine["age"], mine["distance"], 1)
        np.testing.assert_allclose(y, intercept + slope * x)


def test_trellis_of_a_factor_by_its_levels():
    reml = fit("Machines")
    axis = panels(reml.plot.trellis())["6"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["A", "B", "C"]
    means = reml.model.data.query("Worker == '6'").groupby("Machine")["score"].mean()
    np.testing.assert_allclose(line(axis, ORANGE)[1], means)


def test_trellis_of_crossed_factors_has_one_of_them():
    reml = fit("Penicillin")
    figure = reml.plot.trellis("plate")
    x, y = line(panels(figure)["a"], BLUE)
    coef = reml.coef("plate").set_index("level")["estimate"]
    np.testing.assert_allclose(y, coef["a"])
    assert len(x) == 6  # one place a sample
    assert "sample" in texts(figure)


def test_trellis_of_nested_factors_has_both():
    reml = fit("Pastes")
    figure = reml.plot.trellis("batch:cask")
    expected = reml.beta["Intercept"] + reml.u["batch"].loc["A"] + reml.u["batch:cask"].loc["A:b"]
    np.testing.assert_allclose(line(panels(figure)["A:b"], BLUE)[1], expected.iloc[0])
    assert "row within batch:cask" in texts(figure)


def test_trellis_of_transforms_and_offsets():
    reml = fit("quadratic")
    data = reml.model.data
    axis = panels(reml.plot.trellis(levels=[3]))["3"]
    mine = data[data["id"] == "3"]
    x, y = line(axis, ORANGE)
    np.testing.assert_allclose(y, np.polyval(np.polyfit(mine["time"], mine["opp"], 2), x))
    x, y = line(axis, BLUE)
    at = mine.iloc[[0] * len(x)].assign(time=x)
    np.testing.assert_allclose(y, reml.predict(at)["estimate"])


def test_no_line_of_its_own_where_the_rows_do_not_determine_one():
    reml = fit("radon")
    data = reml.model.data
    floors = data.groupby("county")["floor"].nunique()
    rare = floors.index[floors == 1][0]
    axis = panels(reml.plot.trellis(levels=[rare, *floors.index[floors == 2][:1]]))[rare]
    own = line(axis, ORANGE)[1]
    seen = data.loc[data["county"] == rare, "floor"].iloc[0]
    x = line(axis, BLUE)[0]
    assert np.isfinite(line(axis, BLUE)[1]).all()
    assert np.isnan(own[x != seen]).all()


@pytest.mark.parametrize(
    ("levels", "count", "note"),
    [
        (None, 30, "30 of 85 levels of county, evenly from the lowest to the highest Intercept"),
        (5, 5, "5 of 85 levels of county"),
        (["AITKIN", "ANOKA"], 2, "83 of 85 levels of county are not shown."),
    ],
)
def test_levels_left_out_are_said(levels, count, note):
    figure = fit("radon").plot.trellis(levels=levels)
    assert len(panels(figure)) == count
    assert note in texts(figure)


@cache
def of_residuals():
    """A model whose subjects stand in R alone."""
    R = bl.AR1(time="age", group="Subject")
    return bl.Model("distance ~ Sex", bl.load_dataset("Orthodont"), R=R).fit("reml")


def test_trellis_of_the_subjects_of_R():
    figure = of_residuals().plot.trellis()
    shown = panels(figure)
    data = bl.load_dataset("Orthodont")
    assert list(shown) == sorted(data["Subject"].unique())
    own = data[data["Subject"] == "M01"]
    np.testing.assert_array_equal(points(shown["M01"]), own[["age", "distance"]])
    mean = of_residuals().beta.sum()
    np.testing.assert_allclose(line(shown["M01"], BLUE)[1], mean)
    assert figure.findobj(lambda a: getattr(a, "get_text", str)() == "fit (REML)")
    few = of_residuals().plot.trellis(levels=3)
    means = data.groupby("Subject")["distance"].mean()
    ends = {means.idxmin(), means.idxmax()}
    assert ends < set(panels(few))
    assert "from the lowest to the highest mean distance" in texts(few)


@pytest.mark.parametrize("fit", [of_residuals, lambda: fit("Orthodont")])
def test_spaghetti_has_a_line_for_each_group(fit):
    figure = fit().plot.spaghetti()
    data = bl.load_dataset("Orthodont")
    shown = panels(figure)
    assert list(shown) == ["data", "fit (REML)"]
    assert [len(axis.lines) for axis in figure.axes] == [27, 27]
    for level, drawn in zip(sorted(data["Subject"].unique()), shown["data"].lines, strict=True):
        own = data[data["Subject"] == level].sort_values("age")
        np.testing.assert_array_equal(drawn.get_xydata(), own[["age", "distance"]])
    assert "5 of 27 levels" in texts(fit().plot.spaghetti(levels=5))


def test_subjects_of_R_beside_a_grouping_factor_are_asked_for_by_name():
    data = bl.load_dataset("Orthodont")
    R = bl.AR1(time="age", group="Subject")
    both = bl.Model("distance ~ age + (1 | Sex)", data, R=R).fit("reml")
    assert set(panels(both.plot.trellis())) == {"Female", "Male"}
    assert len(panels(both.plot.trellis("Subject"))) == 27
    with pytest.raises(bl.ArgumentError, match="valid: 'Sex', 'Subject'"):
        both.plot.trellis("Subjekt")


def test_lines_are_a_choice():
    axis = panels(fit("sleepstudy").plot.trellis(lines=[]))["308"]
    assert len(axis.lines) == 1


# -- caterpillar and shrinkage --------------------------------------------------------------------


def test_caterpillar_shows_ranef_in_order():
    reml = fit("sleepstudy")
    figure = reml.plot.caterpillar(level=0.9)
    assert "90% intervals" in texts(figure)
    ranef = reml.ranef(level=0.9)
    for effect in ("Intercept", "Days"):
        axis = panels(figure)[f"{effect} by Subject"]
        mine = ranef[ranef["effect"] == effect].sort_values("estimate")
        bars, dots = axis.collections
        np.testing.assert_allclose(dots.get_offsets()[:, 0], mine["estimate"])
        ends = np.array([bar[:, 0] for bar in bars.get_segments()])
        np.testing.assert_allclose(ends, mine[["lower", "upper"]])
        assert [label.get_text() for label in axis.get_yticklabels()] == list(mine["level"])


def test_caterpillar_has_a_panel_for_each_factor():
    assert set(panels(fit("Penicillin").plot.caterpillar())) == {
        "Intercept by plate",
        "Intercept by sample",
    }
    assert len(panels(fit("Penicillin").plot.caterpillar("sample"))) == 1


def test_many_levels_lose_their_names_and_nothing_else():
    figure = fit("radon").plot.caterpillar()
    [axis] = figure.axes
    assert len(axis.collections[0].get_segments()) == 85
    assert "85 levels in order, too many to name" in texts(figure)


def test_shrinkage_of_two_effects_is_arrows():
    reml = fit("sleepstudy")
    figure = reml.plot.shrinkage()
    [axis] = figure.axes
    arrows, own, pooled, common = axis.collections
    coef = reml.coef().pivot(index="level", columns="effect", values="estimate")
    coef = coef[["Intercept", "Days"]]
    np.testing.assert_allclose(pooled.get_offsets(), coef)
    data = reml.model.data
    groups = data.groupby("Subject")
    lines = np.array([np.polyfit(mine["Days"], mine["Reaction"], 1)[::-1] for _, mine in groups])
    np.testing.assert_allclose(own.get_offsets(), lines)
    np.testing.assert_allclose(np.c_[arrows.U, arrows.V], coef - lines)
    all_rows = np.polyfit(data["Days"], data["Reaction"], 1)[::-1]
    np.testing.assert_allclose(common.get_offsets(), [all_rows])


def test_shrinkage_of_one_effect_is_dots():
    reml = fit("intercepts")
    [axis] = reml.plot.shrinkage().axes
    _, own, pooled = axis.collections
    coef = reml.coef().query("effect == 'Intercept'").sort_values("estimate")
    np.testing.assert_allclose(pooled.get_offsets()[:, 0], coef["estimate"])
    data = reml.model.data
    # The slope is the same for all, and held at its estimate.
    means = (data["Reaction"] - reml.beta["Days"] * data["Days"]).groupby(data["Subject"]).mean()
    np.testing.assert_allclose(own.get_offsets()[:, 0], means[coef["level"]])
    # Partial pooling lies between the two others.
    common = axis.lines[0].get_xdata()[0]
    assert np.all(np.abs(coef["estimate"] - common) < np.abs(means[coef["level"]].values - common))


def test_shrinkage_of_three_effects_is_three_panels():
    figure = fit("Machines").plot.shrinkage()
    assert [axis.get_xlabel() for axis in figure.axes] == ["Intercept", "Machine[B]", "Machine[C]"]


def test_shrinkage_says_which_levels_have_too_few_rows():
    data = bl.load_dataset("sleepstudy")
    data = data[(data["Subject"] != "308") | (data["Days"] == 0)]
    figure = bl.Model(MODELS["sleepstudy"][0], data).fit("reml").plot.shrinkage()
    assert "1 of 18 levels have too few rows for an estimate of their own." in texts(figure)


def test_shrinkage_says_whose_names_have_no_room():
    assert "No room" not in texts(fit("sleepstudy").plot.shrinkage())
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(50), 8), np.tile(np.arange(8.0), 50)
    u = rng.normal(size=(2, 50))
    data = {"y": rng.normal(size=400) + u[0, g] + 0.3 * u[1, g] * x, "x": x, "g": g}
    figure = bl.Model("y ~ x + (x | g)", data).fit("reml").plot.shrinkage()
    [axis] = figure.axes
    [left] = re.findall(r"No room for the names ([\d, ]+)\.", " ".join(texts(figure).split()))
    drawn = {text.get_text() for text in axis.texts}
    assert drawn
    assert drawn.isdisjoint(left.split(", "))
    assert drawn.union(left.split(", ")) == {str(i) for i in range(50)}


# -- draws ----------------------------------------------------------------------------------------


def test_forest_leaves_out_other_scales_and_says_so():
    figure = fit("sleepstudy", "nuts").plot.forest()
    shown = texts(figure)
    assert (
        "On other scales, not shown: beta[Intercept], corr_Subject[Intercept, Days]; see "
        "forest('beta') and forest('corr_Subject')."
    ) in " ".join(shown.split())
    for name in ("beta[Days]", "sd_Subject[Intercept]", "sd_Subject[Days]", "sigma"):
        assert name in shown


def test_forest_has_the_numbers_of_the_summary():
    post = fit("sleepstudy", "nuts")
    figure = post.plot.forest("beta")
    rows = post.summary().loc[["beta[Intercept]", "beta[Days]"]]
    drawn = np.concatenate([line.get_xdata() for line in figure.axes[1].lines])
    for value in rows[["lower", "upper"]].to_numpy().ravel():
        assert np.min(np.abs(drawn - value)) < 1e-9 * abs(value)


def test_trace_has_a_panel_for_each_parameter():
    post = fit("sleepstudy", "nuts")
    figure = post.plot.trace()
    shown = panels(figure)
    assert list(shown) == list(post.summary().index)
    for chain, drawn in enumerate(shown["sigma"].lines):
        np.testing.assert_array_equal(drawn.get_ydata(), post.posterior["sigma"][chain])


def test_trace_numbers_the_panels_with_nothing_beneath_and_names_the_chains():
    figure = fit("sleepstudy", "nuts").plot.trace()
    figure.draw_without_rendering()
    drawn = [axis for axis in figure.axes if axis.lines]
    numbered = [
        any(label.get_visible() and label.get_text() for label in axis.get_xticklabels())
        for axis in drawn
    ]
    # six panels, four beside each other
    assert numbered == [False, False, True, True, True, True]
    assert [axis.get_xlabel() for axis in drawn] == ["", "", *["draw"] * 4]
    [legend] = figure.legends
    chains = len(drawn[0].lines)
    assert [text.get_text() for text in legend.get_texts()] == [f"chain {i}" for i in range(chains)]
    for handle, line in zip(legend.get_lines(), drawn[0].lines, strict=True):
        assert handle.get_color() == line.get_color()


def test_a_point_estimate_lists_no_plots_of_draws():
    both = "trellis, spaghetti, caterpillar, shrinkage, correlation, variogram, residuals, qq"
    assert (
        repr(fit("sleepstudy").plot)
        == f"Plots of a fit by REML: {both}, influence, covariance, variance_partition, convergence"
    )
    of_draws = "covariance, variance_partition, forest, trace, prior_posterior"
    assert repr(fit("sleepstudy", "nuts").plot) == f"Plots of a fit by NUTS: {both}, {of_draws}"


def test_too_many_draws_to_see_are_cut_and_said():
    post = fit("sleepstudy", "nuts")
    assert "The first 24 of 36; choose others with var_names=." in texts(
        post.plot.trace("u_Subject")
    )


# -- what is refused ------------------------------------------------------------------------------

REFUSED = [
    ("sleepstudy", "forest", {}, "a fit by REML is a point estimate and has no draws"),
    ("sleepstudy", "trace", {}, "a fit by REML is a point estimate and has no draws"),
    (
        "sleepstudy",
        "trellis",
        {"group": "subject"},
        "unknown grouping factor 'subject'; valid: 'S",
    ),
    ("sleepstudy", "trellis", {"x": "Day"}, "unknown column for x 'Day'; valid: 'Days'"),
    ("sleepstudy", "trellis", {"levels": [1]}, "unknown level of Subject '1'; valid: '308'"),
    ("sleepstudy", "trellis", {"levels": 0}, "`levels` should be a whole number of 1 or more"),
    ("sleepstudy", "trellis", {"levels": 2.5}, "`levels` should be a whole number of 1 or more"),
    ("sleepstudy", "trellis", {"levels": []}, "`levels` is empty; name at least one level"),
    ("sleepstudy", "trellis", {"levels": "308"}, "`levels` is a number of levels to show, or a"),
    ("sleepstudy", "trellis", {"lines": ["pooling"]}, "unknown line 'pooling'; valid: 'no pool"),
    (
        "sleepstudy",
        "caterpillar",
        {"level": 95},
        "`level` should be the probability of the inter",
    ),
    ("Penicillin", "trellis", {}, "`group` is needed where there are several: one of"),
    ("Penicillin", "shrinkage", {}, "`group` is needed where there are several: one of"),
    (
        "Penicillin",
        "caterpillar",
        {"group": "plates"},
        "unknown grouping factor 'plates'; valid: 'p",
    ),
]


@pytest.mark.parametrize(("name", "plot", "options", "message"), REFUSED)
def test_refused(name, plot, options, message):
    with pytest.raises((bl.ArgumentError, bl.ArgumentTypeError), match=message):
        getattr(fit(name).plot, plot)(**options)


def test_unknown_variable():
    with pytest.raises(bl.ArgumentError, match="unknown variable of the posterior 'b'; valid: 'b"):
        fit("sleepstudy", "nuts").plot.trace("b")


@pytest.mark.parametrize("plot", ["trellis", "spaghetti", "caterpillar", "shrinkage"])
def test_no_groups(plot):
    plain = bl.Model("Reaction ~ Days", bl.load_dataset("sleepstudy")).fit("reml")
    with pytest.raises(bl.ArgumentError, match="has no grouping factors; add a term such as"):
        getattr(plain.plot, plot)()


# -- matplotlib -----------------------------------------------------------------------------------


def test_figures_do_not_pile_up_or_change_defaults():
    before = plt.rcParams.copy()
    for method in ("trellis", "caterpillar", "shrinkage", "forest", "trace"):
        figure = getattr(fit("sleepstudy", "nuts").plot, method)()
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
    assert plt.get_fignums() == []
    assert plt.rcParams == before


def test_plots_of_a_likelihood_fit_need_no_pymc():
    code = (
        "import sys, bayeslmm as bl\n"
        "fit = bl.Model('travel ~ 1 + (1 | Rail)', bl.load_dataset('Rail')).fit('reml')\n"
        "print(*{'matplotlib'} & set(sys.modules))\n"
        "fit.plot.trellis(); fit.plot.caterpillar(); fit.plot.shrinkage()\n"
        "print(*{'pymc', 'pytensor', 'arviz', 'arviz_plots'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_names_are_not_read_as_mathematics():
    data = bl.load_dataset("sleepstudy").rename(columns={"Days": "$x_1$", "Reaction": "50% $"})
    data["Subject"] = "$" + data["Subject"] + "_{"
    model = bl.Model("`50% $` ~ `$x_1$` + (`$x_1$` | Subject)", data)
    for method in ("trellis", "caterpillar", "shrinkage"):
        figure = getattr(model.fit("reml").plot, method)()
        figure.draw_without_rendering()
        assert "$" in texts(figure)


def test_held_parameters_are_drawn_as_such():
    priors = {"sigma": bl.Fixed(30)}
    formula, data = MODELS["intercepts"]
    model = bl.Model(formula, bl.load_dataset(data), priors=priors)
    axis = panels(model.plot.priors(["sigma", "sd_Subject"], random_seed=1))["sigma"]
    assert axis.lines[0].get_xdata() == [30, 30]
    assert "held at 30" in texts(axis.figure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.BayeslmmWarning)
        post = model.fit("nuts", random_seed=1, draws=30, tune=30, chains=2, progress=False)
    assert "held at 30" in texts(post.plot.prior_posterior("sigma", random_seed=1))
    assert "sigma (held)" in texts(post.plot.forest("sigma"))
    shown = panels(post.plot.trace())
    assert "sigma (held)" in shown
    assert "sd_Subject[Intercept]" in shown
