// The kernels of the losses, compiled once for every instruction set as kernels.cpp is.
#include "cross_entropy_of_targets.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
constexpr LossKernels<Real> losses_of() {
  return {cross_entropy_of_labels<Real>, cross_entropy_of_targets<Real>};
}

}  // namespace

extern const LossKernels<float> loss_float32;
extern const LossKernels<double> loss_float64;
const LossKernels<float> loss_float32 = losses_of<float>();
const LossKernels<double> loss_float64 = losses_of<double>();

}  // namespace luce::LUCE_ISA
