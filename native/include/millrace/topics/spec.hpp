// What topics are opened by: what new ones are to be like, and whether those that are there are that.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

#include "../failure.hpp"
#include "../result.hpp"
#include "facts.hpp"
#include "shape.hpp"

namespace millrace::detail {

// A log's capacity is a power of two.
[[nodiscard]] constexpr std::uint32_t round_messages(std::uint32_t messages) noexcept {
  if (messages == 0 || messages > layout::kMaxMessages) return messages;  // to be refused
  return std::bit_ceil(std::max(messages, 8U));
}
// What new ones are to be like.
[[nodiscard]] inline Result<TopicShape> wanted_topics(const TopicSpec& spec) {
  TopicShape shape;
  shape.seats = spec.seats.value_or(shape.seats);
  shape.subscriptions = spec.subscriptions.value_or(shape.subscriptions);
  shape.subjects = spec.subjects.value_or(shape.subjects);
  shape.messages = spec.messages ? round_messages(*spec.messages) : shape.messages;
  shape.bytes = spec.bytes.value_or(shape.bytes);
  if (const char* const why = shape.impossible()) {
    return make_error(Code::invalid_argument,
                      "no topics can be as '" + spec.place.title() + "' are to be: " + why);
  }
  return shape;
}
// Existing ones must be what this handle says, where it says something.
[[nodiscard]] inline Result<TopicShape> judge_topics(const TopicSpec& spec,
                                                     const TopicShape& found) {
  std::string other;
  const auto compare = [&](const char* name, const auto& stated, std::uint64_t there) {
    if (!stated || *stated == there) return;
    if (!other.empty()) other += ", and ";
    other += std::string(name) + ' ' + std::to_string(there) + ", not " + std::to_string(*stated);
  };
  // By the names that the options have for users.
  std::optional<std::uint32_t> messages;
  if (spec.messages) messages = round_messages(*spec.messages);
  compare("messages", messages, found.messages);
  compare("bytes", spec.bytes, found.bytes);
  compare("subjects", spec.subjects, found.subjects);
  compare("subscriptions", spec.subscriptions, found.subscriptions);
  compare("seats", spec.seats, found.seats);
  if (other.empty()) return found;
  return make_error(Code::geometry,
                    "topics '" + spec.place.title() + "' exist with " + other +
                        "; open them everywhere alike, leave out what may be as it is, or unlink "
                        "the topics first");
}

}  // namespace millrace::detail
