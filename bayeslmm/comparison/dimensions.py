"""How many dimensions of each G the data support, and simpler random effects, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from bayeslmm.api.point_fit import PointFit

__all__ = ["principal_components"]

_NOTHING = 1e-3
"""A standard deviation relative to σ, of effects of columns of unit size, that is none."""


def principal_components(fit: PointFit) -> pd.DataFrame:
    """Principal components of the random effects; see `PointFit.repca`."""
    parts = []
    for factor, relative in zip(fit.model.design.factors, fit._M, strict=True):
        size = np.sqrt(np.mean(factor.Z**2, axis=0))
        scaled = size[:, None] * relative
        vectors, sd, _ = np.linalg.svd(scaled)
        variance = sd**2
        total = variance.sum()
        share = variance / total if total > 0 else np.full(len(sd), np.nan)
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(sd))])
        loadings = pd.DataFrame(
            (vectors * signs).T, columns=[f"loading[{effect}]" for effect in factor.effects]
        )
        table = pd.DataFrame(
            {
                "group": pd.Series([factor.name] * len(sd), dtype=object),
                "component": np.arange(1, len(sd) + 1),
                "sd": fit.optimum.sigma * sd,
                "relative_sd": sd,
                "proportion": share,
                "cumulative": np.cumsum(share),
                "supported": sd > _NOTHING,
            }
        )
        parts.append(pd.concat([table, loadings], axis=1))
    columns = ["group", "component", "sd", "relative_sd", "proportion", "cumulative", "supported"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
