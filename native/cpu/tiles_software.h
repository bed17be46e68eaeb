// What cpu/tiles.h has, as functions of plain C++ over registers that every thread has of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/bfloat16.h"

namespace wordtell {
namespace {

struct Tile {
  int rows = 0;
  unsigned char bytes[16][64];
};
thread_local Tile tile_registers[8];

class TileSession {
 public:
  explicit TileSession(const uint8_t (&rows)[8]) {
    for (int tile = 0; tile < 8; ++tile) {
      tile_registers[tile].rows = rows[tile];
      __builtin_memset(tile_registers[tile].bytes, 0, sizeof tile_registers[tile].bytes);
    }
  }
  ~TileSession() {
    for (Tile& tile : tile_registers) tile.rows = 0;
  }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

template <int tile>
void zero_tile() {
  __builtin_memset(tile_registers[tile].bytes, 0, sizeof tile_registers[tile].bytes);
}

template <int tile>
void load_tile(const void* from, ptrdiff_t stride) {
  Tile& to = tile_registers[tile];
  zero_tile<tile>();
  for (int r = 0; r < to.rows; ++r) __builtin_memcpy(to.bytes[r], static_cast<const char*>(from) + r * stride, 64);
}

template <int tile>
void stream_tile(const void* from, ptrdiff_t stride) {
  load_tile<tile>(from, stride);
}

template <int tile>
void store_tile(void* to, ptrdiff_t stride) {
  const Tile& from = tile_registers[tile];
  for (int r = 0; r < from.rows; ++r) __builtin_memcpy(static_cast<char*>(to) + r * stride, from.bytes[r], 64);
}

inline float half_at(const Tile& tile, int row, int place) {
  Bfloat16 half;
  __builtin_memcpy(&half, tile.bytes[row] + 2 * place, sizeof half);
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

template <int sum, int rows, int columns>
void add_halves() {
  const Tile &left = tile_registers[rows], &right = tile_registers[columns];
  for (int i = 0; i < left.rows; ++i) {
    float total[16];
    __builtin_memcpy(total, tile_registers[sum].bytes[i], sizeof total);
    for (int pair = 0; pair < 16 && pair < right.rows; ++pair) {
      for (int j = 0; j < 16; ++j) {
        for (int e = 0; e < 2; ++e) total[j] += half_at(left, i, 2 * pair + e) * half_at(right, pair, 2 * j + e);
      }
    }
    __builtin_memcpy(tile_registers[sum].bytes[i], total, sizeof total);
  }
}

template <int sum, int rows, int columns>
void add_bytes() {
  const Tile &left = tile_registers[rows], &right = tile_registers[columns];
  for (int i = 0; i < left.rows; ++i) {
    int32_t total[16];
    __builtin_memcpy(total, tile_registers[sum].bytes[i], sizeof total);
    for (int group = 0; group < 16 && group < right.rows; ++group) {
      for (int j = 0; j < 16; ++j) {
        for (int e = 0; e < 4; ++e) {
          total[j] += left.bytes[i][4 * group + e] * static_cast<int8_t>(right.bytes[group][4 * j + e]);
        }
      }
    }
    __builtin_memcpy(tile_registers[sum].bytes[i], total, sizeof total);
  }
}

}  // namespace
}  // namespace wordtell
