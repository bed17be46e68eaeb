// Weights for processors whose products of bytes are summed in pairs of 16 bits (AVX2's maddubs): two products of u8 and
// s8 fit when the two weights sum up to 128 at most, as most of a trained matrix do. Of a larger pair one half stays in
// the weight, and the other half is listed apart, to be multiplied and added likewise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "linear/kernel.h"

namespace wordtell {

class ExcessList {
 public:
  // Halves the pairs of a packed weight that are too large. Panels of `panel` columns, a multiple of eight, in groups of
  // four.
  void take_from(int8_t* weight, int padded_depth, int padded_columns, int panel);
  Excess view() const { return {begins_.data(), depths_.data(), weights_.data()}; }
  size_t bytes() const { return (begins_.size() + depths_.size()) * sizeof(int32_t) + weights_.size(); }

 private:
  std::vector<int32_t> begins_, depths_;
  std::vector<int8_t> weights_;
};

}  // namespace wordtell
