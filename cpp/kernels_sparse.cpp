// The kernels of a linear classifier of sparse rows, compiled once for every instruction set as kernels.cpp is.
#include "sparse_products.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
constexpr SparseKernels<Real> sparse_of() {
  return {padded_classes<Real>, pack_features<Real>, unpack_features, bring_indices<std::int32_t>,
          bring_indices<std::int64_t>, widen_values, score_sparse<Real>, add_rows<Real>, add_residuals<Real>,
          sort_by_ranges<Real>, add_range<Real>, add_sums};
}

}  // namespace

extern const SparseKernels<float> sparse_float32;
extern const SparseKernels<double> sparse_float64;
const SparseKernels<float> sparse_float32 = sparse_of<float>();
const SparseKernels<double> sparse_float64 = sparse_of<double>();

}  // namespace luce::LUCE_ISA
