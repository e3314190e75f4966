// softmax, log_softmax and logsumexp of every row.
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
struct Softmax {
  using A = Arithmetic<Real>;
  Matrix<const Real> scores;
  Temperature<Real> temperature;
  Matrix<Real> out;

  template <class Block>
  bool operator()(Block& block, Index, int) const {
    const Vector largest = block.largest();
    if (has_infinity(largest)) return false;
    typename A::Term sum{};
    block.replace([&](Vector score) {
      const typename A::Term term = A::exponential(A::distance(score, largest, temperature));
      sum = plus(sum, term);
      return A::leading(term);
    });
    Pair total = block.across(as_pair(sum));
    total = {total.hi * (1.0 / A::unit), total.lo * (1.0 / A::unit)};
    const Pair factor = product(reciprocal(total), broadcast(A::factor_unit));
    block.rewrite([&](Vector kept) { return A::scaled(kept, factor); });
    return true;
  }

  void exceptional(Index i) const {
    const Real* row = scores.data + i * scores.row_stride;
    const bool impossible = !has_nan(row, scores.columns) && largest_of(row, scores.columns) < 0;
    fill(out.data + i * out.row_stride, scores.columns, impossible ? 0.0 : __builtin_nan(""));
  }
};

template <class Real>
struct LogSoftmax {
  using A = Arithmetic<Real>;
  Matrix<const Real> scores;
  Temperature<Real> temperature;
  Matrix<Real> out;

  template <class Block>
  bool operator()(Block& block, Index, int) const {
    const Vector largest = block.largest();
    if (has_infinity(largest)) return false;
    const Pair log_sum = log1p(sum_of_others<false>(block, largest, temperature));
    block.write([&](Vector score) { return A::log_softmax(A::distance(score, largest, temperature), log_sum); });
    return true;
  }

  void exceptional(Index i) const {
    const Real* row = scores.data + i * scores.row_stride;
    Real* to = out.data + i * out.row_stride;
    const bool nan = has_nan(row, scores.columns);
    for (Index j = 0; j < scores.columns; ++j)
      to[j] = static_cast<Real>(nan || row[j] == infinity ? __builtin_nan("") : -infinity);
  }
};

template <class Real>
struct LogSumExp {
  using A = Arithmetic<Real>;
  Matrix<const Real> scores;
  Temperature<Real> temperature;
  Real* out;

  template <class Block>
  bool operator()(Block& block, Index i, int count) const {
    const Vector largest = block.largest();
    if (has_infinity(largest)) return false;
    const Pair result = plus(log1p(sum_of_others<false>(block, largest, temperature)), Pair{largest, Vector{}});
    store_lanes(out + i, result.hi + result.lo, count);
    return true;
  }

  void exceptional(Index i) const {
    const Real* row = scores.data + i * scores.row_stride;
    out[i] = has_nan(row, scores.columns) ? static_cast<Real>(__builtin_nan("")) : largest_of(row, scores.columns);
  }
};

template <class Real>
void softmax(Matrix<const Real> scores, double temperature, Matrix<Real> out) {
  if (scores.columns > 0) run(Softmax<Real>{scores, Temperature<Real>(temperature), out}, scores, out);
}

template <class Real>
void log_softmax(Matrix<const Real> scores, double temperature, Matrix<Real> out) {
  if (scores.columns > 0) run(LogSoftmax<Real>{scores, Temperature<Real>(temperature), out}, scores, out);
}

template <class Real>
void logsumexp(Matrix<const Real> scores, Real* out) {
  const Matrix<Real> nothing{nullptr, scores.rows, scores.columns, 0};
  if (scores.columns > 0) run(LogSumExp<Real>{scores, Temperature<Real>(1.0), out}, scores, nothing);
  else fill(out, scores.rows, -infinity);
}

}  // namespace
}  // namespace luce::LUCE_ISA
