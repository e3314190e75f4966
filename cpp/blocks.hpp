// Two ways to lay rows over the lanes of vectors, with one face, so that every kernel is written once:
// `Rows`: some long rows, and a pass goes over one of them, its lanes being classes; `Panel`: as many rows as a vector
// has lanes, one in each lane, for rows too short to fill vectors and for rows whose neighbours are nearer in memory
// than their classes. Numbers of rows (a largest score, a sum) stand one a lane in both: what is done with them is done
// for all rows of a block at once.
//
//   each(rows, f)        f(part) for every part of the block with rows in the mask
//   largest, second      the largest score of a part, the largest but one; sample, sample_second: of some of a long row
//   visit(part, gather)  gather.step(x) for some vectors of scores, `together` at a time, which it may change
//   keep(part, gather)   the same, and what x has become is kept
//   write(part, f)       f(scores) is the result
//   rewrite(part, f)     the same of what was kept; rewrite_but: but for one class of each row
//   visit_with, write_with, rewrite_with   the same with a number beside each score
//   recentre(part, by)   from now on visit and keep see scores less `by`; until restore(part)
//   hide(columns)        from now on visit and keep see -inf at one class of each row
//   collect(...)         a total or the largest over a part, into the lanes of its rows
//
// What gathers is handed on by value, and returned: so its numbers stay in registers. It is told to settle() when it has
// taken most_steps steps, and at the end.
#pragma once

#include "exponential.hpp"

namespace luce::LUCE_ISA {
namespace {

inline bool is_cancelled(const Workspace& workspace) {
  return __atomic_load_n(workspace.cancelled, __ATOMIC_RELAXED);
}

inline bool is_given_up(const Workspace& workspace) {
  return is_cancelled(workspace) || (workspace.poll != nullptr && workspace.poll(workspace.poll_context));
}

// After so many steps of `count` vectors a gatherer settles.
template <int count>
constexpr Index most_steps = most_terms / count;

// Scores are asked for so far ahead of their use: the hardware looks ahead no further than a page.
constexpr Index prefetch_bytes = 12288;

inline Single total_of(Single x) {
  return {folded<double>(x.hi, [](Doubles a, Doubles b) { return a + b; })};
}
inline Pair total_of(Pair x) {
  for (int shift = lanes<double> / 2; shift > 0; shift /= 2) {
    constexpr auto all = std::make_integer_sequence<int, lanes<double>>{};
    x = plus(x, Pair{rotated(x.hi, shift, all), rotated(x.lo, shift, all)});
  }
  return x;
}

template <class Real>
inline Vector<Real> largest_lane(Vector<Real> x) {
  return folded<Real>(x, [](Vector<Real> a, Vector<Real> b) { return maximum(a, b); });
}

template <class Real, int count>
struct Recentred {
  Vector<Real> by;
  [[gnu::always_inline]] void step(Vector<Real> (&x)[count]) {
    for (Vector<Real>& part : x) part -= by;
  }
  void settle() {}
};

// Gathers the largest scores of each vector of a step, lane by lane.
template <class Real, int count>
struct Largest {
  using V = Vector<Real>;
  V best[count];

  Largest() {
    for (V& x : best) x = broadcast<Real>(-infinity);
  }
  [[gnu::always_inline]] void step(V (&x)[count]) {
    for (int i = 0; i < count; ++i) best[i] = maximum(x[i], best[i]);
  }
  void settle() {}
  V merged() const {
    V all = best[0];
    for (V x : best) all = maximum(x, all);
    return all;
  }
};

// Gathers, lane by lane, the largest score and the largest but one.
template <class Real, int count>
struct TwoLargest {
  using V = Vector<Real>;
  V best[count], second[count];

  TwoLargest() {
    for (int i = 0; i < count; ++i) best[i] = second[i] = broadcast<Real>(-infinity);
  }
  [[gnu::always_inline]] void step(V (&x)[count]) {
    for (int i = 0; i < count; ++i) {
      second[i] = maximum(minimum(best[i], x[i]), second[i]);
      best[i] = maximum(x[i], best[i]);
    }
  }
  void settle() {}
  // Those of all vectors in the first.
  TwoLargest merged() const {
    TwoLargest all = *this;
    for (int i = 1; i < count; ++i) {
      all.second[0] = maximum(minimum(all.best[0], best[i]), maximum(all.second[0], second[i]));
      all.best[0] = maximum(all.best[0], best[i]);
    }
    return all;
  }
};

}  // namespace
}  // namespace luce::LUCE_ISA
