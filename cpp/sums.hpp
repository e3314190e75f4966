// What the rows of a block sum to: of their exponentials, or of all but one of the largest.
#pragma once

#include "logarithm.hpp"
#include "blocks.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class V>
auto is_infinite(V x) { return (x - x) != V{}; }

inline bool is_plain(PerRow temperatures) { return temperatures.stride == 0 && temperatures.data[0] == 1.0; }

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

  [[gnu::always_inline]] void step(Vector<Real> (&x)[Block::together]) {
    Vector<Real> here = maximum(x[0], x[1]);
    for (int i = 2; i < Block::together; i += 2) here = maximum(maximum(x[i], x[i + 1]), here);
    best = maximum(here, best);
    const auto terms = reference.terms(x);
    sum.add(terms);
    for (int i = 0; i < Block::together; ++i) {
      const auto impossible = x[i] == static_cast<Real>(-infinity);
      x[i] = zero_where_impossible ? (impossible ? Vector<Real>{} : terms.value[i]) : terms.value[i];
    }
  }
  [[gnu::always_inline]] void settle() { sum.settle(); }
};

// What some rows of a block are relative to. All of it is found before their scores are gone through: what a row's reference
// waits for, others need not.
template <class Block, bool tempered, class Real = typename Block::Real>
struct Relation {
  using V = typename Block::V;
  V at;
  Reference<Real, tempered> reference;
  bool is_far;  // scores are given less the reference's shift

  Relation(Block& block, Bits<Real> rows, V at, const Temperature<Real, tempered>& temperature, bool was_far = false)
      : at(at), reference(at, temperature), is_far(was_far || any((reference.shift() != V{}) & rows)) {
    if (is_far) block.each(rows, [&](auto part) { block.recentre(part, spread(reference.shift(), part)); });
  }

  // Rows with terms that are too large for their sum.
  Bits<Real> exceeded_by(V largest, const Temperature<Real, tempered>& temperature) const {
    const V excess = temperature.quotient(temperature.difference(largest, at - reference.shift())).hi;
    return excess > static_cast<Real>(reference.headroom);
  }
};

template <bool keep, class Block, bool tempered, class Real = typename Block::Real>
Exponentials<Block> exponentials_of(Block& block, Bits<Real> rows, const Temperature<Real, tempered>& temperature,
                                    bool zero_where_impossible = false) {
  using V = typename Block::V;
  Exponentials<Block> result;
  // Any score near the largest serves as reference: of long rows a sample's is tried first.
  V at{};
  block.each(rows, [&](auto part) {
    block.restore(part);
    block.collect(block.sample(part), part, at);
  });
  if constexpr (!Block::is_panel)
    block.each(rows & is_infinite(at), [&](auto part) { block.collect(block.largest(part), part, at); });
  const V infinite_largest = at;
  const auto infinite = is_infinite(at);
  Relation<Block, tempered> relation(block, rows, infinite ? V{} : at, temperature);
  for (Bits<Real> pending = rows;;) {
    block.each(pending, [&](auto part) {
      const Temperature<Real, tempered> local = temperature.of(part);
      const Adding<Block, tempered> nothing{relation.reference.of(part, local), zero_where_impossible};
      const auto adding = [&] {
        if constexpr (keep) return block.keep(part, nothing);
        else return block.visit(part, nothing);
      }();
      block.collect(block.largest_of(adding.best), part, result.peak);
      block.collect(adding.sum, part, result.total);
    });
    if constexpr (Block::is_panel) break;
    pending = pending & relation.exceeded_by(result.peak, temperature);
    if (!any(pending)) break;
    V nearer = pending ? result.peak : relation.at;
    if (relation.is_far) block.each(pending, [&](auto part) { block.collect(block.largest(part), part, nearer); });
    relation = {block, pending, nearer, temperature, relation.is_far};
  }
  result.at = relation.at;
  result.largest = result.peak;
  if (relation.is_far) block.each(rows, [&](auto part) { block.collect(block.largest(part), part, result.largest); });
  result.largest = infinite ? infinite_largest : result.largest;
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

  [[gnu::always_inline]] void step(Vector<Real> (&x)[Block::together]) {
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
  constexpr Bits<Real> all = ~Bits<Real>{};
  Rest<Block> rest;
  // Relative to the largest but one the sum is at least 1, or nearly: any score not far below it may stand for it.
  V at{};
  block.each(all, [&](auto part) { block.collect(block.sample_second(part), part, at); });
  if constexpr (!Block::is_panel)
    block.each(is_infinite(at), [&](auto part) { block.collect(block.second(part), part, at); });
  const auto alone = is_infinite(at);
  Relation<Block, tempered> relation(block, all, alone ? V{} : at, temperature);
  V largest{}, ties = broadcast<Real>(1.0);
  Sum2<V> others{};
  bool are_seconds = Block::is_panel;
  for (Bits<Real> pending = all;; are_seconds = true) {
    block.each(pending, [&](auto part) {
      const Temperature<Real, tempered> local = temperature.of(part);
      const Reference<Real, tempered> reference = relation.reference.of(part, local);
      auto adding = block.visit(part, AddingLosers<Block, tempered>{reference});
      const V largest_here = block.largest_of(adding.best);
      if constexpr (!Block::is_panel) {
        const auto tied = adding.best == largest_here;
        adding.sum.add(reference.terms({tied ? broadcast<Real>(-infinity) : adding.best}));
        adding.settle();
        block.collect(broadcast<Real>(lanes_in(tied)), part, ties);
      }
      block.collect(adding.sum, part, others);
      block.collect(largest_here, part, largest);
    });
    if (are_seconds) break;
    pending = pending & relation.exceeded_by(largest, temperature);
    if (!any(pending)) break;
    V nearer = relation.at;
    block.each(pending, [&](auto part) { block.collect(block.second(part), part, nearer); });
    pending = pending & (temperature.quotient(temperature.difference(nearer, relation.at)).hi >
                         static_cast<Real>(Reference<Real, tempered>::headroom));
    if (!any(pending)) break;
    relation = {block, pending, pending ? nearer : relation.at, temperature, relation.is_far};
  }
  if (relation.is_far) block.each(all, [&](auto part) { block.collect(block.largest(part), part, largest); });
  rest.largest = largest;
  // Alone, or NaN.
  const V nothing = others.hi - others.hi;
  const Sum2<V> below = relative<Real>(others, relation.reference.inverse(rest.largest));
  rest.sum = plus({ties - 1, V{}}, chosen(alone, Sum2<V>{nothing, V{}}, below));
  return rest;
}

}  // namespace
}  // namespace luce::LUCE_ISA
