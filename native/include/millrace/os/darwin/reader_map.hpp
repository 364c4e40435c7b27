// The map of a reader that must not change the memory. XNU refuses MAP_PRIVATE on shared memory, and
// what Mach offers instead (mach_vm_remap and mach_vm_protect with a copy) takes a snapshot that no
// longer follows the writer. Of the two left, the map is read-only rather than shared and writable: the
// mistake of one process stops that process, and does not become wrong data in all others.
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace millrace::os {

// What a stray write through a reader's map does: true, it changes a private copy; false, it ends the
// process with a signal. It never reaches another process.
inline constexpr bool kStrayWritesArePrivate = false;

// May a map reach beyond the end of its object, as long as nobody touches it there? XNU refuses.
inline constexpr bool kMapsBeyondEnd = false;

// As mmap(2): MAP_FAILED and errno, or the address.
[[nodiscard]] inline void* mmap_for_reader(int fd, off_t offset, std::size_t size) noexcept {
  return ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, offset);
}

}  // namespace millrace::os
