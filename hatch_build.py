"""Build hook: the C++ of `bayeslmm` compiled to one shared library beside the package.

The compiler is that of the environment variable ``CXX``, else the machine's, else the PyPI package
``ziglang``, which the build then asks for by itself. The library calls C alone and nothing of
Python: one serves every Python of a platform.

``BAYESLMM_TARGET``, one of zig's targets such as ``aarch64-macos``, builds for another platform,
whose wheels have the tag in ``BAYESLMM_PLATFORM``. ``BAYESLMM_CXXFLAGS`` are further flags, such as
``-O0 -g`` or ``-Werror``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = "bayeslmm/core"
_FLAGS = [
    *("-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden"),
    "-ffp-contract=off",  # so that products and sums are rounded alike by every compiler
    *("-Wall", "-Wextra"),
]
_REMEDY = (
    "bayeslmm could not compile its C++ sources with {compiler!r}. Install a compiler of C++17 (on "
    "Debian and Ubuntu `apt install g++`, on macOS `xcode-select --install`), or name one in the "
    "environment variable CXX; `CXX=zig` takes the PyPI package ziglang instead, which is a whole "
    "compiler. Then build again. The compiler said:\n\n{message}"
)


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles the library before a wheel, or an editable install, is put together."""

    def dependencies(self) -> list[str]:
        """A compiler as a wheel, where the machine has none or another platform is asked for."""
        return ["ziglang>=0.13"] if _system_compiler() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what the wheel contains and where it runs."""
        if self.target_name != "wheel":
            return
        target = os.environ.get("BAYESLMM_TARGET", "")
        root = Path(self.root)
        library = root / _SOURCES / f"_core{_suffix(target)}"
        _compile(root / _SOURCES, library, target)
        here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ.get('BAYESLMM_PLATFORM', here)}"
        for other in library.parent.glob("_core.*"):
            if other != library:  # of another platform
                other.unlink()
        build_data["artifacts"].append(str(library.relative_to(root).as_posix()))


def _system_compiler() -> list[str] | None:
    """The machine's compiler; None where there is none, or where zig is asked for."""
    asked = os.environ.get("CXX", "")
    if os.environ.get("BAYESLMM_TARGET") or asked == "zig":
        return None
    for name in (asked, "c++", "g++", "clang++"):
        if name and shutil.which(name.split()[0]):
            return name.split()
    return None


def _suffix(target: str) -> str:
    platform = target or {"win32": "windows", "darwin": "macos"}.get(sys.platform, "")
    return ".dll" if "windows" in platform else ".dylib" if "macos" in platform else ".so"


def _compile(sources: Path, library: Path, target: str) -> None:
    """Compile every file, two at a time or more, and link them."""
    # zig's own C++ library is not needed, and would take a minute to build
    zig = [sys.executable, "-m", "ziglang", "c++"] + (["-target", target] if target else [])
    compiler = _system_compiler() or zig
    more = os.environ.get("BAYESLMM_CXXFLAGS", "").split()
    flags = [*_FLAGS, f"-I{sources}", *["-fPIC"] * (library.suffix != ".dll"), *more]
    with tempfile.TemporaryDirectory() as objects:

        def compiled(source: Path) -> str:
            name = "_".join(source.relative_to(sources).with_suffix(".o").parts)
            _run([*compiler, *flags, "-c", str(source), "-o", f"{objects}/{name}"])
            return f"{objects}/{name}"

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            files = list(pool.map(compiled, sorted(sources.rglob("*.cpp"))))
        link = ["-nostdlib++"] if compiler is zig else []
        # for Windows zig writes an import library beside it, which nobody needs
        made = Path(objects) / library.name
        _run([*compiler, *more, "-shared", *link, *files, "-o", str(made)])
        shutil.move(made, library)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        compiler = command[0] if "ziglang" not in command else "ziglang"
        raise SystemExit(_REMEDY.format(compiler=compiler, message=done.stderr.strip()))
