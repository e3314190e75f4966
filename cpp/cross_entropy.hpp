// Per row: w (logsumexp(scores) - score of the label), and its gradient w (softmax(scores) - onehot(label)).
#pragma once

#include "rows.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real, bool with_gradient>
struct CrossEntropy {
  using A = Arithmetic<Real>;
  Matrix<const Real> scores;
  Temperature<Real> one;
  const std::int64_t* labels;
  const double* weights;
  double* losses;
  Matrix<Real> gradient;

  template <class Block>
  bool operator()(Block& block, Index i, int count) const {
    const Vector largest = block.largest();
    const Vector weight = weights_of(i, count);
    if (has_infinity(largest) || any(weight == 0.0)) return false;
    const Vector label_score = block.score_at(labels + i);
    const Pair rest = sum_of_others<with_gradient>(block, largest, one);
    const Pair distance = A::exact(A::distance(label_score, largest, one));
    const Pair loss = without_stray_error(plus(log1p(rest), Pair{-distance.hi, -distance.lo}));
    const Pair weighted = without_stray_error(product(loss, weight));
    store_lanes(losses + i, weighted.hi + weighted.lo, count);
    if constexpr (with_gradient) write_gradient(block, i, rest, label_score == largest, weight);
    return true;
  }

  // A row of weight 0 is a row left out, whatever its scores.
  void exceptional(Index i) const {
    const Real* row = scores.data + i * scores.row_stride;
    const bool left_out = weights != nullptr && weights[i] == 0.0;
    const bool nan = has_nan(row, scores.columns);
    const bool impossible = !nan && largest_of(row, scores.columns) < 0;
    const bool undefined = nan || (!impossible && row[labels[i]] == infinity);
    losses[i] = left_out ? 0.0 : undefined ? __builtin_nan("") : infinity * weight_of(i);
    if constexpr (with_gradient)
      fill(gradient.data + i * gradient.row_stride, scores.columns,
           left_out || impossible ? 0.0 : __builtin_nan(""));
  }

 private:
  double weight_of(Index i) const { return weights == nullptr ? 1.0 : weights[i]; }

  Vector weights_of(Index i, int count) const {
    Vector weight = broadcast(weight_of(i));
    if (weights != nullptr)
      for (int lane = 1; lane < count; ++lane) weight[lane] = weights[i + lane];
    return weight;
  }

  // The label's entry is -w (sum of the other exponentials) / (sum of all): p - 1 would cancel.
  template <class Block>
  void write_gradient(Block& block, Index i, Pair rest, Bits label_is_largest, Vector weight) const {
    const Pair total = one_plus(rest);
    const Vector label_exponential = block.kept_at(labels + i) * (1.0 / A::unit);
    const Pair without_label = two_sum(total.hi, -label_exponential);
    const Pair others = {label_is_largest ? rest.hi : without_label.hi,
                         label_is_largest ? rest.lo : without_label.lo + total.lo};
    const Pair share = product(reciprocal(total), weight);
    const Pair at_label = two_product(share.hi, -others.hi);
    const Vector label_entry = at_label.hi + (at_label.lo - (share.hi * others.lo + share.lo * others.hi));
    const Pair factor = {share.hi * A::factor_unit, share.lo * A::factor_unit};
    block.rewrite([&](Vector kept) { return without_subnormals(A::scaled(kept, factor)); });
    block.put(labels + i, without_subnormals(label_entry));
  }

  static Vector without_subnormals(Vector x) {
    const Vector size = x < 0.0 ? -x : x;
    return size < A::smallest_normal ? Vector{} : x;
  }
};

template <class Real>
Index cross_entropy(Matrix<const Real> scores, const std::int64_t* labels, const double* weights, double* losses,
                    Matrix<Real> gradient) {
  for (Index i = 0; i < scores.rows; ++i)
    if (labels[i] < 0 || labels[i] >= scores.columns) return i;
  const Temperature<Real> one(1.0);
  if (gradient.data != nullptr)
    run(CrossEntropy<Real, true>{scores, one, labels, weights, losses, gradient}, scores, gradient);
  else
    run(CrossEntropy<Real, false>{scores, one, labels, weights, losses, gradient}, scores, gradient);
  return -1;
}

}  // namespace
}  // namespace luce::LUCE_ISA
