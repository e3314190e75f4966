// What a linear classifier answers: scores = features coef' + intercept, or what is asked about them, block by block.
#pragma once

#include <atomic>

#include "linear_answers.hpp"
#include "linear_rows.hpp"

namespace luce {

template <class Element, class Real>
class LinearScores : SharedWork, LinearRows<Element, Real> {
  using Rows = LinearRows<Element, Real>;
  using Rows::d_, Rows::k_, Rows::kernels_, Rows::n_, Rows::odd, Rows::padded_d_, Rows::stride_;

 public:
  LinearScores(const Matrix<const Element>& features, const Matrix<const Real>& coef, const Real* intercept,
               const Answers<Real>& answers, const LinearKernels<Real>& linear, const ElementKernels<Real>& maps, int threads,
               Patience patience)
      : SharedWork(threads, patience), Rows(features, nullptr, coef.rows, Rows::are_few(coef.rows * coef.columns), linear),
        coef_(coef), start_(Rows::padded(intercept)), answers_(answers), maps_(maps) {}

  // Whether the scores of the first class are all finite: they are not where a feature is not.
  bool run() const { return is_turned() ? of_few_rows() : by_blocks(); }

 private:
  static constexpr Index most_runs = 32;  // which threads take in turn

  // Many coefficients are not worth packing for few rows: these are, and coefficients go by where they lie, as if they were
  // rows. With few coefficients a row's scores have the same bits alone and among others.
  bool is_turned() const {
    return !Rows::are_few(k_ * d_) && coef_.column_stride == 1 && n_ <= kernels_.most_dotted;
  }

  bool by_blocks() const {
    const auto packed = buffer_of<Real>(Rows::packed_size() + 1);
    pack_all(packed.get());
    const Index rows = Rows::block_rows(size_of_a_row()), blocks = (n_ + rows - 1) / rows, runs = std::min(most_runs, blocks);
    const Index block_size = rows * size_of_a_row() + 2 * kernels_.classes_multiple;
    std::atomic<bool> are_finite{true};
    share(runs, workspace_bytes(k_, true) + static_cast<std::size_t>(block_size) * sizeof(Real), [&](Index run, Workspace workspace) {
      Real* const memory = take<Real>(workspace, block_size);
      Real* const scores = memory + rows * odd(padded_d_);
      const Index end = blocks * (run + 1) / runs;
      for (Index number = blocks * run / runs; number < end && !is_given_up(workspace); ++number) {
        const Index first = number * rows, count = std::min(rows, n_ - first);
        const bool is_followed = number + 1 < end && Rows::features_.row_stride == d_;
        const Matrix<const Real> features = Rows::features_of_block(first, count, rows, memory);
        Rows::score(features, packed.get(), start_.data(), is_followed ? rows * d_ : 0, scores);
        if (!answers_.give({scores, count, k_, stride_, 1}, first, maps_, workspace)) are_finite = false;
      }
    });
    return are_finite;
  }

  bool of_few_rows() const {
    if (n_ == 0) return true;
    const Index stride = odd(padded_d_), together = kernels_.classes_multiple;
    const Index groups = (k_ + together - 1) / together, runs = std::min(most_runs, groups);
    const auto rows = buffer_of<Real>(n_ * stride + 1), scores = buffer_of<Real>(n_ * k_);
    Rows::bring(0, n_, rows.get());
    const std::vector<Real> zeros(static_cast<std::size_t>(n_), Real{0});
    const auto bytes = static_cast<std::size_t>(together * (stride + n_ + 1)) * sizeof(Real) + 64;
    share(runs, bytes, [&](Index run, Workspace workspace) {
      Real* const memory = take<Real>(workspace, together * stride);
      Real* const products = take<Real>(workspace, together * (n_ + 1));
      const Index end = std::min(groups * (run + 1) / runs * together, k_);
      for (Index first = groups * run / runs * together; first < end && !is_given_up(workspace); first += together) {
        const Index count = std::min(together, end - first);
        Matrix<const Real> classes{coef_.data + first * coef_.row_stride, together, d_, coef_.row_stride, 1};
        if (count < together) {
          for (Index c = 0; c < count; ++c) std::copy_n(classes.data + c * classes.row_stride, d_, memory + c * stride);
          classes = {memory, together, d_, stride, 1};
        }
        kernels_.score_few(classes, {rows.get(), n_, d_, stride, 1}, zeros.data(), 0, products);
        for (Index c = 0; c < count; ++c)
          for (Index i = 0; i < n_; ++i)
            scores[i * k_ + first + c] = start_[static_cast<std::size_t>(first + c)] + products[c * n_ + i];
      }
    });
    bool are_finite = true;
    share(1, workspace_bytes(k_, true), [&](Index, Workspace workspace) {
      are_finite = answers_.give({scores.get(), n_, k_, k_, 1}, 0, maps_, workspace);
    });
    return are_finite;
  }

  Index size_of_a_row() const { return odd(padded_d_) + stride_; }

  void pack_all(Real* packed) const {
    if (Rows::is_dotted_) return Rows::pack(coef_, packed);
    const Index together = 4 * kernels_.panel_width, tasks = (k_ + together - 1) / together;
    share(tasks, 0, [&](Index i, Workspace) {
      Matrix<const Real> some = coef_;
      some.data += i * together * some.row_stride;
      some.rows = std::min(together, k_ - i * together);
      kernels_.pack_coefficients(some, packed + i * together * d_);
    });
  }

  const Matrix<const Real> coef_;
  const std::vector<Real> start_;
  const Answers<Real>& answers_;
  const ElementKernels<Real>& maps_;
};

}  // namespace luce
