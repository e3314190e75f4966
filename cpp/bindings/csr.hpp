// The arrays of a CSR matrix, of which nothing is taken for granted.
#pragma once

#include "../csr_rows.hpp"
#include "arguments.hpp"

namespace luce::bindings {

inline Integers integers_of(const char* name, const Input& array) {
  const bool are_wide = array.dtype() == nb::dtype<std::int64_t>();
  if (!are_wide && array.dtype() != nb::dtype<std::int32_t>()) refuse_type(std::string(name) + " must be int32 or int64");
  if (array.ndim() != 1) refuse(std::string(name) + " has shape " + shape_of(array) + "; expected one axis");
  if (array.shape(0) > 1 && array.stride(0) != 1)
    refuse(std::string(name) + ": the elements must be adjacent in memory; copy with numpy.ascontiguousarray");
  require_aligned(name, array, array.itemsize());
  return {array.data(), are_wide};
}

struct CsrInput {
  const Input& values;
  const Input& indices;
  const Input& starts;

  static constexpr Index most = 0x7fffffff;  // of features, and of entries of a row

  Index rows() const { return static_cast<Index>(starts.shape(0)) - 1; }

  void check(Index columns) const {
    if (columns > most) refuse("coef has " + std::to_string(columns) + " features; expected less than 2^31");
    if (starts.ndim() != 1 || starts.shape(0) < 1)
      refuse("indptr has shape " + shape_of(starts) + "; expected (rows + 1,)");
    if (values.ndim() != 1 || indices.ndim() != 1 || values.shape(0) != indices.shape(0))
      refuse("data has shape " + shape_of(values) + " and indices " + shape_of(indices) +
             "; expected one of each an entry");
    if (values.shape(0) > 1 && values.stride(0) != 1)
      refuse("data: the elements must be adjacent in memory; copy with numpy.ascontiguousarray");
  }

  // `out` is apart from all of them.
  void require_apart_from(const Extent& out) const {
    require_apart(out, extent("data", values));
    require_apart(out, extent("indices", indices));
    require_apart(out, extent("indptr", starts));
  }

  template <class Element>
  CsrMatrix<Element> matrix(Index columns) const {
    require_aligned("data", values, sizeof(Element));
    const CsrMatrix<Element> all{static_cast<const Element*>(values.data()), integers_of("indices", indices),
                                 integers_of("indptr", starts), static_cast<Index>(values.shape(0)), rows(), columns};
    check_starts(all.starts, all.entries);
    return all;
  }

  [[noreturn]] void refuse_wrong_index(Index columns) const {
    const Integers numbers = integers_of("indices", indices), from = integers_of("indptr", starts);
    const auto entries = static_cast<Index>(indices.shape(0));
    for (Index row = 0; row < rows(); ++row)
      for (Index t = std::max<Index>(from[row], 0); t < std::min(from[row + 1], entries); ++t)
        if (numbers[t] < 0 || numbers[t] >= columns)
          refuse("indices[" + std::to_string(t) + "], in row " + std::to_string(row) + ", is " +
                 std::to_string(numbers[t]) + "; expected a feature from 0 to " + std::to_string(columns - 1));
    refuse("indices have changed meanwhile");
  }

 private:
  void check_starts(const Integers& given, Index entries) const {
    const auto expect = [](Index row, Index found, const std::string& expected) {
      refuse("indptr[" + std::to_string(row) + "] is " + std::to_string(found) + "; expected " + expected);
    };
    if (given[0] != 0) expect(0, given[0], "0");
    for (Index i = 0; i < rows(); ++i) {
      const Index before = given[i], found = given[i + 1];
      if (found < before) expect(i + 1, found, "at least the one before, " + std::to_string(before));
      if (found - before > most) expect(i + 1, found, "less than 2^31 entries a row");
    }
    if (given[rows()] > entries)
      expect(rows(), given[rows()], "at most the number of entries, " + std::to_string(entries));
  }
};

}  // namespace luce::bindings
