// What a linear classifier answers on sparse rows, block by block: see linear_scores.hpp.
#pragma once

#include "csr_rows.hpp"
#include "linear_answers.hpp"

namespace luce {

template <class Element, class Real>
class SparseLinearScores : SharedWork, public CsrRows<Element, Real> {
  using Csr = CsrRows<Element, Real>;
  using Csr::d_, Csr::features_, Csr::n_, Csr::sparse_;
  using typename Csr::Rows;

 public:
  SparseLinearScores(const CsrMatrix<Element>& features, const Matrix<const Real>& coef, const Real* intercept,
                     const Answers<Real>& answers, const SparseKernels<Real>& sparse, const ElementKernels<Real>& maps,
                     int threads, Patience patience)
      : SharedWork(threads, patience), Csr(features, sparse), coef_(coef), k_(coef.rows), padded_k_(sparse.padded_classes(k_)),
        intercepts_(static_cast<std::size_t>(padded_k_), Real{0}), answers_(answers), maps_(maps) {
    if (intercept != nullptr) std::copy(intercept, intercept + k_, intercepts_.begin());
  }

  // Whether the scores of the first class are all finite. Of no use if an index is wrong, as are the answers.
  bool run() {
    const bool is_packed = Csr::start_of(n_) > d_ / features_of_an_entry;
    const auto packed = buffer_of<Real>(is_packed ? d_ * padded_k_ + 1 : 1);
    if (is_packed)
      Csr::share_features(*this, padded_k_, [&](Index from, Index to) {
        sparse_.pack(coef_, from, to, packed.get(), padded_k_, padded_k_);
      });
    const Index longest = Csr::entries_of_block(), runs = std::min(most_runs, n_);
    const Index scores_size = Csr::most_block_rows * padded_k_ + 64;
    const std::size_t bytes = workspace_bytes(k_, true) + static_cast<std::size_t>(scores_size + longest) * sizeof(Real) +
                              static_cast<std::size_t>(longest) * sizeof(std::uint32_t) + 256;
    std::atomic<bool> are_finite{true};
    share(runs, bytes, [&](Index run, Workspace workspace) {
      auto* const scores = take<Real>(workspace, scores_size);
      auto* const features = take<std::uint32_t>(workspace, longest);
      auto* const values = take<Real>(workspace, longest);
      Rows block;
      const Index end = n_ * (run + 1) / runs;
      for (Index first = n_ * run / runs; first < end; first += block.count) {
        if (is_given_up(workspace) || Csr::has_wrong_index()) return;
        Csr::next_rows(first, end, Csr::most_block_rows, longest, block);
        const SparseRows<Real> rows = Csr::bring(block, 0, block.count, features, values);
        if (is_packed) sparse_.score(rows, packed.get(), padded_k_, padded_k_, intercepts_.data(), scores);
        else score_unpacked(rows, scores);
        if (!answers_.give({scores, rows.rows, k_, padded_k_, 1}, first, maps_, workspace)) are_finite = false;
      }
    });
    return are_finite;
  }

 private:
  static constexpr Index most_runs = 32;  // of rows, which threads take in turn
  // To pack the coefficients of so many features takes as long as to look for those of one entry.
  static constexpr Index features_of_an_entry = 8;

  void score_unpacked(const SparseRows<Real>& rows, Real* scores) const {
    for (Index i = 0; i < rows.rows; ++i, scores += padded_k_)
      for (Index c = 0; c < k_; ++c) {
        const Real* const of_class = coef_.data + c * coef_.row_stride;
        Real sum = 0;
        for (Index t = rows.starts[i]; t < rows.starts[i + 1]; ++t)
          sum += rows.values[t] * of_class[rows.features[t] * coef_.column_stride];
        scores[c] = intercepts_[static_cast<std::size_t>(c)] + sum;
      }
  }

  const Matrix<const Real> coef_;
  const Index k_, padded_k_;
  std::vector<Real> intercepts_;
  const Answers<Real>& answers_;
  const ElementKernels<Real>& maps_;
};

}  // namespace luce
