// Exponential with rate a.
#pragma once

#include "priors/families/family.h"

namespace lmm {

struct ExponentialPrior {
  static LogDensity at(double x, Hyper hyper) { return {-hyper.a * x, -hyper.a}; }
};

}  // namespace lmm
