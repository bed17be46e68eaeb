#include "cpu/features.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace wordtell {
namespace {

#if defined(__x86_64__)
// Whether AMX's tiles may be used: the processor has them in int8 and bfloat16, the system saves them, and Linux, which
// wants to be asked before it makes room for eight kilobytes in every thread's state, agrees.
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned tiles = 1u << 24 | 1u << 25 | 1u << 22;  // AMX-TILE, AMX-INT8, AMX-BF16
  if ((d & tiles) != tiles) return false;
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t saved = 1u << 17 | 1u << 18;  // XTILECFG, XTILEDATA
  if ((low & saved) != saved) return false;
#if defined(__linux__)
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}
#endif

}  // namespace

std::vector<Isa> available_isas() {
  std::vector<Isa> found{Isa::portable};
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return found;
  found.push_back(Isa::avx2);
  for (const bool missing : {!__builtin_cpu_supports("avx512f"), !__builtin_cpu_supports("avx512bw"),
                             !__builtin_cpu_supports("avx512dq"), !__builtin_cpu_supports("avx512vl"),
                             !__builtin_cpu_supports("avx512vnni")}) {
    if (missing) return found;
  }
  found.push_back(Isa::avx512vnni);
  if (__builtin_cpu_supports("avx512bf16") && has_amx()) found.push_back(Isa::amx);
#endif
  return found;
}

Isa best_isa() {
  static const Isa chosen = [] {
    const std::vector<Isa> found = available_isas();
    const char* wanted = std::getenv("WORDTELL_ISA");
    for (const Isa isa : found) {
      if (wanted != nullptr && std::strcmp(wanted, name(isa)) == 0) return isa;
    }
    return found.back();
  }();
  return chosen;
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512vnni:
      return "avx512vnni";
    case Isa::amx:
      return "amx";
    default:
      return "portable";
  }
}

}  // namespace wordtell
