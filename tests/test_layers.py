"""The packages of the library are layers: imports of every kind go to earlier ones only."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bayeslmm"

# From the ground up. A module may import its own layer and those before it.
LAYERS = [
    "errors",
    "support",
    "core",
    "drawing",
    "data",
    "formula",
    "covariance",
    "design",
    "equations",
    "priors",
    "specification",
    "pymc_models",
    "estimation",
    "solutions",
    "effects",
    "inference",
    "criticism",
    "comparison",
    "sensitivity",
    "reports",
    "plots",
    "storage",
    "api",
    "cli",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """The modules of the library that a module imports: at the top, in functions, for types."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively, in line {node.lineno}"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {s if s in MODULES else str(node.module) for s in submodules}
    return (found & MODULES.keys()) - {"bayeslmm", name}


IMPORTS = {name: imported(name) for name in MODULES}


def layer(name: str) -> int:
    return LAYERS.index(name.split(".")[1])


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".")])
def test_imports_go_to_earlier_layers(name: str) -> None:
    if name == "bayeslmm.__main__":
        return
    assert [other for other in sorted(IMPORTS[name]) if layer(other) > layer(name)] == []


def test_no_circle_of_modules() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_the_table_of_packages_names_them_all_in_order() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == LAYERS
    assert set(LAYERS) == {name.split(".")[1] for name in MODULES if name.count(".")} - {"__main__"}
