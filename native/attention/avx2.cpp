// AVX2 and FMA: 16-bit products in pairs, since 8-bit ones saturate there.
#include "attention/mixing.h"
#include "attention/products.h"
#include "attention/rows.h"

namespace wordtell {
namespace {

struct Avx2Dot : Fours<int16_t, int16_t> {
  static constexpr int step = 2;

  template <int tiles, typename Put>
  static void product(const int16_t* rows, const int16_t* const (&tile)[tiles], int depth, const Put& put) {
    static_assert(tiles == 1, "sixteen registers hold the sums of one tile with four rows");
    for (int first = 0; first < kTile; first += kRegisters) {
      __m256i total[kRegisters][2] = {};
      for (int d = 0; d < depth; d += 2) {
        const auto* columns = reinterpret_cast<const __m256i*>(tile[0] + d * kTile);
        const __m256i left = _mm256_load_si256(columns), right = _mm256_load_si256(columns + 1);
        for (int i = 0; i < kRegisters; ++i) {
          int32_t pair;
          __builtin_memcpy(&pair, rows + (first + i) * depth + d, sizeof pair);
          const __m256i both = _mm256_set1_epi32(pair);
          total[i][0] = _mm256_add_epi32(total[i][0], _mm256_madd_epi16(both, left));
          total[i][1] = _mm256_add_epi32(total[i][1], _mm256_madd_epi16(both, right));
        }
      }
      for (int i = 0; i < kRegisters; ++i) {
        I16 sums[1];
        for (int n = 0; n < kParts; ++n) sums[0].parts[n] = reinterpret_cast<IntegerPart>(total[i][n]);
        put(first + i, sums);
      }
    }
  }
};

}  // namespace

extern const AttentionKernel attention_fp32_avx2 = kernel_of<FloatProducts, MixFloats<false>>();
extern const AttentionKernel attention_int8_avx2 = kernel_of<ByteProducts<Avx2Dot>, MixFloats<true>>();

}  // namespace wordtell
