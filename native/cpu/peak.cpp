// From registers alone: each loop has as many independent sums as hide the instruction's latency. Nothing is loaded or
// stored inside it, so this is what no matrix product of this machine can pass.
#include "cpu/peak.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/features.h"
#include "cpu/intrinsics.h"
#if defined(__x86_64__)
#include "cpu/tiles.h"
#endif

namespace wordtell {
namespace {

using Clock = std::chrono::steady_clock;
using Loop = std::function<double(long)>;  // rounds -> operations (or bytes) done

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// All threads at once, for as long as asked: the sum of what each did, a second, in billions.
double rate(const Loop& loop, int threads, double seconds) {
  std::vector<double> rates(threads);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      loop(1000);  // wakes the unit
      double done = 0;
      const auto start = Clock::now();
      while (seconds_since(start) < seconds) done += loop(20000);
      rates[i] = done / seconds_since(start) / 1e9;
    });
  }
  double sum = 0;
  for (int i = 0; i < threads; ++i) {
    running[i].join();
    sum += rates[i];
  }
  return sum;
}

#if defined(__x86_64__)

#define TWELVE(step) \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

// Twelve sums; STEP_name(i) is the instruction on the i-th of them. per: its operations.
#define LOOP(name, features, type, zero, per)                                            \
  __attribute__((target(features))) double name(long rounds) {                          \
    type sums[12], a = zero, b = zero;                                                   \
    for (auto& sum : sums) sum = zero;                                                   \
    for (long i = 0; i < rounds; ++i) {                                                  \
      TWELVE(STEP_##name)                                                                \
    }                                                                                    \
    return 12.0 * (per) * static_cast<double>(rounds);                                   \
  }
#define STEP(code, i) asm volatile(code : "+v"(sums[i]) : "v"(a), "v"(b));

#define STEP_int8_avx512(i) STEP("vpdpbusd %2, %1, %0", i)
LOOP(int8_avx512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), 128)
#define STEP_bf16_avx512(i) STEP("vdpbf16ps %2, %1, %0", i)
LOOP(bf16_avx512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), 64)
#define STEP_fp32_avx512(i) STEP("vfmadd231ps %2, %1, %0", i)
LOOP(fp32_avx512, "avx512f", __m512, _mm512_setzero_ps(), 32)
#undef STEP
#define STEP(code, i) asm volatile(code : "+x"(sums[i]) : "x"(a), "x"(b));
#define STEP_int8_avxvnni(i) STEP("%{vex%} vpdpbusd %2, %1, %0", i)
LOOP(int8_avxvnni, "avx2", __m256i, _mm256_setzero_si256(), 64)
#define STEP_fp32_avx2(i) STEP("vfmadd231ps %2, %1, %0", i)
LOOP(fp32_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), 16)
// Without VNNI three instructions do the work of one: products of pairs, sums of pairs, the sum.
#define STEP_int8_avx2(i)                                                                              \
  {                                                                                                    \
    __m256i pairs;                                                                                     \
    asm volatile("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(a), "x"(b));                              \
    asm volatile("vpmaddwd %1, %0, %0" : "+x"(pairs) : "x"(b));                                        \
    asm volatile("vpaddd %1, %0, %0" : "+x"(sums[i]) : "x"(pairs));                                    \
  }
LOOP(int8_avx2, "avx2", __m256i, _mm256_setzero_si256(), 64)

// Six sums of 16 x 16 in tiles 0 ... 5, operands in 6 and 7: 16 x 16 x 64 products of 8 bits, or 16 x 16 x 32 of 16.
#define SIX(step) step<0, 6, 7>(); step<1, 6, 7>(); step<2, 6, 7>(); step<3, 6, 7>(); step<4, 6, 7>(); step<5, 6, 7>();
#define AMX(name, features, product, per)                        \
  __attribute__((target(features))) double name(long rounds) {   \
    const TileSession session({16, 16, 16, 16, 16, 16, 16, 16}); \
    zero_tile<6>();                                              \
    zero_tile<7>();                                              \
    for (long i = 0; i < rounds; ++i) {                          \
      SIX(product)                                               \
    }                                                            \
    return 6.0 * (per) * static_cast<double>(rounds);            \
  }
AMX(int8_amx, "amx-tile,amx-int8", add_bytes, 2.0 * 16 * 16 * 64)
AMX(bf16_amx, "amx-tile,amx-bf16", add_halves, 2.0 * 16 * 16 * 32)

#endif

#if defined(__aarch64__)
// A 128-bit register at a time; sixteen sums.
#define SIXTEEN(step)                                                                                           \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11) step(12)    \
      step(13) step(14) step(15)
#define ARM(name, per)                                                                                    \
  double name(long rounds) {                                                                                    \
    for (long i = 0; i < rounds; ++i) { SIXTEEN(STEP_##name) }                                                  \
    return 16.0 * (per) * static_cast<double>(rounds);                                                          \
  }
#define STEP_int8_dot(i) asm volatile(".arch armv8.2-a+dotprod\n sdot v" #i ".4s, v30.16b, v31.16b" ::: "v" #i);
ARM(int8_dot, 32)
#define STEP_int8_i8mm(i) asm volatile(".arch armv8.6-a+i8mm\n smmla v" #i ".4s, v30.16b, v31.16b" ::: "v" #i);
ARM(int8_i8mm, 64)
#define STEP_fp32_neon(i) asm volatile("fmla v" #i ".4s, v30.4s, v31.4s" ::: "v" #i);
ARM(fp32_neon, 8)
#endif

// Bytes read of an array far larger than any cache, which each thread has to itself.
double read_memory(long) {
  static thread_local std::vector<uint64_t> array(size_t{1} << 25, 1);  // 256 MB
  uint64_t sums[8] = {};
  for (size_t i = 0; i < array.size(); i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += array[i + j];
  }
  volatile uint64_t sink = sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
  (void)sink;
  return static_cast<double>(array.size() * sizeof(uint64_t));
}

using Named = std::pair<std::string, Loop>;

std::vector<Named> loops(const std::string& type) {
  std::vector<Named> int8, bf16, fp32;
  [[maybe_unused]] const unsigned has = features().bits;
#if defined(__x86_64__)
  if (has & kAvx2) int8.push_back({"avx2", int8_avx2});
  if (has & kAvxVnni) int8.push_back({"avx_vnni", int8_avxvnni});
  if (has & kAvx512Vnni) int8.push_back({"avx512_vnni", int8_avx512});
  if (has & kAvx2) fp32.push_back({"avx2", fp32_avx2});
  if (has & kAvx512) fp32.push_back({"avx512", fp32_avx512});
  if (has & kAvx512Bf16) bf16.push_back({"avx512_bf16", bf16_avx512});
  if (has & kAmx) int8.push_back({"amx_int8", int8_amx});
  if (has & kAmx) bf16.push_back({"amx_bf16", bf16_amx});
#endif
#if defined(__aarch64__)
  fp32.push_back({"neon", fp32_neon});
  if (has & kDotprod) int8.push_back({"dotprod", int8_dot});
  if (has & kI8mm) int8.push_back({"i8mm", int8_i8mm});
#endif
  if (type == "int8") return int8;
  if (type == "bf16") return bf16;
  if (type == "fp32") return fp32;
  if (type == "memory") return {{"read", read_memory}};
  return {};
}

}  // namespace

std::string peak(const std::string& type, int threads, double seconds) {
  std::string found;
  for (const auto& [name, loop] : loops(type)) {
    char entry[64];
    std::snprintf(entry, sizeof entry, "\"%s\": %.1f", name.c_str(), rate(loop, threads, seconds));
    found += (found.empty() ? "" : ", ") + std::string(entry);
  }
  return found.empty() ? "" : "{" + found + "}";
}

}  // namespace wordtell
