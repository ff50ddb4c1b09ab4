"""The command ``bayeslmm``: fit a model to a file, show a saved fit, run the demonstration."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayeslmm import __version__
from bayeslmm.errors import ArgumentError, BayeslmmError, BayeslmmWarning
from bayeslmm.support.arguments import one_of
from bayeslmm.support.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

    from bayeslmm.api.fit import Fit
    from bayeslmm.api.model import Model

__all__ = ["main"]

_EPILOG = """\
examples:
  bayeslmm demo
  bayeslmm fit "Reaction ~ Days + (Days | Subject)" data.csv --method reml
  bayeslmm fit "Reaction ~ Days + (Days | Subject)" data.csv --seed 1 --out fit.nc
  bayeslmm show fit.nc
"""
_FORMULA_HELP = (
    "the model, in lme4's language, in quotes: \"y ~ x + (x | g)\". It can call the library's "
    "transforms and NumPy's elementwise functions, nothing else"
)
_PICTURE = "bayeslmm-demo.png"
_METHODS = ("nuts", "reml", "ml", "map")
_FAILED, _INTERRUPTED = 2, 130
_BAR_WIDTH = 115
"""Columns that the sampler's table of chains needs; in a narrower terminal its lines break."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process by default.

    Returns
    -------
    int
        Exit status: 0; 2 for an error, whose message is on standard error; 130 after Ctrl-C.
    """
    given = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal without σ or ü shows them as \u03c3 or \xfc
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", BayeslmmWarning)
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            given.run(given)
            sys.stdout.flush()
    except BayeslmmError as error:
        print(f"bayeslmm: error: {visible(str(error), keep='\n')}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("bayeslmm: stopped", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        _give_up_output()
    except OSError as error:
        print(f"bayeslmm: error: the output cannot be written: {error.strerror}", file=sys.stderr)
        _give_up_output()
        return _FAILED
    return 0


def _give_up_output() -> None:
    """Let Python not complain at exit either of output that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bayeslmm",
        description="Linear mixed models: one formula, fitted by NUTS or by REML/ML.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bayeslmm {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="fit one data set both ways, and compare")
    demo.add_argument(
        "--out",
        metavar="PICTURE",
        default=_PICTURE,
        help="its file (%(default)s)",
    )
    demo.set_defaults(run=_demo)

    fit = commands.add_parser("fit", help="fit a model to a CSV or Parquet file and print it")
    fit.add_argument("formula", metavar="FORMULA", help=_FORMULA_HELP)
    fit.add_argument("data", metavar="DATA", help="a file whose name ends in .csv or .parquet")
    fit.add_argument(
        "--method", type=_method, default="nuts", metavar="{nuts,reml,ml,map}",
        help="sample the posterior, or maximise the restricted or full likelihood (%(default)s)",
    )  # fmt: skip
    fit.add_argument("--weights", metavar="COL", help="column that divides the residual variance")
    fit.add_argument("--seed", type=int, metavar="N", help="for the same draws again")
    fit.add_argument("--draws", type=int, metavar="N", help="draws kept of each chain")
    fit.add_argument("--tune", type=int, metavar="N", help="warm-up draws of each chain")
    fit.add_argument("--chains", type=int, metavar="N", help="number of chains")
    fit.add_argument("--out", metavar="FILE", help="save the fit there, usually FILE.nc")
    fit.set_defaults(run=_fit)

    show = commands.add_parser("show", help="print a fit that was saved with --out or fit.save")
    show.add_argument("file", metavar="FILE")
    show.set_defaults(run=_show)
    return parser


def _method(text: str) -> str:
    try:
        return one_of("method", text, _METHODS)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _demo(given: argparse.Namespace) -> None:
    from bayeslmm.cli.demo import run

    run(str(_writable(given.out, _PICTURE)))


def _fit(given: argparse.Namespace) -> None:
    options = {
        "random_seed": given.seed,
        "draws": given.draws,
        "tune": given.tune,
        "chains": given.chains,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if given.method != "nuts" and options:
        flags = ", ".join(f"--{'seed' if name == 'random_seed' else name}" for name in options)
        raise ArgumentError(
            f"{flags} would do nothing with --method {given.method}, which draws no samples; leave "
            "that out, or use --method nuts."
        )
    target = None if given.out is None else _writable(given.out, "fit.nc", given.data)

    from bayeslmm.cli.tabular_file import read_file
    from bayeslmm.formula.parsing import parse

    parse(given.formula)
    data, notes = read_file(given.data)
    for note in notes:
        print(f"bayeslmm: note: {visible(note)}", file=sys.stderr)

    from bayeslmm.api.model import Model

    model = Model(given.formula, data, weights=given.weights)
    fit = _fitted(model, given.method, options)
    # first, as a fit that is saved is not lost where it cannot be printed
    if target is not None:
        fit.save(target)
    print(fit)
    if target is not None:
        print(f"\nsaved: {target}")


def _show(given: argparse.Namespace) -> None:
    from bayeslmm.api.loading import load

    print(load(given.file))


def _fitted(model: Model, method: str, options: dict[str, Any]) -> Fit:
    """Fit, with progress only where somebody watches."""
    if method != "nuts":
        return model.fit(method)  # type: ignore[call-overload]
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal or console.width >= _BAR_WIDTH:
        return model.fit("nuts", **options, progress=console.is_terminal)
    with console.status("sampling ..."):
        return model.fit("nuts", **options, progress=False)


def _writable(path: str, example: str, data: str | None = None) -> Path:
    """Refuse a place that cannot be written, or is that of the data, before minutes are spent."""
    from pathlib import Path

    from bayeslmm.errors import FileError
    from bayeslmm.support.arguments import place_for_file

    target = Path(path)
    place = place_for_file(target, example)
    if not os.access(place.parent, os.W_OK):
        there = "cannot be written to" if place.parent.is_dir() else "does not exist"
        raise FileError(f"the folder of {path!r} {there}; choose another place for --out.")
    if data is not None and os.path.exists(data) and place.exists() and place.samefile(data):
        raise FileError(
            f"--out {path!r} is the file of the data, {data!r}, which it would replace; choose "
            f"another name, such as {example!r}."
        )
    return target


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """A warning of the library as a plain line; one of another library with its kind."""
    kind = "" if issubclass(category, BayeslmmWarning) else f"{category.__name__}: "
    print(f"bayeslmm: warning: {kind}{visible(str(message))}", file=sys.stderr)
