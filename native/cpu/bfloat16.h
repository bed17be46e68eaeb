#pragma once

#include <cstdint>

namespace wordtell {

using Bfloat16 = uint16_t;  // the upper half of a float's bits

}  // namespace wordtell
