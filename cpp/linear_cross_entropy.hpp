// A pass of a linear classifier over all rows: scores = (features - centre) coef' + intercept, their cross-entropy, and
// its gradients. Never are there scores of all rows: a block of rows is gone through whole while it is in the caches.
//
// Two ways, chosen by the shape alone. With few parameters every lane of rows has sums of its own, and the lanes, shared
// by threads, are added up in order. With many, a stretch of rows is gone through in steps: scores and residuals, shared by
// rows, then the gradient, shared by its parts. So results have the same bits for any number of threads.
#pragma once

#include "linear_pass.hpp"
#include "linear_rows.hpp"

namespace luce {

template <class Element, class Real, class Sum>
struct LinearArguments : RowTargets<Real> {
  Matrix<const Element> features;
  const Real* centre;  // null: 0, as the intercepts
  Matrix<const Real> coef;
  const Real* intercept;
  Matrix<const Real> direction;  // with data: the Hessian's product with it, instead of the gradient
  const Real* direction_intercept;
  Matrix<Sum> gradient;            // (classes, features), as coef
  double* intercept_gradient;      // (classes)
  Matrix<Real> features_gradient;  // without data: not wanted
};

template <class Element, class Real, class Sum>
class LinearCrossEntropy : LinearPass<Real>, LinearRows<Element, Real> {
  using Pass = LinearPass<Real>;
  using Pass::has_direction_, Pass::is_given_up, Pass::linear_, Pass::loss_bytes, Pass::patience_, Pass::share, Pass::threads_;
  using Rows = LinearRows<Element, Real>;
  using Rows::bring, Rows::d_, Rows::k_, Rows::n_, Rows::odd, Rows::pack, Rows::packed_size, Rows::padded_d_,
      Rows::padded_k_, Rows::stride_;

 public:
  using Arguments = LinearArguments<Element, Real, Sum>;

  LinearCrossEntropy(const Arguments& arguments, const LinearKernels<Real>& linear, const LossKernels<Real>& losses,
                     const ElementKernels<Real>& maps, int threads, Patience patience)
      : Pass(arguments, arguments.coef.rows, arguments.direction.data != nullptr, linear, losses, maps, threads, patience),
        Rows(arguments.features, arguments.centre, arguments.coef.rows, has_lanes(arguments), linear), a_(arguments),
        start_(Rows::padded(arguments.intercept)), direction_start_(Rows::padded(arguments.direction_intercept)) {}

  // The sum of the losses. When it has been given up, of no use, as are the outputs.
  double run() const { return has_lanes(a_) ? in_lanes() : in_steps(); }

 private:
  // To begin and add up a lane takes as long as a part of a block.
  static constexpr Index most_lanes = 32, lanes_to_share = 8, blocks_of_a_lane = 3;
  static constexpr Index most_block_rows = 240;
  static constexpr Index stretch_bytes = Index{8} << 20, most_stretch_bytes = Index{48} << 20;
  static constexpr Index most_packed_bytes = Index{16} << 20;

  // Rows under way: their features, scores that become residuals, and scores of the direction.
  struct Block {
    Index first, rows;
    Matrix<const Real> features;  // with rows to spare, if need be
    Real* scores;
    Real* tangents;
    Real* spare;  // of a lane's block
  };

  static bool has_lanes(const Arguments& a) {
    return Rows::are_few(a.coef.rows * a.coef.columns) && a.features_gradient.data == nullptr;
  }
  Index scores_of_a_row() const { return has_direction_ ? 2 * stride_ : stride_; }
  Index size_of_a_row() const { return odd(padded_d_) + scores_of_a_row() + linear_.panel_width; }
  Index block_size(Index rows) const { return rows * size_of_a_row() + 2 * linear_.classes_multiple; }

  Block lane_block(Real* memory, Index padded, Index first, Index rows) const {
    Real* const scores = memory + padded * odd(padded_d_);
    Real* const tangents = scores + padded * stride_ + linear_.classes_multiple;
    Real* const spare = memory + block_size(padded) - padded * linear_.panel_width;
    return {first, rows, Rows::features_of_block(first, rows, padded, memory), scores, tangents, spare};
  }

  void score(const Block& block, const Real* packed, const Real* packed_direction, Index ahead) const {
    Rows::score(block.features, packed, start_.data(), ahead, block.scores);
    if (has_direction_) Rows::score(block.features, packed_direction, direction_start_.data(), 0, block.tangents);
  }

  double in_lanes() const {
    const Index rows_of_block = Rows::block_rows(size_of_a_row());
    const Index blocks = (n_ + rows_of_block - 1) / rows_of_block;
    const Index lanes = std::min({std::max(blocks / blocks_of_a_lane, lanes_to_share), most_lanes, blocks});
    const Index sums_size = k_ * padded_d_ + padded_k_ + 1;
    const auto sums = buffer_of<double>(std::max<Index>(lanes, 1) * sums_size);
    const auto packed = buffer_of<Real>(packed_size() * (has_direction_ ? 2 : 1));
    Real* const packed_direction = packed.get() + packed_size();
    pack(a_.coef, packed.get());
    if (has_direction_) pack(a_.direction, packed_direction);
    const auto run_lane = [&](Index lane, Workspace workspace) {
      double* const gradient = sums.get() + lane * sums_size;
      double* const intercept = gradient + k_ * padded_d_;
      double* const loss = intercept + padded_k_;
      std::fill(gradient, gradient + sums_size, 0.0);
      Real* const block_memory = Pass::template take<Real>(workspace, block_size(rows_of_block));
      const Index end = blocks * (lane + 1) / lanes;
      for (Index number = blocks * lane / lanes; number < end; ++number) {
        if (is_given_up(workspace)) return;
        const Index first = number * rows_of_block;
        const Block block = lane_block(block_memory, rows_of_block, first, std::min(rows_of_block, n_ - first));
        const bool is_followed = number + 1 < end && a_.features.row_stride == d_;
        score(block, packed.get(), packed_direction, is_followed ? rows_of_block * d_ : 0);
        *loss += Pass::residuals_of(block.scores, block.tangents, stride_, first, block.rows, workspace);
        Matrix<const Real> features = block.features;
        features.rows = block.rows;
        linear_.add_gradient_double(features, block.scores, stride_, k_, gradient, padded_d_, block.spare);
        linear_.add_column_sums(block.scores, stride_, block.rows, k_, intercept);
      }
    };
    const Index memory = block_size(rows_of_block) + 64;
    share(lanes, static_cast<std::size_t>(memory) * sizeof(Real) + loss_bytes(rows_of_block), run_lane);
    for (Index lane = 1; lane < lanes; ++lane)
      for (Index i = 0; i < sums_size; ++i) sums[i] += sums[lane * sums_size + i];
    if (lanes == 0) std::fill(sums.get(), sums.get() + sums_size, 0.0);
    for (Index c = 0; c < k_; ++c) {
      for (Index j = 0; j < d_; ++j)
        a_.gradient.data[c * a_.gradient.row_stride + j] = static_cast<Sum>(sums[c * padded_d_ + j]);
      a_.intercept_gradient[c] = sums[k_ * padded_d_ + c];
    }
    return sums[sums_size - 1];
  }

  // The rows of one stretch are in memory whole, features and scores; blocks are what a task takes of them.
  struct Stretch {
    Index first, rows, block_rows;
    Real* features;
    Real* scores;
    Real* tangents;
  };

  Index blocks_of(const Stretch& stretch) const { return (stretch.rows + stretch.block_rows - 1) / stretch.block_rows; }
  Block block_of(const Stretch& stretch, Index number) const {
    const Index at = number * stretch.block_rows, rows = std::min(stretch.block_rows, stretch.rows - at);
    const Index stride = odd(padded_d_);
    return {stretch.first + at, rows, {stretch.features + at * stride, rounded_up(rows, linear_.rows_multiple), d_, stride, 1},
            stretch.scores + at * stride_, stretch.tangents + at * stride_, nullptr};
  }

  void bring(const Stretch& stretch, const Block& block) const {
    bring(block.first, block.rows, stretch.features + (block.first - stretch.first) * odd(padded_d_));
  }

  Index stretch_rows() const {
    const Index bytes = size_of_a_row() * Index{sizeof(Real)};
    Index rows = std::clamp<Index>(stretch_bytes / bytes, packs_once() ? 288 : 384, 4096);
    rows = std::min({rows, std::max<Index>(most_stretch_bytes / bytes, 1), n_});
    return rounded_up(std::max<Index>(rows, 1), linear_.rows_multiple);
  }

  // Otherwise coefficients are packed for every stretch.
  bool packs_once() const { return packed_size() * Index{sizeof(Real)} <= most_packed_bytes; }

  double in_steps() const {
    const Index rows = stretch_rows(), stretches = (n_ + rows - 1) / rows;
    const Index most_blocks = (rows + most_block_rows - 1) / most_block_rows;
    const Index block_rows = rounded_up((rows + most_blocks - 1) / most_blocks, linear_.rows_multiple);
    const auto memory = buffer_of<Real>(rows * (odd(padded_d_) + scores_of_a_row()) + 4 * linear_.classes_multiple);
    const Index directions = has_direction_ ? 2 : 1;
    const auto packed = buffer_of<Real>(packs_once() ? directions * packed_size() : 1);
    const auto features_gradient = buffer_of<Real>(a_.features_gradient.data == nullptr ? 1 : rows * odd(padded_d_));
    if (packs_once()) pack_all(packed.get());
    std::vector<double> sums(static_cast<std::size_t>(most_blocks * (k_ + 1)));
    double loss = 0;
    std::fill(a_.intercept_gradient, a_.intercept_gradient + k_, 0.0);
    for (Index c = 0; c < k_; ++c) {
      Sum* const row = a_.gradient.data + c * a_.gradient.row_stride;
      std::fill(row, row + d_, Sum{0});
    }
    for (Index number = 0; number < stretches; ++number) {
      if (patience_.is_over(patience_.context)) return loss;
      Real* const scores = memory.get() + rows * odd(padded_d_);
      const Stretch stretch{number * rows, std::min(rows, n_ - number * rows), block_rows, memory.get(), scores,
                            scores + rows * stride_};
      const Index blocks = blocks_of(stretch);
      std::fill(sums.begin(), sums.end(), 0.0);
      if (packs_once()) {
        share(blocks, loss_bytes(block_rows), [&](Index i, Workspace workspace) {
          const Block block = block_of(stretch, i);
          bring(stretch, block);
          score(block, packed.get(), packed.get() + packed_size(), 0);
          residuals_of(block, sums.data() + i * (k_ + 1), workspace);
        });
      } else {
        share(blocks, 64, [&](Index i, Workspace) { bring(stretch, block_of(stretch, i)); });
        score_by_classes(stretch);
        share(blocks, loss_bytes(block_rows), [&](Index i, Workspace workspace) {
          residuals_of(block_of(stretch, i), sums.data() + i * (k_ + 1), workspace);
        });
      }
      for (Index i = 0; i < blocks; ++i) {
        const double* const of_block = sums.data() + i * (k_ + 1);
        for (Index c = 0; c < k_; ++c) a_.intercept_gradient[c] += of_block[c];
        loss += of_block[k_];
      }
      add_gradients(stretch);
      if (a_.features_gradient.data != nullptr) differentiate_features(stretch, features_gradient.get());
    }
    return loss;
  }

  // The sums of the residuals of every class, and of the losses, are added to `sums`.
  void residuals_of(const Block& block, double* sums, Workspace workspace) const {
    sums[k_] += Pass::residuals_of(block.scores, block.tangents, stride_, block.first, block.rows, workspace);
    linear_.add_column_sums(block.scores, stride_, block.rows, k_, sums);
  }

  // Tasks of so many classes: whole panels.
  void pack_all(Real* packed) const {
    const Index together = 4 * linear_.panel_width, tasks = (k_ + together - 1) / together;
    share(tasks, 64, [&](Index i, Workspace) {
      pack_part(a_.coef, i * together, together, packed);
      if (has_direction_) pack_part(a_.direction, i * together, together, packed + packed_size());
    });
  }
  void pack_part(Matrix<const Real> coef, Index first, Index count, Real* packed) const {
    coef.data += first * coef.row_stride;
    coef.rows = std::min(count, k_ - first);
    linear_.pack_coefficients(coef, packed + first * d_);
  }

  void score_by_classes(const Stretch& stretch) const {
    const Index together = 2 * linear_.panel_width, tasks = (k_ + together - 1) / together;
    const auto bytes = static_cast<std::size_t>(together * d_) * sizeof(Real);
    share(tasks, bytes, [&](Index task, Workspace workspace) {
      auto* const packed = static_cast<Real*>(workspace.memory);
      const Index first = task * together, classes = std::min(together, k_ - first);
      const auto score_part = [&](Matrix<const Real> coef, const Real* start, Real* Block::*scores) {
        coef.data += first * coef.row_stride;
        coef.rows = classes;
        linear_.pack_coefficients(coef, packed);
        for (Index i = 0; i < blocks_of(stretch) && !is_given_up(workspace); ++i) {
          const Block block = block_of(stretch, i);
          linear_.score(block.features, packed, classes, start + first, 0, d_, block.*scores + first, stride_);
        }
      };
      score_part(a_.coef, start_.data(), &Block::scores);
      if (has_direction_) score_part(a_.direction, direction_start_.data(), &Block::tangents);
    });
  }

  // A task is some classes by some features: what it adds to stays in a core's own cache.
  void add_gradients(const Stretch& stretch) const {
    const Index features = 128, tile = 12;  // classes of one tile, or of two
    Index classes = 10 * tile;
    const auto tasks_of = [&](Index size, Index whole) { return (whole + size - 1) / size; };
    while (classes > tile && tasks_of(classes, k_) * tasks_of(features, d_) < 4 * threads_) classes -= tile;
    const Index across = tasks_of(features, d_);
    const auto bytes = static_cast<std::size_t>(stretch.block_rows * linear_.panel_width) * sizeof(Real);
    share(tasks_of(classes, k_) * across, bytes, [&](Index task, Workspace workspace) {
      const Index first = task / across * classes, from = task % across * features;
      Sum* const gradient = a_.gradient.data + first * a_.gradient.row_stride + from;
      for (Index i = 0; i < blocks_of(stretch) && !is_given_up(workspace); ++i) {
        const Block block = block_of(stretch, i);
        Matrix<const Real> part = block.features;
        part.data += from;
        part.rows = block.rows;
        part.columns = std::min(features, d_ - from);
        add_gradient(part, block.scores + first, std::min(classes, k_ - first), gradient, workspace);
      }
    });
  }
  void add_gradient(const Matrix<const Real>& features, const Real* residuals, Index classes, Sum* gradient,
                    const Workspace& workspace) const {
    auto* const spare = static_cast<Real*>(workspace.memory);
    if constexpr (sizeof(Sum) == sizeof(Real))
      linear_.add_gradient(features, residuals, stride_, classes, gradient, a_.gradient.row_stride, spare);
    else linear_.add_gradient_double(features, residuals, stride_, classes, gradient, a_.gradient.row_stride, spare);
  }

  // features_gradient = residuals coef: a product like that of the scores, of residuals with the transpose of coef. Here
  // one term may outweigh all others, the label's: sums are short, and added up in turn, in the end in float64.
  void differentiate_features(const Stretch& stretch, Real* results) const {
    const Index together = 2 * linear_.panel_width, classes = 1024, tasks = (d_ + together - 1) / together;
    const Index terms = sizeof(Real) == sizeof(float) ? 64 : classes, stride = odd(padded_d_);
    const Index sums_size = k_ > classes ? stretch.rows * together : 0;
    const auto bytes = static_cast<std::size_t>(together * std::min(classes, k_) + together) * sizeof(Real) +
                       static_cast<std::size_t>(sums_size) * sizeof(double) + 128;
    share(tasks, bytes, [&](Index task, Workspace workspace) {
      Real* const packed = Pass::template take<Real>(workspace, together * std::min(classes, k_));
      Real* const zeros = Pass::template take<Real>(workspace, together);
      double* const sums = Pass::template take<double>(workspace, sums_size);
      const Index from = task * together, features = std::min(together, d_ - from);
      std::fill(zeros, zeros + together, Real{0});
      std::fill(sums, sums + sums_size, 0.0);
      for (Index first = 0; first < k_ && !is_given_up(workspace); first += classes) {
        const Index count = std::min(classes, k_ - first);
        linear_.pack_coefficients({a_.coef.data + first * a_.coef.row_stride + from * a_.coef.column_stride, features, count,
                                   a_.coef.column_stride, a_.coef.row_stride},
                                  packed);
        for (Index i = 0; i < blocks_of(stretch); ++i) {
          const Block block = block_of(stretch, i);
          const Index at = i * stretch.block_rows;
          linear_.score({block.scores + first, block.features.rows, count, stride_, 1}, packed, features, zeros, 0,
                        terms, results + at * stride + from, stride);
        }
        if (sums_size == 0) continue;
        for (Index i = 0; i < stretch.rows; ++i) add(results + i * stride + from, features, sums + i * together);
      }
      for (Index i = 0; i < stretch.rows; ++i) {
        Real* const to = a_.features_gradient.data + (stretch.first + i) * a_.features_gradient.row_stride + from;
        if (sums_size == 0) std::copy_n(results + i * stride + from, features, to);
        else std::copy_n(sums + i * together, features, to);
      }
    });
  }

  static void add(const Real* from, Index count, double* sums) {
    for (Index j = 0; j < count; ++j) sums[j] += from[j];
  }

  const Arguments& a_;
  const std::vector<Real> start_, direction_start_;
};

}  // namespace luce
