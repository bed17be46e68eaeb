// Rotary position embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864), of the half-split form: dimensions d and
// d + head_size / 2 are a pair, which is turned by position * base^(-2 d / head_size).
#pragma once

#include "attention/kernel.h"
#include "cpu/sixteen.h"

namespace wordtell {
namespace {

// Rows of one head, `stride` apart, turned, into [length][head_size]. The angle's cosine and sine come from those of two
// parts of the position, by the formulas for a sum of angles: two short tables for all lengths.
template <typename Value>
void rotate(const Rotation& rotation, const Value* from, ptrdiff_t stride, int length, int head_size,
            float* __restrict to) {
  const int half = head_size / 2;
  for (int row = 0; row < length; ++row, from += stride, to += head_size) {
    const float* __restrict fine = rotation.fine + static_cast<ptrdiff_t>(row % kFine) * head_size;
    const float* __restrict coarse = rotation.coarse + static_cast<ptrdiff_t>(row / kFine) * head_size;
    const Value* __restrict values = from;
    for (int d = 0; d < half; ++d) {
      const float cosine = fine[d] * coarse[d] - fine[half + d] * coarse[half + d];
      const float sine = fine[half + d] * coarse[d] + fine[d] * coarse[half + d];
      const float x = number(values[d]), y = number(values[half + d]);
      to[d] = x * cosine - y * sine;
      to[half + d] = y * cosine + x * sine;
    }
  }
}

}  // namespace
}  // namespace wordtell
