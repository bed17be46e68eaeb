// The quantised linear with Arm's USMMLA, which multiplies two rows of eight u8 by two columns of eight s8.
#include "cpu/mmla.h"
#include "linear/blocks.h"

namespace wordtell {
namespace {

// 4 rows x 16 columns: 16 sums of two by two, sixteen bytes of two pairs of rows, a pair of columns. Of six rows
// compilers copy sums about. Where rows are odd, the last one is a pair with itself.
struct UsmmlaDot {
  static constexpr int vectors = 4, most_rows = 4, group = 8;

  template <int rows>
  static inline __attribute__((always_inline)) void sums(const PackedWeight& weight, const uint8_t* first,
                                                         const int8_t* panel_weight, const int8_t* ahead,
                                                         Ints (&sums)[rows][vectors]) {
    constexpr int row_pairs = (rows + 1) / 2, column_pairs = vectors * lanes / 2;
    int32x4_t total[row_pairs][column_pairs] = {};
    for (int k = 0; k < weight.padded_depth; k += 2 * group, ahead += 128, panel_weight += 2 * group * vectors * lanes) {
      uint8x16_t x[2][row_pairs];
#pragma GCC unroll 8
      for (int p = 0; p < row_pairs; ++p) {
        const uint8_t* row = first + 2 * p * weight.row_stride + k;
        const auto upper = vreinterpretq_u64_u8(vld1q_u8(row));
        const auto lower = vreinterpretq_u64_u8(vld1q_u8(2 * p + 1 < rows ? row + weight.row_stride : row));
        x[0][p] = vreinterpretq_u8_u64(vzip1q_u64(upper, lower));
        x[1][p] = vreinterpretq_u8_u64(vzip2q_u64(upper, lower));
      }
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        __builtin_prefetch(ahead + half * 64, 0, 2);
#pragma GCC unroll 8
        for (int c = 0; c < column_pairs; ++c) {
          const int8x16_t columns = vld1q_s8(panel_weight + (half * column_pairs + c) * 2 * group);
#pragma GCC unroll 8
          for (int p = 0; p < row_pairs; ++p) total[p][c] = vusmmlaq_s32(total[p][c], x[half][p], columns);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const int32x4_t left = total[r / 2][2 * v], right = total[r / 2][2 * v + 1];
        sums[r][v] = r % 2 == 0 ? row_of<0, Ints>(left, right) : row_of<1, Ints>(left, right);
      }
    }
  }
};

}  // namespace

extern const LinearKernels linear_i8mm = linear_of<Blocks<UsmmlaDot>>();

}  // namespace wordtell
