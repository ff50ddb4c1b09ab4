// Gamma with shape a and rate b.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct Gamma {
  static LogDensity at(double x, Hyper hyper) {
    return {(hyper.a - 1.0) * log(x) - hyper.b * x, (hyper.a - 1.0) / x - hyper.b};
  }
};

}  // namespace lmm
