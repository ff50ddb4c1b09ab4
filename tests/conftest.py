"""Settings that must be in place before any test module is imported."""

import os

from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"

# A slow machine is no failure, and a failure must come again when the run is repeated.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# The programs of the benchmarks belong to environments with other packages.
collect_ignore = ["benchmarks"]
