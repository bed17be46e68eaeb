// AVX-512 VNNI: one instruction multiplies four u8 by four s8 in each of 16 columns.
#pragma once

#include "linear/blocks.h"

namespace wordtell {
namespace {

// 6 rows x 4 vectors of columns: 24 sums, 4 weights and a row's broadcast fill 29 of the 32 registers, and 24 products
// for 10 loads leave the products the bottleneck.
struct VnniDot {
  static constexpr int vectors = 4, most_rows = 6, group = 4;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    __m512i total[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[r][v] = _mm512_setzero_si512();
    }
    for (int k = 0; k < weight.padded_depth; k += group, ahead += 64) {
      _mm_prefetch(ahead, _MM_HINT_T1);
      __m512i w[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) w[v] = _mm512_load_si512(panel_weight + k * vectors * lanes + v * 64);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        int32_t four;
        __builtin_memcpy(&four, first + r * weight.row_stride + k, sizeof four);
        const __m512i x = _mm512_set1_epi32(four);
        // In assembly: GCC 12 copies every sum at each step when the intrinsic is used, which halves the speed.
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) asm("vpdpbusd %2, %1, %0" : "+v"(total[r][v]) : "v"(x), "v"(w[v]));
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[r][v] = reinterpret_cast<Ints>(total[r][v]);
    }
  }
};

}  // namespace
}  // namespace wordtell
