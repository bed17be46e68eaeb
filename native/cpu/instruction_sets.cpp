#include "cpu/instruction_sets.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "attention/kernel.h"
#include "cpu/features.h"
#include "linear/kernel.h"
#include "norm/kernel.h"

namespace wordtell {
namespace {

// From the least to the best.
const InstructionSet table[] = {
    {"portable", 0, &attention_fp32_portable, &attention_int8_portable, &linear_portable, norm_portable},
#if defined(__x86_64__)
    {"avx2", kAvx2, &attention_fp32_avx2, &attention_int8_avx2, &linear_avx2, norm_avx2},
    {"avxvnni", kAvx2 | kAvxVnni, &attention_fp32_avx2, &attention_int8_avxvnni, &linear_avxvnni, norm_avx2},
    {"avx512vnni", kAvx2 | kAvx512 | kAvx512Vnni, &attention_fp32_avx512, &attention_int8_avx512, &linear_avx512,
     norm_avx512},
    // bfloat16 is for what is rounded to it anyway.
    {"avx512bf16", kAvx2 | kAvx512 | kAvx512Vnni | kAvx512Bf16, &attention_fp32_avx512, &attention_int8_avx512bf16,
     &linear_avx512bf16, norm_avx512},
    // In FP32 there are no tiles to use; bfloat16 takes the place of 8 bits in attention.
    {"amx", kAvx2 | kAvx512 | kAvx512Vnni | kAvx512Bf16 | kAmx, &attention_fp32_avx512, &attention_int8_amx, &linear_amx,
     norm_avx512},
#elif defined(__aarch64__)
    // FP32 has NEON, as every AArch64 has: in `portable`, too.
    {"dotprod", kDotprod, &attention_fp32_portable, &attention_int8_dotprod, &linear_dotprod, norm_portable},
    {"i8mm", kDotprod | kI8mm | kArmBf16, &attention_fp32_portable, &attention_int8_i8mm, &linear_i8mm, norm_portable},
#endif
};

bool available(const InstructionSet& set) { return (set.needs & ~features().bits) == 0; }

Isa chosen() {
  const char* wanted = std::getenv("WORDTELL_ISA");
  const bool any = wanted == nullptr || *wanted == '\0';
  Isa best = nullptr;
  std::string names;
  for (const InstructionSet& set : table) {
    if (available(set)) best = &set;
    if (!any && std::string(wanted) == set.name) return best;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  if (any) return best;
  throw std::invalid_argument("WORDTELL_ISA=" + std::string(wanted) + " is no instruction set: unset it, or name one of " + names);
}

}  // namespace

std::vector<Isa> available_isas() {
  std::vector<Isa> found;
  for (const InstructionSet& set : table) {
    if (available(set)) found.push_back(&set);
  }
  return found;
}

Isa best_isa() {
  static const Isa best = chosen();
  return best;
}

}  // namespace wordtell
