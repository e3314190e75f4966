// One class of every row, drawn from softmax(scores / temperature) cut down to the classes that matter: the top_k highest
// scores, of these the fewest that hold the share top_p, of these the ones at least min_p times as likely as the first.
// Nothing is sorted: a class at the edge is selected, and a pass keeps those that come before it.
#pragma once

#include "halves.hpp"
#include "sample_panel.hpp"

namespace luce::LUCE_ISA {
namespace {

constexpr Index sampled_together = 256;  // classes whose weights are summed up together

// Classes in order of their scores; of equal ones the first goes first.
template <class Real>
struct Edge {
  Real score;
  Index number;
};

template <class Real>
class Sampler {
  using V = Vector<Real>;

 public:
  // `memory` has room for columns of numbers twice, of a sum for every block and of candidates.
  Sampler(const Real* scores, Index columns, const SampleSettings& settings, void* memory)
      : scores_(scores), columns_(columns), blocks_((columns + sampled_together - 1) / sampled_together),
        settings_(settings), is_sparse_(settings.top_k < columns / (8 * lanes<Real>)) {
    sums_ = static_cast<double*>(memory);
    weights_ = reinterpret_cast<Real*>(sums_ + blocks_);
    highest_ = weights_ + columns;
    candidates_ = reinterpret_cast<std::int32_t*>(highest_ + blocks_);
  }

  // -1: a score is NaN or infinity. -2: no class is possible.
  Index draw(double uniform) {
    if (!find_highest()) return -1;
    if (!(top_ > -static_cast<Real>(infinity))) return -2;
    if (settings_.inverse_temperature == infinity) return first_of_highest();
    Edge<Real> edge{-static_cast<Real>(infinity), columns_};
    if (settings_.top_k < columns_) edge = edge_of_top_k();
    if (!(settings_.top_p < 1.0)) {
      edge = nearer(edge, edge_of_min_p());
      weigh<false>(edge);
      return class_at(uniform * total_of_sums(), [&](Index block) { weigh_block<true>(block, edge); });
    }
    weigh<true>(edge);
    const Index most = settings_.top_k < columns_ ? settings_.top_k : columns_;
    edge = edge_where<false>(total_of_sums() * settings_.top_p, edge.score, most);
    weigh_less(nearer(edge, edge_of_min_p()));
    return class_at(uniform * total_of_sums(), [](Index) {});
  }

 private:
  // The first `count` of a block's vectors, f(place, how many).
  template <class F>
  [[gnu::always_inline]] void each_of_block(Index block, const F& f) const {
    const Index first = block * sampled_together;
    const Index count = columns_ - first < sampled_together ? columns_ - first : sampled_together;
    each_vector<Real>(count, [&](Index i, int some) __attribute__((always_inline)) { f(first + i, some); });
  }
  V scores_at(Index i, int some) const {
    return some == lanes<Real> ? load(scores_ + i) : load_first(scores_ + i, some, -infinity);
  }

  bool find_highest() {
    const V bound = broadcast<Real>(infinity);
    auto is_bad = V{} != V{};
    top_ = -static_cast<Real>(infinity);
    for (Index block = 0; block < blocks_; ++block) {
      V most = broadcast<Real>(-infinity);
      each_of_block(block, [&](Index i, int some) __attribute__((always_inline)) {
        const V x = scores_at(i, some);
        is_bad |= !(x < bound);
        most = maximum(x, most);
      });
      const Real highest = folded<Real>(most, [](V a, V b) { return maximum(a, b); })[0];
      highest_[block] = highest;
      if (highest > top_) top_ = highest;
    }
    return !any(is_bad);
  }

  Index first_of_highest() const {
    Index i = 0;
    while (scores_[i] != top_) ++i;
    return i;
  }

  bool goes_before(const Real* scores, std::int32_t a, std::int32_t b) const {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  }

  // The candidate at which, gone through in order, the weights reach `target`; candidates change places.
  template <class Weight>
  std::int32_t select(const Real* scores, Index count, double target, const Weight& weight) {
    std::int32_t* from = candidates_;
    std::uint32_t random = 1;
    for (;;) {
      random = random * 1664525u + 1013904223u;
      const Index chosen = static_cast<Index>((static_cast<std::uint64_t>(random) * static_cast<std::uint64_t>(count)) >> 32);
      const std::int32_t pivot = from[chosen];
      from[chosen] = from[0];
      Index before = 1;
      double total = 0;
      for (Index i = 1; i < count; ++i) {
        const std::int32_t candidate = from[i];
        if (!goes_before(scores, candidate, pivot)) continue;
        total += weight(candidate);
        from[i] = from[before];
        from[before++] = candidate;
      }
      if (total >= target && before > 1) {
        ++from;
        count = before - 1;
        continue;
      }
      target -= total + weight(pivot);
      if (target <= 0 || before == count) return pivot;
      from += before;
      count -= before;
    }
  }

  // Candidates: the classes of a block with scores of at least `least`, or in the range of weights.
  template <class Condition>
  Index add_candidates(Index count, Index block, const Condition& is_one) {
    each_of_block(block, [&](Index i, int some) __attribute__((always_inline)) {
      for (unsigned bits = mask_bits(is_one(i, some)) & ((1u << some) - 1); bits != 0; bits &= bits - 1)
        candidates_[count++] = static_cast<std::int32_t>(i + __builtin_ctz(bits));
    });
    return count;
  }

  // A score that the highest ones of top_k blocks reach, and of few more.
  Real least_of_highest() const {
    Real low = top_, high = top_;
    for (Index block = 0; block < blocks_; ++block) low = highest_[block] < low ? highest_[block] : low;
    for (int i = 0; i < 8; ++i) {
      const Real middle = low + (high - low) / 2;
      if (!(middle > low)) break;
      const V bound = broadcast<Real>(static_cast<double>(middle));
      Index count = 0;
      each_vector<Real>(blocks_, [&](Index block, int some) __attribute__((always_inline)) {
        count += lanes_in((some == lanes<Real> ? load(highest_ + block) : load_first(highest_ + block, some, -infinity)) >= bound);
      });
      (count >= settings_.top_k ? low : high) = middle;
    }
    return low;
  }
  // Where there are more blocks than classes wanted, none of these is below the highest scores of so many blocks.
  Edge<Real> edge_of_top_k() {
    const Real least = settings_.top_k < blocks_ ? least_of_highest() : -static_cast<Real>(infinity);
    const Index most = least > -static_cast<Real>(infinity) ? total_from<true>(least).count : columns_;
    return edge_where<true>(static_cast<double>(settings_.top_k), least, most);
  }
  Edge<Real> edge_of_min_p() const {
    if (settings_.log_min_p == -infinity || !(settings_.inverse_temperature > 0.0))
      return {-static_cast<Real>(infinity), columns_};
    return {static_cast<Real>(top_ + settings_.log_min_p / settings_.inverse_temperature), columns_};
  }
  static Edge<Real> nearer(const Edge<Real>& a, const Edge<Real>& b) {
    return a.score > b.score || (a.score == b.score && a.number < b.number) ? a : b;
  }

  // exp((score - highest) / temperature), 0 behind the edge. Weights that are not summed again are not kept: a block's are
  // computed once more where a class is drawn from it. Of blocks behind the edge only the sum, 0, is kept.
  template <bool are_kept>
  void weigh(const Edge<Real>& edge) {
    for (Index block = 0; block < blocks_; ++block)
      sums_[block] = highest_[block] < edge.score ? 0.0 : weigh_block<are_kept>(block, edge);
  }
  template <bool are_kept>
  double weigh_block(Index block, const Edge<Real>& edge) {
    const V top = broadcast<Real>(static_cast<double>(top_));
    const V inverse = steepness<Real>(settings_);
    const V least = broadcast<Real>(static_cast<double>(edge.score));
    V sum{};
    each_of_block(block, [&](Index i, int some) __attribute__((always_inline)) {
      const V x = scores_at(i, some);
      if (is_sparse_ && !any(x >= least)) {
        if constexpr (are_kept) store_some(weights_ + i, V{}, some);
        return;
      }
      const Exponential<Real> e = exponential_of_negative<Real>((x - top) * inverse);
      const V weight = keeps(x, i, edge) ? times_plus<Real>(e.power, e.rest, e.power) : V{};
      if constexpr (are_kept) store_some(weights_ + i, weight, some);
      sum += weight;
    });
    return sum_of(sum);
  }
  void weigh_less(const Edge<Real>& edge) {
    const V least = broadcast<Real>(static_cast<double>(edge.score));
    for (Index block = 0; block < blocks_; ++block) {
      if (highest_[block] < edge.score) sums_[block] = 0.0;
      if (sums_[block] == 0.0) continue;
      V sum{};
      each_of_block(block, [&](Index i, int some) __attribute__((always_inline)) {
        const V x = scores_at(i, some);
        if (is_sparse_ && !any(x >= least)) return store_some(weights_ + i, V{}, some);
        const V weight = keeps(x, i, edge) ? load_some(weights_ + i, some) : V{};
        store_some(weights_ + i, weight, some);
        sum += weight;
      });
      sums_[block] = sum_of(sum);
    }
  }
  [[gnu::always_inline]] auto keeps(V x, Index i, const Edge<Real>& edge) const {
    Bits<Real> numbers{};
    for (int lane = 0; lane < lanes<Real>; ++lane) numbers[lane] = lane;
    using Number = std::remove_reference_t<decltype(numbers[0] + 0)>;
    const Index left = edge.number - i;
    const auto most = static_cast<Number>(left > lanes<Real> ? lanes<Real> : left < -1 ? -1 : left);
    const V score = broadcast<Real>(static_cast<double>(edge.score));
    return (x > score) | ((x == score) & (x > broadcast<Real>(-infinity)) & (numbers <= most));
  }
  static double sum_of(V x) {
    Doubles sum{};
    for (int group = 0; group < groups<Real>; ++group) sum += widened(x, group);
    return folded<double>(sum, [](Doubles a, Doubles b) { return a + b; })[0];
  }
  double total_of_sums() const {
    double total = 0;
    for (Index block = 0; block < blocks_; ++block) total += sums_[block];
    return total;
  }

  // Of the classes with at least such a score.
  struct Total {
    Index count;
    double weight;
  };
  template <bool counts>
  Total total_from(Real least) const {
    const V bound = broadcast<Real>(static_cast<double>(least));
    Total total{0, 0.0};
    for (Index block = 0; block < blocks_; ++block) {
      if (highest_[block] < least) continue;
      V sum{};
      each_of_block(block, [&](Index i, int some) __attribute__((always_inline)) {
        const auto is_above = scores_at(i, some) >= bound;
        if constexpr (!counts) sum += is_above ? load_some(weights_ + i, some) : V{};
        total.count += lanes_in(is_above);
      });
      if constexpr (!counts) total.weight += sum_of(sum);
    }
    if constexpr (counts) total.weight = static_cast<double>(total.count);
    return total;
  }

  // The candidate at which the weights reach the target: each is compared with every other. They are in order of number.
  template <bool counts>
  Edge<Real> edge_among_few(Index count, double target) const {
    constexpr Index width = lanes<Real>;
    Real scores[most_columns_compared], weights[most_columns_compared], before[most_columns_compared];
    const Index padded = (count + width - 1) / width * width;
    for (Index i = 0; i < padded; ++i) {
      scores[i] = i < count ? scores_[candidates_[i]] : -static_cast<Real>(infinity);
      weights[i] = i >= count ? Real{0} : counts ? Real{1} : weights_[candidates_[i]];
    }
    Bits<Real> numbers{};
    for (int lane = 0; lane < lanes<Real>; ++lane) numbers[lane] = lane;
    using Number = std::remove_reference_t<decltype(numbers[0] + 0)>;
    for (Index first = 0; first < padded; first += width) {
      const V x = load(scores + first);
      V sum{};
      for (Index i = 0; i < count; ++i) {
        const V other = broadcast<Real>(static_cast<double>(scores[i]));
        const auto goes_first = (other > x) | ((other == x) & (numbers > static_cast<Number>(i - first)));
        sum += goes_first ? broadcast<Real>(static_cast<double>(weights[i])) : V{};
      }
      store(before + first, sum);
    }
    Index last = 0;
    double most = -1.0;
    for (Index i = 0; i < count; ++i) {
      const auto sum = static_cast<double>(before[i]);
      if (sum >= target || sum < most || (sum == most && scores[i] > scores[last])) continue;
      most = sum;
      last = i;
    }
    return {scores[last], candidates_[last]};
  }

  // Where the weights, or the numbers, of the classes in order reach the target: between two scores that come nearer to each
  // other until there are few between them, among which the edge is selected. None below `least` is needed, and of those
  // from there on about `most` have a weight.
  template <bool counts>
  Edge<Real> edge_where(double target, Real least, Index most) {
    const Index few = 32 + columns_ / 512;
    Real low = least, high = static_cast<Real>(infinity);
    Total above{0, 0.0}, whole{most, infinity};
    const Real unit = static_cast<Real>(settings_.inverse_temperature > 0.0 ? 1.0 / settings_.inverse_temperature : 1.0);
    for (int i = 0; i < 60 && whole.count - above.count > few; ++i) {
      const Real upper = high < top_ ? high : top_;
      const bool is_bounded = low > -static_cast<Real>(infinity);
      if (!is_bounded && i == 12) break;
      const Real middle = is_bounded ? low + (upper - low) / 2 : top_ - unit * static_cast<Real>(1 << i);
      if (!(middle > low && middle < high)) break;
      const Total total = total_from<counts>(middle);
      (total.weight >= target ? low : high) = middle;
      (total.weight >= target ? whole : above) = total;
    }
    const V low_bound = broadcast<Real>(static_cast<double>(low)), high_bound = broadcast<Real>(static_cast<double>(high));
    Index count = 0;
    for (Index block = 0; block < blocks_; ++block)
      if (highest_[block] >= low)
        count = add_candidates(count, block, [&](Index i, int some) {
          const V x = scores_at(i, some);
          return (x >= low_bound) & (x < high_bound);
        });
    if (count <= most_columns_compared) return edge_among_few<counts>(count, target - above.weight);
    const std::int32_t last = select(scores_, count, target - above.weight, [&](std::int32_t i) {
      return counts ? 1.0 : static_cast<double>(weights_[i]);
    });
    return {scores_[last], last};
  }

  // The class at which the weights, from the first on, exceed `target`; `weigh` sees to those of its block.
  template <class Weigh>
  Index class_at(double target, const Weigh& weigh) const {
    Index last = 0;
    for (Index block = 0; block < blocks_; ++block) {
      if (sums_[block] == 0.0) continue;
      const Index first = block * sampled_together;
      const Index end = first + sampled_together < columns_ ? first + sampled_together : columns_;
      if (target < sums_[block] || block == last_weighted_block()) {
        weigh(block);
        for (Index i = first; i < end; ++i) {
          if (weights_[i] == 0) continue;
          last = i;
          if (target < static_cast<double>(weights_[i])) return i;
          target -= static_cast<double>(weights_[i]);
        }
        return last;
      }
      target -= sums_[block];
    }
    return last;
  }
  Index last_weighted_block() const {
    Index block = blocks_ - 1;
    while (block > 0 && sums_[block] == 0.0) --block;
    return block;
  }

  const Real* const scores_;
  const Index columns_, blocks_;
  const SampleSettings& settings_;
  const bool is_sparse_;  // most vectors have no class of the top_k
  double* sums_;
  Real* weights_;
  Real* highest_;
  std::int32_t* candidates_;
  Real top_;
};

template <class Element>
void sample(Matrix<const Element> scores, const double* uniforms, Index distance, const SampleSettings& settings,
            std::int64_t* out, Workspace workspace) {
  if constexpr (is_half<Element>) {
    in_floats(scores, Matrix<Element>{}, workspace, [&](Index i, Matrix<const float> from, Matrix<float>, Workspace rest) {
      sample(from, uniforms + i * distance, distance, settings, out + i * distance, rest);
    });
  } else if (scores.columns <= most_columns_compared) {
    sample_panels(scores, uniforms, distance, settings, out, workspace);
  } else {
    auto* const copied = static_cast<Element*>(workspace.memory);
    void* const memory = copied + (scores.columns + 63) / 64 * 64;
    for (Index i = 0; i < scores.rows && !is_cancelled(workspace); ++i) {
      const Element* const row = row_of(scores, i);
      if (scores.column_stride != 1) copy_row(row, scores.column_stride, scores.columns, copied);
      Sampler<Element> sampler(scores.column_stride == 1 ? row : copied, scores.columns, settings, memory);
      out[i * distance] = sampler.draw(uniforms[i * distance]);
    }
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
