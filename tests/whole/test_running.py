"""The library in threads, other processes, event loops, and strict or poor settings."""

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache

import numpy as np
import psutil
import pytest

import bayeslmm as bl
from bayeslmm.support import memory

FORMULA = "Reaction ~ Days + (Days | Subject)"


@cache
def sleep():
    return bl.Model(FORMULA, bl.load_dataset("sleepstudy"))


def estimates(seed):
    """REML estimates of one of many responses, in which each seed has its own."""
    fit = sleep().fit("reml")
    y = fit.simulate(1, random_seed=seed).iloc[0]
    return fit.refit(y.to_numpy()).theta.to_numpy()


def sampled(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        fit = sleep().fit(
            "nuts", random_seed=seed, draws=20, tune=50, chains=2, cores=1, progress=False
        )
    return fit.draws.theta


def test_threads_that_fit_at_once_find_what_one_finds():
    expected = [estimates(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(estimates, range(8)))
    np.testing.assert_array_equal(found, expected)


# pytest's filters of warnings are of one thread, in which the library ignores its own
@pytest.mark.filterwarnings("ignore::bayeslmm.ConvergenceWarning")
def test_threads_that_sample_at_once_draw_what_one_draws():
    expected = [sampled(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(sampled, (1, 2)))
    np.testing.assert_array_equal(found, expected)


def test_threads_load_and_save_at_once(tmp_path):
    fit = sleep().fit("reml")

    def through_file(number):
        fit.save(tmp_path / f"{number % 2}.nc")
        return bl.load(tmp_path / f"{number % 2}.nc").theta.to_numpy()

    with ThreadPoolExecutor(4) as pool:
        for theta in pool.map(through_file, range(12)):
            np.testing.assert_array_equal(theta, fit.theta)
    assert {file.name for file in tmp_path.iterdir()} == {"0.nc", "1.nc"}


def test_fits_in_an_event_loop():
    async def fits():
        here = sleep().fit("reml").theta.to_numpy()
        others = await asyncio.gather(*(asyncio.to_thread(estimates, seed) for seed in range(3)))
        return here, others, await asyncio.to_thread(sampled, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        here, others, draws = asyncio.run(fits())
    np.testing.assert_array_equal(here, sleep().fit("reml").theta)
    np.testing.assert_array_equal(others, [estimates(seed) for seed in range(3)])
    assert draws.shape == (2, 20, 4)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # that threads are not copied
def test_a_forked_process_fits_what_its_parent_fits():
    expected = [estimates(1), estimates(2)]
    sampled(1)  # whose threads a child does not have
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        np.testing.assert_array_equal(list(pool.map(estimates, (1, 2))), expected)


SPAWNED = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import bayeslmm as bl

def theta(name):
    return bl.load(name).refit(range(30)).theta.round(6).to_dict()

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        print(*pool.map(theta, 2 * [sys.argv[1]]), sep="\\n")
"""


def test_two_spawned_processes_that_start_at_once(tmp_path):
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    fit.save(tmp_path / "fit.nc")
    (tmp_path / "spawned.py").write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "spawned.py"), str(tmp_path / "fit.nc")],
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    expected = str(fit.refit(range(30)).theta.round(6).to_dict())
    assert done.stdout.splitlines() == [expected, expected]


STRICT = """
import sys
import bayeslmm as bl
model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
fit = model.fit("reml")
print(fit)
print(fit.diagnose(), model.describe(), fit.anova(), sep="\\n")
fit.save(sys.argv[1])
print(bl.load(sys.argv[1]).theta.equals(fit.theta))
try:
    model.fit("nuts")
except bl.ArgumentError as error:
    print(error)
"""


def test_strict_python_in_a_poor_environment(tmp_path):
    """Warnings are errors, assertions and docstrings are away, text is ASCII, and neither the home
    nor a folder for caches can be written.
    """
    nowhere = "/dev/null/nowhere" if os.path.exists("/dev/null") else str(tmp_path / "no" / "where")
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("LC_", "XDG_"))},
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:backslashreplace",
        "PYTHONOPTIMIZE": "2",
        "HOME": nowhere,
        "XDG_CACHE_HOME": nowhere,
        "XDG_CONFIG_HOME": nowhere,
        "MPLCONFIGDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STRICT, str(tmp_path / "fit.nc")],
        capture_output=True,
        text=True,
        env=env,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert "Linear mixed model fit by REML" in done.stdout
    *_, equal, refused = done.stdout.splitlines()
    assert equal == "True"
    assert "draws cannot be summarised without docstrings" in refused


def test_refits_leave_nothing_behind():
    fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    process = psutil.Process()
    y = fit.simulate(1, random_seed=1).iloc[0].to_numpy()

    def refits(n):
        for _ in range(n):
            fit.refit(y)
        gc.collect()
        return process.memory_info().rss, process.num_fds(), threading.active_count()

    before, after = refits(100), refits(500)
    assert after[1:] == before[1:]
    assert after[0] - before[0] < 20e6


@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.5])
def test_interrupted_anywhere_the_next_fit_is_what_it_was(after):
    expected = sleep().fit("reml").theta
    done = threading.Event()

    def interrupt():
        time.sleep(after)
        if not done.is_set():
            signal.raise_signal(signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    try:
        interrupter.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bl.BayeslmmWarning)
            sleep().fit("reml")
            sleep().fit("nuts", random_seed=1, draws=100_000, chains=2, progress=False)
        done.set()
        interrupter.join()
    except (KeyboardInterrupt, SystemError):
        pass  # the latter where Numba's dispatcher was at work, which wraps the interruption
    interrupter.join()
    np.testing.assert_array_equal(sleep().fit("reml").theta, expected)
    np.testing.assert_array_equal(sampled(3), sampled(3))


# -- memory ---------------------------------------------------------------------------------------

TOO_MUCH = {
    "draws": lambda: sleep().fit("nuts", draws=10**9),
    "tune": lambda: sleep().fit("nuts", tune=10**12),
    "chains": lambda: sleep().fit("nuts", chains=10**9),
    "textbook model": lambda: sleep().fit("nuts", draws=10**9, collapse=False),
    "pymc": lambda: sleep().fit("nuts", draws=10**30, sampler="pymc"),
    "simulations": lambda: sleep().fit("reml").simulate(10**9),
    "simulations of draws": lambda: sleep().fit("reml").simulate(10**40),
    "prior predictive": lambda: sleep().prior_predictive(10**9),
    "plot of it": lambda: sleep().plot.prior_predictive(10**9),
    "bootstrap": lambda: sleep().fit("reml").bootstrap(10**10),
    "intervals": lambda: sleep().fit("reml").confint("bootstrap", n=10**10),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_does_not_fit_into_memory_is_refused(name):
    with pytest.raises(bl.ArgumentError, match=r"would need about .* GB of memory, and .* GB are"):
        TOO_MUCH[name]()


def test_estimate_of_memory_is_that_of_the_arrays(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2e6)
    # 1,000 rows of 180 numbers of 8 bytes are 1.4 MB, a few times over while they are made
    with pytest.raises(bl.ArgumentError, match=r"n=1000 simulations of 180 rows would need about"):
        sleep().fit("reml").simulate(1000)
    assert sleep().fit("reml").simulate(100, random_seed=1).shape == (100, 180)


@pytest.mark.parametrize("limit", ["max", "123456"])
def test_free_memory_is_that_of_the_container(limit, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(memory, "_LIMIT", tmp_path / "memory.max")
    if limit == "max":
        assert memory.free_memory() > 2**27
    else:
        assert memory.free_memory() == 123456
