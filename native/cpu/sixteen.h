// Sixteen numbers at a time: one register with AVX-512, two with AVX2, four elsewhere.
// Internal linkage only, for the reason that attention/rows.h gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/bfloat16.h"
#include "cpu/intrinsics.h"

namespace wordtell {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kParts = 16 / kLanes;

// Sixteen numbers in the processor's own registers. The compiler's type of sixteen would do, but where registers are
// narrower GCC passes such a type through memory at every step, which made AVX2 slower than plain SSE.
template <typename Element, typename Part>
struct Sixteen {
  Part parts[kParts];

  Element& operator[](int i) { return reinterpret_cast<Element*>(parts)[i]; }
  Element operator[](int i) const { return reinterpret_cast<const Element*>(parts)[i]; }
};

typedef float FloatPart __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntegerPart __attribute__((vector_size(4 * kLanes)));
using V16 = Sixteen<float, FloatPart>;
using I16 = Sixteen<int32_t, IntegerPart>;

// f of the parts of some vectors, one by one.
template <typename Out, typename F, typename... In>
inline Out by_parts(const F& f, const In&... in) {
  Out out;
  for (int i = 0; i < kParts; ++i) out.parts[i] = f(in.parts[i]...);
  return out;
}

#define WORDTELL_ELEMENTWISE(Type, Element, Part, sign)                                                            \
  inline Type operator sign(const Type& a, const Type& b) {                                                        \
    return by_parts<Type>([](Part x, Part y) { return x sign y; }, a, b);                                          \
  }                                                                                                                \
  inline Type operator sign(const Type& a, Element b) {                                                            \
    return by_parts<Type>([b](Part x) { return x sign b; }, a);                                                    \
  }
WORDTELL_ELEMENTWISE(V16, float, FloatPart, +)
WORDTELL_ELEMENTWISE(V16, float, FloatPart, -)
WORDTELL_ELEMENTWISE(V16, float, FloatPart, *)
WORDTELL_ELEMENTWISE(I16, int32_t, IntegerPart, +)
WORDTELL_ELEMENTWISE(I16, int32_t, IntegerPart, &)
WORDTELL_ELEMENTWISE(I16, int32_t, IntegerPart, <<)
WORDTELL_ELEMENTWISE(I16, int32_t, IntegerPart, >>)
#undef WORDTELL_ELEMENTWISE

inline V16 operator-(const V16& a) {
  return by_parts<V16>([](FloatPart x) { return -x; }, a);
}
inline V16& operator+=(V16& a, const V16& b) { return a = a + b; }
inline I16& operator+=(I16& a, const I16& b) { return a = a + b; }

inline I16 bits(const V16& a) {
  return by_parts<I16>([](FloatPart x) { return reinterpret_cast<IntegerPart>(x); }, a);
}
inline V16 from_bits(const I16& a) {
  return by_parts<V16>([](IntegerPart x) { return reinterpret_cast<FloatPart>(x); }, a);
}
inline I16 to_integers(const V16& a) {
  return by_parts<I16>([](FloatPart x) { return __builtin_convertvector(x, IntegerPart); }, a);
}
inline V16 to_floats(const I16& a) {
  return by_parts<V16>([](IntegerPart x) { return __builtin_convertvector(x, FloatPart); }, a);
}

inline V16 load(const float* from) {
  V16 value;
  for (int i = 0; i < kParts; ++i) __builtin_memcpy(&value.parts[i], from + i * kLanes, sizeof value.parts[i]);
  return value;
}
inline float number(float value) { return value; }
inline float number(Bfloat16 value) {
  const int32_t bits = value << 16;
  float widened;
  __builtin_memcpy(&widened, &bits, sizeof widened);
  return widened;
}

inline V16 load(const Bfloat16* from) {
  typedef Bfloat16 HalfPart __attribute__((vector_size(2 * kLanes)));
  I16 value;
  for (int i = 0; i < kParts; ++i) {
    HalfPart part;
    __builtin_memcpy(&part, from + i * kLanes, sizeof part);
    value.parts[i] = __builtin_convertvector(part, IntegerPart) << 16;  // zeros below
  }
  return from_bits(value);
}
inline I16 load(const int32_t* from) {
  I16 value;
  for (int i = 0; i < kParts; ++i) __builtin_memcpy(&value.parts[i], from + i * kLanes, sizeof value.parts[i]);
  return value;
}
inline void store(float* to, const V16& value) {
  for (int i = 0; i < kParts; ++i) __builtin_memcpy(to + i * kLanes, &value.parts[i], sizeof value.parts[i]);
}
inline void store(int32_t* to, const I16& value) {
  for (int i = 0; i < kParts; ++i) __builtin_memcpy(to + i * kLanes, &value.parts[i], sizeof value.parts[i]);
}
// The first `count` numbers, or all, as whatever holds them.
template <typename Number>
inline void store_numbers(Number* to, const I16& value, int count) {
  typedef Number Part __attribute__((vector_size(sizeof(Number) * kLanes)));
  Number all[16];
  for (int i = 0; i < kParts; ++i) {
    const Part part = __builtin_convertvector(value.parts[i], Part);
    __builtin_memcpy((count >= 16 ? to : all) + i * kLanes, &part, sizeof part);
  }
  if (count < 16) __builtin_memcpy(to, all, count * sizeof(Number));
}
inline V16 fill(float value) {
  return by_parts<V16>([value](FloatPart zero) { return value - zero; }, V16{});
}

// The first `count` numbers of a, `rest` in the places of the others.
inline V16 first_of(const V16& a, int count, float rest) {
  V16 value = a;
  for (int i = 0; i < kParts; ++i) {
    IntegerPart place;
    for (int n = 0; n < kLanes; ++n) place[n] = i * kLanes + n;
    value.parts[i] = place < count ? a.parts[i] : rest - FloatPart{};
  }
  return value;
}

// The first `count` numbers, the others zero; memory behind them is not touched.
inline V16 load_part(const float* from, int count) {
  V16 value{};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return value;
}
inline V16 load_part(const Bfloat16* from, int count) {
  Bfloat16 value[16] = {};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return load(value);
}

// NaN where b is NaN; where only a is, b on x86 and NaN on Arm.
inline FloatPart larger(FloatPart a, FloatPart b) {
#if defined(__aarch64__)
  return reinterpret_cast<FloatPart>(vmaxq_f32(reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
#else
  return a > b ? a : b;
#endif
}
inline V16 larger(const V16& a, const V16& b) {
  return by_parts<V16>([](FloatPart x, FloatPart y) { return larger(x, y); }, a, b);
}

// a * b + c, rounded once where the processor can.
inline FloatPart multiply_add(FloatPart a, FloatPart b, FloatPart c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
inline V16 multiply_add(const V16& a, const V16& b, const V16& c) {
  return by_parts<V16>([](FloatPart x, FloatPart y, FloatPart z) { return multiply_add(x, y, z); }, a, b, c);
}

inline I16 larger(const I16& a, const I16& b) {
  return by_parts<I16>([](IntegerPart x, IntegerPart y) { return x > y ? x : y; }, a, b);
}

// Of |a|: they rise as the numbers do, up to infinity, and NaN is above that.
inline I16 magnitude_bits(const V16& a) { return bits(a) & 0x7fffffff; }

// To the nearest, ties to even.
inline I16 round_to_integers(const V16& a) {
#if defined(__AVX512F__)
  return {{reinterpret_cast<IntegerPart>(_mm512_cvtps_epi32(a.parts[0]))}};
#else
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  return to_integers(a + magic - magic);
#endif
}

// In pairs, always the same: the sum of a row must not depend on the processor's width.
inline float sum(V16 a) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(a.parts[0]);
#endif
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) a[i] += a[i + step];
  }
  return a[0];
}

// Of numbers; anything where one is NaN.
inline float largest(V16 a) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(a.parts[0]);
#endif
  float most = a[0];
  for (int i = 1; i < 16; ++i) most = a[i] > most ? a[i] : most;
  return most;
}

// e^x for x <= 0, to about two units in the last place: 2^n e^r with |r| <= ln 2 / 2, Taylor's series of e^r.
inline V16 exponential(V16 x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  x = larger(fill(-87.0f), x);
  const V16 shifted = multiply_add(x, fill(1.44269504f), fill(magic));
  const V16 n = shifted - magic;
  V16 r = multiply_add(n, fill(-0.693359375f), x);  // ln 2 in two parts
  r = multiply_add(n, fill(2.12194440e-4f), r);
  V16 p = fill(1.0f / 720);
  constexpr float series[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  for (const float coefficient : series) p = multiply_add(p, r, fill(coefficient));
  return from_bits(bits(p) + (to_integers(n) << 23));
}

// The same with a relative error of 3e-6, which is nothing to a bfloat16's 2e-3: with fewer steps.
inline V16 rough_exponential(const V16& x) {
  return by_parts<V16>(
      [](FloatPart part) {
        FloatPart t = part * 1.44269504f;
#if defined(__AVX512F__)
        const FloatPart n = _mm512_roundscale_ps(t, 8);
#else
        constexpr float magic = 12582912.0f;
        t = larger(FloatPart{} - 126.0f, t);
        const FloatPart n = t + magic - magic;
#endif
        const FloatPart f = t - n;
        FloatPart p = FloatPart{} + 9.5701011e-3f;  // 2^f
        constexpr float series[] = {5.5917860e-2f, 2.4024745e-1f, 6.9312181e-1f, 9.9999926e-1f};
        for (const float coefficient : series) p = multiply_add(p, f, FloatPart{} + coefficient);
#if defined(__AVX512F__)
        return static_cast<FloatPart>(_mm512_scalef_ps(p, n));
#else
        return reinterpret_cast<FloatPart>(reinterpret_cast<IntegerPart>(p) +
                                           (__builtin_convertvector(n, IntegerPart) << 23));
#endif
      },
      x);
}

// To the nearest bfloat16, ties to even; as FP32, with zeros below.
inline V16 round_to_bfloat16(V16 x) {
  const I16 odd = (bits(x) >> 16) & 1;
  return from_bits((bits(x) + odd + 0x7fff) & static_cast<int32_t>(0xffff0000));
}

}  // namespace
}  // namespace wordtell
