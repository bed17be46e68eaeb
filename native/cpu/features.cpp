#include "cpu/features.h"

#include <cstdint>

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
bool has_tiles() {
#if defined(WORDTELL_SOFTWARE_TILES)
  return true;
#else
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned tiles = 1u << 24 | 1u << 25 | 1u << 22;  // AMX-TILE, AMX-INT8, AMX-BF16
  return (d & tiles) == tiles;
#endif
}

// Why the tiles may not be used; null when they may. The system has to save them, and Linux wants to be asked before it
// makes room for eight kilobytes in every thread's state.
const char* tiles_refused() {
#if defined(WORDTELL_SOFTWARE_TILES)
  return nullptr;
#else
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t saved = 1u << 17 | 1u << 18;  // XTILECFG, XTILEDATA
  if ((low & saved) != saved) return "the operating system does not save AMX's tile registers";
#if defined(__linux__)
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  if (syscall(SYS_arch_prctl, request, tile_data) == 0) return nullptr;
#endif
  return "the operating system refuses AMX (arch_prctl ARCH_REQ_XCOMP_PERM): a sandbox may, or a kernel older than 5.16";
#endif
}
#endif

Features found() {
  Features features{0, ""};
#if defined(__x86_64__)
  const auto add = [&](bool there, unsigned bit) { features.bits |= there ? bit : 0; };
  add(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), kAvx2);
  add(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"),
      kAvx512);
  add(__builtin_cpu_supports("avx512vnni"), kAvx512Vnni);
  add(__builtin_cpu_supports("avx512bf16"), kAvx512Bf16);
  if (has_tiles()) {
    const char* refused = tiles_refused();
    add(refused == nullptr, kAmx);
    if (refused != nullptr) features.refused = refused;
  }
#endif
  return features;
}

}  // namespace

const Features& features() {
  static const Features asked = found();
  return asked;
}

}  // namespace wordtell
