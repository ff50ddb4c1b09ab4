"""Models with known answers: the results of other programs, with the formula and the data to fit.

`tests/reference/README.md` says what the numbers are and how far they can be trusted.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.covariance.structures import Covariance
from bayeslmm.data.examples import load_dataset

_HERE = Path(__file__).parents[1]


def _records(name: str) -> dict[str, dict[str, Any]]:
    text = (_HERE / "reference" / f"{name}.json").read_text(encoding="utf-8")
    return {record["id"]: record for record in json.loads(text)}


_LIKELIHOOD = _records("likelihood")
_RESIDUALS = _records("residuals")
_POSTERIOR = _records("posterior")

LIKELIHOOD_IDS = tuple(_LIKELIHOOD)
RESIDUAL_IDS = tuple(_RESIDUALS)
POSTERIOR_IDS = tuple(_POSTERIOR)

# Everything else is written as in lme4.
_FORMULAS = {
    "lme4_sleep_offset_reml": "Reaction ~ Days + offset(off) + (Days | Subject)",
    "lme_ortho_slope_reml": "distance ~ age * Sex + (age | Subject)",
    "lme_ortho_slope_ml": "distance ~ age * Sex + (age | Subject)",
    "bayes_sleep_ri": "Reaction ~ Days + (1 | Subject)",
    "bayes_sleep_slope": "Reaction ~ Days + (Days | Subject)",
    "bayes_penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "bayes_machines_nested": "score ~ MachineB + MachineC + (1 | Worker) + (1 | WM)",
}


class Case(NamedTuple):
    """A model to fit, and the record that its fit must agree with."""

    formula: str
    data: pd.DataFrame
    weights: np.ndarray | None
    method: str  # "reml", "ml" or "nuts"
    record: dict[str, Any]
    R: Covariance | None = None


def record(id: str) -> dict[str, Any]:
    """Return the results of another program."""
    return next(records[id] for records in (_LIKELIHOOD, _RESIDUALS, _POSTERIOR) if id in records)


def case(id: str) -> Case:
    """Return a record with the model that it belongs to."""
    found = record(id)
    data = _data(found["dataset"])
    weights = 1 / (1 + 0.1 * data["Days"].to_numpy()) if "weights" in found else None
    method = "nuts" if id in _POSTERIOR else found["method"].lower()
    R = residual_structure(found["R"]) if "R" in found else None
    return Case(_formula(id, found), data.copy(), weights, method, found, R)


_CORRELATIONS = {
    "cs": bl.CS,
    "un": bl.UN,
    "ar1": bl.AR1,
    "car1": bl.CAR1,
    "exp": bl.Exp,
    "arma11": bl.ARMA11,
}


def residual_structure(pieces: dict[str, str]) -> Covariance | None:
    """The structure that nlme was given as a correlation and a variance function."""
    if not pieces:
        return None
    variance = {
        "ident": lambda: bl.VarIdent(pieces["by"]),
        "power": lambda: bl.VarPower(pieces["by"]),
    }.get(pieces.get("var", ""), lambda: "one")()
    places = {key: pieces[key] for key in ("time", "group") if key in pieces}
    return _CORRELATIONS.get(pieces.get("corr", ""), bl.ID)(**places, variance=variance)


def _formula(id: str, found: dict[str, Any]) -> str:
    """The formula as this library has it."""
    if id in _FORMULAS or "R" not in found:
        return _FORMULAS.get(id, found["formula"])
    fixed, _, random = found["formula"].split(": ", 1)[1].partition("; random ~")
    text = re.sub(r"\s+", " ", fixed.replace("^", "**"))
    return f"{text} + ({random})" if random else text


def r_name(name: str) -> str:
    """Name a coefficient or an effect as R does: ``Machine[B]`` is ``MachineB`` there."""
    return re.sub(r"\[([^]]*)\]", r"\1", name).replace(" ** ", "^")


# Data sets of nlme, with the columns that hold labels.
_NLME = {
    "Ovary": ("Mare",),
    "BodyWeight": ("Rat", "Diet"),
    "Dialyzer": ("Subject", "QB"),
}


@cache
def _data(name: str) -> pd.DataFrame:
    if name == "MathAchieve":
        label = {"School": "str"}
        pupils = pd.read_csv(_HERE / "data" / "MathAchieve.csv", dtype=label)
        schools = pd.read_csv(_HERE / "data" / "MathAchSchool.csv", dtype=label)
        return pupils.merge(schools[["School", "Sector"]], on="School", how="left")
    if name in _NLME:
        data = pd.read_csv(_HERE / "data" / f"{name}.csv", dtype=dict.fromkeys(_NLME[name], "str"))
        if name == "Ovary":
            data["idx"] = data.groupby("Mare").cumcount() + 1
            data["s"] = np.sin(2 * np.pi * data["Time"])
            data["c"] = np.cos(2 * np.pi * data["Time"])
        return data
    data = load_dataset(name)
    if name == "Orthodont":
        data["occ"] = (data["age"] - 8) // 2 + 1
        data["ageF"] = data["age"].astype("str")
    if name == "sleepstudy":
        data["off"] = 5 * np.sqrt(data["Days"])
    if name == "Oats":
        data["nitroF"] = data["nitro"].map("{:g}".format)
    if name == "Machines":
        data["MachineB"] = (data["Machine"] == "B").astype("float64")
        data["MachineC"] = (data["Machine"] == "C").astype("float64")
        data["WM"] = data["Worker"] + ":" + data["Machine"]
    return data


def check_coefficients(record: dict[str, Any], table: pd.DataFrame) -> None:
    """Hold `fixef()` to a record: estimates to 1e-4 of their standard errors, these to 1e-4."""
    table.index = [r_name(name) for name in table.index]
    assert set(table.index) == set(record["fixef"])
    for name, value in record["fixef"].items():
        se = record["fixef_se"][name]
        assert table.loc[name, "estimate"] == pytest.approx(value, abs=1e-4 * se), name
        assert table.loc[name, "std_error"] == pytest.approx(se, rel=1e-4), name
