// The norm for each instruction set: norm/rows.h, compiled with that instruction set's flags.
#pragma once

#include "norm/norm.h"

namespace wordtell {

void norm_portable(const LayerNorm& norm, long quantized_stride);
#if defined(__x86_64__)
void norm_avx2(const LayerNorm& norm, long quantized_stride);
void norm_avx512(const LayerNorm& norm, long quantized_stride);
#endif

}  // namespace wordtell
