// What the bindings of linear classifiers share, of dense features and of sparse ones.
#pragma once

#include <nanobind/stl/optional.h>

#include <optional>

#include "arguments.hpp"

namespace luce::bindings {

using OptionalInput = std::optional<Input>;
using OptionalOutput = std::optional<Output>;

template <class T, class Array>
Matrix<T> matrix_of(const char* name, const Array& array, Index rows, Index columns) {
  using Plain = std::remove_const_t<T>;
  if (array.dtype() != nb::dtype<Plain>()) refuse_type(std::string(name) + " has another dtype than coef");
  if (array.ndim() != 2 || static_cast<Index>(array.shape(0)) != rows || static_cast<Index>(array.shape(1)) != columns)
    refuse(std::string(name) + " has shape " + shape_of(array) + "; expected (" + std::to_string(rows) + ", " +
           std::to_string(columns) + ")");
  require_aligned(name, array, sizeof(T));
  return {static_cast<T*>(const_cast<void*>(static_cast<const void*>(array.data()))), rows, columns, array.stride(0),
          array.stride(1)};
}

// Threads for a pass over rows of so many numbers in all: a short one is over before others have come.
inline int threads_of_pass(Index numbers, Index rows, Index classes, int threads) {
  constexpr Index worth_sharing = Index{1} << 17, exponential = 16;  // in products of a feature with a class
  return (numbers + exponential * rows) * classes < worth_sharing ? 1 : threads;
}

inline void check_coef(const Input& coef) {
  if (coef.ndim() != 2) refuse("coef has shape " + shape_of(coef) + "; expected (classes, features)");
  if (coef.shape(0) < 1) refuse("coef has no classes");
}

template <class T>
Matrix<T> output_of(const char* name, const Output& array, Index rows, Index columns) {
  const Matrix<T> matrix = matrix_of<T>(name, array, rows, columns);
  require_distinct_elements(name, array);
  if (matrix.column_stride != 1 && columns > 1 && rows > 0) refuse(std::string(name) + ": the elements of a row must be adjacent");
  return matrix;
}

// f(element, real) of the types of features, named so in messages, and of coefficients.
template <class F>
void with_feature_types(const char* name, const Input& features, const Input& coef, F f) {
  const bool is_wide = coef.dtype() == nb::dtype<double>(), has_floats = features.dtype() == nb::dtype<float>();
  if (!is_wide && coef.dtype() != nb::dtype<float>()) refuse_type("coef must be float32 or float64");
  if (!has_floats && features.dtype() != nb::dtype<double>()) refuse_type(std::string(name) + " must be float32 or float64");
  if (!is_wide && !has_floats) refuse_type(std::string(name) + " are float64 and coef float32: give coef as float64");
  if (!is_wide) f(float{}, float{});
  else if (has_floats) f(float{}, double{});
  else f(double{}, double{});
}

// What every row is held to, into arguments for `n` rows and `k` classes: class indices, or rows of targets.
template <class Arguments>
void take_labels(Arguments& arguments, const Input& labels, const OptionalInput& class_weights, double label_smoothing,
                 Index n, Index k) {
  using Real = std::remove_const_t<std::remove_pointer_t<decltype(arguments.coef.data)>>;
  if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) refuse("label_smoothing must be from 0 to 1");
  arguments.label_smoothing = label_smoothing;
  if (class_weights) arguments.class_weights = row_vector<const double>("class_weights", *class_weights, k);
  if (labels.ndim() == 1) arguments.labels = row_vector<const std::int64_t>("labels", labels, n);
  else arguments.targets = matrix_of<const Real>("targets", labels, n, k);
}

// The direction of a Hessian's product, into arguments whose coef says its shape.
template <class Arguments>
void take_direction(Arguments& arguments, const Input& direction, const OptionalInput& intercept) {
  using Real = std::remove_const_t<std::remove_pointer_t<decltype(arguments.coef.data)>>;
  arguments.direction = matrix_of<const Real>("direction", direction, arguments.coef.rows, arguments.coef.columns);
  if (intercept) arguments.direction_intercept = row_vector<const Real>("direction_intercept", *intercept, arguments.coef.rows);
}

}  // namespace luce::bindings
