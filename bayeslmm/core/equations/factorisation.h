// Cholesky factor L of the mixed-model equations A, up the tree, and the solution back down.
//
// The unknowns are w = (b, gamma): u = M b, with M the relative factor (G = σ²MM'), and gamma the
// coefficients of the orthonormal basis of X. docs/mathematics.md derives A.
#pragma once

#include "equations/system.h"

namespace lmm {

// L in its parts: the panels of the chain, and the dense root, whose last row, that of y, holds L⁻¹
// of the right-hand side.
struct Factor {
  double *panel;
  Matrix root;

  static Factor take(Memory &memory, const System &y) {
    return {memory.doubles(y.n_panel()), memory.matrix(y.root_order(), y.root_order())};
  }
};

// A Gaussian prior of gamma as further observations, in units of σ²: P σ², P g σ² and g'P g σ²,
// with P its precision and g its mean.
struct GammaPrior {
  ConstMatrix precision;
  const double *precision_mean;
  double mean_square;
};

struct Solution {
  Vector b, gamma;

  static Solution take(Memory &memory, const System &y) {
    return {memory.vector(y.n_random()), memory.vector(y.p)};
  }
};

struct Determinants {
  double log_b, log_all;  // log|A_b| of the block of b, log|A|
  double r2;              // r², the penalised residual sum of squares
  bool ok;                // whether A is positive definite
};

// Factorise A bordered by y at relative factors M; a null prior is flat.
Determinants factorise(const System &y, const double *M, const GammaPrior *prior, Factor L,
                       Memory &memory);

// Solve L'w = L⁻¹(right-hand side) + noise. Without noise (null) w is the solution of the
// equations; with standard normal noise times σ, of gamma and then of b, it is a draw of w given
// theta and y.
void back_substitute(const System &y, const Factor &L, const double *noise, Solution w,
                     Memory &memory);

}  // namespace lmm
