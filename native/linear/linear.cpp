#include "linear/linear.h"

#include <algorithm>
#include <stdexcept>

#include "cpu/pages.h"
#include "cpu/scratch.h"
#include "linear/excess.h"

namespace wordtell {

namespace {

// A column's sum then has two digits of base 128 in 16 bits each (linear/amx.cpp), and a row's sum 32 bits.
constexpr int most_depth = 32767;

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// What a thread keeps of a gated product: apart from the operators' scratch, which holds the rows meanwhile.
using GateScratch = Scratch<struct Gate>;

}  // namespace

// A weight, or half of a gated one, as a kernel wants it.
struct PackedLinear {
  // Columns [first, first + count) of the constants.
  PackedLinear(const LinearConstants& constants, int first, int count, Activation activation,
               const LinearKernels& kernels) {
    const int depth = constants.depth, panel = kernels.panel, group = kernels.group;
    const int padded_depth = round_up(depth, depth_tile), padded_columns = round_up(count, panel);
    bytes = static_cast<size_t>(padded_depth) * padded_columns;
    weight = zeroed_pages(bytes);
    column_sums.assign(padded_columns, 0);
    scale.assign(padded_columns, 0.0f);
    bias.assign(padded_columns, 0.0f);
    std::copy_n(constants.scale + first, count, scale.begin());
    if (constants.bias != nullptr) std::copy_n(constants.bias + first, count, bias.begin());
    for (int k = 0; k < depth; ++k) {
      for (int c = 0; c < count; ++c) {
        const int8_t value = constants.weight[static_cast<size_t>(k) * constants.columns + first + c];
        const size_t place = static_cast<size_t>(c / panel) * panel * padded_depth +
                             static_cast<size_t>(k / group) * panel * group + (c % panel) * group + k % group;
        weight.get()[place] = value;
        column_sums[c] += value;
      }
    }
    if (kernels.takes_excess) excess.take_from(weight.get(), padded_depth, padded_columns, panel);
    view = PackedWeight{weight.get(), column_sums.data(), scale.data(), bias.data(), depth, padded_depth, count,
                        quantized_stride(depth), activation, excess.view()};
  }

  size_t packed_bytes() const { return bytes + excess.bytes() + scale.size() * (sizeof(int32_t) + 2 * sizeof(float)); }

  size_t bytes;
  std::shared_ptr<int8_t> weight;
  std::vector<int32_t> column_sums;
  std::vector<float> scale, bias;
  ExcessList excess;
  PackedWeight view;
};

ptrdiff_t quantized_stride(int depth) { return round_up(depth, depth_tile) + depth_tile; }

void quantize_rows(const float* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa) {
  isa->linear->quantize(x, x_stride, count, depth, nullptr, rows, quantized_stride(depth));
}

void quantize_rows(const Bfloat16* x, ptrdiff_t x_stride, int count, int depth, uint8_t* rows, Isa isa) {
  isa->linear->quantize_halves(x, x_stride, count, depth, nullptr, rows, quantized_stride(depth));
}

QuantizedLinear::QuantizedLinear(const LinearConstants& constants, Isa isa) : kernels_(isa->linear), isa_(isa) {
  if (constants.depth < 1 || constants.columns < 1) {
    throw std::invalid_argument("a linear layer needs a depth and columns of at least 1");
  }
  if (constants.depth > most_depth) {
    throw std::invalid_argument("a linear layer's depth is at most 32767: its sums are 32 bits wide");
  }
  if (constants.gated && constants.columns % 2 != 0) {
    throw std::invalid_argument("a gated linear layer has an even number of columns");
  }
  const int columns = constants.gated ? constants.columns / 2 : constants.columns;
  packed_ = std::make_unique<PackedLinear>(constants, 0, columns, constants.activation, *kernels_);
  if (constants.gated) gate_ = std::make_unique<PackedLinear>(constants, columns, columns, Activation::none, *kernels_);
  if (constants.smooth != nullptr) smooth_.assign(constants.smooth, constants.smooth + constants.depth);
}

QuantizedLinear::~QuantizedLinear() = default;
QuantizedLinear::QuantizedLinear(QuantizedLinear&&) noexcept = default;
QuantizedLinear& QuantizedLinear::operator=(QuantizedLinear&&) noexcept = default;

int QuantizedLinear::depth() const { return packed_->view.depth; }
int QuantizedLinear::columns() const { return packed_->view.columns; }
bool QuantizedLinear::smooth() const { return !smooth_.empty(); }
int QuantizedLinear::panel() const { return kernels_->panel; }
Isa QuantizedLinear::isa() const { return isa_; }

size_t QuantizedLinear::packed_bytes() const {
  return packed_->packed_bytes() + (gate_ == nullptr ? 0 : gate_->packed_bytes());
}

void QuantizedLinear::quantize(const float* x, ptrdiff_t x_stride, int row_begin, int row_end, void* scratch) const {
  const ptrdiff_t row_stride = packed_->view.row_stride;
  kernels_->quantize(x + row_begin * x_stride, x_stride, row_end - row_begin, depth(), smooth() ? smooth_.data() : nullptr,
                     static_cast<uint8_t*>(scratch) + row_begin * row_stride, row_stride);
}

void QuantizedLinear::quantize(const Bfloat16* x, ptrdiff_t x_stride, int row_begin, int row_end,
                               void* scratch) const {
  const ptrdiff_t row_stride = packed_->view.row_stride;
  kernels_->quantize_halves(x + row_begin * x_stride, x_stride, row_end - row_begin, depth(),
                            smooth() ? smooth_.data() : nullptr,
                            static_cast<uint8_t*>(scratch) + row_begin * row_stride, row_stride);
}

void QuantizedLinear::multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end, float* y,
                               ptrdiff_t y_stride) const {
  multiply_any(scratch, row_begin, row_end, col_begin, col_end, y, y_stride);
}

void QuantizedLinear::multiply(const void* scratch, int row_begin, int row_end, int col_begin, int col_end,
                               Bfloat16* y, ptrdiff_t y_stride) const {
  multiply_any(scratch, row_begin, row_end, col_begin, col_end, y, y_stride);
}

template <typename Value>
void QuantizedLinear::multiply_any(const void* scratch, int row_begin, int row_end, int col_begin, int col_end,
                                   Value* y, ptrdiff_t y_stride) const {
  if (col_begin % panel() != 0 || col_begin < 0 || col_end > columns() ||
      (col_end % panel() != 0 && col_end != columns())) {
    throw std::invalid_argument("a block of columns begins and ends at whole panels");
  }
  const uint8_t* rows = static_cast<const uint8_t*>(scratch) + row_begin * packed_->view.row_stride;
  y += row_begin * y_stride;
  const int count = row_end - row_begin;
  if (gate_ != nullptr) {
    multiply_gated(rows, count, col_begin, col_end, y, y_stride);
  } else if constexpr (sizeof(Value) == sizeof(float)) {
    kernels_->multiply(packed_->view, rows, count, col_begin, col_end, y, y_stride);
  } else {
    kernels_->multiply_halves(packed_->view, rows, count, col_begin, col_end, y, y_stride);
  }
}

// Some rows of both halves are made in FP32, few enough for the second-level cache, and multiplied.
template <typename Value>
void QuantizedLinear::multiply_gated(const uint8_t* rows, int count, int col_begin, int col_end, Value* y,
                                     ptrdiff_t y_stride) const {
  constexpr int together = 64;
  const ptrdiff_t width = col_end - col_begin;
  auto* value = static_cast<float*>(GateScratch::of_this_thread(2 * together * width * sizeof(float)));
  float* gate = value + together * width;
  for (int r = 0; r < count; r += together) {
    const int some = std::min(count - r, together);
    const uint8_t* first = rows + r * packed_->view.row_stride;
    // The kernels count columns from the weight's first.
    kernels_->multiply(packed_->view, first, some, col_begin, col_end, value - col_begin, width);
    kernels_->multiply(gate_->view, first, some, col_begin, col_end, gate - col_begin, width);
    for (int i = 0; i < some; ++i) {
      Value* to = y + (r + i) * y_stride + col_begin;
      if constexpr (sizeof(Value) == sizeof(float)) {
        kernels_->gate(value + i * width, gate + i * width, static_cast<int>(width), to);
      } else {
        kernels_->gate_halves(value + i * width, gate + i * width, static_cast<int>(width), to);
      }
    }
  }
}

}  // namespace wordtell
