// The functions on correlation structures that Python calls.
#include "covariance/cholesky.h"
#include "covariance/correlations/correlation.h"
#include "covariance/correlations/factor_analytic.h"
#include "covariance/correlations/toeplitz.h"
#include "equations/whitening/whitening.h"
#include "support/interface.h"

using namespace lmm;

#define CORRELATION Int code, int nugget, const double *params, Int n_params

// Correlation matrices of several sets of rows (sets, t, t), each with parameters of its own; NaN
// where these are those of none, which the status tells.
BAYESLMM_EXPORT int bayeslmm_correlations(CORRELATION, Int sets, Int t, const Int *points,
                                          const double *distances, double *matrices) {
  return with_memory([&](Memory &memory) {
    Status status = OK;
    for (Int s = 0; s < sets; ++s) {
      const Memory::Mark mark = memory.mark();
      const Matrix C = {matrices + s * t * t, t, t};
      const CorrelatedRows rows = {points + s * t, {distances + s * t * t, t, t}};
      const ConstVector own = {params + s * n_params, n_params};
      if (!correlation({code, nugget != 0}, own, rows, C, memory)) {
        fill(C.data, C.size(), NAN);
        status = NOT_DEFINED;
      }
      memory.back_to(mark);
    }
    return status;
  });
}

// Add the adjoint of `bayeslmm_correlations` to dparams (sets, n_params).
BAYESLMM_EXPORT void bayeslmm_correlations_pullback(CORRELATION, Int sets, Int t, const Int *points,
                                                    const double *distances,
                                                    const double *dmatrices, double *dparams) {
  for (Int s = 0; s < sets; ++s) {
    const CorrelatedRows rows = {points + s * t, {distances + s * t * t, t, t}};
    correlation_pullback({code, nugget != 0}, {params + s * n_params, n_params}, rows,
                         {dmatrices + s * t * t, t, t}, dparams + s * n_params);
  }
}

BAYESLMM_EXPORT int bayeslmm_inside(CORRELATION, Int rows) {
  return with_memory([&](Memory &memory) {
    return defined(inside({code, nugget != 0}, {params, n_params}, rows, memory));
  });
}

BAYESLMM_EXPORT int bayeslmm_to_natural(Int code, int nugget, Int occasions, const double *x,
                                        Int n_params, double *params) {
  return with_memory([&](Memory &memory) {
    to_natural({code, nugget != 0}, occasions, {x, n_params}, params, memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_coordinates_pullback(Int code, int nugget, Int occasions,
                                                  const double *x, Int n_params,
                                                  const double *dparams, double *dx,
                                                  double *log_jacobian) {
  return with_memory([&](Memory &memory) {
    *log_jacobian =
        coordinates_pullback({code, nugget != 0}, occasions, {x, n_params}, dparams, dx, memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_partials(const double *rho, Int n, double *z) {
  return with_memory(
      [&](Memory &memory) { return defined(Toeplitz::partials({rho, n}, z, memory)); });
}

// The two weights a row of what whitens rows of a Markov or an exchangeable structure in order.
BAYESLMM_EXPORT int bayeslmm_order_weights(CORRELATION, Int how, Int t, const double *place,
                                           double *weights) {
  return with_memory([&](Memory &memory) {
    double log_det;
    const Pattern pattern = {{code, nugget != 0}, {params, n_params}, nullptr, {place, t, 1}};
    return defined(whitener_of(pattern, {Whitening(how), t, weights}, log_det, memory));
  });
}

// Add the adjoint of `bayeslmm_order_weights` to dparams; dweights is overwritten.
BAYESLMM_EXPORT int bayeslmm_order_weights_pullback(CORRELATION, Int how, Int t,
                                                    const double *place, double *weights,
                                                    double *dweights, double *dparams) {
  return with_memory([&](Memory &memory) {
    const Pattern pattern = {{code, nugget != 0}, {params, n_params}, nullptr, {place, t, 1}};
    whitener_pullback(pattern, {Whitening(how), t, weights}, {Whitening(how), t, dweights}, dparams,
                      memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_correlation_factor(const double *corr, Int q, double *K) {
  return defined(correlation_factor({corr, q * (q - 1) / 2}, {K, q, q}));
}

BAYESLMM_EXPORT int bayeslmm_covariance_factor(Int code, Int q, const double *sd,
                                               const double *corr, double *L) {
  return defined(covariance_factor(code, sd, corr, {L, q, q}));
}
