"""What structures of R refuse, in which words, and what they let pass."""

import re

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.covariance.structures import Covariance
from bayeslmm.storage.structures import structure_from_plain, structure_to_plain

ON = {"time": "age", "group": "Subject"}

# what is asked for, and what the message should say of it
ARGUMENTS = [
    (lambda: bl.AR1(time="age", group=3), "`group` of AR1 should be the name of a column, got 3"),
    (lambda: bl.ID(by=["Sex"]), "`by` of ID should be the name of a column, got ['Sex']"),
    (lambda: bl.AR1(time=3, group="Subject"), "`time` of AR1 should be the name of a column, or"),
    (lambda: bl.Exp(time=["a", "b"], group="g"), "a pair of them for places in the plane, got ['a"),
    (lambda: bl.Exp(time=("a", 2), group="g"), "a pair of them for places in the plane, got ('a'"),
    (lambda: bl.Exp(time=("a", "b", "c"), group="g"), "one column, or two for places in the plane"),
    (lambda: bl.Exp(time=(), group="g"), "one column, or two for places in the plane; got ()"),
    (lambda: bl.CAR1(**ON, nugget="yes"), "`nugget` of CAR1 should be True or False, got 'yes'"),
    (lambda: bl.AR1(**ON, nugget=True), "AR1 has no nugget, which is for correlations that depend"),
    (lambda: bl.ID(variance="all"), "got 'all'"),
    (lambda: bl.ID(variance=["one", 3]), "`variance` of ID should be 'one', 'occasion', bl.VarId"),
    (lambda: bl.UN(**ON, variance=[]), "`variance` of UN is an empty list; for one variance give"),
    (
        lambda: bl.ID(variance=[bl.VarPower("x"), bl.VarPower("x")]),
        "`variance` of ID has VarPower(column='x') twice, whose parameters the data could not tell",
    ),
    (
        lambda: bl.AR1(**ON, by="Sex", variance=bl.VarIdent("Sex")),
        "by='Sex' of AR1 gives each stratum a variance of its own already; leave VarIdent('Sex')",
    ),
    (
        lambda: bl.AR1(**ON, by="Sex", variance=bl.VarIdent("Sex:age")),
        "leave 'Sex' of VarIdent(column='Sex:age') out",
    ),
    (lambda: bl.VarIdent("Sex::age"), "columns joined by ':', got 'Sex::age'; a name that has"),
    (lambda: bl.VarIdent(":"), "columns joined by ':', got ':'"),
    (lambda: bl.VarPower(3), "VarPower takes the name of a column, got 3"),
    (lambda: bl.VarIdent(None), "VarIdent takes the name of a column, got None"),
    (lambda: bl.AR1(time=("a", "b"), group="g"), "AR1 has occasions in one order here, so `time`"),
    (
        lambda: bl.Exp(time=("a", "b"), group="g", variance="occasion"),
        "so `time` should be one column, got ('a', 'b')",
    ),
    (lambda: bl.Matern(**ON, smoothness=0.5), "should be 1.5 or 2.5, got 0.5; for 0.5 use bl.Exp"),
]


@pytest.mark.parametrize(("make", "words"), ARGUMENTS)
def test_structures_that_cannot_be(make, words):
    with pytest.raises((bl.errors.ArgumentError, bl.errors.ArgumentTypeError)) as caught:
        make()
    assert words in str(caught.value)


def ortho(**columns):
    data = bl.load_dataset("Orthodont")
    return data.assign(**{name: make(data) for name, make in columns.items()})


def short_diagonal(data):
    """No subject has rows at both the first and the last age."""
    even = pd.factorize(data["Subject"])[0] % 2 == 0
    return data[np.where(even, data["age"] < 14, data["age"] > 8)]


def never_at_ten_with_others(data):
    """An occasion that no subject has together with another."""
    alone = pd.factorize(data["Subject"])[0] < 9
    return data[np.where(alone, data["age"] == 10, data["age"] != 10)]


def numbered(n):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"y": rng.normal(size=3 * n), "t": np.tile(np.arange(n), 3), "g": np.repeat(list("abc"), n)}
    )


def test_un_of_more_rows_than_subjects_is_not_maximised() -> None:
    model = bl.Model("y ~ t", numbered(4), R=bl.UN(time="t", group="g"))
    message = r"UN over 4 occasions of 't' has 10 parameters, too many for 3 levels of 'g'"
    with pytest.raises(bl.DesignError, match=message):
        model.fit("ml")


DATA = [
    (ortho(), "AR1", "`R` should be a covariance structure such as bl.AR1("),
    (ortho(), bl.AR1(group="Subject"), "AR1 correlates the rows of a subject, and needs `time`"),
    (ortho(), bl.UN(time="age"), "UN correlates the rows of a subject, and needs `group`"),
    (ortho(), bl.CS(), "CS correlates the rows of a subject, and needs `group`"),
    (ortho(), bl.CSH(group="Subject"), "CSH has a variance for each occasion, and needs `time`"),
    (ortho(), bl.Diag(), "Diag has a variance for each occasion, and needs `time`"),
    (ortho(), bl.AR1(time="week", group="Subject"), "'week'"),
    (
        ortho(age=lambda d: d["age"].map("{} years".format)),
        bl.CAR1(**ON),
        "CAR1 depends on distances in time, so 'age' should be numbers; it holds text or dates",
    ),
    (
        ortho(age=lambda d: d["age"].map("{} years".format)),
        bl.ARH1(**ON),
        "ARH1 needs occasions in their order, and 'age' is text, whose order is '10 years'",
    ),
    (
        ortho(age=lambda d: d["age"].replace(10, 8)),
        bl.UN(**ON),
        "the 'Subject' 'F01' has 2 rows at 'age' = 8; UN needs one row for each",
    ),
    (
        ortho(a=lambda d: d["age"] // 14, b=lambda d: d["age"] // 12),
        bl.Exp(time=("a", "b"), group="Subject"),
        "the 'Subject' 'F01' has 2 rows at 'a' and 'b' = (0, 0); Exp needs one row for each",
    ),
    (
        ortho().query("age == 8"),
        bl.AR1(**ON),
        "no 'Subject' has more than one row, so that there is nothing for AR1 to correlate",
    ),
    (
        ortho(id=lambda d: np.arange(len(d)).astype(str)),
        bl.CS(group="id"),
        "no 'id' has more than one row",
    ),
    (numbered(61), bl.UN(time="t", group="g"), "61 occasions of 't' make 1830 corr"),
    (
        short_diagonal(ortho()),
        bl.UN(**ON),
        "no 'Subject' has rows at both 'age' = 8 and 'age' = 14",
    ),
    (
        short_diagonal(ortho()),
        bl.Toep(**ON),
        "no 'Subject' has two rows that are 3 occasions of 'age' apart, so that the correlation",
    ),
    (
        never_at_ten_with_others(ortho()),
        bl.Ante1(**ON),
        "no 'Subject' has rows at both 'age' = 8 and 'age' = 10, or at others that would tell",
    ),
    (
        ortho().query("Sex == 'Male' or age < 14"),
        bl.UN(**ON, by="Sex"),
        "'age' = 8 and 'age' = 14 in the stratum 'Female'",
    ),
    (
        ortho(early=lambda d: np.where(d["age"] < 10, "yes", "no")),
        bl.AR1(**ON, by="early"),
        "it should be the same in all rows of a 'Subject'; it changes within 'M01'",
    ),
    (ortho(), bl.ID(variance=bl.VarPower("Sex")), "VarPower needs numbers, and 'Sex' holds"),
    (
        ortho(x=lambda d: d["age"] - 8),
        bl.ID(variance=bl.VarPower("x")),
        "VarPower takes a power of |x|, which is 0 in 27 rows, where the variance would be 0",
    ),
    (
        ortho(x=lambda d: np.where(d.index == 3, "odd", "even")),
        bl.ID(variance=bl.VarIdent("x")),
        "a residual standard deviation of their own is asked for at 'odd', where there is one row",
    ),
    (
        ortho(x=lambda d: np.where(d.index == 3, "odd", "even")),
        bl.ID(variance=[bl.VarIdent("Sex"), bl.VarIdent("x")]),
        "asks for a ratio of standard deviations at x[odd], which 1 row has, so that",
    ),
    (
        ortho(x=lambda d: np.where(d["Sex"] == "Male", d["age"], 8)),
        bl.Diag(time="age", by="Sex", variance=["occasion", bl.VarIdent("x")]),
        "at x[10], which no row has in the stratum 'Female', so that it cannot be estimated",
    ),
]


@pytest.mark.parametrize(("data", "R", "words"), DATA)
def test_structures_that_these_data_cannot_tell_of(data, R, words):
    formula = "y ~ 1" if "y" in data else "distance ~ Sex"
    with pytest.raises(bl.errors.BayeslmmError) as caught:
        bl.Model(formula, data, R=R)
    assert words in str(caught.value)


def test_one_occasion():
    data = ortho(age=lambda d: 8)
    with pytest.raises(bl.errors.DataError, match=re.escape("has 4 rows at 'age' = 8")):
        bl.Model("distance ~ Sex", data, R=bl.AR1(**ON))


UNIDENTIFIED = [
    (bl.UN(**ON), "(1 | Subject)"),
    (bl.UN(**ON), "(age | Subject)"),
    (bl.UN(**ON, variance="one"), "(1 | Subject)"),
    (bl.CS(group="Subject"), "(1 | Subject)"),
    (bl.CS(group="Subject", by="Sex"), "(1 | Subject)"),
    (bl.Toep(**ON), "(1 | Subject)"),
    (bl.AR1(**ON), "(ageF | Subject)"),
]


@pytest.mark.parametrize(("R", "bar"), UNIDENTIFIED)
def test_more_structures_than_subjects_can_bear(R, bar):
    data = ortho(ageF=lambda d: d["age"].map("at {:02d}".format))
    with pytest.raises(bl.errors.DesignError) as caught:
        bl.Model(f"distance ~ age * Sex + {bar}", data, R=R)
    text = str(caught.value)
    assert "these data cannot tell" in text or "residual" in text
    assert "sigma" in text or "residual" in text


IDENTIFIED = [
    (bl.AR1(**ON), "(1 | Subject)"),
    (bl.AR1(**ON, by="Sex"), "(1 | Subject)"),
    (bl.ARH1(**ON), "(1 | Subject)"),
    (bl.CAR1(**ON), "(1 | Subject)"),
    (bl.CSH(**ON), "(0 + age | Subject)"),
    (bl.ID(by="Sex"), "(age | Subject)"),
    (bl.ID(variance=bl.VarPower("age")), "(age | Subject)"),
    (bl.Diag(**ON), "(1 | Subject)"),
    (bl.UN(**ON), "(1 | clinic)"),
    (bl.Toep(**ON), "(0 + age | Subject)"),
]


@pytest.mark.parametrize(("R", "bar"), IDENTIFIED)
def test_what_subjects_can_bear(R, bar):
    data = ortho(clinic=lambda d: pd.Series(pd.factorize(d["Subject"])[0] % 6).astype(str))
    assert bl.Model(f"distance ~ age * Sex + {bar}", data, R=R).R == R


def test_text_in_order_is_fine():
    data = ortho(
        padded=lambda d: d["age"].map("at {:02d}".format),
        categorical=lambda d: pd.Categorical(
            d["age"].map("at {}".format), ["at 8", "at 10", "at 12", "at 14"]
        ),
    )
    expected = bl.Model("distance ~ age", data, R=bl.AR1(**ON)).fit("ml").loglik
    for time in ("padded", "categorical"):
        R = bl.AR1(time=time, group="Subject")
        assert bl.Model("distance ~ age", data, R=R).fit("ml").loglik == pytest.approx(expected)


NEW = [
    (bl.UN(**ON), {"age": 9.0}, "the new data have rows at '9', for which fitting saw no residual"),
    (bl.ID(by="Sex"), {"Sex": "Other"}, "'Other'"),
    (bl.ID(variance=bl.VarIdent("kind")), {"kind": "c"}, "rows at 'c'"),
    (
        bl.ID(variance=[bl.VarIdent("Sex"), bl.VarIdent("kind")]),
        {"kind": "c"},
        "rows at kind[c], for which fitting saw no standard deviation; known: 'a', 'b'",
    ),
    (bl.AR1(**ON, variance=bl.VarPower("x")), {"x": 0.0}, "which is 0 in 1 rows"),
]


@pytest.mark.parametrize(("R", "change", "words"), NEW)
def test_new_rows_whose_variance_is_not_known(R, change, words):
    data = ortho(kind=lambda d: np.where(d.index % 3, "a", "b"), x=lambda d: d["age"] / 10)
    fit = bl.Model("distance ~ age", data, R=R).fit("ml")
    new = data.iloc[[0]].assign(**change)
    assert np.isfinite(fit.predict(new)["estimate"]).all()  # the mean needs no residual
    with pytest.raises(bl.errors.DataError) as caught:
        fit.predict(new, interval="new")
    assert words in str(caught.value)


STORED = [
    *(cls(**ON) for cls in (bl.ID, bl.Diag, bl.UN, bl.CS, bl.CSH, bl.AR1, bl.ARH1, bl.ARMA11)),
    *(cls(**ON) for cls in (bl.Toep, bl.ToepH, bl.CAR1, bl.Exp, bl.Gau, bl.Matern, bl.Ante1)),
    *(cls(**ON) for cls in (bl.RatQuad, bl.Sph)),
    bl.Matern(time=("a", "b"), group="g", smoothness=2.5, nugget=True),
    bl.FA(2, **ON),
    bl.AR1(**ON, by="Sex", variance=[bl.VarPower("x"), bl.VarExp("x"), "occasion"]),
    bl.ID(variance=bl.VarIdent("Sex")),
    bl.ID(variance=[bl.VarIdent("Sex:age"), bl.VarIdent("`a:b`")]),
    None,
]


@pytest.mark.parametrize("R", STORED)
def test_structures_survive_files(R):
    assert structure_from_plain(structure_to_plain(R)) == R


def old(**column):
    return {"class": "VarIdent"} | column


OLD = [
    [old(column="Sex"), old(column="age")],
    ["occasion", old(column="Sex")],
    [old(column="Sex"), {"class": "VarPower", "column": "x"}],
    old(column="a:b"),
]


def test_combinations_of_files_before_products_stay_combinations():
    """As a development version of 0.1 stored `variance`; the names of parameters are the same."""
    plain = structure_to_plain(bl.ID(**ON))
    found = [structure_from_plain(plain | {"variance": own}).variances for own in OLD]
    assert found == [
        (bl.VarIdent("Sex:age"),),
        (bl.VarIdent("age:Sex"),),
        (bl.VarIdent("Sex"), bl.VarPower("x")),
        (bl.VarIdent("`a:b`"),),
    ]
    R = structure_from_plain(plain | {"variance": OLD[1]})
    names = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=R).parameters.names
    assert names[:2] == ("sigma[8, Female]", "sigma[8, Male]")
    assert len(names) == 8


def test_every_class_is_stored():
    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    classes = below(Covariance) - {Covariance, bl.Known}  # whose matrix is stored as an array
    assert classes == {type(R) for R in STORED if R is not None}


@pytest.mark.parametrize(
    "R",
    [
        bl.UN(**ON),
        bl.AR1(**ON, by="Sex", variance=[bl.VarPower("age"), bl.VarExp("x")]),
        bl.Exp(time=("age", "x"), group="Subject", nugget=True),
        bl.CS(group="Subject", variance=[bl.VarIdent("Sex"), bl.VarIdent("age")]),
    ],
)
def test_fits_survive_files(R, tmp_path):
    data = ortho(x=lambda d: np.cos(d.index.to_numpy(float)))
    fit = bl.Model("distance ~ age", data, R=R).fit("reml")
    fit.save(tmp_path / "fit.blmm")
    again = bl.load(tmp_path / "fit.blmm")
    assert again.model.R == R
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    level = data["Subject"].iloc[0]
    pd.testing.assert_frame_equal(again.R(level), fit.R(level))
    new = data.iloc[:4]
    pd.testing.assert_frame_equal(
        again.predict(new, interval="new"), fit.predict(new, interval="new")
    )


def test_names_that_the_residuals_and_factors_would_share():
    data = ortho(R=lambda d: d["Subject"]).assign(**{"Sex:age": lambda d: d["Subject"]})
    for formula in ("distance ~ age + (age | R)", "distance ~ age + (1 + age | R)"):
        with pytest.raises(bl.DesignError, match=r"'R' and of the residuals .*'corr_R'"):
            bl.Model(formula, data, R=bl.UN(time="age", group="Subject"), check=False)
    bl.Model("distance ~ age + (age | R)", data)
    with pytest.raises(bl.DesignError, match="two grouping factors are called 'Sex:age'"):
        bl.Model("distance ~ 1 + (1 | `Sex:age`) + (1 | Sex:age)", data)
