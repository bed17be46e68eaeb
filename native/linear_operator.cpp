// QuantizedLinear and AddLayerNorm: glue between ONNX Runtime and linear.h, norm.h.

#include <algorithm>

#include "kernel.h"
#include "linear.h"
#include "norm.h"
#include "operators.h"
#include "scratch.h"
#include "shared.h"

namespace wordtell {
namespace {

constexpr Presence optional = Presence::optional;

// A block of the output that one thread computes: its slice of the weights stays in cache while the rows pass.
constexpr int kColumns = 384;  // a multiple of every panel, and of the three that AMX takes together
constexpr int kRows = 512;
// Rows that one thread quantises or normalises at a time.
constexpr int kTokens = 64;

size_t pieces(int64_t whole, int64_t piece) { return static_cast<size_t>((whole + piece - 1) / piece); }

// activations, weight s8 [depth, columns], scale [columns], bias [columns] -> [tokens, columns] in FP32, in bfloat16
//
// Activations are FP32 or bfloat16 [tokens, depth], or the quantised rows of another operator, u8
// [tokens, quantized_stride(depth)]. Of the outputs the graph names the one that it uses.
class Linear {
 public:
  static constexpr const char* name = "QuantizedLinear";
  static constexpr Argument inputs[] = {
      {ElementType::undefined}, {ElementType::s8}, {ElementType::f32}, {ElementType::f32, optional}};
  static constexpr Argument outputs[] = {{ElementType::f32, optional}, {ElementType::bf16, optional}};

  explicit Linear(const KernelInfo& info) {
    const Tensor weight = info.constant(1, "weight"), scale = info.constant(2, "scale");
    const Tensor bias = info.constant(3, "bias", optional);
    weight.expect("weight", {-1, -1});
    const int64_t depth = weight.shape()[0], columns = weight.shape()[1];
    scale.expect("scale", {columns});
    if (bias) bias.expect("bias", {columns});
    const auto activation = info.integer("gelu") != 0 ? Activation::gelu : Activation::none;
    Key key;
    key.add(depth).add(columns).add(activation).add(bool(bias));
    key.add(weight.data<const int8_t>(), weight.size()).add(scale.data<const float>(), columns * sizeof(float));
    if (bias) key.add(bias.data<const float>(), columns * sizeof(float));
    linear_ = shared<QuantizedLinear>(key, [&] {
      return std::make_shared<const QuantizedLinear>(
          weight.data<const int8_t>(), static_cast<int>(depth), static_cast<int>(columns), scale.data<const float>(),
          bias ? bias.data<const float>() : nullptr, activation);
    });
  }

  void compute(const KernelContext& context) const {
    const Tensor input = context.input(0);
    const bool quantized = input.type() == ElementType::u8;
    input.expect("activations", {-1, quantized ? quantized_stride(linear_->depth()) : linear_->depth()});
    const int rows = static_cast<int>(input.shape()[0]);
    void* scratch = quantized ? nullptr : Scratch::of_this_thread(linear_->scratch_bytes(rows));
    switch (input.type()) {
      case ElementType::u8: break;
      case ElementType::f32: quantize(context, input.data<const float>(), rows, scratch); break;
      case ElementType::bf16: quantize(context, input.data<const Bfloat16>(), rows, scratch); break;
      default: throw std::invalid_argument("activations must be FP32, bfloat16 or quantised rows");
    }
    const void* in = quantized ? input.data<const void>() : scratch;
    if (float* out = context.output<float>(0, {rows, linear_->columns()})) multiply(context, in, rows, out);
    if (Bfloat16* out = context.output<Bfloat16>(1, {rows, linear_->columns()})) multiply(context, in, rows, out);
  }

 private:
  template <typename Value>
  void quantize(const KernelContext& context, const Value* values, int rows, void* scratch) const {
    const ptrdiff_t depth = linear_->depth();
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens, count = std::min(rows - begin, kTokens);
      quantize_rows(values + begin * depth, depth, count, linear_->depth(),
                    static_cast<uint8_t*>(scratch) + begin * quantized_stride(linear_->depth()), linear_->isa());
    });
  }

  template <typename Value>
  void multiply(const KernelContext& context, const void* in, int rows, Value* out) const {
    const int columns = linear_->columns();
    const size_t across = pieces(columns, kColumns);
    context.parallel(across * pieces(rows, kRows), [&](size_t i) {
      const int row = static_cast<int>(i / across) * kRows, column = static_cast<int>(i % across) * kColumns;
      linear_->multiply(in, row, std::min(rows, row + kRows), column, std::min(columns, column + kColumns), out,
                        columns);
    });
  }

  std::shared_ptr<const QuantizedLinear> linear_;
};

// a [tokens, width], b [tokens, width], gain [width], bias [width] -> layer_norm(a + b), and quantised rows of it
class Norm {
 public:
  static constexpr const char* name = "AddLayerNorm";
  static constexpr Argument inputs[] = {{ElementType::f32}, {ElementType::f32}, {ElementType::f32}, {ElementType::f32}};
  static constexpr Argument outputs[] = {{ElementType::f32}, {ElementType::u8, optional}};

  explicit Norm(const KernelInfo& info) : epsilon_(info.number("epsilon")) {}

  void compute(const KernelContext& context) const {
    const Tensor a = context.input(0), b = context.input(1), gain = context.input(2), bias = context.input(3);
    a.expect("a", {-1, gain.size()});
    b.expect("b", {a.shape()[0], gain.size()});
    bias.expect("bias", {gain.size()});
    const int rows = static_cast<int>(a.shape()[0]), width = static_cast<int>(gain.size());
    float* out = context.output<float>(0, a.shape());
    uint8_t* out_rows = context.output<uint8_t>(1, {rows, quantized_stride(width)});
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens, count = std::min(rows - begin, kTokens);
      const ptrdiff_t first = static_cast<ptrdiff_t>(begin) * width;
      add_layer_norm(a.data<const float>() + first, b.data<const float>() + first, gain.data<const float>(),
                     bias.data<const float>(), epsilon_, count, width, out + first,
                     out_rows == nullptr ? nullptr : out_rows + begin * quantized_stride(width));
    });
  }

 private:
  float epsilon_;
};

}  // namespace

const OrtCustomOp* quantized_linear() { return custom_op<Linear>(); }
const OrtCustomOp* add_layer_norm() { return custom_op<Norm>(); }

}  // namespace wordtell
