// The quantised linear with AMX: one instruction multiplies a tile of 16 rows x 64 u8 by one of 64 s8 x 16 columns.
//
// The second-level cache is slower to bring a tile than a product to use it, so it is the loads that bound this. Of the
// eight tile registers six hold sums, 2 tiles of rows by 3 of columns: five tiles come from the second cache for six
// products (2 by 2: four for four).
#include "linear/rows.h"
#include "cpu/tiles.h"

namespace wordtell {

namespace {

constexpr int tile = 16;
constexpr int panel = tile;
constexpr int group = 4;
constexpr int tile_bytes = tile * depth_tile;
constexpr int most_rows = 2 * tile;
constexpr int most_columns = 3 * tile;

// Sums of one block that wait for their epilogue. It is done a few rows at a time between the tile products of the next
// block: those keep the tile unit busy and leave the vector units idle.
template <After after, typename Value>
struct Epilogue {
  alignas(64) int32_t sums[most_rows * most_columns];
  Columns columns[3];
  const uint8_t* tail;  // of the next row
  Value* y;
  ptrdiff_t row_stride, y_stride;
  int width, next = 0, count = 0;

  void begin(const PackedWeight& weight, const uint8_t* rows, int height, int column, int tiles, Value* to,
             ptrdiff_t to_stride) {
    for (int t = 0; t < tiles; ++t) columns[t] = columns_from(weight, column + t * tile);
    width = tiles;
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
      const int32_t* from = sums + next * most_columns;
      store_outputs<after>(y, load(from), columns[0], row);
      if (width > 1) store_outputs<after>(y + tile, load(from + tile), columns[1], row);
      if (width > 2) store_outputs<after>(y + 2 * tile, load(from + 2 * tile), columns[2], row);
      tail += row_stride;
      y += y_stride;
    }
  }
};

// Weights to bring into the second-level cache before they are needed, some cache lines at each step.
struct Ahead {
  const int8_t* next;
  int lines;

  void advance() {
    for (int i = 0; i < lines; ++i, next += 64) _mm_prefetch(next, _MM_HINT_T1);
  }
};

// Tiles 0 to 2: sums of the upper rows; 3 to 5: of the lower ones, from row `lower` on; 6: rows; 7: weights.
template <After after, bool with_lower, int columns, typename Value>
void multiply_block(const PackedWeight& weight, const uint8_t* rows, int lower, const int8_t* panels, Ahead& ahead,
                    Epilogue<after, Value>& done, Epilogue<after, Value>& next) {
  const ptrdiff_t row_stride = weight.row_stride, across = static_cast<ptrdiff_t>(panel) * weight.padded_depth;
  const uint8_t* lower_rows = rows + lower * row_stride;
  const int steps = weight.padded_depth / depth_tile;
  // The sums that it reads were stored just now: from the second step on they can be read without a wait.
  const int pace = steps == 1 ? most_rows : (done.count + steps - 2) / (steps - 1);
  zero_tile<0>();
  if (columns > 1) zero_tile<1>();
  if (columns > 2) zero_tile<2>();
  if (with_lower) {
    zero_tile<3>();
    if (columns > 1) zero_tile<4>();
    if (columns > 2) zero_tile<5>();
  }
  for (int step = 0; step < steps; ++step) {
    const int8_t* w = panels + step * tile_bytes;
    load_tile<7>(w, depth_tile);
    load_tile<6>(rows + step * depth_tile, row_stride);
    add_bytes<0, 6, 7>();
    if (columns > 1) {
      load_tile<7>(w + across, depth_tile);
      add_bytes<1, 6, 7>();
    }
    if (columns > 2) {
      load_tile<7>(w + 2 * across, depth_tile);
      add_bytes<2, 6, 7>();
    }
    if (with_lower) {  // and back: the last weights are there already, the others in the first-level cache
      load_tile<6>(lower_rows + step * depth_tile, row_stride);
      if (columns > 2) {
        add_bytes<5, 6, 7>();
        load_tile<7>(w + across, depth_tile);
      }
      if (columns > 1) {
        add_bytes<4, 6, 7>();
        load_tile<7>(w, depth_tile);
      }
      add_bytes<3, 6, 7>();
    }
    ahead.advance();
    if (step > 0) done.advance(pace);
  }
  done.advance(most_rows);  // nothing is left, but where there was one step only
  constexpr int row_bytes = most_columns * sizeof(int32_t);
  store_tile<0>(next.sums, row_bytes);
  if (columns > 1) store_tile<1>(next.sums + tile, row_bytes);
  if (columns > 2) store_tile<2>(next.sums + 2 * tile, row_bytes);
  if (with_lower) {
    int32_t* const lower_sums = next.sums + lower * most_columns;
    store_tile<3>(lower_sums, row_bytes);
    if (columns > 1) store_tile<4>(lower_sums + tile, row_bytes);
    if (columns > 2) store_tile<5>(lower_sums + 2 * tile, row_bytes);
  }
}

// Tiles of columns to take together of those that are left: never three and then a single one.
int together(int left) { return left == 4 ? 2 : left < 3 ? left : 3; }

// Rows [0, count) in blocks of one height, the last one overlapping its neighbour rather than being lower, so that
// hardly a row is computed for nothing.
template <After after, bool with_lower, typename Value>
void multiply_rows(const PackedWeight& weight, const uint8_t* rows, int count, int height, int col_begin, int col_end,
                   Value* y, ptrdiff_t y_stride) {
  constexpr decltype(&multiply_block<after, with_lower, 1, Value>) multiply_columns[] = {
      multiply_block<after, with_lower, 1, Value>, multiply_block<after, with_lower, 2, Value>,
      multiply_block<after, with_lower, 3, Value>};
  // Upper and lower tiles have as many rows, since they take turns in one register: of an odd height both have the middle.
  const uint8_t half = static_cast<uint8_t>(with_lower ? (height + 1) / 2 : height);
  const TileSession session({half, half, half, half, half, half, half, tile});
  Epilogue<after, Value> epilogues[2];
  int turn = 0;
  const int blocks = (count + height - 1) / height;
  for (int column = col_begin, tiles = 0; column < col_end; column += tiles * tile) {
    tiles = together((col_end - column + tile - 1) / tile);
    const int8_t* panels = weight.weight + static_cast<ptrdiff_t>(column) * weight.padded_depth;
    // Meanwhile as many of the next weights come into the second-level cache.
    const bool more = column + tiles * tile < weight.columns;
    Ahead ahead{panels + static_cast<ptrdiff_t>(tiles) * panel * weight.padded_depth,
                more ? (tiles * tile_bytes / 64 + blocks - 1) / blocks : 0};
    for (int begin = 0; begin < count; begin += height) {
      const int r = begin + height <= count ? begin : count - height;
      const uint8_t* block = rows + r * weight.row_stride;
      Epilogue<after, Value>&next = epilogues[turn], &done = epilogues[turn ^ 1];
      multiply_columns[tiles - 1](weight, block, height - half, panels, ahead, done, next);
      next.begin(weight, block, height, column, tiles, y + r * y_stride, y_stride);
      turn ^= 1;
    }
  }
  epilogues[turn ^ 1].advance(most_rows);
}

template <After after, typename Value>
void multiply_as(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                 ptrdiff_t y_stride) {
  const int in_cache = rows_in_cache(weight, count);
  for (int begin = 0; begin < count; begin += in_cache) {
    const int some = count - begin < in_cache ? count - begin : in_cache;
    const int blocks = (some + most_rows - 1) / most_rows;
    const int height = (some + blocks - 1) / blocks;
    const auto multiply_some = height > tile ? multiply_rows<after, true, Value> : multiply_rows<after, false, Value>;
    multiply_some(weight, rows + begin * weight.row_stride, some, height, col_begin, col_end, y + begin * y_stride,
                  y_stride);
  }
}

struct Body {
  static constexpr int panel = wordtell::panel, group = wordtell::group;

  template <After after, typename Value>
  static void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                       ptrdiff_t y_stride) {
    multiply_as<after>(weight, rows, count, col_begin, col_end, y, y_stride);
  }
};

}  // namespace

extern const LinearKernels linear_amx = linear_of<Body>();

}  // namespace wordtell
