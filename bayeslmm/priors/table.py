"""Which prior each parameter has: by the user's keys, or a default scaled to the data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.covariance.correlations.kernels import inside
from bayeslmm.errors import ArgumentTypeError, PriorError, unknown_name
from bayeslmm.priors.checks import check_fits, check_fits_matrix, check_fits_variance
from bayeslmm.priors.coefficients import covered, gaussian_prior, means_basis
from bayeslmm.priors.defaults import (
    MatrixSlot,
    Slot,
    coefficient_slots,
    growth_of,
    matrix_slots,
    theta_slots,
)
from bayeslmm.priors.families import (
    Fixed,
    MvNormal,
    Prior,
    VarianceSplit,
    as_prior,
)
from bayeslmm.priors.structure_priors import priors_of_structures
from bayeslmm.priors.variance_parts import VarianceParts, at_means, variance_parts
from bayeslmm.support.visible import visible

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters

__all__ = ["PriorRow", "PriorTable", "resolve"]

_VARIANCE = "V"


@dataclass(frozen=True, slots=True)
class PriorRow:
    """One parameter's prior.

    Attributes
    ----------
    parameter : str
        The key that sets it, which is the name in ``summary()``; for correlations, that of their
        matrix; ``G_<factor>`` or ``R`` where a covariance matrix has a prior as a whole, ``V``
        where all standard deviations have a joint one.
    prior : Prior
    source : {"default", "user"}
    scale : str
        How a default's scale comes about; of a joint prior, which parameters have it; empty for
        other priors of the user's.
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
    beta_basis : (p, p) array
        That takes the coefficients that priors are about to the reported ones: they differ where a
        prior is set at the predictors' means.
    beta_mean : (p,) array
        The reported coefficients where those that priors are about have their prior means, and zero
        where these are not Gaussian.
    beta_precision : (p, p) array
        Inverse covariance matrix of the Gaussian prior of beta, in inverse squared units of the
        coefficients. Not diagonal when a prior is set at the predictors' means; of deficient rank
        when a coefficient's prior is flat. Zero for coefficients whose prior is not Gaussian.
    whole : dict of str
        By parameter with a prior that it shares, ``MvNormal`` or one of G, R or V, the key of its
        row.
    exponents : dict of (k,) arrays
        By place in theta of a residual standard deviation whose prior is about rows at the means of
        the variance's covariates: the weights in theta of what is added to its logarithm there.
    variance_weights : (k,) array
        What the square of each standard deviation contributes to the variance of a response, where
        ``V`` has a prior; else zero.
    slope_root : (p, m) array
        With columns for the coefficients but the intercept where ``V`` has a prior of R²: what
        makes them of vectors w whose squared length is the variance that they explain. Else m = 0.
    stated : dict of Prior or None
        What the user has stated, by key; None for a default in place of a structure's prior.
    unused : tuple of str
        Keys that no parameter uses, where these are allowed.
    """

    rows: tuple[PriorRow, ...]
    theta: tuple[Prior, ...]
    bases: Mapping[tuple[str, int], np.ndarray]
    beta_basis: np.ndarray
    beta_mean: np.ndarray
    beta_precision: np.ndarray
    whole: Mapping[str, str]
    exponents: Mapping[int, np.ndarray]
    variance_weights: np.ndarray
    slope_root: np.ndarray
    stated: Mapping[str, Prior | None]
    unused: tuple[str, ...] = ()

    def __getitem__(self, parameter: str) -> Prior:
        """The prior of a parameter by its key; the joint one of those that have one."""
        try:
            return self._priors[self.whole.get(parameter, parameter)]
        except KeyError:
            raise PriorError(unknown_name("parameter", parameter, self._priors)) from None

    def basis(self, factor: str, bar: int, q: int) -> np.ndarray:
        """The matrix (q, q) that takes the effects of a bar that the prior is about to those that
        are reported.
        """
        return self.bases.get((factor, bar), np.eye(q))

    @cached_property
    def not_gaussian(self) -> tuple[str, ...]:
        """Coefficients with priors of their own that are neither Gaussian nor flat, and that are
        sampled with theta.
        """
        return tuple(
            row.parameter
            for row in self.rows
            if row.parameter.startswith("beta") and not row.prior.gaussian
        )

    @cached_property
    def slopes(self) -> tuple[str, ...]:
        """Coefficients under a prior of R², which are sampled with theta."""
        return tuple(
            name for name, key in self.whole.items() if key == _VARIANCE and name.startswith("beta")
        )

    @cached_property
    def held(self) -> np.ndarray:
        """Which elements of theta are held by `Fixed`; (k,) array of bool."""
        return np.array([isinstance(prior, Fixed) for prior in self.theta])

    def with_held(self, theta: np.ndarray) -> np.ndarray:
        """A copy of theta in which the held parameters have their values."""
        values = [prior.value if isinstance(prior, Fixed) else np.nan for prior in self.theta]
        return np.where(self.held, values, theta)

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
        lines += [f"unused: {', '.join(self.unused)}"] if self.unused else []
        return visible("\n".join(lines), keep="\n")

    def _repr_html_(self) -> str:
        return self.frame().astype(str).to_html(escape=True)


def resolve(
    priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
    parameters: Parameters,
    design: Design,
    before: Mapping[str, Prior | None] | None = None,
    allow_unused: bool = False,
) -> PriorTable:
    """Give every parameter its prior.

    Parameters
    ----------
    priors : mapping, frame or PriorTable, optional
        Priors by key, or a (changed) frame of :meth:`PriorTable.frame`. The keys are
        ``"beta[Days]"``; ``"beta"`` for every coefficient but the intercept;
        ``"sd_Subject[Days]"``, ``"sd_Subject"``, ``"sd"``; ``"corr_Subject"``, ``"corr"``;
        ``"sigma"``. The most specific key wins. ``"G_Subject"`` is for the whole covariance matrix
        of a bar, ``"G_Subject[0 + a + b]"`` where the factor has several bars, and ``"R"`` for that
        of the residuals, in place of their standard deviations and correlations; ``"V"`` for all
        standard deviations together, and the coefficients but the intercept with them where it
        states R²; and ``"beta"`` takes a joint prior of several coefficients too.
        None in place of a prior is the default.
    parameters : Parameters
    design : Design
    before : mapping, optional
        What was stated before, and holds for keys that `priors` does not name.
    allow_unused : bool
        Whether a key may be one that no parameter has or uses.

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
    coefficients = coefficient_slots(design)

    def slots_given(keys: Collection[str]) -> list[Slot]:
        return [*coefficients, *theta_slots(parameters, design, keys)]

    slots = slots_given(())
    matrices = matrix_slots(parameters, design)
    keys = _Keys.of(slots, [*matrices, _VARIANCE])
    of_structures = _of_structures(parameters, design, slots)
    new, unknown = _given(priors, keys, slots_given, of_structures, before or {}, allow_unused)
    stated = {key: prior for key, prior in (before or {}).items() if key not in new} | new
    left = {
        slot.parameter: of_structures[slot.parameter]
        for slot in slots
        if slot.parameter in of_structures and not any(key in stated for key in slot.keys)
    }
    given = left | {key: prior for key, prior in stated.items() if prior is not None}
    # a prior of the user's for correlations is about those that are reported
    slots = slots_given(given)
    parts = variance_parts(parameters, design)
    whole = _wholes(given, matrices, parts, design.coef)
    whole |= _all_of_a_matrix(parameters, whole)
    _check_released(slots, given, whole)

    rows, used = _rows(slots, given, whole)
    unused = [key for key in given if key in new and key not in used]
    if unused and not allow_unused:
        raise PriorError(
            f"nothing would use the prior for {unused[0]!r}: every parameter it could be for has a "
            "prior of its own. Leave it out."
        )
    by_row = {row.parameter: row.prior for row in rows}
    chosen = by_row | {parameter: by_row[key] for parameter, key in whole.items()}
    of_beta = [chosen[f"beta[{name}]"] for name in design.coef]
    basis = means_basis(design, of_beta)
    mean, precision = gaussian_prior(of_beta, design.coef, basis)
    names = [
        block.name if block.kind == "corr" and name not in whole else name
        for block in parameters.blocks
        for name in block.names
    ]
    theta = tuple(chosen[name] for name in names)
    _check_lags(theta, parameters)
    bases = _bases(theta, parameters, design)
    exponents = _exponents(theta, parameters, design)
    weights = parts.weights if _VARIANCE in given else np.zeros(len(parameters))
    slope_root = parts.slope_root if _states_r2(given) else np.empty((len(design.coef), 0))
    for array in (basis, mean, precision, weights, slope_root, *exponents.values()):
        array.flags.writeable = False
    named = {key for slot in slots if slot.parameter in of_structures for key in slot.keys}
    kept = {key: prior for key, prior in stated.items() if key in used or key in named - {*given}}
    return PriorTable(
        rows=tuple(rows),
        theta=theta,
        bases=bases,
        beta_basis=basis,
        beta_mean=mean,
        beta_precision=precision,
        whole=whole,
        exponents=exponents,
        variance_weights=weights,
        slope_root=slope_root,
        stated=kept,
        unused=(*unknown, *unused),
    )


def _states_r2(given: Mapping[str, Prior]) -> bool:
    prior = given.get(_VARIANCE)
    return isinstance(prior, VarianceSplit) and prior.r2 is not None


def _wholes(
    given: Mapping[str, Prior],
    matrices: Mapping[str, MatrixSlot],
    parts: VarianceParts,
    coef: Sequence[str],
) -> dict[str, str]:
    """By parameter that shares a prior, ``MvNormal`` or one of G, R or V, the key of that."""
    whole: dict[str, str] = {}
    if isinstance(joint := given.get("beta"), MvNormal):
        whole = {f"beta[{name}]": "beta" for name in covered(joint, coef)}
    for key, matrix in matrices.items():
        if key in given:
            check_fits_matrix(matrix, given[key])
            whole |= dict.fromkeys(matrix.parameters, key)
    if _VARIANCE not in given:
        return whole
    check_fits_variance(parts, given[_VARIANCE])
    slopes = parts.slopes if _states_r2(given) else ()
    for name in (*slopes, *parts.parameters):
        if name in whole:
            raise PriorError(
                f"{_VARIANCE!r} and {whole[name]!r} both have a prior, and both are for "
                f"{name!r}; leave one out."
            )
        whole[name] = _VARIANCE
    return whole


def _all_of_a_matrix(parameters: Parameters, whole: Mapping[str, str]) -> dict[str, str]:
    """The same of the matrices of correlations of several bars, where each has such a prior."""
    found = {}
    for name in {block.name for block in parameters.blocks if block.kind == "corr"}:
        own = [label for block in parameters.blocks if block.name == name for label in block.names]
        if all(label in whole for label in own):
            found[name] = whole[own[0]]
    return found


def _rows(
    slots: Sequence[Slot], given: Mapping[str, Prior], whole: Mapping[str, str]
) -> tuple[list[PriorRow], set[str]]:
    """Each parameter with its prior, or the one that it shares; and the keys that are used."""
    rows: list[PriorRow] = []
    used: set[str] = set()
    for slot in slots:
        joint = whole.get(slot.parameter)
        found = joint or _key_of(slot, given)
        if found is None:
            rows.append(PriorRow(slot.parameter, slot.default, "default", slot.scale))
        elif joint is None:
            check_fits(slot, given[found])
            rows.append(PriorRow(slot.parameter, given[found], "user", ""))
        elif joint not in used:
            own = ", ".join(name for name, key in whole.items() if key == joint)
            rows.append(PriorRow(joint, given[joint], "user", f"of {own}"))
        if found is not None:
            used.add(found)
    return rows, used


def _key_of(slot: Slot, given: Collection[str]) -> str | None:
    """The most specific key that is given for a parameter."""
    return next((key for key in slot.keys if key in given), None)


def _check_released(
    slots: Sequence[Slot], given: Mapping[str, Prior], whole: Mapping[str, str]
) -> None:
    """Refuse a joint prior of a parameter that is held."""
    for slot in slots:
        key, joint = _key_of(slot, given), whole.get(slot.parameter)
        if joint is not None and key is not None and isinstance(given[key], Fixed):
            raise PriorError(
                f"{joint!r} has a prior that is for {slot.parameter!r} too, which is held by "
                f"{given[key]}; to estimate it, take that back: {{{key!r}: None, {joint!r}: ...}}."
            )


def _check_lags(theta: tuple[Prior, ...], parameters: Parameters) -> None:
    """Refuse some lags or loadings that are held with others that are not: they move together."""
    for block in parameters.blocks:
        own = theta[block.start : block.stop]
        values = [prior.value for prior in own if isinstance(prior, Fixed)]
        if block.joint is None or block.parameter is None or not values:
            continue
        if len(values) < len(own):
            what = f"{block.parameter.plural} {block.name!r}"
            raise PriorError(
                f"{len(values)} of the {len(own)} {what} are held, but their bounds depend on each "
                "other: hold all of them, or none."
            )
        if not inside(block.joint, np.array(values), block.size):
            raise PriorError(block.joint.held_outside(block.name, values))


def _bases(
    theta: tuple[Prior, ...], parameters: Parameters, design: Design
) -> dict[tuple[str, int], np.ndarray]:
    """The effects that priors are about, of bars whose intercept has its prior at the means."""
    bases = {}
    for factor in design.factors:
        for number in range(len(factor.bars)):
            sds = parameters.find(factor.name, number, "sd")
            own = () if sds is None else theta[sds.start : sds.stop]
            if any(prior.at_means or isinstance(prior, VarianceSplit) for prior in own):
                basis = at_means(parameters, factor, number)
                if np.array_equal(basis, np.eye(len(basis))):
                    continue
                corr = parameters.find(factor.name, number, "corr")
                if corr is not None and isinstance(theta[corr.start], Fixed):
                    raise PriorError(
                        f"{corr.name!r} cannot be held: the prior for the standard deviation of "
                        "the intercept is about the means of the other columns, where the "
                        "correlation is another. Centre these columns, so that both are the same."
                    )
                basis.flags.writeable = False
                bases[factor.name, number] = basis
    return bases


def _exponents(
    theta: tuple[Prior, ...], parameters: Parameters, design: Design
) -> dict[int, np.ndarray]:
    """See `PriorTable.exponents`."""
    weights = growth_of(parameters, design).weights
    return {place: own for place, own in enumerate(weights) if own.any() and theta[place].at_means}


def _of_structures(
    parameters: Parameters, design: Design, slots: Sequence[Slot]
) -> dict[str, Prior]:
    """The priors that stand with structures, by parameter."""
    own = priors_of_structures(parameters, design)
    found = {slot.parameter: _key_of(slot, own) for slot in slots}
    return {name: _taken(own[key], key, slots) for name, key in found.items() if key is not None}


@dataclass(frozen=True)
class _Keys:
    """What can be the key of a prior.

    Attributes
    ----------
    valid : tuple of str
    slots : sequence of Slot
    """

    valid: tuple[str, ...]
    slots: Sequence[Slot]

    @classmethod
    def of(cls, slots: Sequence[Slot], joint: Sequence[str]) -> _Keys:
        keys = [slot.parameter for slot in slots] + [key for slot in slots for key in slot.keys]
        return cls((*dict.fromkeys([*keys, *joint]), "beta"), slots)

    def full(self, key: object) -> str | None:
        """The key itself, or that of the coefficient which it names; None for another."""
        if key in self.valid:
            return str(key)
        found = self._meant(key)
        return found[0] if len(found) == 1 and found[0].startswith("beta") else None

    def _meant(self, key: object) -> list[str]:
        """Keys of the parameters with that label, or of that grouping factor."""
        found = [s.parameter for s in self.slots if s.parameter.endswith(f"[{key}]")]
        if key == "b" and any("beta" in slot.keys for slot in self.slots):
            found = ["beta", *found]
        return found or [name for name in self.valid if name.endswith(f"_{key}")]

    def error(self, key: object) -> PriorError:
        """What is wrong with a key that is none."""
        base = str(key).partition("[")[0]
        if base != "beta" and base in (slot.parameter for slot in self.slots):
            return PriorError(f"{key!r} has no prior of its own; the prior for {base!r} covers it.")
        meant = self._meant(key)
        if not meant:
            return PriorError(unknown_name("prior key", key, self.valid[:-1]))
        return PriorError(
            f"{key!r} is no prior key, which is the name of a parameter in summary(). "
            f"Did you mean {' or '.join(map(repr, meant))}?"
        )


def _given(
    priors: object,
    keys: _Keys,
    slots_given: Callable[[Collection[str]], list[Slot]],
    of_structures: Mapping[str, Prior],
    before: Mapping[str, Prior | None],
    allow_unused: bool,
) -> tuple[dict[str, Prior | None], list[str]]:
    """What the user has set, by key, None for a default; and the unknown keys."""
    if priors is None:
        return {}, []
    if isinstance(priors, PriorTable):
        priors = priors.frame()
    by_hand = isinstance(priors, Mapping)
    values = dict(priors) if isinstance(priors, Mapping) else _of_frame(priors, slots_given)
    found: dict[str, Prior | None] = {}
    written: dict[str, object] = {}
    unknown = []
    for key, value in values.items():
        prior = None if value is None else _taken(value, str(key), keys.slots)
        full = keys.full(key)
        if full is None and allow_unused:
            unknown.append(str(key))
        elif full is None:
            raise keys.error(key)
        elif full in written:
            raise PriorError(f"the keys {written[full]!r} and {key!r} are the same; give one.")
        else:
            found[full], written[full] = prior, key
    replaced = {key for s in keys.slots if s.parameter in of_structures for key in s.keys}
    stated = [*before, *of_structures]
    for key, prior in found.items():
        if by_hand and prior is None and key not in (*before, *replaced):
            known = f"stated are {', '.join(map(repr, stated))}" if stated else "nothing is"
            raise PriorError(
                f"no prior is stated under {key!r}, so that none can be taken back; {known}."
            )
    return found, unknown


def _of_frame(
    frame: object, slots_given: Callable[[Collection[str]], list[Slot]]
) -> dict[str, object]:
    """The priors of a frame by key, None for those that are the default."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError(
            "priors should be a dictionary such as {'sigma': bl.HalfNormal(10)} or the frame that "
            f"`model.priors` shows, got {type(frame).__name__}."
        )
    frame = frame.set_index("parameter") if "parameter" in frame.columns else frame
    if "prior" not in frame.columns:
        raise PriorError(
            "a frame of priors should have a column 'prior', got the columns "
            f"{list(frame.columns)}."
        )
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise PriorError(f"a frame of priors should name a parameter once, got {twice!r} twice.")
    sources = frame["source"] if "source" in frame.columns else pd.Series("", frame.index)
    slots = slots_given(frame.index[sources != "default"])
    defaults = {slot.parameter: slot.default for slot in slots}
    return {
        key: None if source == "default" and defaults.get(key) == prior else prior
        for key, prior, source in zip(frame.index, frame["prior"], sources, strict=True)
    }


def _taken(value: object, key: str, slots: Sequence[Slot]) -> Prior:
    """A prior for a key; a Beta of another package, which is not stretched, only from 0 to 1."""
    prior = as_prior(value, key)
    if prior.bounds is None and prior is not value:
        for slot in slots:
            if key in slot.keys and np.isfinite(slot.bounds).all() and slot.bounds != (0.0, 1.0):
                raise PriorError(
                    f"the prior for {key!r}, {value!r}, is about a number from 0 to 1, and "
                    f"{slot.parameter!r} lies in ({slot.bounds[0]:.4g}, {slot.bounds[1]:.4g}); "
                    f"bl.{prior} is stretched to that interval."
                )
    return prior
