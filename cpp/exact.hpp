// Sums and products whose rounding error is kept: the pair hi + lo is the exact result.
// Dekker (1971), Knuth (TAOCP 2, 4.2.2). None of it may be compiled with value-changing optimisations.
#pragma once

#include "vectors.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class V>
struct Sum2 {
  V hi;
  V lo;
};
using Pair = Sum2<Doubles>;

template <class V>
inline Sum2<V> two_sum(V a, V b) {
  const V sum = a + b;
  const V b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

// The same for |large| >= |small|, or large = 0.
template <class V>
inline Sum2<V> fast_two_sum(V large, V small) {
  const V sum = large + small;
  return {sum, small - (sum - large)};
}

template <class V>
inline Sum2<V> two_product(V a, V b) {
  const V product = a * b;
  if constexpr (has_fma<double> || sizeof(a[0]) == sizeof(float)) {
    return {product, multiply_add(a, b, -product)};
  } else {
    const V a_shifted = a * 134217729.0, b_shifted = b * 134217729.0;  // 2^27 + 1
    const V a_hi = a_shifted - (a_shifted - a), b_hi = b_shifted - (b_shifted - b);
    const V a_lo = a - a_hi, b_lo = b - b_hi;
    const V lo = ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo;
    return {product, lo - lo == 0.0 ? lo : V{}};  // the halves of a huge number overflow
  }
}

// Sums and logarithms of rows are pairs of the rows' own type. What is weighted with doubles, or may leave the range of a
// float, is computed in pairs of doubles for rows of doubles, in single doubles for rows of floats: the functions below
// take both.
struct Single {
  Doubles hi;
};
template <class Real>
using Exact = std::conditional_t<(groups<Real> > 1), Single, Pair>;

template <class E>
inline E exact(Doubles x) {
  if constexpr (std::is_same_v<E, Pair>) return {x, Doubles{}};
  else return {x};
}
inline Doubles error_of(Single) { return Doubles{}; }
inline Doubles error_of(Pair x) { return x.lo; }
inline Doubles rounded(Single x) { return x.hi; }
inline Doubles rounded(Pair x) { return x.hi + x.lo; }
template <class Mask>
inline Single chosen(Mask mask, Single a, Single b) { return {mask ? a.hi : b.hi}; }
template <class Mask, class V>
inline Sum2<V> chosen(Mask mask, Sum2<V> a, Sum2<V> b) { return {mask ? a.hi : b.hi, mask ? a.lo : b.lo}; }
// Times a power of two.
inline Single scaled(Single x, Doubles power) { return {x.hi * power}; }
template <class V>
inline Sum2<V> scaled(Sum2<V> x, V power) { return {x.hi * power, x.lo * power}; }

inline Single product(Single a, Doubles b) { return {a.hi * b}; }
inline Single product(Single a, Single b) { return {a.hi * b.hi}; }
inline Single plus(Single a, Single b) { return {a.hi + b.hi}; }
inline Single negative(Single a) { return {-a.hi}; }
inline Single reciprocal(Single a) { return {1.0 / a.hi}; }
inline Single without_stray_error(Single a) { return a; }
inline Single one_plus(Single x) { return {1.0 + x.hi}; }

template <class V>
inline Sum2<V> product(Sum2<V> a, V b) {
  const Sum2<V> main = two_product(a.hi, b);
  return {main.hi, main.lo + a.lo * b};
}

template <class V>
inline Sum2<V> product(Sum2<V> a, Sum2<V> b) {
  const Sum2<V> main = product(a, b.hi);
  return {main.hi, main.lo + a.hi * b.lo};
}

template <class V>
inline Sum2<V> plus(Sum2<V> a, Sum2<V> b) {
  const Sum2<V> main = two_sum(a.hi, b.hi);
  return {main.hi, main.lo + (a.lo + b.lo)};
}

inline Pair negative(Pair a) { return {-a.hi, -a.lo}; }

template <class V>
inline Sum2<V> reciprocal(Sum2<V> a) {
  const V guess = 1 / a.hi;
  const Sum2<V> unit = two_product(a.hi, guess);
  return {guess, guess * (((1 - unit.hi) - unit.lo) - a.lo * guess)};
}

// A group of a pair's lanes.
template <class V>
inline auto exactly(Sum2<V> x, int group) {
  if constexpr (sizeof(x.hi[0]) == sizeof(float)) return Single{widened(x.hi, group) + widened(x.lo, group)};
  else return x;
}

// The error term of an infinite or huge result is itself infinite or NaN, and means nothing.
template <class V>
inline Sum2<V> without_stray_error(Sum2<V> a) { return {a.hi, a.lo - a.lo == V{} ? a.lo : V{}}; }

// A sum for each group of a vector's lanes. They are no array: it would stay in memory from one term to the next.
template <class Real>
class GroupSums {
 public:
  template <class TermOf>
  [[gnu::always_inline]] void add(TermOf term_of) {
    low_ = plus(low_, term_of(0));
    if constexpr (groups<Real> > 1) high_ = plus(high_, term_of(1));
  }
  void copy_to(Exact<Real> (&sums)[groups<Real>]) const {
    sums[0] = low_;
    if constexpr (groups<Real> > 1) sums[1] = high_;
  }

 private:
  Exact<Real> low_{}, high_{};
};

inline Pair one_plus(Pair x) {
  const Pair sum = two_sum(broadcast<double>(1.0), x.hi);
  return {sum.hi, sum.lo + x.lo};
}

}  // namespace
}  // namespace luce::LUCE_ISA
