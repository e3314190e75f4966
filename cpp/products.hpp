// The matrix products of a linear classifier on a block of rows that stays in a core's caches: forward,
// scores = features coef' + intercept, and backward, gradient = residuals' features. A tile of the result stays in
// registers while all that adds to it goes by.
#pragma once

#include "pieces.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows of a tile two vectors wide, or classes of one: their sums and what is multiplied fill the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int tile_rows = 12;
#else
constexpr int tile_rows = 6;
#endif

// Blocks are scored so many rows at a time; those with sums of their own have no more than so many.
constexpr Index score_rows = 24, most_lane_rows = vector_bytes == 64 ? 240 : 120;

// Products are added up over so many features at a time: a panel of coefficients then stays in the nearest cache.
constexpr Index features_together = 256;

// Sums over more rows of a block than that are added up in turn. In float32 every addition may take 6e-8 of the sum so far
// away, and that may be nearly all there is: of a class that few rows have, one row.
template <class Real>
constexpr Index rows_of_a_sum = sizeof(Real) == sizeof(float) ? 40 : Index{1} << 32;

template <class Real>
constexpr Index panel_width = 2 * lanes<Real>;

template <class Real>
[[gnu::always_inline]] inline Vector<Real> times_plus(Vector<Real> a, Vector<Real> b, Vector<Real> c) {
#if defined(__FMA__) || defined(__aarch64__)
  return multiply_add(a, b, c);
#else
  return a * b + c;
#endif
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> all_lanes(Real x) { return x - Vector<Real>{}; }

template <class Real, class Element>
[[gnu::always_inline]] inline Vector<Real> load_as(const Element* from) {
  if constexpr (sizeof(Element) == sizeof(Real)) {
    return load(from);
  } else {
    typedef Element Part __attribute__((vector_size(sizeof(Element) * lanes<Real>)));
    Part x;
    __builtin_memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, Vector<Real>);
  }
}

// Rows less `centre` (which may be null), one after another, `stride` apart.
template <class Element, class Real>
void pack_rows(Matrix<const Element> rows, const Real* centre, Real* packed, Index stride) {
  const auto less_centre = [&](Index i, Index j) {
    const Real x = static_cast<Real>(rows.data[i * rows.row_stride + j * rows.column_stride]);
    packed[i * stride + j] = centre == nullptr ? x : x - centre[j];
  };
  if (rows.column_stride == 1) {
    for (Index i = 0; i < rows.rows; ++i) {
      Index j = 0;
      for (; j + lanes<Real> <= rows.columns; j += lanes<Real>) {
        Vector<Real> x = load_as<Real>(rows.data + i * rows.row_stride + j);
        if (centre != nullptr) x -= load(centre + j);
        store(packed + i * stride + j, x);
      }
      for (; j < rows.columns; ++j) less_centre(i, j);
    }
    return;
  }
  constexpr Index together = 16;  // features, and lines of memory each of which has some rows
  for (Index first = 0; first < rows.columns; first += together)
    for (Index i = 0; i < rows.rows; ++i)
      for (Index j = first; j < first + together && j < rows.columns; ++j) less_centre(i, j);
}

// Classes from `first` on are in a panel of so many: the last one may be one vector wide.
template <class Real>
Index classes_in_panel(Index classes, Index first) {
  return classes - first <= lanes<Real> ? lanes<Real> : panel_width<Real>;
}

// Of features `some` to `end` the coefficients of as many adjacent classes as a panel has.
template <class Real>
void pack_panel(const Real* from, Index row_stride, Index width, Index some, Index end, Real* panel) {
  constexpr int n = quad<Real>;
  Index j = some;
  for (; j + n <= end; j += n)
    for (Index c = 0; c < width; c += lanes<Real>) {
      Vector<Real> part[n];
      for (int i = 0; i < n; ++i) part[i] = load_pieces(from + (c + i) * row_stride + j, n * row_stride);
      transpose_pieces<Real>(part);
      for (int i = 0; i < n; ++i) store(panel + (j + i) * width + c, part[i]);
    }
  for (; j < end; ++j)
    for (Index c = 0; c < width; ++c) panel[j * width + c] = from[c * row_stride + j];
}

// A matrix (classes, features) as panels of classes, padded with zeros: of each feature in turn those of a panel.
template <class Real>
void pack_coefficients(Matrix<const Real> coef, Real* packed) {
  for (Index first = 0; first < coef.rows; first += panel_width<Real>) {
    const Index width = classes_in_panel<Real>(coef.rows, first);
    Real* const panel = packed + first * coef.columns;
    const Index given = coef.rows - first < width ? coef.rows - first : width;
    const Real* const from = coef.data + first * coef.row_stride;
    constexpr Index together = 16;  // features: of each class a line of memory, or so
    for (Index some = 0; some < coef.columns; some += together) {
      const Index end = some + together < coef.columns ? some + together : coef.columns;
      if (coef.column_stride == 1 && given == width) {
        pack_panel(from, coef.row_stride, width, some, end, panel);
      } else if (coef.row_stride == 1) {
        for (Index j = some; j < end; ++j)
          for (Index c = 0; c < given; ++c) panel[j * width + c] = from[j * coef.column_stride + c];
      } else {
        for (Index c = 0; c < given; ++c)
          for (Index j = some; j < end; ++j) panel[j * width + c] = from[c * coef.row_stride + j * coef.column_stride];
      }
      for (Index c = given; c < width; ++c)
        for (Index j = some; j < end; ++j) panel[j * width + c] = 0;
    }
  }
}

// What will be read next is asked for on the way: so many bytes from `ahead` on for each feature of a tile.
template <class Real, int rows, int vectors>
void product_tile(const Real* features, Index row_stride, Index count, const Real* coef, const Real* start,
                  const char* ahead, Index terms, Real* scores, Index stride) {
  using V = Vector<Real>;
  static_assert(rows % 2 == 0);
  const Real* pair[rows / 2];
#pragma GCC unroll 12
  for (int g = 0; g < rows / 2; ++g) pair[g] = features + 2 * g * row_stride;
  Index j = 0;
  do {
    const Index end = count - j > terms ? j + terms : count;
    V sums[rows][vectors] = {};
#pragma GCC unroll 1
    for (; j < end; ++j, coef += vectors * lanes<Real>) {
      V weights[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) weights[v] = load(coef + v * lanes<Real>);
#pragma GCC unroll 24
      for (int r = 0; r < rows; ++r) {
        const V feature = all_lanes<Real>(pair[r / 2][r % 2 * row_stride + j]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sums[r][v] = times_plus<Real>(feature, weights[v], sums[r][v]);
      }
      if constexpr (vectors == 1) {
        constexpr Index bytes = rows * Index{sizeof(Real)};
        __builtin_prefetch(ahead + j * bytes, 0, 2);
        if constexpr (bytes > 64) __builtin_prefetch(ahead + j * bytes + 64, 0, 2);
      }
    }
#pragma GCC unroll 24
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        Real* const to = scores + r * stride + v * lanes<Real>;
        store(to, load(start == nullptr ? to : start + v * lanes<Real>) + sums[r][v]);
      }
    start = nullptr;
  } while (j < count);
}

template <class Real>
void score(const Matrix<const Real>& features, const Real* packed, Index classes, const Real* start, Index ahead,
           Index terms, Real* scores, Index stride) {
  constexpr Index width = panel_width<Real>;
  const auto* const next = reinterpret_cast<const char*>(features.data + ahead);
  for (Index j = 0; j == 0 || j < features.columns; j += features_together) {
    const Index count = features.columns - j < features_together ? features.columns - j : features_together;
    for (Index c = 0; c < classes; c += width) {
      const bool is_narrow = classes_in_panel<Real>(classes, c) < width;
      const Real* const coef = packed + c * features.columns + j * (is_narrow ? lanes<Real> : width);
      const Real* const from_start = j == 0 && start != nullptr ? start + c : nullptr;
      for (Index i = 0; i < features.rows; i += is_narrow ? 2 * tile_rows : tile_rows) {
        const Real* const from = features.data + i * features.row_stride + j;
        Real* const to = scores + i * stride + c;
        const char* const wanted = next + (i * features.columns + 2 * tile_rows * j) * Index{sizeof(Real)};
        if (is_narrow)
          product_tile<Real, 2 * tile_rows, 1>(from, features.row_stride, count, coef, from_start, wanted, terms, to, stride);
        else
          product_tile<Real, tile_rows, 2>(from, features.row_stride, count, coef, from_start, wanted, terms, to, stride);
      }
    }
  }
}

// Where that many sums of few classes would wait for one another, rows take turns with as many sets of them.
template <int classes>
constexpr int sets_of_sums = vector_bytes == 64 || classes > 3 ? 1 : classes == 1 ? 4 : 2;

template <class Real>
using GradientTile = Vector<Real>[tile_rows][2];

template <class Real, int classes>
[[gnu::always_inline]] inline void add_row(const Real* features, Index ahead, const Real* residuals,
                                           Vector<Real> (&sums)[classes][2]) {
  using V = Vector<Real>;
  if constexpr (vector_bytes < 64) __builtin_prefetch(features + ahead, 0, 2);
  const V x0 = load(features), x1 = load(features + lanes<Real>);
#pragma GCC unroll 12
  for (int c = 0; c < classes; ++c) {
    const V residual = all_lanes<Real>(residuals[c]);
    sums[c][0] = times_plus<Real>(residual, x0, sums[c][0]);
    sums[c][1] = times_plus<Real>(residual, x1, sums[c][1]);
  }
}

template <class Real, int classes>
[[gnu::always_inline]] inline void add_rows(const Real*& features, Index row_stride, Index rows, Index ahead,
                                            const Real*& residuals, Index stride, Vector<Real> (&sums)[classes][2]) {
  using V = Vector<Real>;
  constexpr int sets = sets_of_sums<classes>;
  if constexpr (sets > 1) {
    V more[sets - 1][classes][2] = {};
#pragma GCC unroll 1
    for (; rows >= sets; rows -= sets, features += sets * row_stride, residuals += sets * stride) {
      add_row(features, ahead, residuals, sums);
#pragma GCC unroll 3
      for (int set = 1; set < sets; ++set)
        add_row(features + set * row_stride, ahead, residuals + set * stride, more[set - 1]);
    }
    for (const auto& set : more)
      for (int c = 0; c < classes; ++c)
        for (int v = 0; v < 2; ++v) sums[c][v] += set[c][v];
  }
#pragma GCC unroll 1
  for (Index i = 0; i < rows; ++i, features += row_stride, residuals += stride) add_row(features, ahead, residuals, sums);
}

template <class Real, int classes>
void gradient_tile(const Real* features, Index row_stride, Index rows, const Real* residuals, Index stride,
                   GradientTile<Real>& tile) {
  constexpr Index most = sets_of_sums<classes> * rows_of_a_sum<Real>;
  // The next block, where features are used as they lie.
  const Index ahead = rows > most_lane_rows ? 0 : rows * row_stride;
  for (Index i = 0; i == 0 || i < rows; i += most) {
    Vector<Real> sums[classes][2] = {};
    add_rows<Real, classes>(features, row_stride, rows - i < most ? rows - i : most, ahead, residuals, stride, sums);
    for (int c = 0; c < classes; ++c)
      for (int v = 0; v < 2; ++v) tile[c][v] = i == 0 ? sums[c][v] : tile[c][v] + sums[c][v];
  }
}

template <class Real, int classes = tile_rows>
void gradient_tile_of(int wanted, const Real* features, Index row_stride, Index rows, const Real* residuals,
                      Index stride, GradientTile<Real>& tile) {
  if constexpr (classes > 0) {
    if (wanted == classes) return gradient_tile<Real, classes>(features, row_stride, rows, residuals, stride, tile);
    gradient_tile_of<Real, classes - 1>(wanted, features, row_stride, rows, residuals, stride, tile);
  }
}

// The tiles' classes are as equal as can be.
inline int next_tile(Index classes, int most = tile_rows) {
  const Index tiles = (classes + most - 1) / most;
  return static_cast<int>((classes + tiles - 1) / tiles);
}

template <class Real, class Sum>
void add_tile(const GradientTile<Real>& tile, int classes, Index columns, Sum* to, Index stride) {
  for (int c = 0; c < classes; ++c, to += stride) {
    if (columns < panel_width<Real>) {
      for (Index j = 0; j < columns; ++j) to[j] += static_cast<Sum>(tile[c][j / lanes<Real>][j % lanes<Real>]);
      continue;
    }
    for (int v = 0; v < 2; ++v) {
      if constexpr (sizeof(Sum) == sizeof(Real)) {
        Sum* const at = to + v * lanes<Real>;
        store(at, load(at) + tile[c][v]);
      } else {
        for (int group = 0; group < groups<Real>; ++group) {
          Sum* const at = to + v * lanes<Real> + group * lanes<double>;
          store(at, load(at) + widened(tile[c][v], group));
        }
      }
    }
  }
}

// Without masks, the last panel is whole if there are columns enough: it has so many of the one before it.
template <class Real>
Index columns_again(Index columns, Index first) {
  const bool is_whole = vector_bytes == 64 || first == 0 || first + panel_width<Real> <= columns;
  return is_whole ? 0 : first + panel_width<Real> - columns;
}

// For more classes than that, a panel of features is brought together: it stays in the small caches then.
constexpr Index most_classes_unpacked = 4 * tile_rows;

template <class Real>
void forget_first(GradientTile<Real>& tile, int classes, Index columns) {
  for (int c = 0; c < classes; ++c)
    for (Index j = 0; j < columns; ++j) tile[c][j / lanes<Real>][j % lanes<Real>] = 0;
}

// gradient += residuals' features; sums over the block are of type Real. `spare` has room for rows of a panel.
template <class Real, class Sum>
void add_gradient(const Matrix<const Real>& features, const Real* residuals, Index stride, Index classes,
                  Sum* gradient, Index gradient_stride, Real* spare) {
  GradientTile<Real> tile;
  for (Index j = 0; j < features.columns; j += panel_width<Real>) {
    const Index again = columns_again<Real>(features.columns, j);
    const Real* panel = features.data + j - again;
    Index row_stride = features.row_stride;
    const Index columns = features.columns - j + again;
    if (columns < panel_width<Real> || (vector_bytes < 64 && classes > most_classes_unpacked)) {
      for (Index i = 0; i < features.rows; ++i)
        for (int v = 0; v < 2; ++v) {
          const Index left = columns - v * lanes<Real>;
          const Real* const from = panel + i * row_stride + v * lanes<Real>;
          const auto some = left <= 0 ? Vector<Real>{} : load_first(from, static_cast<int>(left), 0.0);
          store(spare + i * panel_width<Real> + v * lanes<Real>, left >= lanes<Real> ? load(from) : some);
        }
      panel = spare;
      row_stride = panel_width<Real>;
    }
    for (Index c = 0; c < classes;) {
      const int count = next_tile(classes - c);
      gradient_tile_of<Real>(count, panel, row_stride, features.rows, residuals + c, stride, tile);
      if (again > 0) forget_first<Real>(tile, count, again);
      add_tile<Real>(tile, count, columns, gradient + c * gradient_stride + j - again, gradient_stride);
      c += count;
    }
  }
}

template <class Real>
void add_column_sums(const Real* residuals, Index stride, Index rows, Index classes, double* sums) {
  for (Index c = 0; c < classes; c += lanes<Real>) {
    Doubles local[groups<Real>] = {};
    for (Index i = 0; i < rows; ++i)
      for (int group = 0; group < groups<Real>; ++group)
        local[group] += widened(load(residuals + i * stride + c), group);
    for (Index j = 0; j < lanes<Real> && c + j < classes; ++j)
      sums[c + j] += local[j / lanes<double>][j % lanes<double>];
  }
}

// In place of probabilities p, weights (p t - p <p, t>) for tangents t.
template <class Real>
void softmax_jvp(Real* probabilities, const Real* tangents, Index stride, Index rows, Index classes,
                 const double* weights) {
  using V = Vector<Real>;
  for (Index i = 0; i < rows; ++i, probabilities += stride, tangents += stride) {
    const auto part = [&](const Real* from, Index c) {
      const Index left = classes - c;
      return left >= lanes<Real> ? load(from + c) : load_first(from + c, static_cast<int>(left), 0.0);
    };
    V along{};
    for (Index c = 0; c < classes; c += lanes<Real>) along += part(probabilities, c) * part(tangents, c);
    const V mean = folded<Real>(along, [](V a, V b) { return a + b; });
    const V weight = broadcast<Real>(weights == nullptr ? 1.0 : weights[i]);
    for (Index c = 0; c < classes; c += lanes<Real>) {
      const V result = weight * part(probabilities, c) * (part(tangents, c) - mean);
      if (classes - c >= lanes<Real>) store(probabilities + c, result);
      else store_first(probabilities + c, result, static_cast<int>(classes - c));
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
