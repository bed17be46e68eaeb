// Self-attention of one head over one text, with whatever an encoder does about positions.
//
//   score[i, j] = q[i].k[j] + q[i].PK[b(i - j)] + k[j].PQ[b(i - j)] + B[b(i - j)]
//   out[i] = sum of softmax_j(score[i, j]) v[j] over the j with |i - j| <= window
//
// PK and PQ are the tables of disentangled attention (He et al. 2021, https://arxiv.org/abs/2006.03654), B a relative
// bias (MPNet), and each may be missing; b maps a distance to its bucket; q and k may be rotated first
// (attention/rotary.h). The scale of the scores is part of q and PQ already. Scores exist for sixteen query
// rows at a time (32 with AMX), in a thread's scratch memory. docs/architecture/5-fused-operators.md draws how the
// position terms become plain matrix products.
//
// Precision::int8 computes the three products above in 8 bits, with a scale for every row of q, k, PK and PQ, and
// rounds the softmax's output and v to bfloat16. The integers and the roundings are the same in every instruction set
// but AMX, which takes bfloat16 for all of it: as fast there, and nearer to the formula. Sums in FP32 differ in their
// last bits. A text's output does not depend on its neighbours or on threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cpu/bfloat16.h"
#include "cpu/instruction_sets.h"

namespace wordtell {

enum class Precision { fp32, int8 };

// One layer's constants; copied. position_key, position_query: [heads][positions][head_size]; bias: [heads][positions];
// null for a model without that term. buckets: [2 * reach + 1], of the distances -reach ... reach; longer ones count as
// these. Without any of the three, buckets and positions mean nothing.
struct AttentionConstants {
  int heads, head_size;
  int positions = 0;
  const float* position_key = nullptr;
  const float* position_query = nullptr;
  const int32_t* buckets = nullptr;
  int reach = 0;
  const float* bias = nullptr;
  int window = 0;         // 0: none
  float rotary_base = 0;  // 0: no rotation
};

struct AttentionHead;
struct AttentionKernel;

// Constants packed once for one instruction set; immutable, to be shared by any number of threads.
class Attention {
 public:
  // Throws std::invalid_argument for sizes below 1, a head size above 256 (or odd, with rotation), a negative window, a
  // rotary base that is no positive number, or a bucket outside the tables.
  Attention(const AttentionConstants& constants, Precision precision, Isa isa = best_isa());
  ~Attention();
  Attention(const Attention&) = delete;
  Attention& operator=(const Attention&) = delete;

  size_t packed_bytes() const;
  // What `run` needs for a text of this many tokens, aligned to 64 bytes.
  size_t scratch_bytes(int length) const;
  // The longest text: 65,536 tokens with rotation, else what int holds.
  int longest() const;
  // One head of one text of at most that length. q, k, v, out point at the text's first token and the head's first column; strides in numbers.
  void run(int head, int length, const float* q, const float* k, const float* v, ptrdiff_t stride, float* out,
           ptrdiff_t out_stride, void* scratch) const;
  void run(int head, int length, const Bfloat16* q, const Bfloat16* k, const Bfloat16* v, ptrdiff_t stride, float* out,
           ptrdiff_t out_stride, void* scratch) const;

 private:
  template <typename Value>
  void run_any(int head, int length, const Value* q, const Value* k, const Value* v, ptrdiff_t stride, float* out,
               ptrdiff_t out_stride, void* scratch) const;
  AttentionHead constants_of(int head) const;

  struct Packed;
  const AttentionKernel* kernel_;
  std::unique_ptr<Packed> packed_;
};

}  // namespace wordtell
