// Runs a kernel over all rows of a matrix, whatever its strides.
//
// A kernel is a callable on (block, first row, number of rows). It returns a mask of the lanes whose row needs
// `exceptional` instead: infinite scores and temperatures, for which the formulas do not hold. On a `Row` it has then
// written nothing.
#pragma once

#include "blocks.hpp"
#include "logarithm.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows up to this length are computed in panels, however they lie in memory: a row's result does not depend on how many
// others there are.
template <class Real>
constexpr Index short_columns = 4 * lanes<Real>;

// Rows up to this length keep their exponentials in the workspace, which stays in the cache. Longer ones keep them in
// the output: writing it early spreads the traffic.
constexpr Index most_columns_kept_apart = 4096;

template <class Element>
Element* row_of(const Matrix<Element>& matrix, Index i) {
  return matrix.data == nullptr ? nullptr : matrix.data + i * matrix.row_stride;
}

template <class Element, class Kernel>
void exceptional_row(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out, Index i) {
  kernel.exceptional(
      i, [&](Index j) { return static_cast<double>(get(row_of(scores, i) + j * scores.column_stride)); },
      [&](Index j, double value) { put(row_of(out, i) + j * out.column_stride, value); });
}

template <class Element, class Kernel>
void run_rows(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
              const Workspace& workspace) {
  using Real = Computed<Element>;
  Real* const apart = static_cast<Real*>(workspace.memory);
  bool in_output = false;
  if constexpr (sizeof(Element) == sizeof(Real))
    in_output = scores.columns > most_columns_kept_apart && out.data != nullptr && out.data != scores.data;
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); ++i) {
    Real* kept = apart;
    if constexpr (sizeof(Element) == sizeof(Real))
      if (in_output) kept = row_of(out, i);
    Row<Element> row(row_of(scores, i), kept, row_of(out, i), scores.columns, workspace);
    if (any(kernel(row, i, 1))) exceptional_row(kernel, scores, out, i);
  }
}

// Rows that are neither adjacent in memory nor made of adjacent classes, one at a time through the workspace.
template <class Element, class Kernel>
void run_gathered_rows(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
                       const Workspace& workspace) {
  using Real = Computed<Element>;
  Real* const kept = static_cast<Real*>(workspace.memory);
  Real* const gathered = kept + scores.columns;
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); ++i) {
    const Element* from = row_of(scores, i);
    for (Index j = 0; j < scores.columns; ++j) gathered[j] = get(from + j * scores.column_stride);
    Row<Real> row(gathered, kept, gathered, scores.columns, workspace);
    if (any(kernel(row, i, 1))) {
      exceptional_row(kernel, scores, out, i);
    } else if (Element* to = row_of(out, i)) {
      for (Index j = 0; j < scores.columns; ++j) put(to + j * out.column_stride, gathered[j]);
    }
  }
}

// The rows of one panel, one after another: memory is read and written in order, and transposed in the cache.
template <class Real>
struct Stage {
  alignas(64) Real rows[lanes<Real>][short_columns<Real>];
};

template <class Element, class Real = Computed<Element>>
void copy_row(const Element* from, Index columns, Real* to) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  for (; j + width <= columns; j += width) store(to + j, load(from + j));
  if (j < columns) store(to + j, load_first(from + j, static_cast<int>(columns - j), 0.0));
}

template <class Element, class Real = Computed<Element>>
void copy_row_back(const Real* from, Index columns, Element* to) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  for (; j + width <= columns; j += width) store(to + j, load(from + j));
  if (j < columns) store_first(to + j, load(from + j), static_cast<int>(columns - j));
}

// `count` rows from row i into a buffer of one vector a class.
template <class Element, class Real = Computed<Element>>
void pack(const Matrix<const Element>& scores, Index i, int count, Vector<Real>* buffer) {
  constexpr int width = lanes<Real>;
  const Element* const first = row_of(scores, i);
  if (count == width && scores.row_stride == 1) {
    for (Index j = 0; j < scores.columns; ++j) buffer[j] = load(first + j * scores.column_stride);
  } else if (count == width && scores.column_stride == 1 && scores.columns <= short_columns<Real>) {
    Stage<Real> stage;
    for (int lane = 0; lane < width; ++lane) copy_row(first + lane * scores.row_stride, scores.columns, stage.rows[lane]);
    for (Index j = 0; j < scores.columns; j += width) {
      Vector<Real> x[width];
      for (int lane = 0; lane < width; ++lane) x[lane] = load(stage.rows[lane] + j);
      transpose<Real>(x);
      for (int column = 0; column < width && j + column < scores.columns; ++column) buffer[j + column] = x[column];
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
  if (count == width && out.row_stride == 1) {
    for (Index j = 0; j < out.columns; ++j) store(first + j * out.column_stride, buffer[j]);
  } else if (count == width && out.column_stride == 1 && out.columns <= short_columns<Real>) {
    Stage<Real> stage;
    for (Index j = 0; j < out.columns; j += width) {
      Vector<Real> x[width];
      for (int column = 0; column < width; ++column)
        x[column] = j + column < out.columns ? buffer[j + column] : Vector<Real>{};
      transpose<Real>(x);
      for (int lane = 0; lane < width; ++lane) store(stage.rows[lane] + j, x[lane]);
    }
    for (int lane = 0; lane < width; ++lane) copy_row_back(stage.rows[lane], out.columns, first + lane * out.row_stride);
  } else {
    for (Index j = 0; j < out.columns; ++j)
      for (int lane = 0; lane < count; ++lane) {
        Element* to = first + lane * out.row_stride + j * out.column_stride;
        if constexpr (sizeof(Element) == sizeof(Real)) *to = buffer[j][lane];
        else put(to, buffer[j][lane]);
      }
  }
}

template <class Element, class Kernel>
void run_panels(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
                const Workspace& workspace) {
  using Real = Computed<Element>;
  constexpr int width = lanes<Real>;
  auto* const buffer = static_cast<Vector<Real>*>(workspace.memory);
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += width) {
    const int count = scores.rows - i < width ? static_cast<int>(scores.rows - i) : width;
    pack(scores, i, count, buffer);
    Panel<Real> panel(buffer, scores.columns, count);
    const auto exceptional = kernel(panel, i, count);
    if (any(exceptional))
      for (int lane = 0; lane < count; ++lane)
        if (exceptional[lane])
          kernel.exceptional(
              i + lane,
              [&](Index j) {
                return static_cast<double>(get(row_of(scores, i + lane) + j * scores.column_stride));
              },
              [&](Index j, double value) { buffer[j][lane] = static_cast<Real>(value); });
    if (out.data != nullptr) unpack(buffer, i, count, out);
  }
}

template <class Element>
bool has_adjacent_classes(const Matrix<const Element>& scores, const Matrix<Element>& out) {
  return scores.column_stride == 1 && (out.data == nullptr || out.column_stride == 1);
}

// With the same bits for any strides.
template <class Element, class Kernel>
void run_alike(const Kernel& kernel, const Matrix<const Element>& scores, const Matrix<Element>& out,
               const Workspace& workspace) {
  if (scores.columns <= short_columns<Computed<Element>>) run_panels(kernel, scores, out, workspace);
  else if (has_adjacent_classes(scores, out)) run_rows(kernel, scores, out, workspace);
  else run_gathered_rows(kernel, scores, out, workspace);
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

template <class V>
auto is_infinite(V x) { return (x - x) != V{}; }

template <class Block>
void store_lanes(typename Block::Real* to, typename Block::V x, int count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = x[lane];
}

// The factor that turns exponentials with their unit into shares: its error is kept.
template <class Real>
struct Factor {
  Vector<Real> hi, lo;
  Vector<Real> after;  // a power of two; 1 where products are fused

  Vector<Real> times(Vector<Real> kept) const { return times_plus(kept, Vector<Real>{}); }

  // kept times the factor, plus `more`; rounded once, or nearly so.
  Vector<Real> times_plus(Vector<Real> kept, Vector<Real> more) const {
    if constexpr (has_fma<Real>) return multiply_add(kept, hi, multiply_add(kept, lo, more));
    const auto main = two_product(kept, hi);
    const auto sum = two_sum(main.hi, more * (1 / after));
    return (sum.hi + (sum.lo + (main.lo + kept * lo))) * after;
  }
};

template <class Block>
Factor<typename Block::Real> factor_of(const Pair (&share)[Block::groups]) {
  using Real = typename Block::Real;
  // An infinite factor would turn what is 0 into NaN.
  constexpr double most = sizeof(Real) == sizeof(float) ? FLT_MAX : DBL_MAX;
  Factor<Real> factor;
  Doubles hi[Block::groups], lo[Block::groups], after[Block::groups];
  for (int group = 0; group < Block::groups; ++group) {
    // Parts of a product that is not fused are kept out of the subnormal range.
    Doubles spare = broadcast<double>(1.0);
    if constexpr (!has_fma<Real>) spare = share[group].hi < 0x1p256 ? spare * 0x1p256 : spare;
    after[group] = 1.0 / spare;
    hi[group] = share[group].hi * (spare / Format<Real>::unit_size);
    lo[group] = hi[group] > most ? Doubles{} : share[group].lo * (spare / Format<Real>::unit_size);
    hi[group] = hi[group] > most ? broadcast<double>(most) : hi[group];
  }
  factor.hi = Block::narrow(hi);
  for (int group = 0; group < Block::groups; ++group) lo[group] += hi[group] - widened(factor.hi, group);
  factor.lo = Block::narrow(lo);
  factor.after = Block::narrow(after);
  return factor;
}

// Sums of exponentials relative to the largest score of each row.
template <class Block>
struct Normaliser {
  Pair rest[Block::groups];   // of all classes but one of the largest: however small, it has all its digits
  Pair scale[Block::groups];  // what kept exponentials, over their unit, are to be multiplied by
};

// Exponentials at the floor are below: they would not vanish beside a large weight.
template <class Real>
constexpr double lowest = sizeof(Real) == sizeof(float) ? 0x1p-123 : 0x1p-1019;

// With `keep`, the exponentials are kept: 0 for a class that cannot happen.
template <bool keep, class Block, bool tempered, class Real = typename Block::Real>
Normaliser<Block> normaliser_of(Block& block, typename Block::V largest,
                                const Temperature<Real, tempered>& temperature) {
  using V = typename Block::V;
  const Reference<Real, tempered> reference(largest, temperature);
  SmallTermSum<Real> sum;
  Bits<Real> minus_ties{};
  const auto step = [&](auto& x) {
    constexpr int count = sizeof x / sizeof x[0];
    auto terms = reference.terms(x);
    for (int i = 0; i < count; ++i) {
      const auto tied = x[i] == largest;
      const auto left_out = tied | (terms.value[i] < static_cast<Real>(lowest<Real>));
      const auto impossible = x[i] == static_cast<Real>(-infinity);
      minus_ties += tied;
      if constexpr (keep) x[i] = impossible ? V{} : terms.value[i];
      terms.leave_out(i, left_out);
    }
    sum.add(terms);
  };
  if constexpr (keep) block.keep(step);
  else block.visit(step);
  Pair totals[groups<Real>], others[Block::groups];
  sum.finish(totals);
  Block::across(totals, others);
  Doubles ties[Block::groups];
  Block::across(-minus_ties, ties);
  Normaliser<Block> result;
  for (int group = 0; group < Block::groups; ++group) {
    result.scale[group] = reciprocal(reference.exact_term(largest, group));
    const Pair relative = product(result.scale[group], others[group]);
    const Pair total = two_sum(ties[group] - 1.0, relative.hi);
    result.rest[group] = {total.hi, total.lo + relative.lo};
  }
  return result;
}

}  // namespace
}  // namespace luce::LUCE_ISA
