// AMX: all products on tiles of bfloat16, and the position terms moved into place by the tiles' own strides.
//
// Unlike attention/rows.h this takes two query blocks, 32 rows, at a time, so that a tile that is loaded serves two
// products, and leaves the scores of a key block as soon as it has them: what is worked on stays in the first cache.
//   q.PK: the products with the tiles of falling distances lie side by side in a ring. A tile load whose rows are one
//         number less than the ring's apart reads them sheared: that is what the sum q.k starts from.
//   PQ.k: distances in the rows, keys in the columns. Column j has to rise by 15 - j rows, which is done for its four
//         bits one by one: a blend of each row with the one 8, 4, 2, 1 further down.
//   softmax: e^score without the highest score taken away, which needs to be known first; floats have room enough for
//         nearly all texts. Where a row's sum shows that they had not, the block is done again with its highest scores.
// bfloat16 needs no scales, and so no pass over the sums: against 8 bits, twice the tile products, which are not what
// takes the time, and a smaller error.
#include "attention/distance.h"
#include "attention/kernel.h"
#include "attention/rotary.h"
#include "cpu/sixteen.h"
#include "cpu/transpose.h"
#include "cpu/pieces.h"
#include "cpu/tiles.h"

namespace wordtell {
namespace {

using Half = Bfloat16;
constexpr int kStep = 32;      // of them in a tile's row
constexpr int kPair = 2 * kTile;  // query rows
constexpr int kTileSize = kTile * kStep;
constexpr int kAhead = 2;      // columns of q.PK that are made before they are needed: a store takes its time
constexpr int kRing = kAhead + 2;  // and that are kept, in as little of the first cache as can be
constexpr int kRingWidth = (kRing + 1) * kTile;
constexpr size_t kRingBytes = kRingWidth * sizeof(float);

inline int steps_of(int count) { return (count + kStep - 1) / kStep; }
inline int blocks_of(int length) { return (length + kTile - 1) / kTile; }

// The first `count` of sixteen lanes.
inline __mmask16 first_of(int count) {
  return static_cast<__mmask16>(count >= kTile ? 0xffff : count > 0 ? (1u << count) - 1 : 0);
}

inline __m512 load_masked(const float* from, int count) { return _mm512_maskz_loadu_ps(first_of(count), from); }

// 32 numbers of a row from `column` on, zeros beyond its end, or of no row.
inline __m512i halves(const float* row, int column, int head_size) {
  if (row == nullptr) return _mm512_setzero_si512();
  const __m512 low = load_masked(row + column, head_size - column);
  const __m512 high = load_masked(row + column + 16, head_size - column - 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

inline __m512i halves(const Half* row, int column, int head_size) {
  if (row == nullptr || column >= head_size) return _mm512_setzero_si512();
  const int count = head_size - column;
  return _mm512_maskz_loadu_epi16(count >= kStep ? ~0u : (1u << count) - 1, row + column);
}

// Sixteen rows as the left side of products: [step][16 rows][32].
template <typename Value>
void pack_rows(const Value* const* rows, int head_size, Half* to) {
  for (int step = 0; step < steps_of(head_size); ++step, to += kTileSize) {
    for (int i = 0; i < kTile; ++i) _mm512_store_si512(to + i * kStep, halves(rows[i], step * kStep, head_size));
  }
}

// Sixteen rows as the right side, as columns: [step][16 pairs][16 columns][2].
template <typename Value>
void pack_columns(const Value* const* rows, int head_size, Half* to) {
  for (int step = 0; step < steps_of(head_size); ++step, to += kTileSize) {
    V16 pairs[kTile];
    for (int i = 0; i < kTile; ++i) {
      pairs[i].parts[0] = reinterpret_cast<__m512>(halves(rows[i], step * kStep, head_size));
    }
    transpose(pairs);
    for (int i = 0; i < kTile; ++i) _mm512_store_ps(to + i * kStep, pairs[i].parts[0]);
  }
}

// The sixteen rows of a block, null beyond the last.
template <typename Value>
void point_at(const Value* first, ptrdiff_t stride, int block, int length, const Value** rows) {
  for (int i = 0; i < kTile; ++i) {
    const int row = block * kTile + i;
    rows[i] = row < length ? first + row * stride : nullptr;
  }
}

const Half* tile_at(const PositionTable& table, int number) {
  const int last = table.blocks + 1, nearest = number > last ? last : number < -table.blocks ? -table.blocks : number;
  return reinterpret_cast<const Half*>(static_cast<const char*>(table.tiles) +
                                       static_cast<size_t>(nearest + table.blocks) * table.tile_bytes);
}

// 2^x, within 1.1e-4 of itself, which is far below what bfloat16 keeps.
inline __m512 power_of_two(__m512 x) {
  const __m512 part = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 power = _mm512_fmadd_ps(part, _mm512_set1_ps(0.0782f), _mm512_set1_ps(0.2264f));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(0.6954f));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(power, x);
}

// sum += rows x columns, tiles of all of a head's steps; `columns` is held in registers where it fits. `load` brings the rows:
// load_tile those that are used again soon, stream_tile others. Registers go by their written numbers, so this cannot be a
// function.
#define ADD_PRODUCT(sum, load, rows, columns)                 \
  do {                                                        \
    const Half *left = rows, *right = columns;                \
    load<4>(left, 64);                                        \
    if (steps_ > 2) stream_tile<6>(right, 64);                \
    add_halves<sum, 4, 6>();                                  \
    if (steps_ == 2) {                                        \
      load<5>(left + kTileSize, 64);                          \
      add_halves<sum, 5, 7>();                                \
    }                                                         \
    for (int step = 1; steps_ > 2 && step < steps_; ++step) { \
      load<5>(left + step * kTileSize, 64);                   \
      stream_tile<7>(right + step * kTileSize, 64);           \
      add_halves<sum, 5, 7>();                                \
    }                                                         \
  } while (false)
#define PRODUCT(sum, load, rows, columns)  \
  do {                                     \
    zero_tile<sum>();                      \
    ADD_PRODUCT(sum, load, rows, columns); \
  } while (false)

// One head of one text.
class Head {
 public:
  Head(const AttentionHead& head, int length, void* scratch)
      : head_(head), length_(length), blocks_(blocks_of(length)), key_steps_(steps_of(length)),
        steps_(steps_of(head.head_size)), columns_(2 * steps_of(head.head_size)),
        share_width_((key_steps_ | 1) * kStep), pieces_(scratch) {
    keys_ = pieces_.take<Half>(static_cast<size_t>(blocks_) * steps_ * kTileSize);
    values_ = pieces_.take<Half>(static_cast<size_t>(key_steps_) * columns_ * kTileSize);
    queries_ = pieces_.take<Half>(static_cast<size_t>(2) * steps_ * kTileSize);
    ring_ = pieces_.take<float>(kPair * kRingWidth);
    for (int i = 0; i < 2; ++i) {
      sums_[i] = pieces_.take<float>(kPair * kTile);
      terms_[i] = pieces_.take<float>((kPair + kTile) * kTile);
    }
    shares_ = pieces_.take<Half>(static_cast<size_t>(kPair) * share_width_);
    mixed_ = pieces_.take<float>(static_cast<size_t>(kPair) * columns_ * kTile);
    distances_ = pieces_.take<float>(2 * line_rows());
  }

  size_t scratch_bytes() const { return pieces_.used(); }

  // q and k have rows `stride` apart, v has them `v_stride` apart.
  template <typename Point, typename Value>
  void run(const Point* q, const Point* k, ptrdiff_t stride, const Value* v, ptrdiff_t v_stride, float* out,
           ptrdiff_t out_stride) {
    const TileSession session({kTile, kTile, kTile, kTile, kTile, kTile, kTile, kTile});
    if (has_distances(head_)) fill_distances(head_, line_rows(), distances_);
    const Point* rows[kTile];
    for (int block = 0; block < blocks_; ++block) {
      point_at(k, stride, block, length_, rows);
      pack_columns(rows, head_.head_size, keys_ + block * steps_ * kTileSize);
    }
    pack_values(v, v_stride);
    for (int block = 0; block < blocks_; block += 2) {
      for (int half = 0; half < 2; ++half) {
        point_at(q, stride, block + half, length_, rows);
        pack_rows(rows, head_.head_size, queries_ + half * steps_ * kTileSize);
      }
      const int first = block * kTile, count = length_ - first < kPair ? length_ - first : kPair;
      range_ = keys_of(head_, first, kPair, blocks_, 2);
      float totals[kPair];
      share(block, count, totals);
      mix();
      for (int i = 0; i < count; ++i) {
        for (int c = 0; c < head_.head_size; c += kTile) {
          const __m512 row = _mm512_load_ps(mixed_ + i * columns_ * kTile + c);
          _mm512_mask_storeu_ps(out + (first + i) * out_stride + c, first_of(head_.head_size - c),
                                _mm512_mul_ps(row, _mm512_set1_ps(1.0f / totals[i])));
        }
      }
    }
  }

 private:
  // Rows of whole pairs of blocks, which the line of distances is for.
  int line_rows() const { return (length_ + kPair - 1) / kPair * kPair; }

  // Pairs of rows side by side: [32 keys][sixteen columns][16 pairs][16][2].
  template <typename Value>
  void pack_values(const Value* v, ptrdiff_t stride) {
    alignas(64) Half left[kStep], right[kStep];  // what to take of two rows' 32 columns, of the second from 32 on
    for (int n = 0; n < kStep; ++n) {
      left[n] = static_cast<Half>(n / 2 + n % 2 * kStep);
      right[n] = static_cast<Half>(left[n] + kTile);
    }
    const __m512i low = _mm512_load_si512(left), high = _mm512_load_si512(right);
    for (int j = 0; j < key_steps_ * kStep; j += 2) {
      const Value *even = j < length_ ? v + j * stride : nullptr, *odd = j + 1 < length_ ? v + (j + 1) * stride : nullptr;
      for (int c = 0; c < columns_; c += 2) {
        const __m512i first = halves(even, c * kTile, head_.head_size), second = halves(odd, c * kTile, head_.head_size);
        Half* to = values_ + (j / kStep * columns_ + c) * kTileSize + j % kStep / 2 * kStep;
        _mm512_store_si512(to, _mm512_permutex2var_epi16(first, low, second));
        _mm512_store_si512(to + kTileSize, _mm512_permutex2var_epi16(first, high, second));
      }
    }
  }

  // e^score of two query blocks in bfloat16, each row by a factor of its own, and the sums of the rows.
  void share(int block, int count, float* totals) {
    constexpr float log2_e = 1.44269504f, least = 1e-20f, most = 1e30f;
    __m512 highest[kPair] = {};  // in powers of two
    const auto raise = [&](int i, int j, __m512 scores) {
      const __m512 power = power_of_two(_mm512_fmsub_ps(scores, _mm512_set1_ps(log2_e), highest[i]));
      const __m256i shares = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(power));
      _mm256_store_si256(reinterpret_cast<__m256i*>(shares_ + i * share_width_ + j * kTile), shares);
    };
    for_scores(block, raise);
    add_up(totals);
    bool within = true;
    for (int i = 0; i < count; ++i) within &= totals[i] > least && totals[i] < most;
    if (within) return;
    for (__m512& row : highest) row = _mm512_set1_ps(-1e30f);
    for_scores(block, [&](int i, int j, __m512 scores) {
      highest[i] = _mm512_mask_max_ps(highest[i], first_of(length_ - j * kTile), highest[i], scores);
    });
    for (__m512& row : highest) row = _mm512_set1_ps(log2_e * _mm512_reduce_max_ps(row));
    for_scores(block, raise);
    add_up(totals);
  }

  // The sums of the shares' rows, after those beyond the text are made zero: products with ones.
  void add_up(float* totals) {
    const uint32_t beyond = length_ % kStep == 0 ? 0 : ~0u << length_ % kStep;
    for (int i = 0; i < kPair && beyond != 0; ++i) {
      _mm512_mask_storeu_epi16(shares_ + i * share_width_ + (key_steps_ - 1) * kStep, beyond, _mm512_setzero_si512());
    }
    alignas(64) Half ones[kTileSize];
    for (Half& one : ones) one = 0x3f80;
    const size_t share_bytes = static_cast<size_t>(share_width_) * sizeof(Half);
    load_tile<6>(ones, 64);
    zero_tile<0>();
    zero_tile<1>();
    for (int step = range_.begin / 2; step < (range_.end + 1) / 2; ++step) {
      load_tile<4>(shares_ + step * kStep, share_bytes);
      add_halves<0, 4, 6>();
      load_tile<5>(shares_ + kTile * share_width_ + step * kStep, share_bytes);
      add_halves<1, 5, 6>();
    }
    store_tile<0>(sums_[0], 64);
    store_tile<1>(sums_[0] + kTile * kTile, 64);
    for (int i = 0; i < kPair; ++i) totals[i] = sums_[0][i * kTile];
  }

  // use(row of the two query blocks, key block, its sixteen scores), for all of those in range.
  template <typename Use>
  void for_scores(int block, const Use& use) {
    if (!has_distances(head_)) return for_products(block, use);
    const float* line = distances_ + line_rows() - block * kTile;
    for_products(block, [&](int i, int j, __m512 scores) {
      use(i, j, _mm512_add_ps(scores, _mm512_loadu_ps(line + j * kTile - i)));
    });
  }

  // The same of scores without what the distance alone adds.
  template <typename Use>
  void for_products(int block, const Use& use) {
    for (int x = 0; x < kAhead + 2; ++x) {
      if (x > 0) store_ring(x - 1);
      fill_ring(block, x);
    }
    multiply(block, range_.begin);
    for (int j = range_.begin; j < range_.end; ++j) {
      // The next products are on their way while these are used.
      if (j + 1 < range_.end) multiply(block, j + 1);
      const float *sums = sums_[j % 2], *terms = terms_[j % 2];
      if (head_.queries.tiles != nullptr) {
        add_terms(sums, terms, [&](int i, __m512 scores) { use(i, j, scores); });
      } else {
        for (int i = 0; i < kPair; ++i) use(i, j, _mm512_load_ps(sums + i * kTile));
      }
    }
  }

  // Tile registers: 0 to 3 sums, 4 and 5 the left side, 6 and 7 the right side of a product. A tile that is stored as
  // soon as it is multiplied holds up all that follows, so each is stored when two further products have begun.

  // The right side of the next products, where it fits into two registers. Keys, tables and values are each used once in
  // a pass and are more than the first-level cache holds: they are loaded past it, and leave the sums where they are.
  void hold(const Half* columns) const {
    if (steps_ > 2) return;
    stream_tile<6>(columns, 64);
    if (steps_ == 2) stream_tile<7>(columns + kTileSize, 64);
  }

  // Column x of q.PK into registers 1 and 2: with tile block + 2 - x. It is column x of the second block, x - 1 of the
  // first.
  void fill_ring(int block, int x) const {
    if (head_.keys.tiles == nullptr) return;
    const Half* tile = tile_at(head_.keys, block + 2 - x);
    hold(tile);
    PRODUCT(1, load_tile, queries_, tile);
    PRODUCT(2, load_tile, queries_ + steps_ * kTileSize, tile);
  }

  void store_ring(int x) const {
    if (head_.keys.tiles == nullptr) return;
    float* to = ring_ + (x % kRing + 1) * kTile;
    store_tile<1>(to, kRingBytes);
    store_tile<2>(to + kTile * kRingWidth, kRingBytes);
    if (x % kRing != kRing - 1) return;
    store_tile<1>(ring_, kRingBytes);  // the ring's last tile lies to the left of its first one, too
    store_tile<2>(ring_ + kTile * kRingWidth, kRingBytes);
  }

  // q.PK + q.k of both query blocks and key block j, and PQ.k of the 48 distances in it. Stores the column of
  // the ring that the call before left in registers, and leaves the next one.
  void multiply(int block, int j) const {
    const int x = j + 2 + kAhead;
    const Half* keys = keys_ + j * steps_ * kTileSize;
    float *sums = sums_[j % 2], *terms = terms_[j % 2];
    const bool ring = head_.keys.tiles != nullptr, queries = head_.queries.tiles != nullptr;
    constexpr size_t sheared = kRingBytes - sizeof(float);
    hold(keys);
    if (ring) {
      load_tile<0>(ring_ + ((j + 2) % kRing + 1) * kTile, sheared);
      load_tile<3>(ring_ + kTile * kRingWidth + ((j + 1) % kRing + 1) * kTile, sheared);
    } else {
      zero_tile<0>();
      zero_tile<3>();
    }
    ADD_PRODUCT(0, load_tile, queries_, keys);
    ADD_PRODUCT(3, load_tile, queries_ + steps_ * kTileSize, keys);
    store_ring(x - 1);
    if (queries) {
      PRODUCT(1, stream_tile, tile_at(head_.queries, block - j), keys);
      store_tile<0>(sums, 64);
      PRODUCT(2, stream_tile, tile_at(head_.queries, block - j + 1), keys);
      store_tile<3>(sums + kTile * kTile, 64);
      PRODUCT(0, stream_tile, tile_at(head_.queries, block - j + 2), keys);
      store_tile<1>(terms, 64);
      store_tile<2>(terms + kTile * kTile, 64);
      fill_ring(block, x);
      store_tile<0>(terms + 2 * kTile * kTile, 64);
    } else {
      fill_ring(block, x);
      store_tile<0>(sums, 64);
      store_tile<3>(sums + kTile * kTile, 64);
    }
  }

  // use(i, sums[i][j] + terms[15 + i - j][j])
  template <typename Use>
  static void add_terms(const float* sums, const float* terms, const Use& use) {
    constexpr int rows = kPair + kTile - 1;
    __m512 eight[rows - 8], four[rows - 12], two[rows - 14];
#pragma GCC unroll 48
    for (int r = 0; r < rows - 8; ++r) {
      eight[r] = _mm512_mask_load_ps(_mm512_load_ps(terms + r * kTile), 0x00ff, terms + (r + 8) * kTile);
      if (r >= 4) four[r - 4] = _mm512_mask_blend_ps(0x0f0f, eight[r - 4], eight[r]);
      if (r >= 6) two[r - 6] = _mm512_mask_blend_ps(0x3333, four[r - 6], four[r - 4]);
      if (r < 7) continue;
      const __m512 moved = _mm512_mask_blend_ps(0x5555, two[r - 7], two[r - 6]);
      use(r - 7, _mm512_add_ps(moved, _mm512_load_ps(sums + (r - 7) * kTile)));
    }
  }

  // The shares of both blocks times the values, two times sixteen columns at a time.
  void mix() const {
    const size_t share_bytes = static_cast<size_t>(share_width_) * sizeof(Half);
    const size_t row_bytes = static_cast<size_t>(columns_) * kTile * sizeof(float);
    for (int c = 0; c < columns_; c += 2) {
      zero_tile<0>();
      zero_tile<1>();
      zero_tile<2>();
      zero_tile<3>();
      for (int step = range_.begin / 2; step < (range_.end + 1) / 2; ++step) {
        const Half* values = values_ + (step * columns_ + c) * kTileSize;
        load_tile<4>(shares_ + step * kStep, share_bytes);
        stream_tile<6>(values, 64);
        add_halves<0, 4, 6>();
        stream_tile<7>(values + kTileSize, 64);
        add_halves<1, 4, 7>();
        load_tile<5>(shares_ + kTile * share_width_ + step * kStep, share_bytes);
        add_halves<2, 5, 6>();
        add_halves<3, 5, 7>();
      }
      float* to = mixed_ + c * kTile;
      store_tile<0>(to, row_bytes);
      store_tile<1>(to + kTile, row_bytes);
      store_tile<2>(to + kTile * columns_ * kTile, row_bytes);
      store_tile<3>(to + kTile * columns_ * kTile + kTile, row_bytes);
    }
  }

  const AttentionHead& head_;
  int length_, blocks_, key_steps_;
  int steps_, columns_;  // of 32 in a head, and of sixteen, an even number
  int share_width_;      // rows an odd number of cache lines apart fall into different sets of the cache
  Pieces pieces_;
  Half *keys_, *values_, *queries_, *shares_;
  float *ring_, *sums_[2], *terms_[2], *mixed_, *distances_;
  KeyRange range_{};  // of the query blocks that are at work
};

#undef ADD_PRODUCT
#undef PRODUCT

size_t tile_bytes(int head_size) { return sizeof(Half) * kTileSize * static_cast<size_t>(steps_of(head_size)); }

void pack_key_tile(const float* const* rows, int head_size, void* tile, float*, int32_t*) {
  pack_columns(rows, head_size, static_cast<Half*>(tile));
}

void pack_query_tile(const float* const* rows, int head_size, void* tile, float*, int32_t*) {
  pack_rows(rows, head_size, static_cast<Half*>(tile));
}

size_t scratch_bytes(int head_size, int length) {
  return Head(AttentionHead{head_size, {}, {}, nullptr, 0, 0}, length, nullptr).scratch_bytes();
}

template <typename Value>
void run(const AttentionHead& head, int length, const Value* q, const Value* k, const Value* v, ptrdiff_t stride,
         float* out, ptrdiff_t out_stride, void* scratch) {
  Head(head, length, scratch).run(q, k, stride, v, stride, out, out_stride);
}

template <typename Value>
void run_rotated(const AttentionHead& head, int length, const float* q, const float* k, const Value* v,
                 ptrdiff_t stride, float* out, ptrdiff_t out_stride, void* scratch) {
  Head(head, length, scratch).run(q, k, head.head_size, v, stride, out, out_stride);
}

}  // namespace

extern const AttentionKernel attention_int8_amx = {
    tile_bytes,         pack_key_tile,         pack_query_tile, scratch_bytes,   run<float>, run<Bfloat16>,
    run_rotated<float>, run_rotated<Bfloat16>, rotate<float>,   rotate<Bfloat16>};

}  // namespace wordtell
