#include "cpu/features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace wordtell {
namespace {

#if defined(__x86_64__)
// CPUID's answer. __builtin_cpu_supports() would need GCC's runtime: zig's answers no to everything.
struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers found;
  __get_cpuid_count(leaf, subleaf, &found.a, &found.b, &found.c, &found.d);
  return found;
}

constexpr bool all(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

// Which registers the operating system saves: XCR0, Intel SDM volume 1, 13.3.
uint32_t saved_registers() {
  if (!all(cpuid(1).c, 1u << 27)) return 0;  // OSXSAVE
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool has_tiles() {
#if defined(WORDTELL_SOFTWARE_TILES)
  return true;
#else
  return all(cpuid(7).d, 1u << 24 | 1u << 25 | 1u << 22);  // AMX-TILE, AMX-INT8, AMX-BF16
#endif
}

// Why the tiles may not be used; null when they may. The system has to save them, and Linux wants to be asked before it
// makes room for eight kilobytes in every thread's state.
const char* tiles_refused() {
#if defined(WORDTELL_SOFTWARE_TILES)
  return nullptr;
#else
  constexpr unsigned tile_registers = 1u << 17 | 1u << 18;  // XTILECFG, XTILEDATA
  if (!all(saved_registers(), tile_registers)) return "the operating system does not save AMX's tile registers";
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
  const uint32_t saved = saved_registers();
  const Registers one = cpuid(1), seven = cpuid(7);
  constexpr unsigned ymm = 1u << 1 | 1u << 2, zmm = ymm | 7u << 5;  // XMM, YMM; masks, ZMM's upper halves, ZMM16 to 31
  const bool avx2 = all(saved, ymm) && all(one.c, 1u << 12 | 1u << 28) && all(seven.b, 1u << 5);  // FMA, AVX; AVX2
  add(avx2, kAvx2);
#if defined(WORDTELL_EVEX)
  add(avx2 && all(saved, zmm) && all(seven.b, 1u << 31) && all(seven.c, 1u << 11), kAvxVnni);  // AVX-512's: see cpu/vnni.h
#else
  add(avx2 && all(cpuid(7, 1).a, 1u << 4), kAvxVnni);
#endif
  if (all(saved, zmm)) {
    add(all(seven.b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31), kAvx512);  // F, DQ, BW, VL
    add(all(seven.c, 1u << 11), kAvx512Vnni);
    add(all(cpuid(7, 1).a, 1u << 5), kAvx512Bf16);
  }
  if (has_tiles()) {
    const char* refused = tiles_refused();
    add(refused == nullptr, kAmx);
    if (refused != nullptr) features.refused = refused;
  }
#elif defined(__aarch64__) && defined(__linux__)
  // Bits of the kernel's arch/arm64/include/uapi/asm/hwcap.h, by number: the headers of an old glibc lack the names.
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  features.bits |= first & 1ul << 20 ? kDotprod : 0u;  // ASIMDDP
  features.bits |= second & 1ul << 13 ? kI8mm : 0u;
  features.bits |= second & 1ul << 14 ? kArmBf16 : 0u;
#endif
  return features;
}

}  // namespace

const Features& features() {
  static const Features asked = found();
  return asked;
}

}  // namespace wordtell
