// Constant: uniform between bounds that the coordinates keep, or of what is held.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct Constant {
  static LogDensity at(double x, Hyper hyper) {
    (void)x, (void)hyper;
    return {0.0, 0.0};
  }
};

}  // namespace lmm
