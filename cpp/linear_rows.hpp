// Rows of dense features as the products of a linear classifier take them: where a block of them lies, and its scores.
#pragma once

#include <vector>

#include "shared_work.hpp"

namespace luce {

template <class Element, class Real>
class LinearRows {
 public:
  // `is_small`: a thread works off whole blocks of rows, as the coefficients leave them room in its own cache.
  LinearRows(const Matrix<const Element>& features, const Real* centre, Index classes, bool is_small,
             const LinearKernels<Real>& linear)
      : kernels_(linear), features_(features), centre_(centre), n_(features.rows), d_(features.columns), k_(classes),
        padded_d_(rounded_up(d_, linear.classes_multiple)), padded_k_(rounded_up(k_, linear.classes_multiple)),
        // Dot products write past the last row of a block: only a thread's own block is alone in its memory.
        is_dotted_(is_small && k_ <= linear.most_dotted && k_ * (d_ + linear.features_of_a_dot) <= padded_k_ * d_),
        stride_(is_dotted_ ? k_ : odd(padded_k_)) {}

  static bool are_few(Index parameters) { return parameters <= most_parameters; }

 protected:
  // So many vectors that rows begin at different lines of the nearest cache.
  Index odd(Index size) const { return size / kernels_.classes_multiple % 2 ? size : size + kernels_.classes_multiple; }
  Index packed_size() const { return is_dotted_ ? k_ * padded_d_ : d_ * padded_k_; }

  // Rows of a thread's own block, each of so many numbers.
  Index block_rows(Index row_size) const {
    const Index fitting = block_bytes / Index{sizeof(Real)} / row_size;
    const Index rows = std::min({fitting / kernels_.rows_multiple * kernels_.rows_multiple, kernels_.most_rows,
                                 rounded_up(n_, kernels_.rows_multiple)});
    return std::max(rows, kernels_.rows_multiple);
  }

  // Features of a thread's own block of up to `padded` rows: where they lie, if they can be used there; else in `memory`.
  Matrix<const Real> features_of_block(Index first, Index rows, Index padded, Real* memory) const {
    if constexpr (sizeof(Element) == sizeof(Real)) {
      const Matrix<const Element> given = given_rows(first, rows);
      if (given.column_stride == 1 && centre_ == nullptr && rows == padded) return given;
    }
    bring(first, rows, memory);
    return {memory, padded, d_, odd(padded_d_), 1};
  }

  // Centred features of some rows to where a block has its own.
  void bring(Index first, Index rows, Real* to) const { bring(first, rows, to, odd(padded_d_)); }
  void bring(Index first, Index rows, Real* to, Index stride) const {
    if constexpr (sizeof(Element) == sizeof(float)) kernels_.pack_float(given_rows(first, rows), centre_, to, stride);
    else kernels_.pack_double(given_rows(first, rows), centre_, to, stride);
  }

  // Where scores are dot products, rows of coefficients that begin at lines of memory; else panels of classes.
  void pack(const Matrix<const Real>& coef, Real* packed) const {
    if (!is_dotted_) return kernels_.pack_coefficients(coef, packed);
    for (Index c = 0; c < k_; ++c)
      for (Index j = 0; j < d_; ++j) packed[c * padded_d_ + j] = coef.data[c * coef.row_stride + j * coef.column_stride];
  }
  // The features `ahead` of these are asked for meanwhile.
  void score(const Matrix<const Real>& features, const Real* packed, const Real* start, Index ahead, Real* scores) const {
    if (is_dotted_) kernels_.score_few(features, {packed, k_, d_, padded_d_, 1}, start, ahead, scores);
    else kernels_.score(features, packed, k_, start, ahead, d_, scores, stride_);
  }

  // One number a class, 0 without any, with room for padded classes.
  std::vector<Real> padded(const Real* given) const {
    std::vector<Real> all(static_cast<std::size_t>(padded_k_), Real{0});
    if (given != nullptr) std::copy(given, given + k_, all.begin());
    return all;
  }

  const LinearKernels<Real>& kernels_;
  const Matrix<const Element> features_;
  const Real* const centre_;  // null: 0
  const Index n_, d_, k_, padded_d_, padded_k_;
  const bool is_dotted_;
  const Index stride_;  // of the scores of a row

 private:
  static constexpr Index most_parameters = 24576;
  static constexpr Index block_bytes = 384 << 10;  // of features and scores: with sums, in a core's own cache

  Matrix<const Element> given_rows(Index first, Index rows) const {
    Matrix<const Element> given = features_;
    given.data += first * given.row_stride;
    given.rows = rows;
    return given;
  }
};

}  // namespace luce
