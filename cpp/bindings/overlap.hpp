// Outputs must not share memory with anything a kernel still reads, nor with each other: a label overwritten between
// its check and its use would be a wild index.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "../kernels.hpp"

namespace luce::bindings {

// Rows of bytes at equal distances, lowest address first.
struct Region {
  const char* name;
  std::intptr_t begin, end;
  Index row_bytes, row_distance;
};

template <class T>
Region region(const char* name, const Matrix<T>& matrix) {
  const auto first = reinterpret_cast<std::intptr_t>(matrix.data);
  if (matrix.rows == 0 || matrix.columns == 0) return {name, 0, 0, 0, 0};
  constexpr Index bytes = sizeof(T);
  const Index last = first + (matrix.rows - 1) * matrix.row_stride * bytes;
  return {name, first < last ? first : last, (first < last ? last : first) + matrix.columns * bytes,
          matrix.columns * bytes, (matrix.row_stride < 0 ? -matrix.row_stride : matrix.row_stride) * bytes};
}

template <class T>
Region region(const char* name, const T* vector, Index size) {
  return region(name, Matrix<const T>{vector, 1, size, 0});
}

inline bool overlap(const Region& a, const Region& b) {
  if (a.begin >= b.end || b.begin >= a.end) return false;
  if (a.row_distance != b.row_distance || a.row_distance == 0) return true;
  // Rows of the one may lie in the gaps of the other.
  const Region& lower = a.begin < b.begin ? a : b;
  const Region& upper = a.begin < b.begin ? b : a;
  const Index offset = (upper.begin - lower.begin) % lower.row_distance;
  return offset < lower.row_bytes || offset + upper.row_bytes > lower.row_distance;
}

inline void require_apart(const Region& out, const Region& other) {
  if (overlap(out, other))
    throw std::invalid_argument(std::string(out.name) + " overlaps " + other.name + " in memory; pass a copy");
}

template <class Real>
void require_in_place_or_apart(const char* name, const Matrix<Real>& out, const Matrix<const Real>& scores) {
  const bool same = out.data == scores.data && (out.row_stride == scores.row_stride || out.rows <= 1);
  if (!same) require_apart(region(name, out), region("scores", scores));
}

}  // namespace luce::bindings
