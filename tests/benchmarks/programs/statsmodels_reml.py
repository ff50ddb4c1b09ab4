"""REML on sleepstudy by statsmodels' MixedLM, warm: `file`."""

import sys

import pandas as pd
import statsmodels.formula.api as smf
from common import report, seconds

sleep = pd.read_csv(sys.argv[1], dtype={"Subject": str})


def fit():
    model = smf.mixedlm("Reaction ~ Days", sleep, groups=sleep["Subject"], re_formula="~Days")
    return model.fit(reml=True)


report(fit=seconds(fit, calls=10, warm_up=1))
