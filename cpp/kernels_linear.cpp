// The kernels of a linear classifier, compiled once for every instruction set as kernels.cpp is.
#include "dotted.hpp"
#include "residuals.hpp"
#include "second_moments.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
constexpr LinearKernels<Real> linear_of() {
  LinearKernels<Real> table{score_rows, most_lane_rows, lanes<Real>, most_classes_dotted<Real>,
                            features_of_a_dot<Real>, short_columns<Real>, panel_width<Real>,
                            pack_rows<float, Real>, nullptr, pack_coefficients<Real>, score<Real>, score_few<Real>,
                            residuals_of_labels<Real>, softmax_jvp<Real>, add_gradient<Real, Real>, add_gradient<Real, double>,
                            add_column_sums<Real>, second_moments_tasks<Real>, add_second_moments<Real>};
  if constexpr (sizeof(Real) == sizeof(double)) table.pack_double = pack_rows<double, Real>;
  return table;
}

}  // namespace

extern const LinearKernels<float> linear_float32;
extern const LinearKernels<double> linear_float64;
const LinearKernels<float> linear_float32 = linear_of<float>();
const LinearKernels<double> linear_float64 = linear_of<double>();

}  // namespace luce::LUCE_ISA
