#include <cmath>

#include "../masked.hpp"
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

void masked(const Input& scores, const Input& possible, const Output& out, int threads) {
  require_like("out", out, scores);
  if (possible.dtype() != nb::dtype<bool>()) refuse_type("possible must be bool");
  if (shape_of(possible) != shape_of(scores))
    refuse("possible has shape " + shape_of(possible) + "; scores have " + shape_of(scores));
  if (rows_of(scores, 0) == 0) return;
  Index adjacent = 1;
  for (std::size_t axis = possible.ndim(); axis-- > 0; adjacent *= static_cast<Index>(possible.shape(axis)))
    if (possible.shape(axis) > 1 && possible.stride(axis) != adjacent) refuse("possible must be in C order");
  require_apart(extent("out", out), extent("possible", possible));
  const auto* const at = static_cast<const std::uint8_t*>(possible.data());
  const Layout layout = layout_of(scores, &out, 0);
  with_element(scores, [&](auto element) {
    using Bits = typename MaskedBits<decltype(element)>::Type;
    constexpr Bits otherwise = MaskedBits<decltype(element)>::minus_infinity;
    const Index distance = layout.rows.row;
    const auto kernel = [=](Matrix<const Bits> from, Index first, Matrix<Bits> to, Workspace) {
      luce::masked(from, at + first, distance, otherwise, to);
    };
    run_call<Bits, Bits>(scores, {static_cast<Bits*>(out.data()), nullptr}, layout, kernel, threads);
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

void softmax_jvp(const Input& probabilities, const Input& tangents, nb::handle temperature, const Output& out,
                 int threads) {
  const auto run = [&](auto kernel_of, auto real) {
    using Real = decltype(real);
    const Matrix<const Real> along = matrix_like<Real>("tangents", tangents, probabilities);
    const Temperatures temperatures(temperature, along.rows);
    require_like("out", out, probabilities);
    require_apart(extent("out", out), extent("tangents", tangents));
    const auto kernel = [&](Matrix<const Real> from, Index row, Matrix<Real> to, Workspace workspace) {
      kernel_of(from, part_of(along, row, from.rows), temperatures.from_row(row, 1), to, workspace);
    };
    if (along.columns > 0)
      run_call<Real, Real>(probabilities, {static_cast<Real*>(out.data()), nullptr}, layout_of(probabilities, &out, 1),
                           kernel, threads);
  };
  if (probabilities.dtype() == nb::dtype<float>()) run(active().softmax_jvp_float32, float{});
  else if (probabilities.dtype() == nb::dtype<double>()) run(active().softmax_jvp_float64, double{});
  else refuse_type("probabilities must be float32 or float64");
}

void weighted_logsumexp(const Input& scores, const Input& weights, const Output& values, const Output& signs,
                        int threads) {
  if (scores.dtype() != nb::dtype<double>()) refuse_type("scores must be float64");
  const Matrix<const double> along = matrix_like<double>("weights", weights, scores);
  double* const to = row_vector<double>("values", values, along.rows);
  double* const signs_to = row_vector<double>("signs", signs, along.rows);
  for (const Extent& out : {extent("values", values), extent("signs", signs)})
    for (const Extent& input : {extent("scores", scores), extent("weights", weights)}) require_apart(out, input);
  require_apart(extent("values", values), extent("signs", signs));
  const auto kernel = [&](Matrix<const double> from, Index row, Matrix<double>, Workspace workspace) {
    active().weighted_logsumexp(from, part_of(along, row, from.rows), to + row, signs_to + row, workspace);
  };
  run_call<double, double>(scores, {nullptr, to}, layout_of(scores, nullptr, 1), kernel, threads);
}

void divergences(const Input& targets, const Input& probabilities, const Input& log_probabilities, const Output& out,
                 int threads) {
  if (targets.dtype() != nb::dtype<double>()) refuse_type("targets must be float64");
  const auto p = matrix_like<double>("probabilities", probabilities, targets);
  const auto log_p = matrix_like<double>("log_probabilities", log_probabilities, targets);
  double* const to = row_vector<double>("out", out, p.rows);
  if (p.rows == 0) return;
  for (const Input* input : {&targets, &probabilities, &log_probabilities}) {
    require_apart(extent("out", out), extent("an input", *input));
    if (input->shape(1) > 1 && input->stride(1) != 1) refuse("the classes of a row must be adjacent");
  }
  const auto kernel = [&](Matrix<const double> from, Index row, Matrix<double>, Workspace workspace) {
    active().divergences(from, part_of(p, row, from.rows), part_of(log_p, row, from.rows), to + row, workspace);
  };
  run_call<double, double>(targets, {nullptr, to}, layout_of(targets, nullptr, 1), kernel, threads);
}

void negative_entropies(const Input& probabilities, const Output& out, int threads) {
  if (probabilities.ndim() != 2) refuse("probabilities have shape " + shape_of(probabilities) + "; expected (rows, classes)");
  if (probabilities.shape(1) > 1 && probabilities.shape(0) > 0 && probabilities.stride(1) != 1)
    refuse("the classes of a row must be adjacent");
  require_apart(extent("out", out), extent("probabilities", probabilities));
  const auto run = [&](auto entropies, auto real) {
    using Real = decltype(real);
    require_aligned("probabilities", probabilities, sizeof(Real));
    Real* const to = row_vector<Real>("out", out, rows_of(probabilities, 1));
    const auto kernel = [&](Matrix<const Real> from, Index row, Matrix<Real>, Workspace workspace) {
      entropies(from, to + row, workspace);
    };
    run_call<Real, Real>(probabilities, {nullptr, to}, layout_of(probabilities, nullptr, 1), kernel, threads);
  };
  if (probabilities.dtype() == nb::dtype<float>()) run(active().negative_entropies_float32, float{});
  else if (probabilities.dtype() == nb::dtype<double>()) run(active().negative_entropies_float64, double{});
  else refuse_type("probabilities must be float32 or float64");
}

void topk(const Input& scores, const Output& values, const Output& indices, int threads) {
  if (scores.ndim() != 2) refuse("scores have shape " + shape_of(scores) + "; expected (rows, classes)");
  if (values.dtype() != scores.dtype()) refuse_type("values have another dtype than scores");
  if (indices.dtype() != nb::dtype<std::int64_t>()) refuse_type("indices must be int64");
  if (values.ndim() != 2 || values.shape(0) != scores.shape(0) || shape_of(values) != shape_of(indices))
    refuse("values have shape " + shape_of(values) + ", indices " + shape_of(indices) + "; scores have " +
           shape_of(scores));
  const auto k = static_cast<Index>(values.shape(1)), columns = static_cast<Index>(scores.shape(1));
  if (k > columns) refuse("values have " + std::to_string(k) + " columns; scores have " + std::to_string(columns));
  if (columns > UINT32_MAX) refuse("scores have more columns than can be ranked");
  require_distinct_elements("values", values);
  require_distinct_elements("indices", indices);
  for (const Extent& out : {extent("values", values), extent("indices", indices)})
    require_apart(out, extent("scores", scores));
  require_apart(extent("values", values), extent("indices", indices));
  require_aligned("indices", indices, sizeof(std::int64_t));
  if (k == 0) return;
  with_element(scores, [&](auto element) {
    using Element = decltype(element);
    require_aligned("values", values, sizeof(Element));
    auto* const to = static_cast<Element*>(values.data());
    auto* const at = static_cast<std::int64_t*>(indices.data());
    const auto kernel = [&](Matrix<const Element> from, Index row, Matrix<Element>, Workspace workspace) {
      kernels_of<Element>().topk(
          from, {to + row * values.stride(0), from.rows, k, values.stride(0), values.stride(1)},
          {at + row * indices.stride(0), from.rows, k, indices.stride(0), indices.stride(1)}, workspace);
    };
    run_call<Element, Element>(scores, {nullptr, to}, layout_of(scores, nullptr, 1), kernel, threads);
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
  module.def("masked", &masked, nb::arg("scores").noconvert(), nb::arg("possible").noconvert(),
             nb::arg("out").noconvert(), nb::arg("threads") = 1,
             "The scores of what is possible into `out`, -inf elsewhere.");
  module.def("logsumexp", &logsumexp, nb::arg("scores").noconvert(), nb::arg("out").noconvert(),
             nb::arg("class_ndim") = 1, nb::arg("threads") = 1, "log sum exp(scores) of every row into `out`.");
  module.def("argmax", &argmax, nb::arg("scores").noconvert(), nb::arg("out").noconvert(), nb::arg("class_ndim") = 1,
             nb::arg("threads") = 1, "The position of the largest score of every row into `out`.");
  module.def("softmax_jvp", &softmax_jvp, nb::arg("probabilities").noconvert(), nb::arg("tangents").noconvert(),
             nb::arg("temperature"), nb::arg("out").noconvert(), nb::arg("threads") = 1,
             "p (t - <p, t>) / temperature of every row of probabilities p and tangents t into `out`.");
  module.def("weighted_logsumexp", &weighted_logsumexp, nb::arg("scores").noconvert(), nb::arg("weights").noconvert(),
             nb::arg("values").noconvert(), nb::arg("signs").noconvert(), nb::arg("threads") = 1,
             "log |sum weights exp(scores)| of every row into `values`, the sum's sign into `signs`.");
  module.def("divergences", &divergences, nb::arg("targets").noconvert(), nb::arg("probabilities").noconvert(),
             nb::arg("log_probabilities").noconvert(), nb::arg("out").noconvert(), nb::arg("threads") = 1,
             "Kullback-Leibler divergences of every row of targets from probabilities, whose logarithms are given.");
  module.def("negative_entropies", &negative_entropies, nb::arg("probabilities").noconvert(), nb::arg("out").noconvert(),
             nb::arg("threads") = 1, "sum p log p of every row of probabilities into `out`.");
  module.def("topk", &topk, nb::arg("scores").noconvert(), nb::arg("values").noconvert(),
             nb::arg("indices").noconvert(), nb::arg("threads") = 1,
             "The largest scores of every row, as many as `values` has columns, and where they stand.");
  module.def("nothing", &nothing, nb::arg("scores").noconvert(), nb::arg("temperature"), nb::arg("out").noconvert(),
             "Computes nothing: what a call costs.");
}

}  // namespace luce::bindings
