// The quantised linear with AMX: one instruction multiplies a tile of 16 rows x 64 u8 by one of 64 s8 x 16 columns in 16
// cycles. A tile's load takes 8 to 10 cycles from the first-level cache and 21 from the second, so it is the loads that
// bound this.
//
// Two tiles of rows and two of columns are multiplied at a time: four loads for four products. The 32 columns, 1,024
// values deep, are 32 KB and stay in the first-level cache while all rows pass by them. Rows come from the second-level
// cache by TILELOADDT1, which leaves the first one as it is.
#include "cpu/tiles.h"
#include "linear/gelu_table.h"
#include "linear/rows.h"

namespace wordtell {

namespace {

constexpr int tile = 16;
constexpr int panel = tile, group = 4;
constexpr int tile_bytes = tile * depth_tile, tile_sums = tile * tile;
constexpr int most_depth = 1024;           // of a product: what is deeper is summed in parts
constexpr int most_row_bytes = 1100 << 10;  // rows that stay in the second-level cache, beside all else
constexpr int most_rows = 512;
constexpr int most_tiles = 3;  // of rows in a block

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// The outputs of rows in two tiles of columns, from their sums. It is all in registers while a block is multiplied.
template <After after>
struct Outputs {
  Ints sums[2];  // minus the sum of each column, as two digits of base 128 for a product in pairs of 16 bits
  Floats scale[2], bias[2];
  Floats table[4][2];
  Activation activation;

  inline __attribute__((always_inline)) Outputs(const PackedWeight& weight, int column, int tiles)
      : activation(weight.activation) {
    for (int t = 0; t < 2; ++t) {
      const int from = column + (t < tiles ? t * tile : 0);
      const Ints whole = load(weight.column_sums + from);
      sums[t] = (-(whole & 127) & 0xffff) | (-(whole >> 7) << 16);
      scale[t] = load(weight.scale + from);
      bias[t] = load(weight.bias + from);
      if (after == After::gelu) scale[t] *= gelu_unit, bias[t] *= gelu_unit;
    }
    for (int e = 0; after == After::gelu && e < 4; ++e) {
      for (int half = 0; half < 2; ++half) table[e][half] = load(gelu_table.coefficients[e] + half * lanes);
    }
  }

  // The column's scale comes first: a sum times a huge row scale could be infinite where the product of all three is not.
  inline __attribute__((always_inline)) Floats values(const int32_t* from, int t, RowTail row) const {
    // The zero point, and 128 times it in the upper half: exact, since a column's sum has two digits of 16 bits.
    const Ints zero = fill(row.zero_point * 0x800001);
    const Ints centred = reinterpret_cast<Ints>(_mm512_dpwssd_epi32(
        reinterpret_cast<__m512i>(load(from)), reinterpret_cast<__m512i>(zero), reinterpret_cast<__m512i>(sums[t])));
    const Floats value = multiply_add(to_floats(centred) * scale[t], fill(row.scale), bias[t]);
    if (after == After::gelu) return tabled_gelu(value);
    if (after == After::other) return activate(activation, value);
    return value;
  }

  // x in units of the table. Tile products keep a port that multipliers of vectors use too: a lookup and three steps
  // of a cubic fit beside them, a polynomial of twelve does not.
  inline __attribute__((always_inline)) Floats tabled_gelu(Floats x) const {
    constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer, in the lowest bits
    const Floats a = smaller(magnitude(x), fill(gelu_intervals - 0.6f));
    const Floats nearest = a + magic, d = a - (nearest - magic);
    Floats n = looked_up(3, nearest);
    for (int e = 2; e >= 0; --e) n = multiply_add(n, d, looked_up(e, nearest));
    return multiply_add(larger(Floats{}, x), fill(1 / gelu_unit), -n);
  }

  inline __attribute__((always_inline)) Floats looked_up(int e, Floats nearest) const {
    return _mm512_permutex2var_ps(table[e][0], reinterpret_cast<__m512i>(bits_of(nearest)), table[e][1]);
  }
};

// A block whose sums wait for their outputs. Those are made a few rows at a time between the tile products of the next
// block, which keep the tile unit busy and leave the vector units idle.
template <After after, typename Value>
struct Pending {
  alignas(64) int32_t sums[most_tiles * 2 * tile_sums];  // [tile of rows][tile of columns][16][16]
  const uint8_t* tails[most_tiles];                      // of each tile's first row
  Value* y[most_tiles];
  ptrdiff_t row_stride, y_stride;
  int column = 0, tiles = 0, present = 0;
  unsigned height = 0, count = 0;  // rows of each tile, and sixteen times the tiles

  // Outputs of rows [next, end) of those that wait; returns the row behind them.
  inline __attribute__((always_inline)) unsigned advance(const Outputs<after>& outputs, unsigned next,
                                                         unsigned end) const {
    for (end = end < count ? end : count; next < end; ++next) {
      const unsigned t = next / tile, r = next % tile;
      if (r >= height) continue;
      const RowTail row = tail_of(tails[t] + r * row_stride, 0);
      const int32_t* from = sums + t * 2 * tile_sums + r * tile;
      Value* const to = y[t] + r * y_stride;
      write(to, outputs.values(from, 0, row), present);
      if (tiles > 1) write(to + tile, outputs.values(from + tile_sums, 1, row), present - tile);
    }
    return next;
  }

  // Brings the memory of outputs [next, end) into the second-level cache, before they are written.
  inline __attribute__((always_inline)) void touch(unsigned next, unsigned end) const {
    for (end = end < count ? end : count; next < end; ++next) {
      const auto* to = reinterpret_cast<const char*>(y[next / tile] + next % tile * y_stride);
      for (unsigned line = 0; line < 2 * tile * sizeof(Value); line += 64) _mm_prefetch(to + line, _MM_HINT_T1);
    }
  }

 private:
  static inline __attribute__((always_inline)) void write(Value* to, Floats values, int present) {
    if (present >= lanes) {
      store(to, values);
    } else if (present > 0) {
      store_part(to, values, present);
    }
  }
};

// Weights to bring into the second-level cache before they are needed, some cache lines of each panel at a step.
struct Ahead {
  const int8_t* next;
  ptrdiff_t across;
  int lines, left;

  inline __attribute__((always_inline)) void advance() {
    for (int i = 0; i < lines && left > 0; ++i, --left, next += 64) {
      _mm_prefetch(next, _MM_HINT_T1);
      _mm_prefetch(next + across, _MM_HINT_T1);
    }
  }
};

// What a block reads: weights of `steps` tiles of depth, `across` bytes from panel to panel, and rows.
struct Source {
  const int8_t* weights;
  ptrdiff_t across;
  const uint8_t* rows[most_tiles];
  ptrdiff_t row_stride;
  int steps;
};

// A tile of sums in a block.
template <int the_row, int the_column>
struct Place {
  static constexpr int row = the_row, column = the_column, sum = 2 * the_row + the_column;
};

// Sums of `rows` tiles by `columns` tiles, beginning with those in `from` or with 0. Registers 0 to 2 * rows - 1 hold
// them. One or two tiles of rows are loaded into 4 and 5, weights into 6 and 7; three of rows one after the other into 6,
// weights into 7.
template <int rows, int columns, After after, typename Value>
void multiply_block(const PackedWeight& weight, const Source& source, const int32_t* from, int32_t* to, Ahead& ahead,
                    const Pending<after, Value>& done, const Pending<after, Value>& coming) {
  const auto each_sum = [](const auto& work) __attribute__((always_inline)) {
    work(Place<0, 0>());
    if constexpr (columns > 1) work(Place<0, 1>());
    if constexpr (rows > 1) work(Place<1, 0>());
    if constexpr (rows > 1 && columns > 1) work(Place<1, 1>());
    if constexpr (rows > 2) work(Place<2, 0>());
    if constexpr (rows > 2 && columns > 1) work(Place<2, 1>());
  };
  each_sum([&](auto at) __attribute__((always_inline)) {
    if (from == nullptr) {
      zero_tile<at.sum>();
    } else {
      load_tile<at.sum>(from + at.sum * tile_sums, tile * sizeof(int32_t));
    }
  });
  const Outputs<after> outputs(weight, done.column, done.tiles);
  // The sums that wait were stored just now: from the second step on they can be read without a wait.
  const unsigned steps = source.steps, pace = steps < 2 ? done.count : (done.count + steps - 2) / (steps - 1);
  const unsigned touch_pace = (coming.count + steps - 1) / steps;
  unsigned next = 0;
  for (unsigned step = 0; step < steps; ++step) {
    const int8_t* const w = source.weights + step * tile_bytes;
    const uint8_t* const x = source.rows[0] + step * depth_tile;
    if constexpr (rows < 3) {
      load_tile<6>(w, depth_tile);
      stream_tile<4>(x, source.row_stride);
      if constexpr (columns > 1) load_tile<7>(w + source.across, depth_tile);
      if constexpr (rows > 1) stream_tile<5>(source.rows[1] + step * depth_tile, source.row_stride);
      each_sum([](auto at) __attribute__((always_inline)) { add_bytes<at.sum, 4 + at.row, 6 + at.column>(); });
    } else {
      each_sum([&](auto at) __attribute__((always_inline)) {
        if constexpr (at.column == 0) stream_tile<6>(source.rows[at.row] + step * depth_tile, source.row_stride);
        load_tile<7>(w + at.column * source.across, depth_tile);
        add_bytes<at.sum, 6, 7>();
      });
    }
    if (step > 0) next = done.advance(outputs, next, next + pace);
    coming.touch(step * touch_pace, (step + 1) * touch_pace);
    ahead.advance();
  }
  done.advance(outputs, next, done.count);
  each_sum([&](auto at) __attribute__((always_inline)) {
    store_tile<at.sum>(to + at.sum * tile_sums, tile * sizeof(int32_t));
  });
}

// Some rows, few enough for the second-level cache.
template <After after, typename Value>
void multiply_rows(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                   ptrdiff_t y_stride) {
  using Multiply = decltype(&multiply_block<1, 1, after, Value>);
  constexpr Multiply multiply[most_tiles][2] = {
      {multiply_block<1, 1, after, Value>, multiply_block<1, 2, after, Value>},
      {multiply_block<2, 1, after, Value>, multiply_block<2, 2, after, Value>},
      {multiply_block<3, 1, after, Value>, multiply_block<3, 2, after, Value>}};
  // The last tile overlaps its neighbour rather than being lower: a product of fewer rows takes as long.
  const int height = count < tile ? count : tile, all = (count + tile - 1) / tile;
  const auto high = static_cast<uint8_t>(height);
  const TileSession session({high, high, high, high, high, high, tile, tile});
  const int blocks = all < 2 ? 1 : all / 2;
  const int parts = (weight.padded_depth + most_depth - 1) / most_depth;
  const int part = round_up((weight.padded_depth + parts - 1) / parts, depth_tile);
  alignas(64) int32_t kept[(most_rows / tile) * 2 * tile_sums];  // sums between the parts of the depth
  Pending<after, Value> pending[2];
  for (Pending<after, Value>& one : pending) {
    one.row_stride = weight.row_stride;
    one.y_stride = y_stride;
    one.height = height;
  }
  int turn = 0;
  const ptrdiff_t across = static_cast<ptrdiff_t>(panel) * weight.padded_depth;
  for (int column = col_begin, tiles = 0; column < col_end; column += tiles * tile) {
    tiles = col_end - column > tile ? 2 : 1;
    const int8_t* const weights = weight.weight + column * static_cast<ptrdiff_t>(weight.padded_depth);
    for (int depth = 0; depth < weight.padded_depth; depth += part) {
      const bool last = depth + part >= weight.padded_depth;
      const int steps = (last ? weight.padded_depth - depth : part) / depth_tile;
      const bool more = !last || column + tiles * tile < weight.columns;
      Ahead ahead{last ? weights + 2 * across : weights + (depth + part) * tile, across, (16 + blocks - 1) / blocks,
                  more ? steps * tile_bytes / 64 : 0};
      for (int i = 0, first = 0; i < blocks; ++i) {
        const int heights = i == blocks - 1 ? all - first : 2;
        Source source{weights + depth * tile, across, {}, weight.row_stride, steps};
        Pending<after, Value>&next = pending[turn], &done = pending[turn ^ 1];
        for (int t = 0; t < heights; ++t) {
          const int begin = (first + t) * tile, r = begin + height <= count ? begin : count - height;
          source.rows[t] = rows + r * weight.row_stride + depth;
          next.tails[t] = rows + r * weight.row_stride + weight.padded_depth;
          next.y[t] = y + r * y_stride + column;
        }
        next.column = column;
        next.tiles = tiles;
        next.present = weight.columns - column;
        next.count = last ? heights * tile : 0;
        int32_t* const mine = kept + first * 2 * tile_sums;
        multiply[heights - 1][tiles - 1](weight, source, depth == 0 ? nullptr : mine, last ? next.sums : mine, ahead,
                                         done, next);
        done.count = 0;
        first += heights;
        if (last) turn ^= 1;
      }
    }
  }
  const Pending<after, Value>& done = pending[turn ^ 1];
  done.advance(Outputs<after>(weight, done.column, done.tiles), 0, done.count);
}

struct Body {
  static constexpr int panel = wordtell::panel, group = wordtell::group;

  template <After after, typename Value>
  static void multiply(const PackedWeight& weight, const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                       ptrdiff_t y_stride) {
    const int fitting = static_cast<int>(most_row_bytes / weight.row_stride);
    const int most = fitting < 2 * tile ? 2 * tile : fitting < most_rows ? fitting : most_rows;
    const int shares = (count + most - 1) / most;
    const int even = shares == 0 ? 1 : round_up((count + shares - 1) / shares, tile);
    for (int begin = 0; begin < count; begin += even) {
      multiply_rows<after>(weight, rows + begin * weight.row_stride, count - begin < even ? count - begin : even,
                           col_begin, col_end, y + begin * y_stride, y_stride);
    }
  }
};

}  // namespace

extern const LinearKernels linear_amx = linear_of<Body>();

}  // namespace wordtell
