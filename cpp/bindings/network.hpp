// What the bindings of networks share: arrays as their kernels take them, and long vectors cut into parts.
#pragma once

#include <cstring>

#include "../network.hpp"
#include "linear.hpp"

namespace luce::bindings {

template <class Real>
const NetworkKernels<Real>& network_of() {
  if constexpr (sizeof(Real) == sizeof(float)) return *active().network_float32;
  else return *active().network_float64;
}

// A call of less work keeps the interpreter: letting it go costs more.
constexpr Index most_work_held = Index{1} << 20;
// Numbers that are worth a thread's waking.
constexpr Index numbers_of_task = numbers_of_block;

inline Activation activation_of(const char* name) {
  constexpr const char* names[] = {"identity", "relu", "gelu", "tanh", "logistic"};
  for (int i = 0; i < 5; ++i)
    if (std::strcmp(name, names[i]) == 0) return static_cast<Activation>(i);
  refuse(std::string("activation is '") + name + "'; expected identity, relu, gelu, tanh or logistic");
}

template <class F>
void with_real(const char* name, const Input& array, F f) {
  if (array.dtype() == nb::dtype<float>()) f(float{});
  else if (array.dtype() == nb::dtype<double>()) f(double{});
  else refuse_type(std::string(name) + " must be float32 or float64");
}

// Rows of adjacent elements, each any distance from the one before.
template <class T, class Array>
Matrix<T> rows_of_matrix(const char* name, const Array& array, Index rows, Index columns) {
  const Matrix<T> matrix = matrix_of<T>(name, array, rows, columns);
  if (matrix.column_stride != 1 && columns > 1 && rows > 0)
    refuse(std::string(name) + ": the elements of a row must be adjacent; copy with numpy.ascontiguousarray");
  return {matrix.data, rows, columns, rows > 1 ? matrix.row_stride : columns, 1};
}
// Rows one after another.
template <class T, class Array>
Matrix<T> compact(const char* name, const Array& array, Index rows, Index columns) {
  const Matrix<T> matrix = rows_of_matrix<T>(name, array, rows, columns);
  if (matrix.row_stride != columns && rows > 1) refuse(std::string(name) + " must be C-contiguous");
  return {matrix.data, rows, columns, columns, 1};
}

// Pairwise: outputs share no memory with any other argument.
template <std::size_t outputs, std::size_t inputs>
void require_all_apart(const Extent (&out)[outputs], const Extent (&in)[inputs]) {
  for (std::size_t i = 0; i < outputs; ++i) {
    for (std::size_t j = 0; j < i; ++j) require_apart(out[i], out[j]);
    for (const Extent& other : in) require_apart(out[i], other);
  }
}

template <class F>
void run_released(Index work, const F& f) {
  Interrupt interrupt;
  if (work <= most_work_held) {
    f(interrupt.patience());
  } else {
    const nb::gil_scoped_release released;
    f(interrupt.patience());
  }
  interrupt.rethrow();
}

inline void require_matrix(const char* name, const Input& array) {
  if (array.ndim() != 2) refuse(std::string(name) + " has shape " + shape_of(array) + "; expected two axes");
}

// f(first number, how many) for parts of a long vector.
template <class F>
void share(Index count, int threads, Patience patience, const F& f) {
  const Index tasks = (count + numbers_of_task - 1) / numbers_of_task;
  const Job job{tasks, 64,
                [](const void* context, Index task, Workspace) { (*static_cast<const F*>(context))(task * numbers_of_task); },
                &f};
  run_job(job, threads, patience);
}

// All elements of a C-contiguous array, one after another.
template <class T, class Array>
T* elements_of(const char* name, const Array& array, Index count) {
  using Plain = std::remove_const_t<T>;
  if (array.dtype() != nb::dtype<Plain>()) refuse_type(std::string(name) + " has another dtype than the others");
  Index stride = 1;
  for (std::size_t axis = array.ndim(); axis-- > 0;) {
    if (count > 0 && array.shape(axis) > 1 && array.stride(axis) != stride) refuse(std::string(name) + " must be C-contiguous");
    stride *= static_cast<Index>(array.shape(axis));
  }
  if (stride != count) refuse(std::string(name) + " has shape " + shape_of(array) + ": not as many elements as the others");
  require_aligned(name, array, sizeof(T));
  return static_cast<T*>(const_cast<void*>(static_cast<const void*>(array.data())));
}
template <class Array>
Index count_of(const Array& array) { return static_cast<Index>(array.size()); }

// An output that is an input, or apart from it.
inline void require_same_or_apart(const Output& out, const char* name, const Input& input) {
  if (out.data() != input.data()) require_apart(extent("out", out), extent(name, input));
}
}  // namespace luce::bindings
