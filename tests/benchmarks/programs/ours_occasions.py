"""What one gradient costs with structures of R over 20 occasions: `occasions`."""

import sys

import numpy as np
import pandas as pd
from common import report, seconds

import bayeslmm as bl

OCCASIONS = 20


def model(name: str, subjects: int) -> bl.Model:
    """Complete data whose residuals are autocorrelated, as the model has them or not."""
    rng = np.random.default_rng(3)
    lag = np.abs(np.subtract.outer(range(OCCASIONS), range(OCCASIONS)))
    y = rng.standard_normal((subjects, OCCASIONS)) @ np.linalg.cholesky(0.7**lag).T
    data = pd.DataFrame(
        {
            "id": np.repeat(np.arange(subjects), OCCASIONS),
            "t": np.tile(np.arange(float(OCCASIONS)), subjects),
            "y": 10.0 + y.ravel(),
        }
    )
    return bl.Model("y ~ t", data, R=getattr(bl, name)(time="t", group="id"))


def gradient(name: str, subjects: int) -> float:
    """Seconds of one, near where the data are."""
    own = model(name, subjects)
    theta = np.ones(len(own.parameters))
    for i, kind in enumerate(own.parameters.kinds):
        theta[i] = 1.0 if kind == "sigma" else 0.1
    return seconds(lambda: own.equations.loglik(theta), calls=30, warm_up=2)


subjects = int(sys.argv[1])
names = ("UN", "Toep", "AR1", "CAR1", "CS")
found = {name: gradient(name, subjects) for name in names}
report(**found, **{f"{name} of a tenth": gradient(name, subjects // 10) for name in names[2:]})
