"""What a user runs: from a CSV file to a printed posterior of sleepstudy: `file`."""

import sys

import pandas as pd

import bayeslmm as bl

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})
model = bl.Model("Reaction ~ Days + (Days | Subject)", sleep)
print(model.fit("nuts", chains=4, random_seed=1).summary())
