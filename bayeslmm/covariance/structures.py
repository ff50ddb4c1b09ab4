"""Covariance structures as users name them: a correlation and a model of the variance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

from bayeslmm.covariance.correlations.base import Correlation, Needs
from bayeslmm.errors import ArgumentError, ArgumentTypeError

__all__ = ["Covariance", "VarExp", "VarIdent", "VarPower", "columns_of_variance"]

_PART = re.compile(r"`[^`]+`|[^:`]+")
_INTERACTION = re.compile(rf"(?:{_PART.pattern})(?::(?:{_PART.pattern}))*")
"""Names of columns joined by colons."""


@dataclass(frozen=True)
class _OfColumn:
    """What standard deviations depend on: a column."""

    column: str
    exponent: ClassVar[str]
    """The name of the parameters that the logarithms of standard deviations are linear in."""

    def __post_init__(self) -> None:
        """Check the name."""
        if not isinstance(self.column, str):
            raise ArgumentTypeError(
                f"{type(self).__name__} takes the name of a column, got {self.column!r}."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data that it uses."""
        return (self.column,)


class VarIdent(_OfColumn):
    """A standard deviation for each level of a column (nlme's ``varIdent``); of random effects, a
    column that is constant within their levels, or that of their occasions.

    In a list with others the variance is their product (nlme's ``varComb``): ``"occasion"``, or
    else the first of them, has the standard deviations, and each of the others multiplies these by
    a ratio, 1 at its first level. The logarithms of ratios are the parameters ``log_ratio``.

    Parameters
    ----------
    column : str
        Or columns joined by ":", for a standard deviation of each combination of their levels;
        a name that has ":" in it stands in backticks.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("Orthodont")
    >>> product = bl.ID(variance=[bl.VarIdent("Sex"), bl.VarIdent("age")])
    >>> bl.Model("distance ~ age * Sex", data, R=product).parameters.names[:3]
    ('log_ratio[age[10]]', 'log_ratio[age[12]]', 'log_ratio[age[14]]')
    >>> each = bl.ID(variance=bl.VarIdent("Sex:age"))
    >>> len(bl.Model("distance ~ age * Sex", data, R=each).parameters)
    8
    """

    exponent = "log_ratio"

    def __post_init__(self) -> None:
        """Check the names."""
        super().__post_init__()
        if not _INTERACTION.fullmatch(self.column):
            raise ArgumentError(
                f"VarIdent takes a column, or columns joined by ':', got {self.column!r}; a name "
                "that has ':' in it stands in backticks, '`a:b`'."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data whose combinations have a standard deviation each."""
        return tuple(part.strip("`") for part in _PART.findall(self.column))


class VarPower(_OfColumn):
    """A standard deviation in proportion to a power of a column's absolute value (nlme's
    ``varPower``): sigma |x|^power.

    Parameters
    ----------
    column : str
        Numbers other than zero; of random effects, the occasions.
    """

    exponent = "power"


class VarExp(_OfColumn):
    """A standard deviation that grows exponentially with a column (nlme's ``varExp``):
    sigma exp(expon x).

    Parameters
    ----------
    column : str
        Numbers; of random effects, the occasions.
    """

    exponent = "expon"


_Function = VarIdent | VarPower | VarExp
Variance = str | VarIdent | VarPower | VarExp


@dataclass(frozen=True, kw_only=True, repr=False)
class Covariance:
    """A covariance structure: a correlation over occasions and a model of the variance.

    Parameters
    ----------
    time : str or pair of str, optional
        The column that orders the occasions, and whose values are their places for correlations
        that depend on distance; two columns for places in the plane.
    group : str, optional
        The column of subjects: rows of different subjects are independent.
    by : str, optional
        A column of strata, each of which has parameters of its own; constant within a subject.
    variance : str, variance function, or sequence of them, optional
        ``"one"``, ``"occasion"`` (a variance for each), `VarIdent`, `VarPower`, `VarExp`, or a
        list, whose product it is; a variance for each combination of levels is one `VarIdent` of
        an interaction, ``VarIdent("Sex:week")``.
    nugget : bool, default False
        Whether a share of the variance is not correlated; for correlations that depend on
        distance.
    sd, corr, rho, ma, range, loading : prior, optional
        Priors of the standard deviations and of the parameters of the correlation, of those that
        the structure has; ``priors=`` of `Model`, with the names of ``summary()``, goes before
        them.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> bl.AR1(time="week", group="id", rho=bl.Uniform(0, 1))
    AR1(time='week', group='id', rho=Uniform(0, 1))
    """

    time: str | tuple[str, str] | None = None
    group: str | None = None
    by: str | None = None
    variance: Variance | Sequence[Variance] | None = None
    nugget: bool = False
    # what a structure is does not depend on what is believed of it
    sd: object = field(default=None, compare=False)
    corr: object = field(default=None, compare=False)
    rho: object = field(default=None, compare=False)
    ma: object = field(default=None, compare=False)
    range: object = field(default=None, compare=False)
    loading: object = field(default=None, compare=False)

    _correlation: ClassVar[Correlation]
    _variance: ClassVar[str] = "one"
    calls: ClassVar[tuple[str, ...]] = ()
    """What it is called around a bar of a formula."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        for name in ("group", "by"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ArgumentTypeError(
                    f"`{name}` of {self.name} should be the name of a column, got {value!r}."
                )
        if not (isinstance(self.time, str | tuple | None) and all(map(_is_text, self.times))):
            raise ArgumentTypeError(
                f"`time` of {self.name} should be the name of a column, or a pair of them for "
                f"places in the plane, got {self.time!r}."
            )
        if not isinstance(self.nugget, bool):
            raise ArgumentTypeError(
                f"`nugget` of {self.name} should be True or False, got {self.nugget!r}."
            )
        if isinstance(self.variance, list):
            object.__setattr__(self, "variance", tuple(self.variance))
        self._check_variances()
        self._check_times()
        self._check_priors()

    def _check_variances(self) -> None:
        for part in self.variances:
            if not isinstance(part, _Function) and part not in ("one", "occasion"):
                raise ArgumentError(
                    f"`variance` of {self.name} should be 'one', 'occasion', bl.VarIdent(column), "
                    f"bl.VarPower(column), bl.VarExp(column), or a list of these; got {part!r}."
                )
        if not self.variances:
            raise ArgumentError(
                f"`variance` of {self.name} is an empty list; for one variance give 'one', or "
                "leave it out."
            )
        twice = [part for part in self.variances if self.variances.count(part) > 1]
        if twice:
            raise ArgumentError(
                f"`variance` of {self.name} has {twice[0]!r} twice, whose parameters the data "
                "could not tell apart; give it once."
            )
        for part in self.variances:
            if isinstance(part, VarIdent) and self.by in part.columns:
                raise ArgumentError(
                    f"by={self.by!r} of {self.name} gives each stratum a variance of its own "
                    f"already; leave {_without(part, self.by)} out."
                )

    def _check_times(self) -> None:
        distances = self._plain.of_distance
        if self.nugget and not distances:
            raise ArgumentError(
                f"{self.name} has no nugget, which is for correlations that depend on distance: "
                "CAR1, Exp, Gau, RatQuad, Sph and Matern. Leave `nugget` out."
            )
        if len(self.times) > 2 or (self.time is not None and not self.times):
            raise ArgumentError(
                f"`time` of {self.name} should be one column, or two for places in the plane; got "
                f"{self.time!r}."
            )
        if len(self.times) == 2 and (not distances or "occasion" in self.variances):
            raise ArgumentError(
                f"{self.name} has occasions in one order here, so `time` should be one column, got "
                f"{self.time!r}. Places in the plane are for Exp, Gau, RatQuad, Sph, Matern and "
                "CAR1 with a variance that is not by occasion."
            )

    def _check_priors(self) -> None:
        own = ("sd", *self._plain.variables)
        for name, prior in self.priors.items():
            if name not in own:
                raise ArgumentError(
                    f"{self.name} has no `{name}`; its priors are "
                    f"{', '.join(f'`{own_name}`' for own_name in own)}. Leave it out."
                )
            if not hasattr(prior, "to_pymc") or isinstance(prior, type):
                raise ArgumentTypeError(
                    f"`{name}` of {self.name} should be a prior such as bl.Uniform(0, 1), got "
                    f"{prior!r}; a value that is known is bl.Fixed(value)."
                )

    def check_residual(self) -> None:
        """Refuse a structure of the residuals without the columns that say which rows are
        correlated, and in which order; one of random effects is over these, and has none.

        Raises
        ------
        ArgumentError
            For columns that it lacks.
        """
        correlation = self._plain
        if "occasion" in self.variances and self.time is None:
            raise ArgumentError(
                f"{self.name} has a variance for each occasion, and needs `time`, the column of "
                f"occasions: bl.{self.name}({self._first}time='week', ...)."
            )
        if not correlation.independent:
            alike = correlation.needs is Needs.NOTHING
            for name in ("group",) if alike else ("time", "group"):
                if getattr(self, name) is None:
                    raise ArgumentError(
                        f"{self.name} correlates the rows of a subject, and needs `{name}`: "
                        f"bl.{self.name}({self._first}time='week', group='id')."
                    )

    def __repr__(self) -> str:
        given = {own.name: getattr(self, own.name) for own in fields(self) if own.repr}
        shown = [f"{name}={value!r}" for name, value in given.items() if value not in (None, False)]
        return f"{self.name}({', '.join(shown)})"

    @classmethod
    def of_call(cls) -> Covariance:
        """The structure that a call in a formula stands for."""
        return cls()

    @property
    def priors(self) -> dict[str, object]:
        """The priors that stand with it, by variable."""
        given = {own.name: getattr(self, own.name) for own in fields(Covariance) if not own.compare}
        return {name: prior for name, prior in given.items() if prior is not None}

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def _called(self) -> str:
        """The name with what else tells it from others of the class."""
        return self.name

    @property
    def _first(self) -> str:
        """What stands before the columns in a call."""
        return ""

    @property
    def _plain(self) -> Correlation:
        """The correlation structure without a nugget."""
        return self._correlation

    @property
    def correlation(self) -> Correlation:
        """The correlation structure."""
        return replace(self._plain, nugget=True) if self.nugget else self._plain

    @property
    def times(self) -> tuple[str, ...]:
        """The columns of time or place."""
        if self.time is None:
            return ()
        return (self.time,) if isinstance(self.time, str) else tuple(self.time)

    @property
    def variances(self) -> tuple[Variance, ...]:
        """The parts of the variance model."""
        if self.variance is None:
            return (self._variance,)
        if isinstance(self.variance, str | VarIdent | VarPower | VarExp):
            return (self.variance,)
        return tuple(self.variance)

    @property
    def leading(self) -> VarIdent | str | None:
        """The part of the variance model whose levels have the standard deviations: "occasion", or
        the first `VarIdent`.
        """
        idents = [part for part in self.variances if isinstance(part, VarIdent)]
        return "occasion" if "occasion" in self.variances else next(iter(idents), None)

    @property
    def growing(self) -> tuple[VarIdent | VarPower | VarExp, ...]:
        """The parts that multiply these standard deviations, those of a class together."""
        parts = [p for p in self.variances if not isinstance(p, str) and p != self.leading]
        kinds = dict.fromkeys(map(type, parts))
        return tuple(part for kind in kinds for part in parts if isinstance(part, kind))

    @property
    def linear(self) -> bool:
        """Whether it is linear in its parameters, if these are the covariances themselves."""
        first, *others = self.variances
        if others or isinstance(first, VarPower | VarExp):
            return False
        return self.correlation.is_linear(first)

    @property
    def words(self) -> str:
        """What it is on which columns: "AR1 over week within id"."""
        parts = [self._called]
        if self.times:
            parts.append(f"over {' and '.join(self.times)}")
        if self.group is not None:
            parts.append(f"within {self.group}")
        if self.by is not None:
            parts.append(f"by {self.by}")
        if self.nugget:
            parts.append("with a nugget")
        for part in self.variances:
            if not isinstance(part, str):
                parts.append(f"with {type(part).__name__}({part.column})")
            elif self.variances != (self._variance,):
                parts.append("with one variance" if part == "one" else "with a variance each")
        return " ".join(parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data that it uses."""
        names = [*self.times, self.group, self.by]
        names += [name for part in self.variances for name in columns_of_variance(part)]
        return tuple(dict.fromkeys(name for name in names if name is not None))


def columns_of_variance(part: Variance | None) -> tuple[str, ...]:
    """The columns that a part of a variance model names itself."""
    return () if part is None or isinstance(part, str) else part.columns


def _without(part: VarIdent, column: str) -> str:
    """What to leave out of a variance model, so that it has no column that is in another part."""
    return f"VarIdent({part.column!r})" if part.columns == (column,) else f"{column!r} of {part!r}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)
