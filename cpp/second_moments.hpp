// Second moments of rows of features, weighted anew for every class: moments[c] += sum over rows of weight x x'.
#pragma once

#include "products.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows go by so many at a time: what a task needs of them stays in the nearest cache.
constexpr Index rows_of_moments = 96;

// Products of one feature with neighbouring ones, for several classes. The last vector has so many elements.
template <class Real, int classes, int vectors, bool is_whole>
void moments_tile(const Matrix<const Real>& rows, Index feature, Index column, int last, const Real* weights,
                  Index stride, GradientTile<Real>& tile) {
  using V = Vector<Real>;
  V sums[classes][vectors] = {};
  const Real* row = rows.data;
#pragma GCC unroll 1
  for (Index i = 0; i < rows.rows; ++i, row += rows.row_stride, weights += stride) {
    V products[vectors];
    const V x = all_lanes<Real>(row[feature]);
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const Real* const at = row + column + v * lanes<Real>;
      products[v] = x * (is_whole || v < vectors - 1 ? load(at) : load_first(at, last, 0.0));
    }
#pragma GCC unroll 12
    for (int c = 0; c < classes; ++c) {
      const V weight = all_lanes<Real>(weights[c]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[c][v] = times_plus<Real>(weight, products[v], sums[c][v]);
    }
  }
  for (int c = 0; c < classes; ++c)
    for (int v = 0; v < vectors; ++v) tile[c][v] = sums[c][v];
}

template <class Real>
using MomentsTile = void (*)(const Matrix<const Real>&, Index, Index, int, const Real*, Index, GradientTile<Real>&);

template <class Real, int vectors, bool is_whole, int... classes>
MomentsTile<Real> moments_tile_of(int count, std::integer_sequence<int, classes...>) {
  static constexpr MomentsTile<Real> table[] = {moments_tile<Real, classes + 1, vectors, is_whole>...};
  return table[count - 1];
}

inline Index tiles_of_classes(Index classes) { return (classes + tile_rows - 1) / tile_rows; }

// Of a panel of features the products with so many are a task: few enough to share them evenly among threads.
constexpr Index features_of_moments = 8;

inline Index parts_of_panel(Index features, Index first) {
  return (features - first + features_of_moments - 1) / features_of_moments;
}

template <class Real>
Index second_moments_tasks(Index features, Index classes) {
  Index parts = 0;
  for (Index j = 0; j < features; j += panel_width<Real>) parts += parts_of_panel(features, j);
  return parts * tiles_of_classes(classes);
}

// Of a tile of classes the products of a panel of features with some of themselves or of those after them, on and below the
// diagonal. Rows of `moments` are adjacent, as are the classes' matrices.
template <class Real>
void add_second_moments(const Matrix<const Real>& rows, const Matrix<const Real>& weights, Index task, double* moments) {
  constexpr auto counts = std::make_integer_sequence<int, tile_rows>{};
  const Index d = rows.columns, k = weights.columns, tiles = tiles_of_classes(k), c = k * (task % tiles) / tiles;
  const int classes = static_cast<int>(k * (task % tiles + 1) / tiles - c);
  Index j = 0, part = task / tiles;
  for (; part >= parts_of_panel(d, j); j += panel_width<Real>) part -= parts_of_panel(d, j);
  const Index begin = j + part * features_of_moments;
  const Index end = d < begin + features_of_moments ? d : begin + features_of_moments;
  GradientTile<Real> tile;
  for (Index i = 0; i < rows.rows; i += rows_of_moments) {
    const Index count = rows.rows - i < rows_of_moments ? rows.rows - i : rows_of_moments;
    const Matrix<const Real> some{rows.data + i * rows.row_stride, count, d, rows.row_stride, 1};
    for (Index feature = begin; feature < end; ++feature) {
      const Index wanted = feature + 1 - j < panel_width<Real> ? feature + 1 - j : panel_width<Real>;
      const int vectors = wanted > lanes<Real> ? 2 : 1;
      const Index left = d - j - (vectors - 1) * lanes<Real>;
      const bool is_whole = left >= lanes<Real>;
      const MomentsTile<Real> add = vectors == 1 ? (is_whole ? moments_tile_of<Real, 1, true>(classes, counts)
                                                             : moments_tile_of<Real, 1, false>(classes, counts))
                                                 : (is_whole ? moments_tile_of<Real, 2, true>(classes, counts)
                                                             : moments_tile_of<Real, 2, false>(classes, counts));
      add(some, feature, j, static_cast<int>(is_whole ? lanes<Real> : left),
          weights.data + i * weights.row_stride + c, weights.row_stride, tile);
      add_tile<Real>(tile, classes, wanted, moments + (c * d + feature) * d + j, d * d);
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
