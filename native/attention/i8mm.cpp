// Arm's products of matrices: SMMLA multiplies two rows of eight bytes by two columns of them, BFMMLA two rows of four
// bfloat16 by two columns, and each adds to two by two sums.
#include "attention/mixing.h"
#include "attention/products.h"
#include "attention/rows.h"
#include "cpu/mmla.h"

namespace wordtell {
namespace {

// Four rows at a time with the sixteen columns of a tile: sixteen sums of two by two.
constexpr int kRows = 4, kRowPairs = kRows / 2, kColumnPairs = kTile / 2;

struct SmmlaDot {
  using Row = int8_t;
  using Packed = int8_t;
  static constexpr int step = 8;

  static I16 corrections(const int8_t*, int) { return {}; }

  // Eight bytes of each of the sixteen side by side.
  static void tile_of(const int8_t* packed, int length, int8_t* tile) {
    for (int d = 0; d < length; d += step) {
      for (int i = 0; i < kTile; ++i, tile += step) __builtin_memcpy(tile, packed + i * length + d, step);
    }
  }

  // Eight bytes of each of two rows side by side, pair behind pair.
  static void rows_of(const int8_t* packed, int length, int8_t* to) {
    for (int pair = 0; pair < kTile; pair += 2) {
      for (int d = 0; d < length; d += step) {
        for (int i = pair; i < pair + 2; ++i, to += step) __builtin_memcpy(to, packed + i * length + d, step);
      }
    }
  }

  template <int tiles, typename Put>
  static void product(const int8_t* rows, const int8_t* const (&tile)[tiles], int depth, const Put& put) {
    static_assert(tiles == 1, "32 registers hold the sums of one tile with four rows");
    I16 sums[kRows][1];
    for (int first = 0; first < kTile; first += kRows) {
      multiply(rows + first * depth, tile[0], depth, sums);
      for (int i = 0; i < kRows; ++i) put(first + i, sums[i]);
    }
  }

 private:
  // In a function of its own, see attention/products.h.
  static __attribute__((noinline)) void multiply(const int8_t* rows, const int8_t* tile, int depth,
                                                 I16 (&sums)[kRows][1]) {
    int32x4_t total[kRowPairs][kColumnPairs] = {};
    for (int d = 0; d < depth; d += step, rows += 2 * step, tile += kTile * step) {
      int8x16_t x[kRowPairs];
#pragma GCC unroll 8
      for (int p = 0; p < kRowPairs; ++p) x[p] = vld1q_s8(rows + p * 2 * depth);
#pragma GCC unroll 8
      for (int c = 0; c < kColumnPairs; ++c) {
        const int8x16_t columns = vld1q_s8(tile + c * 2 * step);
#pragma GCC unroll 8
        for (int p = 0; p < kRowPairs; ++p) total[p][c] = vmmlaq_s32(total[p][c], x[p], columns);
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < kRowPairs; ++p) {
#pragma GCC unroll 8
      for (int n = 0; n < kParts; ++n) {
        const int32x4_t left = total[p][2 * n], right = total[p][2 * n + 1];
        sums[2 * p][0].parts[n] = row_of<0, IntegerPart>(left, right);
        sums[2 * p + 1][0].parts[n] = row_of<1, IntegerPart>(left, right);
      }
    }
  }
};

// The softmax's output and the values are rounded to bfloat16 on every processor; here they are multiplied as such.
class MixHalves {
 public:
  // [fours of keys][vectors of columns][16][4], whole blocks of keys.
  static size_t bytes(int head_size, int length) {
    return static_cast<size_t>((length + 15) / 16 * 4) * vectors_of(head_size) * kFour * sizeof(Bfloat16);
  }

  // As that of MixFloats, but the powers are left as bfloat16, in order, from where the row began.
  static float softmax(float* scores, float highest, int length) {
    const V16 top = fill(highest);
    uint16x8_t bits_of_one = vdupq_n_u16(0x3f80);
    asm("" : "+w"(bits_of_one));  // of a constant, GCC 12 makes ones of FP16
    const auto ones = reinterpret_cast<bfloat16x8_t>(bits_of_one);
    float32x4_t total[2] = {};
    auto* to = reinterpret_cast<Bfloat16*>(scores);  // behind what is read
    for (int j = 0; j < length; j += 16) {
      const V16 power = rough_exponential(load(scores + j) - top);
      for (int half = 0; half < 2; ++half) {
        const bfloat16x8_t both =
            vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(power.parts[2 * half]), power.parts[2 * half + 1]);
        total[half] = vbfdotq_f32(total[half], both, ones);
        __builtin_memcpy(to + j + 8 * half, &both, sizeof both);
      }
    }
    return 1.0f / vaddvq_f32(vaddq_f32(total[0], total[1]));
  }

  template <typename Value>
  MixHalves(const Value* v, ptrdiff_t stride, int length, int head_size, char* memory)
      : values_(reinterpret_cast<Bfloat16*>(memory)), head_size_(head_size) {
    Bfloat16* to = values_;
    for (int j = 0; j < (length + 15) / 16 * 16; j += 4) {
      for (int c = 0; c < head_size; c += 16, to += kFour) {
        for (int key = 0; key < 4; ++key) {
          const I16 column = halves(v, stride, j + key, length, c, head_size) >> 16;
          for (int i = 0; i < 16; ++i) to[i * 4 + key] = static_cast<Bfloat16>(column[i]);
        }
      }
    }
  }

  // As that of MixFloats; `shares` are rows as softmax left them. Rows beyond `count` are multiplied with the others of
  // their four and not kept.
  void mix(const float* shares, int width, int count, int first_key, int keys, const float* inverse, float* out,
           ptrdiff_t out_stride) const {
    V16 sums[kRows];
    const ptrdiff_t step = vectors_of(head_size_) * kFour;
    for (int c = 0; c < vectors_of(head_size_); ++c) {
      for (int row = 0; row < count; row += kRows) {
        multiply(shares + row * width, width, values_ + first_key / 4 * step + c * kFour, step, (keys + 7) / 8, sums);
        for (int r = 0; r < kRows && row + r < count; ++r) {
          put_columns(out + (row + r) * out_stride, c * 16, sums[r] * inverse[row + r], head_size_);
        }
      }
    }
  }

 private:
  static constexpr int kFour = 64;

  // Four rows of shares times sixteen columns, eight keys at a time. In a function of its own, see attention/products.h.
  static __attribute__((noinline)) void multiply(const float* shares, ptrdiff_t width, const Bfloat16* values,
                                                 ptrdiff_t step, int eights, V16 (&sums)[kRows]) {
    float32x4_t total[kRowPairs][kColumnPairs] = {};
    for (int j = 0; j < eights; ++j, shares += 4, values += 2 * step) {
      bfloat16x8_t x[kRowPairs][2];
#pragma GCC unroll 8
      for (int p = 0; p < kRowPairs; ++p) {
        const float32x4_t upper = vld1q_f32(shares + 2 * p * width), lower = vld1q_f32(shares + (2 * p + 1) * width);
        x[p][0] = row_of<0, bfloat16x8_t>(upper, lower);
        x[p][1] = row_of<1, bfloat16x8_t>(upper, lower);
      }
#pragma GCC unroll 8
      for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 8
        for (int c = 0; c < kColumnPairs; ++c) {
          bfloat16x8_t columns;
          __builtin_memcpy(&columns, values + half * step + c * 8, sizeof columns);
#pragma GCC unroll 8
          for (int p = 0; p < kRowPairs; ++p) total[p][c] = vbfmmlaq_f32(total[p][c], x[p][half], columns);
        }
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < kRowPairs; ++p) {
#pragma GCC unroll 8
      for (int n = 0; n < kParts; ++n) {
        const float32x4_t left = total[p][2 * n], right = total[p][2 * n + 1];
        sums[2 * p].parts[n] = row_of<0, FloatPart>(left, right);
        sums[2 * p + 1].parts[n] = row_of<1, FloatPart>(left, right);
      }
    }
  }

  Bfloat16* values_;
  int head_size_;
};

}  // namespace

extern const AttentionKernel attention_int8_i8mm = kernel_of<ByteProducts<SmmlaDot>, MixHalves>();

}  // namespace wordtell
