// From arrays of any shape and strides to the matrices that kernels take.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace luce {

// One axis of the arrays of a call: its size and, for each array, the distance between neighbours in elements.
struct Axis {
  Index size;
  Index scores;
  Index out;  // 0 where the output has no such axis
  Index row;  // in numbers of rows, counted in C order
};

// Merges neighbours that are one longer axis in every array, and drops axes of size 1.
inline std::vector<Axis> merged(const std::vector<Axis>& axes) {
  std::vector<Axis> result;
  for (const Axis& axis : axes) {
    if (axis.size == 1) continue;
    if (!result.empty()) {
      Axis& last = result.back();
      if (last.scores == axis.size * axis.scores && last.out == axis.size * axis.out && last.row == axis.size * axis.row) {
        last = {last.size * axis.size, axis.scores, axis.out, axis.row};
        continue;
      }
    }
    result.push_back(axis);
  }
  return result;
}

// Rows of one matrix, and where its first row lies.
struct Span {
  Index first_row;  // its number
  Index scores, out;
};

// A call as matrices: `rows` of each of the spans, the classes along one axis or, failing that, along several.
struct Layout {
  std::vector<Axis> outer;    // one matrix for each of their positions
  Axis rows{1, 0, 0, 0};
  std::vector<Axis> classes;  // at most one: the columns of the matrices
  Index matrices = 1, columns = 1;

  // `batch` and `class_axes` in C order. Where rows are written by number they stay in that order.
  Layout(const std::vector<Axis>& batch, const std::vector<Axis>& class_axes, bool by_number) {
    outer = merged(batch);
    classes = merged(class_axes);
    for (const Axis& axis : classes) columns *= axis.size;
    for (const Axis& axis : class_axes)
      if (axis.size == 0) columns = 0;
    if (outer.empty()) return;
    std::size_t chosen = outer.size() - 1;
    const auto size_of = [](Index stride) { return stride < 0 ? -stride : stride; };
    if (!by_number)
      for (std::size_t i = 0; i < outer.size(); ++i)
        if (size_of(outer[i].scores) < size_of(outer[chosen].scores)) chosen = i;
    rows = outer[chosen];
    outer.erase(outer.begin() + static_cast<std::ptrdiff_t>(chosen));
    for (const Axis& axis : outer) matrices *= axis.size;
  }

  Span span(Index matrix) const {
    Span at{0, 0, 0};
    for (auto axis = outer.rbegin(); axis != outer.rend(); ++axis) {
      const Index position = matrix % axis->size;
      matrix /= axis->size;
      at.first_row += position * axis->row;
      at.scores += position * axis->scores;
      at.out += position * axis->out;
    }
    return at;
  }

  bool has_one_class_axis() const { return classes.size() <= 1; }
  Index class_stride(bool of_out) const {
    return classes.empty() ? 1 : of_out ? classes[0].out : classes[0].scores;
  }
};

// Calls f(offset in the scores, offset in the output, the last axis) for every line of classes in C order.
template <class F>
void each_line_of_classes(const std::vector<Axis>& axes, std::size_t level, Index scores, Index out, const F& f) {
  if (level + 1 == axes.size()) {
    f(scores, out, axes[level]);
    return;
  }
  for (Index i = 0; i < axes[level].size; ++i)
    each_line_of_classes(axes, level + 1, scores + i * axes[level].scores, out + i * axes[level].out, f);
}

}  // namespace luce
