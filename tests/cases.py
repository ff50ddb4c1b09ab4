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

from bayeslmm.example_data import load_dataset

_HERE = Path(__file__).parent


def _records(name: str) -> dict[str, dict[str, Any]]:
    text = (_HERE / "reference" / f"{name}.json").read_text(encoding="utf-8")
    return {record["id"]: record for record in json.loads(text)}


_LIKELIHOOD = _records("likelihood")
_POSTERIOR = _records("posterior")

LIKELIHOOD_IDS = tuple(_LIKELIHOOD)
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


def record(id: str) -> dict[str, Any]:
    """Return the results of another program."""
    return _LIKELIHOOD[id] if id in _LIKELIHOOD else _POSTERIOR[id]


def case(id: str) -> Case:
    """Return a record with the model that it belongs to."""
    found = record(id)
    data = _data(found["dataset"])
    weights = 1 / (1 + 0.1 * data["Days"].to_numpy()) if "weights" in found else None
    method = "nuts" if id in _POSTERIOR else found["method"].lower()
    return Case(_FORMULAS.get(id, found["formula"]), data.copy(), weights, method, found)


def r_name(name: str) -> str:
    """Name a coefficient or an effect as R does: ``Machine[B]`` is ``MachineB`` there."""
    return re.sub(r"\[([^]]*)\]", r"\1", name)


@cache
def _data(name: str) -> pd.DataFrame:
    if name == "MathAchieve":
        label = {"School": "str"}
        pupils = pd.read_csv(_HERE / "data" / "MathAchieve.csv", dtype=label)
        schools = pd.read_csv(_HERE / "data" / "MathAchSchool.csv", dtype=label)
        return pupils.merge(schools[["School", "Sector"]], on="School", how="left")
    data = load_dataset(name)
    if name == "sleepstudy":
        data["off"] = 5 * np.sqrt(data["Days"])
    if name == "Oats":
        data["nitroF"] = data["nitro"].map("{:g}".format)
    if name == "Machines":
        data["MachineB"] = (data["Machine"] == "B").astype("float64")
        data["MachineC"] = (data["Machine"] == "C").astype("float64")
        data["WM"] = data["Worker"] + ":" + data["Machine"]
    return data
