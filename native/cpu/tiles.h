// The tile registers of AMX: eight of them, each of up to 16 rows of 64 bytes.
//
// The instructions stand here in assembly, since GCC's intrinsics say nothing of the memory that a load reads: a store
// before it might be moved behind it. With WORDTELL_SOFTWARE_TILES the same functions are written in C++
// (cpu/tiles_software.h), so that the kernels can be tested where there is AVX-512 but no AMX, and under sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(WORDTELL_SOFTWARE_TILES)
#include "cpu/tiles_software.h"
#else

namespace wordtell {
namespace {

// All are inlined, also into functions of files that are compiled for less than AMX (cpu/peak.cpp).
#define WORDTELL_TILE inline __attribute__((always_inline))

// While it lives, this thread's tile registers have as many rows as `rows` says, each of 64 bytes.
class TileSession {
 public:
  WORDTELL_TILE explicit TileSession(const uint8_t (&rows)[8]) {
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
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  WORDTELL_TILE ~TileSession() { asm volatile("tilerelease" ::: "memory"); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

// What a load reads. Clang has no operand of any length; GCC warns of one that is longer than what it stands for.
#if defined(__clang__)
using TileMemory = const char[16 * 65536];
#else
using TileMemory = const char[];
#endif

// All are volatile, and so stay in their order; a load's last operand stands for the memory that it reads.

template <int tile>
WORDTELL_TILE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(tile));
}

// Rows `stride` bytes apart.
template <int tile>
WORDTELL_TILE void load_tile(const void* from, ptrdiff_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile),
               "m"(*static_cast<TileMemory*>(from)));
}

// The same for what is not needed again soon: it does not take the place of others in the first-level cache.
template <int tile>
WORDTELL_TILE void stream_tile(const void* from, ptrdiff_t stride) {
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile),
               "m"(*static_cast<TileMemory*>(from)));
}

template <int tile>
WORDTELL_TILE void store_tile(void* to, ptrdiff_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}

// sum += rows x columns, in pairs of bfloat16.
template <int sum, int rows, int columns>
WORDTELL_TILE void add_halves() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(rows), "i"(columns));
}

// The same of four u8 and four s8.
template <int sum, int rows, int columns>
WORDTELL_TILE void add_bytes() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(rows), "i"(columns));
}

#undef WORDTELL_TILE

}  // namespace
}  // namespace wordtell

#endif
