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
constexpr int kColumns = 256;  // a multiple of every panel
constexpr int kRows = 512;
// Rows that one thread quantises or normalises at a time.
constexpr int kTokens = 64;

size_t pieces(int64_t whole, int64_t piece) { return static_cast<size_t>((whole + piece - 1) / piece); }

// activations [tokens, depth], weight s8 [depth, columns], scale [columns], bias [columns] -> [tokens, columns]
class Linear {
 public:
  static constexpr const char* name = "QuantizedLinear";
  static constexpr Argument inputs[] = {
      {ElementType::f32}, {ElementType::s8}, {ElementType::f32}, {ElementType::f32, optional}};

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
    input.expect("activations", {-1, linear_->depth()});
    const int rows = static_cast<int>(input.shape()[0]), columns = linear_->columns();
    float* out = context.output({rows, columns});
    const float* in = input.data<const float>();
    void* scratch = Scratch::of_this_thread(linear_->scratch_bytes(rows));
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens, end = std::min(rows, begin + kTokens);
      linear_->quantize(in, linear_->depth(), begin, end, scratch);
    });
    const size_t across = pieces(columns, kColumns);
    context.parallel(across * pieces(rows, kRows), [&](size_t i) {
      const int row = static_cast<int>(i / across) * kRows, column = static_cast<int>(i % across) * kColumns;
      linear_->multiply(scratch, row, std::min(rows, row + kRows), column, std::min(columns, column + kColumns), out,
                        columns);
    });
  }

 private:
  std::shared_ptr<const QuantizedLinear> linear_;
};

// a [tokens, width], b [tokens, width], gain [width], bias [width] -> layer_norm(a + b)
class Norm {
 public:
  static constexpr const char* name = "AddLayerNorm";
  static constexpr Argument inputs[] = {{ElementType::f32}, {ElementType::f32}, {ElementType::f32}, {ElementType::f32}};

  explicit Norm(const KernelInfo& info) : epsilon_(info.number("epsilon")) {}

  void compute(const KernelContext& context) const {
    const Tensor a = context.input(0), b = context.input(1), gain = context.input(2), bias = context.input(3);
    a.expect("a", {-1, gain.size()});
    b.expect("b", {a.shape()[0], gain.size()});
    bias.expect("bias", {gain.size()});
    const int rows = static_cast<int>(a.shape()[0]), width = static_cast<int>(gain.size());
    float* out = context.output(a.shape());
    context.parallel(pieces(rows, kTokens), [&](size_t i) {
      const int begin = static_cast<int>(i) * kTokens, count = std::min(rows - begin, kTokens);
      const ptrdiff_t first = static_cast<ptrdiff_t>(begin) * width;
      add_layer_norm(a.data<const float>() + first, b.data<const float>() + first, gain.data<const float>(),
                     bias.data<const float>(), epsilon_, count, width, out + first);
    });
  }

 private:
  float epsilon_;
};

}  // namespace

const OrtCustomOp* quantized_linear() { return custom_op<Linear>(); }
const OrtCustomOp* add_layer_norm() { return custom_op<Norm>(); }

}  // namespace wordtell
