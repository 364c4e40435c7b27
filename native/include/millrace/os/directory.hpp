// What a directory holds, and how old it is.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <memory>
#include <string>

namespace millrace::os {

class Directory {
 public:
  // One that cannot be read is empty.
  explicit Directory(const std::string& path) : stream_(::opendir(path.c_str())) {}

  // The name of the next file, `.` and `..` among them; nullptr: there are no more.
  [[nodiscard]] const char* next() noexcept {
    const dirent* entry =
        stream_ ? ::readdir(stream_.get()) : nullptr;  // NOLINT(concurrency-mt-unsafe): own stream
    return entry == nullptr ? nullptr : entry->d_name;
  }

 private:
  struct Close {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
  };
  std::unique_ptr<DIR, Close> stream_;
};

// When a file was last written to or sized, in milliseconds since 1970.
[[nodiscard]] inline std::int64_t modified_ms(const struct stat& status) noexcept {
#if defined(__APPLE__)
  const timespec& when = status.st_mtimespec;
#else
  const timespec& when = status.st_mtim;
#endif
  return std::int64_t{when.tv_sec} * 1000 + when.tv_nsec / 1'000'000;
}

// Has whoever made this had ample time for the next step? What has not is left alone for now: a kindness
// to its maker, who would have to start again. Nothing depends on it, so a clock that was set does no harm.
[[nodiscard]] inline bool is_older_than_a_moment(const struct stat& status) noexcept {
  constexpr time_t moment_seconds = 2;  // seconds are counted whole
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const time_t age = now.tv_sec - status.st_ctime;
  return age >= moment_seconds || age < 0;
}

}  // namespace millrace::os
