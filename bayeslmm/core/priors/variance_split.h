// The joint prior of all standard deviations: a total, the share of random effects, and its parts.
#pragma once

#include "priors/single.h"

namespace lmm {

// With v_k = w_k sd_k², U = Σ v_k, V = U + w σ² and m random effects, the Jacobian of the v in
// (V, U/V, v_k/U) is V^m (U/V)^(m-1), that of V in √V is 2 √V, and that of v_k in sd_k 2 w_k sd_k.
// The total is √ratio √V, with the ratio of the whole variance to that around the fixed effects.
struct VarianceSplit {
  Int total_code;
  Hyper total;
  double a, b;                           // of the beta distribution of U/V
  const double *weight, *concentration;  // by element of theta; of sigma, the last, 0

  VarianceSplit(const double *numbers, Int k)
      : total_code(Int(numbers[0])), total(numbers + 1), a(numbers[1 + Hyper::SIZE]),
        b(numbers[2 + Hyper::SIZE]), weight(numbers + 3 + Hyper::SIZE), concentration(weight + k) {}

  // Log density without its constant, as one of the standard deviations at a ratio; its derivative
  // in the ratio is written, its gradient added.
  double log_density(ConstVector theta, double ratio, double &dratio, double *dtheta) const;
};

}  // namespace lmm
