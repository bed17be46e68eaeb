// The time of attention on one core: milliseconds of CPU time for a layer of sixteen heads, and GMAC per second; with
// DeBERTa's position tables, and without (like BERT).
//
//   bench_attention [length ...]

#include "attention/attention.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

using namespace wordtell;

namespace {

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int heads = 16, size = 64, span = 256, reach = 511, width = heads * size;
  std::vector<int> lengths;
  for (int i = 1; i < argc; ++i) lengths.push_back(std::atoi(argv[i]));
  if (lengths.empty()) lengths = {16, 66, 128, 455};
  std::vector<int32_t> buckets(2 * reach + 1);
  for (int i = 0; i <= 2 * reach; ++i) buckets[size_t(i)] = i / 2;
  std::vector<float> tables(size_t(heads) * 2 * span * size, 0.5f);
  for (size_t i = 0; i < tables.size(); ++i) tables[i] = float(i * 7919 % 1000) / 1000 - 0.5f;
  const AttentionConstants bert{heads, size};
  AttentionConstants deberta{heads, size, 2 * span};
  deberta.position_key = deberta.position_query = tables.data();
  deberta.buckets = buckets.data();
  deberta.reach = reach;
  struct Case {
    const char* encoder;
    const AttentionConstants& constants;
    double products;  // of scores, and one of values
    Precision precision;
  };
  const Case cases[] = {{"deberta", deberta, 4, Precision::fp32},
                        {"deberta", deberta, 4, Precision::int8},
                        {"bert", bert, 2, Precision::fp32},
                        {"bert", bert, 2, Precision::int8}};
  for (const Isa isa : available_isas()) {
    for (const Case& c : cases) {
      const Attention attention(c.constants, c.precision, isa);
      for (const int length : lengths) {
        std::vector<float> qkv(size_t(length) * width), out(size_t(length) * width);
        for (size_t i = 0; i < qkv.size(); ++i) qkv[i] = float(i * 104729 % 1000) / 1000 - 0.5f;
        void* scratch = std::aligned_alloc(64, (attention.scratch_bytes(length) + 63) / 64 * 64);
        double best = 1e9;
        for (int round = 0; round < 5; ++round) {
          const double start = cpu_seconds();
          for (int head = 0; head < heads; ++head) {
            const size_t first = size_t(head) * size;
            attention.run(head, length, &qkv[first], &qkv[first], &qkv[first], width, &out[first], width, scratch);
          }
          best = std::min(best, cpu_seconds() - start);
        }
        std::free(scratch);
        const double products = c.products * heads * size * length * length;
        std::printf("%-11s %-7s %-5s length %4d: %8.3f ms, %6.1f GMAC/s\n", name(isa), c.encoder,
                    c.precision == Precision::int8 ? "int8" : "fp32", length, best * 1e3, products / best / 1e9);
      }
    }
  }
}
