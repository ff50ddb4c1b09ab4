"""`Effects`: means, contrasts or slopes with their table, tests and further contrasts.

The rows of an `Effects` are linear functions of beta. A likelihood fit estimates them with degrees
of freedom, a posterior by its draws; contrasts of the rows are linear functions again, hence
`Effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayeslmm.effects.adjust import (
    ADJUSTMENTS,
    Adjustment,
    Family,
    adjusted,
    check_size,
    critical_values,
    in_words,
    p_values,
)
from bayeslmm.effects.contrasts import DEFAULTS, coefficients, product_of
from bayeslmm.effects.grid import Rows
from bayeslmm.effects.joint import joint_test, terms_of
from bayeslmm.effects.letters import letter_display
from bayeslmm.effects.transforms import LINK, Scale
from bayeslmm.equations.linear import Estimates
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.solutions.point import PointSolution, no_draws
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.support.arguments import one_of, real_number
from bayeslmm.support.pages import Lines, Page, Table, as_html, as_text, numbers, p_value

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.support.arrays import Array

__all__ = ["Effects", "Null"]

_SIDES = {
    "two-sided": 0,
    "equivalence": 0,
    "greater": 1,
    "right": 1,
    "superiority": 1,
    "noninferiority": 1,
    "less": -1,
    "left": -1,
    "nonsuperiority": -1,
}
"""Directions of a test by name, under emmeans' names too."""
_WITH_DELTA = ("equivalence", "noninferiority", "nonsuperiority", "superiority")
_SHOWN = 100
"""Rows that are printed."""
_TITLES = {"mean": "Marginal means", "slope": "Slopes", "contrast": "Contrasts"}


@dataclass(frozen=True, slots=True)
class Null:
    """What rows are tested against, on the scale of the linear predictor.

    Attributes
    ----------
    value : float
    side : {-1, 0, 1}
    delta : float
        Half of the region of equivalence, or the margin of a one-sided test; zero for none.
    """

    value: float = 0.0
    side: int = 0
    delta: float = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Effects:
    """Means, contrasts or slopes of a fit; printing one shows its table.

    Made by `Fit.emmeans` and `Fit.slopes`, and by the methods here.

    Attributes
    ----------
    solution : Solution
        What was estimated.
    labels : pandas.DataFrame
        The label columns, a row each.
    rows : Rows
        The linear functions of beta.
    primary, by : tuple of str
        The label columns that contrasts compare, and those within whose values they stay.
    kind : {"mean", "contrast", "slope"}
    level : float
        Probability of the intervals.
    df : str or KenwardRoger
        How degrees of freedom are found.
    adjust : str
        The adjustment for multiplicity.
    means : int or None
        The number of means that all pairwise differences are of.
    null : Null
    scale : Scale
    notes : tuple of str
        What a reader should know, printed below the table.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
    >>> model.fit("reml").emmeans("Machine").pairs().frame().iloc[:, :3].round(2)
      contrast  estimate  std_error
    0    A - B     -7.97       1.05
    1    A - C    -13.92       1.05
    2    B - C     -5.95       1.05
    """

    solution: Solution
    labels: pd.DataFrame
    rows: Rows
    primary: tuple[str, ...]
    by: tuple[str, ...]
    kind: str
    level: float
    df: DF
    adjust: Adjustment = "none"
    means: int | None = None
    null: Null = Null()
    scale: Scale = LINK
    notes: tuple[str, ...] = ()

    # -- estimates ------------------------------------------------------------------------------

    @cached_property
    def _draws(self) -> Array:
        """Draws of the rows on the scale of the results; (chain, draw, m)."""
        assert isinstance(self.solution, PosteriorSolution)
        link = self.solution.draws.beta @ self.rows.X.T + self.rows.offset
        link[..., ~self.rows.estimable] = np.nan
        return self.scale.back(link)

    @property
    def draws(self) -> xr.DataArray:
        """Draws of every row, with dims ``chain``, ``draw`` and ``row``, and the labels as
        coordinates; of a posterior only.

        Raises
        ------
        MissingAttributeError
            Of a fit that is a point estimate.
        """
        import xarray as xr

        if not isinstance(self.solution, PosteriorSolution):
            raise no_draws(self.solution.method)
        coords = {
            name if name not in ("chain", "draw", "row") else f"{name}_label": (
                "row",
                self.labels[name].to_numpy(),
            )
            for name in self.labels
        }
        return xr.DataArray(
            self._draws.copy(), dims=("chain", "draw", "row"), coords=coords, name=self.kind
        )

    @cached_property
    def _estimates(self) -> tuple[Array, Array, Array]:
        """Estimates, standard errors and degrees of freedom on the linear predictor's scale."""
        assert isinstance(self.solution, PointSolution)
        X, tests = self.rows.X, self.solution.wald(self.df)
        estimate = X @ self.solution.beta + self.rows.offset
        std_error = np.sqrt(np.maximum(np.einsum("mp,pr,mr->m", X, tests.vcov, X), 0.0))
        df = np.array(tests.df(X))
        for values in (estimate, std_error, df):
            values[~self.rows.estimable] = np.nan
        return estimate, std_error, df

    def _groups(self) -> list[tuple[tuple[Any, ...], Array]]:
        """The rows of every combination of the `by` columns."""
        if not self.by:
            return [((), np.arange(len(self.labels)))]
        codes = self.labels.groupby(list(self.by), sort=False).ngroup().to_numpy()
        positions = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
        return [(tuple(self.labels.iloc[p[0]][list(self.by)]), p) for p in positions]

    def frame(self) -> pd.DataFrame:
        """The table.

        Returns
        -------
        pandas.DataFrame
            The label columns, then ``estimate``, ``std_error``, ``lower``, ``upper``. Likelihood
            fits add ``df``, ``t`` and ``p``; posteriors the probability ``p_gt_0`` of being above
            zero. Rows that the data do not determine are NaN. p values and intervals are adjusted
            as the notes say.
        """
        return self._frame(self.null)[0]

    def _frame(self, null: Null) -> tuple[pd.DataFrame, tuple[str, ...]]:
        labels = self.labels.reset_index(drop=True)
        if isinstance(self.solution, PosteriorSolution):
            return labels.assign(**self._posterior_columns(null)), ()
        columns, notes = self._tested_columns(null)
        return labels.assign(**columns), notes

    def _posterior_columns(self, null: Null) -> dict[str, Array]:
        draws = self._draws.reshape(-1, len(self.labels))
        columns = Estimates.of_draws(draws, self.level).columns()
        if null.side:
            tail = np.quantile(draws, self.level if null.side < 0 else 1 - self.level, axis=0)
            infinite = np.full(len(tail), np.inf)
            lower, upper = (tail, infinite) if null.side > 0 else (-infinite, tail)
            columns |= {"lower": lower, "upper": upper}
        value, delta = null.value, null.delta
        low, high = (float(self.scale.back(np.array([value + d]))[0]) for d in (-delta, delta))
        if delta and not null.side:
            columns["p_within"] = np.mean((draws > low) & (draws < high), axis=0)
        elif null.side < 0:
            columns[f"p_lt_{high:g}"] = np.mean(draws < high, axis=0)
        else:
            columns[f"p_gt_{low:g}"] = np.mean(draws > low, axis=0)
        name = list(columns)[-1]
        columns[name] = np.where(self.rows.estimable, columns[name], np.nan)
        return columns

    def _tested_columns(self, null: Null) -> tuple[dict[str, Array], tuple[str, ...]]:
        estimate, std_error, df = self._estimates
        away, tail = estimate - null.value, null.side
        if null.delta:
            away = (np.abs(away) if not tail else away) - null.delta * (tail <= 0 or -1)
            tail = tail or -1
        with np.errstate(divide="ignore", invalid="ignore"):
            t = away / std_error
        p, half = np.full(len(t), np.nan), np.full(len(t), np.nan)
        notes: list[str] = []
        for _, rows in self._groups():
            rows = rows[~np.isnan(t[rows]) & ~np.isnan(df[rows])]
            if not len(rows):
                continue
            family = self._family(rows, df, tail)
            how = adjusted(self.adjust, family)
            check_size(how, family)
            p[rows], error = p_values(how, t[rows], family)
            if null.side == tail:
                ends, own = family, how
            else:
                ends = self._family(rows, df, null.side)
                own = adjusted(self.adjust, ends)
            half[rows] = critical_values(own, self.level, ends) * std_error[rows]
            notes += in_words(how, own, len(rows), self.means, error)
        lower = np.where(null.side < 0, -np.inf, estimate - half)
        upper = np.where(null.side > 0, np.inf, estimate + half)
        columns = self.scale.estimates(estimate, std_error, lower, upper).columns()
        return columns | {"df": df, "t": t, "p": p}, tuple(dict.fromkeys(notes))

    def _family(self, rows: Array, df: Array, side: int) -> Family:
        if self.adjust != "mvt":
            return Family(df[rows], np.eye(len(rows)), self.means, side)
        assert isinstance(self.solution, PointSolution)
        X = self.rows.X[rows]
        V = X @ self.solution.wald(self.df).vcov @ X.T
        size = np.sqrt(np.diag(V))
        return Family(df[rows], V / np.outer(size, size), self.means, side)

    # -- printing -------------------------------------------------------------------------------

    def _page(self) -> Page:
        table, notes = self._frame(self.null)
        names = list(table.columns)
        labels = len(self.labels.columns)
        shown = table.head(_SHOWN)
        cells = [_texts(shown[name], label=i < labels) for i, name in enumerate(names)]
        body = tuple(zip(*cells, strict=True))
        parts: list[Lines | Table] = [Table(_TITLES[self.kind], tuple(names), body, labels)]
        lines = [*self.notes, *notes]
        if len(table) > _SHOWN:
            lines.append(f"{len(table) - _SHOWN:,} more rows are in frame().")
        lines += self.scale.in_words(ratios=self.kind == "contrast")
        missing = int(np.sum(~self.rows.estimable))
        if missing:
            lines.append(f"{missing} rows are not estimable from these data, and left empty.")
        if not self.null.side:
            lines.append(f"Intervals have the probability {self.level:g}.")
        parts.append(Lines(tuple((line, "") for line in lines)))
        return tuple(parts)

    def __repr__(self) -> str:
        return as_text(self._page())

    def _repr_html_(self) -> str:
        return as_html(self._page())

    def __len__(self) -> int:
        return len(self.labels)

    # -- contrasts ------------------------------------------------------------------------------

    def _names(self, rows: Array) -> list[str]:
        """Names of rows by their primary labels, numbers with the name of their variable."""
        columns = []
        for name in self.primary:
            values = self.labels[name].iloc[rows]
            texts = values.map(lambda v: v if isinstance(v, str) else f"{v:g}")
            if all(map(_is_number, texts)):
                texts = name + texts
            columns.append(list(texts))
        return [" ".join(parts) for parts in zip(*columns, strict=True)]

    def _regrouped(self, by: str | Sequence[str] | None) -> Effects:
        if by is None:
            return self
        names = (by,) if isinstance(by, str) else tuple(by)
        known = (*self.primary, *self.by)
        for name in names:
            if name not in known:
                raise ArgumentError(unknown_name("label column for `by`", name, known))
        return replace(self, by=names, primary=tuple(n for n in known if n not in names))

    def contrast(
        self,
        method: str | Mapping[str, object] | Sequence[object] = "effects",
        adjust: Adjustment | None = None,
        by: str | Sequence[str] | None = None,
        ref: object | None = None,
        interaction: Sequence[str] | None = None,
    ) -> Effects:
        """Compare the rows with each other, within each combination of the `by` columns.

        Parameters
        ----------
        method : {"pairwise", "reference", "consecutive", "poly", "effects"}, mapping or list
            All differences; differences from one row; of neighbours; orthogonal polynomials;
            differences from the mean of all. Or weights that sum to zero: by name,
            ``{"B - A": [-1, 1, 0]}`` or ``{"B - A": {"B": 1, "A": -1}}``, or one list.
        adjust : {"tukey", "dunnett", "mvt", "holm", "bonferroni", "sidak", "fdr", "none"}, optional
            For multiplicity; by default as emmeans: tukey of pairwise, dunnett of reference (its
            "dunnettx", an approximation; "mvt" integrates exactly), mvt of consecutive, fdr of
            effects, none otherwise. It is for likelihood fits; draws are not adjusted.
        by : str or list of str, optional
            Label columns within whose values rows are compared.
        ref : str, optional
            The row that "reference" compares with; the first by default.
        interaction : list of str, optional
            A method for each of the primary columns: contrasts of contrasts.

        Returns
        -------
        Effects

        Raises
        ------
        ArgumentError
            For an unknown method, adjustment, row or column, fewer than two rows to compare, and
            weights that do not sum to zero.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> data = bl.load_dataset("Oats").assign(nitro=lambda d: d["nitro"].astype(str))
        >>> model = bl.Model("yield ~ Variety * nitro + (1 | Block/Variety)", data)
        >>> means = model.fit("reml").emmeans("nitro")
        >>> means.contrast("poly").frame()[["contrast", "estimate"]].round(2)
            contrast  estimate
        0     linear    147.33
        1  quadratic    -10.33
        2      cubic     -2.00
        """
        own = self._regrouped(by)
        if adjust is not None:
            adjust = cast("Adjustment", one_of("adjustment", adjust, ADJUSTMENTS))
        if interaction is not None:
            return own._interaction(interaction, adjust)
        groups = own._groups()
        names, parts, labels = [], [], []
        for key, rows in groups:
            if len(rows) < 2:
                continue
            found, weights = coefficients(method, own._names(rows), ref)
            whole = np.zeros((len(found), len(own.labels)))
            whole[:, rows] = weights
            parts.append(whole)
            names += found
            labels += [key] * len(found)
        if not parts:
            raise ArgumentError(
                f"there is one row only to compare ({', '.join(own._names(groups[0][1])) or 'all'})"
                "; give `at` more values, or another `by`."
            )
        index = pd.DataFrame({"contrast": pd.Series(names, dtype=object)})
        for i, name in enumerate(own.by):
            index[name] = [key[i] for key in labels]
        default = DEFAULTS.get(method, "none") if isinstance(method, str) else "none"
        means = max(len(rows) for _, rows in groups) if method == "pairwise" else None
        return own._combined(np.vstack(parts), index, ("contrast",), adjust or default, means)

    def _combined(
        self,
        weights: Array,
        labels: pd.DataFrame,
        primary: tuple[str, ...],
        adjust: Adjustment,
        means: int | None,
    ) -> Effects:
        """Combinations of the rows."""
        scale, transform = self.scale, self.scale.transform
        if transform is not None and scale.response:
            scale = Scale(transform, transform.is_log, 0.0)
        if scale.response and "contrast" in labels:
            ratios = labels["contrast"].str.replace(" - ", " / ", regex=False)
            labels = labels.assign(contrast=ratios)
        return replace(
            self,
            labels=labels,
            rows=self.rows.combined(weights),
            primary=primary,
            kind="contrast",
            adjust=adjust,
            means=means,
            null=Null(),
            scale=scale,
        )

    def _interaction(self, methods: Sequence[str], adjust: Adjustment | None) -> Effects:
        if isinstance(methods, str) or len(methods) != len(self.primary):
            raise ArgumentError(
                f"`interaction` should have a method for each of {list(self.primary)}, got "
                f"{methods!r}."
            )
        found = []
        for name, method in zip(self.primary, methods, strict=True):
            values = list(dict.fromkeys(self.labels[name]))
            one = replace(self, labels=pd.DataFrame({name: values}), primary=(name,), by=())
            found.append(coefficients(method, one._names(np.arange(len(values)))))
        weights = product_of([w for _, w in found])
        names = [f"{n}_{m}" for n, m in zip(self.primary, methods, strict=True)]
        parts, labels = [], []
        for key, rows in self._groups():
            self._require_product(rows)
            whole = np.zeros((len(weights), len(self.labels)))
            whole[:, rows] = weights
            parts.append(whole)
            grid = np.indices([len(n) for n, _ in reversed(found)]).reshape(len(found), -1)[::-1]
            own = {
                name: [contrasts[i] for i in at]
                for name, (contrasts, _), at in zip(names, found, grid, strict=True)
            }
            own |= dict(zip(self.by, key, strict=True))
            labels.append(pd.DataFrame(own))
        index = pd.concat(labels, ignore_index=True)
        return self._combined(np.vstack(parts), index, tuple(names), adjust or "none", None)

    def _require_product(self, rows: Array) -> None:
        levels = [self.labels[name].iloc[rows].nunique() for name in self.primary]
        if int(np.prod(levels)) != len(rows):
            raise ArgumentError(
                f"not all combinations of {list(self.primary)} are there, as one is nested in "
                "another; compare them with contrast(..., by=...)."
            )

    def pairs(
        self, adjust: Adjustment | None = None, by: str | Sequence[str] | None = None
    ) -> Effects:
        """All pairwise differences: ``contrast("pairwise")``."""
        return self.contrast("pairwise", adjust, by)

    # -- tests ----------------------------------------------------------------------------------

    def test(self, null: float = 0.0, side: str = "two-sided", delta: float = 0.0) -> pd.DataFrame:
        """Test every row against a value, or for equivalence to it.

        Parameters
        ----------
        null : float
            On the scale of the linear predictor: log(1) = 0 for ratios.
        side : {"two-sided", "greater", "less", "equivalence", "noninferiority", "nonsuperiority"}
            The alternative.
        delta : float
            The margin. Two-sided, it makes a test of equivalence, of a row within delta of null, by
            two one-sided tests; "greater" one of non-inferiority, row > null - delta; "less" one of
            non-superiority, row < null + delta.

        Returns
        -------
        pandas.DataFrame
            As `frame`; intervals are one-sided where the test is. Posteriors have the probability
            of the alternative, ``p_gt_...``, ``p_lt_...`` or ``p_within``.

        Raises
        ------
        ArgumentError
            For an unknown side, and a negative margin.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> pairs = model.fit("reml").emmeans("Machine").pairs(adjust="none")
        >>> pairs.test(side="equivalence", delta=10)["p"].round(3).to_list()
        [0.03, 1.0, 0.0]
        """
        side = one_of("side", side, _SIDES)
        for name, value in (("null", null), ("delta", delta)):
            if isinstance(value, bool) or not np.isreal(value) or not np.isfinite(value):
                raise ArgumentTypeError(f"`{name}` should be a finite number, got {value!r}.")
        if delta < 0:
            raise ArgumentError(f"`delta` should be zero or more, got {delta!r}.")
        if side in _WITH_DELTA[:-1] and not delta:
            raise ArgumentError(f"side={side!r} needs a margin: give `delta`, such as delta=1.")
        margin = -delta if side == "superiority" else delta
        return self._frame(Null(float(null), _SIDES[side], float(margin)))[0]

    def joint(self) -> pd.DataFrame:
        """Joint tests: of means, one for each of their factors and interactions; of contrasts or
        slopes, that all of them are zero.

        Returns
        -------
        pandas.DataFrame
            ``term`` and the `by` columns; ``num_df``, ``den_df``, ``F``, ``p`` of likelihood fits.
            Of a posterior ``num_df``, ``chi2``, the squared distance of zero from the mean of the
            draws in their covariance, and ``p_farther``, the share of draws that are farther.

        Notes
        -----
        ``joint_tests`` of emmeans, within the means that this object has: the levels of other
        factors count as they were weighted in these.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> data = bl.load_dataset("Oats").assign(nitro=lambda d: d["nitro"].astype(str))
        >>> model = bl.Model("yield ~ Variety * nitro + (1 | Block/Variety)", data)
        >>> model.fit("reml").emmeans(["Variety", "nitro"]).joint().round(3)
                    term  num_df  den_df       F      p
        0        Variety       2    10.0   1.485  0.272
        1          nitro       3    45.0  37.686  0.000
        2  Variety:nitro       6    45.0   0.303  0.932
        """
        found = []
        for key, rows in self._groups():
            for term, weights in self._hypotheses(rows):
                tested = self.rows.combined(weights)
                own: dict[str, Any] = {"term": term, **dict(zip(self.by, key, strict=True))}
                found.append(own | joint_test(self.solution, self.df, tested))
        table = pd.DataFrame(found)
        order = table["term"].str.count(":").to_numpy()
        return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)

    def _hypotheses(self, rows: Array) -> list[tuple[str, Array]]:
        whole = np.eye(len(self.labels))[rows]
        if self.kind != "mean":
            return [("all", whole)]
        self._require_product(rows)
        levels = {name: self.labels[name].iloc[rows].nunique() for name in self.primary}
        return [(term, weights @ whole) for term, weights in terms_of(levels)]

    def letters(self, alpha: float = 0.05, adjust: Adjustment | None = None) -> pd.DataFrame:
        """A compact letter display: rows that share a letter are not told apart.

        Parameters
        ----------
        alpha : float
            Differences with a smaller p value are told apart; of a posterior those whose
            equal-tailed interval of probability 1 - alpha leaves out zero.
        adjust : str, optional
            Of the pairwise differences; tukey by default.

        Returns
        -------
        pandas.DataFrame
            `frame` with a column ``letters``, ordered as it is.

        Notes
        -----
        The algorithm is that of Piepho (2004, Journal of Computational and Graphical Statistics 13,
        456-466). Not being told apart does not mean being equal.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> model = bl.Model("score ~ Machine + (1 | Worker)", bl.load_dataset("Machines"))
        >>> model.fit("reml").emmeans("Machine").letters()["letters"].to_list()
        ['a', 'b', 'c']
        """
        alpha = real_number("alpha", alpha, 0, 1)
        table = self.frame()
        shown = np.full(len(table), "", dtype=object)
        for _, rows in self._groups():
            one = replace(
                self,
                labels=self.labels.iloc[rows],
                rows=self.rows.combined(np.eye(len(self.labels))[rows]),
                level=1 - alpha,
                by=(),
            )
            if len(rows) < 2:
                shown[rows] = "a"
                continue
            pairs = replace(one, scale=LINK).pairs(adjust).frame()
            if "p" in pairs:
                apart = (pairs["p"] < alpha).to_numpy()
            else:
                apart = ((pairs["lower"] > 0) | (pairs["upper"] < 0)).to_numpy()
            order = np.argsort(table["estimate"].to_numpy()[rows], kind="stable")
            shown[rows] = letter_display(len(rows), apart, order)
        return table.assign(letters=shown)

    def plot(self) -> Figure:
        """The estimates with their intervals, a row each.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from bayeslmm.drawing.intervals import draw_intervals

        table = self.frame()
        names = self._names(np.arange(len(table)))
        groups = [
            ", ".join(f"{name} = {value}" for name, value in zip(self.by, key, strict=True))
            for key in self.labels[list(self.by)].itertuples(index=False, name=None)
        ]
        ends = {name: table[name].to_numpy() for name in ("estimate", "lower", "upper")}
        reference = None if self.kind == "mean" else float(self.scale.back(np.zeros(1))[0])
        about = self.scale.transform
        unit = self.solution.model.design.response
        if about is not None and self.scale.response:
            unit = "ratio" if self.kind == "contrast" else "response"
        return draw_intervals(
            names,
            groups,
            **ends,
            label=unit,
            reference=reference,
            title=f"{_TITLES[self.kind]} ({self.solution.method.upper()})",
            note=f"{100 * self.level:g}% intervals.",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(values: pd.Series[Any], *, label: bool) -> list[str]:
    if label:
        return [v if isinstance(v, str) else f"{v:g}" for v in values]
    if values.name == "p":
        return list(map(p_value, values))
    return numbers(values.to_numpy())
