#include "equations/relative_factors.h"

#include "covariance/bar.h"

namespace lmm {
namespace {

// Call `work(bar, row)` for each bar, where row(i) is row i of its block in the factor's M.
template <class Work>
bool for_bars(const System &y, Bars which, Work work) {
  for (Int number = 0; number < y.n_bars; ++number) {
    const Bar bar(y.bars, number);
    if (which == Bars::SHAPED && !bar.shaped()) continue;
    const Int width = y.q[bar.factor];
    const Int start = y.M_start[bar.factor] + bar.first * width + bar.first;
    if (!work(bar, [=](Int i) { return start + i * width; })) return false;
  }
  return true;
}

}  // namespace

bool relative_factors(const System &y, Bars which, ConstVector theta, double *M, Memory &memory) {
  const double sigma = theta[theta.size - 1];
  if (!(sigma > 0.0)) return false;
  if (which == Bars::ALL) fill(M, y.n_relative(), 0.0);
  return for_bars(y, which, [&](const Bar &bar, auto row) {
    const Memory::Mark mark = memory.mark();
    Matrix L = memory.matrix(bar.q, bar.q);
    if (!bar_factor(bar, theta.data, L, memory)) return false;
    for (Int i = 0; i < bar.q; ++i)
      for (Int j = 0; j < bar.q; ++j) M[row(i) + j] = j <= i ? L(i, j) / sigma : 0.0;
    memory.back_to(mark);
    return true;
  });
}

void relative_factors_pullback(const System &y, Bars which, ConstVector theta, const double *M,
                               const double *dM, double *dtheta, Memory &memory) {
  const Int last = theta.size - 1;
  const double sigma = theta[last];
  for_bars(y, which, [&](const Bar &bar, auto row) {
    const Memory::Mark mark = memory.mark();
    Matrix dL = memory.zeros(bar.q, bar.q);
    for (Int i = 0; i < bar.q; ++i)
      for (Int j = 0; j <= i; ++j) {
        const Int at = row(i) + j;
        dL(i, j) = dM[at] / sigma;
        dtheta[last] -= dM[at] * M[at] / sigma;
      }
    bar_pullback(bar, theta.data, dL, dtheta, memory);
    memory.back_to(mark);
    return true;
  });
}

}  // namespace lmm
