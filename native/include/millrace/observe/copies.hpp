// Copies of what lies in somebody's object. It is never mapped: it may be cut short at any moment, and a map of it is a crash then.
//
// A copy is made by one system call, and holds what was there at some instant in between. Of one aligned word it is whole: the kernel
// copies words. Of two it is not said which was copied first; so whoever compares two numbers has to expect that they are of
// different instants.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "../layout/header.hpp"
#include "../os/inventory.hpp"

namespace millrace::detail {

// Some things that lie in a row. What could not be read is zero.
template <typename T>
class Copy {
 public:
  explicit Copy(std::size_t count)
      : bytes_(static_cast<std::byte*>(::operator new(count * sizeof(T), kAlign))), count_(count) {
    std::memset(bytes_.get(), 0, count * sizeof(T));
  }
  void read(int fd, std::uint64_t offset, std::size_t count) {
    const std::size_t wanted = std::min(count, count_) * sizeof(T);
    const std::size_t got = os::read_object(fd, offset, bytes_.get(), wanted);
    std::memset(bytes_.get() + got, 0, wanted - got);
  }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept {
    return reinterpret_cast<const T*>(bytes_.get())[at];
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  static constexpr std::align_val_t kAlign{layout::kLine};
  struct Free {
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, kAlign); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  std::size_t count_;
};

class Copies {
 public:
  explicit Copies(int fd) noexcept : fd_(fd) {}

  template <typename T>
  [[nodiscard]] Copy<T> some(std::uint64_t offset, std::size_t count) const {
    Copy<T> copy(count);
    copy.read(fd_, offset, count);
    return copy;
  }
  template <typename T>
  [[nodiscard]] Copy<T> one(std::uint64_t offset) const {
    return some<T>(offset, 1);
  }
  // Calls each(index, thing) for `count` things in a row, of which not all are copied at once.
  template <typename T, typename Each>
  void each(std::uint64_t offset, std::size_t count, Each&& each) const {
    constexpr std::size_t piece = std::max<std::size_t>(64UL * 1024 / sizeof(T), 1);
    Copy<T> copy(std::min(count, piece));
    for (std::size_t at = 0; at < count; at += piece) {
      const std::size_t some = std::min(count - at, piece);
      copy.read(fd_, offset + at * sizeof(T), some);
      for (std::size_t i = 0; i < some; ++i)
        each(at + i, copy[i]);
    }
  }

 private:
  int fd_;
};

}  // namespace millrace::detail
