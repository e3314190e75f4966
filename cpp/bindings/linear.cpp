#include "linear.hpp"

#include "../linear_cross_entropy.hpp"

namespace luce::bindings {
namespace {

// The arguments that the value and the Hessian's product share.
struct Call {
  const Input& features;
  const OptionalInput& weights;
  const Input& coef;
  const OptionalInput& intercept;
  const Output& gradient;
  const Output& intercept_gradient;
  const OptionalInput& centre;
  int threads;

  Index n() const { return static_cast<Index>(features.shape(0)); }
  Index d() const { return static_cast<Index>(features.shape(1)); }
  Index k() const { return static_cast<Index>(coef.shape(0)); }

  void check() const {
    if (features.ndim() != 2) refuse("features have shape " + shape_of(features) + "; expected (rows, features)");
    if (coef.ndim() != 2) refuse("coef has shape " + shape_of(coef) + "; expected (classes, features)");
    if (k() < 1) refuse("coef has no classes");
    const auto apart = [](const char* name, const Output& out, const char* other, const Input& array) {
      require_apart(extent(name, out), extent(other, array));
    };
    for (const auto& [name, array] : {std::pair<const char*, const Input&>{"features", features}, {"coef", coef}}) {
      apart("gradient", gradient, name, array);
      apart("intercept_gradient", intercept_gradient, name, array);
    }
    require_apart(extent("gradient", gradient), extent("intercept_gradient", intercept_gradient));
    if (intercept) apart("gradient", gradient, "intercept", *intercept);
    if (intercept) apart("intercept_gradient", intercept_gradient, "intercept", *intercept);
  }

  // run(arguments) with the types of features, coef and gradient
  template <class F>
  void with_types(F f) const {
    const bool is_wide = coef.dtype() == nb::dtype<double>();
    if (!is_wide && coef.dtype() != nb::dtype<float>()) refuse_type("coef must be float32 or float64");
    const bool has_floats = features.dtype() == nb::dtype<float>();
    if (!has_floats && features.dtype() != nb::dtype<double>()) refuse_type("features must be float32 or float64");
    if (!is_wide && !has_floats) refuse_type("features are float64 and coef float32: give coef as float64");
    const bool sums_wide = gradient.dtype() == nb::dtype<double>();
    if (!sums_wide && (is_wide || gradient.dtype() != nb::dtype<float>()))
      refuse_type("gradient must be float64, or float32 as coef");
    if (is_wide && has_floats) f(with<float, double, double>());
    else if (is_wide) f(with<double, double, double>());
    else if (sums_wide) f(with<float, float, double>());
    else f(with<float, float, float>());
  }

  template <class Element, class Real, class Sum>
  LinearArguments<Element, Real, Sum> with() const {
    LinearArguments<Element, Real, Sum> a{};
    require_aligned("features", features, sizeof(Element));
    a.features = {static_cast<const Element*>(features.data()), n(), d(), features.stride(0), features.stride(1)};
    a.coef = matrix_of<const Real>("coef", coef, k(), d());
    if (centre) a.centre = row_vector<const Real>("centre", *centre, d());
    if (intercept) a.intercept = row_vector<const Real>("intercept", *intercept, k());
    if (weights) a.weights = row_vector<const double>("weights", *weights, n());
    a.gradient = output_of<Sum>("gradient", gradient, k(), d());
    a.intercept_gradient = row_vector<double>("intercept_gradient", intercept_gradient, k());
    return a;
  }

  template <class Element, class Real, class Sum>
  double run(const LinearArguments<Element, Real, Sum>& arguments) const {
    Interrupt interrupt;
    double loss = 0;
    {
      const nb::gil_scoped_release released;
      loss = LinearCrossEntropy<Element, Real, Sum>(arguments, linear_of<Real>(), losses_of<Real>(), kernels_of<Real>(),
                                                    threads, interrupt.patience())
                 .run();
    }
    interrupt.rethrow();
    return loss;
  }
};

double linear_cross_entropy(const Input& features, const Input& labels, const OptionalInput& weights, const Input& coef,
                            const OptionalInput& intercept, const Output& gradient, const Output& intercept_gradient,
                            const OptionalOutput& features_gradient, const OptionalInput& centre, double label_smoothing,
                            int threads) {
  const Call call{features, weights, coef, intercept, gradient, intercept_gradient, centre, threads};
  call.check();
  double loss = 0;
  call.with_types([&](auto arguments) {
    take_labels(arguments, labels, label_smoothing, call.n(), call.k());
    if (features_gradient) {
      using Real = std::remove_const_t<std::remove_pointer_t<decltype(arguments.coef.data)>>;
      arguments.features_gradient = output_of<Real>("features_gradient", *features_gradient, call.n(), call.d());
      require_apart(extent("features_gradient", *features_gradient), extent("features", features));
      require_apart(extent("features_gradient", *features_gradient), extent("gradient", gradient));
    }
    loss = call.run(arguments);
  });
  return loss;
}

void linear_hessian_vector(const Input& features, const OptionalInput& weights, const Input& coef,
                           const OptionalInput& intercept, const Input& direction, const OptionalInput& direction_intercept,
                           const Output& product, const Output& intercept_product, const OptionalInput& centre,
                           int threads) {
  const Call call{features, weights, coef, intercept, product, intercept_product, centre, threads};
  call.check();
  call.with_types([&](auto arguments) {
    take_direction(arguments, direction, direction_intercept);
    call.run(arguments);
  });
}

}  // namespace

void bind_linear(nb::module_& module) {
  module.def("linear_cross_entropy", &linear_cross_entropy, nb::arg("features").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("gradient").noconvert(), nb::arg("intercept_gradient").noconvert(),
             nb::arg("features_gradient").noconvert().none() = nb::none(), nb::kw_only(),
             nb::arg("centre").noconvert().none() = nb::none(), nb::arg("label_smoothing") = 0.0, nb::arg("threads") = 1,
             "The sum of the cross-entropies of a linear classifier's scores with labels, or with rows of targets, and "
             "its gradients. Labels are taken to be classes: with others the results mean nothing.");
  module.def("linear_hessian_vector", &linear_hessian_vector, nb::arg("features").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("direction").noconvert(), nb::arg("direction_intercept").noconvert().none(),
             nb::arg("product").noconvert(), nb::arg("intercept_product").noconvert(), nb::kw_only(),
             nb::arg("centre").noconvert().none() = nb::none(), nb::arg("threads") = 1,
             "The product of that sum's Hessian with a direction.");
}

}  // namespace luce::bindings
