"""The ways to find degrees of freedom of fixed effects, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.estimation.likelihood.centred import about_means
from bayeslmm.priors.held import require_nothing_held
from bayeslmm.solutions.degrees_of_freedom.between_within import between_within
from bayeslmm.solutions.degrees_of_freedom.information import sensitivity
from bayeslmm.solutions.degrees_of_freedom.kenward_roger import KenwardRoger, kenward_roger
from bayeslmm.solutions.degrees_of_freedom.satterthwaite import satterthwaite
from bayeslmm.solutions.degrees_of_freedom.structured_information import structured_sensitivity
from bayeslmm.solutions.degrees_of_freedom.tangents import tangents
from bayeslmm.solutions.degrees_of_freedom.wald import ByCoefficient, InUnits

if TYPE_CHECKING:
    from bayeslmm.api.model import Model
    from bayeslmm.estimation.likelihood.quasi_newton import Optimum
    from bayeslmm.solutions.degrees_of_freedom.wald import Wald

__all__ = ["DF", "df_method", "wald"]

DF = Literal["satterthwaite", "kenward-roger", "between-within", "residual", "none"]


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
    df : {"satterthwaite", "kenward-roger", "between-within", "residual", "none"}

    Raises
    ------
    ArgumentError
        Where the degrees of freedom are not defined for the fit.
    """
    equations = model.equations
    # what is held has no variance, and what is on the boundary is held there
    nothing_estimated = optimum.status.ok and bool((model.held | optimum.boundary).all())
    if df == "satterthwaite" and not nothing_estimated:
        return satterthwaite(equations, optimum)
    if df == "kenward-roger":
        _check_kenward_roger(optimum)
        require_nothing_held(model, "Kenward-Roger's adjustment", "use df='satterthwaite'")
        unit = 2.0 ** round(float(np.log2(optimum.sigma)))
        return InUnits(_kenward_roger(model, _in_units(model, optimum, unit)), unit)
    vcov = equations.given_residuals(optimum.theta).var_beta(optimum.M, optimum.sigma)
    if df == "between-within":
        return ByCoefficient(vcov, between_within(model.design))
    each = float(equations.n - equations.p) if df == "residual" else np.inf  # or nothing estimated
    return ByCoefficient(vcov, np.full(equations.p, each))


def _check_kenward_roger(optimum: Optimum) -> None:
    if optimum.method != "reml":
        raise ArgumentError(
            "Kenward-Roger's adjustment is for REML estimates, and this is a fit by ML; fit the "
            "model by 'reml', or use df='satterthwaite'."
        )
    if not optimum.status.ok:
        raise ArgumentError(
            "Kenward-Roger's adjustment holds at the maximum of the likelihood, which the "
            f"optimiser did not reach: {optimum.status.value}."
        )


def _in_units(model: Model, optimum: Optimum, unit: float) -> Optimum:
    """The optimum of the response divided by a power of two, which rounds nothing: products of
    variances are then numbers, whatever the unit of the data.
    """
    scaled = np.isin(model.parameters.kinds, ("sd", "sigma"))
    theta = np.where(scaled, optimum.theta / unit, optimum.theta)
    return replace(optimum, theta=theta, sigma=optimum.sigma / unit)


def _kenward_roger(model: Model, optimum: Optimum) -> KenwardRoger:
    design = model.design
    equations, optimum = about_means(model.equations, optimum)
    # far from zero, columns of X are nearly dependent; an orthonormal basis of them is not
    X, triangle = np.linalg.qr(design.X)
    rotation = np.linalg.inv(triangle)
    directions = tangents(equations, optimum)
    if equations.structured:
        G = list(equations.covariances(optimum.M, optimum.sigma).values())
        found = structured_sensitivity(design, X, equations, optimum.theta, G, directions)
    else:
        M = equations.split_M(optimum.M)
        found = sensitivity(design, X, M, optimum.sigma, directions)
    return kenward_roger(found, rotation)
