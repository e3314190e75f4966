#include "linear.hpp"

#include <tuple>

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

template <class Real>
struct SecondMoments {
  Matrix<const Real> rows, weights;
  double* moments;

  static void run(const void* context, Index task, Workspace) {
    const auto& self = *static_cast<const SecondMoments*>(context);
    linear_of<Real>().add_second_moments(self.rows, self.weights, task, self.moments);
  }
};

// A call of less work is done before other threads have come, and keeps the interpreter.
constexpr Index least_work_shared = Index{1} << 20;

void second_moments(const Input& features, const Input& weights, const Output& moments, int threads) {
  if (features.ndim() != 2) refuse("features have shape " + shape_of(features) + "; expected (rows, features)");
  if (weights.ndim() != 2) refuse("weights have shape " + shape_of(weights) + "; expected (rows, classes)");
  const auto n = static_cast<Index>(features.shape(0)), d = static_cast<Index>(features.shape(1)),
             k = static_cast<Index>(weights.shape(1));
  if (moments.dtype() != nb::dtype<double>()) refuse_type("moments must be float64");
  if (moments.ndim() != 3 || static_cast<Index>(moments.shape(0)) != k || static_cast<Index>(moments.shape(1)) != d ||
      static_cast<Index>(moments.shape(2)) != d)
    refuse("moments have shape " + shape_of(moments) + "; expected (" + std::to_string(k) + ", " + std::to_string(d) +
           ", " + std::to_string(d) + ")");
  require_aligned("moments", moments, sizeof(double));
  for (const auto& [size, stride, adjacent] :
       {std::tuple{d, moments.stride(2), Index{1}}, {d, moments.stride(1), d}, {k, moments.stride(0), d * d}})
    if (size > 1 && d * k > 0 && stride != adjacent) refuse("moments must be C-contiguous");
  require_apart(extent("moments", moments), extent("features", features));
  require_apart(extent("moments", moments), extent("weights", weights));
  const auto run = [&](auto element) {
    using Real = decltype(element);
    const SecondMoments<Real> call{matrix_of<const Real>("features", features, n, d),
                                   matrix_of<const Real>("weights", weights, n, k),
                                   static_cast<double*>(moments.data())};
    for (const auto& [name, matrix] : {std::pair{"features", call.rows}, {"weights", call.weights}})
      if (matrix.column_stride != 1 && matrix.columns > 1 && n > 0)
        refuse(std::string(name) + ": the elements of a row must be adjacent; copy with numpy.ascontiguousarray");
    const Job job{n > 0 ? linear_of<Real>().second_moments_tasks(d, k) : 0, 0, &SecondMoments<Real>::run, &call};
    Interrupt interrupt;
    if (n * k * d * d <= least_work_shared) {
      run_job(job, 1, interrupt.patience());
    } else {
      const nb::gil_scoped_release released;
      run_job(job, threads, interrupt.patience());
    }
    interrupt.rethrow();
  };
  if (features.dtype() == nb::dtype<float>()) run(float{});
  else if (features.dtype() == nb::dtype<double>()) run(double{});
  else refuse_type("features must be float32 or float64");
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
  module.def("second_moments", &second_moments, nb::arg("features").noconvert(), nb::arg("weights").noconvert(),
             nb::arg("moments").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "Adds to moments[c], on and below its diagonal, the sum over rows of weights[row, c] x x'.");
}

}  // namespace luce::bindings
