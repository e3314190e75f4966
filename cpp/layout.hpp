// From arrays of any shape and strides to the matrices that kernels take.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.hpp"

namespace luce {

// One axis of the arrays of a call: its size and, for each array, the distance between neighbours in elements.
struct Axis {
  Index size;
  Index scores;
  Index out;  // 0 where the output has no such axis
  Index row;  // in numbers of rows, counted in C order
};

// Some axes in order, without memory to ask for: a small call would wait for it longer than for its kernel.
class Axes {
 public:
  static constexpr int most = 64;  // as many as NumPy's arrays have

  explicit Axes(int size = 0) : size_(size) {}
  Axes(const Axes& other) : size_(other.size_) { std::copy(other.begin(), other.end(), axes_); }
  Axes& operator=(const Axes&) = delete;

  void push_back(const Axis& axis) { axes_[size_++] = axis; }
  void erase(int i) {
    std::copy(begin() + i + 1, end(), axes_ + i);
    --size_;
  }
  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Axis& operator[](int i) { return axes_[i]; }
  const Axis& operator[](int i) const { return axes_[i]; }
  Axis& back() { return axes_[size_ - 1]; }
  const Axis* begin() const { return axes_; }
  const Axis* end() const { return axes_ + size_; }

 private:
  int size_;
  Axis axes_[most];
};

// Merges neighbours that are one longer axis in every array, and drops axes of size 1.
inline Axes merged(const Axes& axes) {
  Axes result;
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
  Axes outer;    // one matrix for each of their positions
  Axis rows{1, 0, 0, 0};
  Axes classes;  // at most one: the columns of the matrices
  Index matrices = 1, columns = 1;

  // `batch` and `class_axes` in C order. Where rows are written by number they stay in that order.
  Layout(const Axes& batch, const Axes& class_axes, bool by_number) : outer(merged(batch)), classes(merged(class_axes)) {
    for (const Axis& axis : classes) columns *= axis.size;
    for (const Axis& axis : class_axes)
      if (axis.size == 0) columns = 0;
    if (outer.empty()) return;
    int chosen = outer.size() - 1;
    const auto size_of = [](Index stride) { return stride < 0 ? -stride : stride; };
    if (!by_number)
      for (int i = 0; i < outer.size(); ++i)
        if (size_of(outer[i].scores) < size_of(outer[chosen].scores)) chosen = i;
    rows = outer[chosen];
    outer.erase(chosen);
    for (const Axis& axis : outer) matrices *= axis.size;
  }

  Span span(Index matrix) const {
    Span at{0, 0, 0};
    for (int i = outer.size() - 1; i >= 0; --i) {
      const Axis& axis = outer[i];
      const Index position = matrix % axis.size;
      matrix /= axis.size;
      at.first_row += position * axis.row;
      at.scores += position * axis.scores;
      at.out += position * axis.out;
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
void each_line_of_classes(const Axes& axes, int level, Index scores, Index out, const F& f) {
  if (level + 1 == axes.size()) {
    f(scores, out, axes[level]);
    return;
  }
  for (Index i = 0; i < axes[level].size; ++i)
    each_line_of_classes(axes, level + 1, scores + i * axes[level].scores, out + i * axes[level].out, f);
}

}  // namespace luce
