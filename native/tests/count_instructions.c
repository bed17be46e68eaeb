// A plugin for qemu-user that counts the instructions that a program executes (the plugins' interface, version 1:
// https://www.qemu.org/docs/master/devel/tcg-plugins.html). The declarations are here because Debian packages none.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t Plugin;
struct qemu_plugin_tb;
enum { kNoRegisters = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(Plugin, void (*)(Plugin, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb*, void (*)(unsigned, void*), int, void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
void qemu_plugin_register_atexit_cb(Plugin, void (*)(Plugin, void*), void*);
void qemu_plugin_outs(const char*);

#define SHOWN __attribute__((visibility("default")))
SHOWN int qemu_plugin_version = 1;

static uint64_t count;

static void executed(unsigned processor, void* instructions) {
  (void)processor;
  count += (uintptr_t)instructions;
}

static void translated(Plugin plugin, struct qemu_plugin_tb* block) {
  (void)plugin;
  void* instructions = (void*)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, kNoRegisters, instructions);
}

static void told(Plugin plugin, void* nothing) {
  (void)plugin, (void)nothing;
  char line[32];
  snprintf(line, sizeof line, "%llu\n", (unsigned long long)count);
  qemu_plugin_outs(line);
}

SHOWN int qemu_plugin_install(Plugin plugin, const void* about, int words, char** given) {
  (void)about, (void)words, (void)given;
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
  qemu_plugin_register_atexit_cb(plugin, told, NULL);
  return 0;
}
