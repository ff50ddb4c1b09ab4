"""REML by mixedlm, warm: `case`, JSON."""

import sys
import warnings

from common import read_case, report, seconds
from mixedlm import lmer

case, data = read_case(sys.argv[1])
warnings.simplefilter("ignore")
fits = []


def fit():
    fits.append(lmer(case["formula"], data))


taken = seconds(fit, case["calls"], warm_up=case["calls"] > 1)
report(fit=taken, loglik=float(fits[-1].logLik()))
