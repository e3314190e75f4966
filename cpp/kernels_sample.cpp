// The kernels that draw from rows of scores, compiled once for every instruction set as kernels.cpp is.
#include "sample.hpp"

namespace luce::LUCE_ISA {

extern const SampleKernels sample_kernels;
const SampleKernels sample_kernels = {sample<float>, sample<double>, sample<Half>, sample<Bfloat>};

}  // namespace luce::LUCE_ISA
