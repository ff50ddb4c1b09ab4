"""theta as variables: which elements have one name, and the dimension of their labels."""

import pytest

from bayeslmm.design.variables import variables_of
from tests.oracles import fits_cache

SD, CORR = "sd_Subject", "corr_Subject"
EXPECTED = {
    "slopes": [
        (SD, "Subject_effect_sd", ("Intercept", "Days"), (0, 2)),
        (CORR, "Subject_pair", ("Intercept, Days",), (2, 3)),
        ("sigma", None, ("",), (3, 4)),
    ],
    "two bars": [
        (SD, "Subject_effect_sd", ("Intercept", "Days"), (0, 2)),
        ("sigma", None, ("",), (2, 3)),
    ],
    "one variance": [
        ("sd_Worker", "Worker_effect_sd", ("Machine",), (0, 1)),
        ("sigma", None, ("",), (1, 2)),
    ],
    "nested": [
        ("sd_batch", "batch_effect_sd", ("Intercept",), (0, 1)),
        ("sd_batch:cask", "batch:cask_effect_sd", ("Intercept",), (1, 2)),
        ("sigma", None, ("",), (2, 3)),
    ],
    "no random effects": [("sigma", None, ("",), (0, 1))],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_variables(name):
    found = variables_of(fits_cache.model(name).parameters)
    assert [(v.name, v.dim, v.labels, (v.start, v.stop)) for v in found] == EXPECTED[name]


@pytest.mark.parametrize("name", ["slopes", "two bars", "one variance"])
def test_models_of_pymc_and_posteriors_have_the_same_dimensions(name):
    model = fits_cache.model(name)
    posterior = fits_cache.posterior(name).posterior
    for made in (model.pymc, model.full_pymc()):
        for variable in variables_of(model.parameters):
            dims = made.named_vars_to_dims.get(variable.name, ())
            assert posterior[variable.name].dims[2:] == dims
            for dim in dims:
                assert list(posterior[dim].to_numpy()) == list(made.coords[dim])
