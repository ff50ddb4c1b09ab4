"""`Fixed`: a parameter that is held at a value."""

from __future__ import annotations

from dataclasses import dataclass

from bayeslmm.priors.base import Prior

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
    pymc_name = "Deterministic"
    pymc_parameters = ("value",)
