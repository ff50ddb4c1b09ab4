"""REML, warm: `file formula calls label-columns`. Every call has a model of its own.

Labels are read as categories, as lme4 is given factors.
"""

import sys
import time
from statistics import median

import pandas as pd
from common import report

import bayeslmm as bl

path, formula, calls, labels = sys.argv[1:]
data = pd.read_csv(path, dtype=dict.fromkeys(labels.split(","), "category"))
compiling, fitting = [], []
for _ in range(int(calls) + 1):
    began = time.perf_counter()
    model = bl.Model(formula, data)
    compiled = time.perf_counter()
    fit = model.fit("reml")
    compiling.append(compiled - began)
    fitting.append(time.perf_counter() - compiled)
report(model=median(compiling[1:]), fit=median(fitting[1:]), criterion=-2 * fit.loglik)
