"""Which prior each parameter has: by the user's keys, or a default scaled to the data.

Defaults, with sd(y) the standard deviation of the response (less its offset) and sd(x) that of a
column of X or Z:

- the linear predictor at the predictors' means: normal around mean(y) with sd 2.5 sd(y), so that
  where a predictor has its zero does not matter;
- any other coefficient: normal around 0 with sd 2.5 sd(y)/sd(x);
- the standard deviation of a random effect: half Student's t with 3 degrees of freedom and scale
  sd(y)/sd(z), of a random intercept and of the residuals the same with scale sd(y). Most of its
  mass lies below a few sd(y), where a component of var(y) can be;
- the same of effects that are occasions, those of a structure over time: with scale sd(y);
- correlations: LKJ(1); of a structure, uniform within its bounds;
- both of a random intercept that is correlated with slopes are about the intercept at the means of
  the slopes' columns, so that again it does not matter where a predictor has its zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.errors import ArgumentTypeError, PriorError, unknown_name
from bayeslmm.priors import (
    LKJ,
    Flat,
    HalfStudentT,
    HalfStudentTAtMeans,
    LogNormal,
    Normal,
    NormalAtMeans,
    Prior,
    Uniform,
    as_prior,
)

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.design import Design
    from bayeslmm.parameters import Block, Parameters

__all__ = ["PriorRow", "PriorTable", "means_basis", "resolve"]

_INTERCEPT = "Intercept"
_COEFFICIENT_SCALE = 2.5
_SD_DF = 3
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class PriorRow:
    """One parameter's prior.

    Attributes
    ----------
    parameter : str
        The key that sets it, which is the name in ``summary()``; for correlations, that of their
        matrix.
    prior : Prior
    source : {"default", "user"}
    scale : str
        How a default's scale comes about; empty for a prior of the user's.
    """

    parameter: str
    prior: Prior
    source: Literal["default", "user"]
    scale: str


@dataclass(frozen=True, eq=False)
class PriorTable:
    """The prior of every parameter of a model.

    Attributes
    ----------
    rows : tuple of PriorRow
        Coefficients in the order of X, then theta in its order.
    theta : tuple of Prior
        The prior of each element of theta; elements of one correlation matrix share theirs.
    bases : dict of (q, q) arrays
        By factor and number of the bar, the matrix that takes the effects that the prior is about,
        with the intercept at the means, to those that are reported. Only for bars in which they
        differ.
    beta_mean : (p,) array
    beta_precision : (p, p) array
        Inverse covariance matrix of the Gaussian prior of beta, in inverse squared units of the
        coefficients. Not diagonal when a prior is set at the predictors' means; of deficient rank
        when a coefficient's prior is flat.
    """

    rows: tuple[PriorRow, ...]
    theta: tuple[Prior, ...]
    bases: Mapping[tuple[str, int], np.ndarray]
    beta_mean: np.ndarray
    beta_precision: np.ndarray

    def __getitem__(self, parameter: str) -> Prior:
        """The prior of a parameter by its key."""
        try:
            return self._priors[parameter]
        except KeyError:
            raise PriorError(unknown_name("parameter", parameter, self._priors)) from None

    def basis(self, factor: str, bar: int, q: int) -> np.ndarray:
        """The matrix (q, q) that takes the effects of a bar that the prior is about to those that
        are reported.
        """
        return self.bases.get((factor, bar), np.eye(q))

    @cached_property
    def _priors(self) -> dict[str, Prior]:
        return {row.parameter: row.prior for row in self.rows}

    def frame(self) -> pd.DataFrame:
        """The table as a frame by parameter, to be edited and passed back as ``priors=``."""
        import pandas as pd

        columns = {
            name: pd.Series([getattr(row, name) for row in self.rows], dtype=object)
            for name in ("prior", "source", "scale")
        }
        index = pd.Index([row.parameter for row in self.rows], name="parameter")
        return pd.DataFrame(columns).set_index(index)

    def __repr__(self) -> str:
        width = max(len(row.parameter) for row in self.rows)
        lines = [
            f"{row.parameter:<{width}}  {row.prior!s}  "
            f"({': '.join(filter(None, (row.source, row.scale)))})"
            for row in self.rows
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.frame().astype(str).to_html(escape=True)


def resolve(
    priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
    parameters: Parameters,
    design: Design,
) -> PriorTable:
    """Give every parameter its prior.

    Parameters
    ----------
    priors : mapping, frame or PriorTable, optional
        Priors by key, or a (changed) frame of :meth:`PriorTable.frame`. The keys are
        ``"beta[Days]"``; ``"beta"`` for every coefficient but the intercept;
        ``"sd_Subject[Days]"``, ``"sd_Subject"``, ``"sd"``; ``"corr_Subject"``, ``"corr"``;
        ``"sigma"``. The most specific key wins.
    parameters : Parameters
    design : Design

    Returns
    -------
    PriorTable

    Raises
    ------
    PriorError
        For an unknown key, a prior whose support does not fit, and one that no parameter would use.
    ArgumentTypeError
        For a value that is no prior.
    """
    coefficients = _coefficient_slots(design)
    slots = [*coefficients, *_theta_slots(parameters, design)]
    given = _given(priors, {slot.parameter: slot.default for slot in slots})
    # a prior of the user's for correlations is about those that are reported
    slots = [*coefficients, *_theta_slots(parameters, design, given)]
    valid = [slot.parameter for slot in slots] + [key for slot in slots for key in slot.keys]
    for key in given:
        if key not in valid:
            raise PriorError(unknown_name("prior key", key, valid))

    level = _level_coefficients(design)
    rows = []
    used = set()
    for slot in slots:
        found = next((key for key in slot.keys if key in given), None)
        if found is None:
            rows.append(PriorRow(slot.parameter, slot.default, "default", slot.scale))
        else:
            used.add(found)
            _check_fits(slot.parameter, given[found], at_means=slot.at_means)
            rows.append(PriorRow(slot.parameter, given[found], "user", ""))
    for key in given:
        if key not in used:
            raise PriorError(
                f"nothing would use the prior for {key!r}: every parameter it could be for has a "
                "prior of its own. Leave it out."
            )

    chosen = {row.parameter: row.prior for row in rows}
    mean, precision = _gaussian(
        [chosen[f"beta[{name}]"] for name in design.coef], design.X.mean(axis=0), level
    )
    mean.flags.writeable = precision.flags.writeable = False
    theta = tuple(
        chosen[block.name if block.kind == "corr" else name]
        for block in parameters.blocks
        for name in block.names
    )
    return PriorTable(tuple(rows), theta, _bases(theta, parameters, design), mean, precision)


def _bases(
    theta: tuple[Prior, ...], parameters: Parameters, design: Design
) -> dict[tuple[str, int], np.ndarray]:
    """The effects that priors are about, of bars whose intercept has its prior at the means."""
    bases = {}
    for factor in design.factors:
        for number, bar in enumerate(factor.bars):
            sds = parameters.find(factor.name, number, "sd")
            own = [] if sds is None else theta[sds.start : sds.stop]
            at_means = [isinstance(prior, HalfStudentTAtMeans) for prior in own]
            if any(at_means):
                intercept = at_means.index(True)
                basis = np.eye(len(own))
                basis[intercept] = -factor.Z[:, bar.start : bar.stop].mean(axis=0)
                basis[intercept, intercept] = 1.0
                basis.flags.writeable = False
                bases[factor.name, number] = basis
    return bases


@dataclass(frozen=True, slots=True)
class _Slot:
    """A parameter that needs a prior: its default, and its keys, the most specific first."""

    parameter: str
    keys: tuple[str, ...]
    default: Prior
    scale: str
    at_means: bool = False


def _given(priors: object, defaults: Mapping[str, Prior]) -> dict[str, Prior]:
    """What the user has set, by key."""
    if priors is None:
        return {}
    if isinstance(priors, PriorTable):
        priors = priors.frame()
    if isinstance(priors, Mapping):
        return {key: as_prior(value, key) for key, value in priors.items()}

    import pandas as pd

    if not isinstance(priors, pd.DataFrame):
        raise ArgumentTypeError(
            "priors should be a dictionary such as {'sigma': bl.HalfNormal(10)} or the frame that "
            f"`model.priors` shows, got {type(priors).__name__}."
        )
    frame = priors.set_index("parameter") if "parameter" in priors.columns else priors
    if "prior" not in frame.columns:
        raise PriorError(
            "a frame of priors should have a column 'prior', got the columns "
            f"{list(priors.columns)}."
        )
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise PriorError(f"a frame of priors should name a parameter once, got {twice!r} twice.")
    sources = frame["source"] if "source" in frame.columns else [""] * len(frame)
    return {
        key: as_prior(prior, key)
        for key, prior, source in zip(frame.index, frame["prior"], sources, strict=True)
        if not (source == "default" and defaults.get(key) == prior)
    }


def _coefficient_slots(design: Design) -> list[_Slot]:
    y, level = design.y_less_offset, _level_coefficients(design)
    centred = bool(level.any())
    spread_y = _spread(y, centred)
    what = "sd" if centred else "rms"
    slots = []
    for j, name in enumerate(design.coef):
        keys = (f"beta[{name}]",) if name == _INTERCEPT else (f"beta[{name}]", "beta")
        if level[j]:
            mu, sigma = float(y.mean()), _COEFFICIENT_SCALE * spread_y
            text = f"at the predictors' means: mean(y) = {mu:.4g}, 2.5 sd(y) = {sigma:.4g}"
            slots.append(_Slot(keys[0], keys, NormalAtMeans(mu, sigma), text, at_means=True))
        else:
            spread_x = _spread(design.X[:, j], centred)
            text = f"2.5 {what}(y)/{what}(x) = 2.5 × {spread_y:.4g}/{spread_x:.4g}"
            prior = Normal(0.0, _COEFFICIENT_SCALE * spread_y / spread_x)
            slots.append(_Slot(keys[0], keys, prior, text))
    return slots


def _theta_slots(
    parameters: Parameters, design: Design, given: Collection[str] = ()
) -> list[_Slot]:
    spread_y = _spread(design.y_less_offset, centred=True)
    factors = {factor.name: factor for factor in design.factors}
    slots: dict[str, _Slot] = {}
    prior: Prior
    for block in parameters.blocks:
        if block.kind == "sigma":
            prior = HalfStudentT(_SD_DF, spread_y)
            for name in block.names:
                keys = tuple(dict.fromkeys((name, block.name)))
                slots[name] = _Slot(name, keys, prior, f"sd(y) = {spread_y:.4g}")
        elif block.kind not in ("sd", "corr"):
            for name in block.names:
                keys = tuple(dict.fromkeys((name, block.name)))
                prior, text = _default_of_correlation(block)
                slots[name] = _Slot(name, keys, prior, text)
        elif block.kind == "corr":
            # the bars of a factor share the key, and each has a matrix of its own
            slots[block.name] = _Slot(block.name, (block.name, "corr"), LKJ(1.0), "")
        elif block.factor is not None:
            factor = factors[block.factor]
            bar = factor.bars[block.bar]
            spreads = [_spread_z(z) for z in factor.Z[:, bar.start : bar.stop].T]
            if bar.shape is not None and bar.shape.occasions:
                spreads = [1.0] * len(spreads)  # an intercept at each
            if len(spreads) > len(block.names):  # one sd for all effects of the bar
                spreads = [min(spreads)]
            correlated = parameters.find(block.factor, block.bar, "corr")
            for name, label, spread in zip(block.names, block.labels, spreads, strict=True):
                scale = spread_y / spread
                text = f"sd(y)/sd(z) = {spread_y:.4g}/{spread:.4g}"
                prior = HalfStudentT(_SD_DF, scale)
                if label == _INTERCEPT or (bar.shape is not None and bar.shape.occasions):
                    text = f"sd(y) = {spread_y:.4g}"
                movable = label == _INTERCEPT and correlated is not None
                if movable and not {f"corr_{factor.name}", "corr"}.intersection(given):
                    text = f"at the means of the bar's other columns: {text}"
                    prior = HalfStudentTAtMeans(_SD_DF, scale)
                keys = (name, block.name, "sd")
                slots[name] = _Slot(name, keys, prior, text, at_means=movable)
    return list(slots.values())


def _default_of_correlation(block: Block) -> tuple[Prior, str]:
    """The default of a parameter of a structured correlation or of R's variance, and how it comes
    about.
    """
    if block.kind == "power":
        return Normal(0.0, 1.0), ""
    if block.kind == "range":
        spacing = float(np.ravel(block.typical)[0])
        return LogNormal(float(np.log(3 * spacing)), 1.5), f"3 × the spacing, {spacing:.4g}"
    return Uniform(block.lower, block.upper), "its bounds"


def means_basis(design: Design, priors: Sequence[Prior]) -> np.ndarray:
    """The matrix (p, p) that takes the coefficients that priors are about to the reported ones.

    They differ where a prior is for the value at the predictors' means.

    Parameters
    ----------
    design : Design
    priors : sequence of Prior
        One for each coefficient.
    """
    moved = np.array([isinstance(prior, NormalAtMeans) for prior in priors], dtype=bool)
    others = np.where(_level_coefficients(design), 0.0, design.X.mean(axis=0))
    basis: np.ndarray = np.eye(len(priors)) - np.outer(moved, others)
    return basis


def _spread(values: np.ndarray, centred: bool) -> float:
    """Standard deviation, or the root mean square where a model has no level to deviate from."""
    return float(np.std(values, ddof=1) if centred else np.sqrt(np.mean(values**2)))


def _spread_z(values: np.ndarray) -> float:
    """Standard deviation of a column of Z; of a constant one its size, 1 for an intercept."""
    return float(np.std(values, ddof=1) if np.ptp(values) > 0 else abs(values[0]))


def _level_coefficients(design: Design) -> np.ndarray:
    """Which coefficients set the level of the response: the intercept, or the cells that add up to
    one.

    Returns
    -------
    (p,) bool array
        All False when no combination of the columns is constant (a regression through the origin).
    """
    if _INTERCEPT in design.coef:
        return np.array([name == _INTERCEPT for name in design.coef])
    X = design.X
    size = np.abs(X).max(axis=0)
    weights = np.linalg.lstsq(X / size, np.ones(len(X)))[0] / size
    cells: np.ndarray = np.abs(weights - 1.0) < _ROUNDING
    if np.all(cells | (np.abs(weights) * size < _ROUNDING)) and np.allclose(X @ weights, 1.0):
        return cells
    return np.zeros_like(cells)


def _check_fits(parameter: str, prior: Prior, *, at_means: bool) -> None:
    """Refuse a prior that the parameter cannot have."""
    if parameter.startswith("beta["):
        if isinstance(prior, NormalAtMeans) and not at_means:
            raise PriorError(
                f"{prior!r} is for an intercept, which {parameter!r} is not; use Normal, which is "
                "on the coefficient itself."
            )
        if prior.support != "real":
            raise PriorError(
                _misfit(parameter, prior, "a coefficient can be any number", "Normal, Flat")
            )
        if not isinstance(prior, Normal | Flat):
            raise PriorError(
                f"{parameter!r} got the prior {prior!r}, but coefficients are integrated out "
                "exactly, which needs a Gaussian prior: use Normal or Flat."
            )
    elif parameter.startswith(("rho", "ma", "nugget")):
        if not isinstance(prior, Uniform):
            raise PriorError(
                _misfit(parameter, prior, "it lies in an interval", "Uniform within its bounds")
            )
    elif parameter.startswith(("power", "expon")):
        if not isinstance(prior, Normal) or isinstance(prior, NormalAtMeans):
            raise PriorError(_misfit(parameter, prior, "it can be any number", "Normal"))
    elif parameter.startswith("corr_"):
        if not isinstance(prior, LKJ):
            raise PriorError(_misfit(parameter, prior, "it is a correlation matrix", "LKJ"))
    elif isinstance(prior, HalfStudentTAtMeans) and not at_means:
        raise PriorError(
            f"{prior!r} is for a random intercept that is correlated with slopes, which "
            f"{parameter!r} is not; use HalfStudentT."
        )
    elif prior.support != "positive" and not (isinstance(prior, Uniform) and prior.lower >= 0):
        raise PriorError(
            _misfit(
                parameter,
                prior,
                "a standard deviation is positive",
                "HalfNormal, HalfStudentT, HalfCauchy, Exponential, Gamma, InverseGamma, "
                "LogNormal, or Uniform from 0 or more",
            )
        )


def _misfit(parameter: str, prior: Prior, why: str, families: str) -> str:
    return f"the prior {prior!r} does not fit {parameter!r}: {why}. Use {families}."


def _gaussian(
    priors: list[Prior], x_means: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and precision of beta from a prior for each coefficient.

    A prior at the means is one on a'beta, where a picks the coefficient and adds the other
    predictors at their means. Each prior adds a a'/sigma² to the precision, and the mean is where
    all of them are at their centre.
    """
    p = len(priors)
    mean, precision = np.zeros(p), np.zeros((p, p))
    others = np.where(level, 0.0, x_means)
    for j, prior in enumerate(priors):
        if isinstance(prior, Normal):
            mean[j] = prior.mu
            direction = np.zeros(p)
            direction[j] = 1.0
            if isinstance(prior, NormalAtMeans):
                direction += others
            precision += np.outer(direction, direction) / prior.sigma**2
    for j, prior in enumerate(priors):
        if isinstance(prior, NormalAtMeans):
            mean[j] -= others @ mean
    return mean, precision
