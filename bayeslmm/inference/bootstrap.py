"""The bootstrap: the sampling distribution of the estimates from refits to other data."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.design.variables import labelled
from bayeslmm.errors import ArgumentError, BayeslmmError, ConvergenceWarning
from bayeslmm.estimation.likelihood.refit import Refit, refit, start_of
from bayeslmm.inference.resampling import Cases, Parametric, Residual
from bayeslmm.specification import require_nothing_held
from bayeslmm.support.arguments import GREATEST_SEED, one_of, whole_number
from bayeslmm.support.lapack import blas_threads
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xarray import DataTree

    from bayeslmm.equations.equations import Equations
    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.support.arrays import Array

__all__ = ["bootstrap"]

_KINDS: dict[str, type[Parametric | Residual | Cases]] = {
    "parametric": Parametric,
    "residual": Residual,
    "cases": Cases,
}
_WORTH = 8.0
"""Seconds of work for which processes are worth starting."""
_BATCH = 25
_OVERHEAD = 128
"""Numbers of the size of what a refit takes beside its estimates, such as its random numbers."""
_ESTIMATES = ("beta", "theta")


def bootstrap(
    solution: LikelihoodSolution,
    n: int,
    kind: Literal["parametric", "residual", "cases"],
    random_seed: int | None,
    jobs: int | None,
) -> DataTree:
    """Refit a model to other data; see `LikelihoodFit.bootstrap`."""
    n = whole_number("n", n)
    resampled = one_of("kind of bootstrap", kind, _KINDS)
    if random_seed is not None:
        random_seed = whole_number("random_seed", random_seed, 0, GREATEST_SEED)
    if jobs is not None:
        jobs = whole_number("jobs", jobs)
    if not solution.status.ok:
        raise ArgumentError(
            f"there is no estimate of {solution.model.formula} to bootstrap: "
            f"{solution.status.value}."
        )
    require_nothing_held(solution.model, "the bootstrap", "use fit('nuts') for intervals")
    require_memory(
        n * (_OVERHEAD + len(solution.optimum.theta) + solution.model.equations.p),
        f"n={n} refits",
        "ask for fewer; 1,000 are enough for intervals",
    )
    resample = _KINDS[resampled].of(solution)
    began = time.perf_counter()
    seeds = np.random.SeedSequence(random_seed).spawn(n)
    order = solution.model.equations.root_order
    with blas_threads(order):
        start = start_of(solution.model.equations, solution.method)
    found = _run(partial(_refits, resample, solution.method, start, order), seeds, jobs)
    good = [one for one in found if isinstance(one, Refit)]
    failures = Counter(one for one in found if isinstance(one, str))
    _say(failures, n)
    attributes = {
        "kind": resampled,
        "method": solution.method,
        "formula": solution.model.formula,
        "n_failed": n - len(good),
        "n_singular": sum(one.singular for one in good),
        "seconds": time.perf_counter() - began,
    }
    if random_seed is not None:
        attributes["random_seed"] = str(random_seed)
    return _tree(solution, good, attributes)


def _run(
    refits: Callable[[Sequence[np.random.SeedSequence]], list[Refit | str]],
    seeds: Sequence[np.random.SeedSequence],
    jobs: int | None,
) -> list[Refit | str]:
    """The refits, in this process or in several; the same whichever it is."""
    found: list[Refit | str] = []
    batches = [seeds[at : at + _BATCH] for at in range(0, len(seeds), _BATCH)]
    with _progress(len(seeds)) as advance:
        began = time.perf_counter()
        while batches and jobs in (None, 1):
            found += refits(batches.pop(0))
            advance(len(found))
            left = (time.perf_counter() - began) * (len(seeds) / len(found) - 1)
            if jobs is None and left > _WORTH and (os.cpu_count() or 1) > 1:
                break
        if batches:
            from joblib import Parallel, delayed

            work = (delayed(refits)(own) for own in batches)
            for own in Parallel(n_jobs=jobs or -1, return_as="generator")(work):
                found += own
                advance(len(found))
    return found


def _refits(
    resample: Callable[[np.random.Generator], Equations],
    method: Literal["reml", "ml"],
    start: Array,
    order: int,
    seeds: Sequence[np.random.SeedSequence],
) -> list[Refit | str]:
    out: list[Refit | str] = []
    with blas_threads(order):
        for seed in seeds:
            try:
                equations = resample(np.random.default_rng(seed))
            except BayeslmmError as error:
                out.append(str(error))
                continue
            out.append(refit(equations, method, start))
    return out


@contextmanager
def _progress(n: int) -> Iterator[Callable[[int], None]]:
    """What shows how many refits are done: a bar on a terminal, otherwise nothing."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("bootstrap", total=n)
        yield lambda done: bar.update(task, completed=done)


def _say(failures: Counter[str], n: int) -> None:
    """Warn of refits without estimates, and say why; an error if there is no other."""
    if not failures:
        return
    reasons = "; ".join(f"{count} × {reason}" for reason, count in failures.most_common(3))
    message = f"{failures.total()} of {n} refits have no estimates: {reasons}"
    if failures.total() == n:
        raise ArgumentError(f"{message}. Simplify the model, or use another kind of bootstrap.")
    warnings.warn(f"{message}. The draws are those of the others", ConvergenceWarning, stacklevel=4)


def _tree(
    solution: LikelihoodSolution, good: list[Refit], attributes: dict[str, object]
) -> DataTree:
    """The estimates as ArviZ takes draws: one chain."""
    import xarray as xr

    beta, theta = (np.stack([getattr(one, name) for one in good])[None] for name in _ESTIMATES)
    values, dims, coords = labelled(
        solution.model.parameters, solution.model.design.coef, beta, theta
    )
    variables = {
        name: (("chain", "draw", *dims.get(name, ())), value) for name, value in values.items()
    }
    coords |= {"chain": [0], "draw": np.arange(len(good))}
    draws = xr.Dataset(variables, coords=coords, attrs=attributes)
    return xr.DataTree.from_dict({"posterior": draws})
