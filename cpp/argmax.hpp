// The column of the largest score of every row: the first of equal ones, the first NaN before all numbers.
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

// The largest score, or NaN when there is one. Four vectors at a time hide the latency of a comparison.
template <class Real>
Real largest_or_nan(const Real* row, Index columns) {
  using N = Native<Real>;
  using Lanes = typename N::Lanes;
  Lanes most[4];
  for (Lanes& part : most) part = -static_cast<Real>(infinity) - Lanes{};
  auto nan = most[0] != most[0];
  Index j = 0;
  for (; j + 4 * N::count <= columns; j += 4 * N::count)
    for (int part = 0; part < 4; ++part) {
      const Lanes x = N::load(row + j + part * N::count);
      nan |= x != x;
      most[part] = N::larger(x, most[part]);
    }
  Real result = -static_cast<Real>(infinity);
  for (const Lanes& part : most)
    for (Index lane = 0; lane < N::count; ++lane) result = larger_number<Real>(part[lane], result);
  for (; j < columns; ++j) {
    if (row[j] != row[j]) return row[j];
    result = larger_number(row[j], result);
  }
  return N::any_of(nan) ? static_cast<Real>(__builtin_nan("")) : result;
}

template <class Real>
bool is_wanted(Real x, Real wanted) { return x == wanted || (x != x && wanted != wanted); }

// The first column that holds `wanted`, which is in the row.
template <class Real>
Index first_of(const Real* row, Index columns, Real wanted) {
  using N = Native<Real>;
  using Lanes = typename N::Lanes;
  const Lanes value = wanted - Lanes{};
  Index j = 0;
  for (; j + N::count < columns; j += N::count) {
    const Lanes x = N::load(row + j);
    if (N::any_of(wanted == wanted ? x == value : x != x)) break;
  }
  while (!is_wanted(row[j], wanted)) ++j;
  return j;
}

// Lanes are rows: no branch depends on a score.
template <class Real>
void argmax_of_group(const RowGroup<Real>& group, std::int64_t* out, int count) {
  Vector most = broadcast(-infinity);
  Bits best{}, column{};
  group.visit([&](Vector x) {
    const Bits better = (x > most) | ((x != x) & (most == most));
    most = better ? x : most;
    best = better ? column : best;
    column += 1;
  });
  for (int lane = 0; lane < count; ++lane) out[lane] = best[lane];
}

template <class Real>
void argmax(Matrix<const Real> scores, std::int64_t* out) {
  if (scores.columns > RowGroup<Real>::most_columns) {
    for (Index i = 0; i < scores.rows; ++i) {
      const Real* row = scores.data + i * scores.row_stride;
      out[i] = first_of(row, scores.columns, largest_or_nan(row, scores.columns));
    }
    return;
  }
  for (Index i = 0; i < scores.rows; i += lanes) {
    const int count = static_cast<int>(scores.rows - i < lanes ? scores.rows - i : lanes);
    argmax_of_group(RowGroup<Real>(scores.data + i * scores.row_stride, scores.row_stride, nullptr, 0,
                                   scores.columns, count), out + i, count);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
