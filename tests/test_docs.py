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

# Debian's and Homebrew's Python refuse packages outside of a virtual environment (PEP 668).
SETUP = ["python3 -m venv .uv", ".uv/bin/pip install uv"]
COMMANDS = [
    " && ".join([*SETUP, ".uv/bin/uv run bayeslmm demo"]),
    " && ".join([*SETUP, ".uv/bin/uv run pytest"]),
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


@pytest.mark.parametrize("file", ["CONTRIBUTING.md", "docs/index.md", ".ci/run"])
def test_the_set_up_is_the_same_everywhere(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert all(command in text for command in SETUP)


def test_nothing_is_installed_outside_of_a_virtual_environment() -> None:
    pages = [ROOT / ".ci" / "run", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    assert [name for name, text in texts.items() if "python3 -m pip" in text] == []


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


def test_the_notebook_is_kept_with_outputs_and_without_what_changes_by_itself() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.metadata for cell in notebook.cells)
    assert notebook.metadata.language_info == {"name": "python"}
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 2
    assert any("fit by NUTS" in text for text in texts(notebook))


def test_the_notebook_runs_and_shows_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook shows figures in the page
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = texts(notebook)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for old, new in zip(stored, texts(notebook), strict=True):
        assert close(old, new), f"`uv run python notebooks/store.py` stores\n{new}\nfor\n{old}"


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The outputs of a notebook in their order, but for standard error."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output for cell in code for output in cell.outputs if output.get("name") != "stderr"]


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """The outputs of a notebook as plain text, without the line of the sampling time."""
    shown = [
        output.data["text/plain"] if "data" in output else output.text
        for output in outputs(notebook)
    ]
    return [re.sub(r"^Sampler: .*\n", "", text, flags=re.MULTILINE) for text in shown]


def test_the_page_on_priors_has_every_family_and_key() -> None:
    from dataclasses import fields

    from bayeslmm.priors.families import FAMILIES

    page = (ROOT / "docs" / "priors.md").read_text(encoding="utf-8")
    for name, family in FAMILIES.items():
        arguments = ", ".join(field.name for field in fields(family))
        assert f"| `{name}({arguments})` |" in page
    for key in ("beta", "sd", "corr", "sigma", "G_Subject", "R", "V"):
        assert f"`{key}`" in page


def test_every_page_is_in_the_index_and_in_its_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.stem for page in (ROOT / "docs").iterdir() if page.suffix in (".md", ".rst")}
    linked = re.findall(r"\]\(([\w-]+)\.(?:md|rst)\)", index)
    listed = re.findall(r"^([\w-]+)$", index, re.MULTILINE)
    assert pages - set(linked) == pages - set(listed) == {"index"}


# Links without a text, labels, roles and directives, and macros that GitHub does not allow.
ONLY_SPHINX = re.compile(
    r"\[\]\(|^\([\w-]+\)=$|(?<!`)\{[a-z:-]+\}`|^(?:```|:::)\{(?!code-cell\}|toctree\})"
    r"|\\operatorname|\\mbox|\\phantom",
    re.MULTILINE,
)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_pages_can_be_read_on_a_code_host(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert ONLY_SPHINX.findall(text) == []
    assert ("{code-cell}" in text) == ("(index.md#building-the-pages)" in text)
