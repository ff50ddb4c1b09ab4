// The rows of data under a structured R, as `bayeslmm.residual_packing` lays them out, and the
// cross-products that they make at given parameters.
//
// Rows that are correlated with each other are a block. For each block the rows of [Z X y] are
// divided by their standard deviations (relative to σ) and whitened by their correlation; the
// cross-products of the result take the place of those for independent residuals. Blocks with the
// same occasions are one pattern, and share what whitens them.
#pragma once

#include "equations/system.h"
#include "equations/whitening/whitening.h"

namespace lmm {

struct ResidualRows {
  Correlation correlation;
  Whitening how;
  Int n_corr, n_sigmas, n_covariates;  // parameters of a stratum; residual sds; exponents
  Int first_corr;                      // the place of R's first parameter in theta
  Int n_blocks, n_patterns, most_rows, most_columns, p, dimensions;

  // by block: its rows, its pattern, where its rows of [Z X y] stand, the nodes that it meets, and
  // where its products' places begin
  Integers block_row, block_pattern, block_value, block_node;
  Integers node_width;  // effects of a node
  Integers block_target;
  // where among the products each block's belong: of each pair of nodes (a, b ≥ a), b's rows by a's
  // columns, then of the border with each node
  Integers target;

  // by pattern: its set of correlation parameters, its rows, and where what whitens them stands
  Integers pattern_stratum, pattern_row, point, pattern_factor;

  // by row in the order of blocks: which standard deviation it has, and which row of data it is
  Integers sigma, row;

  const double *place;       // coordinates of the rows of patterns; factors that are known
  const double *covariates;  // (n, n_covariates)
  const double *values;      // [Z X y], a matrix for each block

  ResidualRows() {}
  ResidualRows(const Int *ints, const double *floats);

  Int n_rows() const { return block_row[n_blocks]; }
  Int rows_of(Int block) const { return block_row[block + 1] - block_row[block]; }
  Int columns_of(Int block) const {
    return (block_value[block + 1] - block_value[block]) / rows_of(block);
  }
  Int corr_of(Int pattern) const { return first_corr + pattern_stratum[pattern] * n_corr; }
  Pattern pattern(Int number, const double *theta) const;
  Whitener whitener(Int pattern, double *numbers) const;
  // What whitens the rows of a block.
  Whitener block_whitener(Int block, double *numbers) const;
};

// R at given parameters: what whitens each pattern, and the standard deviations of rows.
struct ResidualsAt {
  const double *theta;
  Int n_theta;
  double *whiteners, *log_dets;
  double *log_sd, *scale;  // by row: log sd relative to σ, the last parameter, and its reciprocal
  bool ok;                 // whether the parameters are those of a covariance matrix

  ResidualsAt() : ok(true) {}  // R = σ²I, of which nothing is read
  ResidualsAt(const ResidualRows &rows, ConstVector theta, Memory &memory);

 private:
  bool set_whiteners(const ResidualRows &rows, Memory &memory);
  bool set_scales(const ResidualRows &rows, Memory &memory);
};

// The system with the cross-products under R.
System assemble(const System &y, const ResidualRows &rows, const ResidualsAt &R, Memory &memory);

// Add to dtheta the gradient of a log-likelihood in R's parameters, -½ log|R/σ²| included, given
// that in the cross-products.
void assemble_pullback(const System &y, const ResidualRows &rows, const ResidualsAt &R,
                       const double *dproducts, double *dtheta, Memory &memory);

// Residuals relative to σ of independent standard normal z, by row of data; weights do not count.
void coloured(const ResidualRows &rows, const ResidualsAt &R, const double *z, double *out,
              Memory &memory);

}  // namespace lmm
