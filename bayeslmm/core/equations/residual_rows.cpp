#include "equations/residual_rows.h"

#include "covariance/correlations/registry.h"
#include "equations/parts.h"

namespace lmm {

ResidualRows::ResidualRows(const Int *ints, const double *floats) {
  Parts<Int> part(ints, ints);
  const Integers meta = part.next();
  correlation = {meta[0], meta[1] == 1};
  n_corr = meta[2], how = Whitening(meta[3]), n_sigmas = meta[4], n_covariates = meta[5];
  first_corr = meta[6], n_blocks = meta[7], n_patterns = meta[8], most_rows = meta[9];
  most_columns = meta[10], p = meta[11], dimensions = meta[12];
  Integers *const others[] = {&block_row,   &block_pattern, &block_value,    &block_node,
                              &node_width,  &block_target,  &target,         &pattern_stratum,
                              &pattern_row, &point,         &pattern_factor, &sigma,
                              &row};
  for (Integers *own : others) *own = part.next();
  const Int *ends = part.header() + 1;
  place = floats, covariates = floats + ends[0], values = floats + ends[1];
}

Pattern ResidualRows::pattern(Int number, const double *theta) const {
  const Int first = pattern_row[number], t = pattern_row[number + 1] - first;
  const Int columns = is_given(correlation) ? 0 : dimensions;
  return {correlation,
          {theta + corr_of(number), n_corr},
          &point[first],
          {place + first * columns, t, columns}};
}

Whitener ResidualRows::whitener(Int pattern, double *numbers) const {
  return {how, pattern_row[pattern + 1] - pattern_row[pattern], numbers + pattern_factor[pattern]};
}

Whitener ResidualRows::block_whitener(Int block, double *numbers) const {
  if (how == INDEPENDENT) return {how, rows_of(block), nullptr};
  return whitener(block_pattern[block], numbers);
}

ResidualsAt::ResidualsAt(const ResidualRows &rows, ConstVector all, Memory &memory)
    : theta(all.data), n_theta(all.size),
      whiteners(memory.zeros(rows.pattern_factor[rows.n_patterns]).data),
      log_dets(memory.doubles(rows.n_patterns)), log_sd(memory.doubles(rows.n_rows())),
      scale(memory.doubles(rows.n_rows())),
      ok(set_whiteners(rows, memory) && set_scales(rows, memory)) {}

bool ResidualsAt::set_whiteners(const ResidualRows &rows, Memory &memory) {
  for (Int i = 0; i < rows.n_patterns; ++i) {
    const Whitener K = rows.whitener(i, whiteners);
    if (is_given(rows.correlation)) {
      copy(rows.place + rows.pattern_factor[i], K.t * K.t, K.numbers);
      log_dets[i] = dense_log_det(K.K());
      continue;
    }
    const Memory::Mark mark = memory.mark();
    if (!whitener_of(rows.pattern(i, theta), K, log_dets[i], memory)) return false;
    memory.back_to(mark);
  }
  return true;
}

bool ResidualsAt::set_scales(const ResidualRows &rows, Memory &memory) {
  const double *sigmas = theta + n_theta - rows.n_sigmas;
  const double *exponents = sigmas - rows.n_covariates;
  double *logs = memory.doubles(rows.n_sigmas), *ratios = memory.doubles(rows.n_sigmas);
  const double last = sigmas[rows.n_sigmas - 1];
  for (Int k = 0; k < rows.n_sigmas; ++k) {
    if (!(sigmas[k] > 0.0)) return false;
    logs[k] = log(sigmas[k] / last), ratios[k] = last / sigmas[k];
  }
  for (Int i = 0; i < rows.n_rows(); ++i) {
    double grown = 0.0;
    for (Int k = 0; k < rows.n_covariates; ++k)
      grown += exponents[k] * rows.covariates[i * rows.n_covariates + k];
    log_sd[i] = logs[rows.sigma[i]] + grown;
    scale[i] = ratios[rows.sigma[i]];
    if (rows.n_covariates > 0) scale[i] *= exp(-grown);
  }
  return true;
}

namespace {

// The rows of [Z X y] of a block, divided by their standard deviations.
Matrix scaled(const ResidualRows &rows, Int block, const double *scale, double *room) {
  const Int first = rows.block_row[block];
  const Matrix Y = {room, rows.rows_of(block), rows.columns_of(block)};
  const double *values = rows.values + rows.block_value[block];
  for (Int i = 0; i < Y.rows; ++i)
    for (Int j = 0; j < Y.columns; ++j) Y(i, j) = values[i * Y.columns + j] * scale[first + i];
  return Y;
}

// Call `work(width_a, first_a, width_b, first_b, target)` for each product Y_b'Y_a that a block
// has: of its nodes in pairs, then of the border with each.
template <class Work>
void for_products(const ResidualRows &rows, Int block, Work work) {
  const Int *width = &rows.node_width[rows.block_node[block]];
  const Int nodes = rows.block_node[block + 1] - rows.block_node[block];
  const Int *target = &rows.target[rows.block_target[block]];
  const Int border = rows.columns_of(block) - rows.p - 1;
  for (Int i = 0, a = 0; i < nodes; a += width[i++])
    for (Int j = i, b = a; j < nodes; b += width[j++]) work(width[i], a, width[j], b, *target++);
  for (Int i = 0, a = 0; i < nodes; a += width[i++])
    work(width[i], a, rows.p + 1, border, *target++);
}

// Add the cross-products of a block's whitened rows.
void add_block(const ResidualRows &rows, Int block, ConstMatrix Y, Int xy_at, double *products) {
  for_products(rows, block, [&](Int qa, Int a, Int qb, Int b, Int target) {
    for (Int row = 0; row < Y.rows; ++row)
      for (Int k = 0; k < qb; ++k) {
        const double value = Y(row, b + k);
        if (value == 0.0) continue;
        for (Int h = 0; h < qa; ++h) products[target + k * qa + h] += value * Y(row, a + h);
      }
  });
  const Int p = rows.p, border = Y.columns - p - 1;
  for (Int row = 0; row < Y.rows; ++row)
    for (Int i = 0; i <= p; ++i)
      for (Int j = 0; j <= i; ++j)
        products[xy_at + i * (p + 1) + j] += Y(row, border + i) * Y(row, border + j);
}

// The adjoint of `add_block`: that of the whitened rows.
void pull_block(const ResidualRows &rows, Int block, ConstMatrix Y, Int xy_at,
                const double *dproducts, Matrix dY) {
  fill(dY.data, dY.size(), 0.0);
  for_products(rows, block, [&](Int qa, Int a, Int qb, Int b, Int target) {
    for (Int row = 0; row < Y.rows; ++row)
      for (Int k = 0; k < qb; ++k) {
        double total = 0.0;
        const double right = Y(row, b + k);
        for (Int h = 0; h < qa; ++h) {
          const double slope = dproducts[target + k * qa + h];
          total += slope * Y(row, a + h);
          dY(row, a + h) += slope * right;
        }
        dY(row, b + k) += total;
      }
  });
  const Int p = rows.p, border = Y.columns - p - 1;
  const ConstMatrix dxy = {dproducts + xy_at, p + 1, p + 1};
  for (Int row = 0; row < Y.rows; ++row)
    for (Int i = 0; i <= p; ++i)
      for (Int j = 0; j <= p; ++j)
        dY(row, border + i) += (dxy(i, j) + dxy(j, i)) * Y(row, border + j);
}

}  // namespace

System assemble(const System &y, const ResidualRows &rows, const ResidualsAt &R, Memory &memory) {
  double *products = memory.zeros(y.n_products).data;
  double *room = memory.doubles(rows.most_rows * rows.most_columns), log_det = 0.0;
  for (Int i = 0; i < rows.n_rows(); ++i) log_det += R.log_sd[i];
  log_det *= 2.0;
  for (Int block = 0; block < rows.n_blocks; ++block) {
    const Memory::Mark mark = memory.mark();
    const Matrix Y = scaled(rows, block, R.scale, room);
    whiten(rows.block_whitener(block, R.whiteners), Y, memory);
    if (rows.how != INDEPENDENT) log_det += R.log_dets[rows.block_pattern[block]];
    add_block(rows, block, Y, y.xy_at, products);
    memory.back_to(mark);
  }
  const Matrix xy = {products + y.xy_at, y.p + 1, y.p + 1};
  for (Int i = 0; i <= y.p; ++i)
    for (Int j = 0; j < i; ++j) xy(j, i) = xy(i, j);
  return y.with_products(products, log_det);
}

namespace {

// Add the adjoint of the rows' standard deviations relative to σ.
void pull_scales(const ResidualRows &rows, const ResidualsAt &R, Int block, ConstMatrix Y,
                 ConstMatrix dY, double *dlog, double *dtheta) {
  double *dexponents = dtheta + R.n_theta - rows.n_sigmas - rows.n_covariates;
  for (Int i = 0; i < Y.rows; ++i) {
    const Int row = rows.block_row[block] + i;
    double slope = -1.0;
    for (Int j = 0; j < Y.columns; ++j) slope -= dY(i, j) * Y(i, j);
    dlog[rows.sigma[row]] += slope;
    for (Int k = 0; k < rows.n_covariates; ++k)
      dexponents[k] += slope * rows.covariates[row * rows.n_covariates + k];
  }
}

}  // namespace

void assemble_pullback(const System &y, const ResidualRows &rows, const ResidualsAt &R,
                       const double *dproducts, double *dtheta, Memory &memory) {
  const Int room = rows.most_rows * rows.most_columns, last = R.n_theta - 1;
  double *scaled_room = memory.doubles(room), *Y_room = memory.doubles(room);
  double *dY_room = memory.doubles(room), *dlog = memory.zeros(rows.n_sigmas).data;
  double *dwhiteners = memory.zeros(rows.pattern_factor[rows.n_patterns]).data;
  for (Int block = 0; block < rows.n_blocks; ++block) {
    const Memory::Mark mark = memory.mark();
    const Matrix before = scaled(rows, block, R.scale, scaled_room);
    const Matrix Y = {Y_room, before.rows, before.columns};
    const Matrix dY = {dY_room, before.rows, before.columns};
    copy(before.data, before.size(), Y.data);
    const Whitener K = rows.block_whitener(block, R.whiteners);
    whiten(K, Y, memory);
    pull_block(rows, block, Y, y.xy_at, dproducts, dY);
    whiten_pullback(K, before, Y, dY, rows.block_whitener(block, dwhiteners), memory);
    pull_scales(rows, R, block, before, dY, dlog, dtheta);
    memory.back_to(mark);
  }
  for (Int k = 0; k < rows.n_sigmas; ++k) {
    const Int own = R.n_theta - rows.n_sigmas + k;
    dtheta[own] += dlog[k] / R.theta[own];
    dtheta[last] -= dlog[k] / R.theta[last];
  }
  for (Int i = 0; rows.n_corr > 0 && i < rows.n_patterns; ++i) {
    const Memory::Mark mark = memory.mark();
    whitener_pullback(rows.pattern(i, R.theta), rows.whitener(i, R.whiteners),
                      rows.whitener(i, dwhiteners), dtheta + rows.corr_of(i), memory);
    memory.back_to(mark);
  }
}

void coloured(const ResidualRows &rows, const ResidualsAt &R, const double *z, double *out,
              Memory &memory) {
  double *own = memory.doubles(rows.most_rows), *residual = memory.doubles(rows.most_rows);
  for (Int block = 0; block < rows.n_blocks; ++block) {
    const Int first = rows.block_row[block], t = rows.rows_of(block);
    for (Int i = 0; i < t; ++i) own[i] = z[rows.row[first + i]];
    colour(rows.block_whitener(block, R.whiteners), own, residual);
    for (Int i = 0; i < t; ++i) out[rows.row[first + i]] = residual[i] / R.scale[first + i];
  }
}

}  // namespace lmm
