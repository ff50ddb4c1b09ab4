"""What a user of Bambi runs: from a CSV file to a printed posterior of sleepstudy: `file`."""

import sys

import arviz as az
import bambi as bmb
import pandas as pd

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bmb.Model("Reaction ~ Days + (Days | Subject)", sleep)
print(az.summary(model.fit(inference_method="nutpie", chains=4, random_seed=1)))
