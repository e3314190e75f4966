#include "../sparse_linear_cross_entropy.hpp"

#include "csr.hpp"
#include "linear.hpp"

namespace luce::bindings {
namespace {

struct SparseCall {
  const CsrInput features;
  const OptionalInput& weights;
  const Input& coef;
  const OptionalInput& intercept;
  const Output& gradient;
  const Output& intercept_gradient;
  int threads;

  Index n() const { return features.rows(); }
  Index d() const { return static_cast<Index>(coef.shape(1)); }
  Index k() const { return static_cast<Index>(coef.shape(0)); }

  void check() const {
    check_coef(coef);
    features.check(d());
    for (const auto& out : {extent("gradient", gradient), extent("intercept_gradient", intercept_gradient)}) {
      features.require_apart_from(out);
      require_apart(out, extent("coef", coef));
    }
    require_apart(extent("gradient", gradient), extent("intercept_gradient", intercept_gradient));
  }

  // f(arguments) with the types of data and coef
  template <class F>
  void with_types(F f) const {
    with_feature_types("data", features.values, coef, [&](auto element, auto real) {
      f(with<decltype(element), decltype(real)>());
    });
  }

  template <class Element, class Real>
  SparseLinearArguments<Element, Real> with() const {
    SparseLinearArguments<Element, Real> a{};
    a.features = features.matrix<Element>(d());
    a.coef = matrix_of<const Real>("coef", coef, k(), d());
    if (intercept) a.intercept = row_vector<const Real>("intercept", *intercept, k());
    if (weights) a.weights = row_vector<const double>("weights", *weights, n());
    if (gradient.dtype() != nb::dtype<double>()) refuse_type("gradient must be float64");
    a.gradient = output_of<double>("gradient", gradient, k(), d());
    a.intercept_gradient = row_vector<double>("intercept_gradient", intercept_gradient, k());
    return a;
  }

  template <class Element, class Real>
  double run(const SparseLinearArguments<Element, Real>& arguments) const {
    Interrupt interrupt;
    double loss = 0;
    bool has_wrong_index = false;
    {
      const nb::gil_scoped_release released;
      SparseLinearCrossEntropy<Element, Real> pass(arguments, sparse_of<Real>(), linear_of<Real>(), losses_of<Real>(),
                                                   kernels_of<Real>(),
                                                   threads_of_pass(arguments.features.entries, n(), k(), threads),
                                                   interrupt.patience());
      loss = pass.run();
      has_wrong_index = pass.has_wrong_index();
    }
    interrupt.rethrow();
    if (has_wrong_index) features.refuse_wrong_index(d());
    return loss;
  }
};

double sparse_linear_cross_entropy(const Input& values, const Input& indices, const Input& starts, const Input& labels,
                                   const OptionalInput& weights, const Input& coef, const OptionalInput& intercept,
                                   const Output& gradient, const Output& intercept_gradient,
                                   const OptionalInput& class_weights, double label_smoothing, int threads) {
  const SparseCall call{{values, indices, starts}, weights, coef, intercept, gradient, intercept_gradient, threads};
  call.check();
  double loss = 0;
  call.with_types([&](auto arguments) {
    take_labels(arguments, labels, class_weights, label_smoothing, call.n(), call.k());
    loss = call.run(arguments);
  });
  return loss;
}

void sparse_linear_hessian_vector(const Input& values, const Input& indices, const Input& starts,
                                  const OptionalInput& weights, const Input& coef, const OptionalInput& intercept,
                                  const Input& direction, const OptionalInput& direction_intercept, const Output& product,
                                  const Output& intercept_product, int threads) {
  const SparseCall call{{values, indices, starts}, weights, coef, intercept, product, intercept_product, threads};
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
             nb::arg("class_weights").noconvert().none() = nb::none(), nb::arg("label_smoothing") = 0.0,
             nb::arg("threads") = 1,
             "linear_cross_entropy of the rows of a CSR matrix, whose indices may be in any order and repeat.");
  module.def("sparse_linear_hessian_vector", &sparse_linear_hessian_vector, nb::arg("data").noconvert(),
             nb::arg("indices").noconvert(), nb::arg("indptr").noconvert(), nb::arg("weights").noconvert().none(),
             nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(), nb::arg("direction").noconvert(),
             nb::arg("direction_intercept").noconvert().none(), nb::arg("product").noconvert(),
             nb::arg("intercept_product").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "The product of that sum's Hessian with a direction.");
}

}  // namespace luce::bindings
