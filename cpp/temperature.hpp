// Division by a temperature, exact enough that it costs a result nothing.
#pragma once

#include "exact.hpp"

namespace luce::LUCE_ISA {
namespace {

// Beyond the smallest and the largest, results are the same as at them. Outside (1 / far, far) everything is multiplied
// by a power of two first, so that the reciprocal is in range.
template <class Real>
struct TemperatureRange;
template <>
struct TemperatureRange<float> {
  static constexpr double smallest = 0x1p-160, largest = 0x1p170, far = 0x1p60, step = 0x1p110;
};
template <>
struct TemperatureRange<double> {
  static constexpr double smallest = 0x1p-1074, largest = DBL_MAX, far = 0x1p500, step = 0x1p700;
};

// The temperatures of a block's rows, one for each lane; not `tempered`, they are all 1 and cost nothing.
template <class Real, bool tempered>
class Temperature {
  using V = Vector<Real>;
  using Range = TemperatureRange<Real>;

 public:
  Temperature() = default;
  explicit Temperature(const double* per_lane) {
    if constexpr (!tempered) return;
    Doubles before[groups<Real>], after[groups<Real>], scaled[groups<Real>], hi[groups<Real>], lo[groups<Real>];
    for (int lane = 0; lane < lanes<Real>; ++lane)
      limits_[lane] = per_lane[lane] == 0 || per_lane[lane] == infinity ? -1 : 0;
    for (int group = 0; group < groups<Real>; ++group) {
      Doubles t = load(per_lane + group * lanes<double>);
      value_[group] = t;
      t = t < Range::smallest ? broadcast<double>(Range::smallest) : t;
      t = t > Range::largest ? broadcast<double>(Range::largest) : t;
      const Doubles one = broadcast<double>(1.0);
      // A quarter keeps the difference of two huge scores, which the division makes smaller, from overflowing.
      before[group] = t > Range::far ? broadcast<double>(1 / Range::step) : t > 1.0 ? one * 0.25 : one;
      after[group] = t < 1 / Range::far ? broadcast<double>(Range::step) : one;
      scaled[group] = t * before[group] * after[group];
      const Pair inverse = reciprocal(Pair{scaled[group], Doubles{}});
      hi[group] = inverse.hi;
      lo[group] = inverse.lo;
    }
    before_ = narrowed<Real>(before);
    after_ = narrowed<Real>(after);
    scaled_ = narrowed<Real>(scaled);
    inverse_hi_ = narrowed<Real>(hi);
    if constexpr (groups<Real> > 1)
      for (int group = 0; group < groups<Real>; ++group) lo[group] += hi[group] - widened(inverse_hi_, group);
    inverse_lo_ = narrowed<Real>(lo);
  }

  template <class Part>
  Temperature of(Part part) const {
    Temperature local;
    if constexpr (!tempered) return local;
    local.before_ = spread(before_, part);
    local.after_ = spread(after_, part);
    local.scaled_ = spread(scaled_, part);
    spread(value_, part, local.value_);
    local.inverse_hi_ = spread(inverse_hi_, part);
    local.inverse_lo_ = spread(inverse_lo_, part);
    return local;
  }

  // The rows with a temperature of 0 or infinity, for which the formulas do not hold.
  Bits<Real> limits() const { return tempered ? limits_ : Bits<Real>{}; }

  // score - from, times a power of two.
  V difference(V score, V from) const {
    if constexpr (!tempered) return score - from;
    return (score * before_ - from * before_) * after_;
  }

  // Where the difference is exact or does not matter: never infinite for a score above `from`.
  Sum2<V> quotient(V difference) const {
    if constexpr (!tempered) return {difference, V{}};
    const Sum2<V> q = two_product(difference, inverse_hi_);
    return {q.hi, multiply_add(difference, inverse_lo_, q.lo)};
  }
  // (score - from) / temperature; -inf where the score is.
  Sum2<V> exact_quotient(V score, V from) const {
    if constexpr (!tempered) return without_stray_error(two_sum(score, -from));
    const Sum2<V> difference = two_sum(score * before_, -from * before_);
    const Sum2<V> inverse = two_sum(inverse_hi_, inverse_lo_);
    return without_stray_error(
        product(inverse, without_stray_error(Sum2<V>{difference.hi * after_, difference.lo * after_})));
  }
  Exact<Real> exact_quotient(V score, V from, int group) const {
    if constexpr (groups<Real> > 1) {
      const Doubles difference = widened(score, group) - widened(from, group);
      return {tempered ? difference / value_[group] : difference};
    } else {
      return exact_quotient(score, from);
    }
  }
  Doubles value(int group) const { return value_[group]; }
  V times(V quotient) const { return tempered ? quotient * scaled_ : quotient; }

 private:
  Bits<Real> limits_;
  Doubles value_[groups<Real>];
  V before_, after_, scaled_, inverse_hi_, inverse_lo_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
