// The operators that convert/fused.py writes, in domain "wordtell".
//
// Activations are [tokens, width]. An operator's result for a token has the same bits whatever its neighbours are.
#pragma once

#include "ort/api.h"

namespace wordtell {

const OrtCustomOp* attention();
const OrtCustomOp* disentangled_attention();
const OrtCustomOp* quantized_linear();
const OrtCustomOp* add_layer_norm();

}  // namespace wordtell
