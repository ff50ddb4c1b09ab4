"""The table of results as it is written to `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HEADER = ("work", "goal", "ours", "peer", "ratio", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    work, goal : str
        An empty goal means that the figure is reported only.
    ours, peer : str
    ratio : float, optional
        Of the two medians, as the goal takes it.
    met : bool, optional
    """

    work: str
    goal: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The text of the columns."""
        ratio = "" if self.ratio is None else f"{self.ratio:.3g} ×"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        return (self.work, self.goal, self.ours, self.peer, ratio, met)


def table(rows: Iterable[Row]) -> str:
    """Rows as a Markdown table."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def document(rows: Iterable[Row], conditions: Mapping[str, str]) -> str:
    """The whole file."""
    return "\n".join(
        [
            "# Results",
            "",
            "Written by `python -m tests.benchmarks`; `README.md` says what each line measures.",
            "Figures are medians with ranges over fresh processes.",
            "A ratio is ours over the peer's.",
            "",
            table(rows),
            "",
            "| measured | |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in conditions.items()),
            "",
        ]
    )
