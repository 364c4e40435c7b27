// Shared memory cannot be listed; its lock files can. Semaphores cannot be listed at all.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../../layout/header.hpp"
#include "../directory.hpp"
#include "../file_lock.hpp"
#include "../object.hpp"
#include "../place.hpp"

namespace millrace::os {

// The names of this user's objects that are called millrace.…, and of its doorbells.
[[nodiscard]] inline std::vector<std::string> object_names() {
  constexpr std::string_view suffix = ".lock";
  std::vector<std::string> names;
  Directory directory(doorbell_directory());
  while (const char* entry = directory.next()) {
    std::string_view file(entry);
    if (!file.starts_with("millrace.")) continue;
    if (file.ends_with(suffix)) file.remove_suffix(suffix.size());
    names.emplace_back(file);
  }
  return names;
}
[[nodiscard]] inline std::vector<std::string> semaphore_files() {
  return {};
}

// Reads up to `size` bytes; the number read. The size of an object never changes here.
[[nodiscard]] inline std::size_t read_object(int fd, std::uint64_t offset, void* to,
                                             std::size_t size) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return 0;
  const auto there = static_cast<std::uint64_t>(status.st_size);
  if (offset >= there) return 0;
  const std::size_t count = std::min<std::uint64_t>(size, there - offset);
  const std::uint64_t start = offset / page_size() * page_size();
  const auto skipped = static_cast<std::size_t>(offset - start);
  void* at = ::mmap(nullptr, skipped + count, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(start));
  if (at == MAP_FAILED) return 0;
  std::memcpy(to, static_cast<const std::byte*>(at) + skipped, count);
  ::munmap(at, skipped + count);
  return count;
}

// A creator or remover that died leaves a lock file without an object. True if that is so; then it has
// been removed, unless `only_look`.
inline bool sweep_lock_file(const std::string& object_name, bool only_look) {
  auto lock = FileLock::open_file(object_name);
  if (!lock.ok() || !lock.value().try_exclusive(layout::kLifecycleByte)) return false;
  // Objects appear before their lock files are locked, so one without may have a maker on its way; it
  // starts again when it finds the file gone.
  auto opened = open_object(object_name, Access::read_only);
  if (lock.value().unlinked() || opened.ok() || opened.error().code != Code::not_found)
    return false;
  if (!only_look) FileLock::remove_file(object_name);
  return true;
}

}  // namespace millrace::os
