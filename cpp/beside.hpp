// A second matrix of numbers beside a block's scores: targets, tangents, weights.
#pragma once

#include "run.hpp"

namespace luce::LUCE_ISA {
namespace {

// The numbers of a block's rows, laid out as its scores are. Rows are gathered where their classes are not adjacent.
template <class Block>
class Beside;

template <class Real>
class Beside<Rows<Real>> {
 public:
  Beside(const Matrix<const Real>& numbers, void* memory) : numbers_(numbers), gathered_(static_cast<Real*>(memory)) {}
  static Index bytes(Index columns) { return columns * Index{sizeof(Real)}; }

  const Real* of(int row) const {
    const Real* const from = row_of(numbers_, row);
    if (numbers_.column_stride == 1) return from;
    copy_row(from, numbers_.column_stride, numbers_.columns, gathered_);
    return gathered_;
  }

 private:
  Matrix<const Real> numbers_;
  Real* gathered_;
};

template <class Real>
class Beside<Panel<Real>> {
 public:
  Beside(const Matrix<const Real>& numbers, void* memory) {
    auto* const buffer = static_cast<Vector<Real>*>(memory);
    auto* const stage = reinterpret_cast<Stage<Real>*>(buffer + numbers.columns + least_columns);
    const Ahead nothing{buffer, 0, buffer, 0};
    Panel<Real> panel(buffer, buffer, numbers.columns, static_cast<int>(numbers.rows), bring(numbers, *stage, buffer), {},
                      nothing);
    columns_ = panel.columns();
  }
  static Index bytes(Index columns) {
    return (columns + least_columns) * Index{sizeof(Vector<Real>)} + Index{sizeof(Stage<Real>)};
  }

  const Vector<Real>* of(AllRows) const { return columns_; }

 private:
  const Vector<Real>* columns_;
};

// Their memory, taken from the workspace.
template <class Real>
void* memory_beside(Index columns, bool are_panels, Workspace& workspace) {
  void* const memory = workspace.memory;
  const Index bytes = are_panels ? Beside<Panel<Real>>::bytes(columns) : Beside<Rows<Real>>::bytes(columns);
  workspace.memory = static_cast<char*>(memory) + (bytes + 63) / 64 * 64;
  return memory;
}

}  // namespace
}  // namespace luce::LUCE_ISA
