#include <nanobind/stl/string_view.h>

#include "../linear_scores.hpp"
#include "../sparse_linear_scores.hpp"
#include "csr.hpp"
#include "linear.hpp"

namespace luce::bindings {
namespace {

Answer answer_of(std::string_view name) {
  if (name == "scores") return Answer::scores;
  if (name == "softmax") return Answer::softmax;
  if (name == "log_softmax") return Answer::log_softmax;
  if (name == "argmax") return Answer::argmax;
  refuse("answer is '" + std::string(name) + "'; expected 'scores', 'softmax', 'log_softmax' or 'argmax'");
}

// What is asked of features of either kind.
struct Question {
  const Input& coef;
  const OptionalInput& intercept;
  const Output& out;
  const Answer wanted;

  Index d() const { return static_cast<Index>(coef.shape(1)); }
  Index k() const { return static_cast<Index>(coef.shape(0)); }

  void check() const {
    check_coef(coef);
    require_apart(extent("out", out), extent("coef", coef));
    if (intercept) require_apart(extent("out", out), extent("intercept", *intercept));
  }

  template <class Real>
  Matrix<const Real> weights() const { return matrix_of<const Real>("coef", coef, k(), d()); }
  template <class Real>
  const Real* start() const { return intercept ? row_vector<const Real>("intercept", *intercept, k()) : nullptr; }
  template <class Real>
  Answers<Real> answers(Index rows) const {
    if (wanted == Answer::argmax) return {wanted, {}, row_vector<std::int64_t>("out", out, rows)};
    return {wanted, output_of<Real>("out", out, rows, k()), nullptr};
  }
};

// run(threads, patience), for so many products of features with classes.
template <class F>
void run_scores(Index work, int threads, F run) {
  constexpr Index worth_sharing = Index{1} << 19;    // less is done before other threads have come
  constexpr Index worth_releasing = Index{1} << 16;  // less takes no longer than to let the interpreter go
  Interrupt interrupt;
  if (work < worth_releasing) {
    run(1, interrupt.patience());
  } else {
    const nb::gil_scoped_release released;
    run(work < worth_sharing ? 1 : threads, interrupt.patience());
  }
  interrupt.rethrow();
}

bool linear(const Input& features, const Input& coef, const OptionalInput& intercept, const Output& out,
            std::string_view answer, int threads) {
  if (features.ndim() != 2) refuse("features have shape " + shape_of(features) + "; expected (rows, features)");
  const Question question{coef, intercept, out, answer_of(answer)};
  question.check();
  require_apart(extent("out", out), extent("features", features));
  const auto n = static_cast<Index>(features.shape(0));
  bool are_finite = true;
  with_feature_types("features", features, coef, [&](auto element, auto real) {
    using Element = decltype(element);
    using Real = decltype(real);
    const Matrix<const Element> rows = matrix_of<const Element>("features", features, n, question.d());
    const Matrix<const Real> weights = question.weights<Real>();
    const Real* const start = question.start<Real>();
    const Answers<Real> answers = question.answers<Real>(n);
    run_scores(n * question.k() * (question.d() + 1), threads, [&](int threads, Patience patience) {
      are_finite =
          LinearScores<Element, Real>(rows, weights, start, answers, linear_of<Real>(), kernels_of<Real>(), threads, patience)
              .run();
    });
  });
  return are_finite;
}

bool sparse_linear(const Input& values, const Input& indices, const Input& starts, const Input& coef,
                   const OptionalInput& intercept, const Output& out, std::string_view answer, int threads) {
  const Question question{coef, intercept, out, answer_of(answer)};
  question.check();
  const CsrInput features{values, indices, starts};
  features.check(question.d());
  features.require_apart_from(extent("out", out));
  bool are_finite = true;
  with_feature_types("data", values, coef, [&](auto element, auto real) {
    using Element = decltype(element);
    using Real = decltype(real);
    const CsrMatrix<Element> rows = features.matrix<Element>(question.d());
    const Matrix<const Real> weights = question.weights<Real>();
    const Real* const start = question.start<Real>();
    const Answers<Real> answers = question.answers<Real>(rows.rows);
    bool has_wrong_index = false;
    run_scores((rows.rows + rows.entries) * question.k(), threads, [&](int threads, Patience patience) {
      SparseLinearScores<Element, Real> scores(rows, weights, start, answers, sparse_of<Real>(), kernels_of<Real>(), threads,
                                               patience);
      are_finite = scores.run();
      has_wrong_index = scores.has_wrong_index();
    });
    if (has_wrong_index) features.refuse_wrong_index(question.d());
  });
  return are_finite;
}

}  // namespace

void bind_scores(nb::module_& module) {
  module.def("linear", &linear, nb::arg("features").noconvert(), nb::arg("coef").noconvert(),
             nb::arg("intercept").noconvert().none(), nb::arg("out").noconvert(), nb::kw_only(),
             nb::arg("answer") = "scores", nb::arg("threads") = 1,
             "Scores features coef' + intercept into `out`, or their softmax, log_softmax or argmax: then there are never "
             "scores of all rows. Whether those of the first class are finite, which they are not where a feature is not.");
  module.def("sparse_linear", &sparse_linear, nb::arg("data").noconvert(), nb::arg("indices").noconvert(),
             nb::arg("indptr").noconvert(), nb::arg("coef").noconvert(), nb::arg("intercept").noconvert().none(),
             nb::arg("out").noconvert(), nb::kw_only(), nb::arg("answer") = "scores", nb::arg("threads") = 1,
             "linear of the rows of a CSR matrix, whose indices may be in any order and repeat.");
}

}  // namespace luce::bindings
