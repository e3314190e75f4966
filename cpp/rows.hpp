// Runs a kernel over all rows of a matrix, whatever its strides.
//
// A kernel is a callable on (block, first row, number of rows). It returns what it has found of these rows: a mask
// `exceptional` of those that need the kernel's `exceptional` instead (infinite scores and temperatures, for which the
// formulas do not hold), and `write(block, part)` for the others. Scores that are computed in place are not changed before.
#pragma once

#include "packing.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows are computed several together, so many scores of them.
constexpr Index most_scores_together = 4096;

// Rows up to this length keep their exponentials in the workspace, longer ones in the output if they can.
constexpr Index most_columns_kept_apart = 8192;

// Results of calls that exceed the caches are written past them, unless what is kept of a row would itself.
constexpr Index most_columns_streamed = Index{1} << 17;

template <class Element, class Kernel>
void exceptional_row(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out, Index first,
                     int row) {
  kernel.exceptional(
      first + row, [&](Index j) { return static_cast<double>(get(row_of(scores, row) + j * scores.column_stride)); },
      [&](Index j, double value) { put(row_of(out, row) + j * out.column_stride, value); });
}

template <class Element>
bool has_adjacent_classes(const Matrix<const Element>& scores, const Matrix<Element>& out) {
  return scores.column_stride == 1 && (out.data == nullptr || out.column_stride == 1);
}

// What a kernel returns where nothing is left to be written.
template <class Block>
struct Written {
  Bits<typename Block::Real> exceptional;
  template <class Part>
  void write(Block&, Part) const {}
};

// Rows that do not lie as they are computed, with adjacent classes of a type that is computed in, go through the
// workspace.
template <class Element, class Kernel>
void run_rows(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
              const Workspace& workspace) {
  using Real = Computed<Element>;
  const bool is_direct = sizeof(Element) == sizeof(Real) && has_adjacent_classes(scores, out);
  const bool is_apart = is_direct && out.data != nullptr && out.data != scores.data;
  const bool streams = is_apart && workspace.exceeds_caches && scores.columns <= most_columns_streamed;
  const bool keeps_in_output = is_apart && !streams && scores.columns > most_columns_kept_apart;
  const Index padded = (scores.columns + lanes<Real> - 1) / lanes<Real> * lanes<Real>;
  const Index fitting = scores.columns == 0 ? 1 : most_scores_together / scores.columns;
  const Index together = fitting < 1 ? 1 : fitting > Rows<Real>::most ? Rows<Real>::most : fitting;
  WholeLines<Real> lines;
  Real* const kept = static_cast<Real*>(workspace.memory);
  const Index kept_stride = padded + (streams ? page_bytes / Index{sizeof(Real)} : 0);
  Real* const gathered = kept + together * padded;
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += together) {
    const int count = static_cast<int>(scores.rows - i < together ? scores.rows - i : together);
    const Matrix<const Element> from = rows_of(scores, i, count);
    const Matrix<Element> to = rows_of(out, i, count);
    const auto run_block = [&](const Matrix<const Real>& from, const Matrix<Real>& to) __attribute__((flatten)) {
      Rows<Real> rows(from, keeps_in_output ? to.data : kept, keeps_in_output ? to.row_stride : kept_stride, to,
                      streams ? &lines : nullptr, workspace);
      const auto results = kernel(rows, i, count);
      rows.each(~results.exceptional, [&](int row) { results.write(rows, row); });
      return results.exceptional;
    };
    Bits<Real> exceptional;
    if constexpr (sizeof(Element) == sizeof(Real)) {
      if (is_direct) exceptional = run_block(from, to);
    }
    if (!is_direct) {
      for (int row = 0; row < count; ++row)
        copy_row(row_of(from, row), from.column_stride, from.columns, gathered + row * padded);
      exceptional = run_block({gathered, count, from.columns, padded, 1}, {gathered, count, from.columns, padded, 1});
      for (int row = 0; row < count && out.data != nullptr; ++row)
        if (!exceptional[row]) copy_row_back(gathered + row * padded, to.columns, row_of(to, row), to.column_stride);
    }
    if (any(exceptional))
      for (int row = 0; row < count; ++row)
        if (exceptional[row]) exceptional_row(kernel, from, to, i, row);
  }
}

// Neighbouring rows, classes far apart: several panels at a time, so that memory is read in longer stretches.
template <class Element>
Index panels_together(const Matrix<const Element>& scores, const Matrix<Element>& out) {
  if (has_adjacent_classes(scores, out)) return 1;  // overlapping windows have both
  if (scores.row_stride != 1 || (out.data != nullptr && out.row_stride != 1)) return 1;
  const Index fitting = wide_buffer_bytes / (scores.columns * vector_bytes);
  return fitting < 1 ? 1 : fitting > 8 ? 8 : fitting;
}

template <class Element, class Kernel>
void run_panels(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
                const Workspace& workspace) {
  using Real = Computed<Element>;
  constexpr int width = lanes<Real>;
  const Index together = panels_together(scores, out), size = scores.columns + quad<Real>;
  auto* const buffers = static_cast<Vector<Real>*>(workspace.memory);
  auto* const spare = buffers + together * size;
  const auto compute = [&](Index i, int count, Vector<Real>* buffer, const Ahead& ahead) __attribute__((flatten)) {
    Panel<Real> panel(buffer, spare, scores.columns, count, ahead);
    const auto results = kernel(panel, i, count);
    results.write(panel, AllRows{});
    if (any(results.exceptional))
      for (int lane = 0; lane < count; ++lane)
        if (results.exceptional[lane])
          kernel.exceptional(
              i + lane,
              [&](Index j) {
                return static_cast<double>(get(row_of(scores, i + lane) + j * scores.column_stride));
              },
              [&](Index j, double value) { buffer[j][lane] = static_cast<Real>(value); });
  };
  const bool streams = out.row_stride == out.columns && out.column_stride == 1 && out.data != nullptr &&
                       static_cast<const void*>(out.data) != scores.data && workspace.exceeds_caches;
  WholeLines<Real> lines;
  Real* const stage = reinterpret_cast<Real*>(spare + size);
  Index i = 0;
  for (; together > 1 && i + together * width <= scores.rows && !is_cancelled(workspace); i += together * width) {
    const auto each = [&](Index columns, auto f) {
      for (Index j = 0; j < columns; ++j)
        for (Index panel = 0; panel < together; ++panel) f(j, i + panel * width, buffers[panel * size + j]);
    };
    constexpr Index ahead = 16;
    each(scores.columns, [&](Index j, Index row, Vector<Real>& x) {
      const Element* const from = row_of(scores, row) + j * scores.column_stride;
      if (j + ahead < scores.columns) __builtin_prefetch(from + ahead * scores.column_stride);
      x = load(from);
    });
    for (Index panel = 0; panel < together; ++panel)
      compute(i + panel * width, width, buffers + panel * size, ahead_of(scores, i));
    if (out.data == nullptr) continue;
    each(out.columns, [&](Index j, Index row, const Vector<Real>& x) {
      Element* const to = row_of(out, row) + j * out.column_stride;
      if (j + ahead < out.columns) __builtin_prefetch(to + ahead * out.column_stride, 1);
      store(to, x);
    });
  }
  for (; i < scores.rows && !is_cancelled(workspace); i += width) {
    const int count = scores.rows - i < width ? static_cast<int>(scores.rows - i) : width;
    pack(scores, i, count, buffers);
    compute(i, count, buffers, ahead_of(scores, i));
    if (out.data == nullptr) continue;
    if constexpr (sizeof(Element) == sizeof(Real)) {
      if (streams && count == width) {
        Real* const rows = at_page_offset_of(row_of(out, i), stage);
        unpack(buffers, 0, count, Matrix<Real>{rows, width, out.columns, out.columns, 1});
        lines.write(rows, row_of(out, i), width * out.columns, -1, Vector<Real>{}, [](Vector<Real> x) { return x; });
        continue;
      }
    }
    unpack(buffers, i, count, out);
  }
}

// With the same bits for any strides.
template <class Element, class Kernel>
void run_alike(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
               const Workspace& workspace) {
  if (scores.columns <= short_columns<Computed<Element>>) run_panels(kernel, scores, out, workspace);
  else run_rows(kernel, scores, out, workspace);
}

// In the quickest way for the strides: the last bits may depend on it.
template <class Element, class Kernel>
void run(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
         const Workspace& workspace) {
  const auto size_of = [](Index stride) { return stride < 0 ? -stride : stride; };
  if (!has_adjacent_classes(scores, out) && size_of(scores.row_stride) < size_of(scores.column_stride))
    run_panels(kernel, scores, out, workspace);
  else run_alike(kernel, scores, out, workspace);
}

// What `exceptional` needs to know of a row.
struct RowSummary {
  double largest;  // -inf when there is no number
  Index position;  // of the first of the largest
  Index possible;  // classes with a score above -inf
  bool has_nan;
};

template <class Get>
RowSummary summary_of(Index columns, Get score) {
  RowSummary row{-infinity, 0, 0, false};
  for (Index j = 0; j < columns; ++j) {
    const double x = score(j);
    row.has_nan = row.has_nan || x != x;
    row.possible += x > -infinity;
    if (x > row.largest) {
      row.largest = x;
      row.position = j;
    }
  }
  return row;
}

constexpr double not_a_number = __builtin_nan("");

}  // namespace
}  // namespace luce::LUCE_ISA
