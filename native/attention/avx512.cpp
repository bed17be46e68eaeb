// AVX-512 with VNNI: 8-bit products, unsigned by signed, four at a time in every lane.
#include "attention/mixing.h"
#include "attention/products.h"
#include "attention/rows.h"

namespace wordtell {
namespace {

struct VnniDot {
  using Row = uint8_t;
  using Packed = int8_t;
  static constexpr int step = 4, group = 4, offset = 128;

  static void product(const uint8_t* rows, const int8_t* tile, int depth, int32_t* sums) {
    __m512i total[kTile] = {};
    for (int d = 0; d < depth; d += 4) {
      const __m512i columns = _mm512_load_si512(tile + d * kTile);
      for (int i = 0; i < kTile; ++i) {
        int32_t four;
        __builtin_memcpy(&four, rows + i * depth + d, sizeof four);
        total[i] = _mm512_dpbusd_epi32(total[i], _mm512_set1_epi32(four), columns);
      }
    }
    for (int i = 0; i < kTile; ++i) _mm512_store_si512(sums + i * kTile, total[i]);
  }
};

}  // namespace

extern const AttentionKernel attention_fp32_avx512 = kernel_of<FloatProducts, MixFloats<false>>();
extern const AttentionKernel attention_int8_avx512 = kernel_of<ByteProducts<VnniDot>, MixFloats<true>>();

}  // namespace wordtell
