"""`select_structure`: candidate covariance structures as fits side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from bayeslmm.api.fits import fit_of
from bayeslmm.comparison import structures as comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.api.model import Model
    from bayeslmm.comparison.structures import StructureSelection
    from bayeslmm.covariance.structures import Covariance

__all__ = ["select_structure"]


def select_structure(
    model: Model,
    structures: Sequence[Covariance | None],
    method: Literal["reml", "ml", "nuts"] = "reml",
    data: object | None = None,
    on: str | None = None,
    unit: str | None = None,
    **settings: Any,
) -> StructureSelection:
    """Fit candidate covariance structures of residuals or random effects and compare them.

    Formula, data and weights are the model's; each candidate takes the place of its `R`, or of its
    `G` of a grouping factor. A structure that these data cannot identify, or whose fit does not
    converge, is listed with the reason.

    Parameters
    ----------
    model : Model
    structures : sequence of Covariance or None
        Such as ``[bl.CS(group="id"), bl.AR1(time="week", group="id")]``; None is σ²I. With `on`
        such as ``[bl.CS(), bl.AR1(), None]``, where None is an unrestricted matrix.
    method : {"reml", "ml", "nuts"}
        All candidates have the same fixed effects, so that REML compares them fairly. Posteriors
        are compared by leave-one-out cross-validation. Their priors are the model's for the
        parameters that it has too, and the defaults for others.
    data : data frame, optional
        By default what the model was made from. A model that comes from a file has only the columns
        that it uses; where the structures need others, give all of them again.
    on : str, optional
        The grouping factor whose random effects have the structures; the residuals by default.
    unit : str, optional
        For "nuts": what is left out, "row" (the default) or the levels of a grouping factor.
    **settings
        For "nuts": those of `Model.fit`, such as ``random_seed``.

    Returns
    -------
    StructureSelection
        A table by AIC, the fits, and the fitted correlation matrices; it prints.

    Raises
    ------
    ArgumentError
        For another method, no structures, one that is given twice, an unknown grouping factor or
        one with several bars, and candidates that use different rows because columns of theirs
        have missing values.
    ArgumentTypeError
        If `model` is no model, or a candidate no structure.
    DataError
        For columns that are absent.

    Notes
    -----
    A smaller AIC is better. It favours the structure that predicts best, BIC, whose penalty grows
    with the rows, the smallest that is right; differences of less than 2 say little. The
    structures of fits by REML may differ, their fixed effects may not.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> data = bl.load_dataset("Orthodont")
    >>> model = bl.Model("distance ~ age * Sex", data)
    >>> where = {"time": "age", "group": "Subject"}
    >>> structures = [bl.CS(**where), bl.AR1(**where), bl.UN(**where)]
    >>> chosen = bl.select_structure(model, structures, data=data)
    >>> chosen.table[["criterion", "n_parameters", "aic", "bic"]].round(1)
               criterion  n_parameters    aic    bic
    structure
    CS             433.8             6  445.8  461.9
    UN             424.5            14  452.5  490.1
    AR1            444.6             6  456.6  472.7
    >>> chosen.correlations["AR1"].round(2).iloc[0].to_dict()
    {'8': 1.0, '10': 0.62, '12': 0.39, '14': 0.24}
    """
    found = comparison.select_structure(model, structures, method, data, on, unit, **settings)
    return replace(found, fits={name: fit_of(one.model, one) for name, one in found.fits.items()})
