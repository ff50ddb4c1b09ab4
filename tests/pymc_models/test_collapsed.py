"""The collapsed density, compiled and in PyMC, against dense algebra and the full model."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.design.build import compile_design
from bayeslmm.equations.equations import Equations
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.priors.table import resolve
from tests.oracles.dense import DATASET, FORMULAS, log_likelihood, random_theta

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

PRIORS = {
    "default": {},
    "mixed": {
        "beta": bl.Normal(3, 20),
        "sd": bl.Gamma(2, 0.1),
        "sigma": bl.LogNormal(3, 1),
    },
    "others": {"sd": bl.Exponential(1 / 25), "sigma": bl.Uniform(0, 500)},
    "heavy": {"sd": bl.HalfCauchy(20), "sigma": bl.InverseGamma(2, 40)},
    "simpler": {"sd": bl.PC(100, 0.05), "sigma": bl.PC(60, 0.1)},
    "wishart": {"G_Subject": bl.Wishart(4.5, [[150, -30], [-30, 20]])},
    "inverse wishart": {"G_Subject": bl.InverseWishart(4.5, [[900, 40], [40, 30]])},
    "huang wand": {"G_Subject": bl.HuangWand(2.5, [40, 12])},
    "huang wand, three": {"G_Subject": bl.HuangWand(2, [40, 12, 5])},
    "inverse wishart, one": {"G_Subject": bl.InverseWishart(3, 900)},
}


@cache
def model(name, priors="default", weights=False):
    data = bl.load_dataset(DATASET.get(name, "sleepstudy"))
    formula = FORMULAS[name]
    if weights:
        rng = np.random.default_rng(4)
        data = data.assign(w=rng.uniform(0.5, 2, len(data)), off=rng.normal(0, 20, len(data)))
        formula = formula.replace(" + (", " + offset(off) + (", 1)
    design = compile_design(formula, data, weights="w" if weights else None)
    equations = Equations.of(design)
    return design, equations, resolve(PRIORS[priors], equations.parameters, design)


def scalar_log_prior(prior, value):
    """SciPy's log density of a prior of a standard deviation."""
    p = prior.parameters
    frozen = {
        "HalfNormal": lambda: stats.halfnorm(0, p["sigma"]),
        "HalfCauchy": lambda: stats.halfcauchy(0, p["sigma"]),
        "Exponential": lambda: stats.expon(0, 1 / p["rate"]),
        "Gamma": lambda: stats.gamma(p["alpha"], scale=1 / p["beta"]),
        "InverseGamma": lambda: stats.invgamma(p["alpha"], scale=p["beta"]),
        "PC": lambda: stats.expon(0, p["bound"] / -np.log(p["alpha"])),
        "LogNormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(p["mu"])),
        "Uniform": lambda: stats.uniform(p["lower"], p["upper"] - p["lower"]),
        "HalfStudentT": lambda: stats.t(p["nu"], 0, p["sigma"]),
        "HalfStudentTAtMeans": lambda: stats.t(p["nu"], 0, p["sigma"]),
    }[type(prior).__name__]()
    return frozen.logpdf(value)


def correlation(values, size):
    matrix = np.eye(size)
    rows, columns = np.tril_indices(size, -1)
    matrix[rows, columns] = matrix[columns, rows] = values
    return matrix


def about(theta, parameters, priors):
    """Theta with the standard deviations and correlations that priors are about."""
    out = theta.copy()
    for (factor, bar), basis in priors.bases.items():
        sds, corrs = (parameters.find(factor, bar, kind) for kind in ("sd", "corr"))
        sd = theta[sds.start : sds.stop]
        corr = correlation(theta[corrs.start : corrs.stop], sds.size)
        inverse = np.linalg.inv(basis)
        G = inverse @ (sd[:, None] * corr * sd) @ inverse.T
        moved = np.sqrt(np.diag(G))
        out[sds.start : sds.stop] = moved
        out[corrs.start : corrs.stop] = (G / np.outer(moved, moved))[np.tril_indices(sds.size, -1)]
    return out


def log_prior(theta, parameters, priors):
    """Log prior density of theta up to a constant."""
    volume = jacobian(lambda theta: about(theta, parameters, priors), theta, 1e-5 * theta.min())
    return (
        log_prior_of(about(theta, parameters, priors), parameters, priors)
        + (np.linalg.slogdet(volume)[1])
    )


def log_prior_of(theta, parameters, priors):
    """Log density of the priors at what they are about, from SciPy and the definition of LKJ."""
    total = 0.0
    for block in parameters.blocks:
        values = theta[block.start : block.stop]
        if priors.theta[block.start].support == "covariance":
            if block.kind == "sd":
                corr = parameters.find(block.factor, block.bar, "corr")
                C = correlation(() if corr is None else theta[corr.start : corr.stop], block.size)
                total += log_matrix_prior_of(priors.theta[block.start], values, C)
        elif block.kind == "corr":
            eta = priors.theta[block.start].eta
            total += (eta - 1) * np.linalg.slogdet(correlation(values, block.size))[1]
        else:
            own = priors.theta[block.start : block.stop]
            total += sum(scalar_log_prior(p, v) for p, v in zip(own, values, strict=True))
    return total


def log_matrix_prior_of(prior, sd, C):
    """Log density of (sd, corr) under a prior of G, from SciPy; Huang and Wand's up to a constant,
    as in their equation 3.
    """
    q, G = len(sd), sd[:, None] * C * sd
    volume = q * np.log(2) + q * np.log(sd).sum()
    if isinstance(prior, bl.HuangWand):
        inner = prior.df * np.diag(np.linalg.inv(G)) + 1 / np.array(prior.scales) ** 2
        log_density = -(prior.df + 2 * q) / 2 * np.linalg.slogdet(G)[1]
        return volume + log_density - (prior.df + q) / 2 * np.log(inner).sum()
    family = stats.wishart if isinstance(prior, bl.Wishart) else stats.invwishart
    return volume + family.logpdf(G, prior.df, np.array(prior.scale))


def jacobian(function, x, step=2e-4):
    """Central differences of fourth order."""
    columns = []
    for e in step * np.eye(len(x)):
        near, far = function(x + e) - function(x - e), function(x + 2 * e) - function(x - 2 * e)
        columns.append((8 * near - far) / (12 * step))
    return np.array(columns).T


def random_scales(equations, design):
    """Scales of standard deviations, some of them none, of the size that the deviations have."""
    rng = np.random.default_rng(len(equations.parameters))
    scales = random_theta(equations.parameters, design, 99) * rng.uniform(0.3, 3, size=10)[0]
    scales[rng.random(len(scales)) < 0.3] = 0.0
    return np.where([kind == "sd" for kind in equations.parameters.kinds], scales, 0.0)


def other_side(density, x):
    """Some standard deviations with their other sign."""
    coordinates = density.coordinates
    flips = np.arange(len(x)) % 2 == 0
    return np.where(flips & (coordinates.ab[:, 1] == 0) & (coordinates.ab[:, 0] > 0), -x, x)


CASES = [(name, "default", False) for name in FORMULAS] + [
    ("slope", "mixed", True),
    ("slope", "others", False),
    ("three effects", "mixed", False),
    ("uncorrelated", "heavy", True),
    ("intercept", "others", True),
    ("slope", "simpler", False),
    ("slope", "wishart", False),
    ("slope", "inverse wishart", False),
    ("slope", "huang wand", True),
    ("three effects", "huang wand, three", False),
    ("intercept", "inverse wishart, one", False),
]


@pytest.mark.parametrize(("name", "priors", "weights"), CASES)
def test_compiled_density_is_that_of_dense_algebra(name, priors, weights):
    design, equations, table = model(name, priors, weights)
    density = Density.of(equations, table, random_scales(equations, design))
    differences = []
    for seed in range(4):
        theta = random_theta(equations.parameters, design, seed)
        x = density.unconstrained(theta)
        np.testing.assert_allclose(density.theta(x), theta, rtol=1e-10)
        if seed > 1:
            x = other_side(density, x)
            theta = density.theta(x)
        expected = log_likelihood(
            theta, equations.parameters, design, table.beta_mean, table.beta_precision
        )
        expected += log_prior(theta, equations.parameters, table)
        expected += np.linalg.slogdet(jacobian(density.theta, x))[1]
        differences.append(density(x)[0] - expected)
    # the compiled density leaves out the constants of the priors
    np.testing.assert_allclose(differences, differences[0], atol=2e-6)


@pytest.mark.parametrize(("name", "priors", "weights"), CASES)
def test_gradient_is_that_of_finite_differences(name, priors, weights):
    design, equations, table = model(name, priors, weights)
    k = len(equations.parameters)
    plain = Density.of(equations, table, random_scales(equations, design))
    scale = np.eye(k) + 0.3 * np.random.default_rng(0).standard_normal((k, k))
    x = plain.unconstrained(random_theta(equations.parameters, design, 7))
    positions = ((plain, x), (plain, other_side(plain, x)), (plain.at(x, scale), np.full(k, 0.1)))
    for density, z in positions:
        numeric = jacobian(lambda z, density=density: np.array([density(z)[0]]), z)[0]
        np.testing.assert_allclose(density(z)[1], numeric, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("name", "priors"), [("slope", "default"), ("three effects", "mixed")])
def test_lkj_prior_of_the_compiled_density(name, priors):
    design, equations, _ = model(name, priors)
    uniform, strong = (
        Density.of(
            equations,
            resolve({**PRIORS[priors], "corr": bl.LKJ(eta)}, equations.parameters, design),
        )
        for eta in (1.0, 3.5)
    )
    for seed in range(3):
        theta = random_theta(equations.parameters, design, seed)
        x = uniform.unconstrained(theta)
        block = next(b for b in equations.parameters.blocks if b.kind == "corr")
        matrix = correlation(theta[block.start : block.stop], block.size)
        np.testing.assert_allclose(
            strong(x)[0] - uniform(x)[0], 2.5 * np.linalg.slogdet(matrix)[1], rtol=1e-9
        )


def test_default_density_does_not_depend_on_where_a_covariate_has_its_zero():
    data = bl.load_dataset("sleepstudy")
    values = []
    for shift in (0, 2006):
        design = compile_design(f"Reaction ~ Days + (I(Days + {shift}) | Subject)", data)
        equations = Equations.of(design)
        density = Density.of(equations, resolve({}, equations.parameters, design))
        points = [[3.0, 2.0, 0.3, 3.2], [3.5, 1.0, -0.8, 3.0], [0.1, -2.0, 0.0, 3.3]]
        values.append([density(np.array(x))[0] for x in points])
    np.testing.assert_allclose(values[0], values[1], atol=1e-6)


def test_outside_the_support_there_is_no_density():
    _, equations, table = model("slope")
    density = Density.of(equations, table)
    x = density.unconstrained(density.typical)
    for extreme in (-800.0, 800.0):  # a sigma that rounds to zero or to infinity
        x[-1] = extreme
        assert density(x)[0] == -np.inf
    x = density.unconstrained(density.typical)
    x[2] = 800.0  # a correlation that rounds to one
    before = density(x)[0]
    x[2] = 0.5
    assert before < density(x)[0] - 100


def python_mode():
    from pytensor.compile.mode import Mode

    return Mode(linker="py", optimizer="fast_compile")


def pymc_point(pm_model, theta, parameters, priors):
    """Values of the model's unconstrained variables at theta."""
    import pytensor.tensor as pt
    from pytensor.graph.replace import graph_replace

    from bayeslmm.pymc_models.parameters import theta_draws

    values, free = {}, {rv.name for rv in pm_model.free_RVs}
    natural, theta = theta, about(theta, parameters, priors)
    for name in dict.fromkeys(block.name for block in parameters.blocks):
        blocks = [block for block in parameters.blocks if block.name == name]
        flat = np.concatenate([theta[block.start : block.stop] for block in blocks])
        if blocks[0].kind == "corr":
            for block in blocks:
                suffix = "" if len(blocks) == 1 else f"_{block.bar + 1}"
                part = correlation(theta[block.start : block.stop], block.size)
                values[f"cholesky_{block.factor}{suffix}"] = np.linalg.cholesky(part)
        elif name in free:
            values[name] = flat if blocks[0].kind == "sd" else flat[0]
        elif f"{name}_at_means" in free:
            values[f"{name}_at_means"] = flat
        else:
            known = name if f"{name}[{blocks[0].labels[0]}]" in free else f"{name}_at_means"
            labels = [label for block in blocks for label in block.labels]
            values.update({f"{known}[{label}]": v for label, v in zip(labels, flat, strict=True)})
    point_of = {rv: pt.as_tensor(values[rv.name]) for rv in pm_model.free_RVs if rv.name in values}
    names = list(dict.fromkeys(block.name for block in parameters.blocks))
    shown = graph_replace([pm_model[name] for name in names], point_of, strict=False)
    evaluated = [value.eval(mode=python_mode()) for value in shown]
    draws = {name: value[None, None] for name, value in zip(names, evaluated, strict=True)}
    np.testing.assert_allclose(theta_draws(draws, parameters)[0, 0], natural, rtol=1e-9)
    point = {}
    for rv in pm_model.free_RVs:
        if rv.name not in values:
            continue
        transform, value = pm_model.rvs_to_transforms[rv], values[rv.name]
        forward = value if transform is None else transform.forward(value, *rv.owner.inputs)
        name = pm_model.rvs_to_values[rv].name
        point[name] = value if transform is None else forward.eval(mode=python_mode())
    return point


def log_prior_as_pymc_has_it(theta, parameters, priors):
    """Like `log_prior`, with PyMC's density of the Cholesky factor in place of the matrix's."""
    theta = about(theta, parameters, priors)
    total = log_prior_of(theta, parameters, priors)
    for block in parameters.blocks:
        if block.kind == "corr":
            matrix = correlation(theta[block.start : block.stop], block.size)
            diagonal = np.diag(np.linalg.cholesky(matrix))
            total += np.arange(block.size - 1, -1, -1) @ np.log(diagonal)
    return total


@pytest.mark.parametrize(
    ("name", "priors"),
    [
        ("intercept", "default"),
        ("slope", "default"),
        ("three effects", "mixed"),
        ("nested", "heavy"),
    ],
)
def test_pymc_model_is_that_of_dense_algebra(name, priors):
    from bayeslmm.pymc_models.collapsed import collapsed_model

    design, equations, table = model(name, priors)
    pm_model = collapsed_model(equations, table, design.response)
    logp = pm_model.compile_logp(jacobian=False, mode=python_mode())
    differences = []
    for seed in range(3):
        theta = random_theta(equations.parameters, design, seed)
        expected = log_likelihood(
            theta, equations.parameters, design, table.beta_mean, table.beta_precision
        )
        expected += log_prior_as_pymc_has_it(theta, equations.parameters, table)
        point = pymc_point(pm_model, theta, equations.parameters, table)
        differences.append(float(logp(point)) - expected)
    np.testing.assert_allclose(differences, differences[0], atol=1e-7)


def test_pymc_model_has_the_names_that_summaries_show():
    from bayeslmm.pymc_models.collapsed import collapsed_model

    design, equations, _ = model("slope")
    table = resolve({"sd_Subject[Days]": bl.Exponential(0.1)}, equations.parameters, design)
    one = collapsed_model(equations, model("slope")[2], design.response)
    two = collapsed_model(equations, table, design.response)
    assert list(one.coords["Subject_effect_sd"]) == ["Intercept", "Days"]
    assert one.named_vars_to_dims["sd_Subject"] == ("Subject_effect_sd",)
    assert {"sd_Subject", "corr_Subject", "sigma", "Reaction"} <= set(one.named_vars)
    names = {"sd_Subject_at_means[Intercept]", "sd_Subject_at_means[Days]", "sd_Subject"}
    assert names <= set(two.named_vars)


def test_pymc_gradient_in_the_numba_backend():
    from bayeslmm.pymc_models.collapsed import collapsed_model

    design, equations, table = model("slope")
    pm_model = collapsed_model(equations, table, design.response)
    point = pm_model.initial_point()
    numba = pm_model.compile_dlogp(mode="NUMBA")(point)
    python = pm_model.compile_dlogp(mode=python_mode())(point)
    np.testing.assert_allclose(numba, python, rtol=1e-9)
    logp = pm_model.compile_logp(mode=python_mode())
    names = [v.name for v in pm_model.value_vars]
    flat = np.concatenate([np.ravel(point[name]) for name in names])

    def at(values):
        parts, start = {}, 0
        for name in names:
            size = np.size(point[name])
            parts[name] = values[start : start + size].reshape(np.shape(point[name]))
            start += size
        return np.array([logp(parts)])

    np.testing.assert_allclose(python, jacobian(at, flat, 1e-5)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("intercept", False),
        ("slope", False),
        ("uncorrelated", False),
        ("two bars", False),
        ("one variance", False),
        ("slope", True),
        ("crossed", False),
    ],
)
def test_full_model_integrated_over_beta_and_u_is_the_collapsed_one(name, weights):
    """Given theta the full density is Gaussian in (beta, z), so one Newton step integrates it."""
    from bayeslmm.pymc_models.textbook import full_model

    design, equations, table = model(name, "default", weights)
    pm_model = full_model(design, equations.parameters, table)
    gaussian = [v for v in pm_model.free_RVs if v.name.startswith(("beta", "z_"))]
    values = [pm_model.rvs_to_values[v] for v in gaussian]
    logp = pm_model.compile_logp(jacobian=False, mode=python_mode())
    dlogp = pm_model.compile_dlogp(gaussian, jacobian=False, mode=python_mode())
    start = pm_model.initial_point()
    shapes = [np.shape(start[v.name]) for v in values]
    sizes = [int(np.prod(shape)) for shape in shapes]
    differences = []
    for seed in range(2):
        theta = random_theta(equations.parameters, design, seed)
        point = pymc_point(pm_model, theta, equations.parameters, table)

        def at(w, point=point):
            parts = np.split(w, np.cumsum(sizes)[:-1])
            named = zip(values, parts, shapes, strict=True)
            return point | {v.name: part.reshape(shape) for v, part, shape in named}

        zero = np.zeros(sum(sizes))
        slope = dlogp(at(zero))
        hessian = np.array([slope - dlogp(at(e)) for e in np.eye(len(zero))])
        top = np.linalg.solve(hessian, slope)
        integrated = float(logp(at(top))) - 0.5 * np.linalg.slogdet(hessian / (2 * np.pi))[1]
        expected = log_likelihood(
            theta, equations.parameters, design, table.beta_mean, table.beta_precision
        )
        expected += log_prior_as_pymc_has_it(theta, equations.parameters, table)
        differences.append(integrated - expected)
    np.testing.assert_allclose(differences, differences[0], atol=1e-6)
