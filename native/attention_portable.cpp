// For any processor, with the vectors that every one of its kind has.
#include "attention_mixing.h"
#include "attention_products.h"
#include "attention_rows.h"

namespace wordtell {

extern const AttentionKernel attention_fp32_portable = kernel_of<FloatProducts, MixFloats<false>>();
extern const AttentionKernel attention_int8_portable = kernel_of<ByteProducts<PlainDot>, MixFloats<true>>();

}  // namespace wordtell
