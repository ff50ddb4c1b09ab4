"""`Specification`: what is modelled. The state that estimation and every analysis work from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from bayeslmm.data.frames import COPY_ON_WRITE, Taken, framed, same_labels, to_pandas
from bayeslmm.design.bars import structures_beside
from bayeslmm.design.build import compile_design
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.identifiability import unidentified
from bayeslmm.equations.responses import of_response
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DesignError,
    UnknownColumnError,
)
from bayeslmm.formula.terms import MAX_COLUMNS
from bayeslmm.priors.held import Fixed
from bayeslmm.priors.table import resolve
from bayeslmm.support.arguments import truth_value

if TYPE_CHECKING:
    from typing import Self

    from bayeslmm.covariance.known import Known
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.priors.base import Prior
    from bayeslmm.priors.table import PriorTable

__all__ = ["Specification", "require_nothing_held"]

_STATE = (
    *("design", "weights", "max_columns", "check", "stated_priors", "equations", "parameters"),
    *("_columns", "_index", "_source"),
)
"""What does not depend on priors or response, or is replaced with these."""


class Specification:
    """A linear mixed model: a formula compiled with its data, and priors. It has no verbs.

    Immutable; the formula is evaluated once, and everything else is derived from it on demand.
    `bayeslmm.Model` is a specification with what can be done with it.
    """

    design: Design
    """Response, X, grouping factors, weights and offset of the rows that are used."""
    weights: str | np.ndarray | None
    """Weights as given; an array cannot be written to."""
    max_columns: int
    """The most columns that the fixed effects, or a bar, may have."""
    check: bool
    """Whether a model that these data cannot identify is refused."""
    stated_priors: Mapping[str, Prior | None]
    """The priors that were given, by key; `priors` has every parameter's."""

    def __init__(
        self,
        formula: str,
        data: object,
        *,
        G: Mapping[str, Covariance | Sequence[Covariance | None] | Known] | None = None,
        R: Covariance | None = None,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None = None,
        weights: object | None = None,
        max_columns: int = MAX_COLUMNS,
        check: bool = True,
    ) -> None:
        if isinstance(data, Mapping):
            # frames are copied when somebody writes to them, arrays of a dictionary are not
            data = {name: copy(column) for name, column in data.items()}
        elif isinstance(data, pd.DataFrame):
            # nothing is copied until somebody writes to the frame, where pandas can do that
            data = Taken(data.copy(deep=not COPY_ON_WRITE))
        design = compile_design(formula, data, weights, R, G, max_columns)
        column = isinstance(weights, str)
        names = [*design.formula.columns, *([str(weights)] if column else [])]
        names += R.columns if R is not None else ()
        names += [name for f in design.factors for own in f.structures for name in own.columns]
        state = self.__dict__
        state["design"] = design
        state["max_columns"] = max_columns
        state["_columns"], state["_index"] = _taken(data, list(dict.fromkeys(names)))
        state["_source"] = data
        state["weights"] = weights if weights is None or column else np.array(weights)
        if isinstance(state["weights"], np.ndarray):
            state["weights"].flags.writeable = False
        state["stated_priors"] = {}
        state["check"] = truth_value("check", check)
        if priors is not None or self.states_priors:  # checked here, not when they are used
            self.__dict__.update(self._under(priors))
        self._refuse_unidentified()

    def _refuse_unidentified(self) -> None:
        if self.check and self.unidentified:
            raise DesignError(
                f"{self.unidentified}. To go on nonetheless give check=False, and see diagnose()"
            )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            "a Model does not change; make another one, with `with_priors`, `with_response` or "
            f"Model(...), instead of setting {name!r}"
        )

    @property
    def made_from(self) -> object:
        """The frame that the model was made from, with columns that it does not use; of a model
        from a file what it uses.
        """
        source = self.__dict__["_source"]
        return source.frame if isinstance(source, Taken) else source

    def _changed(self, **changes: object) -> Self:
        """The same formula with other priors or another response; the rest is derived anew."""
        other = object.__new__(type(self))
        kept = {name: self.__dict__[name] for name in _STATE if name in self.__dict__}
        other.__dict__.update(kept | changes)
        return other

    @property
    def data(self) -> pd.DataFrame:
        """The columns that the model uses, all rows, as a copy that can be changed.

        `design` has the rows without missing values.
        """
        return framed(self.__dict__["_columns"], self.__dict__["_index"])

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.design.formula.text

    @property
    def G(self) -> dict[str, tuple[Covariance, ...] | Known]:
        """The covariance structures of each grouping factor's bars, or the known relationship of
        its levels.
        """
        return {
            f.name: f.structures if f.related is None else f.related.known
            for f in self.design.factors
        }

    @property
    def R(self) -> Covariance | None:
        """The covariance structure of the residuals, or None for σ²I."""
        residuals = self.design.residuals
        return None if residuals is None else residuals.structure

    @cached_property
    def parameters(self) -> Parameters:
        """The covariance parameters theta: their names, kinds and order."""
        return self.equations.parameters

    @cached_property
    def equations(self) -> Equations:
        """The mixed-model equations, reduced to cross-products."""
        return Equations.of(self.design)

    @cached_property
    def priors(self) -> PriorTable:
        """The prior of every parameter: a table that can be edited and passed back."""
        return resolve(self.stated_priors, self.parameters, self.design)

    def _under(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
        before: Mapping[str, Prior | None] | None = None,
        allow_unused: bool = False,
    ) -> dict[str, object]:
        """What a model has that depends on its priors: these, and what of them is stated."""
        table = resolve(priors, self.parameters, self.design, before, allow_unused)
        return {"priors": table, "stated_priors": table.stated}

    @property
    def states_priors(self) -> bool:
        """Whether there are priors but the defaults."""
        structures = [own for f in self.design.factors for own in f.structures]
        structures += [self.R] if self.R is not None else []
        return bool(self.stated_priors) or any(own.priors for own in structures)

    @cached_property
    def held(self) -> np.ndarray:
        """Which covariance parameters are held by `Fixed`; (k,) array of bool."""
        if not self.states_priors:
            return np.zeros(len(self.parameters), dtype=bool)
        return self.priors.held

    @cached_property
    def unidentified(self) -> str:
        """What these data cannot tell of the covariance parameters; empty if all is identified."""
        values = self.priors.with_held(np.zeros(len(self.held))) if self.held.any() else self.held
        return unidentified(self.design, self.equations, self.held, values)

    def with_priors(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
        *,
        allow_unused: bool = False,
    ) -> Self:
        """The same model under other priors; nothing is compiled or evaluated again.

        Parameters
        ----------
        priors : mapping or frame, optional
            As for `Model`. They replace the priors given before. What is held by `Fixed` stays held
            unless its key is among them, with a prior or with None, which is the default. Priors
            that stand with a structure stay too, and these go before them.
        allow_unused : bool
            Whether keys may be ones that this model has no parameter or no use for, as in a grid of
            priors for several models; ``model.priors.unused`` lists them.

        Returns
        -------
        Model

        Raises
        ------
        PriorError
            For priors that do not fit.
        DesignError
            For a model that these data identify only while parameters are held that are not now.
        ArgumentTypeError
            For a value that is no prior.

        See Also
        --------
        update_priors : To keep all priors that are not named.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> model.with_priors({"sd_Subject[Days]": bl.HalfNormal(5)}).priors["sd_Subject[Days]"]
        HalfNormal(5)
        """
        stated = self.stated_priors.items()
        held = {key: prior for key, prior in stated if isinstance(prior, Fixed)}
        return self._with_priors(priors, held, allow_unused)

    def update_priors(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable,
        *,
        allow_unused: bool = False,
    ) -> Self:
        """The same model with some priors changed, and the others as they are.

        Parameters
        ----------
        priors : mapping or frame
            As for `Model`; None in place of a prior takes back what was stated under its key.
        allow_unused : bool
            As in `with_priors`.

        Returns
        -------
        Model

        Raises
        ------
        PriorError
            For priors that do not fit.
        ArgumentTypeError
            For a value that is no prior.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> priors = {"beta": bl.Normal(0, 20), "sigma": bl.HalfNormal(50)}
        >>> data = bl.load_dataset("sleepstudy")
        >>> model = bl.Model("Reaction ~ Days + (1 | Subject)", data, priors=priors)
        >>> other = model.update_priors({"sigma": bl.Exponential(0.02)})
        >>> other.priors["beta[Days]"], other.priors["sigma"]
        (Normal(0, 20), Exponential(0.02))
        """
        return self._with_priors(priors, self.stated_priors, allow_unused)

    def _with_priors(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
        before: Mapping[str, Prior | None],
        allow_unused: bool,
    ) -> Self:
        allow_unused = truth_value("allow_unused", allow_unused)
        self.equations  # noqa: B018  evaluated now, so that all models made from this one share them
        own = self._under(priors, before, allow_unused)
        other = self._changed(**own)
        other._refuse_unidentified()
        return other

    def with_response(self, y: object) -> Self:
        """The same model of another response; the formula is not evaluated again.

        Priors that are scaled to the data are scaled to the new response.

        Parameters
        ----------
        y : array_like of shape (n,)
            A number for each row that is used, in the order of ``design.index``; on the scale of
            the left side of the formula.

        Returns
        -------
        Model

        Raises
        ------
        DataError
            If `y` has another length, is constant, has values that are not finite, or is a Series
            with another index.
        ArgumentTypeError
            If `y` is not numbers.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
        >>> seconds = model.with_response(model.design.y / 1000)
        >>> seconds.fit("reml").beta.round(4).to_dict()
        {'Intercept': 0.2514, 'Days': 0.0105}
        """
        if isinstance(y, pd.Series) and not same_labels(y.index, self.design.index):
            raise DataError(
                "`y` is a pandas Series whose index is not that of the rows that are used, so it "
                "is not clear which row a value belongs to; align it, y.loc[model.design.index], "
                "or pass y.to_numpy()."
            )
        try:
            values = np.array(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise ArgumentTypeError(f"`y` should be numbers, got {type(y).__name__}.") from None
        n = len(self.design.y)
        if values.shape != (n,):
            raise DataError(
                f"`y` should have a number for each of the {n} rows that are used, got the shape "
                f"{values.shape}."
            )
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            raise DataError("`y` should be finite and not the same in every row.")
        if np.array_equal(values, self.design.y):
            return self  # to the last digit
        design = replace(self.design, y=values)
        equations = of_response(self.equations, design, design.y_less_offset)
        return self._changed(design=design, equations=equations)

    def updated(self, formula: str | None = None, data: object | None = None) -> Self:
        """The model with another formula, other data or both; G, R, priors and weights stay.

        Parameters
        ----------
        formula : str, optional
            In full.
        data : data frame, optional
            By default the columns that the model uses, with a response that it was given
            afterwards.

        Returns
        -------
        Specification
            Of the same class as this one.

        Raises
        ------
        ArgumentError
            If nothing is to change, or weights were given as an array, which belongs to the rows of
            the old data.
        DataError
            Also for columns that the old model does not use, without `data`.
        """
        if formula is None and data is None:
            raise ArgumentError("nothing is to change; give `formula`, `data` or both.")
        if data is not None and isinstance(self.weights, np.ndarray):
            raise ArgumentError(
                "the weights of this model are an array, which belongs to the rows of its own "
                "data; make a new Model with the weights of the new rows."
            )
        try:
            new = self._like(formula, data)
        except UnknownColumnError as error:
            if data is not None:
                raise
            raise UnknownColumnError(
                f"{error} A fit keeps the columns that its model uses; for others give `data` too."
            ) from None
        if data is not None or new.design.response != self.design.response:
            return new
        return new._with_response_of(self)

    def _like(self, formula: str | None = None, data: object | None = None) -> Self:
        return type(self)(
            self.formula if formula is None else formula,
            self.data if data is None else data,
            G=structures_beside(self.design.formula.bars, self.G) or None,
            R=self.R,
            priors=self.stated_priors,
            weights=self.weights,
            max_columns=self.max_columns,
            check=self.check,
        )

    def _with_response_of(self, old: Self) -> Self:
        """With the response of another model, which need not be that of its data."""
        index, before = self.design.index, old.design.index
        if same_labels(index, before):
            y = old.design.y
        elif before.is_unique and index.isin(before).all():
            y = pd.Series(old.design.y, before)[index].to_numpy()
        elif np.array_equal(old._like().design.y, old.design.y):
            return self
        else:
            raise DataError(
                "the response of this fit is not that of its data, and the new formula uses rows "
                "for which it has none; make a new Model of data with the response."
            )
        return self if np.array_equal(y, self.design.y) else self.with_response(y)


def require_nothing_held(model: Specification, what: str, instead: str) -> None:
    """Refuse what supposes that every covariance parameter is estimated.

    Parameters
    ----------
    model : Specification
    what : str
        The method, at the beginning of the message.
    instead : str
        What to use.

    Raises
    ------
    ArgumentError
        If the model has held parameters.
    """
    names = [n for n, held in zip(model.parameters.names, model.held, strict=True) if held]
    if names:
        raise ArgumentError(
            f"{what} is for models whose covariance parameters are all estimated, but "
            f"{', '.join(names)} is held by Fixed; {instead}."
        )


def _taken(data: object, names: list[str]) -> tuple[dict[str, pd.Series[Any]], pd.Index]:
    """The columns that a model uses as they are now, and the labels of their rows."""
    if isinstance(data, Taken):
        return data.columns(names, "the model uses"), data.index
    frame, unordered = to_pandas(data, names, "the model uses")
    for name in unordered:
        column = frame[name].cat
        frame[name] = column.reorder_categories(sorted(column.categories))
    return {name: frame[name] for name in names}, frame.index
