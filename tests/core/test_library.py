"""The compiled core: statuses in place of crashes, threads, processes, and what a build lacks."""

import ast
import copy
import pickle
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.core import library as native
from bayeslmm.equations import kernels
from bayeslmm.estimation.posterior.density import Density

SLOPES = "Reaction ~ Days + (Days | Subject)"
THETA = np.array([25.0, 6.0, 0.1, 25.0])


@pytest.fixture(scope="module")
def model():
    return bl.Model(SLOPES, bl.load_dataset("sleepstudy"))


@pytest.mark.parametrize("where", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, -1.0])
def test_no_number_crashes(model, where, value):
    theta = THETA.copy()
    theta[where] = value
    for method in ("reml", "ml"):
        found, gradient = model.equations.loglik(theta, method)
        assert not found > 0
        assert len(gradient) == 4
    M = np.full(4, value)
    value, *_ = model.equations.profiled(M, "reml")
    assert value != -np.inf
    beta, u = model.equations.solve(M)
    assert beta.shape == (2,)
    assert u.shape == (36,)


def test_what_is_not_defined_comes_back_as_such(model):
    equations = model.equations
    value, gradient = equations.loglik(np.array([25.0, 6.0, 1.5, 25.0]))
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, 0)
    value, dM, sigma2, *_ = equations.profiled(np.full(4, np.nan), "reml")
    assert value == np.inf
    assert np.isnan(sigma2)
    np.testing.assert_array_equal(dM, 0)
    assert np.isnan(equations.solve(np.full(4, np.nan))[0]).all()
    density = Density.of(equations, model.priors)
    assert density(np.full(4, np.nan))[0] == -np.inf


def test_more_memory_than_there_is_raises():
    impossible = native.function("lbfgs_direction", "aiaaia")
    with pytest.raises(MemoryError, match="no memory left"):
        impossible(0, 0, 0, 0, 2**60, 0)


def at_many(equations, thetas):
    return [equations.loglik(theta) for theta in thetas]


def thetas_near(n=200):
    rng = np.random.default_rng(1)
    return THETA * np.exp(0.1 * rng.normal(size=(n, 4)))


def assert_same(found, expected):
    for (one, slope_one), (two, slope_two) in zip(found, expected, strict=True):
        assert one == two
        np.testing.assert_array_equal(slope_one, slope_two)


def test_threads_give_the_same_numbers(model):
    thetas = thetas_near()
    expected = at_many(model.equations, thetas)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: at_many(model.equations, thetas), range(8)):
            assert_same(found, expected)


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_processes_give_the_same_numbers(model, start):
    thetas = thetas_near(20)
    expected = at_many(model.equations, thetas)
    with ProcessPoolExecutor(1, mp_context=get_context(start)) as pool:
        found = pool.submit(at_many, model.equations, thetas).result()
    assert_same(found, expected)


def test_addresses_are_not_copied_or_pickled(model):
    equations = model.equations
    assert equations.packed.handle
    density = Density.of(equations, model.priors)
    value, gradient = density(np.zeros(4))
    for other in (
        copy.deepcopy(equations.packed),
        pickle.loads(pickle.dumps(equations.packed)),
    ):
        assert other.handle != equations.packed.handle
        flat = np.zeros(2), np.zeros((2, 2))
        again = kernels.loglik(THETA, kernels.REML, *flat, other)
        assert again[0] == equations.loglik(THETA)[0]
    moved = pickle.loads(pickle.dumps(density))
    assert moved(np.zeros(4))[0] == value
    np.testing.assert_array_equal(moved(np.zeros(4))[1], gradient)


def test_a_missing_library_says_what_to_do(tmp_path):
    source = Path(native.__file__).read_text(encoding="utf-8")
    (tmp_path / "native.py").write_text(source, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", "import native"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode
    assert "is missing or is that of another platform" in run.stderr
    assert "uv sync --reinstall-package bayeslmm" in run.stderr


def test_codes_are_those_of_the_core():
    """Integers that both sides have, by their names there."""
    from bayeslmm.covariance.correlations import base
    from bayeslmm.covariance.correlations.known import KnownCorrelation
    from bayeslmm.covariance.correlations.registry import STRUCTURES
    from bayeslmm.priors.base import PriorCode

    sources = Path(native.__file__).parent

    def of(path, name):
        text = (sources / path).read_text(encoding="utf-8")
        body = text.split(f"enum {name}")[1].split("{")[1].split("}")[0]
        lines = [line.split("//")[0] for line in body.splitlines()]
        entries = [entry.strip() for entry in "".join(lines).split(",") if entry.strip()]
        return [entry for entry in entries if "=" not in entry or entry[-1].isdigit()]

    registry = (sources / "covariance/correlations/registry.h").read_text(encoding="utf-8")
    listed = registry.split("using Structures = StructureList<")[1].split(">")[0]
    structures = [line.split("//")[0].strip(" ,") for line in listed.splitlines()]
    structures = [name for name in structures if name]
    sizes = re.search(r"KINDS = (\d+), SIZES = (\d+)", registry)
    assert tuple(map(int, sizes.groups())) == (base._KINDS, base._SIZES)
    own = {type(cls.of_call().correlation) for cls in STRUCTURES.values()}
    own |= {KnownCorrelation, type(bl.Matern(smoothness=2.5).correlation)}
    assert {cls.__name__: cls.kind for cls in own} == {n: i for i, n in enumerate(structures)}
    assert of("priors/registry.h", "PriorCode") == [code.name for code in PriorCode]
    assert [code.value for code in PriorCode] == list(range(len(PriorCode)))
    ways = of("equations/whitening/whitening.h", "Whitening")
    assert ways == [way.name for way in base.Whitening]
    statuses = of("support/interface.h", "Status")
    for entry in statuses:
        name, value = entry.split("=")
        assert native.Status[name.strip()] == ast.literal_eval(value.strip())
