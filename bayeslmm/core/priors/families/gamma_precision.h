// Gamma with shape a and rate b of the precision 1/x².
#pragma once

#include "priors/families/family.h"

namespace lmm {

// The density of the precision times 2/x³.
struct GammaPrecision {
  static LogDensity at(double x, Hyper hyper) {
    const double power = 2.0 * hyper.a + 1.0, precision = 1.0 / square(x);
    return {-power * log(x) - hyper.b * precision, (2.0 * hyper.b * precision - power) / x};
  }
};

}  // namespace lmm
