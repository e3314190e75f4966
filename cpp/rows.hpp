// Runs a kernel over all rows of a matrix, by groups of rows where rows are short.
//
// A kernel is a callable on (block, first row, number of rows). It returns false, having written nothing, when a row
// of the block needs `exceptional(row)` instead: the infinities, for which the formulas do not hold.
#pragma once

#include "blocks.hpp"
#include "logarithm.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real, class Kernel>
void run_row(const Kernel& kernel, Matrix<const Real> scores, Matrix<Real> out, Index i) {
  Row<Real> row(scores.data + i * scores.row_stride, out.data + i * out.row_stride, scores.columns);
  if (!kernel(row, i, 1)) kernel.exceptional(i);
}

template <class Real, class Kernel>
void run_group(const Kernel& kernel, Matrix<const Real> scores, Matrix<Real> out, Index i, int count) {
  RowGroup<Real> group(scores.data + i * scores.row_stride, scores.row_stride, out.data + i * out.row_stride,
                       out.row_stride, scores.columns, count);
  if (kernel(group, i, count)) return;
  for (int lane = 0; lane < count; ++lane) run_row(kernel, scores, out, i + lane);
}

template <class Real, class Kernel>
void run(const Kernel& kernel, Matrix<const Real> scores, Matrix<Real> out) {
  if (scores.columns > RowGroup<Real>::most_columns) {
    for (Index i = 0; i < scores.rows; ++i) run_row(kernel, scores, out, i);
    return;
  }
  for (Index i = 0; i < scores.rows; i += lanes)
    run_group(kernel, scores, out, i, static_cast<int>(scores.rows - i < lanes ? scores.rows - i : lanes));
}

inline bool has_infinity(Vector largest) { return any(largest - largest != 0.0); }

template <class Real>
bool has_nan(const Real* row, Index columns) {
  bool found = false;
  for (Index j = 0; j < columns; ++j) found |= row[j] != row[j];
  return found;
}

template <class Real>
Real largest_of(const Real* row, Index columns) {
  Real most = -static_cast<Real>(infinity);
  for (Index j = 0; j < columns; ++j) most = larger_number(row[j], most);
  return most;
}

template <class Real>
void fill(Real* row, Index columns, double value) {
  for (Index j = 0; j < columns; ++j) row[j] = static_cast<Real>(value);
}

template <class Real>
void store_lanes(Real* to, Vector x, int count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = static_cast<Real>(x[lane]);
}

// The sum of exp(distance), over the unit, of all classes of a row but one of the largest: apart from it even the
// smallest sum keeps all its digits. Keeps the exponentials, times the unit, when asked to.
template <bool keep, class Block, class Real = typename Block::Element>
Pair sum_of_others(Block& block, Vector largest, const Temperature<Real>& temperature) {
  using A = Arithmetic<Real>;
  typename A::Term sum{};
  Bits minus_ties{};
  const auto step = [&](Vector score) {
    const Bits tied = score == largest;
    const typename A::Term term = A::exponential(A::distance(score, largest, temperature));
    sum = plus(sum, A::zero_where(tied, term));
    minus_ties += tied;
    return A::leading(term);
  };
  if constexpr (keep) block.replace(step);
  else block.visit(step);
  const Pair rest = block.across(as_pair(sum));
  const Pair total = two_sum(block.across(-minus_ties) - 1.0, rest.hi * (1.0 / A::unit));
  return {total.hi, total.lo + rest.lo * (1.0 / A::unit)};
}

inline Pair one_plus(Pair x) {
  const Pair sum = two_sum(broadcast(1.0), x.hi);
  return {sum.hi, sum.lo + x.lo};
}

}  // namespace
}  // namespace luce::LUCE_ISA
