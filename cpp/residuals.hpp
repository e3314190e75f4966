// Cross-entropy of every row with its label and the residuals p - y that training goes by, weighted, in place of the
// scores. What cross_entropy.hpp proves for each number here holds but for rounding: residuals are good to a few units in
// the last place, relative to the row's largest, and losses to as many of the largest score, which is lost in a sum over
// rows. That takes a third of the time where there are few classes. Scores are finite, or their row becomes NaN.
//
// Rows lie side by side, one in each lane. The label's score is taken out of its row before and its residual put there in
// the end, number by number: what is left of the row's probability, minus the label's residual, has all its digits then.
#pragma once

#include "cross_entropy.hpp"

namespace luce::LUCE_ISA {
namespace {

// Labels are looked up for so many rows at a time. A product of as many sums of exponentials has a logarithm.
constexpr Index rows_of_a_chunk = 64;

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
    for (int i = 0; i < count; ++i) e.value[i] = plain_exponential(raised[i], rounder);
  }
  for (int i = 0; i < count; ++i) x[i] = x[i] < least ? V{} : e.value[i];
}

// Whole vectors are copied without a call, which costs most where they are narrow.
template <class Real, class T>
[[gnu::always_inline]] inline void copy_lanes(T* to, const T* from, int count) {
  if (vector_bytes < 64 && count == lanes<Real>) __builtin_memcpy(to, from, lanes<Real> * sizeof(T));
  else __builtin_memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

// Of each lane's row: exponentials, relative to its largest score, of the label and of all others together.
template <class Real>
struct RowExponentials {
  using V = Vector<Real>;
  V largest, label_score, label, others;
};

// The losses of some rows. Without weights, and if only their sum is wanted, it takes one logarithm: of the product of all
// rows' exponentials.
template <class Real, bool is_sum_enough>
class Losses {
  using V = Vector<Real>;

 public:
  Losses(const double* weights, double* each) : weights_(weights), each_(each) {}

  // Rows i, i + 1, ... Returns by what their exponentials are to be multiplied.
  [[gnu::always_inline]] V add(const RowExponentials<Real>& rows, Index i, int count) {
    const V total = rows.others + rows.label;
    if constexpr (is_sum_enough) {
      for (int group = 0; group < groups<Real>; ++group) {
        const Doubles more = widened(rows.others, group) + (widened(rows.label, group) - 1.0);
        excess_[group] = multiply_add(excess_[group], more, excess_[group] + more);
        sums_[group] += widened(rows.largest, group) - widened(rows.label_score, group);
      }
      return static_cast<Real>(1.0) / total;
    } else {
      // log of the total, which is at least 1.
      const auto is_largest = rows.label == static_cast<Real>(1.0);
      const Sum2<V> log_of_total = log1p(Sum2<V>{is_largest ? rows.others : total - static_cast<Real>(1.0), V{}});
      double weights[lanes<Real>] = {}, losses[lanes<Real>];
      if (weights_ != nullptr) copy_lanes<Real>(weights, weights_ + i, count);
      Doubles weight[groups<Real>];
      for (int group = 0; group < groups<Real>; ++group) {
        weight[group] = weights_ == nullptr ? broadcast<double>(1.0) : load(weights + group * lanes<double>);
        const Doubles log_sum = widened(log_of_total.hi, group) + widened(log_of_total.lo, group);
        const Doubles distance = widened(rows.largest, group) - widened(rows.label_score, group);
        const Doubles loss = weight[group] * (log_sum + distance);
        store(losses + group * lanes<double>, loss);
        sums_[group] += loss;
      }
      if (each_ != nullptr) copy_lanes<Real>(each_ + i, losses, count);
      return narrowed<Real>(weight) / total;
    }
  }

  double sum() const {
    double all = 0, excess = 0;
    for (int group = 0; group < groups<Real>; ++group)
      for (int lane = 0; lane < lanes<double>; ++lane) {
        all += sums_[group][lane];
        excess += excess_[group][lane] * (1.0 + excess);
      }
    return all + __builtin_log1p(excess);
  }

 private:
  const double* weights_;
  double* each_;
  Doubles sums_[groups<Real>] = {};
  Doubles excess_[groups<Real>] = {};  // products, less 1: the smallest losses keep all their digits
};

// Exponentials of a panel's scores, to the buffer; those of the labels are 0.
template <class Real>
[[gnu::always_inline]] inline RowExponentials<Real> exponentials_of_others(const Place<const Real>& from, Index columns,
                                                                           Vector<Real> label_score, Vector<Real>* buffer) {
  using V = Vector<Real>;
  V largest[2] = {label_score, label_score};
  each_four(columns, [&](Index j, bool) __attribute__((always_inline)) {
    V x[4];
    load_four<true, Real>(from, j, x);
    for (Index i = columns; i < least_columns; ++i) x[i] = x[0];
    for (int i = 0; i < 4; ++i) {
      buffer[j + i] = x[i];
      largest[i % 2] = maximum(x[i], largest[i % 2]);
    }
  });
  RowExponentials<Real> rows{maximum(largest[0], largest[1]), label_score, {}, {}};
  V others[2] = {};
  Index j = 0;
  for (; j + 2 <= columns; j += 2) {
    V x[2] = {buffer[j] - rows.largest, buffer[j + 1] - rows.largest};
    exponentials_below<Real>(x);
    for (int i = 0; i < 2; ++i) {
      buffer[j + i] = x[i];
      others[i] += x[i];
    }
  }
  if (j < columns) {
    V x[2] = {buffer[j] - rows.largest, label_score - rows.largest};
    exponentials_below<Real>(x);
    buffer[j] = x[0];
    others[0] += x[0];
    rows.label = x[1];
  } else {
    V x[1] = {label_score - rows.largest};
    exponentials_below<Real>(x);
    rows.label = x[0];
  }
  rows.others = others[0] + others[1];
  return rows;
}

template <class Real>
class ResidualsOfLabels {
  using V = Vector<Real>;
  static constexpr Index width = lanes<Real>;

 public:
  ResidualsOfLabels(const Matrix<Real>& scores, Workspace workspace)
      : scores_(scores), buffer_(static_cast<V*>(workspace.memory)),
        spare_(reinterpret_cast<Real*>(buffer_ + scores.columns + 4)) {}

  template <bool is_sum_enough>
  double chunk(Index first, const std::int64_t* labels, Losses<Real, is_sum_enough> losses) {
    const Index end = scores_.rows - first < rows_of_a_chunk ? scores_.rows : first + rows_of_a_chunk;
    take_out(first, end, labels);
    for (Index i = first; i < end; i += width) {
      const int count = static_cast<int>(end - i < width ? end - i : width);
      const Index at = i - first;
      RowExponentials<Real> rows;
      const V label_score = load(label_scores_ + at);
      if (scores_.columns == 2) rows = of_two(label_score, load(other_scores_ + at));
      else rows = exponentials_of_others<Real>(place_of_rows(i, count), scores_.columns, label_score, buffer_);
      const V factor = losses.add(rows, i, count);
      const auto scaled = [&](V x) { return is_sum_enough ? x * factor : without_subnormals<Real>(x * factor); };
      store(at_labels_ + at, scaled(-rows.others));
      if (scores_.columns == 2) continue;
      const bool fit = count == width && scores_.columns >= least_columns;
      const Place<Real> place = fit ? Place<Real>{row(i), scores_.row_stride, true} : Place<Real>{spare_, spare_stride(), true};
      each_four(scores_.columns, [&](Index j, bool) __attribute__((always_inline)) {
        V x[4];
        for (int k = 0; k < 4; ++k) x[k] = scaled(buffer_[j + k]);
        store_four<true, Real>(place, j, x);
      });
      if (!fit) bring_back(i, count);
    }
    put_in(first, end);
    return losses.sum();
  }

 private:
  Real* row(Index i) const { return scores_.data + i * scores_.row_stride; }

  // Read once, and kept in range: whoever changes labels meanwhile gets a wrong loss, never a wild access.
  void take_out(Index first, Index end, const std::int64_t* labels) {
    const Index columns = scores_.columns, stride = scores_.row_stride;
    const bool are_two = columns == 2;
    Real* scores = row(first);
    for (Index i = first; i < end; ++i, scores += stride) {
      const Index given = __atomic_load_n(labels + i, __ATOMIC_RELAXED), at = i - first;
      const Index label = given >= 0 && given < columns ? given : 0;
      labels_[at] = label;
      label_scores_[at] = scores[label];
      if (are_two) other_scores_[at] = scores[1 - label];
      else scores[label] = static_cast<Real>(-infinity);
    }
    // Lanes without a row are certain of their label: no loss.
    for (Index at = end - first; at % width != 0; ++at) {
      label_scores_[at] = 0;
      other_scores_[at] = static_cast<Real>(-infinity);
    }
  }
  void put_in(Index first, Index end) const {
    const Index stride = scores_.row_stride;
    const bool are_two = scores_.columns == 2;
    Real* residuals = row(first);
    for (Index at = 0; at < end - first; ++at, residuals += stride) {
      residuals[labels_[at]] = at_labels_[at];
      if (are_two) residuals[1 - labels_[at]] = -at_labels_[at];
    }
  }

  static RowExponentials<Real> of_two(V label_score, V other_score) {
    const V largest = maximum(other_score, label_score);
    V x[2] = {label_score - largest, other_score - largest};
    exponentials_below<Real>(x);
    return {largest, label_score, x[0], x[1]};
  }

  // Rows too few for a panel have a place beside the others. Of short ones that of the next row is read as well.
  Place<const Real> place_of_rows(Index i, int count) const {
    const bool is_followed = i + width < scores_.rows || scores_.row_stride >= least_columns;
    if (count == width && (scores_.columns >= least_columns || (scores_.columns == 3 && is_followed)))
      return {row(i), scores_.row_stride, true};
    const Index stride = spare_stride();
    for (Index j = 0; j < width * stride; ++j) spare_[j] = static_cast<Real>(-infinity);
    for (int lane = 0; lane < count; ++lane) __builtin_memcpy(spare_ + lane * stride, row(i + lane), bytes_of_row());
    return {spare_, stride, true};
  }
  void bring_back(Index i, int count) const {
    const Index stride = spare_stride();
    for (int lane = 0; lane < count; ++lane) {
      const Real* const from = spare_ + lane * stride;
      if (scores_.columns == 3) __builtin_memcpy(row(i + lane), from, 3 * sizeof(Real));
      else __builtin_memcpy(row(i + lane), from, bytes_of_row());
    }
  }
  std::size_t bytes_of_row() const { return static_cast<std::size_t>(scores_.columns) * sizeof(Real); }
  Index spare_stride() const { return scores_.columns < least_columns ? least_columns : scores_.columns; }

  const Matrix<Real> scores_;
  V* const buffer_;
  Real* const spare_;
  Index labels_[rows_of_a_chunk];
  alignas(64) Real label_scores_[rows_of_a_chunk];
  alignas(64) Real other_scores_[rows_of_a_chunk];  // of two classes
  alignas(64) Real at_labels_[rows_of_a_chunk];
};

// Of rows short enough for panels, with adjacent classes. `losses` of each row may be null: returns their sum.
template <class Real>
LUCE_FLATTEN double residuals_of_labels(Matrix<Real> scores, const double* weights, const std::int64_t* labels,
                                        double* losses, Workspace workspace) {
  ResidualsOfLabels<Real> residuals(scores, workspace);
  double sum = 0;
  for (Index i = 0; i < scores.rows; i += rows_of_a_chunk)
    sum += weights == nullptr && losses == nullptr ? residuals.chunk(i, labels, Losses<Real, true>(nullptr, nullptr))
                                                   : residuals.chunk(i, labels, Losses<Real, false>(weights, losses));
  return sum;
}

}  // namespace
}  // namespace luce::LUCE_ISA
