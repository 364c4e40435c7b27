// How a holder of a role says that it failed, and how the other side learns why.
//
// Who fails leaves as everybody does, and says so beforehand: first the reason, then the epoch of its role as
// `failed`, then the role is resigned ("closed", release). Who sees "closed" (acquire) sees both. A death before
// that last store is a death: the role is attached, and its lock is free.
//
// The mark is void as soon as somebody has the role after it, for then its epoch is another. That the epoch is
// the one of who closed is what claim() is careful about: "attached" comes before the new epoch.
//
// Everything here may be a lie. The text has a fixed length, and what is no text is not passed on.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "segment.hpp"

namespace millrace {

namespace detail {

// As much of UTF-8 text as fits, not ending within a character.
[[nodiscard]] inline std::string_view cut_text(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;
  return text.substr(0, end);
}

struct Character {
  char32_t point = 0;
  std::size_t bytes = 0;  // 0: what is there is no character
};

// The first character of UTF-8 text that is not empty.
[[nodiscard]] inline Character first_character(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes > text.size()) return {};
  char32_t point = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {};
    point = (point << 6U) | (next & 0x3FU);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};  // shorter ones are overlong
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < least[bytes] || point > 0x10FFFF || surrogate) return {};
  return {point, bytes};
}

// What would move a terminal's cursor, colour it, or turn the order of what follows around.
[[nodiscard]] inline bool is_control(char32_t point) noexcept {
  return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x061C || point == 0x200E ||
         point == 0x200F || (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2066 && point <= 0x2069);
}

// Text that somebody else wrote, fit to stand in a message of one line: valid UTF-8 without controls.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string fit;
  fit.reserve(text.size());
  while (!text.empty()) {
    const Character next = first_character(text);
    if (next.bytes == 0) {
      fit += "\xEF\xBF\xBD";  // U+FFFD, as every decoder does
    } else if (is_control(next.point)) {
      fit += ' ';
    } else {
      fit += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes == 0 ? 1 : next.bytes);
  }
  return fit;
}

}  // namespace detail

// Where the reason of a role stands: kReasonBytes in one or two pieces.
struct ReasonPlace {
  std::span<std::atomic<std::uint64_t>> first;
  std::span<std::atomic<std::uint64_t>> rest;

  [[gnu::noinline]] void write(std::string_view reason) const noexcept {
    const std::string_view text = detail::cut_text(reason, layout::kReasonBytes);
    std::array<std::uint64_t, kWords> words{};
    if (!text.empty()) std::memcpy(words.data(), text.data(), text.size());
    for (std::size_t i = 0; i < kWords; ++i) {
      // release: pairs with the acquire in read(): who sees a word of ours sees that the role is ours, too.
      at(i).store(words[i], std::memory_order_release);
    }
  }
  // A copy, judged: whatever lies there becomes text that can be shown.
  [[nodiscard, gnu::noinline]] std::string read() const {
    std::array<std::uint64_t, kWords> words{};
    for (std::size_t i = 0; i < kWords; ++i)
      words[i] = at(i).load(std::memory_order_acquire);  // pairs with the release in write()
    std::array<char, layout::kReasonBytes> text{};
    std::memcpy(text.data(), words.data(), text.size());
    return detail::printable({text.data(), ::strnlen(text.data(), text.size())});
  }

 private:
  static constexpr std::size_t kWords = layout::kReasonBytes / 8;

  [[nodiscard]] std::atomic<std::uint64_t>& at(std::size_t word) const noexcept {
    return word < first.size() ? first[word] : rest[word - first.size()];
  }
};

// To be said by the holder of a role, right before it resigns.
inline void say_failed(layout::RoleRecord& record, const ReasonPlace& place,
                       std::string_view reason) noexcept {
  place.write(reason);
  MILLRACE_CRASH_POINT("failure.say.reasoned");
  // release: pairs with the acquire in peer_or_failed(): who sees the mark of a later holder sees its epoch.
  record.failed.store(record.epoch.load(std::memory_order_relaxed), std::memory_order_release);
  MILLRACE_CRASH_POINT("failure.say.said");
}

// As Segment::peer, and `failed` if who closed has said so.
[[nodiscard, gnu::noinline]] inline Peer peer_or_failed(const Segment& segment,
                                                        const layout::RoleRecord& record,
                                                        std::uint32_t role) noexcept {
  // Bounded: a peer that keeps changing it cannot hold us.
  for (int look = 0; look < 64; ++look) {
    // acquire: pairs with the release in claim(). If this is the epoch of a later holder than the one who
    // closed, the state below is no longer "closed" by that one.
    const std::uint32_t epoch = record.epoch.load(std::memory_order_acquire);
    const Peer peer = segment.peer(record, role);
    if (peer != Peer::closed) return peer;
    // acquire: pairs with the release in say_failed().
    const std::uint32_t failed = record.failed.load(std::memory_order_acquire);
    // Still the same holder: it closed, and the mark is its own or an older one. Otherwise somebody came in
    // between, and perhaps left again: look anew.
    if (record.epoch.load(std::memory_order_relaxed) != epoch) continue;
    return failed == epoch && failed != 0 ? Peer::failed : Peer::closed;
  }
  return Peer::gone;
}

// Why: empty if it did not say, or if somebody else has the role by now.
[[nodiscard]] inline std::string reason_of(const layout::RoleRecord& record,
                                           const ReasonPlace& place) {
  // acquire: as in peer_or_failed().
  const std::uint32_t failed = record.failed.load(std::memory_order_acquire);
  std::string reason = place.read();
  if (record.epoch.load(std::memory_order_relaxed) != failed) reason.clear();
  return reason;
}

// "failed: disk full", as it stands in messages.
[[nodiscard]] inline std::string failure_text(const std::string& reason) {
  return reason.empty() ? "failed, and gave no reason" : "failed: " + reason;
}

}  // namespace millrace
