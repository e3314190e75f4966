// The layers of a network.
#include "network.hpp"

#include "../dense.hpp"

namespace luce::bindings {
namespace {

void dense(const Input& features, const Input& weights, const Input& bias, const char* activation, const Output& out,
           const OptionalOutput& before, int threads) {
  require_matrix("features", features);
  require_matrix("weights", weights);
  const auto n = static_cast<Index>(features.shape(0)), d = static_cast<Index>(features.shape(1));
  const auto k = static_cast<Index>(weights.shape(1));
  with_real("features", features, [&](auto element) {
    using Real = decltype(element);
    DenseForward<Real> x{};
    x.features = rows_of_matrix<const Real>("features", features, n, d);
    x.weights = rows_of_matrix<const Real>("weights", weights, d, k);
    x.bias = row_vector<const Real>("bias", bias, k);
    x.activation = activation_of(activation);
    x.out = compact<Real>("out", out, n, k);
    if (before) x.before = compact<Real>("before", *before, n, k);
    const Extent none{"before", 0, 0};
    require_all_apart({extent("out", out), before ? extent("before", *before) : none},
                      {extent("features", features), extent("weights", weights), extent("bias", bias)});
    run_released(n * d * k, [&](Patience patience) { Dense<Real>(network_of<Real>(), threads, patience).forward(x); });
  });
}

void dense_vjp(const Output& cotangent, const OptionalInput& kept, const char* activation, const Input& features,
               const Input& weights, const Output& weights_gradient, const Output& bias_gradient,
               const OptionalOutput& features_gradient, int threads) {
  require_matrix("features", features);
  require_matrix("weights", weights);
  const auto n = static_cast<Index>(features.shape(0)), d = static_cast<Index>(features.shape(1));
  const auto k = static_cast<Index>(weights.shape(1));
  with_real("features", features, [&](auto element) {
    using Real = decltype(element);
    DenseBackward<Real> x{};
    x.activation = activation_of(activation);
    x.cotangent = compact<Real>("cotangent", cotangent, n, k);
    if (kept) x.kept = compact<const Real>("kept", *kept, n, k).data;
    else if (x.activation != Activation::identity) refuse("kept is None; only identity's derivative needs none");
    x.features = rows_of_matrix<const Real>("features", features, n, d);
    x.weights = rows_of_matrix<const Real>("weights", weights, d, k);
    x.weights_gradient = compact<Real>("weights_gradient", weights_gradient, d, k);
    x.bias_gradient = row_vector<Real>("bias_gradient", bias_gradient, k);
    if (features_gradient) x.features_gradient = compact<Real>("features_gradient", *features_gradient, n, d);
    const Extent none{"none", 0, 0};
    require_all_apart({extent("cotangent", cotangent), extent("weights_gradient", weights_gradient),
                       extent("bias_gradient", bias_gradient),
                       features_gradient ? extent("features_gradient", *features_gradient) : none},
                      {kept ? extent("kept", *kept) : none, extent("features", features), extent("weights", weights)});
    run_released(2 * n * d * k, [&](Patience patience) { Dense<Real>(network_of<Real>(), threads, patience).backward(x); });
  });
}

void activate(const Input& features, const char* activation, const Output& out, int threads) {
  with_real("features", features, [&](auto element) {
    using Real = decltype(element);
    const Index count = count_of(features);
    const Activation kind = activation_of(activation);
    const auto* const from = elements_of<const Real>("features", features, count);
    auto* const to = elements_of<Real>("out", out, count);
    require_same_or_apart(out, "features", features);
    run_released(count * 16, [&](Patience patience) {
      share(count, threads, patience, [&](Index first) {
        network_of<Real>().activate(kind, from + first, std::min(numbers_of_task, count - first), to + first);
      });
    });
  });
}

void activate_vjp(const Input& cotangent, const OptionalInput& kept, const char* activation, const Output& out, int threads) {
  with_real("cotangent", cotangent, [&](auto element) {
    using Real = decltype(element);
    const Index count = count_of(cotangent);
    const Activation kind = activation_of(activation);
    const auto* const from = elements_of<const Real>("cotangent", cotangent, count);
    const Real* const known = kept ? elements_of<const Real>("kept", *kept, count) : nullptr;
    if (known == nullptr && kind != Activation::identity) refuse("kept is None; only identity's derivative needs none");
    auto* const to = elements_of<Real>("out", out, count);
    require_same_or_apart(out, "cotangent", cotangent);
    if (kept) require_apart(extent("out", out), extent("kept", *kept));
    run_released(count * 16, [&](Patience patience) {
      share(count, threads, patience, [&](Index first) {
        const Real* const here = known == nullptr ? nullptr : known + first;
        network_of<Real>().activate_vjp(kind, from + first, here, std::min(numbers_of_task, count - first), to + first);
      });
    });
  });
}

void dropout(const Input& features, double rate, std::uint64_t seed, const Output& out, int threads) {
  if (!(rate >= 0.0 && rate < 1.0)) refuse("rate must be at least 0 and less than 1");
  with_real("features", features, [&](auto element) {
    using Real = decltype(element);
    const Index count = count_of(features);
    const auto* const from = elements_of<const Real>("features", features, count);
    auto* const to = elements_of<Real>("out", out, count);
    require_same_or_apart(out, "features", features);
    const auto least = static_cast<std::uint64_t>(std::nearbyint(rate * 0x1p24));
    const Real factor = static_cast<Real>(1.0 / (1.0 - rate));
    run_released(count * 8, [&](Patience patience) {
      share(count, threads, patience, [&](Index first) {
        network_of<Real>().dropout(from + first, first, std::min(numbers_of_task, count - first), seed, least, factor, to + first);
      });
    });
  });
}

}  // namespace

void bind_network(nb::module_& module) {
  module.def("dense", &dense, nb::arg("features").noconvert(), nb::arg("weights").noconvert(), nb::arg("bias").noconvert(),
             nb::arg("activation"), nb::arg("out").noconvert(), nb::arg("before").noconvert().none() = nb::none(),
             nb::kw_only(), nb::arg("threads") = 1, "activation(features @ weights + bias) into out; what is activated into before.");
  module.def("dense_vjp", &dense_vjp, nb::arg("cotangent").noconvert(), nb::arg("kept").noconvert().none(),
             nb::arg("activation"), nb::arg("features").noconvert(), nb::arg("weights").noconvert(),
             nb::arg("weights_gradient").noconvert(), nb::arg("bias_gradient").noconvert(),
             nb::arg("features_gradient").noconvert().none() = nb::none(), nb::kw_only(), nb::arg("threads") = 1,
             "The gradients of dense from that of its output, which becomes that of what is activated.");
  module.def("activate", &activate, nb::arg("features").noconvert(), nb::arg("activation"), nb::arg("out").noconvert(),
             nb::kw_only(), nb::arg("threads") = 1, "activation(features) into out, which may be the features.");
  module.def("activate_vjp", &activate_vjp, nb::arg("cotangent").noconvert(), nb::arg("kept").noconvert().none(),
             nb::arg("activation"), nb::arg("out").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "cotangent * activation' into out, which may be the cotangent.");
  module.def("dropout", &dropout, nb::arg("features").noconvert(), nb::arg("rate"), nb::arg("seed"),
             nb::arg("out").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "Each feature, with probability rate, 0, else divided by 1 - rate, into out, which may be the features.");
}

}  // namespace luce::bindings
