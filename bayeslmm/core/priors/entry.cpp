// The functions on priors that Python calls.
#include "priors/matrix.h"
#include "priors/single.h"
#include "priors/variance_split.h"
#include "support/interface.h"

using namespace lmm;

// A log density and its derivative.
BAYESLMM_EXPORT void bayeslmm_log_prior(Int code, double x, const double *numbers, double *out) {
  const LogDensity at = log_prior(code, x, Hyper(numbers));
  out[0] = at.value, out[1] = at.slope;
}

BAYESLMM_EXPORT int bayeslmm_log_matrix_prior(Int code, const double *numbers, Int q,
                                              const double *sd, const double *corr, double *dsd,
                                              double *dcorr, double *value) {
  return with_memory([&](Memory &memory) {
    *value = log_matrix_prior(code, numbers, q, sd, {corr, q * (q - 1) / 2}, dsd, dcorr, memory);
    return OK;
  });
}

BAYESLMM_EXPORT void bayeslmm_log_variance_split(const double *numbers, const double *theta, Int k,
                                                 double ratio, double *dtheta, double *out) {
  out[0] = VarianceSplit(numbers, k).log_density({theta, k}, ratio, out[1], dtheta);
}
