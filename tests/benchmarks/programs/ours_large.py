"""A large Parquet file to its posterior: `file`. Imports are timed, computing ESS is not."""

import sys
import time

from common import DRAWS, report, smallest_ess


def main() -> None:
    began = time.perf_counter()
    import pandas as pd

    import bayeslmm as bl

    data = pd.read_parquet(sys.argv[1])
    read = time.perf_counter()
    model = bl.Model("y ~ x + (x | g)", data)
    compiled = time.perf_counter()
    fit = model.fit("nuts", draws=DRAWS, chains=4, random_seed=1, progress=False)
    posterior = fit.posterior
    elapsed = time.perf_counter() - began
    theta = [name for name in posterior.data_vars if name.startswith(("sd_", "corr_", "sigma"))]
    report(
        seconds=elapsed,
        reading=read - began,
        model=compiled - read,
        sampling=posterior.attrs["sampling_time"],
        ess=smallest_ess(posterior[name].to_numpy() for name in theta),
    )


main()
