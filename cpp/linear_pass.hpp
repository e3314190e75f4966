// What every pass of a linear classifier has, whatever its features: losses and residuals of a block of scores.
#pragma once

#include "shared_work.hpp"

namespace luce {

template <class Real>
struct RowTargets {
  const double* weights;       // null: 1
  const std::int64_t* labels;  // null: targets
  Matrix<const Real> targets;
  double label_smoothing;
  const double* class_weights;  // of targets; null: 1
};

template <class Real>
class LinearPass : protected SharedWork {
 public:
  LinearPass(const RowTargets<Real>& targets, Index classes, bool has_direction, const LinearKernels<Real>& linear,
             const LossKernels<Real>& losses, const ElementKernels<Real>& maps, int threads, Patience patience)
      : SharedWork(threads, patience), targets_(targets), linear_(linear), losses_(losses), maps_(maps), k_(classes),
        has_direction_(has_direction) {}

 protected:
  // Scores become residuals. Returns the sum of the losses.
  double residuals_of(Real* scores, Real* tangents, Index stride, Index first, Index rows, Workspace workspace) const {
    const double* const weights = targets_.weights == nullptr ? nullptr : targets_.weights + first;
    const std::int64_t* const labels = targets_.labels == nullptr ? nullptr : targets_.labels + first;
    const double smoothing = targets_.label_smoothing;
    const Matrix<Real> residuals{scores, rows, k_, stride, 1};
    const Matrix<const Real> given{scores, rows, k_, stride, 1};
    if (has_direction_) {
      const double temperature = 1.0;
      maps_.softmax(given, {&temperature, 0}, residuals, workspace);
      linear_.softmax_jvp(scores, tangents, stride, rows, k_, weights);
      return 0.0;
    }
    const bool are_labels = labels != nullptr && targets_.class_weights == nullptr;
    if (are_labels && smoothing == 0.0 && k_ <= linear_.most_side_by_side)
      return linear_.residuals(residuals, weights, labels, nullptr, workspace);
    auto* const losses = static_cast<double*>(workspace.memory);
    workspace.memory = losses + rounded_up(rows, 8);
    const CrossEntropyArguments<Real> arguments{given, weights, 1.0, smoothing, 0.0, losses, residuals};
    if (are_labels) {
      losses_.labels(arguments, labels, workspace);
    } else {
      Matrix<const Real> targets = targets_.targets;
      if (labels == nullptr) {
        targets.data += first * targets.row_stride;
        targets.rows = rows;
      }
      losses_.targets(arguments, {targets, labels, targets_.class_weights, nullptr}, workspace);
    }
    double sum = 0;
    for (Index i = 0; i < rows; ++i) sum += losses[i];
    return sum;
  }

  std::size_t loss_bytes(Index rows) const {
    return workspace_bytes(k_, true) + static_cast<std::size_t>(rows + k_ + 64) * sizeof(double);
  }

  const RowTargets<Real>& targets_;
  const LinearKernels<Real>& linear_;
  const LossKernels<Real>& losses_;
  const ElementKernels<Real>& maps_;
  const Index k_;
  const bool has_direction_;
};

}  // namespace luce
