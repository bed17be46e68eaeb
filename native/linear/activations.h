// Activations over the vectors of cpu/lanes.h. NaN gives NaN: of two operands, smaller() and larger() give the second.
#pragma once

#include "cpu/lanes.h"
#include "linear/kernel.h"

namespace wordtell {
namespace {

// 2^x for x from -126 to 126: relative error below 1e-7.
inline Floats power_of_two(Floats exponent) {
  const Ints whole = round_to_ints(exponent);
  const Floats part = exponent - to_floats(whole);
  Floats power = fill(1.3276472e-03f);  // 2^part, part in [-1/2, 1/2]: relative error below 8e-8
  power = multiply_add(power, part, fill(9.6755419e-03f));
  power = multiply_add(power, part, fill(5.5507131e-02f));
  power = multiply_add(power, part, fill(2.4022120e-01f));
  power = multiply_add(power, part, fill(6.9314694e-01f));
  power = multiply_add(power, part, fill(1.0000001f));
  return floats_of(bits_of(power) + (whole << 23));
}

// gelu(x) = x Phi(x) = max(x, 0) - a Q(a) with a = |x| and Q(a) = erfc(a / sqrt 2) / 2. log2 Q is smooth and nearly
// quadratic, so one polynomial (weighted minimax over [0, 5.5], weight a Q(a); exact at 0) and one power of two serve
// both signs, without a division. Absolute error below 4e-7 everywhere; beyond 5.5 a Q(a) is held at 1e-7.
inline Floats gelu(Floats x) {
  const Floats a = smaller(fill(5.5f), magnitude(x));
  Floats exponent = fill(2.9924142e-05f);
  exponent = multiply_add(exponent, a, fill(-7.3987385e-04f));
  exponent = multiply_add(exponent, a, fill(7.9774614e-03f));
  exponent = multiply_add(exponent, a, fill(-5.3238183e-02f));
  exponent = multiply_add(exponent, a, fill(-4.5891568e-01f));
  exponent = multiply_add(exponent, a, fill(-1.1511471f));
  exponent = multiply_add(exponent, a, fill(-1.0f));
  return multiply_add(-a, power_of_two(exponent), larger(Floats{}, x));  // exponent >= -27: no underflow
}

// x / (1 + e^-z), absolute error below 1e-6 for |x| up to 10.
inline Floats gated_by_sigmoid(Floats x, Floats z) {
  const Floats exponent = smaller(fill(126.0f), larger(fill(-126.0f), z * -1.44269504f));
  return x / (power_of_two(exponent) + 1.0f);
}

// x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3): "gelu_new" of the Transformers library.
inline Floats gelu_tanh(Floats x) {
  return gated_by_sigmoid(x, x * multiply_add(x * x, fill(0.0713548163f), fill(1.59576912f)));
}

// Out of line: the kernels' epilogues are unrolled, and only GELU with erf is worth a copy in each.
__attribute__((noinline, unused)) Floats activate(Activation activation, Floats x) {
  switch (activation) {
    case Activation::gelu: return gelu(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::silu: return gated_by_sigmoid(x, x);
    case Activation::relu: return larger(Floats{}, x);
    case Activation::none: break;
  }
  return x;
}

}  // namespace
}  // namespace wordtell
