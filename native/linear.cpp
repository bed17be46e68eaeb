#include "linear.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <vector>

#include "linear_kernels.h"

namespace wordtell {

namespace {

const LinearKernels& kernels_of(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::amx: return linear_amx;
    case Isa::avx512vnni: return linear_avx512;
    case Isa::avx2: return linear_avx2;
    case Isa::portable: break;
  }
#else
  static_cast<void>(isa);
#endif
  return linear_portable;
}

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

struct FreeAligned {
  void operator()(int8_t* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
};

}  // namespace

struct PackedLinear {
  std::unique_ptr<int8_t[], FreeAligned> weight;
  std::vector<int32_t> column_sums;
  std::vector<float> scale, bias;
  PackedWeight view;
  Isa isa;
};

ptrdiff_t quantized_stride(int depth) { return round_up(depth, depth_tile) + depth_tile; }

void quantize_rows(const float* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa) {
  kernels_of(isa).quantize(x, x_stride, count, depth, rows, quantized_stride(depth));
}

void quantize_rows(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa) {
  kernels_of(isa).quantize_halves(x, x_stride, count, depth, rows, quantized_stride(depth));
}

QuantizedLinear::QuantizedLinear(const int8_t* weight, int depth, int columns, const float* scale, const float* bias,
                                 Activation activation, Isa isa)
    : kernels_(&kernels_of(isa)), packed_(std::make_unique<PackedLinear>()) {
  if (depth < 1 || columns < 1) throw std::invalid_argument("a linear layer needs a depth and columns of at least 1");
  if (depth > 65536) throw std::invalid_argument("a linear layer's depth is at most 65536: its sums are 32 bits wide");
  const int panel = kernels_->panel, group = kernels_->group;
  const int padded_depth = round_up(depth, depth_tile), padded_columns = round_up(columns, panel);
  const size_t bytes = static_cast<size_t>(padded_depth) * padded_columns;
  packed_->weight.reset(new (std::align_val_t{64}) int8_t[bytes]());
  packed_->column_sums.assign(padded_columns, 0);
  packed_->scale.assign(padded_columns, 0.0f);
  packed_->bias.assign(padded_columns, 0.0f);
  std::copy(scale, scale + columns, packed_->scale.begin());
  if (bias != nullptr) std::copy(bias, bias + columns, packed_->bias.begin());
  for (int k = 0; k < depth; ++k) {
    for (int c = 0; c < columns; ++c) {
      const int8_t value = weight[static_cast<size_t>(k) * columns + c];
      const size_t place = static_cast<size_t>(c / panel) * panel * padded_depth +
                           static_cast<size_t>(k / group) * panel * group + (c % panel) * group + k % group;
      packed_->weight[place] = value;
      packed_->column_sums[c] += value;
    }
  }
  packed_->isa = isa;
  packed_->view = PackedWeight{packed_->weight.get(), packed_->column_sums.data(), packed_->scale.data(),
                               packed_->bias.data(),  depth, padded_depth, columns, quantized_stride(depth),
                               activation == Activation::gelu};
}

QuantizedLinear::~QuantizedLinear() = default;
QuantizedLinear::QuantizedLinear(QuantizedLinear&&) noexcept = default;
QuantizedLinear& QuantizedLinear::operator=(QuantizedLinear&&) noexcept = default;

int QuantizedLinear::depth() const { return packed_->view.depth; }
int QuantizedLinear::columns() const { return packed_->view.columns; }
int QuantizedLinear::panel() const { return kernels_->panel; }
Isa QuantizedLinear::isa() const { return packed_->isa; }

size_t QuantizedLinear::packed_bytes() const {
  const size_t padded_columns = packed_->scale.size();
  return padded_columns * packed_->view.padded_depth + padded_columns * (sizeof(int32_t) + 2 * sizeof(float));
}

void QuantizedLinear::quantize(const float* x, ptrdiff_t x_stride, int row_begin, int row_end, void* scratch) const {
  const ptrdiff_t row_stride = packed_->view.row_stride;
  kernels_->quantize(x + row_begin * x_stride, x_stride, row_end - row_begin, depth(),
                     static_cast<uint8_t*>(scratch) + row_begin * row_stride, row_stride);
}

const uint8_t* QuantizedLinear::first_row(const void* scratch, int row_begin, int col_begin, int col_end) const {
  if (col_begin % panel() != 0 || col_begin < 0 || col_end > columns() ||
      (col_end % panel() != 0 && col_end != columns())) {
    throw std::invalid_argument("a block of columns begins and ends at whole panels");
  }
  return static_cast<const uint8_t*>(scratch) + row_begin * packed_->view.row_stride;
}

void QuantizedLinear::multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end, float* y,
                               ptrdiff_t y_stride) const {
  const uint8_t* rows = first_row(scratch, row_begin, col_begin, col_end);
  kernels_->multiply(packed_->view, rows, row_end - row_begin, col_begin, col_end, y + row_begin * y_stride, y_stride);
}

void QuantizedLinear::multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end,
                               Bfloat16* y, ptrdiff_t y_stride) const {
  const uint8_t* rows = first_row(scratch, row_begin, col_begin, col_end);
  kernels_->multiply_halves(packed_->view, rows, row_end - row_begin, col_begin, col_end, y + row_begin * y_stride,
                            y_stride);
}

}  // namespace wordtell
