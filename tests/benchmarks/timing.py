"""Programs run one at a time, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PROGRAMS = Path(__file__).parent / "programs"

type Command = Sequence[str | Path]


class ProgramError(RuntimeError):
    """A measured program failed; the message has what it wrote."""

    def __init__(self, message: str, command: Command | None = None) -> None:
        super().__init__(message)
        self.command = command


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def text(self, unit: str = "", scale: float = 1.0) -> str:
        """The median with its range, in three significant digits."""
        shown = [
            f"{scale * v:.3g}" if scale * v < 1000 else f"{scale * v:,.0f}"
            for v in (self.median, min(self.values), max(self.values))
        ]
        middle, low, high = shown
        spread = f" ({low}–{high})" if len(self.values) > 1 and low != high else ""
        return f"{middle}{' ' + unit if unit else ''}{spread}"


def run(command: Command, caches: Path) -> dict[str, float]:
    """Run a program and return its figures, its wall time and its peak memory.

    Parameters
    ----------
    command : sequence of str or Path
    caches : Path
        Where Numba and PyTensor keep compiled code.

    Returns
    -------
    dict
        What the program's last line says if that is JSON, with ``wall`` (s) and ``memory`` (bytes).
    """
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
    }
    # Where it is set, every start compiles the modules of every package again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
        )
        try:
            # Not `wait`, which would not tell the memory of this one child.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines = out.read().decode().splitlines()
        if process.returncode:
            said = err.read().decode()[-2000:]
            shown = " ".join(str(part) for part in command)
            message = f"`{shown}` ended with status {process.returncode}:\n{said}"
            raise ProgramError(message, command)
    figures = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    unit = 1 if sys.platform == "darwin" else 1024
    return figures | {"wall": wall, "memory": usage.ru_maxrss * unit}


def repeat(
    commands: Mapping[str, Command], caches: Path, times: int, *, warm: bool = True
) -> dict[str, dict[str, Figure]]:
    """Run programs in turn, so that a drift of the machine meets all of them.

    Parameters
    ----------
    commands : dict of commands
    caches : Path
    times : int
        How often each is measured.
    warm : bool
        Whether each runs once before, unmeasured.

    Returns
    -------
    dict of dict of Figure
        By command, by figure.
    """
    if warm:
        for command in commands.values():
            run(command, caches)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            runs[name].append(run(command, caches))
    return {
        name: {key: Figure(tuple(one[key] for one in found)) for key in found[0]}
        for name, found in runs.items()
    }
