// AMX: a product of two tiles is one instruction, in 8 bits for scores and in bfloat16 for the mixing of values.
#include "attention_mixing.h"
#include "attention_products.h"
#include "attention_rows.h"

namespace wordtell {
namespace {

// While it lives, all tile registers have sixteen rows of 64 bytes. The state is the thread's own.
struct TileSession {
  TileSession() {
    alignas(64) uint8_t config[64] = {1};  // palette 1
    for (int tile = 0; tile < 8; ++tile) {
      config[16 + 2 * tile] = 64;  // bytes a row
      config[48 + tile] = kTile;   // rows
    }
    _tile_loadconfig(config);
  }
  ~TileSession() { _tile_release(); }
};

struct TileDot {
  using Row = uint8_t;
  using Packed = int8_t;
  using Session = TileSession;
  static constexpr int step = 64, group = 4, offset = 128;

  static void product(const uint8_t* rows, const int8_t* tile, int depth, int32_t* sums) {
    _tile_zero(0);
    for (int d = 0; d < depth; d += step) {
      _tile_loadd(1, rows + d, depth);
      _tile_loadd(2, tile + d * kTile, 64);
      _tile_dpbusd(0, 1, 2);
    }
    _tile_stored(0, sums, kTile * sizeof(int32_t));
  }
};

typedef uint16_t Halves __attribute__((vector_size(32)));

// The upper halves of sixteen floats that bfloat16 holds exactly.
inline Halves upper_halves(V16 value) {
  return __builtin_convertvector((bits(value) >> 16).parts[0], Halves);
}

class MixTiles {
 public:
  static size_t bytes(int head_size, int length) {
    return 64 + steps(length) * kStep * sizeof(uint16_t) * (kTile + vectors(head_size) * kTile) +
           kTile * kTile * sizeof(float);
  }
  static float softmax(float* scores, int length) { return wordtell::softmax<true>(scores, length); }

  // Packs v by pairs of rows: [step of 32 rows][sixteen columns][16 pairs][16][2].
  MixTiles(const float* v, ptrdiff_t stride, int length, int head_size, char* memory)
      : length_(length), head_size_(head_size) {
    sums_ = reinterpret_cast<float*>(memory);
    shares_ = reinterpret_cast<uint16_t*>(sums_ + kTile * kTile);
    values_ = shares_ + kTile * steps(length) * kStep;
    for (size_t j = 0; j < steps(length) * kStep; ++j) {
      for (int c = 0; c < vectors(head_size); ++c) {
        V16 row{};
        if (static_cast<int>(j) < length) {
          const float* from = v + static_cast<ptrdiff_t>(j) * stride + c * 16;
          row = (c + 1) * 16 <= head_size ? load(from) : load_part(from, head_size - c * 16);
        }
        const Halves halves = upper_halves(round_to_bfloat16(row));
        uint16_t* to = values_ + (j / kStep * vectors(head_size) + c) * kStep * kTile + j % kStep / 2 * kStep + j % 2;
        for (int n = 0; n < kTile; ++n) to[2 * n] = halves[n];
      }
    }
  }

  void mix(const float* shares, int width, int count, const float* inverse, float* out, ptrdiff_t out_stride) const {
    const size_t row_length = steps(length_) * kStep;
    for (int i = 0; i < kTile; ++i) {
      for (size_t j = 0; j < row_length; j += 16) {
        const V16 part = static_cast<int>(j) < width ? load(shares + i * width + j) : V16{};
        const Halves halves = upper_halves(part);
        __builtin_memcpy(shares_ + i * row_length + j, &halves, sizeof halves);
      }
    }
    for (int c = 0; c < vectors(head_size_); ++c) {
      _tile_zero(0);
      for (size_t step = 0; step < steps(length_); ++step) {
        _tile_loadd(1, shares_ + step * kStep, row_length * sizeof(uint16_t));
        _tile_loadd(2, values_ + (step * vectors(head_size_) + c) * kStep * kTile, 64);
        _tile_dpbf16ps(0, 1, 2);
      }
      _tile_stored(0, sums_, kTile * sizeof(float));
      for (int i = 0; i < count; ++i) {
        const V16 row = load(sums_ + i * kTile) * inverse[i];
        float* to = out + i * out_stride + c * 16;
        if ((c + 1) * 16 <= head_size_) {
          store(to, row);
        } else {
          for (int n = 0; c * 16 + n < head_size_; ++n) to[n] = row[n];
        }
      }
    }
  }

 private:
  static constexpr size_t kStep = 32;  // bfloat16 numbers in a tile's row
  static size_t steps(int length) { return (static_cast<size_t>(length) + kStep - 1) / kStep; }
  static int vectors(int head_size) { return (head_size + 15) / 16; }

  float* sums_;
  uint16_t *shares_, *values_;
  int length_, head_size_;
};

}  // namespace

extern const AttentionKernel attention_int8_amx = kernel_of<ByteProducts<TileDot>, MixTiles>();

}  // namespace wordtell
