// Messages, frames, values and jobs: a number, and bytes that depend on it. As in content.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace victims {

constexpr std::uint32_t kWords = 24;
inline std::uint32_t length_of(std::uint64_t number) {
  return 8 + static_cast<std::uint32_t>(number % kWords) * 8;
}
inline void fill(std::byte* to, std::uint64_t number, std::uint32_t length) {
  for (std::uint32_t i = 0; i < length / 8; ++i) {
    const std::uint64_t word = i == 0 ? number : number * 31 + i;
    std::memcpy(to + std::size_t{i} * 8, &word, 8);
  }
}
// 0 if it is not whole.
inline std::uint64_t number_in(const std::byte* from, std::uint64_t length) {
  std::uint64_t number = 0;
  if (length < 8) return 0;
  std::memcpy(&number, from, 8);
  for (std::uint32_t i = 1; i < length / 8; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + std::size_t{i} * 8, 8);
    if (word != number * 31 + i) return 0;
  }
  return number;
}

}  // namespace victims
