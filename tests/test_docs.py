"""What README, the notebook and the pages say is what happens."""

import contextlib
import io
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest

from bayeslmm.cli import commands as cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"

COMMANDS = [
    "python3 -m pip install uv && uv run bayeslmm demo",
    "python3 -m pip install uv && uv run pytest",
]


def blocks(*languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of README in these languages, with their language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


def lines(language: str) -> list[str]:
    """The lines of all blocks in a language."""
    return "".join(text for _, text in blocks(language)).splitlines()


def close(shown: str, printed: str) -> bool:
    """Whether two texts differ in nothing but white space and what another machine's draws may
    change in numbers.
    """
    a, b = shown.split(), printed.split()
    if len(a) != len(b):
        return False
    for left, right in zip(a, b, strict=True):
        try:
            numbers = float(left), float(right)
        except ValueError:
            if left != right:
                return False
        else:
            if not np.isclose(*numbers, rtol=0.3, atol=0.15, equal_nan=True):
                return False
    return True


def test_the_two_commands_are_in_readme_and_lead_to_a_program() -> None:
    assert lines("console")[:2] == COMMANDS
    (script,) = entry_points(group="console_scripts", name="bayeslmm")
    assert script.load() is cli.main


@pytest.mark.parametrize("line", [line for line in lines("console") if " bayeslmm " in line])
def test_commands_of_readme_are_understood(line: str) -> None:
    words = shlex.split(line)
    cli._parser().parse_args(words[words.index("bayeslmm") + 1 :])


def test_the_command_line_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bayeslmm.data.examples import load_dataset

    monkeypatch.chdir(tmp_path)
    load_dataset("sleepstudy").to_csv("data.csv", index=False)
    printed = []
    for line in lines("console")[2:]:
        words = shlex.split(line)
        assert cli.main(words[words.index("bayeslmm") + 1 :]) == 0
        printed.append(capsys.readouterr().out)
    fit, show = printed
    assert show.strip() in fit
    assert fit.rstrip().endswith("saved: fit.nc")


def test_the_example_of_readme_prints_what_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed = previous = ""
    for language, text in blocks("python", "text"):
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, "README.md", "exec"), names)
            printed = out.getvalue()
        elif "nuts" not in previous:
            assert [line.rstrip() for line in printed.splitlines()] == text.splitlines()
        else:
            assert close(text, printed), printed
        previous = text
    assert (tmp_path / "trellis.png").exists()
    assert (tmp_path / "sleepstudy.nc").exists()


def test_files_that_the_pages_link_to_exist() -> None:
    missing = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook shows figures in the page
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
    assert sum("image/png" in output.data for output in shown) == 2
    assert any("fit by NUTS" in output.data.get("text/plain", "") for output in shown)


def test_the_page_on_priors_has_every_family_and_key() -> None:
    from dataclasses import fields

    from bayeslmm.priors.families import FAMILIES

    page = (ROOT / "docs" / "priors.md").read_text(encoding="utf-8")
    for name, family in FAMILIES.items():
        arguments = ", ".join(field.name for field in fields(family))
        assert f"| `{name}({arguments})` |" in page
    for key in ("beta", "sd", "corr", "sigma", "G_Subject", "R", "V"):
        assert f"`{key}`" in page


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^([\w-]+)$", index, re.MULTILINE)
    pages = {page.stem for page in (ROOT / "docs").iterdir() if page.suffix in (".md", ".rst")}
    assert pages - set(listed) == {"index"}
