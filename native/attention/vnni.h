// VNNI, of AVX-512 or of AVX: 8-bit products, unsigned by signed, four at a time in every lane.
#pragma once

#include "attention/products.h"
#include "cpu/vnni.h"

namespace wordtell {
namespace {

struct VnniDot : Fours<uint8_t, int8_t, 128> {
  static constexpr int step = 4;

  // Less offset * (sum of a column).
  static I16 corrections(const int8_t* tile, int depth) {
    const ByteColumns offsets = repeat(static_cast<int32_t>(offset * 0x01010101u));
    I16 sums;
    for (int n = 0; n < kParts; ++n) {
      ByteColumns total{};
      for (int d = 0; d < depth; d += 4) WORDTELL_VPDPBUSD(total, offsets, load_columns(tile + d * kTile + n * 64 / kParts));
      sums.parts[n] = -reinterpret_cast<IntegerPart>(total);
    }
    return sums;
  }

  template <int tiles, typename Put>
  static void product(const uint8_t* rows, const int8_t* const (&tile)[tiles], int depth, const Put& put) {
    constexpr int together = kRegisters / tiles;
    I16 sums[together][tiles];
    for (int first = 0; first < kTile; first += together) {
      multiply<together>(rows + first * depth, tile, depth, sums);
      for (int i = 0; i < together; ++i) put(first + i, sums[i]);
    }
  }

 private:
  // In a function of its own, see attention/products.h.
  template <int together, int tiles>
  static __attribute__((noinline)) void multiply(const uint8_t* rows, const int8_t* const (&tile)[tiles], int depth,
                                                 I16 (&sums)[together][tiles]) {
    const auto load = [&](int d, ByteColumns(&columns)[tiles * kParts]) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int n = 0; n < tiles * kParts; ++n) {
        columns[n] = load_columns(tile[n / kParts] + d * kTile + n % kParts * 64 / kParts);
      }
    };
    const auto put = [&](int i, int n, ByteColumns total) __attribute__((always_inline)) {
      sums[i][n / kParts].parts[n % kParts] = reinterpret_cast<IntegerPart>(total);
    };
    multiply_bytes<together, tiles * kParts>(rows, depth, depth, load, put);
  }
};

}  // namespace
}  // namespace wordtell
