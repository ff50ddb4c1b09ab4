// All prior families by the codes that `bayeslmm.priors.base.PriorCode` gives them.
#pragma once

#include "priors/families/beta.h"
#include "priors/families/constant.h"
#include "priors/families/exponential.h"
#include "priors/families/gamma.h"
#include "priors/families/gamma_precision.h"
#include "priors/families/half_normal.h"
#include "priors/families/half_student_t.h"
#include "priors/families/huang_wand.h"
#include "priors/families/inverse_gamma.h"
#include "priors/families/inverse_wishart.h"
#include "priors/families/laplace.h"
#include "priors/families/lkj.h"
#include "priors/families/log_normal.h"
#include "priors/families/normal.h"
#include "priors/families/student_t.h"
#include "priors/families/wishart.h"

namespace lmm {

enum PriorCode : Int {
  CONSTANT,
  HALF_NORMAL,
  HALF_STUDENT_T,
  EXPONENTIAL,
  GAMMA,
  INVERSE_GAMMA,
  GAMMA_PRECISION,
  LOG_NORMAL,
  BETA,
  NORMAL,
  STUDENT_T,
  LAPLACE,
  LKJ,
  VARIANCE_SPLIT,
  WISHART,  // from here on of a covariance matrix
  INVERSE_WISHART,
  HUANG_WAND,
};

// Call `work` with the family of a single covariance parameter that has a code.
template <class Work>
auto with_prior(Int code, Work work) {
  switch (code) {
    case HALF_NORMAL: return work(HalfNormal{});
    case HALF_STUDENT_T: return work(HalfStudentT{});
    case EXPONENTIAL: return work(ExponentialPrior{});
    case GAMMA: return work(Gamma{});
    case INVERSE_GAMMA: return work(InverseGamma{});
    case GAMMA_PRECISION: return work(GammaPrecision{});
    case LOG_NORMAL: return work(LogNormal{});
    case BETA: return work(Beta{});
    case NORMAL: return work(Normal{});
    default: return work(Constant{});
  }
}

// The same of a coefficient that is sampled.
template <class Work>
auto with_coefficient_prior(Int code, Work work) {
  switch (code) {
    case LAPLACE: return work(Laplace{});
    default: return work(StudentT{});
  }
}

// The same of a covariance matrix.
template <class Work>
auto with_matrix_prior(Int code, Work work) {
  switch (code) {
    case WISHART: return work(Wishart{});
    case INVERSE_WISHART: return work(InverseWishart{});
    default: return work(HuangWand{});
  }
}

}  // namespace lmm
