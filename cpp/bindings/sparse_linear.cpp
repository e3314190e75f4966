#include "../sparse_linear_cross_entropy.hpp"

#include "linear.hpp"

namespace luce::bindings {
namespace {

Integers integers_of(const char* name, const Input& array) {
  const bool are_wide = array.dtype() == nb::dtype<std::int64_t>();
  if (!are_wide && array.dtype() != nb::dtype<std::int32_t>()) refuse_type(std::string(name) + " must be int32 or int64");
  if (array.ndim() != 1) refuse(std::string(name) + " has shape " + shape_of(array) + "; expected one axis");
  if (array.shape(0) > 1 && array.stride(0) != 1)
    refuse(std::string(name) + ": the elements must be adjacent in memory; copy with numpy.ascontiguousarray");
  require_aligned(name, array, array.itemsize());
  return {array.data(), are_wide};
}

constexpr Index most = 0x7fffffff;  // of features, and of entries of a row

struct SparseCall {
  const Input& values;
  const Input& indices;
  const Input& starts;
  const OptionalInput& weights;
  const Input& coef;
  const OptionalInput& intercept;
  const Output& gradient;
  const Output& intercept_gradient;
  int threads;

  Index n() const { return static_cast<Index>(starts.shape(0)) - 1; }
  Index d() const { return static_cast<Index>(coef.shape(1)); }
  Index k() const { return static_cast<Index>(coef.shape(0)); }

  void check() const {
    if (coef.ndim() != 2) refuse("coef has shape " + shape_of(coef) + "; expected (classes, features)");
    if (k() < 1) refuse("coef has no classes");
    if (d() > most) refuse("coef has " + std::to_string(d()) + " features; expected less than 2^31");
    if (starts.ndim() != 1 || starts.shape(0) < 1)
      refuse("indptr has shape " + shape_of(starts) + "; expected (rows + 1,)");
    if (values.ndim() != 1 || indices.ndim() != 1 || values.shape(0) != indices.shape(0))
      refuse("data has shape " + shape_of(values) + " and indices " + shape_of(indices) +
             "; expected one of each an entry");
    if (values.shape(0) > 1 && values.stride(0) != 1)
      refuse("data: the elements must be adjacent in memory; copy with numpy.ascontiguousarray");
    for (const auto& [name, array] : {std::pair<const char*, const Input&>{"data", values},
                                      {"indices", indices},
                                      {"indptr", starts},
                                      {"coef", coef}}) {
      require_apart(extent("gradient", gradient), extent(name, array));
      require_apart(extent("intercept_gradient", intercept_gradient), extent(name, array));
    }
    require_apart(extent("gradient", gradient), extent("intercept_gradient", intercept_gradient));
  }

  // f(arguments) with the types of data and coef
  template <class F>
  void with_types(F f) const {
    const bool is_wide = coef.dtype() == nb::dtype<double>(), has_floats = values.dtype() == nb::dtype<float>();
    if (!is_wide && coef.dtype() != nb::dtype<float>()) refuse_type("coef must be float32 or float64");
    if (!has_floats && values.dtype() != nb::dtype<double>()) refuse_type("data must be float32 or float64");
    if (!is_wide && !has_floats) refuse_type("data are float64 and coef float32: give coef as float64");
    if (!is_wide) f(with<float, float>());
    else if (has_floats) f(with<float, double>());
    else f(with<double, double>());
  }

  template <class Element, class Real>
  SparseLinearArguments<Element, Real> with() const {
    SparseLinearArguments<Element, Real> a{};
    require_aligned("data", values, sizeof(Element));
    a.features = {static_cast<const Element*>(values.data()), integers_of("indices", indices),
                  integers_of("indptr", starts), static_cast<Index>(values.shape(0)), n(), d()};
    check_starts(a.features.starts, a.features.entries);
    a.coef = matrix_of<const Real>("coef", coef, k(), d());
    if (intercept) a.intercept = row_vector<const Real>("intercept", *intercept, k());
    if (weights) a.weights = row_vector<const double>("weights", *weights, n());
    if (gradient.dtype() != nb::dtype<double>()) refuse_type("gradient must be float64");
    a.gradient = output_of<double>("gradient", gradient, k(), d());
    a.intercept_gradient = row_vector<double>("intercept_gradient", intercept_gradient, k());
    return a;
  }

  void check_starts(const Integers& given, Index entries) const {
    const auto expect = [](Index row, Index found, const std::string& expected) {
      refuse("indptr[" + std::to_string(row) + "] is " + std::to_string(found) + "; expected " + expected);
    };
    if (given[0] != 0) expect(0, given[0], "0");
    for (Index i = 0; i < n(); ++i) {
      const Index before = given[i], found = given[i + 1];
      if (found < before) expect(i + 1, found, "at least the one before, " + std::to_string(before));
      if (found - before > most) expect(i + 1, found, "less than 2^31 entries a row");
    }
    if (given[n()] > entries) expect(n(), given[n()], "at most the number of entries, " + std::to_string(entries));
  }

  [[noreturn]] void refuse_wrong_index(const Integers& given, const Integers& rows) const {
    const auto entries = static_cast<Index>(indices.shape(0));
    for (Index row = 0; row < n(); ++row)
      for (Index t = std::max<Index>(rows[row], 0); t < std::min(rows[row + 1], entries); ++t)
        if (given[t] < 0 || given[t] >= d())
          refuse("indices[" + std::to_string(t) + "], in row " + std::to_string(row) + ", is " + std::to_string(given[t]) +
                 "; expected a feature from 0 to " + std::to_string(d() - 1));
    refuse("indices have changed meanwhile");
  }

  template <class Element, class Real>
  double run(const SparseLinearArguments<Element, Real>& arguments) const {
    Interrupt interrupt;
    double loss = 0;
    bool has_wrong_index = false;
    {
      const nb::gil_scoped_release released;
      SparseLinearCrossEntropy<Element, Real> pass(arguments, sparse_of<Real>(), linear_of<Real>(), losses_of<Real>(),
                                                   kernels_of<Real>(), threads, interrupt.patience());
      loss = pass.run();
      has_wrong_index = pass.has_wrong_index();
    }
    interrupt.rethrow();
    if (has_wrong_index) refuse_wrong_index(arguments.features.indices, arguments.features.starts);
    return loss;
  }
};

double sparse_linear_cross_entropy(const Input& values, const Input& indices, const Input& starts, const Input& labels,
                                   const OptionalInput& weights, const Input& coef, const OptionalInput& intercept,
                                   const Output& gradient, const Output& intercept_gradient, double label_smoothing,
                                   int threads) {
  const SparseCall call{values, indices, starts, weights, coef, intercept, gradient, intercept_gradient, threads};
  call.check();
  double loss = 0;
  call.with_types([&](auto arguments) {
    take_labels(arguments, labels, label_smoothing, call.n(), call.k());
    loss = call.run(arguments);
  });
  return loss;
}

void sparse_linear_hessian_vector(const Input& values, const Input& indices, const Input& starts,
                                  const OptionalInput& weights, const Input& coef, const OptionalInput& intercept,
                                  const Input& direction, const OptionalInput& direction_intercept, const Output& product,
                                  const Output& intercept_product, int threads) {
  const SparseCall call{values, indices, starts, weights, coef, intercept, product, intercept_product, threads};
  call.check();
  call.with_types([&](auto arguments) {
    take_direction(arguments, direction, direction_intercept);
    call.run(arguments);
  });
}

}  // namespace

void bind_sparse_linear(nb::module_& module) {
  module.def("sparse_linear_cross_entropy", &sparse_linear_cross_entropy, nb::arg("data").noconvert(),
             nb::arg("indices").noconvert(), nb::arg("indptr").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("gradient").noconvert(), nb::arg("intercept_gradient").noconvert(), nb::kw_only(),
             nb::arg("label_smoothing") = 0.0, nb::arg("threads") = 1,
             "linear_cross_entropy of the rows of a CSR matrix, whose indices may be in any order and repeat.");
  module.def("sparse_linear_hessian_vector", &sparse_linear_hessian_vector, nb::arg("data").noconvert(),
             nb::arg("indices").noconvert(), nb::arg("indptr").noconvert(), nb::arg("weights").noconvert().none(),
             nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(), nb::arg("direction").noconvert(),
             nb::arg("direction_intercept").noconvert().none(), nb::arg("product").noconvert(),
             nb::arg("intercept_product").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "The product of that sum's Hessian with a direction.");
}

}  // namespace luce::bindings
