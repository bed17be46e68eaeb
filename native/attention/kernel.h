// What attention.cpp needs of the code for one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/bfloat16.h"

namespace wordtell {

// Query rows, keys and distances are taken sixteen at a time.
constexpr int kTile = 16;
// The largest head.
constexpr int kLongest = 256;

// One table of relative positions, of one head, unfolded from buckets to distances and packed in tiles.
//
// Tile t of the query table holds the distances 16 t - 15 ... 16 t, rising; the key table holds the same, falling.
// Tiles are numbered from `-blocks` to `blocks + 1`; beyond these nothing changes, so the ends stand for the rest.
struct PositionTable {
  const void* tiles;          // null: the model has no such term
  const float* scales;        // [tiles][16]
  const int32_t* corrections;  // [tiles][16], see attention/rows.h
  size_t tile_bytes;
  int blocks;
};

// Cosines and sines of a head's angles, [positions][2][head_size / 2]: of the positions below kFine, and of every
// multiple of kFine below kFine * kCoarse.
constexpr int kFine = 128, kCoarse = 512;
struct Rotation {
  const float* fine;
  const float* coarse;
};

struct AttentionHead {
  int head_size;
  PositionTable keys, queries;
  const float* bias;  // [2 * reach + 1], of j - i = -reach ... reach; null for none
  int reach;
  int window;  // 0: none
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
  // The same of queries and keys that were rotated: [length][head_size].
  void (*run_rotated)(const AttentionHead& head, int length, const float* q, const float* k, const float* v,
                      ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch);
  void (*run_rotated_halves)(const AttentionHead& head, int length, const float* q, const float* k, const Bfloat16* v,
                             ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch);
  void (*rotate)(const Rotation& rotation, const float* from, ptrdiff_t stride, int length, int head_size, float* to);
  void (*rotate_halves)(const Rotation& rotation, const Bfloat16* from, ptrdiff_t stride, int length, int head_size,
                        float* to);
};

extern const AttentionKernel attention_fp32_portable, attention_int8_portable;
#if defined(__x86_64__)
extern const AttentionKernel attention_fp32_avx2, attention_int8_avx2;
extern const AttentionKernel attention_fp32_avx512, attention_int8_avx512;
extern const AttentionKernel attention_int8_avxvnni, attention_int8_avx512bf16, attention_int8_amx;
#elif defined(__aarch64__)
extern const AttentionKernel attention_int8_dotprod, attention_int8_i8mm;
#endif

}  // namespace wordtell
