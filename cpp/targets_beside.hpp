// The targets of a block's rows, laid out as its scores are: those that are given, or made of them or of the labels.
#pragma once

#include "beside.hpp"
#include "cross_entropy.hpp"

namespace luce::LUCE_ISA {
namespace {

// `kept` of what is given for a class, and a share of the rest if it can happen, times its weight.
template <class Real>
struct TargetMaker {
  Targets<Real> targets;
  double smoothing, kept;
  Index columns;

  TargetMaker(const Targets<Real>& targets, double smoothing, Index columns)
      : targets(targets), smoothing(smoothing), kept(1 - smoothing), columns(columns) {}

  bool makes() const { return has_labels() || smoothing != 0 || targets.class_weights != nullptr; }
  bool has_labels() const { return targets.labels != nullptr; }
  Index label(Index i) const { return label_of(targets.labels, i, columns); }
  double weight(Index j) const { return targets.class_weights == nullptr ? 1.0 : targets.class_weights[j]; }
  double given(Index i, Index j) const {
    return has_labels() ? j == label(i) : row_of(targets.given, i)[j * targets.given.column_stride];
  }
  double share(Index possible) const { return possible == 0 ? 0.0 : smoothing / static_cast<double>(possible); }
  Real made(double share, double score, double given, Index j) const {
    return static_cast<Real>(((score > -infinity ? share : 0.0) + kept * given) * weight(j));
  }
};

template <class Block>
class TargetsBeside;

template <class Real>
class TargetsBeside<Rows<Real>> {
 public:
  TargetsBeside(Rows<Real>&, const TargetMaker<Real>& maker, Index i, int count, void* memory)
      : maker_(&maker), first_(i), given_(rows_of(maker.targets.given, maker.has_labels() ? 0 : i, count), memory),
        made_(static_cast<Real*>(memory)) {}

  const Real* of(const Rows<Real>& block, int row) const {
    if (!maker_->makes()) return given_.of(row);
    const Index columns = maker_->columns;
    const Real* const scores = block.scores(row);
    Index possible = 0;
    for (Index j = 0; j < columns; ++j) possible += scores[j] > static_cast<Real>(-infinity);
    const double share = maker_->share(possible);
    if (maker_->has_labels()) {
      make(scores, share, [](Index) { return 0.0; });
      const Index label = maker_->label(first_ + row);
      made_[label] = maker_->made(share, scores[label], 1.0, label);
    } else {
      const Real* const given = given_.of(row);
      make(scores, share, [=](Index j) { return static_cast<double>(given[j]); });
    }
    return made_;
  }

  static void collect_at(const Real* numbers, const Index* columns, int row, Vector<Real>& found) {
    found[row] = numbers[columns[row]];
  }

 private:
  template <class Given>
  void make(const Real* scores, double share, Given given) const {
    const double* const weights = maker_->targets.class_weights;
    for (Index j = 0; j < maker_->columns; ++j) {
      const double target = (scores[j] > static_cast<Real>(-infinity) ? share : 0.0) + maker_->kept * given(j);
      made_[j] = static_cast<Real>(weights == nullptr ? target : target * weights[j]);
    }
  }

  const TargetMaker<Real>* maker_;
  Index first_;
  Beside<Rows<Real>> given_;
  Real* made_;
};

template <class Real>
class TargetsBeside<Panel<Real>> {
  using V = Vector<Real>;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;

 public:
  TargetsBeside(Panel<Real>& block, const TargetMaker<Real>& maker, Index i, int count, void* memory) {
    auto* const made = static_cast<V*>(memory);
    numbers_ = made;
    if (!maker.has_labels()) numbers_ = Beside<Panel<Real>>(rows_of(maker.targets.given, i, count), memory).of(AllRows{});
    if (!maker.makes()) return;
    const V* const scores = block.columns();
    Bits<Real> minus_possible{};
    for (Index j = 0; j < maker.columns; ++j) minus_possible += is_possible(scores[j]);
    Doubles possible[groups], share[groups];
    Panel<Real>::collect(-minus_possible, AllRows{}, possible);
    for (int group = 0; group < groups; ++group)
      share[group] = possible[group] == 0 ? Doubles{} : maker.smoothing / possible[group];
    for (Index j = 0; j < maker.columns; ++j) {
      const V shared = is_possible(scores[j]) ? broadcast<Real>(1.0) : V{};
      Doubles target[groups];
      for (int group = 0; group < groups; ++group) {
        target[group] = widened(shared, group) * share[group];
        if (!maker.has_labels()) target[group] += widened(numbers_[j], group) * maker.kept;
        target[group] *= maker.weight(j);
      }
      made[j] = narrowed<Real>(target);
    }
    numbers_ = made;
    for (int row = 0; row < count && maker.has_labels(); ++row) {
      const Index label = maker.label(i + row);
      made[label][row] = maker.made(share[row / lanes<double>][row % lanes<double>], scores[label][row], 1.0, label);
    }
  }

  const V* of(const Panel<Real>&, AllRows) const { return numbers_; }

  static void collect_at(const V* numbers, const Index* columns, AllRows, V& found) {
    for (int row = 0; row < lanes<Real>; ++row) found[row] = numbers[columns[row]][row];
  }

 private:
  static auto is_possible(V score) { return score > static_cast<Real>(-infinity); }

  const V* numbers_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
