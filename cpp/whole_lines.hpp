// Writes rows past the caches, as large copies do: a line that is written whole need not be read from memory first.
#pragma once

#include "vectors.hpp"

namespace luce::LUCE_ISA {
namespace {

// The first place of the room that stands in its page where `other` does. A load is taken to depend on stores under way to
// the same place of any page, and those past the caches are long under way.
constexpr Index page_bytes = 4096;
template <class Real>
Real* at_page_offset_of(const Real* other, Real* room) {
  const auto distance = reinterpret_cast<std::uintptr_t>(other) - reinterpret_cast<std::uintptr_t>(room);
  return room + distance % page_bytes / sizeof(Real);
}

// f(numbers, j, n) of `count` numbers, n from place j on, but for one place that gets `value`. `put_first(j, x, n)` and `put(j, x)` take
// the results from place j on: n of them, fewer than a vector has lanes, up to `first`; then whole vectors; then the rest.
template <class Real, class F, class PutFirst, class Put>
[[gnu::always_inline]] inline void each_result(const Real* from, Index first, Index count, Index but, Vector<Real> value,
                                               F f, PutFirst put_first, Put put) {
  using V = Vector<Real>;
  constexpr Index width = lanes<Real>;
  const auto result = [&](Index j, int n) {
    const V x = n == width ? load(from + j) : load_first(from + j, n, 0.0);
    return lane_is<Real>(static_cast<int>(but - j)) ? value : f(x, j, n);
  };
  if (first > 0) put_first(Index{0}, result(0, static_cast<int>(first)), static_cast<int>(first));
  Index j = first;
  while (j + width <= count) {
    const Index before = but < j ? count : j + (but - j) / width * width, stop = before < count ? before : count;
    for (; j + width <= stop; j += width) put(j, f(load(from + j), j, static_cast<int>(width)));
    if (j + width > count) break;
    put(j, result(j, static_cast<int>(width)));
    j += width;
  }
  const int rest = static_cast<int>(count - j);
  if (rest > 0) put_first(j, result(j, rest), rest);
}

// Where two rows meet within a line, what there is of it is held back until the other part comes.
template <class Real>
class WholeLines {
  using V = Vector<Real>;
  static constexpr Index width = lanes<Real>;

 public:
  ~WholeLines() {
    flush();
    publish();
  }

  // Of `count` numbers, at least a vector of them; f and `but` as for each_result.
  template <class F>
  [[gnu::always_inline]] void write(const Real* from, Real* to, Index count, Index but, V value, F f) {
    const auto first = static_cast<Index>((-reinterpret_cast<std::uintptr_t>(to)) % vector_bytes / sizeof(Real));
    if (line_ + end_ != to) {
      flush();
      line_ = to + first - width;
      begin_ = static_cast<int>(width - first);
    }
    each_result(
        from, first, count, but, value, f,
        [&](Index j, V x, int n) {
          if (j == 0) {
            store_first(held_ + width - first, x, n);
            end_ = static_cast<int>(width);
            flush();
          } else {
            store_first(held_, x, n);
            line_ = to + j;
            begin_ = 0;
            end_ = n;
          }
        },
        [&](Index j, V x) { stream(to + j, x); });
  }

 private:
  void flush() {
    if (begin_ == 0 && end_ == width) stream(line_, load(held_));
    else
      for (int lane = begin_; lane < end_; ++lane) line_[lane] = held_[lane];
    begin_ = end_ = 0;
  }

  alignas(64) Real held_[lanes<Real>];
  Real* line_ = nullptr;  // where what is held goes: elements from begin_ to end_
  int begin_ = 0, end_ = 0;
};

}  // namespace
}  // namespace luce::LUCE_ISA
