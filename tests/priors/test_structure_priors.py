"""Priors that stand with a structure are those of the flat namespace."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.errors import ArgumentError, ArgumentTypeError, PriorError

SLEEP, CHILDREN = bl.load_dataset("sleepstudy"), bl.load_dataset("Orthodont")
SLOPES = "Reaction ~ Days + (Days | Subject)"
GROWTH = "distance ~ age"
AT = {"time": "age", "group": "Subject"}
K = pd.DataFrame(0.5 + 0.5 * np.eye(4), [8, 10, 12, 14], [8, 10, 12, 14])

SAME = {
    # with the structure, and by the keys
    "UN on G": (
        bl.Model(SLOPES, SLEEP, G={"Subject": bl.UN(sd=bl.HalfNormal(30), corr=bl.LKJ(2))}),
        bl.Model(SLOPES, SLEEP, priors={"sd": bl.HalfNormal(30), "corr_Subject": bl.LKJ(2)}),
    ),
    "AR1 on G": (
        bl.Model(
            f"{GROWTH} + (0 + age | Subject)",
            CHILDREN,
            G={"Subject": bl.AR1(rho=bl.Uniform(0, 1), sd=bl.Exponential(1))},
        ),
        bl.Model(
            f"{GROWTH} + (0 + age | Subject)",
            CHILDREN,
            G={"Subject": bl.AR1()},
            priors={"rho_Subject": bl.Uniform(0, 1), "sd": bl.Exponential(1)},
        ),
    ),
    "UN on R": (
        bl.Model(GROWTH, CHILDREN, R=bl.UN(**AT, sd=bl.HalfNormal(3), corr=bl.LKJ(2))),
        bl.Model(
            GROWTH,
            CHILDREN,
            R=bl.UN(**AT),
            priors={"sigma": bl.HalfNormal(3), "corr_R": bl.LKJ(2)},
        ),
    ),
    "ARMA11 on R": (
        bl.Model(GROWTH, CHILDREN, R=bl.ARMA11(**AT, rho=bl.Beta(2, 2), ma=bl.Uniform(-0.5, 0.5))),
        bl.Model(
            GROWTH,
            CHILDREN,
            R=bl.ARMA11(**AT),
            priors={"rho": bl.Beta(2, 2), "ma": bl.Uniform(-0.5, 0.5)},
        ),
    ),
    "Exp on R": (
        bl.Model(GROWTH, CHILDREN, R=bl.Exp(**AT, range=bl.Gamma(2, 1))),
        bl.Model(GROWTH, CHILDREN, R=bl.Exp(**AT), priors={"range": bl.Gamma(2, 1)}),
    ),
    "strata": (
        bl.Model(
            SLOPES,
            SLEEP.assign(half=SLEEP["Subject"].astype(str) > "340"),
            G={"Subject": bl.UN(by="half", sd=bl.HalfNormal(30))},
        ),
        bl.Model(
            SLOPES,
            SLEEP.assign(half=SLEEP["Subject"].astype(str) > "340"),
            G={"Subject": bl.UN(by="half")},
            priors={"sd_Subject": bl.HalfNormal(30)},
        ),
    ),
    "Known on R": (
        bl.Model(GROWTH, CHILDREN, R=bl.Known(K, **AT, sd=bl.HalfNormal(3))),
        bl.Model(GROWTH, CHILDREN, R=bl.Known(K, **AT), priors={"sigma": bl.HalfNormal(3)}),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_they_are_those_of_the_keys(name):
    with_structure, by_keys = SAME[name]
    pd.testing.assert_frame_equal(with_structure.priors.frame(), by_keys.priors.frame())
    assert with_structure.R == by_keys.R
    assert with_structure.G == by_keys.G


def test_keys_go_before_them():
    model = SAME["UN on G"][0]
    priors = {"sd_Subject": bl.HalfNormal(9), "sigma": bl.HalfNormal(1)}
    other = model.with_priors(priors).priors
    assert other["sd_Subject[Days]"] == bl.HalfNormal(9)
    assert other["corr_Subject"] == bl.LKJ(2)
    assert model.with_priors(None).priors["sd_Subject[Days]"] == bl.HalfNormal(30)
    assert model.with_priors(model.priors).priors["corr_Subject"] == bl.LKJ(2)


def test_one_of_two_bars():
    formula = f"{GROWTH} + (1 | Subject) + (0 + age | Subject)"
    model = bl.Model(formula, CHILDREN, G={"Subject": [bl.UN(sd=bl.HalfNormal(3)), None]})
    assert model.priors["sd_Subject[Intercept]"] == bl.HalfNormal(3)
    assert model.priors["sd_Subject[age]"] != bl.HalfNormal(3)


def test_held():
    fit = bl.Model(GROWTH, CHILDREN, R=bl.CSH(**AT, rho=bl.Fixed(0.5))).fit("reml")
    assert fit.theta["rho"] == 0.5
    assert fit.model.held.sum() == 1


def test_candidates_keep_their_own():
    model = bl.Model(GROWTH, CHILDREN, R=bl.CS(**AT, rho=bl.Uniform(0, 1), sd=bl.HalfNormal(3)))
    from bayeslmm.comparison.structures import _shared_priors

    own = bl.Model(GROWTH, CHILDREN, R=bl.AR1(**AT, rho=bl.Uniform(0.2, 1)))
    assert _shared_priors(model, own) == {"sigma": bl.HalfNormal(3)}


def test_shown():
    assert repr(bl.AR1(**AT, rho=bl.Uniform(0, 1))) == (
        "AR1(time='age', group='Subject', rho=Uniform(0, 1))"
    )
    assert repr(bl.Matern(smoothness=2.5, nugget=True)) == "Matern(nugget=True, smoothness=2.5)"


def test_files(tmp_path):
    fit = SAME["UN on R"][0].fit("ml")
    fit.save(tmp_path / "fit.nc")
    again = bl.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(again.model.priors.frame(), fit.model.priors.frame())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: bl.AR1(corr=bl.LKJ(1)), ArgumentError, "AR1 has no `corr`; its priors are `sd`, "),
        (lambda: bl.AR1(rho=0.5), ArgumentTypeError, r"got 0.5; a value that is known is bl.Fixed"),
        (lambda: bl.AR1(rho=bl.Uniform), ArgumentTypeError, "`rho` of AR1 should be a prior such"),
        (
            lambda: bl.Model(
                f"{GROWTH} + (1 | Subject)", CHILDREN, G={"Subject": bl.UN(corr=bl.LKJ(2))}
            ),
            PriorError,
            r"UN of \(1 \| Subject\) has a prior for `corr`, a parameter that it does not have",
        ),
        (
            lambda: bl.Model(GROWTH, CHILDREN, R=bl.AR1(**AT, rho=bl.Normal(0, 1))),
            PriorError,
            "does not fit 'rho'",
        ),
        (
            lambda: bl.Model(
                f"{SLOPES} + (0 + I(Days**2) + I(Days**3) | Subject)",
                SLEEP,
                G={"Subject": [bl.UN(corr=bl.LKJ(2)), bl.UN(corr=bl.LKJ(3))]},
            ),
            PriorError,
            r"two structures of 'Subject' have a prior for 'corr_Subject', LKJ\(2\) and LKJ\(3\)",
        ),
        (
            lambda: bl.Model(
                "Yield ~ 1 + (1 | Batch)",
                bl.load_dataset("Dyestuff"),
                G={"Batch": bl.Known(np.eye(6), levels=list("ABCDEF"), sd=bl.HalfNormal(1))},
            ),
            ArgumentError,
            "has no use for `sd`",
        ),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
