"""The list of the prior families.

Each is a small frozen object whose ``repr`` is the code that makes it, and its class says all that
is special to it: see `Prior`. Which parameter gets which prior is settled in `table`.
"""

from __future__ import annotations

from typing import Any

from bayeslmm.errors import ArgumentTypeError, PriorError
from bayeslmm.priors.base import Prior, Support
from bayeslmm.priors.held import Fixed
from bayeslmm.priors.interval import Beta, Uniform
from bayeslmm.priors.matrix import LKJ, HuangWand, InverseWishart, Wishart
from bayeslmm.priors.positive import (
    PC,
    Exponential,
    Gamma,
    GammaPrecision,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    HalfStudentTAtMeans,
    InverseGamma,
    LogNormal,
)
from bayeslmm.priors.real import (
    Cauchy,
    Flat,
    Laplace,
    MvNormal,
    Normal,
    NormalAtMeans,
    StudentT,
    StudentTAtMeans,
)
from bayeslmm.priors.split import VarianceSplit

__all__ = [
    "FAMILIES",
    "LKJ",
    "PC",
    "Beta",
    "Cauchy",
    "Exponential",
    "Fixed",
    "Flat",
    "Gamma",
    "GammaPrecision",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "HalfStudentTAtMeans",
    "HuangWand",
    "InverseGamma",
    "InverseWishart",
    "Laplace",
    "LogNormal",
    "MvNormal",
    "Normal",
    "NormalAtMeans",
    "Prior",
    "StudentT",
    "StudentTAtMeans",
    "Uniform",
    "VarianceSplit",
    "Wishart",
    "as_prior",
    "names_of",
]

FAMILIES: dict[str, type[Prior]] = {
    family.__name__: family
    for family in (
        Normal,
        NormalAtMeans,
        MvNormal,
        StudentT,
        StudentTAtMeans,
        Cauchy,
        Laplace,
        Flat,
        HalfNormal,
        HalfStudentT,
        HalfStudentTAtMeans,
        HalfCauchy,
        Exponential,
        PC,
        Gamma,
        InverseGamma,
        GammaPrecision,
        LogNormal,
        Uniform,
        Beta,
        LKJ,
        Wishart,
        InverseWishart,
        HuangWand,
        VarianceSplit,
        Fixed,
    )
}


def names_of(support: Support) -> list[str]:
    """The names of the families with a support, but those at the predictors' means."""
    own = {n: family for n, family in FAMILIES.items() if not family.at_means}
    return [name for name, family in own.items() if family.support == support]


def as_prior(value: object, key: str) -> Prior:
    """Take a prior of this library, or an object with ``to_pymc`` (PreliZ) of a family of the same
    name.

    Parameters
    ----------
    value : object
    key : str
        The parameter it is for, named in errors.

    Raises
    ------
    ArgumentTypeError
        If it is neither.
    PriorError
        If it is of a family that this library does not have, or its parameters are not set.
    """
    if isinstance(value, Prior):
        return value
    name = type(value).__name__
    if not hasattr(value, "to_pymc") or isinstance(value, type):
        raise ArgumentTypeError(
            f"the prior for {key!r} should be a prior such as bl.Normal(0, 1), got {value!r} "
            f"of type {name}."
        )
    family = FAMILIES.get(name)
    if family is None or not family.name_is_shared:
        raise PriorError(
            f"the prior for {key!r} is of the family {name}, which this library does not have; "
            f"it has {', '.join(n for n, f in FAMILIES.items() if f.name_is_shared)}."
        )
    arguments: list[Any] = [getattr(value, parameter, None) for parameter in family.pymc_parameters]
    if any(argument is None for argument in arguments):
        raise PriorError(
            f"the prior for {key!r}, {value!r}, lacks values for "
            f"{', '.join(family.pymc_parameters)}; set them first."
        )
    return family(*map(float, arguments))
