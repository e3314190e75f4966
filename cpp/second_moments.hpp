// Second moments of rows of features, weighted anew for every class: moments[c] += sum over rows of weight x x'.
#pragma once

#include "products.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows and their weights go by together, so many bytes of them: they stay in the second cache from one tile to the next.
constexpr Index moments_bytes = Index{1} << 18;

// Where the sums of a tile go: for every class, `class_stride` apart, to so many columns.
struct MomentsOf {
  double* data;
  Index class_stride;
  Index columns;
};

// Products of one feature with neighbouring ones, for several classes. The last vector has so many elements.
template <class Real, int classes, int vectors, bool is_whole>
void moments_tile(const Matrix<const Real>& rows, Index feature, Index column, int last, const Real* weights,
                  Index stride, MomentsOf moments) {
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
  for (int c = 0; c < classes; ++c) {
    Real all[vectors * lanes<Real>];
    for (int v = 0; v < vectors; ++v) store(all + v * lanes<Real>, sums[c][v]);
    double* const to = moments.data + c * moments.class_stride;
    for (Index j = 0; j < moments.columns; ++j) to[j] += static_cast<double>(all[j]);
  }
}

template <class Real>
using MomentsTile = void (*)(const Matrix<const Real>&, Index, Index, int, const Real*, Index, MomentsOf);

template <class Real, int vectors, bool is_whole, int... classes>
MomentsTile<Real> moments_tile_of(int count, std::integer_sequence<int, classes...>) {
  static constexpr MomentsTile<Real> table[] = {moments_tile<Real, classes + 1, vectors, is_whole>...};
  return table[count - 1];
}

// The products of one feature with those up to itself: the part of its row on and below the diagonal. Rows of `moments`
// are adjacent, as are the classes' matrices.
template <class Real>
void add_second_moments(const Matrix<const Real>& rows, const Matrix<const Real>& weights, Index feature,
                        double* moments) {
  constexpr auto counts = std::make_integer_sequence<int, tile_rows>{};
  const Index d = rows.columns, k = weights.columns;
  const Index fitting = moments_bytes / static_cast<Index>(sizeof(Real)) / (d + k);
  const Index together = fitting < 64 ? 64 : fitting > 512 ? 512 : fitting;
  for (Index i = 0; i < rows.rows; i += together) {
    const Index count = rows.rows - i < together ? rows.rows - i : together;
    const Matrix<const Real> some{rows.data + i * rows.row_stride, count, d, rows.row_stride, 1};
    for (Index j = 0; j <= feature; j += panel_width<Real>) {
      const Index wanted = feature + 1 - j < panel_width<Real> ? feature + 1 - j : panel_width<Real>;
      const int vectors = wanted > lanes<Real> ? 2 : 1;
      const Index left = d - j - (vectors - 1) * lanes<Real>;
      const bool is_whole = left >= lanes<Real>;
      const int last = static_cast<int>(is_whole ? lanes<Real> : left);
      for (Index c = 0; c < k;) {
        const int classes = next_tile(k - c);
        const MomentsTile<Real> tile = vectors == 1 ? (is_whole ? moments_tile_of<Real, 1, true>(classes, counts)
                                                                : moments_tile_of<Real, 1, false>(classes, counts))
                                                    : (is_whole ? moments_tile_of<Real, 2, true>(classes, counts)
                                                                : moments_tile_of<Real, 2, false>(classes, counts));
        tile(some, feature, j, last, weights.data + i * weights.row_stride + c, weights.row_stride,
             {moments + (c * d + feature) * d + j, d * d, wanted});
        c += classes;
      }
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
