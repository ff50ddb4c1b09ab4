// The functions on the mixed-model equations that Python calls.
#include "equations/likelihood.h"
#include "equations/relative_factors.h"
#include "equations/solutions.h"
#include "support/interface.h"

using namespace lmm;

namespace {

// The packed vectors that Python holds; `bayeslmm.native.PackedVectors` has the same.
struct Packed {
  const Int *ints;
  Int n_ints;
  const double *floats;

  System system() const { return {ints, floats}; }
  Equations equations() const { return {ints, n_ints, floats}; }
};

}  // namespace

BAYESLMM_EXPORT int bayeslmm_profiled(const Packed *packed, Int kind, const double *M,
                                      const double *relative, Int n_theta, double *dM, double *b,
                                      double *gamma, double *drelative, double *value_and_sigma2) {
  return with_memory([&](Memory &memory) {
    Profile profile = {dM, b, gamma, HUGE_VAL, NAN};
    const Equations equations = packed->equations();
    const bool ok =
        profiled(equations, Kind(kind), M, {relative, n_theta}, profile, drelative, memory);
    value_and_sigma2[0] = profile.value, value_and_sigma2[1] = profile.sigma2;
    return defined(ok);
  });
}

BAYESLMM_EXPORT int bayeslmm_given_factors(const Packed *packed, Int kind, const double *M,
                                           const double *theta, Int n_theta, double *dM,
                                           double *dtheta, double *value) {
  return with_memory([&](Memory &memory) {
    const Equations equations = packed->equations();
    return defined(
        given_factors(equations, Kind(kind), M, {theta, n_theta}, *value, dM, dtheta, memory));
  });
}

BAYESLMM_EXPORT int bayeslmm_loglik(const Packed *packed, Int kind, const double *theta,
                                    Int n_theta, const double *beta_mean,
                                    const double *beta_precision, double *dtheta, double *value) {
  return with_memory([&](Memory &memory) {
    const Equations equations = packed->equations();
    const Int p = equations.system.p;
    const BetaPrior prior = {{beta_mean, p}, {beta_precision, p, p}};
    return defined(
        loglik(equations, Kind(kind), {theta, n_theta}, prior, *value, dtheta, nullptr, memory));
  });
}

BAYESLMM_EXPORT int bayeslmm_relative_factors(const Packed *packed, const double *theta,
                                              Int n_theta, int only_shaped, double *M) {
  return with_memory([&](Memory &memory) {
    const System y = packed->system();
    const Bars which = only_shaped != 0 ? Bars::SHAPED : Bars::ALL;
    return defined(relative_factors(y, which, {theta, n_theta}, M, memory));
  });
}

BAYESLMM_EXPORT int bayeslmm_shaped_factors_pullback(const Packed *packed, const double *theta,
                                                     Int n_theta, const double *M, const double *dM,
                                                     double *dtheta) {
  return with_memory([&](Memory &memory) {
    const System y = packed->system();
    relative_factors_pullback(y, Bars::SHAPED, {theta, n_theta}, M, dM, dtheta, memory);
    return OK;
  });
}

// The cross-products under R(theta), and log|R/σ²|.
BAYESLMM_EXPORT int bayeslmm_assemble(const Packed *packed, const double *theta, Int n_theta,
                                      double *products, double *log_det) {
  return with_memory([&](Memory &memory) {
    const Equations equations = packed->equations();
    const EquationsAt at(equations, {theta, n_theta}, memory);
    if (!at.ok()) return NOT_DEFINED;
    copy(at.system.products, at.system.n_products, products);
    *log_det = equations.system.sum_log_weights - at.system.sum_log_weights;
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_coloured(const Packed *packed, const double *theta, Int n_theta,
                                      const double *z, double *out) {
  return with_memory([&](Memory &memory) {
    const Equations equations = packed->equations();
    const ResidualsAt R(equations.rows, {theta, n_theta}, memory);
    if (!R.ok) return NOT_DEFINED;
    coloured(equations.rows, R, z, out, memory);
    return OK;
  });
}

BAYESLMM_EXPORT int bayeslmm_solve(const Packed *packed, const double *M, double *beta, double *u) {
  return with_memory(
      [&](Memory &memory) { return defined(solve_at(packed->system(), M, beta, u, memory)); });
}

BAYESLMM_EXPORT int bayeslmm_factor(const Packed *packed, const double *M, double *panel,
                                    double *root) {
  return with_memory([&](Memory &memory) {
    const System y = packed->system();
    const Factor L = {panel, {root, y.root_order(), y.root_order()}};
    return defined(factorise(y, M, nullptr, L, memory).ok);
  });
}

BAYESLMM_EXPORT int bayeslmm_conditional_variances(const Packed *packed, const double *M, Int kind,
                                                   double *var_gamma, double *blocks) {
  return with_memory([&](Memory &memory) {
    const System y = packed->system();
    return defined(conditional_variances(y, M, Kind(kind), var_gamma, blocks, memory));
  });
}

BAYESLMM_EXPORT int bayeslmm_half_solve_chain(const Packed *packed, const double *M,
                                              const double *panel, Int count, const Int *level,
                                              const double *effects, const double *basis,
                                              double *rest, double *length) {
  return with_memory([&](Memory &memory) {
    const System y = packed->system();
    const Matrix left = {rest, count, y.n_root_variables + y.p};
    half_solve_chain(y, M, panel, {count, level, effects, basis}, left, length, memory);
    return OK;
  });
}

// Draws of (beta, u), one for each row of thetas; where a row has none, they are NaN. z is
// overwritten. Each draw has a prior mean of beta of its own, or all have the one.
BAYESLMM_EXPORT int bayeslmm_draw(const Packed *packed, Int count, const double *thetas,
                                  Int n_theta, const double *beta_means, int one_mean,
                                  const double *beta_precision, double *z, double *beta,
                                  double *u) {
  return with_memory([&](Memory &memory) {
    const Equations equations = packed->equations();
    const Int p = equations.system.p, n_random = equations.system.n_random();
    for (Int s = 0; s < count; ++s) {
      const Memory::Mark mark = memory.mark();
      const double *mean = beta_means + (one_mean != 0 ? 0 : s * p);
      const RotatedPrior prior(equations.system, {{mean, p}, {beta_precision, p, p}}, memory);
      if (!draw(equations, {thetas + s * n_theta, n_theta}, prior, z + s * (p + n_random),
                beta + s * p, u + s * n_random, memory)) {
        fill(beta + s * p, p, NAN);
        fill(u + s * n_random, n_random, NAN);
      }
      memory.back_to(mark);
    }
    return OK;
  });
}

// Add w_i a_i b_i' to the block of `out` that starts at start[i], for every row i of data.
BAYESLMM_EXPORT void bayeslmm_accumulate(double *out, const Int *start, Int n, const double *A,
                                         Int a, const double *B, Int b, const double *w) {
  for (Int i = 0; i < n; ++i)
    for (Int j = 0; j < a; ++j) {
      const double left = w[i] * A[i * a + j];
      if (left == 0.0) continue;
      for (Int k = 0; k < b; ++k) out[start[i] + j * b + k] += left * B[i * b + k];
    }
}
