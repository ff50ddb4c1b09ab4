// Log-normal: the logarithm is normal with mean a and standard deviation b.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct LogNormal {
  static LogDensity at(double x, Hyper hyper) {
    const double z = (log(x) - hyper.a) / hyper.b;
    return {-log(x) - 0.5 * z * z, -(1.0 + z / hyper.b) / x};
  }
};

}  // namespace lmm
