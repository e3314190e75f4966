// Two ways to lay rows over the lanes of vectors, with one face, so that every kernel is written once:
// `Rows`: some long rows, and a pass goes over one of them, its lanes being classes; `Panel`: as many rows as a vector
// has lanes, one in each lane, for rows too short to fill vectors and for rows whose neighbours are nearer in memory
// than their classes. Numbers of rows (a largest score, a sum) stand one a lane in both: what is done with them is done
// for all rows of a block at once.
//
//   each(rows, f)        f(part) for every part of the block with rows in the mask
//   visit(part, gather)  gather.step(x) for several vectors of scores at a time, which it may change
//   keep(part, gather)   the same, and what x has become is kept
//   write(part, f)       f(scores) is the result
//   rewrite(part, f)     the same of what was kept; rewrite_but: but for one class of each row
//   recentre(part, by)   from now on visit and keep see scores less `by`; until restore(part)
//   hide(columns)        from now on visit and keep see -inf at one class of each row
//   collect(...)         a total or the largest over a part, into the lanes of its rows
//
// What gathers is handed on by value, and returned: so its numbers stay in registers. It is told to settle() when it has
// taken most_steps steps, and at the end.
#pragma once

#include "exponential.hpp"
#include "whole_lines.hpp"

namespace luce::LUCE_ISA {
namespace {

inline bool is_cancelled(const Workspace& workspace) {
  return __atomic_load_n(workspace.cancelled, __ATOMIC_RELAXED);
}

inline bool is_given_up(const Workspace& workspace) {
  return is_cancelled(workspace) || (workspace.poll != nullptr && workspace.poll(workspace.poll_context));
}

// After so many steps a gatherer settles.
constexpr Index most_steps = most_terms / 4;

// Scores are asked for so far ahead of their use: the hardware looks ahead no further than a page.
constexpr Index prefetch_bytes = 8192;

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

// The first place of the room that stands in its page where `other` does. A load is taken to depend on stores under way to
// the same place of any page, and those past the caches are long under way.
constexpr Index page_bytes = 4096;
template <class Real>
Real* at_page_offset_of(const Real* other, Real* room) {
  const auto distance = reinterpret_cast<std::uintptr_t>(other) - reinterpret_cast<std::uintptr_t>(room);
  return room + distance % page_bytes / sizeof(Real);
}

template <class Real>
struct Recentred {
  Vector<Real> by;
  template <int count>
  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    for (Vector<Real>& part : x) part -= by;
  }
  void settle() {}
};

// Gathers the largest scores of every fourth vector, lane by lane.
template <class Real>
struct FourLargest {
  Vector<Real> best[4];
  template <int count>
  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    for (int i = 0; i < count; ++i) best[i] = maximum(x[i], best[i]);
  }
  void settle() {}
};

// Gathers, lane by lane, the largest score and the largest but one.
template <class Real>
struct TwoLargest {
  using V = Vector<Real>;
  V best[4], second[4];

  TwoLargest() {
    for (int i = 0; i < 4; ++i) best[i] = second[i] = broadcast<Real>(-infinity);
  }
  template <int count>
  [[gnu::always_inline]] void step(V (&x)[count]) {
    for (int i = 0; i < count; ++i) {
      second[i] = maximum(minimum(best[i], x[i]), second[i]);
      best[i] = maximum(x[i], best[i]);
    }
  }
  void settle() {}
  // Those of all four in the first.
  TwoLargest merged() const {
    TwoLargest all = *this;
    for (int i = 1; i < 4; ++i) {
      all.second[0] = maximum(minimum(all.best[0], best[i]), maximum(all.second[0], second[i]));
      all.best[0] = maximum(all.best[0], best[i]);
    }
    return all;
  }
};

template <class Scalar>
class Rows {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  static constexpr bool is_panel = false;
  using Sum = TermSum<Real, 12>;  // exp(headroom) < 2^11
  static constexpr int most = lanes<double>;
  static constexpr int groups = 1;

  // `kept` may be `out`, if neither is `scores`; it has rows of whole vectors otherwise. With `lines`
  // (or null) results go through them; rows of `kept` then have a page to spare.
  Rows(const Matrix<const Real>& scores, Real* kept, Index kept_stride, const Matrix<Real>& out, WholeLines<Real>* lines,
       const Workspace& workspace)
      : count_(static_cast<int>(scores.rows)), columns_(scores.columns), lines_(lines), workspace_(&workspace) {
    for (int row = 0; row < count_; ++row) {
      scores_[row] = source_[row] = scores.data + row * scores.row_stride;
      Real* const room = kept + row * kept_stride;
      kept_[row] = lines == nullptr ? room : at_page_offset_of(out.data + row * out.row_stride, room);
      out_[row] = out.data + row * out.row_stride;
      hidden_[row] = -1;
    }
  }

  template <class F>
  void each(Bits<Real> rows, F f) {
    for (int row = 0; row < count_; ++row)
      if (rows[row]) f(row);
  }

  template <class Gather>
  [[gnu::always_inline]] Gather visit(int row, Gather gather) const {
    return pass(source_[row], Nowhere{}, columns_, hidden_[row], gather);
  }
  template <class Gather>
  [[gnu::always_inline]] Gather keep(int row, Gather gather) {
    return pass(source_[row], kept_[row], columns_, hidden_[row], gather);
  }
  template <class F>
  [[gnu::always_inline]] void write(int row, F f) { produce(scores_[row], out_[row], -1, V{}, f); }
  template <class F>
  [[gnu::always_inline]] void rewrite(int row, F f) { produce(kept_[row], out_[row], -1, V{}, f); }
  template <class F>
  [[gnu::always_inline]] void rewrite_but(int row, const Index* columns, V values, F f) {
    produce(kept_[row], out_[row], columns[row], spread(values, row), f);
  }
  // The same with targets beside the scores, or beside what was kept: f(x, target).
  template <class F>
  void visit_with(int row, const Real* targets, F f) const { pass_with(scores_[row], targets, Nowhere{}, f); }
  template <class F>
  void rewrite_with(int row, const Real* targets, F f) { pass_with(kept_[row], targets, out_[row], f); }

  void recentre(int row, V by) {
    pass(scores_[row], kept_[row], columns_, -1, Recentred<Real>{by});
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

  // The largest number, -inf when there is none, and the largest but one.
  V largest(int row) const { return largest_of_first(row, columns_); }
  V second(int row) const { return second_of_first(row, columns_); }
  // The same of those that are looked at first: the more, the longer the row.
  V sample(int row) const { return largest_of_first(row, sample_columns()); }
  V sample_second(int row) const { return second_of_first(row, sample_columns()); }

  static void collect(V x, int row, V& to) { to = lane_is<Real>(row) ? x : to; }
  static void collect(const Sum& sum, int row, Sum2<V>& totals) {
    Sum2<V> all;
    if constexpr (luce::LUCE_ISA::groups<Real> > 1) {
      Doubles total{}, rest[luce::LUCE_ISA::groups<Real>];
      for (int group = 0; group < luce::LUCE_ISA::groups<Real>; ++group)
        total += widened(sum.total().hi, group) + widened(sum.total().lo, group);
      total = total_of(Single{total}).hi;
      all.hi = narrowed<Real>({total, total});
      for (int group = 0; group < luce::LUCE_ISA::groups<Real>; ++group) rest[group] = total - widened(all.hi, group);
      all.lo = narrowed<Real>(rest);
    } else {
      all = total_of(sum.total());
    }
    collect(all.hi, row, totals.hi);
    collect(all.lo, row, totals.lo);
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

  // What is stored is what `gather` leaves.
  template <class To, class Gather>
  [[gnu::always_inline]] Gather pass(const Real* from, To to, Index columns, Index hidden, Gather gather) const {
    constexpr Index step = 4 * width, stretch = most_steps * step, patience = Index{1} << 20;
    static_assert(patience % stretch == 0);
    const Index hidden_step = hidden < 0 ? -1 : hidden / step * step;
    const auto without_hidden = [&](V x, Index at) {
      return lane_is<Real>(static_cast<int>(hidden - at)) ? broadcast<Real>(-infinity) : x;
    };
    Index j = 0;
    while (j + step <= columns) {
      const Index end = columns - j < stretch ? columns : j + stretch;
      for (; j + step <= end; j += step) {
        V x[4];
        for (int i = 0; i < 4; ++i) x[i] = load(from + j + i * width);
        for (int i = 0; i < 4; ++i) __builtin_prefetch(from + j + i * width + prefetch_bytes / sizeof(Real));
        if (__builtin_expect(j == hidden_step, 0))
          for (int i = 0; i < 4; ++i) x[i] = without_hidden(x[i], j + i * width);
        gather.step(x);
        for (int i = 0; i < 4; ++i) store(to + (j + i * width), x[i]);
      }
      gather.settle();
      if (j % patience == 0 && is_given_up(*workspace_)) return gather;
    }
    for (; j < columns; j += width) {
      const int count = columns - j < width ? static_cast<int>(columns - j) : static_cast<int>(width);
      V x[1] = {count == width ? load(from + j) : load_first(from + j, count, -infinity)};
      if (j <= hidden && hidden < j + width) x[0] = without_hidden(x[0], j);
      gather.step(x);
      if (count == width) store(to + j, x[0]);
      else store_first(to + j, x[0], count);
    }
    gather.settle();
    return gather;
  }

  template <class F>
  [[gnu::always_inline]] void produce(const Real* from, Real* to, Index but, V value, F f) const {
    if (lines_ != nullptr) lines_->write(from, to, columns_, but, value, f);
    else
      each_result(
          from, 0, columns_, but, value, f, [&](Index j, V x, int count) { store_first(to + j, x, count); },
          [&](Index j, V x) { store(to + j, x); });
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
    const V none = broadcast<Real>(-infinity);
    const auto [best] = pass(scores_[row], Nowhere{}, columns, hidden_[row], FourLargest<Real>{{none, none, none, none}});
    return largest_lane<Real>(maximum(maximum(best[0], best[1]), maximum(best[2], best[3])));
  }

  V second_of_first(int row, Index columns) const {
    const V none = broadcast<Real>(-infinity);
    const auto two = pass(scores_[row], Nowhere{}, columns, hidden_[row], TwoLargest<Real>{}).merged();
    const V best = two.best[0], second = two.second[0];
    // Of the lanes' best only one is the best.
    const V largest = largest_lane<Real>(best);
    const auto tied = best == largest;
    const V others = lanes_in(tied) > 1 ? largest : tied ? none : best;
    return largest_lane<Real>(maximum(others, second));
  }

  int count_;
  Index columns_;
  WholeLines<Real>* lines_;
  const Workspace* workspace_;
  const Real* scores_[most];
  const Real* source_[most];
  Real* kept_[most];
  Real* out_[most];
  Index hidden_[most];
};

// Memory that is asked for while a panel is computed, a line a class.
struct Ahead {
  const char* memory;
  Index stride;

  void ask_for(Index j) const { __builtin_prefetch(memory + j * stride); }
};

// Rows brought into a buffer of one vector a class; lanes without a row hold zeros.
template <class Scalar>
class Panel {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  using Sum = TermSum<Real, 2>;  // the reference is the largest
  static constexpr bool is_panel = true;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;

  Panel(V* buffer, V* spare, Index columns, int count, const Ahead& ahead)
      : buffer_(buffer), source_(buffer), spare_(spare), ahead_(ahead), columns_(columns), count_(count) {}

  template <class F>
  void each(Bits<Real>, F f) { f(AllRows{}); }

  template <class Gather>
  [[gnu::always_inline]] Gather visit(AllRows, Gather gather) const { return pass<false>(source_, nullptr, gather); }
  template <class Gather>
  [[gnu::always_inline]] Gather keep(AllRows, Gather gather) { return pass<true>(source_, source_, gather); }
  template <class F>
  [[gnu::always_inline]] void write(AllRows, F f) { produce(buffer_, f); }
  template <class F>
  [[gnu::always_inline]] void rewrite(AllRows, F f) { produce(source_, f); }
  template <class F>
  [[gnu::always_inline]] void rewrite_but(AllRows, const Index* columns, V values, F f) {
    produce(source_, f);
    for (int row = 0; row < count_; ++row) buffer_[columns[row]][row] = values[row];
  }

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
  V largest(AllRows) const {
    const V none = broadcast<Real>(-infinity);
    const auto [best] = pass<false>(buffer_, nullptr, FourLargest<Real>{{none, none, none, none}});
    return maximum(maximum(best[0], best[1]), maximum(best[2], best[3]));
  }
  V second(AllRows) const { return pass<false>(buffer_, nullptr, TwoLargest<Real>{}).merged().second[0]; }
  V sample(AllRows part) const { return largest(part); }
  V sample_second(AllRows part) const { return second(part); }

  static void collect(V x, AllRows, V& to) { to = x; }
  static void collect(const Sum& sum, AllRows, Sum2<V>& totals) { totals = sum.total(); }
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
  template <bool keeps, class Gather>
  [[gnu::always_inline]] Gather pass(const V* from, V* to, Gather gather) const {
    Index j = 0;
    while (j + 4 <= columns_) {
      const Index end = columns_ - j < 4 * most_steps ? columns_ : j + 4 * most_steps;
      for (; j + 4 <= end; j += 4) {
        V x[4];
        for (int i = 0; i < 4; ++i) x[i] = from[j + i];
        for (int i = 0; i < 4; ++i) ahead_.ask_for(j + i);
        gather.step(x);
        if constexpr (keeps)
          for (int i = 0; i < 4; ++i) to[j + i] = x[i];
      }
      gather.settle();
    }
    for (; j < columns_; ++j) {
      V x[1] = {from[j]};
      ahead_.ask_for(j);
      gather.step(x);
      if constexpr (keeps) to[j] = x[0];
    }
    gather.settle();
    return gather;
  }

  template <class F>
  [[gnu::always_inline]] void produce(const V* from, F f) {
    for (Index j = 0; j < columns_; ++j) buffer_[j] = f(from[j]);
  }

  V* buffer_;
  V* source_;
  V* spare_;
  Ahead ahead_;
  V hidden_scores_{};
  Index columns_;
  int count_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
