// What a step of training takes beside the layers, and many steps at once.
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "../perceptron.hpp"
#include "network.hpp"

namespace luce::bindings {
namespace {

// Scores become residuals, rows shared among threads; the losses are added up in their order.
template <class Real>
class Residuals {
 public:
  Residuals(const Matrix<Real>& scores, const std::int64_t* labels, const double* weights, double* losses)
      : scores_(scores), labels_(labels), weights_(weights), losses_(losses),
        rows_(std::max<Index>(numbers_of_task / std::max<Index>(scores.columns, 1) / 64 * 64, 64)) {}

  double run(int threads, Patience patience) const {
    const Index tasks = (scores_.rows + rows_ - 1) / rows_;
    const Job job{tasks, workspace_bytes(scores_.columns, true), &Residuals::run_task, this};
    run_job(job, threads, patience);
    double sum = 0;
    for (Index i = 0; i < scores_.rows; ++i) sum += losses_[i];
    return sum;
  }

 private:
  static void run_task(const void* context, Index task, Workspace workspace) {
    const auto& self = *static_cast<const Residuals*>(context);
    const Index first = task * self.rows_;
    Matrix<Real> rows = self.scores_;
    rows.data += first * rows.row_stride;
    rows.rows = std::min(self.rows_, rows.rows - first);
    end_rows(linear_of<Real>(), losses_of<Real>(), rows, self.weights_ + first, self.labels_ + first, self.losses_ + first,
             workspace);
  }

  const Matrix<Real> scores_;
  const std::int64_t* const labels_;
  const double* const weights_;
  double* const losses_;
  const Index rows_;
};

double residuals(const Output& scores, const Input& labels, const Input& weights, const Output& losses, int threads) {
  if (scores.ndim() != 2) refuse("scores have shape " + shape_of(scores) + "; expected two axes");
  const auto n = static_cast<Index>(scores.shape(0)), k = static_cast<Index>(scores.shape(1));
  const auto* const label = row_vector<const std::int64_t>("labels", labels, n);
  const auto* const weight = row_vector<const double>("weights", weights, n);
  auto* const loss = row_vector<double>("losses", losses, n);
  for (Index i = 0; i < n; ++i)
    if (label[i] < 0 || label[i] >= k)
      refuse("the label of row " + std::to_string(i) + " is " + std::to_string(label[i]) + "; there are " +
             std::to_string(k) + " classes");
  require_all_apart({extent("scores", scores), extent("losses", losses)},
                    {extent("labels", labels), extent("weights", weights)});
  double sum = 0;
  const auto run = [&](auto element) {
    using Real = decltype(element);
    const Residuals<Real> rows(compact<Real>("scores", scores, n, k), label, weight, loss);
    run_released(n * k * 16, [&](Patience patience) { sum = rows.run(threads, patience); });
  };
  if (scores.dtype() == nb::dtype<float>()) run(float{});
  else if (scores.dtype() == nb::dtype<double>()) run(double{});
  else refuse_type("scores must be float32 or float64");
  return sum;
}

// The arrays of an optimiser's step, and what all optimisers have.
template <class Real>
Step<Real> step_of(const Output& parameters, const Input& gradient, const Output& first, Index penalised, double scale,
                   double penalty, double keep) {
  const auto count = static_cast<Index>(parameters.size());
  if (penalised < 0 || penalised > count) refuse("penalised must be from 0 to the number of parameters");
  require_all_apart({extent("parameters", parameters), extent("the state", first)}, {extent("gradient", gradient)});
  return {elements_of<Real>("parameters", parameters, count), elements_of<const Real>("gradient", gradient, count),
          elements_of<Real>("the state", first, count), nullptr, count, penalised, scale, penalty, keep};
}
template <class Real>
Step<Real> part_of(Step<Real> step, Index first) {
  step.parameters += first;
  step.gradient += first;
  step.first += first;
  if (step.second != nullptr) step.second += first;
  step.count = std::min(numbers_of_task, step.count - first);
  step.penalised = std::clamp<Index>(step.penalised - first, 0, step.count);
  return step;
}

void require_adam(Index step, double beta_1, double beta_2) {
  if (step < 1) refuse("step counts from 1");
  if (!(beta_1 >= 0.0 && beta_1 < 1.0 && beta_2 >= 0.0 && beta_2 < 1.0)) refuse("beta_1 and beta_2 must be at least 0 and less than 1");
}

void adam_step(const Output& parameters, const Input& gradient, const Output& mean, const Output& square, Index step,
               double rate, double beta_1, double beta_2, double epsilon, Index penalised, double penalty, double decay,
               double scale, int threads) {
  require_adam(step, beta_1, beta_2);
  with_real("gradient", gradient, [&](auto element) {
    using Real = decltype(element);
    Step<Real> whole = step_of<Real>(parameters, gradient, mean, penalised, scale, penalty, 1.0 - rate * decay);
    whole.second = elements_of<Real>("square", square, whole.count);
    require_all_apart({extent("square", square)},
                      {extent("parameters", parameters), extent("gradient", gradient), extent("mean", mean)});
    const AdamConstants constants = adam_constants(step, rate, beta_1, beta_2, epsilon);
    run_released(whole.count * 8, [&](Patience patience) {
      share(whole.count, threads, patience, [&](Index first) { network_of<Real>().adam(part_of(whole, first), constants); });
    });
  });
}

void momentum_step(const Output& parameters, const Input& gradient, const Output& velocity, double rate, double momentum,
                   bool nesterov, Index penalised, double penalty, double decay, double scale, int threads) {
  with_real("gradient", gradient, [&](auto element) {
    using Real = decltype(element);
    const Step<Real> whole = step_of<Real>(parameters, gradient, velocity, penalised, scale, penalty, 1.0 - rate * decay);
    const MomentumConstants constants{rate, momentum, nesterov};
    run_released(whole.count * 4, [&](Patience patience) {
      share(whole.count, threads, patience, [&](Index first) { network_of<Real>().momentum(part_of(whole, first), constants); });
    });
  });
}

// to += share (goal - to)
void approach(const Input& goal, double of_way, const Output& to, int threads) {
  with_real("goal", goal, [&](auto element) {
    using Real = decltype(element);
    const Index count = count_of(goal);
    const auto* const from = elements_of<const Real>("goal", goal, count);
    auto* const out = elements_of<Real>("to", to, count);
    require_apart(extent("to", to), extent("goal", goal));
    run_released(count * 4, [&](Patience patience) {
      share(count, threads, patience, [&](Index first) {
        network_of<Real>().approach(from + first, std::min(numbers_of_task, count - first), of_way, out + first);
      });
    });
  });
}

double squares(const Input& vector, int threads) {
  double sum = 0;
  with_real("vector", vector, [&](auto element) {
    using Real = decltype(element);
    const Index count = count_of(vector);
    const auto* const from = elements_of<const Real>("vector", vector, count);
    std::vector<double> parts(static_cast<std::size_t>((count + numbers_of_block - 1) / numbers_of_block));
    run_released(count * 4, [&](Patience patience) {
      share(count, threads, patience, [&](Index first) {
        parts[static_cast<std::size_t>(first / numbers_of_block)] =
            network_of<Real>().squares(from + first, std::min(numbers_of_block, count - first));
      });
    });
    for (const double part : parts) sum += part;
  });
  return sum;
}

using LayerTuple = std::tuple<Index, Index, std::string>;

// Layers that fit each other; the last has no activation.
std::vector<PerceptronLayer> layers_of(const std::vector<LayerTuple>& given, Index inputs) {
  std::vector<PerceptronLayer> layers;
  for (const auto& [from, to, activation] : given) {
    if (from < 1 || to < 1 || from != inputs)
      refuse("layer " + std::to_string(layers.size()) + " takes " + std::to_string(from) + " features to " +
             std::to_string(to) + "; there are " + std::to_string(inputs));
    layers.push_back({from, to, activation_of(activation.c_str())});
    inputs = to;
  }
  if (layers.empty() || layers.back().activation != Activation::identity) refuse("the last layer must have no activation");
  return layers;
}

std::size_t perceptron_bytes(const std::vector<LayerTuple>& layers, Index batch_size, int itemsize) {
  if (layers.empty() || batch_size < 1) refuse("there must be a layer, and batch_size must be at least 1");
  const std::vector<PerceptronLayer> given = layers_of(layers, std::get<0>(layers[0]));
  if (itemsize == sizeof(float)) return Perceptron<float>::bytes(network_of<float>(), given, batch_size);
  if (itemsize == sizeof(double)) return Perceptron<double>::bytes(network_of<double>(), given, batch_size);
  refuse("itemsize must be that of float32 or float64");
}

Index perceptron_steps(const std::vector<LayerTuple>& layers, const Output& parameters, const std::vector<Output>& moments,
                       const Input& features, const Input& labels, const OptionalInput& weights, const Input& order,
                       Index batch_size, const Input& rates, const Input& batch_weights, const Output& losses,
                       const Output& memory, Index done,
                       double penalty, double beta_1, double beta_2, double epsilon, double decay, double momentum,
                       bool nesterov, const OptionalOutput& average, const OptionalInput& shares, int threads) {
  require_matrix("features", features);
  require_adam(done + 1, beta_1, beta_2);
  const auto n = static_cast<Index>(features.shape(0)), d = static_cast<Index>(features.shape(1));
  Index steps_done = 0;
  with_real("features", features, [&](auto element) {
    using Real = decltype(element);
    PerceptronSteps<Real> x{};
    x.layers = layers_of(layers, d);
    Index count = 0;
    for (const PerceptronLayer& layer : x.layers) count += (layer.inputs + 1) * layer.outputs;
    if (moments.size() != 1 && moments.size() != 2) refuse("moments are those of momentum, one vector, or of Adam, two");
    x.parameters = elements_of<Real>("parameters", parameters, count);
    x.first = elements_of<Real>("moments", moments[0], count);
    if (moments.size() == 2) x.second = elements_of<Real>("moments", moments[1], count);
    x.features = rows_of_matrix<const Real>("features", features, n, d);
    x.labels = row_vector<const std::int64_t>("labels", labels, n);
    if (weights) x.weights = row_vector<const double>("weights", *weights, n);
    x.rows = count_of(order);
    x.order = row_vector<const std::int64_t>("order", order, x.rows);
    x.batch = batch_size;
    if (batch_size < 1) refuse("batch_size must be at least 1");
    const Index steps = (x.rows + batch_size - 1) / batch_size;
    x.rates = row_vector<const double>("rates", rates, steps);
    x.batch_weights = row_vector<const double>("batch_weights", batch_weights, steps);
    x.losses = row_vector<double>("losses", losses, steps);
    auto* const bytes = elements_of<std::uint8_t>("memory", memory, count_of(memory));
    const std::size_t needed = Perceptron<Real>::bytes(network_of<Real>(), x.layers, std::min(batch_size, x.rows));
    if (memory.size() < needed)
      refuse("memory has " + std::to_string(memory.size()) + " bytes; expected " + std::to_string(needed));
    if (average.has_value() != shares.has_value()) refuse("average and shares are given together");
    if (average) {
      x.average = elements_of<Real>("average", *average, count);
      x.shares = row_vector<const double>("shares", *shares, steps);
    }
    for (Index i = 0; i < x.rows; ++i) {
      const Index row = x.order[i];
      if (row < 0 || row >= n) refuse("order has row " + std::to_string(row) + "; there are " + std::to_string(n));
      if (x.labels[row] < 0 || x.labels[row] >= x.layers.back().outputs)
        refuse("the label of row " + std::to_string(row) + " is " + std::to_string(x.labels[row]) + "; there are " +
               std::to_string(x.layers.back().outputs) + " classes");
    }
    const Extent none{"none", 0, 0};
    require_all_apart({extent("parameters", parameters), extent("moments", moments[0]),
                       moments.size() == 2 ? extent("moments", moments[1]) : none, extent("losses", losses),
                       average ? extent("average", *average) : none, extent("memory", memory)},
                      {extent("features", features), extent("labels", labels), weights ? extent("weights", *weights) : none,
                       extent("order", order), extent("rates", rates), extent("batch_weights", batch_weights),
                       shares ? extent("shares", *shares) : none});
    x.done = done;
    x.penalty = penalty;
    x.beta_1 = beta_1;
    x.beta_2 = beta_2;
    x.epsilon = epsilon;
    x.decay = decay;
    x.momentum = momentum;
    x.nesterov = nesterov;
    // Nobody looks for Ctrl-C: steps are done whole, and how many of them is the caller's choice.
    const nb::gil_scoped_release released;
    Perceptron<Real> perceptron(network_of<Real>(), linear_of<Real>(), losses_of<Real>(), x, bytes);
    steps_done = perceptron.run(threads, {[](void*) { return false; }, nullptr});
  });
  return steps_done;
}

}  // namespace

void bind_network_steps(nb::module_& module) {
  module.def("residuals", &residuals, nb::arg("scores").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("weights").noconvert(), nb::arg("losses").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "w (softmax(scores) - one-hot labels) in place of the scores; the weighted losses, and their sum.");
  module.def("adam_step", &adam_step, nb::arg("parameters").noconvert(), nb::arg("gradient").noconvert(),
             nb::arg("mean").noconvert(), nb::arg("square").noconvert(), nb::kw_only(), nb::arg("step"), nb::arg("rate"),
             nb::arg("beta_1") = 0.9, nb::arg("beta_2") = 0.999, nb::arg("epsilon") = 1e-8, nb::arg("penalised") = 0,
             nb::arg("penalty") = 0.0, nb::arg("decay") = 0.0, nb::arg("scale") = 1.0, nb::arg("threads") = 1,
             "One step of Adam, in place.");
  module.def("momentum_step", &momentum_step, nb::arg("parameters").noconvert(), nb::arg("gradient").noconvert(),
             nb::arg("velocity").noconvert(), nb::kw_only(), nb::arg("rate"), nb::arg("momentum") = 0.0,
             nb::arg("nesterov") = false, nb::arg("penalised") = 0, nb::arg("penalty") = 0.0, nb::arg("decay") = 0.0,
             nb::arg("scale") = 1.0, nb::arg("threads") = 1, "One step of gradient descent with momentum, in place.");
  module.def("approach", &approach, nb::arg("goal").noconvert(), nb::arg("share"), nb::arg("to").noconvert(), nb::kw_only(),
             nb::arg("threads") = 1, "to += share * (goal - to), in place.");
  module.def("squares", &squares, nb::arg("vector").noconvert(), nb::kw_only(), nb::arg("threads") = 1,
             "The sum of the squares of all elements.");
  module.def("perceptron_bytes", &perceptron_bytes, nb::arg("layers"), nb::arg("batch_size"), nb::arg("itemsize"),
             "The memory that perceptron_steps needs.");
  module.def("perceptron_steps", &perceptron_steps, nb::arg("layers"), nb::arg("parameters").noconvert(), nb::arg("moments"),
             nb::arg("features").noconvert(), nb::arg("labels").noconvert(), nb::arg("weights").noconvert().none(),
             nb::arg("order").noconvert(), nb::arg("batch_size"), nb::arg("rates").noconvert(),
             nb::arg("batch_weights").noconvert(), nb::arg("losses").noconvert(),
             nb::arg("memory").noconvert(), nb::kw_only(), nb::arg("done"),
             nb::arg("penalty") = 0.0, nb::arg("beta_1") = 0.9, nb::arg("beta_2") = 0.999, nb::arg("epsilon") = 1e-8,
             nb::arg("decay") = 0.0, nb::arg("momentum") = 0.0, nb::arg("nesterov") = false,
             nb::arg("average").noconvert().none() = nb::none(), nb::arg("shares").noconvert().none() = nb::none(),
             nb::arg("threads") = 1, "Steps of training, one for each batch of the order, in place.");
}

}  // namespace luce::bindings
