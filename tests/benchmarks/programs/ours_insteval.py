"""InstEval by NUTS: `file formula label-columns`. Imports are timed, computing ESS is not."""

import sys
import time

from common import report, smallest_ess


def main(path: str, formula: str, labels: str) -> None:
    began = time.perf_counter()
    import pandas as pd

    import bayeslmm as bl

    data = pd.read_csv(path, dtype=dict.fromkeys(labels.split(","), str))
    model = bl.Model(formula, data)
    fit = model.fit("nuts", draws=200, tune=100, chains=4, random_seed=1, progress=False)
    posterior = fit.posterior
    elapsed = time.perf_counter() - began
    report(
        seconds=elapsed,
        sampling=posterior.attrs["sampling_time"],
        ess=smallest_ess(v.to_numpy() for v in posterior.data_vars.values()),
    )


main(*sys.argv[1:])
