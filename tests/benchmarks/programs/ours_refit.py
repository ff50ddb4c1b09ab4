"""Sleepstudy refitted in the same process, and how often Numba compiled meanwhile: `file`."""

import sys

import pandas as pd
from common import report, seconds
from numba.core import event

import bayeslmm as bl

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep)
settings = {"chains": 4, "random_seed": 1, "progress": False}
model.fit("nuts", **settings)

other = {"sigma": bl.HalfNormal(60), "sd_Subject[Days]": bl.HalfNormal(20)}
response = sleep["Reaction"].sample(frac=1, random_state=1).to_numpy()
with event.install_recorder("numba:compile") as compilations:
    with_priors = seconds(lambda: model.with_priors(other).fit("nuts", **settings))
    with_response = seconds(lambda: model.with_response(response).fit("nuts", **settings))
report(
    with_priors=with_priors,
    with_response=with_response,
    compilations=sum(e.is_start for _, e in compilations.buffer),
)
