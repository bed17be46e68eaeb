#include "norm/rows.h"

namespace wordtell {

extern const AddLayerNorm add_layer_norm_avx2 = add_layer_norm_rows;

}  // namespace wordtell
