#include <nanobind/stl/optional.h>

#include <optional>

#include "call.hpp"

namespace luce::bindings {
namespace {

struct Losses {
  const Input& scores;
  const std::optional<Input>& weights;
  const Output& losses;
  const std::optional<Output>& gradient;
  double temperature, label_smoothing, z_loss;
  int threads;

  Index rows() const { return static_cast<Index>(scores.shape(0)); }
  Index columns() const { return static_cast<Index>(scores.shape(1)); }

  void check() const {
    if (scores.ndim() != 2) refuse("scores have shape " + shape_of(scores) + "; expected (rows, classes)");
    row_vector<double>("losses", losses, rows());
    if (weights) row_vector<const double>("weights", *weights, rows());
    if (gradient) require_like("gradient", *gradient, scores);
    if (!(temperature > 0.0) || std::isinf(temperature)) refuse("temperature must be finite and greater than 0");
    if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) refuse("label_smoothing must be from 0 to 1");
    if (!(z_loss >= 0.0) || std::isinf(z_loss)) refuse("z_loss must be finite and at least 0");
    require_apart(extent("losses", losses), extent("scores", scores));
    require_outputs_apart(weights ? extent("weights", *weights) : Extent{"weights", 0, 0});
    if (gradient) require_apart(extent("gradient", *gradient), extent("losses", losses));
  }
  void require_outputs_apart(const Extent& input) const {
    require_apart(extent("losses", losses), input);
    if (gradient) require_apart(extent("gradient", *gradient), input);
  }

  // run(arguments for a part of the rows, number of its first row, workspace)
  template <class Real, class Run>
  void run(Run run) const {
    const double* weight = weights ? static_cast<const double*>(weights->data()) : nullptr;
    double* const loss = static_cast<double*>(losses.data());
    const auto kernel = [&](Matrix<const Real> from, Index row, Matrix<Real> to, Workspace workspace) {
      run(CrossEntropyArguments<Real>{from, weight ? weight + row : nullptr, temperature, label_smoothing, z_loss,
                                      loss + row, to},
          row, workspace);
    };
    const Output* const matrix = gradient ? &*gradient : nullptr;
    Real* const to = matrix ? static_cast<Real*>(matrix->data()) : nullptr;
    run_call<Real, double>(scores, {to, nullptr}, layout_of(scores, matrix, 1), kernel, threads);
  }

  template <class F>
  void with_real(F f) const {
    if (scores.dtype() == nb::dtype<float>()) f(float{});
    else if (scores.dtype() == nb::dtype<double>()) f(double{});
    else refuse_type("scores must be float32 or float64");
  }
};

// The first row whose label is no column, or -1.
Index row_out_of_range(const std::int64_t* labels, const Losses& call) {
  for (Index i = 0; i < call.rows(); ++i)
    if (labels[i] < 0 || labels[i] >= call.columns()) return i;
  return -1;
}

const std::int64_t* labels_in_range(const Input& given, const Losses& call) {
  const auto* const labels = row_vector<const std::int64_t>("targets", given, call.rows());
  const Index row = row_out_of_range(labels, call);
  if (row >= 0) refuse("targets[" + std::to_string(row) + "] is no column of scores");
  return labels;
}

Index cross_entropy(const Input& scores, const Input& labels, const std::optional<Input>& weights,
                    const Output& losses, const std::optional<Output>& gradient, double temperature,
                    double label_smoothing, double z_loss, int threads) {
  const Losses call{scores, weights, losses, gradient, temperature, label_smoothing, z_loss, threads};
  call.check();
  const auto* const at = row_vector<const std::int64_t>("labels", labels, call.rows());
  call.require_outputs_apart(extent("labels", labels));
  const Index row = row_out_of_range(at, call);
  if (row >= 0) return row;
  call.with_real([&](auto real) {
    using Real = decltype(real);
    call.run<Real>([&](const CrossEntropyArguments<Real>& arguments, Index row, Workspace workspace) {
      losses_of<Real>().labels(arguments, at + row, workspace);
    });
  });
  return -1;
}

void cross_entropy_soft(const Input& scores, const Input& targets, const std::optional<Input>& weights,
                        const Output& losses, const std::optional<Output>& gradient,
                        const std::optional<Input>& class_weights, const std::optional<Input>& masses, double temperature,
                        double label_smoothing, double z_loss, int threads) {
  const Losses call{scores, weights, losses, gradient, temperature, label_smoothing, z_loss, threads};
  call.check();
  call.require_outputs_apart(extent("targets", targets));
  const double *by_class = nullptr, *by_row = nullptr;
  const std::int64_t* labels = nullptr;
  if (class_weights) {
    by_class = row_vector<const double>("class_weights", *class_weights, call.columns());
    call.require_outputs_apart(extent("class_weights", *class_weights));
  }
  if (masses) {
    by_row = row_vector<const double>("masses", *masses, call.rows());
    call.require_outputs_apart(extent("masses", *masses));
  }
  if (targets.ndim() == 1) labels = labels_in_range(targets, call);
  call.with_real([&](auto real) {
    using Real = decltype(real);
    Matrix<const Real> all{};
    if (labels == nullptr) all = matrix_like<Real>("targets", targets, scores);
    call.run<Real>([&](const CrossEntropyArguments<Real>& arguments, Index row, Workspace workspace) {
      const Matrix<const Real> given = labels == nullptr ? part_of(all, row, arguments.scores.rows) : all;
      losses_of<Real>().targets(arguments,
                                {given, labels ? labels + row : nullptr, by_class, by_row ? by_row + row : nullptr},
                                workspace);
    });
  });
}

}  // namespace

void bind_losses(nb::module_& module) {
  module.def("cross_entropy", &cross_entropy, nb::arg("scores").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("losses").noconvert(), nb::arg("gradient").noconvert().none(),
             nb::kw_only(), nb::arg("temperature") = 1.0, nb::arg("label_smoothing") = 0.0, nb::arg("z_loss") = 0.0,
             nb::arg("threads") = 1,
             "Cross-entropy of every row with its label into `losses`, its gradient into `gradient`; returns the first "
             "row whose label is no column, or -1.");
  module.def("cross_entropy_soft", &cross_entropy_soft, nb::arg("scores").noconvert(), nb::arg("targets").noconvert(),
             nb::arg("weights").noconvert().none(), nb::arg("losses").noconvert(), nb::arg("gradient").noconvert().none(),
             nb::kw_only(), nb::arg("class_weights").noconvert().none() = nb::none(),
             nb::arg("masses").noconvert().none() = nb::none(), nb::arg("temperature") = 1.0,
             nb::arg("label_smoothing") = 0.0, nb::arg("z_loss") = 0.0, nb::arg("threads") = 1,
             "The same with a row of targets for each row of scores, or its label. Of these `label_smoothing` is shared out "
             "among the classes that can happen; then each is multiplied by the weight of its class. z_loss is multiplied "
             "by the mass of the row.");
}

}  // namespace luce::bindings
