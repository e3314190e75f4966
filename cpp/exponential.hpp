// exp of a score's distance to the largest score of its row, divided by the temperature, and the sum of many of them.
//
// For float scores a double holds every intermediate result far beyond what the answer needs. For double scores the
// distance is kept exactly as a pair, so is the part of each exponential that does not fit, and so is the sum.
//
// Results are scaled by `unit`, which keeps every intermediate that matters out of the subnormal range.
#pragma once

#include "exact.hpp"

namespace luce::LUCE_ISA {
namespace {

constexpr double ln2_hi = 0x1.62e42fefa3800p-1;  // 42 bits: a product with an integer below 2^11 is exact
constexpr double ln2_lo = 0x1.ef35793c76730p-45;
constexpr double log2_e = 0x1.71547652b82fep+0;
constexpr double rounder = 0x1.8p+52;  // x + rounder has the integer nearest to x in its lowest bits

template <class Real>
struct Temperature;

template <>
struct Temperature<float> {
  double reciprocal;
  // Beyond these bounds a float result is the same as at them.
  explicit Temperature(double t) : reciprocal(1.0 / (t < 0x1p-300 ? 0x1p-300 : t > 0x1p300 ? 0x1p300 : t)) {}
};

template <>
struct Temperature<double> {
  bool is_one;
  double scale;  // of distance and temperature alike, so that the reciprocal is in range
  double reciprocal_hi, reciprocal_lo;
  explicit Temperature(double t)
      : is_one(t == 1.0), scale(t < 0x1p-500 ? 0x1p600 : t > 0x1p500 ? 0x1p-600 : 1.0) {
    const Pair r = luce::LUCE_ISA::reciprocal(Pair{broadcast(t * scale), Vector{}});
    reciprocal_hi = r.hi[0];
    reciprocal_lo = r.lo[0];
  }
};

template <class Real>
struct Arithmetic;

template <>
struct Arithmetic<float> {
  using Distance = Vector;
  using Term = Vector;
  static constexpr int unit_exponent = 64;
  static constexpr double unit = 0x1p64;

  static Distance distance(Vector score, Vector largest, const Temperature<float>& temperature) {
    return (score - largest) * temperature.reciprocal;
  }

  static Term exponential(Distance d) {
    // The exponent of the unit rides along in the lowest bits of the rounder.
    const Vector shifted = multiply_add(d, broadcast(log2_e), broadcast(rounder + unit_exponent));
    const Vector n = shifted - (rounder + unit_exponent);
    const Vector r = multiply_add(n, broadcast(-0x1.62e42fefa39efp-1), d);
    Vector p = broadcast(0x1.a124f19fe89acp-13);
    p = multiply_add(p, r, broadcast(0x1.6d43246b523b4p-10));
    p = multiply_add(p, r, broadcast(0x1.1110e0f238322p-7));
    p = multiply_add(p, r, broadcast(0x1.5554e9063586ep-5));
    p = multiply_add(p, r, broadcast(0x1.5555555a78ed4p-3));
    p = multiply_add(p, r, broadcast(0x1.0000000b9129bp-1));
    p = multiply_add(p, r, broadcast(1.0));
    p = multiply_add(p, r, broadcast(1.0));
    const Vector result = as_vector(as_bits(p) + (as_bits(shifted) << 52));
    return d < -700.0 ? Vector{} : result;
  }

  static Vector leading(Term term) { return term; }
  static Term zero_where(Bits mask, Term term) { return mask ? Vector{} : term; }
  static Vector log_softmax(Distance d, Pair log_sum) { return d - log_sum.hi; }
  static Pair exact(Distance d) { return {d, Vector{}}; }
  // What is kept times the factor; the factor has been multiplied by `factor_unit`.
  static Vector scaled(Vector kept, Pair factor) { return kept * factor.hi; }
  static constexpr double factor_unit = 0x1p-64;
  static constexpr double smallest_normal = FLT_MIN;
};

template <>
struct Arithmetic<double> {
  using Distance = Pair;
  using Term = Pair;
  static constexpr int unit_exponent = 512;
  static constexpr double unit = 0x1p512;

  // Where the distance is infinite (or too large for the product's error) `lo` is NaN.
  static Distance distance(Vector score, Vector largest, const Temperature<double>& temperature) {
    const Pair d = two_sum(score, -largest);
    if (temperature.is_one) return d;
    const Vector hi = d.hi * temperature.scale;
    const Pair q = two_product(hi, broadcast(temperature.reciprocal_hi));
    return {q.hi, q.lo + (hi * temperature.reciprocal_lo + d.lo * temperature.scale * temperature.reciprocal_hi)};
  }

  static Term exponential(Distance d) {
    constexpr double biased = rounder + unit_exponent + 1023;
    const Vector shifted = multiply_add(d.hi, broadcast(log2_e), broadcast(biased));
    const Vector n = shifted - biased;
    const Vector r_hi = multiply_add(n, broadcast(-ln2_hi), d.hi);  // exact, fused or not
    const Pair r = fast_two_sum(r_hi, multiply_add(n, broadcast(-ln2_lo), d.lo));
    Vector p = broadcast(0x1.1f730349868cep-29);
    p = multiply_add(p, r.hi, broadcast(0x1.af4de97ca4194p-26));
    p = multiply_add(p, r.hi, broadcast(0x1.27e4db646b17ep-22));
    p = multiply_add(p, r.hi, broadcast(0x1.71de0231960ebp-19));
    p = multiply_add(p, r.hi, broadcast(0x1.a01a01a6d889cp-16));
    p = multiply_add(p, r.hi, broadcast(0x1.a01a01abe7fe1p-13));
    p = multiply_add(p, r.hi, broadcast(0x1.6c16c16c162d4p-10));
    p = multiply_add(p, r.hi, broadcast(0x1.11111111100dcp-7));
    p = multiply_add(p, r.hi, broadcast(0x1.5555555555556p-5));
    p = multiply_add(p, r.hi, broadcast(0x1.5555555555557p-3));
    p = multiply_add(p, r.hi, broadcast(0.5));
    const Pair first = fast_two_sum(broadcast(1.0), r.hi);
    const Vector rest = multiply_add(r.hi * r.hi, p, first.lo + r.lo);
    const Pair y = fast_two_sum(first.hi, rest);
    const Vector power = as_vector(as_bits(shifted) << 52);
    const Bits vanished = d.hi < -1000.0;
    return {vanished ? Vector{} : y.hi * power, vanished ? Vector{} : y.lo * power};
  }

  static Vector leading(Term term) { return term.hi; }
  static Term zero_where(Bits mask, Term term) {
    return {mask ? Vector{} : term.hi, mask ? Vector{} : term.lo};
  }
  static Vector log_softmax(Distance d, Pair log_sum) {
    const Pair e = exact(d);
    return e.hi + ((e.lo - log_sum.lo) - log_sum.hi);
  }
  static Pair exact(Distance d) { return without_stray_error(d); }

  // The quotient's share of `kept`, correctly rounded but for the last part in 2^50, also where it is subnormal.
  static Vector scaled(Vector kept, Pair factor) {
    if constexpr (has_fma) return multiply_add(kept, factor.hi, kept * factor.lo) * 0x1p-256;
    const Pair main = two_product(kept, factor.hi);
    return (main.hi + (main.lo + kept * factor.lo)) * 0x1p-256;
  }
  static constexpr double factor_unit = 0x1p-256;
  static constexpr double smallest_normal = DBL_MIN;
};

}  // namespace
}  // namespace luce::LUCE_ISA
