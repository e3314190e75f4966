// The derivative of softmax times a tangent: p (t - <p, t>) / temperature, from the probabilities p.
//
// It does not see a constant added to t. With t = 0 at a most probable class, what that class gains is a plain sum over the
// others: it has its digits where p is nearly 1. Classes that cannot happen (p = 0) do not move, whatever t is there.
#pragma once

#include "beside.hpp"
#include "sums.hpp"

namespace luce::LUCE_ISA {
namespace {

// Rows of at most so many columns are computed side by side.
template <class Real>
constexpr Index most_columns_of_jvp = 4 * lanes<Real>;

// Gathers, lane by lane, a largest probability and the tangent there.
template <class Real>
struct MostProbable {
  using V = Vector<Real>;
  V best = broadcast<Real>(-infinity), tangent{};

  [[gnu::always_inline]] void step(V p, V t) {
    const auto better = p > best;
    best = maximum(p, best);
    tangent = better ? t : tangent;
  }
  void settle() {}
};

// Sums up p (t - top), a few products as they are and then exactly. `masked`, where p = 0 there may be any t.
template <class Real, bool masked>
struct MeanMove {
  using V = Vector<Real>;
  V top;
  V few{};
  Exact<Real> sum[groups<Real>] = {};

  [[gnu::always_inline]] void step(V p, V t) {
    few = multiply_add(p, (masked ? (p == V{} ? top : t) : t) - top, few);
  }
  [[gnu::always_inline]] void settle() {
    for (int group = 0; group < groups<Real>; ++group)
      sum[group] = plus(sum[group], exact<Exact<Real>>(widened(few, group)));
    few = V{};
  }
};

// How the probabilities of some rows move. Plain ones are at temperature 1.
template <class Real>
struct Moves {
  using V = Vector<Real>;
  V top, mean;
  bool is_plain;
  Doubles temperatures[groups<Real>];

  [[gnu::always_inline]] V plain(V p, V t) const { return p == V{} ? V{} : p * ((t - top) - mean); }
  [[gnu::always_inline]] V of(V p, V t) const {
    const V slope = (t - top) - mean;
    Doubles quotient[groups<Real>];
    for (int group = 0; group < groups<Real>; ++group)
      quotient[group] = widened(p, group) * widened(slope, group) / temperatures[group];
    return p == V{} ? V{} : narrowed<Real>(quotient);
  }
};

template <class Real>
struct MovesOfPanel {
  const Vector<Real>* tangents;
  Moves<Real> moves;
  Bits<Real> exceptional;

  void write(Panel<Real>& block, AllRows all) const {
    using V = Vector<Real>;
    if (moves.is_plain) block.write_with(all, tangents, [&](V p, V t) { return moves.plain(p, t); });
    else block.write_with(all, tangents, [&](V p, V t) { return moves.of(p, t); });
  }
};

template <class Real>
struct JvpOfPanel {
  Matrix<const Real> tangents;
  PerRow temperatures;
  void* memory;  // for Beside

  MovesOfPanel<Real> operator()(Panel<Real>& block, Index i, int count) const {
    const AllRows all;
    const Vector<Real>* const beside = Beside<Panel<Real>>(rows_of(tangents, i, count), memory).of(all);
    MovesOfPanel<Real> result{beside, {}, {}};
    auto& moves = result.moves;
    moves.top = block.visit_with(all, beside, MostProbable<Real>{}).tangent;
    moves.mean = mean_of(block.columns(), beside, MeanMove<Real, false>{moves.top});
    if (any(is_infinite(moves.mean))) moves.mean = mean_of(block.columns(), beside, MeanMove<Real, true>{moves.top});
    moves.is_plain = is_plain(temperatures);
    for (int lane = 0; lane < count && !moves.is_plain; ++lane)
      moves.temperatures[lane / lanes<double>][lane % lanes<double>] = temperatures.data[(i + lane) * temperatures.stride];
    return result;
  }

  template <bool masked>
  Vector<Real> mean_of(const Vector<Real>* p, const Vector<Real>* t, MeanMove<Real, masked> move) const {
    for (Index j = 0; j < tangents.columns;) {
      const Index end = tangents.columns - j < 4 ? tangents.columns : j + 4;
      for (; j < end; ++j) move.step(p[j], t[j]);
      move.settle();
    }
    Doubles mean[groups<Real>];
    for (int group = 0; group < groups<Real>; ++group) mean[group] = rounded(move.sum[group]);
    return narrowed<Real>(mean);
  }

  template <class Get, class Put>
  void exceptional(Index, Get, Put) const {}
};

// Row by row, of adjacent classes.
template <class Real>
class JvpOfRow {
  using V = Vector<Real>;
  static constexpr Index width = lanes<Real>;

 public:
  JvpOfRow() = default;
  JvpOfRow(const Real* probabilities, const Real* tangents, Index columns, double temperature)
      : probabilities_(probabilities), tangents_(tangents), columns_(columns) {
    for (Doubles& each : moves_.temperatures) each = broadcast<double>(temperature);
  }

  [[gnu::always_inline]] void find_top() {
    MostProbable<Real> most[2];
    each_pair(most);
    const auto better = most[1].best > most[0].best;
    const V best = better ? most[1].best : most[0].best, tangent = better ? most[1].tangent : most[0].tangent;
    moves_.top = largest_lane<Real>(best == largest_lane<Real>(best) ? tangent : broadcast<Real>(-infinity));
  }
  [[gnu::always_inline]] void find_mean() {
    moves_.mean = mean<false>();
    if (any(is_infinite(moves_.mean))) moves_.mean = mean<true>();
    moves_.is_plain = moves_.temperatures[0][0] == 1.0;
  }

  // Into `out`, through `lines` if there are any.
  void write(Real* out, WholeLines<Real>* lines) const {
    const auto write_with = [&](auto move) __attribute__((always_inline)) {
      const auto at = [&](V p, Index j, int count) __attribute__((always_inline)) {
        return move(p, count == width ? load(tangents_ + j) : load_first(tangents_ + j, count, 0.0));
      };
      if (lines != nullptr) lines->write(probabilities_, out, columns_, -1, V{}, at);
      else
        each_result(
            probabilities_, 0, columns_, -1, V{}, at, [&](Index j, V x, int count) { store_first(out + j, x, count); },
            [&](Index j, V x) { store(out + j, x); });
    };
    const Moves<Real> moves = moves_;
    if (moves.is_plain) write_with([&](V p, V t) { return moves.plain(p, t); });
    else write_with([&](V p, V t) { return moves.of(p, t); });
  }

 private:
  template <bool masked>
  [[gnu::always_inline]] V mean() const {
    MeanMove<Real, masked> parts[2] = {{moves_.top}, {moves_.top}};
    each_pair(parts);
    auto sum = plus(parts[0].sum[0], parts[1].sum[0]);
    if constexpr (groups<Real> > 1) sum = plus(sum, plus(parts[0].sum[1], parts[1].sum[1]));
    return broadcast<Real>(rounded(total_of(sum))[0]);
  }

  // Steps of probabilities and tangents, in turn for each of two that gather.
  template <class Gather>
  [[gnu::always_inline]] void each_pair(Gather (&gather)[2]) const {
    Index j = 0;
    for (; j + 8 * width <= columns_; j += 8 * width) {
      for (Index i = 0; i < 8; ++i)
        gather[i % 2].step(load(probabilities_ + j + i * width), load(tangents_ + j + i * width));
      for (Gather& each : gather) each.settle();
    }
    for (; j + width <= columns_; j += width) gather[0].step(load(probabilities_ + j), load(tangents_ + j));
    if (j < columns_) {
      const int rest = static_cast<int>(columns_ - j);
      gather[1].step(load_first(probabilities_ + j, rest, 0.0), load_first(tangents_ + j, rest, 0.0));
    }
    for (Gather& each : gather) each.settle();
  }

  const Real* probabilities_;
  const Real* tangents_;
  Index columns_;
  Moves<Real> moves_;
};

template <class Real>
LUCE_FLATTEN void softmax_jvp(Matrix<const Real> probabilities, Matrix<const Real> tangents, PerRow temperatures,
                              Matrix<Real> out, Workspace workspace) {
  if (is_run_in_panels(probabilities, out, most_columns_of_jvp<Real>)) {
    void* const memory = memory_beside<Real>(tangents.columns, true, workspace);
    return run_panels(JvpOfPanel<Real>{tangents, temperatures, memory}, probabilities, out, workspace);
  }
  const Index columns = out.columns;
  const bool is_direct = has_adjacent_classes(probabilities, out);
  const bool streams = is_direct && out.data != probabilities.data && workspace.exceeds_caches;
  auto* const gathered = static_cast<Real*>(workspace.memory);
  const Beside<Rows<Real>> beside(tangents, gathered + columns + lanes<Real>);
  WholeLines<Real> lines;
  // Some rows together, if they fit in the nearest cache: one need not wait for what another has found.
  constexpr int most_together = 4;
  constexpr Index numbers_together = 8192 / Index{sizeof(Real)};
  JvpOfRow<Real> rows[most_together];
  const Index fitting = is_direct && tangents.column_stride == 1 ? numbers_together / columns : 1;
  const Index together = fitting > most_together ? most_together : fitting > 1 ? fitting : 1;
  for (Index i = 0; i < out.rows && !is_cancelled(workspace); i += together) {
    const int count = static_cast<int>(out.rows - i < together ? out.rows - i : together);
    if (!is_direct) copy_row(row_of(probabilities, i), probabilities.column_stride, columns, gathered);
    for (int row = 0; row < count; ++row)
      rows[row] = {is_direct ? row_of(probabilities, i + row) : gathered, beside.of(static_cast<int>(i) + row), columns,
                   temperatures.data[(i + row) * temperatures.stride]};
    for (int row = 0; row < count; ++row) rows[row].find_top();
    for (int row = 0; row < count; ++row) rows[row].find_mean();
    for (int row = 0; row < count; ++row)
      rows[row].write(is_direct ? row_of(out, i + row) : gathered, streams ? &lines : nullptr);
    if (!is_direct) copy_row_back(gathered, columns, row_of(out, i), out.column_stride);
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
