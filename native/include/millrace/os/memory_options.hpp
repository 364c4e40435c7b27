// How memory that is mapped shall be treated: huge pages, locking, prefaulting, NUMA nodes, wiping.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../result.hpp"
#include "descriptor.hpp"
#include "object.hpp"

namespace millrace::os {

enum class NumaPolicy { none, bind, preferred, interleave };

struct MemoryOptions {
  bool huge_pages = false;
  bool lock = false;           // never swapped out
  bool prefault = false;       // all pages are there before the first touch
  bool zero_on_close = false;  // see Segment::unlink and SharedMemory::close
  NumaPolicy numa = NumaPolicy::none;
  std::vector<std::uint32_t> nodes;

  // Anything to be done to a mapping?
  [[nodiscard]] bool touch_mapping() const noexcept {
    return huge_pages || lock || prefault || numa != NumaPolicy::none;
  }
};

inline constexpr std::uint32_t kMaxNumaNodes = 1024;

// Overwrites a shared map with zeroes. The kernel does it: to a system call, a page that is gone because
// somebody shortened the object is an error (EFAULT); to us it would be a signal.
inline void wipe(void* at, std::size_t size) noexcept {
  const Descriptor zeroes(retry_eintr([] { return ::open("/dev/zero", O_RDONLY | O_CLOEXEC); }));
  auto* bytes = static_cast<std::byte*>(at);
  if (!zeroes) {
    std::memset(at, 0, size);
    // The compiler has to assume that this reads all memory that `at` leads to.
    asm volatile("" : : "r"(at) : "memory");
    return;
  }
  for (std::size_t done = 0; done < size;) {
    const ssize_t got =
        retry_eintr([&] { return ::read(zeroes.get(), bytes + done, size - done); });
    if (got <= 0) return;
    done += static_cast<std::size_t>(got);
  }
}

// Makes every page present by touching it; changes nothing, whatever others do meanwhile.
inline void touch_pages(void* at, std::size_t size, bool writable) noexcept {
  auto* bytes = static_cast<unsigned char*>(at);
  for (std::size_t i = 0; i < size; i += page_size()) {
    const std::atomic_ref<unsigned char> byte(bytes[i]);
    if (writable) {
      byte.fetch_add(0, std::memory_order_relaxed);
    } else {
      (void)byte.load(std::memory_order_relaxed);
    }
  }
}

// The platform's part, in <platform>/memory_options.hpp. All are about [at, at + size); `fd` is of the
// object mapped there, `path` is for messages.
inline Result<void> prefault_memory(void* at, std::size_t size, bool writable,
                                    const std::string& path);
inline Result<void> lock_memory(const void* at, std::size_t size, const std::string& path);
inline Result<void> want_huge_pages(void* at, std::size_t size, int fd, const std::string& path);
inline Result<void> bind_memory(void* at, std::size_t size, const MemoryOptions& options,
                                const std::string& path);

inline Result<void> check_for_reader(const MemoryOptions& options) {
  if (!options.huge_pages && options.numa == NumaPolicy::none && !options.zero_on_close) return {};
  return make_error(
      Code::invalid_argument,
      "hugePages, numa and zeroOnClose change the memory; a reader can ask for lock and "
      "prefault only");
}

// To a map that is shared and writable.
inline Result<void> treat_shared(void* at, std::size_t size, int fd, const MemoryOptions& options,
                                 const std::string& path) {
  if (options.huge_pages) {
    if (auto done = want_huge_pages(at, size, fd, path); !done.ok()) return done;
  }
  const bool bound = options.numa != NumaPolicy::none;
  if (options.prefault || bound) {
    // Only pages that are mapped here can be moved to their node.
    if (auto done = prefault_memory(at, size, true, path); !done.ok()) return done;
  }
  if (bound) {
    if (auto done = bind_memory(at, size, options, path); !done.ok()) return done;
  }
  if (options.lock) return lock_memory(at, size, path);
  return {};
}

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/memory_options.hpp"
#elif defined(__APPLE__)
#include "darwin/memory_options.hpp"
#endif
