"""`Prior`, what all prior families have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, auto
from math import inf, isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bayeslmm.errors import ArgumentTypeError, PriorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytensor.tensor import TensorVariable

__all__ = ["Matrix", "Prior", "PriorCode", "Support", "Vector", "matrix", "vector"]

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]

Support = Literal[
    "real",
    "positive",
    "interval",
    "coefficients",
    "correlation",
    "covariance",
    "variances",
    "any",
]
_BOUNDS = {"real": (-inf, inf), "positive": (0.0, inf)}
"""Bounds of the supports that have the same for every parameter."""

# Hyperparameters that can be any number; every other one must be positive.
_UNBOUNDED = {"mu", "lower", "upper", "value"}


class PriorCode(IntEnum):
    """The log densities of the compiled library, in the order of ``core/priors/registry.h``."""

    CONSTANT = 0
    HALF_NORMAL = auto()
    HALF_STUDENT_T = auto()
    EXPONENTIAL = auto()
    GAMMA = auto()
    INVERSE_GAMMA = auto()
    GAMMA_PRECISION = auto()
    LOG_NORMAL = auto()
    BETA = auto()
    NORMAL = auto()
    STUDENT_T = auto()
    LAPLACE = auto()
    LKJ = auto()
    VARIANCE_SPLIT = auto()
    WISHART = auto()
    INVERSE_WISHART = auto()
    HUANG_WAND = auto()


@dataclass(frozen=True)
class Prior:
    """Base of the prior families.

    A family is a class that states what is its own; `FAMILIES` lists the classes.

    Attributes
    ----------
    support : {"real", "positive", "interval", "coefficients", "correlation", "covariance", \
            "variances", "any"}
        Where the density is not zero. ``"coefficients"`` are several together, ``"correlation"``
        and ``"covariance"`` whole matrices, ``"variances"`` those of several parameters; a held
        parameter has ``"any"``.
    code : PriorCode or None
        The compiled log density; None of coefficients that are integrated out.
    pymc_name : str
        The class in PyMC.
    pymc_parameters : tuple of str
        PyMC's names of the parameters, in the order of the fields.
    pymc_suffix : str
        What the name of PyMC's variable has after that of the parameter, where the parameter is a
        function of it (`parameter_of`); else empty.
    gaussian : bool
        Whether coefficients under it are integrated out, because it is normal or flat.
    proper : bool
        Whether the density has an integral, so that it can be drawn from.
    at_means : bool
        Whether it is about the value at the predictors' means, as its parent is about the
        parameter itself.
    name_is_shared : bool
        Whether a family of the same name in other packages is the same family.
    """

    support: ClassVar[Support]
    code: ClassVar[PriorCode | None] = None
    pymc_name: ClassVar[str]
    pymc_parameters: ClassVar[tuple[str, ...]]
    pymc_suffix: ClassVar[str] = ""
    gaussian: ClassVar[bool] = False
    proper: ClassVar[bool] = True
    at_means: ClassVar[bool] = False
    name_is_shared: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse hyperparameters that are no numbers, infinite, or negative where they should not
        be.
        """
        for name, value in self.parameters.items():
            if isinstance(value, tuple):
                continue
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ArgumentTypeError(
                    f"{type(self).__name__}: `{name}` should be a number, got {value!r} "
                    f"of type {type(value).__name__}."
                )
            if not isfinite(value):
                raise PriorError(
                    f"{type(self).__name__}: `{name}` should be finite, got {value!r}."
                )
            if name not in _UNBOUNDED and value <= 0:
                raise PriorError(
                    f"{type(self).__name__}: `{name}` should be positive, got {value!r}."
                )
            object.__setattr__(self, name, float(value))

    def __repr__(self) -> str:
        values = ", ".join(_text(v, lambda x: repr(x).removesuffix(".0")) for v in self._values)
        return f"{type(self).__name__}({values})"

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.shown)})"

    @property
    def shown(self) -> tuple[str, ...]:
        """The hyperparameters as text, of six digits."""
        return tuple(_text(value, lambda x: f"{x:.6g}") for value in self._values)

    @property
    def _values(self) -> tuple[Any, ...]:
        return tuple(self.parameters.values())

    @property
    def parameters(self) -> dict[str, Any]:
        """The hyperparameters by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def distribution(self) -> str:
        """The name of the distribution, whatever value it is about."""
        return (type(self).__mro__[1] if self.at_means else type(self)).__name__

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval in which the density is not zero; None where it is that of the parameter."""
        return _BOUNDS.get(self.support)

    def within(self, lower: float, upper: float) -> tuple[float, float]:
        """The part of a parameter's interval in which the density is not zero."""
        own = self.bounds or (lower, upper)
        return max(lower, own[0]), min(upper, own[1])

    def numbers(self) -> tuple[float, ...]:
        """What the compiled density takes: the hyperparameters, unless a family has others."""
        return tuple(self.parameters.values())

    def typical(self, lower: float, upper: float) -> float:
        """The value at which the density of the logarithm is highest, or the middle; 0 unless a
        family has another.

        Parameters
        ----------
        lower, upper : float
            The interval that the parameter lies in.
        """
        return 0.0

    def infinite_at_zero(self, count: int) -> bool:
        """Whether the density of standard deviations has no bound near zero.

        Parameters
        ----------
        count : int
            The number of standard deviations of random effects that a joint prior is of.
        """
        return False

    def finite_with(self, count: int) -> str:
        """Hyperparameters with which the density is finite at zero, in words."""
        raise AssertionError(f"{self!r} is finite at zero")

    def pymc_arguments(self) -> dict[str, Any]:
        """The hyperparameters by PyMC's names."""
        return dict(zip(self.pymc_parameters, self.parameters.values(), strict=True))

    def to_pymc(self, name: str | None = None, **kwargs: object) -> TensorVariable:
        """Make the PyMC variable: registered in the model on the context when named, else a free
        one.

        Parameters
        ----------
        name : str, optional
        **kwargs
            Passed on, such as ``dims`` or ``shape``.

        Raises
        ------
        PriorError
            For a joint prior of covariance parameters, which is no single variable of PyMC.

        Examples
        --------
        >>> import pymc as pm
        >>> from bayeslmm import HalfNormal
        >>> with pm.Model() as model:
        ...     sigma = HalfNormal(2.0).to_pymc("sigma")
        """
        if self.support in ("covariance", "variances"):
            raise PriorError(
                f"{self} is made of several variables of PyMC; model.full_pymc() has them."
            )
        return self._variable(name, **kwargs)

    def _variable(self, name: str | None, **kwargs: object) -> TensorVariable:
        """The variable of PyMC's class."""
        import pymc as pm

        family = getattr(pm, self.pymc_name)
        # PyTensor computes with Python's floats in single precision where they are short
        numbers = {key: np.asarray(v, np.float64) for key, v in self.pymc_arguments().items()}
        arguments = {**numbers, **kwargs}
        return family.dist(**arguments) if name is None else family(name, **arguments)

    def parameter(self, name: str, lower: float, upper: float) -> TensorVariable:
        """A parameter in an interval, added to the model on the context."""
        import pymc as pm

        variable = self._variable(f"{name}{self.pymc_suffix}")
        if not self.pymc_suffix:
            return variable
        return pm.Deterministic(name, self.parameter_of(variable, lower, upper))

    def parameter_of(self, variable: Any, lower: float, upper: float) -> Any:
        """The parameter in an interval as a function of PyMC's variable, where there is a
        ``pymc_suffix``.
        """
        raise AssertionError(f"a parameter with the prior {self!r} is PyMC's variable")

    def parameter_text(self, variable: str, lower: float, upper: float) -> str:
        """The same in a program, of the text that makes the variable."""
        raise AssertionError(f"a parameter with the prior {self!r} is PyMC's variable")

    def correlation_factor(self, name: str, q: int) -> TensorVariable:
        """The Cholesky factor (q, q) of a correlation matrix with this prior, in the model on the
        context.
        """
        raise AssertionError(f"{self!r} is no prior of correlations")


def _text(value: object, number: Callable[[Any], str]) -> str:
    """A hyperparameter as code: a number, text, None, nested lists of them, or a prior."""
    if isinstance(value, tuple):
        return f"[{', '.join(_text(element, number) for element in value)}]"
    if isinstance(value, Prior):
        return f"{type(value).__name__}({', '.join(_text(v, number) for v in value._values)})"
    return repr(value) if value is None or isinstance(value, str) else number(value)


def vector(family: str, name: str, value: object) -> Vector:
    """A hyperparameter that is a sequence of finite numbers; a number is one of one.

    Raises
    ------
    ArgumentTypeError
        If it is not numbers.
    PriorError
        If it has another shape, or a number is not finite.
    """
    array = np.atleast_1d(_array(family, name, value))
    if array.ndim != 1 or not array.size:
        raise PriorError(
            f"{family}: `{name}` should be a sequence of numbers, got the shape {array.shape}."
        )
    return tuple(map(float, array))


def matrix(family: str, name: str, value: object) -> Matrix:
    """A hyperparameter that is a covariance matrix; a number is one of one by one.

    Raises
    ------
    ArgumentTypeError
        If it is not numbers.
    PriorError
        If it is not square, symmetric and positive definite.
    """
    array = np.atleast_2d(_array(family, name, value))
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise PriorError(
            f"{family}: `{name}` should be a square matrix, got the shape {array.shape}."
        )
    if not np.allclose(array, array.T, rtol=1e-8, atol=0.0):
        raise PriorError(f"{family}: `{name}` should be symmetric, got {array.tolist()}.")
    size = np.sqrt(np.abs(np.diag(array)))
    unit = array / np.outer(size, size) if size.all() else array
    least = float(np.linalg.eigvalsh(unit)[0])
    if not least > 1e-12:
        raise PriorError(
            f"{family}: `{name}` should be positive definite; as correlations its smallest "
            f"eigenvalue is {least:.3g}."
        )
    return tuple(tuple(map(float, row)) for row in (array + array.T) / 2)


def _array(family: str, name: str, value: object) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{family}: `{name}` should be numbers, got {value!r} of type {type(value).__name__}."
        ) from None
    if not np.isfinite(array).all():
        raise PriorError(f"{family}: `{name}` should be finite, got {value!r}.")
    return array
