// exp(score / temperature), relative to a reference near the largest score of the row, and sums of many of them.
//
// The relation is a power of two, 2^N near exp(reference / temperature), so that nothing needs to be subtracted from a
// score: x = n ln 2 + r is reduced exactly, and exp(x) 2^-N = 2^(n - N) exp(r). Only where |reference / temperature| is
// so large that every score that matters lies within a factor of 2 of it is the reference subtracted first: then the
// difference is exact (Sterbenz, 1974).
//
// Results carry a factor 2^unit, and scores too low to matter are raised to a floor, so that no intermediate result is
// subnormal. What is at the floor vanishes when it is divided by the sum.
#pragma once

#include "temperature.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
struct Format;
template <>
struct Format<float> {
  static constexpr int mantissa = 23, bias = 127, unit = 32, smallest = -125;
  static constexpr double near = 1024;
  static constexpr double unit_size = 0x1p32;
  static constexpr int inverse_unit = 40;
  static constexpr double inverse_unit_size = 0x1p40;
  static constexpr double least = 110;  // exp(-least) is nothing to a result
};
template <>
struct Format<double> {
  static constexpr int mantissa = 52, bias = 1023, unit = 200, smallest = -1021;
  static constexpr double near = 2048;
  static constexpr double unit_size = 0x1p200;
  static constexpr int inverse_unit = 64;
  static constexpr double inverse_unit_size = 0x1p64;
  static constexpr double least = 750;
};

// x + rounder has the nearest multiple of the table's step, or the nearest integer, in its lowest bits.
template <class Real>
constexpr double rounder = sizeof(Real) == sizeof(double) ? 0x1.8p+52 : lanes<float> == 16 ? 0x1.8p+19 : 0x1.8p+21;
template <class Real>
constexpr double integer_rounder = sizeof(Real) == sizeof(double) ? 0x1.8p+52 : 0x1.8p+23;

constexpr double log2_e = 0x1.71547652b82fep+0;
constexpr double ln_2 = 0x1.62e42fefa39efp-1;

// Several vectors of exponentials, each the rounded value of a sum that a total takes in unrounded:
// of floats main + main part, of doubles main + part.
template <class Real, int count>
struct Terms {
  Vector<Real> value[count], main[count], part[count];
};

// The terms that a lane may take before its sum settles: see TermSum.
constexpr int most_terms = lanes<float> == 16 ? 32 : 16;

// 2^(j / 16), rounded to a float, and the logarithm of what rounding took.
constexpr std::int32_t power_bits[16] = {0x3f800000, 0x3f85aac3, 0x3f8b95c2, 0x3f91c3d3, 0x3f9837f0, 0x3f9ef532,
                                         0x3fa5fed7, 0x3fad583f, 0x3fb504f3, 0x3fbd08a4, 0x3fc5672a, 0x3fce248c,
                                         0x3fd744fd, 0x3fe0ccdf, 0x3feac0c7, 0x3ff5257d};
constexpr float power_lost[16] = {0x0p+0f,         0x1.8d96d4p-25f, -0x1.9c0c22p-27f, 0x1.964902p-25f,
                                  0x1.125002p-25f, 0x1.370be4p-25f, -0x1.0a3552p-25f, -0x1.00d8acp-27f,
                                  0x1.26055cp-26f, -0x1.05cb44p-25f, 0x1.67a1cap-28f, 0x1.a3b5e4p-28f,
                                  -0x1.f9c306p-27f, -0x1.6961b4p-28f, -0x1.a5217cp-28f, 0x1.61428ep-28f};

// The powers of 2^(1/16), or of 2^(1/4) where vectors are short, looked up by the lowest bits of a number of steps, in one
// instruction: so the shorter table is repeated. Their bits lack the steps in the mantissa: these come back with the number
// that is added as the exponent.
constexpr int table_bits = lanes<float> == 16 ? 4 : 2;
struct PowerTable {
  alignas(64) std::int32_t bits[16];
  alignas(64) float lost[16];
};
constexpr PowerTable make_power_table() {
  PowerTable table{};
  for (int i = 0; i < 16; ++i) {
    const int j = i % (1 << table_bits);
    table.bits[i] = power_bits[j << (4 - table_bits)] - (j << (Format<float>::mantissa - table_bits));
    table.lost[i] = power_lost[j << (4 - table_bits)];
  }
  return table;
}
constexpr PowerTable power_table = make_power_table();

#if defined(__AVX512F__)
inline Bits<float> look_up(const std::int32_t* table, Bits<float> at) {
  return reinterpret_cast<Bits<float>>(
      _mm512_maskz_permutexvar_epi32(0xffff, reinterpret_cast<__m512i>(at), _mm512_load_si512(table)));
}
inline Floats look_up(const float* table, Bits<float> at) {
  return _mm512_maskz_permutexvar_ps(0xffff, reinterpret_cast<__m512i>(at), _mm512_load_ps(table));
}
#elif defined(__AVX2__)
inline Floats look_up(const float* table, Bits<float> at) {
  return _mm256_permutevar_ps(_mm256_load_ps(table), reinterpret_cast<__m256i>(at));
}
inline Bits<float> look_up(const std::int32_t* table, Bits<float> at) {
  return as_bits(look_up(reinterpret_cast<const float*>(table), at));
}
#else
template <class T>
inline Vector<T> look_up(const T* table, Bits<float> at) {
  Vector<T> x{};
  for (int lane = 0; lane < lanes<float>; ++lane) x[lane] = table[at[lane] & ((1 << table_bits) - 1)];
  return x;
}
#endif

// exp(x + x_lo) times the power of two in the rounder, of vectors of floats. x = n ln 2 + r, n a multiple of 1/16 or 1/4;
// with a fused product, or x and n ln 2 on one grid, r is exact but for its last step.
// exp(r) = 1 + r slope(r), good to 2^-28, relatively; what rounding took from the table's power is added to r slope(r).
template <int count>
[[gnu::always_inline]] inline void exponentials(Floats (&x)[count], const Floats (&x_lo)[count], bool has_lo, Floats rounder,
                         Terms<float, count>& terms) {
  Floats m[count], n[count];
  for (int i = 0; i < count; ++i) m[i] = multiply_add(x[i], broadcast<float>(log2_e), rounder);
  for (int i = 0; i < count; ++i) n[i] = m[i] - rounder;
  for (int i = 0; i < count; ++i) x[i] = multiply_add(n[i], broadcast<float>(-0x1.62e430p-1), x[i]);
  for (int i = 0; i < count; ++i) x[i] = multiply_add(n[i], broadcast<float>(0x1.05c610p-29), x[i]);
  if (has_lo)
    for (int i = 0; i < count; ++i) x[i] = x[i] + x_lo[i];
  for (int i = 0; i < count; ++i)
    terms.main[i] = reinterpret_cast<Floats>(
        (reinterpret_cast<Words>(m[i]) << (Format<float>::mantissa - table_bits)) +
        reinterpret_cast<Words>(look_up(power_table.bits, as_bits(m[i]))));
  for (int i = 0; i < count; ++i) {
    Floats slope;
    if constexpr (table_bits == 4) {
      slope = multiply_add(x[i], broadcast<float>(0x1.555596p-3), broadcast<float>(0x1.000220p-1));
    } else {
      slope = multiply_add(x[i], broadcast<float>(0x1.55610cp-5), broadcast<float>(0x1.557becp-3));
      slope = multiply_add(slope, x[i], broadcast<float>(0.5));
    }
    slope = multiply_add(slope, x[i], broadcast<float>(table_bits == 4 ? 1.0 : 0x1.fffffcp-1));
    terms.part[i] = multiply_add(slope, x[i], look_up(power_table.lost, as_bits(m[i])));
  }
  for (int i = 0; i < count; ++i) terms.value[i] = multiply_add(terms.part[i], terms.main[i], terms.main[i]);
}

// The higher part of ln 2 has 34 bits, so that its product with an n is exact, fused or not.
constexpr double minus_ln_2_hi = -0x1.62e42fef8p-1, minus_ln_2_lo = -0x1.1cf79abc9e3b4p-36;

// (exp(r) - 1 - r) / r^2 for |r| at most ln 2 / 2.
inline Doubles curvature_of_exponential(Doubles r) {
  constexpr double coefficients[] = {0x1.af4de97ca4194p-26, 0x1.27e4db646b17ep-22, 0x1.71de0231960ebp-19,
                                     0x1.a01a01a6d889cp-16, 0x1.a01a01abe7fe1p-13, 0x1.6c16c16c162d4p-10,
                                     0x1.11111111100dcp-7,  0x1.5555555555556p-5,  0x1.5555555555557p-3, 0.5};
  Doubles p = broadcast<double>(0x1.1f730349868cep-29);
  for (double coefficient : coefficients) p = multiply_add(p, r, broadcast<double>(coefficient));
  return p;
}

// The same of doubles, as a pair: hi is rounded, hi + lo good to about 2^-62.
inline Pair exponential(Doubles x, Doubles x_lo, Doubles rounder) {
  const Doubles m = multiply_add(x, broadcast<double>(log2_e), rounder);
  const Doubles n = m - rounder;
  const Doubles r_hi = multiply_add(n, broadcast<double>(minus_ln_2_hi), x);
  const Pair r = fast_two_sum(r_hi, multiply_add(n, broadcast<double>(minus_ln_2_lo), x_lo));
  const Doubles p = curvature_of_exponential(r.hi);
  const Pair first = fast_two_sum(broadcast<double>(1.0), r.hi);
  const Pair y = fast_two_sum(first.hi, multiply_add(r.hi * r.hi, p, first.lo + r.lo));
  const Doubles power = as_vector(as_bits(m) << Format<double>::mantissa);
  return {y.hi * power, y.lo * power};
}

// The same, rounded: good to an ulp or so.
inline Doubles plain_exponential(Doubles x, Doubles rounder) {
  const Doubles m = multiply_add(x, broadcast<double>(log2_e), rounder);
  const Doubles n = m - rounder;
  const Doubles r = multiply_add(n, broadcast<double>(minus_ln_2_lo), multiply_add(n, broadcast<double>(minus_ln_2_hi), x));
  const Doubles y = multiply_add(r * r, curvature_of_exponential(r), r) + 1.0;
  return y * as_vector(as_bits(m) << Format<double>::mantissa);
}

// exp of a pair, times the power of two in the rounder: of doubles good to about 2^-62, of floats to 2^-28.
inline Pair exponential(Pair x, Doubles rounder) { return exponential(x.hi, x.lo, rounder); }
inline Sum2<Floats> exponential(Sum2<Floats> x, Floats rounder) {
  Terms<float, 1> e;
  Floats hi[1] = {x.hi};
  exponentials(hi, {x.lo}, true, rounder, e);
  return fast_two_sum(e.main[0], e.part[0] * e.main[0]);
}

// The rounder that leaves exponentials as they are: the table of floats brings the bias of the exponent with it.
template <class Real>
constexpr double plain_rounder = rounder<Real> + (sizeof(Real) == sizeof(float) ? 0 : Format<Real>::bias);

template <class Real, bool tempered>
class Reference {
  using F = Format<Real>;
  using V = Vector<Real>;

 public:
  // `at`: a finite score for each lane, which no term of its row exceeds by more than `headroom`.
  Reference(V at, const Temperature<Real, tempered>& temperature) : temperature_(&temperature) {
    const V quotient = temperature.quotient(temperature.difference(at, V{})).hi;
    const auto is_near = (quotient < static_cast<Real>(F::near)) & (quotient > static_cast<Real>(-F::near));
    shift_ = is_near ? V{} : at;
    const V near = is_near ? quotient : V{};
    constexpr Real to_integer = static_cast<Real>(integer_rounder<Real>);
    power_ = (near * static_cast<Real>(log2_e) + to_integer) - to_integer;
    rounder_ = static_cast<Real>(plain_rounder<Real> + F::unit) - power_;
    floor_ = temperature.times((power_ + static_cast<Real>(F::smallest - F::unit)) * static_cast<Real>(ln_2));
  }

  // The same for a part of the rows.
  template <class Part>
  Reference of(Part part, const Temperature<Real, tempered>& temperature) const {
    return {temperature, spread(shift_, part), spread(power_, part), spread(rounder_, part), spread(floor_, part)};
  }

  static constexpr double headroom = 7.5;  // in units of the temperature

  // What is to be subtracted from all scores before they are given to `terms`; tempered scores are given as they are.
  V shift() const { return tempered ? V{} : shift_; }

  // exp(score / temperature) 2^(unit - N); NaN where the score is.
  template <int count>
  [[gnu::always_inline]] Terms<Real, count> terms(const V (&scores)[count]) const {
    Terms<Real, count> e;
    V x[count], x_lo[count];
    for (int i = 0; i < count; ++i) {
      const V difference = tempered ? temperature_->difference(scores[i], shift_) : scores[i];
      const Sum2<V> q = temperature_->quotient(maximum(floor_, difference));
      x[i] = q.hi;
      x_lo[i] = q.lo;
    }
    if constexpr (groups<Real> > 1) {
      exponentials(x, x_lo, tempered, rounder_, e);
    } else {
      for (int i = 0; i < count; ++i) {
        const Pair y = exponential(x[i], x_lo[i], rounder_);
        e.value[i] = e.main[i] = y.hi;
        e.part[i] = y.lo;
      }
    }
    return e;
  }

  // 2^N exp(-score / temperature) with a unit of its own, for a score not below the reference: 0 when that is too small.
  Sum2<V> inverse(V score) const {
    const V difference = tempered ? temperature_->difference(score, shift_) : score - shift_;
    const Sum2<V> q = temperature_->quotient(difference);
    const auto vanishes = q.hi - power_ * static_cast<Real>(ln_2) > static_cast<Real>(F::least);
    const V power = vanishes ? V{} : power_;
    const Sum2<V> exact{vanishes ? V{} : -q.hi, vanishes ? V{} : -q.lo};
    const Sum2<V> e = exponential(exact, static_cast<Real>(plain_rounder<Real> + F::inverse_unit) + power);
    return {vanishes ? V{} : e.hi, vanishes ? V{} : e.lo};
  }

 private:
  Reference(const Temperature<Real, tempered>& temperature, V shift, V power, V rounder, V floor)
      : temperature_(&temperature), shift_(shift), power_(power), rounder_(rounder), floor_(floor) {}

  const Temperature<Real, tempered>* temperature_;
  V shift_, power_, rounder_, floor_;
};

// A sum of terms, lane by lane, with what rounding takes away kept: the total begins above every term, 2^bits units, so
// that the error of each addition is exact (Dekker). What is kept is summed plainly. Of m terms, one of them not far below
// the unit, that is off by m^2 2^(bits - 49) relatively, and for the parts by m/2 2^-24 2^-5.5, or m/4 2^-24 2^-3.5 where a
// short table makes them larger and they are added two at a time: so it must settle before m is large.
template <class Real, int bits>
class TermSum {
  using V = Vector<Real>;
  static constexpr double anchor = Format<Real>::unit_size * (1 << bits);

 public:
  template <int count>
  [[gnu::always_inline]] void add(const Terms<Real, count>& terms) {
    constexpr bool are_paired = groups<Real> > 1 && table_bits == 2 && count % 2 == 0;
    for (int i = 0; i < count; ++i) {
      const V sum = hi_ + terms.main[i];
      lo_ += terms.main[i] - (sum - hi_);
      hi_ = sum;
      if constexpr (groups<Real> == 1) parts_ += terms.part[i];
      else if constexpr (!are_paired) parts_ = multiply_add(terms.part[i], terms.main[i], parts_);
    }
    if constexpr (are_paired)
      for (int i = 0; i < count; i += 2)
        parts_ += multiply_add(terms.part[i], terms.main[i], terms.part[i + 1] * terms.main[i + 1]);
  }

  // To be called after at most `most_terms` in each lane, and before the total is asked for.
  [[gnu::always_inline]] void settle() {
    total_ = plus(total_, two_sum(hi_ - static_cast<Real>(anchor), lo_ + parts_));
    hi_ = broadcast<Real>(anchor);
    lo_ = V{};
    parts_ = V{};
  }

  // Of every lane, with the unit.
  Sum2<V> total() const { return total_; }

 private:
  V hi_ = broadcast<Real>(anchor), lo_{}, parts_{};
  Sum2<V> total_{};
};

}  // namespace
}  // namespace luce::LUCE_ISA
