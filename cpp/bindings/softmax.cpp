#include <cmath>

#include "arguments.hpp"

namespace luce::bindings {
namespace {

void require_temperature(double temperature) {
  if (!(temperature > 0.0) || std::isinf(temperature))
    throw std::invalid_argument("temperature is " + std::to_string(temperature) +
                                "; expected a finite number greater than 0");
}

template <class Real>
void softmax(Matrix2<const Real> scores, double temperature, Matrix2<Real> out) {
  const auto from = matrix("scores", scores);
  const auto to = output("out", out, from);
  require_temperature(temperature);
  nb::gil_scoped_release release;
  active_of<Real>().softmax(from, temperature, to);
}

template <class Real>
void log_softmax(Matrix2<const Real> scores, double temperature, Matrix2<Real> out) {
  const auto from = matrix("scores", scores);
  const auto to = output("out", out, from);
  require_temperature(temperature);
  nb::gil_scoped_release release;
  active_of<Real>().log_softmax(from, temperature, to);
}

template <class Real>
void logsumexp(Matrix2<const Real> scores, Vector1<Real> out) {
  const auto from = matrix("scores", scores);
  Real* to = output("out", out, from);
  nb::gil_scoped_release release;
  active_of<Real>().logsumexp(from, to);
}

template <class Real>
void bind(nb::module_& module) {
  module.def("softmax", &softmax<Real>, nb::arg("scores").noconvert(), nb::arg("temperature"),
             nb::arg("out").noconvert(), "softmax(scores / temperature) of every row into `out`.");
  module.def("log_softmax", &log_softmax<Real>, nb::arg("scores").noconvert(), nb::arg("temperature"),
             nb::arg("out").noconvert(), "log softmax(scores / temperature) of every row into `out`.");
  module.def("logsumexp", &logsumexp<Real>, nb::arg("scores").noconvert(), nb::arg("out").noconvert(),
             "log sum exp(scores) of every row into `out`.");
}

}  // namespace

void bind_softmax(nb::module_& module) {
  bind<float>(module);
  bind<double>(module);
}

}  // namespace luce::bindings
