"""Sleepstudy refitted by Bambi in the same process: `file`."""

import sys

import bambi as bmb
import pandas as pd
from common import report, seconds

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
formula = "Reaction ~ Days + (Days | Subject)"
settings = {"inference_method": "nutpie", "chains": 4, "random_seed": 1, "progressbar": False}
bmb.Model(formula, sleep).fit(**settings)

other = {"sigma": bmb.Prior("HalfNormal", sigma=60)}
shuffled = sleep.assign(Reaction=sleep["Reaction"].sample(frac=1, random_state=1).to_numpy())
report(
    with_priors=seconds(lambda: bmb.Model(formula, sleep, priors=other).fit(**settings)),
    with_response=seconds(lambda: bmb.Model(formula, shuffled).fit(**settings)),
)
