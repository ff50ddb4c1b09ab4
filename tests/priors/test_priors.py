"""Prior families against SciPy; keys, defaults and errors of the table of priors."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.design.build import compile_design
from bayeslmm.design.parameters import Parameters
from bayeslmm.errors import ArgumentTypeError, PriorError
from bayeslmm.priors import families
from bayeslmm.priors.families import LKJ, NormalAtMeans
from bayeslmm.priors.kernels import log_prior, row_of
from bayeslmm.priors.table import resolve


class OfPrecision:
    """The density of x where 1/x² is gamma distributed."""

    def __init__(self, shape, rate):
        self.precision = stats.gamma(shape, scale=1 / rate)

    def logpdf(self, x):
        return self.precision.logpdf(x**-2.0) + np.log(2 / x**3)


# prior, the same in SciPy, points inside the support
SCALAR = [
    (bl.Normal(1.5, 2), stats.norm(1.5, 2), (-3.0, 0.0, 4.0)),
    (families.StudentT(4, 1, 2), stats.t(4, 1, 2), (-3.0, 0.0, 40.0)),
    (families.Cauchy(-1, 0.5), stats.cauchy(-1, 0.5), (-3.0, 0.0, 40.0)),
    (families.Laplace(1, 3), stats.laplace(1, 3), (-3.0, 0.0, 4.0)),
    (bl.HalfNormal(2), stats.halfnorm(0, 2), (0.01, 1.0, 6.0)),
    (bl.HalfStudentT(3, 20), stats.foldnorm(0), (0.01, 1.0, 600.0)),
    (bl.HalfCauchy(5), stats.halfcauchy(0, 5), (0.01, 1.0, 600.0)),
    (bl.Exponential(1 / 25), stats.expon(0, 25), (0.01, 1.0, 60.0)),
    (bl.Gamma(2.5, 0.3), stats.gamma(2.5, scale=1 / 0.3), (0.01, 1.0, 60.0)),
    (bl.InverseGamma(2.5, 3), stats.invgamma(2.5, scale=3), (0.1, 1.0, 60.0)),
    (bl.GammaPrecision(2.5, 3), OfPrecision(2.5, 3), (0.4, 1.0, 60.0)),
    (bl.LogNormal(0.5, 0.7), stats.lognorm(0.7, scale=np.exp(0.5)), (0.1, 1.0, 9.0)),
    (bl.Uniform(1, 7), stats.uniform(1, 6), (1.1, 2.0, 6.9)),
    (bl.PC(10, 0.05), stats.expon(0, 10 / -np.log(0.05)), (0.01, 1.0, 60.0)),
    (bl.Beta(2.5, 0.7), stats.beta(2.5, 0.7), (0.01, 0.4, 0.99)),
]


def scipy_logpdf(prior, frozen, value):
    if isinstance(prior, bl.HalfStudentT):
        return np.log(2) + stats.t(prior.nu, 0, prior.sigma).logpdf(value)
    return frozen.logpdf(value)


@pytest.mark.parametrize(
    ("prior", "frozen", "points"),
    SCALAR,
    ids=lambda x: repr(x) if isinstance(x, families.Prior) else "",
)
def test_pymc_gets_the_density(prior, frozen, points):
    import pymc as pm
    from pytensor.compile.mode import Mode

    mode = Mode(linker="py", optimizer=None)
    got = pm.logp(prior.to_pymc(), np.array(points)).eval(mode=mode)
    np.testing.assert_allclose(got, scipy_logpdf(prior, frozen, np.array(points)), rtol=1e-8)


@pytest.mark.parametrize(
    ("prior", "frozen", "points"),
    [row for row in SCALAR if row[0].support != "real"],
    ids=lambda x: repr(x) if isinstance(x, families.Prior) else "",
)
def test_compiled_density_and_its_slope(prior, frozen, points):
    code, *hyper = row_of(prior, 0.0, 1.0)
    constants = [scipy_logpdf(prior, frozen, x) - log_prior(code, x, hyper)[0] for x in points]
    np.testing.assert_allclose(constants, constants[0], atol=1e-10)
    for x in points:
        h = 1e-6 * x
        difference = scipy_logpdf(prior, frozen, x + h) - scipy_logpdf(prior, frozen, x - h)
        np.testing.assert_allclose(
            log_prior(code, x, hyper)[1], difference / (2 * h), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(("lower", "upper"), [(-1, 1), (-1 / 3, 1), (0, 1)])
def test_beta_is_stretched_to_the_interval_of_its_parameter(lower, upper):
    code, *hyper = row_of(bl.Beta(2.5, 0.7), lower, upper)
    frozen = stats.beta(2.5, 0.7, lower, upper - lower)
    points = lower + (upper - lower) * np.array([0.02, 0.4, 0.9])
    values = [log_prior(code, x, hyper) for x in points]
    constants = frozen.logpdf(points) - [value for value, _ in values]
    np.testing.assert_allclose(constants, constants[0], atol=1e-10)
    difference = frozen.logpdf(points + 1e-6) - frozen.logpdf(points - 1e-6)
    np.testing.assert_allclose([slope for _, slope in values], difference / 2e-6, rtol=1e-5)


@pytest.mark.parametrize(("bound", "alpha"), [(10, 0.05), (0.3, 0.5), (200, 0.01)])
def test_pc_prior_has_alpha_above_its_bound(bound, alpha):
    assert np.isclose(stats.expon(0, 1 / bl.PC(bound, alpha).rate).sf(bound), alpha)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_repr_is_the_code_that_makes_it(name):
    family = families.FAMILIES[name]
    numbers = [0.1 + 1 / 3 + i for i in range(len(fields(family)))]
    arrays = {"Wishart": [[2 / 3, 0.1], [0.1, 7]], "InverseWishart": [[2, 1e-7], [1e-7, 1e-7]]}
    arrays |= {"HuangWand": [1 / 3, 4.0]}
    given = {"PC": (100 / 3, 1 / 3), "MvNormal": ([1 / 3, 2], [[2 / 3, 0.1], [0.1, 7]], ["a", "b"])}
    given |= {key: (10 / 3, value) for key, value in arrays.items()}
    given["VarianceSplit"] = (bl.HalfNormal(1 / 3), bl.Beta(2 / 3, 7), [1 / 3, 2])
    prior = family(*given.get(name, numbers))
    assert eval(repr(prior), vars(families)) == prior


def test_shown_numbers_are_rounded_and_kept_exact():
    prior = bl.HalfStudentT(3, 56.32875712523514)
    assert str(prior) == "HalfStudentT(3, 56.3288)"
    assert prior.sigma == 56.32875712523514
    model = bl.Model("Reaction ~ Days + (1 | Subject)", bl.load_dataset("sleepstudy"))
    assert "HalfStudentT(3, 56.3288)" in model.priors._repr_html_()
    assert "HalfStudentT(3, 56.3288)" in str(model.priors.frame())
    assert model.priors.frame()["prior"]["sigma"].sigma == pytest.approx(prior.sigma, rel=1e-14)


INVALID = [
    (lambda: bl.Normal(0, 0), PriorError, "`sigma` should be positive, got 0"),
    (lambda: bl.Normal(0, -1), PriorError, "`sigma` should be positive"),
    (lambda: bl.Normal(np.nan, 1), PriorError, "`mu` should be finite"),
    (lambda: bl.HalfNormal(np.inf), PriorError, "`sigma` should be finite"),
    (lambda: bl.HalfNormal("1"), ArgumentTypeError, "`sigma` should be a number, got '1'"),
    (lambda: bl.HalfNormal(True), ArgumentTypeError, "`sigma` should be a number"),
    (lambda: bl.Uniform(2, 2), PriorError, "`lower` should be below `upper`"),
    (lambda: bl.LKJ(0), PriorError, "`eta` should be positive"),
    (lambda: bl.PC(10, 1), PriorError, "`alpha` is the probability of more than `bound`"),
    (lambda: bl.PC(-1, 0.1), PriorError, "`bound` should be positive"),
    (lambda: bl.Beta(0, 1), PriorError, "`alpha` should be positive"),
    (lambda: bl.Fixed(np.inf), PriorError, "`value` should be finite"),
    (lambda: bl.Wishart(1, np.eye(2)), PriorError, "`df` should be above 1 for 2 effects, got 1"),
    (lambda: bl.Wishart(3, [[1, 2], [2, 1]]), PriorError, "smallest eigenvalue is -1"),
    (lambda: bl.Wishart(3, [[1, 2], [0, 9]]), PriorError, "`scale` should be symmetric"),
    (lambda: bl.InverseWishart(3, [1, 2]), PriorError, "square matrix, got the shape \\(1, 2\\)"),
    (lambda: bl.InverseWishart(3, "a"), ArgumentTypeError, "`scale` should be numbers, got 'a'"),
    (lambda: bl.InverseWishart(3, np.nan), PriorError, "`scale` should be finite"),
    (lambda: bl.HuangWand(2, [1, 0]), PriorError, "`scales` should be positive"),
    (lambda: bl.HuangWand(2, [[1, 2]]), PriorError, "a sequence of numbers"),
    (lambda: bl.MvNormal([0, 1], 1), PriorError, "`mean` has 2 elements, and `cov` is for 1"),
    (lambda: bl.MvNormal([0, 1], np.eye(2), ["a", "a"]), PriorError, "labels should differ"),
    (lambda: bl.MvNormal([0], [[-1]]), PriorError, "`cov` should be positive definite"),
    (lambda: bl.HuangWand(0, [1, 2]), PriorError, "`df` should be positive"),
    (lambda: families.StudentT(0, 0, 1), PriorError, "`nu` should be positive"),
]


@pytest.mark.parametrize(("make", "error", "message"), INVALID)
def test_impossible_hyperparameters(make, error, message):
    with pytest.raises(error, match=message):
        make()


def table(priors=None, formula="Reaction ~ Days + (Days | Subject)", dataset="sleepstudy"):
    design = compile_design(formula, bl.load_dataset(dataset))
    return resolve(priors, Parameters.of(design.factors), design)


def test_defaults_are_scaled_to_the_data():
    found = table()
    data = bl.load_dataset("sleepstudy")
    sd_y, sd_x, mean_y = data.Reaction.std(), data.Days.std(), data.Reaction.mean()
    assert [row.parameter for row in found.rows] == [
        "beta[Intercept]",
        "beta[Days]",
        "sd_Subject[Intercept]",
        "sd_Subject[Days]",
        "corr_Subject",
        "sigma",
    ]
    expected = {
        "beta[Intercept]": NormalAtMeans(mean_y, 2.5 * sd_y),
        "beta[Days]": bl.Normal(0, 2.5 * sd_y / sd_x),
        "sd_Subject[Intercept]": bl.HalfStudentTAtMeans(3, sd_y),
        "sd_Subject[Days]": bl.HalfStudentT(3, sd_y / sd_x),
        "corr_Subject": LKJ(1),
        "sigma": bl.HalfStudentT(3, sd_y),
    }
    for name, prior in expected.items():
        assert type(found[name]) is type(prior)
        np.testing.assert_allclose(
            list(found[name].parameters.values()), list(prior.parameters.values())
        )
    assert {row.source for row in found.rows} == {"default"}


# keys given, and what each parameter ends up with
SPECIFIC = [
    (
        {"sd": bl.HalfNormal(1), "sd_Subject[Days]": bl.HalfNormal(2)},
        {"sd_Subject[Intercept]": bl.HalfNormal(1), "sd_Subject[Days]": bl.HalfNormal(2)},
    ),
    (
        {"sd_Subject": bl.Gamma(2, 1), "sd_Subject[Intercept]": bl.HalfNormal(2)},
        {"sd_Subject[Intercept]": bl.HalfNormal(2), "sd_Subject[Days]": bl.Gamma(2, 1)},
    ),
    ({"beta": bl.Normal(0, 9)}, {"beta[Days]": bl.Normal(0, 9)}),
    (
        {"beta": bl.Flat(), "beta[Intercept]": bl.Normal(250, 100)},
        {"beta[Days]": bl.Flat(), "beta[Intercept]": bl.Normal(250, 100)},
    ),
    ({"corr": bl.LKJ(2)}, {"corr_Subject": bl.LKJ(2)}),
    ({"corr_Subject": bl.LKJ(3)}, {"corr_Subject": bl.LKJ(3)}),
    ({"sigma": bl.Exponential(1 / 25)}, {"sigma": bl.Exponential(1 / 25)}),
]


@pytest.mark.parametrize(("given", "expected"), SPECIFIC)
def test_the_most_specific_key_wins(given, expected):
    found = table(given)
    changed = {row.parameter: row.prior for row in found.rows if row.source == "user"}
    assert changed == expected


REFUSED = [
    ({"sigm": bl.HalfNormal(1)}, PriorError, "unknown prior key 'sigm'.*Did you mean 'sigma'"),
    ({"sd_Subjct": bl.HalfNormal(1)}, PriorError, "Did you mean 'sd_Subject'"),
    ({"beta[days]": bl.Normal(0, 1)}, PriorError, r"Did you mean 'beta\[Days\]'"),
    ({"sigma": bl.Normal(0, 1)}, PriorError, "does not fit 'sigma': a standard deviation is"),
    ({"sigma": bl.Uniform(-1, 1)}, PriorError, "does not fit 'sigma'"),
    ({"beta[Days]": bl.HalfNormal(1)}, PriorError, "a coefficient can be any number"),
    ({"beta[Days]": bl.MvNormal([0], 1)}, PriorError, "for several coefficients, under the key"),
    ({"beta": bl.MvNormal([0, 1, 2], np.eye(3))}, PriorError, "is for 3 coefficients, but there"),
    ({"beta": bl.MvNormal([0], 1, ["Day"])}, PriorError, "Did you mean 'Days'"),
    (
        {"beta": bl.MvNormal([0, 1], np.eye(2)), "beta[Days]": bl.Normal(0, 1)},
        PriorError,
        r"nothing would use the prior for 'beta\[Days\]'",
    ),
    ({"beta[Days]": NormalAtMeans(0, 1)}, PriorError, "is for an intercept.* use Normal, which"),
    ({"beta[Days]": bl.StudentTAtMeans(3, 0, 1)}, PriorError, "an intercept.* use StudentT, which"),
    ({"corr_Subject": bl.Uniform(0, 1)}, PriorError, "it is a correlation matrix. Use LKJ"),
    ({"sd_Subject": bl.LKJ(1)}, PriorError, "does not fit"),
    (
        {"beta": bl.Normal(0, 1), "beta[Days]": bl.Normal(0, 2)},
        PriorError,
        "nothing would use the prior for 'beta'",
    ),
    ({"sigma": bl.Beta(2, 2)}, PriorError, "does not fit 'sigma': a standard deviation"),
    ({"sigma": bl.Wishart(3, 1)}, PriorError, "under a key such as 'G_Subject'"),
    ({"G_Subject": bl.HalfNormal(3)}, PriorError, "Use Wishart, InverseWishart or HuangWand"),
    ({"G_Subject": bl.HuangWand(2, [3])}, PriorError, "which is for 1 effects; there are 2"),
    ({"G_Subjec": bl.HuangWand(2, [3])}, PriorError, "Did you mean 'G_Subject'"),
    (
        {"G_Subject": bl.HuangWand(2, [3, 4]), "sd": bl.HalfNormal(3)},
        PriorError,
        "nothing would use the prior for 'sd'",
    ),
    ({"sigma": bl.Fixed(0)}, PriorError, "cannot be held at 0: it should be positive"),
    ({"corr_Subject": bl.Fixed(1)}, PriorError, "a correlation lies in \\(-1, 1\\)"),
    ({"beta[Days]": bl.Fixed(10)}, PriorError, "add an offset of 10 times it"),
    ({"sigma": 5.0}, ArgumentTypeError, "should be a prior such as"),
    ({"sigma": bl.HalfNormal}, ArgumentTypeError, "should be a prior such as"),
    ([bl.HalfNormal(1)], ArgumentTypeError, "priors should be a dictionary"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_refused(given, error, message):
    with pytest.raises(error, match=message):
        table(given)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Reaction ~ Days + (Days || Subject)", "no correlations of their own"),
        ("Reaction ~ (1 | Subject) + (0 + Days | Subject)", "the 2 bars of Subject have a matrix"),
        ("Reaction ~ Days + diag(Days | Subject)", "no correlations of their own"),
    ],
)
def test_only_a_bar_with_a_whole_matrix_has_a_prior_of_one(formula, message):
    with pytest.raises(PriorError, match=message):
        table({"G_Subject": bl.HuangWand(2, [3, 4])}, formula)


def test_a_prior_of_a_whole_matrix_is_one_row():
    prior = bl.HuangWand(2, [30, 4])
    found = table({"G_Subject": prior, "sigma": bl.HalfNormal(30)})
    names = [row.parameter for row in found.rows]
    assert names == ["beta[Intercept]", "beta[Days]", "G_Subject", "sigma"]
    assert found.theta == (prior, prior, prior, bl.HalfNormal(30))
    assert table(found.frame()).rows == found.rows


BOUNDED = [
    ("rho", bl.Uniform(-1, 1.1), "it lies in \\(-0.3333, 1\\). Use Beta"),
    ("rho", bl.HalfNormal(1), "it lies in"),
    ("rho", bl.Fixed(-0.5), "should be inside"),
    ("rho", bl.Beta(2, 2), None),
    ("rho", bl.Uniform(0, 0.5), None),
    ("rho", bl.Fixed(-0.3), None),
]


@pytest.mark.parametrize(("key", "prior", "message"), BOUNDED)
def test_priors_of_a_correlation_keep_to_its_bounds(key, prior, message):
    data, R = bl.load_dataset("Orthodont"), bl.CS(time="age", group="Subject")
    model = bl.Model("distance ~ age", data, R=R)
    if message is None:
        assert model.with_priors({key: prior}).priors[key] == prior
        return
    with pytest.raises(PriorError, match=message):
        model.with_priors({key: prior})


def test_lags_are_held_together_or_not_at_all():
    data, R = bl.load_dataset("Orthodont"), bl.Toep(time="age", group="Subject")
    model = bl.Model("distance ~ age", data, R=R)
    names = [name for name in model.parameters.names if name != "sigma"]
    with pytest.raises(PriorError, match="1 of the 3 correlations 'rho' are held"):
        model.with_priors({names[0]: bl.Fixed(0.5)})
    with pytest.raises(PriorError, match="not those of a positive definite matrix"):
        model.with_priors(dict(zip(names, map(bl.Fixed, (0.9, 0.0, 0.9)), strict=True)))
    with pytest.raises(PriorError, match="depends on the other correlations"):
        model.with_priors({names[0]: bl.Uniform(0, 1)})
    held = model.with_priors(dict(zip(names, map(bl.Fixed, (0.5, 0.4, 0.3)), strict=True)))
    assert held.held.tolist() == [True, True, True, False]


def test_no_correlation_no_key():
    with pytest.raises(PriorError, match="unknown prior key 'corr'"):
        table({"corr": bl.LKJ(2)}, "Reaction ~ Days + (Days || Subject)")


def test_a_frame_can_be_edited_and_passed_back():
    frame = table({"sigma": bl.HalfNormal(30)}).frame()
    frame.loc["sd_Subject[Days]", "prior"] = bl.HalfNormal(10)
    found = table(frame)
    changed = {row.parameter: row.prior for row in found.rows if row.source == "user"}
    assert changed == {"sigma": bl.HalfNormal(30), "sd_Subject[Days]": bl.HalfNormal(10)}
    again = table(found)
    assert again.rows == found.rows
    assert table(frame.reset_index()).rows == found.rows


def test_a_frame_of_other_columns_is_refused():
    with pytest.raises(PriorError, match="should have a column 'prior'"):
        table(table().frame().rename(columns={"prior": "priors"}))


COV = np.array([[900.0, -40, 3], [-40, 25, 1], [3, 1, 4]])
NAMES = ["Intercept", "Days", "I(Days ** 2)"]
FRAME = pd.DataFrame(COV, NAMES, NAMES)
JOINT = [
    # the prior, and the coefficients that it is for
    (bl.MvNormal([250, 10, 1], COV), NAMES),
    (bl.MvNormal([250, 10, 1], FRAME), NAMES),
    (bl.MvNormal([1, 250, 10], FRAME.loc[NAMES[::-1], NAMES[::-1]], NAMES[2:] + NAMES[:2]), NAMES),
    (bl.MvNormal(pd.Series([10, 250, 1], [*NAMES[1::-1], NAMES[2]]), FRAME), NAMES),
    (bl.MvNormal([10, 1], COV[1:, 1:]), NAMES[1:]),
    (bl.MvNormal([10.0], 25, ["Days"]), NAMES[1:2]),
]


@pytest.mark.parametrize(("prior", "names"), JOINT, ids=[f"{i}" for i in range(len(JOINT))])
def test_joint_prior_of_coefficients(prior, names):
    given = {"beta": prior}
    given |= {f"beta[{name}]": bl.Flat() for name in set(NAMES).difference(names)}
    found = table(given, "Reaction ~ Days + I(Days**2) + (1 | Subject)")
    own = [NAMES.index(name) for name in names]
    precision = np.zeros((3, 3))
    precision[np.ix_(own, own)] = np.linalg.inv(COV[np.ix_(own, own)])
    np.testing.assert_allclose(found.beta_precision, precision, atol=1e-12)
    np.testing.assert_allclose(found.beta_mean[own], np.array([250, 10, 1])[own])
    assert [row.parameter for row in found.rows].count("beta") == 1
    assert found[f"beta[{names[0]}]"] is found["beta"]
    again = table(found.frame(), "Reaction ~ Days + I(Days**2) + (1 | Subject)")
    assert again.rows == found.rows


def test_a_joint_prior_beside_the_default_intercept():
    found = table({"beta": bl.MvNormal([10], 25)})
    mean = bl.load_dataset("sleepstudy").Days.mean()
    intercept = found["beta[Intercept]"]
    np.testing.assert_allclose(found.beta_mean, [intercept.mu - 10 * mean, 10])
    a = np.array([1, mean]) / intercept.sigma
    np.testing.assert_allclose(found.beta_precision, np.outer(a, a) + np.diag([0, 1 / 25]))


@pytest.mark.parametrize("prior", [bl.StudentT(3, 0, 9), bl.Laplace(0, 9), bl.Cauchy(0, 9)])
def test_coefficients_without_a_gaussian_prior_are_named(prior):
    found = table({"beta": prior})
    assert found.not_gaussian == ("beta[Days]",)
    assert table().not_gaussian == ()
    with pytest.raises(bl.ArgumentError, match="needs Gaussian priors; those of beta"):
        bl.Model(
            "Reaction ~ Days + (1 | Subject)",
            bl.load_dataset("sleepstudy"),
            priors={"beta": prior},
        ).fit("nuts", sampler="pymc", collapse=True)


# the attributes that distributions have in PreliZ 0.28, whichever were set there (of Gamma mu
# and sigma): name, values, what is made of it
FOREIGN = [
    ("HalfNormal", {"sigma": 3.0}, bl.HalfNormal(3)),
    ("HalfStudentT", {"nu": 3.0, "sigma": 5.0, "lam": 0.04}, bl.HalfStudentT(3, 5)),
    ("HalfCauchy", {"beta": 3.0}, bl.HalfCauchy(3)),
    ("Exponential", {"lam": 0.25, "beta": 4.0}, bl.Exponential(0.25)),
    ("Gamma", {"mu": 20.0, "sigma": 10.0, "alpha": 4.0, "beta": 0.2}, bl.Gamma(4, 0.2)),
    ("InverseGamma", {"alpha": 3.0, "beta": 9.0, "mu": 4.5}, bl.InverseGamma(3, 9)),
    ("LogNormal", {"mu": 3.0, "sigma": 0.5}, bl.LogNormal(3, 0.5)),
    ("Uniform", {"lower": 0.0, "upper": 90.0}, bl.Uniform(0, 90)),
]


def foreign(name, values):
    """A distribution as PreliZ has it: parameters are attributes, numbers of NumPy or None where
    they are not set, and ``to_pymc`` makes a variable.
    """
    found = type(name, (), {"to_pymc": lambda self: None})()
    for key, value in values.items():
        setattr(found, key, None if value is None else np.float64(value))
    return found


@pytest.mark.parametrize(("name", "values", "expected"), FOREIGN)
def test_priors_of_other_packages_by_family(name, values, expected):
    assert table({"sigma": foreign(name, values)})["sigma"] == expected


FOREIGN_COEFFICIENTS = [
    ("Normal", {"mu": 1.0, "sigma": 5.0}, bl.Normal(1, 5)),
    ("StudentT", {"nu": 4.0, "mu": 1.0, "sigma": 5.0}, bl.StudentT(4, 1, 5)),
    ("Laplace", {"mu": 1.0, "b": 5.0}, bl.Laplace(1, 5)),
    ("Cauchy", {"alpha": 1.0, "beta": 5.0}, bl.Cauchy(1, 5)),
]


@pytest.mark.parametrize(("name", "values", "expected"), FOREIGN_COEFFICIENTS)
def test_priors_of_other_packages_for_coefficients(name, values, expected):
    assert table({"beta": foreign(name, values)})["beta[Days]"] == expected


def test_priors_of_other_packages_for_correlations():
    data, where = bl.load_dataset("Orthodont"), {"time": "age", "group": "Subject"}
    values = {"alpha": 2.0, "beta": 2.0, "mu": 0.5, "sigma": 0.22, "nu": 4.0}
    priors = {"rho": foreign("Beta", values)}
    model = bl.Model("distance ~ age", data, R=bl.CAR1(**where), priors=priors)
    assert model.priors["rho"] == bl.Beta(2, 2)
    # theirs lies in (0, 1), ours in the bounds of the parameter
    with pytest.raises(PriorError, match=r"lies in \(-1, 1\); bl.Beta\(2, 2\) is stretched"):
        bl.Model("distance ~ age", data, R=bl.AR1(**where), priors=priors)


def test_priors_of_other_packages_that_cannot_be_taken():
    with pytest.raises(PriorError, match="family Wald, which this library does not have"):
        table({"sigma": foreign("Wald", {"mu": 1.0})})
    with pytest.raises(PriorError, match="family PC, which this library does not have"):
        table({"sigma": foreign("PC", {"bound": 1.0, "alpha": 0.1})})
    with pytest.raises(PriorError, match="lacks values for sigma"):
        table({"sigma": foreign("HalfNormal", {"sigma": None})})


@pytest.mark.parametrize("shift", [-4.5, 2006.0])
@pytest.mark.parametrize("unit", [1.0, 0.001])
def test_default_priors_do_not_depend_on_a_predictors_zero_or_unit(shift, unit):
    data = bl.load_dataset("sleepstudy")
    formula = "Reaction ~ Days + (1 | Subject)"
    first = compile_design(formula, data)
    second = compile_design(formula, data.assign(Days=(data.Days + shift) * unit))
    one = resolve(None, Parameters.of(first.factors), first)
    two = resolve(None, Parameters.of(second.factors), second)
    # beta_old = T beta_new
    T = np.array([[1.0, unit * shift], [0.0, unit]])
    np.testing.assert_allclose(T @ two.beta_mean, one.beta_mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        T.T @ one.beta_precision @ T, two.beta_precision, rtol=1e-7, atol=1e-12
    )
    assert one["sd_Subject[Intercept]"] == two["sd_Subject[Intercept]"]


def test_a_prior_on_the_intercept_is_on_the_intercept_as_reported():
    found = table({"beta[Intercept]": bl.Normal(250, 100), "beta": bl.Normal(1, 5)})
    np.testing.assert_allclose(found.beta_mean, [250, 1])
    np.testing.assert_allclose(found.beta_precision, np.diag([100.0**-2, 5.0**-2]))


def test_cells_are_intercepts_too():
    found = table(None, "score ~ 0 + Machine + (1 | Worker)", "Machines")
    mean, sd = bl.load_dataset("Machines").score.agg(["mean", "std"])
    np.testing.assert_allclose(found.beta_mean, mean)
    np.testing.assert_allclose(found.beta_precision, np.eye(3) / (2.5 * sd) ** 2, atol=1e-12)


def test_through_the_origin():
    data = bl.load_dataset("sleepstudy").query("Days > 0")
    design = compile_design("Reaction ~ 0 + Days + (0 + Days | Subject)", data)
    found = resolve(None, Parameters.of(design.factors), design)
    ratio = np.sqrt(np.mean(design.y**2) / np.mean(design.X**2))
    assert found["beta[Days]"].mu == 0
    np.testing.assert_allclose(found["beta[Days]"].sigma, 2.5 * ratio)


def test_flat_coefficients_have_no_precision():
    found = table({"beta": bl.Flat(), "beta[Intercept]": bl.Flat()})
    np.testing.assert_array_equal(found.beta_precision, np.zeros((2, 2)))


def test_html_is_escaped():
    data = bl.load_dataset("sleepstudy").rename(columns={"Days": "<b>"})
    design = compile_design("Reaction ~ `<b>` + (1 | Subject)", data)
    html = resolve(None, Parameters.of(design.factors), design)._repr_html_()
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("priors", "at_means"),
    [
        ({}, True),
        ({"sd_Subject[Days]": bl.HalfNormal(5)}, True),
        ({"sd_Subject[Intercept]": bl.HalfNormal(5)}, False),
        ({"sd_Subject": bl.HalfNormal(5)}, False),
        ({"corr_Subject": bl.LKJ(2)}, False),
        ({"corr": bl.LKJ(2), "sd_Subject[Intercept]": bl.HalfStudentTAtMeans(3, 9)}, True),
    ],
)
def test_whether_priors_of_a_bar_are_about_the_intercept_at_the_means(priors, at_means):
    found = table(priors)
    mean = bl.load_dataset("sleepstudy").Days.mean()
    expected = np.array([[1.0, -mean if at_means else 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(found.basis("Subject", 0, 2), expected)
    again = table(found.frame())
    assert [(row.parameter, row.prior) for row in again.rows] == [
        (row.parameter, row.prior) for row in found.rows
    ]


def test_only_an_intercept_with_slopes_has_a_prior_at_the_means():
    prior = bl.HalfStudentTAtMeans(3, 9)
    with pytest.raises(PriorError, match="which 'sd_Subject\\[Days\\]' is not; use HalfStudentT"):
        table({"sd_Subject[Days]": prior})
    with pytest.raises(PriorError, match="use HalfStudentT"):
        table({"sd_Subject": prior}, "Reaction ~ Days + (1 | Subject)")


@pytest.mark.parametrize("shift", [0, 1000, 2006, 1e6])
def test_cells_keep_their_default_wherever_a_covariate_has_its_zero(shift):
    data = bl.load_dataset("sleepstudy")
    data["f"] = np.random.default_rng(1).choice(list("abc"), len(data))
    data["x"] = data.Days + shift
    design = compile_design("Reaction ~ 0 + f + x + (1 | Subject)", data)
    found = resolve(None, Parameters.of(design.factors), design)
    kinds = {type(found[f"beta[f[{level}]]"]) for level in "abc"}
    assert kinds == {NormalAtMeans}
    np.testing.assert_allclose(found["beta[x]"].sigma, 2.5 * data.Reaction.std() / data.x.std())
