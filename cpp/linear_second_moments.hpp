// Second moments of a linear classifier's rows, weighted by the curvature of their losses, and those of their probabilities:
// what Hessians are made of. A stretch of rows is gone through in steps: features, probabilities and curvatures, shared by
// rows, then the moments, shared by their parts. So results have the same bits for any number of threads.
#pragma once

#include <cmath>

#include "linear_rows.hpp"

namespace luce {

// Of a row with probabilities p: p_c (1 - p_c) of every class, p_a p_b of every pair a < b of them, or 1 - p'p.
enum class Curvature { classes, pairs, all };

inline Index curvatures_of(Curvature curvature, Index classes) {
  switch (curvature) {
    case Curvature::classes: return classes;
    case Curvature::pairs: return classes * (classes - 1) / 2;
    default: return 1;
  }
}

template <class Element, class Real>
struct SecondMomentsArguments {
  Matrix<const Element> features;
  const double* weights;  // not negative; null: 1
  const Real* centre;     // null: 0, as the intercepts
  Matrix<const Real> coef;
  const Real* intercept;
  double last;  // feature, of every row
  Curvature curvature;
  const double* damping;  // added to each curvature
  double* moments;        // (curvatures, features + 1, features + 1); null: not wanted
  double* class_moments;  // (classes + 1, classes + 1), the last class being 1 in every row; null: not wanted
};

template <class Element, class Real>
class LinearSecondMoments : SharedWork, LinearRows<Element, Real> {
  using Rows = LinearRows<Element, Real>;
  using Rows::d_, Rows::k_, Rows::kernels_, Rows::n_, Rows::odd, Rows::padded_k_;

 public:
  using Arguments = SecondMomentsArguments<Element, Real>;

  LinearSecondMoments(const Arguments& arguments, const LinearKernels<Real>& linear, const ElementKernels<Real>& maps,
                      int threads, Patience patience)
      : SharedWork(threads, patience), Rows(arguments.features, arguments.centre, arguments.coef.rows, false, linear),
        a_(arguments), maps_(maps), start_(Rows::padded(arguments.intercept)),
        count_(a_.moments == nullptr ? 0 : curvatures_of(a_.curvature, k_)), features_stride_(wide(d_ + 1)),
        classes_stride_(wide(k_ + 1)) {}

  // Adds to the moments, which are symmetric. When it has been given up they are of no use.
  void run() const {
    const Index rows = stretch_rows();
    const auto packed = buffer_of<Real>(Rows::packed_size() + 1);
    const auto memory = buffer_of<Real>(rows * size_of_a_row() + 4 * kernels_.classes_multiple);
    kernels_.pack_coefficients(a_.coef, packed.get());
    for (Index first = 0; first < n_; first += rows) {
      if (patience_.is_over(patience_.context)) return;
      const Stretch stretch = stretch_of(memory.get(), rows, first);
      share(blocks_of(stretch), workspace_bytes(k_, true),
            [&](Index block, Workspace workspace) { prepare(stretch, block, packed.get(), workspace); });
      const Index of_features = count_ == 1 ? tasks_of(d_ + 1) : count_ == 0 ? 0 : kernels_.second_moments_tasks(d_ + 1, count_);
      const Index of_classes = a_.class_moments == nullptr ? 0 : tasks_of(k_ + 1);
      share(of_features + of_classes, static_cast<std::size_t>(product_rows * kernels_.panel_width) * sizeof(Real),
            [&](Index task, Workspace workspace) {
              const Matrix<const Real> features{stretch.features, stretch.rows, d_ + 1, features_stride_, 1};
              if (task >= of_features)
                add_products({stretch.probabilities, stretch.rows, k_ + 1, classes_stride_, 1}, task - of_features,
                             a_.class_moments, workspace);
              else if (count_ == 1) add_products(features, task, a_.moments, workspace);
              else
                kernels_.add_second_moments(features, {stretch.curvatures, stretch.rows, count_, count_, 1}, task, a_.moments);
            });
    }
    for (Index c = 0; c < count_; ++c) mirror(a_.moments + c * (d_ + 1) * (d_ + 1), d_ + 1);
    if (a_.class_moments != nullptr) mirror(a_.class_moments, k_ + 1);
  }

 private:
  static constexpr Index block_rows = 240, stretch_bytes = Index{1} << 20, most_stretch_rows = 4096;
  // In a task of products: so many rows of them by so many columns, and so many of what is summed over at a time.
  static constexpr Index together = 12, columns_together = 96, product_rows = 120;

  // Rows under way: features and probabilities, the last of which are given, and curvatures. Where their products with each
  // other are wanted, they are times the root of the one curvature, or of the row's weight.
  struct Stretch {
    Index first, rows;
    Real *features, *probabilities, *curvatures;
  };

  Index wide(Index size) const { return odd(rounded_up(size, kernels_.classes_multiple)); }
  Index size_of_a_row() const { return features_stride_ + classes_stride_ + count_; }
  Index stretch_rows() const {
    const Index fitting = stretch_bytes / Index{sizeof(Real)} / size_of_a_row();
    return rounded_up(std::clamp(std::min(fitting, n_), block_rows, most_stretch_rows), kernels_.rows_multiple);
  }
  Stretch stretch_of(Real* memory, Index rows, Index first) const {
    Real* const probabilities = memory + rows * features_stride_;
    Real* const curvatures = probabilities + rows * classes_stride_ + kernels_.classes_multiple;
    return {first, std::min(rows, n_ - first), memory, probabilities, curvatures};
  }
  static Index blocks_of(const Stretch& stretch) { return (stretch.rows + block_rows - 1) / block_rows; }

  void prepare(const Stretch& stretch, Index block, const Real* packed, Workspace workspace) const {
    const Index at = block * block_rows, rows = std::min(block_rows, stretch.rows - at);
    Real* const features = stretch.features + at * features_stride_;
    Real* const probabilities = stretch.probabilities + at * classes_stride_;
    Rows::bring(stretch.first + at, rows, features, features_stride_);
    kernels_.score({features, rounded_up(rows, kernels_.rows_multiple), d_, features_stride_, 1}, packed, k_, start_.data(), 0,
                   d_, probabilities, classes_stride_);
    const double temperature = 1.0;
    maps_.softmax({probabilities, rows, k_, classes_stride_, 1}, {&temperature, 0}, {probabilities, rows, k_, classes_stride_, 1},
                  workspace);
    for (Index i = 0; i < rows; ++i) {
      Real* const x = features + i * features_stride_;
      Real* const p = probabilities + i * classes_stride_;
      x[d_] = static_cast<Real>(a_.last);
      p[k_] = Real{1};
      const Real weight = a_.weights == nullptr ? Real{1} : static_cast<Real>(a_.weights[stretch.first + at + i]);
      Real* const curvatures = stretch.curvatures + (at + i) * count_;
      if (count_ > 0) curve(p, weight, curvatures);
      if (count_ == 1) scale(x, d_ + 1, std::sqrt(*curvatures));
      if (a_.class_moments != nullptr && a_.weights != nullptr) scale(p, k_ + 1, std::sqrt(weight));
    }
  }

  static void scale(Real* row, Index count, Real factor) {
    for (Index j = 0; j < count; ++j) row[j] *= factor;
  }

  void curve(const Real* p, Real weight, Real* curvatures) const {
    const double* damping = a_.damping;
    switch (a_.curvature) {
      case Curvature::classes:
        for (Index c = 0; c < k_; ++c) curvatures[c] = weight * (p[c] * (1 - p[c]) + static_cast<Real>(damping[c]));
        return;
      case Curvature::pairs:
        for (Index a = 0; a < k_; ++a)
          for (Index b = a + 1; b < k_; ++b) *curvatures++ = weight * (p[a] * p[b] + static_cast<Real>(*damping++));
        return;
      case Curvature::all: {
        double sum = 0;  // p'p may be as near to 1 as the curvature is to 0
        for (Index c = 0; c < k_; ++c) sum += static_cast<double>(p[c]) * p[c];
        *curvatures = weight * static_cast<Real>(std::max(1 - sum, 0.0) + *damping);
      }
    }
  }

  // Products of a matrix's columns with each other, on and below the diagonal: a task is some rows of these by some of their
  // columns, the longest rows first.
  static Index tasks_of(Index size) {
    Index tasks = 0;
    for (Index row = 0; row < size; row += together) tasks += tasks_of_row(row, size);
    return tasks;
  }
  static Index tasks_of_row(Index row, Index size) {
    return (std::min(row + together, size) + columns_together - 1) / columns_together;
  }
  void add_products(const Matrix<const Real>& columns, Index task, double* products, const Workspace& workspace) const {
    const Index size = columns.columns, stride = columns.row_stride;
    Index row = (size - 1) / together * together;
    for (; task >= tasks_of_row(row, size); row -= together) task -= tasks_of_row(row, size);
    const Index rows = std::min(together, size - row), from = task * columns_together;
    const Index count = std::min(columns_together, row + rows - from);
    for (Index at = 0; at < columns.rows && !is_given_up(workspace); at += product_rows) {
      const Real* const data = columns.data + at * stride;
      kernels_.add_gradient_double({data + from, std::min(product_rows, columns.rows - at), count, stride, 1}, data + row,
                                   stride, rows, products + row * size + from, size, static_cast<Real*>(workspace.memory));
    }
  }

  static void mirror(double* square, Index size) {
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j < i; ++j) square[j * size + i] = square[i * size + j];
  }

  const Arguments& a_;
  const ElementKernels<Real>& maps_;
  const std::vector<Real> start_;
  const Index count_, features_stride_, classes_stride_;
};

}  // namespace luce
