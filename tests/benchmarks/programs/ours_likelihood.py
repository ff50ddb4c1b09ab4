"""REML, warm: `case`, JSON. Every call has a model of its own; its making counts."""

import sys

from common import read_case, report, seconds

import bayeslmm as bl

case, data = read_case(sys.argv[1])


def fit():
    return bl.Model(case["formula"], data).fit("reml")


report(
    fit=seconds(fit, case["calls"], warm_up=1),
    loglik=fit().loglik,
)
