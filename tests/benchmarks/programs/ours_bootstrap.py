"""Parametric bootstrap of sleepstudy, warm: `file refits`."""

import sys

import pandas as pd
from common import report, seconds

import bayeslmm as bl

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": "category"})
fit = bl.Model("Reaction ~ Days + (Days | Subject)", sleep).fit("reml")
refits = int(sys.argv[2])
report(bootstrap=seconds(lambda: fit.bootstrap(refits, random_seed=1), warm_up=1))
