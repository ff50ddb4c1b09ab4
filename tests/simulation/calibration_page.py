"""Write docs/calibration.md and its pictures:
``uv run python -m tests.simulation.calibration_page [200]``.

The ranks of each model are kept under docs/_build, and not made again where they are there already.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

import bayeslmm as bl
from tests.simulation.calibration import (
    BINS,
    CHAINS,
    DRAWS,
    EFFECTS,
    PRIORS,
    RESIDUALS,
    UNSTRUCTURED,
    ranks,
    uniformity,
)

DOCS = Path(__file__).parents[2] / "docs"
FAMILIES = {
    "unstructured": ("Unrestricted and independent random effects", UNSTRUCTURED),
    "effects": ("Structures of G", EFFECTS),
    "residuals": ("Structures of R", RESIDUALS),
    "priors": ("Families of priors", PRIORS),
}
AGAIN = {
    # by model that had a small p, other seeds and their numbers of replicates
    "R: FA of rank 1": ((2, 130), (3, 130)),
}
SMALL = 0.02
N_DRAWS = CHAINS * DRAWS


def kept_ranks(name: str, replicates: int, seed: int = 1) -> pd.DataFrame:
    """The ranks of a model, from the run before where there was one."""
    words = "".join(c if c.isalnum() else "-" for c in name)
    words += "" if seed == 1 else f"-seed-{seed}"
    path = DOCS / "_build" / "calibration" / f"{words}-{replicates}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        ranks(name, replicates, seed).to_csv(path, index=False)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return pd.read_csv(path)


def band(replicates: int, at: np.ndarray) -> np.ndarray:
    """Half the width of the region that holds the whole ECDF of uniform ranks, less its
    expectation, with probability 0.95; by simulation. Säilynoja, Bürkner and Vehtari (2022).
    """
    rng = np.random.default_rng(0)
    uniform = np.sort(rng.random((4000, replicates)), axis=1)
    scale = np.sqrt(at * (1 - at) / replicates)
    farthest = [
        np.max(np.abs(np.searchsorted(row, at, side="right") / replicates - at) / scale)
        for row in uniform
    ]
    return np.quantile(farthest, 0.95) * scale


def draw(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """A panel for each model: the ECDF of the ranks of each quantity, less its expectation."""
    columns = 4
    rows = -(-len(tables) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.6 * columns, 1.9 * rows),
        sharex=True,
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    at = np.linspace(0, 1, 101)[1:-1]
    for ax, (name, table) in zip(axes.flat, tables.items(), strict=False):
        half = band(len(table), at)
        ax.fill_between(at, -half, half, color="0.88", lw=0)
        for label in table:
            place = np.sort((table[label] + 0.5) / (N_DRAWS + 1))
            ax.plot(at, np.searchsorted(place, at, side="right") / len(place) - at, lw=0.8)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7)
    for ax in axes.flat[len(tables) :]:
        ax.set_visible(False)
    figure.supxlabel("rank among the draws, as a share of them", fontsize=9)
    figure.supylabel("ECDF less its expectation", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def again(replicates: int) -> list[str]:
    """What more replicates say of quantities with a small p, in models that have them."""
    lines = ["", f"## More replicates, of quantities with p below {SMALL}", ""]
    lines += ["| model | quantity | p | replicates with other seeds | their p | p of all |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, runs in AGAIN.items():
        first = kept_ranks(name, replicates)
        others = pd.concat([kept_ranks(name, more, seed) for seed, more in runs])
        for label in first:
            p = uniformity(first[label])
            if p < SMALL:
                beside = uniformity(others[label])
                both = uniformity(pd.concat([first[label], others[label]]))
                numbers = f"{p:.3f} | {len(others)} | {beside:.3f} | {both:.3f} |"
                lines.append(f"| {name} | {label.replace('|', '∣')} | {numbers}")
    return lines


def page(replicates: int) -> str:
    """The page with the result for every model; the pictures are drawn beside it."""
    values: list[float] = []
    sections: list[str] = []
    for family, (title, cases) in FAMILIES.items():
        tables = {name: kept_ranks(name, replicates) for name in cases}
        picture = f"_static/calibration-{family}.png"
        draw(tables, DOCS / picture)
        sections += ["", f"## {title}", "", f"![Ranks of {title.lower()}]({picture})", ""]
        sections += ["| model | quantity | mean rank / draws | p |", "|---|---|---|---|"]
        for name, table in tables.items():
            for label in table:
                p = uniformity(table[label])
                values.append(p)
                mean = table[label].mean() / N_DRAWS
                sections.append(f"| {name} | {label.replace('|', '∣')} | {mean:.3f} | {p:.3f} |")
    sections += again(replicates)
    uniform = stats.kstest(values, "uniform").pvalue
    smallest = min(1.0, min(values) * len(values))
    lines = [
        "# Calibration",
        "",
        "Simulation-based calibration (tests/simulation/calibration.py): parameters are drawn from",
        "the prior and data from the model, by PyMC; the model is fitted by NUTS; the rank of each",
        f"true value among {N_DRAWS} draws must be uniform. P values: chi-squared tests with",
        f"{BINS} bins, {replicates} replicates. Of many such values some are small by chance, so",
        "what counts is whether they are themselves uniform (Kolmogorov–Smirnov), and the",
        "smallest after Bonferroni's correction:",
        "",
        f"**{len(values)} quantities of {sum(len(c) for _, c in FAMILIES.values())} models; "
        f"p values uniform: {uniform:.3f}; smallest, corrected: {smallest:.3f}.**",
        "",
        "In the pictures a line is a quantity. The grey region holds the whole line of a",
        "calibrated one with probability 0.95, so that one in twenty leaves it somewhere.",
        *sections,
        "",
        f"Made by `uv run python -m tests.simulation.calibration_page {replicates}` with bayeslmm "
        f"{bl.__version__}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    (DOCS / "calibration.md").write_text(page(replicates), encoding="utf-8")
