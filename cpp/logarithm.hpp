// log(1 + x) of a pair x >= 0, as a pair: of doubles good to about a tenth of an ulp of a double, of floats to 2^-28.
//
// 1 + x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and with s = f / (2 + f)
// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), R(z) = 2/3 z + 2/5 z^2 + ... (a minimax polynomial below).
// For k = 0, f is x itself: the smallest x keep all their digits.
#pragma once

#include "exponential.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
struct Logarithm;
template <>
struct Logarithm<float> {
  static constexpr std::int32_t root_half = 0x3f3504f3;
  static constexpr double ln_2_hi = 0x1.62e4p-1, ln_2_lo = 0x1.7f7d1cf79abcap-20;  // k ln_2_hi is exact
  static constexpr double series[] = {0.23330467216303835, 0.28550820815960665, 0.40000121839806124,
                                      0.6666666655449709};
};
template <>
struct Logarithm<double> {
  static constexpr std::int64_t root_half = 0x3fe6a09e667f3bcd;
  static constexpr double ln_2_hi = 0x1.62e42fefa3800p-1, ln_2_lo = 0x1.ef35793c76730p-45;
  static constexpr double series[] = {0.14617807153417325, 0.15331611722055008, 0.1818289243253687, 0.22222211089379496,
                                      0.28571428626253836, 0.3999999999989889,  0.666666666666667};
};

template <class V, class Real = std::decay_t<decltype(V{}[0])>>
inline Sum2<V> log1p(Sum2<V> x) {
  using L = Logarithm<Real>;
  constexpr int mantissa = Format<Real>::mantissa;
  constexpr Real to_integer = static_cast<Real>(integer_rounder<Real>);
  const V one = broadcast<Real>(1.0);
  Sum2<V> whole = two_sum(one, x.hi);
  whole.lo += x.lo;
  const Bits<Real> k = (as_bits(whole.hi) - L::root_half) >> mantissa;
  const V k_real = as_vector(k + as_bits(one * to_integer)) - to_integer;
  const V shrink = as_vector((Format<Real>::bias - k) << mantissa);
  const Bits<Real> unscaled = k == 0;
  const V f = unscaled ? x.hi : as_vector(as_bits(whole.hi) - (k << mantissa)) - one;
  const V f_lo = unscaled ? x.lo : whole.lo * shrink;

  const V s = f / (one + one + f);
  const V z = s * s;
  V R{};
  for (double coefficient : L::series) R = multiply_add(R, z, broadcast<Real>(coefficient));
  R *= z;

  const Sum2<V> square = two_product(f, f * static_cast<Real>(0.5));
  const Sum2<V> main = fast_two_sum(k_real * static_cast<Real>(L::ln_2_hi), f);
  const Sum2<V> less = two_sum(main.hi, -square.hi);
  const V small = multiply_add(s, square.hi + R, k_real * static_cast<Real>(L::ln_2_lo)) + (f_lo / (one + f) - square.lo);
  return fast_two_sum(less.hi, less.lo + (main.lo + small));
}

}  // namespace
}  // namespace luce::LUCE_ISA
