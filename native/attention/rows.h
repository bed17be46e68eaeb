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
#include "attention/products.h"
#include "attention/rotary.h"
#include "cpu/pieces.h"
#include "cpu/sixteen.h"
#include "cpu/transpose.h"

namespace wordtell {
namespace {

inline int blocks_of(int length) { return (length + kTile - 1) / kTile; }

// Products: the arithmetic of the three products. It has
//   Row, Packed, Sums         a row's element where it is multiplied, in a tile, and sixteen sums of a product
//   padded(head_size)         how long a row is in memory, in elements
//   pack(rows, count, head_size, Packed*, float* scales)               sixteen rows, those beyond `count` zero
//   tile_of(const Packed*, padded, Packed*)                            the same as a tile
//   rows_of(const Packed*, padded, Row*)                               the same to be multiplied by tiles
//   corrections(tile, padded)                                          of the sums with a tile, see attention/products.h
//   product(const Row*, tiles, padded, put)                            sums of all rows with some tiles
//   value(Sums, V16 column_scales, I16 corrections, float row_scale)   sixteen of them as numbers
// Mixing: the softmax, and the product of its output with v; see attention/mixing.h.
template <typename Products, typename Mixing>
struct Rows {
  using Row = typename Products::Row;
  using Packed = typename Products::Packed;
  using Sums = typename Products::Sums;

  struct Memory {
    Memory(void* memory, int head_size, int length) : pieces(memory) {
      const size_t blocks = static_cast<size_t>(blocks_of(length)), padded = Products::padded(head_size);
      key_rows = pieces.template take<Row>(blocks * kTile * padded);
      key_tiles = pieces.template take<Packed>(blocks * kTile * padded);
      key_scales = pieces.template take<float>(blocks * kTile);
      key_corrections = pieces.template take<int32_t>(blocks * kTile);
      query_rows = pieces.template take<Row>(kTile * padded);
      query_scales = pieces.template take<float>(kTile);
      highest = pieces.template take<float>(kTile * kTile);
      packed = pieces.template take<Packed>(kTile * padded);
      band = pieces.template take<float>(kTile * (blocks + 1) * kTile);
      pairs = pieces.template take<float>(blocks * kTile * 2 * kTile);
      turned = pieces.template take<float>(kTile * blocks * kTile);
      scores = pieces.template take<float>(kTile * blocks * kTile);
      distances = pieces.template take<float>(2 * blocks * kTile);
      mixing = pieces.template take<char>(Mixing::bytes(head_size, length));
    }
    Pieces pieces;
    Row *key_rows, *query_rows;
    Packed *key_tiles, *packed;
    float *key_scales, *query_scales, *band, *pairs, *turned, *scores, *distances, *highest;
    int32_t* key_corrections;
    char* mixing;
  };

  static size_t scratch_bytes(int head_size, int length) { return Memory(nullptr, head_size, length).pieces.used(); }

  static size_t tile_bytes(int head_size) { return sizeof(Packed) * kTile * Products::padded(head_size); }

  static void pack_table_tile(const float* const* rows, int head_size, void* tile, float* scales, int32_t* corrections) {
    alignas(64) Packed packed[kTile * kLongest];
    Products::pack(rows, kTile, head_size, packed, scales);
    const int padded = Products::padded(head_size);
    auto* to = static_cast<Packed*>(tile);
    Products::tile_of(packed, padded, to);
    store(corrections, Products::corrections(to, padded));
  }

  // q and k have rows `stride` apart, v and out as `run` of AttentionKernel has them.
  template <typename Point, typename Value>
  static void attend(const AttentionHead& head, int length, const Point* q, const Point* k, ptrdiff_t stride,
                     const Value* v, ptrdiff_t v_stride, float* out, ptrdiff_t out_stride, void* scratch) {
    const int blocks = blocks_of(length), padded = Products::padded(head.head_size), width = blocks * kTile;
    Memory memory(scratch, head.head_size, length);
    const Point* rows[kTile];
    for (int block = 0; block < blocks; ++block) {
      const int count = point_at(k, stride, block, length, rows), first = block * kTile;
      Products::pack(rows, count, head.head_size, memory.packed, memory.key_scales + first);
      Packed* tile = memory.key_tiles + first * padded;
      Products::tile_of(memory.packed, padded, tile);
      store(memory.key_corrections + first, Products::corrections(tile, padded));
      if (head.queries.tiles != nullptr) Products::rows_of(memory.packed, padded, memory.key_rows + first * padded);
    }
    if (has_distances(head)) fill_distances(head, width, memory.distances);
    const Mixing mixing(v, v_stride, length, head.head_size, memory.mixing);
    for (int block = 0; block < blocks; ++block) {
      const int count = point_at(q, stride, block, length, rows);
      Products::pack(rows, count, head.head_size, memory.packed, memory.query_scales);
      Products::rows_of(memory.packed, padded, memory.query_rows);
      if (head.keys.tiles != nullptr) fill_band(head.keys, block, blocks, padded, memory);
      if (head.queries.tiles != nullptr) fill_pairs(head.queries, block, blocks, padded, memory);
      const KeyRange range = keys_of(head, block * kTile, kTile, blocks, 1);
      const int first_key = range.begin * kTile, keys = (range.end < blocks ? range.end * kTile : length) - first_key;
      if (head.keys.tiles != nullptr || head.queries.tiles != nullptr || has_distances(head)) {
        score<true>(head, block, range, blocks, length, padded, memory);
      } else {
        score<false>(head, block, range, blocks, length, padded, memory);
      }
      float inverse[kTile];
      for (int i = 0; i < count; ++i) {
        inverse[i] = Mixing::softmax(memory.scores + i * width, largest(load(memory.highest + i * kTile)), keys);
      }
      mixing.mix(memory.scores, width, count, first_key, keys, inverse, out + block * kTile * out_stride, out_stride);
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

  // put(row, n, some Sums) of the products of sixteen rows with `count` tiles, the n-th of which is tile(n); the sums are
  // of as many tiles as are taken together, from the n-th on.
  template <typename Tile, typename Put>
  static void multiply(const Row* rows, int count, int padded, const Tile& tile, const Put& put) {
    int n = 0;
    for (; n + kTogether <= count; n += kTogether) {
      const Packed* tiles[kTogether];
      for (int t = 0; t < kTogether; ++t) tiles[t] = tile(n + t);
      Products::product(rows, tiles, padded, [&](int row, const Sums(&sums)[kTogether]) { put(row, n, sums); });
    }
    for (; kTogether > 1 && n < count; ++n) {
      const Packed* const tiles[] = {tile(n)};
      Products::product(rows, tiles, padded, [&](int row, const Sums(&sums)[1]) { put(row, n, sums); });
    }
  }

  // q.PK of a query block with all its tiles, falling: [16][blocks + 1][16].
  static void fill_band(const PositionTable& table, int block, int blocks, int padded, Memory& memory) {
    const int width = (blocks + 1) * kTile;
    const auto at = [&](int i) { return place(table, block + 1 - i); };
    multiply(
        memory.query_rows, blocks + 1, padded, [&](int i) { return tile_at(table, at(i)); },
        [&](int row, int first, const auto& sums) {
          for (const Sums& some : sums) {
            const int i = first + static_cast<int>(&some - sums);
            store(memory.band + row * width + i * kTile, value(table, at(i), some, memory.query_scales[row]));
          }
        });
  }

  // k.PQ of every key block with the two tiles that it has in common with a query block, [blocks][16 keys][32], and the
  // terms of the block's queries from these: [16 queries][blocks][16 keys].
  static void fill_pairs(const PositionTable& table, int block, int blocks, int padded, Memory& memory) {
    for (int j = 0; j < blocks; ++j) {
      float* pair = memory.pairs + j * kTile * 2 * kTile;
      if (block > 0) {
        for (int row = 0; row < kTile; ++row) store(pair + row * 2 * kTile, load(pair + row * 2 * kTile + kTile));
      }
      const int first = block > 0 ? 1 : 0;
      const auto at = [&](int half) { return place(table, block - j + first + half); };
      multiply(
          memory.key_rows + j * kTile * padded, 2 - first, padded, [&](int half) { return tile_at(table, at(half)); },
          [&](int row, int half, const auto& sums) {
            store(pair + row * 2 * kTile + (first + half) * kTile,
                  value(table, at(half), sums[0], memory.key_scales[j * kTile + row]));
          });
      V16 terms[kTile];
      for (int row = 0; row < kTile; ++row) terms[row] = load(pair + row * 2 * kTile + kTile - 1 - row);
      transpose(terms);
      for (int row = 0; row < kTile; ++row) store(memory.turned + row * blocks * kTile + j * kTile, terms[row]);
    }
  }

  static V16 value(const PositionTable& table, size_t tile, const Sums& sums, float row_scale) {
    return Products::value(sums, load(table.scales + tile * kTile), load(table.corrections + tile * kTile), row_scale);
  }

  // All terms of a query block's scores with some of the key blocks, the first of these first: [16][blocks * 16], -1e30
  // beyond the text's end. Of each row also the highest of every sixteenth: [16][16]. with_terms: whether there are any
  // but q.k.
  template <bool with_terms>
  static void score(const AttentionHead& head, int block, KeyRange range, int blocks, int length, int padded,
                    Memory& memory) {
    const int width = blocks * kTile, whole = length / kTile;
    const bool by_distance = has_distances(head);
    for (int row = 0; row < kTile; ++row) store(memory.highest + row * kTile, fill(kNever));
    multiply(
        memory.query_rows, range.end - range.begin, padded,
        [&](int j) { return memory.key_tiles + (range.begin + j) * kTile * padded; },
        [&](int row, int first, const auto& sums) {
          V16 highest = load(memory.highest + row * kTile);
          for (const Sums& some : sums) {
            const int place = first + static_cast<int>(&some - sums), j = range.begin + place;
            V16 value = Products::value(some, load(memory.key_scales + j * kTile),
                                        load(memory.key_corrections + j * kTile), memory.query_scales[row]);
            if (with_terms && head.keys.tiles != nullptr) {
              value += load(memory.band + row * (width + kTile) + (j + 1) * kTile - row);
            }
            if (with_terms && head.queries.tiles != nullptr) value += load(memory.turned + row * width + j * kTile);
            if (with_terms && by_distance) value += load(memory.distances + width + (j - block) * kTile - row);
            if (j == whole) value = first_of(value, length - whole * kTile, kNever);
            highest = larger(highest, value);
            store(memory.scores + row * width + place * kTile, value);
          }
          store(memory.highest + row * kTile, highest);
        });
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
