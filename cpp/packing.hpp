// From rows in memory to rows as they are computed, and back.
#pragma once

#include "panel.hpp"

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

// Whether the next row is nearer in memory than the next class.
template <class Element>
bool are_rows_nearer(const Matrix<Element>& rows) {
  const auto size_of = [](Index stride) { return stride < 0 ? -stride : stride; };
  return size_of(rows.row_stride) < size_of(rows.column_stride);
}

// What is wanted next is `ahead` elements ahead.
template <class Element, class Real = Computed<Element>>
void copy_row(const Element* from, Index stride, Index columns, Real* to, Index ahead = prefetch_bytes / sizeof(Element)) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  if (stride == 1) {
    for (; j + width <= columns; j += width) {
      __builtin_prefetch(from + j + ahead);
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

// Rows of a panel, one after another: where they are too short for a place.
template <class Real>
struct Stage {
  alignas(64) Real rows[lanes<Real> * short_columns<Real>];
};

template <class Element>
bool is_dense(const Matrix<Element>& rows) { return rows.row_stride == rows.columns && rows.column_stride == 1; }

// Rows as vectors hold them need not be gathered number by number.
template <class Real>
bool has_place(const Matrix<Real>& rows) {
  return rows.rows == lanes<std::remove_const_t<Real>> && rows.columns >= least_columns &&
         (rows.row_stride == 1 || rows.column_stride == 1);
}
template <class Real>
bool has_stage(const Matrix<Real>& rows) {
  using Computed = std::remove_const_t<Real>;
  return rows.rows == lanes<Computed> && rows.column_stride == 1 && rows.columns <= short_columns<Computed>;
}
template <class Real>
Place<Real> place_of(const Matrix<Real>& rows) {
  if (rows.row_stride == 1) return {rows.data, rows.column_stride, false};
  return {rows.data, rows.row_stride, true};
}

// The rows of a panel into the buffer, or to the place that is returned.
template <class Real>
Place<const Real> bring(const Matrix<const Real>& rows, Stage<Real>& stage, Vector<Real>* buffer) {
  if (has_place(rows)) return place_of(rows);
  const auto count = static_cast<int>(rows.rows);
  if (has_stage(rows)) {
    if (is_dense(rows)) {  // then the rows are as one
      copy_row(rows.data, 1, count * rows.columns, stage.rows);
      return {stage.rows, rows.columns, true};
    }
    for (int row = 0; row < count; ++row)
      copy_row(row_of(rows, row), 1, rows.columns, stage.rows + row * short_columns<Real>);
    return {stage.rows, short_columns<Real>, true};
  }
  for (Index j = 0; j < rows.columns; ++j) {
    const Real* const from = rows.data + j * rows.column_stride;
    if (rows.row_stride == 1) {
      buffer[j] = count == lanes<Real> ? load(from) : load_first(from, count, 0.0);
    } else {
      buffer[j] = Vector<Real>{};
      for (int row = 0; row < count; ++row) buffer[j][row] = from[row * rows.row_stride];
    }
  }
  return {};
}

// Where results are put: among the rows, or beside them until they are sent, or nowhere.
template <class Real>
Place<Real> place_for(const Matrix<Real>& rows, Stage<Real>& stage) {
  if (rows.data == nullptr) return {};
  if (has_place(rows)) return place_of(rows);
  const bool are_as_one = is_dense(rows) && rows.columns >= least_columns;
  if (has_stage(rows)) return {stage.rows, are_as_one ? rows.columns : short_columns<Real>, true};
  return {};
}

template <class Real>
void send(const Place<Real>& from, const Vector<Real>* buffer, const Matrix<Real>& rows) {
  const auto count = static_cast<int>(rows.rows);
  if (from.data != nullptr) {
    if (is_dense(rows) && from.stride == rows.columns) copy_row_back(from.data, count * rows.columns, rows.data, 1);
    else
      for (int row = 0; row < count; ++row) copy_row_back(from.of(0, row), rows.columns, row_of(rows, row), 1);
    return;
  }
  for (Index j = 0; j < rows.columns; ++j) {
    Real* const to = rows.data + j * rows.column_stride;
    if (rows.row_stride == 1) {
      if (count == lanes<Real>) store(to, buffer[j]);
      else store_first(to, buffer[j], count);
    } else {
      for (int row = 0; row < count; ++row) to[row * rows.row_stride] = buffer[j][row];
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
