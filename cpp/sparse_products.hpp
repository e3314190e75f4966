// The products of a linear classifier on sparse rows. Coefficients and the sums of the gradient lie feature by feature,
// with the classes of each adjacent and padded: an entry of a row takes one such line of the former, and adds to one of the
// latter, with classes in the lanes.
#pragma once

#include "vectors.hpp"

namespace luce::LUCE_ISA {
namespace {

// So many vectors of classes are gone through together: their sums stay in registers.
constexpr int most_vectors = 8;

// So many products are added up in the type of the scores before they join the sum: rounding does not grow with more.
constexpr Index most_entries_of_a_score = 256, most_entries_of_a_sum = 64;

// With so few classes it is quicker to add to sums in memory than to sort entries first.
constexpr int most_vectors_unsorted = 2;

constexpr auto entry_rows = static_cast<std::uint32_t>(most_sparse_rows);

template <class Real, int width>
struct SomeOf { typedef Real Type __attribute__((vector_size(width * sizeof(Real)))); };
template <class Real, int width>
using Some = typename SomeOf<Real, width>::Type;

// Vectors narrower than the widest serve few classes: lines are shorter then, and more of them fit the caches.
template <class Real>
constexpr int least_width = 16 / static_cast<int>(sizeof(Real));

template <class Real>
Index padded_classes(Index classes) {
  Index width = least_width<Real>;
  while (width < classes && width < lanes<Real>) width *= 2;
  return (classes + width - 1) / width * width;
}

template <int number>
struct Constant { static constexpr int value = number; };

// f(Constant<vectors>) for a number of vectors known only now.
template <int most, int vectors = 1, class F>
[[gnu::always_inline]] inline void with_vectors(Index wanted, F f) {
  if constexpr (vectors == most) {
    f(Constant<vectors>{});
  } else {
    if (wanted == vectors) return f(Constant<vectors>{});
    with_vectors<most, vectors + 1>(wanted, f);
  }
}

// f(width of a vector, number of vectors, first class), panel by panel, each of at most `most` vectors.
template <class Real, int most, int width = least_width<Real>, class F>
[[gnu::always_inline]] inline void by_panels(Index classes, Index padded, F f) {
  if constexpr (width < lanes<Real>) {
    if (padded > width) return by_panels<Real, most, 2 * width>(classes, padded, f);
  }
  for (Index first = 0, left = classes / width; left > 0;) {
    const Index panels = (left + most - 1) / most, vectors = (left + panels - 1) / panels;
    with_vectors<most>(vectors, [&](auto count) __attribute__((always_inline)) { f(Constant<width>{}, count, first); });
    first += vectors * width;
    left -= vectors;
  }
}

template <class Real, int width>
[[gnu::always_inline]] inline Some<Real, width> load_some(const Real* from) {
  Some<Real, width> x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

template <class Real, int width>
[[gnu::always_inline]] inline Some<Real, width> times_plus_some(Some<Real, width> a, Some<Real, width> b,
                                                                Some<Real, width> c) {
#if defined(__FMA__) || defined(__aarch64__)
  if constexpr (width == lanes<Real>) return multiply_add(a, b, c);
#endif
  return a * b + c;
}

// Wide sums: of a narrow vector one vector of doubles, of a whole one as many as it takes.
template <class Real, int width>
constexpr int wide_groups = width == lanes<Real> ? groups<Real> : 1;
template <class Real, int width>
constexpr int wide_width = width / wide_groups<Real, width>;
template <class Real, int width>
[[gnu::always_inline]] inline Some<double, wide_width<Real, width>> widened_some(Some<Real, width> x, int group) {
  if constexpr (width == lanes<Real>) return widened(x, group);
  else return __builtin_convertvector(x, Some<double, width>);
}

template <class Real, int width>
[[gnu::always_inline]] inline void add_wide(double* to, Some<Real, width> x) {
  constexpr int wide = wide_width<Real, width>;
#pragma GCC unroll 2
  for (int group = 0; group < wide_groups<Real, width>; ++group) {
    const Some<double, wide> sum = load_some<double, wide>(to + group * wide) + widened_some<Real, width>(x, group);
    __builtin_memcpy(to + group * wide, &sum, sizeof sum);
  }
}

// Coefficients of features `from` to `to`, feature by feature; what pads them is 0.
template <class Real>
void pack_features(const Matrix<const Real>& coef, Index from, Index to, Real* packed, Index padded, Index stride) {
  constexpr Index together = 16;
  for (Index some = from; some < to; some += together) {
    const Index end = some + together < to ? some + together : to;
    for (Index c = 0; c < coef.rows; ++c) {
      const Real* const of_class = coef.data + c * coef.row_stride;
      for (Index j = some; j < end; ++j) packed[j * stride + c] = of_class[j * coef.column_stride];
    }
    for (Index j = some; j < end; ++j)
      for (Index c = coef.rows; c < padded; ++c) packed[j * stride + c] = 0;
  }
}

// The way back, of sums.
inline void unpack_features(const double* sums, Index padded, Index from, Index to, const Matrix<double>& gradient) {
  constexpr Index together = 16;
  for (Index some = from; some < to; some += together) {
    const Index end = some + together < to ? some + together : to;
    for (Index c = 0; c < gradient.rows; ++c) {
      double* const of_class = gradient.data + c * gradient.row_stride;
      for (Index j = some; j < end; ++j) of_class[j] = sums[j * padded + c];
    }
  }
}

// Indices as they are used, copied so that nobody can change them meanwhile. Whether all are below `end`.
template <class Integer>
bool bring_indices(const Integer* indices, Index count, std::uint32_t end, std::uint32_t* features) {
  using Unsigned = std::conditional_t<sizeof(Integer) == 4, std::uint32_t, std::uint64_t>;
  Unsigned wrong = 0;
  for (Index t = 0; t < count; ++t) {
    const auto index = static_cast<Unsigned>(indices[t]);
    features[t] = static_cast<std::uint32_t>(index);
    wrong |= index >= end;
  }
  return wrong == 0;
}

inline void widen_values(const float* values, Index count, double* to) {
  for (Index t = 0; t < count; ++t) to[t] = values[t];
}

template <class Real, int width, int vectors>
[[gnu::noinline]] void score_panel(const SparseRows<Real>& rows, const Real* packed, Index stride, const Real* start,
                                   Real* scores) {
  using V = Some<Real, width>;
  // Sums enough to keep multipliers busy.
  constexpr int chains = vectors == 1 ? 4 : vectors <= 3 ? 2 : 1;
  for (Index i = 0; i < rows.rows; ++i, scores += stride) {
    V total[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) total[v] = load_some<Real, width>(start + v * width);
    const Index end = rows.starts[i + 1];
    for (Index t = rows.starts[i]; t < end;) {
      const Index stop = end - t > most_entries_of_a_score ? t + most_entries_of_a_score : end;
      V sums[chains][vectors] = {};
      const auto add = [&](Index t, int chain) __attribute__((always_inline)) {
        const Real* const line = packed + rows.features[t] * stride;
        const V x = rows.values[t] - V{};
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
          sums[chain][v] = times_plus_some<Real, width>(x, load_some<Real, width>(line + v * width), sums[chain][v]);
      };
#pragma GCC unroll 1
      for (; t + chains <= stop; t += chains)
#pragma GCC unroll 4
        for (int chain = 0; chain < chains; ++chain) add(t + chain, chain);
#pragma GCC unroll 1
      for (; t < stop; ++t) add(t, 0);
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) total[v] += sums[chain][v];
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) __builtin_memcpy(scores + v * width, &total[v], sizeof total[v]);
  }
}

// scores = rows coef' + start, also of classes that are but padding. Lines of coefficients, and rows of scores, are `stride`
// apart: those of a direction may follow the `padded` classes.
template <class Real>
void score_sparse(const SparseRows<Real>& rows, const Real* packed, Index padded, Index stride, const Real* start,
                  Real* scores) {
  by_panels<Real, most_vectors>(stride, padded, [&](auto width, auto vectors, Index first) __attribute__((always_inline)) {
    score_panel<Real, decltype(width)::value, decltype(vectors)::value>(rows, packed + first, stride, start + first,
                                                                       scores + first);
  });
}

template <class Real, int width, int vectors>
[[gnu::noinline]] void add_rows_panel(const SparseRows<Real>& rows, const Real* residuals, Index stride, double* sums,
                                      Index padded) {
  constexpr int wide = wide_width<Real, width>, all_groups = wide_groups<Real, width>;
  using W = Some<double, wide>;
  for (Index i = 0; i < rows.rows; ++i, residuals += stride) {
    W residual[vectors][all_groups];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
#pragma GCC unroll 2
      for (int group = 0; group < all_groups; ++group)
        residual[v][group] = widened_some<Real, width>(load_some<Real, width>(residuals + v * width), group);
    const Index end = rows.starts[i + 1];
#pragma GCC unroll 1
    for (Index t = rows.starts[i]; t < end; ++t) {
      double* const line = sums + rows.features[t] * padded;
      const W x = static_cast<double>(rows.values[t]) - W{};
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
#pragma GCC unroll 2
        for (int group = 0; group < all_groups; ++group) {
          double* const to = line + v * width + group * wide;
          const W sum = times_plus_some<double, wide>(x, residual[v][group], load_some<double, wide>(to));
          __builtin_memcpy(to, &sum, sizeof sum);
        }
    }
  }
}

// sums += rows' residuals, row by row: for sums that stay in a core's caches.
template <class Real>
void add_rows(const SparseRows<Real>& rows, const Real* residuals, Index stride, double* sums, Index padded) {
  by_panels<Real, 4>(padded, padded, [&](auto width, auto vectors, Index first) __attribute__((always_inline)) {
    add_rows_panel<Real, decltype(width)::value, decltype(vectors)::value>(rows, residuals + first, stride, sums + first,
                                                                          padded);
  });
}

template <class Real>
void add_residuals(const Real* residuals, Index stride, Index rows, double* sums, Index padded) {
  by_panels<Real, 4>(padded, padded, [&](auto width, auto vectors, Index first) __attribute__((always_inline)) {
    for (Index i = 0; i < rows; ++i)
      for (int v = 0; v < decltype(vectors)::value; ++v) {
        constexpr int lanes_of_vector = decltype(width)::value;
        const Index at = first + v * lanes_of_vector;
        add_wide<Real, lanes_of_vector>(sums + at, load_some<Real, lanes_of_vector>(residuals + i * stride + at));
      }
  });
}

// Entries of rows, numbered from `first_row` on, in the order of their ranges of 2^shift features; `ends` of the ranges.
template <class Real>
void sort_by_ranges(const SparseRows<Real>& rows, Index first_row, int shift, Index ranges, std::uint32_t* ends,
                    SparseEntry<Real>* entries) {
  const std::uint32_t* const features = rows.features;
  const Index first = rows.starts[0], count = rows.starts[rows.rows] - first;
  for (Index range = 0; range < ranges; ++range) ends[range] = 0;
  for (Index t = 0; t < count; ++t) ++ends[features[first + t] >> shift];
  std::uint32_t before = 0;
  for (Index range = 0; range < ranges; ++range) {
    const std::uint32_t size = ends[range];
    ends[range] = before;
    before += size;
  }
  const std::uint32_t within = (std::uint32_t{1} << shift) - 1;
  for (Index i = 0; i < rows.rows; ++i) {
    const auto row = static_cast<std::uint32_t>(first_row + i);
    for (Index t = rows.starts[i]; t < rows.starts[i + 1]; ++t)
      entries[ends[features[t] >> shift]++] = {(features[t] & within) * entry_rows + row, rows.values[t]};
  }
}

template <class Real>
struct SortedEntries {
  const SparseEntry<Real>* entries;
  const std::uint32_t* ends;  // by feature
  Index features;
};

template <class Real, int width, int vectors>
[[gnu::noinline]] void add_sorted_panel(const SortedEntries<Real>& entries, const Real* residuals, Index stride,
                                        double* sums, Index padded) {
  using V = Some<Real, width>;
  Index t = 0;
  for (Index j = 0; j < entries.features; ++j, sums += padded) {
    const Index end = entries.ends[j];
    while (t < end) {
      const Index stop = end - t > most_entries_of_a_sum ? t + most_entries_of_a_sum : end;
      V total[vectors] = {};
#pragma GCC unroll 1
      for (; t < stop; ++t) {
        const V x = entries.entries[t].value - V{};
        const Real* const residual = residuals + entries.entries[t].number % entry_rows * stride;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
          total[v] = times_plus_some<Real, width>(x, load_some<Real, width>(residual + v * width), total[v]);
      }
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) add_wide<Real, width>(sums + v * width, total[v]);
    }
  }
}

template <class Real, int width, int vectors>
[[gnu::noinline]] void add_parts_panel(const SparseRange<Real>* parts, Index count, const Real* residuals, Index stride,
                                       double* sums, Index padded) {
  for (Index part = 0; part < count; ++part)
    for (const auto* entry = parts[part].begin; entry != parts[part].end; ++entry) {
      const Some<Real, width> x = entry->value - Some<Real, width>{};
      const Real* const residual = residuals + entry->number % entry_rows * stride;
      double* const line = sums + entry->number / entry_rows * padded;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v)
        add_wide<Real, width>(line + v * width, x * load_some<Real, width>(residual + v * width));
    }
}

// sums += values residuals of the entries of one range of features, in `parts` that follow one another. With many classes
// they are sorted by feature first. `memory` has room for an integer a feature, and for the entries.
template <class Real>
void add_range(const SparseRange<Real>* parts, Index count, Index features, const Real* residuals, Index stride, double* sums,
               Index padded, void* memory) {
  Index all = 0;
  for (Index part = 0; part < count; ++part) all += parts[part].end - parts[part].begin;
  if (padded <= most_vectors_unsorted * lanes<Real> || all < features) {
    by_panels<Real, most_vectors>(padded, padded, [&](auto width, auto vectors, Index from) __attribute__((always_inline)) {
      add_parts_panel<Real, decltype(width)::value, decltype(vectors)::value>(parts, count, residuals + from, stride,
                                                                             sums + from, padded);
    });
    return;
  }
  auto* const entries = static_cast<SparseEntry<Real>*>(memory);
  auto* const ends = reinterpret_cast<std::uint32_t*>(entries + all);
  for (Index j = 0; j < features; ++j) ends[j] = 0;
  for (Index part = 0; part < count; ++part)
    for (const auto* entry = parts[part].begin; entry != parts[part].end; ++entry) ++ends[entry->number / entry_rows];
  std::uint32_t before = 0;
  for (Index j = 0; j < features; ++j) {
    const std::uint32_t size = ends[j];
    ends[j] = before;
    before += size;
  }
  for (Index part = 0; part < count; ++part)
    for (const auto* entry = parts[part].begin; entry != parts[part].end; ++entry)
      entries[ends[entry->number / entry_rows]++] = *entry;
  const SortedEntries<Real> sorted{entries, ends, features};
  by_panels<Real, most_vectors>(padded, padded, [&](auto width, auto vectors, Index from) __attribute__((always_inline)) {
    add_sorted_panel<Real, decltype(width)::value, decltype(vectors)::value>(sorted, residuals + from, stride, sums + from,
                                                                            padded);
  });
}

inline void add_sums(const double* from, Index count, double* sums) {
  for (Index i = 0; i < count; ++i) sums[i] += from[i];
}

}  // namespace
}  // namespace luce::LUCE_ISA
