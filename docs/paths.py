"""The picture that the pages on algorithms share."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.drawing.frame import FAINT, styled

_LEVELS = 0.1 * 2.0 ** np.arange(12)
_MARKERS = "os^Dv*"


def plot_paths(
    fits: Mapping[str, LikelihoodFit],
    x: tuple[float, float] = (0.8, 2.3),
    y: tuple[float, float] = (0.7, 4.3),
) -> Figure:
    """Draw the iterations of fits of one model with two random intercepts over contours of
    -2 log L. The axes are their standard deviations relative to σ, which on the contours is at its
    best.
    """
    first = next(iter(fits.values()))
    a, b = np.linspace(*x, 80), np.linspace(*y, 80)
    profiled = first.model.equations.profiled
    value = [[profiled(np.array([u, v]), first.method)[0] for u in a] for v in b]
    sds = [name for name in first.trace.columns if name.startswith("sd_")]
    with styled():
        figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
        axis.grid(visible=False)
        axis.contour(a, b, value, levels=first.optimum.criterion + _LEVELS, colors=FAINT)
        for (name, fit), marker in zip(fits.items(), _MARKERS, strict=False):
            ratios = [fit.trace[sd] / fit.trace["sigma"] for sd in sds]
            axis.plot(*ratios, marker=marker, markersize=4, label=name)
        axis.set(xlabel=f"{sds[0]} / σ", ylabel=f"{sds[1]} / σ", xlim=x, ylim=y)
        axis.legend(loc="lower right")
        plt.close(figure)
    return figure
