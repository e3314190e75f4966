// Cross-entropy of every row with its label and the residuals p - y that training goes by, weighted, in place of the
// scores. What cross_entropy.hpp proves for each number here holds but for rounding: residuals are good to a few units in
// the last place, relative to the row's largest, and losses to as many of the largest score, which is lost in a sum over
// rows. That takes a third of the time where there are few classes. Scores are finite, or their row becomes NaN.
#pragma once

#include "cross_entropy.hpp"

namespace luce::LUCE_ISA {
namespace {

// exp(x) for x not above 0: exactly 0 where it is nothing beside 1.
template <class Real, int count>
[[gnu::always_inline]] inline void exponentials_below(Vector<Real> (&x)[count]) {
  using V = Vector<Real>;
  constexpr Real least = sizeof(Real) == sizeof(float) ? Real{-80} : Real{-690};
  const V rounder = broadcast<Real>(plain_rounder<Real>);
  V raised[count];
  for (int i = 0; i < count; ++i) raised[i] = x[i] < least ? broadcast<Real>(least) : x[i];
  Terms<Real, count> e;
  if constexpr (groups<Real> > 1) {
    const V nothing[count] = {};
    exponentials(raised, nothing, false, rounder, e);
  } else {
    for (int i = 0; i < count; ++i) e.value[i] = exponential(raised[i], V{}, rounder).hi;
  }
  for (int i = 0; i < count; ++i) x[i] = x[i] < least ? V{} : e.value[i];
}

// Whole vectors are copied without a call, which costs most where they are narrow.
template <class Real, class T>
[[gnu::always_inline]] inline void copy_lanes(T* to, const T* from, int count) {
  if (vector_bytes < 64 && count == lanes<Real>) __builtin_memcpy(to, from, lanes<Real> * sizeof(T));
  else __builtin_memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

template <class Real>
Bits<Real> labels_at(const std::int64_t* labels, int count) {
  typedef std::int64_t Labels __attribute__((vector_size(lanes<Real> * 8)));
  Labels all{};
  copy_lanes<Real>(reinterpret_cast<std::int64_t*>(&all), labels, count);
  return __builtin_convertvector(all, Bits<Real>);
}

template <class Real>
void weights_at(const double* weights, int count, Doubles (&result)[groups<Real>]) {
  double all[lanes<Real>] = {};
  if (weights == nullptr) {
    for (double& weight : all) weight = 1.0;
  } else {
    copy_lanes<Real>(all, weights, count);
  }
  for (int group = 0; group < groups<Real>; ++group) result[group] = load(all + group * lanes<double>);
}

// Adds up the exponentials of all classes but the label, whose own is kept with a minus sign.
template <class Real, int count>
struct AddingOthers {
  using V = Vector<Real>;
  V largest;
  Bits<Real> label;
  Bits<Real> column{};
  V others[count] = {};
  V label_score{}, label_exponential{};

  [[gnu::always_inline]] void step(V (&x)[count]) {
    V scores[count];
    for (int i = 0; i < count; ++i) {
      scores[i] = x[i];
      x[i] -= largest;
    }
    exponentials_below<Real>(x);
    for (int i = 0; i < count; ++i) {
      const auto is_label = column == label;
      label_score = is_label ? scores[i] : label_score;
      label_exponential = is_label ? x[i] : label_exponential;
      others[i] += is_label ? V{} : x[i];
      x[i] = is_label ? -x[i] : x[i];
      column += 1;
    }
  }
  void settle() {}
  V sum() const {
    V all = others[0];
    for (int i = 1; i < count; ++i) all += others[i];
    return all;
  }
};

template <class Block>
struct Residuals {
  using Real = typename Block::Real;
  using V = typename Block::V;
  Bits<Real> exceptional;
  V factor, at_label;

  void write(Block& block, AllRows all) const {
    block.rewrite(all, [&](V x) { return without_subnormals<Real>(as_bits(x) < 0 ? at_label : x * factor); });
  }
};

template <class Real>
struct LabelResiduals {
  using V = Vector<Real>;
  const std::int64_t* labels;
  const double* weights;
  double* losses;

  template <class Block>
  Residuals<Block> operator()(Block& block, Index i, int count) const {
    const V largest = block.largest(AllRows{});
    const auto sums = block.keep(
        AllRows{}, AddingOthers<Real, Block::together>{largest, labels_at<Real>(labels + i, count)});
    const V rest = sums.sum();
    const V total = rest + sums.label_exponential;
    // log of the total, which is at least 1.
    const auto is_largest = sums.label_exponential == static_cast<Real>(1.0);
    const Sum2<V> more{is_largest ? rest : total - static_cast<Real>(1.0), V{}};
    const Sum2<V> log_of_total = log1p(more);
    Doubles weight[groups<Real>];
    weights_at<Real>(weights == nullptr ? nullptr : weights + i, count, weight);
    double loss[lanes<Real>];
    for (int group = 0; group < groups<Real>; ++group) {
      const Doubles log_sum = widened(log_of_total.hi, group) + widened(log_of_total.lo, group);
      const Doubles distance = widened(largest, group) - widened(sums.label_score, group);
      store(loss + group * lanes<double>, weight[group] * (log_sum + distance));
    }
    copy_lanes<Real>(losses + i, loss, count);
    const V factor = narrowed<Real>(weight) / total;
    return {Bits<Real>{}, factor, -rest * factor};
  }

  template <class Get, class Put>
  void exceptional(Index, Get, Put) const {}
};

// Of rows short enough for panels.
template <class Real>
void residuals_of_labels(Matrix<Real> scores, const double* weights, const std::int64_t* labels, double* losses,
                         Workspace workspace) {
  const Matrix<const Real> given{scores.data, scores.rows, scores.columns, scores.row_stride, scores.column_stride};
  run_panels(LabelResiduals<Real>{labels, weights, losses}, given, scores, workspace);
}

}  // namespace
}  // namespace luce::LUCE_ISA
