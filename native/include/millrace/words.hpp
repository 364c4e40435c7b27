// Copies to and from memory that somebody else may be reading or writing at the same time: word by word,
// each a relaxed atomic, so that it is no data race. What was copied may be torn; a sequence number
// beside it must tell. Source: Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?"
// (MSPC 2012).
//
// The shared side is 8-byte aligned and has room for whole words; the private side is neither.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace millrace {

using SharedWord = std::atomic<std::uint64_t>;

inline constexpr std::size_t kWordBytes = sizeof(SharedWord);

inline void copy_to_shared(SharedWord* to, const std::byte* from, std::size_t bytes) noexcept {
  const std::size_t whole = bytes / kWordBytes;
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < whole; ++i) {
    std::memcpy(&word, from + i * kWordBytes, kWordBytes);
    to[i].store(word, std::memory_order_relaxed);
  }
  const std::size_t rest = bytes % kWordBytes;
  if (rest == 0) return;
  word = 0;
  std::memcpy(&word, from + whole * kWordBytes, rest);
  to[whole].store(word, std::memory_order_relaxed);
}

inline void copy_from_shared(std::byte* to, const SharedWord* from, std::size_t bytes) noexcept {
  const std::size_t whole = bytes / kWordBytes;
  for (std::size_t i = 0; i < whole; ++i) {
    const std::uint64_t word = from[i].load(std::memory_order_relaxed);
    std::memcpy(to + i * kWordBytes, &word, kWordBytes);
  }
  const std::size_t rest = bytes % kWordBytes;
  if (rest == 0) return;
  const std::uint64_t word = from[whole].load(std::memory_order_relaxed);
  std::memcpy(to + whole * kWordBytes, &word, rest);
}

inline void copy_between_shared(SharedWord* to, const SharedWord* from,
                                std::size_t bytes) noexcept {
  const std::size_t words = (bytes + kWordBytes - 1) / kWordBytes;
  for (std::size_t i = 0; i < words; ++i) {
    to[i].store(from[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

}  // namespace millrace
