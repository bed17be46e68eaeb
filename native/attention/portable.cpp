// For any processor, with the vectors that every one of its kind has.
#include "attention/mixing.h"
#include "attention/products.h"
#include "attention/rows.h"

namespace wordtell {

extern const AttentionKernel attention_fp32_portable = kernel_of<FloatProducts, MixFloats<false>>();
extern const AttentionKernel attention_int8_portable = kernel_of<ByteProducts<PlainDot>, MixFloats<true>>();

}  // namespace wordtell
