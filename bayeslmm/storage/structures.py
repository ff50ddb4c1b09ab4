"""Covariance structures and known relationships as plain data and back, for files."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from scipy import sparse

from bayeslmm.covariance.correlations.registry import STRUCTURES
from bayeslmm.covariance.known import Known
from bayeslmm.covariance.structures import Covariance, VarExp, VarIdent, VarPower
from bayeslmm.formula.parsing import quoted_name
from bayeslmm.support.arrays import Array

__all__ = [
    "relationship_arrays",
    "relationship_from_plain",
    "relationship_to_plain",
    "structure_from_plain",
    "structure_to_plain",
]

_VARIANCES = {cls.__name__: cls for cls in (VarIdent, VarPower, VarExp)}


def structure_to_plain(structure: Covariance | None) -> dict[str, Any] | None:
    """A structure other than a known one as JSON has it: its class and what was given."""
    if structure is None:
        return None
    # its priors are among those of the model
    own = [field.name for field in fields(structure) if field.compare]
    given = {name: getattr(structure, name) for name in own}
    return {"class": structure.name} | {name: _plain(value) for name, value in given.items()}


def structure_from_plain(plain: dict[str, Any] | None) -> Covariance | None:
    """The structure that `structure_to_plain` was given."""
    if plain is None:
        return None
    given = {name: _restored(value) for name, value in plain.items() if name != "class"}
    given["variance"] = _as_written(plain.get("variance"), given.get("time"))
    return STRUCTURES[plain["class"]](**given)


def relationship_arrays(known: Known, place: int | str) -> dict[str, Array]:
    """The numbers of a known relationship, of a sparse one its elements and their places.

    Parameters
    ----------
    known : Known
    place : int or str
        That of its grouping factor, or "R", which the names of the arrays begin with.
    """
    values = known.given
    if not sparse.issparse(values):
        return {f"known_{place}": np.asarray(values)}
    places = {"elements": values.data, "rows": values.indices, "starts": values.indptr}
    return {f"known_{place}_{key}": np.asarray(part) for key, part in places.items()}


def relationship_to_plain(known: Known, place: int | str) -> dict[str, Any]:
    """What a known relationship is beside its arrays, as JSON has it."""
    return {
        "class": known.name,
        "levels": list(known.levels),
        "inverted": known.inverted,
        "arrays": list(relationship_arrays(known, place)),
        "options": {name: _plain(value) for name, value in known.options.items()},
    }


def relationship_from_plain(plain: dict[str, Any], arrays: dict[str, Array]) -> Known:
    """The relationship of what `relationship_to_plain` and `relationship_arrays` gave."""
    levels, parts = plain["levels"], [arrays[name] for name in plain["arrays"]]
    given: Any = parts[0]
    if len(parts) > 1:
        given = sparse.csc_array(tuple(parts), shape=(len(levels), len(levels)))
    stored = plain.get("options", {})
    options = {name: _restored(value) for name, value in stored.items()}
    if "variance" in options:
        options["variance"] = _as_written(stored["variance"], options.get("time"))
    return Known(levels=levels, **{"inverse" if plain["inverted"] else "matrix": given}, **options)


def _plain(value: object) -> object:
    if isinstance(value, VarIdent):
        return {"class": "VarIdent", "columns": list(value.columns)}
    if isinstance(value, VarPower | VarExp):
        return {"class": type(value).__name__, "column": value.column}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        if value["class"] == "VarIdent":
            return VarIdent(quoted_name(tuple(value.get("columns", [value.get("column")]))))
        return _VARIANCES[value["class"]](value["column"])
    return tuple(_restored(part) for part in value) if isinstance(value, list) else value


def _as_written(variance: Any, time: Any) -> Any:
    """A variance model as it is written now. In files that do not say which columns a `VarIdent`
    has, those of residuals with several factors have a standard deviation for each combination.
    """
    restored = _restored(variance)
    if not isinstance(variance, list):
        return restored
    old = [own for own in variance if isinstance(own, dict) and own["class"] == "VarIdent"]
    if not old or any("columns" in own for own in old):
        return restored
    factors = [p for p in restored if isinstance(p, VarIdent) or (p == "occasion" and time)]
    if len(factors) < 2:
        return restored
    names = [n for p in factors for n in (p.columns if isinstance(p, VarIdent) else (time,))]
    others = tuple(part for part in restored if part not in factors)
    return (VarIdent(quoted_name(tuple(names))), *others)
