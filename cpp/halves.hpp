// Rows of a type that is not computed in, as floats, some rows at a time: one after another, or as many as a vector has
// lanes, side by side, where neighbours are nearer in memory than classes.
#pragma once

#include "packing.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Element>
constexpr bool is_half = sizeof(Element) < sizeof(Computed<Element>);

constexpr Index most_scores_as_floats = 4096, most_rows_as_floats = 256;

// f(numbers of a row or of a class, their stride, how many, where they are as floats): of all rows at once where they are
// as one; where classes are whole vectors the compiler sees that they are.
template <class Element, class F>
[[gnu::always_inline]] inline void each_line(const Matrix<Element>& rows, const Matrix<float>& floats, F f) {
  if (floats.row_stride == 1) {
    const bool are_vectors = rows.row_stride == 1 && rows.rows == lanes<float>;
    for (Index j = 0; j < rows.columns; ++j) {
      Element* const numbers = rows.data + j * rows.column_stride;
      float* const as_floats = floats.data + j * floats.column_stride;
      if (are_vectors) f(numbers, Index{1}, Index{lanes<float>}, as_floats);
      else f(numbers, rows.row_stride, rows.rows, as_floats);
    }
  } else if (is_dense(rows)) {
    f(rows.data, Index{1}, rows.rows * rows.columns, floats.data);
  } else {
    for (Index i = 0; i < rows.rows; ++i) f(row_of(rows, i), rows.column_stride, rows.columns, row_of(floats, i));
  }
}

// Calls compute(first row, scores, out, workspace) for all rows; what it leaves in `out` is rounded, if that is wanted.
template <class Element, class Compute>
void in_floats(const Matrix<const Element>& scores, const Matrix<Element>& out, Workspace workspace,
               const Compute& compute) {
  const Index columns = scores.columns, fitting = most_scores_as_floats / (columns + 1);
  const bool by_class = scores.column_stride != 1 && are_rows_nearer(scores);
  const Index together = by_class                        ? lanes<float>
                         : fitting < 1                   ? 1
                         : fitting < most_rows_as_floats ? fitting
                                                         : most_rows_as_floats;
  auto* const data = static_cast<float*>(workspace.memory);
  workspace.memory = data + (together * columns + 15) / 16 * 16;
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += together) {
    const int count = static_cast<int>(scores.rows - i < together ? scores.rows - i : together);
    const Matrix<float> floats{data, count, columns, by_class ? 1 : columns, by_class ? lanes<float> : 1};
    each_line(rows_of(scores, i, count), floats, [](const Element* from, Index stride, Index size, float* to) {
      copy_row(from, stride, size, to);
    });
    const bool wants_out = out.data != nullptr;
    compute(i, Matrix<const float>{data, count, columns, floats.row_stride, floats.column_stride},
            wants_out ? floats : Matrix<float>{nullptr, count, columns, 0, 1}, workspace);
    if (wants_out)
      each_line(rows_of(out, i, count), floats, [](Element* to, Index stride, Index size, const float* from) {
        copy_row_back(from, size, to, stride);
      });
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
