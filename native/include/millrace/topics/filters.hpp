// Subjects and filters as texts. A subject is tokens with dots between them, `plant.line1.temp`; in a filter a token may be `*`, which
// stands for any one token, and the last may be `>`, which stands for one or more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../layout/topics.hpp"

namespace millrace {

namespace detail {

// The length of the UTF-8 character that begins there, if it is one and printable; else 0.
[[nodiscard]] inline std::size_t character_at(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(at);
  if (first < 0x80) return first > 0x20 && first != 0x7F ? 1 : 0;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  std::uint32_t code = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80) return 0;
    code = code << 6U | (byte(at + i) & 0x3FU);
  }
  const bool shortest = length == 2 || code >= (length == 3 ? 0x800U : 0x10000U);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool control = code < 0xA0;
  return shortest && !surrogate && !control && code <= 0x10FFFF ? length : 0;
}
// Calls each(token, is_last) for the tokens of a text, until it returns false.
template <typename Each>
bool each_token(std::string_view text, Each&& each) {
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!each(text.substr(0, dot), dot == std::string_view::npos)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

[[nodiscard]] inline bool is_word(std::string_view token) noexcept {
  if (token.empty()) return false;
  for (std::size_t at = 0; at < token.size();) {
    const std::size_t length = character_at(token, at);
    if (length == 0 || token[at] == '*' || token[at] == '>') return false;
    at += length;
  }
  return true;
}

}  // namespace detail

[[nodiscard]] inline bool is_subject(std::string_view text) noexcept {
  return text.size() <= layout::kSubjectMost &&
         detail::each_token(text,
                            [](std::string_view token, bool) { return detail::is_word(token); });
}
[[nodiscard]] inline bool is_filter(std::string_view text) noexcept {
  return text.size() <= layout::kSubjectMost &&
         detail::each_token(text, [](std::string_view token, bool last) {
           return token == "*" || (token == ">" && last) || detail::is_word(token);
         });
}
// Both may be anything; what is no filter matches nothing that is a subject, or something that looks like it.
[[nodiscard]] inline bool matches(std::string_view filter, std::string_view subject) noexcept {
  for (;;) {
    const std::size_t filter_dot = filter.find('.');
    const std::size_t subject_dot = subject.find('.');
    const std::string_view wanted = filter.substr(0, filter_dot);
    if (wanted == ">" && filter_dot == std::string_view::npos) return true;
    if (wanted != "*" && wanted != subject.substr(0, subject_dot)) return false;
    const bool filter_ends = filter_dot == std::string_view::npos;
    const bool subject_ends = subject_dot == std::string_view::npos;
    if (filter_ends || subject_ends) return filter_ends && subject_ends;
    filter.remove_prefix(filter_dot + 1);
    subject.remove_prefix(subject_dot + 1);
  }
}

}  // namespace millrace
