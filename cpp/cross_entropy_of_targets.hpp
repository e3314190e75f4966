// Cross-entropy of every row with targets for each class, as in cross_entropy.hpp; z_loss is multiplied by the row's mass.
#pragma once

#include "argmax.hpp"
#include "targets_beside.hpp"

namespace luce::LUCE_ISA {
namespace {

// Where one of the largest scores of each row is: the score.
template <class Real>
Vector<Real> find_largest(Rows<Real>& block, Index columns, int count, Index* found) {
  Vector<Real> largest{};
  for (int row = 0; row < count; ++row) {
    found[row] = argmax_of_row(block.scores(row), columns);
    largest[row] = block.scores(row)[found[row]];
  }
  return largest;
}
template <class Real>
Vector<Real> find_largest(Panel<Real>& block, Index columns, int count, Index* found) {
  const Vector<Real> largest = block.largest(AllRows{});
  const Vector<Real>* const scores = block.columns();
  const auto is_largest = [&](Vector<Real> x) { return x == largest; };
  const Bits<Real> best = first_of_panel<Real>(scores, columns, Bits<Real>{}, is_largest);
  for (int row = 0; row < count; ++row) found[row] = best[row];
  return largest;
}

// Adds targets up, and how far below the largest score theirs are, in temperatures.
template <class Real, bool tempered>
struct Weighing {
  static constexpr double beyond = -infinity;
  const Temperature<Real, tempered>& temperature;
  Vector<Real> largest, down;
  GroupSums<Real> mass{}, products{};

  [[gnu::always_inline]] void step(Vector<Real> score, Vector<Real> target) {
    const Vector<Real> counted = (target == Vector<Real>{} ? largest : score) * down, from = largest * down;
    mass.add([&](int group) { return exact<Exact<Real>>(widened(target, group)); });
    products.add([&](int group) {
      return without_stray_error(product(temperature.exact_quotient(counted, from, group), widened(target, group)));
    });
  }
};

template <class Block>
struct TargetSlopes {
  using Real = typename Block::Real;
  using V = typename Block::V;
  bool with_gradient;
  TargetsBeside<Block> targets;
  Bits<Real> exceptional{};
  Index columns[lanes<Real>]{};
  Factor<Real> factor{};
  V step{}, at_largest{}, after{};

  template <class Part>
  void write(Block& block, Part part) const {
    if (!with_gradient) return;
    const Factor<Real> local = factor.of(part);
    const V each = spread(step, part), last = spread(after, part);
    block.rewrite_with(part, targets.of(block, part), columns, at_largest, [&](V x, V target) {
      return without_subnormals<Real>(share_plus<Real>(x, local, -each * target) * last);
    });
  }
};

template <class Real, bool tempered>
struct TargetCrossEntropy {
  using V = Vector<Real>;
  using E = Exact<Real>;
  LossOptions<Real> options;
  TargetMaker<Real> maker;
  Matrix<const Real> scores;
  void* memory;  // for targets
  bool with_gradient;

  // Exponentials are of all classes but one of the largest score: what is left of its share has all its digits.
  template <class Block>
  TargetSlopes<Block> operator()(Block& block, Index i, int count) const {
    const auto temperature = options.template for_all_rows<tempered>();
    const Bits<Real> left_out = options.left_out(i, count);
    TargetSlopes<Block> result{with_gradient, {block, maker, i, count, memory}};
    V largest = find_largest(block, scores.columns, count, result.columns);
    result.exceptional = is_infinite(largest) | left_out;
    largest = is_infinite(largest) ? V{} : largest;
    E mass[Block::groups] = {}, mean_quotient[Block::groups] = {};
    V target_at_largest{};
    block.each(~result.exceptional, [&](auto part) {
      const V from = spread(largest, part);
      const auto* const targets = result.targets.of(block, part);
      result.targets.collect_at(targets, result.columns, part, target_at_largest);
      const Weighing<Real, tempered> nothing{temperature, from, Reach<Real>(from).down};
      const auto weighed = block.visit_with(part, targets, nothing);
      E sums[groups<Real>];
      weighed.mass.copy_to(sums);
      block.collect(sums, part, mass);
      weighed.products.copy_to(sums);
      for (E& sum : sums) sum = without_stray_error(sum);
      block.collect(sums, part, mean_quotient);
    });

    block.hide(result.columns);
    const Exponentials<Block> others = exponentials_of<true>(block, ~left_out, temperature);
    const Sum2<V> nothing{others.total.hi - others.total.hi, V{}}, one{broadcast<Real>(1.0), V{}};
    const Sum2<V> scale = Reference<Real, tempered>(others.at, temperature).inverse(largest);
    const Sum2<V> rest = chosen(is_infinite(others.largest), nothing, relative<Real>(others.total, scale));
    const Sum2<V> log_of_sum = log1p(rest), inverse_sum = reciprocal(plus(rest, one));

    Doubles weight[Block::groups], z_mass[Block::groups], loss[Block::groups];
    Doubles step[Block::groups] = {}, after[Block::groups] = {},
        entry_at_largest[Block::groups] = {};
    E share[Block::groups] = {};
    options.template weights_of<Block>(i, count, weight);
    lanes_of<Block>(maker.targets.masses, i, count, z_mass);
    const Reach<Real> reach(largest);
    for (int group = 0; group < Block::groups; ++group) {
      const E log_sum = exactly(log_of_sum, group);
      const E logsumexp = without_stray_error(plus(temperature.exact_quotient(largest, V{}, group), log_sum));
      const E distance = reach.restored(mean_quotient[group], group);
      E value = plus(product(log_sum, mass[group]), negative(distance));
      value = without_stray_error(plus(value, times_mass(options.z_value(logsumexp), z_mass[group])));
      const Doubles weighted = rounded(without_stray_error(product(value, weight[group])));
      loss[group] = distance.hi == -infinity ? broadcast<double>(infinity) : weighted;
      if (!with_gradient) continue;

      const E inverse = exactly(inverse_sum, group);
      step[group] = weight[group] / options.near_temperature();
      const Doubles target = widened(target_at_largest, group);
      E entry = negative(product(product(inverse, exactly(rest, group)), mass[group]));
      const E z_entry = times_mass(options.z_slope(logsumexp, inverse), z_mass[group]);
      entry = plus(plus(mass[group], exact<E>(-target)), plus(entry, z_entry));
      entry_at_largest[group] = rounded(without_stray_error(product(entry, step[group]))) * options.power_left();
      const E plain_scale = scaled(exactly(scale, group), broadcast<double>(1 / Format<Real>::inverse_unit_size));
      const E slope = plus(mass[group], times_mass(options.z_slope(logsumexp), z_mass[group]));
      share[group] = product(product(product(inverse, plain_scale), slope), step[group]);
      // Larger steps times targets would overflow; of them shares are only this small where targets are all that counts.
      const Doubles in_range = magnitude(step[group]) < 0x1p40 ? in_range_of<Real>(share[group]) : broadcast<double>(1.0);
      share[group] = scaled(share[group], in_range);
      step[group] *= in_range;
      after[group] = options.power_left() / in_range;
    }
    options.template store_losses<Block>(loss, i, count);
    if (with_gradient) {
      result.factor = factor_of<Block>(share);
      result.step = Block::narrow(step);
      result.at_largest = without_subnormals<Real>(Block::narrow(entry_at_largest));
      result.after = Block::narrow(after);
    }
    return result;
  }

  template <class Get, class Put>
  void exceptional(Index i, Get score, Put put) const {
    const RowSummary row = summary_of(scores.columns, score);
    bool is_undefined = row.has_nan;
    double mass = 0;
    const double share = maker.share(row.possible);
    for (Index j = 0; j < scores.columns; ++j) {
      const Real target = maker.made(share, score(j), maker.given(i, j), j);
      mass += static_cast<double>(target);
      is_undefined = is_undefined || (target != 0 && score(j) == infinity);
    }
    const bool has_z_loss = options.z_loss != 0 && (maker.targets.masses == nullptr || maker.targets.masses[i] != 0);
    const double loss = mass == 0 && !has_z_loss ? 0.0 : infinity;
    options.end_exceptional(i, scores.columns, row, is_undefined, loss, with_gradient, put);
  }

 private:
  // Without 0 times infinity.
  static E times_mass(E z, Doubles mass) { return chosen(mass != 0.0, without_stray_error(product(z, mass)), E{}); }
};

template <class Real>
void cross_entropy_of_targets(const CrossEntropyArguments<Real>& arguments, const Targets<Real>& targets,
                              Workspace workspace) {
  const Index columns = arguments.scores.columns;
  void* const memory = memory_beside<Real>(columns, columns <= short_columns<Real>, workspace);
  const LossOptions<Real> options(arguments);
  const TargetMaker<Real> maker(targets, arguments.label_smoothing, columns);
  const bool with_gradient = arguments.gradient.data != nullptr;
  const auto run_with = [&](auto kernel) { run_alike(kernel, arguments.scores, arguments.gradient, workspace); };
  if (arguments.temperature == 1.0)
    run_with(TargetCrossEntropy<Real, false>{options, maker, arguments.scores, memory, with_gradient});
  else run_with(TargetCrossEntropy<Real, true>{options, maker, arguments.scores, memory, with_gradient});
}

}  // namespace
}  // namespace luce::LUCE_ISA
