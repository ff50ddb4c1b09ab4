"""`Model`: a formula compiled with its data, and the ways to fit it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from bayeslmm.api.fit import warn_of_problems
from bayeslmm.api.fits import fit_of
from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.equations.identifiability import unidentified
from bayeslmm.reports.of_model import of_model
from bayeslmm.solutions.solving import solve
from bayeslmm.specification import Specification
from bayeslmm.support.pages import as_html, as_text

if TYPE_CHECKING:
    from typing import Self

    import pymc as pm
    from xarray import DataTree

    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.map_fit import MapFit
    from bayeslmm.api.posterior_fit import PosteriorFit
    from bayeslmm.plots.of_models import ModelPlots
    from bayeslmm.reports.description import Description

__all__ = ["Model"]


class Model(Specification):
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

    @overload
    def fit(
        self,
        method: Literal["reml", "ml"],
        *,
        algorithm: str | None = None,
        information: Literal["average", "observed"] | None = None,
    ) -> LikelihoodFit[Self]: ...

    @overload
    def fit(self, method: Literal["map"]) -> MapFit[Self]: ...

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
    ) -> PosteriorFit[Self]: ...

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
    ) -> LikelihoodFit[Self] | MapFit[Self] | PosteriorFit[Self]:
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
            False samples the textbook model, which is slower and has the same posterior.
            Coefficients whose prior is not Gaussian, and slopes under a prior of R²
            (`VarianceSplit`), are sampled with theta.
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
        solution = solve(
            self,
            method,
            algorithm=algorithm,
            information=information,
            random_seed=random_seed,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            target_accept=target_accept,
            sampler=sampler,
            collapse=collapse,
            progress=progress,
        )
        fit = fit_of(self, solution)
        warn_of_problems(fit)
        return fit

    def __repr__(self) -> str:
        return as_text(of_model(self))

    def _repr_html_(self) -> str:
        return as_html(of_model(self))
