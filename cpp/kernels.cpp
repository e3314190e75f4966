// All kernels, compiled once for every instruction set: the build defines LUCE_ISA (the namespace) and LUCE_ISA_NAME.
#include "argmax.hpp"
#include "cross_entropy.hpp"
#include "products.hpp"
#include "residuals.hpp"
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

template <class Real>
constexpr LinearKernels<Real> linear_of() {
  LinearKernels<Real> table{2 * tile_rows, lanes<Real>, most_classes_dotted<Real>, panel_width<Real>,
                            pack_rows<float, Real>, nullptr, pack_coefficients<Real>, score<Real>, score_few<Real>,
                            residuals_of_labels<Real>, softmax_jvp<Real>, add_gradient<Real, Real>, add_gradient<Real, double>,
                            add_column_sums<Real>};
  if constexpr (sizeof(Real) == sizeof(double)) table.pack_double = pack_rows<double, Real>;
  return table;
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {LUCE_ISA_NAME,          of_element<float>(),  of_element<double>(), of_element<Half>(),
                         of_element<Bfloat>(),   losses_of<float>(),   losses_of<double>(),
                         linear_of<float>(),     linear_of<double>()};

}  // namespace luce::LUCE_ISA
