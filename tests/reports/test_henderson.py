"""Henderson's equations at given variances: published solutions, dense algebra, what is refused."""

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from tests.oracles.dense import full_Z

# Mrode (2014), Linear Models for the Prediction of Animal Breeding Values, 3rd edition, example
# 3.2, pages 46 to 48: gains of five calves before weaning; sire 4 is a son of sire 1.
CALVES = pd.DataFrame(
    {
        "gain": [4.5, 2.9, 3.9, 3.5, 5.0],
        "sex": ["male", "female", "female", "male", "male"],
        "sire": ["1", "3", "1", "4", "3"],
    }
)
SIRES = ["1", "3", "4"]
A = pd.DataFrame([[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]], SIRES, SIRES)


def sire_model():
    return bl.Model("gain ~ 0 + sex + (1 | sire)", CALVES)


def test_mrodes_sire_model():
    system = bl.henderson(sire_model(), G={"sire": 5 * A}, R=55)
    # page 48
    expected = {
        "beta[sex[male]]": 4.336,
        "beta[sex[female]]": 3.382,
        "u_sire[1]": 0.022,
        "u_sire[3]": 0.014,
        "u_sire[4]": -0.043,
    }
    for name, value in expected.items():
        assert system.solution.loc[name, "estimate"] == pytest.approx(value, abs=5e-4)
    # the equations there are times the residual variance, α = 55/5 = 11
    C = 55 * system.C.to_numpy()
    least_squares = [
        [2, 0, 1, 1, 0],
        [0, 3, 1, 1, 1],
        [1, 1, 2, 0, 0],
        [1, 1, 0, 2, 0],
        [0, 1, 0, 0, 1],
    ]
    C[2:, 2:] -= 11 * np.linalg.inv(A)
    np.testing.assert_allclose(C, least_squares, atol=1e-12)
    np.testing.assert_allclose(55 * system.rhs, [6.8, 13.0, 8.4, 7.9, 3.5])


def test_it_prints_as_a_textbook_shows_it():
    lines = repr(bl.henderson(sire_model(), G=5 * A, R=55)).splitlines()
    assert lines[:4] == [
        "Henderson's mixed-model equations",
        "Formula: gain ~ 0 + sex + (1 | sire)",
        "",
        "Equations, times the residual variance 55:",
    ]
    assert [line.split() for line in lines[4:10]] == [
        ["rhs"],
        ["beta[sex[female]]", "2", ".", "1", "1", ".", "|", "6.8"],
        ["beta[sex[male]]", ".", "3", "1", "1", "1", "|", "13"],
        ["u_sire[1]", "1", "1", "16.67", ".", "-7.333", "|", "8.4"],
        ["u_sire[3]", "1", "1", ".", "13", ".", "|", "7.9"],
        ["u_sire[4]", ".", "1", "-7.333", ".", "15.67", "|", "3.5"],
    ]
    assert lines[-1].split() == ["u_sire[4]", "-0.04304", "2.180"]
    assert "<table>" in bl.henderson(sire_model(), G=5 * A, R=55)._repr_html_()


def test_of_a_large_system_only_the_solution_is_printed():
    model = bl.Model("diameter ~ 1 + (1 | plate) + (1 | sample)", bl.load_dataset("Penicillin"))
    text = repr(bl.henderson(model, G={"plate": 0.7, "sample": 3.7}, R=0.3))
    assert "Equations" not in text
    assert "Solution, the first 16 of 31:" in text


def dense(model, G, R):
    """BLUE, BLUP and their errors from V alone."""
    design = model.design
    X, y = design.X, design.y_less_offset
    Z = np.column_stack([full_Z(f) for f in design.factors])
    inverse = np.linalg.inv(Z @ G @ Z.T + R)
    var_beta = np.linalg.inv(X.T @ inverse @ X)
    beta = var_beta @ X.T @ inverse @ y
    P = inverse - inverse @ X @ var_beta @ X.T @ inverse
    u = G @ Z.T @ P @ y
    errors = np.concatenate([np.diag(var_beta), np.diag(G - G @ Z.T @ P @ Z @ G)])
    return np.concatenate([beta, u]), np.sqrt(errors)


SLOPES = np.array([[600.0, 10.0], [10.0, 35.0]])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("correlated", [False, True])
def test_solution_and_errors_are_those_of_dense_algebra(weighted, whole, correlated):
    data = bl.load_dataset("sleepstudy")
    w = np.linspace(0.5, 3.0, len(data))
    model = bl.Model("Reaction ~ Days + (Days | Subject)", data, weights=w if weighted else None)
    G = np.kron(np.eye(18), SLOPES)
    R = np.diag(650 / w if weighted else np.full(len(data), 650.0))
    given = 650
    if correlated:
        R = given = 600 * 0.5 ** np.abs(np.subtract.outer(np.arange(180), np.arange(180)))
    system = bl.henderson(model, G=G if whole else SLOPES, R=given)
    estimate, std_error = dense(model, G, R)
    np.testing.assert_allclose(system.solution["estimate"], estimate, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(system.solution["std_error"], std_error, rtol=1e-8)
    identity = system.C.to_numpy() @ system.vcov.to_numpy()
    np.testing.assert_allclose(identity, np.eye(38), atol=1e-10)
    np.testing.assert_allclose(system.C @ system.solution["estimate"], system.rhs, rtol=1e-9)


def test_at_the_reml_estimates_it_is_the_fit():
    model = bl.Model("strength ~ 1 + (1 | batch/cask)", bl.load_dataset("Pastes"))
    fit = model.fit("reml")
    G = {name: fit.G(name) for name in ("batch", "batch:cask")}
    solution = bl.henderson(model, G=G, R=fit.residual_variance).solution
    np.testing.assert_allclose(solution["estimate"].iloc[0], fit.beta.iloc[0], rtol=1e-9)
    np.testing.assert_allclose(
        solution["std_error"].iloc[0], fit.fixef()["std_error"].iloc[0], rtol=1e-7
    )
    u = pd.concat([fit.ranef(f.name) for f in model.design.factors])["estimate"]
    np.testing.assert_allclose(solution["estimate"].iloc[1:], u, rtol=1e-7, atol=1e-8)


def test_frames_are_matched_by_name():
    model = sire_model()
    expected = bl.henderson(model, G=5 * A, R=55).solution
    mixed = 5 * A.loc[["4", "1", "3"], ["3", "4", "1"]]
    pd.testing.assert_frame_equal(bl.henderson(model, G=mixed, R=55).solution, expected)
    effects = ["Days", "Intercept"]
    slopes = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    turned = pd.DataFrame(SLOPES[::-1, ::-1], effects, effects)
    pd.testing.assert_frame_equal(
        bl.henderson(slopes, G=turned, R=650).solution,
        bl.henderson(slopes, G=SLOPES, R=650).solution,
    )


def test_without_random_effects_it_is_least_squares():
    model = bl.Model("Reaction ~ Days", bl.load_dataset("sleepstudy"))
    fit = model.fit("reml")
    solution = bl.henderson(model, R=fit.residual_variance).solution
    np.testing.assert_allclose(solution["estimate"], fit.beta, rtol=1e-9)
    np.testing.assert_allclose(solution["std_error"], fit.fixef()["std_error"], rtol=1e-9)


@pytest.mark.parametrize(
    ("G", "R", "error", "message"),
    [
        (None, 55, bl.ArgumentError, "the model has the groups .'sire'.; give `G` as a mapping"),
        ({"dam": 5}, 55, bl.ArgumentError, "unknown group in `G` 'dam'; valid: 'sire'"),
        ({}, 55, bl.ArgumentError, "`G` has no covariance matrix for .'sire'."),
        (np.eye(2), 55, bl.ArgumentError, r"shape \(1, 1\), .* or \(3, 3\) for all 3 levels"),
        (0.0, 55, bl.ArgumentError, "leave their term out of the formula"),
        (-A.to_numpy(), 55, bl.ArgumentError, "positive definite"),
        (np.ones((3, 3)), 55, bl.ArgumentError, "positive definite"),
        (np.triu(np.ones((3, 3))), 55, bl.ArgumentError, "symmetric and finite"),
        (A.rename(index={"4": "5"}), 55, bl.ArgumentError, "should be named as the effects"),
        ("5", "much", bl.ArgumentTypeError, "`R` should be a number or a matrix"),
        ("much", 55, bl.ArgumentTypeError, "should be a number or a matrix"),
        (5, 0, bl.ArgumentError, "`R` should be a positive variance"),
        (5, np.eye(3), bl.ArgumentError, r"`R` should be a number or have the shape \(5, 5\)"),
        (5, np.zeros((5, 5)), bl.ArgumentError, "positive definite"),
    ],
)
def test_what_is_no_covariance_is_refused(G, R, error, message):
    with pytest.raises(error, match=message):
        bl.henderson(sire_model(), G=G, R=R)


def test_what_is_no_model_is_refused():
    fit = bl.Model("Reaction ~ Days", bl.load_dataset("sleepstudy")).fit("reml")
    with pytest.raises(bl.ArgumentTypeError, match="of a fit, give"):
        bl.henderson(fit, R=1)
    with pytest.raises(bl.ArgumentError, match="has no random effects and no use for `G`"):
        bl.henderson(fit.model, G=1, R=1)


def test_a_model_with_too_many_equations_is_refused():
    s = np.repeat(np.arange(1100), 3)
    data = pd.DataFrame({"y": np.sin(np.arange(3300)), "x": np.tile([0.0, 1, 2], 1100), "s": s})
    model = bl.Model("y ~ x + (x | s)", data)
    with pytest.raises(bl.ArgumentError, match="2202 equations"):
        bl.henderson(model, G=np.eye(2), R=1)
