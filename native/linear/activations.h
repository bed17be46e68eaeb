// Activations over the vectors of cpu/lanes.h. NaN gives NaN: smaller() and larger() keep that of their second operand.
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

// gelu(x) = x Phi(x) = max(x, 0) - a Q(a) with a = |x| and Q(a) = erfc(a / sqrt 2) / 2; exact at 0, absolute error below
// 4e-7 everywhere. Beyond 5.5 a Q(a) is held at 1e-7.
#if defined(__AVX512F__)
// a Q(a) by sixteen polynomials of degree four (minimax), the n-th of a kGeluPieces - n from -1/2 to 1/2; coefficients
// of one power fill a register, which the pieces' numbers permute.
constexpr float kGeluPieces = 2.81625f;
alignas(64) constexpr float kGelu[5][16] = {
    {1.03708729e-03f, 7.72021420e-04f, 1.50089123e-04f, -3.92216549e-04f, -5.78821870e-04f, -4.42681543e-04f,
     -1.96977053e-04f, -1.46869543e-05f, 5.79844200e-05f, 5.86292808e-05f, 3.61770290e-05f, 1.68487950e-05f,
     6.32014280e-06f, 1.96673386e-06f, 5.16090836e-07f, 1.16254903e-07f},
    {1.12547823e-05f, 3.81221529e-03f, 5.70179941e-03f, 5.12764417e-03f, 3.05746892e-03f, 9.41090402e-04f,
     -3.38749524e-04f, -7.26162281e-04f, -6.07086404e-04f, -3.59152793e-04f, -1.67843013e-04f, -6.46099652e-05f,
     -2.09195587e-05f, -5.76689581e-06f, -1.36411154e-06f, -2.78107649e-07f},
    {-5.03020845e-02f, -4.42489721e-02f, -2.92321239e-02f, -1.23394197e-02f, 1.58554642e-04f, 5.99159487e-03f,
     6.60051219e-03f, 4.78607137e-03f, 2.70063011e-03f, 1.25131942e-03f, 4.87879821e-04f, 1.62216194e-04f,
     4.63713004e-05f, 1.14580253e-05f, 2.45641263e-06f, 4.57989415e-07f},
    {1.77541181e-01f, 8.10535625e-02f, 6.61883689e-03f, -3.46480720e-02f, -4.57688235e-02f, -3.85461114e-02f,
     -2.53140051e-02f, -1.37407277e-02f, -6.31989352e-03f, -2.49476777e-03f, -8.51549266e-04f, -2.52518832e-04f,
     -6.52608796e-05f, -1.47315923e-05f, -2.90927437e-06f, -5.03278955e-07f},
    {0.00000000e+00f, 1.28278390e-01f, 1.69588044e-01f, 1.52737409e-01f, 1.10439122e-01f, 6.73148036e-02f,
     3.52926329e-02f, 1.60745066e-02f, 6.39441842e-03f, 2.22859927e-03f, 6.81813457e-04f, 1.83331824e-04f,
     4.33616005e-05f, 9.02634474e-06f, 1.65435677e-06f, 2.67045635e-07f},
};

inline Floats gelu(Floats x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const Floats a = smaller(fill(5.5f), magnitude(x));
  const Floats shifted = multiply_add(a, fill(kGeluPieces), fill(magic));
  const Floats part = multiply_add(a, fill(kGeluPieces), magic - shifted);
  const __m512i piece = reinterpret_cast<__m512i>(shifted);  // of which a permutation takes the lowest four bits
  Floats value = _mm512_permutexvar_ps(piece, load(kGelu[0]));
#pragma GCC unroll 4
  for (int power = 1; power < 5; ++power) {
    value = multiply_add(value, part, _mm512_permutexvar_ps(piece, load(kGelu[power])));
  }
  return larger(Floats{}, x) - value;
}
#else
// log2 Q is smooth and nearly quadratic, so one polynomial (weighted minimax over [0, 5.5], weight a Q(a)) and one power
// of two serve both signs, without a division.
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
#endif

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
