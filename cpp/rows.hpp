// Runs a kernel over all rows of a matrix, whatever its strides.
//
// A kernel is a callable on (block, first row, number of rows). It returns a mask of the rows that need `exceptional`
// instead: infinite scores and temperatures, for which the formulas do not hold. Of `Rows` it has then written nothing
// to those.
#pragma once

#include "blocks.hpp"

#include "logarithm.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows up to this length are computed in panels, however they lie in memory: a row's result does not depend on how many
// others there are.
template <class Real>
constexpr Index short_columns = 8 * lanes<Real>;

// Rows are computed several together, so many scores of them. Out of cache fewer: what is written must not come in bursts
// that memory cannot keep up with.
constexpr Index most_scores_together = 4096, most_scores_together_out_of_cache = 1024;

// Rows up to this length keep their exponentials in the workspace, which stays in the nearest cache. Longer ones keep
// them in the output: writing it early spreads the traffic.
constexpr Index most_columns_kept_apart = 255;

template <class Element>
Element* row_of(const Matrix<Element>& matrix, Index i) {
  return matrix.data == nullptr ? nullptr : matrix.data + i * matrix.row_stride;
}
template <class Element>
Matrix<Element> rows_of(const Matrix<Element>& matrix, Index i, int count) {
  return {row_of(matrix, i), count, matrix.columns, matrix.row_stride, matrix.column_stride};
}

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

template <class Element, class Real = Computed<Element>>
void copy_row(const Element* from, Index stride, Index columns, Real* to) {
  constexpr Index width = lanes<Real>;
  Index j = 0;
  if (stride == 1) {
    for (; j + width <= columns; j += width) store(to + j, in_register(load(from + j)));
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
  const bool keeps_in_output =
      is_direct && scores.columns > most_columns_kept_apart && out.data != nullptr && out.data != scores.data;
  const Index padded = (scores.columns + lanes<Real> - 1) / lanes<Real> * lanes<Real>;
  const Index fitting =
      (workspace.exceeds_caches ? most_scores_together_out_of_cache : most_scores_together) / scores.columns;
  const Index together = fitting < 1 ? 1 : fitting > Rows<Real>::most ? Rows<Real>::most : fitting;
  Real* const kept = static_cast<Real*>(workspace.memory);
  Real* const gathered = kept + together * padded;
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += together) {
    const int count = static_cast<int>(scores.rows - i < together ? scores.rows - i : together);
    const Matrix<const Element> from = rows_of(scores, i, count);
    const Matrix<Element> to = rows_of(out, i, count);
    const auto run_block = [&](const Matrix<const Real>& from, const Matrix<Real>& to) {
      Rows<Real> rows(from, keeps_in_output ? to.data : kept, keeps_in_output ? to.row_stride : padded, to, workspace);
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

// Calls f(first column) for groups of `quad` columns; the last may overlap the one before.
template <class Real, class F>
inline void each_quad(Index columns, F f) {
  Index j = 0;
  for (; j + quad<Real> <= columns; j += quad<Real>) f(j);
  if (j < columns) f(columns - quad<Real>);
}

// Rows of a panel, one after another, where they are too short for pieces or of another type than they are computed in.
template <class Real>
struct Stage {
  static constexpr Index stride = short_columns<Real>;
  alignas(64) Real rows[lanes<Real>][stride];
};

template <class Element, class Real = Computed<Element>>
constexpr bool is_staged(Index columns) { return sizeof(Element) != sizeof(Real) || columns < quad<Real> || columns > 24; }

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
  if (count == width && scores.row_stride == 1) {
    for (Index j = 0; j < scores.columns; ++j) buffer[j] = load(first + j * scores.column_stride);
  } else if (count == width && scores.column_stride == 1 && scores.columns <= short_columns<Real>) {
    if (is_staged<Element>(scores.columns)) {
      Stage<Real> stage;
      for (int row = 0; row < width; ++row) copy_row(first + row * scores.row_stride, 1, scores.columns, stage.rows[row]);
      transpose_rows(stage.rows[0], stage.stride, scores.columns < quad<Real> ? quad<Real> : scores.columns);
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
  if (count == width && out.row_stride == 1) {
    for (Index j = 0; j < out.columns; ++j) store(first + j * out.column_stride, buffer[j]);
  } else if (count == width && out.column_stride == 1 && out.columns <= short_columns<Real>) {
    if (is_staged<Element>(out.columns)) {
      Stage<Real> stage;
      transpose_back(stage.rows[0], stage.stride, out.columns < quad<Real> ? quad<Real> : out.columns);
      for (int row = 0; row < width; ++row) copy_row_back(stage.rows[row], out.columns, first + row * out.row_stride, 1);
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

// Neighbouring rows, classes far apart: several panels at a time, so that memory is read in longer stretches.
template <class Element>
Index panels_together(const Matrix<const Element>& scores, const Matrix<Element>& out) {
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
  const auto compute = [&](Index i, int count, Vector<Real>* buffer) {
    Panel<Real> panel(buffer, spare, scores.columns, count);
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
  Index i = 0;
  for (; together > 1 && i + together * width <= scores.rows && !is_cancelled(workspace); i += together * width) {
    for (Index j = 0; j < scores.columns; ++j)
      for (Index panel = 0; panel < together; ++panel) {
        const Element* from = row_of(scores, i + panel * width) + j * scores.column_stride;
        __builtin_prefetch(from + 16 * scores.column_stride);
        buffers[panel * size + j] = load(from);
      }
    for (Index panel = 0; panel < together; ++panel) compute(i + panel * width, width, buffers + panel * size);
    for (Index j = 0; j < scores.columns && out.data != nullptr; ++j)
      for (Index panel = 0; panel < together; ++panel) {
        Element* to = row_of(out, i + panel * width) + j * out.column_stride;
        __builtin_prefetch(to + 16 * out.column_stride, 1);
        store(to, buffers[panel * size + j]);
      }
  }
  for (; i < scores.rows && !is_cancelled(workspace); i += width) {
    const int count = scores.rows - i < width ? static_cast<int>(scores.rows - i) : width;
    pack(scores, i, count, buffers);
    compute(i, count, buffers);
    if (out.data != nullptr) unpack(buffers, i, count, out);
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

// Of `count` rows, one a lane.
template <class Real, bool tempered>
Temperature<Real, tempered> temperatures_of(const PerRow& from, Index i, int count) {
  double per_lane[lanes<Real>];
  for (int lane = 0; lane < lanes<Real> && tempered; ++lane)
    per_lane[lane] = lane < count ? from.data[(i + lane) * from.stride] : 1.0;
  return Temperature<Real, tempered>(per_lane);
}

template <class V>
auto is_infinite(V x) { return (x - x) != V{}; }

// The factor that turns exponentials with their unit into shares: its error is kept.
template <class Real>
struct Factor {
  Vector<Real> hi, lo;
  Vector<Real> after;  // a power of two; 1 where products are fused

  template <class Part>
  Factor of(Part part) const { return {spread(hi, part), spread(lo, part), spread(after, part)}; }

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
Factor<typename Block::Real> factor_of(const Exact<typename Block::Real> (&share)[Block::groups]) {
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
    lo[group] = Doubles{};
    if constexpr (std::is_same_v<Exact<Real>, Pair>)
      lo[group] = hi[group] > most ? Doubles{} : share[group].lo * (spare / Format<Real>::unit_size);
    hi[group] = hi[group] > most ? broadcast<double>(most) : hi[group];
  }
  factor.hi = Block::narrow(hi);
  for (int group = 0; group < Block::groups; ++group) lo[group] += hi[group] - widened(factor.hi, group);
  factor.lo = Block::narrow(lo);
  factor.after = Block::narrow(after);
  return factor;
}

// The exponentials of every row, kept if asked, and their sum, relative to a score near the largest.
template <class Block>
struct Exponentials {
  using V = typename Block::V;
  V at{};       // what they are relative to: a Reference
  V largest{};  // the largest score, however infinite
  V peak{};     // the same less the reference's shift
  Exact<typename Block::Real> total[Block::groups] = {};
};

template <bool keep, class Block, bool tempered, class Real = typename Block::Real>
Exponentials<Block> exponentials_of(Block& block, Bits<Real> rows, const Temperature<Real, tempered>& temperature,
                                    bool zero_where_impossible = false) {
  using V = typename Block::V;
  Exponentials<Block> result;
  block.each(rows, [&](auto part) {
    const Temperature<Real, tempered> local = temperature.of(part);
    block.restore(part);
    // Any score near the largest serves as reference: of long rows a sample's is tried first.
    V at = block.sample(part);
    if (!Block::is_panel && any(is_infinite(at))) at = block.largest(part);
    const V infinite_largest = at;
    const auto infinite = is_infinite(at);
    at = infinite ? V{} : at;
    bool is_far = false;
    for (;;) {
      const Reference<Real, tempered> reference(at, local);
      is_far = is_far || any(reference.shift() != V{});
      if (is_far) block.recentre(part, reference.shift());
      TermSum<Real> sum;
      V best = broadcast<Real>(-infinity);
      const auto step = [&](auto& x) {
        constexpr int count = sizeof x / sizeof x[0];
        best = maximum(count == 4 ? maximum(maximum(x[0], x[1]), maximum(x[2], x[count - 1])) : x[0], best);
        const auto terms = reference.terms(x);
        sum.add(terms);
        if constexpr (keep)
          for (int i = 0; i < count; ++i)
            x[i] = zero_where_impossible ? (x[i] == static_cast<Real>(-infinity) ? V{} : terms.value[i])
                                                 : terms.value[i];
      };
      if constexpr (keep) block.keep(part, step);
      else block.visit(part, step);
      const V peak = block.largest_of(best);
      const V excess = local.quotient(local.difference(peak, at - reference.shift())).hi;
      if (!Block::is_panel && any(excess > static_cast<Real>(reference.headroom))) {
        at = is_far ? block.largest(part) : peak;
        continue;
      }
      block.collect(sum, part, result.total);
      block.collect(at, part, result.at);
      block.collect(peak, part, result.peak);
      block.collect(infinite ? infinite_largest : is_far ? block.largest(part) : peak, part, result.largest);
      break;
    }
  });
  return result;
}

// What a block's rows sum to without one of their largest: relative to that, and however small, it has all its digits.
template <class Block>
struct Rest {
  typename Block::V largest;
  Exact<typename Block::Real> sum[Block::groups];
};

template <class Block, bool tempered, class Real = typename Block::Real>
Rest<Block> rest_of(Block& block, const Temperature<Real, tempered>& temperature) {
  using V = typename Block::V;
  using Relation = Reference<Real, tempered>;
  Rest<Block> rest;
  rest.largest = V{};
  V all_at{}, alone{};
  Doubles ties[Block::groups];
  for (Doubles& part : ties) part = broadcast<double>(1.0);
  Exact<Real> others[Block::groups] = {};
  block.each(~Bits<Real>{}, [&](auto part) {
    const Temperature<Real, tempered> local = temperature.of(part);
    // Relative to the largest but one the sum is at least 1, or nearly: any score not far below it may stand for it.
    V at = block.sample_second(part);
    if (!Block::is_panel && any(is_infinite(at))) at = block.second(part);
    block.collect(is_infinite(at) ? broadcast<Real>(1.0) : V{}, part, alone);
    at = is_infinite(at) ? V{} : at;
    bool is_far = false;
    for (bool is_second = Block::is_panel;; is_second = true) {
      const Relation reference(at, local);
      is_far = is_far || any(reference.shift() != V{});
      if (is_far) block.recentre(part, reference.shift());
      TermSum<Real> sum;
      V best = broadcast<Real>(-infinity);
      block.visit_early(part, [&](auto& x) {
        for (V& score : x) {
          const V loser = minimum(best, score);
          best = maximum(score, best);
          score = loser;
        }
        sum.add(reference.terms(x));
      });
      const V largest = block.largest_of(best);
      const V excess = local.quotient(local.difference(largest, at - reference.shift())).hi;
      if (!is_second && any(excess > static_cast<Real>(Relation::headroom))) {
        const V second = block.second(part);
        if (any(local.quotient(local.difference(second, at)).hi > static_cast<Real>(Relation::headroom))) {
          at = second;
          continue;
        }
      }
      if constexpr (!Block::is_panel) {
        const auto tied = best == largest;
        sum.add(reference.terms({tied ? broadcast<Real>(-infinity) : best}));
        block.collect(static_cast<double>(lanes_in(tied)), part, ties);
      }
      block.collect(sum, part, others);
      block.collect(is_far ? block.largest(part) : largest, part, rest.largest);
      block.collect(at, part, all_at);
      break;
    }
  });
  const Relation reference(all_at, temperature);
  for (int group = 0; group < Block::groups; ++group) {
    const Exact<Real> relative = scaled(product(reference.scaled_inverse(rest.largest, group), others[group]),
                                        broadcast<double>(0x1p-64));
    // Alone, or NaN.
    const Exact<Real> nothing = exact<Exact<Real>>(others[group].hi - others[group].hi);
    rest.sum[group] = plus(exact<Exact<Real>>(ties[group] - 1.0),
                           chosen(widened(alone, group) != 0.0, nothing, relative));
  }
  return rest;
}

}  // namespace
}  // namespace luce::LUCE_ISA
