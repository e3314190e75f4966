// What the bindings share: the arrays they accept, the checks that turn a wrong argument into an exception, and the way
// a kernel is run over them without holding the interpreter up.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "../dispatch.hpp"
#include "../layout.hpp"
#include "../parallel.hpp"

namespace luce::bindings {

namespace nb = nanobind;

using Input = nb::ndarray<nb::ro, nb::device::cpu>;
using Output = nb::ndarray<nb::device::cpu>;

// The table chosen at import.
const Kernels& active();

template <class Element>
const ElementKernels<Element>& kernels_of();
template <>
inline const ElementKernels<float>& kernels_of<float>() { return active().float32; }
template <>
inline const ElementKernels<double>& kernels_of<double>() { return active().float64; }
template <>
inline const ElementKernels<Half>& kernels_of<Half>() { return active().float16; }
template <>
inline const ElementKernels<Bfloat>& kernels_of<Bfloat>() { return active().bfloat16; }

template <class Real>
const LossKernels<Real>& losses_of() {
  if constexpr (sizeof(Real) == sizeof(float)) return *active().loss_float32;
  else return *active().loss_float64;
}
template <class Real>
const LinearKernels<Real>& linear_of() {
  if constexpr (sizeof(Real) == sizeof(float)) return *active().linear_float32;
  else return *active().linear_float64;
}

template <class Real>
const SparseKernels<Real>& sparse_of() {
  if constexpr (sizeof(Real) == sizeof(float)) return *active().sparse_float32;
  else return *active().sparse_float64;
}

[[noreturn]] inline void refuse(const std::string& message) { throw nb::value_error(message.c_str()); }
[[noreturn]] inline void refuse_type(const std::string& message) { throw nb::type_error(message.c_str()); }

template <class Array>
void require_aligned(const char* name, const Array& array, std::size_t alignment) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignment != 0)
    refuse(std::string(name) + ": the elements are not aligned in memory; copy with "
                               "numpy.require(array, requirements='A')");
}

// The bytes an array reaches over, from its lowest address to its highest.
struct Extent {
  const char* name;
  std::intptr_t begin, end;
};

template <class Array>
Extent extent(const char* name, const Array& array) {
  std::intptr_t begin = reinterpret_cast<std::intptr_t>(array.data()), end = begin;
  const std::intptr_t bytes = array.itemsize();
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    const auto size = static_cast<std::intptr_t>(array.shape(axis));
    if (size == 0) return {name, 0, 0};
    const std::intptr_t reach = (size - 1) * array.stride(axis) * bytes;
    (reach < 0 ? begin : end) += reach;
  }
  return {name, begin, end + bytes};
}

inline void require_apart(const Extent& out, const Extent& other) {
  if (out.begin < other.end && other.begin < out.end && out.begin != out.end && other.begin != other.end)
    refuse(std::string(out.name) + " overlaps " + other.name + " in memory; pass a copy");
}

template <class First, class Second>
bool is_same_memory(const First& a, const Second& b) {
  if (static_cast<const void*>(a.data()) != static_cast<const void*>(b.data())) return false;
  for (std::size_t axis = 0; axis < a.ndim(); ++axis)
    if (a.shape(axis) > 1 && a.stride(axis) != b.stride(axis)) return false;
  return true;
}

// No two elements in one place.
inline void require_distinct_elements(const char* name, const Output& array) {
  std::vector<std::pair<Index, Index>> axes;
  for (std::size_t axis = 0; axis < array.ndim(); ++axis)
    if (array.shape(axis) != 1) axes.emplace_back(std::abs(array.stride(axis)), static_cast<Index>(array.shape(axis)));
  std::sort(axes.begin(), axes.end());
  Index reach = 0;
  for (const auto& [stride, size] : axes) {
    if (size == 0) return;
    if (stride <= reach) refuse(std::string(name) + ": elements overlap in memory; pass an array of its own");
    reach += stride * (size - 1);
  }
}

template <class Array>
std::string shape_of(const Array& array) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < array.ndim(); ++axis)
    text += (axis ? ", " : "") + std::to_string(array.shape(axis));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

// An output of the scores' shape and dtype: in their place, or apart from them.
inline void require_like(const char* name, const Output& out, const Input& scores) {
  if (out.dtype() != scores.dtype()) refuse_type(std::string(name) + " has another dtype than scores");
  bool same = out.ndim() == scores.ndim();
  for (std::size_t axis = 0; same && axis < out.ndim(); ++axis) same = out.shape(axis) == scores.shape(axis);
  if (!same) refuse(std::string(name) + " has shape " + shape_of(out) + "; scores have " + shape_of(scores));
  require_distinct_elements(name, out);
  if (!is_same_memory(out, scores)) require_apart(extent(name, out), extent("scores", scores));
}

// A matrix of the scores' shape and dtype, and some of its rows.
template <class Real>
Matrix<const Real> matrix_like(const char* name, const Input& array, const Input& scores) {
  if (scores.ndim() != 2) refuse("scores have shape " + shape_of(scores) + "; expected (rows, classes)");
  if (array.dtype() != scores.dtype()) refuse_type(std::string(name) + " have another dtype than scores");
  if (array.ndim() != 2 || shape_of(array) != shape_of(scores))
    refuse(std::string(name) + " have shape " + shape_of(array) + "; scores have " + shape_of(scores));
  require_aligned(name, array, sizeof(Real));
  return {static_cast<const Real*>(array.data()), static_cast<Index>(array.shape(0)),
          static_cast<Index>(array.shape(1)), array.stride(0), array.stride(1)};
}
template <class Real>
Matrix<const Real> part_of(Matrix<const Real> matrix, Index first, Index rows) {
  matrix.data += first * matrix.row_stride;
  matrix.rows = rows;
  return matrix;
}

// One adjacent element a row.
template <class Array>
void require_by_row(const char* name, const Array& array, Index rows) {
  if (array.ndim() != 1 || static_cast<Index>(array.shape(0)) != rows)
    refuse(std::string(name) + " has shape " + shape_of(array) + "; expected (" + std::to_string(rows) +
           ",), one for each row of scores");
  if (rows > 1 && array.stride(0) != 1)
    refuse(std::string(name) + ": the elements must be adjacent in memory; copy with numpy.ascontiguousarray");
  require_aligned(name, array, array.itemsize());
}
template <class T, class Array>
T* row_vector(const char* name, const Array& array, Index rows) {
  if (array.dtype() != nb::dtype<std::remove_const_t<T>>())
    refuse_type(std::string(name) + " has another dtype than the kernel writes or reads");
  require_by_row(name, array, rows);
  return static_cast<T*>(const_cast<void*>(static_cast<const void*>(array.data())));
}

// f(element), with an element of the type that the array holds; bfloat16 comes as its bits, uint16.
template <class F>
auto with_element(const Input& scores, F f) {
  const auto dtype = scores.dtype();
  require_aligned("scores", scores, dtype.bits / 8);
  if (dtype == nb::dtype<float>()) return f(float{});
  if (dtype == nb::dtype<double>()) return f(double{});
  if (dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float) && dtype.bits == 16) return f(Half{});
  if (dtype == nb::dtype<std::uint16_t>()) return f(Bfloat{});
  refuse_type("scores must be float32, float64, float16, or the bits of bfloat16 as uint16");
}

// Looks for Ctrl-C while the interpreter is released.
class Interrupt {
 public:
  Patience patience() { return {&Interrupt::is_over, this}; }
  // With the interpreter held again.
  void rethrow() const {
    if (is_over_) throw nb::python_error();
  }

 private:
  static bool is_over(void* context) {
    auto& self = *static_cast<Interrupt*>(context);
    if (self.is_over_) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now - self.last_ < std::chrono::milliseconds(25)) return false;
    self.last_ = now;
    const nb::gil_scoped_acquire held;
    self.is_over_ = PyErr_CheckSignals() != 0;
    return self.is_over_;
  }

  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  bool is_over_ = false;
};

void bind_dispatch(nb::module_& module);
void bind_maps(nb::module_& module);
void bind_losses(nb::module_& module);
void bind_linear(nb::module_& module);
void bind_scores(nb::module_& module);
void bind_sparse_linear(nb::module_& module);
void bind_network(nb::module_& module);
void bind_network_steps(nb::module_& module);
void bind_sample(nb::module_& module);

}  // namespace luce::bindings
