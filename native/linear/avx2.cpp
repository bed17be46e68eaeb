// The quantised linear with AVX2: maddubs multiplies u8 by s8 and sums pairs in 16 bits, exactly once what is too much
// for these was taken out of the weight (linear/excess.h); madd sums pairs of pairs in 32.
#include "linear/blocks.h"

namespace wordtell {
namespace {

// 4 rows x 2 vectors: 8 sums, 2 weights, a row's broadcast, the ones and a product fill 13 of the 16 registers.
struct Avx2Dot {
  static constexpr int vectors = 2, most_rows = 4, group = 4;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    const ptrdiff_t vector = (panel_weight - weight.weight) / weight.padded_depth / lanes;
    __m256i total[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[r][v] = _mm256_setzero_si256();
    }
    for (int k = 0; k < weight.padded_depth; k += group, ahead += 64) {
      _mm_prefetch(ahead, _MM_HINT_T1);
      __m256i columns[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) columns[v] = load_bytes(panel_weight + (k * vectors + v * group) * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const __m256i x = four_of(first + r * weight.row_stride + k);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) add_products(total[r][v], x, columns[v]);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const Excess& excess = weight.excess;
      for (int32_t i = excess.begins[vector + v]; i < excess.begins[vector + v + 1]; ++i) {
        const __m256i columns = load_bytes(excess.weights + ptrdiff_t{i} * group * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          add_products(total[r][v], four_of(first + r * weight.row_stride + excess.depths[i]), columns);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[r][v] = reinterpret_cast<Ints>(total[r][v]);
    }
  }

 private:
  static inline __m256i load_bytes(const int8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }

  static inline __m256i four_of(const uint8_t* row) {
    int32_t four;
    __builtin_memcpy(&four, row, sizeof four);
    return _mm256_set1_epi32(four);
  }

  static inline void add_products(__m256i& total, __m256i x, __m256i columns) {
    const __m256i pairs = _mm256_maddubs_epi16(x, columns);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

constexpr LinearKernels kernels() {
  LinearKernels made = linear_of<Blocks<Avx2Dot>>();
  made.takes_excess = true;
  return made;
}

}  // namespace

extern const LinearKernels linear_avx2 = kernels();

}  // namespace wordtell
