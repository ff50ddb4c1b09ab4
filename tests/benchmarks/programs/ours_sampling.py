"""Sleepstudy by NUTS, warm: `file`."""

import sys
import time

import pandas as pd
from common import report, smallest_ess

import bayeslmm as bl

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep)
# The first use of what makes a DataTree imports it.
assert model.fit("nuts", chains=4, random_seed=1, progress=False).posterior is not None

began = time.perf_counter()
fit = model.fit("nuts", chains=4, random_seed=2, progress=False)
fitted = time.perf_counter()
posterior = fit.posterior
ended = time.perf_counter()
sampler = posterior.attrs["sampling_time"]
report(
    ess=smallest_ess(v.to_numpy() for v in posterior.data_vars.values()),
    sampler=sampler,
    sampling=sampler + ended - fitted,
    fit=ended - began,
)
