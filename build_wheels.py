"""Wheels for every platform from one machine: `uv run python build_wheels.py [PLATFORM ...]`.

zig compiles for all of them; `ziglang` comes from PyPI with the build.
"""

from __future__ import annotations

import os
import subprocess
import sys

TARGETS = {
    # a platform of wheels: zig's target, with the oldest C library that it links against
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "macosx_10_13_x86_64": "x86_64-macos.10.13",
    "win_amd64": "x86_64-windows-gnu",
}


def main(platforms: list[str]) -> None:
    """Build the wheels of some platforms, all unless named, into ``dist``."""
    unknown = set(platforms) - set(TARGETS)
    if unknown:
        raise SystemExit(f"unknown platforms {sorted(unknown)}; take some of {', '.join(TARGETS)}.")
    for platform in platforms or TARGETS:
        own = {"BAYESLMM_TARGET": TARGETS[platform], "BAYESLMM_PLATFORM": platform}
        subprocess.run(["uv", "build", "--wheel"], env=os.environ | own, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
