// Vectors in pieces of 16 bytes, and their transposition.
#pragma once

#include "vectors.hpp"

namespace luce::LUCE_ISA {
namespace {

// Pieces of 16 bytes, `quad` numbers each. A vector of pieces that lie `stride` apart is loaded and stored.
template <class Real>
constexpr int quad = 16 / static_cast<int>(sizeof(Real));
template <class Real>
struct PieceOf { typedef Real Type __attribute__((vector_size(16))); };

template <class Real>
[[gnu::always_inline]] inline typename PieceOf<Real>::Type load_piece(const Real* from) {
  typename PieceOf<Real>::Type x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
template <class V, int... i>
[[gnu::always_inline]] inline auto joined(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, i...);
}
template <class Real>
[[gnu::always_inline]] inline Vector<Real> load_pieces(const Real* from, Index stride) {
  [[maybe_unused]] constexpr std::make_integer_sequence<int, 2 * quad<Real>> two{};
  [[maybe_unused]] constexpr std::make_integer_sequence<int, 4 * quad<Real>> four{};
  if constexpr (vector_bytes == 16) return load_piece(from);
  else if constexpr (vector_bytes == 32) return joined(load_piece(from), load_piece(from + stride), two);
  else
    return joined(joined(load_piece(from), load_piece(from + stride), two),
                  joined(load_piece(from + 2 * stride), load_piece(from + 3 * stride), two), four);
}
template <int first, class V, int... i>
[[gnu::always_inline]] inline auto piece_of(V x, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(x, x, (first + i)...);
}
template <int piece = 0, class Real>
[[gnu::always_inline]] inline void store_pieces(Real* to, Index stride, Vector<Real> x) {
  const auto part = piece_of<piece * quad<Real>>(x, std::make_integer_sequence<int, quad<Real>>{});
  __builtin_memcpy(to + piece * stride, &part, sizeof part);
  if constexpr (16 * (piece + 1) < vector_bytes) store_pieces<piece + 1, Real>(to, stride, x);
}

// A transposition within pieces: element i of a piece of vector j becomes element j of the same piece of vector i.
template <class V, int... i>
[[gnu::always_inline]] inline void interleave_pieces(V a, V b, V& low, V& high, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i), size = 16 / static_cast<int>(sizeof(a[0]));
  low = __builtin_shufflevector(a, b, (i / size * size + i % size / 2 + (i % 2) * n)...);
  high = __builtin_shufflevector(a, b, (i / size * size + i % size / 2 + size / 2 + (i % 2) * n)...);
}
template <class Real>
[[gnu::always_inline]] inline void transpose_pieces(Vector<Real> (&x)[quad<Real>]) {
  constexpr int n = quad<Real>;
  for (int round = 1; round < n; round *= 2) {
    Vector<Real> y[n];
    for (int i = 0; i < n / 2; ++i)
      interleave_pieces(x[i], x[i + n / 2], y[2 * i], y[2 * i + 1], std::make_integer_sequence<int, lanes<Real>>{});
    for (int i = 0; i < n; ++i) x[i] = y[i];
  }
}

}  // namespace
}  // namespace luce::LUCE_ISA
