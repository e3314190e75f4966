// What a step of training does to whole vectors: the steps of the optimisers, dropout, sums over the rows of a batch.
#pragma once

#include "activations.hpp"

namespace luce::LUCE_ISA {
namespace {

inline Floats root(Floats x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#elif defined(__x86_64__)
  return _mm_sqrt_ps(x);
#else
  for (int i = 0; i < lanes<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
inline Doubles root(Doubles x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_pd(0xff, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_pd(x);
#elif defined(__x86_64__)
  return _mm_sqrt_pd(x);
#else
  for (int i = 0; i < lanes<double>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
#endif
}

// f(place, how many, penalty, keep) for vectors that are penalised as a whole, or are not.
template <class Real, class F>
[[gnu::always_inline]] inline void each_part(const Step<Real>& step, const F& f) {
  const Vector<Real> penalty = broadcast<Real>(step.penalty), keep = broadcast<Real>(step.keep);
  each_vector<Real>(step.penalised, [&](Index i, int some) { f(i, some, penalty, keep); });
  each_vector<Real>(step.count - step.penalised, [&](Index i, int some) {
    f(step.penalised + i, some, Vector<Real>{}, broadcast<Real>(1.0));
  });
}

template <class Real>
void adam(const Step<Real>& step, const AdamConstants& adam) {
  using V = Vector<Real>;
  const V scale = broadcast<Real>(step.scale), beta_1 = broadcast<Real>(adam.beta_1), beta_2 = broadcast<Real>(adam.beta_2);
  const V rest_1 = broadcast<Real>(1.0 - adam.beta_1), rest_2 = broadcast<Real>(1.0 - adam.beta_2);
  const V rate = broadcast<Real>(adam.rate), inverse_spread = broadcast<Real>(adam.inverse_spread);
  const V epsilon = broadcast<Real>(adam.epsilon);
  each_part(step, [&](Index i, int some, V penalty, V keep) __attribute__((always_inline)) {
    const V x = load_some(step.parameters + i, some);
    const V slope = times_plus<Real>(penalty, x, scale * load_some(step.gradient + i, some));
    const V first = times_plus<Real>(beta_1, load_some(step.first + i, some), rest_1 * slope);
    const V second = times_plus<Real>(beta_2, load_some(step.second + i, some), rest_2 * slope * slope);
    store_some(step.first + i, first, some);
    store_some(step.second + i, second, some);
    store_some(step.parameters + i, keep * x - rate * first / times_plus<Real>(root(second), inverse_spread, epsilon), some);
  });
}

template <class Real>
void momentum(const Step<Real>& step, const MomentumConstants& constants) {
  using V = Vector<Real>;
  const V scale = broadcast<Real>(step.scale), rate = broadcast<Real>(constants.rate);
  const V momentum = broadcast<Real>(constants.momentum);
  each_part(step, [&](Index i, int some, V penalty, V keep) __attribute__((always_inline)) {
    const V x = load_some(step.parameters + i, some);
    const V fall = rate * times_plus<Real>(penalty, x, scale * load_some(step.gradient + i, some));
    const V velocity = momentum * load_some(step.first + i, some) - fall;
    store_some(step.first + i, velocity, some);
    store_some(step.parameters + i, keep * x + (constants.nesterov ? momentum * velocity - fall : velocity), some);
  });
}

// Of 64 bits that a place has after seed and place are stirred (Steele, Lea, Flood, 2014), the 24 highest decide.
template <class Real>
void dropout(const Real* from, Index first, Index count, std::uint64_t seed, std::uint64_t least, Real factor, Real* to) {
  for (Index i = 0; i < count; ++i) {
    std::uint64_t bits = seed + static_cast<std::uint64_t>(first + i);
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    bits = (bits ^ (bits >> 31)) >> 40;
    to[i] = bits >= least ? from[i] * factor : Real{0};
  }
}

// to += share (goal - to)
template <class Real>
void approach(const Real* goal, Index count, double share, Real* to) {
  each_vector<Real>(count, [&](Index i, int some) {
    const Vector<Real> x = load_some(to + i, some);
    store_some(to + i, x + (load_some(goal + i, some) - x) * broadcast<Real>(share), some);
  });
}

template <class Real>
double squares(const Real* from, Index count) {
  constexpr int together = 4;
  Doubles sums[together][groups<Real>] = {};
  const auto add = [](Vector<Real> x, Doubles (&sum)[groups<Real>]) __attribute__((always_inline)) {
    for (int group = 0; group < groups<Real>; ++group) sum[group] += widened(x, group) * widened(x, group);
  };
  Index i = 0;
  for (; i + together * lanes<Real> <= count; i += together * lanes<Real>)
#pragma GCC unroll 4
    for (int v = 0; v < together; ++v) add(load(from + i + v * lanes<Real>), sums[v]);
  each_vector<Real>(count - i, [&](Index j, int some) { add(load_some(from + i + j, some), sums[0]); });
  Doubles all{};
  for (const auto& sum : sums)
    for (const Doubles& part : sum) all += part;
  double result = 0;
  for (int lane = 0; lane < lanes<double>; ++lane) result += all[lane];
  return result;
}

// So many vectors of columns go by together: the sums of one wait for each other.
template <class Real, int vectors>
[[gnu::always_inline]] inline void column_sums_of(const Real* rows, Index stride, Index count, int last, Real* sums) {
  constexpr Index ahead = 8;
  Doubles local[vectors][groups<Real>] = {};
  for (Index i = 0; i < count; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const Real* const from = rows + i * stride + v * lanes<Real>;
      __builtin_prefetch(from + ahead * stride);
      const Vector<Real> x = load_some(from, v == vectors - 1 ? last : lanes<Real>);
      for (int group = 0; group < groups<Real>; ++group) local[v][group] += widened(x, group);
    }
  for (int v = 0; v < vectors; ++v)
    store_some(sums + v * lanes<Real>, narrowed<Real>(local[v]), v == vectors - 1 ? last : lanes<Real>);
}
template <class Real>
void column_sums(const Matrix<const Real>& rows, Real* sums) {
  constexpr int width = lanes<Real>, together = tile_rows * 2 / 3;
  Index j = 0;
  for (; j + together * width <= rows.columns; j += together * width)
    column_sums_of<Real, together>(rows.data + j, rows.row_stride, rows.rows, width, sums + j);
  for (; j < rows.columns; j += width) {
    const int last = static_cast<int>(rows.columns - j < width ? rows.columns - j : width);
    column_sums_of<Real, 1>(rows.data + j, rows.row_stride, rows.rows, last, sums + j);
  }
}

// Some rows one after another; the next ones are asked for meanwhile.
template <class Real>
void gather(const Matrix<const Real>& rows, const std::int64_t* chosen, Index count, Real* to, Index stride) {
  constexpr Index ahead = 4;
  for (Index i = 0; i < count; ++i, to += stride) {
    const Real* const from = rows.data + chosen[i] * rows.row_stride;
    const Real* const later = rows.data + chosen[i + ahead < count ? i + ahead : i] * rows.row_stride;
    each_vector<Real>(rows.columns, [&](Index j, int some) __attribute__((always_inline)) {
      __builtin_prefetch(later + j);
      store_some(to + j, load_some(from + j, some), some);
    });
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
