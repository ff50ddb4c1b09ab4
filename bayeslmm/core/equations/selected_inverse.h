// Blocks of E = A⁻¹ on the pattern of its factor, and the gradient in the relative factors that
// they give. What b is before any data, in A, depends on no parameter: it has no part in the
// gradient.
#pragma once

#include "equations/factorisation.h"

namespace lmm {

// Whether beta is at its maximum, or integrated out (under a flat prior or another).
enum Kind : Int { ML = 0, REML = 1 };

// E in its parts. Of the root the lower triangle is filled.
struct Inverse {
  double *panel;
  Matrix root;
};

// REML: the inverse of A. ML: that of A_b, with zeros where X is. The root's takes the place of the
// factor's. The recursion is that of Takahashi, Fagan and Chin (1973): see docs/mathematics.md.
Inverse selected_inverse(const System &y, const Factor &L, Kind kind, Memory &memory);

// Gradient of -½(log|A| + r²/σ²) in the relative factors, into dM, and in the cross-products, into
// dproducts unless that is null.
//
// It is the sum, over the pattern of A, of the cross-products times the blocks of E + ww'/σ²
// (`scale` is 1/σ²), with w = -1 for y: nothing is divided by M, so that it holds for a singular G.
void gradient(const System &y, const double *M, const Inverse &E, const Solution &w, double scale,
              double *dM, double *dproducts, Memory &memory);

}  // namespace lmm
