"""Write the tables of docs/coverage.md:
``uv run python -m tests.simulation.coverage_page 1000 300 200``, the numbers of data sets for
intervals by Wald, profile and bootstrap.

What was simulated is kept under docs/_build, and not made again where it is there already.
"""

import sys
import time
from pathlib import Path

import pandas as pd

from tests.simulation.interval_coverage import DESIGNS, TRUTH, WALD, WAYS, held

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
WORDS = {
    "complete": "18 subjects, 10 rows each",
    "unbalanced": "8 subjects, 40 rows in all",
}


def kept(design: str, way: str, n: int) -> pd.DataFrame:
    """What was found, from the run before where there was one."""
    path = DOCS / "_build" / "coverage" / f"{design}-{way}-{n}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        held(design, way, n).to_csv(path, index=False)
        print(f"{design}, {way}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return pd.read_csv(path)


def tables(counts: dict[str, int]) -> str:
    """A table for each design: per cent of the intervals that held the truth."""
    parts = []
    for design in DESIGNS:
        found = pd.concat([kept(design, way, n) for way, n in counts.items()])
        share = found.groupby(["parameter", "kind"])["held"].mean().unstack()
        known = found.groupby(["parameter", "kind"])["known"].mean().unstack()
        kinds = [*WALD, "profile", "bootstrap"]
        lines = [
            f"**{WORDS[design]}**",
            "",
            "| | " + " | ".join(kinds) + " |",
            "| --- |" + " ---: |" * len(kinds),
        ]
        for name in TRUTH:
            cells = []
            for kind in kinds:
                missing = 1 - known.loc[name, kind]
                none = f" ({missing:.0%} none)" if missing > 0.005 else ""
                own = name.startswith("beta") or kind not in tuple(WALD)[1:]
                cells.append(f"{share.loc[name, kind]:.1%}{none}" if own else "")
            lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def main(counts: dict[str, int]) -> None:
    page = DOCS / "coverage.md"
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    wald, profile, bootstrap = (f"{n:,}" for n in counts.values())
    numbers = f"{wald} for Wald, {profile} for profiles, {bootstrap} for the bootstrap"
    shown = f"Data sets: {numbers}; seed 1.\n\n{tables(counts)}"
    page.write_text(f"{before}{BEGIN}\n\n{shown}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(dict(zip(WAYS, map(int, sys.argv[1:]), strict=True)))
