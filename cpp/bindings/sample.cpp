#include <cmath>

#include "call.hpp"

namespace luce::bindings {
namespace {

template <class Element>
Sample<Element> sample_of() {
  const SampleKernels& kernels = *active().sample;
  if constexpr (std::is_same_v<Element, float>) return kernels.float32;
  else if constexpr (std::is_same_v<Element, double>) return kernels.float64;
  else if constexpr (std::is_same_v<Element, Half>) return kernels.float16;
  else return kernels.bfloat16;
}

void sample(const Input& scores, const Input& uniforms, const Output& out, double temperature, Index top_k, double top_p,
            double min_p, int threads) {
  if (scores.ndim() != 2) refuse("scores have shape " + shape_of(scores) + "; expected (rows, classes)");
  const auto rows = static_cast<Index>(scores.shape(0)), columns = static_cast<Index>(scores.shape(1));
  const auto* const uniform = row_vector<const double>("uniforms", uniforms, rows);
  auto* const to = row_vector<std::int64_t>("out", out, rows);
  require_apart(extent("out", out), extent("scores", scores));
  require_apart(extent("out", out), extent("uniforms", uniforms));
  if (rows > 0 && columns == 0) refuse("scores have no columns: there is nothing to draw");
  if (columns > INT32_MAX) refuse("scores have more columns than can be drawn from");
  if (!(temperature >= 0.0)) refuse("temperature must be at least 0");
  if (top_k < 1) refuse("top_k must be at least 1");
  if (!(top_p > 0.0 && top_p <= 1.0)) refuse("top_p must be greater than 0 and at most 1");
  if (!(min_p >= 0.0 && min_p <= 1.0)) refuse("min_p must be from 0 to 1");
  const SampleSettings settings{1.0 / temperature, top_k, top_p, std::log(min_p)};
  with_element(scores, [&](auto element) {
    using Element = decltype(element);
    const Layout layout = layout_of(scores, nullptr, 1);
    const Index distance = layout.rows.row;
    const auto kernel = [&](Matrix<const Element> from, Index row, Matrix<Element>, Workspace workspace) {
      sample_of<Element>()(from, uniform + row, distance, settings, to + row, workspace);
    };
    run_call<Element, std::int64_t>(scores, {nullptr, to}, layout, kernel, threads);
  });
}

}  // namespace

void bind_sample(nb::module_& module) {
  module.def("sample", &sample, nb::arg("scores").noconvert(), nb::arg("uniforms").noconvert(),
             nb::arg("out").noconvert(), nb::kw_only(), nb::arg("temperature") = 1.0, nb::arg("top_k") = INT32_MAX,
             nb::arg("top_p") = 1.0, nb::arg("min_p") = 0.0, nb::arg("threads") = 1,
             "A class of every row drawn from softmax(scores / temperature), cut down, into `out`.");
}

}  // namespace luce::bindings
