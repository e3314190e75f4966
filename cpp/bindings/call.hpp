// One call of a kernel over arrays of any shape: laid out as matrices, cut into tasks, shared among threads.
#pragma once

#include "arguments.hpp"

namespace luce::bindings {

// Numbers in a task: enough to be worth a thread's waking, few enough to stop soon when asked to.
constexpr Index task_elements = Index{1} << 17;
// Tasks that had better be large end in hundredths of a second.
constexpr Index most_task_elements = Index{1} << 22;
// A call of fewer numbers keeps the interpreter: letting it go costs more.
constexpr Index most_elements_held = Index{1} << 13;

// Arrays of more bytes are taken not to stay in the caches from one pass to the next. (What systems say of their last
// cache is often the size of all of them together.)
constexpr Index cached_bytes = Index{1} << 24;

// Where an output goes: a matrix beside the scores, or one element a row by number.
template <class Element, class Reduced>
struct Target {
  Element* matrix;
  Reduced* by_row;
};

// `kernel(scores, span of rows by number, out, workspace)` is called for parts of the matrices.
template <class Element, class Reduced, class Kernel>
class Call {
 public:
  Call(const Element* scores, Target<Element, Reduced> target, const Layout& layout, const Kernel& kernel)
      : scores_(scores), target_(target), layout_(layout), kernel_(kernel) {
    const Index rows = layout_.rows.size, columns = std::max<Index>(layout_.columns, 1);
    rows_per_task_ = std::max<Index>(64, (task_elements / columns + 63) / 64 * 64);
    // Long rows go one by one, but for those that are computed side by side.
    if (columns > 4096) rows_per_task_ = std::max<Index>(classes_are_adjacent() ? 1 : 16, task_elements / columns / 16 * 16);
    // Neighbouring rows are computed side by side, in long stretches of memory.
    if (layout_.rows.scores == 1 && columns > 1)
      rows_per_task_ = std::max(rows_per_task_, std::min<Index>(1024, most_task_elements / columns / 16 * 16));
    tasks_per_matrix_ = (rows + rows_per_task_ - 1) / rows_per_task_;
    const Index bytes = layout_.matrices * rows * columns * Index{sizeof(Element)};
    exceeds_caches_ = (target.matrix == nullptr ? bytes : 2 * bytes) > cached_bytes;
    if (!layout_.has_one_class_axis()) gathered_rows_ = std::max<Index>(1, std::min<Index>(64, task_elements / columns));
  }

  void run(int threads) {
    const Index elements = layout_.matrices * layout_.rows.size * layout_.columns;
    if (layout_.matrices * layout_.rows.size == 0) return;
    const Job job{layout_.matrices * tasks_per_matrix_, workspace_bytes(), &Call::run_task, this};
    Interrupt interrupt;
    if (elements <= most_elements_held) {
      run_job(job, 1, interrupt.patience());
    } else {
      const nb::gil_scoped_release released;
      run_job(job, threads, interrupt.patience());
    }
    interrupt.rethrow();
  }

 private:
  static void run_task(const void* context, Index task, Workspace workspace) {
    static_cast<const Call*>(context)->run_task(task, workspace);
  }

  void run_task(Index task, Workspace workspace) const {
    workspace.exceeds_caches = exceeds_caches_;
    const Span at = layout_.span(task / tasks_per_matrix_);
    const Index first = task % tasks_per_matrix_ * rows_per_task_;
    const Index count = std::min(rows_per_task_, layout_.rows.size - first);
    if (gathered_rows_ == 0) {
      kernel_(matrix(at, first, count), at.first_row + first * layout_.rows.row, out_matrix(at, first, count), workspace);
      return;
    }
    for (Index i = 0; i < count; i += gathered_rows_) gather(at, first + i, std::min(gathered_rows_, count - i), workspace);
  }

  Matrix<const Element> matrix(const Span& at, Index first, Index count) const {
    return {scores_ + at.scores + first * layout_.rows.scores, count, layout_.columns, layout_.rows.scores,
            layout_.class_stride(false)};
  }
  Matrix<Element> out_matrix(const Span& at, Index first, Index count) const {
    if (target_.matrix == nullptr) return {nullptr, count, layout_.columns, 0, 1};
    return {target_.matrix + at.out + first * layout_.rows.out, count, layout_.columns, layout_.rows.out,
            layout_.class_stride(true)};
  }

  // Classes along several axes that are not one: some rows at a time are brought together, and taken back.
  void gather(const Span& at, Index first, Index count, Workspace workspace) const {
    auto* const buffer = static_cast<Element*>(workspace.memory);
    workspace.memory = static_cast<char*>(workspace.memory) + gathered_bytes();
    for (Index i = 0; i < count; ++i) {
      const Element* from = scores_ + at.scores + (first + i) * layout_.rows.scores;
      Element* to = buffer + i * layout_.columns;
      each_line_of_classes(layout_.classes, 0, 0, 0, [&](Index at, Index, const Axis& last) {
        if (last.scores == 1) to = std::copy_n(from + at, last.size, to);
        else
          for (Index j = 0; j < last.size; ++j) *to++ = from[at + j * last.scores];
      });
    }
    const Matrix<const Element> scores{buffer, count, layout_.columns, layout_.columns, 1};
    const Matrix<Element> out{target_.matrix == nullptr ? nullptr : buffer, count, layout_.columns, layout_.columns, 1};
    kernel_(scores, at.first_row + first * layout_.rows.row, out, workspace);
    if (target_.matrix == nullptr) return;
    for (Index i = 0; i < count; ++i) {
      const Element* from = buffer + i * layout_.columns;
      Element* to = target_.matrix + at.out + (first + i) * layout_.rows.out;
      each_line_of_classes(layout_.classes, 0, 0, 0, [&](Index, Index at, const Axis& last) {
        if (last.out == 1) std::copy_n(from, last.size, to + at);
        else
          for (Index j = 0; j < last.size; ++j) to[at + j * last.out] = from[j];
        from += last.size;
      });
    }
  }

  std::size_t gathered_bytes() const {
    return static_cast<std::size_t>((gathered_rows_ * layout_.columns * Index{sizeof(Element)} + 63) / 64 * 64);
  }
  std::size_t workspace_bytes() const {
    return luce::workspace_bytes(layout_.columns, gathered_rows_ > 0 || classes_are_adjacent()) + gathered_bytes();
  }
  bool classes_are_adjacent() const {
    return layout_.class_stride(false) == 1 && (target_.matrix == nullptr || layout_.class_stride(true) == 1);
  }

  const Element* scores_;
  Target<Element, Reduced> target_;
  const Layout& layout_;
  const Kernel& kernel_;
  Index rows_per_task_, tasks_per_matrix_, gathered_rows_ = 0;
  bool exceeds_caches_;
};

// The axes of a call; the last `class_ndim` axes of the scores are the classes. `out`, if any, has the scores' shape.
inline Layout layout_of(const Input& scores, const Output* out, int class_ndim) {
  const auto ndim = static_cast<int>(scores.ndim());
  if (class_ndim < 0 || class_ndim > ndim)
    refuse("class_ndim is " + std::to_string(class_ndim) + "; scores have " + std::to_string(ndim) + " axes");
  if (ndim > Axes::most) refuse("scores have " + std::to_string(ndim) + " axes; expected at most 64");
  Axes batch(ndim - class_ndim), classes(class_ndim);
  Index row = 1;
  for (int axis = ndim - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    Axis& to = axis < batch.size() ? batch[axis] : classes[axis - batch.size()];
    to = {static_cast<Index>(scores.shape(i)), scores.stride(i), out ? out->stride(i) : 0, 0};
    if (axis < batch.size()) {
      to.row = row;
      row *= to.size;
    }
  }
  return Layout(batch, classes, out == nullptr);
}

inline Index rows_of(const Input& scores, int class_ndim) {
  Index rows = 1;
  for (int axis = 0; axis < static_cast<int>(scores.ndim()) - class_ndim; ++axis)
    rows *= static_cast<Index>(scores.shape(static_cast<std::size_t>(axis)));
  return rows;
}

template <class Element, class Reduced, class Kernel>
void run_call(const Input& scores, Target<Element, Reduced> target, const Layout& layout, const Kernel& kernel,
              int threads) {
  Call<Element, Reduced, Kernel>(static_cast<const Element*>(scores.data()), target, layout, kernel).run(threads);
}

}  // namespace luce::bindings
