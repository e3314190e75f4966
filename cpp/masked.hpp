// Scores of what is possible, -inf elsewhere: on their bits, without a branch, which would be foretold wrongly as often as not.
#pragma once

#include "kernels.hpp"

namespace luce {

template <class Element>
struct MaskedBits;
template <>
struct MaskedBits<float> { using Type = std::uint32_t; static constexpr Type minus_infinity = 0xff800000; };
template <>
struct MaskedBits<double> { using Type = std::uint64_t; static constexpr Type minus_infinity = 0xfff0000000000000; };
template <>
struct MaskedBits<Half> { using Type = std::uint16_t; static constexpr Type minus_infinity = 0xfc00; };
template <>
struct MaskedBits<Bfloat> { using Type = std::uint16_t; static constexpr Type minus_infinity = 0xff80; };

// Of rows of one score; their places in `possible` are `possible_step` apart.
template <class Bits>
void masked(const Matrix<const Bits>& from, const std::uint8_t* possible, Index possible_step, Bits otherwise,
            const Matrix<Bits>& to) {
  const auto chosen = [=](Bits bits, std::uint8_t is_possible) {
    const Bits all = static_cast<Bits>(-static_cast<Bits>(is_possible != 0));
    return static_cast<Bits>((bits & all) | (otherwise & static_cast<Bits>(~all)));
  };
  if (from.row_stride == 1 && possible_step == 1 && to.row_stride == 1)
    for (Index i = 0; i < from.rows; ++i) to.data[i] = chosen(from.data[i], possible[i]);
  else
    for (Index i = 0; i < from.rows; ++i)
      to.data[i * to.row_stride] = chosen(from.data[i * from.row_stride], possible[i * possible_step]);
}

}  // namespace luce
