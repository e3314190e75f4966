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
  double* loss = output("losses", losses, from);
  const Matrix<Real> to = gradient ? output("gradient", *gradient, from) : Matrix<Real>{};

  const Region losses_region = region("losses", loss, from.rows);
  const Region gradient_region = region("gradient", to);
  for (const Region& input : {region("labels", at, from.rows), region("weights", weight, weight ? from.rows : 0)}) {
    require_apart(losses_region, input);
    require_apart(gradient_region, input);
  }
  require_apart(gradient_region, losses_region);
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
