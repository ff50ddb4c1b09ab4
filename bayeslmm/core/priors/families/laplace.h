// Laplace of a coefficient. The shape is zero, or how far the corner at the median is rounded, in
// units of the scale: where a search for the mode needs second derivatives.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct Laplace {
  static LogDensity at(double distance, double scale, double shape) {
    const double ratio = distance / scale, length = sqrt(ratio * ratio + shape * shape);
    return {-length, length > 0.0 ? -ratio / (scale * length) : 0.0};
  }
};

}  // namespace lmm
