"""`import bayeslmm`: what it offers, and that it costs next to nothing."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bayeslmm as bl

HEAVY = ["pandas", "numpy", "scipy", "numba", "pymc", "pytensor", "arviz", "matplotlib"]


def loaded_by(code):
    """Those heavy packages that a fresh interpreter has imported after running the code."""
    report = f"\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return run.stdout.split()


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import bayeslmm", []),
        ("import bayeslmm; dir(bayeslmm); bayeslmm.__version__; bayeslmm.DataError", []),
        ("import bayeslmm; bayeslmm.load_dataset('Rail')", ["pandas", "numpy"]),
    ],
)
def test_imports_only_what_is_used(code, loaded):
    assert loaded_by(code) == loaded


@pytest.mark.parametrize(("name", "module"), bl._MODULE_OF.items())
def test_every_name_is_there(name, module):
    assert name in dir(bl)
    assert getattr(bl, name) is getattr(import_module(f"bayeslmm.{module}"), name)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(bl.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        imported.asname: statement.module
        for statement in block.body
        for imported in statement.names
        if imported.name != "*"
    }
    registry = "bayeslmm.covariance.correlations.registry"  # its names are imported by a star
    seen |= dict.fromkeys(import_module(registry).STRUCTURES, registry)
    assert seen == {name: f"bayeslmm.{module}" for name, module in bl._MODULE_OF.items()}


def test_no_export_is_hidden_by_a_module():
    modules = {path.stem for path in Path(bl.__file__).parent.iterdir()}
    assert modules.isdisjoint(bl.__all__)


def test_nothing_else_is_listed():
    assert set(dir(bl)) == {*bl.__all__, "__version__"}


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="module 'bayeslmm' has no attribute 'Modle'"):
        _ = bl.Modle
