#include "attention/attention.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention/kernel.h"

namespace wordtell {
namespace {

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
  const bool tables = constants.position_key != nullptr || constants.position_query != nullptr || constants.bias != nullptr;
  if (constants.heads < 1 || constants.reach < 0 || (tables && constants.positions < 1)) {
    throw std::invalid_argument("attention needs a head, a position for its tables, and a reach of at least 0");
  }
  if (constants.head_size < 1 || constants.head_size > kLongest) {
    throw std::invalid_argument("a head size of " + std::to_string(constants.head_size) + " is not from 1 to 256");
  }
  if (constants.window < 0) throw std::invalid_argument("a window of attention is at least 0, which means none");
  if (!(constants.rotary_base >= 0) || std::isinf(constants.rotary_base)) {
    throw std::invalid_argument("a rotary base is a positive number, or 0 for no rotation");
  }
  if (constants.rotary_base > 0 && constants.head_size % 2 != 0) {
    throw std::invalid_argument("rotation takes dimensions in pairs: the head size must be even");
  }
  if (!tables) return;
  if (constants.buckets == nullptr) throw std::invalid_argument("position tables and a bias need buckets");
  for (int i = 0; i <= 2 * constants.reach; ++i) {
    if (constants.buckets[i] < 0 || constants.buckets[i] >= constants.positions) {
      throw std::invalid_argument("a bucket is outside the position table");
    }
  }
}

// [heads][2 * reach + 1], of j - i.
std::vector<float> bias_by_distance(const AttentionConstants& constants) {
  std::vector<float> all;
  for (int head = 0; constants.bias != nullptr && head < constants.heads; ++head) {
    const float* row = constants.bias + static_cast<ptrdiff_t>(head) * constants.positions;
    for (int distance = constants.reach; distance >= -constants.reach; --distance) {
      all.push_back(row[constants.buckets[distance + constants.reach]]);
    }
  }
  return all;
}

// Cosines and sines of `count` positions, `step` apart: [count][2][head_size / 2].
std::vector<float> angles(const AttentionConstants& constants, int count, int step) {
  std::vector<float> all;
  if (constants.rotary_base == 0) return all;
  const int half = constants.head_size / 2;
  all.resize(static_cast<size_t>(count) * 2 * half);
  for (int d = 0; d < half; ++d) {
    const double frequency = std::pow(static_cast<double>(constants.rotary_base), -2.0 * d / constants.head_size);
    for (int i = 0; i < count; ++i) {
      const size_t at = static_cast<size_t>(i) * 2 * half + d;
      all[at] = static_cast<float>(std::cos(frequency * i * step));
      all[at + half] = static_cast<float>(std::sin(frequency * i * step));
    }
  }
  return all;
}

size_t rounded_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

struct Attention::Packed {
  int head_size, reach, window;
  Table keys, queries;
  std::vector<float> bias, fine, coarse;

  // Bytes of a text's rotated queries, and of its keys.
  size_t rotated_bytes(int length) const {
    return fine.empty() ? 0 : rounded_up(static_cast<size_t>(length) * head_size * sizeof(float));
  }
};

Attention::Attention(const AttentionConstants& constants, Precision precision, Isa isa)
    : kernel_(precision == Precision::int8 ? isa->attention_int8 : isa->attention_fp32) {
  expect_sound(constants);
  packed_.reset(new Packed{constants.head_size, constants.reach, constants.window,
                           Table(constants, constants.position_key, true, *kernel_),
                           Table(constants, constants.position_query, false, *kernel_), bias_by_distance(constants),
                           angles(constants, kFine, 1), angles(constants, kCoarse, kFine)});
}

Attention::~Attention() = default;

size_t Attention::packed_bytes() const {
  const size_t numbers = packed_->bias.size() + packed_->fine.size() + packed_->coarse.size();
  return packed_->keys.bytes() + packed_->queries.bytes() + numbers * sizeof(float);
}

int Attention::longest() const { return packed_->fine.empty() ? std::numeric_limits<int>::max() : kFine * kCoarse; }

size_t Attention::scratch_bytes(int length) const {
  return 2 * packed_->rotated_bytes(length) + kernel_->scratch_bytes(packed_->head_size, length);
}

AttentionHead Attention::constants_of(int head) const {
  const size_t distances = 2 * static_cast<size_t>(packed_->reach) + 1;
  return {packed_->head_size,
          packed_->keys.of_head(head),
          packed_->queries.of_head(head),
          packed_->bias.empty() ? nullptr : &packed_->bias[static_cast<size_t>(head) * distances],
          packed_->reach,
          packed_->window};
}

template <typename Value>
void Attention::run_any(int head, int length, const Value* q, const Value* k, const Value* v, ptrdiff_t stride,
                        float* out, ptrdiff_t out_stride, void* scratch) const {
  constexpr bool wide = sizeof(Value) == sizeof(float);
  const AttentionHead constants = constants_of(head);
  if (packed_->fine.empty()) {
    if constexpr (wide) {
      kernel_->run(constants, length, q, k, v, stride, out, out_stride, scratch);
    } else {
      kernel_->run_halves(constants, length, q, k, v, stride, out, out_stride, scratch);
    }
    return;
  }
  const Rotation rotation{packed_->fine.data(), packed_->coarse.data()};
  const size_t bytes = packed_->rotated_bytes(length);
  auto* queries = static_cast<float*>(scratch);
  auto* keys = reinterpret_cast<float*>(static_cast<char*>(scratch) + bytes);
  void* rest = static_cast<char*>(scratch) + 2 * bytes;
  if constexpr (wide) {
    kernel_->rotate(rotation, q, stride, length, packed_->head_size, queries);
    kernel_->rotate(rotation, k, stride, length, packed_->head_size, keys);
    kernel_->run_rotated(constants, length, queries, keys, v, stride, out, out_stride, rest);
  } else {
    kernel_->rotate_halves(rotation, q, stride, length, packed_->head_size, queries);
    kernel_->rotate_halves(rotation, k, stride, length, packed_->head_size, keys);
    kernel_->run_rotated_halves(constants, length, queries, keys, v, stride, out, out_stride, rest);
  }
}

void Attention::run(int head, int length, const float* q, const float* k, const float* v, ptrdiff_t stride, float* out,
                    ptrdiff_t out_stride, void* scratch) const {
  run_any(head, length, q, k, v, stride, out, out_stride, scratch);
}

void Attention::run(int head, int length, const Bfloat16* q, const Bfloat16* k, const Bfloat16* v, ptrdiff_t stride,
                    float* out, ptrdiff_t out_stride, void* scratch) const {
  run_any(head, length, q, k, v, stride, out, out_stride, scratch);
}

}  // namespace wordtell
