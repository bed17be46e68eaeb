// The quantised linear with AVX-512 VNNI.
#include "linear/vnni.h"

namespace wordtell {

extern const LinearKernels linear_avx512 = linear_of<Blocks<VnniDot>>();

}  // namespace wordtell
