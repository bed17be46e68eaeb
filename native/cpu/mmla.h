// Arm's products of matrices multiply two rows by two columns, and keep the two by two sums in one register.
#pragma once

#include "cpu/intrinsics.h"

namespace wordtell {
namespace {

// Of two rows times four columns, in two registers of two by two: the four sums of one row, as they are or as another
// type.
template <int row, typename To, typename Part>
inline __attribute__((always_inline)) To row_of(Part left, Part right) {
  const auto a = reinterpret_cast<int64x2_t>(left), b = reinterpret_cast<int64x2_t>(right);
  return reinterpret_cast<To>(row == 0 ? vzip1q_s64(a, b) : vzip2q_s64(a, b));
}

}  // namespace
}  // namespace wordtell
