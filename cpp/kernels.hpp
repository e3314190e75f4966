// What the compiled kernels offer. Every instruction set has one table of them, filled from the same source.
//
// Conventions: a matrix is a pointer, a number of rows, a number of columns, and the distances between neighbours,
// counted in elements. The caller owns all outputs. A matrix output may be the very memory of the scores (same pointer,
// same distances); otherwise an output overlaps no other argument.
#pragma once

#include <cstddef>
#include <cstdint>

namespace luce {

using Index = std::int64_t;

// Floats of 16 bits: stored so, computed as float.
struct Half { std::uint16_t bits; };      // IEEE 754 binary16
struct Bfloat { std::uint16_t bits; };    // the upper half of a float

template <class Element>
struct Matrix {
  Element* data;
  Index rows;
  Index columns;
  Index row_stride;
  Index column_stride;
};

// One number a row: `stride` 0 repeats the first.
struct PerRow {
  const double* data;
  Index stride;
};

// What a kernel may use beside its arguments: memory for intermediate results, aligned to 64 bytes, and word that nobody
// waits any more (then it may stop wherever it is). The word is written by another thread: read it atomically.
// `poll`, which may be null, is asked once in a million elements or so: true means the same. `exceeds_caches` says how the
// arrays of the whole call compare with them: results do not depend on it.
struct Workspace {
  void* memory;
  const bool* cancelled;
  bool (*poll)(void* context);
  void* poll_context;
  bool exceeds_caches = false;
};

// `values` and `weights` may be null (all 1); `gradient.data` may be null (not wanted).
template <class Element>
struct CrossEntropyArguments {
  Matrix<const Element> scores;
  const double* weights;
  double temperature;
  double label_smoothing;
  double z_loss;
  double* losses;
  Matrix<Element> gradient;
};

// Kernels on scores of one type. Temperatures are at least 0; infinity is one of them.
template <class Element>
struct ElementKernels {
  void (*softmax)(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace);
  void (*log_softmax)(Matrix<const Element> scores, PerRow temperatures, Matrix<Element> out, Workspace);
  void (*logsumexp)(Matrix<const Element> scores, Element* out, Workspace);
  // The matrix has at least one column, unless it has no rows.
  void (*argmax)(Matrix<const Element> scores, std::int64_t* out, Workspace);
  // As many of each row as the outputs have columns: at least one, at most 2^32.
  void (*topk)(Matrix<const Element> scores, Matrix<Element> values, Matrix<std::int64_t> indices, Workspace);
};

template <class Real>
using SoftmaxJvp = void (*)(Matrix<const Real> probabilities, Matrix<const Real> tangents, PerRow temperatures,
                            Matrix<Real> out, Workspace);
using Divergences = void (*)(const Matrix<const double>& targets, const Matrix<const double>& probabilities,
                             const Matrix<const double>& log_probabilities, double* sums, const Workspace&);
template <class Real>
using NegativeEntropies = void (*)(const Matrix<const Real>& probabilities, Real* sums, const Workspace&);
using WeightedLogSumExp = void (*)(Matrix<const double> scores, Matrix<const double> weights, double* values,
                                   double* signs, Workspace);

// Targets of every row: 1 for the label or, where there are none, those given, which are not negative and need not sum to 1.
// Smoothing shares some of it out; then each is multiplied by the weight of its class. z_loss is multiplied by the mass of
// the row. `class_weights` and `masses` may be null (all 1).
template <class Real>
struct Targets {
  Matrix<const Real> given;
  const std::int64_t* labels;
  const double* class_weights;
  const double* masses;
};

// Labels are columns of the scores.
template <class Real>
struct LossKernels {
  void (*labels)(const CrossEntropyArguments<Real>&, const std::int64_t* labels, Workspace);
  void (*targets)(const CrossEntropyArguments<Real>&, const Targets<Real>& targets, Workspace);
};

// The parts of a pass of a linear classifier over a block of rows (products.hpp). Classes of features, coefficients and
// scores are adjacent; scores and residuals lie row by row, `stride` apart.
template <class Real>
struct LinearKernels {
  Index rows_multiple;     // blocks are scored in so many rows together
  Index most_rows;         // of a block with sums of its own: a panel of their features stays in the nearest cache
  Index classes_multiple;  // scores have room for so many
  Index most_dotted;       // of so few classes `score_few` is the quicker, unless features are few too:
  Index features_of_a_dot; // adding up the lanes of a dot product takes as long as so many of them
  Index most_side_by_side;
  Index panel_width;       // coefficients are packed so many classes together; add_gradient has as much to spare a row
  void (*pack_float)(Matrix<const float> rows, const Real* centre, Real* packed, Index stride);
  void (*pack_double)(Matrix<const double> rows, const Real* centre, Real* packed, Index stride);  // null for float
  void (*pack_coefficients)(Matrix<const Real> coef, Real* packed);
  // scores = features coef' + start, padded classes too; without a start, scores += features coef'. The features `ahead`
  // of these are asked for meanwhile. Sums of at most so many terms are added up in turn.
  void (*score)(const Matrix<const Real>& features, const Real* packed_coef, Index classes, const Real* start,
                Index ahead, Index terms, Real* scores, Index stride);
  void (*score_few)(const Matrix<const Real>& features, Matrix<const Real> coef, const Real* start, Index ahead,
                    Real* scores);  // the stride is the number of classes
  // What training needs of cross-entropy, of at most `most_side_by_side` classes: cheaper, and good to rounding errors that
  // a sum over rows hides. Returns the sum of the losses; each row's are written if wanted.
  double (*residuals)(Matrix<Real> scores, const double* weights, const std::int64_t* labels, double* losses, Workspace);
  void (*softmax_jvp)(Real* probabilities, const Real* tangents, Index stride, Index rows, Index classes,
                      const double* weights);
  void (*add_gradient)(const Matrix<const Real>& features, const Real* residuals, Index stride, Index classes,
                       Real* gradient, Index gradient_stride, Real* spare);
  void (*add_gradient_double)(const Matrix<const Real>& features, const Real* residuals, Index stride, Index classes,
                              double* gradient, Index gradient_stride, Real* spare);
  void (*add_column_sums)(const Real* residuals, Index stride, Index rows, Index classes, double* sums);
  // Sums of weight x x' over rows x of adjacent features, one for each column of weights, on and below the diagonal: in so
  // many tasks.
  Index (*second_moments_tasks)(Index features, Index classes);
  void (*add_second_moments)(const Matrix<const Real>& rows, const Matrix<const Real>& weights, Index task,
                             double* moments);
};

// Rows of a sparse matrix: the features of their entries, in any order and also more than once, and the values there.
template <class Real>
struct SparseRows {
  const std::uint32_t* features;
  const Real* values;
  const Index* starts;  // where the entries of each row begin, and where the last row's end
  Index rows;
};
// An entry among those of some rows and a range of features: its number there is feature * most_sparse_rows + row.
constexpr Index most_sparse_rows = 4096, most_sparse_features = Index{1} << 20;
template <class Real>
struct SparseEntry {
  std::uint32_t number;
  Real value;
};
template <class Real>
struct SparseRange {
  const SparseEntry<Real>* begin;
  const SparseEntry<Real>* end;
};

// The parts of a pass of a linear classifier over sparse rows (sparse_products.hpp). Packed coefficients, scores and sums
// have room for `padded` classes, rows of them lie `stride` apart.
template <class Real>
struct SparseKernels {
  Index (*padded_classes)(Index classes);
  void (*pack)(const Matrix<const Real>& coef, Index from, Index to, Real* packed, Index padded, Index stride);
  void (*unpack)(const double* sums, Index padded, Index from, Index to, const Matrix<double>& gradient);
  bool (*bring_int32)(const std::int32_t* indices, Index count, std::uint32_t end, std::uint32_t* features);
  bool (*bring_int64)(const std::int64_t* indices, Index count, std::uint32_t end, std::uint32_t* features);
  void (*widen)(const float* values, Index count, double* to);
  void (*score)(const SparseRows<Real>& rows, const Real* packed, Index padded, Index stride, const Real* start,
                Real* scores);
  void (*add_rows)(const SparseRows<Real>& rows, const Real* residuals, Index stride, double* sums, Index padded);
  void (*add_residuals)(const Real* residuals, Index stride, Index rows, double* sums, Index padded);
  void (*sort)(const SparseRows<Real>& rows, Index first_row, int shift, Index ranges, std::uint32_t* ends,
               SparseEntry<Real>* entries);
  void (*add_range)(const SparseRange<Real>* parts, Index count, Index features, const Real* residuals, Index stride,
                    double* sums, Index padded, void* memory);
  void (*add)(const double* from, Index count, double* sums);
};

// softmax(scores / temperature) cut down to top_k classes, of these the fewest with the share top_p, of these the ones at
// least min_p times as likely as the first.
struct SampleSettings {
  double inverse_temperature;  // infinity: the first of the highest scores
  Index top_k;                 // at least 1
  double top_p;                // above 0
  double log_min_p;            // at most 0
};
// A class for every row into `out`, whose elements are `distance` apart as the uniform numbers: the one at which the share of those up to it exceeds the row's uniform number. -1 if a
// score is NaN or infinity, -2 if no class is possible.
template <class Element>
using Sample = void (*)(Matrix<const Element> scores, const double* uniforms, Index distance,
                        const SampleSettings& settings, std::int64_t* out, Workspace);
struct SampleKernels {
  Sample<float> float32;
  Sample<double> float64;
  Sample<Half> float16;
  Sample<Bfloat> bfloat16;
};

template <class Real>
struct NetworkKernels;  // network.hpp

struct Kernels {
  const char* isa;
  ElementKernels<float> float32;
  ElementKernels<double> float64;
  ElementKernels<Half> float16;
  ElementKernels<Bfloat> bfloat16;
  SoftmaxJvp<float> softmax_jvp_float32;
  SoftmaxJvp<double> softmax_jvp_float64;
  WeightedLogSumExp weighted_logsumexp;
  Divergences divergences;
  NegativeEntropies<float> negative_entropies_float32;
  NegativeEntropies<double> negative_entropies_float64;
  const LossKernels<float>* loss_float32;
  const LossKernels<double>* loss_float64;
  const LinearKernels<float>* linear_float32;
  const LinearKernels<double>* linear_float64;
  const SparseKernels<float>* sparse_float32;
  const SparseKernels<double>* sparse_float64;
  const NetworkKernels<float>* network_float32;
  const NetworkKernels<double>* network_float64;
  const SampleKernels* sample;
};

// Bytes of workspace that a call needs; `are_adjacent`: the classes of a row, in the scores and in the output.
inline std::size_t workspace_bytes(Index columns, bool are_adjacent) {
  constexpr Index fixed = 1 << 17, widest_vector = 64;
  return static_cast<std::size_t>(fixed + columns * 24 + (are_adjacent ? 0 : 3 * widest_vector * columns));
}

}  // namespace luce
