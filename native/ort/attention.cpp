// The operator Attention: checks its inputs, and calls attention/attention.h.

#include <string>
#include <vector>

#include "attention/attention.h"
#include "ort/operator.h"
#include "ort/operators.h"
#include "cpu/scratch.h"
#include "ort/shared.h"

namespace wordtell {
namespace {

constexpr Presence optional = Presence::optional;

// The rows of a position table [heads, positions, head_size] in FP32. s8 with a scale per row is converted in `space`.
const float* widened(const Tensor& table, const Tensor& scales, std::vector<float>& space) {
  if (!table) return nullptr;
  if (table.type() == ElementType::f32) return table.data<const float>();
  const int64_t width = table.shape()[2];
  space.resize(table.size());
  for (int64_t i = 0; i < table.size(); ++i) {
    space[i] = static_cast<float>(table.data<const int8_t>()[i]) * scales.data<const float>()[i / width];
  }
  return space.data();
}

// Inputs: query, key, value, boundaries, buckets, position keys, position queries, the scales of both, bias.
// Output: the context of every token [tokens, heads * head_size].
//
// query, key and value are all FP32 or all bfloat16, [tokens, heads * head_size]. Window i is the tokens from
// boundaries[i] to boundaries[i + 1]. Position tables are FP32, or s8 with scales [heads * positions], a quarter of the
// size in a graph. The bias is FP32 [heads, positions]. With any of these three, buckets are required.
class AttentionOperator {
 public:
  static constexpr const char* name = "Attention";
  static constexpr Argument inputs[] = {{ElementType::undefined},
                                        {ElementType::undefined},
                                        {ElementType::undefined},
                                        {ElementType::s64},
                                        {ElementType::s32, optional},
                                        {ElementType::undefined, optional},
                                        {ElementType::undefined, optional},
                                        {ElementType::f32, optional},
                                        {ElementType::f32, optional},
                                        {ElementType::f32, optional}};
  static constexpr Argument outputs[] = {{ElementType::f32}};

  explicit AttentionOperator(const KernelInfo& info) : heads_(info.integer("heads")) {
    const Tensor buckets = info.constant(4, "buckets", optional);
    const Tensor keys = info.constant(5, "position keys", optional);
    const Tensor queries = info.constant(6, "position queries", optional);
    const Tensor key_scales = info.constant(7, "scales of the position keys", optional);
    const Tensor query_scales = info.constant(8, "scales of the position queries", optional);
    const Tensor bias = info.constant(9, "bias", optional);
    const auto precision = info.integer("int8", 0) != 0 ? Precision::int8 : Precision::fp32;
    AttentionConstants constants{};
    constants.heads = static_cast<int>(heads_);
    constants.head_size = static_cast<int>(info.integer("head_size", 0));
    constants.window = static_cast<int>(info.integer("window", 0));
    constants.rotary_base = info.number("rotary_base", 0.0f);
    const Tensor& table = keys ? keys : queries;
    if (table) {
      table.expect("position table", {heads_, -1, constants.head_size == 0 ? -1 : constants.head_size});
      constants.positions = static_cast<int>(table.shape()[1]);
      constants.head_size = static_cast<int>(table.shape()[2]);
    }
    if (keys && queries) queries.expect("position queries", {heads_, keys.shape()[1], keys.shape()[2]});
    if (bias) {
      bias.expect("bias", {heads_, table ? table.shape()[1] : -1});
      constants.positions = static_cast<int>(bias.shape()[1]);
      constants.bias = bias.data<const float>();
    }
    if (constants.head_size == 0) throw std::invalid_argument("without a position table head_size must be given");
    if (buckets) {
      buckets.expect("buckets", {-1});
      if (buckets.size() % 2 == 0) throw std::invalid_argument("buckets must be of the distances -reach ... reach");
      constants.buckets = buckets.data<const int32_t>();
      constants.reach = static_cast<int>(buckets.size() / 2);
    } else if (table || bias) {
      throw std::invalid_argument("position tables and a bias need buckets");
    }
    check_scales(keys, key_scales, "scales of the position keys");
    check_scales(queries, query_scales, "scales of the position queries");
    Key key;
    key.add(precision).add(heads_).add(constants.head_size).add(constants.window).add(constants.rotary_base);
    for (const Tensor& part : {keys, queries, key_scales, query_scales, bias, buckets}) {
      key.add(bool(part));
      if (part) key.add(part.data<const void>(), part.size() * (part.type() == ElementType::s8 ? 1 : sizeof(float)));
    }
    attention_ = shared<Attention>(key, [&] {
      std::vector<float> wide_keys, wide_queries;
      constants.position_key = widened(keys, key_scales, wide_keys);
      constants.position_query = widened(queries, query_scales, wide_queries);
      return std::make_shared<const Attention>(constants, precision);
    });
    head_size_ = constants.head_size;
  }

  void compute(const KernelContext& context) const {
    const int64_t width = heads_ * head_size_;
    const Tensor query = context.input(0), key = context.input(1), value = context.input(2);
    const Tensor boundaries = context.input(3);
    query.expect("query", {-1, width});
    key.expect("key", {query.shape()[0], width});
    value.expect("value", {query.shape()[0], width});
    if (key.type() != query.type() || value.type() != query.type()) {
      throw std::invalid_argument("query, key and value must be of one type");
    }
    check_boundaries(boundaries, query.shape()[0]);
    float* out = context.output<float>(0, query.shape());
    switch (query.type()) {
      case ElementType::f32: return attend<float>(context, query, key, value, boundaries, out);
      case ElementType::bf16: return attend<Bfloat16>(context, query, key, value, boundaries, out);
      default: throw std::invalid_argument("query, key and value must be FP32 or bfloat16");
    }
  }

 private:
  template <typename Value>
  void attend(const KernelContext& context, const Tensor& query, const Tensor& key, const Tensor& value,
              const Tensor& boundaries, float* out) const {
    const int64_t* begins = boundaries.data<const int64_t>();
    const int64_t windows = boundaries.size() - 1, width = heads_ * head_size_;
    for (int64_t i = 0; i < windows; ++i) {
      if (begins[i + 1] - begins[i] <= attention_->longest()) continue;
      throw std::invalid_argument("a text of " + std::to_string(begins[i + 1] - begins[i]) + " tokens is longer than " +
                                  std::to_string(attention_->longest()));
    }
    context.parallel(static_cast<size_t>(windows * heads_), [&](size_t task) {
      const int64_t window = static_cast<int64_t>(task) / heads_, head = static_cast<int64_t>(task) % heads_;
      const int length = static_cast<int>(begins[window + 1] - begins[window]);
      const int64_t first = begins[window] * width + head * head_size_;
      void* scratch = Scratch<>::of_this_thread(attention_->scratch_bytes(length));
      attention_->run(static_cast<int>(head), length, query.data<const Value>() + first,
                      key.data<const Value>() + first, value.data<const Value>() + first, width, out + first, width,
                      scratch);
    });
  }

  static void check_scales(const Tensor& table, const Tensor& scales, const char* what) {
    if (!table || table.type() == ElementType::f32) return;
    if (table.type() != ElementType::s8) throw std::invalid_argument("position tables must be FP32 or s8");
    scales.expect(what, {table.shape()[0] * table.shape()[1]});
  }

  static void check_boundaries(const Tensor& boundaries, int64_t tokens) {
    const int64_t* begins = boundaries.data<const int64_t>();
    const int64_t windows = boundaries.size() - 1;
    bool rising = windows >= 0 && (windows == 0 ? tokens == 0 : begins[0] == 0 && begins[windows] == tokens);
    for (int64_t i = 0; rising && i < windows; ++i) rising = begins[i] < begins[i + 1];
    if (!rising) throw std::invalid_argument("boundaries must rise from 0 to the number of tokens");
  }

  int64_t heads_;
  int64_t head_size_ = 0;
  std::shared_ptr<const Attention> attention_;
};

// The operator's name in graphs that were converted when it had DeBERTa's attention only.
class DisentangledAttention : public AttentionOperator {
 public:
  static constexpr const char* name = "DisentangledAttention";
  using AttentionOperator::AttentionOperator;
};

}  // namespace

const OrtCustomOp* attention() { return custom_op<AttentionOperator>(); }
const OrtCustomOp* disentangled_attention() { return custom_op<DisentangledAttention>(); }

}  // namespace wordtell
