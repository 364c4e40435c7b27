// The context of a trace, as it goes with jobs and messages: 26 bytes, the version, trace, span and flags of a `traceparent`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace millrace::capi {

inline constexpr std::size_t kTraceBytes = 26;
inline constexpr std::size_t kTraceText = 55;
using PackedTrace = std::array<std::byte, kTraceBytes>;

namespace detail {

// Where the bytes are in the text "00-TRACE-SPAN-FLAGS".
[[nodiscard]] constexpr std::size_t text_at(std::size_t byte) noexcept {
  return 2 * byte + (byte >= 1 ? 1 : 0) + (byte >= 17 ? 1 : 0) + (byte >= 25 ? 1 : 0);
}
[[nodiscard]] constexpr int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
[[nodiscard]] constexpr bool all_zero(std::span<const std::byte> bytes) noexcept {
  for (const std::byte byte : bytes) {
    if (byte != std::byte{0}) return false;
  }
  return true;
}

}  // namespace detail

// Nothing: it is no context.
[[nodiscard]] inline std::optional<PackedTrace> pack_trace(std::string_view text) noexcept {
  if (text.size() != kTraceText) return std::nullopt;
  if (text[2] != '-' || text[35] != '-' || text[52] != '-' || !text.starts_with("00"))
    return std::nullopt;
  PackedTrace packed{};
  for (std::size_t i = 0; i < kTraceBytes; ++i) {
    const int high = detail::digit(text[detail::text_at(i)]);
    const int low = detail::digit(text[detail::text_at(i) + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    packed[i] = static_cast<std::byte>(high * 16 + low);
  }
  const std::span<const std::byte> bytes(packed);
  if (detail::all_zero(bytes.subspan(1, 16)) || detail::all_zero(bytes.subspan(17, 8)))
    return std::nullopt;
  return packed;
}

// Writes the text and a NUL. False: it is no context that this version knows.
[[nodiscard]] inline bool unpack_trace(std::span<const std::byte> packed, char* text) noexcept {
  if (packed.size() != kTraceBytes || packed[0] != std::byte{0}) return false;
  if (detail::all_zero(packed.subspan(1, 16)) || detail::all_zero(packed.subspan(17, 8)))
    return false;
  constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < kTraceBytes; ++i) {
    text[detail::text_at(i)] = digits[static_cast<unsigned>(packed[i]) >> 4U];
    text[detail::text_at(i) + 1] = digits[static_cast<unsigned>(packed[i]) & 15U];
  }
  text[2] = text[35] = text[52] = '-';
  text[kTraceText] = '\0';
  return true;
}

}  // namespace millrace::capi
