// Rows of few classes, one in each lane: every class is compared with every other, which says of each how many come before
// it, and with which weight. That is the cut by top_k and by top_p, without a branch.
#pragma once

#include "activations.hpp"
#include "run.hpp"

namespace luce::LUCE_ISA {
namespace {

constexpr Index most_columns_compared = 64;

// 1 / temperature; finite, so that the highest score, less itself, stays 0 whatever it is multiplied with.
template <class Real>
Vector<Real> steepness(const SampleSettings& settings) {
  constexpr double most = sizeof(Real) == sizeof(float) ? FLT_MAX : DBL_MAX;
  return broadcast<Real>(settings.inverse_temperature < most ? settings.inverse_temperature : most);
}

template <class Real>
class SamplerOfPanel {
  using V = Vector<Real>;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;
  struct Wide {
    Doubles parts[groups];
  };

 public:
  // Scores of the rows, class by class; lanes without a row hold numbers.
  SamplerOfPanel(const V* scores, Index columns, const SampleSettings& settings)
      : scores_(scores), columns_(columns), settings_(settings) {}

  // For each row a class, -1 if a score is NaN or infinity, -2 if no class is possible.
  void draw(const double* uniforms, std::int64_t* drawn) {
    const V nothing = broadcast<Real>(-infinity), bound = broadcast<Real>(infinity);
    V top = nothing;
    auto is_bad = V{} != V{};
    for (Index j = 0; j < columns_; ++j) {
      is_bad |= !(scores_[j] < bound);
      top = maximum(scores_[j], top);
    }
    weigh(top);
    if (settings_.inverse_temperature != infinity) {
      if (settings_.top_k < columns_ || settings_.top_p < 1.0) keep_first();
      if (settings_.log_min_p > -infinity && settings_.inverse_temperature > 0.0) keep_likely(top);
    }
    Doubles chosen[groups];
    choose(uniforms, chosen);
    for (int row = 0; row < lanes<Real>; ++row) {
      const auto c = static_cast<std::int64_t>(chosen[row / lanes<double>][row % lanes<double>]);
      drawn[row] = is_bad[row] ? -1 : top[row] > -static_cast<Real>(infinity) ? c : -2;
    }
  }

 private:
  // exp((score - highest) / temperature); at temperature 0 that of the highest.
  void weigh(V top) {
    const V nothing = broadcast<Real>(-infinity), one = broadcast<Real>(1.0);
    if (settings_.inverse_temperature == infinity) {
      for (Index j = 0; j < columns_; ++j) weights_[j] = scores_[j] == top ? one : V{};
      return;
    }
    const V inverse = steepness<Real>(settings_);
    for (Index j = 0; j < columns_; ++j) {
      const Exponential<Real> e = exponential_of_negative<Real>((scores_[j] - top) * inverse);
      weights_[j] = scores_[j] > nothing ? times_plus<Real>(e.power, e.rest, e.power) : V{};
    }
  }

  // The top_k first classes, of these the fewest that hold the share top_p.
  void keep_first() {
    V before[most_columns_compared], numbers[most_columns_compared];
    before[0] = numbers[0] = V{};
    const V one = broadcast<Real>(1.0);
    const bool counts = settings_.top_k < columns_, weighs = settings_.top_p < 1.0;
    for (Index j = 1; j < columns_; ++j) {
      const V x = scores_[j], weight = weights_[j];
      V weight_before{}, number_before{};
      if (weighs)
        for (Index i = 0; i < j; ++i) {
          const auto is_first = scores_[i] >= x;
          weight_before += is_first ? weights_[i] : V{};
          before[i] += is_first ? V{} : weight;
        }
      if (counts)
        for (Index i = 0; i < j; ++i) {
          const auto is_first = scores_[i] >= x;
          number_before += is_first ? one : V{};
          numbers[i] += is_first ? V{} : one;
        }
      before[j] = weight_before;
      numbers[j] = number_before;
    }
    if (counts) {
      const V most = broadcast<Real>(static_cast<double>(settings_.top_k));
      for (Index j = 0; j < columns_; ++j) weights_[j] = numbers[j] < most ? weights_[j] : V{};
    }
    if (!weighs) return;
    Wide target = total();
    for (Doubles& part : target.parts) part *= settings_.top_p;
    const V most = narrowed<Real>(target.parts);
    for (Index j = 0; j < columns_; ++j) weights_[j] = before[j] < most ? weights_[j] : V{};
  }

  void keep_likely(V top) {
    Wide bound;
    for (int group = 0; group < groups; ++group)
      bound.parts[group] = widened(top, group) + settings_.log_min_p / settings_.inverse_temperature;
    const V least = narrowed<Real>(bound.parts);
    for (Index j = 0; j < columns_; ++j) weights_[j] = scores_[j] >= least ? weights_[j] : V{};
  }

  Wide total() const {
    Wide sum{};
    for (Index j = 0; j < columns_; ++j)
      for (int group = 0; group < groups; ++group) sum.parts[group] += widened(weights_[j], group);
    return sum;
  }

  // The class at which the weights, from the first on, exceed the uniform number's share; at temperature 0 the first.
  void choose(const double* uniforms, Doubles (&chosen)[groups]) const {
    const Wide all = total();
    const double share = settings_.inverse_temperature == infinity ? 0.0 : 1.0;
    Wide sum{}, last{};
    Doubles target[groups];
    for (int group = 0; group < groups; ++group) {
      target[group] = all.parts[group] * (load(uniforms + group * lanes<double>) * share);
      chosen[group] = Doubles{};
    }
    const Doubles one = broadcast<double>(1.0);
    for (Index j = 0; j < columns_; ++j) {
      const Doubles number = broadcast<double>(static_cast<double>(j));
      for (int group = 0; group < groups; ++group) {
        const Doubles weight = widened(weights_[j], group);
        sum.parts[group] += weight;
        chosen[group] += sum.parts[group] <= target[group] ? one : Doubles{};
        last.parts[group] = weight > 0 ? number : last.parts[group];
      }
    }
    for (int group = 0; group < groups; ++group) chosen[group] = minimum(chosen[group], last.parts[group]);
  }

  const V* const scores_;
  const Index columns_;
  const SampleSettings& settings_;
  V weights_[most_columns_compared];
};

template <class Real>
void sample_panels(const Matrix<const Real>& scores, const double* uniforms, Index distance,
                   const SampleSettings& settings, std::int64_t* out, const Workspace& workspace) {
  constexpr Index width = lanes<Real>;
  const Index size = scores.columns + least_columns;
  auto* const buffer = static_cast<Vector<Real>*>(workspace.memory);
  auto* const stage = reinterpret_cast<Stage<Real>*>(buffer + 2 * size);
  SamplerOfPanel<Real> sampler(buffer, scores.columns, settings);
  double wanted[width] = {};
  std::int64_t drawn[width];
  for (Index i = 0; i < scores.rows && !is_cancelled(workspace); i += width) {
    const int count = static_cast<int>(scores.rows - i < width ? scores.rows - i : width);
    const Matrix<const Real> from = rows_of(scores, i, count);
    Panel<Real> panel(buffer, buffer + size, scores.columns, count, bring(from, *stage, buffer), {},
                      ahead_of<Real>(scores, {}, i, buffer));
    panel.largest(AllRows{});
    for (int row = 0; row < count; ++row) wanted[row] = uniforms[(i + row) * distance];
    sampler.draw(wanted, drawn);
    for (int row = 0; row < count; ++row) out[(i + row) * distance] = drawn[row];
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
