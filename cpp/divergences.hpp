// Kullback-Leibler divergences sum_c y log(y / p) - y + p of every row, from y, p and log p, of doubles; and the negative of
// Shannon's entropy, sum_c p log p.
//
// Of the former no term is negative, so that their sum has the digits that each has, however small. With p = y (1 + d) a term is
// y (d - log(1 + d)): for small d, whose first orders cancel, the first term is taken out of the series
// log(1 + d) = 2 artanh(t), t = d / (2 + d). Elsewhere it is y (log y - log p) + (p - y).
#pragma once

#include "logarithm.hpp"
#include "run.hpp"

namespace luce::LUCE_ISA {
namespace {

// log x of numbers above 0, subnormal ones too: good to an ulp.
inline Doubles logarithm(Doubles x) {
  using L = Logarithm<double>;
  constexpr int mantissa = Format<double>::mantissa;
  const auto is_tiny = x < DBL_MIN;
  const Doubles normal = is_tiny ? x * 0x1p54 : x;
  const Bits<double> k = (as_bits(normal) - L::root_half) >> mantissa;
  const Doubles integer = as_vector(k + as_bits(broadcast<double>(integer_rounder<double>))) - integer_rounder<double>;
  const Doubles exponent = is_tiny ? integer - 54.0 : integer;
  const Doubles f = as_vector(as_bits(normal) - (k << mantissa)) - 1.0;
  const Doubles s = f / (2.0 + f), z = s * s;
  Doubles R{};
  for (double coefficient : L::series) R = multiply_add(R, z, broadcast<double>(coefficient));
  R *= z;
  const Doubles half_square = 0.5 * f * f;
  const Doubles small = multiply_add(s, half_square + R, exponent * L::ln_2_lo);
  return exponent * L::ln_2_hi - ((half_square - small) - f);
}

inline Doubles divergence(Doubles y, Doubles p, Doubles log_p) {
  constexpr double coefficients[] = {1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3};
  const Doubles less = p - y, t = less / (2.0 * y + less), square = t * t;
  Doubles series = broadcast<double>(1.0 / 13);
  for (double coefficient : coefficients) series = multiply_add(series, square, broadcast<double>(coefficient));
  const Doubles near = less * t - 2.0 * y * t * square * series;
  const auto is_nothing = y == 0.0;
  const Doubles far = multiply_add(y, logarithm(is_nothing ? broadcast<double>(1.0) : y) - log_p, less);
  return is_nothing ? p : magnitude(less) < 0.1 * y ? near : far;
}

// Elements of a row are adjacent.
inline void divergences(const Matrix<const double>& targets, const Matrix<const double>& probabilities,
                        const Matrix<const double>& log_probabilities, double* sums, const Workspace& workspace) {
  constexpr Index width = lanes<double>, patience = Index{1} << 12;
  for (Index i = 0; i < targets.rows; ++i) {
    if (i % patience == 0 && is_given_up(workspace)) return;
    const double *y = row_of(targets, i), *p = row_of(probabilities, i), *log_p = row_of(log_probabilities, i);
    Pair sum{};
    Index j = 0;
    for (; j + width <= targets.columns; j += width)
      sum = plus(sum, Pair{divergence(load(y + j), load(p + j), load(log_p + j)), Doubles{}});
    if (j < targets.columns) {
      const int rest = static_cast<int>(targets.columns - j);
      const Doubles last =
          divergence(load_first(y + j, rest, 0.0), load_first(p + j, rest, 0.0), load_first(log_p + j, rest, 0.0));
      sum = plus(sum, Pair{last, Doubles{}});
    }
    sums[i] = rounded(without_stray_error(total_of(without_stray_error(sum))))[0];
  }
}

// NaN where a number is negative or NaN.
inline Doubles times_own_logarithm(Doubles p) {
  const auto is_positive = p > 0.0;
  const Doubles product = p * logarithm(is_positive ? p : broadcast<double>(1.0));
  return is_positive ? product : p == 0.0 ? Doubles{} : broadcast<double>(not_a_number);
}

// Elements of a row are adjacent.
template <class Real>
void negative_entropies(const Matrix<const Real>& probabilities, Real* sums, const Workspace& workspace) {
  constexpr Index width = lanes<Real>, patience = Index{1} << 12;
  for (Index i = 0; i < probabilities.rows; ++i) {
    if (i % patience == 0 && is_given_up(workspace)) return;
    const Real* const p = row_of(probabilities, i);
    Pair sum{};
    const auto add = [&](Vector<Real> some) {
      for (int group = 0; group < groups<Real>; ++group)
        sum = plus(sum, Pair{times_own_logarithm(widened(some, group)), Doubles{}});
    };
    Index j = 0;
    for (; j + width <= probabilities.columns; j += width) add(load(p + j));
    if (j < probabilities.columns) add(load_first(p + j, static_cast<int>(probabilities.columns - j), 0.0));
    sums[i] = static_cast<Real>(rounded(without_stray_error(total_of(without_stray_error(sum))))[0]);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
