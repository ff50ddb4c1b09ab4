"""What one gradient and what sampling cost with many rows in 10,000 groups: `rows`."""

import sys

import numpy as np
import pandas as pd
from common import DRAWS, large_data, report, seconds

import bayeslmm as bl

model = bl.Model("y ~ x + (x | g)", pd.DataFrame(large_data(int(sys.argv[1])), copy=False))
theta = np.array([2.0, 1.0, 0.5, 3.0])  # as simulated
gradient = seconds(lambda: model.equations.loglik(theta), calls=50, warm_up=2)
fit = model.fit("nuts", draws=DRAWS, chains=4, random_seed=1, progress=False)
report(gradient=gradient, sampling=fit.posterior.attrs["sampling_time"])
