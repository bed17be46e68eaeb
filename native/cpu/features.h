// What this processor and its operating system can do.
#pragma once

namespace wordtell {

// Bits. A bit that is set may be used: the system saves the registers, too.
enum Feature : unsigned {
  kAvx2 = 1u << 0,  // and FMA
  kAvx512 = 1u << 1,  // F, BW, DQ and VL
  kAvx512Vnni = 1u << 2,
  kAvx512Bf16 = 1u << 3,
  kAmx = 1u << 4,  // tiles of bytes and of bfloat16
  kAvxVnni = 1u << 5,
};

struct Features {
  unsigned bits;
  const char* refused;  // why a feature that the processor has may not be used; empty when there is nothing to tell
};

// Asked once.
const Features& features();

}  // namespace wordtell
