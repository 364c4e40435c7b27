// Treating mapped memory, on macOS: it can be locked and touched, nothing else.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>

#include "../memory_options.hpp"

namespace millrace::os {

inline Result<void> prefault_memory(void* at, std::size_t size, bool writable,
                                    const std::string& /*path*/) {
  touch_pages(at, size, writable);
  return {};
}

inline Result<void> lock_memory(const void* at, std::size_t size, const std::string& path) {
  if (::mlock(at, size) == 0) return {};
  const int number = errno;
  Error error = system_error("mlock", number, path);
  if (number == ENOMEM || number == EPERM || number == EAGAIN) {
    error.code = Code::permission;
    error.message = "'" + path + "': locking " + std::to_string(size) +
                    " bytes is more than this process may; raise RLIMIT_MEMLOCK (ulimit -l) or the "
                    "system's vm.user_wire_limit";
  }
  return error;
}

inline Result<void> want_huge_pages(void* /*at*/, std::size_t /*size*/, int /*fd*/,
                                    const std::string& path) {
  return make_error(Code::unsupported_platform,
                    "macOS has no huge pages for shared memory; leave hugePages out", path);
}

inline Result<void> bind_memory(void* /*at*/, std::size_t /*size*/,
                                const MemoryOptions& /*options*/, const std::string& path) {
  return make_error(Code::unsupported_platform, "macOS has no NUMA nodes; leave numa out", path);
}

}  // namespace millrace::os
