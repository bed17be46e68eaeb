#include "norm.h"

#include "linear.h"
#include "norm_kernels.h"

namespace wordtell {

namespace {

AddLayerNorm kernel_of(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::amx:
    case Isa::avx512vnni: return add_layer_norm_avx512;
    case Isa::avx2: return add_layer_norm_avx2;
    case Isa::portable: break;
  }
#else
  static_cast<void>(isa);
#endif
  return add_layer_norm_portable;
}

}  // namespace

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

void add_layer_norm(const LayerNorm& norm, Isa isa) { kernel_of(isa)(norm, quantized_stride(norm.width)); }

}  // namespace wordtell
