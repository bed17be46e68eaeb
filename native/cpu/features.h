// Which instruction sets this processor and its operating system have.
#pragma once

#include <vector>

namespace wordtell {

// Each has all that stands before it.
enum class Isa { portable, avx2, avx512vnni, amx };

// At least `portable`; the best is the last.
std::vector<Isa> available_isas();

// The last of these, or that named by WORDTELL_ISA if it is one of them. Decided once.
Isa best_isa();

const char* name(Isa isa);

}  // namespace wordtell
