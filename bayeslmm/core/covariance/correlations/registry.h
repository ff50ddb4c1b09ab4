// All correlation structures by the codes that `bayeslmm.correlations` gives them.
#pragma once

#include "covariance/correlations/antedependence.h"
#include "covariance/correlations/ar1.h"
#include "covariance/correlations/arma11.h"
#include "covariance/correlations/car1.h"
#include "covariance/correlations/compound_symmetry.h"
#include "covariance/correlations/exponential.h"
#include "covariance/correlations/factor_analytic.h"
#include "covariance/correlations/gaussian.h"
#include "covariance/correlations/known.h"
#include "covariance/correlations/matern.h"
#include "covariance/correlations/none.h"
#include "covariance/correlations/toeplitz.h"
#include "covariance/correlations/unrestricted.h"

namespace lmm {

enum CorrelationCode : Int {
  NO_CORRELATION,
  UN,
  CS,
  AR_1,
  ARMA_11,
  TOEP,
  ANTE_1,
  CAR_1,
  EXP,
  GAU,
  MATERN_15,
  MATERN_25,
  KNOWN,
  FA_LESS_FACTORS = KNOWN,  // the number of factors is added to this
};

// Call `work` with the structure that has a code.
template <class Work>
auto with_structure(Int code, Work work) {
  switch (code) {
    case NO_CORRELATION: return work(NoCorrelation{});
    case UN: return work(Unrestricted{});
    case CS: return work(CompoundSymmetry{});
    case AR_1: return work(AR1{});
    case ARMA_11: return work(ARMA11{});
    case TOEP: return work(Toeplitz{});
    case ANTE_1: return work(Antedependence{});
    case CAR_1: return work(CAR1{});
    case EXP: return work(Exponential{});
    case GAU: return work(Gaussian{});
    case MATERN_15: return work(Matern15{});
    case MATERN_25: return work(Matern25{});
    case KNOWN: return work(KnownCorrelation{});
    default: return work(FactorAnalytic{code - FA_LESS_FACTORS});
  }
}

}  // namespace lmm
