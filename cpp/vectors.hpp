// Vectors of doubles, as wide as the instruction set has them, and the few operations the language lacks.
// Everything a kernel computes is computed in doubles, also when the scores are floats.
// This file and all that includes it stands inside the namespace of one instruction set, with internal linkage, so
// that the linker can never merge code of different instruction sets.
#pragma once

#include <cfloat>

#include "kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace luce::LUCE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 8;
#elif defined(__AVX2__)
constexpr int lanes = 4;
#else
constexpr int lanes = 2;
#endif

typedef double Vector __attribute__((vector_size(lanes * sizeof(double))));
typedef std::int64_t Bits __attribute__((vector_size(lanes * sizeof(double))));

constexpr double infinity = __builtin_huge_val();

inline Vector broadcast(double x) { return x - Vector{}; }
inline Bits as_bits(Vector x) { return reinterpret_cast<Bits>(x); }
inline Vector as_vector(Bits x) { return reinterpret_cast<Vector>(x); }

#if defined(__AVX512F__)
constexpr bool has_fma = true;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_pd(a, b, c); }
inline bool any(Bits mask) { return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask)) != 0; }
#elif defined(__FMA__)
constexpr bool has_fma = true;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_pd(a, b, c); }
inline bool any(Bits mask) { return _mm256_movemask_pd(reinterpret_cast<__m256d>(mask)) != 0; }
#elif defined(__aarch64__)
constexpr bool has_fma = true;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f64(c, a, b); }
inline bool any(Bits mask) { return (mask[0] | mask[1]) != 0; }
#else
constexpr bool has_fma = false;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
inline bool any(Bits mask) { return (mask[0] | mask[1]) != 0; }
#endif

inline Vector load(const double* from) {
  Vector x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline void store(double* to, Vector x) { __builtin_memcpy(to, &x, sizeof x); }

// Conversions are spelled out: compilers split the general form into halves.
#if defined(__AVX512F__)
inline Vector widen(__m256 x) { return _mm512_maskz_cvtps_pd(0xff, x); }
inline __m256 narrow(Vector x) { return _mm512_maskz_cvtpd_ps(0xff, x); }
inline Vector load(const float* from) { return widen(_mm256_loadu_ps(from)); }
inline void store(float* to, Vector x) { _mm256_storeu_ps(to, narrow(x)); }
#elif defined(__AVX2__)
inline Vector load(const float* from) { return _mm256_cvtps_pd(_mm_loadu_ps(from)); }
inline void store(float* to, Vector x) { _mm_storeu_ps(to, _mm256_cvtpd_ps(x)); }
#elif defined(__x86_64__)
inline Vector load(const float* from) {
  return _mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(from))));
}
inline void store(float* to, Vector x) {
  _mm_store_sd(reinterpret_cast<double*>(to), _mm_castps_pd(_mm_cvtpd_ps(x)));
}
#elif defined(__aarch64__)
inline Vector load(const float* from) { return vcvt_f64_f32(vld1_f32(from)); }
inline void store(float* to, Vector x) { vst1_f32(to, vcvt_f32_f64(x)); }
#else
inline Vector load(const float* from) { return Vector{from[0], from[1]}; }
inline void store(float* to, Vector x) {
  for (int lane = 0; lane < lanes; ++lane) to[lane] = static_cast<float>(x[lane]);
}
#endif

// The first `count` elements; the other lanes are -inf.
#if defined(__AVX512F__)
inline __mmask8 first(int count) { return static_cast<__mmask8>((1u << count) - 1); }
inline Vector load_first(const double* from, int count) {
  return _mm512_mask_loadu_pd(broadcast(-infinity), first(count), from);
}
inline Vector load_first(const float* from, int count) {
  return widen(_mm256_mask_loadu_ps(_mm256_set1_ps(-__builtin_huge_valf()), first(count), from));
}
inline void store_first(double* to, Vector x, int count) { _mm512_mask_storeu_pd(to, first(count), x); }
inline void store_first(float* to, Vector x, int count) { _mm256_mask_storeu_ps(to, first(count), narrow(x)); }
#else
template <class Real>
inline Vector load_first(const Real* from, int count) {
  Vector x = broadcast(-infinity);
  for (int lane = 0; lane < lanes; ++lane)
    if (lane < count) x[lane] = static_cast<double>(from[lane]);
  return x;
}
template <class Real>
inline void store_first(Real* to, Vector x, int count) {
  for (int lane = 0; lane < lanes; ++lane)
    if (lane < count) to[lane] = static_cast<Real>(x[lane]);
}
#endif

template <class Real>
inline Real larger_number(Real x, Real than) { return x > than ? x : than; }

// Vectors of the scores' own type, for what is only compared: nothing is gained by doubles.
template <class Real>
struct Native {
  typedef Real Lanes __attribute__((vector_size(lanes * sizeof(double))));
  static constexpr Index count = lanes * sizeof(double) / sizeof(Real);

  static Lanes load(const Real* from) {
    Lanes x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
  }
  template <class Mask>
  static bool any_of(Mask mask) { return any(reinterpret_cast<Bits>(mask) != 0); }

  // `than` where x is NaN.
  static Lanes larger(Lanes x, Lanes than) { return x > than ? x : than; }

  static Real largest_lane(Lanes x) {
    Real most = x[0];
    for (int lane = 1; lane < count; ++lane) most = larger_number<Real>(x[lane], most);
    return most;
  }
};

inline Vector larger(Vector x, Vector than) { return x > than ? x : than; }  // `than` where x is NaN

}  // namespace
}  // namespace luce::LUCE_ISA
