// AVX-512 with VNNI and bfloat16: the softmax's output and the values are rounded to bfloat16 on every processor, and
// here one instruction multiplies them in pairs of keys.
#include "attention/mixing.h"
#include "attention/rows.h"
#include "attention/vnni.h"

namespace wordtell {
namespace {

class MixHalves {
 public:
  // [pairs of keys][vectors of columns][16][2], an even number of blocks of keys.
  static size_t bytes(int head_size, int length) {
    return static_cast<size_t>((length + 31) / 32 * 16) * vectors_of(head_size) * kPair * sizeof(Bfloat16);
  }

  // As that of MixFloats, but the powers are left as bfloat16, in order, from where the row began; up to a multiple of
  // 32 as good as zero.
  static float softmax(float* scores, float highest, int length) {
    const V16 top = fill(highest);
    const __m512i ones = _mm512_set1_epi16(0x3f80);
    __m512 total = _mm512_setzero_ps();
    auto* to = reinterpret_cast<Bfloat16*>(scores);  // behind what is read
    for (int j = 0; j < length; j += 32) {
      const V16 low = rough_exponential(load(scores + j) - top);
      const V16 high = j + 16 < length ? rough_exponential(load(scores + j + 16) - top) : V16{};
      const __m512bh both = _mm512_cvtne2ps_pbh(high.parts[0], low.parts[0]);
      total = _mm512_dpbf16_ps(total, both, reinterpret_cast<__m512bh>(ones));
      _mm512_store_si512(to + j, reinterpret_cast<__m512i>(both));
    }
    return 1.0f / _mm512_reduce_add_ps(total);
  }

  template <typename Value>
  MixHalves(const Value* v, ptrdiff_t stride, int length, int head_size, char* memory)
      : values_(reinterpret_cast<Bfloat16*>(memory)), head_size_(head_size) {
    Bfloat16* to = values_;
    for (int j = 0; j < (length + 31) / 32 * 32; j += 2) {
      for (int c = 0; c < head_size; c += 16, to += kPair) {
        const I16 first = halves(v, stride, j, length, c, head_size);
        const I16 second = halves(v, stride, j + 1, length, c, head_size);
        const __m512i low = _mm512_srli_epi32(reinterpret_cast<__m512i>(first.parts[0]), 16);
        _mm512_store_si512(to, _mm512_or_si512(low, reinterpret_cast<__m512i>(second.parts[0])));
      }
    }
  }

  // As that of MixFloats; `shares` are rows as softmax left them.
  void mix(const float* shares, int width, int count, int first_key, int keys, const float* inverse, float* out,
           ptrdiff_t out_stride) const {
    const Run run{shares, width, count, first_key / 2, (keys + 1) / 2, inverse, out, out_stride};
    int c = 0;
    for (; c + 4 <= vectors_of(head_size_); c += 4) columns<4>(run, c);
    for (; c + 2 <= vectors_of(head_size_); c += 2) columns<2>(run, c);
    for (; c < vectors_of(head_size_); ++c) columns<1>(run, c);
  }

 private:
  static constexpr int kPair = 32;

  struct Run {
    const float* shares;
    int width, count, first, pairs;
    const float* inverse;
    float* out;
    ptrdiff_t out_stride;
  };

  // Some vectors of columns of all rows: sixteen sums at a time.
  template <int some>
  void columns(const Run& run, int first) const {
    constexpr int together = 16 / some;
    const ptrdiff_t step = vectors_of(head_size_) * kPair;
    const Bfloat16* values = values_ + run.first * step + first * kPair;
    __m512 sums[together][some];
    for (int row = 0; row < run.count; row += together) {
      multiply<together, some>(run.shares + row * run.width, run.width, values, step, run.pairs, sums);
      for (int r = 0; r < together && row + r < run.count; ++r) {
        const __m512 inverse = _mm512_set1_ps(run.inverse[row + r]);
        for (int c = 0; c < some; ++c) {
          const int column = (first + c) * 16, left = head_size_ - column;
          const __mmask16 present = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << left) - 1);
          _mm512_mask_storeu_ps(run.out + (row + r) * run.out_stride + column, present,
                                _mm512_mul_ps(sums[r][c], inverse));
        }
      }
    }
  }

  // In a function of its own, see attention/products.h.
  template <int together, int some>
  static __attribute__((noinline)) void multiply(const float* shares, ptrdiff_t width, const Bfloat16* values,
                                                 ptrdiff_t step, int pairs, __m512 (&sums)[together][some]) {
    __m512 total[together][some];
#pragma GCC unroll 16
    for (int r = 0; r < together; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < some; ++c) total[r][c] = _mm512_setzero_ps();
    }
    for (int j = 0; j < pairs; ++j, values += step) {
      __m512i value[some];
#pragma GCC unroll 16
      for (int c = 0; c < some; ++c) value[c] = _mm512_load_si512(values + c * kPair);
#pragma GCC unroll 16
      for (int r = 0; r < together; ++r) {
        const __m512 pair = _mm512_set1_ps(shares[r * width + j]);  // two shares
#pragma GCC unroll 16
        for (int c = 0; c < some; ++c) asm("vdpbf16ps %2, %1, %0" : "+v"(total[r][c]) : "v"(pair), "v"(value[c]));
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < together; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < some; ++c) sums[r][c] = total[r][c];
    }
  }

  Bfloat16* values_;
  int head_size_;
};

}  // namespace

extern const AttentionKernel attention_int8_avx512bf16 = kernel_of<ByteProducts<VnniDot>, MixHalves>();

}  // namespace wordtell
