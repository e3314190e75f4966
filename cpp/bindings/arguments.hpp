// What the bindings share: the arrays they accept, and the checks that turn a wrong shape into an exception.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>

#include "../dispatch.hpp"
#include "overlap.hpp"

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

template <class Array>
void require_aligned(const char* name, const Array& array) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(typename Array::Scalar) != 0)
    throw std::invalid_argument(std::string(name) + ": the elements are not aligned in memory; copy with " +
                                "numpy.require(array, requirements='A')");
}

template <class T>
Matrix<T> matrix(const char* name, const Matrix2<T>& array) {
  if (array.shape(1) > 1 && array.shape(0) > 0 && array.stride(1) != 1)
    throw std::invalid_argument(std::string(name) + ": the elements of a row must be adjacent in memory; copy with " +
                                "numpy.ascontiguousarray");
  require_aligned(name, array);
  return {array.data(), static_cast<Index>(array.shape(0)), static_cast<Index>(array.shape(1)), array.stride(0)};
}

template <class T>
T* vector(const char* name, const Vector1<T>& array, Index size) {
  if (static_cast<Index>(array.shape(0)) != size)
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(array.shape(0)) + " elements; expected " +
                                std::to_string(size) + ", one for each row of scores");
  if (size > 1 && array.stride(0) != 1)
    throw std::invalid_argument(std::string(name) + ": the elements must be adjacent in memory; copy with " +
                                "numpy.ascontiguousarray");
  require_aligned(name, array);
  return array.data();
}

// A matrix of the shape of the scores: in their place, or apart from them, with rows that are apart from each other.
template <class Real>
Matrix<Real> output(const char* name, const Matrix2<Real>& array, const Matrix<const Real>& scores) {
  const Matrix<Real> out = matrix(name, array);
  if (out.rows != scores.rows || out.columns != scores.columns)
    throw std::invalid_argument(std::string(name) + " has shape (" + std::to_string(out.rows) + ", " +
                                std::to_string(out.columns) + "); scores have (" + std::to_string(scores.rows) +
                                ", " + std::to_string(scores.columns) + ")");
  const Index distance = out.row_stride < 0 ? -out.row_stride : out.row_stride;
  if (out.rows > 1 && out.columns > 0 && distance < out.columns)
    throw std::invalid_argument(std::string(name) + ": rows overlap in memory");
  require_in_place_or_apart(name, out, scores);
  return out;
}

// One element for each row of the scores, apart from them.
template <class T, class Real>
T* output(const char* name, const Vector1<T>& array, const Matrix<const Real>& scores) {
  T* out = vector(name, array, scores.rows);
  require_apart(region(name, out, scores.rows), region("scores", scores));
  return out;
}

void bind_dispatch(nb::module_& module);
void bind_softmax(nb::module_& module);
void bind_argmax(nb::module_& module);
void bind_cross_entropy(nb::module_& module);

}  // namespace luce::bindings
