// Half Student's t with a degrees of freedom and scale b; half Cauchy where a is 1.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct HalfStudentT {
  static LogDensity at(double x, Hyper hyper) {
    const double nu = hyper.a, scale = hyper.b, ratio = square(x / scale);
    return {-0.5 * (nu + 1.0) * log1p(ratio / nu),
            -(nu + 1.0) * x / (scale * scale * (nu + ratio))};
  }
};

}  // namespace lmm
