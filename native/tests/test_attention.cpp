// Attention in every instruction set that this processor has, against the formula in double precision.
//
//   test_attention [shapes to try beyond the fixed ones] [seed]

#include "attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/check.h"
#include "tests/guarded.h"

using namespace wordtell;

namespace {

struct Case {
  int heads, head_size, length, span, reach;
  bool logarithmic, keys, queries;
  bool bias = false;
  int window = 0;
  float rotary_base = 0;
};

std::vector<Isa> isas;

bool takes_bfloat16(Isa isa) { return std::string(name(isa)) == "amx"; }

std::string text(const Case& c, Isa isa) {
  return std::string(name(isa)) + " heads " + std::to_string(c.heads) + " size " + std::to_string(c.head_size) +
         " length " + std::to_string(c.length) + " span " + std::to_string(c.span) + " reach " +
         std::to_string(c.reach) + (c.keys ? " c2p" : "") + (c.queries ? " p2c" : "") +
         (c.bias ? " bias" : "") + (c.window ? " window " + std::to_string(c.window) : "") +
         (c.rotary_base > 0 ? " rotary " + std::to_string(c.rotary_base) : "");
}

std::vector<int32_t> buckets(const Case& c) {
  std::vector<int32_t> table;
  for (int distance = -c.reach; distance <= c.reach; ++distance) {
    int bucket = distance;
    const int middle = c.span / 2, size = std::abs(distance);
    if (c.logarithmic && size > middle) {
      const double growth = std::log(double(size) / middle) / std::log(double(c.reach) / middle) * (middle - 1);
      bucket = (distance < 0 ? -1 : 1) * (middle + int(std::ceil(growth)));
    }
    table.push_back(std::clamp(bucket + c.span, 0, 2 * c.span - 1));
  }
  return table;
}

struct Data {
  std::vector<float> q, k, v, keys, queries, bias;
  std::vector<int32_t> table;
  AttentionConstants constants;
};

Data make(const Case& c, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  const auto fill = [&](size_t count, float scale) {
    std::vector<float> values(count);
    for (float& value : values) value = normal(random) * scale;
    return values;
  };
  const size_t width = size_t(c.heads) * c.head_size, position = size_t(c.heads) * 2 * c.span * c.head_size;
  const float scale = 1 / std::sqrt(3.0f * c.head_size);
  Data data{fill(c.length * width, scale), fill(c.length * width, 1), fill(c.length * width, 1), fill(position, 1),
            fill(position, scale),         fill(size_t(c.heads) * 2 * c.span, 1), buckets(c), {}};
  data.constants.heads = c.heads;
  data.constants.head_size = c.head_size;
  data.constants.window = c.window;
  data.constants.rotary_base = c.rotary_base;
  if (!c.keys && !c.queries && !c.bias) return data;
  data.constants.positions = 2 * c.span;
  data.constants.position_key = c.keys ? data.keys.data() : nullptr;
  data.constants.position_query = c.queries ? data.queries.data() : nullptr;
  data.constants.bias = c.bias ? data.bias.data() : nullptr;
  data.constants.buckets = data.table.data();
  data.constants.reach = c.reach;
  return data;
}

// Rotates every head of every row by the row's position.
std::vector<double> rotated(const Case& c, const std::vector<float>& rows) {
  std::vector<double> turned(rows.begin(), rows.end());
  const int half = c.head_size / 2, width = c.heads * c.head_size;
  for (size_t at = 0; c.rotary_base > 0 && at < rows.size(); ++at) {
    const int d = int(at % c.head_size);
    if (d >= half) continue;
    const double angle = double(at / width) * std::pow(double(c.rotary_base), -2.0 * d / c.head_size);
    turned[at] = rows[at] * std::cos(angle) - rows[at + half] * std::sin(angle);
    turned[at + half] = rows[at + half] * std::cos(angle) + rows[at] * std::sin(angle);
  }
  return turned;
}

std::vector<double> expected(const Case& c, const Data& data) {
  const std::vector<double> turned_q = rotated(c, data.q), turned_k = rotated(c, data.k);
  const int width = c.heads * c.head_size;
  std::vector<double> out(size_t(c.length) * width), scores(c.length);
  for (int head = 0; head < c.heads; ++head) {
    const auto at = [&](const auto& m, int row) { return m.data() + size_t(row) * width + head * c.head_size; };
    for (int i = 0; i < c.length; ++i) {
      double highest = -1e300, total = 0;
      for (int j = 0; j < c.length; ++j) {
        const int bucket = data.table[std::clamp(i - j, -c.reach, c.reach) + c.reach];
        const size_t position = (size_t(head) * 2 * c.span + bucket) * c.head_size;
        double score = c.bias ? data.bias[size_t(head) * 2 * c.span + bucket] : 0;
        for (int d = 0; d < c.head_size; ++d) {
          const double q = at(turned_q, i)[d], k = at(turned_k, j)[d];
          score += q * k;
          if (c.keys) score += q * data.keys[position + d];
          if (c.queries) score += k * data.queries[position + d];
        }
        if (c.window > 0 && std::abs(i - j) > c.window) score = -1e300;
        scores[j] = score;
        highest = std::max(highest, score);
      }
      for (double& score : scores) total += score = std::exp(score - highest);
      for (int j = 0; j < c.length; ++j) {
        for (int d = 0; d < c.head_size; ++d) {
          out[size_t(i) * width + head * c.head_size + d] += scores[j] / total * at(data.v, j)[d];
        }
      }
    }
  }
  return out;
}

// q, k and v in FP32 or in bfloat16.
template <typename Value>
std::vector<float> computed_from(const Case& c, const Data& data, const std::vector<Value>& q,
                                 const std::vector<Value>& k, const std::vector<Value>& v, Precision precision, Isa isa) {
  const Attention attention(data.constants, precision, isa);
  const int width = c.heads * c.head_size;
  Guarded<Value> queries(q), keys(k), values(v);
  Guarded<float> out(size_t(c.length) * width);
  Guarded<char> scratch((attention.scratch_bytes(c.length) + 63) / 64 * 64);
  for (int head = 0; head < c.heads; ++head) {
    const size_t first = size_t(head) * c.head_size;
    attention.run(head, c.length, queries.data() + first, keys.data() + first, values.data() + first, width,
                  out.data() + first, width, scratch.data());
  }
  return std::vector<float>(out.data(), out.data() + size_t(c.length) * width);
}

std::vector<float> computed(const Case& c, const Data& data, Precision precision, Isa isa) {
  return computed_from(c, data, data.q, data.k, data.v, precision, isa);
}

double distance(const std::vector<double>& a, const std::vector<float>& b) {
  Worst worst;
  for (size_t i = 0; i < a.size(); ++i) worst.take(b[i], a[i]);
  return worst.value();
}

void try_case(const Case& c, unsigned seed) {
  const Data data = make(c, seed);
  const std::vector<double> want = expected(c, data);
  std::vector<double> first;
  for (const Isa isa : isas) {
    const double exact = distance(want, computed(c, data, Precision::fp32, isa));
    CHECK(exact < 1e-5, "%s: FP32 is off by %g", text(c, isa).c_str(), exact);
    const std::vector<float> narrow = computed(c, data, Precision::int8, isa);
    // Three products of about unit variance, each with errors of half a step of 1/127 of a row's largest.
    const double rough = distance(want, narrow);
    CHECK(rough < (takes_bfloat16(isa) ? 0.05 : 0.2), "%s: INT8 is off by %g", text(c, isa).c_str(), rough);
    if (takes_bfloat16(isa)) continue;  // bfloat16 has fewer digits
    if (first.empty()) {
      first.assign(narrow.begin(), narrow.end());
    } else {
      const double gap = distance(first, narrow);
      CHECK(gap < 2e-3, "%s: INT8 differs from portable by %g", text(c, isa).c_str(), gap);
    }
  }
}

std::vector<Bfloat16> upper_halves(const std::vector<float>& values) {
  std::vector<Bfloat16> halves;
  for (const float& value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    halves.push_back(static_cast<Bfloat16>(bits >> 16));
  }
  return halves;
}

// Inputs that bfloat16 represents exactly give the same bits in both types.
void same_from_halves() {
  for (const Case& c : {Case{2, 64, 45, 32, 63, true, true, true}, Case{1, 40, 17, 32, 63, true, true, true},
                        Case{3, 8, 33, 16, 31, true, true, false}}) {
    Data data = make(c, 9);
    for (std::vector<float>* values : {&data.q, &data.k, &data.v}) {
      for (float& value : *values) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        bits &= 0xffff0000u;
        std::memcpy(&value, &bits, sizeof bits);
      }
    }
    for (const Isa isa : isas) {
      for (const Precision precision : {Precision::fp32, Precision::int8}) {
        const std::vector<float> want = computed(c, data, precision, isa);
        const std::vector<float> got = computed_from(c, data, upper_halves(data.q), upper_halves(data.k),
                                                     upper_halves(data.v), precision, isa);
        CHECK(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)) == 0, "%s", text(c, isa).c_str());
      }
    }
  }
}

// A number that is added to every score of a row changes nothing, even if e^score overflows.
void scores_of_any_size() {
  const Case c{1, 64, 90, 32, 63, true, true, true};
  for (const float shift : {-40.0f, -12.0f, 12.0f, 40.0f}) {
    Data data = make(c, 5);
    for (std::vector<float>* values : {&data.keys, &data.queries}) {
      for (size_t i = 0; i < values->size(); i += 64) (*values)[i] = 0;
    }
    for (int i = 0; i < c.length; ++i) {
      data.q[size_t(i) * 64] = i % 3 == 0 ? shift : 0;  // not in every row
      data.k[size_t(i) * 64] = 8;
    }
    const std::vector<double> want = expected(c, data);
    for (const Isa isa : isas) {
      const double exact = distance(want, computed(c, data, Precision::fp32, isa));
      CHECK(exact < 1e-3, "%s: FP32 is off by %g when scores shift by %g", name(isa), exact, 8 * shift);
      if (!takes_bfloat16(isa)) continue;  // with 8 bits one large number leaves no steps for the others
      const double rough = distance(want, computed(c, data, Precision::int8, isa));
      CHECK(rough < 0.05, "%s: INT8 is off by %g when scores shift by %g", name(isa), rough, 8 * shift);
    }
  }
}

// A text alone gives the same bits as within [tokens, 3 * heads * head_size] with NaN around it.
void same_whatever_stands_beside() {
  for (const int size : {40, 64}) {
    const Case c{2, size, 45, 32, 63, true, true, true};
    const Data data = make(c, 3);
    const int width = c.heads * size, before = 7, all = before + c.length + 5;
    std::vector<float> packed(size_t(all) * 3 * width, NAN);
    for (int i = 0; i < c.length; ++i) {
      float* row = &packed[size_t(before + i) * 3 * width];
      std::copy_n(&data.q[size_t(i) * width], width, row);
      std::copy_n(&data.k[size_t(i) * width], width, row + width);
      std::copy_n(&data.v[size_t(i) * width], width, row + 2 * width);
    }
    for (const Isa isa : isas) {
      for (const Precision precision : {Precision::fp32, Precision::int8}) {
        const std::vector<float> alone = computed(c, data, precision, isa);
        const Attention attention(data.constants, precision, isa);
        for (int head = 0; head < c.heads; ++head) {
          // The columns of each head in turn are NaN: the other head's result must not change.
          std::vector<float> mine = packed, out(size_t(all) * width, 7);
          for (int i = 0; i < all; ++i) {
            for (int part = 0; part < 3; ++part) {
              std::fill_n(&mine[size_t(i) * 3 * width + part * width + (1 - head) * size], size, NAN);
            }
          }
          const size_t bytes = (attention.scratch_bytes(c.length) + 63) / 64 * 64, first = size_t(head) * size;
          void* scratch = std::aligned_alloc(64, bytes);
          const float* q = &mine[size_t(before) * 3 * width + first];
          float* to = &out[size_t(before) * width + first];
          attention.run(head, c.length, q, q + width, q + 2 * width, 3 * width, to, width, scratch);
          std::free(scratch);
          for (int i = 0; i < all; ++i) {
            for (int d = 0; d < width; ++d) {
              const bool own = i >= before && i < before + c.length && d / size == head;
              const float want = own ? alone[size_t(i - before) * width + d] : 7, got = out[size_t(i) * width + d];
              CHECK(std::memcmp(&want, &got, sizeof want) == 0, "%s: row %d, column %d", text(c, isa).c_str(), i, d);
            }
          }
        }
      }
    }
  }
}

// NaN in a value reaches every row that attends to it; in a query only its own row; in a key all rows.
void what_is_no_number() {
  for (const Case& c : {Case{1, 64, 45, 32, 63, true, true, true}, Case{1, 40, 20, 1, 1, false, false, false},
                        Case{1, 24, 70, 16, 31, true, false, false, true, 9, 100.0f}}) {
    for (const int part : {0, 1, 2}) {
      for (const float bad : {NAN, INFINITY}) {
        Data data = make(c, 3);
        const int row = c.length / 2;
        (part == 0 ? data.q : part == 1 ? data.k : data.v)[size_t(row) * c.head_size + 3] = bad;
        if (part == 1 && bad == INFINITY) continue;  // some scores are -infinity then, and their shares are 0
        for (const Isa isa : isas) {
          for (const Precision precision : {Precision::fp32, Precision::int8}) {
            const std::vector<float> out = computed(c, data, precision, isa);
            for (int i = 0; i < c.length; ++i) {
              const bool sees = c.window == 0 || std::abs(i - row) <= c.window;
              const bool hit = part == 0 ? i == row : sees;
              const bool all = part == 2 ? false : true;  // columns
              bool any = false, every = true;
              for (int d = 0; d < c.head_size; ++d) {
                const bool number = std::isfinite(out[size_t(i) * c.head_size + d]);
                any |= !number;
                every &= !number;
              }
              if (hit) CHECK(all ? every : any, "%s: row %d of part %d", text(c, isa).c_str(), i, part);
              // Rows of one block share its keys, so a row may be NaN from keys outside its own window.
              if (!hit && part == 0) CHECK(!any, "%s: row %d of part %d", text(c, isa).c_str(), i, part);
            }
          }
        }
      }
    }
  }
}

void refuses(AttentionConstants constants, const char* why) {
  bool refused = false;
  try {
    const Attention attention(constants, Precision::fp32);
  } catch (const std::exception&) {
    refused = true;
  }
  CHECK(refused, "%s", why);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments given = arguments(argc, argv);
  const int more = given.shapes;
  const unsigned seed = given.seed;
  isas = given.isas;
  for (const int length : {1, 2, 15, 16, 17, 31, 32, 33, 100, 455, 700}) {
    if (given.brief && length > 100) continue;
    try_case({1, 64, length, 256, 511, true, true, true}, seed);
  }
  for (const int size : {8, 24, 32, 40, 48, 80, 96, 128}) try_case({2, size, 70, 16, 31, true, true, true}, seed);
  try_case({1, 64, 90, 128, 128, false, true, true}, seed);
  try_case({1, 32, 90, 32, 63, true, true, false}, seed);
  try_case({1, 32, 90, 32, 63, true, false, true}, seed);
  try_case({1, 32, 90, 32, 63, true, false, false}, seed);
  std::mt19937 random(seed);
  for (int i = 0; i < more; ++i) {
    const int span = 1 << (1 + random() % 6);
    const Case c{1 + int(random() % 3), 8 * (1 + int(random() % 16)), 1 + int(random() % 130), span,
                 span + int(random() % 100), random() % 2 == 0, random() % 4 != 0, random() % 4 != 0};
    Case any = c;
    if (random() % 2 == 0) any.keys = any.queries = false;
    any.bias = random() % 3 == 0;
    any.window = random() % 3 == 0 ? 1 + int(random() % 60) : 0;
    any.rotary_base = random() % 3 == 0 ? 1.0f + float(random() % 200000) : 0.0f;
    try_case(i % 2 == 0 ? c : any, seed + unsigned(i));
  }
  for (const int length : {17, 100, 700}) {
    if (given.brief && length > 100) continue;
    try_case({2, 64, length, 16, 31, true, false, false, true}, seed);
    try_case({2, 64, length, 1, 1, false, false, false, false, 64, 10000.0f}, seed);
    try_case({2, 24, length, 1, 1, false, false, false, false, 0, 160000.0f}, seed);
    try_case({1, 32, length, 16, 31, true, true, true, true, 20, 500.0f}, seed);
  }
  if (!given.brief) try_case({1, 8, 4096, 1, 1, false, false, false, false, 128, 160000.0f}, seed);
  if (!given.brief) try_case({1, 8, 2049, 256, 511, true, true, true}, seed);
  same_whatever_stands_beside();
  same_from_halves();
  what_is_no_number();
  scores_of_any_size();
  const Case small{1, 8, 4, 4, 4, false, true, true};
  Data data = make(small, 1);
  AttentionConstants constants = data.constants;
  constants.head_size = 0;
  refuses(constants, "a head of no size");
  data.table[0] = 8;
  refuses(data.constants, "a bucket outside the table");
  return failures();
}
