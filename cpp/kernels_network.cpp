// The kernels of a network, compiled once for every instruction set as kernels.cpp is.
#include "matrix_product.hpp"
#include "network_steps.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
constexpr NetworkKernels<Real> network_of() {
  return {tile_rows,
          panel_width<Real>,
          product_panel<Real>,
          matrix_product<Real>,
          product_of_padded<Real>,
          lanes<Real>,
          pack<Real>,
          product_of_packed<Real>,
          transpose<Real>,
          gather<Real>,
          activate<Real>,
          activate_vjp<Real>,
          column_sums<Real>,
          dropout<Real>,
          adam<Real>,
          momentum<Real>,
          approach<Real>,
          squares<Real>};
}

}  // namespace

extern const NetworkKernels<float> network_float32;
extern const NetworkKernels<double> network_float64;
const NetworkKernels<float> network_float32 = network_of<float>();
const NetworkKernels<double> network_float64 = network_of<double>();

}  // namespace luce::LUCE_ISA
