// The bytes of calls: those of a work queue (work.hpp) whose jobs are answered. One stage, one priority, nothing delayed, no
// ids, groups or dead letters. A slot belongs to its caller from when it is claimed until the caller has had the outcome:
//
//            ask                     take                answer              release
//   free ──────────► writing ─► ready ─────► leased ────────────► answered ────────────► free
//                                 │ ▲          │ │                   ▲
//                                 │ └──────────┘ └─► cancelled ─►free│       withdrawn, or the caller died: the server frees it
//                                 │   the server died                │
//                                 ├──────────────────────────────────┘       nobody serves; its deadline is over
//                                 └─► free                                   withdrawn, or the caller died
//
// `seat` of a word: the caller in writing, ready and answered; the server in leased and cancelled. `attempt`: how often a
// handler has begun, ever; so a call that is ready with one may have been executed in part. `level` of answered: what became of
// it, CallEnd, or below kFirstCallEnd the status that the server gave.
//
// Behind the granules there are
//   answers[slots]    kInlineBytes each, for small answers
//   bits[seats]       of each seat a bit for each slot: the slot has become answered (for the caller) or cancelled (for the
//                     server). A hint: it is set after the word and cleared before the word is looked at.
#pragma once

#include <atomic>
#include <cstdint>

#include "work.hpp"

namespace millrace::layout {

// As kinds of waiting, and as stages: a call is never in the second one.
inline constexpr std::uint32_t kForCalls = 0;
inline constexpr std::uint32_t kForAnswers = 1;
inline constexpr std::uint32_t kCallStages = 2;

inline constexpr std::uint8_t kFirstCallEnd = 16;
enum class CallEnd : std::uint8_t {
  died = kFirstCallEnd,  // its server, after the handler had begun
  expired = 17,          // its deadline was over before a handler began
  unserved = 18,         // nobody was left who takes calls
};

// Parts of a word (pack()), and a word with another part: in the way of every call, where one that is taken apart whole costs as much
// as a step.
inline constexpr std::uint64_t kTokenAndAttempt = ~0ULL << 24U;
inline constexpr std::uint64_t kTokenAlone = ~0ULL << 32U;
// Of a free word, for tools: the call that was there has been answered by a server.
inline constexpr std::uint64_t kWasAnswered = 1ULL << 9U;
[[nodiscard]] constexpr SlotState state_in(std::uint64_t bits) noexcept {
  return static_cast<SlotState>(bits & 15U);
}
[[nodiscard]] constexpr std::uint8_t level_in(std::uint64_t bits) noexcept {
  return static_cast<std::uint8_t>(bits >> 4U & 31U);
}
[[nodiscard]] constexpr std::uint32_t seat_in(std::uint64_t bits) noexcept {
  return static_cast<std::uint32_t>(bits >> 12U & 0xFFFU);
}
[[nodiscard]] constexpr std::uint8_t attempt_in(std::uint64_t bits) noexcept {
  return static_cast<std::uint8_t>(bits >> 24U);
}
[[nodiscard]] constexpr std::uint64_t with_state(std::uint64_t bits, SlotState state) noexcept {
  return (bits & ~15ULL) | static_cast<std::uint64_t>(state);
}
// Answered to that caller.
[[nodiscard]] constexpr std::uint64_t answered_word(std::uint64_t bits, std::uint32_t caller,
                                                    std::uint8_t level) noexcept {
  return (bits & kTokenAndAttempt) | static_cast<std::uint64_t>(SlotState::answered) |
         std::uint64_t{level} << 4U | std::uint64_t{caller & 0xFFFU} << 12U;
}
// Taken by that server. Attempts are counted up to 255.
[[nodiscard]] constexpr std::uint64_t leased_word(std::uint64_t bits, std::uint32_t server,
                                                  bool start) noexcept {
  const std::uint64_t begun = start && attempt_in(bits) != 0xFF ? 1ULL << 24U : 0;
  return (bits & kTokenAndAttempt) + (1ULL << 32U) + begun +
         (static_cast<std::uint64_t>(SlotState::leased) |
          (start ? std::uint64_t{kStarted} << 9U : 0) | std::uint64_t{server & 0xFFFU} << 12U);
}
static_assert(level_in(pack({SlotState::answered, 17, 0, 5, 6, 7})) == 17);
static_assert(answered_word(pack({SlotState::leased, 0, kStarted, 9, 3, 4}), 5, 17) ==
              pack({SlotState::answered, 17, 0, 5, 3, 4}));
static_assert(leased_word(pack({SlotState::ready, 0, kReturned, 9, 3, 4}), 5, true) ==
              pack({SlotState::leased, 0, kStarted, 5, 4, 5}));
static_assert(leased_word(pack({SlotState::ready, 0, 0, 9, 255, 4}), 5, true) ==
              pack({SlotState::leased, 0, kStarted, 5, 255, 5}));

// What the fields of a slot mean that have other names for jobs. Written by the caller before `ready`.
[[nodiscard]] inline std::atomic<std::uint32_t>& caller_of(Slot& slot) noexcept {
  return slot.group_next;
}
[[nodiscard]] inline std::uint32_t& method_of(Slot& slot) noexcept {
  return slot.headers_length;
}
[[nodiscard]] inline std::uint16_t& call_flags_of(Slot& slot) noexcept {
  return slot.id_length;
}
// 1: it may be executed more than once.
[[nodiscard]] inline std::atomic<std::uint32_t>& idempotent_of(Slot& slot) noexcept {
  return slot.group;
}
// Of the answer, written by the server before `answered`: {first granule 32, granules 32}, and its length.
[[nodiscard]] inline std::uint64_t& answer_place_of(Slot& slot) noexcept {
  return slot.forward;
}
[[nodiscard]] inline std::uint64_t& answer_length_of(Slot& slot) noexcept {
  return slot.forward_queue;
}

}  // namespace millrace::layout
