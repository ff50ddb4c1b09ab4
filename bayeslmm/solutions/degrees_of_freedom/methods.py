"""The ways to find degrees of freedom of fixed effects, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.centred import about_means
from bayeslmm.solutions.degrees_of_freedom.between_within import between_within
from bayeslmm.solutions.degrees_of_freedom.information import sensitivity
from bayeslmm.solutions.degrees_of_freedom.kenward_roger import (
    KenwardRoger,
    expected_covariance,
    kenward_roger,
)
from bayeslmm.solutions.degrees_of_freedom.satterthwaite import satterthwaite
from bayeslmm.solutions.degrees_of_freedom.structured_information import structured_sensitivity
from bayeslmm.solutions.degrees_of_freedom.tangents import curvature, slope, tangents
from bayeslmm.solutions.degrees_of_freedom.wald import ByStratum, InUnits, Strata
from bayeslmm.specification import require_nothing_held
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.optimum import Optimum
    from bayeslmm.solutions.degrees_of_freedom.kenward_roger import AdjustedTests, Sensitivity
    from bayeslmm.solutions.degrees_of_freedom.tangents import Tangent
    from bayeslmm.solutions.degrees_of_freedom.wald import Wald
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["DF", "df_method", "wald"]

Name = Literal["satterthwaite", "kenward-roger", "between-within", "residual", "none"]
DF = Name | KenwardRoger


def df_method(df: object) -> DF:
    """Check a way to find degrees of freedom; that of Kenward and Roger becomes an object.

    Raises
    ------
    ArgumentError
        If there is none of that name.
    """
    if isinstance(df, KenwardRoger):
        return df
    name = cast("Name", one_of("df", df, get_args(Name), "'none' tests by z."))
    return KenwardRoger() if name == "kenward-roger" else name


def wald(model: Specification, optimum: Optimum, df: DF) -> Wald:
    """Tests of the coefficients of a fit.

    Parameters
    ----------
    model : Specification
    optimum : Optimum
    df : {"satterthwaite", "between-within", "residual", "none"} or KenwardRoger

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
    if isinstance(df, KenwardRoger):
        _check_kenward_roger(optimum)
        require_nothing_held(model, "Kenward-Roger's adjustment", "use df='satterthwaite'")
        if df.second_derivatives:
            _check_second_derivatives(model.design)
        unit = 2.0 ** round(float(np.log2(optimum.sigma)))
        return InUnits(_kenward_roger(model, _in_units(model, optimum, unit), df), unit)
    vcov = equations.given_residuals(optimum.theta).var_beta(optimum.M, optimum.sigma)
    if df == "between-within":
        return ByStratum(vcov, between_within(model.design))
    each = float(equations.n - equations.p) if df == "residual" else np.inf  # or nothing estimated
    return ByStratum(vcov, Strata.one(each, equations.p))


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


def _check_second_derivatives(design: Design) -> None:
    """Refuse second derivatives where they have not been confirmed by another program or by dense
    algebra: of structures of G, and of R beside random effects or with variance functions.
    """
    shaped = any(bar.shape is not None for factor in design.factors for bar in factor.bars)
    residuals = design.residuals
    beside = residuals is not None and bool(design.factors or residuals.growing)
    if shaped or beside:
        raise ArgumentError(
            "Kenward-Roger's adjustment with second derivatives is confirmed for structures of R "
            "without random effects and variance functions alone; leave second_derivatives out."
        )


def _in_units(model: Specification, optimum: Optimum, unit: float) -> Optimum:
    """The optimum of the response divided by a power of two, which rounds nothing: products of
    variances are then numbers, whatever the unit of the data.
    """
    scaled = np.isin(model.parameters.kinds, ("sd", "sigma"))
    theta = np.where(scaled, optimum.theta / unit, optimum.theta)
    return replace(optimum, theta=theta, sigma=optimum.sigma / unit)


def _kenward_roger(model: Specification, optimum: Optimum, method: KenwardRoger) -> AdjustedTests:
    design = model.design
    equations, optimum = about_means(model.equations, optimum)
    # far from zero, columns of X are nearly dependent; an orthonormal basis of them is not
    X, triangle = np.linalg.qr(design.X)
    rotation = np.linalg.inv(triangle)
    expected = method.information == "expected"
    changes = tangents(equations, optimum, elements=expected)
    residual = None
    if equations.structured and equations.residuals is not None:
        residual = np.arange(len(optimum.theta))[-equations.residuals.n_parameters :]

    def of(directions: list[tuple[int, Array]], of_R: Callable[..., Array]) -> Sensitivity:
        if residual is None:
            M = equations.split_M(optimum.M)
            return sensitivity(design, X, M, optimum.sigma, directions)
        G = list(equations.covariances(optimum.M, optimum.sigma).values())
        return structured_sensitivity(design, X, equations, optimum.theta, G, directions, of_R)

    def slopes(R: Callable[[Array], Array]) -> Array:
        assert residual is not None
        return np.array([slope(equations.parameters, optimum.theta, i, R) for i in residual])

    found = of([(t.factor, t.change) for t in changes], slopes)
    if expected:
        W = expected_covariance(found)
    else:
        W = _observed_covariance(equations, optimum, changes, residual)
    if not method.second_derivatives:
        return kenward_roger(found, rotation, W, np.zeros_like(rotation))
    bends = _bends_of_G(equations, optimum.theta, changes, W)
    bent_R = False
    if residual is not None and design.residuals is not None:
        bent_R = not design.residuals.structure.linear

    def bends_of_R(R: Callable[[Array], Array]) -> Array:
        here = R(optimum.theta)
        if residual is None or not bent_R:
            return np.zeros((0, *here.shape))
        own_W = W[len(changes) :, len(changes) :]
        return curvature(equations.parameters, optimum.theta, residual, own_W, R)[None]

    P = of(bends, bends_of_R).P if bends or bent_R else np.zeros((0, *rotation.shape))
    return kenward_roger(found, rotation, W, P[: len(bends) + bent_R].sum(axis=0))


def _observed_covariance(
    equations: Equations, optimum: Optimum, changes: list[Tangent], residual: Array | None
) -> Array:
    """Covariance matrix of the parameters by the observed information, those on the boundary held:
    of G by the changes, then of R, or of a multiple of V where R is σ²I.
    """
    own = [-1] if residual is None else [*residual]
    of_G = [change.parameter for change in changes if change.parameter is not None]
    where = np.array([*of_G, *own])
    W = np.nan_to_num(optimum.vcov[np.ix_(where, where)], nan=0.0)
    if residual is not None:
        return np.asarray(W)
    # the derivative in log σ is 2σ²I = 2V - 2ZGZ', and 2G is the sum of those in all log sd
    kinds = equations.parameters.kinds
    T = np.eye(len(where))
    T[-1] = [-1.0 if kinds[i] == "sd" else 0.0 for i in of_G] + [2.0]
    return np.asarray(T.T @ W @ T)


def _bends_of_G(
    equations: Equations, theta: Array, changes: list[Tangent], W: Array
) -> list[tuple[int, Array]]:
    """For each factor with structures that are not linear in their parameters, the sum of W_ij
    times the second derivatives of G.
    """
    parameters, found = equations.parameters, []
    for f, factor in enumerate(equations.factors):
        bent = {
            i
            for block in parameters.blocks
            if block.factor == factor.name
            and factor.bars[block.bar].shape is not None
            and not factor.bars[block.bar].covariance.linear
            for i in range(block.start, block.stop)
        }
        own = [k for k, change in enumerate(changes) if change.parameter in bent]
        if not own:
            continue
        positions = np.array([changes[k].parameter for k in own])
        regular = theta.copy()
        for block in parameters.blocks:  # other bars may be singular, and do not matter
            if block.kind == "corr" and not bent.intersection(range(block.start, block.stop)):
                regular[block.slice] = 0.0

        def G(moved: Array, name: str = factor.name) -> Array:
            return equations.covariances(equations.relative_factors(moved), moved[-1])[name]

        found.append((f, curvature(parameters, regular, positions, W[np.ix_(own, own)], G)))
    return found
