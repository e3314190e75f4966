// Vectors of floats and doubles, as wide as the instruction set has them, and the few operations the language lacks.
// This file and all that includes it stands inside the namespace of one instruction set, with internal linkage, so
// that the linker can never merge code of different instruction sets.
#pragma once

#include <cfloat>
#include <type_traits>
#include <utility>

#include "kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace luce::LUCE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class T>
struct VectorOf { typedef T Type __attribute__((vector_size(vector_bytes))); };
template <class T>
using Vector = typename VectorOf<T>::Type;
using Floats = Vector<float>;
using Doubles = Vector<double>;

template <class Real> struct BitsOf;
template <> struct BitsOf<float> { using Type = std::int32_t; };
template <> struct BitsOf<double> { using Type = std::int64_t; };
template <class Real>
using Bits = Vector<typename BitsOf<Real>::Type>;

template <class Real>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(Real));

constexpr double infinity = __builtin_huge_val();

template <class Real>
inline Vector<Real> broadcast(double x) { return static_cast<Real>(x) - Vector<Real>{}; }
inline Bits<float> as_bits(Floats x) { return reinterpret_cast<Bits<float>>(x); }
inline Bits<double> as_bits(Doubles x) { return reinterpret_cast<Bits<double>>(x); }
inline Floats as_vector(Bits<float> x) { return reinterpret_cast<Floats>(x); }
inline Doubles as_vector(Bits<double> x) { return reinterpret_cast<Doubles>(x); }

// multiply_add(a, b, c) = a * b + c, rounded once where has_fma<Real>.
// maximum(x, otherwise): the larger one, and `otherwise` where either is NaN; minimum likewise.
#if defined(__AVX512F__)
template <class Real> constexpr bool has_fma = true;
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }
inline Floats maximum(Floats x, Floats otherwise) { return _mm512_maskz_max_ps(0xffff, x, otherwise); }
inline Doubles maximum(Doubles x, Doubles otherwise) { return _mm512_maskz_max_pd(0xff, x, otherwise); }
inline Floats minimum(Floats x, Floats otherwise) { return _mm512_maskz_min_ps(0xffff, x, otherwise); }
inline Doubles minimum(Doubles x, Doubles otherwise) { return _mm512_maskz_min_pd(0xff, x, otherwise); }
inline bool any_lane(Bits<float> mask) { return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0; }
inline bool any_lane(Bits<double> mask) { return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask)) != 0; }
#elif defined(__AVX2__)
template <class Real> constexpr bool has_fma = true;
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd(a, b, c); }
inline Floats maximum(Floats x, Floats otherwise) { return _mm256_max_ps(x, otherwise); }
inline Doubles maximum(Doubles x, Doubles otherwise) { return _mm256_max_pd(x, otherwise); }
inline Floats minimum(Floats x, Floats otherwise) { return _mm256_min_ps(x, otherwise); }
inline Doubles minimum(Doubles x, Doubles otherwise) { return _mm256_min_pd(x, otherwise); }
inline bool any_lane(Bits<float> mask) { return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0; }
inline bool any_lane(Bits<double> mask) { return _mm256_movemask_pd(reinterpret_cast<__m256d>(mask)) != 0; }
#else
inline bool any_lane(Bits<float> mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }
inline bool any_lane(Bits<double> mask) { return (mask[0] | mask[1]) != 0; }
#if defined(__x86_64__)
inline Floats maximum(Floats x, Floats otherwise) { return _mm_max_ps(x, otherwise); }
inline Doubles maximum(Doubles x, Doubles otherwise) { return _mm_max_pd(x, otherwise); }
inline Floats minimum(Floats x, Floats otherwise) { return _mm_min_ps(x, otherwise); }
inline Doubles minimum(Doubles x, Doubles otherwise) { return _mm_min_pd(x, otherwise); }
#else
inline Floats maximum(Floats x, Floats otherwise) { return x > otherwise ? x : otherwise; }
inline Doubles maximum(Doubles x, Doubles otherwise) { return x > otherwise ? x : otherwise; }
inline Floats minimum(Floats x, Floats otherwise) { return x < otherwise ? x : otherwise; }
inline Doubles minimum(Doubles x, Doubles otherwise) { return x < otherwise ? x : otherwise; }
#endif
#if defined(__aarch64__)
template <class Real> constexpr bool has_fma = true;
inline Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return vfmaq_f64(c, a, b); }
#else
// In double the product of two floats is exact: the sum is rounded twice, but never off by more than a hair.
template <class Real> constexpr bool has_fma = sizeof(Real) == sizeof(float);
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  typedef double Wide __attribute__((vector_size(2 * vector_bytes)));
  return __builtin_convertvector(
      __builtin_convertvector(a, Wide) * __builtin_convertvector(b, Wide) + __builtin_convertvector(c, Wide), Floats);
}
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return a * b + c; }
#endif
#endif

// Where either is NaN.
#if defined(__AVX512F__)
inline Bits<float> unordered(Floats a, Floats b) {
  return reinterpret_cast<Bits<float>>(_mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q)));
}
inline Bits<double> unordered(Doubles a, Doubles b) {
  return reinterpret_cast<Bits<double>>(_mm512_movm_epi64(_mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q)));
}
#elif defined(__AVX2__)
inline Bits<float> unordered(Floats a, Floats b) { return reinterpret_cast<Bits<float>>(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)); }
inline Bits<double> unordered(Doubles a, Doubles b) { return reinterpret_cast<Bits<double>>(_mm256_cmp_pd(a, b, _CMP_UNORD_Q)); }
#elif defined(__x86_64__)
inline Bits<float> unordered(Floats a, Floats b) { return reinterpret_cast<Bits<float>>(_mm_cmpunord_ps(a, b)); }
inline Bits<double> unordered(Doubles a, Doubles b) { return reinterpret_cast<Bits<double>>(_mm_cmpunord_pd(a, b)); }
#else
inline Bits<float> unordered(Floats a, Floats b) { return reinterpret_cast<Bits<float>>((a != a) | (b != b)); }
inline Bits<double> unordered(Doubles a, Doubles b) { return reinterpret_cast<Bits<double>>((a != a) | (b != b)); }
#endif

// Compilers differ in the type of a comparison's result.
template <class Mask>
inline bool any(Mask mask) {
  if constexpr (sizeof(mask[0]) == sizeof(float)) return any_lane(reinterpret_cast<Bits<float>>(mask));
  else return any_lane(reinterpret_cast<Bits<double>>(mask));
}

template <class V>
inline V magnitude(V x) { return x < 0 ? -x : x; }

// A bit for every lane, the first in the lowest.
#if defined(__AVX512F__)
inline unsigned lane_bits(Bits<float> mask) { return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)); }
inline unsigned lane_bits(Bits<double> mask) { return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask)); }
#elif defined(__AVX2__)
inline unsigned lane_bits(Bits<float> mask) { return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)); }
inline unsigned lane_bits(Bits<double> mask) { return _mm256_movemask_pd(reinterpret_cast<__m256d>(mask)); }
#elif defined(__x86_64__)
inline unsigned lane_bits(Bits<float> mask) { return _mm_movemask_ps(reinterpret_cast<__m128>(mask)); }
inline unsigned lane_bits(Bits<double> mask) { return _mm_movemask_pd(reinterpret_cast<__m128d>(mask)); }
#else
inline unsigned lane_bits(Bits<float> mask) { return (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8); }
inline unsigned lane_bits(Bits<double> mask) { return (mask[0] & 1) | (mask[1] & 2); }
#endif
template <class Mask>
inline unsigned mask_bits(Mask mask) {
  if constexpr (sizeof(mask[0]) == sizeof(float)) return lane_bits(reinterpret_cast<Bits<float>>(mask));
  else return lane_bits(reinterpret_cast<Bits<double>>(mask));
}
template <class Mask>
inline int lanes_in(Mask mask) { return __builtin_popcount(mask_bits(mask)); }

inline Floats load(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline Doubles load(const double* from) {
  Doubles x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline void store(float* to, Floats x) { __builtin_memcpy(to, &x, sizeof x); }
inline void store(double* to, Doubles x) { __builtin_memcpy(to, &x, sizeof x); }

// Past the caches, to aligned memory; `publish` makes what was streamed seen by other threads.
#if defined(__AVX512F__)
inline void stream(float* to, Floats x) { _mm512_stream_ps(to, x); }
inline void stream(double* to, Doubles x) { _mm512_stream_pd(to, x); }
#elif defined(__AVX2__)
inline void stream(float* to, Floats x) { _mm256_stream_ps(to, x); }
inline void stream(double* to, Doubles x) { _mm256_stream_pd(to, x); }
#elif defined(__x86_64__)
inline void stream(float* to, Floats x) { _mm_stream_ps(to, x); }
inline void stream(double* to, Doubles x) { _mm_stream_pd(to, x); }
#else
inline void stream(float* to, Floats x) { store(to, x); }
inline void stream(double* to, Doubles x) { store(to, x); }
#endif
inline void publish() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Compilers would rather load a vector again from memory for every use, or call a function to copy a few of them.
template <class V>
[[gnu::always_inline]] inline V in_register(V x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif defined(__x86_64__)
  asm("" : "+x"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

// 16-bit floats. Rounding is to nearest, ties to even.
typedef std::uint16_t Shorts __attribute__((vector_size(vector_bytes / 2)));
typedef std::uint32_t Words __attribute__((vector_size(vector_bytes)));

inline float widen(Bfloat x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float wide;
  __builtin_memcpy(&wide, &bits, sizeof wide);
  return wide;
}
inline Words words(const void* from) {
  Shorts x;
  __builtin_memcpy(&x, from, sizeof x);
  return __builtin_convertvector(x, Words);
}
inline void store_words(void* to, Words x) {
  const Shorts narrow = __builtin_convertvector(x, Shorts);
  __builtin_memcpy(to, &narrow, sizeof narrow);
}

inline Floats load(const Bfloat* from) { return reinterpret_cast<Floats>(words(from) << 16); }
inline void store(Bfloat* to, Floats x) {
  const Words bits = reinterpret_cast<Words>(x);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  store_words(to, reinterpret_cast<Words>(x != x) ? (bits >> 16) | 0x40 : rounded);
}

inline Floats load(const Half* from) {
#if defined(__AVX512F__)
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  const Words bits = words(from);
  const Words sign = (bits & 0x8000) << 16, rest = (bits & 0x7fff) << 13;
  const Floats scaled = reinterpret_cast<Floats>(rest) * 0x1p112f;  // exact, subnormal numbers included
  const Words infinite = reinterpret_cast<Words>(rest >= (0x7c00u << 13));
  return reinterpret_cast<Floats>(sign | (infinite ? rest | 0x7f800000 : reinterpret_cast<Words>(scaled)));
#endif
}
inline void store(Half* to, Floats x) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#else
  const Words all = reinterpret_cast<Words>(x);
  const Words sign = (all >> 16) & 0x8000, bits = all & 0x7fffffff;
  const Words normal = (bits - (112u << 23) + 0xfff + ((bits >> 13) & 1)) >> 13;
  const Words subnormal = reinterpret_cast<Words>(reinterpret_cast<Floats>(bits) + 0.5f) - 0x3f000000;
  const Words finite = reinterpret_cast<Words>(bits < (113u << 23)) ? subnormal : normal;
  const Words large = reinterpret_cast<Words>(bits > 0x7f800000) ? Words{} + 0x7e00 : Words{} + 0x7c00;
  store_words(to, sign | (reinterpret_cast<Words>(bits >= 0x477ff000) ? large : finite));
#endif
}

// The first `count` elements, count < lanes; when loading, the other lanes are `fill`.
#if defined(__AVX512F__)
inline __mmask16 first(int count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Doubles load_first(const double* from, int count, double fill) {
  return _mm512_mask_loadu_pd(broadcast<double>(fill), static_cast<__mmask8>(first(count)), from);
}
inline Floats load_first(const float* from, int count, double fill) {
  return _mm512_mask_loadu_ps(broadcast<float>(fill), first(count), from);
}
inline void store_first(double* to, Doubles x, int count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(first(count)), x);
}
inline void store_first(float* to, Floats x, int count) { _mm512_mask_storeu_ps(to, first(count), x); }
#elif defined(__AVX2__)
inline Bits<float> first_floats(int count) { return Bits<float>{0, 1, 2, 3, 4, 5, 6, 7} < count; }
inline Bits<double> first_doubles(int count) { return Bits<double>{0, 1, 2, 3} < count; }
inline Doubles load_first(const double* from, int count, double fill) {
  const Bits<double> mask = first_doubles(count);
  return mask ? Doubles(_mm256_maskload_pd(from, reinterpret_cast<__m256i>(mask))) : broadcast<double>(fill);
}
inline Floats load_first(const float* from, int count, double fill) {
  const Bits<float> mask = first_floats(count);
  return mask ? Floats(_mm256_maskload_ps(from, reinterpret_cast<__m256i>(mask))) : broadcast<float>(fill);
}
// By halves: a masked store takes ten times as long. All lanes are a number of them too.
inline void store_first(double* to, Doubles x, int count) {
  if (count >= 4) return store(to, x);
  __m128d rest = _mm256_castpd256_pd128(x);
  if (count & 2) {
    _mm_storeu_pd(to, rest);
    rest = _mm256_extractf128_pd(x, 1);
  }
  if (count & 1) _mm_store_sd(to + (count & 2), rest);
}
inline void store_first(float* to, Floats x, int count) {
  if (count >= 8) return store(to, x);
  __m128 rest = _mm256_castps256_ps128(x);
  if (count & 4) {
    _mm_storeu_ps(to, rest);
    rest = _mm256_extractf128_ps(x, 1);
  }
  if (count & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(to + (count & 4)), rest);
    rest = _mm_movehl_ps(rest, rest);
  }
  if (count & 1) _mm_store_ss(to + (count & 6), rest);
}
#else
template <class Real>
inline Vector<Real> load_first_lanes(const Real* from, int count, double fill) {
  Vector<Real> x = broadcast<Real>(fill);
  for (int lane = 0; lane < lanes<Real>; ++lane)
    if (lane < count) x[lane] = from[lane];
  return x;
}
inline Floats load_first(const float* from, int count, double fill) { return load_first_lanes(from, count, fill); }
inline Doubles load_first(const double* from, int count, double fill) { return load_first_lanes(from, count, fill); }
template <class Real>
inline void store_first_lanes(Real* to, Vector<Real> x, int count) {
  for (int lane = 0; lane < lanes<Real>; ++lane)
    if (lane < count) to[lane] = x[lane];
}
inline void store_first(double* to, Doubles x, int count) { store_first_lanes(to, x, count); }
inline void store_first(float* to, Floats x, int count) { store_first_lanes(to, x, count); }
#endif

template <class Short>
inline Floats load_first_short(const Short* from, int count, double fill) {
  Short all[lanes<float>] = {};
  for (int lane = 0; lane < count; ++lane) all[lane] = from[lane];
  Floats x = load(all);
  for (int lane = 0; lane < lanes<float>; ++lane)
    if (lane >= count) x[lane] = static_cast<float>(fill);
  return x;
}
inline Floats load_first(const Half* from, int count, double fill) { return load_first_short(from, count, fill); }
inline Floats load_first(const Bfloat* from, int count, double fill) { return load_first_short(from, count, fill); }
template <class Short>
inline void store_first_short(Short* to, Floats x, int count) {
  Short all[lanes<float>];
  store(all, x);
  for (int lane = 0; lane < count; ++lane) to[lane] = all[lane];
}
inline void store_first(Half* to, Floats x, int count) { store_first_short(to, x, count); }
inline void store_first(Bfloat* to, Floats x, int count) { store_first_short(to, x, count); }

// The type that elements of a stored type are computed in.
template <class Element> struct ComputedAs { using Type = Element; };
template <> struct ComputedAs<Half> { using Type = float; };
template <> struct ComputedAs<Bfloat> { using Type = float; };
template <class Element>
using Computed = typename ComputedAs<Element>::Type;

// One element.
inline float get(const float* from) { return *from; }
inline double get(const double* from) { return *from; }
inline float get(const Bfloat* from) { return widen(*from); }
inline float get(const Half* from) { return load_first(from, 1, 0.0)[0]; }
inline void put(float* to, double x) { *to = static_cast<float>(x); }
inline void put(double* to, double x) { *to = x; }
inline void put(Bfloat* to, double x) { store_first(to, broadcast<float>(x), 1); }
inline void put(Half* to, double x) { store_first(to, broadcast<float>(x), 1); }

// Doubles are added, divided and logged whole; floats in as many groups of doubles as they take.
template <class Real>
constexpr int groups = static_cast<int>(sizeof(double) / sizeof(Real));

inline Doubles widened(Doubles x, int) { return x; }
template <int... i>
inline Doubles widened(Floats x, int group, std::integer_sequence<int, i...>) {
  constexpr int half = sizeof...(i);
  const auto part = group == 0 ? __builtin_shufflevector(x, x, i...) : __builtin_shufflevector(x, x, (half + i)...);
#if defined(__AVX512F__)
  return _mm512_maskz_cvtps_pd(0xff, part);
#elif defined(__AVX2__)
  return _mm256_cvtps_pd(part);
#else
  return __builtin_convertvector(part, Doubles);
#endif
}
inline Doubles widened(Floats x, int group) {
  return widened(x, group, std::make_integer_sequence<int, lanes<double>>{});
}
inline Doubles narrowed(const Doubles (&x)[1], const Doubles*) { return x[0]; }
template <int... i>
inline Floats narrowed(const Doubles (&x)[2], std::integer_sequence<int, i...>) {
  typedef float Part __attribute__((vector_size(vector_bytes / 2)));
  const Part low = __builtin_convertvector(x[0], Part), high = __builtin_convertvector(x[1], Part);
  return __builtin_shufflevector(low, high, i...);
}
inline Floats narrowed(const Doubles (&x)[2], const Floats*) {
  return narrowed(x, std::make_integer_sequence<int, lanes<float>>{});
}
template <class Real>
inline Vector<Real> narrowed(const Doubles (&x)[groups<Real>]) {
  return narrowed(x, static_cast<const Vector<Real>*>(nullptr));
}

template <class V, int... i>
inline V rotated(V x, int shift, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  switch (shift) {
    case 1: return __builtin_shufflevector(x, x, ((i + 1) % n)...);
    case 2: return __builtin_shufflevector(x, x, ((i + 2) % n)...);
    case 4: return __builtin_shufflevector(x, x, ((i + 4) % n)...);
    default: return __builtin_shufflevector(x, x, ((i + 8) % n)...);
  }
}

// All lanes brought together by `combine`, the result in every lane.
template <class Real, class Combine>
inline Vector<Real> folded(Vector<Real> x, Combine combine) {
  for (int shift = lanes<Real> / 2; shift > 0; shift /= 2)
    x = combine(x, rotated(x, shift, std::make_integer_sequence<int, lanes<Real>>{}));
  return x;
}

// Numbers of rows stand in the lanes of vectors, one a row. A part of a block is all its rows, each in its lane, or one
// row in all lanes (blocks.hpp); `spread` gives a part its numbers.
struct AllRows {};
template <class V>
inline V spread(V x, AllRows) { return x; }
template <class V>
inline V spread(V x, int row) { return x[row] - V{}; }
template <int n>
inline void spread(const Doubles (&x)[n], AllRows, Doubles (&result)[n]) {
  for (int group = 0; group < n; ++group) result[group] = x[group];
}
template <int n>
inline void spread(const Doubles (&x)[n], int row, Doubles (&result)[n]) {
  for (Doubles& part : result) part = x[row / lanes<double>][row % lanes<double>] - Doubles{};
}

template <class Real>
inline Bits<Real> lane_is(int lane) {
  Bits<Real> numbers{};
  for (int i = 0; i < lanes<Real>; ++i) numbers[i] = i;
  return numbers == lane;
}

}  // namespace
}  // namespace luce::LUCE_ISA
