// Beta with parameters a and b, of the place in the interval.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct Beta {
  static LogDensity at(double x, Hyper hyper) {
    const double below = x - hyper.lower, above = hyper.upper - x;
    return {(hyper.a - 1.0) * log(below) + (hyper.b - 1.0) * log(above),
            (hyper.a - 1.0) / below - (hyper.b - 1.0) / above};
  }
};

}  // namespace lmm
