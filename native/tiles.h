// The tile registers of AMX: eight of them, each of up to 16 rows of 64 bytes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace wordtell {
namespace {

// While it lives, this thread's tile registers have as many rows as `rows` says, each of 64 bytes.
class TileSession {
 public:
  explicit TileSession(const uint8_t (&rows)[8]) {
    // "Palette 1", Intel SDM volume 1, table 18-1.
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes_per_row[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 8; ++tile) {
      config.bytes_per_row[tile] = 64;
      config.rows[tile] = rows[tile];
    }
    // GCC's intrinsic tells the compiler of the first bytes only.
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  ~TileSession() { _tile_release(); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

}  // namespace
}  // namespace wordtell
