// GELU by a table of cubics, for kernels whose processor looks up 32 values in registers with one instruction.
//
// gelu(x) = max(x, 0) - n(|x|) with n(a) = a erfc(a / sqrt 2) / 2. Interval i of n's table is around a = i / gelu_unit;
// its cubic is in d = a * gelu_unit - i, from -1/2 to 1/2. Absolute error below 6e-7; beyond the last interval, where
// n is below 3e-7, the last value is kept.
#pragma once

namespace wordtell {

constexpr int gelu_intervals = 32;
constexpr float gelu_unit = 31 / 5.5f;

struct GeluTable {
  GeluTable();
  alignas(64) float coefficients[4][gelu_intervals];  // of d^0 to d^3
};

extern const GeluTable gelu_table;

}  // namespace wordtell
