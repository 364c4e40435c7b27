// Shared memory. Its calls may be made by several threads at once.
#include "handle.hpp"
#include "millrace/shared_memory.hpp"

using millrace::MemorySpec;
using millrace::SharedMemory;
namespace capi = millrace::capi;

struct millrace_memory : capi::Handle<SharedMemory> {
  using Handle::Handle;
};

using capi::fail;
using capi::no_argument;
using capi::Shared;

int32_t millrace_memory_create(const char* place, uint64_t bytes, const millrace_options* options,
                               millrace_memory** memory) {
  if (memory == nullptr) return no_argument("memory");
  auto read = capi::options_of(options, capi::kMemoryFlags);
  if (!read.ok()) return fail(read.error());
  MemorySpec spec;
  spec.size = bytes;
  return capi::open_handle(
      "shared memory", place, read.value(), memory, spec,
      [](const MemorySpec& wanted) { return SharedMemory::create(wanted, capi::soon()); });
}
int32_t millrace_memory_open(const char* place, const millrace_options* options,
                             millrace_memory** memory) {
  if (memory == nullptr) return no_argument("memory");
  auto read =
      capi::options_of(options, MILLRACE_READ_ONLY | MILLRACE_HAS_OWNER | capi::kMemoryFlags);
  if (!read.ok()) return fail(read.error());
  MemorySpec spec;
  const bool read_only = (read.value().flags & MILLRACE_READ_ONLY) != 0;
  return capi::open_handle(
      "shared memory", place, read.value(), memory, spec, [read_only](const MemorySpec& wanted) {
        return SharedMemory::open(
            wanted, read_only ? millrace::os::Access::read_only : millrace::os::Access::read_write,
            capi::soon());
      });
}
void* millrace_memory_data(millrace_memory* memory) {
  const Shared inside(memory);
  return inside ? memory->core->memory()->data() : nullptr;
}
uint64_t millrace_memory_size(millrace_memory* memory) {
  const Shared inside(memory);
  return inside ? memory->core->memory()->size() : 0;
}
int32_t millrace_memory_check(millrace_memory* memory) {
  const Shared inside(memory);
  if (!inside) return inside.code();
  auto intact = memory->core->check_intact();
  return intact.ok() ? MILLRACE_OK : fail(intact.error());
}
int32_t millrace_memory_flush(millrace_memory* memory) {
  const Shared inside(memory);
  if (!inside) return inside.code();
  auto done = memory->core->check_intact();
  if (done.ok()) done = SharedMemory::flush(*memory->core->memory(), memory->core->path());
  return done.ok() ? MILLRACE_OK : fail(done.error());
}
int32_t millrace_memory_close(millrace_memory* memory) {
  return capi::close_handle(memory, [](SharedMemory& core) { core.close(); });
}
void millrace_memory_free(millrace_memory* memory) {
  capi::free_handle(memory, [](SharedMemory& core) { core.close(); });
}
