// Rows of a sparse matrix as the products of a linear classifier take them. Nobody vouches for its indices.
#pragma once

#include <atomic>
#include <vector>

#include "shared_work.hpp"

namespace luce {

// Integers of 32 or 64 bits.
struct Integers {
  const void* data;
  bool are_wide;
  [[gnu::always_inline]] Index operator[](Index i) const {
    return are_wide ? static_cast<const std::int64_t*>(data)[i] : static_cast<const std::int32_t*>(data)[i];
  }
};

template <class Element>
struct CsrMatrix {
  const Element* values;
  Integers indices, starts;  // starts[0] to starts[rows] ascend from 0 on, and are at most `entries`
  Index entries, rows, columns;
};

template <class Element, class Real>
class CsrRows {
 public:
  CsrRows(const CsrMatrix<Element>& features, const SparseKernels<Real>& sparse)
      : features_(features), sparse_(sparse), n_(features.rows), d_(features.columns) {}

  // Some index is not one of a feature.
  bool has_wrong_index() const { return has_wrong_index_; }

 protected:
  // Rows that are gone through together: `starts` of their entries count from `entry` on.
  struct Rows {
    Index first, count, entry;
    std::vector<Index> starts;
  };

  // The next rows, at least one.
  void next_rows(Index first, Index end, Index most_rows, Index most_entries, Rows& rows) const {
    rows.first = first;
    rows.entry = start_of(first);
    rows.starts.assign(1, 0);
    for (Index i = first; i < end && i - first < most_rows; ++i) {
      const Index to = start_of(i + 1) - rows.entry;
      if (i > first && to > most_entries) break;
      rows.starts.push_back(std::max(to, rows.starts.back()));
    }
    rows.count = static_cast<Index>(rows.starts.size()) - 1;
  }
  Index start_of(Index row) const { return std::clamp<Index>(features_.starts[row], 0, features_.entries); }

  // So many entries does a block of few rows have at most.
  Index entries_of_block() const {
    Index longest = 4096, start = start_of(0);
    for (Index i = 0; i < n_; ++i) {
      const Index end = start_of(i + 1);
      longest = std::max(longest, end - start);
      start = end;
    }
    return longest;
  }

  // Features and values of some rows, the first of which are entries from `from` on of `rows`.
  SparseRows<Real> bring(const Rows& rows, Index first, Index count, std::uint32_t* features, Real* values) {
    const Index* const starts = rows.starts.data() + first;
    const Index from = starts[0], entries = starts[count] - from;
    const auto end = static_cast<std::uint32_t>(d_);
    const Integers& indices = features_.indices;
    const bool are_right =
        indices.are_wide ? sparse_.bring_int64(static_cast<const std::int64_t*>(indices.data) + rows.entry + from, entries,
                                               end, features + from)
                         : sparse_.bring_int32(static_cast<const std::int32_t*>(indices.data) + rows.entry + from, entries,
                                               end, features + from);
    if (!are_right) has_wrong_index_ = true;
    const Real* brought = values;
    if constexpr (sizeof(Element) == sizeof(Real)) brought = features_.values + rows.entry;
    else sparse_.widen(features_.values + rows.entry + from, entries, values + from);
    return {features, brought, starts, are_right ? count : 0};
  }

  // task(from, to) for all features, of each of which a line of so many numbers is gone through.
  template <class F>
  void share_features(const SharedWork& work, Index line, const F& task) const {
    const Index together = std::max<Index>(16, rounded_up((Index{1} << 15) / line, 16));
    work.share((d_ + together - 1) / together, 0,
               [&](Index i, Workspace) { task(i * together, std::min((i + 1) * together, d_)); });
  }

  static constexpr Index most_block_rows = 128;

  const CsrMatrix<Element>& features_;
  const SparseKernels<Real>& sparse_;
  const Index n_, d_;
  std::atomic<bool> has_wrong_index_{false};
};

}  // namespace luce
