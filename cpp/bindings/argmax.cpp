#include "arguments.hpp"

namespace luce::bindings {
namespace {

template <class Real>
void argmax(Matrix2<const Real> scores, Vector1<std::int64_t> out) {
  const auto from = matrix("scores", scores);
  std::int64_t* to = output("out", out, from);
  if (from.rows > 0 && from.columns == 0)
    throw std::invalid_argument("scores have no columns: there is no largest score");
  nb::gil_scoped_release release;
  active_of<Real>().argmax(from, to);
}

template <class Real>
void bind(nb::module_& module) {
  module.def("argmax", &argmax<Real>, nb::arg("scores").noconvert(), nb::arg("out").noconvert(),
             "The column of the largest score of every row into `out`.");
}

}  // namespace

void bind_argmax(nb::module_& module) {
  bind<float>(module);
  bind<double>(module);
}

}  // namespace luce::bindings
