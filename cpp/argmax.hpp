// The column of the largest score of every row: the first of equal ones, the first NaN before all numbers.
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

// The largest score of the columns from `begin` to `end`, or NaN when there is one. The last vector covers what is left
// over by whole vectors; it may reach back before `begin`, into columns already compared.
template <class Element, class Real = Computed<Element>>
Real largest_or_nan(const Element* row, Index begin, Index end) {
  constexpr Index width = lanes<Real>;
  using V = Vector<Real>;
  V most[4];  // four at a time hide the latency of a comparison
  for (V& part : most) part = load(row + end - width);
  auto nan = most[0] != most[0];
  Index j = begin;
  for (; j + 4 * width <= end; j += 4 * width)
    for (int part = 0; part < 4; ++part) {
      const V x = load(row + j + part * width);
      nan |= x != x;
      most[part] = maximum(x, most[part]);
    }
  for (; j + width <= end; j += width) {
    const V x = load(row + j);
    nan |= x != x;
    most[0] = maximum(x, most[0]);
  }
  if (any(nan)) return static_cast<Real>(not_a_number);
  const V all = maximum(maximum(most[0], most[1]), maximum(most[2], most[3]));
  return folded<Real>(all, [](V a, V b) { return maximum(a, b); })[0];
}

// The first column from `begin` that holds `wanted`; there is one.
template <class Element, class Real = Computed<Element>>
Index first_of(const Element* row, Index begin, Index columns, Real wanted) {
  constexpr Index width = lanes<Real>;
  const Vector<Real> value = wanted - Vector<Real>{};
  const auto hits_at = [&](Index j) {
    const Vector<Real> x = load(row + j);
    return (x == value) | ((x != x) & (value != value));
  };
  const Index last = columns - width;
  Index j = begin < last ? begin : last;
  auto hits = hits_at(j);
  while (!any(hits)) {
    j = j + width < last ? j + width : last;
    hits = hits_at(j);
  }
  Index lane = width;
  for (Index other = width; other-- > 0;) lane = hits[other] ? other : lane;
  return j + lane;
}

// Only the block that holds the answer is read again, while it is in cache. A row has at least two vectors; the first
// block is one that leaves the others aligned.
template <class Element>
Index argmax_of_row(const Element* row, Index columns) {
  using Real = Computed<Element>;
  constexpr Index width = lanes<Real>, block = 16 * width;
  const auto misaligned = static_cast<Index>(reinterpret_cast<std::uintptr_t>(row) / sizeof(Element) % width);
  Real most = -static_cast<Real>(infinity);
  Index begin = 0;
  for (Index j = 0, end = misaligned == 0 ? block : 2 * width - misaligned; j < columns; j = end, end += block) {
    const Real here = largest_or_nan(row, j, end < columns ? end : columns);
    if (here > most || here != here) {
      most = here;
      begin = j;
    }
    if (here != here) break;
  }
  return first_of(row, begin, columns, most);
}

// Lanes are rows, of one vector after another: no branch depends on a score.
template <int panels, class Element, class Real = Computed<Element>>
void argmax_of_lanes(const Element* scores, Index columns, Index class_distance, std::int64_t* out, int count) {
  constexpr int width = lanes<Real>;
  Vector<Real> most[panels];
  Bits<Real> best[panels] = {}, column{};
  for (auto& x : most) x = broadcast<Real>(-infinity);
  for (Index j = 0; j < columns; ++j, column += 1)
    for (int panel = 0; panel < panels; ++panel) {
      __builtin_prefetch(scores + (j + 8) * class_distance + panel * width);
      const Vector<Real> x = load(scores + j * class_distance + panel * width);
      const auto better = (x > most[panel]) | ((x != x) & (most[panel] == most[panel]));
      most[panel] = better ? x : most[panel];
      best[panel] = better ? column : best[panel];
    }
  for (int lane = 0; lane < count; ++lane) out[lane] = best[lane / width][lane % width];
}

template <class Element>
void argmax(Matrix<const Element> scores, std::int64_t* out, Workspace workspace) {
  using Real = Computed<Element>;
  constexpr Index width = lanes<Real>;
  const bool is_short = scores.columns <= short_columns<Real>;
  if (scores.column_stride == 1 && !is_short) {
    for (Index i = 0; i < scores.rows && !is_cancelled(workspace); ++i)
      out[i] = argmax_of_row(row_of(scores, i), scores.columns);
    return;
  }
  Index i = 0;
  if (scores.row_stride == 1) {  // long stretches of memory at a time, for its sake
    for (; i + 32 * width <= scores.rows && !is_cancelled(workspace); i += 32 * width)
      argmax_of_lanes<32>(row_of(scores, i), scores.columns, scores.column_stride, out + i, 32 * width);
    for (; i + 4 * width <= scores.rows && !is_cancelled(workspace); i += 4 * width)
      argmax_of_lanes<4>(row_of(scores, i), scores.columns, scores.column_stride, out + i, 4 * width);
  }
  if (is_short || scores.row_stride == 1) {
    auto* const buffer = static_cast<Vector<Real>*>(workspace.memory);
    for (; i < scores.rows && !is_cancelled(workspace); i += width) {
      const int count = static_cast<int>(scores.rows - i < width ? scores.rows - i : width);
      pack(scores, i, count, buffer);
      argmax_of_lanes<1>(reinterpret_cast<const Real*>(buffer), scores.columns, width, out + i, count);
    }
    return;
  }
  for (; i < scores.rows && !is_cancelled(workspace); ++i) {
    Real* const gathered = static_cast<Real*>(workspace.memory);
    const Element* from = row_of(scores, i);
    for (Index j = 0; j < scores.columns; ++j) gathered[j] = get(from + j * scores.column_stride);
    out[i] = argmax_of_row(gathered, scores.columns);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
