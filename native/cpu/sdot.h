// Products of bytes with Arm's SDOT: one instruction multiplies four s8 by four s8 in each of four columns.
#pragma once

#include <cstdint>

#include "cpu/intrinsics.h"

namespace wordtell {
namespace {

// The n-th four of sixteen bytes of depth: of some rows, times vectors of four columns, four bytes of a column after
// those of another.
template <int n, int rows, int vectors>
inline __attribute__((always_inline)) void add_four(const int8x16_t (&x)[rows], const int8_t* columns,
                                                    int32x4_t (&total)[rows][vectors]) {
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    const int8x16_t bytes = vld1q_s8(columns + (n * vectors + v) * 16);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) total[r][v] = vdotq_laneq_s32(total[r][v], bytes, x[r], n);
  }
}

}  // namespace
}  // namespace wordtell
