// What is added to a score for nothing but its distance: a head's bias, and -1e30 beyond the window.
#pragma once

#include "attention/kernel.h"

namespace wordtell {
namespace {

constexpr float kNever = -1e30f;  // as a score: e^score is zero whatever else there is

inline bool has_distances(const AttentionHead& head) { return head.bias != nullptr || head.window > 0; }

// Key blocks that some query rows attend to: all of them, or those that the window reaches.
struct KeyRange {
  int begin, end;
};

inline KeyRange keys_of(const AttentionHead& head, int first_row, int rows, int blocks, int multiple) {
  // The terms of position tables are made for all keys, in order.
  if (head.window == 0 || head.keys.tiles != nullptr || head.queries.tiles != nullptr) return {0, blocks};
  const int unit = kTile * multiple, first = first_row - head.window, last = first_row + rows - 1 + head.window;
  const int end = (last / unit + 1) * multiple;
  return {first <= 0 ? 0 : first / unit * multiple, end < blocks ? end : blocks};
}

// line[rows + j - i] for all i and j below `rows`: 2 * rows numbers. For row i, those of the keys from j on are one run.
inline void fill_distances(const AttentionHead& head, int rows, float* line) {
  for (int x = -rows; x < rows; ++x) {
    const int clipped = x > head.reach ? head.reach : x < -head.reach ? -head.reach : x;
    const bool within = head.window == 0 || (x <= head.window && x >= -head.window);
    line[rows + x] = !within ? kNever : head.bias == nullptr ? 0.0f : head.bias[head.reach + clipped];
  }
}

}  // namespace
}  // namespace wordtell
