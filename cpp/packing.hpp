// From rows in memory to rows as they are computed, and back.
#pragma once

#include "blocks.hpp"
#include "pieces.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows up to this length are computed in panels, however they lie in memory: a row's result does not depend on how many
// others there are.
template <class Real>
constexpr Index short_columns = 16 * lanes<Real>;

template <class Element>
Element* row_of(const Matrix<Element>& matrix, Index i) {
  return matrix.data == nullptr ? nullptr : matrix.data + i * matrix.row_stride;
}
template <class Element>
Matrix<Element> rows_of(const Matrix<Element>& matrix, Index i, int count) {
  return {row_of(matrix, i), count, matrix.columns, matrix.row_stride, matrix.column_stride};
}

template <class Element, class Real = Computed<Element>>
void copy_row(const Element* from, Index stride, Index columns, Real* to) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  if (stride == 1) {
    for (; j + width <= columns; j += width) {
      __builtin_prefetch(from + j + prefetch_bytes / sizeof(Element));
      store(to + j, in_register(load(from + j)));
    }
    if (j < columns) store(to + j, load_first(from + j, static_cast<int>(columns - j), 0.0));
  } else {
    for (; j < columns; ++j) to[j] = get(from + j * stride);
  }
}

template <class Element, class Real = Computed<Element>>
void copy_row_back(const Real* from, Index columns, Element* to, Index stride) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  if (stride == 1) {
    for (; j + width <= columns; j += width) store(to + j, in_register(load(from + j)));
    if (j < columns) store_first(to + j, load(from + j), static_cast<int>(columns - j));
  } else {
    for (; j < columns; ++j) put(to + j * stride, from[j]);
  }
}

// Calls f(first column) for groups of `quad` columns; the last may overlap the one before.
template <class Real, class F>
inline void each_quad(Index columns, F f) {
  Index j = 0;
  for (; j + quad<Real> <= columns; j += quad<Real>) f(j);
  if (j < columns) f(columns - quad<Real>);
}

// Rows of a panel, one after another: where they are too short for pieces, or of another type than they are computed in.
template <class Real>
struct Stage {
  static constexpr Index stride = short_columns<Real>;
  alignas(64) Real rows[lanes<Real> * stride];
};

template <class Element, class Real = Computed<Element>>
constexpr bool is_staged(Index columns) { return sizeof(Element) != sizeof(Real) || columns < quad<Real>; }

// Rows one after another in memory: as many lines as a panel has classes are some of its successors.
template <class Element>
Ahead ahead_of(const Matrix<const Element>& scores, Index i) {
  const bool is_dense = scores.row_stride == scores.columns && scores.column_stride == 1;
  const auto* const here = reinterpret_cast<const char*>(row_of(scores, i));
  return {is_dense ? here + prefetch_bytes : here, is_dense ? vector_bytes : 0};
}

// `count` rows from row i into a buffer of one vector a class.
template <class Element, class Real = Computed<Element>>
void pack(const Matrix<const Element>& scores, Index i, int count, Vector<Real>* buffer) {
  constexpr int width = lanes<Real>;
  const Element* const first = row_of(scores, i);
  const auto transpose_rows = [&](const Real* rows, Index stride, Index columns) {
    each_quad<Real>(columns, [&](Index j) {
      Vector<Real> x[quad<Real>];
      for (int row = 0; row < quad<Real>; ++row) x[row] = load_pieces(rows + row * stride + j, quad<Real> * stride);
      transpose_pieces<Real>(x);
      for (int column = 0; column < quad<Real>; ++column) buffer[j + column] = x[column];
    });
  };
  if (scores.row_stride == 1) {
    for (Index j = 0; j < scores.columns; ++j) {
      const Element* const from = first + j * scores.column_stride;
      buffer[j] = count == width ? load(from) : load_first(from, count, 0.0);
    }
  } else if (count == width && scores.column_stride == 1 && scores.columns <= short_columns<Real>) {
    if (is_staged<Element>(scores.columns)) {
      Stage<Real> stage;
      const bool is_dense = scores.row_stride == scores.columns;  // then the rows are as one
      if (is_dense) copy_row(first, 1, width * scores.columns, stage.rows);
      else
        for (int row = 0; row < width; ++row)
          copy_row(first + row * scores.row_stride, 1, scores.columns, stage.rows + row * stage.stride);
      transpose_rows(stage.rows, is_dense ? scores.columns : stage.stride,
                     scores.columns < quad<Real> ? quad<Real> : scores.columns);
    } else if constexpr (sizeof(Element) == sizeof(Real)) {
      transpose_rows(first, scores.row_stride, scores.columns);
    }
  } else {
    for (Index j = 0; j < scores.columns; ++j) {
      buffer[j] = Vector<Real>{};
      for (int lane = 0; lane < count; ++lane)
        buffer[j][lane] = get(first + lane * scores.row_stride + j * scores.column_stride);
    }
  }
}

template <class Element, class Real = Computed<Element>>
void unpack(const Vector<Real>* buffer, Index i, int count, const Matrix<Element>& out) {
  constexpr int width = lanes<Real>;
  Element* const first = row_of(out, i);
  const auto transpose_back = [&](Real* rows, Index stride, Index columns) {
    each_quad<Real>(columns, [&](Index j) {
      Vector<Real> x[quad<Real>];
      for (int column = 0; column < quad<Real>; ++column) x[column] = buffer[j + column];
      transpose_pieces<Real>(x);
      for (int row = 0; row < quad<Real>; ++row) store_pieces(rows + row * stride + j, quad<Real> * stride, x[row]);
    });
  };
  if (out.row_stride == 1) {
    for (Index j = 0; j < out.columns; ++j) {
      Element* const to = first + j * out.column_stride;
      if (count == width) store(to, buffer[j]);
      else store_first(to, buffer[j], count);
    }
  } else if (count == width && out.column_stride == 1 && out.columns <= short_columns<Real>) {
    if (is_staged<Element>(out.columns)) {
      Stage<Real> stage;
      const bool is_dense = out.row_stride == out.columns && out.columns >= quad<Real>;
      transpose_back(stage.rows, is_dense ? out.columns : stage.stride,
                     out.columns < quad<Real> ? quad<Real> : out.columns);
      if (is_dense) copy_row_back(stage.rows, width * out.columns, first, 1);
      else
        for (int row = 0; row < width; ++row)
          copy_row_back(stage.rows + row * stage.stride, out.columns, first + row * out.row_stride, 1);
    } else if constexpr (sizeof(Element) == sizeof(Real)) {
      transpose_back(first, out.row_stride, out.columns);
    }
  } else {
    for (Index j = 0; j < out.columns; ++j)
      for (int lane = 0; lane < count; ++lane) {
        Element* to = first + lane * out.row_stride + j * out.column_stride;
        if constexpr (sizeof(Element) == sizeof(Real)) *to = buffer[j][lane];
        else put(to, buffer[j][lane]);
      }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
