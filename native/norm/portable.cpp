#include "norm/rows.h"

namespace wordtell {

void norm_portable(const LayerNorm& norm, long quantized_stride) { add_layer_norm_rows(norm, quantized_stride); }

}  // namespace wordtell
