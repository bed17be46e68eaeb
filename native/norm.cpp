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

void add_layer_norm(const float* x, const float* residual, const float* gain, const float* bias, float epsilon,
                    int rows, int width, float* y, uint8_t* quantized, Isa isa) {
  kernel_of(isa)(x, residual, gain, bias, epsilon, rows, width, y, quantized, quantized_stride(width));
}

}  // namespace wordtell
