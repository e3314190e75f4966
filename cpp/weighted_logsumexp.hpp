// log |sum w exp(score)| of every row and the sum's sign, for weights of any sign; of doubles.
//
// The largest term stands apart from what the others sum to, relative to it: so a value near 0 keeps its digits.
#pragma once

#include "beside.hpp"
#include "sums.hpp"

namespace luce::LUCE_ISA {
namespace {

// exp(score - largest) is nothing below this: rows where a weight may make it something are exceptional.
constexpr double least_distance = -690;

struct LargestOfWeighted {
  static constexpr double beyond = -infinity;
  Doubles score = broadcast<double>(-infinity), weight{};

  [[gnu::always_inline]] void step(Doubles x, Doubles w) {
    score = maximum(w == 0.0 ? broadcast<double>(-infinity) : x, score);
    weight = maximum(magnitude(w), weight);
  }
};

// Sums the terms up but for the largest in each lane, which are kept.
struct WeightedTerms {
  static constexpr double beyond = -infinity;
  Doubles from;
  Doubles term{}, score{}, weight{};
  Pair others{};

  [[gnu::always_inline]] void step(Doubles x, Doubles w) {
    const Pair distance = two_sum(w == 0.0 ? broadcast<double>(-infinity) : x, -from);
    const auto vanishes = distance.hi < least_distance;
    const Doubles e = plain_exponential(vanishes ? Doubles{} : distance.hi, broadcast<double>(plain_rounder<double>));
    const Doubles here = vanishes ? Doubles{} : w * multiply_add(e, distance.lo, e);
    const auto is_largest = magnitude(here) > magnitude(term);
    others = plus(others, Pair{is_largest ? term : here, Doubles{}});
    term = is_largest ? here : term;
    score = is_largest ? x : score;
    weight = is_largest ? w : weight;
  }
};

struct WeightedSum {
  using V = Doubles;
  Matrix<const double> weights;
  void* memory;  // for Beside
  double* values;
  double* signs;

  template <class Block>
  Written<Block> operator()(Block& block, Index i, int count) const {
    const Beside<Block> beside(rows_of(weights, i, count), memory);
    V largest{}, largest_weight{}, term{}, score{}, weight{};
    Pair others[1] = {};
    block.each(~Bits<double>{}, [&](auto part) {
      const auto most = block.visit_with(part, beside.of(part), LargestOfWeighted{});
      V from = most.score, by = most.weight;
      if constexpr (!Block::is_panel) {
        from = largest_lane<double>(from);
        by = largest_lane<double>(by);
      }
      block.collect(from, part, largest);
      block.collect(by, part, largest_weight);
      auto terms = block.visit_with(part, beside.of(part), WeightedTerms{from});
      if constexpr (!Block::is_panel) {
        const V size = magnitude(terms.term);
        const int lane = __builtin_ctz(mask_bits(size == largest_lane<double>(size)) | 1u << lanes<double>);
        const int at = lane < lanes<double> ? lane : 0;
        const V only = broadcast<double>(terms.term[at]);
        terms.term[at] = 0;
        terms.others = plus(terms.others, Pair{terms.term, V{}});
        terms.term = only;
        terms.score = broadcast<double>(terms.score[at]);
        terms.weight = broadcast<double>(terms.weight[at]);
      }
      block.collect(terms.term, part, term);
      block.collect(terms.score, part, score);
      block.collect(terms.weight, part, weight);
      const Pair sum[1] = {terms.others};
      block.collect(sum, part, others);
    });
    const V rest = rounded(others[0]) / term, size = magnitude(term);
    const V missed = largest_weight * 0x1p-895;  // exp(least_distance) 2^60 for each of 2^40 classes
    const auto is_ordinary = (size >= 0x1p-800) & (largest_weight <= 0x1p900) & (size >= missed) & (rest - rest == V{});
    for (int row = 0; row < count; ++row)
      if (is_ordinary[row]) put(i + row, score[row], weight[row], rest[row]);
    return {~reinterpret_cast<Bits<double>>(is_ordinary)};
  }

  // From the ratio of the terms' sum to the largest of them, less 1.
  void put(Index i, double score, double weight, double rest) const {
    const double log_sum = rest > -0.5 ? __builtin_log1p(rest) : __builtin_log(__builtin_fabs(1 + rest));
    values[i] = score + (__builtin_log(__builtin_fabs(weight)) + log_sum);
    const double sum = 1 + rest;
    signs[i] = sum == 0 ? 0.0 : (sum < 0) == (weight < 0) ? 1.0 : -1.0;
  }
  void set(Index i, double value, double sign) const {
    values[i] = value;
    signs[i] = sign;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put) const {
    const double* const row = row_of(weights, i);
    const auto weight = [&](Index j) { return row[j * weights.column_stride]; };
    bool is_undefined = false, is_above = false, is_below = false;
    double most = -infinity;
    Index pivot = -1;
    for (Index j = 0; j < weights.columns; ++j) {
      const double x = score(j), w = weight(j);
      if (w == 0 || x == -infinity) continue;
      is_undefined = is_undefined || x != x || w - w != 0;
      if (x == infinity) (w > 0 ? is_above : is_below) = true;
      const double size = x + __builtin_log(__builtin_fabs(w));
      if (pivot >= 0 && !(size > most)) continue;
      most = size;
      pivot = j;
    }
    if (is_undefined || (is_above && is_below)) return set(i, not_a_number, not_a_number);
    if (is_above || is_below) return set(i, infinity, is_above ? 1.0 : -1.0);
    if (pivot < 0) return set(i, -infinity, 0.0);
    double rest = 0;
    for (Index j = 0; j < weights.columns; ++j)
      if (j != pivot && weight(j) != 0 && score(j) > -infinity)
        rest += ratio(score(j), weight(j), score(pivot), weight(pivot));
    put(i, score(pivot), weight(pivot), rest);
  }

  // w exp(x) over the same of the pivot. The weights' powers of two join the exponent, which is an exact sum of two parts:
  // weights as far apart as floats go neither overflow nor cost digits.
  static double ratio(double x, double w, double pivot_x, double pivot_w) {
    int power, pivot_power;
    const double mantissa = __builtin_frexp(w, &power) / __builtin_frexp(pivot_w, &pivot_power);
    const double steps = power - pivot_power;
    const Sum2<double> distance = two_sum(x, -pivot_x), high = two_sum(distance.hi, steps * Logarithm<double>::ln_2_hi);
    const double low = distance.lo + (high.lo + steps * Logarithm<double>::ln_2_lo);
    const double e = mantissa * __builtin_exp(high.hi);
    return e + (high.hi - high.hi == 0 ? e * low : 0.0);
  }
};

void weighted_logsumexp(Matrix<const double> scores, Matrix<const double> weights, double* values, double* signs,
                        Workspace workspace) {
  const Matrix<double> nothing{nullptr, scores.rows, scores.columns, 0, 1};
  void* const memory = memory_beside<double>(scores.columns, is_run_in_panels(scores, nothing), workspace);
  run(WeightedSum{weights, memory, values, signs}, scores, nothing, workspace);
}

}  // namespace
}  // namespace luce::LUCE_ISA
