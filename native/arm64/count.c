// A plugin of QEMU that counts the instructions of each thread: what scripts/count-arm64.mjs counts with, where there is no
// processor of that kind, and so no callgrind. Times would say nothing here; counts are those of a real one.
//
//   qemu-aarch64 -plugin libcount.so,out=FILE,mark=NUMBER PROGRAM
//
// A line in FILE whenever the first thread makes the system call of that number, which is how a program under test says "from
// here on" and "until here"; and one at the end. Each is the count of the first thread so far.
//
// Debian ships QEMU's plugins without their header, so what is used of the interface (version 1) is declared here.
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                                  void (*cb)(plugin_id, struct qemu_plugin_tb*));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* tb,
                                                 void (*cb)(unsigned, void*), int flags,
                                                 void* userdata);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id id,
                                                 void (*cb)(plugin_id, unsigned, int64_t, uint64_t,
                                                            uint64_t, uint64_t, uint64_t, uint64_t,
                                                            uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id, void*),
                                           void* userdata);

#define EXPORT __attribute__((visibility("default")))
enum { kNoRegisters = 0 };

EXPORT int qemu_plugin_version = 1;

static FILE* out;
static uint64_t executed;
static int64_t mark = -1;

static void say(void) {
  (void)fprintf(out, "%" PRIu64 "\n", executed);
  (void)fflush(out);
}

// The others are the engine's own threads, which compile and collect.
static void on_block(unsigned thread, void* instructions) {
  if (thread == 0) executed += (uintptr_t)instructions;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb* tb) {
  (void)id;
  const uintptr_t instructions = qemu_plugin_tb_n_insns(tb);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, kNoRegisters, (void*)instructions);
}

static void on_call(plugin_id id, unsigned thread, int64_t number, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (thread == 0 && number == mark) say();
}

static void on_end(plugin_id id, void* nothing) {
  (void)id, (void)nothing;
  say();
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
    if (strncmp(argv[i], "mark=", 5) == 0) mark = strtoll(argv[i] + 5, NULL, 10);
  }
  if (out == NULL) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_call);
  qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}
