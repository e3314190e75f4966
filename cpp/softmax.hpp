// softmax, log_softmax and logsumexp of every row.
#pragma once

#include "halves.hpp"
#include "run.hpp"
#include "sums.hpp"

namespace luce::LUCE_ISA {
namespace {

// `largest`: the exponential of the largest score. Its own share is taken from the unrounded one: equal scores alone in a
// row share it equally, to the last bit.
template <class Block>
struct Shares {
  using Real = typename Block::Real;
  using V = typename Block::V;
  Bits<Real> exceptional;
  Factor<Real> factor;
  V largest, share_of_largest;

  Shares(Bits<Real> exceptional, Sum2<V> total, const Terms<Real, 1>& largest)
      : exceptional(exceptional), largest(largest.value[0]) {
    const Sum2<V> share = reciprocal(total);
    const V main = largest.main[0], part = largest.part[0];
    const Sum2<V> own = product(share, fast_two_sum(main, groups<Real> > 1 ? part * main : part));
    factor = modest_factor<Real>(share);
    share_of_largest = own.hi + own.lo;
  }

  template <class Part>
  void write(Block& block, Part part) const {
    const Factor<Real> local = factor.of(part);
    const V largest_here = spread(largest, part), share_here = spread(share_of_largest, part);
    block.rewrite(part, [&](V kept) {
      const V once = in_register(kept);
      return once == largest_here ? share_here : local.times(once);
    });
  }
};

template <class Real, bool tempered>
struct Softmax {
  using V = Vector<Real>;
  Index columns;
  PerRow temperatures;

  template <class Block>
  Shares<Block> operator()(Block& block, Index i, int count) const {
    const auto temperature = temperatures_of<Real, tempered>(temperatures, i, count);
    const auto exponentials = exponentials_of<true>(block, ~temperature.limits(), temperature);
    return {is_infinite(exponentials.largest) | temperature.limits(), exponentials.total,
            Reference<Real, tempered>(exponentials.at, temperature).terms({exponentials.peak})};
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
};

template <class Block, bool tempered>
struct LogShares {
  using Real = typename Block::Real;
  using V = typename Block::V;
  Bits<Real> exceptional;
  Temperature<Real, tempered> temperature;
  V largest;
  Sum2<V> log_sum;

  LogShares(Bits<Real> exceptional, const Temperature<Real, tempered>& temperature, const Rest<Block>& rest)
      : exceptional(exceptional), temperature(temperature), largest(rest.largest), log_sum(log1p(rest.sum)) {}

  template <class Part>
  void write(Block& block, Part part) const {
    const Temperature<Real, tempered> local = temperature.of(part);
    const V largest_here = spread(largest, part), hi = spread(log_sum.hi, part), lo = spread(log_sum.lo, part);
    block.write(part, [&](V score) { return log_share(score, largest_here, local, hi, lo); });
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

template <class Real, bool tempered>
struct LogSoftmax {
  using V = Vector<Real>;
  Index columns;
  PerRow temperatures;

  template <class Block>
  LogShares<Block, tempered> operator()(Block& block, Index i, int count) const {
    const auto temperature = temperatures_of<Real, tempered>(temperatures, i, count);
    const Rest<Block> rest = rest_of(block, temperature);
    return {is_infinite(rest.largest) | temperature.limits(), temperature, rest};
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
};

template <class Real>
struct LogSumExp {
  using V = Vector<Real>;
  Index columns;
  Real* out;

  template <class Block>
  Written<Block> operator()(Block& block, Index i, int count) const {
    const Rest<Block> rest = rest_of(block, temperatures_of<Real, false>({}, i, count));
    const Sum2<V> all = plus(log1p(rest.sum), {rest.largest, V{}});
    const V result = all.hi + all.lo;
    if (count == lanes<Real>) store(out + i, result);
    else store_first(out + i, result, count);
    return {is_infinite(rest.largest)};
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put) const {
    const RowSummary row = summary_of(columns, score);
    out[i] = static_cast<Real>(row.has_nan ? not_a_number : row.largest);
  }
};

template <template <class, bool> class Map, class Element>
void run_map(const Matrix<const Element>& scores, PerRow temperatures, const Matrix<Element>& out,
             const Workspace& workspace) {
  if constexpr (is_half<Element>) {
    in_floats(scores, out, workspace, [&](Index i, Matrix<const float> from, Matrix<float> to, Workspace rest) {
      run_map<Map>(from, {temperatures.data + i * temperatures.stride, temperatures.stride}, to, rest);
    });
  } else if (is_plain(temperatures)) {
    run(Map<Element, false>{scores.columns, temperatures}, scores, out, workspace);
  } else {
    run(Map<Element, true>{scores.columns, temperatures}, scores, out, workspace);
  }
}

template <class Element>
void softmax(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace workspace) {
  run_map<Softmax>(scores, temperatures, out, workspace);
}

template <class Element>
void log_softmax(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace workspace) {
  run_map<LogSoftmax>(scores, temperatures, out, workspace);
}

template <class Element>
void logsumexp(Matrix<const Element> scores, Element* out, Workspace workspace) {
  const Matrix<Element> nothing{nullptr, scores.rows, scores.columns, 0, 1};
  if constexpr (is_half<Element>) {
    in_floats(scores, nothing, workspace, [&](Index i, Matrix<const float> from, Matrix<float>, Workspace rest) {
      float results[most_rows_as_floats];
      logsumexp(from, results, rest);
      copy_row_back(results, from.rows, out + i, 1);
    });
  } else {
    run(LogSumExp<Element>{scores.columns, out}, scores, nothing, workspace);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
