#include "attention.h"

#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention_kernel.h"

namespace wordtell {
namespace {

const AttentionKernel& kernel_for(Precision precision, Isa isa) {
  const bool int8 = precision == Precision::int8;
  switch (isa) {
#if defined(__x86_64__)
    case Isa::amx:
      if (int8) return attention_int8_amx;
      [[fallthrough]];
    case Isa::avx512vnni:
      return int8 ? attention_int8_avx512 : attention_fp32_avx512;
    case Isa::avx2:
      return int8 ? attention_int8_avx2 : attention_fp32_avx2;
#endif
    default:
      return int8 ? attention_int8_portable : attention_fp32_portable;
  }
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// The tiles of one table for all heads.
class Table {
 public:
  Table(const AttentionConstants& constants, const float* rows, bool falling, const AttentionKernel& kernel)
      : tile_bytes_(kernel.tile_bytes(constants.head_size)), blocks_(constants.reach / kTile + 1) {
    if (rows == nullptr) return;
    const size_t tiles = static_cast<size_t>(constants.heads) * count();
    memory_.reset(std::aligned_alloc(64, tiles * tile_bytes_));
    if (memory_ == nullptr) throw std::bad_alloc();
    scales_.resize(tiles * kTile);
    corrections_.resize(tiles * kTile);
    const ptrdiff_t head_rows = static_cast<ptrdiff_t>(constants.positions) * constants.head_size;
    const auto pack = falling ? kernel.pack_key_tile : kernel.pack_query_tile;
    for (size_t i = 0; i < tiles; ++i) {
      const float* head = rows + static_cast<ptrdiff_t>(i / count()) * head_rows;
      const int first = kTile * (static_cast<int>(i % count()) - blocks_) - (kTile - 1);
      const float* chosen[kTile];
      for (int n = 0; n < kTile; ++n) {
        int distance = first + (falling ? kTile - 1 - n : n);
        distance = distance > constants.reach ? constants.reach : distance < -constants.reach ? -constants.reach : distance;
        chosen[n] = head + static_cast<ptrdiff_t>(constants.buckets[distance + constants.reach]) * constants.head_size;
      }
      pack(chosen, constants.head_size, at(i), &scales_[i * kTile], &corrections_[i * kTile]);
    }
  }

  size_t bytes() const { return scales_.size() / kTile * (tile_bytes_ + 2 * kTile * sizeof(float)); }
  PositionTable of_head(int head) const {
    if (memory_ == nullptr) return {nullptr, nullptr, nullptr, 0, 0};
    const size_t first = static_cast<size_t>(head) * count();
    return {at(first), &scales_[first * kTile], &corrections_[first * kTile], tile_bytes_, blocks_};
  }

 private:
  size_t count() const { return 2 * static_cast<size_t>(blocks_) + 2; }
  void* at(size_t tile) const { return static_cast<char*>(memory_.get()) + tile * tile_bytes_; }

  size_t tile_bytes_;
  int blocks_;
  std::unique_ptr<void, Free> memory_;
  std::vector<float> scales_;
  std::vector<int32_t> corrections_;
};

void expect_sound(const AttentionConstants& constants) {
  if (constants.heads < 1 || constants.positions < 1 || constants.reach < 0) {
    throw std::invalid_argument("attention needs a head, a position, and a reach of at least 0");
  }
  if (constants.head_size < 1 || constants.head_size > 256) {
    throw std::invalid_argument("a head size of " + std::to_string(constants.head_size) + " is not from 1 to 256");
  }
  for (int i = 0; i <= 2 * constants.reach; ++i) {
    if (constants.buckets[i] < 0 || constants.buckets[i] >= constants.positions) {
      throw std::invalid_argument("a bucket is outside the position table");
    }
  }
}

}  // namespace

struct Attention::Packed {
  int head_size;
  Table keys, queries;
};

Attention::Attention(const AttentionConstants& constants, Precision precision, Isa isa)
    : kernel_(&kernel_for(precision, isa)) {
  expect_sound(constants);
  packed_.reset(new Packed{constants.head_size, Table(constants, constants.position_key, true, *kernel_),
                           Table(constants, constants.position_query, false, *kernel_)});
}

Attention::~Attention() = default;

size_t Attention::packed_bytes() const { return packed_->keys.bytes() + packed_->queries.bytes(); }

size_t Attention::scratch_bytes(int length) const { return kernel_->scratch_bytes(packed_->head_size, length); }

AttentionHead Attention::constants_of(int head) const {
  return {packed_->head_size, packed_->keys.of_head(head), packed_->queries.of_head(head)};
}

void Attention::run(int head, int length, const float* q, const float* k, const float* v, ptrdiff_t stride, float* out,
                    ptrdiff_t out_stride, void* scratch) const {
  kernel_->run(constants_of(head), length, q, k, v, stride, out, out_stride, scratch);
}

void Attention::run(int head, int length, const Bfloat16* q, const Bfloat16* k, const Bfloat16* v, ptrdiff_t stride,
                    float* out, ptrdiff_t out_stride, void* scratch) const {
  kernel_->run_halves(constants_of(head), length, q, k, v, stride, out, out_stride, scratch);
}

}  // namespace wordtell
