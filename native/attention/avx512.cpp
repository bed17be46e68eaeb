// AVX-512 with VNNI, and the softmax's output times the values in FP32.
#include "attention/mixing.h"
#include "attention/rows.h"
#include "attention/vnni.h"

namespace wordtell {

extern const AttentionKernel attention_fp32_avx512 = kernel_of<FloatProducts, MixFloats<false>>();
extern const AttentionKernel attention_int8_avx512 = kernel_of<ByteProducts<VnniDot>, MixFloats<true>>();

}  // namespace wordtell
