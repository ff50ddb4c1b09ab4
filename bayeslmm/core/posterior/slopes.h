// Slopes under a prior of R², in coordinates z beside those of theta. `bayeslmm.explained` says
// what they are.
#pragma once

#include "support/memory.h"

namespace lmm {

struct R2Slopes {
  double kappa, a, b, s2;  // (1 - m/2a)/2, the prior of R², what data can hardly tell from zero
  const double *weight;    // of theta in V, the variance of a response around its fixed effects

  explicit R2Slopes(const double *numbers)
      : kappa(numbers[0]), a(numbers[1]), b(numbers[2]), s2(numbers[3]), weight(numbers + 4) {}

  // 1 + |w|², the whole variance over that around the fixed effects.
  double ratio(ConstVector z) const;

  // Write √V w, of which the slopes are a linear function; w = (1 + s²/|z|²)^kappa z.
  void vector(ConstVector z, ConstVector about, double *out) const;

  // Log density of z without its constant. Given the gradient `slope` of the rest of the log
  // density in √V w, and its derivative in the ratio, the gradient in z is written, and that in
  // what the priors are about added.
  double pull(ConstVector z, ConstVector about, const double *slope, double dratio, double *dabout,
              double *dz) const;

 private:
  double around(ConstVector about) const;
};

}  // namespace lmm
