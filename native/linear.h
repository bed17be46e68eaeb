// A linear layer in 8 bits: y = act(dequantise(quantise(x) . W) + bias), with a scale and zero point for each row of x.
//
// x is FP32 [rows, depth]. Each row is quantised to u8 over its own range, widened to contain 0:
//   scale = (max - min) / 255, zero point = round(-min / scale), q = clamp(round(x / scale) + zero point, 0, 255).
// W is s8 [depth, columns] with one scale a column. Sums are exact in int32, so
//   y = row scale * column scale * (q . w - zero point * sum of w over the column) + bias,
// and no row knows of another: an output is bit for bit the same in whatever company, block or thread it is made.
// The integers are also the same in every instruction set; only the rounding of the FP32 epilogue differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "bfloat16.h"
#include "cpu_features.h"

namespace wordtell {

enum class Activation { none, gelu };  // gelu: x Phi(x) with erf, within 1e-6

// Quantised rows lie one after another, each with its scale and zero point behind its bytes, so that a row can be
// passed about as plain bytes (an operator's output, say). Bytes from one row to the next, for rows of `depth` values.
ptrdiff_t quantized_stride(int depth);

// Quantises `count` rows of x, `x_stride` values apart, to `rows`. Split rows over threads by moving both pointers.
void quantize_rows(const float* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa = best_isa());
void quantize_rows(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa = best_isa());

struct PackedLinear;
struct LinearKernels;

// A weight packed once for one instruction set; immutable, to be shared by any number of threads.
class QuantizedLinear {
 public:
  // weight: [depth, columns], row-major; scale: [columns]; bias: [columns] or null for none. All are copied.
  // Throws std::invalid_argument for sizes below 1, or a depth beyond 65,536, where a sum could leave int32.
  QuantizedLinear(const int8_t* weight, int depth, int columns, const float* scale, const float* bias,
                  Activation activation, Isa isa = best_isa());
  ~QuantizedLinear();
  QuantizedLinear(QuantizedLinear&&) noexcept;
  QuantizedLinear& operator=(QuantizedLinear&&) noexcept;

  int depth() const;
  int columns() const;
  Isa isa() const;
  size_t packed_bytes() const;

  // Columns come in panels of this width: a block of columns begins at a multiple of it.
  int panel() const;

  // Bytes that `rows` quantised rows take.
  size_t scratch_bytes(int rows) const { return static_cast<size_t>(rows) * quantized_stride(depth()); }

  void quantize(const float* x, ptrdiff_t x_stride, int row_begin, int row_end, void* scratch) const;

  // Rows [row_begin, row_end) and columns [col_begin, col_end) of y, from rows that `quantize` left in `scratch`
  // (or anything else that wrote rows of this depth). y points to the whole output's first value, y_stride values a
  // row. col_begin is a multiple of panel(), col_end too unless it is columns(): std::invalid_argument otherwise.
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
  const uint8_t* first_row(const void* scratch, int row_begin, int col_begin, int col_end) const;

  const LinearKernels* kernels_;
  std::unique_ptr<PackedLinear> packed_;
};

}  // namespace wordtell
