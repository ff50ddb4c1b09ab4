"""Fits in files: netCDF-4 that other programs can open too, and that loading never executes.

A file holds the columns that the model uses, the formula as text, the priors by family and numbers,
and what was estimated: group ``posterior`` and its companions as ArviZ knows them, or the optimum
of a likelihood. Loading compiles the model anew from formula and columns, evaluates it where the
fit left off, and refuses the file when the value is not the one that was stored.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import xarray as xr

from bayeslmm import __version__
from bayeslmm.covariance.known import Known
from bayeslmm.design.bars import structures_beside
from bayeslmm.errors import ArgumentTypeError, DesignWarning, FileError
from bayeslmm.estimation.optimum import Optimum, Status, Step
from bayeslmm.formula.terms import MAX_COLUMNS
from bayeslmm.priors.families import FAMILIES, Prior
from bayeslmm.solutions.point import LikelihoodSolution, MapSolution, PointSolution
from bayeslmm.specification import Specification
from bayeslmm.storage.checks import check_draws, check_optimum, check_shapes
from bayeslmm.storage.file import (
    DATA,
    FIT,
    FORMAT,
    MODEL,
    as_path,
    checksum,
    plain_number,
    quoted,
    read_tree,
    write_tree,
)
from bayeslmm.storage.frame import frame_from_dataset, frame_to_dataset
from bayeslmm.storage.structures import (
    relationship_arrays,
    relationship_from_plain,
    relationship_to_plain,
    structure_from_plain,
    structure_to_plain,
)

if TYPE_CHECKING:
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.priors.table import PriorTable
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.posterior import PosteriorSolution

__all__ = ["load", "save"]

_LABELS = ("integer", "floating", "boolean", "string", "datetime64", "empty")
"""Kinds of row labels that netCDF has."""
_TOLERANCE = 1e-8
"""How far a log-likelihood may differ on another machine: per row, and relative to itself."""


def save(solution: Solution, path: str | os.PathLike[str]) -> None:
    """Write a fit to a file.

    Parameters
    ----------
    solution : Solution
    path : path
        Usually ending in ``.nc``. A file of that name is replaced once the new one is complete.

    Raises
    ------
    ArgumentTypeError
        If `solution` is not a fit, or `path` is not a path.
    FileError
        If the file cannot be written there, or the data hold what it cannot hold.

    Notes
    -----
    The file contains the rows of data that the model uses. One from NUTS opens with
    ``arviz.from_netcdf``.
    """
    from bayeslmm.solutions.posterior import PosteriorSolution

    target = as_path(path)
    if isinstance(solution, LikelihoodSolution | MapSolution):
        kind, tree = "likelihood", {FIT: _optimum_dataset(solution.optimum)}
        tree[MODEL] = _model_dataset(solution)
    elif isinstance(solution, PosteriorSolution):
        kind, tree = "posterior", _posterior_datasets(solution)
        tree[MODEL] = _model_dataset(solution)
    else:
        raise ArgumentTypeError(
            f"what is saved is a fit, as model.fit(...) returns it, not {type(solution).__name__}."
        )
    tree[DATA] = frame_to_dataset(solution.model.data)
    attributes = {
        "bayeslmm_format": FORMAT,
        "bayeslmm_version": __version__,
        "bayeslmm_kind": kind,
        "bayeslmm_checksum": checksum(tree),
        "formula": solution.model.formula,
    }
    tree["/"] = xr.Dataset(attrs=attributes)
    write_tree(xr.DataTree.from_dict(tree), target)


def load(path: str | os.PathLike[str], make: type[Specification] = Specification) -> Solution:
    """Read a solution from a file that `save` has written; see `bayeslmm.load`.

    Parameters
    ----------
    path : path
    make : type
        What the model is made as: a `Specification`, or a class derived from it.

    Returns
    -------
    Solution
    """
    source = as_path(path)
    tree = read_tree(source)
    try:
        model = _restored_model(tree, make)
        if tree.attrs["bayeslmm_kind"] == "posterior":
            fit: LikelihoodSolution | MapSolution | PosteriorSolution = _restored_posterior(
                model, tree
            )
        else:
            optimum = _restored_optimum(tree[FIT].dataset)
            check_shapes(model, optimum)
            fit = (MapSolution if optimum.method == "map" else LikelihoodSolution)(model, optimum)
        stored = float(tree[MODEL].attrs["log_likelihood"])
        found = _log_likelihood(fit)
        reproduced = abs(found - stored) <= _TOLERANCE * (abs(stored) + model.equations.n)
        if reproduced:
            _check(fit)
    except FileError:
        raise
    except Exception as error:  # which one depends on what somebody has written there
        raise FileError(
            f"{quoted(source)} is damaged: what it holds does not make a fit ({error}). Save the "
            "fit again, or restore the file from a copy."
        ) from error
    if not reproduced:
        raise FileError(
            f"{quoted(source)} does not reproduce the fit that was saved: the log-likelihood "
            f"should be {stored:.8g}, and is {found:.8g} with the formula, data and estimates in "
            f"the file (written by bayeslmm {tree.attrs.get('bayeslmm_version')}, read by "
            f"{__version__}). The file has been changed, or the versions evaluate the formula "
            "differently: fit the model again."
        )
    return fit


def _check(solution: Solution) -> None:
    """Refuse estimates or draws that are not those of the model, though the likelihood is."""
    if isinstance(solution, PointSolution):
        check_optimum(solution.model, solution.optimum)
    else:
        check_draws(solution.model, cast("PosteriorSolution", solution).draws)


# -- the model ------------------------------------------------------------------------------------


def _model_dataset(solution: LikelihoodSolution | MapSolution | PosteriorSolution) -> xr.Dataset:
    model = solution.model
    weights = model.weights
    specification = {
        "formula": model.formula,
        "priors": _priors_as_json(model.priors),
        "weights": weights if isinstance(weights, str) else None,
        "max_columns": model.max_columns,
        "check": model.check,
        "G": _structures_as_json(model),
        "R": relationship_to_plain(model.R, "R")
        if isinstance(model.R, Known)
        else structure_to_plain(model.R),
    }
    arrays = {"y": ("row", model.design.y)} | _relationship_arrays(model)
    if isinstance(weights, np.ndarray):
        arrays["weights"] = ("all_rows", weights)
    attributes = {
        "specification": json.dumps(specification),
        "log_likelihood": _log_likelihood(solution),
    }
    return xr.Dataset(arrays, attrs=attributes)


def _restored_model(tree: xr.DataTree, make: type[Specification]) -> Specification:
    group = tree[MODEL].dataset
    specification = json.loads(group.attrs["specification"])
    weights = specification["weights"]
    if "weights" in group:
        weights = group["weights"].to_numpy()
    data = frame_from_dataset(tree[DATA].dataset)
    priors = _priors_from_json(specification["priors"])
    with warnings.catch_warnings():
        # Said when the model was made, and again by `diagnose`.
        warnings.simplefilter("ignore", DesignWarning)
        R = _restored_residuals(specification.get("R"), group)
        G = {
            name: _restored_relationship(own, group)
            if isinstance(own, dict)
            else [structure_from_plain(structure) for structure in own]
            for name, own in specification.get("G", {}).items()
        }
        model = make(
            specification["formula"],
            data,
            G=G,
            R=R,
            priors=priors,
            weights=weights,
            max_columns=specification.get("max_columns", MAX_COLUMNS),
            check=specification.get("check", True),
        )
    y = group["y"].to_numpy()
    if np.array_equal(y, model.design.y):
        return model
    # A model made by `with_response` has a response that its data do not have, to which the
    # defaults are scaled.
    return model.with_response(y).with_priors(priors)


def _structures_as_json(model: Specification) -> dict[str, Any]:
    """The structures of bars that do not have theirs from the formula, and what tells of known
    relationships beside their arrays.
    """
    return {
        name: relationship_to_plain(own, _place(model, name))
        if isinstance(own, Known)
        else [structure_to_plain(structure) for structure in own]
        for name, own in structures_beside(model.design.formula.bars, model.G).items()
    }


def _relationship_arrays(model: Specification) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for factor in model.design.factors:
        if factor.related is not None:
            place = _place(model, factor.name)
            found |= relationship_arrays(factor.related.known, place)
    if isinstance(model.R, Known):
        found |= relationship_arrays(model.R, "R")
    return {
        name: (tuple(f"{name}_{axis}" for axis in range(values.ndim)), values)
        for name, values in found.items()
    }


def _place(model: Specification, name: str) -> int:
    """Where a grouping factor stands among those of the model."""
    return model.design.factors.index(model.design.factor(name))


def _restored_relationship(plain: dict[str, Any], group: xr.Dataset) -> Known:
    arrays = {name: group[name].to_numpy() for name in plain["arrays"]}
    return relationship_from_plain(plain, arrays)


def _restored_residuals(plain: dict[str, Any] | None, group: xr.Dataset) -> Covariance | None:
    if plain is not None and "arrays" in plain:
        return _restored_relationship(plain, group)
    return structure_from_plain(plain)


def _priors_as_json(priors: PriorTable) -> list[dict[str, Any]]:
    return [
        {
            "parameter": row.parameter,
            "family": type(row.prior).__name__,
            "values": list(map(_plain, row.prior.parameters.values())),
            "source": row.source,
            "scale": row.scale,
        }
        for row in priors.rows
    ]


def _plain(value: object) -> object:
    """A hyperparameter as JSON has it; one that is a prior itself with its family."""
    if isinstance(value, Prior):
        return {
            "family": type(value).__name__,
            "values": list(map(_plain, value.parameters.values())),
        }
    return value


def _from_plain(value: Any) -> Any:
    """What `_plain` has made plain."""
    if isinstance(value, dict):
        return FAMILIES[value["family"]](*map(_from_plain, value["values"]))
    return value


def _priors_from_json(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "prior": pd.Series([_from_plain(row) for row in rows], dtype=object),
            "source": pd.Series([row["source"] for row in rows], dtype=object),
        }
    )
    return frame.set_index(pd.Index([row["parameter"] for row in rows], name="parameter"))


def _log_likelihood(solution: LikelihoodSolution | MapSolution | PosteriorSolution) -> float:
    """What restored fits are checked by: the maximum, or log p(y) at the mode or first draw."""
    equations = solution.model.equations
    if isinstance(solution, MapSolution):
        return solution.loglik
    if isinstance(solution, LikelihoodSolution):
        optimum = solution.optimum
        equations = equations.given_residuals(optimum.theta)
        return -0.5 * float(equations.profiled(optimum.M, solution.method)[0])
    priors = solution.model.priors
    theta = solution.draws.theta[0, 0]
    return float(equations.collapsed(theta, priors.beta_mean, priors.beta_precision)[0])


# -- what was estimated ---------------------------------------------------------------------------


def _optimum_dataset(optimum: Optimum) -> xr.Dataset:
    trace = optimum.trace
    arrays = {
        "theta": ("parameter", optimum.theta),
        "boundary": ("parameter", optimum.boundary),
        "hessian": (("parameter", "parameter_2"), optimum.hessian),
        "M": ("relative", optimum.M),
        "trace_iteration": ("step", np.array([step.iteration for step in trace], dtype=np.int64)),
        "trace_criterion": ("step", np.array([step.criterion for step in trace], dtype=np.float64)),
        "trace_gradient": ("step", np.array([step.gradient for step in trace], dtype=np.float64)),
        "trace_sigma": ("step", np.array([step.sigma for step in trace], dtype=np.float64)),
        "trace_seconds": ("step", np.array([step.seconds for step in trace], dtype=np.float64)),
        "trace_working": (
            ("step", "coordinate"),
            np.array([step.working for step in trace], dtype=np.float64).reshape(len(trace), -1)
            if trace
            else np.empty((0, 0)),
        ),
    }
    attributes = {
        "method": optimum.method,
        "status": optimum.status.name,
        "sigma": optimum.sigma,
        "criterion": optimum.criterion,
        "evaluations": optimum.evaluations,
        "algorithm": optimum.algorithm,
        "information": optimum.information or "",
        "seconds": optimum.seconds,
    }
    return xr.Dataset(arrays, attrs=attributes)


def _restored_optimum(group: xr.Dataset) -> Optimum:
    attributes = group.attrs
    if attributes["method"] not in ("reml", "ml", "map"):
        raise ValueError(f"unknown method {attributes['method']!r}")
    columns = ("iteration", "criterion", "gradient", "working", "sigma", "seconds")
    steps = zip(*(group[f"trace_{name}"].to_numpy() for name in columns), strict=True)
    return Optimum(
        method=attributes["method"],
        status=Status[attributes["status"]],
        theta=group["theta"].to_numpy(),
        M=group["M"].to_numpy(),
        sigma=float(attributes["sigma"]),
        criterion=float(attributes["criterion"]),
        boundary=group["boundary"].to_numpy().astype(bool),
        find_hessian=group["hessian"].to_numpy().copy,
        trace=tuple(
            Step(int(iteration), float(value), float(gradient), x, float(sigma), float(seconds))
            for iteration, value, gradient, x, sigma, seconds in steps
        ),
        evaluations=int(attributes["evaluations"]),
        seconds=float(attributes["seconds"]),
        algorithm=str(attributes["algorithm"]),
        information=str(attributes.get("information", "")) or None,  # type: ignore[arg-type]
    )


def _posterior_datasets(solution: PosteriorSolution) -> dict[str, xr.Dataset]:
    draws = solution.draws
    groups = {name: group.to_dataset() for name, group in solution.tree.children.items()}
    for name, group in groups.items():
        labels = group["row"].to_numpy() if "row" in group.coords else np.arange(0)
        if pd.api.types.infer_dtype(labels) not in _LABELS:
            # The labels themselves are in the data; here they only have to tell rows apart.
            groups[name] = group.assign_coords(row=np.arange(group.sizes["row"]))
    own = {
        "settings": asdict(draws.settings),
        "sampler": draws.sampler,
        "seconds": draws.seconds,
        "effects": [str(name) for name in groups["posterior"].data_vars if str(name)[:2] == "u_"],
    }
    text = json.dumps(own, default=plain_number)
    theta = ("chain", "draw", "parameter"), draws.theta
    return groups | {FIT: xr.Dataset({"theta": theta}, attrs={"draws": text})}


def _restored_posterior(model: Specification, tree: xr.DataTree) -> PosteriorSolution:
    from bayeslmm.estimation.posterior.nuts import Draws, Settings
    from bayeslmm.solutions.posterior import PosteriorSolution

    own = json.loads(tree[FIT].attrs["draws"])
    posterior = tree["posterior"].dataset
    beta = posterior["beta"].to_numpy()
    shape = beta.shape[:2]
    u = [posterior[name].to_numpy().reshape(*shape, -1) for name in own["effects"]]
    draws = Draws(
        theta=tree[FIT]["theta"].to_numpy(),
        beta=beta,
        u=np.concatenate([*u, np.empty((*shape, 0))], axis=-1),
        stats={str(name): stat.to_numpy() for name, stat in tree["sample_stats"].data_vars.items()},
        settings=Settings(**own["settings"]),
        sampler=own["sampler"],
        seconds=float(own["seconds"]),
    )
    check_shapes(model, draws)
    return PosteriorSolution(model, draws)
