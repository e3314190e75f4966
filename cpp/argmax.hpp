// The column of the largest score of every row: the first of equal ones, the first NaN before all numbers.
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

// The largest score of the columns from `begin` to `end`, or NaN when there is one. The last vector covers what is left
// over by whole vectors; it may reach back before `begin`, into columns already compared.
template <class Real>
Real largest_or_nan(const Real* row, Index begin, Index end) {
  using N = Native<Real>;
  using Lanes = typename N::Lanes;
  Lanes most[4];  // four at a time hide the latency of a comparison
  for (Lanes& part : most) part = N::load(row + end - N::count);
  auto nan = most[0] != most[0];
  Index j = begin;
  for (; j + 4 * N::count <= end; j += 4 * N::count)
    for (int part = 0; part < 4; ++part) {
      const Lanes x = N::load(row + j + part * N::count);
      nan |= x != x;
      most[part] = N::larger(x, most[part]);
    }
  for (; j + N::count <= end; j += N::count) {
    const Lanes x = N::load(row + j);
    nan |= x != x;
    most[0] = N::larger(x, most[0]);
  }
  if (N::any_of(nan)) return static_cast<Real>(__builtin_nan(""));
  return N::largest_lane(N::larger(N::larger(most[0], most[1]), N::larger(most[2], most[3])));
}

// The first column from `begin` that holds `wanted`; there is one.
template <class Real>
Index first_of(const Real* row, Index begin, Index columns, Real wanted) {
  using N = Native<Real>;
  const typename N::Lanes value = wanted - typename N::Lanes{};
  const auto hits_at = [&](Index j) {
    const typename N::Lanes x = N::load(row + j);
    return (x == value) | ((x != x) & (value != value));
  };
  const Index last = columns - N::count;
  Index j = begin < last ? begin : last;
  auto hits = hits_at(j);
  while (!N::any_of(hits)) {
    j = j + N::count < last ? j + N::count : last;
    hits = hits_at(j);
  }
  Index lane = N::count;
  for (Index other = N::count; other-- > 0;) lane = hits[other] ? other : lane;
  return j + lane;
}

// Only the block that holds the answer is read again, while it is in cache. A row has at least one vector.
template <class Real>
Index argmax_of_row(const Real* row, Index columns) {
  constexpr Index block = 32 * Native<Real>::count;
  Real most = -static_cast<Real>(infinity);
  Index begin = 0;
  for (Index j = 0; j < columns; j += block) {
    const Real here = largest_or_nan(row, j, columns - j < block ? columns : j + block);
    if (here > most || here != here) {
      most = here;
      begin = j;
    }
    if (here != here) break;
  }
  return first_of(row, begin, columns, most);
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
    for (Index i = 0; i < scores.rows; ++i)
      out[i] = argmax_of_row(scores.data + i * scores.row_stride, scores.columns);
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
