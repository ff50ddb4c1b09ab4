// Student's t of a coefficient; Cauchy with one degree of freedom. The shape is the degrees of
// freedom.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct StudentT {
  static LogDensity at(double distance, double scale, double shape) {
    const double ratio = square(distance / scale);
    return {-0.5 * (shape + 1.0) * log1p(ratio / shape),
            -(shape + 1.0) * distance / (scale * scale * (shape + ratio))};
  }
};

}  // namespace lmm
