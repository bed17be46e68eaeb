// The operators QuantizedLinear and AddLayerNorm: check their inputs, and call linear/linear.h and norm/norm.h.

#include <algorithm>
#include <string>

#include "ort/operator.h"
#include "linear/linear.h"
#include "norm/norm.h"
#include "ort/operators.h"
#include "cpu/scratch.h"
#include "ort/shared.h"

namespace wordtell {
namespace {

constexpr Presence optional = Presence::optional;

// The block of the output that one task computes. Its columns' weights stay in the cache for all of its rows.
constexpr int kColumns = 192;  // a multiple of every panel's width, and of two panels of AMX
constexpr int kRows = 512;
// Rows that one task quantises or normalises.
constexpr int kTokens = 16;

size_t pieces(int64_t whole, int64_t piece) { return static_cast<size_t>((whole + piece - 1) / piece); }

Activation activation_of(const KernelInfo& info) {
  const std::string name = info.text("activation", "");
  if (name.empty()) return info.integer("gelu", 0) != 0 ? Activation::gelu : Activation::none;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  throw std::invalid_argument("activation \"" + name + "\" is none of gelu, gelu_tanh, relu, silu");
}

// Inputs: activations, weight s8 [depth, columns], scale [columns], bias [columns], smooth [depth].
// Outputs: the product in FP32, and in bfloat16: [tokens, columns], or half as wide if gated. The graph names one.
//
// Activations are FP32 or bfloat16 [tokens, depth], or the quantised rows of another operator, u8
// [tokens, quantized_stride(depth)].
class Linear {
 public:
  static constexpr const char* name = "QuantizedLinear";
  static constexpr Argument inputs[] = {{ElementType::undefined},
                                        {ElementType::s8},
                                        {ElementType::f32},
                                        {ElementType::f32, optional},
                                        {ElementType::f32, optional}};
  static constexpr Argument outputs[] = {{ElementType::f32, optional}, {ElementType::bf16, optional}};

  explicit Linear(const KernelInfo& info) {
    const Tensor weight = info.constant(1, "weight"), scale = info.constant(2, "scale");
    const Tensor bias = info.constant(3, "bias", optional), smooth = info.constant(4, "smooth", optional);
    weight.expect("weight", {-1, -1});
    LinearConstants constants{};
    constants.weight = weight.data<const int8_t>();
    constants.depth = static_cast<int>(weight.shape()[0]);
    constants.columns = static_cast<int>(weight.shape()[1]);
    constants.scale = scale.data<const float>();
    constants.activation = activation_of(info);
    constants.gated = info.integer("gated", 0) != 0;
    scale.expect("scale", {constants.columns});
    if (bias) bias.expect("bias", {constants.columns});
    if (smooth) smooth.expect("smooth", {constants.depth});
    if (bias) constants.bias = bias.data<const float>();
    if (smooth) constants.smooth = smooth.data<const float>();
    Key key;
    key.add(constants.depth).add(constants.columns).add(constants.activation).add(constants.gated);
    key.add(bool(bias)).add(bool(smooth)).add(constants.weight, weight.size());
    for (const Tensor& part : {scale, bias, smooth}) {
      if (part) key.add(part.data<const float>(), part.size() * sizeof(float));
    }
    linear_ = shared<QuantizedLinear>(key, [&] { return std::make_shared<const QuantizedLinear>(constants); });
  }

  void compute(const KernelContext& context) const {
    const Tensor input = context.input(0);
    const bool quantized = input.type() == ElementType::u8;
    if (quantized && linear_->smooth()) {
      throw std::invalid_argument("smooth is for activations that this operator quantises, not for quantised rows");
    }
    input.expect("activations", {-1, quantized ? quantized_stride(linear_->depth()) : linear_->depth()});
    const int rows = static_cast<int>(input.shape()[0]);
    void* scratch = quantized ? nullptr : Scratch<>::of_this_thread(linear_->scratch_bytes(rows));
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
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens;
      linear_->quantize(values, linear_->depth(), begin, std::min(rows, begin + kTokens), scratch);
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

// Inputs: a [tokens, width], b [tokens, width], gain [width], bias [width], smooth [width].
// Outputs: y = layer_norm(a + b), the quantised rows of y * smooth, a + b.
//
// The inputs b, bias and smooth, and the last two outputs, may be left out.
class Norm {
 public:
  static constexpr const char* name = "AddLayerNorm";
  static constexpr Argument inputs[] = {{ElementType::f32},
                                        {ElementType::f32, optional},
                                        {ElementType::f32},
                                        {ElementType::f32, optional},
                                        {ElementType::f32, optional}};
  static constexpr Argument outputs[] = {
      {ElementType::f32}, {ElementType::u8, optional}, {ElementType::f32, optional}};

  explicit Norm(const KernelInfo& info) : epsilon_(info.number("epsilon")) {}

  void compute(const KernelContext& context) const {
    const Tensor a = context.input(0), b = context.input(1), gain = context.input(2), bias = context.input(3);
    const Tensor smooth = context.input(4);
    a.expect("a", {-1, gain.size()});
    if (b) b.expect("b", {a.shape()[0], gain.size()});
    if (bias) bias.expect("bias", {gain.size()});
    if (smooth) smooth.expect("smooth", {gain.size()});
    const int rows = static_cast<int>(a.shape()[0]), width = static_cast<int>(gain.size());
    LayerNorm norm{a.data<const float>(), b.data<const float>(), gain.data<const float>(), bias.data<const float>(),
                   smooth.data<const float>(), epsilon_, rows, width, context.output<float>(0, a.shape()),
                   context.output<float>(2, a.shape()), context.output<uint8_t>(1, {rows, quantized_stride(width)})};
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens;
      add_layer_norm(norm.rows_from(begin, std::min(rows - begin, kTokens)));
    });
  }

 private:
  float epsilon_;
};

}  // namespace

const OrtCustomOp* quantized_linear() { return custom_op<Linear>(); }
const OrtCustomOp* add_layer_norm() { return custom_op<Norm>(); }

}  // namespace wordtell
