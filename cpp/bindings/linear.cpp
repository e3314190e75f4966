#include "linear.hpp"

#include <nanobind/stl/string_view.h>

#include "../linear_cross_entropy.hpp"
#include "../linear_second_moments.hpp"

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
    check_coef(coef);
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
    with_feature_types("features", features, coef, [&](auto element, auto real) {
      using Element = decltype(element);
      using Real = decltype(real);
      if (gradient.dtype() == nb::dtype<double>()) return f(with<Element, Real, double>());
      if constexpr (sizeof(Real) == sizeof(float)) {
        if (gradient.dtype() == nb::dtype<float>()) return f(with<Element, Real, float>());
      }
      refuse_type("gradient must be float64, or float32 as coef");
    });
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
                                                    threads_of_pass(n() * d(), n(), k(), threads), interrupt.patience())
                 .run();
    }
    interrupt.rethrow();
    return loss;
  }
};

double linear_cross_entropy(const Input& features, const Input& labels, const OptionalInput& weights, const Input& coef,
                            const OptionalInput& intercept, const Output& gradient, const Output& intercept_gradient,
                            const OptionalOutput& features_gradient, const OptionalInput& centre,
                            const OptionalInput& class_weights, double label_smoothing, int threads) {
  const Call call{features, weights, coef, intercept, gradient, intercept_gradient, centre, threads};
  call.check();
  double loss = 0;
  call.with_types([&](auto arguments) {
    take_labels(arguments, labels, class_weights, label_smoothing, call.n(), call.k());
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

Curvature curvature_of(std::string_view name) {
  if (name == "classes") return Curvature::classes;
  if (name == "pairs") return Curvature::pairs;
  if (name == "all") return Curvature::all;
  refuse("curvature is '" + std::string(name) + "'; expected 'classes', 'pairs' or 'all'");
}

// Square matrices one after another, or one.
double* squares_of(const char* name, const Output& array, std::vector<Index> shape) {
  if (array.dtype() != nb::dtype<double>()) refuse_type(std::string(name) + " must be float64");
  bool is_right = array.ndim() == shape.size();
  for (std::size_t axis = 0; is_right && axis < shape.size(); ++axis) is_right = static_cast<Index>(array.shape(axis)) == shape[axis];
  if (!is_right) {
    std::string expected;
    for (const Index size : shape) expected += (expected.empty() ? "" : ", ") + std::to_string(size);
    refuse(std::string(name) + " has shape " + shape_of(array) + "; expected (" + expected + ")");
  }
  Index adjacent = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; adjacent *= shape[axis])
    if (shape[axis] > 1 && array.stride(axis) != adjacent) refuse(std::string(name) + " must be C-contiguous");
  require_aligned(name, array, sizeof(double));
  return static_cast<double*>(array.data());
}

void linear_second_moments(const Input& features, const OptionalInput& weights, const Input& coef,
                           const OptionalInput& intercept, const OptionalInput& damping, const OptionalOutput& moments,
                           const OptionalOutput& class_moments, std::string_view curvature, double last,
                           const OptionalInput& centre, int threads) {
  if (features.ndim() != 2) refuse("features have shape " + shape_of(features) + "; expected (rows, features)");
  check_coef(coef);
  const auto n = static_cast<Index>(features.shape(0)), d = static_cast<Index>(coef.shape(1)),
             k = static_cast<Index>(coef.shape(0));
  const Curvature wanted = curvature_of(curvature);
  const Index count = curvatures_of(wanted, k);
  for (const auto& [name, out] : {std::pair<const char*, const OptionalOutput&>{"moments", moments}, {"class_moments", class_moments}}) {
    if (!out) continue;
    require_apart(extent(name, *out), extent("features", features));
    require_apart(extent(name, *out), extent("coef", coef));
    for (const auto& [other, array] : {std::pair<const char*, const OptionalInput&>{"weights", weights}, {"intercept", intercept},
                                       {"damping", damping}, {"centre", centre}})
      if (array) require_apart(extent(name, *out), extent(other, *array));
  }
  if (moments && class_moments) require_apart(extent("moments", *moments), extent("class_moments", *class_moments));
  with_feature_types("features", features, coef, [&](auto element, auto real) {
    using Element = decltype(element);
    using Real = decltype(real);
    SecondMomentsArguments<Element, Real> a{};
    a.features = matrix_of<const Element>("features", features, n, d);
    if (weights) a.weights = row_vector<const double>("weights", *weights, n);
    if (centre) a.centre = row_vector<const Real>("centre", *centre, d);
    a.coef = matrix_of<const Real>("coef", coef, k, d);
    if (intercept) a.intercept = row_vector<const Real>("intercept", *intercept, k);
    a.last = last;
    a.curvature = wanted;
    if (moments) {
      if (!damping) refuse("damping is missing: it is added to the curvatures of moments");
      a.damping = row_vector<const double>("damping", *damping, count);
      a.moments = squares_of("moments", *moments, {count, d + 1, d + 1});
    }
    if (class_moments) a.class_moments = squares_of("class_moments", *class_moments, {k + 1, k + 1});
    const Index products = (moments ? count * (d + 1) * (d + 1) : 0) + (class_moments ? k * k : 0);
    Interrupt interrupt;
    {
      const nb::gil_scoped_release released;
      LinearSecondMoments<Element, Real>(a, linear_of<Real>(), kernels_of<Real>(),
                                         threads_of_pass(n * (d + products / k), n, k, threads), interrupt.patience())
          .run();
    }
    interrupt.rethrow();
  });
}

}  // namespace

void bind_linear(nb::module_& module) {
  module.def("linear_cross_entropy", &linear_cross_entropy, nb::arg("features").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("gradient").noconvert(), nb::arg("intercept_gradient").noconvert(),
             nb::arg("features_gradient").noconvert().none() = nb::none(), nb::kw_only(),
             nb::arg("centre").noconvert().none() = nb::none(), nb::arg("class_weights").noconvert().none() = nb::none(),
             nb::arg("label_smoothing") = 0.0, nb::arg("threads") = 1,
             "The sum of the cross-entropies of a linear classifier's scores with labels, or with rows of targets, smoothed "
             "and weighted as in cross_entropy_soft, and its gradients. Labels are taken to be classes: with others the results mean nothing.");
  module.def("linear_hessian_vector", &linear_hessian_vector, nb::arg("features").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("direction").noconvert(), nb::arg("direction_intercept").noconvert().none(),
             nb::arg("product").noconvert(), nb::arg("intercept_product").noconvert(), nb::kw_only(),
             nb::arg("centre").noconvert().none() = nb::none(), nb::arg("threads") = 1,
             "The product of that sum's Hessian with a direction.");
  module.def("linear_second_moments", &linear_second_moments, nb::arg("features").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("damping").noconvert().none(), nb::arg("moments").noconvert().none(),
             nb::arg("class_moments").noconvert().none(), nb::kw_only(), nb::arg("curvature"), nb::arg("last") = 1.0,
             nb::arg("centre").noconvert().none() = nb::none(), nb::arg("threads") = 1,
             "Adds to moments the sums over rows of weight (curvature + damping) x x', x the features and a last one; to "
             "class_moments those of weight p p', p the probabilities and a last one of 1. All are symmetric.");
}

}  // namespace luce::bindings
