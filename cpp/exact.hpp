// Sums and products whose rounding error is kept: the pair hi + lo is the exact result.
// Dekker (1971), Knuth (TAOCP 2, 4.2.2). None of it may be compiled with value-changing optimisations.
#pragma once

#include "vectors.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class T>
struct Sum {
  T hi;
  T lo;
};
using Pair = Sum<Vector>;

template <class T>
inline Sum<T> two_sum(T a, T b) {
  const T sum = a + b;
  const T b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

// The same for |large| >= |small|, or large = 0.
inline Pair fast_two_sum(Vector large, Vector small) {
  const Vector sum = large + small;
  return {sum, small - (sum - large)};
}

inline Pair two_product(Vector a, Vector b) {
  const Vector product = a * b;
  if constexpr (has_fma) {
    return {product, multiply_add(a, b, -product)};
  } else {
    const Vector a_shifted = a * 134217729.0, b_shifted = b * 134217729.0;  // 2^27 + 1
    const Vector a_hi = a_shifted - (a_shifted - a), b_hi = b_shifted - (b_shifted - b);
    const Vector a_lo = a - a_hi, b_lo = b - b_hi;
    return {product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo};
  }
}

inline Pair product(Pair a, Vector b) {
  const Pair main = two_product(a.hi, b);
  return {main.hi, main.lo + a.lo * b};
}

inline Pair plus(Pair a, Pair b) {
  const Pair main = two_sum(a.hi, b.hi);
  return {main.hi, main.lo + (a.lo + b.lo)};
}
inline Vector plus(Vector a, Vector b) { return a + b; }

inline Pair as_pair(Pair a) { return a; }
inline Pair as_pair(Vector a) { return {a, Vector{}}; }

inline Pair reciprocal(Pair a) {
  const Vector guess = 1.0 / a.hi;
  const Pair unit = two_product(a.hi, guess);
  return {guess, guess * (((1.0 - unit.hi) - unit.lo) - a.lo * guess)};
}

// The error term of an infinite or huge result is itself infinite or NaN, and means nothing.
inline Pair without_stray_error(Pair a) { return {a.hi, a.lo - a.lo == 0.0 ? a.lo : Vector{}}; }

}  // namespace
}  // namespace luce::LUCE_ISA
