"""Pictures of residuals, quantiles, variograms and influence: what they show."""

import numpy as np
import pytest
from matplotlib.colors import same_color
from scipy import stats

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.drawing.residuals import local_line
from tests.oracles.fits_cache import likelihood, posterior

WHERE = {"time": "age", "group": "Subject"}
BLUE, ORANGE = "#0072B2", "#D55E00"


def points(axis):
    return axis.collections[0].get_offsets()


@pytest.mark.parametrize("fit", [likelihood, posterior])
@pytest.mark.parametrize(("kind", "marginal"), [("standardized", False), ("normalized", True)])
def test_residuals_against_fitted_values(fit, kind, marginal):
    fit = fit("slopes")
    (axis,) = fit.plot.residuals(kind, marginal=marginal).axes
    fitted = fit.predict(groups="none" if marginal else "all")["estimate"]
    expected = np.column_stack([fitted, fit.residuals(kind, marginal=marginal)])
    np.testing.assert_allclose(points(axis), expected)
    (line,) = [line for line in axis.lines if same_color(line.get_color(), ORANGE)]
    smooth = local_line(*expected.T, line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), smooth)
    named = {text.get_text() for text in axis.texts}
    largest = fit.residuals(kind, marginal=marginal).abs().nlargest(5).index
    assert len(named) >= 3
    assert named <= set(largest)


def test_local_line_is_a_weighted_regression():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=60), rng.normal(size=60)
    away = np.abs(x - 0.3)
    reach = np.sort(away)[40]
    w = np.clip(1 - (away / reach) ** 3, 0, None) ** 3
    level = np.polyfit(x - 0.3, y, 1, w=np.sqrt(w))[1]
    np.testing.assert_allclose(local_line(x, y, np.array([0.3])), level, rtol=1e-6)
    np.testing.assert_allclose(local_line(x, 2 - 3 * x, x), 2 - 3 * x, atol=1e-9)
    # where all that is near is in one place, it is a mean
    x = np.repeat([0.0, 1.0, 2.0], 20)
    means = y.reshape(3, 20).mean(axis=1)
    np.testing.assert_allclose(local_line(x, y, np.array([0.0, 1.0]), 0.3), means[:2], atol=1e-9)


@pytest.mark.parametrize("fit", [likelihood, posterior])
def test_quantiles_of_residuals_and_effects(fit):
    fit = fit("slopes")
    shown = {axis.get_title(): axis for axis in fit.plot.qq().axes}
    assert list(shown) == ["normalized residuals", "Subject: Intercept", "Subject: Days"]
    x, y = shown["normalized residuals"].collections[1].get_offsets().T
    np.testing.assert_allclose(y, np.sort(fit.residuals("normalized")))
    np.testing.assert_allclose(x, stats.norm.ppf((np.arange(1, 181) - 0.5) / 180))
    effect = shown["Subject: Days"].collections[1].get_offsets()[:, 1]
    assert 0.6 < effect.std(ddof=1) < 1.5
    raw = fit.u["Subject"]["Days"].to_numpy()
    if fit.method == "reml":
        # balanced data: every level's prediction has the same variance, GZ'PZG
        V = fit.V("308").to_numpy()
        X = fit.model.design.X[:10]
        G = fit.G().to_numpy()
        P = np.linalg.inv(V)
        P = P - P @ X @ np.linalg.inv(18 * X.T @ P @ X) @ X.T @ P
        sd = np.sqrt((G @ X.T @ P @ X @ G)[1, 1])
        np.testing.assert_allclose(effect, np.sort(raw / sd), rtol=1e-6)


def test_the_band_is_that_of_order_statistics():
    fit = likelihood("slopes")
    axis = fit.plot.qq(level=0.9).axes[1]
    (band,) = axis.collections[:1]
    values = points_of_band = band.get_paths()[0].vertices
    effect = axis.collections[1].get_offsets()[:, 1]
    mean, sd = effect.mean(), effect.std(ddof=1)
    k = 18
    lower = stats.beta.ppf(0.05, np.arange(1, k + 1), k - np.arange(k))
    expected = mean + sd * stats.norm.ppf(lower)
    assert np.isin(np.round(expected, 8), np.round(points_of_band[:, 1], 8)).all()
    assert len(values) >= 2 * k


def test_effects_without_variance_are_said_to_be_left_out():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    figure = fit.plot.qq()
    assert [axis.get_title() for axis in figure.axes] == ["normalized residuals"]
    texts = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    assert any("Batch: Intercept" in text for text in texts)


def test_effects_of_strata_are_those_of_their_levels():
    data = bl.load_dataset("Orthodont")
    model = bl.Model("distance ~ age * Sex + (1 | Subject)", data, G={"Subject": bl.ID(by="Sex")})
    axes = {axis.get_title(): axis for axis in model.fit("reml").plot.qq().axes}
    counts = {name: len(axis.collections[1].get_offsets()) for name, axis in axes.items()}
    assert sorted(counts.values()) == [11, 16, 108]


def by_hand(values, data, time, group):
    pairs = {}
    for level in data[group].unique():
        rows = np.flatnonzero((data[group] == level).to_numpy())
        for a in range(len(rows)):
            for b in range(a):
                lag = abs(data[time].iloc[rows[a]] - data[time].iloc[rows[b]])
                pairs.setdefault(lag, []).append((values[rows[a]] - values[rows[b]]) ** 2 / 2)
    return [np.mean(own) for _, own in sorted(pairs.items())]


def test_variogram():
    data = bl.load_dataset("Orthodont")
    fit = bl.Model("distance ~ age * Sex", data, R=bl.AR1(**WHERE)).fit("reml")
    left, right = fit.plot.variogram().axes
    for axis, kind in ((left, "standardized"), (right, "normalized")):
        values = fit.residuals(kind, marginal=True).to_numpy()
        expected = by_hand(values, data, "age", "Subject")
        np.testing.assert_allclose(axis.collections[0].get_offsets()[:, 1], expected)
    rho = fit.theta["rho"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), 1 - rho ** np.arange(1, 4))
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1)
    assert left.get_xlabel() == "Lag (occasions of age)"
    with pytest.raises(errors.ArgumentError, match="give `time`"):
        likelihood("slopes").plot.variogram()


@pytest.mark.parametrize("by", ["row", "Subject"])
def test_influence(by):
    fit = likelihood("slopes")
    table = fit.influence(by)
    left, right = fit.plot.influence(by).axes
    expected = table.nlargest(30, "cooks_distance")[::-1]
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == list(expected.index)
    distances = left.collections[1].get_offsets()[:, 0]
    np.testing.assert_allclose(distances, expected["cooks_distance"])
    for dots, name in zip(right.collections, ("Intercept", "Days"), strict=True):
        np.testing.assert_allclose(dots.get_offsets()[:, 0], expected[f"dfbetas[{name}]"])


def test_what_has_no_picture():
    with pytest.raises(errors.MissingAttributeError, match="has no 'influence'"):
        posterior("slopes").plot.influence()
    assert "influence" not in repr(posterior("slopes").plot)
    with pytest.raises(errors.ArgumentError, match="unknown kind"):
        likelihood("slopes").plot.residuals("raw")
