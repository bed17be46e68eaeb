// GELU with erf, over the vectors of lanes.h.
#pragma once

#include "lanes.h"

namespace wordtell {
namespace {

// gelu(x) = x Phi(x) = max(x, 0) - a Q(a) with a = |x| and Q(a) = erfc(a / sqrt 2) / 2. log2 Q is smooth and nearly
// quadratic, so one polynomial (weighted minimax over [0, 5.5], weight a Q(a); exact at 0) and one power of two serve
// both signs, without a division. Absolute error below 4e-7 everywhere; beyond 5.5 a Q(a) is held at 1e-7.
inline Floats gelu(Floats x) {
  const Floats a = smaller(magnitude(x), fill(5.5f));
  Floats exponent = fill(2.9924142e-05f);
  exponent = multiply_add(exponent, a, fill(-7.3987385e-04f));
  exponent = multiply_add(exponent, a, fill(7.9774614e-03f));
  exponent = multiply_add(exponent, a, fill(-5.3238183e-02f));
  exponent = multiply_add(exponent, a, fill(-4.5891568e-01f));
  exponent = multiply_add(exponent, a, fill(-1.1511471f));
  exponent = multiply_add(exponent, a, fill(-1.0f));
  const Ints whole = round_to_ints(exponent);
  const Floats part = exponent - to_floats(whole);
  Floats power = fill(1.3276472e-03f);  // 2^part, part in [-1/2, 1/2]: relative error below 8e-8
  power = multiply_add(power, part, fill(9.6755419e-03f));
  power = multiply_add(power, part, fill(5.5507131e-02f));
  power = multiply_add(power, part, fill(2.4022120e-01f));
  power = multiply_add(power, part, fill(6.9314694e-01f));
  power = multiply_add(power, part, fill(1.0000001f));
  const Floats tail = floats_of(bits_of(power) + (whole << 23));  // whole >= -27: no underflow
  return multiply_add(-a, tail, larger(x, Floats{}));
}

}  // namespace
}  // namespace wordtell
