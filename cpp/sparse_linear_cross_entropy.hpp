// A pass of a linear classifier over sparse rows: scores = features coef' + intercept, their cross-entropy, and its
// gradients. Only entries are gone through, and never are there scores of all rows.
//
// Two ways, chosen by the shape alone. With few parameters every lane of rows has sums of its own, and the lanes, shared by
// threads, are added up in order. With many, a stretch of rows is gone through in two steps: scores and residuals, shared
// by chunks of rows, whose entries are sorted by ranges of features; and the gradient, shared by these ranges. So results
// have the same bits for any number of threads.
#pragma once

#include "csr_rows.hpp"
#include "linear_pass.hpp"

namespace luce {

template <class Element, class Real>
struct SparseLinearArguments : RowTargets<Real> {
  CsrMatrix<Element> features;
  Matrix<const Real> coef;
  const Real* intercept;         // null: 0
  Matrix<const Real> direction;  // with data: the Hessian's product with it, instead of the gradient
  const Real* direction_intercept;
  Matrix<double> gradient;     // (classes, features), as coef
  double* intercept_gradient;  // (classes)
};

template <class Element, class Real>
class SparseLinearCrossEntropy : LinearPass<Real>, public CsrRows<Element, Real> {
  using Pass = LinearPass<Real>;
  using Pass::has_direction_, Pass::is_given_up, Pass::k_, Pass::loss_bytes, Pass::patience_, Pass::share;
  using Csr = CsrRows<Element, Real>;
  using Csr::bring, Csr::d_, Csr::has_wrong_index_, Csr::most_block_rows, Csr::n_, Csr::next_rows, Csr::sparse_, Csr::start_of;
  using typename Csr::Rows;

 public:
  using Arguments = SparseLinearArguments<Element, Real>;

  SparseLinearCrossEntropy(const Arguments& arguments, const SparseKernels<Real>& sparse, const LinearKernels<Real>& linear,
                           const LossKernels<Real>& losses, const ElementKernels<Real>& maps, int threads, Patience patience)
      : Pass(arguments, arguments.coef.rows, arguments.direction.data != nullptr, linear, losses, maps, threads, patience),
        Csr(arguments.features, sparse), a_(arguments), padded_k_(sparse.padded_classes(k_)),
        stride_(has_direction_ ? 2 * padded_k_ : padded_k_), intercepts_(static_cast<std::size_t>(stride_), Real{0}),
        packed_(buffer_of<Real>(std::max<Index>(d_ * stride_, 1))) {
    if (a_.intercept != nullptr) std::copy(a_.intercept, a_.intercept + k_, intercepts_.begin());
    if (a_.direction_intercept != nullptr)
      std::copy(a_.direction_intercept, a_.direction_intercept + k_, intercepts_.begin() + padded_k_);
  }

  // The sum of the losses. When it has been given up, or an index is wrong, of no use, as are the outputs.
  double run() {
    share_features([&](Index from, Index to) {
      sparse_.pack(a_.coef, from, to, packed_.get(), padded_k_, stride_);
      if (has_direction_) sparse_.pack(a_.direction, from, to, packed_.get() + padded_k_, padded_k_, stride_);
    });
    return d_ * padded_k_ <= most_sums_of_a_lane ? in_lanes() : in_steps();
  }

 private:
  static constexpr Index most_sums_of_a_lane = Index{1} << 16, most_sums_of_lanes = Index{1} << 20, most_lanes = 32;
  static constexpr Index most_stretch_entries = Index{1} << 18;
  static constexpr Index stretch_score_bytes = Index{4} << 20, most_stretch_score_bytes = Index{32} << 20;
  static constexpr Index most_chunks = 32, ranges_wanted = 128;

  template <class F>
  void share_features(const F& task) const { Csr::share_features(*this, stride_, task); }
  // The lanes' sums, `size` apart, are added up.
  void write_gradient(double* sums, Index lanes, Index size) const {
    share_features([&](Index from, Index to) {
      double* const all = sums + from * padded_k_;
      for (Index lane = 1; lane < lanes; ++lane) sparse_.add(all + lane * size, (to - from) * padded_k_, all);
      sparse_.unpack(sums, padded_k_, from, to, a_.gradient);
    });
  }

  double in_lanes() {
    const Index entries = start_of(n_), line = d_ * padded_k_;
    const Index worthwhile = (n_ * padded_k_ + entries) / std::max<Index>(line, 1) + 1;
    const Index lanes = std::clamp<Index>(most_sums_of_lanes / std::max<Index>(line, 1), 1,
                                          std::min({most_lanes, worthwhile, std::max<Index>(n_, 1)}));
    const Index longest = Csr::entries_of_block();
    const Index sums_size = line + padded_k_ + 8;
    const auto sums = buffer_of<double>(lanes * sums_size);
    const Index reals = most_block_rows * stride_ + 64 + longest;
    const std::size_t bytes = loss_bytes(most_block_rows) + static_cast<std::size_t>(reals) * sizeof(Real) +
                              static_cast<std::size_t>(longest) * sizeof(std::uint32_t) + 256;
    share(lanes, bytes, [&](Index lane, Workspace workspace) {
      double* const gradient = sums.get() + lane * sums_size;
      double* const intercept = gradient + line;
      double* const loss = intercept + padded_k_;
      std::fill(gradient, gradient + sums_size, 0.0);
      auto* const scores = Pass::template take<Real>(workspace, most_block_rows * stride_ + 64);
      auto* const features = Pass::template take<std::uint32_t>(workspace, longest);
      auto* const values = Pass::template take<Real>(workspace, longest);
      Rows block;
      const Index end = n_ * (lane + 1) / lanes;
      for (Index first = n_ * lane / lanes; first < end; first += block.count) {
        if (is_given_up(workspace) || has_wrong_index_) return;
        next_rows(first, end, most_block_rows, longest, block);
        const SparseRows<Real> rows = bring(block, 0, block.count, features, values);
        sparse_.score(rows, packed_.get(), padded_k_, stride_, intercepts_.data(), scores);
        *loss += Pass::residuals_of(scores, scores + padded_k_, stride_, first, rows.rows, workspace);
        sparse_.add_rows(rows, scores, stride_, gradient, padded_k_);
        sparse_.add_residuals(scores, stride_, rows.rows, intercept, padded_k_);
      }
    });
    write_gradient(sums.get(), lanes, sums_size);
    double* const last = sums.get() + line;
    for (Index lane = 1; lane < lanes; ++lane) sparse_.add(last + lane * sums_size, padded_k_ + 1, last);
    std::copy_n(last, k_, a_.intercept_gradient);
    return last[padded_k_];
  }

  // What is in memory of a stretch of rows.
  struct Stretch : Rows {
    Index chunk_rows, chunks;
    Buffer<std::uint32_t> features;
    Buffer<Real> values, scores;
    Buffer<SparseEntry<Real>> entries;    // chunk by chunk, in each range by range
    std::vector<std::uint32_t> ends;      // of the ranges of every chunk, counted from the chunk's first entry on
    std::vector<double> sums;             // of the residuals of every chunk, and of the losses
  };

  void reserve(Stretch& stretch, Index rows, Index entries) const {
    stretch.features = buffer_of<std::uint32_t>(entries);
    stretch.values = buffer_of<Real>(sizeof(Element) == sizeof(Real) ? 1 : entries);
    stretch.entries = buffer_of<SparseEntry<Real>>(entries);
    if (stretch.scores == nullptr) stretch.scores = buffer_of<Real>(rows * stride_ + 64);
  }

  double in_steps() {
    const Index row_bytes = stride_ * Index{sizeof(Real)};
    const Index most_rows = std::min({most_sparse_rows, std::max<Index>(stretch_score_bytes / row_bytes, 256),
                                      std::max<Index>(most_stretch_score_bytes / row_bytes, 16), std::max<Index>(n_, 1)});
    int shift = 0;
    while ((d_ - 1) >> shift >= ranges_wanted && Index{2} << shift <= most_sparse_features) ++shift;
    const Index ranges = ((d_ - 1) >> shift) + 1;
    const auto sums = buffer_of<double>(d_ * padded_k_);
    share_features([&](Index from, Index to) { std::fill(sums.get() + from * padded_k_, sums.get() + to * padded_k_, 0.0); });
    std::fill(a_.intercept_gradient, a_.intercept_gradient + k_, 0.0);
    double loss = 0;
    Stretch stretch{};
    stretch.ends.resize(static_cast<std::size_t>(most_chunks * ranges));
    stretch.sums.resize(static_cast<std::size_t>(most_chunks * (padded_k_ + 1)));
    Index room = std::min(most_stretch_entries, std::max<Index>(start_of(n_), 1));
    reserve(stretch, most_rows, room);
    for (Index first = 0; first < n_; first += stretch.count) {
      next_rows(first, n_, most_rows, most_stretch_entries, stretch);
      if (stretch.starts.back() > room) reserve(stretch, most_rows, room = stretch.starts.back());
      stretch.chunk_rows = rounded_up((stretch.count + most_chunks - 1) / most_chunks, 16);
      stretch.chunks = (stretch.count + stretch.chunk_rows - 1) / stretch.chunk_rows;
      find_residuals(stretch, shift, ranges);
      if (has_wrong_index_ || patience_.is_over(patience_.context)) break;
      for (Index chunk = 0; chunk < stretch.chunks; ++chunk) {
        const double* const of_chunk = stretch.sums.data() + chunk * (padded_k_ + 1);
        for (Index c = 0; c < k_; ++c) a_.intercept_gradient[c] += of_chunk[c];
        loss += of_chunk[padded_k_];
      }
      add_gradients(stretch, shift, ranges, sums.get());
    }
    write_gradient(sums.get(), 1, 0);
    return loss;
  }

  void find_residuals(Stretch& stretch, int shift, Index ranges) {
    std::fill(stretch.sums.begin(), stretch.sums.end(), 0.0);
    share(stretch.chunks, loss_bytes(stretch.chunk_rows), [&](Index chunk, Workspace workspace) {
      if (is_given_up(workspace) || has_wrong_index_) return;
      const Index at = chunk * stretch.chunk_rows, count = std::min(stretch.chunk_rows, stretch.count - at);
      const SparseRows<Real> rows = bring(stretch, at, count, stretch.features.get(), stretch.values.get());
      if (rows.rows == 0) return;
      Real* const scores = stretch.scores.get() + at * stride_;
      double* const sums = stretch.sums.data() + chunk * (padded_k_ + 1);
      sparse_.score(rows, packed_.get(), padded_k_, stride_, intercepts_.data(), scores);
      sums[padded_k_] = Pass::residuals_of(scores, scores + padded_k_, stride_, stretch.first + at, count, workspace);
      sparse_.add_residuals(scores, stride_, count, sums, padded_k_);
      sparse_.sort(rows, at, shift, ranges, stretch.ends.data() + chunk * ranges, stretch.entries.get() + rows.starts[0]);
    });
  }

  void add_gradients(const Stretch& stretch, int shift, Index ranges, double* sums) const {
    const auto part_of = [&](Index range, Index chunk) -> SparseRange<Real> {
      const SparseEntry<Real>* const entries =
          stretch.entries.get() + stretch.starts[static_cast<std::size_t>(chunk * stretch.chunk_rows)];
      const std::uint32_t* const ends = stretch.ends.data() + chunk * ranges;
      return {entries + (range == 0 ? 0 : ends[range - 1]), entries + ends[range]};
    };
    Index largest = 0;
    for (Index range = 0; range < ranges; ++range) {
      Index size = 0;
      for (Index chunk = 0; chunk < stretch.chunks; ++chunk) {
        const SparseRange<Real> part = part_of(range, chunk);
        size += part.end - part.begin;
      }
      largest = std::max(largest, size);
    }
    const Index width = Index{1} << shift;
    const std::size_t bytes = static_cast<std::size_t>(largest) * sizeof(SparseEntry<Real>) +
                              static_cast<std::size_t>(width) * sizeof(std::uint32_t);
    share(ranges, bytes, [&](Index range, Workspace workspace) {
      if (is_given_up(workspace)) return;
      SparseRange<Real> parts[most_chunks];
      for (Index chunk = 0; chunk < stretch.chunks; ++chunk) parts[chunk] = part_of(range, chunk);
      const Index first = range << shift;
      sparse_.add_range(parts, stretch.chunks, std::min(width, d_ - first), stretch.scores.get(), stride_,
                        sums + first * padded_k_, padded_k_, workspace.memory);
    });
  }

  const Arguments& a_;
  const Index padded_k_, stride_;
  std::vector<Real> intercepts_;  // padded, then those of the direction
  Buffer<Real> packed_;           // of each feature the coefficients of all classes, then those of the direction
};

}  // namespace luce
