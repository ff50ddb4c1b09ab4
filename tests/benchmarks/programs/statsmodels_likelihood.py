"""REML by statsmodels' MixedLM, warm: `case`, JSON."""

import sys
import warnings

import statsmodels.formula.api as smf
from common import read_case, report, seconds

case, data = read_case(sys.argv[1])
own = case["statsmodels"]
if own["groups"] is None:  # crossed factors are components of one group
    data["all"] = 1
warnings.simplefilter("ignore")


def fit():
    model = smf.mixedlm(
        own["formula"],
        data,
        groups=own["groups"] or "all",
        re_formula=own.get("re"),
        vc_formula=own.get("vc"),
    )
    return model.fit(reml=True)


report(fit=seconds(fit, case["calls"], warm_up=1), loglik=fit().llf)
