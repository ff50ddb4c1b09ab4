"""Measure everything and write the results, or measure what is named and print them."""

from __future__ import annotations

import argparse
import datetime
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.environments import cache_directory, machine, prepare, revision
from tests.benchmarks.measurements import MEASUREMENTS, Bench, insteval_from_lme4, load_average
from tests.benchmarks.results import Row, document, table
from tests.benchmarks.timing import ProgramError

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--insteval", type=Path, help="InstEval.csv; by default lme4's copy")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each short program")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    if arguments.repeats < 1:
        parser.error(f"--repeats should be 1 or more, got {arguments.repeats}")
    if arguments.insteval is not None and not arguments.insteval.is_file():
        parser.error(f"--insteval: there is no file {arguments.insteval}")

    # As an exception, so that the program that is running ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    conditions = {
        "date": datetime.date.today().isoformat(),
        "commit": revision(),
        "machine": machine(),
        "load average at the start": load_average(),
        "command": _command(arguments),
    }
    environments = prepare(cache)
    rows: list[Row] = []
    failed = []
    with tempfile.TemporaryDirectory(prefix="bayeslmm-benchmarks-") as scratch:
        insteval = arguments.insteval
        if insteval is None and environments.rscript is not None:
            insteval = insteval_from_lme4(environments.rscript, Path(scratch) / "InstEval.csv")
        bench = Bench(environments, cache / "compiled", Path(scratch), insteval, arguments.repeats)
        for name in arguments.names or MEASUREMENTS:
            print(f"measuring {name}", file=sys.stderr)
            try:
                found = MEASUREMENTS[name](bench)
            except ProgramError as error:
                print(error, file=sys.stderr)
                failed.append(name)
                found = [Row(name, "", "failed", met=False)]
            for row in found:
                print(" | ".join(row.cells()), file=sys.stderr)
            rows += found
    conditions |= environments.versions()
    if arguments.names:
        print(table(rows))
    else:
        RESULTS.write_text(document(rows, conditions), encoding="utf-8")
        print(f"written to {RESULTS}")
    return 1 if failed else 0


def _command(arguments: argparse.Namespace) -> str:
    """The command as typed, but for where files lie."""
    parts = ["uv", "run", "python", "-m", "tests.benchmarks", *arguments.names]
    if arguments.insteval is not None:
        parts += ["--insteval", arguments.insteval.name]
    return f"`{shlex.join([*parts, '--repeats', str(arguments.repeats)])}`"


if __name__ == "__main__":
    sys.exit(main())
