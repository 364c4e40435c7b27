// What calls are opened by: what there cannot be, what new ones are to be like, and whether those that are there are that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "../failure.hpp"
#include "../layout/calls.hpp"
#include "../result.hpp"
#include "../work/seats.hpp"
#include "../work/shape.hpp"

namespace millrace {

// What is left out is whatever is there, or the default. Half of `bytes`, for what does not fit into its slot, is for requests:
// answers have room also where requests have taken all that they may.
struct CallSpec : SeatOptions {
  std::optional<std::uint32_t> seats;  // handles at a time: 64
  std::optional<std::uint32_t> calls;  // in flight at a time: 256
  std::optional<std::uint64_t> bytes;  // 1 MiB
};

namespace detail {

[[nodiscard]] inline Result<WorkShape> wanted_calls(const CallSpec& spec) {
  WorkShape shape;
  shape.answers = true;
  shape.levels = 1;
  shape.stages = layout::kCallStages;
  shape.dead = 0;
  shape.dead_bytes = 0;
  shape.groups = 0;
  shape.attempts = 0;
  shape.seats = spec.seats.value_or(64);
  shape.jobs = spec.calls.value_or(256);
  shape.bytes = spec.bytes.value_or(1U << 20U);
  const char* why = nullptr;
  if (shape.seats < 1 || shape.seats > layout::kMaxWorkSeats) {
    why = "`seats` must be from 1 to 2048";
  } else if (shape.jobs < 1 || shape.jobs > layout::kMaxWorkSlots) {
    why = "`calls` must be from 1 to 1048576";
  } else if (!shape.possible()) {
    why =
        "`bytes` must be at most 68719476736 (64 GiB): take fewer, or keep large payloads "
        "elsewhere and send where they are";
  }
  if (why == nullptr) return shape;
  return make_error(Code::invalid_argument,
                    "no calls can be as '" + spec.place.title() + "' are to be: " + why);
}
// Those that are there must be what this handle says, where it says something.
[[nodiscard]] inline Result<WorkShape> judge_calls(const CallSpec& spec, const WorkShape& found) {
  std::string other;
  const auto compare = [&](const char* name, const auto& stated, std::uint64_t there) {
    if (!stated || *stated == there) return;
    if (!other.empty()) other += ", and ";
    other += std::string(name) + ' ' + std::to_string(there) + ", not " + std::to_string(*stated);
  };
  compare("calls", spec.calls, found.jobs);
  compare("bytes", spec.bytes, found.bytes);
  compare("seats", spec.seats, found.seats);
  if (other.empty()) return found;
  return make_error(Code::geometry, "calls '" + spec.place.title() + "' exist with " + other +
                                        "; open them everywhere alike, leave out what may be as it "
                                        "is, or unlink them first");
}

}  // namespace detail

}  // namespace millrace
