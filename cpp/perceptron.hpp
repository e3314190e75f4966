// Many steps of training of a multi-layer perceptron that ends in softmax cross-entropy, as one job. A step has two stages:
// a share of the batch's rows goes through all layers and back, while it is in a core's caches; then a share of each
// matrix gets its gradient from all rows, and is moved by it. What is computed, to the bit, is what Dense, the residuals
// and the optimisers give one after the other.
#pragma once

#include <cmath>
#include <vector>

#include "network.hpp"
#include "stages.hpp"

namespace luce {

struct PerceptronLayer {
  Index inputs, outputs;
  Activation activation;
};

// The last layer has no activation. Parameters are all matrices (inputs, outputs), then all biases.
template <class Real>
struct PerceptronSteps {
  std::vector<PerceptronLayer> layers;
  Real* parameters;
  Real* first;   // the state of the optimiser, see Step
  Real* second;  // null: it is momentum
  Real* average; // null: not wanted
  Matrix<const Real> features;
  const std::int64_t* labels;
  const double* weights;      // null: all 1
  const std::int64_t* order;  // rows, one batch after the other
  Index rows, batch;          // the last batch has what is left
  // For each step:
  const double* rates;
  const double* batch_weights;
  const double* shares;  // of the parameters in their average
  double* losses;        // out: weighted, with the penalty
  // The optimiser:
  Index done;  // steps before these
  double beta_1, beta_2, epsilon, decay;
  double momentum;
  bool nesterov;
  double penalty;
};

inline AdamConstants adam_constants(Index step, double rate, double beta_1, double beta_2, double epsilon) {
  const auto t = static_cast<double>(step);
  return {beta_1, beta_2, rate / (1.0 - std::pow(beta_1, t)), 1.0 / std::sqrt(1.0 - std::pow(beta_2, t)), epsilon};
}

// Scores of some rows become residuals w (p - y).
template <class Real>
void end_rows(const LinearKernels<Real>& linear, const LossKernels<Real>& loss, const Matrix<Real>& scores,
              const double* weights, const std::int64_t* labels, double* losses, Workspace workspace) {
  if (scores.columns <= linear.most_side_by_side) {
    linear.residuals(scores, weights, labels, losses, workspace);
    return;
  }
  const Matrix<const Real> given{scores.data, scores.rows, scores.columns, scores.row_stride, 1};
  loss.labels({given, weights, 1.0, 0.0, 0.0, losses, scores}, labels, workspace);
}

template <class Real>
class Perceptron {
 public:
  Perceptron(const NetworkKernels<Real>& kernels, const LinearKernels<Real>& linear, const LossKernels<Real>& loss,
             const PerceptronSteps<Real>& steps, void* memory)
      : kernels_(kernels), linear_(linear), loss_(loss), x_(steps), batch_(std::min(steps.batch, steps.rows)),
        steps_((steps.rows + steps.batch - 1) / steps.batch) {
    lay_out(memory);
  }

  // Of memory for batches of so many rows.
  static std::size_t bytes(const NetworkKernels<Real>& kernels, const std::vector<PerceptronLayer>& layers, Index batch) {
    return static_cast<std::size_t>(layout_of(kernels, layers, batch).size) * sizeof(Real) + 64;
  }

  // Steps that were done: fewer than asked for where a loss is not finite.
  Index run(int threads, Patience patience) {
    if (steps_ == 0) return 0;
    const auto stage = [this](Index number, const Lane& lane, void* memory) {
      if (number == 0) {  // by one lane, while the others come
        for (const Layer& layer : layers_) {
          pack(layer, 0, layer.inputs);
          std::copy_n(layer.bias, layer.outputs, layer.packed_bias);
        }
        return true;
      }
      const Index step = (number - 1) / 2;
      if (number % 2 == 1) {
        go_through(step, lane, memory);
        return true;
      }
      return move(step, lane) && step + 1 < steps_;
    };
    Index work = 0;
    for (const Layer& layer : layers_) work += 3 * batch_ * layer.inputs * layer.outputs;
    const Index lanes = std::clamp<Index>(std::min(work / work_of_lane, batch_ / least_rows), 1, threads);
    const auto bytes = std::max<std::size_t>(workspace_bytes(layers_.back().outputs, true), 64);
    Stages(stage).share(static_cast<int>(lanes), bytes, patience);
    return done_;
  }

 private:
  static constexpr Index work_of_lane = 100'000;  // multiplications that are worth the waiting for each other
  static constexpr Index least_rows = 4;
  static constexpr Index bytes_of_rows = Index{1} << 20;  // of all that a block of rows leaves behind on its way

  struct Layer {
    Index inputs, outputs;
    Activation activation;
    Real* weights;
    Real* bias;
    Real* packed;         // weights
    Real* packed_bias;    // the same in whole vectors
    Real* packed_turned;  // null in the first layer, whose features need no gradient
    Matrix<const Real> features;  // that of the layer before, or of the batch
    Matrix<Real> before;          // what is activated, where its derivative is of that
    Matrix<Real> out;             // the last layer has none: its scores become delta
    Matrix<Real> delta;           // gradient of what is activated
    Matrix<Real> gradient_turned; // room for that of the weights, where they are so narrow that it is computed so

    const Matrix<Real>& sums() const { return before.data != nullptr ? before : out.data != nullptr ? out : delta; }
    const Matrix<Real>& kept() const { return before.data != nullptr ? before : out; }
  };

  // Whole vectors, and an odd number of lines of memory apart: columns of many rows then find room in the caches. What
  // stands between the rows is read and written, but never used.
  static Index stride_of(const NetworkKernels<Real>& kernels, Index columns) {
    const Index line = std::max<Index>(64 / Index{sizeof(Real)}, kernels.vector_width);
    return ((columns + line - 1) / line | 1) * line;
  }
  static Index padded(const NetworkKernels<Real>& kernels, Index columns) {
    return (columns + kernels.vector_width - 1) / kernels.vector_width * kernels.vector_width;
  }
  Matrix<Real> in_whole_vectors(Matrix<Real> matrix) const {
    matrix.columns = padded(kernels_, matrix.columns);
    return matrix;
  }
  // Whether vectors along the outputs are so much less filled than along the inputs.
  static bool is_narrow(const NetworkKernels<Real>& kernels, const PerceptronLayer& layer) {
    return 100 * padded(kernels, layer.outputs) * layer.inputs > 115 * padded(kernels, layer.inputs) * layer.outputs;
  }

  // Where everything begins in the memory; -1: there is none.
  struct Places {
    Index packed, packed_bias, packed_turned, before, out, delta, gradient_turned;
  };
  struct Layout {
    Index features, gradient, size;
    std::vector<Places> layers;
  };
  static Layout layout_of(const NetworkKernels<Real>& kernels, const std::vector<PerceptronLayer>& layers, Index batch) {
    Layout layout{};
    const auto take = [&](Index size) {
      const Index place = layout.size;
      layout.size += (size + 15) / 16 * 16;
      return place;
    };
    layout.features = take(batch * stride_of(kernels, layers.front().inputs));
    Index parameters = 0;
    for (const PerceptronLayer& layer : layers) {
      const bool is_last = &layer == &layers.back(), is_first = &layer == &layers.front();
      const Index rows = batch * stride_of(kernels, layer.outputs);
      layout.layers.push_back({take(layer.inputs * padded(kernels, layer.outputs)), take(padded(kernels, layer.outputs)),
                               is_first ? -1 : take(layer.outputs * padded(kernels, layer.inputs)),
                               layer.activation == Activation::gelu ? take(rows) : -1, is_last ? -1 : take(rows), take(rows),
                               is_narrow(kernels, layer) ? take(layer.outputs * stride_of(kernels, layer.inputs)) : -1});
      parameters += (layer.inputs + 1) * layer.outputs;
    }
    layout.gradient = take(parameters);
    return layout;
  }

  void lay_out(void* memory) {
    Real* const begin = reinterpret_cast<Real*>((reinterpret_cast<std::uintptr_t>(memory) + 63) / 64 * 64);
    const Layout layout = layout_of(kernels_, x_.layers, batch_);
    const auto matrix = [&](Index place, Index rows, Index columns) {
      return Matrix<Real>{place < 0 ? nullptr : begin + place, rows, columns, stride_of(kernels_, columns), 1};
    };
    gradient_ = begin + layout.gradient;
    features_ = matrix(layout.features, batch_, x_.features.columns);
    for (const PerceptronLayer& layer : x_.layers) penalised_ += layer.inputs * layer.outputs;
    Matrix<Real> inputs = features_;
    Real *weights = x_.parameters, *bias = x_.parameters + penalised_;
    Index strides = features_.row_stride;
    for (std::size_t i = 0; i < x_.layers.size(); ++i) {
      const PerceptronLayer& layer = x_.layers[i];
      const Places& at = layout.layers[i];
      const Index k = layer.outputs;
      layers_.push_back({layer.inputs, k, layer.activation, weights, bias, begin + at.packed,
                         begin + at.packed_bias, at.packed_turned < 0 ? nullptr : begin + at.packed_turned, as_const(inputs),
                         matrix(at.before, batch_, k), matrix(at.out, batch_, k), matrix(at.delta, batch_, k),
                         matrix(at.gradient_turned, k, layer.inputs)});
      weights += layer.inputs * k;
      bias += k;
      inputs = layers_.back().out;
      strides += 2 * stride_of(kernels_, k);
    }
    block_rows_ = std::clamp<Index>(bytes_of_rows / (strides * Index{sizeof(Real)}), 24, 192);
    labels_.resize(static_cast<std::size_t>(batch_));
    weights_.resize(x_.weights == nullptr ? 0 : static_cast<std::size_t>(batch_));
    losses_.resize(static_cast<std::size_t>(batch_));
    squares_.resize(static_cast<std::size_t>((penalised_ + numbers_of_block - 1) / numbers_of_block));
  }

  static Matrix<const Real> as_const(const Matrix<Real>& x) {
    return {x.data, x.rows, x.columns, x.row_stride, x.column_stride};
  }
  template <class T>
  static Matrix<T> rows_of(Matrix<T> matrix, Index first, Index count) {
    matrix.data += first * matrix.row_stride;
    matrix.rows = count;
    return matrix;
  }
  template <class T>
  static Matrix<T> turned(const Matrix<T>& x) { return {x.data, x.columns, x.rows, x.column_stride, x.row_stride}; }

  Index rows_in(Index step) const { return std::min(batch_, x_.rows - step * x_.batch); }

  // The first stage of a step.
  void go_through(Index step, const Lane& lane, void* memory) {
    const Index rows = rows_in(step), first = lane.first_of(rows), end = lane.end_of(rows);
    const Index blocks = (end - first + block_rows_ - 1) / block_rows_;
    for (Index block = 0; block < blocks; ++block) {
      const Lane part{block, blocks};
      const Index at = first + part.first_of(end - first);
      const Index count = first + part.end_of(end - first) - at;
      const std::int64_t* const chosen = x_.order + step * x_.batch + at;
      gather(chosen, at, count);
      ask_for(chosen + x_.batch, {0, 2}, count);
      forward(at, count);
      ask_for(chosen + x_.batch, {1, 2}, count);
      end_rows(linear_, loss_, rows_of(layers_.back().delta, at, count), x_.weights == nullptr ? nullptr : &weights_[at],
               &labels_[at], &losses_[at], Workspace{memory, &never_, nullptr, nullptr});
      backward(at, count);
    }
    if (x_.penalty == 0) return;
    const auto blocks_of_squares = static_cast<Index>(squares_.size());
    for (Index i = lane.first_of(blocks_of_squares); i < lane.end_of(blocks_of_squares); ++i) {
      const Index from = i * numbers_of_block;
      squares_[i] = kernels_.squares(x_.parameters + from, std::min(numbers_of_block, penalised_ - from));
    }
  }

  void gather(const std::int64_t* chosen, Index at, Index count) {
    kernels_.gather(x_.features, chosen, count, features_.data + at * features_.row_stride, features_.row_stride);
    for (Index i = 0; i < count; ++i) {
      labels_[at + i] = x_.labels[chosen[i]];
      if (x_.weights != nullptr) weights_[at + i] = x_.weights[chosen[i]];
    }
  }

  // Some rows of a later step, which are far away.
  void ask_for(const std::int64_t* chosen, const Lane& part, Index count) const {
    if (chosen + count > x_.order + x_.rows) return;
    constexpr Index line = 64 / Index{sizeof(Real)};
    for (Index i = part.first_of(count); i < part.end_of(count); ++i) {
      const Real* const row = x_.features.data + chosen[i] * x_.features.row_stride;
      for (Index j = 0; j < x_.features.columns; j += line) __builtin_prefetch(row + j, 0, 2);
      __builtin_prefetch(x_.labels + chosen[i], 0, 2);
    }
  }

  void forward(Index at, Index count) const {
    for (const Layer& layer : layers_) {
      const bool is_relu = layer.activation == Activation::relu;
      const Matrix<Real> sums = rows_of(layer.sums(), at, count);
      kernels_.product_of_packed(rows_of(layer.features, at, count), layer.packed, layer.packed_bias,
                                 in_whole_vectors(sums), is_relu, nullptr);
      if (is_relu || layer.activation == Activation::identity) continue;
      for (Index i = 0; i < count; ++i)
        kernels_.activate(layer.activation, sums.data + i * sums.row_stride, layer.outputs,
                          layer.out.data + (at + i) * layer.out.row_stride);
    }
  }

  void backward(Index at, Index count) const {
    for (std::size_t i = layers_.size() - 1; i > 0; --i) {
      const Layer &layer = layers_[i], &below = layers_[i - 1];
      const Matrix<Real> delta = rows_of(below.delta, at, count);
      const Real* const kept = below.kept().data + at * delta.row_stride;
      const bool is_relu = below.activation == Activation::relu;
      kernels_.product_of_packed(as_const(rows_of(layer.delta, at, count)), layer.packed_turned, nullptr,
                                 in_whole_vectors(delta), false, is_relu ? kept : nullptr);
      if (is_relu || below.activation == Activation::identity) continue;
      for (Index row = 0; row < count; ++row) {
        Real* const here = delta.data + row * delta.row_stride;
        kernels_.activate_vjp(below.activation, here, kept + row * delta.row_stride, below.outputs, here);
      }
    }
  }

  // The second stage of a step. False where it is not done, because the loss is not finite.
  bool move(Index step, const Lane& lane) {
    double loss = 0;
    for (Index i = 0; i < rows_in(step); ++i) loss += losses_[i];
    if (x_.penalty != 0) {
      double squares = 0;
      for (const double part : squares_) squares += part;
      loss += x_.penalty / 2 * squares;
    }
    if (lane.number == 0) x_.losses[step] = loss;
    if (!std::isfinite(loss)) return false;
    for (Layer& layer : layers_) {
      const Matrix<const Real> delta = rows_of(as_const(layer.delta), 0, rows_in(step));
      const bool has_whole_vectors = layer.packed_turned != nullptr || layer.gradient_turned.data != nullptr;
      const Index unit = has_whole_vectors ? kernels_.vector_width : 1, units = (layer.inputs + unit - 1) / unit;
      const Index first = lane.first_of(units) * unit, end = std::min(lane.end_of(units) * unit, layer.inputs);
      if (first < end) {
        const Index place = layer.weights - x_.parameters + first * layer.outputs;
        differentiate(layer, delta, first, {gradient_ + place, end - first, layer.outputs, layer.outputs, 1});
        move(step, place, (end - first) * layer.outputs);
        if (step + 1 < steps_) pack(layer, first, end - first);
      }
      const Index columns = padded(kernels_, layer.outputs) / kernels_.vector_width;
      const Index from = lane.first_of(columns) * kernels_.vector_width;
      const Index count = std::min(lane.end_of(columns) * kernels_.vector_width, layer.outputs) - from;
      if (count > 0) {
        const Index place = layer.bias - x_.parameters + from;
        kernels_.column_sums({delta.data + from, delta.rows, count, delta.row_stride, 1}, gradient_ + place);
        move(step, place, count);
        std::copy_n(layer.bias + from, count, layer.packed_bias + from);
      }
    }
    if (lane.number == 0) done_ = step + 1;
    return true;
  }

  // The gradient of some rows of the weights, from `first` on.
  void differentiate(const Layer& layer, const Matrix<const Real>& delta, Index first, const Matrix<Real>& gradient) const {
    Matrix<const Real> features = rows_of(layer.features, 0, delta.rows);
    features.data += first;
    features.columns = gradient.rows;
    if (layer.gradient_turned.data == nullptr) return kernels_.product_of_padded(turned(features), delta, gradient);
    const Matrix<Real> whole = layer.gradient_turned;
    const Matrix<Real> part{whole.data + first, whole.rows, gradient.rows, whole.row_stride, 1};
    kernels_.product_of_padded(turned(delta), features, part);
    kernels_.transpose(as_const(part), gradient);
  }

  // Some parameters, by their gradient.
  void move(Index step, Index first, Index count) const {
    const double rate = x_.rates[step], weight = x_.batch_weights[step];
    const Step<Real> part{x_.parameters + first,
                          gradient_ + first,
                          x_.first + first,
                          x_.second == nullptr ? nullptr : x_.second + first,
                          count,
                          first < penalised_ ? count : 0,
                          1 / weight,
                          x_.penalty / weight,
                          1.0 - rate * x_.decay};
    if (x_.second != nullptr) kernels_.adam(part, adam_constants(x_.done + step + 1, rate, x_.beta_1, x_.beta_2, x_.epsilon));
    else kernels_.momentum(part, {rate, x_.momentum, x_.nesterov});
    if (x_.average != nullptr) kernels_.approach(x_.parameters + first, count, x_.shares[step], x_.average + first);
  }

  void pack(const Layer& layer, Index first, Index count) const {
    const Matrix<const Real> weights{layer.weights, layer.inputs, layer.outputs, layer.outputs, 1};
    kernels_.pack(weights, first, count, 0, layer.outputs, layer.packed);
    if (layer.packed_turned != nullptr)
      kernels_.pack(turned(weights), 0, layer.outputs, first, count, layer.packed_turned);
  }

  const NetworkKernels<Real>& kernels_;
  const LinearKernels<Real>& linear_;
  const LossKernels<Real>& loss_;
  const PerceptronSteps<Real>& x_;
  const Index batch_, steps_;
  Matrix<Real> features_{};
  Real* gradient_ = nullptr;
  Index penalised_ = 0, block_rows_ = 0, done_ = 0;
  std::vector<Layer> layers_;
  std::vector<std::int64_t> labels_;
  std::vector<double> weights_, losses_, squares_;
  const bool never_ = false;
};

}  // namespace luce
