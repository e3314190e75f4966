// What the bindings share: the arrays they accept, and the checks that turn a wrong shape into an exception.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>

#include "../dispatch.hpp"

namespace luce::bindings {

namespace nb = nanobind;

template <class T>
using Matrix2 = nb::ndarray<T, nb::ndim<2>, nb::device::cpu>;
template <class T>
using Vector1 = nb::ndarray<T, nb::ndim<1>, nb::device::cpu>;

// The table chosen at import.
const Kernels& active();

template <class Real>
const RealKernels<Real>& active_of();
template <>
inline const RealKernels<float>& active_of<float>() { return active().float32; }
template <>
inline const RealKernels<double>& active_of<double>() { return active().float64; }

inline std::string text(size_t n) { return std::to_string(n); }

template <class T>
Matrix<T> matrix(const char* name, const Matrix2<T>& array) {
  if (array.shape(1) > 1 && array.shape(0) > 0 && array.stride(1) != 1)
    throw std::invalid_argument(std::string(name) + ": the elements of a row must be adjacent in memory; copy with " +
                                "numpy.ascontiguousarray");
  return {array.data(), static_cast<Index>(array.shape(0)), static_cast<Index>(array.shape(1)), array.stride(0)};
}

template <class T>
T* vector(const char* name, const Vector1<T>& array, Index size) {
  if (static_cast<Index>(array.shape(0)) != size)
    throw std::invalid_argument(std::string(name) + " has " + text(array.shape(0)) + " elements; expected " +
                                std::to_string(size) + ", one for each row of scores");
  if (size > 1 && array.stride(0) != 1)
    throw std::invalid_argument(std::string(name) + ": the elements must be adjacent in memory; copy with " +
                                "numpy.ascontiguousarray");
  return array.data();
}

template <class A, class B>
void require_same_shape(const char* name, const Matrix<A>& array, const Matrix<B>& scores) {
  if (array.rows != scores.rows || array.columns != scores.columns)
    throw std::invalid_argument(std::string(name) + " has shape (" + std::to_string(array.rows) + ", " +
                                std::to_string(array.columns) + "); scores have (" + std::to_string(scores.rows) +
                                ", " + std::to_string(scores.columns) + ")");
}

// An output whose rows share memory with each other would be written twice.
template <class T>
Matrix<T> output(const char* name, const Matrix2<T>& array) {
  const Matrix<T> result = matrix(name, array);
  const Index distance = result.row_stride < 0 ? -result.row_stride : result.row_stride;
  if (result.rows > 1 && result.columns > 0 && distance < result.columns)
    throw std::invalid_argument(std::string(name) + ": rows overlap in memory");
  return result;
}

void bind_dispatch(nb::module_& module);
void bind_softmax(nb::module_& module);
void bind_argmax(nb::module_& module);
void bind_cross_entropy(nb::module_& module);

}  // namespace luce::bindings
