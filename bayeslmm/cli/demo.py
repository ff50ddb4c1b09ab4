"""The demonstration: one data set, one model, both ways to fit it, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayeslmm.errors import FileError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.posterior_fit import PosteriorFit

__all__ = ["run"]

_FORMULA = "Reaction ~ Days + (Days | Subject)"
_SEED = 1
_PICTURES = (".png", ".pdf", ".svg")


def run(picture: str) -> None:
    """Fit sleepstudy by REML and by NUTS, print both in one table, and draw every subject.

    Parameters
    ----------
    picture : str
        Where to write the picture; its suffix is .png, .pdf or .svg.

    Raises
    ------
    FileError
        If the picture cannot be written there.
    """
    from rich.console import Console

    target = Path(picture)
    if target.suffix.lower() not in _PICTURES:
        raise FileError(
            f"the picture {picture!r} should have a name that ends in {', '.join(_PICTURES)}."
        )
    console = Console(highlight=False)
    reml, posterior = _fits(console)
    console.print(_table(reml, posterior))
    console.print(_reading(reml, posterior), soft_wrap=False)
    _draw(reml, posterior, target)
    console.print(
        "[bold]The picture[/] has one panel for each person: dots are the data, the dashed line is "
        "the person's own regression (no pooling), and the other two are the fits, NUTS on top of "
        "REML because they agree. They are pulled from the person's own line towards the average "
        "of all people, most where that line is unusual: partial pooling."
    )
    console.print(f"It is in [bold]{target.resolve()}[/]", soft_wrap=True)


def _fits(console: Console) -> tuple[LikelihoodFit, PosteriorFit]:
    """Fit both ways, saying what the data and the model are."""
    from bayeslmm.api.model import Model
    from bayeslmm.data.examples import load_dataset

    data = load_dataset("sleepstudy")
    people = data["Subject"].nunique()
    console.print(
        f"[bold]sleepstudy[/]: reaction times (ms) of {people} people on 10 days with little "
        f"sleep, {len(data)} measurements."
    )
    console.print(
        f"[bold]{_escaped(_FORMULA)}[/]: reaction time grows along a line over days; everybody has "
        "a line of their own, and these lines come from one population of lines.\n"
    )
    model = Model(_FORMULA, data)
    return model.fit("reml"), model.fit("nuts", random_seed=_SEED, progress=False)


def _table(reml: LikelihoodFit, posterior: PosteriorFit) -> Table:
    """The parameters of both fits side by side."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("\nparameter", overflow="fold")
    for name in ("REML", "NUTS"):
        table.add_column(f"{name}\nestimate", justify="right", no_wrap=True, style="bold")
        table.add_column("std.\nerror", justify="right", no_wrap=True)
        table.add_column("95%\ninterval", justify="right", no_wrap=True)
    summaries = reml.summary(), posterior.summary()
    for name in summaries[0].index:
        cells = []
        for summary in summaries:
            row = summary.loc[name]
            digits = 2 if abs(row["estimate"]) < 10 else 1
            cells += [f"{row[key]:.{digits}f}" for key in ("estimate", "std_error")]
            cells.append(f"{row['lower']:.{digits}f}, {row['upper']:.{digits}f}")
        table.add_row(_escaped(str(name)), *cells)
    return table


def _reading(reml: LikelihoodFit, posterior: PosteriorFit) -> str:
    """What the table says, for somebody who has not seen one."""
    start, slope = reml.beta["Intercept"], reml.beta["Days"]
    theta = reml.theta
    draws = posterior.draws.beta.shape[0] * posterior.draws.beta.shape[1]
    return (
        f"\n[bold]Reading it.[/] The average person starts at {start:.0f} ms and gets {slope:.1f} "
        "ms slower a day (beta). People differ around that with a standard deviation of "
        f"{theta['sd_Subject[Intercept]']:.0f} ms in where they start and "
        f"{theta['sd_Subject[Days]']:.1f} ms a day in how fast they slow down (sd_Subject); single "
        f"measurements scatter around a person's line by {reml.sigma:.0f} ms (sigma).\n\n"
        f"[bold]REML[/] ({_seconds(reml.optimum.seconds)}) looks for the variances "
        "under which these data are most likely, and treats them as known when it says how sure "
        f"the coefficients are. [bold]NUTS[/] ({_seconds(posterior.draws.seconds)}) makes "
        f"{draws:,} draws from the posterior, every one a set of parameters that the data and "
        "weakly informative priors find plausible; it gives their mean, standard deviation and "
        "middle 95%, which count the doubt about the variances too and so are usually wider.\n"
    )


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.1f} s"


def _escaped(text: str) -> str:
    """Text in which rich finds no markup: names have square brackets."""
    from rich.markup import escape

    return escape(text)


def _draw(reml: LikelihoodFit, posterior: PosteriorFit, target: Path) -> None:
    from bayeslmm.drawing.groups import draw_trellis
    from bayeslmm.plots.trellis import trellis_of

    [factor] = reml.model.design.factors
    trellis = trellis_of(
        {"REML": reml.solution, "NUTS": posterior.solution},
        factor,
        "Days",
        None,
        lines=("no pooling",),
    )
    figure = draw_trellis(
        trellis, title="Reaction time (ms) over days of sleep deprivation, by person"
    )
    try:
        figure.savefig(target, dpi=150)
    except OSError as error:
        raise FileError(
            f"the picture {str(target)!r} cannot be written: {error.strerror}."
        ) from error
