// The quantised linear with Arm's SDOT, which multiplies four s8 by four s8 in each of four columns.
//
// Rows are u8: 128 less in each byte makes them s8, and what that takes from a sum, 128 * (sum of the column's weights),
// is what the sum begins with.
#include "cpu/sdot.h"
#include "linear/blocks.h"

namespace wordtell {
namespace {

// 4 rows x 4 vectors of columns: 16 sums, sixteen bytes of each row, a weight. Of six rows compilers copy sums about.
struct SdotDot {
  static constexpr int vectors = 4, most_rows = 4, group = 4;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    const ptrdiff_t column = (panel_weight - weight.weight) / weight.padded_depth;
    int32x4_t total[rows][vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const int32x4_t begin = vshlq_n_s32(vld1q_s32(weight.column_sums + column + v * lanes), 7);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) total[r][v] = begin;
    }
    for (int k = 0; k < weight.padded_depth; k += 16, ahead += 256, panel_weight += 16 * vectors * lanes) {
      int8x16_t x[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        x[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(first + r * weight.row_stride + k), vdupq_n_u8(128)));
      }
#pragma GCC unroll 4
      for (int line = 0; line < 4; ++line) __builtin_prefetch(ahead + line * 64, 0, 2);
      add_four<0>(x, panel_weight, total);
      add_four<1>(x, panel_weight, total);
      add_four<2>(x, panel_weight, total);
      add_four<3>(x, panel_weight, total);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[r][v] = reinterpret_cast<Ints>(total[r][v]);
    }
  }
};

}  // namespace

extern const LinearKernels linear_dotprod = linear_of<Blocks<SdotDot>>();

}  // namespace wordtell
