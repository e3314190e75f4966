// Two ways to lay rows over the lanes of a vector, with one face, so that every kernel is written once:
// `Row`: the lanes are classes of one row; `RowGroup`: the lanes are rows, for rows too short to fill vectors.
//
//   visit(f)      f(score)
//   replace(f)    keep f(score)
//   rewrite(f)    out = f(what was kept)
//   write(f)      out = f(score)
//   across(sum)   the total over the whole row, in every lane that belongs to it
#pragma once

#include "exact.hpp"

namespace luce::LUCE_ISA {
namespace {

template <class Real>
class Row {
 public:
  using Element = Real;
  static constexpr int rows = 1;

  Row(const Real* scores, Real* out, Index columns) : scores_(scores), out_(out), columns_(columns) {}

  template <class F>
  void visit(F f) const {
    Index j = 0;
    for (; j + lanes <= columns_; j += lanes) f(load(scores_ + j));
    if (j < columns_) f(load_first(scores_ + j, static_cast<int>(columns_ - j)));
  }
  template <class F>
  void replace(F f) { map(scores_, f); }
  template <class F>
  void rewrite(F f) { map(out_, f); }
  template <class F>
  void write(F f) { map(scores_, f); }

  Vector largest() const {
    using N = Native<Real>;
    typename N::Lanes parts[4];
    for (auto& part : parts) part = -static_cast<Real>(infinity) - typename N::Lanes{};
    Index j = 0;
    for (; j + 4 * N::count <= columns_; j += 4 * N::count)
      for (int part = 0; part < 4; ++part)
        parts[part] = N::larger(N::load(scores_ + j + part * N::count), parts[part]);
    for (; j + N::count <= columns_; j += N::count) parts[0] = N::larger(N::load(scores_ + j), parts[0]);
    Real most = N::largest_lane(N::larger(N::larger(parts[0], parts[1]), N::larger(parts[2], parts[3])));
    for (; j < columns_; ++j) most = larger_number(scores_[j], most);
    return broadcast(most);
  }

  static Pair across(Pair parts) {
    Sum<double> total{parts.hi[0], parts.lo[0]};
    for (int lane = 1; lane < lanes; ++lane) {
      const Sum<double> next = two_sum<double>(total.hi, parts.hi[lane]);
      total = {next.hi, next.lo + (total.lo + parts.lo[lane])};
    }
    return {broadcast(total.hi), broadcast(total.lo)};
  }
  static Vector across(Bits counts) {
    std::int64_t total = 0;
    for (int lane = 0; lane < lanes; ++lane) total += counts[lane];
    return broadcast(static_cast<double>(total));
  }

  Vector score_at(const std::int64_t* column) const { return broadcast(static_cast<double>(scores_[*column])); }
  Vector kept_at(const std::int64_t* column) const { return broadcast(static_cast<double>(out_[*column])); }
  void put(const std::int64_t* column, Vector x) { out_[*column] = static_cast<Real>(x[0]); }

 private:
  template <class F>
  void map(const Real* from, F f) {
    Index j = 0;
    for (; j + lanes <= columns_; j += lanes) store(out_ + j, f(load(from + j)));
    if (j < columns_) {
      const int count = static_cast<int>(columns_ - j);
      store_first(out_ + j, f(load_first(from + j, count)), count);
    }
  }

  const Real* scores_;
  Real* out_;
  Index columns_;
};

// `count` rows, from 1 to `lanes`; the lanes left over repeat the first row and write nothing.
template <class Real>
class RowGroup {
 public:
  using Element = Real;
  static constexpr int rows = lanes;
  static constexpr int most_columns = 48;

  RowGroup(const Real* scores, Index scores_stride, Real* out, Index out_stride, Index columns, int count)
      : out_(out), out_stride_(out_stride), columns_(static_cast<int>(columns)), count_(count) {
    for (int lane = 0; lane < lanes; ++lane) {
      const Real* row = scores + (lane < count ? lane : 0) * scores_stride;
      for (int j = 0; j < columns_; ++j) kept_[j][lane] = static_cast<double>(row[j]);
    }
  }

  template <class F>
  void visit(F f) const {
    for (int j = 0; j < columns_; ++j) f(load(kept_[j]));
  }
  template <class F>
  void replace(F f) {
    for (int j = 0; j < columns_; ++j) store(kept_[j], f(load(kept_[j])));
  }
  template <class F>
  void rewrite(F f) {
    replace(f);
    for (int lane = 0; lane < count_; ++lane)
      for (int j = 0; j < columns_; ++j) out_[lane * out_stride_ + j] = static_cast<Real>(kept_[j][lane]);
  }
  template <class F>
  void write(F f) { rewrite(f); }

  Vector largest() const {
    Vector most = load(kept_[0]);
    most = most == most ? most : broadcast(-infinity);
    for (int j = 1; j < columns_; ++j) most = larger(load(kept_[j]), most);
    return most;
  }

  static Pair across(Pair total) { return total; }
  static Vector across(Bits counts) { return as_vector(counts + as_bits(broadcast(rounder_))) - rounder_; }

  Vector score_at(const std::int64_t* columns) const {
    Vector x{};
    for (int lane = 0; lane < lanes; ++lane) x[lane] = kept_[columns[lane < count_ ? lane : 0]][lane];
    return x;
  }
  Vector kept_at(const std::int64_t* columns) const { return score_at(columns); }
  void put(const std::int64_t* columns, Vector x) {
    for (int lane = 0; lane < count_; ++lane) out_[lane * out_stride_ + columns[lane]] = static_cast<Real>(x[lane]);
  }

 private:
  static constexpr double rounder_ = 0x1.8p+52;
  alignas(64) double kept_[most_columns][lanes];
  Real* out_;
  Index out_stride_;
  int columns_;
  int count_;
};

}  // namespace
}  // namespace luce::LUCE_ISA
