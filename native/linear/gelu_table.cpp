#include "linear/gelu_table.h"

#include <cmath>

namespace wordtell {

// Newton's interpolation at the four zeros of Chebyshev's polynomial, which keeps the error even over an interval.
GeluTable::GeluTable() {
  constexpr int nodes = 4;
  const double pi = std::acos(-1.0);
  for (int i = 0; i < gelu_intervals; ++i) {
    double place[nodes], slope[nodes], power[nodes] = {};
    for (int j = 0; j < nodes; ++j) {
      place[j] = 0.5 * std::cos(pi * (2 * j + 1) / (2 * nodes));
      const double a = (i + place[j]) / gelu_unit;
      slope[j] = a * std::erfc(a / std::sqrt(2.0)) / 2;
    }
    for (int order = 1; order < nodes; ++order) {  // divided differences, in place
      for (int j = nodes - 1; j >= order; --j) slope[j] = (slope[j] - slope[j - 1]) / (place[j] - place[j - order]);
    }
    for (int order = nodes - 1; order >= 0; --order) {  // Horner: power = power * (d - place[order]) + slope[order]
      for (int e = nodes - 1; e > 0; --e) power[e] = power[e - 1] - power[e] * place[order];
      power[0] = slope[order] - power[0] * place[order];
    }
    for (int e = 0; e < nodes; ++e) coefficients[e][i] = static_cast<float>(power[e]);
  }
}

const GeluTable gelu_table;

}  // namespace wordtell
