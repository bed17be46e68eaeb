// Sixteen rows of sixteen numbers become columns.
#pragma once

#include "cpu/sixteen.h"

namespace wordtell {
namespace {

#if defined(__AVX512F__)
inline void transpose(V16 (&rows)[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(rows[i].parts[0], rows[i + 1].parts[0]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i].parts[0], rows[i + 1].parts[0]);
  }
  __m512 u[16];
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88), b = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xdd);
    rows[i].parts[0] = _mm512_shuffle_f32x4(a, c, 0x88);
    rows[i + 8].parts[0] = _mm512_shuffle_f32x4(a, c, 0xdd);
    rows[i + 4].parts[0] = _mm512_shuffle_f32x4(b, d, 0x88);
    rows[i + 12].parts[0] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}
#else

// A block as wide as a register.
#if defined(__AVX2__)
inline void transpose_block(FloatPart (&rows)[8]) {
  FloatPart pairs[8], fours[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
}
#elif defined(__x86_64__)
inline void transpose_block(FloatPart (&rows)[4]) { _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]); }
#elif defined(__aarch64__)
inline void transpose_block(FloatPart (&rows)[4]) {
  const auto number = [](FloatPart a) { return reinterpret_cast<float32x4_t>(a); };
  const float32x4x2_t upper = vtrnq_f32(number(rows[0]), number(rows[1]));
  const float32x4x2_t lower = vtrnq_f32(number(rows[2]), number(rows[3]));
  for (int n = 0; n < 2; ++n) {
    const auto a = reinterpret_cast<float64x2_t>(upper.val[n]), b = reinterpret_cast<float64x2_t>(lower.val[n]);
    rows[n] = reinterpret_cast<FloatPart>(vzip1q_f64(a, b));
    rows[n + 2] = reinterpret_cast<FloatPart>(vzip2q_f64(a, b));
  }
}
#else
inline void transpose_block(FloatPart (&rows)[4]) {
  for (int i = 0; i < 4; ++i) {
    for (int n = 0; n < i; ++n) {
      const float kept = rows[i][n];
      rows[i][n] = rows[n][i];
      rows[n][i] = kept;
    }
  }
}
#endif

// Blocks change places with those across the diagonal.
inline void transpose(V16 (&rows)[16]) {
  V16 turned[16];
  for (int i = 0; i < 16; i += kLanes) {
    for (int p = 0; p < kParts; ++p) {
      FloatPart block[kLanes];
      for (int n = 0; n < kLanes; ++n) block[n] = rows[i + n].parts[p];
      transpose_block(block);
      for (int n = 0; n < kLanes; ++n) turned[p * kLanes + n].parts[i / kLanes] = block[n];
    }
  }
  for (int i = 0; i < 16; ++i) rows[i] = turned[i];
}
#endif

// The largest of each of sixteen vectors.
inline I16 largest_of_each(const I16 (&rows)[16]) {
  V16 turned[16];
  for (int i = 0; i < 16; ++i) turned[i] = from_bits(rows[i]);
  transpose(turned);
  I16 most = bits(turned[0]);
  for (int i = 1; i < 16; ++i) most = larger(most, bits(turned[i]));
  return most;
}

}  // namespace
}  // namespace wordtell
