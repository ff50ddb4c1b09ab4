// Half normal with scale a.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct HalfNormal {
  static LogDensity at(double x, Hyper hyper) {
    return {-0.5 * square(x / hyper.a), -x / square(hyper.a)};
  }
};

}  // namespace lmm
