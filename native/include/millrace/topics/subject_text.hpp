// Subjects and filters as texts. A subject is tokens with dots between them, `plant.line1.temp`: printable UTF-8 without spaces, `*` and
// `>`, of at most 255 bytes in all. In a filter a token may be `*`, which stands for any one token, and the last may be `>`, which
// stands for one or more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "../failure.hpp"
#include "../layout/topics.hpp"

namespace millrace {

// What keeps a text from being a subject, or a filter.
struct TextFlaw {
  std::uint32_t token = 0;     // from 1; 0: the whole text
  const char* what = nullptr;  // "is empty", as of that token
};

namespace detail {

enum class TextUse : std::uint8_t { subject, filter };

// What is wrong with one token; nothing: it is one.
[[nodiscard]] inline const char* flaw_of_token(std::string_view token, bool last,
                                               TextUse use) noexcept {
  if (token.empty()) return "is empty";
  if (use == TextUse::filter) {
    if (token == "*") return nullptr;
    if (token == ">") return last ? nullptr : "is '>', which only the last one may be";
  }
  while (!token.empty()) {
    const Character next = first_character(token);
    if (next.bytes == 0) return "is not UTF-8";
    if (next.point == ' ') return "contains a space";
    if (is_control(next.point)) return "contains a character that cannot be printed";
    if (next.point == '*' || next.point == '>') {
      const bool star = next.point == '*';
      if (use == TextUse::filter)
        return star ? "contains '*' beside others: it stands for a whole token"
                    : "contains '>' beside others: it stands for whole tokens";
      return star ? "contains '*', which only filters may have"
                  : "contains '>', which only filters may have";
    }
    token.remove_prefix(next.bytes);
  }
  return nullptr;
}
[[nodiscard]] inline std::optional<TextFlaw> flaw_of(std::string_view text, TextUse use) noexcept {
  if (text.empty()) return TextFlaw{0, "is empty"};
  if (text.size() > layout::kSubjectMost) return TextFlaw{0, "has more than 255 bytes"};
  for (std::uint32_t token = 1;; ++token) {
    const std::size_t dot = text.find('.');
    const bool last = dot == std::string_view::npos;
    if (const char* const what = flaw_of_token(text.substr(0, dot), last, use))
      return TextFlaw{token, what};
    if (last) return std::nullopt;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace detail

[[nodiscard]] inline std::optional<TextFlaw> flaw_of_subject(std::string_view text) noexcept {
  return detail::flaw_of(text, detail::TextUse::subject);
}
[[nodiscard]] inline std::optional<TextFlaw> flaw_of_filter(std::string_view text) noexcept {
  return detail::flaw_of(text, detail::TextUse::filter);
}
[[nodiscard]] inline bool is_subject(std::string_view text) noexcept {
  return !flaw_of_subject(text);
}
[[nodiscard]] inline bool is_filter(std::string_view text) noexcept {
  return !flaw_of_filter(text);
}

// For whoever gave that text: which token is wrong, and what would be right. `kind`: "subject" or "filter".
[[nodiscard]] inline std::string why_no_text(const char* kind, std::string_view text,
                                             const TextFlaw& flaw) {
  constexpr std::size_t shown = 64;
  std::string message = "'" + detail::printable(detail::cut_text(text, shown));
  message += text.size() > shown ? "…' is no " : "' is no ";
  message += kind;
  message += flaw.token == 0 ? ": it " : ": its token " + std::to_string(flaw.token) + ' ';
  message += flaw.what;
  message +=
      std::string_view(kind) == "filter"
          ? "; a filter is tokens with dots between them, where '*' stands for any one token, "
            "and '>' at the end for one or more"
          : "; a subject is tokens with dots between them, such as 'plant.line1.temp'";
  return message;
}

}  // namespace millrace
