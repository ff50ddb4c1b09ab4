"""Predictive checks: statistics by pandas and NumPy, replicates by their moments."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.criticism.predictive import STATISTICS
from bayeslmm.effects.predictions import replicates
from tests.oracles.fits_cache import likelihood, posterior

SLEEP = bl.load_dataset("sleepstudy")


def by_hand(name):
    groups = SLEEP.groupby("Subject")
    lines = {key: np.polyfit(own["Days"], own["Reaction"], 1) for key, own in groups}
    if name == "sd of group means":
        return groups["Reaction"].mean().std()
    if name == "largest range within a group":
        return (groups["Reaction"].max() - groups["Reaction"].min()).max()
    if name == "correlation of intercepts and slopes":
        return np.corrcoef(np.array(list(lines.values())).T)[0, 1]
    e = [own["Reaction"] - np.polyval(lines[key], own["Days"]) for key, own in groups]
    products = [(own.to_numpy()[1:] * own.to_numpy()[:-1]).sum() for own in e]
    return sum(products) / sum((own**2).sum() for own in e)


@pytest.mark.parametrize("name", list(STATISTICS)[4:])
def test_statistics_of_groups(name):
    check = likelihood("slopes").ppc(name, n=20, random_seed=1)
    np.testing.assert_allclose(check.observed, by_hand(name), rtol=1e-9)


def test_statistics_of_rows_and_of_a_function():
    fit, y = likelihood("slopes"), SLEEP["Reaction"]
    expected = {"mean": y.mean(), "sd": y.std(), "smallest": y.min(), "largest": y.max()}
    for name, value in expected.items():
        np.testing.assert_allclose(fit.ppc(name, n=5, random_seed=1).observed, value)
    one, two = (fit.ppc(own, n=50, random_seed=1) for own in ("largest", np.max))
    np.testing.assert_allclose(one.replicated, two.replicated)
    assert two.statistic == "max"


def test_p_is_the_share_that_is_larger():
    check = posterior("slopes").ppc("sd", n=300, random_seed=1)
    assert check.p == np.mean(check.replicated > check.observed)
    row = check.frame().loc["sd"]
    ends = np.quantile(check.replicated, [0.025, 0.975])
    np.testing.assert_allclose(row[["lower", "upper"]].astype(float), ends)
    assert "300 replicates with same groups" in str(check)


@pytest.mark.parametrize("method", ["reml", "nuts"])
def test_replicates_of_the_same_groups_vary_around_their_fitted_values(method):
    fit = posterior("slopes") if method == "nuts" else likelihood("slopes")
    y = replicates(fit.solution, 3000, np.random.default_rng(1), new_groups=False)
    sd = y.std(axis=0)
    assert (abs(y.mean(axis=0) - fit.fitted()) < 4.5 * sd / np.sqrt(3000)).all()
    if method == "reml":
        np.testing.assert_allclose(sd, fit.sigma, rtol=0.07)
    else:
        expected = fit.predict(interval="new")["std_error"]
        np.testing.assert_allclose(sd, expected, rtol=0.07)


def test_new_groups_show_what_the_same_groups_hide():
    """Groups whose means are of two kinds: their excess shows only in groups drawn anew."""
    rng = np.random.default_rng(2)
    means = np.r_[np.zeros(58), 12.0, -12.0]
    data = pd.DataFrame({"g": np.repeat(np.arange(60), 8).astype(str)})
    data["y"] = np.repeat(means, 8) + rng.normal(size=480)
    fit = bl.Model("y ~ 1 + (1 | g)", data).fit("reml")
    same, new = (
        fit.ppc("largest", replicate=words, n=400, random_seed=3)
        for words in ("same groups", "new groups")
    )
    assert 0.05 < same.p < 0.95
    assert new.p < 0.02


def test_picture():
    check = likelihood("slopes").ppc("sd of group means", replicate="new groups", random_seed=1)
    axis = next(axis for axis in check.plot().axes if axis.get_xlabel() == "sd of group means")
    np.testing.assert_allclose(axis.lines[0].get_xdata()[0], check.observed)
    assert sum(bar.get_height() for bar in axis.patches) == 500


REFUSED = [
    (lambda fit: fit.ppc("spread"), "unknown statistic 'spread'"),
    (lambda fit: fit.ppc(replicate="old"), "'same groups', 'new groups'"),
    (lambda fit: fit.ppc("sd", group="Subject"), "is of all rows"),
    (lambda fit: fit.ppc(lambda y: y), "to a number; it failed"),
    (lambda fit: fit.ppc("sd", n=0), "`n` should be"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals(call, message):
    with pytest.raises(bl.ArgumentError, match=message):
        call(likelihood("slopes"))


def test_an_intercept_alone_has_no_correlation():
    with pytest.raises(bl.ArgumentError, match="whose effects are Intercept"):
        likelihood("intercepts").ppc("correlation of intercepts and slopes")
