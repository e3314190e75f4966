// Scores of few classes, with features in the lanes: each row's products with a class are added up lane by lane, and the
// lanes of many such sums together. The scores lie one after another.
#pragma once

#include "products.hpp"

namespace luce::LUCE_ISA {
namespace {

// Where there are no more classes than that, panels of classes would be too empty.
template <class Real>
constexpr Index most_classes_dotted = 48 / static_cast<Index>(sizeof(Real));

// Lane l is the sum of x[l], by halves: a vector and another one become one that holds half as many parts of each.
template <int half, int... i>
[[gnu::always_inline]] inline auto halves_added(Vector<float> a, Vector<float> b, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  return __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i : i - half + n)...) +
         __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i + half : i + n)...);
}
template <int half, int... i>
[[gnu::always_inline]] inline auto halves_added(Vector<double> a, Vector<double> b, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  return __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i : i - half + n)...) +
         __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i + half : i + n)...);
}
template <class Real, int half = lanes<Real> / 2>
[[gnu::always_inline]] inline Vector<Real> sums_of(Vector<Real> (&x)[2 * half]) {
  constexpr auto all = std::make_integer_sequence<int, lanes<Real>>{};
  Vector<Real> y[half];
#pragma GCC unroll 8
  for (int i = 0; i < half; ++i) y[i] = halves_added<half>(x[i], x[i + half], all);
  if constexpr (half == 1) return y[0];
  else return sums_of<Real, half / 2>(y);
}

// Where vectors are long: the products of as many rows with all classes as a vector has lanes are summed up together.
template <class Real, int classes>
void dotted(const Matrix<const Real>& features, Matrix<const Real> coef, const Real* bias, Index ahead, Real* scores) {
  using V = Vector<Real>;
  constexpr int rows = lanes<Real> / classes;
  V start{};
  for (int lane = 0; lane < rows * classes; ++lane) start[lane] = bias[lane % classes];
  const Index whole = features.columns / lanes<Real> * lanes<Real>;
  const int rest = static_cast<int>(features.columns - whole);
  for (Index i = 0; i < features.rows; i += rows, scores += rows * classes) {
    const Real* const from = features.data + (i + rows <= features.rows ? i : features.rows - rows) * features.row_stride;
    V sums[lanes<Real>] = {};
    const auto add = [&](auto load_part, Index j) __attribute__((always_inline)) {
      V x[rows];
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) x[r] = load_part(from + r * features.row_stride + j);
#pragma GCC unroll 16
      for (int c = 0; c < classes; ++c) {
        const V weights = load_part(coef.data + c * coef.row_stride + j);
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) sums[r * classes + c] = times_plus<Real>(x[r], weights, sums[r * classes + c]);
      }
    };
#pragma GCC unroll 1
    for (Index j = 0; j < whole; j += lanes<Real>) {
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) __builtin_prefetch(from + r * features.row_stride + j + ahead, 0, 2);
      add([](const Real* at) __attribute__((always_inline)) { return load(at); }, j);
    }
    if (rest != 0) add([rest](const Real* at) __attribute__((always_inline)) { return load_first(at, rest, 0.0); }, whole);
    const V result = sums_of<Real>(sums) + start;
    if (i + rows <= features.rows) {
      store(scores, result);
      continue;
    }
    // The last rows, with some before them whose scores there are already.
    const Index known = i + rows - features.rows;
    for (Index lane = known * classes; lane < rows * classes; ++lane) scores[lane - known * classes] = result[lane];
  }
}

// What it costs to add up the lanes of a dot product, in features; nothing where sums never leave the registers.
template <class Real>
constexpr Index features_of_a_dot = vector_bytes == 64 ? 0 : 3 * lanes<Real>;

// So much of the coefficients stays in the nearest cache while rows go by.
constexpr Index coefficients_bytes = Index{16} << 10;

// Where vectors are short, the sums of a row are too many for the registers: they are kept, vector by vector, until those
// of as many rows as a vector has lanes are there.
template <class Real>
struct PartialSums {
  Vector<Real>* data;
  Index row_stride;
};

// Sums enough to keep multipliers busy, and no more than fit the registers.
constexpr int most_classes_of_a_tile = 6;
template <class Real, int classes>
constexpr int rows_of_a_tile = classes > 3 || lanes<Real> == 2 ? 2 : classes > 1 || lanes<Real> == 4 ? 4 : 8;

template <class Real, int classes>
void dotted_tile(const Matrix<const Real>& features, const Real* coef, Index coef_stride, const char* ahead,
                 PartialSums<Real> sums) {
  using V = Vector<Real>;
  constexpr int rows = rows_of_a_tile<Real, classes>;
  const Index whole = features.columns / lanes<Real> * lanes<Real>;
  const int rest = static_cast<int>(features.columns - whole);
#pragma GCC unroll 1
  for (int first = 0; first < lanes<Real>; first += rows) {
    const Real* const from = features.data + first * features.row_stride;
    const char* const wanted = ahead + first * features.row_stride * Index{sizeof(Real)};
    V local[rows][classes] = {};
    const auto add = [&](auto load_part, Index j) __attribute__((always_inline)) {
      V x[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) x[r] = load_part(from + r * features.row_stride + j);
#pragma GCC unroll 6
      for (int c = 0; c < classes; ++c) {
        const V weights = in_register(load_part(coef + c * coef_stride + j));
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) local[r][c] = times_plus<Real>(x[r], weights, local[r][c]);
      }
    };
#pragma GCC unroll 1
    for (Index j = 0; j < whole; j += lanes<Real>) {
      // The other half is asked for by the gradient's products.
#pragma GCC unroll 4
      for (int r = 0; r < rows / 2; ++r)
        __builtin_prefetch(wanted + (r * features.row_stride + j) * Index{sizeof(Real)}, 0, 2);
      add([](const Real* at) __attribute__((always_inline)) { return load(at); }, j);
    }
    if (rest != 0) add([rest](const Real* at) __attribute__((always_inline)) { return load_first(at, rest, 0.0); }, whole);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 6
      for (int c = 0; c < classes; ++c) sums.data[(first + r) * sums.row_stride + c] = local[r][c];
  }
}

template <class Real, int... classes>
auto dotted_tile_of(Index wanted, std::integer_sequence<int, classes...>) {
  static constexpr decltype(&dotted_tile<Real, 1>) table[] = {dotted_tile<Real, classes + 1>...};
  return table[wanted - 1];
}

template <class Real>
void score_few_in_tiles(const Matrix<const Real>& features, Matrix<const Real> coef, const Real* bias, Index ahead,
                        Real* scores) {
  using V = Vector<Real>;
  constexpr Index rows = lanes<Real>;
  const Index k = coef.rows, tiles = (k + most_classes_of_a_tile - 1) / most_classes_of_a_tile;
  V start[most_classes_dotted<Real>];
  for (Index at = 0; at < rows * k; ++at) start[at / rows][at % rows] = bias[at % k];
  V sums[rows * most_classes_dotted<Real>];
  const Index together = coefficients_bytes / Index{sizeof(Real)} / k / rows * rows;
  for (Index j = 0; j == 0 || j < features.columns; j += together) {
    const Index count = features.columns - j < together ? features.columns - j : together;
    for (Index i = 0; i < features.rows; i += rows) {
      const Matrix<const Real> some{features.data + i * features.row_stride + j, rows, count, features.row_stride, 1};
      for (Index tile = 0, c = 0; tile < tiles; ++tile) {
        const Index classes = (k - c) / (tiles - tile);
        dotted_tile_of<Real>(classes, std::make_integer_sequence<int, most_classes_of_a_tile>{})(
            some, coef.data + c * coef.row_stride + j, coef.row_stride,
            reinterpret_cast<const char*>(some.data + (c == 0 ? ahead : 0)), {sums + c, k});
        c += classes;
      }
      for (Index v = 0; v < k; ++v) {
        Real* const to = scores + i * k + v * rows;
        store(to, (j == 0 ? start[v] : load(to)) + sums_of<Real>(reinterpret_cast<V(&)[rows]>(sums[v * rows])));
      }
    }
  }
}

template <class Real, int classes = 1>
void score_few(const Matrix<const Real>& features, Matrix<const Real> coef, const Real* start, Index ahead, Real* scores) {
  if constexpr (vector_bytes < 64) {
    score_few_in_tiles<Real>(features, coef, start, ahead, scores);
  } else if constexpr (classes <= most_classes_dotted<Real>) {
    if (coef.rows == classes) return dotted<Real, classes>(features, coef, start, ahead, scores);
    score_few<Real, classes + 1>(features, coef, start, ahead, scores);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
