"""REML by glmm, warm: `case`, JSON. Degrees of freedom, which others do not compute here, are left
out.
"""

import sys
import warnings

import glmm
from common import read_case, report, seconds

case, data = read_case(sys.argv[1])
warnings.simplefilter("ignore")
fits = []


def fit():
    fits.append(glmm.fit(data, case["formula"], satterthwaite=False))


taken = seconds(fit, case["calls"], warm_up=case["calls"] > 1)
report(fit=taken, loglik=float(fits[-1].loglik))
