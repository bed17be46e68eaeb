// Products of bytes with AVX-512 VNNI: one instruction multiplies four u8 by four s8 in each of sixteen columns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/intrinsics.h"

namespace wordtell {
namespace {

// put(r, v, sums) of some rows of u8, `stride` bytes apart, times vectors of sixteen columns of s8, over a depth of whole
// fours. load(k, columns) brings the columns' bytes k to k + 3. All sums stay in registers.
template <int rows, int vectors, typename Load, typename Put>
inline __attribute__((always_inline)) void multiply_bytes(const uint8_t* first, ptrdiff_t stride, int depth,
                                                          const Load& load, const Put& put) {
  __m512i total[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) total[r][v] = _mm512_setzero_si512();
  }
  for (int k = 0; k < depth; k += 4) {
    __m512i columns[vectors];
    load(k, columns);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, first + r * stride + k, sizeof four);
      const __m512i x = _mm512_set1_epi32(four);
      // In assembly: GCC 12 copies every sum at each step when the intrinsic is used, which halves the speed.
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) asm("vpdpbusd %2, %1, %0" : "+v"(total[r][v]) : "v"(x), "v"(columns[v]));
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) put(r, v, total[r][v]);
  }
}

}  // namespace
}  // namespace wordtell
