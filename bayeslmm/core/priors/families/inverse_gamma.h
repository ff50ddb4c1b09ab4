// Inverse gamma with shape a and scale b.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct InverseGamma {
  static LogDensity at(double x, Hyper hyper) {
    return {-(hyper.a + 1.0) * log(x) - hyper.b / x, -(hyper.a + 1.0) / x + hyper.b / square(x)};
  }
};

}  // namespace lmm
