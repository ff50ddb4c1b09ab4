"""The mixed-model equations of a design: what both ways of fitting are thin users of."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.linalg import solve_triangular

from bayeslmm.covariance.cholesky import STRUCTURES
from bayeslmm.covariance.correlations.kernels import correlation
from bayeslmm.design.parameters import Parameters
from bayeslmm.equations import kernels
from bayeslmm.equations.noise import Noise
from bayeslmm.equations.packing import pack
from bayeslmm.equations.residual_kernels import assemble, coloured
from bayeslmm.equations.system import Packed, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.residual_rows import ResidualRows
    from bayeslmm.equations.linear import Relatives

__all__ = ["Equations", "EquationsWithPrior"]

Method = Literal["reml", "ml"]
_KIND = {"ml": kernels.ML, "reml": kernels.REML}


@dataclass(frozen=True)
class Equations:
    """Henderson's equations, reduced to cross-products: nothing here grows with the rows of data.

    Attributes
    ----------
    parameters : Parameters
        The layout of theta.
    factors : tuple of GroupingFactor
    packed : Packed
        What the kernels work on.
    coef : tuple of str, length p
        Names of the columns of X.
    n, p, n_random : int
        Rows; coefficients beta; elements of u.
    residuals : ResidualRows or None
        The structure of R.
    """

    parameters: Parameters
    factors: tuple[GroupingFactor, ...]
    packed: Packed
    coef: tuple[str, ...]
    n: int
    residuals: ResidualRows | None

    @classmethod
    def of(cls, design: Design) -> Equations:
        """Reduce a design to its equations."""
        parameters = Parameters.of(design.factors, design.residuals)
        y = design.y if design.offset is None else design.y - design.offset
        rows = None if design.residuals is None else design.residuals.rows
        packed = pack(design.factors, parameters, design.X, y, design.weights, rows)
        return cls(parameters, tuple(design.factors), packed, design.coef, len(y), rows)

    def __repr__(self) -> str:
        sizes = f"{self.p} coefficients, {self.n_random} random effects"
        return f"Equations of {self.n} rows: {sizes}, {len(self.parameters)} parameters"

    @property
    def p(self) -> int:
        """The number of coefficients beta."""
        return len(self.coef)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The packed integers and floats, as the kernels and the PyTensor Op take them."""
        return (self.packed.ints, self.packed.floats)

    @property
    def structured(self) -> bool:
        """Whether R has a structure, whose parameters the cross-products depend on."""
        return self.packed.structured

    def given_residuals(self, theta: np.ndarray) -> Equations:
        """The equations with R, but for σ², held at that of theta; these themselves without a
        structure.
        """
        if not self.structured:
            return self
        floats, ok = assemble(theta, self.packed)
        if not ok:
            raise ValueError(f"theta = {theta} are not the parameters of covariance matrices")
        ints = self.packed.ints[: self.packed.n_ints]
        return replace(self, packed=Packed(ints, floats), residuals=None)

    def residual_sds(self, theta: np.ndarray) -> np.ndarray:
        """Standard deviations of the rows relative to σ, weights aside."""
        return np.sqrt(Noise.of_rows(np.ones(self.n), self.residuals).relative(theta))

    def residual_noise(self, theta: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Residuals relative to σ of independent standard normal z (n,), weights aside."""
        if self.residuals is None:
            return z
        return coloured(theta, self.packed, z)

    def residual_covariance(self, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Covariance matrix of the residuals of some rows, relative to σ², weights aside."""
        own = self.residuals
        if own is None:
            return np.eye(len(rows))
        ones = np.ones(len(rows))
        noise = Noise(ones, own.sigma[rows], own.covariates[rows], own.n_sigmas)
        sds = np.sqrt(noise.relative(theta))
        if own.correlation.independent:
            return np.diag(sds**2)
        C = np.zeros((len(rows), len(rows)))
        for block in np.unique(own.block[rows]):
            here = np.flatnonzero(own.block[rows] == block)
            at = rows[here]
            first = len(theta) - own.n_parameters + own.n_corr * own.stratum[at[0]]
            parameters = theta[first : first + own.n_corr]
            part, _ = correlation(own.correlation, parameters, own.point[at], own.between(at))
            C[np.ix_(here, here)] = part
        return C * np.outer(sds, sds)

    @cached_property
    def n_random(self) -> int:
        """The number of elements of u."""
        return sum(len(f.levels) * len(f.effects) for f in self.factors)

    @cached_property
    def cross(self) -> tuple[np.ndarray, ...]:
        """The mean cross-product Z'Z/n (q, q) of the columns of each factor: what they are like in
        these data.
        """
        return tuple(f.Z.T @ f.Z / len(f.Z) for f in self.factors)

    @cached_property
    def root_order(self) -> int:
        """The order of the dense root: what is left when the nested factors are eliminated."""
        return self.packed.sizes.root

    @property
    def largest(self) -> float:
        """The largest absolute value of the response."""
        return float(part(self.packed, "constants")[2])

    @property
    def least_squares(self) -> float:
        """The residual standard deviation of least squares, without degrees of freedom."""
        return sqrt(part(self.packed, "xy")[-1] / self.n)

    def is_exact(self, sigma: float) -> bool:
        """Whether a residual standard deviation is zero but for rounding."""
        return not sigma > max(1e-8 * self.least_squares, 1e-13 * self.largest)

    def split_u(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """Views of u, by factor, with its last axis opened to (levels, effects)."""
        out, at = {}, 0
        for f in self.factors:
            shape = (len(f.levels), len(f.effects))
            out[f.name] = u[..., at : at + shape[0] * shape[1]].reshape(*u.shape[:-1], *shape)
            at += shape[0] * shape[1]
        return out

    def relative_factors(self, theta: np.ndarray) -> np.ndarray:
        """M_f = L_f/σ of all factors, flat, at theta."""
        M = np.empty(self.packed.sizes.relative)
        if not kernels.relative_factors(theta, self.packed, M):
            raise ValueError(f"theta = {theta} are not the parameters of covariance matrices")
        return M

    def covariances(self, M: np.ndarray, sigma: float) -> dict[str, np.ndarray]:
        """G of one level of each factor."""
        return {
            f.name: sigma**2 * m @ m.T for f, m in zip(self.factors, self.split_M(M), strict=True)
        }

    def split_M(self, M: np.ndarray) -> list[np.ndarray]:
        """The relative factor of each grouping factor: views of M with its last axis opened to
        (q, q).
        """
        out, at = [], 0
        for f in self.factors:
            q = len(f.effects)
            out.append(M[..., at : at + q * q].reshape(*M.shape[:-1], q, q))
            at += q * q
        return out

    def theta(self, M: np.ndarray, sigma: float, relative: np.ndarray | None = None) -> np.ndarray:
        """The natural parameters of relative factors, σ, and the parameters of R and of bars with
        a `Shape` in ``relative``, which is theta with σ = 1.
        """
        theta = np.empty(len(self.parameters))
        if relative is not None:
            theta[:] = relative
            for own in self.parameters.blocks:
                if own.kind in ("sigma", "sd"):
                    theta[own.slice] *= sigma
        G = self.covariances(M, sigma)
        for f in self.factors:
            for i, bar in enumerate(f.bars):
                if bar.shape is not None:
                    continue
                sd, corr = STRUCTURES[bar.structure].natural(G[f.name][bar.slice, bar.slice])
                for kind, values in (("sd", sd), ("corr", corr)):
                    block = self.parameters.find(f.name, i, kind)
                    if block:
                        theta[block.slice] = values
        theta[-1] = sigma
        return theta

    @cached_property
    def _no_scale(self) -> np.ndarray:
        return np.ones(len(self.parameters))

    def profiled(
        self, M: np.ndarray, method: Method, relative: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, float, np.ndarray, np.ndarray, np.ndarray]:
        """-2 log-likelihood with σ and beta at their best, its gradient in M, σ², b and gamma.

        With a structure for R, ``relative`` is theta with σ = 1, of which R's parameters are read,
        and the gradient in it comes last.
        """
        if relative is None:
            relative = self._no_scale
        return kernels.profiled(M, relative, _KIND[method], self.packed)

    def loglik(self, theta: np.ndarray, method: Method = "reml") -> tuple[float, np.ndarray]:
        """Log-likelihood at theta, beta at its maximum (ML) or integrated out (REML), and its
        gradient in theta.
        """
        flat = np.zeros(self.p), np.zeros((self.p, self.p))
        return kernels.loglik(theta, _KIND[method], *flat, self.packed)

    def given_factors(
        self, M: np.ndarray, theta: np.ndarray, method: Method
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """-2 log-likelihood at relative factors, and σ and R's parameters of theta, with its
        gradients in M and in these; regular where G is singular.
        """
        return kernels.given_factors(M, theta, _KIND[method], self.packed)

    def collapsed(
        self, theta: np.ndarray, beta_mean: np.ndarray, beta_precision: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Log density of y given theta and its gradient, beta integrated out under a Gaussian
        prior.
        """
        return kernels.collapsed(theta, beta_mean, beta_precision, self.packed)

    def with_shapes(self, M: np.ndarray, relative: np.ndarray) -> np.ndarray:
        """M with the blocks of bars with a `Shape` as ``relative`` has them, which is theta with
        σ = 1; NaN where it is not that of covariance matrices.
        """
        M = M.copy()
        if not kernels.shaped_factors(relative, self.packed, M):
            M[:] = np.nan
        return M

    def pull_shapes(self, relative: np.ndarray, M: np.ndarray, dM: np.ndarray) -> np.ndarray:
        """The gradient in ``relative`` of what has the gradient dM in the M of `with_shapes`."""
        slopes = np.zeros(len(relative))
        kernels.pull_shaped(relative, self.packed, M, dM, slopes)
        return slopes

    def solve(self, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """BLUE of beta and BLUP of u."""
        return kernels.solve(M, self.packed)

    def var_beta(self, M: np.ndarray, sigma: float) -> np.ndarray:
        """Covariance matrix (p, p) of the BLUE, (X'V⁻¹X)⁻¹."""
        var_gamma, _ = kernels.conditional_variances(M, kernels.REML, self.packed)
        inverse = self.packed.system.rotation_inverse.reshape(self.p, self.p)
        return sigma**2 * inverse @ var_gamma @ inverse.T

    def var_u(self, M: np.ndarray, sigma: float, *, beta_known: bool) -> dict[str, np.ndarray]:
        """Var(u - û) of each level, (levels, q, q) by factor; with beta known they are lme4's
        conditional variances.
        """
        kind = kernels.ML if beta_known else kernels.REML
        _, blocks = kernels.conditional_variances(M, kind, self.packed)
        out, at = {}, 0
        for f in self.factors:
            q, levels = len(f.effects), len(f.levels)
            out[f.name] = sigma**2 * blocks[at : at + levels * q * q].reshape(levels, q, q)
            at += levels * q * q
        return out

    def var_linear(
        self,
        M: np.ndarray,
        sigma: float,
        X: np.ndarray,
        codes: Sequence[np.ndarray],
        Z: Sequence[np.ndarray],
        relatives: Sequence[Relatives | None] = (),
        *,
        chunk: int = 4096,
    ) -> np.ndarray:
        """Prediction-error variance of linear functions Xβ + Σ Z_f u_f[codes_f], one a row.

        Parameters
        ----------
        X : (n, p) array
        codes : sequence of (n,) arrays, one a factor
            The level each function touches; negative for none.
        Z : sequence of (n, q) arrays, one a factor
        relatives : sequence of Relatives or None, one a factor
            Functions that touch all levels of a factor in place of one.

        Returns
        -------
        (n,) array
        """
        system = self.packed.system
        nr, p = system.counts.root_variables, self.p
        panel, root = kernels.factor_at(M, self.packed)
        lower = root[: nr + p, : nr + p]
        basis = X @ system.rotation_inverse.reshape(p, p)
        n = len(X)
        all_codes = np.column_stack([*codes, np.empty((n, 0))]).astype(np.int64)
        values = np.column_stack([*Z, np.empty((n, 0))])
        out = np.empty(n)
        for at in range(0, n, chunk):
            rows = slice(at, at + chunk)
            rest = np.empty((len(basis[rows]), nr + p))
            out[rows] = kernels.half_solve_chain(
                M, self.packed, panel, all_codes[rows], values[rows], basis[rows], rest
            )
            for f, own in enumerate(relatives):
                if own is not None:
                    self._touch_relatives(f, own, rows, M, values, rest)
            solved = solve_triangular(lower, rest.T, lower=True, check_finite=False)
            out[rows] += np.einsum("ij,ij->j", solved, solved)
        return sigma**2 * out

    def _touch_relatives(
        self,
        f: int,
        relatives: Relatives,
        rows: slice,
        M: np.ndarray,
        values: np.ndarray,
        rest: np.ndarray,
    ) -> None:
        """Add to what linear functions touch in the root the levels of a factor that they touch
        through others.
        """
        system = self.packed.system
        which = relatives.which[rows]
        here = np.flatnonzero(which >= 0)
        first = sum(len(factor.effects) for factor in self.factors[:f])
        q = len(self.factors[f].effects)
        own = values[rows][here, first : first + q] @ self.split_M(M)[f]
        nodes = slice(system.root_start[f], system.root_start[f + 1])
        for j in range(q):
            columns = system.root_var[nodes] + j
            rest[np.ix_(here, columns)] += relatives.weights[which[here]] * own[:, [j]]


@dataclass(frozen=True, repr=False)
class EquationsWithPrior(Equations):
    """The equations with a Gaussian prior of beta among the observations, at given parameters.

    Attributes
    ----------
    beta_mean : (p,) array
    beta_precision : (p, p) array
    """

    beta_mean: np.ndarray
    beta_precision: np.ndarray

    @classmethod
    def of_prior(
        cls, equations: Equations, beta_mean: np.ndarray, beta_precision: np.ndarray
    ) -> EquationsWithPrior:
        """The equations of a design with a prior of its coefficients."""
        own = {field.name: getattr(equations, field.name) for field in fields(equations)}
        return cls(**own, beta_mean=beta_mean, beta_precision=beta_precision)

    def given_residuals(self, theta: np.ndarray) -> Equations:
        """The equations at R and σ of theta: in units of σ², the prior adds to the cross-products
        of [X y] what p further rows of data would.
        """
        given = super().given_residuals(theta)
        system = given.packed.system
        p = self.p
        inverse = system.rotation_inverse.reshape(p, p)
        precision = theta[-1] ** 2 * inverse.T @ self.beta_precision @ inverse
        center = system.rotation.reshape(p, p) @ (self.beta_mean - system.beta_ols)
        added = np.empty((p + 1, p + 1))
        added[:p, :p] = precision
        added[p, :p] = added[:p, p] = precision @ center
        added[p, p] = center @ precision @ center
        floats = given.packed.floats.copy()
        packed = Packed(given.packed.ints, floats)
        packed.system.xy[:] += added.ravel()
        return replace(given, packed=packed)
