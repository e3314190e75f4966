// log(1 + x) of a pair x >= 0, as a pair good to about a tenth of an ulp, or of a single double.
//
// 1 + x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and with s = f / (2 + f)
// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), R(z) = 2/3 z + 2/5 z^2 + ... (a minimax polynomial below).
// For k = 0, f is x itself: the smallest x keep all their digits.
#pragma once

#include "exponential.hpp"

namespace luce::LUCE_ISA {
namespace {

// The polynomial R.
inline Doubles log_series(Doubles z) {
  Doubles R = broadcast<double>(0.14617807153417325);
  R = multiply_add(R, z, broadcast<double>(0.15331611722055008));
  R = multiply_add(R, z, broadcast<double>(0.1818289243253687));
  R = multiply_add(R, z, broadcast<double>(0.22222211089379496));
  R = multiply_add(R, z, broadcast<double>(0.28571428626253836));
  R = multiply_add(R, z, broadcast<double>(0.3999999999989889));
  R = multiply_add(R, z, broadcast<double>(0.666666666666667));
  return R * z;
}

// The power of two k in 1 + x = 2^k (1 + f), as an integer and as a number.
struct Scale {
  Bits<double> k;
  explicit Scale(Doubles whole) : k((as_bits(whole) - 0x3fe6a09e667f3bcd) >> 52) {}  // counted from sqrt(1/2)
  Doubles number() const { return as_vector(k + as_bits(broadcast<double>(0x1.8p+52))) - 0x1.8p+52; }
};

inline Pair log1p(Pair x) {
  Pair whole = two_sum(broadcast<double>(1.0), x.hi);
  whole.lo += x.lo;
  const Scale scale(whole.hi);
  const Bits<double> k = scale.k;
  const Doubles k_real = scale.number();
  const Doubles shrink = as_vector((1023 - k) << 52);
  const Bits<double> unscaled = k == 0;
  const Doubles f = unscaled ? x.hi : as_vector(as_bits(whole.hi) - (k << 52)) - 1.0;
  const Doubles f_lo = unscaled ? x.lo : whole.lo * shrink;

  const Doubles s = f / (2.0 + f);
  const Doubles z = s * s;
  const Doubles R = log_series(z);

  const Pair square = two_product(f, f * 0.5);
  const Pair main = fast_two_sum(k_real * 0x1.62e42fefa3800p-1, f);
  const Pair less = two_sum(main.hi, -square.hi);
  const Doubles small = multiply_add(s, square.hi + R, k_real * 0x1.ef35793c76730p-45) + (f_lo / (1.0 + f) - square.lo);
  return fast_two_sum(less.hi, less.lo + (main.lo + small));
}

inline Single log1p(Single x) {
  const Doubles whole = 1.0 + x.hi;
  const Scale scale(whole);
  const Doubles f = scale.k == 0 ? x.hi : whole * as_vector((1023 - scale.k) << 52) - 1.0;
  const Doubles s = f / (2.0 + f), square = f * (f * 0.5);
  return {multiply_add(scale.number(), broadcast<double>(ln_2), f - (square - s * (square + log_series(s * s))))};
}

}  // namespace
}  // namespace luce::LUCE_ISA
