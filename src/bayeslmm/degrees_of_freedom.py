"""The ways to find degrees of freedom of fixed effects, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.satterthwaite import satterthwaite
from bayeslmm.wald import ByCoefficient

if TYPE_CHECKING:
    from bayeslmm.likelihood import Optimum
    from bayeslmm.model import Model
    from bayeslmm.wald import Wald

__all__ = ["DF", "df_method", "wald"]

DF = Literal["satterthwaite", "residual", "none"]


def df_method(df: object) -> DF:
    """Check the name of a way to find degrees of freedom.

    Raises
    ------
    ArgumentError
        If there is none of that name.
    """
    for name in get_args(DF):
        if df == name:
            return name
    raise ArgumentError(unknown_name("df", df, get_args(DF), "'none' tests by z."))


def wald(model: Model, optimum: Optimum, df: DF) -> Wald:
    """Tests of the coefficients of a fit.

    Parameters
    ----------
    model : Model
    optimum : Optimum
    df : {"satterthwaite", "residual", "none"}
    """
    equations = model.equations
    if df == "satterthwaite":
        return satterthwaite(equations, optimum)
    vcov = equations.given_residuals(optimum.theta).var_beta(optimum.M, optimum.sigma)
    each = float(equations.n - equations.p) if df == "residual" else np.inf
    return ByCoefficient(vcov, np.full(equations.p, each))
