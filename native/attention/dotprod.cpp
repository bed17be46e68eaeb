// Arm's SDOT: signed bytes, four products at a time in each of four columns.
#include "attention/mixing.h"
#include "attention/products.h"
#include "attention/rows.h"
#include "cpu/sdot.h"

namespace wordtell {
namespace {

struct SdotDot : Fours<int8_t, int8_t> {
  static constexpr int step = 16;

  template <int tiles, typename Put>
  static void product(const int8_t* rows, const int8_t* const (&tile)[tiles], int depth, const Put& put) {
    static_assert(tiles == 1, "32 registers hold the sums of one tile with four rows");
    I16 sums[kRegisters][1];
    for (int first = 0; first < kTile; first += kRegisters) {
      multiply(rows + first * depth, tile[0], depth, sums);
      for (int i = 0; i < kRegisters; ++i) put(first + i, sums[i]);
    }
  }

 private:
  // In a function of its own, see attention/products.h.
  static __attribute__((noinline)) void multiply(const int8_t* rows, const int8_t* tile, int depth,
                                                 I16 (&sums)[kRegisters][1]) {
    int32x4_t total[kRegisters][kParts] = {};
    for (int d = 0; d < depth; d += 16, tile += 16 * kTile) {
      int8x16_t x[kRegisters];
#pragma GCC unroll 8
      for (int i = 0; i < kRegisters; ++i) x[i] = vld1q_s8(rows + i * depth + d);
      add_four<0>(x, tile, total);
      add_four<1>(x, tile, total);
      add_four<2>(x, tile, total);
      add_four<3>(x, tile, total);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRegisters; ++i) {
#pragma GCC unroll 8
      for (int n = 0; n < kParts; ++n) sums[i][0].parts[n] = reinterpret_cast<IntegerPart>(total[i][n]);
    }
  }
};

}  // namespace

extern const AttentionKernel attention_int8_dotprod = kernel_of<ByteProducts<SdotDot>, MixFloats<true>>();

}  // namespace wordtell
