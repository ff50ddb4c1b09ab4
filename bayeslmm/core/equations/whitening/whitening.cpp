#include "equations/whitening/whitening.h"

#include "equations/whitening/dense.h"
#include "equations/whitening/exchangeable.h"
#include "equations/whitening/markov.h"

namespace lmm {
namespace {

// What a Markov structure is along: times, or positions where there are none.
ConstVector line_of(const Pattern &pattern, Int t, Memory &memory) {
  Vector line = memory.vector(t);
  for (Int i = 0; i < t; ++i)
    line[i] = pattern.place.columns > 0 ? pattern.place(i, 0) : double(pattern.point[i]);
  return line;
}

ConstMatrix distances(ConstMatrix place, Memory &memory) {
  if (place.columns == 0) return {nullptr, 0, 0};
  Matrix D = memory.zeros(place.rows, place.rows);
  for (Int i = 0; i < place.rows; ++i)
    for (Int j = 0; j < i; ++j) {
      double sum = 0.0;
      for (Int k = 0; k < place.columns; ++k) sum += square(place(i, k) - place(j, k));
      D(i, j) = D(j, i) = sqrt(sum);
    }
  return D;
}

}  // namespace

double dense_log_det(ConstMatrix K) {
  double log_det = 0.0;
  for (Int i = 0; i < K.rows; ++i) log_det += 2.0 * log(K(i, i));
  return log_det;
}

bool whitener_of(const Pattern &pattern, Whitener K, double &log_det, Memory &memory) {
  log_det = 0.0;
  if (K.how == DENSE) {
    Matrix C = memory.matrix(K.t, K.t);
    const CorrelatedRows rows = {pattern.point, distances(pattern.place, memory)};
    if (!correlation(pattern.of, pattern.params, rows, C, memory)) return false;
    if (!cholesky(C, K.K())) return false;
    log_det = dense_log_det(K.K());
    return true;
  }
  const bool ok = K.how == MARKOV ? Markov::weights(pattern.of, pattern.params,
                                                    line_of(pattern, K.t, memory), K, memory)
                                  : Exchangeable::weights(pattern.params[0], K);
  for (Int t = 0; ok && t < K.t; ++t) log_det += 2.0 * log(K.c()[t]);
  return ok;
}

void whitener_pullback(const Pattern &pattern, Whitener K, Whitener dK, double *dparams,
                       Memory &memory) {
  if (K.how == DENSE) {
    Matrix dC = memory.matrix(K.t, K.t);
    cholesky_pullback(K.K(), dK.K(), dC);
    const CorrelatedRows rows = {pattern.point, distances(pattern.place, memory)};
    correlation_pullback(pattern.of, pattern.params, rows, dC, dparams);
  } else if (K.how == MARKOV) {
    Markov::pull_weights(pattern.of, pattern.params, line_of(pattern, K.t, memory), K, dK, dparams);
  } else {
    dparams[0] += Exchangeable::pull_weights(pattern.params[0], K, dK);
  }
}

void whiten(Whitener K, Matrix Y, Memory &memory) {
  if (K.how == MARKOV) Markov::whiten(K, Y);
  if (K.how == EXCHANGEABLE) Exchangeable::whiten(K, Y, memory);
  if (K.how == DENSE) Dense::whiten(K.K(), Y);
}

void whiten_pullback(Whitener K, ConstMatrix rows, ConstMatrix Y, Matrix dY, Whitener dK,
                     Memory &memory) {
  if (K.how == MARKOV) Markov::pull(K, rows, Y, dY, dK);
  if (K.how == EXCHANGEABLE) Exchangeable::pull(K, rows, Y, dY, dK, memory);
  if (K.how == DENSE) Dense::pull(K.K(), Y, dY, dK.K());
}

void colour(Whitener K, const double *z, double *out) {
  if (K.how == INDEPENDENT) copy(z, K.t, out);
  if (K.how == MARKOV) Markov::colour(K, z, out);
  if (K.how == EXCHANGEABLE) Exchangeable::colour(K, z, out);
  if (K.how == DENSE) Dense::colour(K.K(), z, out);
}

}  // namespace lmm
