#include "support/lapack.h"

#include "support/interface.h"

namespace lmm {
namespace {

// Up to this order plain loops are as quick as LAPACK, and no threads are woken for nothing.
constexpr Int SMALL = 48;

// SciPy's own LAPACK, so that there is one BLAS in the process. Its integers have 4 or 8 bytes.
void *dpotrf, *dpotri;
bool wide_integers;

// The upper triangle of LAPACK's columns is the lower one of our rows.
template <class Integer>
bool call(void *routine, Matrix a, Int order) {
  using Routine = void (*)(char *, Integer *, double *, Integer *, Integer *);
  char upper = 'U';
  Integer n = Integer(order), stride = Integer(a.columns), info = 0;
  reinterpret_cast<Routine>(routine)(&upper, &n, a.data, &stride, &info);
  return info == 0;
}

bool call(void *routine, Matrix a, Int order) {
  return wide_integers ? call<int64_t>(routine, a, order) : call<int32_t>(routine, a, order);
}

// L⁻¹ in the place of L, column by column.
void invert_lower(Matrix a, Int order) {
  for (Int j = 0; j < order; ++j) {
    a(j, j) = 1.0 / a(j, j);
    for (Int i = j + 1; i < order; ++i) {
      double value = 0.0;
      for (Int k = j; k < i; ++k) value -= a(i, k) * a(k, j);
      a(i, j) = value / a(i, i);
    }
  }
}

}  // namespace

bool cholesky_in_place(Matrix a) {
  const Int order = a.rows;
  if (order > SMALL) return call(dpotrf, a, order);
  for (Int i = 0; i < order; ++i)
    for (Int j = 0; j <= i; ++j) {
      double value = a(i, j);
      for (Int k = 0; k < j; ++k) value -= a(i, k) * a(j, k);
      if (i == j) {
        if (!(value > 0.0)) return false;
        a(i, i) = sqrt(value);
      } else {
        a(i, j) = value / a(j, j);
      }
    }
  return true;
}

void inverse_from_cholesky(Matrix a, Int order) {
  if (order > SMALL) {
    call(dpotri, a, order);
    return;
  }
  invert_lower(a, order);
  // L⁻ᵀL⁻¹, whose row i needs no rows of L⁻¹ but i and those below
  for (Int j = 0; j < order; ++j)
    for (Int i = j; i < order; ++i) {
      double value = 0.0;
      for (Int k = i; k < order; ++k) value += a(k, i) * a(k, j);
      a(i, j) = value;
    }
}

}  // namespace lmm

BAYESLMM_EXPORT void bayeslmm_use_lapack(void *potrf, void *potri, lmm::Int bytes_of_integers) {
  lmm::dpotrf = potrf;
  lmm::dpotri = potri;
  lmm::wide_integers = bytes_of_integers == 8;
}
