// All correlation structures, a line each. `covariance/correlations/registry.py` has the same.
#pragma once

#include "covariance/correlations/antedependence.h"
#include "covariance/correlations/ar1.h"
#include "covariance/correlations/arma11.h"
#include "covariance/correlations/car1.h"
#include "covariance/correlations/compound_symmetry.h"
#include "covariance/correlations/correlation.h"
#include "covariance/correlations/exponential.h"
#include "covariance/correlations/factor_analytic.h"
#include "covariance/correlations/gaussian.h"
#include "covariance/correlations/known.h"
#include "covariance/correlations/matern.h"
#include "covariance/correlations/none.h"
#include "covariance/correlations/rational_quadratic.h"
#include "covariance/correlations/spherical.h"
#include "covariance/correlations/toeplitz.h"
#include "covariance/correlations/unrestricted.h"

namespace lmm {

template <class... S>
struct StructureList {};

// A structure's kind is its place here, which the class of its name in Python states.
using Structures = StructureList<  //
    NoCorrelation,                 //
    Unrestricted,                  //
    CompoundSymmetry,              //
    Autoregressive,                //
    AutoregressiveMovingAverage,   //
    Toeplitz,                      //
    Antedependence,                //
    ContinuousAutoregressive,      //
    Exponential,                   //
    Gaussian,                      //
    Matern15,                      //
    Matern25,                      //
    KnownCorrelation,              //
    FactorAnalytic,                //
    RationalQuadratic,             //
    Spherical>;

// The structure `First` of some sizes.
template <class First>
First of_sizes(Sizes sizes) {
  if constexpr (First::SIZED) {
    return First(sizes);
  } else {
    return First{};
  }
}

template <class Work, class First, class... Others>
auto with_kind(Int kind, Sizes sizes, Work work, StructureList<First, Others...>) {
  if constexpr (sizeof...(Others) == 0) {
    return work(of_sizes<First>(sizes));
  } else {
    return kind == 0 ? work(of_sizes<First>(sizes))
                     : with_kind(kind - 1, sizes, work, StructureList<Others...>{});
  }
}

// Call `work` with the structure that has a code: its kind, and what sizes it has in units of
// `KINDS`, the second of them in units of `SIZES` (as `Correlation.code` in Python).
template <class Work>
auto with_structure(Int code, Work work) {
  constexpr Int KINDS = 64, SIZES = 32;
  const Int sizes = code / KINDS;
  return with_kind(code % KINDS, {sizes % SIZES, sizes / SIZES}, work, Structures{});
}

// Whether the correlations of rows are given.
inline bool is_given(Correlation of) {
  return with_structure(of.code, [](auto structure) { return decltype(structure)::GIVEN; });
}

}  // namespace lmm
