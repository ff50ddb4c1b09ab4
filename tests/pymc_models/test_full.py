"""The textbook model with structured residuals, against dense algebra written out here."""

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl
from bayeslmm.covariance.structures import VarExp, VarIdent, VarPower
from bayeslmm.pymc_models.parameters import theta_draws

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

ON = {"time": "age", "group": "Subject"}
STRUCTURES = {
    "ID by": bl.ID(by="Sex"),
    "Diag": bl.Diag(time="age"),
    "VarIdent": bl.ID(variance=VarIdent("Sex")),
    "VarIdents": bl.ID(variance=[VarIdent("Sex"), VarIdent("age")]),
    "UN": bl.UN(**ON),
    "CS": bl.CS(group="Subject"),
    "CSH": bl.CSH(**ON),
    "AR1": bl.AR1(**ON),
    "ARH1 by": bl.ARH1(**ON, by="Sex"),
    "ARMA11": bl.ARMA11(**ON),
    "Toep": bl.Toep(**ON),
    "Ante1": bl.Ante1(**ON),
    "CAR1": bl.CAR1(**ON, variance=VarPower("age")),
    "FA": bl.FA(1, **ON),
    "Exp": bl.Exp(**ON, nugget=True),
    "Gau": bl.Gau(**ON, variance=[VarExp("age"), VarIdent("Sex")]),
    "Matern": bl.Matern(**ON, smoothness=2.5),
}


def orthodont(seed=0):
    """Six boys and girls, with rows missing and in any order."""
    data = bl.load_dataset("Orthodont")
    data = data[data["Subject"].isin(["M01", "M02", "M03", "F01", "F02", "F03"])]
    return data.sample(len(data) - 5, random_state=seed)


def python_mode():
    from pytensor.compile.mode import Mode

    return Mode(linker="py", optimizer="fast_compile")


def correlation(name, value, ages):
    """The correlation of two rows of a subject, as textbooks define it."""
    known = [8, 10, 12, 14]

    def at(a, b):
        if a == b:
            return 1.0
        i, j = sorted((known.index(a), known.index(b)))
        lag, distance = j - i, abs(a - b)
        rho = value.get("rho")
        if name == "UN":
            return value[f"corr_R[{known[i]}, {known[j]}]"]
        if name in ("CS", "CSH"):
            return rho
        if name in ("AR1", "ARH1"):
            return rho**lag
        if name == "ARMA11":
            ma = value["ma"]
            first = (1 + rho * ma) * (rho + ma) / (1 + 2 * rho * ma + ma**2)
            return first * rho ** (lag - 1)
        if name == "Toep":
            return value[f"rho[{lag}]"]
        if name == "Ante1":
            return np.prod([value[f"rho[{known[k]}, {known[k + 1]}]"] for k in range(i, j)])
        if name == "FA":
            return value[f"loading[{known[i]}, 1]"] * value[f"loading[{known[j]}, 1]"]
        if name == "CAR1":
            return rho**distance
        s = distance / value["range"]
        if name == "Exp":
            return (1 - value["nugget"]) * np.exp(-s)
        if name == "Gau":
            return np.exp(-(s**2))
        s *= np.sqrt(5)
        return (1 + s + s**2 / 3) * np.exp(-s)

    return np.array([[at(a, b) for b in ages] for a in ages])


def residual_covariance(structure, value, data, weights):
    """R from the parameters by their names."""
    name = structure.name
    sds = []
    for age, sex in zip(data["age"], data["Sex"], strict=True):
        labels = [sex] if structure.by else []
        labels += [str(age)] if "occasion" in structure.variances else []
        labels += [sex] if any(isinstance(p, VarIdent) for p in structure.variances) else []
        sd = value[f"sigma[{', '.join(labels)}]" if labels else "sigma"]
        if VarIdent("age") in structure.variances and age > 8:
            sd *= np.exp(value[f"log_ratio[age[{age}]]"])
        if any(isinstance(p, VarPower) for p in structure.variances):
            sd *= age ** value["power"]
        if any(isinstance(p, VarExp) for p in structure.variances):
            sd *= np.exp(age * value["expon"])
        sds.append(sd)
    R = np.zeros((len(data), len(data)))
    for rows in data.groupby("Subject").indices.values():
        own = value
        if structure.by:
            prefix = f"{data['Sex'].iloc[rows[0]]}"
            own = value | {"rho": value.get(f"rho[{prefix}]")}
        ages = data["age"].iloc[rows].tolist()
        independent = name in ("ID", "Diag")
        R[np.ix_(rows, rows)] = np.eye(len(rows)) if independent else correlation(name, own, ages)
    scale = np.array(sds) / np.sqrt(weights)
    return R * np.outer(scale, scale)


def evaluator(model):
    """The likelihood and the parameters at values of the unconstrained variables."""
    pm_model = model.full_pymc()
    parameters = [variable for variable in ("beta", "u_Subject") if variable in pm_model.named_vars]
    names = [*parameters, *dict.fromkeys(block.name for block in model.parameters.blocks)]
    shown = pm_model.replace_rvs_by_values([pm_model[name] for name in names])
    logp = pm_model.logp(vars=pm_model.observed_RVs, jacobian=False)
    function = pm_model.compile_fn([logp, *shown], mode=python_mode())

    def at(point):
        value, *rest = function(point)
        return float(value), dict(zip(names, rest, strict=True))

    return pm_model, at


def random_point(pm_model, seed):
    rng = np.random.default_rng(seed)
    point = pm_model.initial_point()
    return {
        name: value + 0.3 * rng.standard_normal(np.shape(value)) for name, value in point.items()
    }


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_likelihood_is_the_multivariate_normal_density(name):
    structure, data = STRUCTURES[name], orthodont()
    weights = np.linspace(0.5, 2, len(data))
    model = bl.Model("distance ~ age", data, R=structure, weights=weights)
    pm_model, at = evaluator(model)
    for seed in range(2):
        logp, variables = at(random_point(pm_model, seed))
        draws = {key: value[None, None] for key, value in variables.items()}
        theta = theta_draws(draws, model.parameters)[0, 0]
        value = dict(zip(model.parameters.names, theta, strict=True))
        R = residual_covariance(structure, value, data, weights)
        mean = variables["beta"][0] + variables["beta"][1] * data["age"].to_numpy()
        # by default SciPy takes eigenvalues, which loses digits where R is nearly singular
        R = stats.Covariance.from_cholesky(np.linalg.cholesky(R))
        expected = stats.multivariate_normal.logpdf(data["distance"], mean, R)
        np.testing.assert_allclose(logp, expected, rtol=1e-9)


def test_full_model_with_R_integrated_over_beta_and_u_is_the_collapsed_one():
    """Given theta the full density is Gaussian in (beta, z), so one Newton step integrates it."""
    model = bl.Model("distance ~ age + (age | Subject)", orthodont(), R=bl.AR1(**ON))
    full, collapsed = model.full_pymc(), model.pymc
    values = {full.rvs_to_values[v].name: v for v in full.free_RVs}
    linear = [name for name in values if name.startswith(("beta", "z_"))]
    logp = full.compile_logp(jacobian=False, mode=python_mode())
    dlogp = full.compile_dlogp(
        [values[name] for name in linear], jacobian=False, mode=python_mode()
    )
    small = collapsed.compile_logp(jacobian=False, mode=python_mode())
    for seed in range(2):
        point = random_point(full, seed)
        shapes = [np.shape(point[name]) for name in linear]
        sizes = [int(np.prod(shape)) for shape in shapes]

        def at(w, point=point, shapes=shapes, sizes=sizes):
            parts = np.split(w, np.cumsum(sizes)[:-1])
            named = zip(linear, parts, shapes, strict=True)
            return point | {name: part.reshape(shape) for name, part, shape in named}

        zero = np.zeros(sum(sizes))
        slope = dlogp(at(zero))
        hessian = np.array([slope - dlogp(at(e)) for e in np.eye(len(zero))])
        top = np.linalg.solve(hessian, slope)
        integrated = float(logp(at(top))) - 0.5 * np.linalg.slogdet(hessian / (2 * np.pi))[1]
        rest = {name: value for name, value in point.items() if name not in linear}
        np.testing.assert_allclose(integrated, float(small(rest)), rtol=1e-8)


PARAMS = {
    bl.ID(): (),
    bl.UN(): (0.5, 0.3, 0.4, 0.1, -0.2, 0.3),
    bl.CS(): (-0.2,),
    bl.AR1(): (-0.6,),
    bl.ARMA11(): (0.5, -0.3),
    bl.Toep(): (0.4, 0.1, -0.2),
    bl.Ante1(): (0.5, -0.3, 0.8),
    bl.FA(1): (0.5, -0.3, 0.8, 0.2),
    bl.FA(2): (0.5, -0.3, 0.8, 0.2, 0.4, -0.6, 0.1),
    bl.CAR1(): (0.7,),
    bl.Exp(): (2.0,),
    bl.Gau(): (2.0,),
    bl.Matern(): (2.0,),
    bl.Matern(smoothness=2.5): (2.0,),
}


@pytest.mark.parametrize("covariance", list(PARAMS), ids=repr)
def test_gradient_of_correlation_matrices(covariance):
    import pytensor
    import pytensor.tensor as pt

    from bayeslmm.pymc_models.correlation_op import correlation_matrices

    structure = covariance.correlation
    rng = np.random.default_rng(0)
    points = np.array([[0, 1, 3], [3, 2, 0]])
    places = np.array([[0.0, 1.5, 2.0], [4.0, 1.0, 0.5]])
    distances = abs(places[:, :, None] - places[:, None])
    weights = rng.standard_normal((2, 3, 3))
    params = pt.dmatrix()
    total = (weights * correlation_matrices(structure, params, points, distances)).sum()
    gradient = pytensor.grad(total, params)
    function = pytensor.function([params], [total, gradient], mode=python_mode())
    at = np.array([PARAMS[covariance], PARAMS[covariance]]) * [[1.0], [0.9]]
    numeric = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-6
        numeric[index] = (function(at + step)[0] - function(at - step)[0]) / 2e-6
    np.testing.assert_allclose(function(at)[1], numeric, rtol=1e-6, atol=1e-8)


def test_parameters_of_no_correlation_matrix_have_no_density():
    model = bl.Model("distance ~ age", orthodont(), R=bl.Toep(**ON))
    pm_model, at = evaluator(model)
    point = pm_model.initial_point()
    point["rho_interval__"] = np.array([4.0, -4.0, 4.0])  # neighbours alike, but not the next ones
    assert at(point)[0] == -np.inf


def test_numba_evaluates_the_density_and_its_gradient_like_python():
    model = bl.Model("distance ~ age + (1 | Subject)", orthodont(), R=bl.AR1(**ON))
    pm_model = model.full_pymc()
    assert len(pm_model.observed_RVs) == 3  # subjects with 2, 3 and 4 rows
    point = random_point(pm_model, 0)
    found, expected = (
        pm_model.compile_fn([pm_model.logp(), pm_model.dlogp()], mode=mode)(point)
        for mode in ("NUMBA", python_mode())
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


@pytest.mark.slow
def test_textbook_model_with_R_has_the_posterior_of_the_collapsed_one():
    data = bl.load_dataset("Orthodont")
    model = bl.Model("distance ~ age + (1 | Subject)", data, R=bl.AR1(**ON))
    exact = model.fit("nuts", random_seed=1, progress=False).summary()
    full = model.fit("nuts", random_seed=2, tune=500, collapse=False, progress=False).summary()
    # at least 400 effective draws of each
    error = np.sqrt(2 / 400) * exact["std_error"]
    assert (abs(full["estimate"] - exact["estimate"]) < 4 * error).all()
    np.testing.assert_allclose(full["std_error"], exact["std_error"], rtol=0.25)
