"""What is wrong with a fit, in plain words, and what to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayeslmm.covariance.correlations.kernels import AR1, ARMA11, TOEP
from bayeslmm.design.parameters import bars_together
from bayeslmm.priors.defaults import growth_of
from bayeslmm.reports import printing
from bayeslmm.support import scales

if TYPE_CHECKING:
    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.map_fit import MapFit
    from bayeslmm.api.model import Model
    from bayeslmm.api.point_fit import PointFit
    from bayeslmm.api.posterior_fit import PosteriorFit
    from bayeslmm.design.design import GroupingFactor

__all__ = ["Diagnosis", "Finding", "of_likelihood", "of_map", "of_posterior"]

_ESS_PER_CHAIN = 100
_R_HAT = 1.01
_HEYWOOD = "at a bound, where a uniqueness is zero (a Heywood case)"
_SINGULAR = 1e-4
"""A direction of G is singular when its sd is below this fraction of the largest one's."""
_EQUAL = 1e-6
"""Distances of times, relative to the largest, that differ by rounding."""
_ON_THE_WAY = 0.05
"""A residual standard deviation that goes to zero is below this fraction of the largest one."""
_SHOWN = 5


_LOST = 1e-6
"""A share of a standard error that rounding may not take."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about a fit.

    Attributes
    ----------
    severity : {"note", "warning", "error"}
        Whether it is good to know, says that the model fits badly to the data at hand, or that
        the numbers should not be used.
    what : str
        What was found.
    where : str
        The parameters, columns or groups concerned.
    remedy : str
        What to try; empty where there is nothing to do.
    """

    severity: Literal["note", "warning", "error"]
    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}" + (f". {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """What `diagnose` found.

    Attributes
    ----------
    findings : tuple of Finding
        The most serious first.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.severity == "note" for finding in self.findings)

    def frame(self) -> pd.DataFrame:
        """The findings as a frame.

        Returns
        -------
        pandas.DataFrame
            ``severity``, ``what``, ``where``, ``remedy``.
        """
        names = ("severity", "what", "where", "remedy")
        return pd.DataFrame(
            {
                name: pd.Series([getattr(f, name) for f in self.findings], dtype=object)
                for name in names
            }
        )

    def __repr__(self) -> str:
        return printing.as_text(printing.of_diagnosis(self))

    def _repr_html_(self) -> str:
        return printing.as_html(printing.of_diagnosis(self))


def of_likelihood(fit: LikelihoodFit) -> Diagnosis:
    """Diagnose a fit by REML or ML.

    Parameters
    ----------
    fit : LikelihoodFit

    Returns
    -------
    Diagnosis
    """
    from bayeslmm.estimation.likelihood.quasi_newton import Status

    findings = [*_of_design(fit.model), *_of_status(fit), *_of_rounding(fit)]
    if fit.status is Status.SINGULAR:
        for factor in fit.model.design.factors:
            findings += _singular(factor, fit.G(factor.name).to_numpy())
    if fit.status.ok:
        findings += [*_at_bounds(fit), *_near_heywood(fit)]
    if fit.status is not Status.ZERO_RESIDUAL:
        findings += _residuals_at_bounds(fit)
    return _diagnosis(findings)


def of_map(fit: MapFit) -> Diagnosis:
    """Diagnose a fit by penalised likelihood.

    Parameters
    ----------
    fit : MapFit

    Returns
    -------
    Diagnosis
    """
    findings = [*_of_design(fit.model), *_of_status(fit), *_of_rounding(fit)]
    if not fit.status.ok:
        return _diagnosis(findings)
    parameters, boundary = fit.model.parameters, fit.optimum.boundary
    zero = boundary & (fit.optimum.theta == 0.0) & (np.array(parameters.kinds) == "sd")
    if zero.any():
        findings.append(
            Finding(
                "warning",
                "the mode of a standard deviation is zero, where its prior has density",
                _listed(pd.Index(parameters.names)[zero]),
                "Give it a prior that is zero there, such as bl.Gamma(2, rate) with a small rate, "
                "or leave the effect out",
            )
        )
    elif boundary.any():
        findings.append(
            Finding(
                "warning",
                "the mode is at the boundary, where standard errors do not exist",
                _listed(pd.Index(parameters.names)[boundary]),
                "A correlation is kept off ±1 by bl.LKJ(eta) with eta above 1; or simplify the "
                "model",
            )
        )
    return _diagnosis(findings)


def of_posterior(fit: PosteriorFit) -> Diagnosis:
    """Diagnose a fit by NUTS.

    Parameters
    ----------
    fit : PosteriorFit

    Returns
    -------
    Diagnosis
    """
    findings = _of_design(fit.model)
    chains, draws = fit.draws.theta.shape[:2]
    settings = fit.draws.settings
    names = [f"beta[{name}]" for name in fit.model.design.coef]
    table = pd.DataFrame(fit.convergence, index=[*names, *fit.model.parameters.names])
    held = [n for n, held in zip(fit.model.parameters.names, fit.model.held, strict=True) if held]
    table = table.drop(index=held)
    if (chains, draws) != (settings.chains, settings.draws):
        findings.append(
            Finding(
                "warning",
                f"sampling was interrupted after {draws} of {settings.draws} draws",
                f"{chains} of {settings.chains} chains",
                "Fit again without interrupting for all draws",
            )
        )
    sampled = fit.model.priors.not_gaussian
    if sampled:
        findings.append(
            Finding(
                "note",
                "priors that are not Gaussian made NUTS sample all coefficients and random effects",
                ", ".join(sampled),
                "",
            )
        )
    divergent = int(fit.draws.stats["diverging"].sum())
    if divergent:
        where = _suspect(fit)
        findings.append(
            Finding(
                "error",
                f"{divergent} of {chains * draws} draws diverged, so parts of the posterior may "
                "be missing",
                where,
                _against_divergences(settings.target_accept, named=bool(where)),
            )
        )
    mixed = table[table["r_hat"] > _R_HAT]
    if len(mixed):
        worst = mixed["r_hat"].max()
        findings.append(
            Finding(
                "error",
                f"the chains have not mixed: R̂ is up to {worst:.3f}, and should be below {_R_HAT}",
                _listed(mixed["r_hat"].sort_values(ascending=False).index),
                "Raise tune and draws to 1000 or more; if that does not help, look at "
                "plot.trace() and simplify the model",
            )
        )
    # not a number where there are too few draws to tell
    few = table[~(table["ess_bulk"] >= _ESS_PER_CHAIN * chains)].fillna({"ess_bulk": 0.0})
    if len(few):
        fewest = few["ess_bulk"].min()
        factor = int(np.ceil(1.5 * _ESS_PER_CHAIN * chains / max(fewest, 1.0)))
        findings.append(
            Finding(
                "error",
                f"too few effective draws: {fewest:.0f} where {_ESS_PER_CHAIN} a chain are needed",
                _listed(few["ess_bulk"].sort_values().index),
                f"Raise draws to {min(factor, 50) * draws}",
            )
        )
    depth = fit.draws.stats.get("reached_max_treedepth")
    if depth is not None and depth.mean() > 0.01:
        findings.append(
            Finding(
                "warning",
                f"{100 * depth.mean():.0f}% of the draws used the longest path allowed",
                "",
                "Rescale predictors that differ by orders of magnitude, or raise tune",
            )
        )
    return _diagnosis(findings)


def _of_status(fit: PointFit) -> list[Finding]:
    """How the optimiser ended, where that was not at a maximum."""
    from bayeslmm.estimation.likelihood.quasi_newton import Status

    if fit.status.ok:
        return []
    what, _, remedy = fit.status.value.partition(". ")
    if fit.method == "map":
        what = what.replace("the likelihood", "the penalised likelihood")
    where = _vanished(fit) if fit.status is Status.ZERO_RESIDUAL else ""
    return [Finding("error", f"{fit.method.upper()}: {what}", where, remedy)]


def _of_rounding(fit: PointFit) -> list[Finding]:
    """Factors beside whose variance that of the residuals is so small that rounding shows."""
    optimum, design, equations = fit.optimum, fit.model.design, fit.model.equations
    if not optimum.status.ok:
        return []
    G, findings = equations.covariances(optimum.M, 1.0), []
    weights = 1.0 if design.weights is None else design.weights
    weights = weights / equations.residual_sds(optimum.theta) ** 2
    for factor in design.factors:
        sizes = weights * np.einsum("ij,jk,ik->i", factor.Z, G[factor.name], factor.Z)
        ratio = float(np.bincount(factor.codes, sizes).max())
        lost = ratio * np.finfo(float).eps
        if lost > _LOST:
            what = (
                f"in a level the random effects have about {ratio:.0e} times the variance of the "
                f"residuals, so that rounding moves coefficients by some {lost:.0e} standard "
                "errors, and variances by more"
            )
            remedy = "Look for levels in another unit, or make them fixed effects"
            findings.append(Finding("warning", what, factor.name, remedy))
    return findings


def _of_design(model: Model) -> list[Finding]:
    design, findings = model.design, [*_of_growth(model), *_of_lags(model)]
    if not model.check and model.unidentified:
        what, _, remedy = model.unidentified.rpartition("; ")
        remedy = remedy[:1].upper() + remedy[1:]
        findings.append(Finding("error", what or remedy, "", remedy if what else ""))
    if design.dropped:
        findings.append(
            Finding(
                "warning",
                "columns of X that others determine were left out",
                ", ".join(design.dropped),
                "Leave out a term; the coefficients that remain depend on which",
            )
        )
    if design.n_dropped:
        counts = ", ".join(f"{name} {count}" for name, count in design.missing.items())
        findings.append(
            Finding(
                "note",
                f"{_count(design.n_dropped, 'row')} with missing values dropped",
                f"missing: {counts}",
                "",
            )
        )
    return findings


def _of_lags(model: Model) -> list[Finding]:
    """Residuals' correlations by lag over times that are not equally far apart."""
    residuals = model.design.residuals
    if residuals is None or residuals.structure.correlation not in (AR1, ARMA11, TOEP):
        return []
    try:
        times = np.array([float(occasion) for occasion in residuals.occasions])
    except ValueError:
        return []
    apart = np.diff(times)
    if np.ptp(apart) <= _EQUAL * apart.max():
        return []
    structure = residuals.structure
    what = (
        f"{structure.name} counts lags in occasions: neighbours in {structure.time!r} count as "
        f"one apart, and are {apart.min():.4g} to {apart.max():.4g} apart"
    )
    return [Finding("note", what, "", "For correlations by distance use CAR1 or Exp")]


def _of_growth(model: Model) -> list[Finding]:
    """Covariates of growing standard deviations that are so far from zero that these say nothing
    there.
    """
    growth = growth_of(model.parameters, model.design)
    apart = growth.weights * growth.units
    findings = []
    for j in np.flatnonzero(growth.far.any(axis=0)):
        i, name = int(np.argmax(np.abs(apart[:, j]))), model.parameters.names[j]
        zero, remedy = "0", "Take the mean off the column"
        if name.startswith("power"):
            zero, remedy = "1", "Divide the column by its mean"
        elif name.startswith("log_ratio"):
            remedy = "Make a level with more rows the first"
        what = (
            f"{model.parameters.names[i]} is the standard deviation where the covariate of {name} "
            f"is {zero}, {abs(apart[i, j]):.0f} standard deviations from its mean: its estimate "
            "and interval say nothing of the data"
        )
        findings.append(Finding("warning", what, "", remedy))
    return findings


def _singular(factor: GroupingFactor, G: np.ndarray) -> list[Finding]:
    """The directions in which the effects of a factor do not vary."""
    findings = []
    for bar in factor.bars:
        if bar.shape is not None:
            continue
        here = slice(bar.start, bar.stop)
        effects = factor.effects[here]
        # in units of the response, so that effects can be compared
        scale = np.sqrt(np.mean(factor.Z[:, here] ** 2, axis=0))
        values, vectors = np.linalg.eigh(np.outer(scale, scale) * G[here, here])
        for value, vector in zip(values, vectors.T, strict=True):
            if np.sqrt(max(value, 0.0)) > _SINGULAR * np.sqrt(max(values[-1], 1e-300)):
                continue
            weights = vector * scale
            shares = np.abs(vector)
            involved = np.flatnonzero(shares > 0.01)
            if len(involved) == 1:
                name = effects[int(involved[0])]
                findings.append(
                    Finding(
                        "warning",
                        f"the variance of {name} over {factor.name} is zero",
                        bar.text,
                        f"Leave {name} out of {bar.text}, or fit by 'nuts' with a prior for "
                        f"sd_{factor.name}[{name}]",
                    )
                )
                continue
            combination = _combination(weights[involved], [effects[i] for i in involved])
            remedy = (
                f"Leave an effect out of {bar.text}, write it with ||, or fit by 'nuts' with a "
                f"prior for corr_{factor.name}"
            )
            what = f"a combination of effects over {factor.name} does not vary: {combination}"
            if len(involved) == 2:
                sign = "-1" if weights[involved[0]] * weights[involved[1]] > 0 else "1"
                a, b = (effects[i] for i in involved)
                what = f"the correlation of {a} and {b} over {factor.name} is {sign}"
            findings.append(Finding("warning", what, bar.text, remedy))
    return findings


def _at_bounds(fit: LikelihoodFit) -> list[Finding]:
    """The parameters of structures other than unrestricted and diagonal that are at a bound."""
    findings, boundary = [], fit.optimum.boundary
    for factor in fit.model.design.factors:
        for number, bar in enumerate(factor.bars):
            if bar.shape is None or bar.like is not None:
                continue
            sds, others = bars_together(fit.model.parameters, factor, number)
            zero = all(boundary[block.start : block.stop].all() for block in sds)
            for block in sds if zero else [*sds, *others]:
                own = boundary[block.start : block.stop]
                if not own.any() or (block.kind == "nugget" and not fit.optimum.singular):
                    continue
                names = [n for n, b in zip(block.names, own, strict=True) if b]
                what = "zero" if block.kind == "sd" else "at a bound, where G is singular"
                if block.kind == "loading":
                    what = _HEYWOOD
                findings.append(
                    Finding(
                        "warning",
                        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} {what}",
                        bar.text,
                        f"Use a simpler structure than {bar.covariance.name}, or fit by 'nuts' "
                        f"with a prior for {names[0]}",
                    )
                )
    return findings


def _near_heywood(fit: LikelihoodFit) -> list[Finding]:
    """The uniquenesses that are zero as far as the data can tell."""
    findings = []
    optimum, parameters = fit.optimum, fit.model.parameters
    slopes = scales.slopes(optimum.theta, parameters.bounds)
    for block in parameters.blocks:
        if block.kind != "loading":
            continue
        of_row: dict[str, list[int]] = {}
        for at, label in enumerate(map(str, block.labels), start=block.start):
            of_row.setdefault(label.rpartition(", ")[0], []).append(at)
        near = []
        for row, places in of_row.items():
            own = optimum.theta[places]
            change = -2.0 * own * slopes[places]
            variance = change @ optimum.vcov[np.ix_(places, places)] @ change
            if 1.0 - own @ own < 2.0 * np.sqrt(variance):
                near.append(f"{row}: {1.0 - own @ own:.2g}")
        if near:
            findings.append(
                Finding(
                    "note",
                    "a uniqueness is less than two standard errors from zero (nearly a Heywood "
                    "case), so that Wald intervals of its loadings are far too wide",
                    f"{block.name}, {'; '.join(near)}",
                    "Use confint('profile') or confint('bootstrap')",
                )
            )
    return findings


_MEANING = {
    ("nugget", 0): "no variance is that of a single measurement alone",
    ("ma", 0): "the moving average has no inverse",
    ("ma", 1): "the moving average has no inverse",
    ("rho", 1): "rows of a subject are perfectly correlated",
    ("range", 1): "rows of a subject are perfectly correlated",
    ("range", 0): "rows are independent",
}


def _residuals_at_bounds(fit: LikelihoodFit) -> list[Finding]:
    """The parameters of R at a bound, and what R is there."""
    findings = []
    residuals, optimum = fit.model.design.residuals, fit.optimum
    for block in fit.model.parameters.blocks:
        if block.factor is not None or residuals is None:
            continue
        for name, at in zip(block.names, range(block.start, block.stop), strict=True):
            if not optimum.boundary[at]:
                continue
            if block.kind == "sigma":
                findings.append(
                    Finding(
                        "warning",
                        f"{name} is as good as zero: fixed and random effects reproduce these "
                        "rows; it has no standard error",
                        residuals.structure.words,
                        "Let these rows have the variance of others, or fit by 'nuts' with a prior "
                        f"for {name}",
                    )
                )
                continue
            if block.kind == "loading":
                findings.append(
                    Finding(
                        "note",
                        f"{name} is {_HEYWOOD}; it has no standard error",
                        residuals.structure.words,
                        "Use fewer factors, or fit by 'nuts'",
                    )
                )
                continue
            value = optimum.theta[at]
            typical = np.median(block.typical)
            middle = typical if np.isinf(block.upper) else (block.lower + block.upper) / 2
            upper = int(value > middle)
            bound = block.upper if upper else block.lower
            meaning = _MEANING.get((block.kind, upper), "R is singular there")
            if block.kind == "rho" and not upper and block.lower == 0:
                meaning = _MEANING["range", 0]
            findings.append(
                Finding(
                    "warning",
                    f"{name} is at its bound {bound:.3g}: {meaning}; it has no standard error",
                    residuals.structure.words,
                    f"Use a structure without {name}, or fit by 'nuts' with a prior for {name}",
                )
            )
    return findings


def _vanished(fit: PointFit) -> str:
    """The residual standard deviations that went to zero, where there are several."""
    parameters, theta = fit.model.parameters, fit.optimum.theta
    sigmas = parameters.blocks[-1]
    values = theta[sigmas.start : sigmas.stop]
    if len(values) == 1:
        return ""
    small = values < _ON_THE_WAY * max(values.max(), 1e-300)
    return ", ".join(name for name, own in zip(sigmas.names, small, strict=True) if own)


def _combination(weights: np.ndarray, effects: list[str]) -> str:
    """Weights and effects as a sum: "0.71 Intercept - 0.7 Days"."""
    weights = weights / weights[np.argmax(np.abs(weights))]
    text = ""
    for weight, effect in zip(weights, effects, strict=True):
        sign = " - " if weight < 0 else " + "
        text += (sign if text else sign.strip(" +")) + f"{abs(weight):.3g} {effect}"
    return text


def _suspect(fit: PosteriorFit) -> str:
    """The covariance parameter whose divergent draws stand out most from the others; none where
    there are no others.
    """
    diverging = fit.draws.stats["diverging"].astype(bool)
    theta = fit.draws.theta
    if diverging.all():
        return ""
    ranks = pd.DataFrame(theta.reshape(-1, theta.shape[-1])).rank(pct=True).to_numpy()
    distance = np.abs(ranks[diverging.ravel()].mean(axis=0) - 0.5)
    return f"mostly at extreme values of {fit.model.parameters.names[int(distance.argmax())]}"


def _against_divergences(target: float | None, *, named: bool) -> str:
    """What to do about divergences that were left with a target_accept."""
    from bayeslmm.estimation.posterior.nuts import TARGETS

    which = "the parameter named" if named else "standard deviations and correlations"
    prior = f"give {which} a more informative prior, or simplify the model"
    if target is not None and target < TARGETS[-1]:
        return f"Raise target_accept, which was {target}; or {prior}"
    return prior.capitalize()


def _listed(names: pd.Index) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _diagnosis(findings: list[Finding]) -> Diagnosis:
    order = ("error", "warning", "note")
    return Diagnosis(tuple(sorted(findings, key=lambda finding: order.index(finding.severity))))
