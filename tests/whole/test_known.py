"""Levels with a known relationship, against dense algebra, finite differences, the tabular method
and models that say the same without one.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayeslmm as bl
from bayeslmm.errors import ArgumentError, ArgumentTypeError, DataError, DesignError
from bayeslmm.solutions.degrees_of_freedom.information import sensitivity
from bayeslmm.solutions.degrees_of_freedom.structured_information import structured_sensitivity
from bayeslmm.solutions.degrees_of_freedom.tangents import slope, tangents
from tests.oracles.dense import full_Z
from tests.oracles.differences import central
from tests.pymc_models.test_full import python_mode, random_point

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.


def pedigree(founders: int = 8, generations: int = 3, size: int = 10, seed: int = 1):
    """Animals with parents of the generation before, some unknown, and some inbred."""
    rng = np.random.default_rng(seed)
    rows = [(f"a{i}", None, None) for i in range(founders)]
    before = [name for name, *_ in rows]
    for g in range(generations):
        own = []
        for i in range(size):
            sire = None if rng.random() < 0.1 else rng.choice(before[: len(before) // 2])
            dam = None if rng.random() < 0.1 else rng.choice(before[len(before) // 2 :])
            own.append((f"b{g}{i}", sire, dam))
        rows += own
        before = [name for name, *_ in own]
    return pd.DataFrame(rows, columns=["id", "sire", "dam"])


def tabular(rows: pd.DataFrame) -> pd.DataFrame:
    """Relationships by the tabular method, of animals that stand after their parents."""
    names = list(rows["id"])
    A = pd.DataFrame(np.zeros((len(names), len(names))), names, names)
    for i, (name, sire, dam) in enumerate(rows.itertuples(index=False)):
        for other in names[:i]:
            value = sum(0.5 * A.loc[other, p] for p in (sire, dam) if isinstance(p, str))
            A.loc[name, other] = A.loc[other, name] = value
        both = isinstance(sire, str) and isinstance(dam, str)
        A.loc[name, name] = 1 + (0.5 * A.loc[sire, dam] if both else 0.0)
    return A


@cache
def relationships() -> pd.DataFrame:
    return tabular(pedigree())


@cache
def records() -> pd.DataFrame:
    """Records of most animals, some several, in three herds."""
    rng = np.random.default_rng(5)
    A = relationships()
    names = list(A.index)
    u = np.linalg.cholesky(A) @ rng.standard_normal((len(A), 2)) * [1.2, 0.4]
    rows = [
        (names[i], x, 5 + 0.5 * x + u[i] @ [1, x] + rng.normal())
        for i in rng.integers(4, len(names), 120)
        for x in [rng.normal()]
    ]
    data = pd.DataFrame(rows, columns=["animal", "x", "y"])
    data["again"], data["herd"] = data["animal"], rng.choice(list("pqrstu"), len(data))
    data["week"] = data.groupby("herd").cumcount()
    return data


MODELS = {
    "intercept": ("y ~ x + (1 | animal)", None),
    "slopes": ("y ~ x + (x | animal)", None),
    "diagonal": ("y ~ x + (x || animal)", None),
    "one variance": ("y ~ x + id(1 + x | animal)", None),
    "two bars": ("y ~ x + (1 | animal) + (0 + x | animal)", None),
    "crossed": ("y ~ x + (1 | animal) + (1 | herd)", None),
    "permanent": ("y ~ x + (x | animal) + (1 | again) + (1 | herd)", None),
    "R": ("y ~ x + (1 | animal) + (1 | herd)", bl.AR1(time="week", group="herd")),
    "R by": ("y ~ x + (x | animal)", bl.ID(by="herd")),
}
every_model = pytest.mark.parametrize("name", MODELS)


@cache
def model(name: str, inverse: bool = False) -> bl.Model:
    formula, R = MODELS[name]
    A = relationships()
    known = bl.Known(inverse=bl.pedigree_inverse(pedigree())) if inverse else bl.Known(A)
    return bl.Model(formula, records(), G={"animal": known}, R=R)


def some_theta(own: bl.Model, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(
        [
            rng.uniform(0.1, 0.6) if k in ("corr", "rho") else rng.uniform(0.5, 2)
            for k in own.parameters.kinds
        ]
    )


def dense_G(own: bl.Model, theta: np.ndarray) -> np.ndarray:
    """The covariance matrix of all effects, from the parameters by their names."""
    value = dict(zip(own.parameters.names, theta, strict=True))
    parts = []
    for factor in own.design.factors:
        q = len(factor.effects)
        shared = f"sd_{factor.name}[x]"
        sd = [value.get(f"sd_{factor.name}[{e}]", value.get(shared)) for e in factor.effects]
        corr = np.eye(q)
        corr[corr == 0] = value.get(f"corr_{factor.name}[Intercept, x]", 0.0)
        G = np.outer(sd, sd) * corr
        levels = list(factor.levels)
        K = relationships().loc[levels, levels] if factor.name == "animal" else np.eye(len(levels))
        parts.append(np.kron(K, G))
    size = sum(len(part) for part in parts)
    out, at = np.zeros((size, size)), 0
    for part in parts:
        out[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return out


def dense_R(own: bl.Model, theta: np.ndarray) -> np.ndarray:
    value = dict(zip(own.parameters.names, theta, strict=True))
    data = records()
    if "rho" in value:
        same = data["herd"].to_numpy()[:, None] == data["herd"].to_numpy()
        lag = abs(data["week"].to_numpy()[:, None] - data["week"].to_numpy())
        return value["sigma"] ** 2 * np.where(same, value["rho"] ** lag, 0.0)
    if "sigma" in value:
        return value["sigma"] ** 2 * np.eye(len(data))
    return np.diag([value[f"sigma[{herd}]"] ** 2 for herd in data["herd"]])


def dense_Z(own: bl.Model) -> np.ndarray:
    return np.hstack([full_Z(factor) for factor in own.design.factors])


def dense_criteria(own: bl.Model, theta: np.ndarray) -> dict[str, float]:
    Z, X, y = dense_Z(own), own.design.X, own.design.y
    V = Z @ dense_G(own, theta) @ Z.T + dense_R(own, theta)
    n, p = X.shape
    solved = np.linalg.solve(V, np.column_stack([X, y]))
    information = X.T @ solved[:, :p]
    residual = y - X @ np.linalg.solve(information, X.T @ solved[:, p])
    quadratic = residual @ np.linalg.solve(V, residual)
    ml = -0.5 * (np.linalg.slogdet(V)[1] + quadratic + n * np.log(2 * np.pi))
    reml = ml - 0.5 * (np.linalg.slogdet(information)[1] - p * np.log(2 * np.pi))
    return {"ml": ml, "reml": reml}


@every_model
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_likelihoods_are_those_of_dense_algebra(name, inverse, method):
    own = model(name, inverse)
    theta = some_theta(own, 1)
    expected = dense_criteria(own, theta)[method]
    assert own.equations.loglik(theta, method)[0] == pytest.approx(expected, rel=1e-9)


@every_model
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_gradients_are_finite_differences(name, method):
    own = model(name)
    theta = some_theta(own, 2)
    gradient = own.equations.loglik(theta, method)[1]
    numeric = central(lambda at: own.equations.loglik(at, method)[0], theta, 1e-5)
    assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@every_model
def test_effects_are_those_of_dense_equations(name):
    own = model(name)
    fit = own.fit("reml")
    theta = fit.optimum.theta
    expected = dense_criteria(own, theta)["reml"]
    assert fit.loglik == pytest.approx(expected, rel=1e-9)
    Z, X, y = dense_Z(own), own.design.X, own.design.y
    G, R = dense_G(own, theta), dense_R(own, theta)
    V = Z @ G @ Z.T + R
    level = own.design.factor("animal").levels[3]
    rows = np.flatnonzero(records()["animal"] == level)
    np.testing.assert_allclose(fit.V(level, "animal"), V[np.ix_(rows, rows)], rtol=1e-8)
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y))
    u = G @ Z.T @ np.linalg.solve(V, y - X @ beta)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-7)
    np.testing.assert_allclose(np.concatenate([v.ravel() for v in fit.solution.u]), u, atol=1e-7)
    # given beta, as lme4's conditional variances
    given_beta = G - G @ Z.T @ np.linalg.solve(V, Z @ G)
    found = fit.ranef()["std_error"]
    np.testing.assert_allclose(found, np.sqrt(np.diag(given_beta)), atol=1e-7)


def test_the_maximum_is_that_of_every_algorithm():
    own = model("permanent")
    best = own.fit("reml")
    assert best.status.ok
    for algorithm in ("newton", "em+newton", "squarem", "profile"):
        other = own.fit("reml", algorithm=algorithm)
        assert other.loglik == pytest.approx(best.loglik, abs=1e-5), algorithm


def test_an_identity_is_no_relationship():
    names = sorted(set(records()["animal"]))
    same = bl.Known(np.eye(len(names)), levels=names)
    a, b = (bl.Model("y ~ x + (x | animal)", records(), G=G) for G in (None, {"animal": same}))
    theta = some_theta(a, 3)
    for method in ("ml", "reml"):
        first, second = (m.equations.loglik(theta, method) for m in (a, b))
        assert first[0] == pytest.approx(second[0], rel=1e-12)
        np.testing.assert_allclose(first[1], second[1], rtol=1e-9, atol=1e-9)


def test_ones_in_blocks_are_a_nested_factor():
    data = records()
    names = sorted(set(data["animal"]))
    house = {name: i % 5 for i, name in enumerate(names)}
    data = data.assign(house=data["animal"].map(house).astype(str))
    same = np.array([[house[a] == house[b] for b in names] for a in names], dtype=float)
    nested = bl.Model("y ~ x + (1 | house) + (1 | animal)", data)
    known = bl.Known(0.5 * same + 0.5 * np.eye(len(names)), levels=names)
    related = bl.Model("y ~ x + (1 | animal)", data, G={"animal": known})
    value = nested.equations.loglik(np.array([0.9, 0.9, 1.1]))[0]
    half = related.equations.loglik(np.array([0.9 * np.sqrt(2), 1.1]))[0]
    assert half == pytest.approx(value, rel=1e-10)


def test_the_order_of_levels_does_not_matter():
    A = relationships()
    order = np.random.default_rng(0).permutation(len(A))
    other = bl.Model(
        "y ~ x + (x | animal)", records(), G={"animal": bl.Known(A.iloc[order, order])}
    )
    theta = some_theta(other, 1)
    own = model("slopes").equations.loglik(theta)[0]
    assert other.equations.loglik(theta)[0] == pytest.approx(own, rel=1e-11)


def test_levels_that_the_data_lack_are_predicted_as_if_they_were_there():
    for inverse in (False, True):
        own = model("permanent", inverse)
        fit = own.fit("reml")
        theta, A = fit.optimum.theta, relationships()
        lacking = own.design.factor("animal").related.others
        assert set(lacking) == set(A.index) - set(records()["animal"])
        assert len(lacking) >= 4
        herd = records()["herd"].iloc[0]
        new = pd.DataFrame({"animal": lacking, "x": 0.5, "again": "nobody", "herd": herd})
        found = fit.predict(new, new_levels="zero", interval="mean")
        # all animals in dense equations
        Z, X, y = dense_Z(own), own.design.X, own.design.y
        value = dict(zip(own.parameters.names, theta, strict=True))
        sd = [value["sd_animal[Intercept]"], value["sd_animal[x]"]]
        rho = value["corr_animal[Intercept, x]"]
        G = np.outer(sd, sd) * [[1, rho], [rho, 1]]
        V = Z @ dense_G(own, theta) @ Z.T + dense_R(own, theta)
        z = np.array([1, 0.5])
        levels = list(own.design.factor("animal").levels)
        of_rows = own.design.factor("animal")
        Zg = full_Z(own.design.factor("herd"))
        for name, row in zip(lacking, found.itertuples(), strict=True):
            K = A.loc[levels, name].to_numpy()[of_rows.codes]
            cov = K * (of_rows.Z @ (G @ z)) + value["sd_herd[Intercept]"] ** 2 * (Zg @ Zg[0])
            x = np.array([1, 0.5])
            solved = np.linalg.solve(V, np.column_stack([X, cov, y]))
            C = np.linalg.inv(X.T @ solved[:, :2])
            beta = C @ (X.T @ solved[:, 3])
            rest = x - X.T @ solved[:, 2]
            expected = x @ beta + cov @ (solved[:, 3] - solved[:, :2] @ beta)
            total = A.loc[name, name] * z @ G @ z + value["sd_herd[Intercept]"] ** 2
            variance = total - cov @ solved[:, 2] + rest @ C @ rest
            assert row.estimate == pytest.approx(expected, rel=1e-7)
            assert row.std_error == pytest.approx(np.sqrt(variance), rel=1e-6)
        again = new.assign(animal="stranger")
        with pytest.raises(DataError, match="no row for 'stranger'"):
            fit.predict(again, new_levels="sample", interval="mean")


def test_the_inverse_of_a_pedigree_is_that_of_the_tabular_method():
    rows = pedigree(generations=5, size=12, seed=3)
    A = tabular(rows)
    found = bl.pedigree_inverse(rows)
    assert found.levels == tuple(A.index)
    assert sparse.issparse(found.matrix)
    np.testing.assert_allclose(found.matrix.toarray() @ A.to_numpy(), np.eye(len(A)), atol=1e-10)
    np.testing.assert_allclose(found.inbreeding, np.diag(A) - 1, atol=1e-12)
    assert (found.inbreeding > 0).sum() > 5
    shuffled = bl.pedigree_inverse(
        rows.sample(frac=1, random_state=1).rename(columns={"id": "name"}), id="name"
    )
    place = [shuffled.levels.index(level) for level in found.levels]
    np.testing.assert_allclose(
        shuffled.matrix.toarray()[np.ix_(place, place)], found.matrix.toarray(), atol=1e-12
    )


def test_selfing_and_numbers_as_names():
    rows = {"id": [3, 4, 5], "sire": [1.0, 3.0, 4.0], "dam": [np.nan, 3.0, 4.0]}
    found = bl.pedigree_inverse(rows)
    assert found.levels == ("3", "4", "5", "1")
    np.testing.assert_allclose(found.inbreeding, [0, 0.5, 0.75, 0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"id": list("ab"), "sire": ["b", "a"], "dam": [None, None]},
            "'a' its own ancestor: a < b",
        ),
        ({"id": list("aa"), "sire": [None] * 2, "dam": [None] * 2}, "several rows of 'a'"),
        ({"id": ["a", None], "sire": [None] * 2, "dam": [None] * 2}, "without a name in row 1"),
        ({"id": ["a"], "sire": [None]}, "no column 'dam'"),
    ],
)
def test_pedigrees_that_cannot_be(rows, message):
    with pytest.raises(DataError, match=message):
        bl.pedigree_inverse(rows)


ONES = np.ones((2, 2))
WRONG = {
    "no matrix": ((), {}, ArgumentError, "one of the two"),
    "no names": ((np.eye(2),), {}, ArgumentError, "no names of levels"),
    "names twice": ((np.eye(2),), {"levels": ["a", "a"]}, ArgumentError, "more than once: 'a'"),
    "too many names": (
        (np.eye(2),),
        {"levels": list("abc")},
        ArgumentError,
        "2 rows, and `levels`",
    ),
    "not square": ((np.ones((2, 3)),), {"levels": list("ab")}, ArgumentError, r"shape \(2, 3\)"),
    "asymmetric": (
        ([[1, 0.5], [0.4, 1]],),
        {"levels": list("ab")},
        ArgumentError,
        "differ by up to",
    ),
    "singular": ((ONES,), {"levels": list("ab")}, ArgumentError, "smallest eigenvalue"),
    "indefinite": (([[1, 2], [2, 1]],), {"levels": list("ab")}, ArgumentError, "eigenvalue is -1"),
    "sparse indefinite": (
        (),
        {"inverse": sparse.csc_array([[1.0, 2], [2, 1]]), "levels": list("ab")},
        ArgumentError,
        "eigenvalue is -1",
    ),
    "not finite": (([[1, np.nan], [np.nan, 1]],), {"levels": list("ab")}, ArgumentError, "finite"),
    "text": ((["a"],), {"levels": ["a"]}, ArgumentTypeError, "matrix of numbers, got list"),
    "complex": (([[1 + 1j]],), {"levels": ["a"]}, ArgumentTypeError, "got complex ones"),
    "other columns": (
        (pd.DataFrame(np.eye(2), list("ab"), list("ba")),),
        {},
        ArgumentError,
        "same levels in the same order",
    ),
    "levels again": (
        (pd.DataFrame(np.eye(2), list("ab"), list("ab")),),
        {"levels": list("ab")},
        ArgumentError,
        "leave `levels` out",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_relationship(case):
    args, kwargs, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        bl.Known(*args, **kwargs)


def test_levels_that_the_relationship_lacks_are_named():
    A = relationships()
    less = bl.Known(A.iloc[:30, :30])
    with pytest.raises(DataError, match=r"no row for \d+ of its \d+ levels: 'b2"):
        bl.Model("y ~ x + (1 | animal)", records(), G={"animal": less})
    with pytest.raises(ArgumentError, match="unknown grouping factor in `G` 'horse'"):
        bl.Model("y ~ x + (1 | animal)", records(), G={"horse": less})
    with pytest.raises(ArgumentError, match="give it alone"):
        bl.Model("y ~ x + (1 | animal)", records(), G={"animal": [less]})


def test_one_row_a_level():
    data = records().drop_duplicates("animal")
    names = list(data["animal"])
    A = relationships().loc[names, names]
    fit = bl.Model("y ~ 1 + (1 | animal)", data, G={"animal": bl.Known(A)}).fit("reml")
    assert fit.status.ok
    alike = 0.3 * np.ones(A.shape) + 0.7 * np.eye(len(A))
    for K in (np.eye(len(A)), alike):
        with pytest.raises(DesignError, match="animal"):
            bl.Model("y ~ 1 + (1 | animal)", data, G={"animal": bl.Known(K, levels=names)})


def test_the_posterior_density_has_the_likelihood_of_the_equations():
    for name in ("slopes", "R"):
        own = model(name)
        theta = some_theta(own, 4)
        value = own.equations.collapsed(theta, own.priors.beta_mean, own.priors.beta_precision)[0]
        Z, X, y = dense_Z(own), own.design.X, own.design.y
        V = Z @ dense_G(own, theta) @ Z.T + dense_R(own, theta)
        V += X @ np.linalg.inv(own.priors.beta_precision) @ X.T
        r = y - X @ own.priors.beta_mean
        expected = -0.5 * (
            np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r) + len(y) * np.log(2 * np.pi)
        )
        assert value == pytest.approx(expected, rel=1e-9)


def test_saved_fits_come_back(tmp_path):
    for inverse in (False, True):
        fit = model("slopes", inverse).fit("ml")
        fit.save(tmp_path / "fit.nc")
        again = bl.load(tmp_path / "fit.nc")
        pd.testing.assert_frame_equal(again.summary(), fit.summary())
        assert again.model.G["animal"].levels == fit.model.G["animal"].levels
        assert fit.update(formula="y ~ x + (1 | animal)").model.G["animal"].name == "Known"


def test_what_is_shown():
    own = model("slopes")
    text = repr(own)
    lacking = len(own.design.factor("animal").related.others)
    assert f"known, of {38 - lacking} levels" in text
    assert f"{lacking} more levels that it has are integrated out" in text
    assert "K is known" in str(own.describe())
    assert repr(own.G["animal"]).startswith("Known(38 levels: 'a0'")


def test_simulated_responses_have_the_covariance_of_the_model():
    own = model("intercept")
    fit = own.fit("reml")
    y = fit.simulate(4000, random_seed=1).to_numpy()
    Z = dense_Z(own)
    V = Z @ dense_G(own, fit.optimum.theta) @ Z.T + dense_R(own, fit.optimum.theta)
    found = np.cov(y.T)
    # the standard error of an element is about √((V_ii V_jj + V_ij²) / 4000)
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / 4000)
    assert np.sqrt(np.mean(((found - V) / error) ** 2)) < 1.5


@pytest.mark.parametrize("name", ["slopes", "crossed", "R"])
def test_kenward_roger_rests_on_the_derivatives_of_dense_algebra(name):
    own = model(name)
    fit, theta = own.fit("reml"), some_theta(own, 6)
    X, Z = own.design.X, dense_Z(own)
    changes = tangents(own.equations, fit.optimum, elements=True)
    directions = [(tangent.factor, tangent.change) for tangent in changes]
    V = Z @ dense_G(own, theta) @ Z.T + dense_R(own, theta)
    G = own.equations.covariances(own.equations.relative_factors(theta), theta[-1])

    def slopes_of_R(R):
        places = np.arange(len(theta))[-own.equations.residuals.n_parameters :]
        return np.array([slope(own.parameters, theta, i, R) for i in places])

    if own.R is None:
        M = own.equations.split_M(own.equations.relative_factors(theta))
        found = sensitivity(own.design, X, M, theta[-1], directions)
    else:
        found = structured_sensitivity(
            own.design, X, own.equations, theta, list(G.values()), directions, slopes_of_R
        )
    np.testing.assert_allclose(found.information, X.T @ np.linalg.solve(V, X), rtol=1e-8)
    levels = list(own.design.factor("animal").levels)
    K, q = relationships().loc[levels, levels].to_numpy(), len(own.design.factors[0].effects)
    for i, E in enumerate(E for f, E in directions if f == 0):
        V_i = Z[:, : len(K) * q] @ np.kron(K, E) @ Z[:, : len(K) * q].T
        VV_i = np.linalg.solve(V, V_i)
        VX = np.linalg.solve(V, X)
        np.testing.assert_allclose(found.P[i], VX.T @ V_i @ VX, rtol=1e-7)
        np.testing.assert_allclose(found.Q[i, i], VX.T @ V_i @ VV_i @ VX, rtol=1e-7)
        assert found.traces[i, i] == pytest.approx(np.sum(VV_i * VV_i.T), rel=1e-7)
    assert np.isfinite(fit.summary(df="kenward-roger")["df"].iloc[:2]).all()


def test_the_textbook_model_has_related_effects_and_a_program():
    own = model("permanent")
    full = own.full_pymc()
    point = random_point(full, 1)
    names = ("u_animal", "z_animal", "sd_animal", "corr_animal")
    shown = full.replace_rvs_by_values([full[name] for name in names])
    function = full.compile_fn([full.logp(), *shown], mode=python_mode())
    _, u, z, sd, corr = function(point)
    G = np.outer(sd, sd) * [[1, corr[0]], [corr[0], 1]]
    levels = list(own.design.factor("animal").levels)
    A = relationships()
    whitened = np.linalg.solve(np.linalg.cholesky(A.loc[levels, levels]), u)
    F = np.linalg.lstsq(z, whitened)[0]
    np.testing.assert_allclose(z @ F, whitened, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(F.T @ F, G, rtol=1e-9)
    scope = {"data": records(), "K_animal": A}
    exec(compile(own.code(), "program", "exec"), scope)
    densities = [m.compile_logp(mode=python_mode()) for m in (scope["model"], full)]
    found, expected = (float(density(point)) for density in densities)
    assert found == pytest.approx(expected, rel=1e-9)


def test_draws_are_those_of_related_effects():
    own = model("intercept")
    fit = own.fit("nuts", random_seed=1, chains=2, draws=1000, progress=False)
    reml = own.fit("reml")
    spread = reml.ranef()["std_error"].mean()
    assert np.abs(fit.ranef()["estimate"] - reml.ranef()["estimate"]).max() < spread
    # the mean over draws of the BLUPs given theta is that of the exact draws of u
    theta = fit.draws.theta.reshape(-1, 2)[::10]
    given = [own.equations.solve(own.equations.relative_factors(t))[1] for t in theta]
    error = fit.ranef()["std_error"].to_numpy() / np.sqrt(len(theta))
    difference = fit.ranef()["estimate"] - np.mean(given, axis=0)
    assert np.sqrt(np.mean((difference / error) ** 2)) < 1.5
    lacking = own.design.factor("animal").related.others
    new = pd.DataFrame({"animal": lacking, "x": 0.5})
    both = [f.predict(new, interval="mean") for f in (fit, reml)]
    np.testing.assert_allclose(*(b["estimate"] for b in both), atol=0.3)
    np.testing.assert_allclose(*(b["std_error"] for b in both), rtol=0.2)


@pytest.mark.parametrize("kind", ["residual", "cases"])
def test_what_needs_independent_levels_is_refused(kind):
    with pytest.raises(ArgumentError, match="use kind='parametric'"):
        model("intercept").fit("reml").bootstrap(10, kind=kind)


def test_a_program_for_reading_has_the_relationship():
    fit = model("intercept").fit("reml")
    G, sigma = fit.G().to_numpy(), fit.sigma
    system = bl.henderson(fit.model, G=G, R=sigma**2)
    np.testing.assert_allclose(system.solution["estimate"].iloc[:2], fit.beta, rtol=1e-6)
    found = system.solution["estimate"].iloc[2:]
    np.testing.assert_allclose(found, fit.ranef()["estimate"], atol=1e-6)


@pytest.mark.slow
def test_heritability_is_recovered():
    """An animal model of 2,000 animals in five generations, simulated from its pedigree."""
    rows = pedigree(founders=100, generations=5, size=380, seed=8)
    known = bl.Known(inverse=bl.pedigree_inverse(rows))
    rng = np.random.default_rng(2)
    place = {name: i for i, name in enumerate(rows["id"])}
    A = np.linalg.inv(known.given.toarray())
    u = np.linalg.cholesky(A) @ rng.standard_normal(len(A)) * np.sqrt(0.4)
    names = rows["id"][100:]
    data = pd.DataFrame({"animal": names, "sex": rng.choice(["f", "m"], len(names))})
    own = u[[place[name] for name in names]]
    data["y"] = 3 + (data["sex"] == "m") + own + rng.normal(0, np.sqrt(0.6), len(names))
    fit = bl.Model("y ~ sex + (1 | animal)", data, G={"animal": known}).fit("reml")
    theta = fit.varcorr()
    for (estimate, error), truth in zip(
        theta[["estimate", "std_error"]].to_numpy(), np.sqrt([0.4, 0.6]), strict=True
    ):
        assert abs(estimate - truth) < 3 * error
    assert np.corrcoef(fit.ranef()["estimate"], own[np.argsort(names)])[0, 1] > 0.6


def test_what_else_a_fit_offers():
    fit = model("intercept").fit("ml")
    name = "sd_animal[Intercept]"
    interval = fit.confint(method="profile", parameters=[name])
    assert interval.iloc[0]["lower"] < fit.theta[name] < interval.iloc[0]["upper"]
    assert len(fit.bootstrap(3, random_seed=1)["posterior"]["sigma"].to_numpy().ravel()) == 3
    assert fit.random_structures().shape[0] == 1
    assert np.isfinite(fit.caic)
