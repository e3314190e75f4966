// Two ways to lay rows over the lanes of vectors, with one face, so that every kernel is written once:
// `Rows`: some long rows, and a pass goes over one of them, its lanes being classes; `Panel`: as many rows as a vector
// has lanes, one in each lane, for rows too short to fill vectors and for rows whose neighbours are nearer in memory
// than their classes. Numbers of rows (a largest score, a sum) stand one a lane in both: what is done with them is done
// for all rows of a block at once.
//
//   each(rows, f)        f(part) for every part of the block with rows in the mask
//   visit(part, f)       f(x), x being several vectors of scores that f may change
//   keep(part, f)        f(x), and what x has become is kept
//   write(part, f)       f(x), and what x has become is the result
//   rewrite(part, f)     the same of what was kept
//   recentre(part, by)   from now on visit and keep see scores less `by`; until restore(part)
//   hide(columns)        from now on visit and keep see -inf at one class of each row
//   collect(...)         a total or the largest over a part, into the lanes of its rows
#pragma once

#include "exponential.hpp"

namespace luce::LUCE_ISA {
namespace {

inline bool is_cancelled(const Workspace& workspace) {
  return __atomic_load_n(workspace.cancelled, __ATOMIC_RELAXED);
}

inline bool is_given_up(const Workspace& workspace) {
  return is_cancelled(workspace) || (workspace.poll != nullptr && workspace.poll(workspace.poll_context));
}

struct Nowhere {};
inline Nowhere operator+(Nowhere, Index) { return {}; }
template <class V>
inline void store(Nowhere, V) {}
template <class V>
inline void store_first(Nowhere, V, int) {}

inline Single total_of(Single x) {
  return {folded<double>(x.hi, [](Doubles a, Doubles b) { return a + b; })};
}
inline Pair total_of(Pair x) {
  for (int shift = lanes<double> / 2; shift > 0; shift /= 2) {
    constexpr auto all = std::make_integer_sequence<int, lanes<double>>{};
    x = plus(x, Pair{rotated(x.hi, shift, all), rotated(x.lo, shift, all)});
  }
  return x;
}

template <class Real>
inline Vector<Real> largest_lane(Vector<Real> x) {
  return folded<Real>(x, [](Vector<Real> a, Vector<Real> b) { return maximum(a, b); });
}

template <class Scalar>
class Rows {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  static constexpr bool is_panel = false;
  static constexpr int most = lanes<double>;
  static constexpr int groups = 1;

  // `kept` may be `out`, if neither is `scores`; it has rows of whole vectors otherwise.
  Rows(const Matrix<const Real>& scores, Real* kept, Index kept_stride, const Matrix<Real>& out,
       const Workspace& workspace)
      : count_(static_cast<int>(scores.rows)), columns_(scores.columns), workspace_(&workspace) {
    for (int row = 0; row < count_; ++row) {
      scores_[row] = source_[row] = scores.data + row * scores.row_stride;
      kept_[row] = kept + row * kept_stride;
      out_[row] = out.data + row * out.row_stride;
      hidden_[row] = -1;
    }
  }

  template <class F>
  void each(Bits<Real> rows, F f) {
    for (int row = 0; row < count_; ++row)
      if (rows[row]) f(row);
  }

  template <class F>
  void visit(int row, F f) const { pass(source_[row], Nowhere{}, columns_, hidden_[row], f); }
  // The same, writing the scores as they are into the output already.
  template <class F>
  void visit_early(int row, F f) {
    if (kept_[row] == out_[row]) pass<true>(source_[row], out_[row], columns_, hidden_[row], f);
    else visit(row, f);
  }
  template <class F>
  void keep(int row, F f) { pass(source_[row], kept_[row], columns_, hidden_[row], f); }
  template <class F>
  void write(int row, F f) { pass(scores_[row], out_[row], columns_, -1, f); }
  template <class F>
  void rewrite(int row, F f) { pass(kept_[row], out_[row], columns_, -1, f); }
  // The same with targets beside the scores, or beside what was kept: f(x, target).
  template <class F>
  void visit_with(int row, const Real* targets, F f) const { pass_with(scores_[row], targets, Nowhere{}, f); }
  template <class F>
  void rewrite_with(int row, const Real* targets, F f) { pass_with(kept_[row], targets, out_[row], f); }

  void recentre(int row, V by) {
    pass(scores_[row], kept_[row], columns_, -1, [&](auto& x) {
      for (V& part : x) part -= by;
    });
    source_[row] = kept_[row];
  }
  void restore(int row) { source_[row] = scores_[row]; }
  void hide(const Index* columns) {
    for (int row = 0; row < count_; ++row) hidden_[row] = columns[row];
  }

  V hidden_scores() const {
    V x{};
    for (int row = 0; row < count_; ++row) x[row] = scores_[row][hidden_[row]];
    return x;
  }
  void put_at(int row, const Index* columns, V x) { out_[row][columns[row]] = x[row]; }

  // The largest number, -inf when there is none, and the largest but one.
  V largest(int row) const { return largest_of_first(row, columns_); }
  V second(int row) const { return second_of_first(row, columns_); }
  // The same of those that are looked at first: the more, the longer the row.
  V sample(int row) const { return largest_of_first(row, sample_columns()); }
  V sample_second(int row) const { return second_of_first(row, sample_columns()); }

  static void collect(V x, int row, V& to) { to = lane_is<Real>(row) ? x : to; }
  [[gnu::always_inline]] static void collect(TermSum<Real>& sum, int row, Exact<Real> (&totals)[groups]) {
    Exact<Real> parts[luce::LUCE_ISA::groups<Real>];
    sum.finish(parts);
    collect(parts, row, totals);
  }
  static void collect(const Exact<Real> (&parts)[luce::LUCE_ISA::groups<Real>], int row, Exact<Real> (&totals)[groups]) {
    Exact<Real> total = parts[0];
    if constexpr (luce::LUCE_ISA::groups<Real> > 1) total = plus(total, parts[1]);
    totals[0] = chosen(lane_is<double>(row), total_of(total), totals[0]);
  }
  static void collect(Bits<Real> counts, int row, Doubles (&totals)[groups]) {
    double total = 0;
    for (int lane = 0; lane < lanes<Real>; ++lane) total += static_cast<double>(counts[lane]);
    collect(total, row, totals);
  }
  static void collect(double total, int row, Doubles (&totals)[groups]) {
    totals[0] = lane_is<double>(row) ? broadcast<double>(total) : totals[0];
  }
  static V largest_of(V x) { return largest_lane<Real>(x); }
  static V narrow(const Doubles (&x)[1]) {
    Doubles parts[luce::LUCE_ISA::groups<Real>] = {};
    parts[0] = x[0];
    return narrowed<Real>(parts);
  }

 private:
  static constexpr Index width = lanes<Real>;

  // What is stored is what f leaves, or, with `unchanged`, what it is given.
  template <bool unchanged = false, class To, class F>
  [[gnu::always_inline]] void pass(const Real* from, To to, Index columns, Index hidden, F f) const {
    constexpr Index segment = Index{1} << 20, step = 4 * width;
    const Index hidden_step = hidden < 0 ? -1 : hidden / step * step;
    const auto without_hidden = [&](V x, Index at) {
      return lane_is<Real>(static_cast<int>(hidden - at)) ? broadcast<Real>(-infinity) : x;
    };
    Index j = 0;
    while (j + step <= columns) {
      const Index end = columns - j < segment ? columns : j + segment;
      for (; j + step <= end; j += step) {
        V x[4];
        for (int i = 0; i < 4; ++i) x[i] = load(from + j + i * width);
        if (__builtin_expect(j == hidden_step, 0))
          for (int i = 0; i < 4; ++i) x[i] = without_hidden(x[i], j + i * width);
        if constexpr (unchanged)
          for (int i = 0; i < 4; ++i) store(to + (j + i * width), x[i]);
        f(x);
        if constexpr (!unchanged)
          for (int i = 0; i < 4; ++i) store(to + (j + i * width), x[i]);
      }
      if (j >= segment && is_given_up(*workspace_)) return;
    }
    for (; j < columns; j += width) {
      const int count = columns - j < width ? static_cast<int>(columns - j) : static_cast<int>(width);
      V x[1] = {count == width ? load(from + j) : load_first(from + j, count, -infinity)};
      if (j <= hidden && hidden < j + width) x[0] = without_hidden(x[0], j);
      const V given = x[0];
      f(x);
      if (count == width) store(to + j, unchanged ? given : x[0]);
      else store_first(to + j, unchanged ? given : x[0], count);
    }
  }

  template <class To, class F>
  void pass_with(const Real* from, const Real* targets, To to, F f) const {
    Index j = 0;
    for (; j + width <= columns_; j += width) {
      V x = load(from + j);
      f(x, load(targets + j));
      store(to + j, x);
    }
    if (j < columns_) {
      const int count = static_cast<int>(columns_ - j);
      V x = load_first(from + j, count, -infinity);
      f(x, load_first(targets + j, count, 0.0));
      store_first(to + j, x, count);
    }
  }

  Index sample_columns() const {
    const Index part = columns_ / 32 / (4 * width) * (4 * width), least = columns_ < 4 * width ? columns_ : 4 * width;
    return part > least ? part : least;
  }

  V largest_of_first(int row, Index columns) const {
    V best[4];
    for (V& part : best) part = broadcast<Real>(-infinity);
    pass(scores_[row], Nowhere{}, columns, hidden_[row], [&](auto& x) {
      constexpr int count = sizeof x / sizeof x[0];
      for (int i = 0; i < count; ++i) best[i] = maximum(x[i], best[i]);
    });
    return largest_lane<Real>(maximum(maximum(best[0], best[1]), maximum(best[2], best[3])));
  }

  V second_of_first(int row, Index columns) const {
    V best = broadcast<Real>(-infinity), second = best;
    pass(scores_[row], Nowhere{}, columns, hidden_[row], [&](auto& scores) {
      for (V x : scores) {
        second = maximum(minimum(best, x), second);
        best = maximum(x, best);
      }
    });
    // Of the lanes' best only one is the best.
    const V largest = largest_lane<Real>(best);
    const auto tied = best == largest;
    const V others = lanes_in(tied) > 1 ? largest : tied ? broadcast<Real>(-infinity) : best;
    return largest_lane<Real>(maximum(others, second));
  }

  int count_;
  Index columns_;
  const Workspace* workspace_;
  const Real* scores_[most];
  const Real* source_[most];
  Real* kept_[most];
  Real* out_[most];
  Index hidden_[most];
};

// Rows brought into a buffer of one vector a class; lanes without a row hold zeros.
template <class Scalar>
class Panel {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  static constexpr bool is_panel = true;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;

  Panel(V* buffer, V* spare, Index columns, int count)
      : buffer_(buffer), source_(buffer), spare_(spare), columns_(columns), count_(count) {}

  template <class F>
  void each(Bits<Real>, F f) { f(AllRows{}); }

  template <class F>
  void visit(AllRows, F f) const { pass<false>(source_, nullptr, f); }
  template <class F>
  void visit_early(AllRows, F f) const { pass<false>(source_, nullptr, f); }
  template <class F>
  void keep(AllRows, F f) { pass<true>(source_, source_, f); }
  template <class F>
  void write(AllRows, F f) { pass<true>(buffer_, buffer_, f); }
  template <class F>
  void rewrite(AllRows, F f) { pass<true>(source_, buffer_, f); }

  void recentre(AllRows, V by) {
    for (Index j = 0; j < columns_; ++j) spare_[j] = buffer_[j] - by;
    source_ = spare_;
  }
  void restore(AllRows) { source_ = buffer_; }
  void hide(const Index* columns) {
    for (int row = 0; row < count_; ++row) {
      hidden_scores_[row] = buffer_[columns[row]][row];
      buffer_[columns[row]][row] = static_cast<Real>(-infinity);
    }
  }
  V hidden_scores() const { return hidden_scores_; }
  void put_at(AllRows, const Index* columns, V x) {
    for (int row = 0; row < count_; ++row) buffer_[columns[row]][row] = x[row];
  }

  V largest(AllRows) const {
    V best = broadcast<Real>(-infinity);
    for (Index j = 0; j < columns_; ++j) best = maximum(buffer_[j], best);
    return best;
  }
  V second(AllRows) const {
    V best = broadcast<Real>(-infinity), second = best;
    for (Index j = 0; j < columns_; ++j) {
      second = maximum(minimum(best, buffer_[j]), second);
      best = maximum(buffer_[j], best);
    }
    return second;
  }
  V sample(AllRows part) const { return largest(part); }
  V sample_second(AllRows part) const { return second(part); }

  static void collect(V x, AllRows, V& to) { to = x; }
  static void collect(TermSum<Real>& sum, AllRows, Exact<Real> (&totals)[groups]) { sum.finish(totals); }
  static void collect(const Exact<Real> (&parts)[groups], AllRows, Exact<Real> (&totals)[groups]) {
    for (int group = 0; group < groups; ++group) totals[group] = parts[group];
  }
  static void collect(Bits<Real> counts, AllRows, Doubles (&totals)[groups]) {
    for (int group = 0; group < groups; ++group)
      for (int lane = 0; lane < lanes<double>; ++lane)
        totals[group][lane] = static_cast<double>(counts[group * lanes<double> + lane]);
  }
  static V largest_of(V x) { return x; }
  static V narrow(const Doubles (&x)[groups]) { return narrowed<Real>(x); }

 private:
  template <bool write_back, class F>
  void pass(const V* from, V* to, F f) const {
    Index j = 0;
    for (; j + 4 <= columns_; j += 4) {
      V x[4];
      for (int i = 0; i < 4; ++i) x[i] = from[j + i];
      f(x);
      if constexpr (write_back)
        for (int i = 0; i < 4; ++i) to[j + i] = x[i];
    }
    for (; j < columns_; ++j) {
      V x[1] = {from[j]};
      f(x);
      if constexpr (write_back) to[j] = x[0];
    }
  }

  V* buffer_;
  V* source_;
  V* spare_;
  V hidden_scores_{};
  Index columns_;
  int count_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
