// Which subjects a filter means: as many tokens, each the same or `*`; and behind `>`, its last one, one or more of any kind.
#pragma once

#include <cstddef>
#include <string_view>

#include "subject_text.hpp"

namespace millrace {

// Both may be any text: what is no filter means no subject but one that looks alike. Takes one pass, whatever the texts are.
[[nodiscard]] inline bool matches(std::string_view filter, std::string_view subject) noexcept {
  for (;;) {
    const std::size_t filter_dot = filter.find('.');
    const std::size_t subject_dot = subject.find('.');
    const bool filter_ends = filter_dot == std::string_view::npos;
    const bool subject_ends = subject_dot == std::string_view::npos;
    const std::string_view wanted = filter.substr(0, filter_dot);
    if (filter_ends && wanted == ">") return true;
    if (wanted != "*" && wanted != subject.substr(0, subject_dot)) return false;
    if (filter_ends || subject_ends) return filter_ends && subject_ends;
    filter.remove_prefix(filter_dot + 1);
    subject.remove_prefix(subject_dot + 1);
  }
}

}  // namespace millrace
