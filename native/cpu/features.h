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
  kDotprod = 1u << 6,  // SDOT: Arm, from Neoverse N1 on
  kI8mm = 1u << 7,  // SMMLA and USMMLA: Arm, from Neoverse V1 on
  kArmBf16 = 1u << 8,  // BFMMLA
};

struct Features {
  unsigned bits;
  const char* refused;  // why a feature that the processor has may not be used; empty when there is nothing to tell
};

// Asked once.
const Features& features();

}  // namespace wordtell
