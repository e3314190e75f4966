// What the compiled kernels offer. Every instruction set has one table of them, filled from the same source.
//
// Conventions: a matrix is a pointer, a number of rows, a number of columns and the distance between two rows,
// counted in elements; within a row the elements are adjacent. The caller owns all outputs. A matrix output may be
// the very memory of the scores (same pointer, same row distance); otherwise an output overlaps no other argument.
#pragma once

#include <cstddef>
#include <cstdint>

namespace luce {

using Index = std::int64_t;

template <class Real>
struct Matrix {
  Real* data;
  Index rows;
  Index columns;
  Index row_stride;
};

// Kernels on scores of one type. A temperature is finite and greater than 0.
template <class Real>
struct RealKernels {
  void (*softmax)(Matrix<const Real> scores, double temperature, Matrix<Real> out);
  void (*log_softmax)(Matrix<const Real> scores, double temperature, Matrix<Real> out);
  void (*logsumexp)(Matrix<const Real> scores, Real* out);
  // The matrix has at least one column, unless it has no rows.
  void (*argmax)(Matrix<const Real> scores, std::int64_t* out);
  // Returns the first row whose label is no column, with nothing written; -1 when there is none.
  // `weights` may be null (all 1); `gradient.data` may be null (not wanted).
  Index (*cross_entropy)(Matrix<const Real> scores, const std::int64_t* labels, const double* weights,
                         double* losses, Matrix<Real> gradient);
};

struct Kernels {
  const char* isa;
  RealKernels<float> float32;
  RealKernels<double> float64;
};

}  // namespace luce
