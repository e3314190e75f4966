// softmax, log_softmax and logsumexp of every row.
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Element, bool tempered>
struct Softmax {
  using Real = Computed<Element>;
  using V = Vector<Real>;
  Index columns;
  PerRow temperatures;

  template <class Block>
  Bits<Real> operator()(Block& block, Index i, int) const {
    double per_lane[lanes<Real>];
    if constexpr (tempered) block.temperatures(temperatures, i, per_lane);
    const Temperature<Real, tempered> temperature(per_lane);
    if (any(temperature.limits()) && !Block::is_panel) return temperature.limits();

    // Any score near the largest serves as reference: of long rows a sample's is tried first.
    V at = block.sample();
    for (bool is_largest = Block::is_panel;; is_largest = true) {
      auto infinite = is_infinite(at);
      if (any(infinite)) {
        if (!is_largest) {
          at = block.largest();
          continue;
        }
        if (!Block::is_panel) return infinite;
        at = infinite ? V{} : at;
      }
      const Reference<Real, tempered> reference(at, temperature);
      TermSum<Real> sum;
      V most = at;
      block.keep([&](auto& x) {
        constexpr int count = sizeof x / sizeof x[0];
        if constexpr (!Block::is_panel)
          most = maximum(count == 4 ? maximum(maximum(x[0], x[1]), maximum(x[2], x[count - 1])) : x[0], most);
        const auto terms = reference.terms(x);
        sum.add(terms);
        for (int i = 0; i < count; ++i) x[i] = terms.value[i];
      });
      if (!is_largest) {
        most = folded<Real>(most, [](V a, V b) { return maximum(a, b); });
        const V excess = temperature.quotient(temperature.difference(most, at)).hi;
        if (excess[0] > static_cast<Real>(Reference<Real, tempered>::headroom)) {
          at = most;
          continue;
        }
      }
      Pair totals[groups<Real>], total[Block::groups];
      sum.finish(totals);
      Block::across(totals, total);
      normalise(block, total, reference.terms({most}));
      return infinite | temperature.limits();
    }
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const double temperature = temperatures.data[i * temperatures.stride];
    const RowSummary row = summary_of(columns, score);
    for (Index j = 0; j < columns; ++j) {
      double p = not_a_number;
      if (row.has_nan) p = not_a_number;
      else if (row.possible == 0) p = 0;
      else if (temperature == 0) p = j == row.position;
      else if (row.largest == infinity) p = not_a_number;
      else p = score(j) > -infinity ? 1.0 / static_cast<double>(row.possible) : 0.0;
      put(j, p);
    }
  }

 private:
  // `largest`: the exponential of the largest score. Its own share is taken from the unrounded one: equal scores alone
  // in a row share it equally, to the last bit.
  template <class Block>
  static void normalise(Block& block, const Pair (&total)[Block::groups], const Terms<Real, 1>& largest) {
    Pair share[Block::groups];
    Doubles of_largest[Block::groups];
    for (int group = 0; group < Block::groups; ++group) {
      share[group] = reciprocal(total[group]);
      const Pair own = {widened(largest.main[0], group) * (1 / Format<Real>::unit_size),
                        widened(largest.part[0], group) * widened(largest.slope[0], group) *
                            (1 / Format<Real>::unit_size)};
      const Pair part = product(share[group], own);
      of_largest[group] = part.hi + part.lo;
    }
    const Factor<Real> factor = factor_of<Block>(share);
    const V share_of_largest = Block::narrow(of_largest);
    block.rewrite([&](auto& kept) {
      for (V& x : kept) x = x == largest.value[0] ? share_of_largest : factor.times(x);
    });
  }
};

template <class Element, bool tempered>
struct LogSoftmax {
  using Real = Computed<Element>;
  using V = Vector<Real>;
  Index columns;
  PerRow temperatures;

  template <class Block>
  Bits<Real> operator()(Block& block, Index i, int) const {
    double per_lane[lanes<Real>];
    if constexpr (tempered) block.temperatures(temperatures, i, per_lane);
    const Temperature<Real, tempered> temperature(per_lane);
    V largest = block.largest();
    const Bits<Real> exceptional = is_infinite(largest) | temperature.limits();
    if (any(exceptional)) {
      if (!Block::is_panel) return exceptional;
      largest = exceptional ? V{} : largest;
    }
    const Normaliser<Block> normaliser = normaliser_of<false>(block, largest, temperature);
    Doubles hi[Block::groups], lo[Block::groups];
    for (int group = 0; group < Block::groups; ++group) {
      const Pair log_sum = log1p(normaliser.rest[group]);
      hi[group] = log_sum.hi;
      lo[group] = log_sum.lo;
    }
    const V log_hi = Block::narrow(hi);
    for (int group = 0; group < Block::groups; ++group) lo[group] += hi[group] - widened(log_hi, group);
    const V log_lo = Block::narrow(lo);
    block.write([&](auto& scores) {
      for (V& x : scores) x = log_share(x, largest, temperature, log_hi, log_lo);
    });
    return exceptional;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const double temperature = temperatures.data[i * temperatures.stride];
    const RowSummary row = summary_of(columns, score);
    const double log_uniform = -__builtin_log(static_cast<double>(row.possible));
    for (Index j = 0; j < columns; ++j) {
      const double x = score(j);
      double log_p = not_a_number;
      if (row.has_nan) log_p = not_a_number;
      else if (row.possible == 0) log_p = -infinity;
      else if (temperature == 0) log_p = j == row.position ? 0.0 : -infinity;
      else if (row.largest == infinity) log_p = x == infinity ? not_a_number : -infinity;
      else log_p = x > -infinity ? log_uniform : -infinity;
      put(j, log_p);
    }
  }

 private:
  // Both parts are negative: nothing cancels, and each is off by half a unit at most.
  static V log_share(V score, V largest, const Temperature<Real, tempered>& temperature, V log_hi, V log_lo) {
    if constexpr (tempered && sizeof(Real) == sizeof(float)) {
      Doubles result[groups<Real>];
      for (int group = 0; group < groups<Real>; ++group)
        result[group] = (widened(score, group) - widened(largest, group)) / temperature.value(group) -
                        (widened(log_hi, group) + widened(log_lo, group));
      return narrowed<Real>(result);
    } else {
      const Sum2<V> q = temperature.quotient(temperature.difference(score, largest));
      const V small = q.lo - log_lo;
      return (q.hi - log_hi) + (tempered ? (small - small == V{} ? small : V{}) : small);
    }
  }
};

template <class Element>
struct LogSumExp {
  using Real = Computed<Element>;
  using V = Vector<Real>;
  Index columns;
  Element* out;

  template <class Block>
  Bits<Real> operator()(Block& block, Index i, int count) const {
    V largest = block.largest();
    const Bits<Real> exceptional = is_infinite(largest);
    if (any(exceptional)) {
      if (!Block::is_panel) return exceptional;
      largest = exceptional ? V{} : largest;
    }
    const Normaliser<Block> normaliser = normaliser_of<false>(block, largest, Temperature<Real, false>(nullptr));
    Doubles result[Block::groups];
    for (int group = 0; group < Block::groups; ++group) {
      const Pair sum = plus(log1p(normaliser.rest[group]), Pair{widened(largest, group), Doubles{}});
      result[group] = sum.hi + sum.lo;
    }
    const V narrow = Block::narrow(result);
    if (count == lanes<Real>) store(out + i, narrow);
    else store_first(out + i, narrow, count);
    return exceptional;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put) const {
    const RowSummary row = summary_of(columns, score);
    put(out + i, row.has_nan ? not_a_number : row.largest);
  }
};

inline bool is_plain(PerRow temperatures) { return temperatures.stride == 0 && temperatures.data[0] == 1.0; }

template <class Element>
void softmax(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace workspace) {
  if (is_plain(temperatures)) run(Softmax<Element, false>{scores.columns, temperatures}, scores, out, workspace);
  else run(Softmax<Element, true>{scores.columns, temperatures}, scores, out, workspace);
}

template <class Element>
void log_softmax(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace workspace) {
  if (is_plain(temperatures))
    run(LogSoftmax<Element, false>{scores.columns, temperatures}, scores, out, workspace);
  else run(LogSoftmax<Element, true>{scores.columns, temperatures}, scores, out, workspace);
}

template <class Element>
void logsumexp(Matrix<const Element> scores, Element* out, Workspace workspace) {
  const Matrix<Element> nothing{nullptr, scores.rows, scores.columns, 0, 1};
  if (scores.columns > 0) run(LogSumExp<Element>{scores.columns, out}, scores, nothing, workspace);
  else
    for (Index i = 0; i < scores.rows; ++i) put(out + i, -infinity);
}

}  // namespace
}  // namespace luce::LUCE_ISA
