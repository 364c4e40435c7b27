// The map of a reader that must not change the memory. JavaScript has no read-only ArrayBuffer and a
// write to a PROT_READ page kills the process, so the map is private and writable: reads follow the
// shared pages, a stray write lands in a copy of that page that only this process sees.
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace millrace::os {

// What a stray write through a reader's map does: true, it changes a private copy; false, it ends the
// process with a signal. It never reaches another process.
inline constexpr bool kStrayWritesArePrivate = true;

// May a map reach beyond the end of its object, as long as nobody touches it there?
inline constexpr bool kMapsBeyondEnd = true;

// As mmap(2): MAP_FAILED and errno, or the address.
[[nodiscard]] inline void* mmap_for_reader(int fd, off_t offset, std::size_t size) noexcept {
  return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, offset);
}

}  // namespace millrace::os
