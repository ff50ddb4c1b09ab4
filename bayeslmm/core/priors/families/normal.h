// Normal with mean a and standard deviation b.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct Normal {
  static LogDensity at(double x, Hyper hyper) {
    return {-0.5 * square((x - hyper.a) / hyper.b), -(x - hyper.a) / square(hyper.b)};
  }
};

}  // namespace lmm
