#include <cmath>

#include "call.hpp"

namespace luce::bindings {
namespace {

// One temperature for all rows, or one a row.
class Temperatures {
 public:
  Temperatures(nb::handle given, Index rows) {
    if (PyFloat_Check(given.ptr())) {
      single_ = PyFloat_AS_DOUBLE(given.ptr());
      require(single_);
      return;
    }
    const auto array = nb::cast<Input>(given);
    many_ = row_vector<const double>("temperature", array, rows);
    for (Index i = 0; i < rows; ++i) require(many_[i]);
  }
  PerRow from_row(Index row, Index distance) const {
    return many_ == nullptr ? PerRow{&single_, 0} : PerRow{many_ + row, distance};
  }

 private:
  static void require(double temperature) {
    if (!(temperature >= 0.0))
      refuse("temperature is " + std::to_string(temperature) + "; expected a number of at least 0");
  }
  double single_ = 1.0;
  const double* many_ = nullptr;
};

enum class Map { softmax, log_softmax };

template <Map map>
void run_map(const Input& scores, nb::handle temperature, const Output& out, int class_ndim, int threads) {
  const Temperatures temperatures(temperature, rows_of(scores, class_ndim));
  require_like("out", out, scores);
  const Layout layout = layout_of(scores, &out, class_ndim);
  if (layout.columns == 0) return;
  with_element(scores, [&](auto element) {
    using Element = decltype(element);
    const Index distance = layout.rows.row;
    const auto kernel = [&](Matrix<const Element> from, Index row, Matrix<Element> to, Workspace workspace) {
      const auto run = map == Map::softmax ? kernels_of<Element>().softmax : kernels_of<Element>().log_softmax;
      run(from, temperatures.from_row(row, distance), to, workspace);
    };
    run_call<Element, Element>(scores, {static_cast<Element*>(out.data()), nullptr}, layout, kernel, threads);
  });
}

template <class Element, class Reduced, class Run>
void reduce(const Input& scores, const Output& out, int class_ndim, int threads, Run run) {
  Reduced* to = static_cast<Reduced*>(const_cast<void*>(static_cast<const void*>(out.data())));
  const auto kernel = [&](Matrix<const Element> from, Index row, Matrix<Element>, Workspace workspace) {
    run(from, to + row, workspace);
  };
  run_call<Element, Reduced>(scores, {nullptr, to}, layout_of(scores, nullptr, class_ndim), kernel, threads);
}

void logsumexp(const Input& scores, const Output& out, int class_ndim, int threads) {
  if (out.dtype() != scores.dtype()) refuse_type("out has another dtype than scores");
  with_element(scores, [&](auto element) {
    using Element = decltype(element);
    require_by_row("out", out, rows_of(scores, class_ndim));
    require_apart(extent("out", out), extent("scores", scores));
    reduce<Element, Element>(scores, out, class_ndim, threads, kernels_of<Element>().logsumexp);
  });
}

void argmax(const Input& scores, const Output& out, int class_ndim, int threads) {
  row_vector<std::int64_t>("out", out, rows_of(scores, class_ndim));
  require_apart(extent("out", out), extent("scores", scores));
  if (out.shape(0) > 0 && layout_of(scores, nullptr, class_ndim).columns == 0)
    refuse("scores have no columns: there is no largest score");
  with_element(scores, [&](auto element) {
    using Element = decltype(element);
    reduce<Element, std::int64_t>(scores, out, class_ndim, threads, kernels_of<Element>().argmax);
  });
}

// What a call costs before it computes anything.
void nothing(const Input&, nb::handle, const Output&) {}

}  // namespace

void bind_maps(nb::module_& module) {
  module.def("softmax", &run_map<Map::softmax>, nb::arg("scores").noconvert(), nb::arg("temperature"),
             nb::arg("out").noconvert(), nb::arg("class_ndim") = 1, nb::arg("threads") = 1,
             "softmax(scores / temperature) of every row into `out`.");
  module.def("log_softmax", &run_map<Map::log_softmax>, nb::arg("scores").noconvert(), nb::arg("temperature"),
             nb::arg("out").noconvert(), nb::arg("class_ndim") = 1, nb::arg("threads") = 1,
             "log softmax(scores / temperature) of every row into `out`.");
  module.def("logsumexp", &logsumexp, nb::arg("scores").noconvert(), nb::arg("out").noconvert(),
             nb::arg("class_ndim") = 1, nb::arg("threads") = 1, "log sum exp(scores) of every row into `out`.");
  module.def("argmax", &argmax, nb::arg("scores").noconvert(), nb::arg("out").noconvert(), nb::arg("class_ndim") = 1,
             nb::arg("threads") = 1, "The position of the largest score of every row into `out`.");
  module.def("nothing", &nothing, nb::arg("scores").noconvert(), nb::arg("temperature"), nb::arg("out").noconvert(),
             "Computes nothing: what a call costs.");
}

}  // namespace luce::bindings
