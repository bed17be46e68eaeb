// Attention over tiles of sixteen by sixteen, written once and compiled once for each instruction set.
//
// Everything has internal linkage, and no inline function of the standard library is used: a function that the compiler
// emits out of line with AVX-512 must never be the copy that the linker keeps for everybody.
//
// With i in query block I, j in key block J, the distances i - j of a pair of blocks fill two neighbouring tiles of a
// position table, I - J and I - J + 1. So the position terms are products of a block with tiles, then a shear:
//   q[i].PK: all tiles of a query block side by side, falling. Row i's terms for all keys are one run of the row,
//            16 - (i mod 16) to the right.
//   k[j].PQ: rising. Row j's terms for the queries of a block are one run, 15 - (j mod 16) to the right; sixteen such
//            runs are a tile with keys in its rows, which is transposed. The right tile of block I is the left one of
//            block I + 1 and is kept for it.
#pragma once

#include "attention/distance.h"
#include "attention/rotary.h"
#include "cpu/sixteen.h"
#include "cpu/pieces.h"

namespace wordtell {
namespace {

inline int blocks_of(int length) { return (length + kTile - 1) / kTile; }

// Products: the arithmetic of the three products. It has
//   Row, Packed, Sum          a row's element, a tile's, and a product's
//   padded(head_size)         how long a row is in memory, in elements
//   pack_rows(rows, count, head_size, Row*, float* scales)        sixteen rows, those beyond `count` zero
//   pack_tile(rows, count, head_size, Packed*, float* scales, int32_t* corrections)   the same rows as columns
//   product(const Row*, const Packed*, padded, Sum*)              [16][16]
//   value(const Sum*, V16 column_scales, I16 corrections, float row_scale)     sixteen of them as numbers
// Mixing: the product of the softmax's output with v; see attention/mixing.h.
template <typename Products, typename Mixing>
struct Rows {
  using Row = typename Products::Row;
  using Packed = typename Products::Packed;
  using Sum = typename Products::Sum;

  struct Memory {
    Memory(void* memory, int head_size, int length) : pieces(memory) {
      const size_t blocks = static_cast<size_t>(blocks_of(length)), padded = Products::padded(head_size);
      key_rows = pieces.template take<Row>(blocks * kTile * padded);
      key_tiles = pieces.template take<Packed>(blocks * kTile * padded);
      key_scales = pieces.template take<float>(blocks * kTile);
      key_corrections = pieces.template take<int32_t>(blocks * kTile);
      query_rows = pieces.template take<Row>(kTile * padded);
      query_scales = pieces.template take<float>(kTile);
      sums = pieces.template take<Sum>(kTile * kTile);
      band = pieces.template take<float>(kTile * (blocks + 1) * kTile);
      pairs = pieces.template take<float>(blocks * kTile * 2 * kTile);
      scores = pieces.template take<float>(kTile * blocks * kTile);
      distances = pieces.template take<float>(2 * blocks * kTile);
      mixing = pieces.template take<char>(Mixing::bytes(head_size, length));
    }
    Pieces pieces;
    Row *key_rows, *query_rows;
    Packed* key_tiles;
    float *key_scales, *query_scales, *band, *pairs, *scores, *distances;
    int32_t* key_corrections;
    Sum* sums;
    char* mixing;
  };

  static size_t scratch_bytes(int head_size, int length) { return Memory(nullptr, head_size, length).pieces.used(); }

  static size_t tile_bytes(int head_size) { return sizeof(Packed) * kTile * Products::padded(head_size); }

  static void pack_table_tile(const float* const* rows, int head_size, void* tile, float* scales, int32_t* corrections) {
    Products::pack_tile(rows, kTile, head_size, static_cast<Packed*>(tile), scales, corrections);
  }

  // q and k have rows `stride` apart, v and out as `run` of AttentionKernel has them.
  template <typename Point, typename Value>
  static void attend(const AttentionHead& head, int length, const Point* q, const Point* k, ptrdiff_t stride,
                     const Value* v, ptrdiff_t v_stride, float* out, ptrdiff_t out_stride, void* scratch) {
    const int blocks = blocks_of(length), padded = Products::padded(head.head_size);
    Memory memory(scratch, head.head_size, length);
    const Point* rows[kTile];
    for (int block = 0; block < blocks; ++block) {
      const int count = point_at(k, stride, block, length, rows);
      Products::pack_rows(rows, count, head.head_size, memory.key_rows + block * kTile * padded,
                          memory.key_scales + block * kTile);
      Products::pack_tile(rows, count, head.head_size, memory.key_tiles + block * kTile * padded,
                          memory.key_scales + block * kTile, memory.key_corrections + block * kTile);
    }
    if (has_distances(head)) fill_distances(head, blocks * kTile, memory.distances);
    const Mixing mixing(v, v_stride, length, head.head_size, memory.mixing);
    for (int block = 0; block < blocks; ++block) {
      const int count = point_at(q, stride, block, length, rows);
      Products::pack_rows(rows, count, head.head_size, memory.query_rows, memory.query_scales);
      if (head.keys.tiles != nullptr) fill_band(head.keys, block, blocks, padded, memory);
      if (head.queries.tiles != nullptr) fill_pairs(head.queries, block, blocks, padded, memory);
      const KeyRange range = keys_of(head, block * kTile, kTile, blocks, 1);
      const int first_key = range.begin * kTile, keys = (range.end < blocks ? range.end * kTile : length) - first_key;
      score(head, block, range, blocks, padded, memory);
      float inverse[kTile];
      for (int i = 0; i < count; ++i) inverse[i] = Mixing::softmax(memory.scores + i * blocks * kTile, keys);
      mixing.mix(memory.scores, blocks * kTile, count, first_key, keys, inverse, out + block * kTile * out_stride,
                 out_stride);
    }
  }

  template <typename Value>
  static void run(const AttentionHead& head, int length, const Value* q, const Value* k, const Value* v,
                  ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch) {
    attend(head, length, q, k, stride, v, stride, out, out_stride, scratch);
  }

  template <typename Value>
  static void run_rotated(const AttentionHead& head, int length, const float* q, const float* k, const Value* v,
                          ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch) {
    attend(head, length, q, k, head.head_size, v, stride, out, out_stride, scratch);
  }

 private:
  template <typename Value>
  static int point_at(const Value* first, ptrdiff_t stride, int block, int length, const Value** rows) {
    const int begin = block * kTile, count = length - begin < kTile ? length - begin : kTile;
    for (int i = 0; i < count; ++i) rows[i] = first + (begin + i) * stride;
    return count;
  }

  // A tile of a table by its number, from the first of the table on.
  static size_t place(const PositionTable& table, int tile) {
    const int last = table.blocks + 1;
    return static_cast<size_t>((tile > last ? last : tile < -table.blocks ? -table.blocks : tile) + table.blocks);
  }

  static const Packed* tile_at(const PositionTable& table, size_t place) {
    return reinterpret_cast<const Packed*>(static_cast<const char*>(table.tiles) + place * table.tile_bytes);
  }

  // q.PK of a query block with all its tiles, falling: [16][blocks + 1][16].
  static void fill_band(const PositionTable& table, int block, int blocks, int padded, Memory& memory) {
    const int width = (blocks + 1) * kTile;
    for (int i = 0; i <= blocks; ++i) {
      const size_t tile = place(table, block + 1 - i);
      Products::product(memory.query_rows, tile_at(table, tile), padded, memory.sums);
      const V16 scales = load(table.scales + tile * kTile);
      const I16 corrections = load(table.corrections + tile * kTile);
      for (int row = 0; row < kTile; ++row) {
        store(memory.band + row * width + i * kTile,
              Products::value(memory.sums + row * kTile, scales, corrections, memory.query_scales[row]));
      }
    }
  }

  // k.PQ of every key block with the two tiles that it has in common with a query block: [blocks][16 keys][32].
  static void fill_pairs(const PositionTable& table, int block, int blocks, int padded, Memory& memory) {
    for (int j = 0; j < blocks; ++j) {
      float* pair = memory.pairs + j * kTile * 2 * kTile;
      if (block > 0) {
        for (int row = 0; row < kTile; ++row) store(pair + row * 2 * kTile, load(pair + row * 2 * kTile + kTile));
      } else {
        fill_half(table, j, block - j, pair, padded, memory);
      }
      fill_half(table, j, block - j + 1, pair + kTile, padded, memory);
    }
  }

  static void fill_half(const PositionTable& table, int j, int number, float* half, int padded, Memory& memory) {
    const size_t tile = place(table, number);
    Products::product(memory.key_rows + j * kTile * padded, tile_at(table, tile), padded, memory.sums);
    const V16 scales = load(table.scales + tile * kTile);
    const I16 corrections = load(table.corrections + tile * kTile);
    for (int row = 0; row < kTile; ++row) {
      store(half + row * 2 * kTile, Products::value(memory.sums + row * kTile, scales, corrections,
                                                    memory.key_scales[j * kTile + row]));
    }
  }

  // All terms of a query block's scores with some of the key blocks, the first of these first: [16][blocks * 16].
  static void score(const AttentionHead& head, int block, KeyRange range, int blocks, int padded, Memory& memory) {
    const int width = blocks * kTile;
    const bool by_distance = has_distances(head);
    for (int j = range.begin; j < range.end; ++j) {
      Products::product(memory.query_rows, memory.key_tiles + j * kTile * padded, padded, memory.sums);
      const V16 scales = load(memory.key_scales + j * kTile);
      const I16 corrections = load(memory.key_corrections + j * kTile);
      V16 position[kTile];
      if (head.queries.tiles != nullptr) {
        const float* pair = memory.pairs + j * kTile * 2 * kTile;
        for (int row = 0; row < kTile; ++row) position[row] = load(pair + row * 2 * kTile + kTile - 1 - row);
        transpose(position);
      } else {
        for (V16& row : position) row = V16{};
      }
      for (int row = 0; row < kTile; ++row) {
        V16 value = Products::value(memory.sums + row * kTile, scales, corrections, memory.query_scales[row]);
        if (head.keys.tiles != nullptr) value += load(memory.band + row * (width + kTile) + (j + 1) * kTile - row);
        value += position[row];
        if (by_distance) value += load(memory.distances + width + (j - block) * kTile - row);
        store(memory.scores + row * width + (j - range.begin) * kTile, value);
      }
    }
  }
};

template <typename Products, typename Mixing>
constexpr AttentionKernel kernel_of() {
  using R = Rows<Products, Mixing>;
  return {R::tile_bytes,
          R::pack_table_tile,
          R::pack_table_tile,
          R::scratch_bytes,
          R::template run<float>,
          R::template run<Bfloat16>,
          R::template run_rotated<float>,
          R::template run_rotated<Bfloat16>,
          rotate<float>,
          rotate<Bfloat16>};
}

}  // namespace
}  // namespace wordtell
