// The quantised linear with AVX-VNNI.
#include "linear/vnni.h"

namespace wordtell {

extern const LinearKernels linear_avxvnni = linear_of<Blocks<VnniDot>>();

}  // namespace wordtell
