// Vectors of FP32 and int32, as wide as the flags of the including file allow: 16 lanes with AVX-512, 8 with AVX2, 4
// otherwise (SSE2 is part of x86-64, NEON of AArch64). The row-wise code is written once over them and compiled once
// for each instruction set.
//
// Everything here has internal linkage, and no header of the standard library with inline functions is included: a
// function that the compiler emits out of line with AVX-512 must never be the copy that the linker keeps for everybody.
#pragma once

#include <cstdint>

#include "cpu/bfloat16.h"
#include "cpu/intrinsics.h"

namespace wordtell {

namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(lanes * 4)));
typedef int32_t Ints __attribute__((vector_size(lanes * 4)));
typedef Bfloat16 Halves __attribute__((vector_size(lanes * 2)));

inline Floats fill(float value) { return value - Floats{}; }
inline Ints fill(int32_t value) { return value - Ints{}; }

inline Floats load(const float* from) {
  Floats value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

inline Ints load(const int32_t* from) {
  Ints value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Floats value) { __builtin_memcpy(to, &value, sizeof value); }

// The first `count` lanes, the others zero; memory behind them is not touched.
inline Floats load_part(const float* from, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#else
  float value[lanes] = {};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return load(value);
#endif
}

inline void store_part(float* to, Floats value, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
#else
  for (int i = 0; i < count; ++i) to[i] = value[i];
#endif
}

inline Floats to_floats(Ints value) { return __builtin_convertvector(value, Floats); }
inline Ints bits_of(Floats value) { return reinterpret_cast<Ints>(value); }
inline Floats floats_of(Ints bits) { return reinterpret_cast<Floats>(bits); }

inline Floats load(const Bfloat16* from) {
  Halves value;
  __builtin_memcpy(&value, from, sizeof value);
  return floats_of(__builtin_convertvector(value, Ints) << 16);
}

inline Floats load_part(const Bfloat16* from, int count) {
  Bfloat16 value[lanes] = {};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return load(value);
}

// Rounded to nearest, ties to even.
inline Halves to_halves(Floats value) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Halves>(_mm512_cvtneps_pbh(value));
#else
  const Ints bits = bits_of(value), odd = (bits >> 16) & 1;
  return __builtin_convertvector((bits + odd + 0x7fff) >> 16, Halves);
#endif
}

inline void store(Bfloat16* to, Floats value) {
  const Halves halves = to_halves(value);
  __builtin_memcpy(to, &halves, sizeof halves);
}

inline void store_part(Bfloat16* to, Floats value, int count) {
  const Halves halves = to_halves(value);
  for (int i = 0; i < count; ++i) to[i] = halves[i];
}

// NaN where b is NaN; where only a is, b on x86 and NaN on Arm.
inline Floats smaller(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#elif defined(__x86_64__)
  return _mm_min_ps(a, b);
#elif defined(__aarch64__)
  return reinterpret_cast<Floats>(vminq_f32(reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
#else
  return a < b ? a : b;
#endif
}

inline Floats larger(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#elif defined(__x86_64__)
  return _mm_max_ps(a, b);
#elif defined(__aarch64__)
  return reinterpret_cast<Floats>(vmaxq_f32(reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
#else
  return a > b ? a : b;
#endif
}

// a * b + c in one rounding where the processor can, whatever the compiler is told of contraction.
inline Floats multiply_add(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return reinterpret_cast<Floats>(vfmaq_f32(reinterpret_cast<float32x4_t>(c), reinterpret_cast<float32x4_t>(a),
                                            reinterpret_cast<float32x4_t>(b)));
#else
  return a * b + c;
#endif
}

inline Floats magnitude(Floats a) { return floats_of(bits_of(a) & fill(int32_t{0x7fffffff})); }

// To the nearest integer, ties to even: the same integers on every processor.
inline Ints round_to_ints(Floats a) {
#if defined(__AVX512F__)
  return reinterpret_cast<Ints>(_mm512_cvtps_epi32(a));
#elif defined(__AVX2__)
  return reinterpret_cast<Ints>(_mm256_cvtps_epi32(a));
#elif defined(__x86_64__)
  return reinterpret_cast<Ints>(_mm_cvtps_epi32(a));
#elif defined(__aarch64__)
  return reinterpret_cast<Ints>(vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(a)));
#else
  Ints value;
  for (int i = 0; i < lanes; ++i) value[i] = static_cast<int32_t>(__builtin_nearbyintf(a[i]));
  return value;
#endif
}

// Stores four vectors as bytes, saturated to [0, 255]. The packing instructions work within 128 bits, hence the order
// that is put right behind them.
inline void store_bytes(uint8_t* to, const Ints (&values)[4]) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_packs_epi32(reinterpret_cast<__m512i>(values[0]), reinterpret_cast<__m512i>(values[1]));
  const __m512i high = _mm512_packs_epi32(reinterpret_cast<__m512i>(values[2]), reinterpret_cast<__m512i>(values[3]));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
#elif defined(__AVX2__)
  const __m256i low = _mm256_packs_epi32(reinterpret_cast<__m256i>(values[0]), reinterpret_cast<__m256i>(values[1]));
  const __m256i high = _mm256_packs_epi32(reinterpret_cast<__m256i>(values[2]), reinterpret_cast<__m256i>(values[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
#elif defined(__x86_64__)
  const __m128i low = _mm_packs_epi32(reinterpret_cast<__m128i>(values[0]), reinterpret_cast<__m128i>(values[1]));
  const __m128i high = _mm_packs_epi32(reinterpret_cast<__m128i>(values[2]), reinterpret_cast<__m128i>(values[3]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(low, high));
#elif defined(__aarch64__)
  const auto narrow = [](Ints a, Ints b) {
    return vqmovn_high_s32(vqmovn_s32(reinterpret_cast<int32x4_t>(a)), reinterpret_cast<int32x4_t>(b));
  };
  vst1q_u8(to, vqmovun_high_s16(vqmovun_s16(narrow(values[0], values[1])), narrow(values[2], values[3])));
#else
  for (int i = 0; i < 4 * lanes; ++i) {
    const int32_t value = values[i / lanes][i % lanes];
    to[i] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
#endif
}

// Across the lanes, by halves.
inline float smallest(Floats a) {
#if defined(__AVX512F__)
  return _mm512_reduce_min_ps(a);
#else
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a[i] = a[i + half] < a[i] ? a[i + half] : a[i];
  }
  return a[0];
#endif
}

inline float largest(Floats a) { return -smallest(-a); }

inline float sum(Floats a) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(a);
#else
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a[i] += a[i + half];
  }
  return a[0];
#endif
}

}  // namespace
}  // namespace wordtell
