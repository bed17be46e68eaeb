#include "norm/norm.h"

#include "linear/linear.h"

namespace wordtell {

LayerNorm LayerNorm::rows_from(int begin, int count) const {
  const ptrdiff_t at = static_cast<ptrdiff_t>(begin) * width;
  LayerNorm some = *this;
  some.rows = count;
  some.x += at;
  some.y += at;
  if (residual != nullptr) some.residual += at;
  if (sum != nullptr) some.sum += at;
  if (quantized != nullptr) some.quantized += begin * quantized_stride(width);
  return some;
}

void add_layer_norm(const LayerNorm& norm, Isa isa) { isa->norm(norm, quantized_stride(norm.width)); }

}  // namespace wordtell
