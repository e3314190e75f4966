#include <nanobind/stl/optional.h>

#include <optional>

#include "arguments.hpp"

namespace luce::bindings {
namespace {

template <class Real>
Index cross_entropy(Matrix2<const Real> scores, Vector1<const std::int64_t> labels,
                    std::optional<Vector1<const double>> weights, Vector1<double> losses,
                    std::optional<Matrix2<Real>> gradient) {
  const auto from = matrix("scores", scores);
  const std::int64_t* at = vector("labels", labels, from.rows);
  const double* weight = weights ? vector("weights", *weights, from.rows) : nullptr;
  double* loss = vector("losses", losses, from.rows);
  Matrix<Real> to{nullptr, from.rows, from.columns, 0};
  if (gradient) {
    to = output("gradient", *gradient);
    require_same_shape("gradient", to, from);
  }
  nb::gil_scoped_release release;
  return active_of<Real>().cross_entropy(from, at, weight, loss, to);
}

template <class Real>
void bind(nb::module_& module) {
  module.def("cross_entropy", &cross_entropy<Real>, nb::arg("scores").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("losses").noconvert(),
             nb::arg("gradient").noconvert().none(),
             "Cross-entropy of every row into `losses`, its gradient into `gradient`; returns the first row whose "
             "label is no column, or -1.");
}

}  // namespace

void bind_cross_entropy(nb::module_& module) {
  bind<float>(module);
  bind<double>(module);
}

}  // namespace luce::bindings
