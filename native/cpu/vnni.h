// Products of bytes with VNNI: one instruction multiplies four u8 by four s8 in each column of a vector, of sixteen
// columns with AVX-512, of eight with AVX-VNNI.
//
// AVX-VNNI has the instruction in VEX's encoding. In EVEX's, AVX-512 has it for eight columns too: WORDTELL_EVEX takes
// that one, so that a processor of either kind can test the kernels for AVX-VNNI.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/intrinsics.h"

namespace wordtell {
namespace {

#if defined(__AVX512F__)
#define WORDTELL_VPDPBUSD(sum, x, columns) asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(columns))
typedef __m512i ByteColumns;
inline __m512i load_columns(const int8_t* from) { return _mm512_load_si512(from); }
inline __m512i repeat(int32_t four) { return _mm512_set1_epi32(four); }
#else
#if defined(WORDTELL_EVEX)
#define WORDTELL_VPDPBUSD(sum, x, columns) asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(columns))
#else
#define WORDTELL_VPDPBUSD(sum, x, columns) asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(columns))
#endif
typedef __m256i ByteColumns;
inline __m256i load_columns(const int8_t* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }
inline __m256i repeat(int32_t four) { return _mm256_set1_epi32(four); }
#endif

// put(r, v, sums) of some rows of u8, `stride` bytes apart, times vectors of columns of s8, over a depth of whole
// fours. load(k, columns) brings the columns' bytes k to k + 3. All sums stay in registers.
template <int rows, int vectors, typename Load, typename Put>
inline __attribute__((always_inline)) void multiply_bytes(const uint8_t* first, ptrdiff_t stride, int depth,
                                                          const Load& load, const Put& put) {
  ByteColumns total[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) total[r][v] = ByteColumns{};
  }
  for (int k = 0; k < depth; k += 4) {
    ByteColumns columns[vectors];
    load(k, columns);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, first + r * stride + k, sizeof four);
      const ByteColumns x = repeat(four);
      // In assembly: GCC 12 copies every sum at each step when the intrinsic is used, which halves the speed.
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) WORDTELL_VPDPBUSD(total[r][v], x, columns[v]);
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
