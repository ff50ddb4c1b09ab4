"""Simulation-based calibration, on request:
``uv run pytest -m slow tests/simulation/test_calibration.py``.
"""

import pytest

from tests.simulation.calibration import CASES, ranks, uniformity

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CASES)
def test_true_values_rank_uniformly_among_the_draws(name):
    table = ranks(name, 150, seed=7)
    values = [uniformity(table[label]) for label in table]
    assert min(values) * len(values) > 1e-3
