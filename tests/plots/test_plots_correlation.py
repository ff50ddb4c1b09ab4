"""Correlation over lag and covariance matrices, as drawn."""

import numpy as np
import pytest
from matplotlib.colors import same_color

import bayeslmm as bl
from bayeslmm import errors
from bayeslmm.criticism.lag_correlation import lag_correlation, subjects_of

ORTHODONT = bl.load_dataset("Orthodont")
SLEEP = bl.load_dataset("sleepstudy")
WHERE = {"time": "age", "group": "Subject"}


def fitted(formula, data, R=None):
    return bl.Model(formula, data, R=R).fit("reml")


def by_hand(fit, data, time, group):
    """Correlation by lag from a loop over pairs of rows."""
    model = fit.model
    residual = model.design.y - model.design.X @ fit.beta.to_numpy()
    scaled, pairs = np.empty(len(data)), {}
    for level in data[group].unique():
        rows = np.flatnonzero((data[group] == level).to_numpy())
        V = fit.V(level).to_numpy()
        sd = np.sqrt(np.diag(V))
        scaled[rows] = residual[rows] / sd
        for a in range(len(rows)):
            for b in range(a):
                lag = abs(float(data[time].iloc[rows[a]] - data[time].iloc[rows[b]]))
                product = scaled[rows[a]] * scaled[rows[b]]
                pairs.setdefault(lag, []).append((V[a, b] / (sd[a] * sd[b]), product))
    square = (scaled**2).mean()
    return {
        lag: (np.mean(own, axis=0) / [1, square], len(own)) for lag, own in sorted(pairs.items())
    }


@pytest.mark.parametrize(
    ("fit", "data", "time", "step"),
    [
        (fitted("distance ~ age * Sex", ORTHODONT, bl.AR1(**WHERE)), ORTHODONT, "age", 2),
        (fitted("distance ~ age * Sex", ORTHODONT, bl.CAR1(**WHERE)), ORTHODONT, "age", 1),
        (fitted("distance ~ age + (1 | Subject)", ORTHODONT, bl.AR1(**WHERE)), ORTHODONT, "age", 2),
        (fitted("Reaction ~ Days + (Days | Subject)", SLEEP), SLEEP, "Days", 1),
    ],
)
def test_correlations_are_those_of_pairs_of_rows(fit, data, time, step):
    given = None if fit.model.R is not None else time
    found = lag_correlation(fit.solution, subjects_of(fit.model, time=given))
    expected = by_hand(fit, data, time, "Subject")
    np.testing.assert_allclose(found.lag * step, list(expected))
    np.testing.assert_array_equal(found.pairs, [count for _, count in expected.values()])
    np.testing.assert_allclose(found.fitted, [both[0] for both, _ in expected.values()])
    np.testing.assert_allclose(found.empirical, [both[1] for both, _ in expected.values()])


def test_the_picture_shows_them():
    fit = fitted("distance ~ age * Sex", ORTHODONT, bl.AR1(**WHERE))
    figure = fit.plot.correlation()
    (axis,) = figure.axes
    rho = fit.theta["rho"]
    line = next(line for line in axis.lines if same_color(line.get_color(), "#0072B2"))
    np.testing.assert_allclose(line.get_ydata(), [rho, rho**2, rho**3])
    found = lag_correlation(fit.solution, subjects_of(fit.model))
    np.testing.assert_allclose(axis.collections[0].get_offsets()[:, 1], found.empirical)
    assert axis.get_xlabel() == "Lag (occasions of age)"


def test_many_lags_are_put_into_bins():
    data = bl.load_dataset("Oxboys")
    fit = fitted("height ~ age", data, bl.CAR1(time="age", group="Subject"))
    found = lag_correlation(fit.solution, subjects_of(fit.model))
    assert len(found.lag) <= 15
    assert found.pairs.sum() == 26 * 9 * 8 / 2
    assert (np.diff(found.lag) > 0).all()


def test_heat_maps_show_R_and_V():
    fit = fitted("distance ~ age * Sex + (1 | Subject)", ORTHODONT, bl.ARH1(**WHERE))
    shown = {axis.get_title(): axis for axis in fit.plot.covariance("M02").axes if axis.images}
    assert list(shown) == ["R", "V = ZGZ' + R"]
    for name, expected in (("R", fit.R("M02")), ("V = ZGZ' + R", fit.V("M02"))):
        (image,) = shown[name].images
        np.testing.assert_allclose(image.get_array(), expected)
    assert [text.get_text() for text in shown["R"].get_yticklabels()] == ["8", "10", "12", "14"]


def test_without_random_effects_there_is_one_heat_map():
    fit = fitted("distance ~ age * Sex", ORTHODONT, bl.CS(**WHERE))
    assert [axis.get_title() for axis in fit.plot.covariance().axes if axis.images] == ["R"]


def test_heat_maps_are_labelled_by_the_data():
    axis = fitted("Reaction ~ Days + (Days | Subject)", SLEEP).plot.covariance("308").axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == [str(day) for day in range(10)]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("Days", "Days")
    data = bl.load_dataset("Machines")
    axis = fitted("score ~ Machine + (Machine | Worker)", data).plot.covariance("1").axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == list("AAABBBCCC")
    assert axis.get_xlabel() == "Machine"


def test_R_and_V_of_a_subject_are_labelled_by_occasion():
    fit = fitted("distance ~ age * Sex + (1 | Subject)", ORTHODONT, bl.ARH1(**WHERE))
    for matrix in (fit.R("M02"), fit.V("M02")):
        assert list(matrix.index) == list(matrix.columns) == ["8", "10", "12", "14"]
        assert matrix.index.name == "age"
    assert fit.R("M02").loc["12", "12"] == pytest.approx(fit.theta["sigma[12]"] ** 2)
    plain = fitted("distance ~ age + (1 | Subject)", ORTHODONT)
    rows = ORTHODONT.index[ORTHODONT["Subject"] == "M02"]
    assert list(plain.R("M02").index) == list(rows)


BAD = [
    (lambda fit: fit.plot.correlation(), "give `time`"),
    (lambda fit: fit.plot.correlation(time="Dais"), "Days"),
    (lambda fit: fit.plot.correlation(time="Days", group="Subjekt"), "Subject"),
    (lambda fit: fit.plot.correlation(time="Subject"), "rows at different 'Subject'"),
    (lambda fit: fit.plot.covariance("999"), "level"),
]


@pytest.mark.parametrize(("call", "match"), BAD)
def test_bad_arguments(call, match):
    with pytest.raises(errors.ArgumentError, match=match):
        call(fitted("Reaction ~ Days + (Days | Subject)", SLEEP))
