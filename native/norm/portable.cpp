#include "norm/rows.h"

namespace wordtell {

extern const AddLayerNorm add_layer_norm_portable = add_layer_norm_rows;

}  // namespace wordtell
