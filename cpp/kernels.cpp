// All kernels but those of linear_kernels.cpp, compiled once for every instruction set: the build defines LUCE_ISA (the
// namespace) and LUCE_ISA_NAME.
#include "argmax.hpp"
#include "cross_entropy.hpp"
#include "softmax.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Element>
constexpr ElementKernels<Element> of_element() {
  return {softmax<Element>, log_softmax<Element>, logsumexp<Element>, argmax<Element>};
}

template <class Real>
constexpr LossKernels<Real> losses_of() {
  return {cross_entropy_of_labels<Real>, cross_entropy_of_targets<Real>};
}

}  // namespace

extern const LinearKernels<float> linear_float32;
extern const LinearKernels<double> linear_float64;
extern const Kernels kernels;
const Kernels kernels = {LUCE_ISA_NAME,          of_element<float>(),  of_element<double>(), of_element<Half>(),
                         of_element<Bfloat>(),   losses_of<float>(),   losses_of<double>(),
                         &linear_float32,        &linear_float64};

}  // namespace luce::LUCE_ISA
