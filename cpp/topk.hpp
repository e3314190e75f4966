// The k largest scores of every row, largest first, and their columns: of equal ones the first goes first, NaN goes before
// all numbers.
#pragma once

#include <limits>

#include "halves.hpp"
#include "run.hpp"

namespace luce::LUCE_ISA {
namespace {

// A whole number for each score, in their order: equal for zeros of both signs.
template <class Real>
[[gnu::always_inline]] inline Bits<Real> order_of(Vector<Real> x) {
  using Bit = typename BitsOf<Real>::Type;
  constexpr Bit most = std::numeric_limits<Bit>::max();
  const Bits<Real> bits = as_bits(x + Vector<Real>{});
  return reinterpret_cast<Bits<Real>>(x != x) ? Bits<Real>{} + most : bits ^ ((bits >> (8 * sizeof(Real) - 1)) & most);
}

// Score and column as one number: what comes first is larger.
template <class Real>
struct RankOf;
template <> struct RankOf<float> { using Type = std::int64_t; };
template <> struct RankOf<double> { __extension__ using Type = __int128; };
template <class Real>
using Rank = typename RankOf<Real>::Type;

template <class Real>
inline Rank<Real> rank_of(Real score, Index column) {
  constexpr int bits = 8 * sizeof(Real);
  const Rank<Real> order = order_of<Real>(score - Vector<Real>{})[0];
  return order * (Rank<Real>{1} << bits) + ((Rank<Real>{1} << bits) - 1 - column);
}
template <class Real>
inline Index column_of(Rank<Real> rank) {
  constexpr Rank<Real> most = (Rank<Real>{1} << (8 * sizeof(Real))) - 1;
  return static_cast<Index>(most - (rank & most));
}

// Of short rows up to so many are found side by side.
constexpr Index most_side_by_side = 16;

// Rows side by side, one in each lane: every class passes through the k places, and takes one where it comes before what is
// there. What it moves goes on to the places behind, equal or not.
template <class Real>
void topk_of_panel(const Vector<Real>* scores, Index columns, Index k, Bits<Real>* orders, Bits<Real>* found) {
  constexpr auto none = std::numeric_limits<typename BitsOf<Real>::Type>::min();
  for (Index place = 0; place < k; ++place) orders[place] = Bits<Real>{} + none;
  Bits<Real> number{};
  for (Index j = 0; j < columns; ++j, number += 1) {
    Bits<Real> order = order_of<Real>(scores[j]), column = number;
    if (!any(order > orders[k - 1])) continue;
    Bits<Real> moves{};
    for (Index place = 0; place < k; ++place) {
      const Bits<Real> order_there = orders[place], column_there = found[place];
      moves |= reinterpret_cast<Bits<Real>>(order > order_there);
      orders[place] = moves ? order : order_there;
      found[place] = moves ? column : column_there;
      order = moves ? order_there : order;
      column = moves ? column_there : column;
    }
  }
}

// Puts a rank where a heap of `size` has a gap at its top, which is the smallest.
template <class R>
inline void sift(R* ranks, Index size, R rank) {
  Index at = 0;
  for (Index below = 1; below < size; below = 2 * at + 1) {
    if (below + 1 < size && ranks[below + 1] < ranks[below]) ++below;
    if (rank <= ranks[below]) break;
    ranks[at] = ranks[below];
    at = below;
  }
  ranks[at] = rank;
}

// So many ranks are looked at before it is asked whether to go on.
constexpr Index ranks_at_a_time = Index{1} << 16;

// The ranks of one row's largest scores, into room for k of them; false if it was given up.
template <class Real>
bool topk_of_row(const Real* row, Index columns, Index k, Rank<Real>* ranks, const Workspace& workspace) {
  constexpr Index width = lanes<Real>;
  const auto is_over = [&](Index j) { return j % ranks_at_a_time == 0 && j > 0 && is_given_up(workspace); };
  Index j = 0;
  for (; j < k; ++j) {  // up a heap that grows
    if (is_over(j)) return false;
    const Rank<Real> rank = rank_of<Real>(row[j], j);
    Index at = j;
    for (; at > 0 && rank < ranks[(at - 1) / 2]; at = (at - 1) / 2) ranks[at] = ranks[(at - 1) / 2];
    ranks[at] = rank;
  }
  const auto take = [&](Index column) {
    const Rank<Real> rank = rank_of<Real>(row[column], column);
    if (rank > ranks[0]) sift(ranks, k, rank);
  };
  while (j + width <= columns) {
    const Index end = columns - j < ranks_at_a_time ? columns : j + ranks_at_a_time;
    for (; j + width <= end; j += width) {
      const Vector<Real> x = load(row + j), last = row[column_of<Real>(ranks[0])] - Vector<Real>{};
      for (unsigned hits = mask_bits((x > last) | (x != x)); hits != 0; hits &= hits - 1) take(j + __builtin_ctz(hits));
    }
    if (end < columns && is_given_up(workspace)) return false;
  }
  for (; j < columns; ++j) take(j);
  for (Index held = k - 1; held > 0; --held) {
    if (is_over(held)) return false;
    const Rank<Real> last = ranks[held];
    ranks[held] = ranks[0];
    sift(ranks, held, last);
  }
  return true;
}

template <class Element>
void topk(Matrix<const Element> scores, Matrix<Element> values, Matrix<std::int64_t> indices, Workspace workspace) {
  using Real = Computed<Element>;
  constexpr Index width = lanes<Real>;
  const Index k = values.columns, columns = scores.columns;
  const auto put = [&](Index i, Index place, Index column) {
    row_of(indices, i)[place * indices.column_stride] = column;
    row_of(values, i)[place * values.column_stride] = row_of(scores, i)[column * scores.column_stride];
  };
  auto* const gathered = static_cast<Real*>(workspace.memory);
  if (columns <= short_columns<Real> && k <= most_side_by_side) {
    auto* const buffer = reinterpret_cast<Vector<Real>*>(gathered + width * short_columns<Real>);
    auto& stage = *reinterpret_cast<Stage<Real>*>(buffer + columns + least_columns);
    Bits<Real> orders[most_side_by_side], found[most_side_by_side];
    for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += width) {
      const int count = static_cast<int>(scores.rows - i < width ? scores.rows - i : width);
      Matrix<const Real> from{gathered, count, columns, columns, 1};
      if constexpr (is_half<Element>)
        for (int row = 0; row < count; ++row)
          copy_row(row_of(scores, i + row), scores.column_stride, columns, gathered + row * columns);
      else from = rows_of(scores, i, count);
      Panel<Real> panel(buffer, buffer, columns, count, bring(from, stage, buffer), {}, {buffer, 0, buffer, 0});
      topk_of_panel<Real>(panel.columns(), columns, k, orders, found);
      for (int row = 0; row < count; ++row)
        for (Index place = 0; place < k; ++place) put(i + row, place, found[place][row]);
    }
    return;
  }
  auto* const ranks = reinterpret_cast<Rank<Real>*>(gathered + (columns + width - 1) / width * width);
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); ++i) {
    const Real* row = gathered;
    if constexpr (!is_half<Element>)
      if (scores.column_stride == 1) row = row_of(scores, i);
    if (row == gathered) copy_row(row_of(scores, i), scores.column_stride, columns, gathered);
    if (!topk_of_row(row, columns, k, ranks, workspace)) return;
    for (Index place = 0; place < k; ++place) put(i, place, column_of<Real>(ranks[place]));
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
