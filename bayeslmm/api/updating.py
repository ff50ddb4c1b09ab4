"""Fits of a model that has been changed in one thing: its response, its formula or its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.data.frames import same_labels
from bayeslmm.design.bars import structures_beside
from bayeslmm.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from bayeslmm.api.model import Model

__all__ = ["changed"]


def changed(model: Model, formula: str | None = None, data: object | None = None) -> Model:
    """A model with another formula, other data or both; G, R, priors and weights stay.

    Parameters
    ----------
    model : Model
    formula : str, optional
    data : data frame, optional
        By default the columns that the model uses, with a response that it was given afterwards.

    Returns
    -------
    Model

    Raises
    ------
    ArgumentError
        If nothing is to change, or weights were given as an array, which belongs to the rows of the
        old data.
    DataError
        Also for columns that the old model does not use, without `data`.
    """
    if formula is None and data is None:
        raise ArgumentError("nothing is to change; give `formula`, `data` or both.")
    if data is not None and isinstance(model.weights, np.ndarray):
        raise ArgumentError(
            "the weights of this model are an array, which belongs to the rows of its own data; "
            "make a new Model with the weights of the new rows."
        )
    try:
        new = _like(model, formula, data)
    except DataError as error:
        if data is not None or "have no column" not in str(error):
            raise
        raise DataError(
            f"{error} A fit keeps the columns that its model uses; for others give `data` too."
        ) from None
    if data is not None or new.design.response != model.design.response:
        return new
    return _same_response(new, model)


def _like(model: Model, formula: str | None = None, data: object | None = None) -> Model:
    return type(model)(
        model.formula if formula is None else formula,
        model.data if data is None else data,
        G=structures_beside(model.design.formula.bars, model.G) or None,
        R=model.R,
        priors=model.__dict__["_given"],
        weights=model.weights,
        max_columns=model.max_columns,
        check=model.check,
    )


def _same_response(new: Model, old: Model) -> Model:
    """The new model with the response of the old one, which need not be that of its data."""
    index, before = new.design.index, old.design.index
    if same_labels(index, before):
        y = old.design.y
    elif before.is_unique and index.isin(before).all():
        y = pd.Series(old.design.y, before)[index].to_numpy()
    elif np.array_equal(_like(old).design.y, old.design.y):
        return new
    else:
        raise DataError(
            "the response of this fit is not that of its data, and the new formula uses rows for "
            "which it has none; make a new Model of data with the response."
        )
    return new if np.array_equal(y, new.design.y) else new.with_response(y)
