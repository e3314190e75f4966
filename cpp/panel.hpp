// Rows side by side, one in each lane, in a buffer of one vector a class.
#pragma once

#include "blocks.hpp"
#include "pieces.hpp"

namespace luce::LUCE_ISA {
namespace {

// Where a panel's rows lie in memory, if so that vectors can load them: either the rows of each class are adjacent, and
// the classes `stride` apart, or the classes of each row are, and the rows `stride` apart.
template <class Real>
struct Place {
  Real* data = nullptr;
  Index stride = 0;
  bool are_classes_adjacent = false;

  Real* of(Index column, Index row) const {
    return data + (are_classes_adjacent ? row * stride + column : column * stride + row);
  }
};

// So many classes at a time are brought in and out: a place has at least these.
constexpr Index least_columns = 4;

// f(first column, whether all four are new): the last four may overlap those before.
template <class F>
[[gnu::always_inline]] inline void each_four(Index columns, F f) {
  Index j = 0;
  for (; j + 4 <= columns; j += 4) f(j, true);
  if (j < columns) f(columns < 4 ? Index{0} : columns - 4, false);
}

template <bool are_classes_adjacent, class Real>
[[gnu::always_inline]] inline void load_four(const Place<const Real>& from, Index j, Vector<Real> (&x)[4]) {
  if constexpr (are_classes_adjacent) {
    for (int first = 0; first < 4; first += quad<Real>) {
      Vector<Real> part[quad<Real>];
      for (int i = 0; i < quad<Real>; ++i)
        part[i] = load_pieces(from.of(j + first, i), quad<Real> * from.stride);
      transpose_pieces<Real>(part);
      for (int i = 0; i < quad<Real>; ++i) x[first + i] = part[i];
    }
  } else {
    for (int i = 0; i < 4; ++i) x[i] = load(from.data + (j + i) * from.stride);
  }
}
template <bool are_classes_adjacent, class Real>
[[gnu::always_inline]] inline void store_four(const Place<Real>& to, Index j, const Vector<Real> (&x)[4]) {
  if constexpr (are_classes_adjacent) {
    for (int first = 0; first < 4; first += quad<Real>) {
      Vector<Real> part[quad<Real>];
      for (int i = 0; i < quad<Real>; ++i) part[i] = x[first + i];
      transpose_pieces<Real>(part);
      for (int i = 0; i < quad<Real>; ++i) store_pieces(to.of(j + first, i), quad<Real> * to.stride, part[i]);
    }
  } else {
    for (int i = 0; i < 4; ++i) store(to.data + (j + i) * to.stride, x[i]);
  }
}

// Memory that is asked for while exponentials are computed: two lines a class, of what will be read and written next.
struct Ahead {
  const void* reading;
  Index reading_stride;  // in bytes
  const void* writing;
  Index writing_stride;

  void ask_for(Index j) const {
    __builtin_prefetch(static_cast<const char*>(reading) + j * reading_stride);
    __builtin_prefetch(static_cast<const char*>(writing) + j * writing_stride, 1);
  }
};

template <class Scalar>
class Panel {
 public:
  using Real = Scalar;
  using V = Vector<Real>;
  using Sum = TermSum<Real, 2>;  // the reference is the largest
  static constexpr bool is_panel = true;
  static constexpr int together = 2;
  static constexpr int groups = luce::LUCE_ISA::groups<Real>;

  // Without a place to come from, the scores are in the buffer already; lanes without a row hold zeros there. Without a
  // place to go to, the results are left in the buffer. It has room for whole fours; `spare` is another of its kind.
  Panel(V* buffer, V* spare, Index columns, int count, const Place<const Real>& from, const Place<Real>& to,
        const Ahead& ahead)
      : buffer_(buffer), source_(buffer), spare_(spare), columns_(columns),
        padded_((columns + together - 1) / together * together), count_(count), from_(from), to_(to), ahead_(ahead) {}

  // Results are left in the buffer, wherever they would go.
  void hold() { to_.data = nullptr; }
  bool holds() const { return to_.data == nullptr; }

  template <class F>
  void each(Bits<Real>, F f) { f(AllRows{}); }

  // The first pass over the scores, while they are brought in. The last step is made up with an impossible class.
  template <class Gather>
  [[gnu::always_inline]] Gather fill(Gather gather) {
    if (from_.data == nullptr) {
      if (columns_ < padded_) buffer_[columns_] = broadcast<Real>(-infinity);
      return pass<false>(buffer_, gather);
    }
    const auto bring = [&](auto load_from_place) __attribute__((always_inline)) {
      each_four(columns_, [&](Index j, bool are_new) __attribute__((always_inline)) {
        V x[4];
        load_from_place(j, x);
        for (int i = 0; i < 4; ++i) buffer_[j + i] = x[i];
        if (!are_new) return;
        V first[together] = {x[0], x[1]}, second[together] = {x[2], x[3]};
        gather.step(first);
        gather.step(second);
      });
    };
    if (from_.are_classes_adjacent)
      bring([&](Index j, V(&x)[4]) __attribute__((always_inline)) { load_four<true, Real>(from_, j, x); });
    else bring([&](Index j, V(&x)[4]) __attribute__((always_inline)) { load_four<false, Real>(from_, j, x); });
    if (columns_ < padded_) buffer_[columns_] = broadcast<Real>(-infinity);
    for (Index j = columns_ / 4 * 4; j < padded_; j += together) {
      V x[together] = {buffer_[j], buffer_[j + 1]};
      gather.step(x);
    }
    from_.data = nullptr;
    gather.settle();
    return gather;
  }

  template <class Gather>
  [[gnu::always_inline]] Gather visit(AllRows, Gather gather) const { return pass<false>(source_, gather); }
  template <class Gather>
  [[gnu::always_inline]] Gather keep(AllRows, Gather gather) { return pass<true>(source_, gather); }
  template <class F>
  [[gnu::always_inline]] void write(AllRows, F f) {
    produce(buffer_, [&](V x, Index) __attribute__((always_inline)) { return f(x); });
  }
  template <class F>
  [[gnu::always_inline]] void rewrite(AllRows, F f) {
    produce(source_, [&](V x, Index) __attribute__((always_inline)) { return f(x); });
  }
  template <class F>
  [[gnu::always_inline]] void rewrite_but(AllRows all, const Index* columns, V values, F f) {
    rewrite(all, f);
    put(columns, values);
  }
  template <class Gather>
  [[gnu::always_inline]] Gather visit_with(AllRows, const V* numbers, Gather gather) {
    const V* const scores = columns();
    for (Index j = 0; j < columns_; ++j) gather.step(scores[j], numbers[j]);
    return gather;
  }
  template <class F>
  [[gnu::always_inline]] void write_with(AllRows, const V* numbers, F f) {
    produce(buffer_, [&](V x, Index j) __attribute__((always_inline)) { return f(x, numbers[j]); });
  }
  template <class F>
  [[gnu::always_inline]] void rewrite_with(AllRows, const V* numbers, const Index* columns, V values, F f) {
    produce(source_, [&](V x, Index j) __attribute__((always_inline)) { return f(x, numbers[j]); });
    put(columns, values);
  }
  // All scores, a vector a class.
  const V* columns() {
    if (from_.data != nullptr) fill(Nothing{});
    return buffer_;
  }

  void recentre(AllRows, V by) {
    for (Index j = 0; j < padded_; ++j) spare_[j] = buffer_[j] - by;
    source_ = spare_;
  }
  void restore(AllRows) { source_ = buffer_; }
  void hide(const Index* columns) {
    fill(Nothing{});
    for (int row = 0; row < count_; ++row) {
      hidden_scores_[row] = buffer_[columns[row]][row];
      buffer_[columns[row]][row] = static_cast<Real>(-infinity);
    }
  }
  V hidden_scores() const { return hidden_scores_; }
  V largest(AllRows) { return fill(Largest<Real, together>{}).merged(); }
  V second(AllRows) { return fill(TwoLargest<Real, together>{}).merged().second[0]; }
  V sample(AllRows part) { return largest(part); }
  V sample_second(AllRows part) { return second(part); }

  static void collect(V x, AllRows, V& to) { to = x; }
  static void collect(const Sum& sum, AllRows, Sum2<V>& totals) { totals = sum.total(); }
  static void collect(const Exact<Real> (&parts)[groups], AllRows, Exact<Real> (&totals)[groups]) {
    for (int group = 0; group < groups; ++group) totals[group] = parts[group];
  }
  static void collect(Bits<Real> counts, AllRows, Doubles (&totals)[groups]) {
    for (int group = 0; group < groups; ++group)
      for (int lane = 0; lane < lanes<double>; ++lane)
        totals[group][lane] = static_cast<double>(counts[group * lanes<double> + lane]);
  }
  static V largest_of(V x) { return x; }
  static V narrow(const Doubles (&x)[groups]) { return narrowed<Real>(x); }

 private:
  struct Nothing {
    void step(V (&)[together]) {}
    void settle() {}
  };

  template <bool keeps, class Gather>
  [[gnu::always_inline]] Gather pass(V* scores, Gather gather) const {
    constexpr Index stretch = together * most_steps<together>;
    for (Index j = 0; j < padded_;) {
      const Index end = padded_ - j < stretch ? padded_ : j + stretch;
      for (; j < end; j += together) {
        V x[together] = {scores[j], scores[j + 1]};
        for (int i = 0; i < together; ++i) ahead_.ask_for(j + i);
        gather.step(x);
        if constexpr (keeps)
          for (int i = 0; i < together; ++i) scores[j + i] = x[i];
      }
      gather.settle();
    }
    return gather;
  }

  // One class of each row.
  void put(const Index* columns, V values) {
    for (int row = 0; row < count_; ++row) {
      if (holds()) buffer_[columns[row]][row] = values[row];
      else *to_.of(columns[row], row) = values[row];
    }
  }

  template <class F>
  [[gnu::always_inline]] void produce(const V* from, F f) {
    const auto send = [&](auto store_to_place) __attribute__((always_inline)) {
      each_four(columns_, [&](Index j, bool) __attribute__((always_inline)) {
        V x[4];
        for (int i = 0; i < 4; ++i) x[i] = f(from[j + i], j + i);
        store_to_place(j, x);
      });
    };
    if (holds()) {
      for (Index j = 0; j < columns_; ++j) buffer_[j] = f(from[j], j);
    } else if (to_.are_classes_adjacent) {
      send([&](Index j, V(&x)[4]) __attribute__((always_inline)) { store_four<true, Real>(to_, j, x); });
    } else {
      send([&](Index j, V(&x)[4]) __attribute__((always_inline)) { store_four<false, Real>(to_, j, x); });
    }
  }

  V* buffer_;
  V* source_;
  V* spare_;
  Index columns_, padded_;
  int count_;
  Place<const Real> from_;
  Place<Real> to_;
  Ahead ahead_;
  V hidden_scores_{};
};

}  // namespace
}  // namespace luce::LUCE_ISA
