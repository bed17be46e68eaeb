// The feed-forward half of a transformer layer: up, activation, down.
#pragma once

#include "linear.h"

namespace wordtell {

// By blocks of rows, so that the wide activations between the two layers (FP32, 16 KB a row of 4,096) need not leave
// the second-level cache before they are quantised again. The result is that of the two layers one after the other,
// bit for bit.
class FeedForward {
 public:
  // Throws std::invalid_argument if down does not take what up gives.
  FeedForward(QuantizedLinear up, QuantizedLinear down);

  const QuantizedLinear& up() const { return up_; }
  const QuantizedLinear& down() const { return down_; }

  // Bytes of scratch that `run` needs in each thread, for calls of up to `rows` rows.
  size_t scratch_bytes(int rows) const;

  // Rows [row_begin, row_end) of y, y_stride values a row, from rows quantised for `up` (by up().quantize or by
  // add_layer_norm). Split rows over threads, each with its own scratch, 64-byte aligned.
  void run(const void* quantized, int row_begin, int row_end, float* y, ptrdiff_t y_stride, void* scratch) const;

 private:
  QuantizedLinear up_, down_;
};

}  // namespace wordtell
