// Some long rows: a pass goes over one of them, its lanes being classes.
#pragma once

#include "blocks.hpp"
#include "whole_lines.hpp"

namespace luce::LUCE_ISA {
namespace {

struct Nowhere {};
inline Nowhere operator+(Nowhere, Index) { return {}; }
template <class V>
inline void store(Nowhere, V) {}
template <class V>
inline void store_first(Nowhere, V, int) {}

template <class Scalar>
class Rows {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  static constexpr bool is_panel = false;
  static constexpr int together = vector_bytes == 64 ? 4 : 2;
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
  // The same with numbers beside the scores, gather.step(x, number), or beside what was kept, f(x, number). Beyond the end
  // of a row scores are `beyond`, the numbers 0.
  template <class Gather>
  [[gnu::always_inline]] Gather visit_with(int row, const Real* numbers, Gather gather) const {
    const Real* const scores = scores_[row];
    Index j = 0;
    while (j + width <= columns_) {
      const Index end = columns_ - j < patience ? columns_ : j + patience;
      for (; j + width <= end; j += width) gather.step(load(scores + j), load(numbers + j));
      if (j % patience == 0 && is_given_up(*workspace_)) return gather;
    }
    if (j < columns_) {
      const int rest = static_cast<int>(columns_ - j);
      gather.step(load_first(scores + j, rest, Gather::beyond), load_first(numbers + j, rest, 0.0));
    }
    return gather;
  }
  template <class F>
  [[gnu::always_inline]] void rewrite_with(int row, const Real* numbers, const Index* columns, V values, F f) {
    produce_at(kept_[row], out_[row], columns[row], spread(values, row),
               [&](V x, Index j, int count) __attribute__((always_inline)) {
                 return f(x, count == width ? load(numbers + j) : load_first(numbers + j, count, 0.0));
               });
  }
  const Real* scores(int row) const { return scores_[row]; }

  void recentre(int row, V by) {
    pass(scores_[row], kept_[row], columns_, -1, Recentred<Real, together>{by});
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
  static constexpr Index patience = Index{1} << 20;  // numbers after which word is looked for that nobody waits

  // What is stored is what `gather` leaves.
  template <class To, class Gather>
  [[gnu::always_inline]] Gather pass(const Real* from, To to, Index columns, Index hidden, Gather gather) const {
    constexpr Index step = together * width, stretch = most_steps<together> * step;
    static_assert(patience % stretch == 0);
    const Index hidden_step = hidden < 0 ? -1 : hidden / step * step;
    const auto without_hidden = [&](V x, Index at) {
      return lane_is<Real>(static_cast<int>(hidden - at)) ? broadcast<Real>(-infinity) : x;
    };
    Index j = 0;
    while (j + step <= columns) {
      const Index end = columns - j < stretch ? columns : j + stretch;
      for (; j + step <= end; j += step) {
        V x[together];
        for (int i = 0; i < together; ++i) x[i] = load(from + j + i * width);
        for (int i = 0; i < together; ++i) __builtin_prefetch(from + j + i * width + prefetch_bytes / sizeof(Real));
        if (__builtin_expect(j == hidden_step, 0))
          for (int i = 0; i < together; ++i) x[i] = without_hidden(x[i], j + i * width);
        gather.step(x);
        for (int i = 0; i < together; ++i) store(to + (j + i * width), x[i]);
      }
      gather.settle();
      if (j % patience == 0 && is_given_up(*workspace_)) return gather;
    }
    if (j < columns) {
      V x[together];
      int counts[together];
      for (int i = 0; i < together; ++i) {
        const Index at = j + i * width, rest = columns - at;
        counts[i] = static_cast<int>(rest < 0 ? 0 : rest > width ? width : rest);
        x[i] = without_hidden(load_first(from + at, counts[i], -infinity), at);
      }
      gather.step(x);
      for (int i = 0; i < together; ++i) store_first(to + (j + i * width), x[i], counts[i]);
    }
    gather.settle();
    return gather;
  }

  template <class F>
  [[gnu::always_inline]] void produce(const Real* from, Real* to, Index but, V value, F f) const {
    produce_at(from, to, but, value, [&](V x, Index, int) __attribute__((always_inline)) { return f(x); });
  }
  template <class F>
  [[gnu::always_inline]] void produce_at(const Real* from, Real* to, Index but, V value, F f) const {
    if (lines_ != nullptr) lines_->write(from, to, columns_, but, value, f);
    else
      each_result(
          from, 0, columns_, but, value, f, [&](Index j, V x, int count) { store_first(to + j, x, count); },
          [&](Index j, V x) { store(to + j, x); });
  }

  Index sample_columns() const {
    const Index part = columns_ / 32 / (together * width) * (together * width), least = columns_ < together * width ? columns_ : together * width;
    return part > least ? part : least;
  }

  V largest_of_first(int row, Index columns) const {
    return largest_lane<Real>(pass(scores_[row], Nowhere{}, columns, hidden_[row], Largest<Real, together>{}).merged());
  }

  V second_of_first(int row, Index columns) const {
    const V none = broadcast<Real>(-infinity);
    const auto two = pass(scores_[row], Nowhere{}, columns, hidden_[row], TwoLargest<Real, together>{}).merged();
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

}  // namespace
}  // namespace luce::LUCE_ISA
