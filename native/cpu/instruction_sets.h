// The table of instruction sets: one row a set, with all of its kernels.
#pragma once

#include <vector>

namespace wordtell {

struct AttentionKernel;
struct LinearKernels;
struct LayerNorm;

struct InstructionSet {
  const char* name;
  unsigned needs;  // bits of Feature, all of them
  const AttentionKernel* attention_fp32;
  const AttentionKernel* attention_int8;
  const LinearKernels* linear;
  void (*norm)(const LayerNorm& norm, long quantized_stride);
};

// One row of the table.
using Isa = const InstructionSet*;

// Those that this processor has, the best last; the first is `portable`.
std::vector<Isa> available_isas();

// The best of these that is not beyond the one named by WORDTELL_ISA, if that is set. Decided once.
// Throws std::invalid_argument, naming those that there are, for a name that none has.
Isa best_isa();

inline const char* name(Isa isa) { return isa->name; }

}  // namespace wordtell
