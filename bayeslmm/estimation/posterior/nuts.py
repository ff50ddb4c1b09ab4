"""Sampling theta by NUTS, then beta and u exactly.

nutpie samples the density of theta (`density`) in coordinates in which it is about standard normal
(`mode`), so that little is left for the warm-up to learn. It calls the compiled density through its
C interface, without Python in between, so that chains run in parallel.
"""

from __future__ import annotations

import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib import import_module
from os import cpu_count
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from bayeslmm.equations import kernels
from bayeslmm.errors import InterruptedWarning
from bayeslmm.estimation.posterior.density import callbacks
from bayeslmm.estimation.posterior.mode import standardise
from bayeslmm.estimation.posterior.sampled_coefficients import SampledCoefficients
from bayeslmm.support.announce import announced
from bayeslmm.support.arguments import GREATEST_SEED, real_number, truth_value, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pymc as pm

    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = [
    "PYMC_TARGET",
    "TARGETS",
    "Draws",
    "Settings",
    "draw_coefficients",
    "sample_collapsed",
    "sample_model",
]

# nutpie's name: ArviZ's name
_STATS = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
    "logp": "lp",
    "energy": "energy",
}
TARGETS = (0.7, 0.9, 0.98)
"""Acceptance probabilities to aim at, one after the other until nothing diverges. In coordinates in
which the posterior is about standard normal, 0.7 costs the fewest gradients for an effective draw;
where it is not, a divergence shows it, and 0.9 and 0.98 make steps about a half and a quarter as
long. Beyond that steps get short faster than posteriors that still diverge get better."""
PYMC_TARGET = 0.9
"""For a ``pm.Model``: its coordinates are further from normal, and there is no second try."""
_IMPORTING = Lock()
"""Of two threads that sample first at once, one imports nutpie."""
_COMPILES = (
    "bayeslmm: PyTensor is compiling the pm.Model, which takes ten seconds to two minutes. "
    '`fit("nuts")` without `sampler` and `collapse` compiles nothing.'
)
_CHUNK = 250
"""Draws of (beta, u) made at once; not of the cores, so that a seed means the same anywhere."""


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Attributes
    ----------
    draws, tune : int
        Draws kept and warm-up draws, of each chain.
    chains : int
    seed : int
    cores : int, optional
        Chains that run at once; all cores unless given.
    target_accept : float, optional
        The acceptance probability that the step size aims at, in (0, 1). Unless given, the first
        of 0.7, 0.9 and 0.98 with which there are no divergences; 0.9 for a ``pm.Model``.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal and in a notebook.
    """

    draws: int = 1000
    tune: int = 200
    chains: int = 4
    seed: int = field(default_factory=lambda: int(np.random.SeedSequence().generate_state(1)[0]))
    cores: int | None = None
    target_accept: float | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            name: whole_number(name, getattr(self, name)) for name in ("draws", "tune", "chains")
        }
        checked["seed"] = whole_number("random_seed", self.seed, 0, GREATEST_SEED)
        if self.cores is not None:
            checked["cores"] = whole_number("cores", self.cores)
        if self.target_accept is not None:
            checked["target_accept"] = real_number("target_accept", self.target_accept, 0, 1)
        if self.progress is not None:
            checked["progress"] = truth_value("progress", self.progress)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def parallel(self) -> int:
        """Chains that run at once."""
        return min(self.cores or cpu_count() or 1, self.chains)


@dataclass(frozen=True, eq=False)
class Draws:
    """What a sampler has drawn.

    Attributes
    ----------
    theta : (chain, draw, k) array
    beta : (chain, draw, p) array
    u : (chain, draw, n_random) array
        Random effects: by factor, within it by level, within it by effect.
    stats : dict of (chain, draw) arrays
        Statistics of the sampler under ArviZ's names. ``lp`` leaves out constants.
    settings : Settings
        What was asked for, with the target_accept that was used. Fewer draws or chains than that
        mean that sampling was interrupted.
    sampler : str
        The package that sampled, with its version.
    seconds : float
        What sampling took, with the mode and the draws of beta and u, and the compilation of a
        ``pm.Model``; not that of the first run on a machine.
    """

    theta: np.ndarray
    beta: np.ndarray
    u: np.ndarray
    stats: dict[str, np.ndarray]
    settings: Settings
    sampler: str
    seconds: float

    def __repr__(self) -> str:
        chains, draws, k = self.theta.shape
        sizes = f"{k} of theta, {self.beta.shape[-1]} of beta, {self.u.shape[-1]} of u"
        return f"Draws by {self.sampler}: {chains} chains of {draws}; {sizes}"


def sample_collapsed(
    equations: Equations,
    priors: PriorTable,
    settings: Settings,
    start: np.ndarray | None = None,
) -> Draws:
    """Sample the collapsed posterior with nutpie.

    Parameters
    ----------
    equations : Equations
    priors : PriorTable
    settings : Settings
    start : (k,) array, optional
        Where to look for the posterior mode, such as the REML estimate of theta.

    Returns
    -------
    Draws

    Warns
    -----
    InterruptedWarning
        When Ctrl-C ended sampling; the draws made until then are returned.
    """
    began = time.perf_counter()
    density = standardise(equations, priors, start)
    nutpie = _nutpie()
    k, dim, length = len(equations.parameters), density.dim, len(density.location)
    if dim == 0:
        return _all_held(equations, priors, density.theta(np.empty(0)), settings, began)
    evaluate, expand = callbacks()
    compiled = nutpie.compile_pymc.CompiledPyMCModel(
        dims={},
        compiled_logp_func=evaluate,
        compiled_expand_func=expand,
        initial_point_func=lambda seed: np.random.default_rng(seed).standard_normal(dim),
        shared_data={},
        shared_var_keys={},
        user_data=density.data,
        n_expanded=length,
        shape_info=(["expanded"], [slice(0, length)], [(length,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=dim,
        _shapes={"expanded": (length,)},
        _coords={},
    )
    with threadpool_limits(1, "blas"):
        for target in (settings.target_accept,) if settings.target_accept else TARGETS:
            used = replace(settings, target_accept=target)
            variables, stats = _run_nutpie(nutpie, compiled, used)
            theta = priors.with_held(variables["expanded"][..., :k])
            vectors = variables["expanded"][..., k:]
            interrupted = theta.shape[:2] != (settings.chains, settings.draws)
            if interrupted or not stats["diverging"].any():
                break
        beta, u = draw_coefficients(equations, priors, theta, settings, vectors)
    sampler = f"nutpie {nutpie.__version__}"
    return Draws(theta, beta, u, stats, used, sampler, time.perf_counter() - began)


def _all_held(
    equations: Equations, priors: PriorTable, theta: np.ndarray, settings: Settings, began: float
) -> Draws:
    """Draws of beta and u alone, where every covariance parameter is held."""
    shape = (settings.chains, settings.draws)
    thetas = np.tile(priors.with_held(theta), (*shape, 1))
    beta, u = draw_coefficients(equations, priors, thetas, settings)
    stats = {"diverging": np.zeros(shape, dtype=bool)}
    sampler = "exact draws, as every covariance parameter is held"
    return Draws(thetas, beta, u, stats, settings, sampler, time.perf_counter() - began)


def draw_coefficients(
    equations: Equations,
    priors: PriorTable,
    theta: np.ndarray,
    settings: Settings,
    vectors: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw beta and u exactly from their distribution given theta and the data.

    Parameters
    ----------
    equations : Equations
    priors : PriorTable
    theta : (chain, draw, k) array
    settings : Settings
        Its seed and cores are used.
    vectors : (chain, draw, m) array, optional
        What `SampledCoefficients.means` takes, of those that are sampled beside theta.

    Returns
    -------
    beta : (chain, draw, p) array
    u : (chain, draw, n_random) array
    """
    thetas = np.ascontiguousarray(theta.reshape(-1, theta.shape[-1]))
    beta = np.empty((len(thetas), equations.p))
    u = np.empty((len(thetas), equations.n_random))
    sampled = SampledCoefficients.of(equations, priors)
    means = np.broadcast_to(priors.beta_mean, beta.shape)
    if vectors is not None and vectors.size:
        means = sampled.means(priors.beta_mean, vectors.reshape(len(thetas), -1))
    starts = range(0, len(thetas), _CHUNK)
    # a stream of its own beside the sampler's
    seeds = np.random.SeedSequence([settings.seed, 1]).spawn(len(starts))

    def fill(at: int, seed: np.random.SeedSequence) -> None:
        rows = slice(at, at + _CHUNK)
        z = np.random.default_rng(seed).standard_normal(
            (len(thetas[rows]), equations.p + equations.n_random)
        )
        beta[rows], u[rows] = kernels.draw_coefficients(
            thetas[rows], means[rows], sampled.precision, z, equations.packed
        )

    with ThreadPoolExecutor(settings.cores or cpu_count()) as pool:
        list(pool.map(fill, starts, seeds))
    return beta.reshape(*theta.shape[:-1], -1), u.reshape(*theta.shape[:-1], -1)


def sample_model(
    model: pm.Model,
    settings: Settings,
    sampler: Literal["nutpie", "pymc"] = "nutpie",
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Sample a ``pm.Model`` as it stands, compiling it first.

    Parameters
    ----------
    model : pm.Model
    settings : Settings
    sampler : {"nutpie", "pymc"}

    Returns
    -------
    variables : dict of (chain, draw, ...) arrays
    stats : dict of (chain, draw) arrays
    sampler : str
        The package that sampled, with its version.
    """
    if sampler == "nutpie":
        nutpie = _nutpie()
        with announced(_COMPILES):
            compiled = nutpie.compile_pymc_model(model)
        return *_run_nutpie(nutpie, compiled, settings), f"nutpie {nutpie.__version__}"
    import pymc as pm

    tree = pm.sample(
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.parallel,
        random_seed=settings.seed,
        target_accept=settings.target_accept,
        progressbar=_progress(settings),
        nuts_sampler="pymc",
        compute_convergence_checks=False,
        quiet=not _progress(settings),
        model=model,
    )
    variables = {name: array.to_numpy() for name, array in tree["posterior"].data_vars.items()}
    stats = {
        name: array.to_numpy()
        for name, array in tree["sample_stats"].data_vars.items()
        if name in _STATS.values()
    }
    chains, length = next(iter(variables.values())).shape[:2]
    if (chains, length) != (settings.chains, settings.draws):
        _warn_interrupted(chains, length, settings)
    return variables, stats, f"pymc {pm.__version__}"


def _nutpie() -> ModuleType:
    """Import nutpie without ArviZ: seconds, for what it needs only to make a DataTree."""
    with _IMPORTING:
        if "nutpie" not in sys.modules and "arviz" not in sys.modules:
            late = ModuleType("arviz")
            vars(late)["__getattr__"] = lambda name: getattr(import_module("arviz"), name)
            sys.modules["arviz"] = late
            try:
                import_module("nutpie")
            finally:
                del sys.modules["arviz"]
    return import_module("nutpie")


def _progress(settings: Settings) -> bool:
    if settings.progress is not None:
        return settings.progress
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _run_nutpie(
    nutpie: ModuleType, compiled: Any, settings: Settings
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    sampler = nutpie.sample(
        compiled,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.parallel,
        seed=settings.seed,
        target_accept=settings.target_accept,
        progress_bar=_progress(settings),
        return_raw_trace=True,
        blocking=False,
    )
    interrupted = False
    try:
        trace = sampler.wait()
    except KeyboardInterrupt:
        interrupted = True
        trace = sampler.abort()
    except BaseException:
        sampler.cancel()
        raise
    batches, stat_batches = trace.get_arrow_trace()
    kept = [~_column(stats, "tuning") for stats in stat_batches]
    chains, length = _longest([int(keep.sum()) for keep in kept])
    if not chains or not length:
        raise KeyboardInterrupt("sampling was stopped before the first draw after the warm-up")
    if interrupted:
        _warn_interrupted(len(chains), length, settings)

    def stacked(source: Sequence[Any], name: str) -> np.ndarray:
        return np.stack([_column(source[i], name)[kept[i]][:length] for i in chains])

    variables = {name: stacked(batches, name) for name in batches[0].schema.names}
    stats = {theirs: stacked(stat_batches, ours) for ours, theirs in _STATS.items()}
    return variables, stats


def _longest(lengths: list[int]) -> tuple[list[int], int]:
    """The chains to keep, and how many draws of each, so that together they are most."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    best = max(range(len(order)), key=lambda i: (i + 1) * lengths[order[i]], default=-1)
    return sorted(order[: best + 1]), lengths[order[best]] if order else 0


def _column(batch: Any, name: str) -> np.ndarray:
    """A column of an Arrow batch with the shape that nutpie has noted for its elements."""
    import pyarrow as pa

    column = batch.column(name)
    shape: Mapping[bytes, bytes] = column.field.metadata or {}
    array = pa.array(column)
    if pa.types.is_nested(array.type):
        array = array.flatten()
    sizes = [int(size) for size in shape.get(b"shape", b"").decode().split(",") if size]
    return array.to_numpy(zero_copy_only=False).reshape(batch.num_rows, *sizes)


def _warn_interrupted(chains: int, draws: int, settings: Settings) -> None:
    warnings.warn(
        f"sampling was interrupted: {draws} of {settings.draws} draws of {chains} of "
        f"{settings.chains} chains are returned. Check `summary()`'s ess_bulk before using them.",
        InterruptedWarning,
        stacklevel=4,
    )
