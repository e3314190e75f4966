// Runs a kernel over all rows of a matrix, whatever its strides.
//
// A kernel is a callable on (block, first row, number of rows). It returns what it has found of these rows: a mask
// `exceptional` of those that need the kernel's `exceptional` instead (infinite scores and temperatures, for which the
// formulas do not hold), and `write(block, part)` for the others. Scores that are computed in place are not changed before.
#pragma once

#include "packing.hpp"
#include "panel.hpp"
#include "rows.hpp"

// Kernels in one body each, all of whose numbers may stay in registers. For v2 that is not worth three times the
// compilation.
#if defined(__x86_64__) && !defined(__AVX2__)
#define LUCE_FLATTEN
#else
#define LUCE_FLATTEN __attribute__((flatten))
#endif

namespace luce::LUCE_ISA {
namespace {

// Rows are computed several together, so many scores of them.
constexpr Index most_scores_together = 4096;

// Rows up to this length keep their exponentials in the workspace, longer ones in the output if they can.
constexpr Index most_columns_kept_apart = 8192;

// Results of calls that exceed the caches are written past them, unless what is kept of a row would itself.
constexpr Index most_columns_streamed = Index{1} << 17;

template <class Real, class Kernel, class Put>
void exceptional_row(const Kernel& kernel, const Matrix<const Real>& scores, Index first, int row, Put put) {
  kernel.exceptional(
      first + row, [&](Index j) { return static_cast<double>(row_of(scores, row)[j * scores.column_stride]); }, put);
}

template <class Real>
bool has_adjacent_classes(const Matrix<const Real>& scores, const Matrix<Real>& out) {
  return scores.column_stride == 1 && (out.data == nullptr || out.column_stride == 1);
}

// What a kernel returns where nothing is left to be written.
template <class Block>
struct Written {
  Bits<typename Block::Real> exceptional;
  template <class Part>
  void write(Block&, Part) const {}
};

// Computes some rows.
template <class Real, class Kernel>
struct RowsComputation {
  const Kernel& kernel;
  Real* kept;  // null: in the output
  Index kept_stride;
  WholeLines<Real>* lines;
  const Workspace& workspace;

  LUCE_FLATTEN Bits<Real> operator()(Index i, const Matrix<const Real>& from, const Matrix<Real>& to) const {
    Rows<Real> rows(from, kept == nullptr ? to.data : kept, kept == nullptr ? to.row_stride : kept_stride, to, lines,
                    workspace);
    const auto results = kernel(rows, i, static_cast<int>(from.rows));
    rows.each(~results.exceptional, [&](int row) { results.write(rows, row); });
    return results.exceptional;
  }
};

// Rows that do not lie as they are computed, with adjacent classes, go through the workspace.
template <class Real, class Kernel>
void run_rows(const Kernel& kernel, const Matrix<const Real>& scores, const Matrix<Real>& out,
              const Workspace& workspace) {
  const bool is_direct = has_adjacent_classes(scores, out);
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
  const RowsComputation<Real, Kernel> compute{kernel, keeps_in_output ? nullptr : kept, kept_stride,
                                              streams ? &lines : nullptr, workspace};
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += together) {
    const int count = static_cast<int>(scores.rows - i < together ? scores.rows - i : together);
    const Matrix<const Real> from = rows_of(scores, i, count);
    const Matrix<Real> to = rows_of(out, i, count);
    Bits<Real> exceptional;
    if (is_direct) {
      exceptional = compute(i, from, to);
    } else {
      for (int row = 0; row < count; ++row)
        copy_row(row_of(from, row), from.column_stride, from.columns, gathered + row * padded);
      exceptional = compute(i, {gathered, count, from.columns, padded, 1}, {gathered, count, from.columns, padded, 1});
      for (int row = 0; row < count && out.data != nullptr; ++row)
        if (!exceptional[row]) copy_row_back(gathered + row * padded, to.columns, row_of(to, row), to.column_stride);
    }
    for (int row = 0; row < count && any(exceptional); ++row)
      if (exceptional[row])
        exceptional_row(kernel, from, i, row,
                        [&](Index j, double value) { row_of(to, row)[j * to.column_stride] = static_cast<Real>(value); });
  }
}

// The memory that is of use while rows from i on are computed: rows one after another are followed by their like; where
// classes are far apart, those of the next rows are, and the places of the results.
template <class Real>
Ahead ahead_of(const Matrix<const Real>& scores, const Matrix<Real>& out, Index i, const void* nothing) {
  constexpr Index width = lanes<Real>;
  if (scores.row_stride != 1)
    return {is_dense(scores) ? reinterpret_cast<const char*>(row_of(scores, i)) + prefetch_bytes : nothing,
            is_dense(scores) ? vector_bytes : 0, nothing, 0};
  const bool writes = out.data != nullptr && out.row_stride == 1;
  const Index panels = 1 + prefetch_bytes / vector_bytes / (scores.columns + 1);
  return {row_of(scores, i + (1 + panels) * width - 1), scores.column_stride * Index{sizeof(Real)},
          writes ? row_of(out, i + width - 1) : nothing, writes ? out.column_stride * Index{sizeof(Real)} : 0};
}

// Of many neighbouring rows the first ones are as many as leave the others at lines of memory.
template <class Real>
Index rows_before_line(const Matrix<const Real>& scores) {
  constexpr Index width = lanes<Real>;
  if (scores.row_stride != 1 || scores.column_stride % width != 0 || scores.rows < 8 * width) return width;
  return width - static_cast<Index>(reinterpret_cast<std::uintptr_t>(scores.data) / sizeof(Real) % width);
}

template <class Real, class Kernel>
LUCE_FLATTEN void run_panels(const Kernel& kernel, const Matrix<const Real>& scores, const Matrix<Real>& out,
                             const Workspace& workspace) {
  constexpr Index width = lanes<Real>;
  const Index size = scores.columns + least_columns;
  auto* const buffer = static_cast<Vector<Real>*>(workspace.memory);
  auto* const stage = reinterpret_cast<Stage<Real>*>(buffer + 2 * size);
  auto* const streamed = reinterpret_cast<Real*>(stage + 1);
  const bool streams = is_dense(out) && out.data != nullptr && out.columns <= short_columns<Real> &&
                       out.data != scores.data && workspace.exceeds_caches;
  WholeLines<Real> lines;
  Index next = rows_before_line(scores);
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i = next, next += width) {
    const int count = static_cast<int>((next < scores.rows ? next : scores.rows) - i);
    const Matrix<const Real> from = rows_of(scores, i, count);
    Matrix<Real> to = rows_of(out, i, count);
    const bool streams_these = streams && count == width;
    if (streams_these) to.data = at_page_offset_of(to.data, streamed);
    const Place<Real> place = place_for(to, *stage);
    Panel<Real> panel(buffer, buffer + size, scores.columns, count, bring(from, *stage, buffer), place,
                      ahead_of(scores, out, i, buffer));
    const auto results = kernel(panel, i, count);
    const bool has_exceptional = any(results.exceptional);
    if (has_exceptional) panel.hold();
    results.write(panel, AllRows{});
    for (int row = 0; row < count && has_exceptional; ++row)
      if (results.exceptional[row])
        exceptional_row(kernel, from, i, row,
                        [&](Index j, double value) { buffer[j][row] = static_cast<Real>(value); });
    if (out.data == nullptr) continue;
    if (panel.holds()) send(Place<Real>{}, buffer, to);
    else if (place.data == stage->rows) send(place, buffer, to);
    if (streams_these)
      lines.write(to.data, row_of(out, i), count * out.columns, -1, Vector<Real>{},
                  [](Vector<Real> x, Index, int) { return x; });
  }
}

// With the same bits for any strides.
template <class Real, class Kernel>
void run_alike(const Kernel& kernel, const Matrix<const Real>& scores, const Matrix<Real>& out,
               const Workspace& workspace) {
  if (scores.columns <= short_columns<Real>) run_panels(kernel, scores, out, workspace);
  else run_rows(kernel, scores, out, workspace);
}

// In the quickest way for the strides: the last bits may depend on it.
template <class Real>
bool is_run_in_panels(const Matrix<const Real>& scores, const Matrix<Real>& out,
                      Index most_columns = short_columns<Real>) {
  return scores.columns <= most_columns || (!has_adjacent_classes(scores, out) && are_rows_nearer(scores));
}
template <class Real, class Kernel>
void run(const Kernel& kernel, const Matrix<const Real>& scores, const Matrix<Real>& out,
         const Workspace& workspace, Index most_columns = short_columns<Real>) {
  if (is_run_in_panels(scores, out, most_columns)) run_panels(kernel, scores, out, workspace);
  else run_rows(kernel, scores, out, workspace);
}

// What `exceptional` needs to know of a row.
struct RowSummary {
  double largest;  // -inf when there is no number
  Index position;  // of the first of the largest
  Index possible;  // classes with a score above -inf
  bool has_nan;

  bool is_impossible() const { return !has_nan && possible == 0; }
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
