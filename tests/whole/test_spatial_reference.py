"""Correlations by distance against nlme."""

import json
from pathlib import Path

import pytest

import bayeslmm as bl

RESULTS = json.loads(
    (Path(__file__).parents[1] / "reference" / "spatial.json").read_text(encoding="utf-8")
)["results"]


@pytest.mark.parametrize("expected", RESULTS, ids=lambda r: f"{r['structure']} {r['nugget']}")
def test_nlme(expected):
    R = getattr(bl, expected["structure"])(time="age", group="Subject", nugget=expected["nugget"])
    fit = bl.Model("distance ~ age * Sex", bl.load_dataset("Orthodont"), R=R).fit("reml")
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-5)
    for name, value in (("range", "range"), ("nugget", "share"), ("sigma", "sigma")):
        if value in expected:
            assert fit.theta[name] == pytest.approx(expected[value], rel=2e-3)
