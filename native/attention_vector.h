// Sixteen numbers at a time, by the compiler's vector types: one register with AVX-512, several elsewhere.
// Internal linkage only, for the reason that attention_rows.h gives.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace wordtell {
namespace {

typedef float V16 __attribute__((vector_size(64), aligned(64)));
typedef int32_t I16 __attribute__((vector_size(64), aligned(64)));

inline V16 load(const float* from) {
  V16 value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
inline I16 load(const int32_t* from) {
  I16 value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
inline void store(float* to, V16 value) { __builtin_memcpy(to, &value, sizeof value); }
inline void store(int32_t* to, I16 value) { __builtin_memcpy(to, &value, sizeof value); }
inline V16 fill(float value) { return value - V16{}; }

// The first `count` numbers, the others zero; memory behind them is not touched.
inline V16 load_part(const float* from, int count) {
  V16 value{};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return value;
}

inline V16 larger(V16 a, V16 b) { return a > b ? a : b; }

// a * b + c, rounded once where the processor can.
inline V16 multiply_add(V16 a, V16 b, V16 c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  V16 result;
  for (int half = 0; half < 2; ++half) {
    __m256 part[3];
    __builtin_memcpy(&part[0], reinterpret_cast<const char*>(&a) + 32 * half, 32);
    __builtin_memcpy(&part[1], reinterpret_cast<const char*>(&b) + 32 * half, 32);
    __builtin_memcpy(&part[2], reinterpret_cast<const char*>(&c) + 32 * half, 32);
    const __m256 sum = _mm256_fmadd_ps(part[0], part[1], part[2]);
    __builtin_memcpy(reinterpret_cast<char*>(&result) + 32 * half, &sum, 32);
  }
  return result;
#else
  return a * b + c;
#endif
}

// In pairs, always the same: the sum of a row must not depend on the processor's width.
inline float sum(V16 a) {
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) a[i] += a[i + step];
  }
  return a[0];
}

inline float largest(V16 a) {
  float most = a[0];
  for (int i = 1; i < 16; ++i) most = a[i] > most ? a[i] : most;
  return most;
}

// e^x for x <= 0, to about two units in the last place: 2^n e^r with |r| <= ln 2 / 2, Taylor's series of e^r.
inline V16 exponential(V16 x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  x = larger(x, fill(-87.0f));
  const V16 shifted = multiply_add(x, fill(1.44269504f), fill(magic));
  const V16 n = shifted - magic;
  V16 r = multiply_add(n, fill(-0.693359375f), x);  // ln 2 in two parts
  r = multiply_add(n, fill(2.12194440e-4f), r);
  V16 p = fill(1.0f / 720);
  constexpr float series[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  for (const float coefficient : series) p = multiply_add(p, r, fill(coefficient));
  const I16 exponent = __builtin_convertvector(n, I16) << 23;
  return reinterpret_cast<V16>(reinterpret_cast<I16>(p) + exponent);
}

// To the nearest bfloat16, ties to even; as FP32, with zeros below.
inline V16 round_to_bfloat16(V16 x) {
  const I16 bits = reinterpret_cast<I16>(x);
  const I16 odd = (bits >> 16) & 1;
  return reinterpret_cast<V16>((bits + odd + 0x7fff) & static_cast<int32_t>(0xffff0000));
}

// Rows become columns: four rounds, each exchanging rows with columns of blocks half as large.
inline void transpose(V16 (&rows)[16]) {
#if defined(__AVX512F__)
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
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
    rows[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    rows[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    rows[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
    rows[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
#else
  for (int i = 0; i < 16; ++i) {
    for (int j = i + 1; j < 16; ++j) {
      const float kept = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = kept;
    }
  }
#endif
}

}  // namespace
}  // namespace wordtell
