// The quantised linear's products with VNNI, of AVX-512 or of AVX.
#pragma once

#include "cpu/vnni.h"
#include "linear/blocks.h"

namespace wordtell {
namespace {

// 6 rows x 4 vectors of columns: 24 sums, 4 weights and a row's broadcast fill 29 of AVX-512's 32 registers, and 24
// products for 10 loads leave the products the bottleneck. AVX has sixteen registers: 6 x 2, 12 products for 8 loads.
struct VnniDot {
  static constexpr int vectors = lanes == 16 ? 4 : 2, most_rows = 6, group = 4;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    const auto load = [&](int k, ByteColumns(&columns)[vectors]) __attribute__((always_inline)) {
      _mm_prefetch(ahead + k * 16, _MM_HINT_T1);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) columns[v] = load_columns(panel_weight + (k * vectors + v * group) * lanes);
    };
    const auto put = [&](int r, int v, ByteColumns total) __attribute__((always_inline)) {
      sums[r][v] = reinterpret_cast<Ints>(total);
    };
    multiply_bytes<rows, vectors>(first, weight.row_stride, weight.padded_depth, load, put);
  }
};

}  // namespace
}  // namespace wordtell
