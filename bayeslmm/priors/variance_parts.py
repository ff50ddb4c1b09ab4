"""What standard deviations and coefficients of a model contribute to the variance of a response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters

__all__ = ["VarianceParts", "at_means", "variance_parts"]

_INTERCEPT = "Intercept"
_ORTHOGONAL, _CONSTANT = 1e-8, 1e-10


@dataclass(frozen=True, eq=False)
class VarianceParts:
    """The variance of a response around its fixed effects, a mean over the rows: Σ weight θ²; and
    that of its fixed effects over the rows, |w|² of coefficients beta = slope_root w.

    Attributes
    ----------
    parameters : tuple of str
        The standard deviations, sigma last.
    weights : (k,) array
        In the order of theta; zero for what is no standard deviation.
    refusal : str
        Why the variance is no such sum; empty if it is.
    slopes : tuple of str
        The coefficients but the intercept.
    slope_root : (p, m) array
        With a column for each slope; the row of an intercept is zero.
    no_slopes : str
        Why the slopes are not determined by their shares of the variance; empty if they are.
    """

    parameters: tuple[str, ...]
    weights: np.ndarray
    refusal: str
    slopes: tuple[str, ...]
    slope_root: np.ndarray
    no_slopes: str


def variance_parts(parameters: Parameters, design: Design) -> VarianceParts:
    """Find the weights of the standard deviations, and a root for the slopes.

    That of an effect is the mean square of its column of Z, each times K_ll of the row's level l
    where levels have a known relationship K. In a bar with correlations it is so where the columns
    are orthogonal, with the intercept at the means of the others (`at_means`).

    Parameters
    ----------
    parameters : Parameters
    design : Design
    """
    weights, refusals = np.zeros(len(parameters)), []
    for factor in design.factors:
        for number, bar in enumerate(factor.bars):
            blocks = parameters.of_bar(factor.name, number)
            sds = parameters.find(factor.name, number, "sd")
            if sds is None or sds.stop - sds.start not in (1, sds.size):
                refusals.append(
                    f"the standard deviations of {bar.text} are not one for each effect"
                )
                continue
            if bar.shape is not None and bar.shape.exponents:
                refusals.append(f"the standard deviations of {bar.text} change with a covariate")
            Z = factor.Z[:, bar.start : bar.stop] @ at_means(parameters, factor, number)
            if factor.related is not None:
                Z = Z * np.sqrt(np.diag(factor.related.matrix))[factor.codes, None]
            moments = Z.T @ Z / len(Z)
            size = np.sqrt(np.diag(moments))
            between = np.abs(moments / np.outer(size, size) - np.eye(len(size))).max()
            if len(blocks) > 1 and between > _ORTHOGONAL:
                refusals.append(
                    f"the columns of {bar.text} are correlated, so that what its effects "
                    "contribute depends on their correlations; write the bar with ||"
                )
            squares = size**2
            single = sds.stop - sds.start == 1
            weights[sds.start : sds.stop] = squares.sum() if single else squares
    sigma = parameters.blocks[-1]
    residuals = design.residuals
    if sigma.stop - sigma.start > 1:
        refusals.append(f"the residuals have {sigma.stop - sigma.start} standard deviations")
    elif residuals is not None and residuals.growing:
        refusals.append("the variance of the residuals changes with a covariate")
    weights[-1] = 1.0 if design.weights is None else np.mean(1.0 / design.weights)
    names = tuple(n for n, weight in zip(parameters.names, weights, strict=True) if weight > 0)
    root, no_slopes = _slope_root(design)
    slopes = tuple(f"beta[{name}]" for name in design.coef if name != _INTERCEPT)
    return VarianceParts(names, weights, "; ".join(refusals[:1]), slopes, root, no_slopes)


def _slope_root(design: Design) -> tuple[np.ndarray, str]:
    """R⁻¹ of the QR decomposition of the slopes' columns, centred and over √n, so that S = R'R is
    their covariance matrix; and why there is none.
    """
    own = [j for j, name in enumerate(design.coef) if name != _INTERCEPT]
    X, root = design.X[:, own], np.zeros((len(design.coef), len(own)))
    if not own:
        return root, "there are no coefficients but that of an intercept"
    R = np.linalg.qr((X - X.mean(axis=0)) / np.sqrt(len(X)), mode="r")
    R *= np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]
    constant = np.diag(R) <= _CONSTANT * np.sqrt((X**2).mean(axis=0))
    if constant.any():
        column = design.coef[own[int(np.argmax(constant))]]
        return root, (
            f"the column {column} is constant or, but for a constant, a combination of those "
            "before it; write the formula with an intercept"
        )
    root[own] = np.linalg.inv(R)
    return root, ""


def at_means(parameters: Parameters, factor: GroupingFactor, number: int) -> np.ndarray:
    """The matrix (q, q) that takes the effects of a bar with its intercept at the means of the
    other columns to those that are reported; the identity where there is no such intercept or no
    correlation with it.

    Parameters
    ----------
    parameters : Parameters
    factor : GroupingFactor
    number : int
        Of the bar.
    """
    bar = factor.bars[number]
    effects = factor.plain[bar.start : bar.stop]
    basis = np.eye(len(effects))
    correlated = bar.shape is None and parameters.find(factor.name, number, "corr") is not None
    if correlated and _INTERCEPT in effects:
        intercept = effects.index(_INTERCEPT)
        rows = factor.has(bar.start)
        basis[intercept] = -factor.Z[rows, bar.start : bar.stop].mean(axis=0)
        basis[intercept, intercept] = 1.0
    return basis
