// What norm.cpp and the kernels of each instruction set say to each other.
#pragma once

#include <cstddef>

#include "norm.h"

namespace wordtell {

using AddLayerNorm = void (*)(const LayerNorm& norm, ptrdiff_t quantized_stride);

extern const AddLayerNorm add_layer_norm_portable;
#if defined(__x86_64__)
extern const AddLayerNorm add_layer_norm_avx2;
extern const AddLayerNorm add_layer_norm_avx512;
#endif

}  // namespace wordtell
