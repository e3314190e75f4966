// A dense layer of a network over a batch, forward and backward, its parts shared among threads. Every element of a result
// is summed in one order, whatever the parts: results have the same bits for any number of threads.
#pragma once

#include <algorithm>

#include "network.hpp"
#include "parallel.hpp"

namespace luce {

// outputs = activation(features weights + bias)
template <class Real>
struct DenseForward {
  Matrix<const Real> features;
  Matrix<const Real> weights;
  const Real* bias;
  Activation activation;
  Matrix<Real> out;     // rows one after another
  Matrix<Real> before;  // likewise; without data: not wanted
};

// The cotangent of the outputs becomes that of what is activated, and from it all gradients come.
template <class Real>
struct DenseBackward {
  Matrix<Real> cotangent;  // rows one after another
  const Real* kept;        // as the cotangent
  Activation activation;
  Matrix<const Real> features;
  Matrix<const Real> weights;
  Matrix<Real> weights_gradient;
  Real* bias_gradient;
  Matrix<Real> features_gradient;  // without data: not wanted
};

template <class Real>
class Dense {
 public:
  Dense(const NetworkKernels<Real>& kernels, int threads, Patience patience)
      : kernels_(kernels), threads_(threads), patience_(patience) {}

  void forward(const DenseForward<Real>& x) const {
    const Matrix<Real>& products = x.before.data == nullptr ? x.out : x.before;
    const Grid grid = grid_of(x.out.rows, x.features.columns, x.out.columns, threads_);
    run(grid.parts(), [&](Index part, Real* panel) {
      const Cut cut = grid.cut(part);
      multiply(x.features, x.weights, x.bias, products, cut, panel);
      if (x.activation == Activation::identity && x.before.data == nullptr) return;
      each_run(cut, x.out, [&](Index at, Index count) {
        kernels_.activate(x.activation, products.data + at, count, x.out.data + at);
      });
    });
  }

  void backward(const DenseBackward<Real>& x) const {
    const Index n = x.cotangent.rows, k = x.cotangent.columns, d = x.features.columns;
    if (x.activation != Activation::identity) {
      const Grid rows = rows_of(n, k);
      run(rows.parts(), [&](Index part, Real*) {
        each_run(rows.cut(part), x.cotangent, [&](Index at, Index count) {
          kernels_.activate_vjp(x.activation, x.cotangent.data + at, x.kept + at, count, x.cotangent.data + at);
        });
      });
    }
    const Matrix<const Real> delta{x.cotangent.data, n, k, x.cotangent.row_stride, 1};
    const Matrix<const Real> turned_features{x.features.data, d, n, x.features.column_stride, x.features.row_stride};
    const Matrix<const Real> turned_weights{x.weights.data, k, d, x.weights.column_stride, x.weights.row_stride};
    const bool wants_features = x.features_gradient.data != nullptr;
    const int threads = threads_for(n * d * k * (wants_features ? 2 : 1), threads_);
    const Grid of_weights = grid_of(d, n, k, threads), of_features = grid_of(wants_features ? n : 0, k, d, threads);
    run(of_weights.parts() + of_features.parts() + 1, [&](Index part, Real* panel) {
      if (part < of_features.parts()) {
        multiply(delta, turned_weights, nullptr, x.features_gradient, of_features.cut(part), panel);
      } else if ((part -= of_features.parts()) < of_weights.parts()) {
        multiply(turned_features, delta, nullptr, x.weights_gradient, of_weights.cut(part), panel);
      } else {
        kernels_.column_sums(delta, x.bias_gradient);
      }
    }, threads);
  }

 private:
  static constexpr Index work_of_thread = 1'000'000;  // multiplications that are worth waking one
  static constexpr Index activation_cost = 16;
  static constexpr Index most_rows = 240;

  // A part of a result.
  struct Cut {
    Index row, rows, column, columns;
  };
  struct Grid {
    Index rows, columns, row_step, column_step;
    Index down() const { return (rows + row_step - 1) / row_step; }
    Index across() const { return (columns + column_step - 1) / column_step; }
    Index parts() const { return down() * across(); }
    Cut cut(Index part) const {
      const Index row = part % down() * row_step, column = part / down() * column_step;
      return {row, std::min(row_step, rows - row), column, std::min(column_step, columns - column)};
    }
  };

  static int threads_for(Index work, int threads) {
    return static_cast<int>(std::clamp<Index>(work / work_of_thread, 1, threads));
  }

  // Parts of the result (rows, columns) of a product over `depth`, some for each thread, of whole panels and tiles. A panel
  // is packed by each part that has some of it: so columns are shared first.
  Grid grid_of(Index rows, Index depth, Index columns, int threads) const {
    threads = threads_for(rows * depth * columns, threads);
    Grid grid{rows, columns, std::clamp<Index>(rows, 1, most_rows), std::max<Index>(columns, 1)};
    const Index wanted = threads == 1 ? 1 : 2 * threads;
    if (wanted == 1) return grid;
    grid.column_step = step_of(columns, wanted, kernels_.panel_width);
    const Index more = wanted / std::max<Index>(grid.across(), 1);
    if (more > 1) grid.row_step = std::min(grid.row_step, step_of(rows, more, kernels_.tile_rows));
    return grid;
  }
  Grid rows_of(Index rows, Index columns) const {
    const Index parts = std::max(threads_for(rows * columns * activation_cost, threads_), 1);
    return {rows, columns, step_of(rows, parts, 1), std::max<Index>(columns, 1)};
  }
  static Index step_of(Index size, Index parts, Index unit) {
    return std::max((size + parts * unit - 1) / (parts * unit) * unit, unit);
  }

  void multiply(Matrix<const Real> a, Matrix<const Real> b, const Real* bias, Matrix<Real> c, const Cut& cut,
                Real* panel) const {
    a.data += cut.row * a.row_stride;
    a.rows = c.rows = cut.rows;
    b.data += cut.column * b.column_stride;
    b.columns = c.columns = cut.columns;
    c.data += cut.row * c.row_stride + cut.column;
    kernels_.product(a, b, bias == nullptr ? nullptr : bias + cut.column, c, panel);
  }

  // f(place, how many) for what lies together of a part of a matrix.
  template <class F>
  static void each_run(const Cut& cut, const Matrix<Real>& matrix, const F& f) {
    const Index first = cut.row * matrix.row_stride + cut.column;
    if (cut.columns == matrix.row_stride) return f(first, cut.rows * cut.columns);
    for (Index i = 0; i < cut.rows; ++i) f(first + i * matrix.row_stride, cut.columns);
  }

  template <class F>
  void run(Index parts, const F& part) const { run(parts, part, threads_); }
  template <class F>
  void run(Index parts, const F& part, int threads) const {
    const Job job{parts, static_cast<std::size_t>(kernels_.panel_size) * sizeof(Real) + 64,
                  [](const void* context, Index number, Workspace workspace) {
                    (*static_cast<const F*>(context))(number, static_cast<Real*>(workspace.memory));
                  },
                  &part};
    run_job(job, threads, patience_);
  }

  const NetworkKernels<Real>& kernels_;
  const int threads_;
  const Patience patience_;
};

}  // namespace luce
