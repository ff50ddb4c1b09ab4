"""Sleepstudy by Bambi and nutpie: `file`.

Compiled once as PyMC does it for Bambi's `fit`, then sampled; and a whole `fit` of a model that has
been fitted before.
"""

import sys
import time

import bambi as bmb
import nutpie
import pandas as pd
from common import report, smallest_ess

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bmb.Model("Reaction ~ Days + (Days | Subject)", sleep)
model.build()
pymc_model = model.backend.model
names = [v.name for v in pymc_model.free_RVs + pymc_model.deterministics if v.name != "mu"]
compiled = nutpie.compile_pymc_model(pymc_model, var_names=names)


settings = {"draws": 1000, "tune": 1000, "chains": 4, "progress_bar": False}
nutpie.sample(compiled, seed=1, **settings)
began = time.perf_counter()
nutpie.sample(compiled, seed=2, return_raw_trace=True, **settings)
sampler = time.perf_counter() - began
began = time.perf_counter()
posterior = nutpie.sample(compiled, seed=2, **settings).posterior
sampling = time.perf_counter() - began

# Bambi reports the intercept at Days = 0 after sampling it at the mean, and drops the offsets.
draws = {k: v.to_numpy() for k, v in posterior.data_vars.items() if not k.endswith("_offset")}
draws["Intercept"] = draws["Intercept"] - sleep["Days"].mean() * draws["Days"]

settings = {"inference_method": "nutpie", "chains": 4, "progressbar": False}
model.fit(random_seed=1, **settings)
began = time.perf_counter()
model.fit(random_seed=2, **settings)
report(
    ess=smallest_ess(draws.values()),
    sampler=sampler,
    sampling=sampling,
    fit=time.perf_counter() - began,
)
