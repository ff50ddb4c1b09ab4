// The functions on the posterior density that Python and nutpie call.
#include "posterior/density.h"
#include "posterior/slopes.h"
#include "support/interface.h"

using namespace lmm;

// nutpie's callback for the log density; a status that is not zero where it does not exist.
BAYESLMM_EXPORT Int bayeslmm_log_density(uint64_t dim, const double *z, double *gradient,
                                         double *value, const void *arrays) {
  return with_memory([&](Memory &memory) {
    const Density density(*static_cast<const DensityArrays *>(arrays));
    return defined(density.evaluate({z, Int(dim)}, *value, gradient, memory));
  });
}

// nutpie's callback that makes theta of a position, and √V w of slopes.
BAYESLMM_EXPORT Int bayeslmm_expand(uint64_t dim, uint64_t, const double *z, double *out,
                                    const void *arrays) {
  return with_memory([&](Memory &memory) {
    const Density density(*static_cast<const DensityArrays *>(arrays));
    density.expand({z, Int(dim)}, out, memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_constrain(const CoordinateArrays *arrays, const double *x,
                                       double *theta, double *about) {
  return with_memory([&](Memory &memory) {
    arrays->view().constrain(x, theta, about, memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_pullback(const CoordinateArrays *arrays, const double *x,
                                      double *dtheta, double *dabout, double *dx,
                                      double *log_jacobian) {
  return with_memory([&](Memory &memory) {
    *log_jacobian = arrays->view().pullback(x, dtheta, dabout, dx, memory);
    return OK;
  });
}

BAYESLMM_EXPORT void bayeslmm_slopes_vector(const double *numbers, const double *z, Int m,
                                            const double *about, Int k, double *out) {
  R2Slopes(numbers).vector({z, m}, {about, k}, out);
}
