// What the users of topics give and get: how they are opened, options of a subscription, outcomes, what a message is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "../layout/topics.hpp"
#include "../seat_holder.hpp"

namespace millrace {

// What is left out is whatever the topics have, or what TopicShape gives new ones.
struct TopicSpec : SeatOptions {
  std::optional<std::uint32_t> seats, subscriptions, subjects;
  std::optional<std::uint32_t> messages;  // rounded up to a power of two, at least 8
  std::optional<std::uint64_t> bytes;
};

// How much of what is there already a new subscription gets.
struct Replay {
  bool last = false;         // the last message of each subject
  std::uint32_t newest = 0;  // so many of those in the log
};
struct SubscribeOptions {
  layout::TopicPolicy policy = layout::TopicPolicy::wait;
  Replay replay;
  std::uint32_t depth = 0;  // messages that it may lag behind; 0: as many as there are
  std::string_view group;   // a queue group; empty: none
};

enum class Published : std::uint8_t {
  yes,
  full,         // a subscriber that waits has not read what would have to go
  too_large,    // for these topics, also when they are empty
  no_subjects,  // there are as many as there may be
  bad_subject,
  busy,  // somebody is in the middle of making a subject: try again
};

// A place for a message that is to be published, or given up. Belongs to who reserved it.
struct TopicLoan {
  std::uint32_t slot = 0;
  std::uint32_t subject = 0;
  std::uint64_t word = 0;  // 0: none
  std::uint64_t at = 0;    // from the beginning of the data
  std::uint64_t room = 0;  // bytes, those for headers included
  std::uint32_t granule = 0;
  std::uint32_t granules = 0;

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

// A message as a reader gets it. What it says of places has been judged.
struct TopicMessage {
  static constexpr std::uint32_t kCopied = ~0U;

  std::uint64_t index = 0;  // in the one order of all messages
  std::uint32_t subject = 0;
  // Of a copy: from the beginning of `target`. Of one in place: from the beginning of the data, and `pin` is to be released.
  std::uint64_t at = 0;
  std::uint32_t pin = kCopied;
  std::uint32_t length = 0;
  std::uint32_t headers_length = 0;  // behind the payload, at the next multiple of 8
  std::uint64_t published_at = 0;    // nanoseconds since 1970
  std::uint64_t missed = 0;  // messages of this subscription that were evicted just before this one

  [[nodiscard]] std::uint64_t headers_at() const noexcept {
    return at + (std::uint64_t{length} + 7) / 8 * 8;
  }
};

// For tools.
struct TopicFacts {
  std::uint32_t subjects = 0;
  std::uint32_t entries = 0;  // that are live
  std::uint32_t seats = 0;
  std::uint64_t messages = 0;                                // in the log
  std::uint64_t index = 0;                                   // of the next one
  std::uint32_t granules = 0;                                // in use, about
  std::array<std::uint64_t, layout::kTopicCounts> counts{};  // by layout::TopicCount
};

// What a handle waits for, a bit each.
inline constexpr std::uint32_t kForMessages = 1;
inline constexpr std::uint32_t kForTopicRoom = 2;

}  // namespace millrace
