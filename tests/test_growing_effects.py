"""Standard deviations of random effects that grow with the occasion, against dense algebra."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslmm as bl

DATA = bl.load_dataset("Orthodont")
DATA = pd.concat([DATA, DATA.assign(distance=DATA["distance"] + 1)], ignore_index=True)
DATA = DATA[DATA["Subject"].isin(["M01", "M02", "F01", "F02", "F03"])]
STRUCTURES = {
    "AR1": bl.AR1(variance=bl.VarPower("age")),
    "product": bl.AR1(variance=[bl.VarPower("age"), bl.VarExp("age")]),
    "Diag": bl.ID(variance=bl.VarExp("age")),
}
THETA = {"sd": 1.3, "rho": 0.4, "sigma": 1.1}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_likelihood_and_its_gradient(name):
    G = {"Subject": STRUCTURES[name]}
    model = bl.Model("distance ~ age + (0 + age | Subject)", DATA, G=G)
    power, expon = 0.3, -0.05
    names = model.parameters.names
    values = {"power_Subject": power, "expon_Subject": expon}
    theta = np.array([values.get(n, THETA.get(n.split("_")[0])) for n in names])
    ages = DATA["age"].to_numpy()
    sds = 1.3 * np.ones(len(ages))
    if "power_Subject" in names:
        sds *= ages**power
    if "expon_Subject" in names:
        sds *= np.exp(expon * ages)
    lag = abs(ages[:, None] - ages) / 2
    C = np.where(lag == 0, 1, 0.4**lag) if "rho_Subject" in names else (lag == 0)
    subject = DATA["Subject"].to_numpy()
    V = C * np.outer(sds, sds) * (subject[:, None] == subject) + 1.1**2 * np.eye(len(ages))
    X, y = model.design.X, model.design.y
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y))
    value, gradient = model.equations.loglik(theta, "ml")
    expected = stats.multivariate_normal.logpdf(y, X @ beta, V)
    assert value == pytest.approx(expected, rel=1e-9)
    for i, move in enumerate(1e-6 * np.eye(len(theta))):
        up, down = (model.equations.loglik(theta + m, "ml")[0] for m in (move, -move))
        assert gradient[i] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-4)
