"""The programs that are compared, each in an environment of its own."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PEERS = Path(__file__).parent / "peers"
_VERSIONS = (
    "from importlib.metadata import version as v; print(', '.join(f'{n} {v(n)}' for n in %r))"
)
_OURS = ("bayeslmm", "pymc", "pytensor", "nutpie", "arviz-stats", "numba", "numpy", "scipy")
_BAMBI = ("bambi", "pymc", "pytensor", "nutpie", "arviz-stats", "numba", "numpy", "scipy")
_STATSMODELS = ("statsmodels", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class Environments:
    """What runs the programs.

    Attributes
    ----------
    bambi, statsmodels, mixedlm, glmm : Path
        Python interpreters.
    rscript : str or None
        R with lme4, where there is one.
    """

    bambi: Path
    statsmodels: Path
    mixedlm: Path
    glmm: Path
    rscript: str | None

    @property
    def ours(self) -> Path:
        return Path(sys.executable)

    def versions(self) -> dict[str, str]:
        """The versions in each environment."""
        found = {
            "ours": _versions(self.ours, _OURS),
            "Bambi": _versions(self.bambi, _BAMBI),
            "statsmodels": _versions(self.statsmodels, _STATSMODELS),
            "mixedlm": _versions(self.mixedlm, ("mixedlm", "numpy", "scipy")),
            "glmm": _versions(self.glmm, ("glmm", "numpy")),
        }
        if self.rscript:
            code = 'cat(R.version.string, ", lme4 ", format(packageVersion("lme4")), sep = "")'
            found["lme4"] = _said([self.rscript, "-e", code])
        return found


def cache_directory() -> Path:
    """Where environments and compiled code are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bayeslmm-benchmarks"


def prepare(cache: Path) -> Environments:
    """Make the Python environments of the peers where they are missing, and look for lme4."""
    return Environments(
        bambi=_environment("bambi", cache),
        statsmodels=_environment("statsmodels", cache),
        mixedlm=_environment("mixedlm", cache),
        glmm=_environment("glmm", cache),
        rscript=_rscript(),
    )


def machine() -> str:
    """Processor, cores, memory and system in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = named[0].split(":", 1)[1].strip() if named else model
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def revision() -> str:
    """The commit that is measured, and whether files differ from it."""
    git = ["git", "-C", str(_PEERS)]
    changed = _said([*git, "status", "--porcelain", "--untracked-files=no", ":/bayeslmm"])
    return _said([*git, "rev-parse", "--short", "HEAD"]) + (" with changes" if changed else "")


def _environment(name: str, cache: Path) -> Path:
    requirements = _PEERS / f"{name}.txt"
    # A change of the ranges makes a new environment.
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"{name}-{key}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        print(f"making the environment of {name} in {folder}", file=sys.stderr)
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", base, folder], check=True)
        install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
        subprocess.run([*install, "--requirement", requirements], check=True)
        done.touch()
    return python


def _rscript() -> str | None:
    found = shutil.which("Rscript")
    if found is None:
        return None
    check = subprocess.run([found, "-e", "library(lme4)"], capture_output=True, check=False)
    return found if check.returncode == 0 else None


def _versions(python: Path, packages: tuple[str, ...]) -> str:
    return _said([str(python), "-c", _VERSIONS % (packages,)])


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
