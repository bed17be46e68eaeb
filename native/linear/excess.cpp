#include "linear/excess.h"

#include <cstdlib>

namespace wordtell {

void ExcessList::take_from(int8_t* weight, int padded_depth, int padded_columns, int panel) {
  constexpr int group = 4, columns = 8, most = 128;
  begins_.push_back(0);
  for (int column = 0; column < padded_columns; column += columns) {
    int8_t* first = weight + static_cast<ptrdiff_t>(column / panel) * panel * padded_depth + column % panel * group;
    for (int depth = 0; depth < padded_depth; depth += group) {
      int8_t* values = first + static_cast<ptrdiff_t>(depth) * panel;
      int8_t excess[columns * group] = {};
      bool any = false;
      for (int i = 0; i < columns * group; i += 2) {
        if (std::abs(values[i] + values[i + 1]) <= most) continue;
        any = true;
        for (int n = i; n < i + 2; ++n) {
          excess[n] = static_cast<int8_t>(values[n] - values[n] / 2);
          values[n] = static_cast<int8_t>(values[n] / 2);
        }
      }
      if (!any) continue;
      depths_.push_back(depth);
      weights_.insert(weights_.end(), excess, excess + columns * group);
    }
    begins_.push_back(static_cast<int32_t>(depths_.size()));
  }
}

}  // namespace wordtell
