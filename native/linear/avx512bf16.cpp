// The quantised linear with AVX-512 VNNI, where the processor also rounds to bfloat16.
#include "linear/vnni.h"

namespace wordtell {

extern const LinearKernels linear_avx512bf16 = linear_of<Blocks<VnniDot>>();

}  // namespace wordtell
