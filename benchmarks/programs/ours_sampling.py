"""Sleepstudy by NUTS, warm: `file`."""

import sys
import time

import pandas as pd
from common import report, smallest_ess

import bayeslmm as bl

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep)
model.fit("nuts", chains=4, random_seed=1, progress=False)

began = time.perf_counter()
fit = model.fit("nuts", chains=4, random_seed=2, progress=False)
whole = time.perf_counter() - began
posterior = fit.posterior["posterior"]
report(
    ess=smallest_ess(v.to_numpy() for v in posterior.data_vars.values()),
    sampling=posterior.attrs["sampling_time"],
    fit=whole,
)
