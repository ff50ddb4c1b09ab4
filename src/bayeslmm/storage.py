"""Fits in files: netCDF-4 that other programs can open too, and that loading never executes.

A file holds the columns that the model uses, the formula as text, the priors by family and numbers,
and what was estimated: group ``posterior`` and its companions as ArviZ knows them, or the optimum
of a likelihood. Loading compiles the model anew from formula and columns, evaluates it where the
fit left off, and refuses the file when the value is not the one that was stored.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayeslmm import __version__
from bayeslmm.errors import ArgumentTypeError, BayeslmmError, DesignWarning, FileError
from bayeslmm.likelihood import Optimum, Status, Step
from bayeslmm.likelihood_fit import LikelihoodFit
from bayeslmm.model import Model
from bayeslmm.stored_frame import frame_from_dataset, frame_to_dataset

if TYPE_CHECKING:
    from bayeslmm.fits import Fit
    from bayeslmm.posterior_fit import PosteriorFit
    from bayeslmm.prior_table import PriorTable

__all__ = ["load", "save"]

FORMAT = 1
"""Version of the layout; another number is another way to read the file."""

_MODEL, _DATA, _FIT = "bayeslmm_model", "bayeslmm_data", "bayeslmm_fit"
_LABELS = ("integer", "floating", "boolean", "string", "datetime64")
"""Kinds of row labels that netCDF has."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TOLERANCE = 1e-8
"""How far a log-likelihood may differ on another machine, per row of data and relative to itself."""


def save(fit: Fit, path: str | os.PathLike[str]) -> None:
    """Write a fit to a file.

    Parameters
    ----------
    fit : LikelihoodFit or PosteriorFit
    path : path
        Usually ending in ``.nc``. A file of that name is replaced once the new one is complete.

    Raises
    ------
    ArgumentTypeError
        If `fit` is not a fit, or `path` is not a path.
    FileError
        If the file cannot be written there, or the data hold what it cannot hold.

    Notes
    -----
    The file contains the rows of data that the model uses. One from NUTS opens with
    ``arviz.from_netcdf``.
    """
    from bayeslmm.posterior_fit import PosteriorFit

    target = _path(path)
    if isinstance(fit, LikelihoodFit):
        kind, tree = "likelihood", {_FIT: _optimum_dataset(fit.optimum)}
    elif isinstance(fit, PosteriorFit):
        kind, tree = "posterior", _posterior_datasets(fit)
    else:
        raise ArgumentTypeError(
            f"what is saved is a fit, as model.fit(...) returns it, not {type(fit).__name__}."
        )
    attributes = {
        "bayeslmm_format": FORMAT,
        "bayeslmm_version": __version__,
        "bayeslmm_kind": kind,
        "formula": fit.model.formula,
    }
    tree["/"] = xr.Dataset(attrs=attributes)
    tree[_MODEL] = _model_dataset(fit)
    tree[_DATA] = frame_to_dataset(fit.model.data)
    _write(xr.DataTree.from_dict(tree), target)


def load(path: str | os.PathLike[str]) -> LikelihoodFit | PosteriorFit:
    """Read a fit from a file that `save` has written.

    The formula is compiled again from its text, by which nothing but the library's own transforms
    can be called, and the model is evaluated where the fit left off.

    Parameters
    ----------
    path : path

    Returns
    -------
    LikelihoodFit or PosteriorFit
        As it was saved; data come as a pandas frame, whatever they were.

    Raises
    ------
    ArgumentTypeError
        If `path` is not a path.
    FileError
        If the file is missing, damaged, of another origin or of a newer format, or if the restored
        model does not reproduce the stored fit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import bayeslmm as bl
    >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "dyestuff.nc"
    ...     fit.save(file)
    ...     again = bl.load(file)
    >>> again.summary().equals(fit.summary())
    True
    """
    source = _path(path)
    tree = _read(source)
    try:
        model = _restored_model(tree)
        if tree.attrs["bayeslmm_kind"] == "posterior":
            fit: LikelihoodFit | PosteriorFit = _restored_posterior(model, tree)
        else:
            fit = LikelihoodFit(model, _restored_optimum(tree[_FIT].dataset))
        stored = float(tree[_MODEL].attrs["log_likelihood"])
        found = _log_likelihood(fit)
    except FileError:
        raise
    except (
        BayeslmmError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise FileError(
            f"{_quoted(source)} is damaged: what it holds does not make a fit ({error}). Save the "
            f"fit again, "
            "or restore the file from a copy."
        ) from error
    if not abs(found - stored) <= _TOLERANCE * (abs(stored) + model.equations.n):
        raise FileError(
            f"{_quoted(source)} does not reproduce the fit that was saved: the log-likelihood "
            f"should be {stored:.8g}, "
            f"and is {found:.8g} with the formula, data and estimates in the file (written by "
            f"bayeslmm "
            f"{tree.attrs.get('bayeslmm_version')}, read by {__version__}). The file has been "
            f"changed, or the versions "
            "evaluate the formula differently: fit the model again."
        )
    return fit


# -- the file as such ----------------------------------------------------------------------------


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise ArgumentTypeError(
            f"a path is a text or a pathlib.Path, such as 'fit.nc', not {type(path).__name__}."
        )
    return Path(path)


def _quoted(path: Path) -> str:
    return repr(str(path))


def _write(tree: xr.DataTree, target: Path) -> None:
    """Write to a file beside the target and move it there, so that there is never half a file."""
    if target.is_dir():
        raise FileError(f"{_quoted(target)} is a folder; name a file in it, such as 'fit.nc'.")
    if not target.parent.is_dir():
        raise FileError(
            f"there is no folder {_quoted(target.parent)} to write {target.name!r} in; make it "
            f"first."
        )
    try:
        handle, name = tempfile.mkstemp(prefix=".bayeslmm-", suffix=".nc", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise FileError(f"{_quoted(target)} cannot be written: {error.strerror}.") from error
    part = Path(name)
    try:
        tree.to_netcdf(part, engine="h5netcdf")
        # mkstemp makes files for one user only; the file gets what an ordinary new file has.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(target)
    except OSError as error:
        raise FileError(f"{_quoted(target)} cannot be written: {error}") from error
    except (TypeError, ValueError) as error:
        raise FileError(
            f"a name or label in the data cannot stand in a netCDF file ({error}); rename it"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _read(source: Path) -> xr.DataTree:
    """All groups of a file of this library, in memory."""
    remedy = "bayeslmm.load reads what fit.save(...) has written."
    if source.is_dir():
        raise FileError(f"{_quoted(source)} is a folder, not a file; {remedy}")
    try:
        with source.open("rb") as file:
            start = file.read(len(_SIGNATURE))
    except FileNotFoundError:
        raise FileError(f"there is no file {_quoted(source)}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{_quoted(source)} cannot be read: {error}") from error
    if not start:
        raise FileError(f"{_quoted(source)} is empty; {remedy}")
    if start != _SIGNATURE:
        raise FileError(f"{_quoted(source)} is {_what_is(start)}, not a netCDF-4 file; {remedy}")
    try:
        with xr.open_datatree(source, engine="h5netcdf", decode_times=False) as opened:
            tree = opened.load()
    except Exception as error:  # which one depends on the place of the damage
        raise FileError(
            f"{_quoted(source)} is damaged or incomplete: it begins as a netCDF-4 file and cannot "
            f"be read to "
            f"its end ({error}). Save the fit again, or restore the file from a copy."
        ) from error
    if "bayeslmm_format" not in tree.attrs:
        groups = ", ".join(tree.children) or "none"
        raise FileError(
            f"{_quoted(source)} is a netCDF file of another program (its groups: {groups}); "
            f"{remedy}"
        )
    version = tree.attrs["bayeslmm_format"]
    if version != FORMAT:
        raise FileError(
            f"{_quoted(source)} has format {version}, written by bayeslmm "
            f"{tree.attrs.get('bayeslmm_version')}; this "
            f"is bayeslmm {__version__}, which reads format {FORMAT}. Update bayeslmm."
        )
    return tree


def _what_is(start: bytes) -> str:
    known = {
        b"CDF": "a netCDF-3 file",
        b"PK": "a zip archive",
        b"PAR1": "a Parquet file",
        b"\x80": "a Python pickle, which is never opened,",
    }
    for signature, what in known.items():
        if start.startswith(signature):
            return what
    try:
        start.decode("ascii")
    except UnicodeDecodeError:
        return "a binary file of another kind"
    return "a text file"


# -- the model ------------------------------------------------------------------------------------


def _model_dataset(fit: Fit) -> xr.Dataset:
    model = fit.model
    weights = model.weights
    specification = {
        "formula": model.formula,
        "priors": _priors_as_json(model.priors),
        "weights": weights if isinstance(weights, str) else None,
    }
    arrays = {"y": ("row", model.design.y)}
    if isinstance(weights, np.ndarray):
        arrays["weights"] = ("all_rows", weights)
    attributes = {
        "specification": json.dumps(specification),
        "log_likelihood": _log_likelihood(fit),
    }
    return xr.Dataset(arrays, attrs=attributes)


def _restored_model(tree: xr.DataTree) -> Model:
    group = tree[_MODEL].dataset
    specification = json.loads(group.attrs["specification"])
    weights = specification["weights"]
    if "weights" in group:
        weights = group["weights"].to_numpy()
    data = frame_from_dataset(tree[_DATA].dataset)
    priors = _priors_from_json(specification["priors"])
    with warnings.catch_warnings():
        # Said when the model was made, and again by `diagnose`.
        warnings.simplefilter("ignore", DesignWarning)
        model = Model(specification["formula"], data, priors=priors, weights=weights)
    y = group["y"].to_numpy()
    # A model made by `with_response` has a response that its data do not have.
    return model if np.array_equal(y, model.design.y) else model.with_response(y)


def _priors_as_json(priors: PriorTable) -> list[dict[str, Any]]:
    return [
        {
            "parameter": row.parameter,
            "family": type(row.prior).__name__,
            "values": list(row.prior.parameters.values()),
            "source": row.source,
            "scale": row.scale,
        }
        for row in priors.rows
    ]


def _priors_from_json(rows: list[dict[str, Any]]) -> pd.DataFrame:
    from bayeslmm.priors import FAMILIES

    frame = pd.DataFrame(
        {
            "prior": pd.Series(
                [FAMILIES[row["family"]](*row["values"]) for row in rows], dtype=object
            ),
            "source": pd.Series([row["source"] for row in rows], dtype=object),
        }
    )
    return frame.set_index(pd.Index([row["parameter"] for row in rows], name="parameter"))


def _log_likelihood(fit: Fit) -> float:
    """What restored fits are checked by: the maximum, or log p(y) at the first draw of theta."""
    equations = fit.model.equations
    if isinstance(fit, LikelihoodFit):
        return -0.5 * float(equations.profiled(fit.optimum.M, fit.optimum.method)[0])
    priors = fit.model.priors
    theta = fit.draws.theta[0, 0]  # type: ignore[attr-defined]
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
        "seconds": optimum.seconds,
    }
    return xr.Dataset(arrays, attrs=attributes)


def _restored_optimum(group: xr.Dataset) -> Optimum:
    attributes = group.attrs
    if attributes["method"] not in ("reml", "ml"):
        raise ValueError(f"unknown method {attributes['method']!r}")
    columns = ("iteration", "criterion", "gradient", "working", "seconds")
    steps = zip(*(group[f"trace_{name}"].to_numpy() for name in columns), strict=True)
    return Optimum(
        method=attributes["method"],
        status=Status[attributes["status"]],
        theta=group["theta"].to_numpy(),
        M=group["M"].to_numpy(),
        sigma=float(attributes["sigma"]),
        criterion=float(attributes["criterion"]),
        boundary=group["boundary"].to_numpy().astype(bool),
        hessian=group["hessian"].to_numpy(),
        trace=tuple(
            Step(int(iteration), float(criterion), float(gradient), working, float(seconds))
            for iteration, criterion, gradient, working, seconds in steps
        ),
        evaluations=int(attributes["evaluations"]),
        seconds=float(attributes["seconds"]),
    )


def _posterior_datasets(fit: PosteriorFit) -> dict[str, xr.Dataset]:
    draws = fit.draws
    own = {"settings": asdict(draws.settings), "sampler": draws.sampler, "seconds": draws.seconds}
    groups = {name: group.to_dataset() for name, group in fit.posterior.children.items()}
    for name, group in groups.items():
        if (
            "row" in group.coords
            and pd.api.types.infer_dtype(group["row"].to_numpy()) not in _LABELS
        ):
            # The labels themselves are in the data; here they only have to tell rows apart.
            groups[name] = group.assign_coords(row=np.arange(group.sizes["row"]))
    # NumPy's numbers are accepted as settings, and JSON has none.
    text = json.dumps(own, default=lambda number: number.item())
    return groups | {_FIT: xr.Dataset(attrs={"draws": text})}


def _restored_posterior(model: Model, tree: xr.DataTree) -> PosteriorFit:
    from bayeslmm.nuts import Draws, Settings
    from bayeslmm.posterior_fit import PosteriorFit

    own = json.loads(tree[_FIT].attrs["draws"])
    posterior = tree["posterior"].dataset
    beta = posterior["beta"].to_numpy()
    shape = beta.shape[:2]
    # Bars over one factor share a variable, whose parts stand in the order of theta.
    names = dict.fromkeys(block.name for block in model.parameters.blocks)
    theta = [posterior[name].to_numpy().reshape(*shape, -1) for name in names]
    u = [posterior[f"u_{f.name}"].to_numpy().reshape(*shape, -1) for f in model.design.factors]
    draws = Draws(
        theta=np.concatenate(theta, axis=-1),
        beta=beta,
        u=np.concatenate([*u, np.empty((*shape, 0))], axis=-1),
        stats={str(name): stat.to_numpy() for name, stat in tree["sample_stats"].data_vars.items()},
        settings=Settings(**own["settings"]),
        sampler=own["sampler"],
        seconds=float(own["seconds"]),
    )
    expected = (len(model.parameters), model.equations.p, model.equations.n_random)
    if (draws.theta.shape[-1], beta.shape[-1], draws.u.shape[-1]) != expected:
        raise ValueError("the draws have other shapes than the model")
    return PosteriorFit(model, draws)
