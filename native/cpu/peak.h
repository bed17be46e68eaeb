// How many operations a second this processor's own instructions reach.
#pragma once

#include <string>

namespace wordtell {

// type: "int8", "bf16" or "fp32", in billions of operations a second, a multiplication and an addition being two; or
// "memory", in GB/s read. A JSON object: a number for each instruction that this processor has, all threads at once,
// `seconds` each. Empty for another type.
std::string peak(const std::string& type, int threads, double seconds);

}  // namespace wordtell
