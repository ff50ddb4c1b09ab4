// What is asked of the equations at estimates: solutions, variances, draws, functions of (beta, u).
#pragma once

#include "equations/beta_prior.h"
#include "equations/equations.h"
#include "equations/selected_inverse.h"

namespace lmm {

// BLUE and BLUP at relative factors; false where the equations are singular.
bool solve_at(const System &y, const double *M, double *beta, double *u, Memory &memory);

// Blocks of the inverse in units of σ²: Var(gamma) (p, p), zero for ML, and for each level in the
// order of u the block (q, q) of Var(u - û). ML: beta taken as known, lme4's conditional variances.
// REML: with what estimating beta adds.
bool conditional_variances(const System &y, const double *M, Kind kind, double *var_gamma,
                           double *blocks, Memory &memory);

// An exact draw of (beta, u) given theta and y, from standard normal z of gamma and then of b,
// which is overwritten; conditional means where z is zero.
bool draw(const Equations &equations, ConstVector theta, const RotatedPrior &prior, double *z,
          double *beta, double *u, Memory &memory);

// Linear functions of (u, gamma): the level of each factor that they touch, negative for none,
// their weights on that level's effects, factor after factor, and on gamma.
struct LinearFunctions {
  Int count;
  const Int *level;       // (count, factors)
  const double *effects;  // (count, sum of q)
  const double *basis;    // (count, p)
};

// Forward substitution L⁻¹ through the chain: what is left for the root, and the squared length of
// the part that the chain has solved.
void half_solve_chain(const System &y, const double *M, const double *panels,
                      const LinearFunctions &functions, Matrix rest, double *length,
                      Memory &memory);

}  // namespace lmm
