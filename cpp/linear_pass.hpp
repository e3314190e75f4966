// What every pass of a linear classifier has, whatever its features: losses and residuals of a block of scores, work shared
// among threads, memory.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels.hpp"
#include "parallel.hpp"

namespace luce {

template <class Real>
struct RowTargets {
  const double* weights;       // null: 1
  const std::int64_t* labels;  // null: targets
  Matrix<const Real> targets;
  double label_smoothing;
};

// What a large buffer lies in; null: the heap.
struct Mapping {
  void* start;
  std::size_t bytes;
};

template <class T>
struct FreeMemory {
  Mapping mapping;
  void operator()(T* memory) const {
    if (mapping.start != nullptr) munmap(mapping.start, mapping.bytes);
    else std::free(memory);
  }
};
template <class T>
using Buffer = std::unique_ptr<T[], FreeMemory<T>>;

// A large buffer is given back to the system as soon as it is freed: in the heap, what comes to lie behind it would keep it
// there. It comes in large pages, or to touch it anew in every pass would take as long as some passes do.
template <class T>
Buffer<T> buffer_of(Index size) {
  constexpr std::size_t page = 4096, large_page = std::size_t{2} << 20;
  const auto rounded = [&](std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; };
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  if (bytes < 2 * large_page) {
    auto* const memory = static_cast<T*>(std::aligned_alloc(page, rounded(bytes, page)));
    if (memory == nullptr) throw std::bad_alloc();
    return Buffer<T>(memory, {{nullptr, 0}});
  }
  const std::size_t whole = rounded(bytes, large_page), mapped = whole + large_page;
  void* const start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  void* const memory = reinterpret_cast<void*>(rounded(reinterpret_cast<std::uintptr_t>(start), large_page));
#if defined(MADV_HUGEPAGE)
  madvise(memory, whole, MADV_HUGEPAGE);
#endif
  return Buffer<T>(static_cast<T*>(memory), {{start, mapped}});
}

inline Index rounded_up(Index size, Index multiple) { return (size + multiple - 1) / multiple * multiple; }

template <class Real>
class LinearPass {
 public:
  LinearPass(const RowTargets<Real>& targets, Index classes, bool has_direction, const LinearKernels<Real>& linear,
             const LossKernels<Real>& losses, const ElementKernels<Real>& maps, int threads, Patience patience)
      : targets_(targets), linear_(linear), losses_(losses), maps_(maps), threads_(threads), patience_(patience),
        k_(classes), has_direction_(has_direction) {}

 protected:
  // Scores become residuals. Returns the sum of the losses.
  double residuals_of(Real* scores, Real* tangents, Index stride, Index first, Index rows, Workspace workspace) const {
    auto* const losses = static_cast<double*>(workspace.memory);
    workspace.memory = losses + rounded_up(rows, 8);
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
    const CrossEntropyArguments<Real> arguments{given, weights, 1.0, smoothing, 0.0, losses, residuals};
    if (labels != nullptr && smoothing == 0.0 && k_ <= linear_.most_side_by_side) {
      linear_.residuals(residuals, weights, labels, losses, workspace);
    } else if (labels != nullptr) {
      losses_.labels(arguments, labels, workspace);
    } else {
      Matrix<const Real> targets = targets_.targets;
      targets.data += first * targets.row_stride;
      targets.rows = rows;
      losses_.targets(arguments, targets, workspace);
    }
    double sum = 0;
    for (Index i = 0; i < rows; ++i) sum += losses[i];
    return sum;
  }

  std::size_t loss_bytes(Index rows) const {
    return workspace_bytes(k_, true) + static_cast<std::size_t>(rows + k_ + 64) * sizeof(double);
  }

  template <class F>
  void share(Index tasks, std::size_t bytes, const F& task) const {
    const Job job{tasks, bytes + 64,
                  [](const void* context, Index number, Workspace workspace) {
                    (*static_cast<const F*>(context))(number, workspace);
                  },
                  &task};
    run_job(job, threads_, patience_);
  }

  static bool is_given_up(const Workspace& workspace) {
    return __atomic_load_n(workspace.cancelled, __ATOMIC_RELAXED) ||
           (workspace.poll != nullptr && workspace.poll(workspace.poll_context));
  }

  // Some of a task's memory, at a line of its own.
  template <class T>
  static T* take(Workspace& workspace, Index size) {
    auto* const memory = static_cast<T*>(workspace.memory);
    workspace.memory = memory + rounded_up(size, 64 / Index{sizeof(T)});
    return memory;
  }

  const RowTargets<Real>& targets_;
  const LinearKernels<Real>& linear_;
  const LossKernels<Real>& losses_;
  const ElementKernels<Real>& maps_;
  const int threads_;
  const Patience patience_;
  const Index k_;
  const bool has_direction_;
};

}  // namespace luce
