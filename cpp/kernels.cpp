// The table of all kernels, and those of the maps; the others are in kernels_losses.cpp, kernels_linear.cpp and
// kernels_sparse.cpp, which takes less time than all at once. Compiled once for every instruction set: the build defines
// LUCE_ISA (the namespace) and LUCE_ISA_NAME.
#include "argmax.hpp"
#include "divergences.hpp"
#include "softmax.hpp"
#include "softmax_jvp.hpp"
#include "topk.hpp"
#include "weighted_logsumexp.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Element>
constexpr ElementKernels<Element> of_element() {
  return {softmax<Element>, log_softmax<Element>, logsumexp<Element>, argmax<Element>, topk<Element>};
}

}  // namespace

extern const LossKernels<float> loss_float32;
extern const LossKernels<double> loss_float64;
extern const LinearKernels<float> linear_float32;
extern const LinearKernels<double> linear_float64;
extern const SparseKernels<float> sparse_float32;
extern const SparseKernels<double> sparse_float64;
extern const NetworkKernels<float> network_float32;
extern const NetworkKernels<double> network_float64;
extern const SampleKernels sample_kernels;
extern const Kernels kernels;
const Kernels kernels = {LUCE_ISA_NAME,
                         of_element<float>(),
                         of_element<double>(),
                         of_element<Half>(),
                         of_element<Bfloat>(),
                         softmax_jvp<float>,
                         softmax_jvp<double>,
                         weighted_logsumexp,
                         divergences,
                         negative_entropies<float>,
                         negative_entropies<double>,
                         &loss_float32,
                         &loss_float64,
                         &linear_float32,
                         &linear_float64,
                         &sparse_float32,
                         &sparse_float64,
                         &network_float32,
                         &network_float64,
                         &sample_kernels};

}  // namespace luce::LUCE_ISA
