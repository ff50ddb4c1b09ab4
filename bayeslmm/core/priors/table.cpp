#include "priors/table.h"

#include "priors/variance_split.h"

namespace lmm {

double log_priors(const PriorTable &table, ConstVector about, double ratio, double &dratio,
                  double *dabout, Memory &memory) {
  double total = 0.0;
  dratio = 0.0;
  for (Int i = 0; i < table.size(); ++i) {
    const PriorRow row = table[i];
    const Memory::Mark mark = memory.mark();
    if (row.code == LKJ) {
      const ConstVector corr = about.part(row.start, row.stop - row.start);
      total += log_lkj(row.numbers[0], corr, row.q, dabout + row.start, memory);
    } else if (row.code == VARIANCE_SPLIT) {
      total += VarianceSplit(row.numbers, about.size).log_density(about, ratio, dratio, dabout);
    } else if (row.code >= WISHART) {
      const Int q = row.stop - row.start;  // a standard deviation for each effect
      total += log_matrix_prior(row.code, row.numbers, q, &about[row.start],
                                about.part(row.other, q * (q - 1) / 2), dabout + row.start,
                                dabout + row.other, memory);
    } else {
      const LogDensity at = log_shifted_prior(row.code, row.numbers, about[row.start],
                                              about.part(row.other, row.q), dabout + row.other);
      total += at.value;
      dabout[row.start] += at.slope;
    }
    memory.back_to(mark);
  }
  return total;
}

}  // namespace lmm
