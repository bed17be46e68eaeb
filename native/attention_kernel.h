// What attention.cpp needs of the code for one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bfloat16.h"

namespace wordtell {

// Query rows, keys and distances are taken sixteen at a time.
constexpr int kTile = 16;

// One table of relative positions, of one head, unfolded from buckets to distances and packed in tiles.
//
// Tile t of the query table holds the distances 16 t - 15 ... 16 t, rising; the key table holds the same, falling.
// Tiles are numbered from `-blocks` to `blocks + 1`; beyond these nothing changes, so the ends stand for the rest.
struct PositionTable {
  const void* tiles;          // null: the model has no such term
  const float* scales;        // [tiles][16]
  const int32_t* corrections;  // [tiles][16], see attention_rows.h
  size_t tile_bytes;
  int blocks;
};

struct AttentionHead {
  int head_size;
  PositionTable keys, queries;
};

// The functions of one instruction set and precision.
struct AttentionKernel {
  size_t (*tile_bytes)(int head_size);
  // A tile of the table that q, or k, is multiplied by. rows: sixteen pointers to rows of head_size values.
  void (*pack_key_tile)(const float* const* rows, int head_size, void* tile, float* scales, int32_t* corrections);
  void (*pack_query_tile)(const float* const* rows, int head_size, void* tile, float* scales, int32_t* corrections);
  size_t (*scratch_bytes)(int head_size, int length);
  void (*run)(const AttentionHead& head, int length, const float* q, const float* k, const float* v, ptrdiff_t stride,
              float* out, ptrdiff_t out_stride, void* scratch);
  void (*run_halves)(const AttentionHead& head, int length, const Bfloat16* q, const Bfloat16* k, const Bfloat16* v,
                     ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch);
};

extern const AttentionKernel attention_fp32_portable, attention_int8_portable;
#if defined(__x86_64__)
extern const AttentionKernel attention_fp32_avx2, attention_int8_avx2;
extern const AttentionKernel attention_fp32_avx512, attention_int8_avx512;
extern const AttentionKernel attention_int8_amx;
#endif

}  // namespace wordtell
