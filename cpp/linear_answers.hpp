// What may be asked about rows of scores, while they are in a core's caches.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels.hpp"

namespace luce {

enum class Answer { scores, softmax, log_softmax, argmax };

template <class Real>
struct Answers {
  Answer wanted;
  Matrix<Real> out;       // (rows, classes), unless winners are asked for:
  std::int64_t* winners;  // (rows)

  // Those of some rows, the first of which is `first`. Whether the scores of their first class are finite.
  bool give(const Matrix<const Real>& scores, Index first, const ElementKernels<Real>& maps, Workspace workspace) const {
    bool are_finite = true;
    for (Index i = 0; i < scores.rows; ++i) are_finite &= std::isfinite(scores.data[i * scores.row_stride]);
    Matrix<Real> to = out;
    to.data += first * to.row_stride;
    to.rows = scores.rows;
    const double temperature = 1.0;
    switch (wanted) {
      case Answer::softmax: maps.softmax(scores, {&temperature, 0}, to, workspace); break;
      case Answer::log_softmax: maps.log_softmax(scores, {&temperature, 0}, to, workspace); break;
      case Answer::argmax: maps.argmax(scores, winners + first, workspace); break;
      case Answer::scores:
        for (Index i = 0; i < scores.rows; ++i)
          std::copy_n(scores.data + i * scores.row_stride, scores.columns, to.data + i * to.row_stride);
    }
    return are_finite;
  }
};

}  // namespace luce
