"""Covariance structures as plain data and back, for files."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from bayeslmm import covariance
from bayeslmm.covariance import Covariance, VarExp, VarIdent, VarPower

__all__ = ["structure_from_plain", "structure_to_plain"]

_VARIANCES = {cls.__name__: cls for cls in (VarIdent, VarPower, VarExp)}
_STRUCTURES = {
    name: cls
    for name in covariance.__all__
    if isinstance(cls := getattr(covariance, name), type)
    and issubclass(cls, Covariance)
    and cls is not Covariance
}


def structure_to_plain(structure: Covariance | None) -> dict[str, Any] | None:
    """A structure as JSON has it: its class and what was given."""
    if structure is None:
        return None
    given = {field.name: getattr(structure, field.name) for field in fields(structure)}
    return {"class": structure.name} | {name: _plain(value) for name, value in given.items()}


def structure_from_plain(plain: dict[str, Any] | None) -> Covariance | None:
    """The structure that `structure_to_plain` was given."""
    if plain is None:
        return None
    given = {name: _restored(value) for name, value in plain.items() if name != "class"}
    return _STRUCTURES[plain["class"]](**given)


def _plain(value: object) -> object:
    if isinstance(value, VarIdent | VarPower | VarExp):
        return {"class": type(value).__name__, "column": value.column}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return _VARIANCES[value["class"]](value["column"])
    return tuple(_restored(part) for part in value) if isinstance(value, list) else value
