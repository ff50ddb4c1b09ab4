"""REML by the default algorithm on the data of textbooks, beside other programs."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.results import Row
from tests.benchmarks.timing import PROGRAMS, Figure, ProgramError, repeat

if TYPE_CHECKING:
    from tests.benchmarks.measurements import Bench

ROOT = Path(__file__).parents[2]
DATA = ROOT / "bayeslmm" / "data" / "datasets"
SAME = 1e-4
"""Difference of log-likelihoods that counts; ours may not be worse than that of any peer by it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model that every program fits.

    Attributes
    ----------
    name, formula : str
    labels : tuple of str
        Columns that are read as categories.
    calls : int
        Fits in a process, of which the median is taken.
    statsmodels : dict or None
        The arguments of its `mixedlm`; None where it has no way.
    """

    name: str
    formula: str
    labels: tuple[str, ...]
    calls: int
    statsmodels: dict[str, object] | None


CASES = (
    Case(
        "sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        ("Subject",),
        20,
        {"formula": "Reaction ~ Days", "groups": "Subject", "re": "~Days"},
    ),
    Case(
        "Penicillin",
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        ("plate", "sample"),
        20,
        {
            "formula": "diameter ~ 1",
            "groups": None,
            "re": "0",
            "vc": {"plate": "0 + C(plate)", "sample": "0 + C(sample)"},
        },
    ),
    Case(
        "Pastes",
        "strength ~ 1 + (1 | batch) + (1 | batch:cask)",
        ("batch", "cask"),
        20,
        {
            "formula": "strength ~ 1",
            "groups": "batch",
            "re": "1",
            "vc": {"cask": "0 + C(cask)"},
        },
    ),
    Case(
        "Machines",
        "score ~ Machine + (Machine | Worker)",
        ("Machine", "Worker"),
        20,
        {"formula": "score ~ Machine", "groups": "Worker", "re": "~Machine"},
    ),
    Case(
        "Orthodont",
        "distance ~ age * Sex + (age | Subject)",
        ("Sex", "Subject"),
        20,
        {"formula": "distance ~ age * Sex", "groups": "Subject", "re": "~age"},
    ),
    Case(
        "MathAchieve",
        "MathAch ~ SES + Sector + (1 | School)",
        ("School", "Sector"),
        10,
        {"formula": "MathAch ~ SES + Sector", "groups": "School"},
    ),
    Case(
        "InstEval",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        ("service", "s", "d", "dept"),
        1,
        None,
    ),
)
NOTES = {"InstEval": "statsmodels has no sparse matrices"}


def likelihood(bench: Bench) -> list[Row]:
    """REML of each case by each program, and the bootstrap."""
    rows = [row for case in CASES for row in _measured(bench, case)]
    return [*rows, _bootstrap(bench)]


def _measured(bench: Bench, case: Case) -> list[Row]:
    work = f"{case.name}: `{case.formula}`, REML"
    path = _data(bench, case)
    if path is None:
        return [Row(work, "", "skipped: neither --insteval nor R with lme4, which has the data")]
    given = bench.scratch / f"{case.name}.json"
    given.write_text(
        json.dumps(
            {
                "formula": case.formula,
                "data": str(path),
                "labels": case.labels,
                "calls": case.calls,
                "statsmodels": case.statsmodels,
            }
        )
    )
    own = bench.environments
    commands: dict[str, list[str | Path]] = {"ours": bench.ours("likelihood", given)}
    commands |= bench.lme4(path, case.formula, case.calls, *case.labels)
    for name, python in (("mixedlm", own.mixedlm), ("glmm", own.glmm)):
        commands[name] = [python, PROGRAMS / f"{name}_likelihood.py", given]
    if case.statsmodels is not None:
        commands["statsmodels"] = [own.statsmodels, PROGRAMS / "statsmodels_likelihood.py", given]
    times = bench.repeats if case.calls > 1 else bench.long_repeats
    found, failed = _those_that_run(bench, commands, times)
    ours = found.pop("ours")
    reached = {name: of["loglik"].median for name, of in found.items()}
    best = max(reached.values(), default=-float("inf"))
    if ours["loglik"].median < best - SAME:
        raise ProgramError(f"{case.name}: ours ends at {ours['loglik'].median}, a peer at {best}")
    unit, scale = ("ms", 1000) if ours["fit"].median < 1 else ("s", 1)
    peers = [
        f"{name} {of['fit'].text(unit, scale)}{_short(reached[name], ours['loglik'])}"
        for name, of in found.items()
    ]
    peers += [f"{name} fails" for name in failed]
    if case.name in NOTES:
        peers.append(NOTES[case.name])
    median = ours["fit"].median
    others = {name: of["fit"].median for name, of in found.items()}
    slower = [name for name in ("lme4", "statsmodels") if name in others and median > others[name]]
    fastest = min(others.values())
    return [
        Row(
            work,
            "faster than lme4 and statsmodels, within 2 × of the fastest",
            ours["fit"].text(unit, scale),
            "; ".join(peers),
            median / fastest,
            not slower and median <= 2 * fastest,
        )
    ]


def _those_that_run(
    bench: Bench, commands: dict[str, list[str | Path]], times: int
) -> tuple[dict[str, dict[str, Figure]], list[str]]:
    """Figures of the programs, without peers that cannot fit the model."""
    failed = []
    while True:
        try:
            return repeat(commands, bench.caches, times, warm=False), failed
        except ProgramError as error:
            (name,) = [name for name, own in commands.items() if own == error.command]
            if name == "ours":
                raise
            failed.append(name)
            commands = {other: own for other, own in commands.items() if other != name}


def _short(reached: float, ours: Figure) -> str:
    """By how much a peer ends below our log-likelihood."""
    left = ours.median - reached
    return f" (log-likelihood {left:.2g} short)" if left > SAME else ""


def _data(bench: Bench, case: Case) -> Path | None:
    """The data of a case as CSV."""
    if case.name == "InstEval":
        return bench.insteval
    if case.name != "MathAchieve":
        return DATA / f"{case.name}.csv"
    folder, path = ROOT / "tests" / "data", bench.scratch / "MathAchieve.csv"
    with (folder / "MathAchSchool.csv").open() as file:
        sector = {row["School"]: row["Sector"] for row in csv.DictReader(file)}
    with (folder / "MathAchieve.csv").open() as file, path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("School", "Sector", "SES", "MathAch"))
        writer.writerows(
            (row["School"], sector[row["School"]], row["SES"], row["MathAch"])
            for row in csv.DictReader(file)
        )
    return path


def _bootstrap(bench: Bench) -> Row:
    command = bench.ours("bootstrap", DATA / "sleepstudy.csv", 1000)
    found = repeat({"ours": command}, bench.caches, bench.long_repeats, warm=False)["ours"]
    seconds = found["bootstrap"]
    return Row(
        "sleepstudy: 1,000 refits of the parametric bootstrap",
        "≤ 5 s",
        seconds.text("s"),
        met=seconds.median <= 5,
    )
