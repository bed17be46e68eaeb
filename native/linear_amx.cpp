// The quantised linear with AMX: one instruction multiplies a tile of 16 rows x 64 u8 by one of 64 s8 x 16 columns.
#include "linear_rows.h"

namespace wordtell {

namespace {

// 2 x 2 tiles of sums, so that each tile loaded serves two products. A panel is two tiles wide.
constexpr int tile = 16;
constexpr int panel = 2 * tile;
constexpr int group = 4;
constexpr int most_rows = 2 * tile;

// The memory layout of the tile configuration, Intel SDM volume 1, table 18-1 ("palette 1").
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_per_row[16] = {};
  uint8_t rows[16] = {};
};

// Tiles 0 to 3: sums; 4 and 5: the upper and lower rows' values; 6 and 7: weights. No row is computed for nothing.
void configure(int upper, int lower) {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.bytes_per_row[t] = 64;
    config.rows[t] = static_cast<uint8_t>(t == 6 || t == 7 ? tile : t == 0 || t == 1 || t == 4 ? upper : lower);
  }
  // GCC's intrinsic tells the compiler of the first bytes only.
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
}

// Sums of one block that wait for their epilogue. It is done a few rows at a time between the tile products of the next
// block: those keep the tile unit busy for 16 cycles each and leave the vector units idle.
template <bool with_gelu>
struct Epilogue {
  alignas(64) int32_t sums[most_rows * panel];
  Columns left, right;
  const uint8_t* tail;  // of the next row
  float* y;
  ptrdiff_t row_stride, y_stride;
  int next = 0, count = 0;

  void begin(const PackedWeight& weight, const uint8_t* rows, int height, int column, float* to, ptrdiff_t to_stride) {
    left = columns_from(weight, column);
    right = columns_from(weight, column + tile);
    tail = rows + weight.padded_depth;
    row_stride = weight.row_stride;
    y = to + column;
    y_stride = to_stride;
    next = 0;
    count = height;
  }

  inline __attribute__((always_inline)) void advance(int rows) {
    const int end = next + rows < count ? next + rows : count;
    for (; next < end; ++next) {
      const RowTail row = tail_of(tail, 0);
      store_outputs<with_gelu>(y, load(sums + next * panel), left, row);
      store_outputs<with_gelu>(y + tile, load(sums + next * panel + tile), right, row);
      tail += row_stride;
      y += y_stride;
    }
  }
};

template <bool with_gelu, bool with_lower>
void multiply_block(const PackedWeight& weight, const uint8_t* rows, int upper, const int8_t* panel_weight,
                    const int8_t* ahead, int ahead_bytes, Epilogue<with_gelu>& done, Epilogue<with_gelu>& next) {
  const ptrdiff_t row_stride = weight.row_stride;
  const uint8_t* lower_rows = rows + upper * row_stride;
  const int steps = weight.padded_depth / depth_tile;
  const int pace = (done.count + steps - 1) / steps;
  _tile_zero(0);
  _tile_zero(1);
  if (with_lower) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int k = 0; k < weight.padded_depth; k += depth_tile) {
    const int8_t* w = panel_weight + k * panel;
    _tile_loadd(6, w, panel * group);
    _tile_loadd(4, rows + k, row_stride);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, w + tile * group, panel * group);
    _tile_dpbusd(1, 4, 7);
    if (with_lower) {
      _tile_loadd(5, lower_rows + k, row_stride);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
    for (const int8_t* end = ahead + ahead_bytes; ahead < end; ahead += 64) _mm_prefetch(ahead, _MM_HINT_T1);
    done.advance(pace);
  }
  constexpr int row_bytes = panel * sizeof(int32_t);
  _tile_stored(0, next.sums, row_bytes);
  _tile_stored(1, next.sums + tile, row_bytes);
  if (with_lower) {
    _tile_stored(2, next.sums + upper * panel, row_bytes);
    _tile_stored(3, next.sums + upper * panel + tile, row_bytes);
  }
}

// Rows [0, count) in blocks of one height, the last one overlapping its neighbour rather than being lower.
template <bool with_gelu, bool with_lower>
void multiply_rows(const PackedWeight& weight, const uint8_t* rows, int count, int height, int col_begin, int col_end,
                   float* y, ptrdiff_t y_stride) {
  Epilogue<with_gelu> epilogues[2];
  int turn = 0;
  const int upper = with_lower ? (height + 1) / 2 : height;
  configure(upper, with_lower ? height - upper : tile);
  for (int column = col_begin; column < col_end; column += panel) {
    const int8_t* panel_weight = weight.weight + static_cast<ptrdiff_t>(column) * weight.padded_depth;
    // Meanwhile the next panel comes into the second-level cache, a share of it at each step.
    const int blocks = (count + height - 1) / height;
    const int ahead_bytes = column + panel < col_end ? (panel * depth_tile / blocks + 63) / 64 * 64 : 0;
    const int8_t* ahead = panel_weight + panel * weight.padded_depth;
    for (int begin = 0; begin < count; begin += height, ahead += ahead_bytes * (weight.padded_depth / depth_tile)) {
      const int r = begin + height <= count ? begin : count - height;
      Epilogue<with_gelu>& next = epilogues[turn];
      turn ^= 1;
      const uint8_t* block = rows + r * weight.row_stride;
      multiply_block<with_gelu, with_lower>(weight, block, upper, panel_weight, ahead, ahead_bytes, epilogues[turn],
                                            next);
      next.begin(weight, block, height, column, y + r * y_stride, y_stride);
    }
  }
  epilogues[turn ^ 1].advance(most_rows);
  _tile_release();
}

template <bool with_gelu>
void multiply_as(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, float* y,
                 ptrdiff_t y_stride) {
  const int in_cache = rows_in_cache(weight, count);
  for (int begin = 0; begin < count; begin += in_cache) {
    const int some = count - begin < in_cache ? count - begin : in_cache;
    const int blocks = (some + most_rows - 1) / most_rows;
    const int height = (some + blocks - 1) / blocks;
    const auto multiply_some = height > tile ? multiply_rows<with_gelu, true> : multiply_rows<with_gelu, false>;
    multiply_some(weight, rows + begin * weight.row_stride, some, height, col_begin, col_end, y + begin * y_stride,
                  y_stride);
  }
}

void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, float* y,
              ptrdiff_t y_stride) {
  const auto as = weight.gelu ? multiply_as<true> : multiply_as<false>;
  as(weight, rows, count, col_begin, col_end, y, y_stride);
}

}  // namespace

extern const LinearKernels linear_amx = {panel, group, quantize_all, multiply};

}  // namespace wordtell
