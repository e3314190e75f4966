// All kernels, compiled once for every instruction set: the build defines LUCE_ISA (the namespace) and LUCE_ISA_NAME.
#include "argmax.hpp"
#include "cross_entropy.hpp"
#include "softmax.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
constexpr RealKernels<Real> of_type() {
  return {softmax<Real>, log_softmax<Real>, logsumexp<Real>, argmax<Real>, cross_entropy<Real>};
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {LUCE_ISA_NAME, of_type<float>(), of_type<double>()};

}  // namespace luce::LUCE_ISA
