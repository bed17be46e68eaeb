#include "feed_forward.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace wordtell {

namespace {

// Few enough that a block's activations nearly fit the second-level cache, enough that the weights, which pass by once
// a block, come from the third level no faster than they can.
constexpr int most_rows = 160;

// Even shares of `rows`.
int rows_of_block(int rows) {
  const int blocks = std::max(1, (rows + most_rows - 1) / most_rows);
  return (rows + blocks - 1) / blocks;
}

size_t activation_bytes(int rows, int columns) {
  return (static_cast<size_t>(rows) * columns * sizeof(float) + 63) / 64 * 64;
}

}  // namespace

FeedForward::FeedForward(QuantizedLinear up, QuantizedLinear down) : up_(std::move(up)), down_(std::move(down)) {
  if (up_.columns() != down_.depth()) {
    throw std::invalid_argument("the second layer of a feed-forward takes as many values as the first gives");
  }
}

size_t FeedForward::scratch_bytes(int rows) const {
  const int block = std::min(rows, most_rows);
  return activation_bytes(block, up_.columns()) + down_.scratch_bytes(block);
}

void FeedForward::run(const void* quantized, int row_begin, int row_end, float* y, ptrdiff_t y_stride,
                      void* scratch) const {
  const int block = rows_of_block(row_end - row_begin);
  float* activations = static_cast<float*>(scratch);
  uint8_t* requantized = static_cast<uint8_t*>(scratch) + activation_bytes(block, up_.columns());
  for (int begin = row_begin; begin < row_end; begin += block) {
    const int count = std::min(block, row_end - begin);
    const auto* rows = static_cast<const uint8_t*>(quantized) + up_.scratch_bytes(begin);
    up_.multiply(rows, 0, count, activations, up_.columns());
    down_.quantize(activations, up_.columns(), 0, count, requantized);
    down_.multiply(requantized, 0, count, y + begin * y_stride, y_stride);
  }
}

}  // namespace wordtell
