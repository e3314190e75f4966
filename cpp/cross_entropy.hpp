// Cross-entropy of every row with its targets t, and its gradient with respect to the scores:
//
//   w (sum_c t_c (logsumexp(z) - z_c) + z_loss logsumexp(z)^2),   z = scores / T
//   w / T ((sum(t) + 2 z_loss logsumexp(z)) softmax(z) - t)
//
// Targets are a label's, smoothed over the classes that can happen, or given.
#pragma once

#include <type_traits>

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
Vector<Real> without_subnormals(Vector<Real> x) {
  constexpr Real smallest = sizeof(Real) == sizeof(float) ? static_cast<Real>(FLT_MIN) : static_cast<Real>(DBL_MIN);
  return (x < 0 ? -x : x) < smallest ? Vector<Real>{} : x;
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
  Pair restored(Pair distance, int group) const {
    const Doubles power = widened(up, group);
    return without_stray_error({distance.hi * power, distance.lo * power});
  }
};

// exp of a quotient that is not positive.
inline Pair exponential_of(Pair quotient) {
  const auto vanishes = quotient.hi <= -700.0;
  const Doubles x = vanishes ? Doubles{} : quotient.hi;
  const Pair e = exponential(x, vanishes ? Doubles{} : quotient.lo,
                             broadcast<double>(rounder<double> + Format<double>::bias));
  return {vanishes ? Doubles{} : e.hi, vanishes ? Doubles{} : e.lo};
}

template <class Block, bool tempered, bool keep>
struct RowLosses {
  using Real = typename Block::Real;
  using V = typename Block::V;
  V largest;
  Normaliser<Block> normaliser;
  Pair log_sum[Block::groups];     // log1p(rest): logsumexp(z) less the largest of z
  Pair logsumexp[Block::groups];

  RowLosses(Block& block, V largest, const Temperature<Real, tempered>& temperature)
      : largest(largest), normaliser(normaliser_of<keep>(block, largest, temperature)) {
    for (int group = 0; group < Block::groups; ++group) {
      log_sum[group] = log1p(normaliser.rest[group]);
      logsumexp[group] = without_stray_error(plus(temperature.exact_quotient(largest, V{}, group), log_sum[group]));
    }
  }
};

template <class Real>
struct LossOptions {
  const double* weights;
  double temperature, label_smoothing, z_loss;
  double* losses;

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
  Pair z_value(Pair logsumexp) const {
    return z_loss == 0 ? Pair{} : without_stray_error(product(product(logsumexp, logsumexp), broadcast<double>(z_loss)));
  }
  Pair z_slope(Pair logsumexp) const {
    return z_loss == 0 ? Pair{} : without_stray_error(product(logsumexp, broadcast<double>(2.0 * z_loss)));
  }

  template <bool tempered>
  Temperature<Real, tempered> for_all_rows() const {
    double per_lane[lanes<Real>];
    for (double& t : per_lane) t = temperature;
    return Temperature<Real, tempered>(per_lane);
  }

  double weight_of(Index i) const { return weights == nullptr ? 1.0 : weights[i]; }

  template <class Block>
  void weights_of(Index i, int count, Doubles (&weight)[Block::groups]) const {
    for (Doubles& part : weight) part = broadcast<double>(weight_of(i));
    if (!Block::is_panel) return;
    for (int lane = 0; lane < count; ++lane) weight[lane / lanes<double>][lane % lanes<double>] = weight_of(i + lane);
  }

  template <class Block>
  Bits<Real> left_out(Index i, int count) const {
    Bits<Real> mask{};
    for (int lane = 0; lane < count; ++lane)
      if (weight_of(i + lane) == 0.0) mask[lane] = -1;
    return Block::is_panel ? mask : mask[0] - Bits<Real>{};
  }

  template <class Block>
  void store_losses(const Doubles (&loss)[Block::groups], Index i, int count) const {
    for (int lane = 0; lane < count; ++lane) losses[i + lane] = loss[lane / lanes<double>][lane % lanes<double>];
  }
};

template <class Real, bool tempered, bool with_gradient>
struct LabelCrossEntropy {
  using V = Vector<Real>;
  LossOptions<Real> options;
  Matrix<const Real> scores;
  const std::int64_t* labels;

  // Read once, and kept in range: whoever changes labels meanwhile gets a wrong loss, never a wild access.
  Index label_of(Index i) const {
    const Index label = __atomic_load_n(labels + i, __ATOMIC_RELAXED);
    return label >= 0 && label < scores.columns ? label : 0;
  }

  template <class Block>
  Bits<Real> operator()(Block& block, Index i, int count) const {
    const auto temperature = options.template for_all_rows<tempered>();
    V largest = block.largest();
    const Bits<Real> exceptional = is_infinite(largest) | options.template left_out<Block>(i, count);
    if (any(exceptional)) {
      if (!Block::is_panel) return exceptional;
      largest = is_infinite(largest) ? V{} : largest;
    }
    Index columns[lanes<Real>];
    for (int lane = 0; lane < count; ++lane) columns[lane] = label_of(i + lane);
    const V label_score = block.score_at(columns);
    Smoothing<Block> smoothing;
    if (options.label_smoothing != 0) smoothing = smoothing_of(block, largest, temperature);
    const RowLosses<Block, tempered, with_gradient> row(block, largest, temperature);

    Doubles weight[Block::groups], loss[Block::groups];
    options.template weights_of<Block>(i, count, weight);
    const Reach<Real> reach(largest);
    Pair label_quotient[Block::groups];
    for (int group = 0; group < Block::groups; ++group) {
      const Pair distance = temperature.exact_quotient(label_score * reach.down, largest * reach.down, group);
      label_quotient[group] = reach.restored(distance, group);
      const Doubles sharp = broadcast<double>(1.0 - options.label_smoothing);
      Pair total = row.log_sum[group];
      if (options.label_smoothing != 1) total = plus(total, negative(reach.restored(product(distance, sharp), group)));
      if (options.label_smoothing != 0) total = plus(total, negative(smoothing.mean_quotient[group]));
      total = without_stray_error(total);
      total = plus(total, options.z_value(row.logsumexp[group]));
      total = without_stray_error(total);
      const Pair weighted = without_stray_error(product(total, weight[group]));
      loss[group] = weighted.hi + weighted.lo;
    }
    options.template store_losses<Block>(loss, i, count);
    if constexpr (with_gradient) {
      Doubles spread[Block::groups], label_entry[Block::groups];
      Pair share[Block::groups];
      for (int group = 0; group < Block::groups; ++group) {
        const Pair total = one_plus(row.normaliser.rest[group]);
        const Pair inverse = reciprocal(total);
        const Pair label_term = exponential_of(label_quotient[group]);
        const Pair without_label = two_sum(total.hi, -label_term.hi);
        const auto is_largest = label_quotient[group].hi == 0.0;
        const Pair others = {is_largest ? row.normaliser.rest[group].hi : without_label.hi,
                             is_largest ? row.normaliser.rest[group].lo
                                        : without_label.lo + (total.lo - label_term.lo)};
        const Pair z_slope = options.z_slope(row.logsumexp[group]);
        const Pair step = product(reciprocal(Pair{broadcast<double>(options.near_temperature()), Doubles{}}), weight[group]);
        Pair each{};  // what smoothing gives to every class
        if (options.label_smoothing != 0)
          each = product(reciprocal(Pair{smoothing.possible[group], Doubles{}}),
                         broadcast<double>(options.label_smoothing));
        // p - t, with 1 - p as the share of the others.
        const Doubles smooth = broadcast<double>(options.label_smoothing);
        const Pair p = product(inverse, label_term);
        Pair entry = negative(product(product(inverse, others), 1.0 - smooth));
        entry = plus(entry, product(p, plus(z_slope, Pair{smooth, Doubles{}})));
        const auto is_possible = label_quotient[group].hi > -infinity;
        entry = plus(entry, Pair{is_possible ? -each.hi : Doubles{}, is_possible ? -each.lo : Doubles{}});
        entry = without_stray_error(product(entry, step));
        label_entry[group] = (entry.hi + entry.lo) * options.power_left();
        each = product(each, step);
        spread[group] = each.hi + each.lo;
        share[group] = product(product(product(inverse, row.normaliser.scale[group]), one_plus(z_slope)), step);
      }
      const Factor<Real> factor = factor_of<Block>(share);
      const V less = Block::narrow(spread), after = broadcast<Real>(options.power_left());
      block.rewrite([&](auto& kept) {
        for (V& x : kept) {
          const V slope = share_plus<Real>(x, factor, x == V{} ? x : -less);
          x = without_subnormals<Real>(tempered ? slope * after : slope);
        }
      });
      block.put_at(columns, without_subnormals<Real>(Block::narrow(label_entry)), count);
    }
    return exceptional;
  }

  // A row of weight 0 is a row left out, whatever its scores.
  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const RowSummary row = summary_of(scores.columns, score);
    const bool left_out = options.weight_of(i) == 0.0;
    const bool impossible = !row.has_nan && row.possible == 0;
    const bool undefined =
        row.has_nan || (!impossible && (options.label_smoothing != 0 || score(label_of(i)) == infinity));
    options.losses[i] = left_out ? 0.0 : undefined ? not_a_number : infinity * options.weight_of(i);
    if constexpr (with_gradient)
      for (Index j = 0; j < scores.columns; ++j) put(j, left_out || impossible ? 0.0 : not_a_number);
  }

 private:
  // Over the classes that can happen: how many, and smoothing times the mean of (score - largest) / T.
  template <class Block>
  struct Smoothing {
    Doubles possible[Block::groups];
    Pair mean_quotient[Block::groups];
  };

  template <class Block>
  Smoothing<Block> smoothing_of(Block& block, V largest, const Temperature<Real, tempered>& temperature) const {
    Pair sums[groups<Real>] = {};
    Bits<Real> minus_possible{};
    const Reach<Real> reach(largest);
    block.visit([&](auto& scores) {
      for (V& x : scores) {
        const auto possible = x != static_cast<Real>(-infinity);
        minus_possible += possible;
        const V counted = possible ? x : largest;
        for (int group = 0; group < groups<Real>; ++group)
          sums[group] = plus(sums[group], temperature.exact_quotient(counted * reach.down, largest * reach.down, group));
      }
    });
    Smoothing<Block> result;
    Block::across(-minus_possible, result.possible);
    Block::across(sums, result.mean_quotient);
    for (int group = 0; group < Block::groups; ++group)
      result.mean_quotient[group] = reach.restored(
          product(result.mean_quotient[group], options.label_smoothing / result.possible[group]), group);
    return result;
  }
};

template <class Real, bool tempered, bool with_gradient>
struct TargetCrossEntropy {
  using V = Vector<Real>;
  LossOptions<Real> options;
  Matrix<const Real> scores, targets;
  Real* gathered;  // room for a row of targets

  const Real* targets_of(Index i) const {
    const Real* row = targets.data + i * targets.row_stride;
    if (targets.column_stride == 1) return row;
    for (Index j = 0; j < targets.columns; ++j) gathered[j] = row[j * targets.column_stride];
    return gathered;
  }

  Bits<Real> operator()(Row<Real>& block, Index i, int count) const {
    const auto temperature = options.template for_all_rows<tempered>();
    const V largest = block.largest();
    const Bits<Real> exceptional = is_infinite(largest) | options.template left_out<Row<Real>>(i, count);
    if (any(exceptional)) return exceptional;

    const Real* target = targets_of(i);
    const Reach<Real> reach(largest);
    Pair sums[groups<Real>] = {}, products[groups<Real>] = {};
    block.visit_with(target, [&](V score, V t) {
      const V counted = t == V{} ? largest : score;
      for (int group = 0; group < groups<Real>; ++group) {
        sums[group] = plus(sums[group], Pair{widened(t, group), Doubles{}});
        const Pair part = product(
            temperature.exact_quotient(counted * reach.down, largest * reach.down, group), widened(t, group));
        products[group] = plus(products[group], without_stray_error(part));
      }
    });
    Pair mass[1], mean_quotient[1];
    Row<Real>::across(sums, mass);
    for (Pair& part : products) part = without_stray_error(part);
    Row<Real>::across(products, mean_quotient);
    mean_quotient[0] = reach.restored(mean_quotient[0], 0);
    const bool is_possible = mean_quotient[0].hi[0] > -infinity || mean_quotient[0].hi[0] != mean_quotient[0].hi[0];

    const RowLosses<Row<Real>, tempered, with_gradient> row(block, largest, temperature);
    const double weight = options.weight_of(i);
    Pair total = plus(product(row.log_sum[0], mass[0]), negative(mean_quotient[0]));
    total = without_stray_error(plus(total, options.z_value(row.logsumexp[0])));
    const Pair weighted = without_stray_error(product(total, broadcast<double>(weight)));
    options.losses[i] = is_possible ? weighted.hi[0] + weighted.lo[0] : infinity;
    if constexpr (with_gradient) {
      const double step = weight / options.near_temperature();
      const Pair slope = plus(mass[0], options.z_slope(row.logsumexp[0]));
      const Pair share[1] = {product(
          product(product(reciprocal(one_plus(row.normaliser.rest[0])), row.normaliser.scale[0]), slope),
          broadcast<double>(step))};
      const Factor<Real> factor = factor_of<Row<Real>>(share);
      const V each = broadcast<Real>(step), after = broadcast<Real>(options.power_left());
      block.rewrite_with(target, [&](V& x, V t) {
        const V entry = share_plus<Real>(x, factor, -each * t);
        x = without_subnormals<Real>(tempered ? entry * after : entry);
      });
    }
    return exceptional;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const RowSummary row = summary_of(scores.columns, score);
    const bool left_out = options.weight_of(i) == 0.0;
    const bool impossible = !row.has_nan && row.possible == 0;
    bool undefined = row.has_nan;
    const Real* target = targets_of(i);
    double mass = 0;
    for (Index j = 0; j < scores.columns; ++j) {
      mass += static_cast<double>(target[j]);
      undefined = undefined || (target[j] != 0 && score(j) == infinity);
    }
    const double loss = mass == 0 && options.z_loss == 0 ? 0.0 : infinity;
    options.losses[i] = left_out ? 0.0 : undefined ? not_a_number : loss * options.weight_of(i);
    if constexpr (with_gradient)
      for (Index j = 0; j < scores.columns; ++j) put(j, left_out || impossible ? 0.0 : not_a_number);
  }
};

template <class Real, class F>
void with_options(const CrossEntropyArguments<Real>& a, F f) {
  const LossOptions<Real> options{a.weights, a.temperature, a.label_smoothing, a.z_loss, a.losses};
  using Yes = std::integral_constant<bool, true>;
  using No = std::integral_constant<bool, false>;
  const bool tempered = a.temperature != 1.0;
  if (a.gradient.data != nullptr) tempered ? f(options, Yes{}, Yes{}) : f(options, No{}, Yes{});
  else tempered ? f(options, Yes{}, No{}) : f(options, No{}, No{});
}

template <class Real>
void cross_entropy_of_labels(const CrossEntropyArguments<Real>& arguments, const std::int64_t* labels,
                             Workspace workspace) {
  with_options(arguments, [&](const LossOptions<Real>& options, auto tempered, auto with_gradient) {
    const LabelCrossEntropy<Real, decltype(tempered)::value, decltype(with_gradient)::value> kernel{
        options, arguments.scores, labels};
    run_alike(kernel, arguments.scores, arguments.gradient, workspace);
  });
}

template <class Real>
void cross_entropy_of_targets(const CrossEntropyArguments<Real>& arguments, Matrix<const Real> targets,
                              Workspace workspace) {
  with_options(arguments, [&](const LossOptions<Real>& options, auto tempered, auto with_gradient) {
    const TargetCrossEntropy<Real, decltype(tempered)::value, decltype(with_gradient)::value> kernel{
        options, arguments.scores, targets, static_cast<Real*>(workspace.memory) + 2 * targets.columns};
    if (has_adjacent_classes(arguments.scores, arguments.gradient)) run_rows(kernel, arguments.scores, arguments.gradient, workspace);
    else run_gathered_rows(kernel, arguments.scores, arguments.gradient, workspace);
  });
}

}  // namespace
}  // namespace luce::LUCE_ISA
