"""`Fixed`: a parameter that is held at a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.priors.base import Prior, PriorCode

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = ["Fixed"]


@dataclass(frozen=True, repr=False)
class Fixed(Prior):
    """Holds a covariance parameter at a value, in NUTS, REML and ML alike.

    It takes a standard deviation, all correlations of a bar at once, ``rho`` and other parameters
    of R, and ``sigma``. A held parameter is not estimated: it does not count in ``n_parameters``,
    and `summary` shows it with a standard error of 0. To hold a coefficient, take its column out of
    the formula and put ``offset(value * x)`` in.

    Parameters
    ----------
    value : float
        In the parameter's units: a standard deviation, not a variance; above zero, since a term
        without variance is one to leave out.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("Dyestuff")
    >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", data, priors={"sigma": bl.Fixed(50)})
    >>> fit = model.fit("reml")
    >>> fit.sigma, fit.n_parameters
    (50.0, 2)
    """

    value: float
    support = "any"
    code = PriorCode.CONSTANT
    name_is_shared = False
    pymc_name = "Deterministic"
    pymc_parameters = ("value",)

    def typical(self, lower: float, upper: float) -> float:
        """The value."""
        return self.value

    def parameter(self, name: str, lower: float, upper: float) -> TensorVariable:
        """The value."""
        import pymc as pm

        return pm.Deterministic(name, pm.math.constant(np.float64(self.value)))

    def correlation_factor(self, name: str, q: int) -> TensorVariable:
        """That of a matrix of equal correlations."""
        import pymc as pm

        equal = np.full((q, q), self.value) + (1.0 - self.value) * np.eye(q)
        return pm.math.constant(np.linalg.cholesky(equal))
