// What the kernels of a network's layers and of its training offer, beside those of kernels.hpp.
#pragma once

#include "kernels.hpp"

namespace luce {

// Sums over long vectors are of blocks of so many numbers.
constexpr Index numbers_of_block = Index{1} << 15;

// The derivative of gelu is taken from its input, of the others from their output.
enum class Activation { identity, relu, gelu, tanh, logistic };

// One step over a range of parameters; the first `penalised` of them are.
template <class Real>
struct Step {
  Real* parameters;
  const Real* gradient;
  Real* first;   // the moving average of the gradient, or the velocity
  Real* second;  // that of its square
  Index count;
  Index penalised;
  double scale;    // of the gradient
  double penalty;  // slope += penalty * parameter
  double keep;     // parameter *= keep
};
struct AdamConstants {
  double beta_1, beta_2, rate, inverse_spread, epsilon;  // parameter -= rate first / (sqrt(second) inverse_spread + epsilon)
};
struct MomentumConstants {
  double rate, momentum;
  bool nesterov;
};

template <class Real>
struct NetworkKernels {
  Index tile_rows;    // rows of a product are best cut into multiples of this, columns into panels
  Index panel_width;
  Index panel_size;   // elements of memory that a product needs
  // c = a b + bias (if not null). In each of a and b one of the strides is 1; rows of c are.
  void (*product)(const Matrix<const Real>& a, const Matrix<const Real>& b, const Real* bias, const Matrix<Real>& c,
                  Real* panel);
  // Likewise; b's rows may be read a vector beyond their end.
  void (*product_of_padded)(const Matrix<const Real>& a, const Matrix<const Real>& b, const Matrix<Real>& c);
  // Likewise; b was packed, all parts of it. Its columns take memory as if they were a multiple of `vector_width`, in which
  // those of a part begin. Of c remains what is not negative, or (if not null) what is where something like c is positive.
  Index vector_width;
  void (*pack)(const Matrix<const Real>& b, Index row, Index rows, Index column, Index columns, Real* packed);
  void (*product_of_packed)(const Matrix<const Real>& a, const Real* packed, const Real* bias, const Matrix<Real>& c,
                            bool is_relu, const Real* positive);
  void (*transpose)(const Matrix<const Real>& from, const Matrix<Real>& to);
  void (*gather)(const Matrix<const Real>& rows, const std::int64_t* chosen, Index count, Real* to, Index stride);
  void (*activate)(Activation, const Real* from, Index count, Real* to);
  void (*activate_vjp)(Activation, const Real* cotangent, const Real* kept, Index count, Real* to);
  void (*column_sums)(const Matrix<const Real>& rows, Real* sums);
  void (*dropout)(const Real* from, Index first, Index count, std::uint64_t seed, std::uint64_t least, Real factor, Real* to);
  void (*adam)(const Step<Real>&, const AdamConstants&);
  void (*momentum)(const Step<Real>&, const MomentumConstants&);
  void (*approach)(const Real* goal, Index count, double share, Real* to);  // to += share (goal - to)
  double (*squares)(const Real* from, Index count);                         // the sum of all
};

}  // namespace luce
