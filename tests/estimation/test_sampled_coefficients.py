"""Coefficients with priors that are not Gaussian: in the textbook model, sampled by themselves."""

import numpy as np
import pytest
from scipy import stats

import bayeslmm as bl

# PyTensor's C compiler looks for a BLAS that pip does not install; nothing here needs one.

FLAT = {"beta[Intercept]": bl.Flat()}
PRIORS = [
    (FLAT | {"beta": bl.StudentT(3, 0, 20)}, lambda b: stats.t(3, 0, 20).logpdf(b[1])),
    (FLAT | {"beta": bl.Laplace(5, 4)}, lambda b: stats.laplace(5, 4).logpdf(b[1])),
    (
        {"beta[Intercept]": bl.Cauchy(250, 50), "beta": bl.Flat()},
        lambda b: stats.cauchy(250, 50).logpdf(b[0]),
    ),
    (
        {"beta[Intercept]": bl.StudentTAtMeans(3, 300, 50), "beta": bl.Flat()},
        lambda b: stats.t(3, 300, 50).logpdf(b[0] + 4.5 * b[1]),
    ),
    (
        {"beta": bl.MvNormal([250, 10], [[900, -40], [-40, 25]])},
        lambda b: stats.multivariate_normal([250, 10], [[900, -40], [-40, 25]]).logpdf(b),
    ),
    (
        {"beta": bl.MvNormal([10], 25), "beta[Intercept]": bl.Normal(200, 30)},
        lambda b: stats.norm([200, 10], [30, 5]).logpdf(b).sum(),
    ),
]


def sleepstudy(priors):
    others = {"sd": bl.HalfNormal(50), "sigma": bl.HalfNormal(50)}
    data = bl.load_dataset("sleepstudy")
    return bl.Model("Reaction ~ Days + (1 | Subject)", data, priors={**others, **priors})


@pytest.mark.parametrize(("priors", "log_density"), PRIORS)
def test_textbook_model_has_the_prior_of_the_coefficients(priors, log_density):
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    model = sleepstudy(priors).full_pymc()
    variables = [v for v in model.free_RVs if v.name.startswith("beta")]
    mode = Mode(linker="py", optimizer="fast_compile")
    values = [model.rvs_to_values[v] for v in variables]
    total = sum(term.sum() for term in model.logp(vars=variables, sum=False))
    log_prior = pytensor.function(values, total, mode=mode)
    reported = model.replace_rvs_by_values([pt.as_tensor(model["beta"])])[0]
    beta = pytensor.function(values, reported, mode=mode, on_unused_input="ignore")
    rng = np.random.default_rng(2)
    found = []
    for _ in range(3):
        point = [rng.normal(100, 60, size=tuple(v.shape.eval(mode=mode))) for v in variables]
        found.append(log_prior(*point) - log_density(beta(*point)))
    np.testing.assert_allclose(found, found[0], atol=1e-8)


def test_sampling_agrees_with_the_gaussian_limit():
    """Student's t with many degrees of freedom is normal, which is integrated out exactly."""
    normal = sleepstudy({"beta": bl.Normal(0, 3)})
    heavy = sleepstudy({"beta": bl.StudentT(1e6, 0, 3)})
    exact = normal.fit("nuts", random_seed=1, progress=False)
    sampled = heavy.fit("nuts", random_seed=1, draws=2000, tune=800, chains=2, progress=False)
    one, two = exact.summary(), sampled.summary()
    error = np.sqrt(one["mcse"] ** 2 + two["mcse"] ** 2)
    assert (np.abs(one["estimate"] - two["estimate"]) < 5 * error).all()
    assert "made NUTS sample all coefficients" in str(sampled.diagnose())
    assert sampled.diagnose().ok


def test_reml_does_not_use_it():
    data = bl.load_dataset("sleepstudy")
    free = bl.Model("Reaction ~ Days + (1 | Subject)", data).fit("reml")
    fit = sleepstudy({"beta": bl.Laplace(0, 0.1)}).fit("reml")
    np.testing.assert_allclose(fit.beta, free.beta)
