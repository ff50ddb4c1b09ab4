"""The prior families: what each is called, its parameters and on what scale they are, its support.

Each is a small frozen object whose ``repr`` is the code that makes it. Which parameter gets which
prior is settled in `prior_table`; densities are evaluated by `density` and, in a ``pm.Model``, by
PyMC.
"""

from __future__ import annotations

from typing import Any

from bayeslmm.errors import ArgumentTypeError, PriorError
from bayeslmm.priors.base import Prior
from bayeslmm.priors.held import Fixed
from bayeslmm.priors.matrix import LKJ, HuangWand, InverseWishart, Wishart
from bayeslmm.priors.positive import (
    PC,
    Beta,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    HalfStudentTAtMeans,
    InverseGamma,
    LogNormal,
    Uniform,
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
_OUR_OWN = (
    *(LKJ, NormalAtMeans, StudentTAtMeans, HalfStudentTAtMeans, PC, Fixed),
    *(MvNormal, Wishart, InverseWishart, HuangWand, VarianceSplit),
)
"""Families whose names mean something else, or nothing, in other packages."""


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
    if family is None or family in _OUR_OWN:
        raise PriorError(
            f"the prior for {key!r} is of the family {name}, which this library does not have; "
            f"it has {', '.join(n for n, f in FAMILIES.items() if f not in _OUR_OWN)}."
        )
    arguments: list[Any] = [getattr(value, parameter, None) for parameter in family.pymc_parameters]
    if any(argument is None for argument in arguments):
        raise PriorError(
            f"the prior for {key!r}, {value!r}, lacks values for "
            f"{', '.join(family.pymc_parameters)}; set them first."
        )
    return family(*map(float, arguments))
