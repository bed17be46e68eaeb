// The quantised linear with AVX2. maddubs would saturate its 16-bit pair sums with full-range u8 x s8, so bytes are
// widened to 16 bits and madd sums pairs exactly in 32: even and odd bytes of each group of four apart.
#include "linear/blocks.h"

namespace wordtell {
namespace {

// 4 rows x 2 vectors: 8 sums, 4 widened weights and 2 widened values fill 14 of the 16 registers.
struct Avx2Dot {
  static constexpr int vectors = 2, most_rows = 4, group = 4;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    const __m256i low_bytes = _mm256_set1_epi16(0x00ff);
    __m256i total[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[r][v] = _mm256_setzero_si256();
    }
    for (int k = 0; k < weight.padded_depth; k += group, ahead += 64) {
      _mm_prefetch(ahead, _MM_HINT_T1);
      __m256i even[vectors], odd[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel_weight + k * vectors * lanes + v * 32));
        even[v] = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
        odd[v] = _mm256_srai_epi16(w, 8);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        int32_t four;
        __builtin_memcpy(&four, first + r * weight.row_stride + k, sizeof four);
        const __m256i x = _mm256_set1_epi32(four);
        const __m256i x_even = _mm256_and_si256(x, low_bytes), x_odd = _mm256_srli_epi16(x, 8);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          total[r][v] = _mm256_add_epi32(total[r][v], _mm256_madd_epi16(x_even, even[v]));
          total[r][v] = _mm256_add_epi32(total[r][v], _mm256_madd_epi16(x_odd, odd[v]));
        }
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

extern const LinearKernels linear_avx2 = linear_of<Blocks<Avx2Dot>>();

}  // namespace wordtell
