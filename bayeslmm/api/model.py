"""`Model`: a formula compiled with its data, and the ways to fit it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

import numpy as np
import pandas as pd

from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.api.point_fit import PointFit
from bayeslmm.data.frames import COPY_ON_WRITE, Taken, framed, same_labels, to_pandas
from bayeslmm.design.design import compile_design
from bayeslmm.design.residual_checks import check_maximum
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.identifiability import unidentified
from bayeslmm.equations.responses import of_response
from bayeslmm.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvergenceWarning,
    DataError,
    DesignError,
)
from bayeslmm.estimation.likelihood.algorithms import maximise
from bayeslmm.formula.terms import MAX_COLUMNS
from bayeslmm.reports import printing
from bayeslmm.support.arguments import one_of, truth_value

if TYPE_CHECKING:
    from typing import Self

    import pymc as pm
    from xarray import DataTree

    from bayeslmm.api.map_fit import MapFit
    from bayeslmm.api.posterior_fit import PosteriorFit
    from bayeslmm.covariance.known import Known
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.design.design import Design
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.estimation.likelihood.quasi_newton import Optimum
    from bayeslmm.plots.of_models import ModelPlots
    from bayeslmm.priors.base import Prior
    from bayeslmm.priors.table import PriorTable
    from bayeslmm.reports.description import Description

__all__ = ["Model"]

_METHODS = ("nuts", "reml", "ml", "map")
_SAMPLERS = ("nutpie", "pymc")


class Model:
    """A linear mixed model: a formula, its data, and priors.

    Immutable; the formula is evaluated once, and everything else is derived from it on demand.

    Parameters
    ----------
    formula : str
        In lme4's language: ``"Reaction ~ Days + (Days | Subject)"``. Without a bar it is an
        ordinary linear model.
    data : data frame
        pandas, polars, pyarrow, any frame that narwhals reads, or a dictionary of columns. Rows
        with a missing value in any variable of the model are dropped, and counted.
    G : mapping, optional
        The covariance of the random effects by grouping factor, such as ``{"id": bl.AR1()}``: a
        structure, or a list with one for each bar of the factor. Unrestricted unless given, or
        written around the bar, ``ar1(0 + week | id)``. `Known` gives the relationship of its
        levels instead, such as that of a pedigree.
    R : Covariance, optional
        The covariance of the residuals of a subject, such as
        ``bl.AR1(time="week", group="id")``; independent with one variance unless given.
    priors : mapping or frame, optional
        Priors by the names that parameters have in ``summary()``; the others have weakly
        informative ones. `priors` shows all. REML and ML do not use them, but for `Fixed`, which
        holds a parameter.
    weights : str or array_like, optional
        A column, or a number per row; the residual variance is σ²/weight.
    max_columns : int
        The most columns that the fixed effects, or a bar, may have. They are counted before they
        are made, so that a formula that asks for millions by mistake says so instead of hanging.
    check : bool, default True
        Whether to refuse a model whose covariance parameters these data cannot identify; with False
        `diagnose` of its fits says what was found.

    Raises
    ------
    FormulaError
        For a formula that cannot be read.
    DataError
        For columns that are absent or cannot be used.
    DesignError
        For a model that these data cannot identify.
    PriorError
        For priors that do not fit.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> model.design.coef
    ('Intercept', 'Days')
    >>> model.fit("reml").fixef()["estimate"].round(2).to_dict()
    {'Intercept': 251.41, 'Days': 10.47}
    """

    design: Design
    """Response, X, grouping factors, weights and offset of the rows that are used."""
    weights: str | np.ndarray | None
    """Weights as given; an array cannot be written to."""
    max_columns: int
    """The most columns that the fixed effects, or a bar, may have."""
    check: bool
    """Whether a model that these data cannot identify is refused."""

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
        state["_given"] = {}
        state["check"] = truth_value("check", check)
        if priors is not None or self._states_priors:  # checked here, not when they are used
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
    def _made_from(self) -> object:
        """The frame that the model was made from, with columns that it does not use; of a model
        from a file what it uses.
        """
        source = self.__dict__["_source"]
        return source.frame if isinstance(source, Taken) else source

    def _with(self, **changes: object) -> Self:
        """Another model that shares everything but what is given."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__ | changes)
        return other

    def _without(self, *names: str) -> Self:
        """Another model that derives some of its properties anew."""
        other = self._with()
        for name in names:
            other.__dict__.pop(name, None)
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
        from bayeslmm.priors.table import resolve

        return resolve(self.__dict__["_given"], self.parameters, self.design)

    def _under(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
        before: Mapping[str, Prior | None] | None = None,
        allow_unused: bool = False,
    ) -> dict[str, object]:
        """What a model has that depends on its priors: these, and what of them is stated."""
        from bayeslmm.priors.table import resolve

        table = resolve(priors, self.parameters, self.design, before, allow_unused)
        return {"priors": table, "_given": table.stated}

    @property
    def _states_priors(self) -> bool:
        """Whether there are priors but the defaults."""
        structures = [own for f in self.design.factors for own in f.structures]
        structures += [self.R] if self.R is not None else []
        return bool(self.__dict__["_given"]) or any(own.priors for own in structures)

    @cached_property
    def held(self) -> np.ndarray:
        """Which covariance parameters are held by `Fixed`; (k,) array of bool."""
        if not self._states_priors:
            return np.zeros(len(self.parameters), dtype=bool)
        return self.priors.held

    @cached_property
    def unidentified(self) -> str:
        """What these data cannot tell of the covariance parameters; empty if all is identified."""
        values = self.priors.with_held(np.zeros(len(self.held))) if self.held.any() else self.held
        return unidentified(self.design, self.equations, self.held, values)

    @cached_property
    def pymc(self) -> pm.Model:
        """The ``pm.Model`` over theta, with beta and u integrated out; that of `full_pymc` where a
        coefficient has a prior that is not Gaussian.
        """
        if self.priors.not_gaussian or self.priors.slopes:
            return self.full_pymc()
        from bayeslmm.design.variables import response_name
        from bayeslmm.pymc_models.collapsed import collapsed_model

        response = response_name(self.design, self.parameters)
        return collapsed_model(self.equations, self.priors, response)

    def full_pymc(self) -> pm.Model:
        """The textbook hierarchical ``pm.Model``, with beta, u and theta.

        Under a structured R the response is a multivariate normal for each subject: one variable of
        all subjects with equally many rows, in the order of their occasions.

        Returns
        -------
        pm.Model
        """
        from bayeslmm.pymc_models.textbook import full_model

        return full_model(self.design, self.parameters, self.priors)

    def describe(self) -> Description:
        """The model as a statistician writes it on a board: likelihood, G, R and every prior.

        Returns
        -------
        Description
            Unicode in a terminal, LaTeX in a notebook; its ``latex`` is for a document.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).describe()
        Yield ~ 1 + (1 | Batch), 30 rows
        <BLANKLINE>
        Likelihood
          Yieldᵢ = β[Intercept] + u[Batchᵢ, Intercept] + εᵢ    i = 1, …, 30
          εᵢ     ~ Normal(0, σ)
        <BLANKLINE>
        Random effects of Batch, 6 levels
          u[Batch, Intercept] ~ Normal(0, sd_Batch[Intercept])
        <BLANKLINE>
        Priors (of a normal one mean and standard deviation)
          β[Intercept]        ~ Normal(1527.5, 157.559)
          sd_Batch[Intercept] ~ HalfStudentT(3, 63.0237)
          σ                   ~ HalfStudentT(3, 63.0237)
        """
        from bayeslmm.reports.description import describe

        return describe(self)

    def code(self) -> str:
        """A PyMC program of the textbook model, as text.

        It runs where a pandas frame ``data`` is at hand, and makes ``model``, whose density is that
        of `full_pymc`. Columns that depend on the data as a whole, such as splines, come from this
        library.

        Returns
        -------
        str

        Raises
        ------
        ArgumentError
            For a structured covariance of random effects, which only `full_pymc` has so far, and a
            prior that is no distribution of PyMC.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
        >>> print(model.code()[model.code().index("with") :].rstrip())
        with pm.Model(coords=coords) as model:
            beta = pm.Normal("beta", mu=1527.5, sigma=157.5591706, dims="coef")
            sd_Batch = pm.HalfStudentT("sd_Batch", nu=3, sigma=63.02366824, dims="Batch_effect_sd")
            sigma = pm.HalfStudentT("sigma", nu=3, sigma=63.02366824)
            mu = pt.dot(X, beta)
            z_Batch = pm.Normal("z_Batch", 0, 1, dims=("Batch", "Batch_effect"))
            u_Batch = pm.Deterministic(
                "u_Batch", z_Batch * sd_Batch[0], dims=("Batch", "Batch_effect")
            )
            mu = mu + u_Batch[row_Batch, 0]
            pm.Normal("Yield", mu, sigma, observed=y)
        """
        from bayeslmm.pymc_models.program.program import program

        return program(self)

    def prior_predictive(self, draws: int = 500, random_seed: int | None = None) -> DataTree:
        """Draw parameters from their priors, and at each a response of the data's rows.

        Parameters
        ----------
        draws : int
            How many.
        random_seed : int, optional
            For the same draws again.

        Returns
        -------
        xarray.DataTree
            Group ``prior`` has the variables that the posterior of a fit has, ``prior_predictive``
            the response ``y``, with new random effects and residuals; ``observed_data`` the data's.

        Raises
        ------
        PriorError
            For a flat prior, from which nothing can be drawn.
        ArgumentError
            If `draws` is not a positive whole number, or `random_seed` not one from 0 to 2**64 - 1.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
        >>> tree = model.prior_predictive(draws=100, random_seed=1)
        >>> tree["prior_predictive"]["y"].shape, tree["prior"]["u_Batch"].dims
        ((1, 100, 30), ('chain', 'draw', 'Batch', 'Batch_effect'))
        """
        from bayeslmm.sensitivity.prior_predictive import prior_predictive

        return prior_predictive(self, draws, random_seed)

    @property
    def plot(self) -> ModelPlots:
        """Plots of the priors, as methods: ``model.plot.priors()``."""
        from bayeslmm.plots.of_models import ModelPlots

        return ModelPlots(self)

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
        from bayeslmm.priors.held import Fixed

        stated = self.__dict__["_given"].items()
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
        return self._with_priors(priors, self.__dict__["_given"], allow_unused)

    def _with_priors(
        self,
        priors: Mapping[str, object] | pd.DataFrame | PriorTable | None,
        before: Mapping[str, Prior | None],
        allow_unused: bool,
    ) -> Self:
        allow_unused = truth_value("allow_unused", allow_unused)
        self.equations  # noqa: B018  evaluated now, so that all models made from this one share them
        own = self._under(priors, before, allow_unused)
        other = self._without("pymc", "held", "unidentified")._with(**own)
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
            return self._with()  # to the last digit
        design = replace(self.design, y=values)
        equations = of_response(self.equations, design, design.y_less_offset)
        return self._without("priors", "pymc", "held")._with(design=design, equations=equations)

    @overload
    def fit(
        self,
        method: Literal["reml", "ml"],
        *,
        algorithm: str | None = None,
        information: Literal["average", "observed"] | None = None,
    ) -> LikelihoodFit: ...

    @overload
    def fit(self, method: Literal["map"]) -> MapFit: ...

    @overload
    def fit(
        self,
        method: Literal["nuts"] = "nuts",
        *,
        random_seed: int | None = None,
        draws: int | None = None,
        tune: int | None = None,
        chains: int | None = None,
        cores: int | None = None,
        target_accept: float | None = None,
        sampler: Literal["nutpie", "pymc"] | None = None,
        collapse: bool | None = None,
        progress: bool | None = None,
    ) -> PosteriorFit: ...

    def fit(
        self,
        method: str = "nuts",
        *,
        algorithm: str | None = None,
        information: str | None = None,
        random_seed: int | None = None,
        draws: int | None = None,
        tune: int | None = None,
        chains: int | None = None,
        cores: int | None = None,
        target_accept: float | None = None,
        sampler: str | None = None,
        collapse: bool | None = None,
        progress: bool | None = None,
    ) -> PointFit | PosteriorFit:
        """Fit the model.

        Parameters
        ----------
        method : {"nuts", "reml", "ml", "map"}
            Sample the posterior, or maximise the restricted likelihood, the full one, or the
            posterior of the covariance parameters, which is a penalised likelihood (`MapFit`).
        algorithm : str, optional
            How "reml" and "ml" maximise: "quasi-newton" (the default), "em", "squarem" (EM
            accelerated), "newton", "em+newton" as in nlme, or "profile" as in lme4, without
            derivatives. All start at the same place and lead to the same estimates.
        information : {"average", "observed"}, optional
            What "newton" and "em+newton" make their steps with; "average" by default. The options
            that follow are for "nuts".
        random_seed : int, optional
            For the same draws again.
        draws, tune : int, optional
            Draws and warm-up draws of each chain; 1000 and 200.
        chains : int, optional
            4 by default.
        cores : int, optional
            Chains that run at once; all cores by default.
        target_accept : float, optional
            Acceptance probability that the step size aims at. By default 0.7, and sampled again
            with 0.9 and then 0.98 if there are divergences; 0.9 for a ``pm.Model``.
        sampler : {"nutpie", "pymc"}, optional
            The package that samples; nutpie by default.
        collapse : bool, optional
            Whether to sample theta alone and to draw beta and u exactly given it, the default;
            False samples the textbook model, which is slower and has the same posterior; so it
            is by itself where a coefficient has a prior that is not Gaussian. Slopes under a
            prior of R² (`VarianceSplit`) are sampled with theta.
        progress : bool, optional
            Whether to show progress; by default on a terminal and in a notebook.

        Returns
        -------
        LikelihoodFit, MapFit or PosteriorFit
            With the same tables, predictions and plots.

        Raises
        ------
        ArgumentError
            For an unknown method or option, or one that the method has no use for.
        ArgumentTypeError
            For an option of another type, such as ``collapse="no"``.
        PriorError
            For "map", with a prior under which the posterior has no mode.

        Warns
        -----
        ConvergenceWarning
            When the estimates or draws should not be trusted yet.
        InterruptedWarning
            When Ctrl-C stopped sampling; the draws made until then are returned.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
        >>> model.fit("ml").status.value
        'converged'
        >>> len(model.fit("ml", algorithm="em").trace)
        17
        >>> fit = model.fit("nuts", random_seed=1, progress=False)
        >>> fit.draws.theta.shape
        (4, 1000, 2)
        """
        method = one_of("method", method, _METHODS)
        settings = {
            "random_seed": random_seed,
            "draws": draws,
            "tune": tune,
            "chains": chains,
            "cores": cores,
            "target_accept": target_accept,
            "progress": progress,
        }
        options = settings | {"sampler": sampler, "collapse": collapse}
        given = [name for name, value in options.items() if value is not None]
        fit: PointFit | PosteriorFit
        for name, value in (("algorithm", algorithm), ("information", information)):
            if value is not None and method in ("nuts", "map"):
                does = "maximises nothing" if method == "nuts" else "has one way to maximise"
                raise ArgumentError(
                    f"{method.upper()} {does} and has no use for {name}; leave that out, or fit by "
                    "'reml' or 'ml'."
                )
        if method == "nuts":
            own = {name: settings[name] for name in given if name in settings}
            if "random_seed" in own:
                own["seed"] = own.pop("random_seed")
            fit = self._sample(
                own,
                "nutpie" if sampler is None else sampler,
                None if collapse is None else truth_value("collapse", collapse),
            )
        else:
            if given:
                raise ArgumentError(
                    f"{method.upper()} draws no samples and has no use for {', '.join(given)}; "
                    "leave that out, or fit by 'nuts'."
                )
            fit = self._maximise(method, algorithm, information)
        if isinstance(fit, PointFit) and fit.status.ok:
            return fit
        findings = fit.diagnose().findings
        problems = [str(finding) for finding in findings if finding.severity == "error"]
        if problems:
            warnings.warn("; ".join(problems), ConvergenceWarning, stacklevel=2)
        return fit

    def _optimum(
        self, method: Literal["reml", "ml"], algorithm: str | None, information: str | None
    ) -> Optimum:
        if self.design.residuals is not None:
            check_maximum(self.design.residuals)
        if not self.held.any():
            return maximise(self.design, self.equations, method, algorithm, information)
        if algorithm not in (None, "quasi-newton") or information is not None:
            raise ArgumentError(
                f"algorithm={algorithm!r} estimates every covariance parameter, but some are held "
                "by Fixed; leave `algorithm` and `information` out."
            )
        from bayeslmm.estimation.likelihood.held import optimise_held

        return optimise_held(self.equations, method, self.priors)

    def _maximise(self, method: str, algorithm: str | None, information: str | None) -> PointFit:
        if method == "map":
            from bayeslmm.api.map_fit import MapFit
            from bayeslmm.estimation.posterior.penalised import maximise_posterior

            return MapFit(self, maximise_posterior(self.equations, self.priors))
        return LikelihoodFit(self, self._optimum(method, algorithm, information))  # type: ignore[arg-type]

    def _sample(
        self, settings: dict[str, Any], sampler: str, collapse: bool | None
    ) -> PosteriorFit:
        package = one_of("sampler", sampler, _SAMPLERS)
        from bayeslmm.api.posterior_fit import PosteriorFit, sample
        from bayeslmm.estimation.posterior.nuts import Settings

        if self.priors.not_gaussian:
            if collapse:
                raise ArgumentError(
                    f"collapse=True integrates beta out, which needs Gaussian priors; that of "
                    f"{', '.join(self.priors.not_gaussian)} is not. Leave `collapse` out."
                )
            collapse = False
        elif self.priors.slopes and package == "pymc":
            if collapse:
                raise ArgumentError(
                    "collapse=True integrates all of beta out with sampler='pymc', which needs "
                    f"Gaussian priors; {', '.join(self.priors.slopes)} have one of R². Leave "
                    "`collapse` out, or `sampler`."
                )
            collapse = False
        elif collapse is None:
            collapse = True
        draws = sample(self, Settings(**settings), package, collapse)  # type: ignore[arg-type]
        return PosteriorFit(self, draws)

    def __repr__(self) -> str:
        return printing.as_text(printing.of_model(self))

    def _repr_html_(self) -> str:
        return printing.as_html(printing.of_model(self))


def _taken(data: object, names: list[str]) -> tuple[dict[str, pd.Series[Any]], pd.Index]:
    """The columns that a model uses as they are now, and the labels of their rows."""
    if isinstance(data, Taken):
        return data.columns(names, "the model uses"), data.index
    frame, unordered = to_pandas(data, names, "the model uses")
    for name in unordered:
        column = frame[name].cat
        frame[name] = column.reorder_categories(sorted(column.categories))
    return {name: frame[name] for name in names}, frame.index
