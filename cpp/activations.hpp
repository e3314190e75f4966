// The functions between the layers of a network, and their derivatives, number by number. Errors stay within a few units
// in the last place, also of tiny results; of logistic and gelu those below about 1e-38 or 1e-308 may become 0.
#pragma once

#include "exact.hpp"
#include "network.hpp"
#include "products.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real, int n>
[[gnu::always_inline]] inline Vector<Real> polynomial(Vector<Real> x, const double (&coefficients)[n]) {
  Vector<Real> sum = broadcast<Real>(coefficients[0]);
#pragma GCC unroll 32
  for (int i = 1; i < n; ++i) sum = times_plus<Real>(sum, x, broadcast<Real>(coefficients[i]));
  return sum;
}

// exp(x) = power (1 + rest) for x <= 0, power a power of two; below `least` as if x were that.
template <class Real>
struct Exponential {
  Vector<Real> power, rest;
};
template <class Real>
constexpr double least_exponent = sizeof(Real) == sizeof(float) ? -87.0 : -708.0;

template <class Real>
[[gnu::always_inline]] inline Exponential<Real> exponential_of_negative(Vector<Real> x) {
  constexpr bool is_float = sizeof(Real) == sizeof(float);
  using F = std::conditional_t<is_float, float, double>;
  constexpr int mantissa = is_float ? 23 : 52, bias = is_float ? 127 : 1023;
  constexpr double shift = is_float ? 0x1.8p23 : 0x1.8p52;
  x = maximum(x, broadcast<Real>(least_exponent<Real>));
  const Vector<Real> m = x * static_cast<F>(0x1.71547652b82fep+0) + static_cast<F>(shift);
  const Vector<Real> n = m - static_cast<F>(shift);
  Vector<Real> r = times_plus<Real>(n, broadcast<Real>(is_float ? -0x1.62e4p-1 : -0x1.62e42fef8p-1), x);
  r = times_plus<Real>(n, broadcast<Real>(is_float ? -0x1.7f7d1cp-20 : -0x1.1cf79abc9e3b4p-36), r);
  Vector<Real> slope;  // (exp(r) - 1 - r) / r^2
  if constexpr (is_float) {
    constexpr double coefficients[] = {1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
    slope = polynomial<Real>(r, coefficients);
  } else {
    constexpr double coefficients[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                       1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                       1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};
    slope = polynomial<Real>(r, coefficients);
  }
  using B = Bits<Real>;
  const B power = (as_bits(m) << mantissa) + (B{} + (static_cast<decltype(as_bits(m)[0] + 0)>(bias) << mantissa));
  return {as_vector(power), times_plus<Real>(r * r, slope, r)};
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> with_sign_of(Vector<Real> x, Vector<Real> sign) {
  const Bits<Real> top = as_bits(broadcast<Real>(-0.0));
  return as_vector((as_bits(x) & ~top) | (as_bits(sign) & top));
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> hyperbolic_tangent(Vector<Real> x) {
  const Exponential<Real> e = exponential_of_negative<Real>(magnitude(x) * Real{-2});
  const Vector<Real> less_one = times_plus<Real>(e.power, e.rest, e.power - Real{1});
  const Vector<Real> result = with_sign_of<Real>(less_one / (less_one + Real{2}), x);
  return x != x ? x : result;
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> logistic(Vector<Real> x) {
  const Exponential<Real> e = exponential_of_negative<Real>(-magnitude(x));
  const Vector<Real> decayed = times_plus<Real>(e.power, e.rest, e.power);
  const Vector<Real> one = broadcast<Real>(1.0);
  const Vector<Real> exact = x < static_cast<Real>(least_exponent<Real>) ? Vector<Real>{} : decayed;
  return x != x ? x : (x < 0 ? exact : one) / (one + decayed);
}

// Of a standard normal distribution: the share below x, and the density at x. The share beyond |x| is the density times
// a function without an exponential in it, erfcx(t) sqrt(pi / 2) for t = |x| / sqrt(2); of that, (1 + 2 t) erfcx(t) is a
// polynomial in (t - 3) / (t + 3).
template <class Real>
struct Normal {
  Vector<Real> below, density;
};
template <class Real>
[[gnu::always_inline]] inline Normal<Real> normal(Vector<Real> x) {
  constexpr bool is_float = sizeof(Real) == sizeof(float);
  const Vector<Real> size = magnitude(x), largest = broadcast<Real>(is_float ? 13.19 : 37.62);
  const Vector<Real> held = minimum(size, largest);
  const Sum2<Vector<Real>> square = two_product(held, held);
  const Exponential<Real> e = exponential_of_negative<Real>(square.hi * Real{-0.5});
  const Vector<Real> exponential = times_plus<Real>(e.power, e.rest, e.power) * (Real{1} - square.lo * Real{0.5});
  const Vector<Real> t = held * static_cast<Real>(0x1.6a09e667f3bcdp-1);
  const Vector<Real> s = (t - Real{3}) / (t + Real{3});
  Vector<Real> scaled;
  if constexpr (is_float) {
    constexpr double coefficients[] = {
        -0x1.23c8614ab31b3p-12, -0x1.a3ededdeeab88p-11, 0x1.0529e9397991bp-9, 0x1.5229e81354b40p-9,
        -0x1.85c2cac0007a2p-6,  0x1.17bb19ad091a2p-4,   -0x1.e88a9fd0d9b19p-4, 0x1.09841fb8383b2p-3,
        -0x1.85a1506722b5bp-5,  -0x1.15c08988db6aep-3,  0x1.40c522d5bb305p+0};
    scaled = polynomial<Real>(s, coefficients);
  } else {
    constexpr double coefficients[] = {
        -0x1.1d61fb049a11fp-28, -0x1.1f4a0d7f32013p-27, 0x1.19f74bfc417acp-25,  0x1.88a8dee5c20ecp-24,
        -0x1.19aab3291aff1p-23, -0x1.447dd1e1364cep-21, 0x1.76f48ca2a6e19p-22,  0x1.d0dec2ab232fdp-19,
        -0x1.86bcae3691506p-21, -0x1.51297f051259ep-16, 0x1.4c127fbe5e4a1p-18,  0x1.065986f73d6cdp-13,
        -0x1.b9122e4ba58f4p-14, -0x1.98db486df5425p-11, 0x1.ef1bdc999842ap-10,  0x1.4b884e0240746p-9,
        -0x1.8574c40ac9e45p-6,  0x1.17ca287813b1fp-4,   -0x1.e88b803a4c6c7p-4,  0x1.098366a5b3e62p-3,
        -0x1.85a15c58aa3c2p-5,  -0x1.15c084bb9e8e0p-3,  0x1.40c522d7e4987p+0};
    scaled = polynomial<Real>(s, coefficients);
  }
  const Vector<Real> beyond = exponential * scaled / (times_plus<Real>(t, broadcast<Real>(4.0), broadcast<Real>(2.0)));
  const auto vanishes = size > largest;
  const Vector<Real> tail = vanishes ? Vector<Real>{} : beyond;
  const Vector<Real> density = vanishes ? Vector<Real>{} : exponential * static_cast<Real>(0x1.9884533d43651p-2);
  return {x != x ? x : (x < 0 ? tail : Real{1} - tail), density};
}

template <class Real, Activation kind>
[[gnu::always_inline]] inline Vector<Real> activated(Vector<Real> x) {
  if constexpr (kind == Activation::relu) return x < 0 ? Vector<Real>{} : x;
  else if constexpr (kind == Activation::tanh) return hyperbolic_tangent<Real>(x);
  else if constexpr (kind == Activation::logistic) return logistic<Real>(x);
  else if constexpr (kind == Activation::gelu) {
    const Vector<Real> below = normal<Real>(x).below;
    return below == 0 ? below : x * below;  // also at -infinity
  } else return x;
}

// The cotangent times the derivative.
template <class Real, Activation kind>
[[gnu::always_inline]] inline Vector<Real> through(Vector<Real> cotangent, Vector<Real> kept) {
  if constexpr (kind == Activation::relu) return kept > 0 ? cotangent : Vector<Real>{};
  else if constexpr (kind == Activation::tanh) return cotangent * ((Real{1} - kept) * (Real{1} + kept));
  else if constexpr (kind == Activation::logistic) return cotangent * (kept * (Real{1} - kept));
  else if constexpr (kind == Activation::gelu) {
    const Normal<Real> n = normal<Real>(kept);
    return cotangent * (n.density == 0 ? n.below : times_plus<Real>(kept, n.density, n.below));
  } else return cotangent;
}

template <class Real, class F>
[[gnu::always_inline]] inline void each_vector(Index count, const F& f) {
  Index i = 0;
  for (; i + lanes<Real> <= count; i += lanes<Real>) f(i, lanes<Real>);
  if (i < count) f(i, static_cast<int>(count - i));
}
template <class Real>
[[gnu::always_inline]] inline Vector<Real> load_some(const Real* from, int count) {
  return count == lanes<Real> ? load(from) : load_first(from, count, 0.0);
}
template <class Real>
[[gnu::always_inline]] inline void store_some(Real* to, Vector<Real> x, int count) {
  if (count == lanes<Real>) store(to, x);
  else store_first(to, x, count);
}

// f(kind) with the kind as a constant.
template <class F>
void with_activation(Activation activation, const F& f) {
  switch (activation) {
    case Activation::identity: return f(std::integral_constant<Activation, Activation::identity>{});
    case Activation::relu: return f(std::integral_constant<Activation, Activation::relu>{});
    case Activation::gelu: return f(std::integral_constant<Activation, Activation::gelu>{});
    case Activation::tanh: return f(std::integral_constant<Activation, Activation::tanh>{});
    case Activation::logistic: return f(std::integral_constant<Activation, Activation::logistic>{});
  }
}

template <class Real>
void activate(Activation activation, const Real* from, Index count, Real* to) {
  with_activation(activation, [&](auto kind) {
    each_vector<Real>(count, [&](Index i, int some) __attribute__((always_inline)) {
      store_some(to + i, activated<Real, kind()>(load_some(from + i, some)), some);
    });
  });
}

template <class Real>
void activate_vjp(Activation activation, const Real* cotangent, const Real* kept, Index count, Real* to) {
  with_activation(activation, [&](auto kind) {
    each_vector<Real>(count, [&](Index i, int some) __attribute__((always_inline)) {
      const Vector<Real> x = kind() == Activation::identity ? Vector<Real>{} : load_some(kept + i, some);
      store_some(to + i, through<Real, kind()>(load_some(cotangent + i, some), x), some);
    });
  });
}

}  // namespace
}  // namespace luce::LUCE_ISA
