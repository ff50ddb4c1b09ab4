"""What the class of a prior family states about it."""

import re
from pathlib import Path

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.priors.base import PriorCode
from bayeslmm.priors.families import FAMILIES, names_of

CORE = Path(bl.__file__).parent / "core" / "priors"


def test_every_compiled_family_has_its_header_and_its_line():
    registry = (CORE / "registry.h").read_text(encoding="utf-8")
    headers = {path.stem for path in (CORE / "families").glob("*.h")} - {"family"}
    assert headers == set(re.findall(r"priors/families/(\w+)\.h", registry))
    assert {code.name.lower() for code in PriorCode} == headers | {"variance_split"}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_states_its_density_or_is_integrated_out(name):
    family = FAMILIES[name]
    assert family.code is not None or family.gaussian


def test_families_by_support():
    assert names_of("covariance") == ["Wishart", "InverseWishart", "HuangWand"]
    assert "HalfStudentTAtMeans" not in names_of("positive")


@pytest.mark.parametrize(
    ("prior", "inside"),
    [
        (bl.Normal(0, 1), (-2.0, 3.0)),
        (bl.HalfNormal(1), (0.0, 3.0)),
        (bl.Uniform(-1, 1), (-1.0, 1.0)),
        (bl.Beta(2, 2), (-2.0, 3.0)),
    ],
    ids=repr,
)
def test_where_a_density_is_not_zero_within_an_interval(prior, inside):
    assert prior.within(-2.0, 3.0) == inside


INFINITE = [
    bl.Gamma(0.9, 1),
    bl.Wishart(0.5, 2.0),
    bl.VarianceSplit(bl.HalfNormal(1), bl.Beta(0.4, 1)),
]


@pytest.mark.parametrize("prior", INFINITE, ids=repr)
def test_a_prior_that_is_infinite_at_zero_says_what_would_be_finite(prior):
    assert prior.infinite_at_zero(1)
    assert "or more" in prior.finite_with(1)


def test_map_refuses_a_wishart_that_is_infinite_at_zero():
    data = bl.load_dataset("Dyestuff")
    model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors={"G_Batch": bl.Wishart(0.5, 900.0)})
    with pytest.raises(bl.PriorError, match=r"infinite at zero.*a df of 1 or more"):
        model.fit("map")
    finite = model.with_priors({"G_Batch": bl.Wishart(1.5, 900.0)}).fit("map")
    assert np.isfinite(finite.theta).all()
