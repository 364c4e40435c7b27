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
#include <span>

#include "../os/inventory.hpp"

namespace millrace::detail {

// Some things that lie in a row. What could not be read is zero.
template <typename T>
class Copy {
 public:
  explicit Copy(std::size_t count)
      : bytes_(std::make_unique<std::byte[]>(count * sizeof(T) + alignof(T))), count_(count) {
    void* at = bytes_.get();
    std::size_t room = count * sizeof(T) + alignof(T);
    // Not by the operator for such things, which would bring exceptions into a library that has none.
    first_ = static_cast<std::byte*>(std::align(alignof(T), count * sizeof(T), at, room));
  }
  void read(int fd, std::uint64_t offset, std::size_t count) {
    const std::size_t wanted = std::min(count, count_) * sizeof(T);
    const std::size_t got = os::read_object(fd, offset, first_, wanted);
    std::memset(first_ + got, 0, wanted - got);
  }
  void take(std::span<const std::byte> bytes) noexcept {
    std::memcpy(first_, bytes.data(), bytes.size());
  }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept {
    return reinterpret_cast<const T*>(first_)[at];
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::byte* first_ = nullptr;
  std::size_t count_;
};

class Copies {
 public:
  // `start`: its first bytes, as they have been copied already, with zeroes for what it has not.
  explicit Copies(int fd, std::span<const std::byte> start = {}) noexcept
      : fd_(fd), start_(start) {}

  // False: it could not be read, or ends before that.
  [[nodiscard]] bool into(std::uint64_t offset, void* to, std::size_t bytes) const noexcept {
    if (bytes <= start_.size() && offset <= start_.size() - bytes) {
      std::memcpy(to, start_.data() + offset, bytes);
      return true;
    }
    return bytes == 0 || os::read_object(fd_, offset, to, bytes) == bytes;
  }
  template <typename T>
  [[nodiscard]] Copy<T> some(std::uint64_t offset, std::size_t count) const {
    Copy<T> copy(count);
    if (const std::size_t bytes = count * sizeof(T);
        bytes <= start_.size() && offset <= start_.size() - bytes)
      copy.take(start_.subspan(offset, bytes));
    else
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
  std::span<const std::byte> start_;
};

}  // namespace millrace::detail
