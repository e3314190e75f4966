// Cross-entropy of every row with its targets t, and its gradient with respect to the scores:
//
//   w (sum_c t_c (logsumexp(z) - z_c) + z_loss logsumexp(z)^2),   z = scores / T
//   w / T ((sum(t) + 2 z_loss logsumexp(z)) softmax(z) - t)
//
// Targets are a label's, smoothed over the classes that can happen; others are in cross_entropy_of_targets.hpp.
#pragma once

#include "run.hpp"
#include "sums.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
Vector<Real> without_subnormals(Vector<Real> x) {
  constexpr Real smallest = sizeof(Real) == sizeof(float) ? static_cast<Real>(FLT_MIN) : static_cast<Real>(DBL_MIN);
  return magnitude(x) < smallest ? Vector<Real>{} : x;
}

// Exponentials at the floor are below: they would not vanish beside a large weight.
template <class Real>
constexpr double lowest = sizeof(Real) == sizeof(float) ? 0x1p-123 : 0x1p-1019;

// A power of two by which shares too small for a factor of full precision are brought in range.
template <class Real>
Doubles in_range_of(Exact<Real> share) {
  constexpr double small = sizeof(Real) == sizeof(float) ? 0x1p-80 : 0x1p-700;
  return magnitude(share.hi) < small ? broadcast<double>(1 / small) : broadcast<double>(1.0);
}

template <class Real>
Vector<Real> share_plus(Vector<Real> kept, const Factor<Real>& factor, Vector<Real> more) {
  return factor.times_plus(kept < static_cast<Real>(lowest<Real>) ? Vector<Real>{} : kept, more);
}

// The distance of two scores may overflow where its share of a loss does not: it is taken of scores multiplied by `down`,
// and multiplied by `up` when it has been weighted.
template <class Real>
struct Reach {
  Vector<Real> down = broadcast<Real>(1.0);
  Vector<Real> up = broadcast<Real>(1.0);

  explicit Reach(Vector<Real> largest) {
    constexpr Real huge = static_cast<Real>(sizeof(Real) == sizeof(float) ? infinity : 0x1p960);
    const auto is_huge = (largest > huge) | (largest < -huge);
    down = is_huge ? down * static_cast<Real>(0x1p-8) : down;
    up = is_huge ? up * static_cast<Real>(0x1p8) : up;
  }
  Exact<Real> restored(Exact<Real> distance, int group) const {
    return without_stray_error(scaled(distance, widened(up, group)));
  }
};

// exp of a quotient that is not positive.
template <class Real>
Sum2<Vector<Real>> exponential_of(Sum2<Vector<Real>> quotient) {
  using V = Vector<Real>;
  const auto vanishes = quotient.hi <= static_cast<Real>(-(sizeof(Real) == sizeof(float) ? 87 : 700));
  return chosen(vanishes, Sum2<V>{}, exponential(chosen(vanishes, Sum2<V>{}, quotient), broadcast<Real>(plain_rounder<Real>)));
}

// Read once, and kept in range: whoever changes labels meanwhile gets a wrong loss, never a wild access.
inline Index label_of(const std::int64_t* labels, Index i, Index columns) {
  const Index label = __atomic_load_n(labels + i, __ATOMIC_RELAXED);
  return label >= 0 && label < columns ? label : 0;
}

// A number of each row, 1 where there are none.
template <class Block>
void lanes_of(const double* numbers, Index i, int count, Doubles (&of_rows)[Block::groups]) {
  for (Doubles& part : of_rows) part = Doubles{};
  for (int row = 0; row < count; ++row)
    of_rows[row / lanes<double>][row % lanes<double>] = numbers == nullptr ? 1.0 : numbers[i + row];
}

template <class Real>
struct LossOptions {
  const double* weights;
  double temperature, label_smoothing, z_loss;
  double* losses;

  explicit LossOptions(const CrossEntropyArguments<Real>& given)
      : weights(given.weights), temperature(given.temperature), label_smoothing(given.label_smoothing),
        z_loss(given.z_loss), losses(given.losses) {}

  // The temperature as a number near 1, and the power of two that is left: neither leaves the range of a float.
  double near_temperature() const { return temperature * power_left(); }
  double power_left() const {
    if (temperature == 1.0) return 1.0;
    int exponent;
    __builtin_frexp(temperature, &exponent);
    constexpr int most = sizeof(Real) == sizeof(float) ? 120 : 1000;
    exponent = exponent > most ? most : exponent < -most ? -most : exponent;
    return __builtin_ldexp(1.0, -exponent);
  }
  // The z-loss of a row and twice its slope, without 0 times infinity.
  Exact<Real> z_value(Exact<Real> logsumexp) const {
    if (z_loss == 0) return Exact<Real>{};
    return without_stray_error(product(product(logsumexp, logsumexp), broadcast<double>(z_loss)));
  }
  Exact<Real> z_slope(Exact<Real> logsumexp) const {
    if (z_loss == 0) return Exact<Real>{};
    return without_stray_error(product(logsumexp, broadcast<double>(2.0 * z_loss)));
  }
  // Its part in the gradient of a class: the slope alone may overflow.
  Exact<Real> z_slope(Exact<Real> logsumexp, Exact<Real> probability) const { return z_slope(product(probability, logsumexp)); }

  template <bool tempered>
  Temperature<Real, tempered> for_all_rows() const {
    double per_lane[lanes<Real>];
    for (double& t : per_lane) t = temperature;
    return Temperature<Real, tempered>(per_lane);
  }

  double weight_of(Index i) const { return weights == nullptr ? 1.0 : weights[i]; }

  template <class Block>
  void weights_of(Index i, int count, Doubles (&weight)[Block::groups]) const { lanes_of<Block>(weights, i, count, weight); }

  Bits<Real> left_out(Index i, int count) const {
    Bits<Real> mask{};
    for (int row = 0; row < count; ++row)
      if (weight_of(i + row) == 0.0) mask[row] = -1;
    return mask;
  }

  // Ends a row for which the formulas do not hold. One of weight 0 is left out, whatever its scores.
  template <class Put>
  void end_exceptional(Index i, Index columns, const RowSummary& row, bool is_undefined, double loss, bool with_gradient,
                       Put put) const {
    const double weight = weight_of(i);
    losses[i] = weight == 0.0 ? 0.0 : is_undefined ? not_a_number : loss * weight;
    for (Index j = 0; j < columns && with_gradient; ++j) put(j, weight == 0.0 || row.is_impossible() ? 0.0 : not_a_number);
  }

  template <class Block>
  void store_losses(const Doubles (&loss)[Block::groups], Index i, int count) const {
    for (int group = 0; group < Block::groups; ++group)
      for (int lane = 0; lane < lanes<double>; ++lane) {
        const int row = group * lanes<double> + lane;
        if (row < count) losses[i + row] = loss[group][lane];
      }
  }
};

// The gradient of kept exponentials: shares of them less what smoothing gives to every class, but for the labels.
template <class Block, bool with_gradient>
struct LabelSlopes {
  using Real = typename Block::Real;
  using V = typename Block::V;
  Bits<Real> exceptional;
  Index labels[lanes<Real>];
  Factor<Real> factor;
  V spread_evenly, after, at_label;

  template <class Part>
  void write(Block& block, Part part) const {
    if constexpr (with_gradient) {
      const Factor<Real> local = factor.of(part);
      const V less = spread(spread_evenly, part), last = spread(after, part);
      // What is at the floor then vanishes without being looked for.
      constexpr Real modest = static_cast<Real>(0.5);
      if (any((less != V{}) | (last != static_cast<Real>(1.0)) | !(magnitude(local.hi) < modest))) {
        block.rewrite_but(part, labels, at_label, [&](V x) {
          return without_subnormals<Real>(share_plus<Real>(x, local, x == V{} ? x : -less) * last);
        });
      } else {
        block.rewrite_but(part, labels, at_label,
                          [&](V x) { return without_subnormals<Real>(local.times(in_register(x))); });
      }
    }
  }
};

// Counts the classes that can happen, and adds up how far below the largest score they are, in temperatures.
template <class Real, bool tempered, int count>
struct Counting {
  const Temperature<Real, tempered>& temperature;
  Vector<Real> largest, down;
  Bits<Real> minus_possible{};
  GroupSums<Real> sums{};

  [[gnu::always_inline]] void step(Vector<Real> (&scores)[count]) {
    for (const Vector<Real>& x : scores) {
      const auto possible = x != static_cast<Real>(-infinity);
      minus_possible += possible;
      const Vector<Real> counted = possible ? x : largest;
      sums.add([&](int group) { return temperature.exact_quotient(counted * down, largest * down, group); });
    }
  }
  void settle() {}
};

template <class Real, bool tempered, bool with_gradient>
struct LabelCrossEntropy {
  using V = Vector<Real>;
  LossOptions<Real> options;
  Matrix<const Real> scores;
  const std::int64_t* labels;

  // Sums are of all classes but the label: where it is likely, what is left of its share has all its digits.
  template <class Block>
  LabelSlopes<Block, with_gradient> operator()(Block& block, Index i, int count) const {
    const auto temperature = options.template for_all_rows<tempered>();
    const Bits<Real> left_out = options.left_out(i, count);
    const bool smooths = options.label_smoothing != 0;
    LabelSlopes<Block, with_gradient> result;
    for (int row = 0; row < count; ++row) result.labels[row] = label_of(labels, i + row, scores.columns);
    Smoothing<Block> smoothing;
    if (smooths) smoothing = smoothing_of(block, ~left_out, temperature);
    block.hide(result.labels);
    const Exponentials<Block> others = exponentials_of<with_gradient>(block, ~left_out, temperature, smooths);
    const V label_score = block.hidden_scores();
    V largest = maximum(others.largest, label_score);
    result.exceptional = is_infinite(largest) | left_out;
    largest = is_infinite(largest) ? V{} : largest;
    // Relative to the largest score; alone, or NaN.
    const Sum2<V> nothing{others.total.hi - others.total.hi, V{}}, one{broadcast<Real>(1.0), V{}};
    const Sum2<V> scale = Reference<Real, tempered>(others.at, temperature).inverse(largest);
    const Sum2<V> rest = chosen(is_infinite(others.largest), nothing, relative<Real>(others.total, scale));
    const auto is_largest = label_score == largest;
    const Sum2<V> label_term =
        chosen(is_largest, one, exponential_of<Real>(temperature.exact_quotient(label_score, largest)));
    const Sum2<V> all = plus(rest, label_term);
    const Sum2<V> log_of_sum = log1p(chosen(is_largest, rest, plus(all, {-one.hi, V{}})));
    const Sum2<V> inverse_sum = reciprocal(all);

    Doubles weight[Block::groups], loss[Block::groups], each_less[Block::groups], label_entry[Block::groups],
        after[Block::groups];
    Exact<Real> share[Block::groups];
    options.template weights_of<Block>(i, count, weight);
    const Reach<Real> reach(largest);
    for (int group = 0; group < Block::groups; ++group) {
      using E = Exact<Real>;
      const Doubles one = broadcast<double>(1.0);
      const E distance = temperature.exact_quotient(label_score * reach.down, largest * reach.down, group);
      const E log_sum = exactly(log_of_sum, group);
      const E logsumexp = without_stray_error(plus(temperature.exact_quotient(largest, V{}, group), log_sum));

      const Doubles smooth = broadcast<double>(options.label_smoothing);
      E value = log_sum;
      if (options.label_smoothing != 1) value = plus(value, negative(reach.restored(product(distance, 1.0 - smooth), group)));
      if (smooths) value = plus(value, negative(smoothing.mean_quotient[group]));
      value = without_stray_error(plus(without_stray_error(value), options.z_value(logsumexp)));
      loss[group] = rounded(without_stray_error(product(value, weight[group])));
      if constexpr (!with_gradient) continue;

      const E inverse = exactly(inverse_sum, group), z_slope = options.z_slope(logsumexp);
      const E step = product(reciprocal(exact<E>(options.near_temperature() * one)), weight[group]);
      E each{};  // what smoothing gives to every class
      if (smooths) each = product(reciprocal(exact<E>(smoothing.possible[group])), smooth);
      // p - t, with 1 - p as the share of the others.
      E entry = negative(product(product(inverse, exactly(rest, group)), 1.0 - smooth));
      const E probability = product(inverse, exactly(label_term, group));
      entry = plus(entry, plus(options.z_slope(logsumexp, probability), product(probability, smooth)));
      entry = plus(entry, chosen(widened(label_score, group) > -infinity, negative(each), E{}));
      label_entry[group] = rounded(without_stray_error(product(entry, step))) * options.power_left();
      each_less[group] = rounded(product(each, step));
      const E plain_scale = scaled(exactly(scale, group), one * (1 / Format<Real>::inverse_unit_size));
      share[group] = product(product(product(inverse, plain_scale), one_plus(z_slope)), step);
      const Doubles in_range = smooths ? one : in_range_of<Real>(share[group]);
      share[group] = scaled(share[group], in_range);
      after[group] = options.power_left() / in_range;
    }
    options.template store_losses<Block>(loss, i, count);
    if constexpr (with_gradient) {
      result.factor = factor_of<Block>(share);
      result.spread_evenly = Block::narrow(each_less);
      result.after = Block::narrow(after);
      result.at_label = without_subnormals<Real>(Block::narrow(label_entry));
    }
    return result;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const RowSummary row = summary_of(scores.columns, score);
    const bool asks_for_all = options.label_smoothing != 0;
    const bool is_undefined =
        row.has_nan ||
        (!row.is_impossible() && (asks_for_all || score(label_of(labels, i, scores.columns)) == infinity));
    options.end_exceptional(i, scores.columns, row, is_undefined, infinity, with_gradient, put);
  }

 private:
  // Over the classes that can happen: how many, and smoothing times the mean of (score - largest) / T.
  template <class Block>
  struct Smoothing {
    Doubles possible[Block::groups] = {};
    Exact<Real> mean_quotient[Block::groups] = {};
  };

  template <class Block>
  Smoothing<Block> smoothing_of(Block& block, Bits<Real> rows, const Temperature<Real, tempered>& temperature) const {
    Smoothing<Block> result;
    V all_largest{};
    block.each(rows, [&](auto part) {
      V largest = block.largest(part);
      largest = is_infinite(largest) ? V{} : largest;
      const Reach<Real> reach(largest);
      const auto all = block.visit(part, Counting<Real, tempered, Block::together>{temperature, largest, reach.down});
      block.collect(-all.minus_possible, part, result.possible);
      Exact<Real> sums[groups<Real>];
      all.sums.copy_to(sums);
      block.collect(sums, part, result.mean_quotient);
      block.collect(largest, part, all_largest);
    });
    const Reach<Real> reach(all_largest);
    for (int group = 0; group < Block::groups; ++group)
      result.mean_quotient[group] = reach.restored(
          product(result.mean_quotient[group], options.label_smoothing / result.possible[group]), group);
    return result;
  }
};

template <class Real>
void cross_entropy_of_labels(const CrossEntropyArguments<Real>& arguments, const std::int64_t* labels,
                             Workspace workspace) {
  const LossOptions<Real> options(arguments);
  const auto run_with = [&](auto kernel) { run_alike(kernel, arguments.scores, arguments.gradient, workspace); };
  const bool tempered = arguments.temperature != 1.0;
  if (arguments.gradient.data == nullptr)
    tempered ? run_with(LabelCrossEntropy<Real, true, false>{options, arguments.scores, labels})
             : run_with(LabelCrossEntropy<Real, false, false>{options, arguments.scores, labels});
  else
    tempered ? run_with(LabelCrossEntropy<Real, true, true>{options, arguments.scores, labels})
             : run_with(LabelCrossEntropy<Real, false, true>{options, arguments.scores, labels});
}

}  // namespace
}  // namespace luce::LUCE_ISA
