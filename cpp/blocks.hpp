// Two ways to lay rows over the lanes of a vector, with one face, so that every kernel is written once:
// `Row`: the lanes are classes of one row; `Panel`: the lanes are rows, for rows too short to fill vectors and for
// rows whose neighbours are nearer in memory than their classes.
//
//   visit(f)     f(x), x being several vectors of scores that f may change
//   keep(f)      f(x), and what x has become is kept
//   write(f)     f(x), and what x has become is the result
//   rewrite(f)   the same of what was kept
//   across(...)  the total over the whole row, in every lane that belongs to it
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

inline double total_of(Doubles x) {
  return folded<double>(x, [](Doubles a, Doubles b) { return a + b; })[0];
}
inline Pair total_of(Pair x) {
  for (int shift = lanes<double> / 2; shift > 0; shift /= 2) {
    constexpr auto all = std::make_integer_sequence<int, lanes<double>>{};
    x = plus(x, Pair{rotated(x.hi, shift, all), rotated(x.lo, shift, all)});
  }
  return x;
}

template <class Element>
class Row {
 public:
  using Real = Computed<Element>;
  using V = Vector<Real>;
  static constexpr bool is_panel = false;
  static constexpr int groups = 1;

  // `kept` may be `out`, if neither is `scores`.
  Row(const Element* scores, Real* kept, Element* out, Index columns, const Workspace& workspace)
      : scores_(scores), kept_(kept), out_(out), columns_(columns), workspace_(workspace) {}

  template <class F>
  void visit(F f) const { pass(scores_, Nowhere{}, columns_, f); }
  template <class F>
  void keep(F f) { pass(scores_, kept_, columns_, f); }
  template <class F>
  void write(F f) { pass(scores_, out_, columns_, f); }
  template <class F>
  void rewrite(F f) { pass(static_cast<const Real*>(kept_), out_, columns_, f); }
  // The same with the targets of the row beside its scores, or beside what was kept: f(x, target).
  template <class F>
  void visit_with(const Real* targets, F f) const { pass_with(scores_, targets, Nowhere{}, f); }
  template <class F>
  void rewrite_with(const Real* targets, F f) {
    pass_with(static_cast<const Real*>(kept_), targets, out_, f);
  }

  V score_at(const Index* column) const { return broadcast<Real>(static_cast<double>(get(scores_ + *column))); }
  void put_at(const Index* column, V x, int) { put(out_ + *column, x[0]); }

  // The largest number, -inf when there is none.
  V largest() const { return largest_of_first(columns_); }
  // The largest of those that are looked at first.
  V sample() const { return largest_of_first(columns_ < 4 * width ? columns_ : 4 * width); }

  static void across(const Pair (&totals)[luce::LUCE_ISA::groups<Real>], Pair (&result)[1]) {
    if constexpr (luce::LUCE_ISA::groups<Real> > 1)
      result[0] = {broadcast<double>(total_of((totals[0].hi + totals[1].hi) + (totals[0].lo + totals[1].lo))),
                   Doubles{}};
    else
      result[0] = total_of(totals[0]);
  }
  static void across(Bits<Real> counts, Doubles (&result)[1]) {
    double total = 0;
    for (int lane = 0; lane < lanes<Real>; ++lane) total += static_cast<double>(counts[lane]);
    result[0] = broadcast<double>(total);
  }
  static V narrow(const Doubles (&x)[1]) { return broadcast<Real>(x[0][0]); }
  static void temperatures(const PerRow& from, Index i, double (&per_lane)[lanes<Real>]) {
    for (double& t : per_lane) t = from.data[i * from.stride];
  }

 private:
  static constexpr Index width = lanes<Real>;

  template <class From, class To, class F>
  void pass(const From* from, To to, Index columns, F f) const {
    constexpr Index segment = Index{1} << 20;
    Index j = 0;
    while (j + 4 * width <= columns) {
      const Index end = columns - j < segment ? columns : j + segment;
      for (; j + 4 * width <= end; j += 4 * width) {
        V x[4];
        for (int i = 0; i < 4; ++i) x[i] = load(from + j + i * width);
        f(x);
        for (int i = 0; i < 4; ++i) store(to + (j + i * width), x[i]);
      }
      if (j >= segment && is_given_up(workspace_)) return;
    }
    for (; j + width <= columns; j += width) {
      V x[1] = {load(from + j)};
      f(x);
      store(to + j, x[0]);
    }
    if (j < columns) {
      const int count = static_cast<int>(columns - j);
      V x[1] = {load_first(from + j, count, -infinity)};
      f(x);
      store_first(to + j, x[0], count);
    }
  }

  template <class From, class To, class F>
  void pass_with(const From* from, const Real* targets, To to, F f) const {
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

  V largest_of_first(Index columns) const {
    V most[4];
    for (V& part : most) part = broadcast<Real>(-infinity);
    pass(scores_, Nowhere{}, columns, [&](auto& x) {
      constexpr int count = sizeof x / sizeof x[0];
      for (int i = 0; i < count; ++i) most[i] = maximum(x[i], most[i]);
    });
    const V all = maximum(maximum(most[0], most[1]), maximum(most[2], most[3]));
    return folded<Real>(all, [](V a, V b) { return maximum(a, b); });
  }

  const Element* scores_;
  Real* kept_;
  Element* out_;
  Index columns_;
  const Workspace& workspace_;
};

// As many rows as a vector has lanes, brought into a buffer of one vector a class; lanes without a row hold zeros.
template <class Scalar>
class Panel {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  static constexpr bool is_panel = true;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;

  Panel(V* buffer, Index columns, int count) : buffer_(buffer), columns_(columns), count_(count) {}

  template <class F>
  void visit(F f) const { pass<false>(f); }
  template <class F>
  void keep(F f) { pass<true>(f); }
  template <class F>
  void write(F f) { pass<true>(f); }
  template <class F>
  void rewrite(F f) { pass<true>(f); }

  V largest() const {
    V most = broadcast<Real>(-infinity);
    for (Index j = 0; j < columns_; ++j) most = maximum(buffer_[j], most);
    return most;
  }
  V sample() const { return largest(); }

  static void across(const Pair (&totals)[groups], Pair (&result)[groups]) {
    for (int group = 0; group < groups; ++group) result[group] = totals[group];
  }
  static void across(Bits<Real> counts, Doubles (&result)[groups]) {
    for (int group = 0; group < groups; ++group)
      for (int lane = 0; lane < lanes<double>; ++lane)
        result[group][lane] = static_cast<double>(counts[group * lanes<double> + lane]);
  }
  static V narrow(const Doubles (&x)[groups]) { return narrowed<Real>(x); }
  void temperatures(const PerRow& from, Index i, double (&per_lane)[lanes<Real>]) const {
    for (int lane = 0; lane < lanes<Real>; ++lane)
      per_lane[lane] = lane < count_ ? from.data[(i + lane) * from.stride] : 1.0;
  }

  // At one column for each row.
  V score_at(const Index* columns) const {
    V x{};
    for (int lane = 0; lane < count_; ++lane) x[lane] = buffer_[columns[lane]][lane];
    return x;
  }
  void put_at(const Index* columns, V x, int count) {
    for (int lane = 0; lane < count; ++lane) buffer_[columns[lane]][lane] = x[lane];
  }

 private:
  template <bool write_back, class F>
  void pass(F f) const {
    Index j = 0;
    for (; j + 4 <= columns_; j += 4) {
      V x[4];
      for (int i = 0; i < 4; ++i) x[i] = buffer_[j + i];
      f(x);
      if constexpr (write_back)
        for (int i = 0; i < 4; ++i) buffer_[j + i] = x[i];
    }
    for (; j < columns_; ++j) {
      V x[1] = {buffer_[j]};
      f(x);
      if constexpr (write_back) buffer_[j] = x[0];
    }
  }

  V* buffer_;
  Index columns_;
  int count_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
