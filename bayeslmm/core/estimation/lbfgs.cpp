// The direction of L-BFGS (Nocedal and Wright, 2006, Numerical Optimization, algorithm 7.4).
#include "support/interface.h"

using namespace lmm;

namespace {

double inner(const double *a, const double *b, Int m) {
  double sum = 0.0;
  for (Int i = 0; i < m; ++i) sum += a[i] * b[i];
  return sum;
}

void add(double factor, const double *from, Int m, double *to) {
  for (Int i = 0; i < m; ++i) to[i] += factor * from[i];
}

}  // namespace

// Minus the slope times the inverse of the second derivatives, as steps and the changes of the
// slope over them, the last ones last, tell of it.
BAYESLMM_EXPORT int bayeslmm_lbfgs_direction(const double *slope, Int m, const double *steps,
                                             const double *changes, Int known, double *direction) {
  return with_memory([&](Memory &memory) {
    double *weights = memory.doubles(known);
    for (Int i = 0; i < m; ++i) direction[i] = -slope[i];
    for (Int i = known - 1; i >= 0; --i) {
      const double *step = steps + i * m, *change = changes + i * m;
      weights[i] = inner(step, direction, m) / inner(step, change, m);
      add(-weights[i], change, m, direction);
    }
    if (known > 0) {
      const double *step = steps + (known - 1) * m, *change = changes + (known - 1) * m;
      const double size = inner(step, change, m) / inner(change, change, m);
      for (Int i = 0; i < m; ++i) direction[i] *= size;
    }
    for (Int i = 0; i < known; ++i) {
      const double *step = steps + i * m, *change = changes + i * m;
      add(weights[i] - inner(change, direction, m) / inner(step, change, m), step, m, direction);
    }
    return OK;
  });
}
