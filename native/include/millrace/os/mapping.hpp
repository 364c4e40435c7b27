// Memory maps. A Mapping owns its address range and gives it back exactly once. Users keep it in a
// shared_ptr: memory that a JavaScript ArrayBuffer can reach must stay mapped until the engine has let
// go of it, however early the channel is closed.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "../result.hpp"
#include "memory_options.hpp"
#include "object.hpp"
#include "place.hpp"
#include "reader_map.hpp"

namespace millrace::os {

class Mapping {
 public:
  Mapping(std::byte* base, std::size_t size) noexcept : base_(base), size_(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(base_, size_); }

  [[nodiscard]] std::byte* data() const noexcept { return base_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Another map that lives as long as this one.
  void accompany(std::shared_ptr<Mapping> other) noexcept { other_ = std::move(other); }

 private:
  std::byte* base_;
  std::size_t size_;
  std::shared_ptr<Mapping> other_;
};

using MappingPtr = std::shared_ptr<Mapping>;

// [offset, offset + size) of the object, seen and changed by all.
inline Result<MappingPtr> map_shared(int fd, std::uint64_t offset, std::uint64_t bytes,
                                     const std::string& path, const MemoryOptions& options = {}) {
  const auto size = static_cast<std::size_t>(bytes);
  if (size != bytes) return system_error("mmap", ENOMEM, path);  // 32-bit process
  void* base =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (base == MAP_FAILED) return system_error("mmap", errno, path);
  auto mapping = std::make_shared<Mapping>(static_cast<std::byte*>(base), size);
  if (auto done = treat_shared(base, size, fd, options, path); !done.ok()) return done.error();
  return mapping;
}

// The same for a reader that must not change it; see kStrayWritesArePrivate.
inline Result<MappingPtr> map_private(int fd, std::uint64_t offset, std::uint64_t bytes,
                                      const std::string& path, const MemoryOptions& options = {}) {
  if (auto fit = check_for_reader(options); !fit.ok()) return fit.error();
  const auto size = static_cast<std::size_t>(bytes);
  if (size != bytes) return system_error("mmap", ENOMEM, path);  // 32-bit process
  void* base = mmap_for_reader(fd, static_cast<off_t>(offset), size);
  if (base == MAP_FAILED) return system_error("mmap", errno, path);
  auto mapping = std::make_shared<Mapping>(static_cast<std::byte*>(base), size);
  if (options.lock) {
    // Locking a private, writable map would make private copies of all its pages, which no longer follow
    // the writer. So another map, shared and read-only, holds the pages in memory.
    void* held = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (held == MAP_FAILED) return system_error("mmap", errno, path);
    mapping->accompany(std::make_shared<Mapping>(static_cast<std::byte*>(held), size));
    if (auto done = lock_memory(held, size, path); !done.ok()) return done.error();
  }
  if (options.prefault) {
    if (auto done = prefault_memory(base, size, false, path); !done.ok()) return done.error();
  }
  return mapping;
}

// `bytes` of the object twice in a row, so that a ring's messages are contiguous at every
// position. The first map takes the whole address range, so the second cannot land on anything else.
inline Result<MappingPtr> map_mirror(int fd, std::uint64_t offset, std::uint64_t bytes,
                                     const std::string& path, const MemoryOptions& options = {}) {
  const auto size = static_cast<std::size_t>(bytes);
  if (size != bytes || size > SIZE_MAX / 2) {  // 32-bit process
    return system_error("mmap", ENOMEM, path);
  }
  constexpr int both = PROT_READ | PROT_WRITE;
  const auto from = static_cast<off_t>(offset);
  // Too long, and cut in half by the second: that saves reserving the range by a map of its own.
  void* range = kMapsBeyondEnd
                    ? ::mmap(nullptr, size * 2, both, MAP_SHARED, fd, from)
                    : ::mmap(nullptr, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (range == MAP_FAILED) return system_error("mmap", errno, path);
  auto mapping = std::make_shared<Mapping>(static_cast<std::byte*>(range), size * 2);
  for (std::size_t half = kMapsBeyondEnd ? 1 : 0; half < 2; ++half) {
    void* at = mapping->data() + half * size;
    if (::mmap(at, size, both, MAP_SHARED | MAP_FIXED, fd, from) == MAP_FAILED) {
      return system_error("mmap", errno, path);
    }
  }
  // Both halves are the same pages: treated once, but present in both.
  if (auto done = treat_shared(mapping->data(), size, fd, options, path); !done.ok()) {
    return done.error();
  }
  if (options.prefault) {
    auto done = prefault_memory(mapping->data() + size, size, true, path);
    if (!done.ok()) return done.error();
  }
  return mapping;
}

}  // namespace millrace::os
