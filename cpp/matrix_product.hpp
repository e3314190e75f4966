// c = a b + bias for matrices that may be small, in row-major order, a or b perhaps transposed. A tile of c stays in
// registers while all that adds to it goes by; b goes by in panels as wide as a tile.
#pragma once

#include "products.hpp"

namespace luce::LUCE_ISA {
namespace {

// So much of what is summed over goes by together: a panel of b then stays in the nearest cache.
constexpr Index product_depth = 256;
template <class Real>
constexpr Index product_panel = product_depth * panel_width<Real>;

// Where the sums of a tile begin: with nothing, with the bias in every row, or with what is there.
template <class Real>
struct TileStart {
  const Real* data;
  Index stride;
};

// What becomes of the sums: 0 where they are negative, or where something like c is not positive.
template <class Real>
struct TileEnd {
  bool is_relu;
  const Real* positive;
};

// What a tile begins and ends with, where that is known when it is compiled: branches for each of the few vectors that fit
// in 16 registers take as long as short sums.
enum class Ends { any, plain, added, added_relu, positive };
constexpr bool knows_ends = vector_bytes < 64;

template <Ends ends, class Real>
[[gnu::always_inline]] inline void know(const TileStart<Real>& start, TileEnd<Real>& end, int& last) {
  if ((start.data != nullptr) != (ends == Ends::added || ends == Ends::added_relu)) __builtin_unreachable();
  if ((end.positive != nullptr) != (ends == Ends::positive)) __builtin_unreachable();
  end.is_relu = ends == Ends::added_relu;
  last = lanes<Real>;
}
inline Ends ends_of(bool has_start, bool is_relu, bool has_positive, bool is_whole) {
  if (!is_whole || (is_relu && !has_start) || (has_positive && (is_relu || has_start))) return Ends::any;
  return has_positive ? Ends::positive : is_relu ? Ends::added_relu : has_start ? Ends::added : Ends::plain;
}

// Rows of a are `stride` apart and their elements adjacent; or, if transposed, the other way round. The last vector of a
// row of c has so many elements.
template <class Real, int rows, int vectors, bool is_transposed, Ends ends>
void matrix_tile(const Real* a, Index stride, const Real* b, Index b_stride, Index count, TileStart<Real> start,
                 TileEnd<Real> end, Real* c, Index c_stride, int last) {
  using V = Vector<Real>;
  if constexpr (ends != Ends::any) know<ends>(start, end, last);
  V sums[rows][vectors] = {};
  const Real* pair[(rows + 1) / 2];
#pragma GCC unroll 12
  for (int g = 0; g < (rows + 1) / 2; ++g) pair[g] = is_transposed ? a + 2 * g : a + 2 * g * stride;
#pragma GCC unroll 1
  for (Index t = 0; t < count; ++t, b += b_stride) {
    V columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[v] = load(b + v * lanes<Real>);
#pragma GCC unroll 24
    for (int r = 0; r < rows; ++r) {
      const V x = all_lanes<Real>(is_transposed ? a[r + t * stride] : pair[r / 2][r % 2 * stride + t]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = times_plus<Real>(x, columns[v], sums[r][v]);
    }
  }
  const bool is_whole = last == lanes<Real>;
#pragma GCC unroll 24
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const bool is_partial = v == vectors - 1 && !is_whole;
      Real* const to = c + r * c_stride + v * lanes<Real>;
      V sum = sums[r][v];
      if (start.data != nullptr) {
        const Real* const from = start.data + r * start.stride + v * lanes<Real>;
        sum += is_partial ? load_first(from, last, 0.0) : load(from);
      }
      if (end.is_relu) sum = sum < 0 ? V{} : sum;
      if (end.positive != nullptr) {
        const Real* const from = end.positive + r * c_stride + v * lanes<Real>;
        sum = (is_partial ? load_first(from, last, 0.0) : load(from)) > 0 ? sum : V{};
      }
      if (is_partial) store_first(to, sum, last);
      else store(to, sum);
    }
}

template <class Real>
using TileOf = void (*)(const Real*, Index, const Real*, Index, Index, TileStart<Real>, TileEnd<Real>, Real*, Index, int);

template <class Real, int vectors, bool is_transposed, Ends ends, int... rows>
inline TileOf<Real> tile_of(int count, std::integer_sequence<int, rows...>) {
  static constexpr TileOf<Real> table[] = {matrix_tile<Real, rows + 1, vectors, is_transposed, ends>...};
  return table[count - 1];
}
// A tile of one vector has more rows, or its few sums would wait for each other.
template <int vectors>
constexpr int most_rows = vectors == 1 ? 12 : tile_rows;
template <class Real, int vectors, bool is_transposed>
inline TileOf<Real> tile_of(int count, Ends ends) {
  constexpr auto counts = std::make_integer_sequence<int, most_rows<vectors>>{};
  if constexpr (knows_ends) {
    switch (ends) {
      case Ends::plain: return tile_of<Real, vectors, is_transposed, Ends::plain>(count, counts);
      case Ends::added: return tile_of<Real, vectors, is_transposed, Ends::added>(count, counts);
      case Ends::added_relu: return tile_of<Real, vectors, is_transposed, Ends::added_relu>(count, counts);
      case Ends::positive: return tile_of<Real, vectors, is_transposed, Ends::positive>(count, counts);
      case Ends::any: break;
    }
  }
  return tile_of<Real, vectors, is_transposed, Ends::any>(count, counts);
}
template <class Real>
TileOf<Real> tile_of(int count, int vectors, bool is_transposed, Ends ends) {
  if (vectors == 2) return is_transposed ? tile_of<Real, 2, true>(count, ends) : tile_of<Real, 2, false>(count, ends);
  return is_transposed ? tile_of<Real, 1, true>(count, ends) : tile_of<Real, 1, false>(count, ends);
}

// Each pair of vectors that are `half` apart exchanges half of its lanes; after all halves rows have become columns.
template <int half, class V, int... i>
[[gnu::always_inline]] inline void exchange(V& a, V& b, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  const V low = __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i : n + i - half)...);
  b = __builtin_shufflevector(a, b, (i / half % 2 == 0 ? i + half : n + i)...);
  a = low;
}
template <class Real, int half = lanes<Real> / 2>
[[gnu::always_inline]] inline void turn(Vector<Real> (&square)[lanes<Real>]) {
  constexpr auto all = std::make_integer_sequence<int, lanes<Real>>{};
#pragma GCC unroll 16
  for (int i = 0; i < lanes<Real>; ++i)
    if (i / half % 2 == 0) exchange<half>(square[i], square[i + half], all);
  if constexpr (half > 1) turn<Real, half / 2>(square);
}

// A square, turned, from rows to rows.
template <class Real>
[[gnu::always_inline]] inline void turn_square(const Real* from, Index from_stride, Real* to, Index to_stride) {
  Vector<Real> square[lanes<Real>];
#pragma GCC unroll 16
  for (int i = 0; i < lanes<Real>; ++i) square[i] = load(from + i * from_stride);
  turn<Real>(square);
#pragma GCC unroll 16
  for (int i = 0; i < lanes<Real>; ++i) store(to + i * to_stride, square[i]);
}
// Whether registers hold a square, if its size is known when it is compiled.
constexpr bool has_whole_squares = vector_bytes < 64;

// Elements of b, `count` rows of `width` columns from column `first` on, rows `stride` apart, padded with zeros.
template <class Real>
void pack_panel(const Matrix<const Real>& b, Index row, Index count, Index first, Index width, Real* panel, Index stride) {
  const Index given = b.columns - first < width ? b.columns - first : width;
  const Real* const from = b.data + row * b.row_stride + first * b.column_stride;
  if (b.column_stride == 1) {
    for (Index t = 0; t < count; ++t)
      for (Index c = 0; c < width; c += lanes<Real>) {
        const Real* const at = from + t * b.row_stride + c;
        const Index left = given - c;
        store(panel + t * stride + c, left >= lanes<Real> ? load(at)
                                      : left > 0          ? load_first(at, static_cast<int>(left), 0.0)
                                                          : Vector<Real>{});
      }
    return;
  }
  constexpr Index side = lanes<Real>;
  for (Index c = 0; c < width; c += side)
    for (Index t = 0; t < count; t += side) {
      const int columns = static_cast<int>(given - c < side ? given - c : side);
      const int rows = static_cast<int>(count - t < side ? count - t : side);
      if constexpr (has_whole_squares) {
        if (rows == side && columns == side) {
          turn_square(from + t * b.row_stride + c * b.column_stride, b.column_stride, panel + t * stride + c, stride);
          continue;
        }
      }
      Vector<Real> square[side] = {};
      for (int i = 0; i < columns; ++i) {
        const Real* const at = from + t * b.row_stride + (c + i) * b.column_stride;
        square[i] = rows == side ? load(at) : load_first(at, rows, 0.0);
      }
      turn<Real>(square);
      for (int i = 0; i < rows; ++i) store(panel + (t + i) * stride + c, square[i]);
    }
}

// Where a panel is, and how far apart its rows.
template <class Real>
struct ProductPanel {
  const Real* data;
  Index stride;
};

// The last panel may be one vector wide.
template <class Real>
Index width_of_panel(Index columns, Index first) {
  return columns - first > lanes<Real> ? panel_width<Real> : lanes<Real>;
}
inline Index depth_of_panel(Index rows, Index first) {
  return rows - first < product_depth ? rows - first : product_depth;
}

// `panel_at` (first row of b, how many, first column, width) says where that panel is.
template <class Real, class PanelAt>
void panel_products(const Matrix<const Real>& a, const Real* bias, const Matrix<Real>& c, const TileEnd<Real>& end,
                    const PanelAt& panel_at) {
  const bool is_transposed = a.column_stride != 1 && a.row_stride == 1;
  const Index stride = is_transposed ? a.column_stride : a.row_stride;
  if (c.rows == 0) return;
  for (Index t = 0; t == 0 || t < a.columns; t += product_depth) {
    const Index count = depth_of_panel(a.columns, t);
    for (Index j = 0; j < c.columns; j += panel_width<Real>) {
      const Index left = c.columns - j, width = width_of_panel<Real>(c.columns, j);
      const int vectors = static_cast<int>(width / lanes<Real>);
      const int last = static_cast<int>(left < width ? left - (vectors - 1) * lanes<Real> : lanes<Real>);
      const ProductPanel<Real> panel = panel_at(t, count, j, width);
      Ends ends = Ends::any;
      if constexpr (knows_ends) {
        const bool is_last = t + count >= a.columns;
        ends = ends_of(t > 0 || bias != nullptr, is_last && end.is_relu, is_last && end.positive != nullptr,
                       last == lanes<Real>);
      }
      const Index most = vectors == 1 ? most_rows<1> : most_rows<2>;
      const Index tiles = (c.rows + most - 1) / most, tall = c.rows % tiles;  // as equal as can be, the tall ones first
      int rows = static_cast<int>(c.rows / tiles) + (tall > 0 ? 1 : 0);
      TileOf<Real> tile = tile_of<Real>(rows, vectors, is_transposed, ends);
      for (Index i = 0, number = 0; i < c.rows; i += rows, ++number) {
        if (number == tall && number > 0) tile = tile_of<Real>(--rows, vectors, is_transposed, ends);
        Real* const to = c.data + i * c.row_stride + j;
        const TileStart<Real> start = t > 0             ? TileStart<Real>{to, c.row_stride}
                                      : bias != nullptr ? TileStart<Real>{bias + j, 0}
                                                        : TileStart<Real>{nullptr, 0};
        const bool is_end = t + count >= a.columns;
        const TileEnd<Real> end_here{end.is_relu && is_end,
                                     end.positive == nullptr || !is_end ? nullptr : end.positive + (to - c.data)};
        tile(a.data + i * a.row_stride + t * a.column_stride, stride, panel.data, panel.stride, count, start, end_here, to,
             c.row_stride, last);
      }
    }
  }
}

template <class Real>
void matrix_product(const Matrix<const Real>& a, const Matrix<const Real>& b, const Real* bias, const Matrix<Real>& c,
                    Real* panel) {
  panel_products(a, bias, c, {}, [&](Index t, Index count, Index j, Index width) -> ProductPanel<Real> {
    if (b.column_stride == 1 && b.columns - j >= width && a.rows < 4 * tile_rows)
      return {b.data + t * b.row_stride + j, b.row_stride};
    pack_panel(b, t, count, j, width, panel, width);
    return {panel, width};
  });
}

// The same of a matrix b that may be read a vector beyond the end of each of its rows.
template <class Real>
void product_of_padded(const Matrix<const Real>& a, const Matrix<const Real>& b, const Matrix<Real>& c) {
  panel_products(a, static_cast<const Real*>(nullptr), c, {}, [&](Index t, Index, Index j, Index) -> ProductPanel<Real> {
    return {b.data + t * b.row_stride + j, b.row_stride};
  });
}

// Where the panel that begins in this row and column is, of a matrix packed whole.
template <class Real>
Index place_of_panel(Index rows, Index columns, Index row, Index column) {
  const Index padded = (columns + lanes<Real> - 1) / lanes<Real> * lanes<Real>;
  return row * padded + column * depth_of_panel(rows, row);
}

// The same of a matrix b that was packed whole.
template <class Real>
void product_of_packed(const Matrix<const Real>& a, const Real* packed, const Real* bias, const Matrix<Real>& c,
                       bool is_relu, const Real* positive) {
  panel_products(a, bias, c, {is_relu, positive}, [&](Index t, Index, Index j, Index width) -> ProductPanel<Real> {
    return {packed + place_of_panel<Real>(a.columns, c.columns, t, j), width};
  });
}

// Some rows and columns of b; these begin where a vector does.
template <class Real>
void pack(const Matrix<const Real>& b, Index row, Index rows, Index column, Index columns, Real* packed) {
  for (Index t = row / product_depth * product_depth; t < row + rows; t += product_depth) {
    const Index first = row > t ? row : t;
    const Index end = row + rows < t + product_depth ? row + rows : t + product_depth;
    for (Index j = column; j < column + columns; j += lanes<Real>) {
      const Index start = j / panel_width<Real> * panel_width<Real>, width = width_of_panel<Real>(b.columns, start);
      Real* const panel = packed + place_of_panel<Real>(b.rows, b.columns, t, start);
      pack_panel(b, first, end - first, j, Index{lanes<Real>}, panel + (first - t) * width + j - start, width);
    }
  }
}

// to = from', rows of both.
template <class Real>
void transpose(const Matrix<const Real>& from, const Matrix<Real>& to) {
  constexpr Index side = lanes<Real>;
  for (Index i = 0; i < from.rows; i += side)
    for (Index j = 0; j < from.columns; j += side) {
      const int rows = static_cast<int>(from.rows - i < side ? from.rows - i : side);
      const int columns = static_cast<int>(from.columns - j < side ? from.columns - j : side);
      if constexpr (has_whole_squares) {
        if (rows == side && columns == side) {
          turn_square(from.data + i * from.row_stride + j, from.row_stride, to.data + j * to.row_stride + i, to.row_stride);
          continue;
        }
      }
      Vector<Real> square[side] = {};
      for (int r = 0; r < rows; ++r) {
        const Real* const at = from.data + (i + r) * from.row_stride + j;
        square[r] = columns == side ? load(at) : load_first(at, columns, 0.0);
      }
      turn<Real>(square);
      for (int c = 0; c < columns; ++c) {
        Real* const at = to.data + (j + c) * to.row_stride + i;
        if (rows == side) store(at, square[c]);
        else store_first(at, square[c], rows);
      }
    }
}

}  // namespace
}  // namespace luce::LUCE_ISA
