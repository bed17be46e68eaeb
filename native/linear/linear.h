// A linear layer in 8 bits: y = act(dequantise(quantise(x * smooth) . W) + bias), with a scale and zero point for each
// row of x. Gated, W has two halves of columns [A | B] and y = act(x A + a) * (x B + b).
//
// x is FP32 or bfloat16 [rows, depth], smooth a factor for each of its columns. Each row is quantised to u8 over its own range, widened to contain 0:
//   scale = (max - min) / 255, zero point = round(-min / scale), q = clamp(round(x / scale) + zero point, 0, 255).
// W is s8 [depth, columns] with one scale a column. Sums are exact in int32, so
//   y = row scale * column scale * (q . w - zero point * sum of w over the column) + bias,
// and no row knows of another: an output is bit for bit the same in whatever company, block or thread it is made.
// The integers are also the same in every instruction set; only the rounding of the FP32 epilogue differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/bfloat16.h"
#include "cpu/instruction_sets.h"
#include "linear/kernel.h"

namespace wordtell {

// Quantised rows lie one after another, each with its scale and zero point behind its bytes, so that a row can be
// passed about as plain bytes (an operator's output, say). Bytes from one row to the next, for rows of `depth` values.
ptrdiff_t quantized_stride(int depth);

// Quantises `count` rows of x, `x_stride` values apart, to `rows`. Split rows over threads by moving both pointers.
void quantize_rows(const float* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa = best_isa());
void quantize_rows(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa = best_isa());

// All that a layer is made of; copied.
struct LinearConstants {
  const int8_t* weight;  // [depth, columns], row-major
  int depth, columns;
  const float* scale;             // [columns]
  const float* bias = nullptr;    // [columns]
  const float* smooth = nullptr;  // [depth]
  Activation activation = Activation::none;
  bool gated = false;
};

struct PackedLinear;

// A weight packed once for one instruction set; immutable, to be shared by any number of threads.
class QuantizedLinear {
 public:
  // Throws std::invalid_argument for sizes below 1, an odd number of columns of a gated layer, or a depth beyond 32,767,
  // where a sum could leave its bits.
  explicit QuantizedLinear(const LinearConstants& constants, Isa isa = best_isa());
  ~QuantizedLinear();
  QuantizedLinear(QuantizedLinear&&) noexcept;
  QuantizedLinear& operator=(QuantizedLinear&&) noexcept;

  int depth() const;
  int columns() const;  // of y: gated, half of the weight's
  bool smooth() const;  // whether it has such factors, which rows that others quantised lack
  Isa isa() const;
  size_t packed_bytes() const;

  // Columns come in panels of this width: a block of columns begins at a multiple of it.
  int panel() const;

  // Bytes that `rows` quantised rows take.
  size_t scratch_bytes(int rows) const { return static_cast<size_t>(rows) * quantized_stride(depth()); }

  void quantize(const float* x, ptrdiff_t x_stride, int row_begin, int row_end, void* scratch) const;
  void quantize(const Bfloat16* x, ptrdiff_t x_stride, int row_begin, int row_end, void* scratch) const;

  // Rows [row_begin, row_end) and columns [col_begin, col_end) of y, from rows that `quantize` left in `scratch`
  // (or anything else that wrote rows of this depth). y points to the whole output's first value, y_stride values a
  // row. col_begin is a multiple of panel(), col_end too unless it is columns(): std::invalid_argument otherwise.
  // Gated layers keep some of the product in memory of the thread's own: std::bad_alloc when there is none.
  void multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end, float* y,
                ptrdiff_t y_stride) const;

  // The same, rounded to bfloat16: for outputs that are only to be quantised again, whose step is coarser still.
  void multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end, Bfloat16* y,
                ptrdiff_t y_stride) const;

  // All columns of some rows, in one thread.
  void multiply(const void* scratch, int row_begin, int row_end, float* y, ptrdiff_t y_stride) const {
    multiply(scratch, row_begin, row_end, 0, columns(), y, y_stride);
  }

 private:
  template <typename Value>
  void multiply_any(const void* scratch, int row_begin, int row_end, int col_begin, int col_end, Value* y,
                    ptrdiff_t y_stride) const;
  template <typename Value>
  void multiply_gated(const uint8_t* rows, int count, int col_begin, int col_end, Value* y, ptrdiff_t y_stride) const;

  const LinearKernels* kernels_;
  std::unique_ptr<PackedLinear> packed_, gate_;  // gate_: the second half of a gated weight
  std::vector<float> smooth_;
  Isa isa_;
};

}  // namespace wordtell
