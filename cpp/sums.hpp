// What the rows of a block sum to: of their exponentials, or of all but one of the largest.
#pragma once

#include "logarithm.hpp"
#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class V>
auto is_infinite(V x) { return (x - x) != V{}; }

// Of `count` rows, one a lane.
template <class Real, bool tempered>
Temperature<Real, tempered> temperatures_of(const PerRow& from, Index i, int count) {
  double per_lane[lanes<Real>];
  for (int lane = 0; lane < lanes<Real> && tempered; ++lane)
    per_lane[lane] = lane < count ? from.data[(i + lane) * from.stride] : 1.0;
  return Temperature<Real, tempered>(per_lane);
}

// The factor that turns exponentials with their unit into shares: its error is kept.
template <class Real>
struct Factor {
  Vector<Real> hi, lo;
  Vector<Real> after;  // a power of two; 1 where products are fused

  template <class Part>
  Factor of(Part part) const { return {spread(hi, part), spread(lo, part), spread(after, part)}; }

  Vector<Real> times(Vector<Real> kept) const { return times_plus(kept, Vector<Real>{}); }

  // kept times the factor, plus `more`; rounded once, or nearly so.
  Vector<Real> times_plus(Vector<Real> kept, Vector<Real> more) const {
    if constexpr (has_fma<Real>) return multiply_add(kept, hi, multiply_add(kept, lo, more));
    const auto main = two_product(kept, hi);
    const auto sum = two_sum(main.hi, more * (1 / after));
    const Vector<Real> whole = sum.hi + (sum.lo + (main.lo + kept * lo));
    return (is_infinite(sum.hi) ? sum.hi : whole) * after;
  }
};

// The same of a factor that is neither huge nor tiny.
template <class Real>
Factor<Real> modest_factor(Sum2<Vector<Real>> share) {
  // Parts of a product that is not fused are kept out of the subnormal range.
  const Vector<Real> spare = broadcast<Real>(has_fma<Real> ? 1.0 : 0x1p256);
  return {share.hi * spare, share.lo * spare, 1 / spare};
}

template <class Block>
Factor<typename Block::Real> factor_of(const Exact<typename Block::Real> (&share)[Block::groups]) {
  using Real = typename Block::Real;
  // An infinite factor would turn what is 0 into NaN.
  constexpr double most = sizeof(Real) == sizeof(float) ? FLT_MAX : DBL_MAX;
  Factor<Real> factor;
  Doubles hi[Block::groups], lo[Block::groups], after[Block::groups];
  for (int group = 0; group < Block::groups; ++group) {
    // Parts of a product that is not fused are kept out of the subnormal range.
    Doubles spare = broadcast<double>(1.0);
    if constexpr (!has_fma<Real>) spare = magnitude(share[group].hi) < 0x1p256 ? spare * 0x1p256 : spare;
    after[group] = 1.0 / spare;
    const Exact<Real> all = scaled(share[group], spare / Format<Real>::unit_size);
    const auto too_large = magnitude(all.hi) > most;
    hi[group] = too_large ? (all.hi < 0 ? broadcast<double>(-most) : broadcast<double>(most)) : all.hi;
    lo[group] = too_large ? Doubles{} : error_of(all);
  }
  factor.hi = Block::narrow(hi);
  for (int group = 0; group < Block::groups; ++group) lo[group] += hi[group] - widened(factor.hi, group);
  factor.lo = Block::narrow(lo);
  factor.after = Block::narrow(after);
  return factor;
}

// The exponentials of every row, kept if asked, and their sum, relative to a score near the largest.
template <class Block>
struct Exponentials {
  using V = typename Block::V;
  V at{};       // what they are relative to: a Reference
  V largest{};  // the largest score, however infinite
  V peak{};     // the same less the reference's shift
  Sum2<V> total{};  // with the unit
};

// Adds exponentials up, and leaves them in place of the scores.
template <class Block, bool tempered, class Real = typename Block::Real>
struct Adding {
  Reference<Real, tempered> reference;
  bool zero_where_impossible;
  Vector<Real> best = broadcast<Real>(-infinity);
  typename Block::Sum sum{};

  template <int count>
  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    best = maximum(count == 4 ? maximum(maximum(x[0], x[1]), maximum(x[2], x[count - 1])) : x[0], best);
    const auto terms = reference.terms(x);
    sum.add(terms);
    for (int i = 0; i < count; ++i) {
      const auto impossible = x[i] == static_cast<Real>(-infinity);
      x[i] = zero_where_impossible ? (impossible ? Vector<Real>{} : terms.value[i]) : terms.value[i];
    }
  }
  [[gnu::always_inline]] void settle() { sum.settle(); }
};

template <bool keep, class Block, bool tempered, class Real = typename Block::Real>
Exponentials<Block> exponentials_of(Block& block, Bits<Real> rows, const Temperature<Real, tempered>& temperature,
                                    bool zero_where_impossible = false) {
  using V = typename Block::V;
  Exponentials<Block> result;
  block.each(rows, [&](auto part) {
    const Temperature<Real, tempered> local = temperature.of(part);
    block.restore(part);
    // Any score near the largest serves as reference: of long rows a sample's is tried first.
    V at = block.sample(part);
    if (!Block::is_panel && any(is_infinite(at))) at = block.largest(part);
    const V infinite_largest = at;
    const auto infinite = is_infinite(at);
    at = infinite ? V{} : at;
    bool is_far = false;
    for (;;) {
      const Reference<Real, tempered> reference(at, local);
      is_far = is_far || any(reference.shift() != V{});
      if (is_far) block.recentre(part, reference.shift());
      const auto adding = [&] {
        const Adding<Block, tempered> nothing{reference, zero_where_impossible};
        if constexpr (keep) return block.keep(part, nothing);
        else return block.visit(part, nothing);
      }();
      const V peak = block.largest_of(adding.best);
      const V excess = local.quotient(local.difference(peak, at - reference.shift())).hi;
      if (!Block::is_panel && any(excess > static_cast<Real>(reference.headroom))) {
        at = is_far ? block.largest(part) : peak;
        continue;
      }
      block.collect(adding.sum, part, result.total);
      block.collect(at, part, result.at);
      block.collect(peak, part, result.peak);
      block.collect(infinite ? infinite_largest : is_far ? block.largest(part) : peak, part, result.largest);
      break;
    }
  });
  return result;
}

// A sum and an inverse, each with its unit, multiplied.
template <class Real>
Sum2<Vector<Real>> relative(Sum2<Vector<Real>> total, Sum2<Vector<Real>> inverse) {
  constexpr int mantissa = Format<Real>::mantissa, power = Format<Real>::bias - Format<Real>::unit - Format<Real>::inverse_unit;
  return scaled(product(total, inverse), as_vector(Bits<Real>{} + (typename BitsOf<Real>::Type{power} << mantissa)));
}

// What a block's rows sum to without one of their largest: relative to that, and however small, it has all its digits.
template <class Block>
struct Rest {
  typename Block::V largest;
  Sum2<typename Block::V> sum;
};

// Adds the exponentials of all scores up but of the largest in each lane.
template <class Block, bool tempered, class Real = typename Block::Real>
struct AddingLosers {
  Reference<Real, tempered> reference;
  Vector<Real> best = broadcast<Real>(-infinity);
  typename Block::Sum sum{};

  template <int count>
  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    for (Vector<Real>& score : x) {
      const Vector<Real> loser = minimum(best, score);
      best = maximum(score, best);
      score = loser;
    }
    sum.add(reference.terms(x));
  }
  [[gnu::always_inline]] void settle() { sum.settle(); }
};

template <class Block, bool tempered, class Real = typename Block::Real>
Rest<Block> rest_of(Block& block, const Temperature<Real, tempered>& temperature) {
  using V = typename Block::V;
  using Relation = Reference<Real, tempered>;
  Rest<Block> rest;
  rest.largest = V{};
  V all_at{}, alone{}, ties = broadcast<Real>(1.0);
  Sum2<V> others{};
  block.each(~Bits<Real>{}, [&](auto part) {
    const Temperature<Real, tempered> local = temperature.of(part);
    // Relative to the largest but one the sum is at least 1, or nearly: any score not far below it may stand for it.
    V at = block.sample_second(part);
    if (!Block::is_panel && any(is_infinite(at))) at = block.second(part);
    block.collect(is_infinite(at) ? broadcast<Real>(1.0) : V{}, part, alone);
    at = is_infinite(at) ? V{} : at;
    bool is_far = false;
    for (bool is_second = Block::is_panel;; is_second = true) {
      const Relation reference(at, local);
      is_far = is_far || any(reference.shift() != V{});
      if (is_far) block.recentre(part, reference.shift());
      auto adding = block.visit(part, AddingLosers<Block, tempered>{reference});
      const V largest = block.largest_of(adding.best);
      const V excess = local.quotient(local.difference(largest, at - reference.shift())).hi;
      if (!is_second && any(excess > static_cast<Real>(Relation::headroom))) {
        const V second = block.second(part);
        if (any(local.quotient(local.difference(second, at)).hi > static_cast<Real>(Relation::headroom))) {
          at = second;
          continue;
        }
      }
      if constexpr (!Block::is_panel) {
        const auto tied = adding.best == largest;
        adding.sum.add(reference.terms({tied ? broadcast<Real>(-infinity) : adding.best}));
        adding.settle();
        block.collect(broadcast<Real>(lanes_in(tied)), part, ties);
      }
      block.collect(adding.sum, part, others);
      block.collect(is_far ? block.largest(part) : largest, part, rest.largest);
      block.collect(at, part, all_at);
      break;
    }
  });
  // Alone, or NaN.
  const V nothing = others.hi - others.hi;
  const Sum2<V> below = relative<Real>(others, Relation(all_at, temperature).inverse(rest.largest));
  rest.sum = plus({ties - 1, V{}}, chosen(alone != V{}, Sum2<V>{nothing, V{}}, below));
  return rest;
}

}  // namespace
}  // namespace luce::LUCE_ISA
