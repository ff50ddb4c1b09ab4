"""Coverage of intervals, on request:
``uv run pytest -m slow tests/simulation/test_interval_coverage.py``.
"""

import pytest
from scipy import stats

from tests.simulation.interval_coverage import LEVEL, held

pytestmark = pytest.mark.slow


def shares(table, n):
    """Of the intervals that held the truth, by parameter and kind, and the least and greatest that
    n of them have at the level, of which one in ten thousand is beyond.
    """
    found = table.groupby(["parameter", "kind"])["held"].mean()
    return found, *(stats.binom.ppf([5e-5, 1 - 5e-5], n, LEVEL) / n)


@pytest.mark.parametrize("design", ["complete", "unbalanced"])
def test_coefficients_keep_their_level(design):
    found, least, greatest = shares(held(design, "wald", 300, seed=5), 300)
    for name in ("beta[Intercept]", "beta[Days]"):
        for kind in ("Satterthwaite", "Kenward-Roger"):
            assert least <= found[name, kind] <= greatest, (name, kind)


def test_profiles_hold_the_truth():
    found, least, greatest = shares(held("complete", "profile", 150, seed=5), 150)
    for name, kind in found.index:
        # the statistic is chi-squared for many groups, and 18 are some
        assert least - 0.02 <= found[name, kind] <= greatest, name
