// The column of the largest score of every row: the first of equal ones, the first NaN before all numbers.
#pragma once

#include "halves.hpp"
#include "run.hpp"

namespace luce::LUCE_ISA {
namespace {

// Shorter rows are compared side by side.
template <class Real>
constexpr Index shortest_row_by_itself = 8 * lanes<Real>;

// Blocks of a row are compared by their largest scores where vectors are long, and lanes by theirs where they are few.
constexpr bool compares_blocks = vector_bytes == 64;

// The largest score of the columns from `begin` to `end`, or NaN when there is one. The last vector covers what is left
// over by whole vectors; it may reach back before `begin`, into columns already compared.
template <class Element, class Real = Computed<Element>>
Real largest_or_nan(const Element* row, Index begin, Index end) {
  constexpr Index width = lanes<Real>;
  using V = Vector<Real>;
  V most[4];  // four at a time hide the latency of a comparison
  for (V& part : most) part = load(row + end - width);
  Bits<Real> nan = unordered(most[0], most[1]), other_nan{};
  Index j = begin;
  for (; j + 4 * width <= end; j += 4 * width) {
    V x[4];
    for (int part = 0; part < 4; ++part) {
      x[part] = load(row + j + part * width);
      __builtin_prefetch(reinterpret_cast<const char*>(row + j + part * width) + prefetch_bytes);
      most[part] = maximum(x[part], most[part]);
    }
    nan |= unordered(x[0], x[1]);
    other_nan |= unordered(x[2], x[3]);
  }
  for (; j + width <= end; j += width) {
    const V x = load(row + j);
    nan |= unordered(x, x);
    most[0] = maximum(x, most[0]);
  }
  nan |= other_nan;
  if (any(nan)) return static_cast<Real>(not_a_number);
  const V all = maximum(maximum(most[0], most[1]), maximum(most[2], most[3]));
  return folded<Real>(all, [](V a, V b) { return maximum(a, b); })[0];
}

// The first column from `begin` whose score is `wanted(score)`; there is one.
template <class Element, class Wanted, class Real = Computed<Element>>
Index first_of(const Element* row, Index begin, Index columns, Wanted wanted) {
  constexpr Index width = lanes<Real>;
  const auto hits_at = [&](Index j) { return wanted(load(row + j)); };
  const Index last = columns - width;
  Index j = begin;
  while (j + 4 * width <= columns &&
         !any((hits_at(j) | hits_at(j + width)) | (hits_at(j + 2 * width) | hits_at(j + 3 * width))))
    j += 4 * width;
  for (;; j += width) {
    if (j > last) j = last;
    const auto hits = hits_at(j);
    if (!any(hits)) continue;
    Index lane = 0;
    while (!hits[lane]) ++lane;
    return j + lane;
  }
}

// A row of at least four vectors, gone through in groups of four: each lane keeps its largest score and the group that was
// the first to have it. The first and the last group may overlap others, which are aligned; only the one that holds the
// answer is looked at again.
template <class Element>
Index argmax_by_groups(const Element* row, Index columns) {
  using Real = Computed<Element>;
  using V = Vector<Real>;
  constexpr Index width = lanes<Real>, size = 4 * width, line = 64 / sizeof(Element);
  constexpr Index aligned_to = line < size ? line : size;
  const Index misaligned = static_cast<Index>(reinterpret_cast<std::uintptr_t>(row) / sizeof(Element)) % aligned_to;
  const Index last = columns - size;
  V most = broadcast<Real>(-infinity);
  Bits<Real> best{}, group{}, nan{};
  const auto take = [&](const Element* from) __attribute__((always_inline)) {
    for (Index i = 0; i < size; i += line)
      __builtin_prefetch(reinterpret_cast<const char*>(from + i) + prefetch_bytes);
    V x[4];
    for (int i = 0; i < 4; ++i) x[i] = load(from + i * width);
    nan |= unordered(x[0], x[1]) | unordered(x[2], x[3]);
    const V here = maximum(maximum(x[0], x[1]), maximum(x[2], x[3]));
    best = here > most ? group : best;
    most = maximum(here, most);
    group += 1;
  };
  take(row);
  for (Index j = size - misaligned; j < last; j += size) take(row + j);
  take(row + last);
  if (any(nan)) return first_of(row, 0, columns, [](V x) { return x != x; });
  const V largest = largest_lane<Real>(most);
  best = most == largest ? best : group;
  const Index first = folded<typename BitsOf<Real>::Type>(best, [](auto a, auto b) { return a < b ? a : b; })[0];
  const Index aligned = first * size - misaligned;
  const Index at = first == 0 ? 0 : aligned < last ? aligned : last;
  unsigned hits = 0;
  for (int i = 0; i < 4; ++i) hits |= mask_bits(load(row + at + i * width) == largest) << (i * width);
  return at + __builtin_ctz(hits);
}

// Only the block that holds the answer is read again, while it is in cache. A row has at least two vectors; the first
// block is one that leaves the others aligned.
template <class Element>
Index argmax_of_row(const Element* row, Index columns) {
  using Real = Computed<Element>;
  if constexpr (!compares_blocks) return argmax_by_groups(row, columns);
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
  if (most != most) return first_of(row, begin, columns, [](Vector<Real> x) { return x != x; });
  const Vector<Real> value = most - Vector<Real>{};
  return first_of(row, begin, columns, [&](Vector<Real> x) { return x == value; });
}

// Lanes are rows, of one vector after another: no branch depends on a score. Fewer rows than a vector has lanes are
// `count` of one panel.
template <int panels, bool is_partial = false, class Element, class Real = Computed<Element>>
void argmax_of_lanes(const Element* scores, Index columns, Index class_distance, std::int64_t* out, int count) {
  constexpr int width = lanes<Real>;
  Vector<Real> most[panels];
  Bits<Real> best[panels] = {}, column{};
  for (auto& x : most) x = broadcast<Real>(-infinity);
  for (Index j = 0; j < columns; ++j, column += 1)
    for (int panel = 0; panel < panels; ++panel) {
      __builtin_prefetch(scores + (j + 8) * class_distance + panel * width);
      const Vector<Real> x = is_partial ? load_first(scores + j * class_distance, count, 0.0)
                                        : load(scores + j * class_distance + panel * width);
      const auto better = (x > most[panel]) | ((x != x) & (most[panel] == most[panel]));
      most[panel] = better ? x : most[panel];
      best[panel] = better ? column : best[panel];
    }
  for (int lane = 0; lane < count; ++lane) out[lane] = best[lane / width][lane % width];
}

// Gathers the largest scores of each vector of a step, and whether there are NaN.
template <class Real, int count>
struct LargestOrNan {
  const Ahead& ahead;
  Index j = 0;
  Largest<Real, count> largest{};
  Bits<Real> nan{};

  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    for (int i = 0; i < count; ++i) ahead.ask_for(j++);
    for (int i = 0; i < count; i += 2) nan |= unordered(x[i], x[i + 1]);
    largest.step(x);
  }
  void settle() {}
};

// For each row of a panel the first class whose score is wanted, or what it was.
template <class Real, class Wanted>
[[gnu::always_inline]] inline Bits<Real> first_of_panel(const Vector<Real>* scores, Index columns, Bits<Real> was,
                                                        Wanted wanted) {
  for (Index j = columns - 1; j >= 0; --j) was = wanted(scores[j]) ? Bits<Real>{} + static_cast<int>(j) : was;
  return was;
}

// The rows of a panel: the largest of each is sought first, then where it stands.
template <class Real>
void argmax_of_panel(Panel<Real>& panel, const Vector<Real>* buffer, Index columns, const Ahead& ahead, std::int64_t* out,
                     int count) {
  const auto found = panel.fill(LargestOrNan<Real, Panel<Real>::together>{ahead});
  const Vector<Real> largest = found.largest.merged();
  Bits<Real> best = first_of_panel<Real>(buffer, columns, Bits<Real>{}, [&](Vector<Real> x) { return x == largest; });
  if (any(found.nan)) best = first_of_panel<Real>(buffer, columns, best, [](Vector<Real> x) { return x != x; });
  for (int lane = 0; lane < count; ++lane) out[lane] = best[lane];
}

template <class Element>
void argmax(Matrix<const Element> scores, std::int64_t* out, Workspace workspace);

template <class Element>
[[gnu::noinline]] void argmax_in_floats(const Matrix<const Element>& scores, std::int64_t* out, const Workspace& workspace) {
  in_floats(scores, Matrix<Element>{}, workspace, [&](Index i, Matrix<const float> from, Matrix<float>, Workspace rest) {
    argmax(from, out + i, rest);
  });
}

template <class Element>
[[gnu::flatten]] void argmax(Matrix<const Element> scores, std::int64_t* out, Workspace workspace) {
  using Real = Computed<Element>;
  constexpr Index width = lanes<Real>;
  const bool is_short = scores.columns < shortest_row_by_itself<Real>;
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
    if constexpr (!compares_blocks) {
      for (; i + width <= scores.rows && !is_cancelled(workspace); i += width)
        argmax_of_lanes<1>(row_of(scores, i), scores.columns, scores.column_stride, out + i, width);
      if (i < scores.rows && !is_cancelled(workspace))
        argmax_of_lanes<1, true>(row_of(scores, i), scores.columns, scores.column_stride, out + i,
                                 static_cast<int>(scores.rows - i));
      return;
    }
  }
  if constexpr (is_half<Element>) {
    argmax_in_floats(rows_of(scores, i, static_cast<int>(scores.rows - i)), out + i, workspace);
  } else if (is_short || scores.row_stride == 1) {
    auto* const buffer = static_cast<Vector<Real>*>(workspace.memory);
    auto& stage = *reinterpret_cast<Stage<Real>*>(buffer + scores.columns + least_columns);
    for (; i < scores.rows && !is_cancelled(workspace); i += width) {
      const int count = static_cast<int>(scores.rows - i < width ? scores.rows - i : width);
      const Place<const Real> place = bring(rows_of(scores, i, count), stage, buffer);
      const Ahead ahead = ahead_of(scores, Matrix<Element>{}, i, buffer);
      Panel<Real> panel(buffer, buffer, scores.columns, count, place, {}, ahead);
      argmax_of_panel(panel, buffer, scores.columns, ahead, out + i, count);
    }
  } else {
    for (; i < scores.rows && !is_cancelled(workspace); ++i) {
      Real* const gathered = static_cast<Real*>(workspace.memory);
      const Element* from = row_of(scores, i);
      for (Index j = 0; j < scores.columns; ++j) gathered[j] = from[j * scores.column_stride];
      out[i] = argmax_of_row(gathered, scores.columns);
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
