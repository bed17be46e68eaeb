// AVX-VNNI, and the softmax's output times the values in FP32.
#include "attention/mixing.h"
#include "attention/rows.h"
#include "attention/vnni.h"

namespace wordtell {

extern const AttentionKernel attention_int8_avxvnni = kernel_of<ByteProducts<VnniDot>, MixFloats<true>>();

}  // namespace wordtell
